//! Entries that the host hands over in parts, and lines that do not fit what they are read with: no data
//! leaves with the parts, whatever they imitate.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "helpers of tests may panic"
)]

use fluentbit_filter::config::{Object, Preset};
use fluentbit_filter::{Filter, Outcome};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const SECRET: &str = "hunter2";

/// What becomes of a text.
fn left(filter: &mut Filter, tag: &str, text: &str) -> Value {
    let record = json!({ "log": text }).to_string();
    match filter.record(tag.as_bytes(), record.as_bytes(), 0) {
        Outcome::Unchanged => json!({ "log": text }),
        Outcome::Replaced => {
            serde_json::from_slice(filter.output().strip_suffix(b"\0").unwrap()).unwrap()
        }
        Outcome::Dropped => Value::Null,
    }
}

/// What becomes of texts that come one by one.
fn all_left(filter: &mut Filter, texts: &[&str]) -> Vec<Value> {
    let texts = texts.iter();
    texts.map(|text| left(filter, "postgres", text)).collect()
}

fn with_prefix(prefix: &str) -> Filter {
    let defaults: Object = [("prefix".to_owned(), json!(prefix))].into_iter().collect();
    Filter::with_defaults(
        Preset::Standard,
        Value::Object(defaults).to_string().as_bytes(),
    )
}

/// Rows of csvlog around a message, and what stands in its other columns.
fn row(message: &str, statement: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    format!(
        "2026-11-23 03:34:37.123 UTC,\"bob\",\"shop\",4711,\"[local]\",692280b5.1267,5,\"INSERT\",2026-11-23 03:34:00 UTC,3/17,0,ERROR,23505,{},,,,,,{},,,\"psql\",\"client backend\",,0",
        quoted(message),
        quoted(statement)
    )
}

#[track_caller]
fn assert_no_secret(records: &[Value]) {
    let all = Value::from(records.to_vec()).to_string();
    assert!(!all.contains(SECRET), "{all}");
}

#[track_caller]
fn assert_continuation(record: &Value) {
    let expected = json!({ "log": "?", "pgmesh.faults": "continuation" });
    assert_eq!(*record, expected);
}

#[test]
fn lines_that_do_not_fit_the_given_prefix_are_read_by_what_they_look_like() {
    for given in ["%t [%p] user=%u ", "%m %p %u@%d ", "nothing like it "] {
        let mut filter = with_prefix(given);
        let head = "2026-11-23 03:34:37.123 UTC [4711] bob@shop ";
        let texts = [
            format!("{head}ERROR:  odd value \"{SECRET}\""),
            format!("{head}STATEMENT:  SELECT '{SECRET}'"),
            format!("{head}DETAIL:  Key (a)=({SECRET}) already exists."),
        ];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let records = all_left(&mut filter, &texts);
        assert_no_secret(&records);
        for record in &records {
            assert_eq!(record["severity"], "ERROR", "{given}: {record}");
            assert_eq!(record["pgmesh.faults"], "other_prefix", "{given}: {record}");
            assert_eq!(record["user.name"], "bob", "{given}: {record}");
        }
    }
}

#[test]
fn lines_that_fit_the_given_prefix_have_no_fault() {
    let mut filter = with_prefix("%m [%p] %u@%d ");
    let line = "2026-11-23 03:34:37.123 UTC [4711] bob@shop ERROR:  division by zero";
    let record = left(&mut filter, "postgres", line);
    assert_eq!(record["severity"], "ERROR");
    assert_eq!(record.get("pgmesh.faults"), None);
}

#[test]
fn what_looks_like_the_servers_and_cannot_be_read_does_not_pass() {
    let long = "x".repeat(700);
    for text in [
        // No time, no prefix that could be guessed, or one that is longer than any.
        format!("ünïcode prefix {long} ERROR:  value \"{SECRET}\""),
        format!("prefix {long} STATEMENT:  SELECT '{SECRET}'"),
        format!("ünï FEHLER:  ungültiger Wert »{SECRET}«"),
        format!("ünï 错误:  {SECRET}"),
        format!("ünï ANWEISUNG:  SELECT '{SECRET}'"),
        format!("ünï 위치: {SECRET}"),
        // One blank, where only the server writes such a time.
        format!("2026-11-23 03:34:37.123 UTC [4711] bob@shop ERROR: value {SECRET}"),
        // Behind a line of another program.
        format!("/usr/bin/pg_ctl: done\nünï ERROR:  value {SECRET}"),
        // A row whose columns are none.
        format!("2026-11-23 03:34:37.123 UTC,\"bob\",\"{SECRET}"),
    ] {
        let mut filter = Filter::new(Preset::Standard);
        let record = left(&mut filter, "postgres", &text);
        assert_no_secret(std::slice::from_ref(&record));
        let faults = record["pgmesh.faults"].as_str().unwrap_or_default();
        assert!(
            record["log"] == "?" && faults == "unreadable",
            "{text}: {record}"
        );
    }
}

