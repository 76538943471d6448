//! What a user can set for spans: each option by what it changes.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, TracesData};
use prost::Message;

use crate::order::reversed;
use crate::otlp::{SECRET, fingerprint, get, pair, processor, text};
use crate::traces::{batch, processed, span};

const STATEMENT: &str = "SELECT a FROM orders WHERE card = 'hunter2-4111'";
const REDACTED: &str = "SELECT a FROM orders WHERE card = ?";

fn described(config: &str, span: Span) -> Span {
    let whole = batch(vec![span]).encode_to_vec();
    let found = processed(config, &whole);
    // The Collector's order of fields makes no difference.
    let mut backwards = processed(config, &reversed(&whole, 8));
    let mut sorted = found.clone();
    for span in [&mut sorted, &mut backwards] {
        span.attributes
            .sort_by(|one, other| one.key.cmp(&other.key));
    }
    assert_eq!(backwards, sorted, "{config}");
    found
}

fn traces(options: &str) -> String {
    format!(r#"{{"traces":{{{options}}}}}"#)
}

/// A span with this text.
fn stated(statement: &str) -> Span {
    span(
        "q",
        &[("db.system", "postgresql"), ("db.statement", statement)],
    )
}

fn keys(attributes: &[KeyValue]) -> Vec<&str> {
    attributes.iter().map(|pair| pair.key.as_str()).collect()
}

fn int(attributes: &[KeyValue], key: &str) -> Option<i64> {
    let found = attributes.iter().find(|pair| pair.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::IntValue(number) => Some(*number),
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn nothing_changes_where_spans_are_not_looked_at() {
    let bytes = batch(vec![stated(STATEMENT)]).encode_to_vec();
    let mut processor = processor(&traces(r#""enabled":false"#));
    assert_eq!(*processor.process_traces(&bytes).expect("OTLP"), bytes);
}

#[test]
fn systems_say_whose_a_span_is() {
    let of = |system: &str| span("q", &[("db.system", system), ("db.statement", STATEMENT)]);
    for (config, system, ours) in [
        ("", "postgresql", true),
        ("", "PostgreSQL", true),
        ("", "postgres", true),
        ("", "cockroachdb", false),
        (r#""systems":["cockroachdb"]"#, "cockroachdb", true),
        (r#""systems":["cockroachdb"]"#, "postgresql", false),
    ] {
        let out = described(&traces(config), of(system));
        let text = if ours { REDACTED } else { STATEMENT };
        assert_eq!(
            get(&out.attributes, "db.statement"),
            Some(text),
            "{config} {system}"
        );
    }
}

fn in_scope(name: &str, span: Span) -> TracesData {
    let mut batch = batch(vec![span]);
    let scope = batch.resource_spans[0].scope_spans[0].scope.as_mut();
    name.clone_into(&mut scope.expect("a scope").name);
    batch
}

#[test]
fn scopes_of_postgresqls_libraries_are_known_and_others_can_be_named() {
    let unnamed = span("q", &[("db.statement", STATEMENT)]);
    for (scope, config, ours) in [
        ("opentelemetry.instrumentation.psycopg", "", true),
        ("Npgsql", "", true),
        ("github.com/exaring/otelpgx", "", true),
        ("my.library", "", false),
        ("my.library", r#""scopes":["my.library"]"#, true),
    ] {
        let whole = in_scope(scope, unnamed.clone()).encode_to_vec();
        // Some encoders name the scope behind its spans.
        for bytes in [reversed(&whole, 8), whole] {
            let out = processed(&traces(config), &bytes);
            let told = get(&out.attributes, "db.system.name");
            assert_eq!(told, ours.then_some("postgresql"), "{scope} {config}");
            let text = if ours { REDACTED } else { STATEMENT };
            assert_eq!(get(&out.attributes, "db.statement"), Some(text), "{scope}");
        }
    }
}

/// datasource-micrometer and r2dbc-proxy tell of statements, and of no system.
#[test]
fn signs_tell_a_statement_where_no_system_is_named() {
    for (query, parameters) in [
        ("jdbc.query[0]", "jdbc.params[0]"),
        ("r2dbc.query[0]", "r2dbc.params[0]"),
    ] {
        let proxied = span(
            "query",
            &[(query, STATEMENT), (parameters, "(hunter2-4111)")],
        );
        let out = described("", proxied.clone());
        assert_eq!(get(&out.attributes, query), Some(REDACTED));
        assert_eq!(get(&out.attributes, parameters), None);
        assert_eq!(get(&out.attributes, "db.system.name"), Some("postgresql"));
        assert_eq!(out.name, "SELECT orders");
        let out = described(&traces(r#""signs":[]"#), proxied.clone());
        assert_eq!(out, proxied);
        let mut of_another = proxied.clone();
        of_another.attributes.push(text("db.system", "mysql"));
        assert_eq!(described("", of_another.clone()), of_another);
    }
    let mine = span("q", &[("my.sql.0", STATEMENT)]);
    let out = described(
        &traces(r#""signs":["my.sql."],"query_attributes":["my.sql.0"]"#),
        mine,
    );
    assert_eq!(get(&out.attributes, "my.sql.0"), Some(REDACTED));
}

#[test]
fn old_names_stay_are_doubled_or_replaced() {
    let old = || {
        let mut old = span(
            "q",
            &[
                ("db.system", "postgresql"),
                ("db.name", "shop"),
                ("db.statement", STATEMENT),
                ("db.operation", "SELECT"),
                ("db.sql.table", "orders"),
                ("net.peer.name", "db"),
            ],
        );
        let port = AnyValue {
            value: Some(Value::IntValue(5432)),
        };
        old.attributes.push(pair("net.peer.port", port));
        old
    };
    let names = [
        ("db.system", "db.system.name", "postgresql"),
        ("db.name", "db.namespace", "shop"),
        ("db.statement", "db.query.text", REDACTED),
        ("db.operation", "db.operation.name", "SELECT"),
        ("db.sql.table", "db.collection.name", "orders"),
        ("net.peer.name", "server.address", "db"),
    ];
    let off = described("", old());
    let double = described(&traces(r#""migrate":"duplicate""#), old());
    let replaced = described(&traces(r#""migrate":"replace""#), old());
    for (old, new, value) in names {
        assert_eq!(get(&off.attributes, old), Some(value));
        // The conventions ask for the database whenever it is known.
        assert_eq!(
            get(&off.attributes, new),
            (new == "db.namespace").then_some(value)
        );
        assert_eq!(get(&double.attributes, old), Some(value));
        assert_eq!(get(&double.attributes, new), Some(value), "{new}");
        assert_eq!(get(&replaced.attributes, old), None, "{old}");
        assert_eq!(get(&replaced.attributes, new), Some(value), "{new}");
    }
    for (span, old, new) in [
        (&off, true, false),
        (&double, true, true),
        (&replaced, false, true),
    ] {
        assert_eq!(int(&span.attributes, "net.peer.port").is_some(), old);
        assert_eq!(int(&span.attributes, "server.port").is_some(), new);
    }
    // What has both names keeps the stable one's value.
    let mut both = old();
    both.attributes.push(text("db.namespace", "shop|public"));
    let out = described(&traces(r#""migrate":"replace""#), both);
    assert_eq!(get(&out.attributes, "db.namespace"), Some("shop|public"));
    assert_eq!(get(&out.attributes, "db.name"), None);
}

#[test]
fn names_of_spans_follow_the_conventions_or_stay() {
    let named = |attributes: &[(&str, &str)]| {
        let system = [("db.system.name", "postgresql")];
        span("query", &[&system, attributes].concat())
    };
    let text = ("db.query.text", STATEMENT);
    let operation = ("db.operation.name", "SELECT");
    let namespace = ("db.namespace", "shop");
    for (attributes, expected) in [
        (&[text][..], "SELECT orders"),
        (&[text, operation, namespace], "SELECT orders"),
        (
            &[operation, ("db.collection.name", "orders"), namespace],
            "SELECT orders",
        ),
        (
            &[
                ("db.operation.name", "CALL"),
                ("db.stored_procedure.name", "pay"),
            ],
            "CALL pay",
        ),
        (
            &[operation, namespace, ("server.address", "db")],
            "SELECT shop",
        ),
        (&[operation, ("server.address", "db")], "SELECT db"),
        (&[operation], "SELECT"),
        // A span that is of no statement, such as a pool's.
        (&[namespace], "query"),
        (&[], "query"),
    ] {
        assert_eq!(
            described("", named(attributes)).name,
            expected,
            "{attributes:?}"
        );
        let out = described(&traces(r#""span_names":false"#), named(attributes));
        assert_eq!(out.name, "query", "{attributes:?}");
    }
    for config in ["", r#""span_names":false"#] {
        let mut bare = named(&[namespace]);
        STATEMENT.clone_into(&mut bare.name);
        assert_eq!(described(&traces(config), bare).name, REDACTED);
        let mut bare = named(&[namespace]);
        "'hunter2-4111'".clone_into(&mut bare.name);
        assert_eq!(described(&traces(config), bare).name, "shop");
    }
    let mut bare = named(&[]);
    "4111".clone_into(&mut bare.name);
    assert_eq!(described("", bare).name, "postgresql");
}

#[test]
fn operation_and_table_are_taken_from_the_text_unless_told_otherwise() {
    let out = described("", stated(STATEMENT));
    assert_eq!(get(&out.attributes, "db.operation.name"), Some("SELECT"));
    assert_eq!(get(&out.attributes, "db.collection.name"), Some("orders"));
    let out = described(&traces(r#""names_from_text":false"#), stated(STATEMENT));
    assert_eq!(get(&out.attributes, "db.operation.name"), None);
    assert_eq!(get(&out.attributes, "db.collection.name"), None);
    assert_eq!(
        get(&out.attributes, "db.query.summary"),
        Some("SELECT orders")
    );
}

#[test]
fn a_batch_says_how_many_statements_it_has() {
    let out = described(
        "",
        stated("DELETE FROM a; DELETE FROM b; DELETE FROM a WHERE c = 1"),
    );
    assert_eq!(int(&out.attributes, "db.operation.batch.size"), Some(3));
    assert_eq!(get(&out.attributes, "db.operation.name"), Some("DELETE"));
    assert_eq!(get(&out.attributes, "db.collection.name"), None);
    let out = described("", stated(STATEMENT));
    assert_eq!(int(&out.attributes, "db.operation.batch.size"), None);
}

#[test]
fn comments_are_dropped_promoted_or_kept() {
    let comment = "/*action='pay',route='%2Fpay',secret='hunter2-4111'*/";
    let commented = || stated(&format!("SELECT a FROM orders {comment}"));
    let statement = |out: &Span| get(&out.attributes, "db.statement").map(str::to_owned);
    let tags = |out: &Span| {
        [
            "sqlcommenter.action",
            "sqlcommenter.route",
            "sqlcommenter.secret",
        ]
        .map(|key| get(&out.attributes, key).map(str::to_owned))
    };
    let none = [None, None, None];
    let fingerprint = fingerprint("SELECT a FROM orders");
    for (mode, text, expected) in [
        ("drop", "SELECT a FROM orders ".to_owned(), none.clone()),
        (
            "promote",
            "SELECT a FROM orders ".to_owned(),
            [Some("pay".to_owned()), Some("/pay".to_owned()), None],
        ),
        (
            "sqlcommenter",
            "SELECT a FROM orders /*action='pay',route='%2Fpay'*/".to_owned(),
            none.clone(),
        ),
        ("keep", format!("SELECT a FROM orders {comment}"), none),
    ] {
        let config = traces(&format!(r#""comments":"{mode}""#));
        let out = described(&config, commented());
        assert_eq!(statement(&out), Some(text), "{mode}");
        assert_eq!(tags(&out), expected, "{mode}");
        let found = get(&out.attributes, "pgmesh.fingerprint");
        assert_eq!(found, Some(fingerprint.as_str()), "{mode}");
    }
    // Each text has tags of its own, whatever was said of its shape before.
    let mut processor = processor(&traces(r#""comments":"promote""#));
    for (route, statement) in [
        ("x", "SELECT 1 FROM t"),
        ("y", "SELECT 2 FROM t"),
        ("z", "SELECT 2 FROM t"),
    ] {
        let bytes =
            batch(vec![stated(&format!("{statement} /*route='{route}'*/"))]).encode_to_vec();
        let out = processor.process_traces(&bytes).expect("OTLP");
        let out = TracesData::decode(&*out).expect("OTLP");
        let span = &out.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(get(&span.attributes, "sqlcommenter.route"), Some(route));
    }
}

#[test]
fn bind_values_that_are_named_stay() {
    let bound = || {
        span(
            "q",
            &[
                ("db.system", "postgresql"),
                ("db.query.parameter.id", "7"),
                ("db.query.parameter.card", SECRET),
                ("my.args.0", SECRET),
            ],
        )
    };
    let kept = |config: &str| {
        let out = described(&traces(config), bound());
        let kept = [
            "db.query.parameter.id",
            "db.query.parameter.card",
            "my.args.0",
        ];
        kept.map(|key| get(&out.attributes, key).is_some())
    };
    assert_eq!(kept(""), [false; 3]);
    assert_eq!(
        kept(r#""keep_parameters":["db.query.parameter.id"]"#),
        [true, false, false]
    );
    assert_eq!(
        kept(r#""keep_parameters":["db.query.parameter.*"]"#),
        [true, true, false]
    );
    assert_eq!(kept(r#""keep_parameters":["*"]"#), [true; 3]);
}

#[test]
fn texts_of_other_attributes_are_queries_if_they_are_named() {
    let with = || {
        span(
            "q",
            &[("db.system", "postgresql"), ("app.stored", STATEMENT)],
        )
    };
    let out = described("", with());
    assert_eq!(get(&out.attributes, "app.stored"), Some(REDACTED));
    assert_eq!(get(&out.attributes, "pgmesh.fingerprint"), None);
    let out = described(&traces(r#""query_attributes":["app.stored"]"#), with());
    assert_eq!(get(&out.attributes, "app.stored"), Some(REDACTED));
    assert_eq!(out.name, "SELECT orders");
    assert!(get(&out.attributes, "pgmesh.fingerprint").is_some());
}

const MESSAGE: &str = "duplicate key value violates unique constraint \"t_pkey\"\nDETAIL:  Key (a)=(hunter2-4111) already exists.";
const STACK: &str = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\npsycopg.errors.UniqueViolation: hunter2-4111\n";

fn failed() -> Span {
    let mut failed = stated("INSERT INTO t VALUES ($1)");
    failed.status = Some(Status {
        message: MESSAGE.to_owned(),
        code: 2,
    });
    failed.events = vec![Event {
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.type", "psycopg.errors.UniqueViolation"),
            text("exception.message", MESSAGE),
            text("exception.stacktrace", STACK),
        ],
        ..Event::default()
    }];
    failed
}

#[test]
fn exceptions_are_redacted_dropped_or_kept() {
    let said = MESSAGE.lines().next();
    let texts = |span: &Span| {
        let event = &span.events[0].attributes;
        let own = |key| get(event, key).map(str::to_owned);
        let status = span.status.as_ref().map(|status| status.message.clone());
        [
            status,
            own("exception.message"),
            own("exception.stacktrace"),
            own("exception.type"),
        ]
    };
    let out = described("", failed());
    let [status, message, stack, kind] = texts(&out);
    assert_eq!((status.as_deref(), message.as_deref()), (said, said));
    assert_eq!(stack, Some(STACK.replace(SECRET, "?")));
    assert_eq!(kind.as_deref(), Some("psycopg.errors.UniqueViolation"));
    let out = described(&traces(r#""exceptions":"drop""#), failed());
    assert_eq!(texts(&out)[..3], [Some(String::new()), None, None]);
    assert_eq!(
        texts(&out)[3].as_deref(),
        Some("psycopg.errors.UniqueViolation")
    );
    assert_eq!(out.status.map(|status| status.code), Some(2));
    let out = described(&traces(r#""exceptions":"keep""#), failed());
    let kept = [MESSAGE, MESSAGE, STACK].map(|text| Some(text.to_owned()));
    assert_eq!(texts(&out)[..3], kept);
    // Whatever is seen of them, they say the SQLSTATE.
    for config in ["", r#""exceptions":"drop""#, r#""exceptions":"keep""#] {
        let out = described(&traces(config), failed());
        for key in ["db.response.status_code", "error.type"] {
            assert_eq!(get(&out.attributes, key), Some("23505"), "{config}");
        }
    }
}

#[test]
fn an_error_without_a_sqlstate_has_the_exceptions_type() {
    let mut lost = stated("SELECT 1 FROM t");
    let event = |kind: &str| Event {
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.type", kind),
            text("exception.message", "lost"),
        ],
        ..Event::default()
    };
    lost.events = vec![event("psycopg.OperationalError"), event("other.Error")];
    let told = |span: &Span| get(&span.attributes, "error.type").map(str::to_owned);
    // "If and only if the operation failed."
    assert_eq!(told(&described("", lost.clone())), None);
    lost.status = Some(Status {
        code: 2,
        ..Status::default()
    });
    let out = described("", lost.clone());
    assert_eq!(told(&out).as_deref(), Some("psycopg.OperationalError"));
    assert_eq!(get(&out.attributes, "db.response.status_code"), None);
    lost.attributes.push(text("error.type", "timeout"));
    assert_eq!(
        told(&described("", lost.clone())).as_deref(),
        Some("timeout")
    );
    lost.attributes.pop();
    lost.attributes
        .push(text("error.type", "value 'hunter2-4111' of no class"));
    assert_eq!(
        told(&described("", lost.clone())).as_deref(),
        Some("_OTHER")
    );
    lost.attributes.pop();
    lost.events.clear();
    assert_eq!(
        told(&described("", lost.clone())).as_deref(),
        Some("_OTHER")
    );
    // What a library has taken for a number.
    let mut code = text("db.response.status_code", "");
    code.value = Some(AnyValue {
        value: Some(Value::IntValue(8006)),
    });
    lost.attributes.push(code);
    assert_eq!(told(&described("", lost)).as_deref(), Some("08006"));
}

#[test]
fn links_lose_their_data_too() {
    let mut linked = stated("SELECT 1 FROM t");
    linked.links = vec![Link {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        attributes: vec![
            text("db.statement", STATEMENT),
            text("db.query.parameter.0", SECRET),
            text("why", "batch"),
        ],
        ..Link::default()
    }];
    let out = described("", linked);
    let link = &out.links[0];
    assert_eq!((link.trace_id.len(), link.span_id.len()), (16, 8));
    assert_eq!(keys(&link.attributes), ["db.statement", "why"]);
    assert_eq!(get(&link.attributes, "db.statement"), Some(REDACTED));
}

fn with_ids(mut span: Span, id: u8, parent: u8) -> Span {
    span.span_id = vec![id; 8];
    span.parent_span_id = if parent == 0 {
        Vec::new()
    } else {
        vec![parent; 8]
    };
    span
}

#[test]
fn upkeep_is_kept_marked_or_dropped_and_no_child_is_orphaned() {
    let mut failing = with_ids(stated("SELECT 1"), 6, 1);
    failing.status = Some(Status {
        code: 2,
        ..Status::default()
    });
    let spans = || {
        vec![
            with_ids(span("GET /", &[]), 1, 0),
            with_ids(stated("SELECT 1"), 2, 1),
            with_ids(stated("BEGIN"), 3, 1),
            with_ids(stated("SELECT a FROM t"), 4, 3),
            with_ids(stated("SET x = 'y'"), 5, 1),
            failing.clone(),
            with_ids(stated("COMMIT"), 7, 1),
        ]
    };
    let run = |mode: &str| {
        let config = traces(&format!(r#""keep_alive":"{mode}""#));
        let whole = batch(spans()).encode_to_vec();
        let mut found = Vec::new();
        for bytes in [reversed(&whole, 8), whole] {
            let mut processor = processor(&config);
            let out = processor.process_traces(&bytes).expect("OTLP");
            let out = TracesData::decode(&*out).expect("OTLP");
            found.push(out.resource_spans[0].scope_spans[0].spans.clone());
        }
        let [backwards, spans] = found.try_into().expect("two");
        assert_eq!(backwards.len(), spans.len());
        spans
    };
    let ids = |spans: &[Span]| spans.iter().map(|span| span.span_id[0]).collect::<Vec<_>>();
    let marked = |spans: &[Span]| {
        let marked = spans
            .iter()
            .filter(|span| keys(&span.attributes).contains(&"pgmesh.keep_alive"));
        ids(&marked.cloned().collect::<Vec<_>>())
    };
    assert_eq!(marked(&run("keep")), [0; 0]);
    assert_eq!(ids(&run("keep")), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(marked(&run("mark")), [2, 3, 5, 6]);
    assert_eq!(ids(&run("mark")), [1, 2, 3, 4, 5, 6, 7]);
    let left = run("drop");
    // 3 has a child, 6 has failed, the time of 7 is the transaction's.
    assert_eq!(ids(&left), [1, 3, 4, 6, 7]);
    for span in &left {
        let parent = span.parent_span_id.first();
        assert!(
            parent.is_none_or(|parent| ids(&left).contains(parent)),
            "{span:?} is an orphan"
        );
    }
}

#[test]
fn upkeep_that_has_failed_is_not_dropped_whatever_tells_so() {
    let told = |attributes: Vec<KeyValue>, events: Vec<Event>| {
        let mut told = stated("SELECT 1");
        told.attributes.extend(attributes);
        told.events = events;
        told
    };
    let event = |name: &str| Event {
        name: name.to_owned(),
        ..Event::default()
    };
    let code = |code| vec![text("db.response.status_code", code)];
    for (span, stays) in [
        (told(code("57P01"), vec![]), true),
        (told(code("00000"), vec![]), false),
        (told(vec![text("exception.message", "lost")], vec![]), true),
        (told(vec![text("error.type", "timeout")], vec![]), true),
        (told(vec![], vec![event("exception")]), true),
        (told(vec![], vec![event("acquired")]), false),
    ] {
        let whole = batch(vec![span.clone()]).encode_to_vec();
        for bytes in [reversed(&whole, 8), whole] {
            let mut processor = processor(&traces(r#""keep_alive":"drop""#));
            let out = processor.process_traces(&bytes).expect("OTLP");
            let out = TracesData::decode(&*out).expect("OTLP");
            let left = &out.resource_spans[0].scope_spans[0].spans;
            assert_eq!(!left.is_empty(), stays, "{span:?}");
        }
    }
}
