//! One statement, everywhere: what an application runs, and where in the stack it is found again, by its
//! fingerprint and by its trace.

use std::time::Duration;

use super::Stack;
use crate::drivers::{conninfo, python};
use crate::hosts::loki::Line;
use crate::hosts::postgres::output_of;
use crate::hosts::wait_for;

/// What `till.py` runs, as it is written there; its instrumentation adds a comment.
const SLOW: &str =
    "select pg_sleep(0.4), count(*) from payments where card = '4111-1111-1111-1111'";
const DENIED: &str = "drop table payments";

/// A statement, and what it is looked for by.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Without its comment, with its literals.
    pub text: &'static str,
    /// As every module writes it.
    pub fingerprint: String,
    /// 32 hex digits.
    pub trace: String,
    /// Which of Envoy's counters of top statements counts it.
    counter: &'static str,
    /// The same metric as the Collector has it from Envoy, with exemplars.
    exported: &'static str,
}

/// Where a statement was found.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Who has it, and by which way.
    pub place: &'static str,
    /// What the fingerprint finds there.
    pub by_fingerprint: Vec<String>,
    /// What the trace finds there; `None` where nothing is kept by trace.
    pub by_trace: Option<Vec<String>>,
}

/// Lines of Loki: by which way they came, their stream, and how each key is asked for.
type Way = (&'static str, &'static str, &'static str, &'static str);

const WAYS: [Way; 3] = [
    (
        "Loki, by Fluent Bit",
        r#"{job="postgres"}"#,
        "| fingerprint=\"KEY\"",
        "| trace_id=\"KEY\"",
    ),
    (
        "Loki, by the Collector",
        r#"{service_name="orders"}"#,
        "| pgmesh_fingerprint=\"KEY\"",
        "| trace_id=\"KEY\"",
    ),
    (
        "Loki, the query log of the metrics filter",
        r#"{job="envoy"} |= "\"pgmesh.event\":\"query\"""#,
        "|= \"KEY\"",
        "|= \"KEY\"",
    ),
];

/// Of what was denied.
const DENIAL: Way = (
    "Loki, the records of the policy filter",
    r#"{job="envoy"} |= "pgmesh.policy""#,
    "|= \"KEY\"",
    "|= \"KEY\"",
);

/// The fingerprint of a text.
#[must_use]
pub fn fingerprint(text: &str) -> String {
    pg_sql::fingerprint(text.as_bytes(), &pg_sql::LexerOptions::default()).to_string()
}

/// Runs the application through Envoy: a slow statement, and one that the policy denies.
#[track_caller]
pub fn run(stack: &Stack) -> [Statement; 2] {
    stack.primary.sql("create table payments (card text)");
    let mut till = python("till.py");
    till.arg(conninfo(stack.envoy.port(), "postgres"));
    let output = output_of(till.arg(format!("http://{}", stack.collector.otlp())));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut traces = printed.lines().map(str::to_owned);
    [
        (
            SLOW,
            "pgmesh_top_statement_calls_total",
            "pgmesh_statement_calls_total",
        ),
        (
            DENIED,
            "pgmesh_top_statement_errors_total",
            "pgmesh_statement_errors_total",
        ),
    ]
    .map(|(text, counter, exported)| Statement {
        text,
        fingerprint: fingerprint(text),
        trace: traces.next().expect("the id of a trace"),
        counter,
        exported,
    })
}

/// Looks for a statement in every store, and waits until it is there. Panics where it does not come.
#[track_caller]
pub fn look(stack: &Stack, statement: &Statement, limit: Duration) -> Vec<Sighting> {
    let denial = (statement.text == DENIED).then_some(&DENIAL);
    let ways = WAYS.iter().chain(denial);
    let in_loki = ways.map(|way| in_loki(stack, statement, way, limit));
    let mut found = vec![
        in_jaeger(stack, statement, "Jaeger, the application", "till", limit),
        in_jaeger(stack, statement, "Jaeger, Envoy", "orders-db", limit),
    ];
    found.extend(in_loki);
    found.push(counted_by_envoy(stack, statement, limit));
    found.push(with_an_exemplar(stack, statement, limit));
    found
}

/// Traces by the attribute, and the trace by its id, if a span of it has the attribute.
#[track_caller]
fn in_jaeger(
    stack: &Stack,
    statement: &Statement,
    place: &'static str,
    service: &str,
    limit: Duration,
) -> Sighting {
    const ATTRIBUTE: &str = "pgmesh.fingerprint";
    let Statement {
        fingerprint, trace, ..
    } = statement;
    let spans = stack.jaeger.trace(trace, 3, limit);
    let of_it = spans
        .iter()
        .any(|span| span.service == service && span.tags[ATTRIBUTE] == fingerprint.as_str());
    Sighting {
        place,
        by_fingerprint: stack.jaeger.traces_with(service, ATTRIBUTE, fingerprint),
        by_trace: Some(of_it.then(|| trace.clone()).into_iter().collect()),
    }
}

#[track_caller]
fn in_loki(stack: &Stack, statement: &Statement, way: &Way, limit: Duration) -> Sighting {
    let (place, stream, by_fingerprint, by_trace) = way;
    let ask = |by: &str, key: &str| -> Vec<String> {
        let query = format!("{stream} {}", by.replace("KEY", key));
        let lines = stack.loki.lines(&query, 1, limit).into_iter();
        lines.map(|Line { text, .. }| text).collect()
    };
    Sighting {
        place,
        by_fingerprint: ask(by_fingerprint, &statement.fingerprint),
        by_trace: Some(ask(by_trace, &statement.trace)),
    }
}

#[track_caller]
fn counted_by_envoy(stack: &Stack, statement: &Statement, limit: Duration) -> Sighting {
    let Statement {
        fingerprint,
        counter,
        ..
    } = statement;
    let query = format!("{counter}{{fingerprint=\"{fingerprint}\"}}");
    let series = stack.prometheus.query_until_it_gives(&query, limit);
    Sighting {
        place: "Prometheus, Envoy's counters",
        by_fingerprint: series
            .iter()
            .map(|series| format!("{counter} {}", series.value))
            .collect(),
        by_trace: None,
    }
}

/// The exemplar of the counter: it is found by the fingerprint, and leads to the trace.
#[track_caller]
fn with_an_exemplar(stack: &Stack, statement: &Statement, limit: Duration) -> Sighting {
    let query = format!(
        "{}{{pgmesh_fingerprint=\"{}\"}}",
        statement.exported, statement.fingerprint
    );
    let traces = wait_for(limit, || {
        std::thread::sleep(Duration::from_millis(500));
        let traces = stack.prometheus.exemplars(&query, "trace_id");
        (!traces.is_empty()).then_some(traces)
    });
    Sighting {
        place: "Prometheus, exemplars",
        by_fingerprint: traces.unwrap_or_else(|| panic!("no exemplar of {query}")),
        by_trace: Some(vec![statement.trace.clone()]),
    }
}

/// What `pg_stat_statements` has of the statement that is slow.
#[track_caller]
pub fn in_pg_stat_statements(stack: &Stack) -> String {
    let like = "select pg_sleep(%payments%";
    stack.primary.sql(&format!(
        "select query from pg_stat_statements where query like '{like}'"
    ))
}
