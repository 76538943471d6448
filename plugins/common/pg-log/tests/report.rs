//! What leaves a module of an event, and what does not.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use pg_log::{Memory, Options, Parser, Redaction, Reporter, Sink};
use pg_sql::Fingerprint;
use pg_sql::stand_in::StandIn;

/// The values of a report, in their order.
#[derive(Default)]
struct Values(Vec<(String, String)>);

impl Sink for Values {
    fn text(&mut self, name: &str, value: &[u8]) {
        let value = String::from_utf8(value.to_vec()).unwrap();
        self.0.push((name.to_owned(), value));
    }

    fn number(&mut self, name: &str, digits: &[u8]) {
        self.text(name, digits);
    }
}

impl Values {
    fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} comes twice");
        value
    }
}

fn report(redaction: Redaction, text: &str) -> Values {
    let reporter = Reporter::new(Options {
        redaction,
        ..Options::default()
    });
    let mut values = Values::default();
    let mut parser = Parser::new();
    let (event, _) = parser.parse(text.as_bytes()).unwrap();
    reporter.report(&event, &mut Memory::default(), &mut values);
    values
}

const HEAD: &str = "2026-11-23 03:34:37.123 CET [4711] bob@shop ";

#[test]
fn an_error_with_all_its_companions_is_one_report() {
    let text = format!(
        "{HEAD}ERROR:  duplicate key value violates unique constraint \"users_email_key\"\n\
         {HEAD}DETAIL:  Key (email)=(bob@example.com) already exists.\n\
         {HEAD}CONTEXT:  SQL statement \"INSERT INTO users VALUES ('bob@example.com')\"\n\
         \tPL/pgSQL function f() line 3 at SQL statement\n\
         {HEAD}STATEMENT:  SELECT f('bob@example.com') \
         /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/\n"
    );
    let values = report(Redaction::Strict, &text);
    for (name, expected) in [
        ("timestamp", "2026-11-23T02:34:37.123Z"),
        ("severity", "ERROR"),
        ("severity_number", "17"),
        ("postgresql.event", "unique_violation"),
        ("user.name", "bob"),
        ("db.namespace", "shop"),
        ("process.pid", "4711"),
        ("postgresql.constraint", "users_email_key"),
        ("postgresql.constraint_columns", "email"),
        ("postgresql.detail", "Key (email)=(?) already exists."),
        (
            "postgresql.context",
            "SQL statement \"INSERT INTO users VALUES (?)\"\nPL/pgSQL function f() line 3 at SQL statement",
        ),
        ("db.query.text", "SELECT f(?) "),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
        ("span_id", "b7ad6b7169203331"),
    ] {
        assert_eq!(values.get(name), Some(expected), "{name}");
    }
    assert_eq!(values.get("pgmesh.fingerprint").unwrap().len(), 16);
}

/// What stands in for a denied statement.
fn stand_in(number: u32) -> String {
    let stand_in = StandIn {
        code: 16,
        number,
        fingerprint: Fingerprint(0x0123_4567_89ab_cdef),
        seal: 7,
    };
    stand_in.write("no drop")
}

#[test]
fn a_statement_that_the_policy_denied_is_known_by_its_rule_fingerprint_and_trace() {
    let token = stand_in(1);
    for message in [
        format!("syntax error at or near \"{token}\""),
        format!("Syntaxfehler bei »{token}«"),
    ] {
        let statement = format!(
            "{token} /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/"
        );
        let text = format!("{HEAD}ERROR:  {message}\n{HEAD}STATEMENT:  {statement}\n");
        let values = report(Redaction::Strict, &text);
        for (name, expected) in [
            ("postgresql.event", "policy_denied"),
            ("pgmesh.rule", "no_drop"),
            ("pgmesh.fingerprint", "0123456789abcdef"),
            ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
        ] {
            assert_eq!(values.get(name), Some(expected), "{name}");
        }
        assert_eq!(values.get("db.query.text"), None);
        let other = stand_in(2);
        let again = report(Redaction::Strict, &text.replace(&token, &other));
        assert_eq!(values.get("message"), again.get("message"));
        let raw = report(Redaction::Off, &text);
        assert_eq!(raw.get("db.query.text"), Some(statement.as_str()));
    }
}

