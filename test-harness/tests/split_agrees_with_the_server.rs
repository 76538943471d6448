//! A Query text of several statements falls apart where the server takes it apart.
//!
//! PostgreSQL 15 remembers utility statements word for word, one row for each: they are sent many at
//! a time in one Query message, and what the server remembers must be the pieces.

use pg_sql::{LexerOptions, split};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Postgres, Version};

/// Texts of utility statements that may run twice, and in any order.
const TEXTS: &[&str] = &[
    "COMMENT ON TABLE t IS ';'; COMMENT ON TABLE t IS $$;$$;;  ; COMMENT ON COLUMN t.a IS E'\\';'",
    "COMMENT /* ; */ ON TABLE t IS 'x' -- ;\n; /* before; */ COMMENT ON TABLE t IS 'y' /* behind; */; -- end;",
    "CREATE OR REPLACE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2; ); COMMENT ON TABLE t IS 'r'",
    "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END; LISTEN f",
    "CREATE OR REPLACE PROCEDURE p(a int) LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (a); INSERT INTO t VALUES (a); END;
     LISTEN p; UNLISTEN p",
    "CREATE OR REPLACE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2;'; LISTEN g",
    "CREATE OR REPLACE FUNCTION h() RETURNS int LANGUAGE sql RETURN CASE 1 WHEN 1 THEN 2 END; LISTEN h; LISTEN i",
    "CREATE OR REPLACE FUNCTION k() RETURNS int BEGIN ATOMIC SELECT 1 AS \"end\"; SELECT 2 AS case; END; LISTEN k",
    "CREATE OR REPLACE FUNCTION m() RETURNS void BEGIN ATOMIC END; LISTEN m",
    "BEGIN; LISTEN a; END; BEGIN; LISTEN b; COMMIT",
    "CREATE TABLE IF NOT EXISTS \"be;gin\" (a int, b text DEFAULT ';'); LISTEN \"a;b\"",
    ";;LISTEN c;;LISTEN d;;",
    "  LISTEN e  ",
];

#[test]
fn statements_are_the_rows_the_server_remembers() {
    let server = Postgres::builder(Version::V15)
        .preload("pg_stat_statements")
        .start();
    server.sql("CREATE EXTENSION pg_stat_statements; CREATE TABLE t (a int)");
    for text in TEXTS {
        server.sql("SELECT pg_stat_statements_reset()");
        // `-c` sends its argument as one Query message.
        output_of(
            server
                .client("psql")
                .args(["-Xq", "-v", "ON_ERROR_STOP=1", "-c", text]),
        );
        let rows = server.sql(
            "SELECT encode(convert_to(query, 'UTF8'), 'hex') FROM pg_stat_statements \
             WHERE query NOT LIKE '%pg_stat_statements%'",
        );
        let mut rows: Vec<String> = rows.lines().map(unhex).collect();
        let ranges = split(text.as_bytes(), &LexerOptions::default());
        let mut pieces: Vec<String> = ranges
            .into_iter()
            .map(|range| text[range].to_owned())
            .collect();
        rows.sort();
        pieces.sort();
        pieces.dedup();
        assert_eq!(pieces, rows, "{text}");
    }
}

fn unhex(hex: &str) -> String {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    String::from_utf8((0..hex.len()).step_by(2).map(byte).collect()).expect("UTF-8")
}
