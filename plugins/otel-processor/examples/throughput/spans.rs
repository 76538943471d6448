//! Spans as applications send them, for the figures of `make bench`.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;

/// Spans in a batch: what the Collector's batch processor makes by default.
pub(crate) const SPANS: usize = 8192;

/// What applications send: an ORM's text is the same each time, another has its values in it.
const STATEMENTS: [&str; 6] = [
    "SELECT id, name, email, created_at FROM customers WHERE id = $1",
    "SELECT o.id, o.total FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.email = 'user{}@example.com' ORDER BY o.id DESC LIMIT 20",
    "INSERT INTO order_lines (order_id, sku, quantity, price) VALUES ($1, $2, $3, $4) RETURNING id",
    "UPDATE accounts SET balance = balance - {}.50, updated_at = now() WHERE id = {} AND balance > 0",
    "SELECT count(*) FROM events WHERE kind = ANY($1) AND at > now() - interval '{} minutes'",
    "DELETE FROM sessions WHERE token = 'tok_{}' /* card 4111-1111-1111-1111 */",
];

fn text(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value)),
        }),
        ..KeyValue::default()
    }
}

fn span(number: usize, name: &str, kind: SpanKind, attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: (number as u128 + 1).to_be_bytes().to_vec(),
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        name: name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: 1_767_000_000_000_000_000 + number as u64,
        end_time_unix_nano: 1_767_000_000_001_000_000 + number as u64,
        attributes,
        ..Span::default()
    }
}

/// A span of PostgreSQL's, as older instrumentations make it.
pub(crate) fn of_postgres(number: usize) -> Span {
    let statement = STATEMENTS.get(number % STATEMENTS.len()).copied();
    let statement = statement
        .unwrap_or_default()
        .replace("{}", &number.to_string());
    let attributes = vec![
        text("db.system", "postgresql".to_owned()),
        text("db.name", "shop".to_owned()),
        text("db.user", "shop_app".to_owned()),
        text("db.statement", statement),
        text("net.peer.name", "postgres.shop.svc".to_owned()),
        text("thread.name", format!("worker-{}", number % 16)),
    ];
    span(number, "shop", SpanKind::Client, attributes)
}

/// A span of a web server.
pub(crate) fn of_http(number: usize) -> Span {
    let attributes = vec![
        text("http.request.method", "GET".to_owned()),
        text("http.route", "/orders/{id}".to_owned()),
        text("url.path", format!("/orders/{number}")),
        text("server.address", "shop.example.com".to_owned()),
        text(
            "user_agent.original",
            "Mozilla/5.0 (X11; Linux x86_64)".to_owned(),
        ),
        text("thread.name", format!("worker-{}", number % 16)),
    ];
    span(number, "GET /orders/{id}", SpanKind::Server, attributes)
}

/// A `TracesData` of one scope.
pub(crate) fn batch(spans: Vec<Span>) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: "io.opentelemetry.jdbc".to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans {
        scope: Some(scope),
        spans,
        ..ScopeSpans::default()
    };
    let resource = ResourceSpans {
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    TracesData {
        resource_spans: vec![resource],
    }
    .encode_to_vec()
}

/// A batch in which one span in `one_in` is PostgreSQL's.
pub(crate) fn batch_with(one_in: usize, first: usize) -> Vec<u8> {
    let spans = (first..first + SPANS).map(|number| match number % one_in {
        0 => of_postgres(number / one_in),
        _ => of_http(number),
    });
    batch(spans.collect())
}
