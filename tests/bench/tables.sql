-- The tables that are measured, but for lineitem's rows, which TPC-H's generator makes. `wide_rows` says how many rows
-- the wide table gets. Every value depends on the row's number alone.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

CREATE TABLE lineitem (
    l_orderkey bigint NOT NULL,
    l_partkey integer NOT NULL,
    l_suppkey integer NOT NULL,
    l_linenumber integer NOT NULL,
    l_quantity numeric(15, 2) NOT NULL,
    l_extendedprice numeric(15, 2) NOT NULL,
    l_discount numeric(15, 2) NOT NULL,
    l_tax numeric(15, 2) NOT NULL,
    l_returnflag char(1) NOT NULL,
    l_linestatus char(1) NOT NULL,
    l_shipdate date NOT NULL,
    l_commitdate date NOT NULL,
    l_receiptdate date NOT NULL,
    l_shipinstruct char(25) NOT NULL,
    l_shipmode char(10) NOT NULL,
    l_comment varchar(44) NOT NULL
);

-- Like Open edX's courseware_studentmodule: few narrow columns and a JSON text of 100 to 2,000 bytes.
CREATE TEMPORARY TABLE fragment AS
SELECT number,
       (SELECT string_agg(format('"%s_%s": {"correctness": "%s", "npoints": %s, "msg": "", "queuestate": null}',
                                 left(md5((number * 1000 + part)::text), 12), part,
                                 CASE WHEN (number + part) % 3 = 0 THEN 'incorrect' ELSE 'correct' END, part % 7), ', ')
        FROM generate_series(1, 24) AS part) AS body
FROM generate_series(0, 1999) AS number;

CREATE TABLE courseware_studentmodule (
    id bigint NOT NULL,
    module_type varchar(32) NOT NULL,
    module_id varchar(255) NOT NULL,
    course_id varchar(255) NOT NULL,
    student_id integer NOT NULL,
    state text,
    grade double precision,
    max_grade double precision,
    done varchar(8) NOT NULL,
    created timestamptz NOT NULL,
    modified timestamptz NOT NULL
);

INSERT INTO courseware_studentmodule
SELECT row_number, CASE WHEN row_number % 3 = 0 THEN 'sequential' ELSE 'problem' END,
       'block-v1:DemoX+' || row_number % 400 || 'x+1T2024+type@problem+block@' || md5((row_number % 20000)::text),
       'course-v1:DemoX+' || row_number % 400 || 'x+1T2024', row_number % 250000,
       '{"seed": ' || row_number || ', "correct_map": {' || left(body, 60 + (row_number * 7919 % 1900)::int) || '"}}',
       CASE WHEN row_number % 4 > 0 THEN (row_number % 100) / 10.0 END, CASE WHEN row_number % 4 > 0 THEN 10 END,
       'na', timestamptz '2024-01-01 00:00:00+00' + row_number * interval '1.000001 second',
       timestamptz '2024-06-01 00:00:00+00' + row_number * interval '0.5 second'
FROM generate_series(1, :wide_rows::bigint) AS row_number JOIN fragment ON fragment.number = row_number * 31 % 2000;

-- A hundred small tables, as most tables of an application are.
CREATE SCHEMA small;
SELECT format('CREATE TABLE small.small_%s AS SELECT row_number AS id, md5(row_number::text) AS name, '
              'timestamptz ''2024-01-01 00:00:00+00'' + row_number * interval ''1 hour'' AS created_on '
              'FROM generate_series(1, 200) AS row_number; ALTER TABLE small.small_%s ADD PRIMARY KEY (id)', n, n)
FROM generate_series(1, 100) AS n
\gexec
