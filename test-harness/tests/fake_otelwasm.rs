//! The built processor module in a fake otelwasm: what only a host that can be made to behave badly shows
//! of its calls. What becomes of spans is tested natively and in real Collectors.

use module_report::ModuleReport;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use test_harness::fakes::otelwasm::{Otelwasm, Signal};
use test_harness::hosts::places::built_module;

const CARD: &str = "4111-1111-1111-1111";
/// What the module makes room for at first.
const FIRST_ROOM: usize = 1 << 20;
const LARGEST: usize = 64 << 20;

fn load(plugin_config: &str) -> Otelwasm {
    Otelwasm::load(&built_module("otel-processor"), plugin_config)
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

/// A batch with this many of PostgreSQL's spans, each with a card number.
fn batch(spans: usize) -> Vec<u8> {
    let span = Span {
        name: "query".to_owned(),
        attributes: vec![
            attribute("db.system", "postgresql".to_owned()),
            attribute(
                "db.statement",
                format!("SELECT * FROM orders WHERE card = '{CARD}'"),
            ),
        ],
        ..Span::default()
    };
    let scope = ScopeSpans {
        spans: vec![span; spans],
        ..ScopeSpans::default()
    };
    let resource = ResourceSpans {
        scope_spans: vec![scope],
        ..ResourceSpans::default()
    };
    TracesData {
        resource_spans: vec![resource],
    }
    .encode_to_vec()
}

fn shows_the_card(bytes: &[u8]) -> bool {
    bytes
        .windows(CARD.len())
        .any(|place| place == CARD.as_bytes())
}

#[test]
fn the_module_asks_for_nothing_but_otelwasms_calls() {
    let report = ModuleReport::of_file(&built_module("otel-processor")).expect("it is built");
    assert!(report.size <= 700_000, "{} bytes", report.size);
    assert!(!report.imports.is_empty());
    for import in report.imports {
        assert!(import.starts_with("opentelemetry.io/wasm."), "{import}");
    }
}

#[test]
fn every_signal_is_taken_and_one_with_nothing_to_do_comes_back() {
    let mut host = load("null");
    assert_eq!(host.supported(), 1 | 2 | 4);
    // The field 1000 is in no version of OTLP.
    let unknown = [0xc2, 0x3e, 3, b'n', b'e', b'w'];
    for signal in Signal::ALL {
        assert_eq!(
            host.process(signal, &unknown),
            Ok(unknown.to_vec()),
            "{signal:?}"
        );
    }
}

#[test]
fn a_batch_larger_than_the_buffer_is_fetched_whole() {
    let mut host = load("{}");
    let small = host.process(Signal::Traces, &batch(1)).expect("it is OTLP");
    assert!(!shows_the_card(&small));
    assert_eq!(host.fetched(), 1);
    let large = batch(3 * FIRST_ROOM / batch(1).len());
    assert!(large.len() > 2 * FIRST_ROOM);
    let after = host.process(Signal::Traces, &large).expect("it is OTLP");
    assert_eq!(host.fetched(), 3, "1 MiB, 2 MiB, 4 MiB");
    assert!(!shows_the_card(&after));
    let (before, after) = (TracesData::decode(&*large), TracesData::decode(&*after));
    let spans = |batch: &TracesData| batch.resource_spans[0].scope_spans[0].spans.len();
    assert_eq!(spans(&after.expect("OTLP")), spans(&before.expect("OTLP")));
}

#[test]
fn what_cannot_be_fetched_fails_and_is_never_answered_with_an_empty_batch() {
    let mut host = load("{}");
    for bytes in [Vec::new(), vec![0; LARGEST + 1]] {
        let reason = host
            .process(Signal::Traces, &bytes)
            .expect_err("it is not there");
        assert!(reason.contains("empty, or larger than 64 MiB"), "{reason}");
    }
    host.process(Signal::Traces, &batch(1))
        .expect("the next one is");
}

#[test]
fn a_wrong_configuration_fails_every_batch_with_its_path() {
    let mut host = load(r#"{"traces":{"migrate":"on"}}"#);
    for signal in Signal::ALL {
        let reason = host
            .process(signal, &batch(1))
            .expect_err("there is no such value");
        assert!(reason.contains("traces.migrate"), "{reason}");
    }
}

#[test]
fn no_cut_or_damaged_batch_traps_or_stops_the_next_one() {
    let mut host = load("{}");
    let whole = batch(2);
    let expected = host.process(Signal::Traces, &whole);
    for end in 0..whole.len() {
        // Either is fine; a trap panics.
        host.process(Signal::Traces, &whole[..end]).ok();
    }
    for at in 0..whole.len() {
        for flipped in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= flipped;
            host.process(Signal::Traces, &damaged).ok();
        }
    }
    assert_eq!(host.process(Signal::Traces, &whole), expected);
    assert!(!shows_the_card(&expected.expect("it is OTLP")));
}

#[test]
fn memory_does_not_grow_with_the_number_of_batches() {
    let mut host = load("{}");
    let whole = batch(20);
    for _ in 0..200 {
        host.process(Signal::Traces, &whole).expect("it is OTLP");
    }
    let before = host.memory_bytes();
    for _ in 0..5_000 {
        host.process(Signal::Traces, &whole).expect("it is OTLP");
    }
    assert_eq!(host.memory_bytes(), before);
}
