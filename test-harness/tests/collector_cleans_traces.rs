//! What applications with OpenTelemetry's own instrumentation tell of their statements, before and after
//! the processor in a real Collector: psycopg, SQLAlchemy, asyncpg, node-postgres, pgx and pgjdbc against
//! a real server. Each plants a card number in a text, in a bind value, in a comment and in an error.
//! And what becomes of batches that are large, come at once, or cannot be handled.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use serde_json::{Value as Json, json};
use test_harness::drivers;
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::collector::{Build, Mode, Pipeline};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Collector, Postgres, Version};

const CARD: &[u8] = b"4111-1111-1111-1111";
/// Until everything has come through the batch processor.
const LIMIT: Duration = Duration::from_secs(60);

/// An application: its name, and the command that runs it against the server on a port.
type Client = (&'static str, fn(u16, SocketAddr) -> Command);

const CLIENTS: &[Client] = &[
    ("psycopg", |port, otlp| python("psycopg", port, otlp)),
    ("sqlalchemy", |port, otlp| python("sqlalchemy", port, otlp)),
    ("asyncpg", |port, otlp| python("asyncpg", port, otlp)),
    ("node-postgres", |port, otlp| {
        let mut command = drivers::node("drivers-node/instrumented.mjs");
        command.arg(port.to_string()).arg(format!("http://{otlp}"));
        command
    }),
    ("pgjdbc", |port, otlp| {
        let mut command = drivers::java("Instrumented");
        command.arg(port.to_string()).arg(format!("http://{otlp}"));
        command
    }),
    ("otelpgx", |port, otlp| {
        let mut command = drivers::go("instrumented");
        command.arg(port.to_string()).arg(otlp.to_string());
        command
    }),
];

fn python(client: &str, port: u16, otlp: SocketAddr) -> Command {
    let mut command = drivers::python("instrumented.py");
    command.args([client, &port.to_string(), &format!("http://{otlp}")]);
    command
}

fn spans(batches: &[TracesData]) -> Vec<Span> {
    let resources = batches.iter().flat_map(|batch| &batch.resource_spans);
    let scopes = resources.flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| scope.spans.clone()).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn attributes(of: &[KeyValue]) -> BTreeMap<String, String> {
    let pairs = of.iter();
    pairs
        .map(|pair| (pair.key.clone(), text(pair.value.as_ref())))
        .collect()
}

/// What an application exports, as the Collector passes it on.
#[track_caller]
fn exported(server: &Postgres, command: fn(u16, SocketAddr) -> Command) -> Vec<TracesData> {
    let sink = OtlpSink::keeping();
    let collector = Collector::start(Build::Ours, &Pipeline::to(sink.address()));
    output_of(&mut command(server.port(), collector.otlp()));
    collector.stop();
    assert!(shows_the_card(&sink), "nothing to take out");
    sink.batches()
}

fn shows_the_card(sink: &OtlpSink) -> bool {
    let bodies = sink.bodies();
    let mut places = bodies.iter().flat_map(|body| body.windows(CARD.len()));
    places.any(|place| place == CARD)
}

/// A statement's span: its summary, the operation, and the text, or its beginning.
const STATEMENTS: &[(&str, &str, &str)] = &[
    (
        "create table payments",
        "CREATE TABLE",
        "create table if not exists payments (card text primary key)",
    ),
    (
        "delete payments",
        "DELETE",
        "delete from payments where card = ?",
    ),
    ("insert payments", "INSERT", "insert into payments values ("),
    (
        "select payments",
        "SELECT",
        "select card from payments where card = ?",
    ),
    ("insert payments", "INSERT", "insert into payments values ("),
];

/// Names from before the stable conventions.
const LEGACY: &[&str] = &["db.system", "db.statement", "db.name", "net.peer.name"];

type Statement<'a> = (&'a Span, BTreeMap<String, String>);

/// The spans with a query text under one of these names.
fn statements<'a>(spans: &'a [Span], names: &[&str]) -> Vec<Statement<'a>> {
    let with_attributes = spans
        .iter()
        .map(|span| (span, attributes(&span.attributes)));
    with_attributes
        .filter(|(_, attributes)| names.iter().any(|name| attributes.contains_key(*name)))
        .collect()
}

/// Holds the spans of one application against the conventions; their fingerprints.
#[track_caller]
fn follow_the_conventions(name: &str, before: &[Span], after: &[Span]) -> Vec<String> {
    let before = statements(before, &["db.query.text", "db.statement"]);
    let after = statements(after, &["db.query.text"]);
    assert_eq!(before.len(), STATEMENTS.len(), "{name}: {before:#?}");
    assert_eq!(after.len(), STATEMENTS.len(), "{name}: {after:#?}");
    let mut fingerprints = Vec::new();
    for (((span, found), (_, told)), statement) in after.iter().zip(&before).zip(STATEMENTS) {
        let (summary, operation, text) = statement;
        let shown = format!("{name}: {found:#?}");
        // What the library calls it, if it does.
        let told = |name: &str| told.get(name).map(String::as_str);
        let told = told("db.operation.name").or(told("db.operation"));
        let operation = told.unwrap_or(operation);
        assert_eq!(span.name, *summary, "{shown}");
        assert_eq!(found["db.query.summary"], *summary, "{shown}");
        assert_eq!(found["db.operation.name"], operation, "{shown}");
        assert_eq!(found["db.collection.name"], "payments", "{shown}");
        assert_eq!(found["db.system.name"], "postgresql", "{shown}");
        assert!(found["db.query.text"].starts_with(text), "{shown}");
        for legacy in LEGACY {
            assert!(!found.contains_key(*legacy), "{legacy} in {shown}");
        }
        fingerprints.push(found["pgmesh.fingerprint"].clone());
    }
    let (_, failed) = after.last().expect("there are some");
    assert_eq!(failed["db.response.status_code"], "23505", "{name}");
    assert_eq!(failed["error.type"], "23505", "{name}");
    fingerprints
}

