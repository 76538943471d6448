//! Any log records through the processor, against a model of it that works on decoded messages: what
//! `pg-log` says of an entry goes to the places that OpenTelemetry has for it, and the rest stays.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData};
use pg_log::{Class, Memory, Options, Parser, Reporter, Sink, Timestamp, Zones};
use proptest::prelude::*;
use prost::Message;

use crate::logs::{CONTINUATION, ERROR, JSON, OTHER, batch};
use crate::order::reversed;
use crate::otlp::{fingerprint, map, pair, processor, string, text};
use crate::traces_model::{STATEMENTS, Statement};

/// What is said of an entry, as a record.
#[derive(Default)]
struct Said(LogRecord);

impl Said {
    fn attribute(&mut self, name: &str, value: Value) {
        let any = AnyValue { value: Some(value) };
        self.0.attributes.push(pair(name, any));
    }
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let pairs = pairs.map(|pair| std::str::from_utf8(pair).expect("digits"));
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("digits"))
        .collect()
}

impl Sink for Said {
    fn text(&mut self, name: &str, value: &[u8]) {
        let said = String::from_utf8_lossy(value).into_owned();
        match name {
            "timestamp" => {
                let time = Timestamp::parse(value, &Zones::default()).expect("a time");
                self.0.time_unix_nano = u64::try_from(time.nanoseconds()).expect("since 1970");
            }
            "severity" => self.0.severity_text = said,
            "message" => self.0.body = Some(string(&said)),
            "trace_id" => self.0.trace_id = bytes(&said),
            "span_id" => self.0.span_id = bytes(&said),
            _ => {
                if name == "postgresql.event" {
                    self.0.event_name = format!("postgresql.{said}");
                }
                self.attribute(name, Value::StringValue(said));
            }
        }
    }

    fn number(&mut self, name: &str, digits: &[u8]) {
        let digits = std::str::from_utf8(digits).expect("digits");
        match (name, digits.parse::<i64>()) {
            ("severity_number", Ok(number)) => {
                self.0.severity_number = i32::try_from(number).expect("a small one");
            }
            (_, Ok(number)) => self.attribute(name, Value::IntValue(number)),
            (_, Err(_)) => {
                self.attribute(name, Value::DoubleValue(digits.parse().expect("a number")));
            }
        }
    }
}

/// A record, and what there is to know of it.
#[derive(Clone, Debug)]
enum Kind {
    /// The line of PostgreSQL's log that it is.
    Entry(String),
    /// About a statement of the table.
    Described(usize),
    Foreign,
}

/// What the processor should make of the record.
fn model(record: &mut LogRecord, kind: &Kind, parser: &mut Parser, memory: &mut Memory) {
    match kind {
        Kind::Foreign => {}
        Kind::Described(number) => described(record, &STATEMENTS[*number]),
        Kind::Entry(line) => {
            let (event, _) = parser.parse(line.as_bytes()).expect("an entry");
            let mut said = Said::default();
            said.attribute(
                "db.system.name",
                Value::StringValue("postgresql".to_owned()),
            );
            let reporter = Reporter::new(Options::default());
            let class = reporter.report(&event, memory, &mut said);
            let has_code = |pair: &KeyValue| pair.key == "db.response.status_code";
            if let Some(code) = class.and_then(Class::sqlstate)
                && !said.0.attributes.iter().any(has_code)
            {
                let code = Value::StringValue(code.to_owned());
                said.attribute("db.response.status_code", code);
            }
            entry(record, said.0);
        }
    }
}

fn entry(record: &mut LogRecord, said: LogRecord) {
    let is_said = |key: &str| said.attributes.iter().any(|pair| pair.key == key);
    // A copy of the line goes with it.
    let stays = |pair: &KeyValue| !is_said(&pair.key) && pair.key != "log.original";
    record.attributes.retain(stays);
    let members = match record.body.take().and_then(|body| body.value) {
        Some(Value::KvlistValue(list)) => list.values,
        _ => Vec::new(),
    };
    for member in members {
        let is_there = record.attributes.iter().any(|pair| pair.key == member.key);
        if stays(&member) && member.key != "log" && !is_there {
            record.attributes.push(member);
        }
    }
    record.attributes.extend(said.attributes);
    record.body = said.body;
    record.time_unix_nano = said.time_unix_nano;
    record.severity_number = said.severity_number;
    record.severity_text = said.severity_text;
    if record.event_name.is_empty() {
        record.event_name = said.event_name;
    }
    if record.trace_id.is_empty() {
        record.trace_id = said.trace_id;
        if record.span_id.is_empty() {
            record.span_id = said.span_id;
        }
    }
}

