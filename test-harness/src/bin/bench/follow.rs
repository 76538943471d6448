//! What following statements costs over the metrics alone: top statements, and traces at 1 % and at
//! 100 %, each in an Envoy of its own, with a collector that takes everything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::fakes::postgres_server::SyntheticServer;
use test_harness::hosts::{Envoy, Postgres, Version, wait_for};
use test_harness::net::client::Client;
use test_harness::top_statements;

use crate::Options;
use crate::load::{Variant, in_rounds, pgbench, pgbench_server, ratios};
use crate::report::{figure, median};

const TOP: &str = r#"{"top_statements": {"interval_s": 1}}"#;
const TRACES_1: &str = r#"{"traces": {"root_one_in": 100}, "export": {"cluster": "otel"}}"#;
const TRACES_100: &str = r#"{"traces": {"root_one_in": 1}, "export": {"cluster": "otel"}}"#;
const TOP_AND_TRACES: &str = r#"{"top_statements": {"interval_s": 1}, "traces": {"root_one_in": 1},
  "export": {"cluster": "otel"}}"#;

/// Name, configuration, and the bounds of its CPU ratio with prepared statements and with texts.
const VARIANTS: &[(&str, &str, &str, &str)] = &[
    ("metrics", "", "", ""),
    ("metrics again", "", "noise", "noise"),
    ("top statements", TOP, "<= 1.10", "<= 1.25"),
    ("traces at 1 %", TRACES_1, "<= 1.06", "<= 1.06"),
    ("traces at 100 %", TRACES_100, "<= 1.50", "<= 1.50"),
];

fn variants(server: &Postgres, sink: &OtlpSink) -> Vec<Variant> {
    let variant = |&(name, configuration, ..): &(&'static str, &str, &str, &str)| Variant {
        name,
        envoy: Envoy::in_front_of(server.address())
            .module("envoy-metrics", configuration)
            .cluster("otel", sink.address())
            .start(),
    };
    VARIANTS.iter().map(variant).collect()
}

/// CPU of Envoy per pgbench transaction over that of the metrics alone.
pub fn cpu_per_transaction(options: &Options) {
    let (server, sink) = (pgbench_server(), OtlpSink::start());
    let variants = variants(&server, &sink);
    for mode in ["prepared", "simple"] {
        let rounds = in_rounds(options.rounds, &variants, mode, |variant| {
            pgbench(&server, &variant.envoy, mode)
        });
        for (index, (name, _, prepared, simple)) in VARIANTS.iter().enumerate().skip(1) {
            let cpu = ratios(&rounds, index, |run| run.cpu_per_transaction);
            let bound = if mode == "prepared" { prepared } else { simple };
            let name = format!("{mode}: {name}: CPU ratio to metrics");
            figure(&name, median(&cpu), bound);
        }
    }
    if let Some(all) = variants.last() {
        let samples = all.envoy.scrape();
        let count = |what: &str| samples.sum(&format!("pgmesh_export_{what}_total"), &[]);
        figure("traces at 100 %: spans sent", count("sent"), "");
        figure("traces at 100 %: spans dropped", count("dropped"), "0");
    }
}

/// The span's fingerprint.
fn fingerprint(span: &Span) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|attribute| attribute.key == "pgmesh.fingerprint")?;
    match found.value.as_ref()?.value.as_ref()? {
        StringValue(fingerprint) => Some(fingerprint.clone()),
        _ => None,
    }
}

/// Total microseconds by fingerprint, as the spans tell.
fn totals_of_spans(sink: &OtlpSink) -> BTreeMap<String, f64> {
    let mut totals = BTreeMap::new();
    let batches = sink.batches::<TracesData>().into_iter();
    let resources = batches.flat_map(|batch| batch.resource_spans);
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    for span in scopes.flat_map(|scope| scope.spans) {
        let nanoseconds = span.end_time_unix_nano - span.start_time_unix_nano;
        if let Some(fingerprint) = fingerprint(&span) {
            *totals.entry(fingerprint).or_default() += nanoseconds as f64 / 1000.0;
        }
    }
    totals
}

