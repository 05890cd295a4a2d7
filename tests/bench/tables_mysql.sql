-- The tables that are measured on MariaDB, but for lineitem's rows, which TPC-H's generator makes. `@wide_rows` says how many
-- rows the wide table gets. Every value depends on the row's number alone.
CREATE TABLE lineitem (
    l_orderkey bigint NOT NULL,
    l_partkey int NOT NULL,
    l_suppkey int NOT NULL,
    l_linenumber int NOT NULL,
    l_quantity decimal(15, 2) NOT NULL,
    l_extendedprice decimal(15, 2) NOT NULL,
    l_discount decimal(15, 2) NOT NULL,
    l_tax decimal(15, 2) NOT NULL,
    l_returnflag char(1) NOT NULL,
    l_linestatus char(1) NOT NULL,
    l_shipdate date NOT NULL,
    l_commitdate date NOT NULL,
    l_receiptdate date NOT NULL,
    l_shipinstruct char(25) NOT NULL,
    l_shipmode char(10) NOT NULL,
    l_comment varchar(44) NOT NULL,
    PRIMARY KEY (l_orderkey, l_linenumber)
);

-- Like Open edX's courseware_studentmodule: few narrow columns and a JSON text of 100 to 2,000 bytes.
CREATE TEMPORARY TABLE fragment (number int PRIMARY KEY, body text NOT NULL);
SET SESSION group_concat_max_len = 100000;
INSERT INTO fragment
SELECT of.seq, GROUP_CONCAT('"', LEFT(MD5(of.seq * 1000 + part.seq), 12), '_', part.seq, '": {"correctness": "',
       IF((of.seq + part.seq) % 3 = 0, 'incorrect', 'correct'), '", "npoints": ', part.seq % 7,
       ', "msg": "", "queuestate": null}' ORDER BY part.seq SEPARATOR ', ')
FROM seq_0_to_1999 AS of JOIN seq_1_to_24 AS part GROUP BY of.seq;

CREATE TABLE courseware_studentmodule (
    id bigint NOT NULL PRIMARY KEY,
    module_type varchar(32) NOT NULL,
    module_id varchar(255) NOT NULL,
    course_id varchar(255) NOT NULL,
    student_id int NOT NULL,
    state longtext,
    grade double,
    max_grade double,
    done varchar(8) NOT NULL,
    created datetime(6) NOT NULL,
    modified datetime(6) NOT NULL
);

INSERT INTO courseware_studentmodule
SELECT seq, IF(seq % 3 = 0, 'sequential', 'problem'),
       CONCAT('block-v1:DemoX+', seq % 400, 'x+1T2024+type@problem+block@', MD5(seq % 20000)),
       CONCAT('course-v1:DemoX+', seq % 400, 'x+1T2024'), seq % 250000,
       CONCAT('{"seed": ', seq, ', "correct_map": {', LEFT(body, 60 + seq * 7919 % 1900), '"}}'),
       IF(seq % 4 > 0, seq % 100 / 10.0, NULL), IF(seq % 4 > 0, 10, NULL), 'na',
       '2024-01-01' + INTERVAL seq * 1000001 MICROSECOND, '2024-06-01' + INTERVAL seq * 500000 MICROSECOND
FROM seq_1_to_1000000000 JOIN fragment ON fragment.number = seq * 31 % 2000 WHERE seq <= @wide_rows;
