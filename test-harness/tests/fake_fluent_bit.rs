//! The built filter in a host that keeps Fluent Bit's contract to the letter.

use serde_json::json;
use test_harness::fakes::fluent_bit::{Answer, Execution, FluentBit};
use test_harness::hosts::places::built_module;

fn filter(function: &str) -> FluentBit {
    FluentBit::load(&built_module("fluentbit-filter"), function)
}

const ERROR: &str = "2026-11-23 03:34:37.123 UTC [4711] bob@shop ERROR:  duplicate key value violates unique constraint \"users_email_key\"";

/// A record as `tail` makes it.
fn log(line: &str) -> Vec<u8> {
    json!({ "log": line }).to_string().into_bytes()
}

#[test]
fn a_line_becomes_a_record_in_the_place_of_its_text() {
    let mut host = filter("pgmesh");
    let record = br#"{"stream":"stderr","log":"2026-11-23 03:34:37.123 UTC [4711] bob@shop ERROR:  division by zero","n":1.50,"b":18446744073709551615}"#;
    let Answer::Replaced(text) = host.record(0, record) else {
        panic!("the record is replaced");
    };
    assert_eq!(
        text.replace(char::is_whitespace, " "),
        r#"{"stream":"stderr","timestamp":"2026-11-23T03:34:37.123Z","severity":"ERROR","severity_number":17,"postgresql.event_id":"ID","postgresql.event":"division_by_zero","user.name":"bob","db.namespace":"shop","process.pid":4711,"message":"division by zero","n":1.50,"b":18446744073709551615}"#
            .replace("ID", host_id(&text))
    );
}

/// The event id, which is a hash.
fn host_id(text: &str) -> &str {
    let at = text.find("event_id\":\"").expect("there is one") + 11;
    &text[at..at + 16]
}

#[test]
fn what_is_not_postgresqls_comes_back_as_it_went() {
    let mut host = filter("pgmesh");
    for record in [
        r#"{"log":"2026-11-23 03:34:37,123 INFO: no action. I am (a), the leader"}"#,
        r#"{"message":{"nested":true},"log":5}"#,
        r#"{}"#,
        r#"not json"#,
        r#"{"log":"2026-11-23 03:34:37.123 UTC [1] LOG:  x""#,
        r#"{"log":"2026-11-23 03:34:37.123 UTC [1] LOG:  x"} trailing"#,
        "",
    ] {
        assert_eq!(
            host.record(0, record.as_bytes()),
            Answer::Passed,
            "{record}"
        );
    }
}

#[test]
fn presets_differ_as_their_names_say() {
    let secret = format!("{ERROR} 'hunter2'");
    let secret = log(&secret.replace("duplicate", "odd \\\"hunter2\\\""));
    let text = |function: &str| match filter(function).record(0, &secret) {
        Answer::Replaced(text) => text,
        other => panic!("{function}: {other:?}"),
    };
    assert!(!text("pgmesh").contains("hunter2"));
    assert!(!text("pgmesh").contains("\"log\""));
    assert!(text("pgmesh_keep_raw").contains("\"log\""));
    assert!(text("pgmesh_no_redaction").contains("hunter2"));
    let terse = filter("pgmesh_classify_only")
        .record(0, &log(ERROR))
        .record();
    assert_eq!(terse["log"], ERROR);
    assert_eq!(terse["postgresql.event"], "unique_violation");
    assert!(terse.get("user.name").is_none());
}

#[test]
fn a_function_the_module_has_not_is_refused_at_the_start() {
    let module = built_module("fluentbit-filter");
    let loaded = FluentBit::try_load(Execution::Metered, &module, "pgmesh_everything");
    assert!(loaded.is_err());
}

