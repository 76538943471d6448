CREATE TABLE t (a int, b text, c numeric(10,2), d timestamptz, e int[], f boolean, j jsonb);
CREATE TABLE u (id int PRIMARY KEY, v text);
CREATE TABLE "Mixed Case" ("a" int, "B" text);
CREATE SCHEMA s;
CREATE TABLE s.t (a int, b text);
INSERT INTO t VALUES (1, 'x', 1.5, now(), '{1,2}', true, '{"k": 1}');
CREATE FUNCTION fn(int DEFAULT 0, text DEFAULT '') RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE PROCEDURE proc(int, text) LANGUAGE sql AS 'SELECT 1';
CREATE ROLE alice SUPERUSER;