#[test]
fn every_librarys_spans_follow_the_conventions_and_hold_no_data() {
    for version in Version::ALL {
        let server = Postgres::start(version);
        let mut fingerprints: Option<Vec<String>> = None;
        for (name, command) in CLIENTS {
            let batches = exported(&server, *command);
            let before = spans(&batches);
            for build in Build::all() {
                for mode in Mode::ALL {
                    let sink = OtlpSink::keeping();
                    let pipeline = Pipeline::to(sink.address())
                        .module(mode, json!({"traces": {"migrate": "replace"}}));
                    let collector = Collector::start(build, &pipeline);
                    for batch in &batches {
                        collector.send(batch).expect(name);
                    }
                    let after = spans(&sink.batches());
                    assert!(!shows_the_card(&sink), "{name}: {after:#?}");
                    assert_eq!(after.len(), before.len(), "{name}");
                    let told = follow_the_conventions(name, &before, &after);
                    // A placeholder's form is the library's; the statement is the same.
                    let expected = fingerprints.get_or_insert_with(|| told.clone());
                    assert_eq!(&told, expected, "{name}");
                }
            }
        }
    }
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value)),
        }),
        ..KeyValue::default()
    }
}

/// A batch of so many spans with a card number each.
fn planted(spans: usize) -> TracesData {
    let card = String::from_utf8_lossy(CARD);
    let span = |number| Span {
        name: format!("select {card}"),
        attributes: vec![
            attribute("db.system", "postgresql".to_owned()),
            attribute(
                "db.statement",
                format!("select {number} from t where c = '{card}'"),
            ),
        ],
        ..Span::default()
    };
    let scope = ScopeSpans {
        spans: (0..spans).map(span).collect(),
        ..ScopeSpans::default()
    };
    let resource = ResourceSpans {
        scope_spans: vec![scope],
        ..ResourceSpans::default()
    };
    TracesData {
        resource_spans: vec![resource],
    }
}

/// Each Collector in each mode, with the processor after what `before` puts there.
fn in_every_host(
    configuration: &Json,
    before: fn(Pipeline) -> Pipeline,
    check: fn(&Collector, &OtlpSink),
) {
    for build in Build::all() {
        for mode in Mode::ALL {
            let sink = OtlpSink::keeping();
            let pipeline = before(Pipeline::to(sink.address()));
            let pipeline = pipeline.module(mode, configuration.clone());
            check(&Collector::start(build, &pipeline), &sink);
        }
    }
}

#[test]
fn a_wrong_configuration_lets_nothing_pass_and_says_what_is_wrong() {
    let configuration = json!({"traces": {"migrate": "on"}});
    in_every_host(
        &configuration,
        |pipeline| pipeline,
        |collector, sink| {
            for _ in 0..2 {
                let refused = collector
                    .send(&planted(1))
                    .expect_err("there is no such value");
                assert!(refused.contains("traces.migrate"), "{refused}");
            }
            assert!(sink.bodies().is_empty());
        },
    );
}

#[test]
fn a_batch_of_megabytes_comes_out_whole_and_clean() {
    in_every_host(
        &json!({}),
        |pipeline| pipeline,
        |collector, sink| {
            let mut batch = planted(100);
            let resource = batch.resource_spans[0].resource.get_or_insert_default();
            // More than the module has room for at first.
            let large = attribute("process.command_line", "x".repeat(3 << 20));
            resource.attributes.push(large.clone());
            collector.send(&batch).expect("it is taken");
            let after = &sink.batches::<TracesData>()[0];
            let resource = after.resource_spans[0].resource.as_ref();
            assert_eq!(resource.expect("it is there").attributes, [large]);
            assert_eq!(spans(std::slice::from_ref(after)).len(), 100);
            assert!(!shows_the_card(sink));
        },
    );
}

#[test]
fn behind_the_batch_processor_many_applications_lose_nothing() {
    const APPLICATIONS: usize = 8;
    const BATCHES: usize = 20;
    const SPANS: usize = 25;
    let batches = |pipeline: Pipeline| pipeline.batches_of(500);
    in_every_host(&json!({}), batches, |collector, sink| {
        std::thread::scope(|scope| {
            for _ in 0..APPLICATIONS {
                scope.spawn(|| {
                    for _ in 0..BATCHES {
                        collector.send(&planted(SPANS)).expect("it is taken");
                    }
                });
            }
        });
        let arrived = || spans(&sink.batches()).len();
        let deadline = Instant::now() + LIMIT;
        while arrived() < APPLICATIONS * BATCHES * SPANS && Instant::now() < deadline {
            sleep(Duration::from_millis(50));
        }
        assert_eq!(arrived(), APPLICATIONS * BATCHES * SPANS);
        assert!(!shows_the_card(sink));
    });
}