#[test]
fn its_statement_on_a_line_of_its_own_is_known_too() {
    let token = stand_in(1);
    let reporter = Reporter::new(Options::default());
    let (mut parser, mut memory) = (Parser::new(), Memory::default());
    for line in [
        format!("{HEAD}ERROR:  syntax error at or near \"{token}\" at character 1"),
        format!("{HEAD}STATEMENT:  {token}"),
    ] {
        let mut values = Values::default();
        let (event, _) = parser.parse(line.as_bytes()).unwrap();
        reporter.report(&event, &mut memory, &mut values);
        assert_eq!(values.get("postgresql.event"), Some("policy_denied"));
        assert_eq!(values.get("pgmesh.rule"), Some("no_drop"));
        assert_eq!(values.get("pgmesh.fingerprint"), Some("0123456789abcdef"));
    }
}

#[test]
fn what_only_looks_like_a_denied_statement_is_none() {
    let token = stand_in(1);
    for text in [
        format!("{HEAD}LOG:  syntax error at or near \"{token}\""),
        format!("{HEAD}ERROR:  relation \"{token}\" does not exist"),
        format!("{HEAD}ERROR:  syntax error at or near \"pgmesh_denied_\""),
    ] {
        assert_eq!(
            report(Redaction::Strict, &text).get("pgmesh.rule"),
            None,
            "{text}"
        );
    }
}

#[test]
fn a_zone_that_is_not_known_is_said() {
    let values = report(Redaction::Strict, "2026-11-23 03:34:37.123 IST [1] LOG:  x");
    assert_eq!(values.get("timestamp"), None);
    assert_eq!(
        values.get("postgresql.local_time"),
        Some("2026-11-23 03:34:37.123 IST")
    );
    assert_eq!(values.get("pgmesh.faults"), Some("time_zone_unknown"));
}

#[test]
fn counters_of_a_vacuum_are_numbers_of_their_own() {
    let text = format!(
        "{HEAD}LOG:  automatic vacuum of table \"shop.public.t\": index scans: 1\n\
         \tpages: 0 removed, 5 remain, 5 scanned (100.00% of total)\n\
         \ttuples: 100 removed, 900 remain, 3 are dead but not yet removable\n\
         \tbuffer usage: 35 hits, 2 misses, 4 dirtied\n"
    );
    let values = report(Redaction::Strict, &text);
    for (name, expected) in [
        ("postgresql.event", "autovacuum"),
        ("db.collection.name", "shop.public.t"),
        ("postgresql.vacuum.index_scans", "1"),
        ("postgresql.vacuum.tuples_removed", "100"),
        ("postgresql.vacuum.tuples_dead", "3"),
        ("postgresql.vacuum.buffer_hits", "35"),
    ] {
        assert_eq!(values.get(name), Some(expected), "{name}");
    }
}