#[test]
fn the_member_that_configures_is_read_once_and_taken_off() {
    let mut host = filter("pgmesh");
    let with = |configuration: &str, line: &str| {
        json!({ "pgmesh": configuration, "log": line }).to_string()
    };
    let configuration = r#"{"drop":["unique_violation"],"min_severity":"WARNING"}"#;
    let answer = host.record(0, with(configuration, ERROR).as_bytes());
    assert_eq!(answer, Answer::Dropped);
    let mild = ERROR.replace("ERROR:  duplicate", "LOG:  other");
    assert_eq!(
        host.record(0, with(configuration, &mild).as_bytes()),
        Answer::Dropped
    );
    let other = ERROR.replace("duplicate key", "another thing");
    let record = host
        .record(0, with(configuration, &other).as_bytes())
        .record();
    assert!(record.get("pgmesh").is_none());
    // Somebody else's line loses the member too.
    let line = "2026-11-23 03:34:37,123 INFO: no action. I am (shop-0), the leader with the lock";
    let foreign = host
        .record(0, with(configuration, line).as_bytes())
        .record();
    assert_eq!(foreign, json!({ "log": line }));
}

#[test]
fn a_configuration_that_is_wrong_is_said_in_each_record() {
    let mut host = filter("pgmesh");
    let record = json!({ "pgmesh": "{\"redaktion\":\"off\"}", "log": ERROR }).to_string();
    let answer = host.record(0, record.as_bytes()).record();
    let error = answer["pgmesh.config_error"].as_str().expect("an error");
    assert!(error.contains("unknown field `redaktion`"), "{error}");
}

#[test]
fn one_record_in_so_many_is_kept_of_a_sampled_event() {
    let mut host = filter("pgmesh");
    let configuration = r#"{"sample":{"unique_violation":10}}"#;
    let record = json!({ "pgmesh": configuration, "log": ERROR }).to_string();
    let kept = (0..100)
        .filter(|_| host.record(0, record.as_bytes()) != Answer::Dropped)
        .count();
    assert_eq!(kept, 10);
}

