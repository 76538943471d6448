//! Secrets planted wherever a span or a log record about a statement can hold one: none comes out.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use proptest::prelude::*;
use prost::Message;

use crate::logs;
use crate::order::reversed;
use crate::otlp::{map, pair, processor, string, text};
use crate::traces::batch;

/// A number and a word that nobody may see.
const NUMBER: &str = "4111";
const WORD: &str = "hunter2";

pub(crate) const STATEMENT: &str = "SELECT a FROM t WHERE card = 4111 AND word = 'hunter2'";
/// What a client gives for a parameter.
const DATA: &str = "hunter2 4111";
/// What the server says, with data in it.
pub(crate) const MESSAGE: &str = "invalid input syntax for type integer: \"hunter2 4111\"";
/// What nobody knows, with data in it.
pub(crate) const UNKNOWN: &str = "card 4111 of hunter2 was refused";

pub(crate) fn integer(value: i64) -> AnyValue {
    AnyValue {
        value: Some(Value::IntValue(value)),
    }
}

fn bytes(value: &str) -> AnyValue {
    AnyValue {
        value: Some(Value::BytesValue(value.as_bytes().to_vec())),
    }
}

fn list(values: Vec<AnyValue>) -> AnyValue {
    AnyValue {
        value: Some(Value::ArrayValue(ArrayValue { values })),
    }
}

/// Lists in lists, so many deep.
pub(crate) fn nested(value: &str, depth: usize) -> AnyValue {
    (0..depth).fold(string(value), |inner, _| list(vec![inner]))
}

/// What a parameter looks like in OTLP.
fn parameters(key: &str) -> Vec<KeyValue> {
    vec![
        text(key, DATA),
        pair(key, integer(4111)),
        pair(key, list(vec![string(DATA), integer(4111)])),
        pair(key, map(vec![text(DATA, DATA)])),
        pair(key, bytes(DATA)),
    ]
}

