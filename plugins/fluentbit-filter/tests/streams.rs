//! The stream of a server: what follows its entries does not pass as it is unless it is known to be another
//! program's, and what was learned of one stream holds for no other.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

use fluentbit_filter::config::Preset;
use fluentbit_filter::{Filter, Outcome};
use serde_json::{Value, json};

const SECRET: &str = "hunter2";
const HEAD: &str = "2026-11-23 03:34:37.123 UTC [4711] bob@shop ";

/// What becomes of a record.
fn left_of(filter: &mut Filter, tag: &str, record: &Value) -> Value {
    match filter.record(tag.as_bytes(), record.to_string().as_bytes(), 0) {
        Outcome::Unchanged => record.clone(),
        Outcome::Replaced => {
            serde_json::from_slice(filter.output().strip_suffix(b"\0").unwrap()).unwrap()
        }
        Outcome::Dropped => Value::Null,
    }
}

fn left(filter: &mut Filter, text: &str) -> Value {
    left_of(filter, "postgres", &json!({ "log": text }))
}

/// A filter that knows that the stream is a server's which writes like this.
fn behind(entry: &str) -> Filter {
    let mut filter = Filter::new(Preset::Standard);
    assert!(left(&mut filter, entry).get("severity").is_some());
    filter
}

fn row(statement: &str) -> String {
    format!(
        "2026-11-23 03:34:37.123 UTC,\"bob\",\"shop\",4711,\"[local]\",692280b5.1267,5,\"INSERT\",2026-11-23 03:34:00 UTC,3/17,0,ERROR,22012,\"division by zero\",,,,,,\"{statement}\",,,\"psql\",\"client backend\",,0"
    )
}

const JSON: &str = r#"{"timestamp":"2026-11-23 03:34:37.123 UTC","pid":1,"error_severity":"ERROR","message":"division by zero","state_code":"22012","backend_type":"client backend","query_id":0}"#;

#[test]
fn no_line_that_may_continue_an_entry_passes() {
    let text = format!("{HEAD}ERROR:  division by zero");
    for entry in [text.as_str(), &row("x"), JSON] {
        for line in [
            "VALUES ('hunter2')",
            "hunter2'",
            ", 46114, hunter2);",
            "password: hunter2",
            "    hunter2",
            "{\"ssn\":\"hunter2\"}",
            "{\"timestamp\":\"2026-11-23 03:34:37.123 UTC\",\"user\":\"hunter2",
            "ok hunter2",
            "2026-01-01T00:00:00 hunter2",
            "creating directory hunter2",
            "cp: x\n\thunter2",
            "2026-11-23 hunter2",
            "HATALI:  hunter2",
            "2026-11-23 03:34:37.123 UTC [4711] bob@shop what hunter2",
        ] {
            let mut filter = behind(entry);
            let record = left(&mut filter, line);
            let expected = json!({ "log": "?", "pgmesh.faults": "unknown_line" });
            assert_eq!(record, expected, "{entry}\n{line}");
        }
    }
}

#[test]
fn lines_of_other_programs_pass_between_those_of_the_server() {
    let mut filter = behind(&format!("{HEAD}ERROR:  division by zero"));
    for line in [
        "2026-11-23 03:34:37,123 INFO: no action. I am (shop-0), the leader with the lock",
        "2026-11-23 03:34:37.123 UTC [31] LOG C-0x55: shop/bob@10.0.0.1:55000 login attempt: db=shop user=bob tls=no",
        "2026-11-23 03:34:37.123 P00   INFO: archive-push command begin 2.54.0: [pg_wal/0001]",
        "cp: cannot create regular file '/archive/000000010000000000000001': No such file or directory",
        "PostgreSQL init process complete; ready for start up.",
        "{\"level\":\"info\",\"ts\":\"2026-11-23T03:34:37Z\",\"msg\":\"Starting webhook server\"}",
        "",
    ] {
        assert_eq!(left(&mut filter, line), json!({ "log": line }));
    }
}