#[test]
fn counters_come_with_a_record_when_they_are_due() {
    let mut host = filter("pgmesh");
    let record =
        json!({ "pgmesh": r#"{"counters_interval_seconds":60}"#, "log": ERROR }).to_string();
    let mut records = |seconds: u32| {
        let record = host.record(seconds, record.as_bytes()).record();
        record.get("pgmesh.records_total").cloned()
    };
    assert_eq!(records(1000), Some(json!(1)));
    assert_eq!(records(1059), None);
    assert_eq!(records(1060), Some(json!(3)));
}

#[test]
fn a_jsonlog_entry_that_the_host_took_apart_is_the_same_record() {
    let mut host = filter("pgmesh");
    let entry = r#""timestamp":"2026-11-23 03:34:37.123 UTC","user":"bob","dbname":"shop","pid":4711,"error_severity":"ERROR","message":"division by zero","state_code":"22012""#;
    let whole = json!({ "log": format!("{{{entry}}}") }).to_string();
    let apart = format!("{{{entry},\"kubernetes\":{{\"pod\":\"a\"}}}}");
    let without_id = |answer: Answer| {
        let mut record = answer.record();
        let members = record.as_object_mut().expect("an object");
        members.remove("postgresql.event_id");
        members.remove("kubernetes");
        record
    };
    let whole = without_id(host.record(0, whole.as_bytes()));
    assert_eq!(whole["db.response.status_code"], "22012");
    assert_eq!(without_id(host.record(0, apart.as_bytes())), whole);
}

#[test]
fn a_name_that_the_record_has_already_is_not_taken_twice() {
    let mut host = filter("pgmesh");
    let record = json!({ "severity": "mine", "log": ERROR }).to_string();
    let Answer::Replaced(text) = host.record(0, record.as_bytes()) else {
        panic!("the record is replaced");
    };
    assert_eq!(text.matches("\"severity\":").count(), 1);
    assert!(text.contains(r#""severity":"mine""#) && text.contains(r#""pgmesh.severity":"ERROR""#));
}

#[test]
fn a_record_that_is_too_large_comes_back_as_a_record_that_says_so() {
    let mut host = filter("pgmesh");
    let line = "x".repeat(64 * 1024 * 1024);
    let record = host.record(0, &log(&line)).record();
    assert_eq!(record["pgmesh.faults"], "too_large");
    assert!(
        host.memory_bytes() <= 4 * 1024 * 1024,
        "{}",
        host.memory_bytes()
    );
    // A large one that fits is handled.
    let line = format!("{ERROR} {}", "y".repeat(1024 * 1024));
    assert_eq!(host.record(0, &log(&line)).record()["severity"], "ERROR");
}

#[test]
fn memory_stays_flat_over_many_records() {
    let mut host = filter("pgmesh");
    let lines: Vec<Vec<u8>> = (0..997)
        .map(|number| {
            let line = ERROR.replace("4711", &number.to_string());
            log(&format!("{line} at {}", "z".repeat(number % 300)))
        })
        .collect();
    for line in &lines {
        host.record(0, line);
    }
    let settled = host.memory_bytes();
    assert!(settled <= 1024 * 1024, "{settled}");
    for round in 0..300 {
        for line in &lines {
            assert!(matches!(host.record(round, line), Answer::Replaced(_)));
        }
    }
    assert_eq!(host.memory_bytes(), settled);
}

#[test]
fn hostile_lines_are_one_record_each_and_no_trap() {
    let mut host = filter("pgmesh");
    for line in [
        String::new(),
        "\0\0\0".to_owned(),
        "2026-11-23 03:34:37.123 UTC,\"open".to_owned(),
        "2026-11-23 03:34:37.123 UTC,".repeat(1000),
        "{\"error_severity\":\"ERROR\",\"message\":\"cut".to_owned(),
        format!("{ERROR}\n\t{ERROR}\n{ERROR}"),
        format!("{ERROR}: {}", "(".repeat(100_000)),
        format!("{ERROR}: {}", "\"'»«„".repeat(20_000)),
        format!(
            "2026-11-23 03:34:37.123 UTC [1] LOG:  statement: {}",
            "((((".repeat(50_000)
        ),
        format!(
            "2026-11-23 03:34:37.123 UTC [1] LOG:  duration: 1 ms  plan:\n\t{}",
            "\u{1}'".repeat(50_000)
        ),
        "2026-11-23 03:34:37.123 UTC [".repeat(10_000),
        "LOG:  ".repeat(10_000),
    ] {
        let answer = host.record(0, &log(&line));
        assert!(
            matches!(answer, Answer::Passed | Answer::Replaced(_)),
            "{answer:?}: {:.80}",
            line
        );
    }
}

/// A client can put whatever it likes into parameters, rows and statements: lines that look like those
/// of patterns must not make the work grow with the square of the text.
#[test]
fn what_a_client_wrote_costs_no_more_than_its_length() {
    const HEAD: &str = "2026-11-23 03:34:37.123 UTC [4711] bob@shop ";
    let mut host = filter("pgmesh");
    for (entry, line) in [
        (
            "LOG:  execute <unnamed>: SELECT $1\n@DETAIL:  Parameters: $1 = 'x",
            "\n\tKey (a)=(",
        ),
        (
            "LOG:  execute <unnamed>: SELECT $1\n@DETAIL:  parameters: $1 = 'x",
            "\n\tKey (a)=(b) ",
        ),
        (
            "ERROR:  x\n@CONTEXT:  COPY t, line 1, column a: \"",
            "\n\tCOPY t, line 1, column a: \"b",
        ),
        (
            "ERROR:  x\n@CONTEXT:  SQL statement \"SELECT '",
            "\n\tSQL statement \"SELECT '",
        ),
        (
            "ERROR:  deadlock detected\n@DETAIL:  ",
            "\n\tProcess 1 waits for X on ",
        ),
        ("ERROR:  x\n@DETAIL:  ", "\n\tKey ("),
        ("ERROR:  x\n@CONTEXT:  ", "\n\tPL/pgSQL function f"),
        ("ERROR:  x\n@CONTEXT:  PL/pgSQL function f", " line x"),
        ("ERROR:  x\n@CONTEXT:  ", "\n\tportal \"p"),
        (
            "LOG:  automatic vacuum of table \"a.b.c\": index scans: 0",
            "\n\tpages: 0 removed",
        ),
        (
            "ERROR:  insert or update on table \"",
            "\n\t\" violates foreign key constraint \"x",
        ),
    ] {
        let entry = format!("{HEAD}{}", entry.replace('@', HEAD));
        let mut cost = |lines: usize| {
            let record = log(&format!("{entry}{}", line.repeat(lines)));
            host.record(0, &record);
            host.instructions
        };
        let few = cost(250);
        let many = cost(2000);
        assert!(
            many < few * 12,
            "{entry} {line}: {few} and {many} instructions"
        );
    }
}

#[test]
fn names_have_underscores_if_that_is_asked_for() {
    let mut host = filter("pgmesh");
    let record = json!({
        "pgmesh": r#"{"names":"underscored"}"#,
        "log": "2026-11-23 03:34:37.123 UTC [4711] bob@shop ERROR:  relation \"t\" does not exist",
        "db_namespace": "taken",
    });
    let found = host.record(0, record.to_string().as_bytes()).record();
    assert_eq!(found["postgresql_event"], "undefined_table");
    assert_eq!(found["pgmesh_db_namespace"], "shop");
    assert_eq!(found["db_namespace"], "taken");
    let names = found.as_object().expect("an object").keys();
    assert!(names.into_iter().all(|name| !name.contains('.')), "{found}");
}

#[test]
fn a_module_has_the_defaults_that_were_written_into_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (config, out) = (
        directory.path().join("c.json"),
        directory.path().join("m.wasm"),
    );
    let configure = |json: &str| {
        std::fs::write(&config, json).expect("written");
        let mut command = std::process::Command::new(env!("CARGO"));
        command
            .args([
                "run",
                "--quiet",
                "-p",
                "fluentbit-filter",
                "--example",
                "configure",
                "--",
            ])
            .args([&built_module("fluentbit-filter"), &config, &out])
            .output()
            .expect("cargo runs")
    };
    let done = configure(r#"{"names": "underscored", "drop": ["undefined_table"]}"#);
    assert!(done.status.success(), "{done:?}");
    let mut host = FluentBit::load(&out, "pgmesh_keep_raw");
    let found = host.record(0, &log(ERROR)).record();
    assert_eq!(found["postgresql_event"], "unique_violation");
    assert_eq!(found["log"], ERROR, "the preset holds beside them");
    let dropped =
        "2026-11-23 03:34:37.123 UTC [4711] bob@shop ERROR:  relation \"t\" does not exist";
    assert_eq!(host.record(0, &log(dropped)), Answer::Dropped);

    let wrong = configure(r#"{"drop": ["nothing"]}"#);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        !wrong.status.success() && said.contains("no event is called nothing"),
        "{said}"
    );
}

#[test]
fn the_record_behind_one_that_trapped_is_handled_wherever_that_was() {
    let mut host = filter("pgmesh");
    let record = log(ERROR);
    let event = |answer: Answer| answer.record()["postgresql.event"].clone();
    // The first makes the tables.
    for _ in 0..2 {
        assert_eq!(event(host.record(0, &record)), "unique_violation");
    }
    let whole = host.instructions;
    let steps = 1500;
    let mut trapped = 0;
    for step in 0..steps {
        if let Answer::Trapped(_) = host.record_within(whole * step / steps, &record) {
            trapped += 1;
        }
        assert_eq!(event(host.record(0, &record)), "unique_violation", "{step}");
    }
    assert!(trapped > steps / 2, "{trapped}");
    assert!(
        host.memory_bytes() <= 1024 * 1024,
        "{}",
        host.memory_bytes()
    );
}

#[test]
fn bytes_that_were_changed_at_random_give_json_or_pass() {
    let mut host = filter("pgmesh");
    let row = "2026-11-23 03:34:37.123 UTC,\"bob\",\"shop\",4711,\"[local]\",692280b5.1267,5,\"INSERT\",2026-11-23 03:34:00 UTC,3/17,0,ERROR,23505,\"x\",\"Key (a)=(1) already exists.\",,,,,\"SELECT '1'\",,,\"psql\",\"client backend\",,0";
    let entry = r#"{"timestamp":"2026-11-23 03:34:37.123 UTC","pid":1,"error_severity":"ERROR","message":"x","detail":"Key (a)=(1) already exists."}"#;
    let records = [log(ERROR), log(row), log(entry), entry.as_bytes().to_vec()];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 1).expect("64 bits")
    };
    for round in 0..20_000 {
        let mut record = records[round % records.len()].clone();
        for _ in 0..=next() % 3 {
            let at = next() % record.len();
            record[at] = u8::try_from(next() % 256).expect("a byte");
        }
        // The host looks at what comes back.
        let answer = host.record(0, &record);
        assert!(
            matches!(answer, Answer::Passed | Answer::Replaced(_)),
            "{answer:?}: {}",
            String::from_utf8_lossy(&record)
        );
    }
    assert!(
        host.memory_bytes() <= 1024 * 1024,
        "{}",
        host.memory_bytes()
    );
}

/// `cargo test --workspace --test fake_fluent_bit ten_million -- --ignored --nocapture` runs it.
#[test]
#[ignore = "ten million records take minutes"]
fn memory_stays_flat_over_ten_million_records() {
    let module = built_module("fluentbit-filter");
    let mut host = FluentBit::load_to_be(Execution::Compiled, &module, "pgmesh");
    let lines: Vec<Vec<u8>> = (0..997)
        .map(|number| log(&ERROR.replace("4711", &number.to_string())))
        .collect();
    let mut settled = 0;
    for round in 0..10_031 {
        for line in &lines {
            host.record_unjudged(round, line);
        }
        if round == 10 {
            settled = host.memory_bytes();
        }
    }
    println!("{settled} bytes of memory");
    assert_eq!(host.memory_bytes(), settled);
}

/// Each example of the table of events, as text, as a csvlog row and as a jsonlog object, with a configuration.
#[test]
fn memory_stays_below_its_bound_over_every_event_in_every_form() {
    let mut host = filter("pgmesh");
    let table = include_str!("../../plugins/common/pg-log/classes.txt");
    let examples: Vec<&str> = table
        .lines()
        .filter_map(|line| Some(line.split_once(" < ")?.1))
        .collect();
    assert!(examples.len() > 400, "{}", examples.len());
    let time = "2026-11-23 03:34:37.123 UTC";
    for round in 0..3 {
        for (number, example) in examples.iter().enumerate() {
            let message = example.replace("\\n", "\n");
            let text = format!(
                "{time} [{number}] bob@shop LOG:  {}",
                message.replace('\n', "\n\t")
            );
            let quoted = message.replace('"', "\"\"");
            let row = format!(
                "{time},\"bob\",\"shop\",{number},\"[local]\",692280b5.{number},5,\"SELECT\",{time},3/17,0,LOG,00000,\"{quoted}\",,,,,,,,,\"psql\",\"client backend\",,0"
            );
            let entry = json!({"timestamp": time, "pid": number, "error_severity": "LOG", "message": message});
            for line in [text, row, entry.to_string()] {
                let record = json!({"log": line, "pgmesh": r#"{"names":"underscored"}"#});
                let answer = host.record(round, record.to_string().as_bytes());
                assert!(matches!(answer, Answer::Replaced(_)), "{line}");
            }
        }
    }
    println!("{} KiB of memory", host.memory_bytes() / 1024);
    assert!(
        host.memory_bytes() <= 1024 * 1024,
        "{}",
        host.memory_bytes()
    );
}