/// Attributes that hold the secret, one at a time.
fn attributes() -> Vec<KeyValue> {
    let statements = [
        "db.statement",
        "db.query.text",
        "db.query.summary",
        "sql",
        "sql.query",
        "sql.text",
        "jdbc.query",
        "jdbc.query[0]",
        "r2dbc.query[0]",
        "db.raw_sql",
        "commandText",
        "app.sql",
        "postgresql.internal_query",
    ];
    let words = [
        ("db.operation.name", "SELECT /*4111 hunter2*/"),
        ("db.operation", "SELECT /*4111 hunter2*/"),
        ("db.sql.table", "t WHERE a = 4111 OR b = 'hunter2'"),
        ("db.collection.name", "t -- 4111 hunter2"),
        ("db.stored_procedure.name", "f(4111, 'hunter2')"),
        ("db.query.text", "\"SELECT 4111, 'hunter2'\""),
        ("db.response.status_code", UNKNOWN),
        ("error.type", "ERROR: invalid value \"hunter2\" for 4111"),
        ("exception.type", "card 4111 'hunter2'"),
        (
            "postgresql.query_plan",
            "Filter: ((card = 4111) AND (word = 'hunter2'::text))",
        ),
        (
            "postgresql.detail",
            "Key (card)=(4111 hunter2) already exists.",
        ),
        (
            "db.connection_string",
            "postgres://bob:hunter2@db/shop?x=4111",
        ),
        ("db.dsn", "host=db user=bob password=hunter2 dbname=4111"),
        (
            "app.datasource.url",
            "jdbc:postgresql://db/shop?user=bob&password=hunter2#4111",
        ),
        ("app.database.uri", "postgres://bob:hunter2@db/4111"),
        ("db.password", "hunter2 4111"),
        ("PGPASSWORD", "hunter2 4111"),
        ("db.userpassword", "hunter2 4111"),
        ("connectionString", "host=db password = 'hunter2 4111'"),
        (
            "target",
            "postgres://a:5432/s,postgres://bob:hunter2@b/4111",
        ),
        ("target", "postgres://bob:hunter2?4111@db/s"),
        ("payload", r#"{"db":{"password":"hunter2 4111"}}"#),
        // Of these names a statement is expected.
        ("command", "psql host=db password=hunter2 dbname=4111"),
        (
            "process.command_line",
            "psql postgresql://bob:hunter2@db/4111",
        ),
        ("db.query.summary", "postgresql://bob:hunter2@db/4111"),
        ("db.query.text", "postgresql://bob:hunter2@db/4111"),
        (
            "db.statement",
            "select failed: postgresql://bob:hunter2@db/4111",
        ),
        ("payload", "call refund('hunter2', 4111)"),
        ("payload", "do $$ hunter2 4111 $$"),
        ("payload", "SELECT\n'hunter2',\n4111"),
        ("payload", "set app.card = 'hunter2 4111'"),
        (
            "payload",
            "alter table t alter c set default 'hunter2 4111'",
        ),
        (
            "db.postgresql.where",
            "COPY t, line 1, column card: \"hunter2 4111\"",
        ),
        ("db.plan", "Seq Scan on t Filter: (card = 'hunter2 4111')"),
        // sqlx.
        ("summary", STATEMENT),
    ];
    let errors = [
        "error",
        "error.message",
        "error.msg",
        "error.stack",
        "error.details",
        "exception.message",
        "exception.stacktrace",
        "otel.status_description",
    ];
    let parameters_of = [
        "db.query.parameter.0",
        "db.query.parameter.card",
        "db.operation.parameter.card",
        "db.sql.args.1",
        "db.sql.args.1.value",
        "db.params",
        "db.bind_values",
        "db.bindvars",
        "sequelize.replacements",
        "db.postgresql.values",
        "pgx.query.parameters",
        "r2dbc.params[0]",
        "jdbc.params[0]",
        "jdbc.generated-keys",
        "sql.args",
        "sql.arg.0",
        "args",
        "queryParameters",
    ];
    let statements = statements.into_iter().flat_map(|key| {
        [
            text(key, STATEMENT),
            pair(key, list(vec![string(STATEMENT)])),
            pair(key, map(vec![text("q", STATEMENT)])),
            pair(key, bytes(STATEMENT)),
            pair(key, nested(STATEMENT, 40)),
        ]
    });
    // What node-postgres calls a query, and others like it.
    let query = || {
        vec![
            text("text", "INSERT INTO t VALUES ($1, $2)"),
            pair("values", list(vec![string(DATA), integer(4111)])),
        ]
    };
    let nested_in = [
        // Of names one text is expected.
        pair("db.name", map(vec![text("password", "hunter2 4111")])),
        pair(
            "server.address",
            list(vec![string("postgres://bob:hunter2@db/4111")]),
        ),
        pair("db.namespace", list(vec![string(STATEMENT)])),
        pair("sql", map(query())),
        pair("db.query.text", map(query())),
        pair("pg", map(query())),
        pair("pg", list(vec![map(vec![pair("q", map(query()))])])),
        pair("job", map(vec![text("sql", STATEMENT)])),
        pair("pg", map(vec![text("text", STATEMENT)])),
        pair("pg", list(vec![string(STATEMENT)])),
        pair(
            "job",
            map(vec![text("dsn", "postgres://bob:hunter2@db/4111")]),
        ),
        pair("db.query.text", map(vec![pair(STATEMENT, integer(1))])),
        pair(
            "db.query.text",
            list(vec![
                string("INSERT INTO t VALUES ($1, $2)"),
                string("hunter2"),
                integer(4111),
            ]),
        ),
        pair("db.query.text", integer(4111)),
        pair(
            "error.details",
            map(vec![text("owner", "hunter2"), pair("card", integer(4111))]),
        ),
        text(
            "db.query.text",
            r#"{"text":"INSERT INTO t VALUES ($1)","values":["hunter2",4111]}"#,
        ),
        text("db.statement", r#"[ "SELECT $1", "hunter2 4111" ]"#),
    ];
    let words = words.into_iter().map(|(key, value)| text(key, value));
    let errors = errors
        .into_iter()
        .flat_map(|key| [MESSAGE, UNKNOWN, STATEMENT].map(|value| text(key, value)));
    let parameters = parameters_of.into_iter().flat_map(parameters);
    statements
        .chain(words)
        .chain(errors)
        .chain(parameters)
        .chain(nested_in)
        .collect()
}

/// Stack traces with lines that look like frames and types of errors.
pub(crate) const STACKS: [&str; 4] = [
    "hunter2Error: 4111\n    at 4111-1111-1111-1111:1\n    at hunter2 (4111:1)\n",
    "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    run('hunter2', 4111)\npsycopg.errors.X: 4111 hunter2\nDETAIL: hunter2\n",
    "org.postgresql.util.PSQLException: ERROR: hunter2 4111\n  Detail: 4111\n\tat a.b(C.java:1)\nCaused by: x: hunter2\n",
    "sqlalchemy.exc.DataError: (psycopg.errors.X) hunter2\n[SQL: INSERT INTO t VALUES (4111)]\n[parameters: ('hunter2',)]\n",
];

fn events() -> Vec<Event> {
    let named = |name: &str, attributes| Event {
        name: name.to_owned(),
        attributes,
        ..Event::default()
    };
    let names = [
        "INSERT INTO t VALUES (4111, 'hunter2')",
        "connect postgres://bob:hunter2@db/4111",
    ];
    let names = names.map(|name| named(name, vec![]));
    let own = attributes()
        .into_iter()
        .map(|one| named("query", vec![one]));
    let stacks = STACKS
        .into_iter()
        .map(|stack| named("exception", vec![text("exception.stacktrace", stack)]));
    own.chain(stacks).chain(names).collect()
}

/// A span with the secret in one place.
pub(crate) fn spans() -> Vec<Span> {
    let with = |change: &dyn Fn(&mut Span)| {
        let mut span = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            name: "q".to_owned(),
            attributes: vec![text("db.system", "postgresql")],
            ..Span::default()
        };
        change(&mut span);
        span
    };
    let mut spans = vec![
        with(&|span| STATEMENT.clone_into(&mut span.name)),
        with(&|span| "SELECT 4111, 'hunter2' FROM".clone_into(&mut span.name)),
        with(&|span| "connect postgres://bob:hunter2@db/4111".clone_into(&mut span.name)),
    ];
    for message in [MESSAGE, UNKNOWN, STATEMENT, STACKS[3]] {
        spans.push(with(&|span| {
            span.status = Some(Status {
                message: message.to_owned(),
                code: 2,
            });
        }));
    }
    for attribute in attributes() {
        spans.push(with(&|span| span.attributes.push(attribute.clone())));
        spans.push(with(&|span| span.attributes.insert(0, attribute.clone())));
        spans.push(with(&|span| {
            span.links.push(Link {
                attributes: vec![attribute.clone()],
                ..Link::default()
            });
        }));
        // A part of the span that cannot be read, beside one that can.
        spans.push(with(&|span| {
            span.attributes.push(attribute.clone());
            let deep = nested("x", 40);
            span.attributes.push(pair("db.query.text", deep));
        }));
    }
    for event in events() {
        spans.push(with(&|span| span.events.push(event.clone())));
    }
    spans
}

/// A log record with the secret in one place.
pub(crate) fn records() -> Vec<LogRecord> {
    let about = |attributes: Vec<KeyValue>, body: Option<AnyValue>| LogRecord {
        attributes: [vec![text("db.system.name", "postgresql")], attributes].concat(),
        body,
        ..LogRecord::default()
    };
    let mut records: Vec<_> = attributes()
        .into_iter()
        .map(|attribute| about(vec![attribute], Some(string("executed"))))
        .collect();
    let bodies = [
        map(vec![
            text("sql", "INSERT INTO t VALUES ($1, $2)"),
            pair("params", list(vec![string("hunter2"), integer(4111)])),
        ]),
        list(vec![map(vec![
            text("msg", "refused"),
            pair("args", list(vec![string("hunter2"), integer(4111)])),
        ])]),
        string(r#"{"sql":"INSERT INTO t VALUES ($1)","params":["hunter2",4111]}"#),
        list(vec![
            string("INSERT INTO t VALUES ($1, $2)"),
            string("hunter2"),
            integer(4111),
        ]),
        string("connecting to host=db user=bob password=hunter2 dbname=4111"),
        string("select server postgres://bob:hunter2@db/4111"),
        string(
            "(psycopg.errors.UniqueViolation) hunter2\n[SQL: INSERT INTO t VALUES (%s)]\n[parameters: (4111,)]",
        ),
        string("insert failed: ERROR: card hunter2 4111 is refused (SQLSTATE P0001)"),
        string(STATEMENT),
        string(&format!("Executing: {STATEMENT}")),
        string(&format!("slow query ({STATEMENT}) took 3 ms")),
        map(vec![text("sql", STATEMENT)]),
        list(vec![string(STATEMENT)]),
        bytes(STATEMENT),
        nested(STATEMENT, 40),
    ];
    for body in bodies {
        records.push(about(vec![], Some(body.clone())));
        records.push(about(vec![text("db.query.text", STATEMENT)], Some(body)));
    }
    records.push(LogRecord {
        event_name: STATEMENT.to_owned(),
        ..about(vec![], None)
    });
    records
}

const CONFIGS: [&str; 6] = [
    r#"{"traces":{"query_attributes":["app.sql"]}}"#,
    r#"{"traces":{"query_attributes":["app.sql"],"migrate":"duplicate","comments":"promote"}}"#,
    r#"{"traces":{"query_attributes":["app.sql"],"migrate":"replace","comments":"sqlcommenter"}}"#,
    r#"{"traces":{"query_attributes":["app.sql"],"exceptions":"drop","keep_alive":"mark"}}"#,
    r#"{"traces":{"query_attributes":["app.sql"],"span_names":false,"names_from_text":false}}"#,
    r#"{"traces":{"query_attributes":["app.sql"],"keep_alive":"drop"}}"#,
];

/// Neither the number nor the word is in what came out; `what` went in.
#[track_caller]
pub(crate) fn assert_clean(out: &[u8], what: &dyn std::fmt::Debug) {
    let shown = String::from_utf8_lossy(out);
    for secret in [NUMBER, WORD] {
        assert!(!shown.contains(secret), "{secret} of {what:?} in {shown}");
    }
}

#[test]
fn no_place_of_a_span_shows_the_data() {
    for config in CONFIGS {
        let mut processor = processor(config);
        for span in spans() {
            let whole = batch(vec![span.clone()]).encode_to_vec();
            for bytes in [reversed(&whole, 8), whole] {
                let out = processor.process_traces(&bytes).expect("OTLP");
                assert_clean(&out, &span);
            }
        }
    }
}

#[test]
fn no_place_of_a_record_about_a_statement_shows_the_data() {
    for config in CONFIGS {
        let mut processor = processor(config);
        for record in records() {
            let whole = logs::batch(vec![record.clone()]).encode_to_vec();
            for bytes in [reversed(&whole, 8), whole] {
                let out = processor.process_logs(&bytes).expect("OTLP");
                assert_clean(&out, &record);
            }
        }
    }
}

/// What all spans have in common may stand around them.
#[test]
fn what_names_postgresql_around_a_span_is_believed_and_shows_no_data() {
    let system = || text("db.system.name", "postgresql");
    let secret = || text("db.connection_string", "postgres://bob:hunter2@db/4111");
    let spans = || {
        let mut spans = spans();
        for span in &mut spans {
            span.attributes.retain(|pair| pair.key != "db.system");
        }
        spans
    };
    let stated = |mut span: Span| {
        // An attribute of a database's tells it from a request's.
        span.attributes.push(text("db.namespace", "shop"));
        span
    };
    for span in spans().into_iter().map(stated) {
        let mut by_resource = batch(vec![span.clone()]);
        let resource = by_resource.resource_spans[0].resource.as_mut();
        let attributes = &mut resource.expect("a resource").attributes;
        attributes.extend([system(), secret()]);
        let mut by_scope = batch(vec![span.clone()]);
        let scope = by_scope.resource_spans[0].scope_spans[0].scope.as_mut();
        let attributes = &mut scope.expect("a scope").attributes;
        attributes.extend([secret(), system()]);
        for whole in [by_resource, by_scope].map(|batch| batch.encode_to_vec()) {
            for bytes in [reversed(&whole, 8), whole] {
                let mut processor = processor(CONFIGS[0]);
                let out = processor.process_traces(&bytes).expect("OTLP");
                assert_clean(&out, &span);
            }
        }
    }
    // A request's span, or another database's, is none of PostgreSQL's for that.
    for attributes in [
        vec![text("http.route", "/pay"), text("args", "kept")],
        vec![
            text("db.system", "mysql"),
            text("db.statement", "SELECT 'kept'"),
        ],
    ] {
        let mut other = batch(vec![Span {
            attributes,
            ..Span::default()
        }]);
        let resource = other.resource_spans[0].resource.as_mut();
        resource.expect("a resource").attributes.push(system());
        let bytes = other.encode_to_vec();
        let mut processor = processor("");
        assert_eq!(*processor.process_traces(&bytes).expect("OTLP"), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Several places at once, in any order.
    #[test]
    fn no_mixture_shows_the_data(
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        config in prop::sample::select(CONFIGS.to_vec()),
        backwards: bool,
    ) {
        let (spans, records) = (spans(), records());
        let chosen_spans = chosen.iter().map(|index| index.get(&spans).clone()).collect();
        let mut mixed = Span::default();
        for index in &chosen {
            let span = index.get(&spans);
            mixed.name.clone_from(&span.name);
            mixed.attributes.extend(span.attributes.iter().cloned());
            mixed.events.extend(span.events.iter().cloned());
            mixed.links.extend(span.links.iter().cloned());
            mixed.status = mixed.status.or(span.status.clone());
        }
        let order = |bytes: Vec<u8>| if backwards { reversed(&bytes, 8) } else { bytes };
        let mut processor = processor(config);
        for batch in [batch(chosen_spans), batch(vec![mixed])] {
            let out = processor.process_traces(&order(batch.encode_to_vec())).expect("OTLP").into_owned();
            assert_clean(&out, &batch);
        }
        let chosen = chosen.iter().map(|index| index.get(&records).clone()).collect();
        let batch = logs::batch(chosen);
        let out = processor.process_logs(&order(batch.encode_to_vec())).expect("OTLP").into_owned();
        assert_clean(&out, &batch);
    }
}