#[test]
fn no_secret_is_left_in_strict_mode() {
    const SECRET: &str = "hunter2";
    for body in [
        "ERROR:  invalid input syntax for type integer: \"hunter2\" at character 8",
        "LOG:  statement: ALTER ROLE bob PASSWORD 'hunter2'",
        "LOG:  duration: 1.0 ms  execute <unnamed>: SELECT 'hunter2'\n\tFROM \"T\" WHERE a = E'\\'hunter2'",
        "LOG:  duration: 1.0 ms  plan:\n\tQuery Text: SELECT 'hunter2'\n\tSeq Scan on t  (cost=0.00..1.0 rows=1 width=4)\n\t  Filter: (a = 'hunter2'::text)",
        "LOG:  AUDIT: SESSION,1,1,WRITE,INSERT,TABLE,public.t,\"INSERT INTO t VALUES ('hunter2', \"\"a\"\")\",hunter2",
        "LOG:  AUDIT: SESSION,1,1,WRITE,INSERT,TABLE,public.t,INSERT INTO t VALUES ('hunter2'),<none>",
        "ERROR:  something new about \"hunter2\"",
        "ERROR:  quelque chose sur « hunter2 »",
        "ERROR:  P0001: hunter2 was not expected",
        "ERROR:  23514: neue Zeile verletzt »c«\n@DETAIL:  Fehlgeschlagene Zeile enthält (1, hunter2).",
        "ERROR:  x\n@DETAIL:  Failing row contains (1, hunter2, (null)).",
        "ERROR:  x\n@DETAIL:  Key (a, b)=(hunter2, 1) already exists.",
        "ERROR:  x\n@CONTEXT:  COPY t, line 1, column a: \"hunter2\"",
        "ERROR:  x\n@CONTEXT:  unnamed portal parameter $1 = 'hunter2'",
        "ERROR:  x\n@QUERY:  SELECT 'hunter2'\n@CONTEXT:  PL/pgSQL function f() line 1 at RAISE",
        "ERROR:  x\n@STATEMENT:  INSERT INTO t VALUES ($x$hunter2$x$) -- hunter2",
        "LOG:  execute s: SELECT $1\n@DETAIL:  parameters: $1 = 'hunter2\n\thunter2'",
        "LOG:  execute s: SELECT $1\n@DETAIL:  Parameters: $1 = 'hunter2'",
        "LOG:  parameter \"primary_conninfo\" changed to \"host=x password=hunter2\"",
        "FATAL:  x\n@DETAIL:  Connection matched file \"h\" line 1: \"host all all all ldap ldapbindpasswd=hunter2\"",
        "LOG:  process 1 (PID 5) was terminated by signal 9: Killed\n@DETAIL:  Failed process was running: SELECT 'hunter2'",
    ] {
        let text = format!("{HEAD}{}\n", body.replace('@', HEAD));
        let values = report(Redaction::Strict, &text);
        for (name, value) in &values.0 {
            assert!(!value.contains(SECRET), "{body}\n{name}: {value}");
        }
        // The test can fail: the same text has the secret when nothing is taken out.
        let values = report(Redaction::Off, &text);
        assert!(
            values.0.iter().any(|(_, value)| value.contains(SECRET)),
            "{body}"
        );
    }
}

/// What a report says of a statement that the server logs by itself.
fn of_statement(statement: &str) -> Values {
    report(
        Redaction::Strict,
        &format!(
            "{HEAD}LOG:  statement: {}\n",
            statement.replace('\n', "\n\t")
        ),
    )
}

#[test]
fn a_statement_inside_a_message_is_told_like_one_by_itself() {
    let trace = "/*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/";
    let statement = format!("SELECT \"it's\", 'hunter2' FROM t\nWHERE a = 7 {trace}");
    let lines = statement.replace('\n', "\n\t");
    let escaped = statement.replace('"', "\\\"").replace('\n', "\\n");
    let doubled = lines.replace('"', "\"\"");
    let expected = of_statement(&statement);
    assert!(expected.get("trace_id").is_some());
    for message in [
        format!(
            "duration: 1.0 ms  plan:\n\tQuery Text: {lines}\n\tSeq Scan on t  (cost=0.00..1.0 rows=1 width=4)\n\t  Filter: (a = 7)"
        ),
        format!(
            "duration: 1.0 ms  plan:\n\t{{\n\t  \"Query Text\": \"{escaped}\",\n\t  \"Plan\": {{\n\t    \"Node Type\": \"Seq Scan\"\n\t  }}\n\t}}"
        ),
        format!(
            "duration: 1.0 ms  plan:\n\tQuery Text: \"{escaped}\"\n\tPlan: \n\t  Node Type: \"Seq Scan\""
        ),
        format!("AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.t,\"{doubled}\",<not logged>"),
        format!(
            "AUDIT: SESSION,1,1,READ,SELECT,TABLE,\"public.\"\"a,b\"\"\",\"{doubled}\",<none>,1"
        ),
        format!("cron job 1 starting: {lines}"),
    ] {
        let row = message.replace("\n\t", "\n").replace('"', "\"\"");
        for text in [
            format!("{HEAD}LOG:  {message}\n"),
            format!(
                "2026-11-23 03:34:37.123 UTC,,,1,,2.3,1,,2026-11-23 03:34:00 UTC,,0,LOG,00000,\"{row}\",,,,,,,,,\"a\",\"b\",,0"
            ),
        ] {
            let values = report(Redaction::Strict, &text);
            for name in ["db.query.text", "pgmesh.fingerprint", "trace_id", "span_id"] {
                assert_eq!(values.get(name), expected.get(name), "{name} of {text}");
            }
        }
    }
}