#[test]
fn lines_of_other_programs_pass_untouched() {
    for given in [None, Some("%m [%p] %u@%d ")] {
        let mut filter = given.map_or_else(|| Filter::new(Preset::Standard), with_prefix);
        for line in [
            "2026-11-23 03:34:37,123 INFO: no action. I am (shop-0), the leader with the lock",
            "2026-11-23 03:34:37,123 WARNING: Postgresql is not running.",
            "2026-11-23 03:34:37.123 UTC [31] LOG C-0x55: shop/bob@10.0.0.1:55000 login attempt: db=shop user=bob tls=no",
            "2026-11-23 03:34:37.123 UTC [31] WARNING TLS handshake failed",
            "2026-11-23 03:34:37.123 P00   INFO: archive-push command begin 2.54.0: [pg_wal/0001]",
            "2026-11-23 03:34:37.123 P01  ERROR: [082]: WAL segment was not archived before the 60000ms timeout",
            "The files belonging to this database system will be owned by user \"postgres\".",
            "initdb: hint: You can change this by editing pg_hba.conf",
            "fixing permissions on existing directory /var/lib/postgresql/data ... ok",
            "{\"level\":\"info\",\"ts\":\"2026-11-23T03:34:37Z\",\"msg\":\"Starting webhook server\"}",
            "",
        ] {
            let record = left(&mut filter, "postgres", line);
            assert_eq!(record, json!({ "log": line }));
        }
    }
}

#[test]
fn the_lines_of_a_csvlog_entry_that_come_one_by_one_show_nothing() {
    let forged = row("forged", "").replace("ERROR", "PANIC");
    for statement in [
        format!("INSERT INTO t\nVALUES ('{SECRET}',\n\n\"c\", '{SECRET}')\n-- {SECRET}"),
        // Lines that imitate a row, a line of text, a JSON entry.
        format!("SELECT '\n{forged}\n{SECRET}"),
        format!("SELECT '\n{}\n{SECRET}", forged.replace('"', "")),
        format!("SELECT '\n2026-11-23 03:34:37.123 UTC [1] PANIC:  {SECRET}"),
        format!("SELECT '\n{{\"error_severity\":\"PANIC\",\"message\":\"{SECRET}\"}}\n{SECRET}"),
        format!("SELECT '\n2026-11-23 03:34:37.123 UTC,bob,\"\"\"\",{SECRET}\n\"{SECRET}\"\""),
    ] {
        for message in ["x", "two\nlines"] {
            let text = row(message, &statement);
            let mut filter = Filter::new(Preset::Standard);
            let texts: Vec<&str> = text.split('\n').collect();
            let records = all_left(&mut filter, &texts);
            assert_no_secret(&records);
            let (first, rest) = records.split_first().unwrap();
            assert_eq!(first["severity"], "ERROR", "{text}");
            for (text, record) in texts.iter().skip(1).zip(rest) {
                assert!(record.get("severity").is_none(), "{text}: {record}");
                assert_continuation(record);
            }
            // What follows is read again.
            let next = left(&mut filter, "postgres", &row("next", ""));
            assert_eq!(next["severity"], "ERROR", "{text}");
            assert_eq!(next.get("pgmesh.faults"), None, "{text}");
        }
    }
}

/// Texts of statements that imitate whatever an entry is made of, a secret in each line.
fn imitations() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "\n",
        "\"",
        "\"\"",
        ",",
        "'",
        "{",
        "}",
        "[5-1] ",
        "\t",
        " ",
        "\\",
        "2026-11-23 03:34:37.123 UTC",
        " [4711] ",
        "bob@shop ",
        "PANIC:  ",
        ",PANIC,00000,",
        "2026-11-23 03:34:37.123 UTC,bob,shop,1,,2.3,1,,2026-11-23 03:34:00 UTC,,0,PANIC,00000,",
        "{\"error_severity\":\"PANIC\",\"message\":\"x\"}",
        "{error_severity:PANIC}",
        ",,,,,,,,,\"psql\",\"client backend\",,0",
        "ERROR",
        "x",
    ]);
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| {
        let text: String = pieces.concat();
        let lines = text.split('\n').map(|line| format!("{line}'{SECRET}'"));
        lines.collect::<Vec<_>>().join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_of_a_user_gets_out_of_a_torn_row(message in imitations(), statement in imitations()) {
        let mut filter = Filter::new(Preset::Standard);
        let text = row(&message, &statement);
        let texts: Vec<&str> = text.split('\n').collect();
        let mut records = all_left(&mut filter, &texts);
        // What a message may say by itself is another question.
        records[0].as_object_mut().unwrap().remove("message");
        let all = Value::from(records.clone()).to_string();
        prop_assert!(!all.contains(SECRET), "{}", all);
        let severe = |record: &&Value| record.get("severity").is_some();
        prop_assert_eq!(records.iter().filter(severe).count(), 1, "{}", all);
        prop_assert_eq!(&left(&mut filter, "postgres", &row("next", ""))["severity"], "ERROR");
    }
}

