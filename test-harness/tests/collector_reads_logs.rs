//! The logs of real servers through a real Collector: its filelog receiver reads stderr line by line,
//! jsonlog with its own parser and without, and csvlog; the processor makes one and the same record of
//! each entry, and the data that every statement was full of is in none.

#[expect(dead_code, reason = "what log_events_agree expects of each situation")]
mod provoke;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData};
use provoke::Formats;
use serde_json::{Value as Json, json};
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::collector::{Build, Mode, Pipeline};
use test_harness::hosts::{Collector, Version, wait_for};

/// Until the Collector has read a file of some thousand lines and sent it on.
const LIMIT: Duration = Duration::from_secs(60);

/// What an entry came as: its attributes and the parts of the record that have places of their own.
type Entry = BTreeMap<String, String>;

fn text(value: Option<&Value>) -> String {
    match value {
        // filelog takes the blanks off each line.
        Some(Value::StringValue(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn entry(record: &LogRecord) -> Entry {
    let body = record.body.as_ref().and_then(|body| body.value.as_ref());
    let pairs = record.attributes.iter();
    let mut entry: Entry = pairs
        .map(|pair| {
            let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
            (pair.key.clone(), text(value))
        })
        .collect();
    entry.insert("body".to_owned(), text(body));
    entry.insert("time".to_owned(), record.time_unix_nano.to_string());
    entry.insert("severity".to_owned(), record.severity_text.clone());
    entry.insert("event".to_owned(), record.event_name.clone());
    entry.insert("trace".to_owned(), format!("{:x?}", record.trace_id));
    entry
}

/// A log as a user may have it read.
struct Form {
    name: &'static str,
    log: fn(&Formats) -> &[u8],
    /// Of filelog.
    settings: Json,
    /// Of the processor.
    config: Json,
}

fn forms() -> [Form; 4] {
    let prefix = json!({"logs": {"prefix": provoke::PREFIX}});
    // Without `parse_ints` a query id comes as a double, which does not hold it.
    let parser = json!({"operators": [{"type": "json_parser", "parse_ints": true}]});
    // A row has as many lines as its texts, and no tab before them.
    let rows = json!({"multiline": {"line_start_pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \w+,"}});
    let form = |name, log, settings, config| Form {
        name,
        log,
        settings,
        config,
    };
    [
        form("jsonlog", |logs| &logs.jsonlog, json!({}), json!({})),
        form("jsonlog, parsed", |logs| &logs.jsonlog, parser, json!({})),
        form("csvlog", |logs| &logs.csvlog, rows, json!({})),
        form("stderr", |logs| &logs.stderr, json!({}), prefix),
    ]
}

/// The records that a Collector makes of a log.
#[track_caller]
fn collected(build: Build, log: &[u8], form: &Form, mode: Mode) -> Vec<LogRecord> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("postgresql.log");
    fs::write(&file, log).expect("written");
    let sink = OtlpSink::keeping();
    // All in one batch: an entry that is cut by its end has its companion lines in the next.
    let batch = json!({"timeout": "3s", "send_batch_size": 1_000_000});
    let pipeline = Pipeline::to(sink.address())
        .filelog(&file, &form.settings)
        .processor("batch", batch)
        .module(mode, form.config.clone());
    let collector = Collector::start(build, &pipeline);
    wait_for(LIMIT, || (sink.answered() > 0).then_some(()));
    let log = collector.stop();
    let batches = sink.batches::<LogsData>();
    assert_eq!(batches.len(), 1, "{log}");
    let resources = batches.into_iter().flat_map(|batch| batch.resource_logs);
    let scopes = resources.flat_map(|resource| resource.scope_logs);
    scopes.flat_map(|scope| scope.log_records).collect()
}

/// The entries of each session, in their order. A line's number is of its own log, and so is an id.
fn by_session(records: &[LogRecord]) -> BTreeMap<String, Vec<Entry>> {
    let mut sessions: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for record in records {
        let mut entry = entry(record);
        entry.remove("postgresql.session.line");
        entry.remove("postgresql.event_id");
        let session = entry.get("session.id").cloned().unwrap_or_default();
        sessions.entry(session).or_default().push(entry);
    }
    sessions
}

#[track_caller]
fn assert_same(name: &str, these: &[LogRecord], those: &[LogRecord]) {
    let (these, those) = (by_session(these), by_session(those));
    for (session, entries) in &these {
        let others = those.get(session).map_or(&[][..], Vec::as_slice);
        for (one, other) in entries.iter().zip(others) {
            assert_eq!(one, other, "{name}");
        }
        assert_eq!(
            entries.len(),
            others.len(),
            "{name}, {session}: {entries:#?} {others:#?}"
        );
    }
    assert_eq!(these.len(), those.len(), "{name}");
}

#[track_caller]
fn assert_are_read(name: &str, records: &[LogRecord]) {
    assert!(records.len() > 300, "{name}: {} records", records.len());
    for record in records {
        let shown = format!("{record:?}");
        assert!(!shown.contains("secret"), "{name}: {shown}");
        assert!(!shown.contains("pgmesh.error"), "{name}: {shown}");
        assert!(record.severity_number > 0, "{name}: {shown}");
        assert!(record.time_unix_nano > 0, "{name}: {shown}");
    }
    let named = records
        .iter()
        .filter(|record| !record.event_name.is_empty());
    let events: BTreeSet<&str> = named.map(|record| record.event_name.as_str()).collect();
    assert!(events.len() > 80, "{name}: {events:?}");
}

#[track_caller]
fn assert_reads_logs_of(version: Version) {
    let [logs, ..] = &provoke::run(version, None).servers[..] else {
        panic!("there is a primary");
    };
    let shown = String::from_utf8_lossy(&logs.stderr);
    assert!(shown.matches("secret").count() > 20, "nothing to take out");
    let forms = forms();
    let [first, others @ ..] = &forms;
    let records = collected(Build::Ours, (first.log)(logs), first, Mode::Interpreter);
    assert_are_read(first.name, &records);
    for build in Build::all() {
        for form in others {
            let others = collected(build, (form.log)(logs), form, Mode::Compiled);
            assert_are_read(form.name, &others);
            assert_same(form.name, &others, &records);
        }
    }
}

#[test]
fn entries_of_18_are_the_same_records_in_every_form() {
    assert_reads_logs_of(Version::V18);
}

#[test]
fn entries_of_15_are_the_same_records_in_every_form() {
    assert_reads_logs_of(Version::V15);
}