#[test]
fn the_sql_in_lines_of_other_programs_is_redacted() {
    let mut filter = behind(&format!("{HEAD}ERROR:  division by zero"));
    let line = "2026-11-23 03:34:37.123 UTC [31] WARNING C-0x55: shop/bob@10.0.0.1:55000 query: SELECT 'hunter2', 46114";
    let record = left(&mut filter, line);
    assert_eq!(
        record["log"],
        "2026-11-23 03:34:37.123 UTC [31] WARNING C-0x55: shop/bob@10.0.0.1:55000 query: SELECT ?, ?"
    );
    assert_eq!(record["pgmesh.faults"], "sql_redacted");
}

#[test]
fn the_end_of_an_entry_that_began_before_the_host_did_does_not_pass() {
    let whole = row("SELECT\n'hunter2'");
    let end = whole.split('\n').next_back().unwrap();
    let (_, cut) = JSON.split_once("\"message\":").unwrap();
    for text in [
        end,
        &cut.replace("division", SECRET),
        "#011VALUES ('hunter2')",
        "\thunter2",
    ] {
        let record = left(&mut Filter::new(Preset::Standard), text);
        assert_eq!(record["log"], "?", "{text}");
    }
}

#[test]
fn json_that_a_carrier_put_around_a_line_is_taken_off() {
    let mut filter = Filter::new(Preset::Standard);
    let docker = |line: &str| {
        json!({ "log": format!("{line}\n"), "stream": "stderr", "time": "2026-11-23T03:34:37Z" })
            .to_string()
    };
    let operators = |line: &str| {
        format!(
            "{{\"level\":\"info\",\"ts\":\"x\",\"logger\":\"postgres\",\"msg\":{},\"pipe\":\"stderr\"}}",
            json!(line)
        )
    };
    for carried in [&docker as &dyn Fn(&str) -> String, &operators] {
        let record = left(
            &mut filter,
            &carried(&format!("{HEAD}ERROR:  odd \"{SECRET}\"")),
        );
        assert_eq!(record["severity"], "ERROR", "{record}");
        assert!(!record.to_string().contains(SECRET), "{record}");
        for line in ["\tVALUES ('hunter2')", "VALUES ('hunter2')"] {
            let record = left(&mut filter, &carried(line));
            assert_eq!(record["log"], "?", "{record}");
        }
    }
    let line = format!("waiting for server to start....{HEAD}ERROR:  division by zero");
    assert_eq!(
        left(&mut filter, &line)["postgresql.event"],
        "division_by_zero"
    );
}

/// As Fluent Bit's `systemd` input has it.
#[test]
fn a_line_in_the_journal_is_read() {
    let journald = json!({
        "MESSAGE": format!("{HEAD}ERROR:  odd \"{SECRET}\""),
        "PRIORITY": "6",
        "_SYSTEMD_UNIT": "postgresql.service",
    });
    let record = left_of(&mut Filter::new(Preset::Standard), "journal", &journald);
    assert_eq!(record["severity"], "ERROR", "{record}");
    assert_eq!(record["_SYSTEMD_UNIT"], "postgresql.service");
    assert!(!record.to_string().contains(SECRET), "{record}");
}

/// As Azure exports logs: what it took out of the line stands beside it.
#[test]
fn a_line_in_an_object_is_read_where_a_key_has_its_path() {
    let exported = |line: &str| {
        json!({
            "category": "PostgreSQLLogs",
            "properties": {"errorLevel": "ERROR", "message": line, "detail": "Key (a)=(hunter2)"},
        })
    };
    let defaults = br#"{"keys":["message","properties.message"]}"#;
    let mut filter = Filter::with_defaults(Preset::Standard, defaults);
    let before = exported(&format!("{HEAD}ERROR:  odd \"{SECRET}\""));
    let record = left_of(&mut filter, "azure", &before);
    assert_eq!(record["severity"], "ERROR", "{record}");
    assert_eq!(record["category"], "PostgreSQLLogs");
    assert!(!record.to_string().contains(SECRET), "{record}");
    let record = left_of(&mut filter, "azure", &exported("\tVALUES ('hunter2')"));
    assert_eq!(record["properties"], "?", "{record}");
    let others = json!({ "properties": {"note": "x"}, "message": ["x"] });
    assert_eq!(left_of(&mut filter, "azure", &others), others);
}