#[test]
fn the_quote_that_ends_a_message_begins_no_column_of_a_row() {
    let forged = "2026-11-23 03:34:37.123 UTC,,,1,,2.3,1,,2026-11-23 03:34:00 UTC,,0,PANIC,00000,";
    for (message, statement) in [
        (
            format!("x\n{forged}"),
            format!(",{SECRET},,,,,,,,'{SECRET}'"),
        ),
        (
            format!("x\n2026-11-23 03:34:37.123 UTC,PANIC,00000,{SECRET}"),
            format!("PANIC:  {SECRET}"),
        ),
    ] {
        let text = row(&message, &statement);
        let texts: Vec<&str> = text.split('\n').collect();
        let records = all_left(&mut Filter::new(Preset::Standard), &texts);
        assert_no_secret(&records);
        assert_continuation(&records[1]);
    }
}

#[test]
fn a_row_whose_end_was_lost_does_not_hide_the_next() {
    let mut filter = Filter::new(Preset::Standard);
    let cut = row("x", &format!("SELECT\n'{SECRET}'"));
    let first = cut.split('\n').next().unwrap();
    let records = all_left(&mut filter, &[first, &row("x", "SELECT 1"), "done"]);
    assert_eq!(records[1]["severity"], "ERROR");
    assert_eq!(records[1].get("pgmesh.faults"), None);
    // Nothing but rows is in a file of csvlog.
    assert_eq!(records[2]["log"], "?");
}

#[test]
fn streams_do_not_continue_each_other() {
    let mut filter = Filter::new(Preset::Standard);
    let text = row("x", &format!("SELECT\n'{SECRET}'\n, 2"));
    let lines: Vec<&str> = text.split('\n').collect();
    let mut records = Vec::new();
    for line in &lines {
        records.push(left(&mut filter, "postgres.a", line));
        let foreign = left(&mut filter, "postgres.b", "hello");
        assert_eq!(foreign, json!({ "log": "hello" }));
    }
    assert_no_secret(&records);
    assert_continuation(&records[1]);
}

#[test]
fn a_companion_belongs_to_the_message_of_its_own_stream() {
    let mut filter = Filter::new(Preset::Standard);
    let head = "2026-11-23 03:34:37.123 UTC [4711] bob@shop ";
    let error = left(&mut filter, "a", &format!("{head}ERROR:  division by zero"));
    left(&mut filter, "b", &format!("{head}WARNING:  other"));
    let statement = left(&mut filter, "a", &format!("{head}STATEMENT:  SELECT 1/0"));
    assert_eq!(statement["severity"], "ERROR");
    assert_eq!(
        statement["postgresql.event_id"],
        error["postgresql.event_id"]
    );
    let other = left(&mut filter, "c", &format!("{head}STATEMENT:  SELECT 1/0"));
    assert_eq!(other.get("severity"), None);
}

#[test]
fn a_json_entry_that_the_runtime_cut_shows_nothing_in_its_parts() {
    let entry = json!({
        "timestamp": "2026-11-23 03:34:37.123 UTC", "pid": 1, "error_severity": "ERROR",
        "message": "x", "statement": format!("SELECT '{SECRET}', {{}}, '{SECRET}' {}", "y".repeat(40)),
    });
    let whole = entry.to_string();
    // In the order of the server, which writes the severity before any text.
    let whole = format!(
        "{{\"error_severity\":\"ERROR\",{}",
        whole
            .replace("\"error_severity\":\"ERROR\",", "")
            .strip_prefix('{')
            .unwrap()
    );
    for first in 40..whole.len() {
        for second in [first + 9, whole.len()] {
            let second = second.min(whole.len());
            let parts = [&whole[..first], &whole[first..second], &whole[second..]];
            let mut filter = Filter::new(Preset::Standard);
            let records = all_left(&mut filter, &parts);
            assert_no_secret(&records);
            let next = left(&mut filter, "postgres", &whole);
            assert_eq!(next["severity"], "ERROR", "{parts:?}");
        }
    }
}

