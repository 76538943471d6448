//! Fields that no version of OTLP has yet, in every message of a batch: each comes out again, where its
//! message does.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Histogram, HistogramDataPoint, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use otlp_wire::{Message as Wire, Writer};
use prost::Message;

use crate::otlp::{processor, string, text};
use crate::{logs, metrics, traces};

/// In no version of OTLP.
const UNKNOWN: u32 = 1000;

/// How the marks begin.
const MARK: &str = "mark-";

/// What messages there are in one of these, by the path of field numbers to each.
type Paths = &'static [&'static [u32]];

const TRACES: Paths = &[
    &[],
    &[1],
    &[1, 1],
    &[1, 1, 1],
    &[1, 2],
    &[1, 2, 1],
    &[1, 2, 1, 3],
    &[1, 2, 1, 3, 2],
    &[1, 2, 2],
    &[1, 2, 2, 9],
    &[1, 2, 2, 9, 2],
    &[1, 2, 2, 11],
    &[1, 2, 2, 11, 3],
    &[1, 2, 2, 11, 3, 2],
    &[1, 2, 2, 13],
    &[1, 2, 2, 13, 4],
    &[1, 2, 2, 13, 4, 2],
    &[1, 2, 2, 15],
];

const LOGS: Paths = &[
    &[],
    &[1],
    &[1, 1],
    &[1, 1, 1],
    &[1, 2],
    &[1, 2, 1],
    &[1, 2, 1, 3],
    &[1, 2, 1, 3, 2],
    &[1, 2, 2],
    &[1, 2, 2, 5],
    &[1, 2, 2, 6],
    &[1, 2, 2, 6, 2],
];

const METRICS: Paths = &[
    &[],
    &[1],
    &[1, 1],
    &[1, 1, 1],
    &[1, 2],
    &[1, 2, 2],
    &[1, 2, 2, 5],
    &[1, 2, 2, 5, 1],
    &[1, 2, 2, 5, 1, 5],
    &[1, 2, 2, 5, 1, 7],
    &[1, 2, 2, 5, 1, 7, 2],
    &[1, 2, 2, 9],
    &[1, 2, 2, 9, 1],
    &[1, 2, 2, 9, 1, 8],
    &[1, 2, 2, 9, 1, 8, 7],
    &[1, 2, 2, 9, 1, 8, 7, 2],
    &[1, 2, 2, 9, 1, 9],
    &[1, 2, 2, 9, 1, 9, 2],
    &[1, 2, 2, 11],
    &[1, 2, 2, 11, 1],
    &[1, 2, 2, 11, 1, 7],
    &[1, 2, 2, 11, 1, 7, 2],
];

/// The message with a mark of its own in each of these, at its beginning or its end.
fn marked(
    message: &[u8],
    paths: Paths,
    path: &mut Vec<u32>,
    first: bool,
    count: &mut u32,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut new = Writer::new(&mut out);
    let number = *count;
    let mark = |new: &mut Writer<'_>| new.text(UNKNOWN, &format!("{MARK}{number:04}"));
    *count += 1;
    if first {
        mark(&mut new);
    }
    for field in Wire::new(message).fields() {
        let field = field.expect("a field");
        path.push(field.number);
        match field.bytes() {
            Ok(inner) if paths.contains(&path.as_slice()) => {
                new.bytes(field.number, &marked(inner, paths, path, first, count));
            }
            _ => new.field(&field),
        }
        path.pop();
    }
    if !first {
        mark(&mut new);
    }
    out
}

fn marks(bytes: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let parts = text.split(MARK).skip(1);
    parts.map(|part| part.chars().take(4).collect()).collect()
}

#[track_caller]
fn assert_all_survive(batch: &[u8], paths: Paths, process: impl Fn(&[u8]) -> Vec<u8>) {
    for first in [false, true] {
        let mut count = 0;
        let bytes = marked(batch, paths, &mut Vec::new(), first, &mut count);
        assert!(count as usize >= paths.len(), "a message of each kind");
        let out = process(&bytes);
        assert_ne!(out, bytes, "nothing has changed");
        let (before, after) = (marks(&bytes), marks(&out));
        assert_eq!(before.len(), count as usize);
        let lost: Vec<_> = before.difference(&after).collect();
        assert!(lost.is_empty(), "{lost:?} of {bytes:?}");
    }
}