#[test]
fn an_entry_in_a_language_that_is_not_known_is_an_entry() {
    for text in [
        JSON.replace("\"ERROR\"", "\"HIBA\""),
        r#"{"level":"info","ts":"x","logger":"postgres","msg":"record","record":{"log_time":"2026-11-23 03:34:37.123 UTC","error_severity":"HIBA","sql_state_code":"22012","message":"„hunter2” 0"}}"#.to_owned(),
    ] {
        let record = left(&mut Filter::new(Preset::Standard), &text);
        assert_eq!(record["pgmesh.faults"], "severity_unknown", "{record}");
        assert_eq!(record["postgresql.event"], "division_by_zero");
        assert!(!record.to_string().contains(SECRET), "{record}");
    }
}

#[test]
fn no_entry_is_dropped_for_a_severity_that_was_not_read() {
    let defaults = br#"{"min_severity":"WARNING"}"#;
    let in_hungarian = JSON.replace("\"ERROR\"", "\"HIBA\"");
    for (text, kept) in [
        (in_hungarian.replace("22012", "00000"), true),
        (in_hungarian, true),
        (JSON.replace("\"ERROR\"", "\"LOG\""), false),
    ] {
        let mut filter = Filter::with_defaults(Preset::Standard, defaults);
        assert_eq!(!left(&mut filter, &text).is_null(), kept, "{text}");
    }
}

#[test]
fn a_key_that_comes_twice_is_read_twice() {
    let mut filter = Filter::new(Preset::Standard);
    let line = json!(format!("{HEAD}ERROR:  odd \"{SECRET}\"")).to_string();
    for record in [
        format!("{{\"log\":\"hello\",\"log\":{line}}}"),
        format!("{{\"log\":{line},\"log\":{line}}}"),
        format!("{{\"log\":{line},\"original\":{line}}}"),
    ] {
        assert_eq!(
            filter.record(b"postgres", record.as_bytes(), 0),
            Outcome::Replaced
        );
        let output = String::from_utf8_lossy(filter.output()).into_owned();
        assert!(!output.contains(SECRET), "{output}");
    }
}

#[test]
fn a_copy_of_a_continuation_does_not_pass_beside_it() {
    let mut filter = Filter::new(Preset::Standard);
    let whole = row("SELECT\n'hunter2'\n, 2");
    for line in whole.split('\n') {
        let record = json!({ "log": line, "message": line, "original": line });
        let record = left_of(&mut filter, "postgres", &record);
        assert!(!record.to_string().contains(SECRET), "{record}");
    }
}

#[test]
fn servers_with_prefixes_of_their_own_do_not_confuse_each_other() {
    let mut filter = Filter::new(Preset::Standard);
    let lines = [
        "2026-11-23 03:34:37.123 UTC [4711] alice bob ERROR:  division by zero",
        "2026-11-23 03:34:37.123 UTC [4711] db=alice,user=bob ERROR:  division by zero",
        "alice@bob 2026-11-23 03:34:37.123 UTC [4711] ERROR:  division by zero",
    ];
    let alone: Vec<Value> = lines
        .iter()
        .map(|line| left(&mut Filter::new(Preset::Standard), line)["user.name"].clone())
        .collect();
    for _ in 0..3 {
        for (number, (line, user)) in lines.iter().zip(&alone).enumerate() {
            // By its tag, by the file, by the pipe.
            for record in [
                json!({ "log": line, "filename": number.to_string() }),
                json!({ "log": line, "stream": number.to_string() }),
            ] {
                assert_eq!(
                    left_of(&mut filter, "postgres", &record)["user.name"],
                    *user
                );
            }
            let record = json!({ "log": line });
            let tag = format!("postgres.{number}");
            assert_eq!(left_of(&mut filter, &tag, &record)["user.name"], *user);
        }
    }
    // A stream that is not PostgreSQL's is not taken for it.
    let other = json!({ "log": "VALUES (1)", "filename": "app.log" });
    assert_eq!(left_of(&mut filter, "postgres", &other), other);
}

#[test]
fn more_streams_than_are_remembered_are_read_all_the_same() {
    let mut filter = Filter::new(Preset::Standard);
    for round in 0..3 {
        for number in 0..600 {
            let record = json!({ "log": format!("{HEAD}ERROR:  division by zero"), "file": number.to_string() });
            let record = left_of(&mut filter, "postgres", &record);
            assert_eq!(record["severity"], "ERROR", "{round} {number}");
        }
    }
}