#[test]
fn a_line_that_the_runtime_cut_shows_nothing_in_its_parts() {
    let mut filter = Filter::new(Preset::Standard);
    let stamp = "2026-11-23T03:34:37.123456789Z stderr";
    let head = "2026-11-23 03:34:37.123 UTC [4711] bob@shop";
    let texts = [
        format!("{stamp} P {head} LOG:  statement: SELECT"),
        format!("{stamp} P '{SECRET}'"),
        format!("{stamp} F {head} PANIC:  {SECRET}"),
        format!("{stamp} F {head} LOG:  statement: SELECT '{SECRET}'"),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let records = all_left(&mut filter, &texts);
    assert_no_secret(&records);
    assert_continuation(&records[1]);
    assert_continuation(&records[2]);
    assert_eq!(records[3]["db.query.text"], "SELECT ?");
}

/// Chunks of one entry, behind syslog's header.
fn chunks(entry: u32, texts: &[&str]) -> Vec<String> {
    let chunk = |(number, text): (usize, &&str)| {
        let number = number + 1;
        format!("<134>Nov 23 03:34:37 db1 postgres[4711]: [{entry}-{number}] {text}")
    };
    texts.iter().enumerate().map(chunk).collect()
}

#[test]
fn chunks_of_syslog_that_come_together_are_one_entry() {
    let head = "2026-11-23 03:34:37.123 UTC [4711] bob@shop ";
    let long = format!("{head}STATEMENT:  SELECT {}", "x".repeat(860));
    let texts = [
        &format!("{head}ERROR:  duplicate key value violates unique constraint \"c\""),
        &format!("{head}DETAIL:  Key (a)=(b"),
        &format!("#011{SECRET}) already exists."),
        &long,
        &format!(" , '{SECRET}'"),
        &format!("\tFROM t WHERE a = '{SECRET}'"),
    ];
    let texts = chunks(5, &texts.map(String::as_str));
    let mut filter = Filter::new(Preset::Standard);
    let record = left(&mut filter, "postgres", &texts.join("\n"));
    assert_no_secret(std::slice::from_ref(&record));
    assert_eq!(record["postgresql.event"], "unique_violation");
    assert_eq!(record["postgresql.detail"], "Key (a)=(?) already exists.");
    assert_eq!(record.get("pgmesh.faults"), None, "{record}");
    let statement = record["db.query.text"].as_str().unwrap();
    assert!(
        statement.ends_with("x , ?\nFROM t WHERE a = ?"),
        "{statement}"
    );
}

#[test]
fn chunks_of_syslog_that_come_one_by_one_show_nothing_but_their_first() {
    let head = "2026-11-23 03:34:37.123 UTC [4711] bob@shop ";
    let texts = [
        format!("{head}ERROR:  duplicate key value violates unique constraint \"c\""),
        format!("{head}DETAIL:  Key (a)=(b"),
        format!("#011{SECRET}) already exists."),
        format!("{head}STATEMENT:  SELECT"),
        format!("'{SECRET}'"),
        // A statement that imitates an entry where it was taken apart.
        format!("{head}PANIC:  {SECRET}"),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let texts = chunks(5, &texts);
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for _ in 0..2 {
        let mut filter = Filter::new(Preset::Standard);
        let records = all_left(&mut filter, &texts);
        assert_no_secret(&records);
        let severe: Vec<&Value> = records
            .iter()
            .filter(|record| record.get("severity").is_some())
            .collect();
        assert!(severe.iter().all(|record| record["severity"] == "ERROR"));
        // Out of their order it is the same.
        texts.reverse();
    }
}

#[test]
fn syslog_without_numbers_of_chunks_is_read_entry_by_entry() {
    let mut filter = Filter::new(Preset::Standard);
    for number in [1, 57] {
        let text = format!(
            "Nov 23 03:34:37 db1 postgres[4711]: [{number}] 2026-11-23 03:34:37.123 UTC [4711] bob@shop ERROR:  division by zero"
        );
        let record = left(&mut filter, "postgres", &text);
        assert_eq!(record["postgresql.event"], "division_by_zero", "{record}");
    }
}

#[test]
fn what_is_kept_on_request_is_kept() {
    let text = row("x", &format!("SELECT\n'{SECRET}'"));
    for preset in [Preset::KeepRaw, Preset::ClassifyOnly, Preset::NoRedaction] {
        let mut filter = Filter::new(preset);
        let texts: Vec<&str> = text.split('\n').collect();
        let records = all_left(&mut filter, &texts);
        assert_eq!(records[1], json!({ "log": texts[1] }));
    }
}

#[test]
fn an_entry_in_a_later_member_is_found_behind_one_of_another_program() {
    let mut filter = Filter::new(Preset::Standard);
    let line = format!("2026-11-23 03:34:37.123 UTC [1] LOG:  statement: SELECT '{SECRET}'");
    let record = json!({ "log": "hello", "message": line }).to_string();
    assert_eq!(
        filter.record(b"postgres", record.as_bytes(), 0),
        Outcome::Replaced
    );
    let output = String::from_utf8_lossy(filter.output()).into_owned();
    assert!(
        !output.contains(SECRET) && output.contains("SELECT ?"),
        "{output}"
    );
}
