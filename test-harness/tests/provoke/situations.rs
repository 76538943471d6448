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
    on("CREATE TABLE lots (a int PRIMARY KEY) WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0);
        INSERT INTO lots SELECT generate_series(1, 5000); DELETE FROM lots WHERE a < 2500; SELECT pg_sleep(3.5)", &["autovacuum", "autoanalyze"]),
];
