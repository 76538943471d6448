//! Log records through the processor, judged by OpenTelemetry's own messages: entries of PostgreSQL's
//! log in every shape a Collector meets them in, and records that are none.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message;

use crate::otlp::{SECRET, fingerprint, map, pair, processor, string};

pub(crate) fn with_body(body: AnyValue) -> LogRecord {
    LogRecord {
        body: Some(body),
        observed_time_unix_nano: 7,
        ..LogRecord::default()
    }
}

pub(crate) fn line(text: &str) -> LogRecord {
    with_body(string(text))
}

fn resource(name: &str, records: Vec<LogRecord>) -> ResourceLogs {
    ResourceLogs {
        resource: Some(Resource {
            attributes: vec![pair("k8s.pod.name", string(name))],
            ..Resource::default()
        }),
        scope_logs: vec![ScopeLogs {
            log_records: records,
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    }
}

pub(crate) fn batch(records: Vec<LogRecord>) -> LogsData {
    LogsData {
        resource_logs: vec![resource("db-0", records)],
    }
}

fn processed(config: &str, batch: &LogsData) -> LogsData {
    let bytes = batch.encode_to_vec();
    let mut processor = processor(config);
    let out = processor.process_logs(&bytes).expect("OTLP");
    LogsData::decode(&*out).expect("OTLP")
}

/// The records of the first resource.
fn records(config: &str, records: Vec<LogRecord>) -> Vec<LogRecord> {
    let mut out = processed(config, &batch(records));
    out.resource_logs[0].scope_logs[0].log_records.split_off(0)
}

fn value(any: Option<&AnyValue>) -> String {
    match any.and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn attribute(record: &LogRecord, key: &str) -> Option<String> {
    let mut found = record.attributes.iter().filter(|pair| pair.key == key);
    let first = found.next();
    assert!(found.next().is_none(), "{key} twice");
    first.map(|pair| value(pair.value.as_ref()))
}

pub(crate) fn body(record: &LogRecord) -> String {
    value(record.body.as_ref())
}

/// An error as the server writes it with `log_line_prefix = '%m [%p] %q%u@%d '`, line by line.
pub(crate) const ERROR: [&str; 3] = [
    "2026-11-23 03:34:37.123 UTC [70] app@shop ERROR:  duplicate key value violates unique constraint \"users_pkey\"",
    "2026-11-23 03:34:37.123 UTC [70] app@shop DETAIL:  Key (email)=(hunter2-4111) already exists.",
    "2026-11-23 03:34:37.123 UTC [70] app@shop STATEMENT:  INSERT INTO users",
];
pub(crate) const CONTINUATION: &str = "\tVALUES ('hunter2-4111') /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/";
pub(crate) const OTHER: &str =
    "2026-11-23 03:34:37.124 UTC [71] app@shop LOG:  connection authorized: user=app database=shop";

fn assert_is_the_error(record: &LogRecord) {
    assert_eq!(
        body(record),
        "duplicate key value violates unique constraint \"users_pkey\""
    );
    assert_eq!(record.severity_text, "ERROR");
    assert_eq!(record.severity_number, 17);
    assert_eq!(record.time_unix_nano, 1_795_404_877_123_000_000);
    assert_eq!(record.observed_time_unix_nano, 7);
    assert_eq!(record.event_name, "postgresql.unique_violation");
    for (key, expected) in [
        ("db.system.name", "postgresql"),
        ("db.namespace", "shop"),
        ("user.name", "app"),
        ("process.pid", "70"),
        ("postgresql.event", "unique_violation"),
        ("db.response.status_code", "23505"),
        ("postgresql.detail", "Key (email)=(?) already exists."),
        ("db.query.text", "INSERT INTO users\nVALUES (?) "),
    ] {
        assert_eq!(attribute(record, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(
        attribute(record, "pgmesh.fingerprint"),
        Some(fingerprint("INSERT INTO users VALUES ($1)"))
    );
    assert_eq!(record.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(record.span_id[..2], [0xb7, 0xad]);
}

#[test]
fn the_lines_of_a_message_become_one_record() {
    let whole = format!("{}\n{CONTINUATION}", ERROR.join("\n"));
    assert_is_the_error(&records("", vec![line(&whole)])[0]);
    let lines = ERROR.map(line).into_iter();
    let apart: Vec<_> = lines.chain([line(CONTINUATION)]).collect();
    let out = records("", apart);
    assert_eq!(out.len(), 1);
    assert_is_the_error(&out[0]);
}

#[test]
fn a_text_log_without_sqlstates_has_those_that_a_message_is_sure_of() {
    let beginning = "2026-11-23 03:34:37.123 UTC [70] app@shop";
    for (text, code) in [
        ("ERROR:  division by zero", Some("22012")),
        ("FATAL:  database \"shop\" does not exist", Some("3D000")),
        // Of several SQLSTATEs, or of an event that has none.
        ("ERROR:  timestamp out of range", None),
        ("ERROR:  function_that_nobody_knows failed", None),
        ("LOG:  checkpoint starting: time", None),
    ] {
        let out = records("", vec![line(&format!("{beginning} {text}"))]);
        let found = attribute(&out[0], "db.response.status_code");
        assert_eq!(found.as_deref(), code, "{text}");
    }
    // What the log says counts.
    let own = r#"{"timestamp":"2026-11-23 03:34:37.123 UTC","pid":70,"error_severity":"ERROR","state_code":"P0001","message":"division by zero"}"#;
    let out = records("", vec![line(own)]);
    let found = attribute(&out[0], "db.response.status_code");
    assert_eq!(found.as_deref(), Some("P0001"));
}

#[test]
fn a_line_of_a_file_that_lost_its_tab_is_joined_and_one_of_a_container_is_not() {
    let lines = || ERROR.into_iter().chain([CONTINUATION.trim_start()]);
    let file = pair("log.file.path", string("/var/log/postgresql/main.log"));
    let read_from = |attributes: Vec<KeyValue>| {
        let record = |text| LogRecord {
            attributes: attributes.clone(),
            ..line(text)
        };
        records("", lines().map(record).collect())
    };
    let out = read_from(vec![file.clone()]);
    assert_eq!(out.len(), 1);
    assert_is_the_error(&out[0]);
    let out = read_from(vec![file, pair("log.iostream", string("stderr"))]);
    assert_eq!(out.len(), 2, "{out:?}");
}

#[test]
fn lines_of_other_processes_in_between_change_nothing() {
    let [error, detail, statement] = ERROR.map(line);
    let out = records(
        "",
        vec![
            error,
            line(OTHER),
            detail,
            line(OTHER),
            statement,
            line(CONTINUATION),
            line(OTHER),
        ],
    );
    assert_eq!(out.len(), 4);
    assert_is_the_error(&out[0]);
    for record in &out[1..] {
        assert_eq!(record.event_name, "postgresql.connection_authorized");
    }
}

#[test]
fn a_companion_whose_message_is_not_in_the_batch_knows_it_from_the_last() {
    let mut processor = processor("");
    let first = batch(vec![line(ERROR[0])]).encode_to_vec();
    processor.process_logs(&first).expect("OTLP");
    let second = batch(vec![line(ERROR[2])]).encode_to_vec();
    let out = processor.process_logs(&second).expect("OTLP");
    let out = LogsData::decode(&*out).expect("OTLP");
    let record = &out.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.severity_text, "ERROR");
    assert_eq!(record.event_name, "postgresql.unique_violation");
    assert_eq!(body(record), "INSERT INTO users");
}

#[test]
fn servers_are_not_taken_for_each_other() {
    let with_prefix_of_its_own = "hunter2|77|LOG:  checkpoint starting: time";
    let [error, ..] = ERROR;
    let batch = LogsData {
        resource_logs: vec![
            resource("db-0", vec![line(error)]),
            resource("db-1", ERROR[1..].iter().map(|text| line(text)).collect()),
            resource("db-0", ERROR[1..].iter().map(|text| line(text)).collect()),
            resource("other", vec![line(with_prefix_of_its_own)]),
        ],
    };
    let out = processed("", &batch);
    let records = |at: usize| &out.resource_logs[at].scope_logs[0].log_records;
    assert_eq!(records(0)[0].severity_text, "ERROR");
    // What db-1 said of it is unknown; what db-0 did is not, though it came in another part of the batch.
    assert_eq!(records(1)[0].severity_text, "");
    assert_eq!(
        attribute(&records(0)[0], "postgresql.detail").as_deref(),
        Some("Key (email)=(?) already exists.")
    );
    assert!(records(2).is_empty());
    assert_eq!(body(&records(3)[0]), "checkpoint starting: time");
}

pub(crate) const JSON: &str = r#"{"timestamp":"2026-11-23 03:34:37.123 UTC","user":"app","dbname":"shop","pid":70,"error_severity":"ERROR","state_code":"23505","message":"duplicate key value violates unique constraint \"users_pkey\"","detail":"Key (email)=(hunter2-4111) already exists.","statement":"INSERT INTO users\nVALUES ('hunter2-4111') /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/"}"#;

/// The members of a JSON object, as `json_parser` makes them.
pub(crate) fn members(json: &str) -> Vec<KeyValue> {
    let parsed: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let members = parsed.as_object().expect("an object").iter();
    members
        .map(|(key, value)| {
            let value = match value {
                serde_json::Value::String(text) => string(text),
                other => AnyValue {
                    value: other.as_f64().map(Value::DoubleValue),
                },
            };
            pair(key, value)
        })
        .collect()
}

#[test]
fn an_entry_is_known_wherever_it_stands() {
    let whole = format!("{}\n{CONTINUATION}", ERROR.join("\n"));
    let csv = "2026-11-23 03:34:37.123 UTC,\"app\",\"shop\",70,\"[local]\",6747.46,1,\"INSERT\",2026-11-23 03:34:30 UTC,3/4,0,ERROR,23505,\"duplicate key value violates unique constraint \"\"users_pkey\"\"\",\"Key (email)=(hunter2-4111) already exists.\",,,,,\"INSERT INTO users\nVALUES ('hunter2-4111') /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/\",,,\"psql\",\"client backend\",,0";
    let parsed = LogRecord {
        attributes: members(JSON),
        ..line(JSON)
    };
    let shapes = [
        ("stderr", line(&whole)),
        ("csvlog", line(csv)),
        ("jsonlog", line(JSON)),
        ("a map", with_body(map(members(JSON)))),
        ("attributes", parsed),
        (
            "a member",
            with_body(map(vec![pair("log", string(&whole))])),
        ),
        (
            "a wrapper",
            line(&format!("2026-11-23T03:34:37.123456789Z stderr F {JSON}")),
        ),
    ];
    for (shape, record) in shapes {
        let out = records("", vec![record]);
        assert_eq!(out.len(), 1, "{shape}");
        assert_is_the_error(&out[0]);
        let shown = format!("{:?}", out[0]);
        assert!(!shown.contains(SECRET), "{shape}: {shown}");
    }
}

#[test]
fn a_query_id_that_a_parser_has_rounded_is_not_told() {
    let whole = |id| JSON.replace("\"pid\"", &format!("\"query_id\":{id},\"pid\""));
    for (id, expected) in [
        ("9007199254740991", Some("9007199254740991")),
        ("5221632307425565184", None),
        ("-5221632307425565184", None),
    ] {
        let out = records("", vec![with_body(map(members(&whole(id))))]);
        assert_is_the_error(&out[0]);
        let told = attribute(&out[0], "postgresql.query_id");
        assert_eq!(told.as_deref(), expected);
    }
}

#[test]
fn what_else_a_record_has_stays() {
    let record = LogRecord {
        attributes: vec![
            pair("log.file.name", string("postgresql.log")),
            pair("user.name", string("x")),
        ],
        trace_id: vec![9; 16],
        flags: 1,
        ..with_body(map(vec![
            pair("log", string(OTHER)),
            pair("stream", string("stderr")),
            pair("kubernetes", map(vec![pair("pod", string("db-0"))])),
        ]))
    };
    let out = records("", vec![record]).remove(0);
    assert_eq!(body(&out), "connection authorized: user=app database=shop");
    assert_eq!(
        attribute(&out, "log.file.name").as_deref(),
        Some("postgresql.log")
    );
    assert_eq!(attribute(&out, "user.name").as_deref(), Some("app"));
    assert_eq!(attribute(&out, "stream").as_deref(), Some("stderr"));
    assert!(attribute(&out, "kubernetes").is_some());
    assert_eq!(attribute(&out, "log"), None);
    assert_eq!((out.trace_id, out.flags), (vec![9; 16], 1));
}

#[test]
fn copies_of_a_line_go_with_it() {
    let whole = ERROR.join("\n");
    for key in ["log.record.original", "message", "statement", "my.copy"] {
        let record = LogRecord {
            attributes: vec![
                pair(key, string(&whole)),
                pair("k", string("Key (email)=(hunter2-4111)")),
            ],
            ..line(&whole)
        };
        let out = records("", vec![record]).remove(0);
        assert_eq!(attribute(&out, key), None);
        assert!(!format!("{out:?}").contains(SECRET), "{out:?}");
    }
}

#[test]
fn the_receivers_events_keep_no_data() {
    let plan = r#"[{"Plan":{"Node Type":"Seq Scan","Filter":"(card = 'hunter2-4111'::text)"}}]"#;
    let event = LogRecord {
        event_name: "db.server.top_query".to_owned(),
        attributes: vec![
            pair("db.system.name", string("postgresql")),
            pair(
                "db.query.text",
                string("SELECT * FROM t WHERE card = 'hunter2-4111'"),
            ),
            pair("postgresql.query_plan", string(plan)),
            pair("postgresql.calls", string("3")),
        ],
        ..LogRecord::default()
    };
    let out = records("", vec![event]).remove(0);
    assert_eq!(
        attribute(&out, "db.query.text").as_deref(),
        Some("SELECT * FROM t WHERE card = ?")
    );
    assert_eq!(
        attribute(&out, "postgresql.query_plan").as_deref(),
        Some(r#"[{"Plan":{"Node Type":"Seq Scan","Filter":"(card = ?::text)"}}]"#)
    );
    assert_eq!(
        attribute(&out, "pgmesh.fingerprint"),
        Some(fingerprint("SELECT * FROM t WHERE card = $1"))
    );
    assert_eq!(
        attribute(&out, "db.query.summary").as_deref(),
        Some("SELECT t")
    );
    assert_eq!(attribute(&out, "postgresql.calls").as_deref(), Some("3"));
}

#[test]
fn a_batch_without_an_entry_comes_back_as_the_slice_it_came_in() {
    let others = vec![
        line("GET /users?id=1 200"),
        line("\tat com.example.Main"),
        line("2026-11-23 10:00:00 INFO starting: all good"),
        with_body(map(vec![
            pair("log", string("x")),
            pair("user", string("y")),
        ])),
        LogRecord::default(),
    ];
    let bytes = batch(others).encode_to_vec();
    let mut processor = processor("");
    let out = processor.process_logs(&bytes).expect("OTLP");
    assert!(matches!(out, Cow::Borrowed(out) if std::ptr::eq(out, bytes.as_slice())));
}

#[test]
fn only_resources_that_are_configured_are_looked_at() {
    let config = r#"{"logs":{"resources":{"k8s.pod.name":["db-1"]}}}"#;
    let batch = LogsData {
        resource_logs: vec![
            resource("db-0", vec![line(OTHER)]),
            resource("db-1", vec![line(OTHER)]),
        ],
    };
    let out = processed(config, &batch);
    assert_eq!(out.resource_logs[0], batch.resource_logs[0]);
    assert_ne!(out.resource_logs[1], batch.resource_logs[1]);
}

#[test]
fn a_torn_off_continuation_is_withheld() {
    let out = records(
        "",
        vec![
            line(OTHER),
            line("stray"),
            line("\tVALUES ('hunter2-4111')"),
        ],
    );
    // A line of another program in between does not change what the server wrote.
    assert_eq!(body(&out[1]), "stray");
    let mut processor = processor(r#"{"logs":{"join":false}}"#);
    let bytes = batch(vec![line(OTHER), line("\tVALUES ('hunter2-4111')")]).encode_to_vec();
    let out = processor.process_logs(&bytes).expect("OTLP");
    let out = LogsData::decode(&*out).expect("OTLP");
    let torn = &out.resource_logs[0].scope_logs[0].log_records[1];
    assert_eq!(body(torn), "?");
    assert_eq!(
        attribute(torn, "pgmesh.faults").as_deref(),
        Some("continuation")
    );
}

#[test]
fn a_record_that_cannot_be_read_passes_without_its_data() {
    let mut deep = string(SECRET);
    for _ in 0..40 {
        deep = map(vec![pair("error_severity", deep)]);
    }
    let out = records("", vec![with_body(deep), line(OTHER)]);
    assert!(attribute(&out[0], "pgmesh.error").is_some());
    assert!(!format!("{:?}", out[0]).contains(SECRET));
    assert_eq!(out[1].severity_text, "LOG");
}

#[test]
fn redaction_can_be_turned_off_by_name() {
    let config = r#"{"logs":{"redaction":"off"}}"#;
    let out = records(config, vec![line(&ERROR.join("\n"))]).remove(0);
    assert!(format!("{out:?}").contains(SECRET));
}

/// Lines below a message, as the server writes them behind the prefix.
const BELOW: [&str; 7] = [
    "DETAIL:  Key (email)=(hunter2-4111) already exists.",
    "HINT:  Perhaps you meant \"users.email\".",
    "QUERY:  INSERT INTO users VALUES ('hunter2-4111')",
    "CONTEXT:  SQL statement \"INSERT INTO users VALUES ('hunter2-4111')\"",
    "LOCATION:  _bt_check_unique, nbtinsert.c:664",
    "BACKTRACE:  postgres: app shop(errfinish+0x1d5) [0x55d4e1c5]",
    "STATEMENT:  SELECT f('hunter2-4111')",
];

proptest! {
    /// Each is read once, and its message is not read again for it.
    #[test]
    fn lines_that_are_joined_say_what_the_whole_text_says(
        below in prop::sample::subsequence(BELOW.to_vec(), 0..=BELOW.len()).prop_shuffle(),
        continued: bool,
    ) {
        let message = "ERROR:  syntax error at or near \"INTO\" at character 8";
        let lines = [message].into_iter().chain(below);
        let mut lines: Vec<_> = lines
            .map(|text| format!("2026-11-23 03:34:37.123 UTC [70] app@shop {text}"))
            .collect();
        if continued {
            lines.push("\tWHERE a = 'hunter2-4111'".to_owned());
        }
        let whole = records("", vec![line(&lines.join("\n"))]);
        let apart = records("", lines.iter().map(|text| line(text)).collect());
        prop_assert_eq!(whole, apart);
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let known = ERROR.into_iter().chain([CONTINUATION, OTHER, JSON]);
    let known: Vec<String> = known.map(str::to_owned).collect();
    prop_oneof![
        3 => prop::sample::select(known.clone()),
        1 => (prop::sample::select(known), any::<prop::sample::Index>()).prop_map(|(text, at)| {
            let mut at = at.index(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.get(..at).expect("a boundary").to_owned()
        }),
        1 => "\\PC{0,40}",
    ]
}

proptest! {
    /// In any order, and cut anywhere, what the server was given does not leave.
    #[test]
    fn no_order_of_lines_shows_the_data(texts in prop::collection::vec(pieces(), 0..12)) {
        let mut lines = vec![line(OTHER)];
        lines.extend(texts.iter().map(|text| line(text)));
        let out = records("", lines);
        for record in out {
            let shown = format!("{record:?}");
            // A line cut in the middle of its prefix or severity is no line of the server's any more.
            if attribute(&record, "db.system.name").is_some() {
                prop_assert!(!shown.contains(SECRET), "{shown}");
            }
        }
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = processor("").process_logs(&bytes);
    }
}
