//! Whatever becomes of the collector, sessions through a real Envoy never wait for it, memory stays
//! bounded, and the counters account for every span.
//!
//! That nobody waits is shown by order, not by time: statements are answered while the collector has
//! a request and has answered none.

use std::net::SocketAddr;
use std::time::Duration;

use test_harness::fakes::otlp_sink::{Answer, OtlpSink};
use test_harness::fakes::postgres_server::SyntheticServer;
use test_harness::hosts::{Envoy, free_port, wait_for};
use test_harness::net::client::{Client, tags};
use test_harness::otlp::Request;

const LIMIT: Duration = Duration::from_secs(60);
/// Little room, so that it is full soon.
const QUEUE: f64 = 65_536.0;
/// `timeout_ms` is the time after which Envoy gives a request up.
const CONFIGURATION: &str = r#"{
  "traces": {"root_one_in": 1},
  "flush_interval_ms": 100,
  "export": {"cluster": "otel", "timeout_ms": 300, "interval_ms": 50, "batch_items": 50,
    "max_queue_bytes": 65536}
}"#;

struct Ground {
    envoy: Envoy,
    client: Client,
    statements: u64,
    // The connections end with it.
    _server: SyntheticServer,
}

impl Ground {
    fn new(collector: SocketAddr) -> Self {
        let server = SyntheticServer::start();
        let envoy = Envoy::in_front_of(server.address())
            .module("envoy-metrics", CONFIGURATION)
            .cluster("otel", collector)
            .start();
        let address = SocketAddr::from(([127, 0, 0, 1], envoy.port()));
        Self {
            client: Client::session(address, "app"),
            envoy,
            statements: 0,
            _server: server,
        }
    }

    /// Runs statements one after the other; each is answered before the next is sent.
    fn run(&mut self, count: u64) {
        for n in 0..count {
            let text = format!("select column_{n} from orders where id = 1");
            assert_eq!(tags(&self.client.query(&text)), "TDCZ");
        }
        self.statements += count;
    }

    fn counter(&self, name: &str) -> f64 {
        let samples = self.envoy.scrape();
        samples.sum(&format!("pgmesh_export_{name}_total"), &[])
    }

    #[track_caller]
    fn wait_for_counter(&self, name: &str, enough: f64) {
        let found = wait_for(LIMIT, || (self.counter(name) >= enough).then_some(()));
        assert!(found.is_some(), "{name}: {}", self.counter(name));
    }

    /// Waits until every span is accounted for; `[sent, dropped, failed]`.
    #[track_caller]
    fn settle(&self) -> [f64; 3] {
        let counts = || ["sent", "dropped", "failed"].map(|name| self.counter(name));
        let all = self.statements as f64;
        let settled = wait_for(LIMIT, || {
            let counts = counts();
            (counts.iter().sum::<f64>() == all).then_some(counts)
        });
        settled.unwrap_or_else(|| panic!("{:?} of {all}", counts()))
    }

    /// Bytes that the filter says it holds.
    fn held(&self) -> f64 {
        self.envoy.scrape().sum("pgmesh_state_bytes", &[])
    }
}

fn spans(sink: &OtlpSink) -> usize {
    let requests = sink.received();
    let read = requests.iter().map(|request| Request::read(&request.body));
    read.map(|request| request.spans.len()).sum()
}

#[test]
fn a_collector_that_is_absent_costs_spans_and_nothing_else_and_may_come_later() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut ground = Ground::new(address);
    ground.run(200);
    ground.wait_for_counter("retried", 1.0);
    let before = ground.held();
    ground.run(2000);
    ground.wait_for_counter("dropped", 500.0);
    assert_eq!(ground.counter("sent"), 0.0);
    // Texts are bounded by themselves; there are as many as there were statements of one shape.
    let grown = ground.held() - before;
    assert!(grown <= 2.0 * QUEUE + 2_000_000.0, "{grown} bytes");
    let sink = OtlpSink::keeping_at(address);
    ground.wait_for_counter("sent", 1.0);
    ground.run(100);
    let [sent, dropped, failed] = ground.settle();
    assert_eq!((sent as usize, failed), (spans(&sink), 0.0));
    assert!(sent >= 100.0 && dropped >= 500.0, "{sent}, {dropped}");
}

