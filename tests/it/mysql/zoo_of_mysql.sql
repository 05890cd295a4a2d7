-- What MySQL has and MariaDB has not, added to the zoo of both. A line "rows of TABLE: N" is what the tests demand of each.

-- rows of t_vector: 3
CREATE TABLE t_vector (id int PRIMARY KEY, v vector(3), big vector);
INSERT INTO t_vector VALUES (1, NULL, NULL), (2, STRING_TO_VECTOR('[1, -2.5, 3e38]'), STRING_TO_VECTOR('[0]')), (3, STRING_TO_VECTOR('[0, 0, 0]'), TO_VECTOR(CONCAT('[', REPEAT('0.1, ', 2047), '1.5e-38]')));

-- rows of t_charset_of_mysql: 3
CREATE TABLE t_charset_of_mysql (id int PRIMARY KEY, gb varchar(50) CHARACTER SET gb18030, ai varchar(50) COLLATE utf8mb4_0900_ai_ci, bin varchar(50) COLLATE utf8mb4_0900_bin, ja varchar(50) COLLATE utf8mb4_ja_0900_as_cs);
INSERT INTO t_charset_of_mysql VALUES (1, NULL, NULL, NULL, NULL), (2, 'abc', 'abc ', ' abc', 'abc'), (3, '汉字€😀é', 'é漢字😀', 'é漢字😀', 'カナ漢字');

-- rows of t_generated_key: 2
SET sql_generate_invisible_primary_key = ON;
CREATE TABLE t_generated_key (v varchar(20));
SET sql_generate_invisible_primary_key = OFF;
INSERT INTO t_generated_key VALUES ('same'), ('same');

-- rows of t_functional: 2
CREATE TABLE t_functional (id int PRIMARY KEY, j json, a int, name varchar(40), INDEX ((a * 2)), INDEX ((CAST(j->'$.tags' AS char(20) ARRAY))), UNIQUE INDEX ((LOWER(name))));
INSERT INTO t_functional VALUES (1, '{"tags": ["a", "b"]}', 1, 'X'), (2, NULL, NULL, NULL);

-- rows of t_expression: 2
CREATE TABLE t_expression (id int PRIMARY KEY, j json DEFAULT (JSON_ARRAY(1, 'é')), u char(36) DEFAULT ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), b binary(16) DEFAULT (UUID_TO_BIN('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')), g json AS (JSON_OBJECT('id', id)) STORED);
INSERT INTO t_expression (id) VALUES (1), (2);

-- rows of t_json_types: 6
CREATE TABLE t_json_types (id int PRIMARY KEY, j json);
INSERT INTO t_json_types VALUES (1, CAST(CAST('838:59:58.000001' AS time(6)) AS json)), (2, JSON_OBJECT('d', CAST('2024-02-29' AS date), 't', TIMESTAMP'2024-02-29 23:59:59.123456')), (3, CAST(CAST(1.10 AS decimal(65, 30)) AS json)), (4, CAST(18446744073709551615 AS json)), (5, CAST(x'00ff10' AS json)), (6, JSON_ARRAY(TRUE, NULL, 1e0, -9223372036854775808, ST_GeomFromText('POINT(1 2)')));

-- rows of t_instant: 3
CREATE TABLE t_instant (id int PRIMARY KEY, gone varchar(10), a int);
INSERT INTO t_instant VALUES (1, 'x', 1);
ALTER TABLE t_instant DROP COLUMN gone, ALGORITHM = INSTANT;
INSERT INTO t_instant VALUES (2, 2);
ALTER TABLE t_instant ADD COLUMN b varchar(20) NOT NULL DEFAULT 'é' FIRST, ALGORITHM = INSTANT;
INSERT INTO t_instant VALUES ('own', 3, 3);

-- rows of t_srid: 3
CREATE TABLE t_srid (id int PRIMARY KEY, p point NOT NULL SRID 4326, g geometry, gc geomcollection, SPATIAL INDEX (p));
INSERT INTO t_srid VALUES (1, ST_GeomFromText('POINT(10 20)', 4326), ST_GeomFromText('POINT(1 2)', 3857), ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')), (2, ST_GeomFromText('POINT(-90 180)', 4326), NULL, NULL), (3, ST_GeomFromText('POINT(0 0)', 4326), ST_GeomFromText('MULTIPOLYGON(((0 0,0 1,1 1,0 0)))'), NULL);