#[test]
fn a_statement_that_pgaudit_did_not_log_is_none() {
    for columns in [
        "<not logged>,<not logged>",
        "<previously logged>,<previously logged>",
    ] {
        let text = format!("{HEAD}LOG:  AUDIT: SESSION,1,1,READ,SELECT,,,{columns}\n");
        let values = report(Redaction::Strict, &text);
        assert_eq!(values.get("postgresql.event"), Some("pgaudit"));
        assert_eq!(values.get("db.query.text"), None);
    }
    let text = format!("{HEAD}LOG:  AUDIT: SESSION,1,1,READ,SELECT,,,select $1,\"a,\"\"b\"\"\"\n");
    assert_eq!(
        report(Redaction::Strict, &text).get("pgaudit.parameter"),
        None
    );
    let values = report(Redaction::Off, &text);
    assert_eq!(values.get("pgaudit.parameter"), Some("a,\"b\""));
}

#[test]
fn a_statement_on_its_own_is_told_what_it_belongs_to() {
    let reporter = Reporter::default();
    let mut memory = Memory::default();
    let mut parser = Parser::new();
    let mut of = |text: String| {
        let mut values = Values::default();
        let (event, _) = parser.parse(text.as_bytes()).unwrap();
        reporter.report(&event, &mut memory, &mut values);
        values
    };
    let error = of(format!("{HEAD}ERROR:  division by zero"));
    of("2026-11-23 03:34:37.123 CET [5] LOG:  deadlock detected".to_owned());
    let statement = of(format!("{HEAD}STATEMENT:  SELECT 1/0"));
    for name in ["severity", "postgresql.event", "postgresql.event_id"] {
        assert!(statement.get(name).is_some(), "{name}");
        assert_eq!(statement.get(name), error.get(name));
    }
    assert_eq!(statement.get("postgresql.companion"), Some("STATEMENT"));
}

#[test]
fn a_function_of_the_servers_tells_the_event_in_any_language() {
    let text = format!(
        "{HEAD}LOG:  00000: Verbindung empfangen: Host=10.0.0.1 Port=5000\n\
         {HEAD}ORT:  BackendInitialize, postmaster.c:4429\n"
    );
    let values = report(Redaction::Strict, &text);
    assert_eq!(values.get("postgresql.event"), Some("connection_received"));
    let other = text.replace("BackendInitialize", "exec_simple_query");
    let values = report(Redaction::Strict, &other);
    assert_eq!(values.get("postgresql.event"), None);
}

#[test]
fn what_a_library_says_of_a_connection_is_data_in_any_language() {
    let text = format!(
        "{HEAD}FEHLER:  08006: konnte nicht verbinden: ung?ltiger Zahlenwert >>hunter2<< f?r >>port<<\n\
         {HEAD}DETAIL:  fehlendes >>=<< nach >>hunter2<<\n"
    );
    for redaction in [Redaction::Strict, Redaction::Statements] {
        let values = report(redaction, &text);
        let leaks = values.0.iter().find(|(_, value)| value.contains("hunter2"));
        assert_eq!(leaks, None, "{redaction:?}");
    }
}