#[test]
fn statements_are_answered_while_the_collector_answers_nothing() {
    let sink = OtlpSink::keeping();
    sink.answer(Answer::Hold);
    let mut ground = Ground::new(sink.address());
    ground.run(10);
    wait_for(LIMIT, || (!sink.received().is_empty()).then_some(())).expect("a request");
    ground.run(2000);
    assert_eq!(
        sink.answered(),
        0,
        "all were answered before the collector answered any"
    );
    assert_eq!(ground.counter("sent"), 0.0);
    ground.wait_for_counter("retried", 2.0);
    ground.wait_for_counter("dropped", 500.0);
    let connections = ground.envoy.stats("cluster.otel.upstream_rq_active");
    assert!(
        connections.contains(": 0") || connections.contains(": 1"),
        "{connections}"
    );
    sink.answer(Answer::Accept);
    ground.run(10);
    let [sent, _, failed] = ground.settle();
    assert!(sent >= 10.0 && failed == 0.0, "{sent}, {failed}");
}

#[test]
fn what_the_collector_refuses_for_good_is_counted_and_never_sent_again() {
    for status in [400, 401, 404, 413, 500, 501] {
        let sink = OtlpSink::keeping();
        sink.answer(Answer::Status(status, &[], b"no"));
        let mut ground = Ground::new(sink.address());
        // More than a batch, less than the queue holds while none is answered.
        ground.run(60);
        let [sent, dropped, failed] = ground.settle();
        assert_eq!((sent, dropped, failed), (0.0, 0.0, 60.0), "{status}");
        assert_eq!(ground.counter("retried"), 0.0, "{status}");
        assert_eq!(spans(&sink), 60, "{status}: each once");
    }
}

#[test]
fn what_may_be_sent_again_is_sent_again_until_it_is_taken() {
    let no_http = [Answer::Garbage, Answer::HangUp];
    let statuses = [429, 502, 503, 504].map(|status| Answer::Status(status, &[], b""));
    for answer in statuses.into_iter().chain(no_http) {
        let sink = OtlpSink::keeping();
        sink.answer(answer.clone());
        let mut ground = Ground::new(sink.address());
        ground.run(30);
        ground.wait_for_counter("retried", 2.0);
        assert_eq!(ground.counter("sent"), 0.0, "{answer:?}");
        sink.answer(Answer::Accept);
        assert_eq!(ground.settle(), [30.0, 0.0, 0.0], "{answer:?}");
        let bodies = sink.received();
        assert_eq!(
            bodies[0].body, bodies[1].body,
            "{answer:?}: the same once more"
        );
    }
}

#[test]
fn retry_after_is_the_pause() {
    let sink = OtlpSink::keeping();
    sink.answer(Answer::Status(429, &[("Retry-After", "3")], b""));
    let mut ground = Ground::new(sink.address());
    ground.run(5);
    let received = |count| {
        let found = || Some(sink.received()).filter(|all| all.len() >= count);
        wait_for(LIMIT, found).expect("requests")
    };
    received(1);
    sink.answer(Answer::Accept);
    let requests = received(2);
    let pause = requests[1].at - requests[0].at;
    assert!(pause >= Duration::from_millis(2900), "{pause:?}");
    assert_eq!(ground.settle(), [5.0, 0.0, 0.0]);
}

#[test]
fn a_partial_success_and_an_answer_of_nonsense_are_told_apart() {
    let sink = OtlpSink::keeping();
    // `ExportTraceServiceResponse { partial_success: { rejected_spans: 2, error_message: "no" } }`
    sink.answer(Answer::Status(200, &[], b"\x0a\x06\x08\x02\x12\x02no"));
    let mut ground = Ground::new(sink.address());
    ground.run(100);
    let [sent, _, failed] = ground.settle();
    // A request of one span cannot have had two rejected.
    let requests = sink.received();
    let spans = requests
        .iter()
        .map(|request| Request::read(&request.body).spans.len());
    let rejected = spans.map(|spans| spans.min(2)).sum::<usize>() as f64;
    assert!(rejected >= 2.0, "{rejected}");
    assert_eq!((sent, failed), (100.0 - rejected, rejected));
    sink.answer(Answer::Status(200, &[], b"<html>\xff\xff\xff\xff</html>"));
    ground.run(100);
    let [sent, _, failed] = ground.settle();
    assert_eq!((sent, failed), (200.0 - rejected, rejected));
}
