-- Beside the zoo: arrays declared with several dimensions, of every way that array_to_json has, and values by the thousand.
SET TimeZone = 'UTC';
CREATE SCHEMA further;
CREATE TYPE further.mood AS ENUM ('sad', 'so "so"', '');
CREATE DOMAIN further.cents AS numeric(9,2);
CREATE TYPE further.pair AS (a int, b text);
CREATE TABLE further.nested (
    id int PRIMARY KEY, i2 int2[][], i8 int8[][], o oid[][], f4 float4[][], f8 float8[][], n numeric[][], b bool[][],
    t text[][], v varchar(9)[][], c char(4)[][], q "char"[][], j json[][], jb jsonb[][], d date[][], ti time[][], ts timestamp[][],
    tz timestamptz[][], ttz timetz[][], iv interval[][], u uuid[][], by bytea[][], ip inet[][], bx box[][], pt point[][],
    r int4range[][], m further.mood[][], ce further.cents[][], mo money[][], x xml[][], bits varbit[][],
    pairs further.pair[][]);
INSERT INTO further.nested SELECT 1;
INSERT INTO further.nested VALUES (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
    '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
INSERT INTO further.nested VALUES (3,
    '{{-1,NULL},{3,4}}', '{{9223372036854775807}}', '{{4294967295}}', '{{1.5,NaN},{-0,1e-45}}',
    '{{1e300,-1e-300},{Infinity,-Infinity},{0.1,123456789012345680}}', '{{NaN,Infinity},{0.00,-12.340}}', '{{t,f},{NULL,t}}',
    ARRAY[['a"b\c', E'\x01\x1f\x7f\b\f\n\r\t'], ['NULL', NULL], ['', 'ä€😀 ']], '{{x}}', '{{a},{"b  "}}', '{{a,"\""}}',
    ARRAY[['{"a" : [1, 2]}', 'null'], [NULL, '"x"']]::json[], ARRAY[['{"b":1,"a":1.50}', '1e2']]::jsonb[],
    '{{2000-01-01,"0044-03-15 BC"},{infinity,-infinity},{10000-01-01,NULL}}', '{{24:00:00,00:00:00.000001}}',
    '{{"2000-01-01 00:00:00.5","0044-03-15 12:00:00 BC"},{infinity,"294276-12-31 23:59:59.999999"}}',
    '{{"2000-01-01 00:00:00.5+00","0044-03-15 12:00:00+00 BC"},{-infinity,NULL}}', '{{24:00:00+01:30}}',
    '{{"1 year -2 days 03:04:05.6","-1 day"}}', '{{00000000-0000-0000-0000-000000000001}}', '{{"\\x00ff",""}}'::bytea[],
    '{{::1,10.0.0.0/8}}', '{{(1,1),(0,0);(3,3),(2,2)}}', '{{"(1,2)","(1e300,-0)"}}', '{{"[1,2)",empty}}',
    ARRAY[['sad', 'so "so"'], ['', NULL]]::further.mood[], '{{1.10,NULL}}', ARRAY[[1::money, '-1.5'::money]], ARRAY[['<a b="c"/>'::xml]],
    '{{101,""}}', ARRAY[[ROW(1, 'x')::further.pair]]);
INSERT INTO further.nested (id, i2, t, n, tz) VALUES
    (4, '{1,2}', '{a,NULL}', '{1.0}', '{2000-01-01 00:00:00+00}'),
    (5, '[0:1]={1,2}', '[2:2][1:1]={{a}}', '[-1:0]={1,NULL}', '[5:5]={NULL}'),
    (6, '{{{1},{2}},{{3},{4}}}', '{{{a}}}', '{{{NULL}}}', '{{{infinity}}}');

-- The same table by the thousand; md5 makes it the same in every run.
CREATE TABLE further.many (
    id int PRIMARY KEY, f4 float4, f8 float8, n numeric, n92 numeric(38,9), ts timestamp, tz timestamptz, d date, ti time, iv interval,
    t text, ts_list timestamptz[], n_list numeric[], t_list text[], f_list float8[], by bytea, jb jsonb, d_list date[]);
INSERT INTO further.many
SELECT i,
    ((h % 2000003) * power(10, (i % 60) - 30))::float4,
    h::float8 * power(10::float8, (i % 580) - 300),
    h::numeric * power(10::numeric, (i % 90) - 45),
    (h % 100000000000)::numeric / power(10, i % 12)::numeric,
    timestamp '0001-01-01' + (h % 300000) * interval '1 day' + (h % 86400000000) * interval '1 microsecond',
    timestamptz '4000-01-01 BC' + (h % 9000000) * interval '1 day' + (h % 999983) * interval '1 microsecond',
    date '4713-01-01 BC' + (h % 9000000)::int,
    time '00:00' + (h % 86400000000) * interval '1 microsecond',
    make_interval(months => (h % 5000)::int - 2500, days => (h % 311)::int - 155, secs => (h % 86400000)::float8 / 1000 - 43200),
    m,
    ARRAY[timestamptz '2000-01-01' + (h % 999999999) * interval '1 second', NULL],
    ARRAY[h::numeric / 1000, NULL, 0.00],
    ARRAY[m, E'"\\{},' || chr((1 + h % 127)::int), NULL, repeat(' ', i % 3)],
    ARRAY[h::float8 / 7, -0.0, NULL],
    decode(m, 'hex'),
    jsonb_build_object(m, h, 'n', h::numeric / 1000, 'l', ARRAY[m, NULL]),
    ARRAY[date '2000-01-01' + (h % 3000000)::int - 700000]
FROM (SELECT i, md5(i::text) AS m, ('x' || substr(md5(i::text), 1, 15))::bit(60)::bigint AS h FROM generate_series(1, 5000) i) s;
INSERT INTO further.many (id, f4, f8) VALUES (-1, 'NaN', 'NaN'), (-2, 'Infinity'::float4 - 'Infinity', 'Infinity'::float8 - 'Infinity');