const STATEMENT: &str = "SELECT a FROM t WHERE b = 'hunter2'";

#[test]
fn in_every_message_of_a_trace() {
    let attributes = || {
        vec![
            text("db.system", "postgresql"),
            text("db.statement", STATEMENT),
            text("http.route", "/pay"),
        ]
    };
    let span = Span {
        name: "q".to_owned(),
        attributes: attributes(),
        events: vec![Event {
            attributes: attributes(),
            ..Event::default()
        }],
        links: vec![Link {
            attributes: attributes(),
            ..Link::default()
        }],
        status: Some(Status {
            message: "card 4111 refused".to_owned(),
            code: 2,
        }),
        ..Span::default()
    };
    let mut batch = traces::batch(vec![span]);
    batch.resource_spans[0].scope_spans[0].scope = Some(InstrumentationScope {
        attributes: attributes(),
        ..InstrumentationScope::default()
    });
    for config in ["", r#"{"traces":{"migrate":"replace"}}"#] {
        assert_all_survive(&batch.encode_to_vec(), TRACES, |bytes| {
            let mut processor = processor(config);
            processor.process_traces(bytes).expect("OTLP").into_owned()
        });
    }
}

#[test]
fn in_every_message_of_a_log() {
    let described = LogRecord {
        attributes: vec![
            text("db.system.name", "postgresql"),
            text("db.query.text", STATEMENT),
        ],
        body: Some(string(STATEMENT)),
        ..LogRecord::default()
    };
    let entry = LogRecord {
        attributes: vec![text("k8s.container.name", "postgres")],
        ..logs::line(logs::OTHER)
    };
    let mut batch = logs::batch(vec![described, entry]);
    batch.resource_logs[0].scope_logs[0].scope = Some(InstrumentationScope {
        attributes: vec![text("db.query.text", STATEMENT)],
        ..InstrumentationScope::default()
    });
    assert_all_survive(&batch.encode_to_vec(), LOGS, |bytes| {
        let mut processor = processor("");
        processor.process_logs(bytes).expect("OTLP").into_owned()
    });
}

#[test]
fn in_every_message_of_metrics() {
    let label = || vec![text("query", STATEMENT)];
    let exemplars = || {
        vec![Exemplar {
            filtered_attributes: vec![text("db.query.text", STATEMENT)],
            ..Exemplar::default()
        }]
    };
    let mut point = metrics::point(&[("query", STATEMENT)], 1.0);
    point.exemplars = exemplars();
    let histogram = Data::Histogram(Histogram {
        data_points: vec![HistogramDataPoint {
            attributes: label(),
            exemplars: exemplars(),
            ..HistogramDataPoint::default()
        }],
        ..Histogram::default()
    });
    let summary = Data::Summary(Summary {
        data_points: vec![SummaryDataPoint {
            attributes: label(),
            ..SummaryDataPoint::default()
        }],
    });
    let batch = metrics::batch(vec![
        metrics::gauge("pg_stat_statements_calls", vec![point]),
        metrics::metric("pg_seconds", histogram),
        metrics::metric("pg_quantiles", summary),
    ]);
    assert_all_survive(&batch.encode_to_vec(), METRICS, |bytes| {
        let mut processor = processor("");
        processor.process_metrics(bytes).expect("OTLP").into_owned()
    });
}

/// A value whose kind nobody knows yet is a value of no kind to prost: it says nothing, and passes.
#[test]
fn a_value_of_a_kind_that_nobody_knows_passes() {
    let mut any = Vec::new();
    Writer::new(&mut any).text(UNKNOWN, "new");
    let mut attribute = Vec::new();
    let mut new = Writer::new(&mut attribute);
    new.text(1, "http.new");
    new.bytes(2, &any);
    let span = traces::span(
        "q",
        &[("db.system", "postgresql"), ("db.statement", STATEMENT)],
    );
    let mut bytes = span.encode_to_vec();
    Writer::new(&mut bytes).bytes(9, &attribute);
    let mut batch = Vec::new();
    Writer::new(&mut batch).message(1, |resource| {
        resource.message(2, |scope| scope.bytes(2, &bytes));
    });
    let mut processor = processor("");
    let out = processor.process_traces(&batch).expect("OTLP");
    let found = out.windows(attribute.len()).any(|part| part == attribute);
    assert!(found && !String::from_utf8_lossy(&out).contains("hunter2"));
}