/// What has become of the spans of so many statements, once all of them are accounted for.
fn figures_of_export(envoy: &Envoy, statements: usize) {
    let count = |what: &str| {
        let samples = envoy.scrape();
        samples.sum(&format!("pgmesh_export_{what}_total"), &[])
    };
    let lost = || count("dropped") + count("failed");
    let all = statements as f64;
    wait_for(Duration::from_secs(30), || {
        (count("sent") + lost() >= all).then_some(())
    });
    figure("spans sent", count("sent"), &statements.to_string());
    figure("spans dropped or failed", lost(), "0");
}

/// 20,000 statements a second, fifty to a Query, from a real server through one worker, each with a
/// span.
pub fn spans_at_full_rate(_: &Options) {
    const SECONDS: u32 = 10;
    const QUERIES: u32 = 400;
    const STATEMENTS: u32 = 50;
    let (server, sink) = (Postgres::start(Version::V18), OtlpSink::start());
    let envoy = Envoy::in_front_of(server.address())
        .module("envoy-metrics", TRACES_100)
        .cluster("otel", sink.address())
        .start();
    let mut client = Client::session(([127, 0, 0, 1], envoy.port()).into(), "postgres");
    let text = "select 1 as a;".repeat(STATEMENTS as usize);
    let start = Instant::now();
    for number in 1..=QUERIES * SECONDS {
        client.query(&text);
        let due = Duration::from_secs(1) * number / QUERIES;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    let all = QUERIES * SECONDS * STATEMENTS;
    let rate = f64::from(all) / start.elapsed().as_secs_f64();
    figure("statements a second", rate, "20000");
    figures_of_export(&envoy, all as usize);
}

/// Statements of 10,000 fingerprints by the law of Zipf: what the table of the top statements says
/// against the sum of all spans.
pub fn zipf(_: &Options) {
    const STATEMENTS: usize = 100_000;
    let (server, sink) = (SyntheticServer::start(), OtlpSink::keeping());
    let envoy = Envoy::in_front_of(server.address())
        .module("envoy-metrics", TOP_AND_TRACES)
        .cluster("otel", sink.address())
        .start();
    let mut client = Client::session(([127, 0, 0, 1], envoy.port()).into(), "app");
    for text in zipf_texts(10_000).take(STATEMENTS) {
        client.query(&text);
    }
    figures_of_export(&envoy, STATEMENTS);
    // By then a report has come that is of all statements.
    std::thread::sleep(Duration::from_secs(3));
    let (rows, _) = top_statements::last_report(&envoy.log()).expect("a report");
    let found = rows.iter().filter_map(|row| {
        let total = row["total_microseconds"].as_f64()?;
        Some((row["fingerprint"].as_str()?, total))
    });
    let found = found.collect::<BTreeMap<_, _>>();
    let truth = totals_of_spans(&sink);
    let mut order = truth.iter().collect::<Vec<_>>();
    order.sort_by(|one, other| other.1.total_cmp(one.1));
    let errors = order.iter().take(20).filter_map(|(fingerprint, total)| {
        Some((found.get(fingerprint.as_str())? - **total).abs() / **total)
    });
    let errors = errors.collect::<Vec<f64>>();
    figure("fingerprints that were run", truth.len() as f64, "");
    let kept = errors.len() as f64;
    figure("of the true top 20, in the table of 100", kept, "20");
    let worst = errors.into_iter().fold(0.0, f64::max);
    figure("largest error of their totals, %", worst * 100.0, "<= 2");
}

/// Texts of so many fingerprints without end: the k-th with a chance in proportion to 1/k.
fn zipf_texts(fingerprints: usize) -> impl Iterator<Item = String> {
    let mut ladder = Vec::with_capacity(fingerprints);
    let mut sum = 0.0;
    for k in 1..=fingerprints {
        sum += 1.0 / k as f64;
        ladder.push(sum);
    }
    let mut state: u64 = 42;
    std::iter::from_fn(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let at = (state >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        let k = ladder.partition_point(|step| *step < at);
        Some(format!("select a{k} from t where id = {state}"))
    })
}