#[test]
fn a_client_cannot_configure_the_filter() {
    let line = format!("{HEAD}ERROR:  odd \"{SECRET}\"");
    let off = r#"{"redaction":"off"}"#;
    // What the host took apart comes before what it adds itself.
    let mut filter = Filter::new(Preset::Standard);
    let record = format!(
        "{{\"pgmesh\":{},\"log\":{},\"pgmesh\":\"{{}}\"}}",
        json!(off),
        json!(line)
    );
    assert_eq!(
        filter.record(b"postgres", record.as_bytes(), 0),
        Outcome::Replaced
    );
    assert!(!String::from_utf8_lossy(filter.output()).contains(SECRET));
    // Where records come without, one that has it is not believed.
    let mut filter = behind(&line);
    let record = left_of(
        &mut filter,
        "postgres",
        &json!({ "pgmesh": off, "log": line }),
    );
    assert!(!record.to_string().contains(SECRET), "{record}");
    assert_eq!(record.get("pgmesh"), None);
}

#[test]
fn what_was_written_of_a_session_is_never_told_of_another() {
    // Users whose lines begin alike for so long that they share a place.
    let sessions = [
        ("a", "same_1"),
        ("b", "same_2"),
        ("b", "same_3"),
        ("a", "other"),
    ];
    let mut filter = Filter::new(Preset::Standard);
    for beside in ["other", "user.name", "other"] {
        // Each session twice before the next, so that it is known when it is left.
        let places = (0..16).map(|round| (round, sessions[round / 2 % sessions.len()]));
        for (round, (tag, user)) in places {
            let line = format!(
                "2026-11-23 03:34:{}.123 UTC [4711] {user}@shop LOG:  duration: {round}.5 ms",
                round + 10
            );
            let record = json!({ "log": line, beside: "kept" }).to_string();
            let read = |filter: &mut Filter| {
                filter.record(tag.as_bytes(), record.as_bytes(), 0);
                String::from_utf8_lossy(filter.output()).into_owned()
            };
            let seen = read(&mut filter);
            assert!(seen.contains(&format!("\"{user}\"")), "{seen}");
            assert_eq!(seen, read(&mut Filter::new(Preset::Standard)), "{line}");
        }
    }
}

#[test]
fn what_was_written_of_a_message_is_said_again_of_the_same_message_only() {
    const APPLICATIONS: [&str; 3] = [
        "",
        "psql",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ];
    let messages = [
        "connection authorized: user=bob database=shop application_name=psql",
        "connection authorized: user=bob database=shop application_name=psqx",
        "duplicate key value violates unique constraint \"customers_email_key\"",
        "function f(text) says: hunter2, that is no message of the server's",
    ];
    let ends = [
        "",
        "\n\tgoes on",
        " at character 7",
        "\nnot of the server's",
        "\n2026-11-23 03:34:37.123 UTC [9] bob/psql LOG:  next",
    ];
    // What differs from one to the next is the application first, then how the entry ends.
    let mut lines = Vec::new();
    for message in messages {
        for severity in ["LOG", "ERROR", "WARNING"] {
            for user in ["bob", ""] {
                let line = |application: &str, end: &str| {
                    format!("{user}/{application} {severity}:  {message}{end}")
                };
                let applications = |end| APPLICATIONS.map(|application| line(application, end));
                lines.extend(ends.map(applications).concat());
                let ends = |application| ends.map(|end| line(application, end));
                lines.extend(APPLICATIONS.map(ends).concat());
            }
        }
    }
    let defaults = br#"{"prefix":"%m [%p] %u/%a "}"#;
    let fresh = || Filter::with_defaults(Preset::Standard, defaults);
    let mut filter = fresh();
    for (number, line) in lines.iter().enumerate() {
        // Twice it is remembered, the third time it is said again.
        for round in 0..4 {
            let line = format!(
                "2026-11-23 03:34:{}.{:03} UTC [{}] {line}",
                round + 10,
                number % 1000,
                round % 3
            );
            let read = |filter: &mut Filter| {
                let mut record = left(filter, &line);
                // It has the number of the line in it.
                record
                    .as_object_mut()
                    .unwrap()
                    .remove("postgresql.event_id");
                record
            };
            assert_eq!(read(&mut filter), read(&mut fresh()), "{line}");
        }
    }
}