fn described(record: &mut LogRecord, statement: &Statement) {
    for pair in &mut record.attributes {
        if pair.key == "db.query.text" {
            pair.value = Some(string(statement.redacted));
        }
    }
    if record.body == Some(string(statement.text)) {
        record.body = Some(string(statement.redacted));
    }
    let mut add = |name: &str, value: Option<&str>| {
        record
            .attributes
            .extend(value.map(|value| text(name, value)));
    };
    add("db.query.summary", Some(statement.summary));
    add("pgmesh.fingerprint", Some(&fingerprint(statement.text)));
    add("db.operation.name", statement.operation);
    add("db.collection.name", statement.collection);
    if let Some(size) = statement.size {
        let value = Some(Value::IntValue(size));
        let size = pair("db.operation.batch.size", AnyValue { value });
        record.attributes.push(size);
    }
}

fn any_entry() -> impl Strategy<Value = (LogRecord, Kind)> {
    let prefix = "2026-11-23 03:34:37.123 UTC [70] app@shop ";
    let lines = vec![
        format!("{}\n{CONTINUATION}", ERROR.join("\n")),
        OTHER.to_owned(),
        JSON.to_owned(),
        format!("{prefix}LOG:  duration: 12.5 ms  statement: SELECT 'x', 7"),
        format!("{prefix}FATAL:  password authentication failed for user \"bob\""),
    ];
    let line = prop::sample::select(lines);
    (line, any::<bool>(), any::<bool>()).prop_map(|(line, in_a_map, has_copy)| {
        let body = match in_a_map {
            true => map(vec![
                text("stream", "stderr"),
                text("log", &line),
                text("k8s.container.name", "of the body"),
            ]),
            false => string(&line),
        };
        let copy = has_copy.then(|| text("log.original", &line));
        let record = LogRecord {
            body: Some(body),
            attributes: copy.into_iter().collect(),
            time_unix_nano: 3,
            ..LogRecord::default()
        };
        (record, Kind::Entry(line))
    })
}

fn any_described() -> impl Strategy<Value = (LogRecord, Kind)> {
    (0..STATEMENTS.len(), any::<bool>()).prop_map(|(number, quotes)| {
        let statement = &STATEMENTS[number];
        let body = string(if quotes { statement.text } else { "done" });
        let record = LogRecord {
            body: Some(body),
            attributes: vec![
                text("db.system.name", "postgresql"),
                text("db.query.text", statement.text),
            ],
            ..LogRecord::default()
        };
        (record, Kind::Described(number))
    })
}

fn any_foreign() -> impl Strategy<Value = (LogRecord, Kind)> {
    let body = prop_oneof![
        Just(None),
        Just(Some(string("GET /pay 200"))),
        Just(Some(string(""))),
        Just(Some(map(vec![
            text("message", "paid 'x'"),
            text("level", "info")
        ]))),
    ];
    body.prop_map(|body| {
        let record = LogRecord {
            body,
            attributes: vec![
                text("db.statement", "SELECT 'x'"),
                text("db.system", "mysql"),
            ],
            severity_text: "INFO".to_owned(),
            ..LogRecord::default()
        };
        (record, Kind::Foreign)
    })
}

fn any_record() -> impl Strategy<Value = (LogRecord, Kind)> {
    let record = prop_oneof![any_entry(), any_described(), any_foreign()];
    let ids = (any::<bool>(), any::<bool>(), any::<bool>());
    (record, ids, any::<u64>()).prop_map(|((mut record, kind), (trace, span, event), time)| {
        if trace {
            record.trace_id = vec![7; 16];
        }
        if span {
            record.span_id = vec![8; 8];
        }
        if event && !matches!(kind, Kind::Described(_)) {
            "mine".clone_into(&mut record.event_name);
        }
        record.observed_time_unix_nano = time;
        record.flags = 1;
        record.dropped_attributes_count = 2;
        record
            .attributes
            .push(text("k8s.container.name", "postgres"));
        (record, kind)
    })
}

fn records(batch: &mut LogsData) -> &mut Vec<LogRecord> {
    &mut batch.resource_logs[0].scope_logs[0].log_records
}

fn by_name(mut batch: LogsData) -> LogsData {
    for record in records(&mut batch) {
        record
            .attributes
            .sort_by(|one, other| one.key.cmp(&other.key));
    }
    batch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_decoded_after_the_edit_is_the_edit_of_what_is_decoded(
        before in prop::collection::vec(any_record(), 1..6),
        backwards: bool,
    ) {
        let (before, kinds): (Vec<_>, Vec<_>) = before.into_iter().unzip();
        let whole = batch(before).encode_to_vec();
        let bytes = if backwards { reversed(&whole, 8) } else { whole };
        let mut expected = LogsData::decode(&*bytes).expect("OTLP");
        let (mut parser, mut memory) = (Parser::new(), Memory::default());
        for (record, kind) in records(&mut expected).iter_mut().zip(&kinds) {
            model(record, kind, &mut parser, &mut memory);
        }
        let mut processor = processor("");
        let out = processor.process_logs(&bytes).expect("OTLP");
        let out = LogsData::decode(&*out).expect("OTLP");
        prop_assert_eq!(by_name(out), by_name(expected));
    }
}
