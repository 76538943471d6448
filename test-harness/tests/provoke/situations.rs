//! What makes a server print each kind of event: SQL that one psql runs, and the events that must
//! show in the log. What needs more than one session is in `sessions.rs`.

/// The events that SQL causes.
pub struct Situation {
    pub sql: &'static str,
    pub events: &'static [&'static str],
}

const fn on(sql: &'static str, events: &'static [&'static str]) -> Situation {
    Situation { sql, events }
}

/// Run in this order, by the superuser, each in a session of its own that goes on after errors.
pub const SITUATIONS: &[Situation] = &[
    on(
        "CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL, c int CHECK (c > 0));
         CREATE TABLE u (a int REFERENCES t);
         CREATE TABLE x (during int4range, EXCLUDE USING gist (during WITH &&));
         CREATE TABLE parts (day date) PARTITION BY RANGE (day);
         CREATE DOMAIN positive AS int CHECK (VALUE > 0);
         CREATE DOMAIN present AS text NOT NULL;
         CREATE TYPE mood AS ENUM ('happy');
         CREATE SEQUENCE short MAXVALUE 2;
         CREATE VIEW v AS SELECT a FROM t;
         CREATE ROLE bob LOGIN; CREATE ROLE nobody_in NOLOGIN; CREATE ROLE full_up LOGIN CONNECTION LIMIT 0;
         CREATE DATABASE closed ALLOW_CONNECTIONS false;
         CREATE FUNCTION boom(text) RETURNS int LANGUAGE plpgsql AS
           $$ BEGIN EXECUTE 'SELECT ' || $1 || '::int'; RETURN 1; END $$;
         CREATE FUNCTION raises(text) RETURNS int LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'not %', $1; END $$;
         INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2); INSERT INTO u VALUES (1);
         INSERT INTO x VALUES ('[1,5)')",
        &["connection_received", "connection_authorized", "disconnection", "duration_statement"],
    ),
    on("SELECT 1/0", &["division_by_zero"]),
    on("INSERT INTO t VALUES (1, 'secret', 1)", &["unique_violation"]),
    on("INSERT INTO u VALUES (77)", &["foreign_key_violation"]),
    on("DELETE FROM t WHERE a = 1", &["foreign_key_violation"]),
    on("INSERT INTO t VALUES (3, NULL, 1)", &["not_null_violation"]),
    on("SELECT NULL::present", &["not_null_violation"]),
    on("INSERT INTO t VALUES (3, 'secret', -1)", &["check_violation"]),
    on("SELECT (-1)::positive", &["check_violation"]),
    on("INSERT INTO parts VALUES ('2026-11-23')", &["check_violation"]),
    on("INSERT INTO x VALUES ('[2,3)')", &["exclusion_violation"]),
    on("CREATE UNIQUE INDEX twice ON t ((1))", &["unique_violation"]),
    on("SELEC 1", &["syntax_error"]),
    on("SELECT 1 +", &["syntax_error"]),
    on("SELECT 'open", &[]),
    on("SELECT 1x", &["syntax_error"]),
    on("SELECT * FROM nowhere", &["undefined_table"]),
    on("SELECT t.a FROM u", &["undefined_table"]),
    on("SELECT z FROM t", &["undefined_column"]),
    on("INSERT INTO t (z) VALUES (1)", &["undefined_column"]),
    on("SELECT t1.z FROM t AS t1", &["undefined_column"]),
    on("SELECT a FROM t, u", &["ambiguous_column"]),
    on("SELECT nofunction(1)", &["undefined_function"]),
    on("SELECT point '(1,2)' + text 'x'", &["undefined_function"]),
    on("SELECT 1::notype", &["undefined_object"]),
    on("SET nonsense = 1", &["undefined_object"]),
    on("ALTER TABLE t DROP CONSTRAINT z", &["undefined_object"]),
    on("CREATE TABLE nowhere.t ()", &["undefined_schema"]),
    on("EXECUTE nothing", &["undefined_prepared_statement"]),
    on("PREPARE p AS SELECT 1; PREPARE p AS SELECT 1", &["duplicate_prepared_statement"]),
    on("FETCH nothing", &["undefined_cursor"]),
    on("CREATE TYPE mood AS ENUM ()", &["duplicate_object"]),
    on("CREATE ROLE bob", &["duplicate_object"]),
    on("CREATE TABLE t ()", &["duplicate_table"]),
    on("CREATE TABLE IF NOT EXISTS t ()", &["duplicate_table"]),
    on("CREATE SCHEMA public", &["duplicate_schema"]),
    on("CREATE DATABASE closed", &["duplicate_database"]),
    on("ALTER TABLE t ADD COLUMN b text", &["duplicate_column"]),
    on("CREATE TABLE w (a int, a int)", &["duplicate_column"]),
    on("SELECT a, count(*) FROM t", &["grouping_error"]),
    on("SELECT 1 FROM t WHERE count(*) > 1", &["grouping_error"]),
    on("INSERT INTO t (a) VALUES (true)", &["datatype_mismatch"]),
    on("SELECT 1 WHERE 5", &["datatype_mismatch"]),
    on("SET ROLE bob; SELECT * FROM t", &["permission_denied"]),
    on("SET ROLE bob; DROP TABLE t", &["permission_denied"]),
    on("SET ROLE bob; CREATE ROLE other", &["permission_denied"]),
    on("SELECT 'secret'::int", &["invalid_text_representation"]),
    on("SELECT 'secret'::mood", &["invalid_text_representation"]),
    on("SELECT 'secret'::int[]", &["invalid_text_representation"]),
    on("SELECT 'tomorrowish'::timestamp", &["invalid_datetime"]),
    on("SELECT '2026-02-30'::date", &["invalid_datetime"]),
    on("SELECT '99999999999'::int", &["numeric_value_out_of_range"]),
    on("SELECT 2147483647 + 1", &["numeric_value_out_of_range"]),
    on("SELECT 1000::numeric(3)", &["numeric_value_out_of_range"]),
    on("CREATE TEMP TABLE s (a varchar(3)); INSERT INTO s VALUES ('secret')", &["string_too_long"]),
    on("SELECT convert_from('\\xff', 'UTF8')", &["invalid_encoding"]),
    on("SELECT 'a' ~ '('", &["invalid_regular_expression"]),
    on("SET work_mem = 'lots'", &["invalid_parameter_value"]),
    on("SET enable_seqscan = 'perhaps'", &["invalid_parameter_value"]),
    on("SELECT (SELECT a FROM t)", &["cardinality_violation"]),
    on("INSERT INTO t VALUES (9, 'x', 1), (9, 'y', 1) ON CONFLICT (a) DO UPDATE SET b = 'z'", &["cardinality_violation"]),
    on("COPY t FROM stdin;\nsecret\n\\.\n", &["copy_failed"]),
    on("COPY t FROM stdin;\n5\tx\t1\tmore\n\\.\n", &["copy_failed"]),
    on("COPY t FROM stdin;\nsecret\tx\t1\n\\.\n", &["invalid_text_representation"]),
    on("BEGIN; SELECT 1/0; SELECT 1", &["transaction_aborted"]),
    on("BEGIN READ ONLY; DELETE FROM u", &["read_only_transaction"]),
    on("BEGIN; VACUUM", &["active_transaction"]),
    on("BEGIN; BEGIN", &["active_transaction"]),
    on("COMMIT", &["no_active_transaction"]),
    on("SAVEPOINT s", &["no_active_transaction"]),
    on("DROP TABLE t", &["dependent_objects"]),
    on("DROP DATABASE postgres", &[]),
    on("SELECT currval('short')", &["object_not_ready"]),
    on("SELECT nextval('short'); SELECT nextval('short'); SELECT nextval('short')", &["sequence_limit"]),
    on("CREATE FUNCTION deep(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE OR REPLACE FUNCTION deep(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN deep($1); END';
        SET max_stack_depth = '100kB'; SELECT deep(1)", &["statement_too_complex"]),
    on("SELECT a.b.c.d FROM t", &["feature_not_supported"]),
    on("DROP TABLE IF EXISTS nowhere; CREATE SCHEMA IF NOT EXISTS public", &["query_notice"]),
    on("BEGIN; DROP TABLE t CASCADE; ROLLBACK", &["query_notice"]),
    on("SELECT raises('secret')", &["user_raised"]),
    on("SELECT boom('''secret''')", &["invalid_text_representation"]),
    on("DO $$ BEGIN RAISE NOTICE 'note %', 'secret'; END $$", &[]),
    on("SELECT lo_open(4711, 131072)", &["large_object_missing"]),
    on("ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT ALL ON t TO bob; SET ROLE bob;
        INSERT INTO t VALUES (50, 'secret', 1)", &["row_security_violation"]),
    on("ALTER TABLE t DISABLE ROW LEVEL SECURITY", &[]),
    on("CHECKPOINT", &["checkpoint_starting", "checkpoint_complete"]),
    on("SET work_mem = '64kB'; SELECT count(*) FROM (SELECT g FROM generate_series(1, 100000) g ORDER BY -g OFFSET 1) s", &["temporary_file"]),
    on("SET temp_file_limit = '64kB'; SET work_mem = '64kB'; SELECT count(*) FROM (SELECT g FROM generate_series(1, 1000000) g ORDER BY -g OFFSET 1) s", &["temporary_file_limit"]),
    on("SET statement_timeout = '50ms'; SELECT pg_sleep(5)", &["statement_timeout"]),
    on("SET idle_in_transaction_session_timeout = '50ms'; BEGIN; \\! sleep 0.3\nSELECT 1", &["idle_in_transaction_timeout"]),
    on("SET idle_session_timeout = '50ms'; \\! sleep 0.3\nSELECT 1", &["idle_session_timeout"]),
    on("SELECT pg_cancel_backend(pg_backend_pid())", &["statement_canceled"]),
    on("SELECT pg_terminate_backend(pg_backend_pid())", &["terminated_by_administrator"]),
    on("SELECT pg_create_logical_replication_slot('gone', 'test_decoding')", &["logical_decoding"]),
    on("SELECT pg_create_logical_replication_slot('gone', 'test_decoding')", &["duplicate_object"]),
    on("SELECT * FROM pg_logical_slot_get_changes('gone', NULL, NULL); SELECT pg_drop_replication_slot('gone'); SELECT pg_drop_replication_slot('gone')", &["logical_decoding", "undefined_object"]),
    on("LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SELECT count(*) FROM t WHERE b = 'secret'", &["auto_explain"]),
    on("LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_verbose = on;
        SET auto_explain.log_settings = on; SET search_path = public, 'secret';
        SET auto_explain.log_format = json; SELECT count(*) FROM t WHERE b = 'secret' AND c > 0;
        SET auto_explain.log_format = yaml; SELECT count(*) FROM t WHERE b = 'secret' AND c > 0;
        SET auto_explain.log_format = xml; SELECT count(*) FROM t WHERE b = 'secret' AND c > 0;
        SET auto_explain.log_format = text; SELECT b || 'secret' AS x FROM t WHERE b = 'a\nSeq Scan on b  (cost=0.00..1.00 rows=1 width=4)\nsecret' ORDER BY 'secret' || b LIMIT 3;
        SELECT raises('secret')", &["auto_explain"]),
    on("SET debug_print_parse = on; SET log_min_messages = log; SELECT 'secret'", &[]),
    on("DO $$ BEGIN RAISE WARNING 'secret %', 1; RAISE LOG 'secret'; RAISE INFO 'secret'; RAISE NOTICE 'secret' USING DETAIL = 'secret', HINT = 'secret'; END $$", &[]),
    on("DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = 'permission denied for secret', ERRCODE = '42501', DETAIL = 'Key (a)=(secret) already exists.', HINT = 'secret'; END $$", &["permission_denied"]),
    on("DO $$ BEGIN ASSERT false, 'secret'; END $$", &[]),
    on("DO $$ DECLARE x int; BEGIN x := 'secret'; END $$", &["invalid_text_representation"]),
    on("SELECT pg_advisory_lock(7654321); SET lock_timeout = '150ms'; SELECT pg_advisory_lock(7654321)", &[]),
    on("SELECT '{\"a\": secret}'::json", &["invalid_text_representation"]),
    on("SELECT '<a>secret'::xml", &[]),
    on("SELECT setseed(7)", &["invalid_parameter_value"]),
    on("SELECT to_date('secret', 'YYYY')", &["invalid_datetime"]),
    on("SELECT to_tsquery('secret & | !')", &["syntax_error"]),
    on("CREATE TABLE keyed (a text); CREATE UNIQUE INDEX ON keyed ((a || 'secret')); INSERT INTO keyed VALUES ('x'), ('x')", &["unique_violation"]),
    on("COPY t FROM '/nowhere/secret'; COPY t FROM PROGRAM 'secret=1; exit 3'", &["file_error"]),
    on("ALTER ROLE bob PASSWORD 'secret'; CREATE USER MAPPING FOR bob SERVER nowhere OPTIONS (password 'secret')", &["undefined_object"]),
    on("SELECT pg_read_file('secret')", &["file_error"]),
    on("CREATE SUBSCRIPTION nowhere CONNECTION 'host=127.0.0.1 port=1 password=secret secret' PUBLICATION p", &[]),
    on("SET log_executor_stats = on; SELECT 1", &["executor_statistics"]),
    on("VACUUM VERBOSE t; ANALYZE VERBOSE t", &[]),
    on("SET client_min_messages = log; SET log_min_messages = info; VACUUM VERBOSE t", &["vacuum_verbose"]),
    on("LOAD 'nothing_there'", &["file_error"]),
    on("ALTER SYSTEM SET shared_buffers = '64MB'; SELECT pg_reload_conf(); SELECT pg_sleep(0.2); ALTER SYSTEM RESET shared_buffers", &["config_reload"]),
    on("ALTER SYSTEM SET work_mem = '8MB'; SELECT pg_reload_conf(); SELECT pg_sleep(0.2)", &["config_reload", "parameter_changed"]),
    on("SELECT pg_switch_wal(); SELECT pg_sleep(0.5)", &["archive_command_failed"]),
    on("SELECT $1 \\bind 'secret' \\g\nSELECT $1::int \\bind 'secret' \\g\nSELECT 1 \\bind 5 \\g", &["duration_parse", "duration_bind", "duration_execute", "protocol_violation"]),
    on("BEGIN; DECLARE c CURSOR FOR SELECT a FROM t; FETCH c; COMMIT", &["duration_statement"]),
    on("SET log_statement = 'all'; SET log_min_duration_statement = -1; SET log_duration = on; SELECT 'secret'", &["statement", "duration"]),
    on("SET log_statement = 'all'; SET log_min_duration_statement = -1; SELECT $1 \\bind 'secret' \\g", &["statement_execute"]),
    on("SET log_statement = 'all';\n\\lo_unlink 4712345", &["statement_fastpath", "large_object_missing"]),
    on("SET log_min_duration_statement = 0;\n\\lo_import /dev/null", &["duration_fastpath"]),
    on("SET transaction_timeout = '50ms'; BEGIN; SELECT pg_sleep(1)", &[]),
    on("DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM t LOOP DROP TABLE t CASCADE; END LOOP; END $$", &["object_in_use"]),
    on("SET ROLE bob; VACUUM u; ANALYZE u", &["vacuum_skipped"]),
    on("SELECT count(pg_advisory_lock(g)) FROM generate_series(1, 200000) g", &["out_of_memory"]),
    on("SELECT to_char(1, repeat('9', 50000000))", &["out_of_memory"]),
    on("SET allow_system_table_mods = on; CREATE FUNCTION doomed() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW dv AS SELECT doomed();
        DELETE FROM pg_proc WHERE proname = 'doomed'; SELECT * FROM dv; DROP VIEW dv;
        CREATE TABLE doomed (a int); CREATE VIEW dv AS SELECT * FROM doomed; DELETE FROM pg_class WHERE relname = 'doomed'; SELECT * FROM dv;
        DROP VIEW dv", &["internal_error"]),
    on("UPDATE pg_collation SET collversion = '0' WHERE collname = 'de-x-icu'; SELECT 'a' < 'secret' COLLATE \"de-x-icu\"", &[]),
    on("CREATE EXTENSION pg_stat_statements; SELECT * FROM pg_stat_statements", &["pg_stat_statements"]),
    on("SET log_parser_stats = on; SELECT 1; SET log_parser_stats = off; SET log_statement_stats = on; SELECT 1", &["executor_statistics"]),
    on("CREATE EXTENSION plpgsql; CREATE EXTENSION IF NOT EXISTS plpgsql; SELECT 'x' AS a_name_that_is_much_too_long_to_be_kept_whole_by_a_server_that_keeps_63", &["duplicate_object"]),
    on("CREATE TABLE ri (a int REFERENCES t ON DELETE RESTRICT); INSERT INTO ri VALUES (2); DELETE FROM t WHERE a = 2; DROP TABLE ri", &["foreign_key_violation"]),
    on("CREATE TABLE late (a int); INSERT INTO late VALUES (NULL), (7654321); ALTER TABLE late ALTER a SET NOT NULL;
        ALTER TABLE late ADD CHECK (a < 5); ALTER TABLE late ADD CONSTRAINT late_key UNIQUE (a); ALTER TABLE late ADD CONSTRAINT late_key UNIQUE (a)", &["not_null_violation", "check_violation", "duplicate_object"]),
    on("CREATE TABLE january PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); INSERT INTO january VALUES ('2027-01-01')", &["check_violation"]),
    on("SELECT \"\"; SELECT 1 +", &["syntax_error"]),
    on("CALL nothing('secret'); DROP INDEX nothing; DROP PUBLICATION nothing; DROP TABLE nothing; SET search_path = ''; CREATE TABLE homeless (a int)", &["undefined_function", "undefined_object", "undefined_table", "undefined_schema"]),
    on("UPDATE t AS aliased SET b = t.b; DROP VIEW t; REFRESH MATERIALIZED VIEW t", &["undefined_table"]),
    on("SET ROLE bob; ALTER SYSTEM SET work_mem = 1; CREATE EXTENSION hstore; COPY t TO '/tmp/secret'; SELECT pg_read_file('secret'); LOAD 'secret'", &["permission_denied"]),
    on("DROP TABLE pg_class; CREATE TABLE pg_catalog.mine (a int); DROP ROLE bob; DROP ROLE postgres", &["permission_denied", "dependent_objects"]),
    on("SELECT '2026-13-01'::timestamptz; SELECT 'secret'::timestamptz; SELECT 'secret'::date; SELECT 'secret'::time; SELECT 'secret'::interval", &["invalid_datetime"]),
    on("SELECT 9223372036854775807 + 1; SELECT 32767::int2 + 1::int2; SELECT '290000-01-01'::timestamp + '300000 years'::interval; SELECT '5874897-12-31'::date + 1000000;
        SELECT '99999999999999999999'::money; SELECT '99999999999'::oid; SELECT interval '178956970 years' * 2", &["numeric_value_out_of_range"]),
    on("SET TimeZone = 'secret'; SET lc_messages = 'secret'; SET port = 1; SET server_version = 'x'; SET DateStyle = 'secret'", &["invalid_parameter_value", "parameter_needs_restart"]),
    on("COPY t FROM stdin;\n5\n\\.\n", &["copy_failed"]),
    on("PREPARE changing AS SELECT * FROM u; ALTER TABLE u ADD b int; EXECUTE changing; ALTER TABLE u DROP b", &["feature_not_supported"]),
    on("BEGIN; TRUNCATE t CASCADE; ROLLBACK; SELECT pg_wal_replay_pause()", &["query_notice"]),
    on("SELECT pg_create_logical_replication_slot('told2', 'nothing_there')", &["file_error"]),
    on("ALTER ROLE bob PASSWORD hunter2; CREATE ROLE carol PASSWORD 'hunter2'; ALTER ROLE carol PASSWORD 'hunter2' VALID UNTIL 'secret'; CREATE USER dan ENCRYPTED PASSWORD 'hunter2'", &["syntax_error"]),
    on("CREATE FOREIGN DATA WRAPPER dummy; CREATE SERVER far FOREIGN DATA WRAPPER dummy OPTIONS (host 'h', password 'hunter2');
        CREATE USER MAPPING FOR bob SERVER far OPTIONS (user 'u', password 'hunter2'); CREATE USER MAPPING FOR bob SERVER far OPTIONS (password 'hunter2');
        ALTER USER MAPPING FOR bob SERVER far OPTIONS (ADD password 'hunter2')", &["duplicate_object"]),
    on("CREATE EXTENSION dblink; SELECT dblink_connect('host=127.0.0.1 port=1 user=u password=hunter2'); SELECT dblink_connect('hunter2');
        SELECT dblink_connect('postgresql://u:hunter2@127.0.0.1:1/x')", &[]),
    on("CREATE SUBSCRIPTION s1 CONNECTION 'host=127.0.0.1 port=1 password=hunter2' PUBLICATION p; CREATE SUBSCRIPTION s1 CONNECTION 'postgresql://u:hunter2@127.0.0.1:1/x' PUBLICATION p;
        CREATE SUBSCRIPTION s1 CONNECTION 'password hunter2' PUBLICATION p; CREATE SUBSCRIPTION s1 CONNECTION 'postgresql://u:hunter2%zz@h/x' PUBLICATION p;
        CREATE SUBSCRIPTION s1 CONNECTION 'nonsense=hunter2' PUBLICATION p; CREATE SUBSCRIPTION s1 CONNECTION 'host=h port=hunter2' PUBLICATION p", &[]),
    on("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1 user=u password=hunter2'; SELECT pg_reload_conf(); SELECT pg_sleep(0.2);
        ALTER SYSTEM SET primary_conninfo = 'postgresql://u:hunter2@127.0.0.1:1/x'; SELECT pg_reload_conf(); SELECT pg_sleep(0.2); ALTER SYSTEM RESET primary_conninfo;
        ALTER SYSTEM SET archive_cleanup_command = 'env PGPASSWORD=hunter2 true'; SELECT pg_reload_conf(); SELECT pg_sleep(0.2); ALTER SYSTEM RESET archive_cleanup_command;
        SELECT pg_reload_conf(); SELECT pg_sleep(0.2)", &["parameter_changed"]),
    on("DO $$ BEGIN EXECUTE 'ALTER ROLE nobody_here PASSWORD ''hunter2'''; END $$; DO $$ BEGIN RAISE EXCEPTION 'password=hunter2 is not good'; END $$", &["undefined_object", "user_raised"]),
    on("CREATE FUNCTION either(int, bigint) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION either(bigint, int) RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT either(1, 1);
        CREATE PROCEDURE whether(int, bigint) LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE whether(bigint, int) LANGUAGE sql AS 'SELECT 1'; CALL whether(1, 1); SELECT '1' + '2'", &["ambiguous_function"]),
    on("BEGIN; DECLARE c CURSOR FOR SELECT 'secret'; DECLARE c CURSOR FOR SELECT 'secret'", &["duplicate_cursor"]),
    on("PREPARE unsure AS SELECT $1 IS NULL", &["indeterminate_datatype"]),
    on("SELECT convert_to(chr(8364) || 'secret', 'LATIN1')", &["untranslatable_character"]),
    on("SELECT pg_create_physical_replication_slot('spare' || g, false, true) FROM generate_series(1, 20) g", &["replication_slots_exhausted"]),
    on("COPY (SELECT 1) TO PROGRAM 'prlimit --pid $PPID --nofile=3:3'; SELECT count(*) FROM pg_description", &["too_many_files"]),
    on("pgmesh_denied_no_drop_abgmaaaaaaa", &["policy_denied"]),
    on("CREATE TABLE lots (a int PRIMARY KEY) WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0);
        INSERT INTO lots SELECT generate_series(1, 5000); DELETE FROM lots WHERE a < 2500; SELECT pg_sleep(3.5)", &["autovacuum", "autoanalyze"]),
];
