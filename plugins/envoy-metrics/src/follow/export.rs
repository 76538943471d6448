//! Hands batches of OTLP to a collector, over the host's HTTP callout.
//!
//! What is written goes into an open batch, that into a queue when it is full or a tick has come, and
//! from there one request at a time. A collector that is slow or gone costs memory up to the queue's
//! bound and then the oldest batches, never a statement's time. Requests are made on ticks and when
//! an answer has come, which is when the host's root context is in effect: a call made for a
//! connection would end with it.

use std::collections::{BTreeMap, VecDeque};

use otlp_wire::{Writer, rejected};
use proxy_host::{Buffer, Host, HttpCallId, HttpRequest, HttpResponse};

use crate::config::Export;

/// A batch is full at so many bytes, whatever the number of items.
const MAX_BATCH_BYTES: usize = 512 * 1024;
const NANOS_PER_MILLISECOND: u64 = 1_000_000;
/// The first pause after a failure, and the longest; it doubles in between.
const FIRST_PAUSE_MS: u64 = 500;
const LONGEST_PAUSE_MS: u64 = 30_000;
/// The longest `Retry-After` that is believed, in seconds.
const LONGEST_RETRY_AFTER: u64 = 300;
/// Bytes of an answer that are looked at.
const MAX_ANSWER: usize = 4096;

/// What is exported, and the number of its field in the request and in its scope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    /// `ExportTraceServiceRequest`
    Traces,
    /// `ExportLogsServiceRequest`
    Logs,
    /// `ExportMetricsServiceRequest`
    Metrics,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
        }
    }
}

/// Items of one kind, written one behind the other as `ScopeSpans.spans`, `ScopeLogs.log_records` or
/// `ScopeMetrics.metrics`; of metrics, each data point is an item.
#[derive(Debug)]
struct Batch {
    signal: Signal,
    items: u64,
    bytes: Vec<u8>,
}

/// Field number 2 of `ScopeSpans`, `ScopeLogs` and `ScopeMetrics`.
const ITEM: u32 = 2;

/// Counts, in items but for `retried`, which is in requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    /// Accepted by the collector.
    pub(crate) sent: u64,
    /// Never sent, since the queue was full.
    pub(crate) dropped: u64,
    /// Refused by the collector, whole requests and parts of them.
    pub(crate) failed: u64,
    /// Requests made once more.
    pub(crate) retried: u64,
}

/// One worker's way to the collector.
#[derive(Debug)]
pub(crate) struct Exporter {
    config: Export,
    authority: String,
    /// `Resource`, written once.
    resource: Vec<u8>,
    open: [Batch; 3],
    queue: VecDeque<Batch>,
    queued_bytes: usize,
    in_flight: Vec<(HttpCallId, Batch)>,
    /// No request before this time.
    not_before: u64,
    pause_ms: u64,
    counts: Counts,
}

impl Exporter {
    pub(crate) fn new(config: Export, resource: &BTreeMap<String, String>) -> Self {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        for (key, value) in resource {
            writer.text_attribute(1, key, value);
        }
        let open = |signal| Batch {
            signal,
            items: 0,
            bytes: Vec::new(),
        };
        Self {
            authority: config.authority.clone().unwrap_or(config.cluster.clone()),
            config,
            resource: bytes,
            open: Signal::ALL.map(open),
            queue: VecDeque::new(),
            queued_bytes: 0,
            in_flight: Vec::new(),
            not_before: 0,
            pause_ms: FIRST_PAUSE_MS,
            counts: Counts::default(),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let held = self.open.iter().map(|batch| batch.bytes.capacity());
        let sent = self.in_flight.iter().map(|(_, batch)| batch.bytes.len());
        held.chain(sent)
            .fold(self.queued_bytes, usize::saturating_add)
    }

    /// Adds a span or a log record, as `fill` writes it.
    pub(crate) fn add(&mut self, signal: Signal, fill: impl FnOnce(&mut Writer<'_>)) {
        self.add_many(signal, 1, fill);
    }

    /// Adds a metric of so many data points, as `fill` writes it.
    pub(crate) fn add_metric(&mut self, points: usize, fill: impl FnOnce(&mut Writer<'_>)) {
        self.add_many(Signal::Metrics, points as u64, fill);
    }

    fn add_many(&mut self, signal: Signal, items: u64, fill: impl FnOnce(&mut Writer<'_>)) {
        let Some(open) = self.open.iter_mut().find(|batch| batch.signal == signal) else {
            return;
        };
        Writer::new(&mut open.bytes).message(ITEM, fill);
        open.items = open.items.saturating_add(items);
        if open.items >= u64::from(self.config.batch_items) || open.bytes.len() >= MAX_BATCH_BYTES {
            self.seal(signal);
        }
    }

    /// Time has passed: what is open goes too.
    pub(crate) fn tick(&mut self, host: &impl Host, now: u64) {
        self.seal_all();
        self.send(host, now);
    }

    /// The worker ends: one attempt for what is left, whose answer nobody will hear.
    pub(crate) fn finish(&mut self, host: &impl Host) {
        self.seal_all();
        while let Some(batch) = self.take() {
            let _unheard = self.request(host, &batch);
        }
    }

    /// An answer has come, or word that there is none.
    pub(crate) fn answered(&mut self, host: &impl Host, response: &HttpResponse, now: u64) {
        let place = self
            .in_flight
            .iter()
            .position(|(id, _)| *id == response.call);
        let Some(place) = place else { return };
        let (_, batch) = self.in_flight.swap_remove(place);
        let status = host
            .with_response_header(":status", read_number)
            .ok()
            .flatten();
        match status {
            Some(200..=299) => {
                let size = response.body_size.min(MAX_ANSWER);
                let body = Buffer::HttpCallResponseBody;
                let rejected = match size {
                    0 => 0,
                    _ => host.with_buffer(body, 0, size, rejected).unwrap_or(0),
                };
                let rejected = rejected.min(batch.items);
                self.counts.failed = self.counts.failed.saturating_add(rejected);
                let sent = batch.items.saturating_sub(rejected);
                self.counts.sent = self.counts.sent.saturating_add(sent);
                self.pause_ms = FIRST_PAUSE_MS;
                self.not_before = 0;
            }
            // The ones that OTLP says may be sent again; no answer at all likewise.
            Some(429 | 502 | 503 | 504) | None => {
                let after = host.with_response_header("retry-after", read_number);
                self.put_back(batch, now, after.ok().flatten());
            }
            Some(_) => self.counts.failed = self.counts.failed.saturating_add(batch.items),
        }
        self.send(host, now);
    }

    fn seal_all(&mut self) {
        for signal in Signal::ALL {
            self.seal(signal);
        }
    }

    /// Closes the open batch of a signal and queues it, at the cost of the oldest if there is no room.
    fn seal(&mut self, signal: Signal) {
        let Some(open) = self.open.iter_mut().find(|batch| batch.signal == signal) else {
            return;
        };
        if open.items == 0 {
            return;
        }
        let batch = Batch {
            signal,
            items: std::mem::take(&mut open.items),
            bytes: std::mem::take(&mut open.bytes),
        };
        self.queued_bytes = self.queued_bytes.saturating_add(batch.bytes.len());
        self.queue.push_back(batch);
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.queued_bytes > self.config.max_queue_bytes as usize {
            let Some(oldest) = self.take() else { return };
            self.counts.dropped = self.counts.dropped.saturating_add(oldest.items);
        }
    }

    fn take(&mut self) -> Option<Batch> {
        let batch = self.queue.pop_front()?;
        self.queued_bytes = self.queued_bytes.saturating_sub(batch.bytes.len());
        Some(batch)
    }

    /// To the front of the queue, where it is the first to go, either way.
    fn put_back(&mut self, batch: Batch, now: u64, retry_after: Option<u64>) {
        let pause_ms = match retry_after {
            Some(seconds) => seconds.min(LONGEST_RETRY_AFTER).saturating_mul(1000),
            None => self.pause_ms,
        };
        self.pause_ms = self.pause_ms.saturating_mul(2).min(LONGEST_PAUSE_MS);
        self.not_before = now.saturating_add(pause_ms.saturating_mul(NANOS_PER_MILLISECOND));
        self.counts.retried = self.counts.retried.saturating_add(1);
        self.queued_bytes = self.queued_bytes.saturating_add(batch.bytes.len());
        self.queue.push_front(batch);
        self.make_room();
    }

    fn send(&mut self, host: &impl Host, now: u64) {
        // A clock that went backwards must not keep us waiting for what it said before.
        let longest = LONGEST_RETRY_AFTER.saturating_mul(1000 * NANOS_PER_MILLISECOND);
        if self.not_before.saturating_sub(now) > longest {
            self.not_before = now;
        }
        while now >= self.not_before && self.in_flight.len() < self.config.in_flight as usize {
            let Some(batch) = self.take() else { return };
            match self.request(host, &batch) {
                Some(call) => self.in_flight.push((call, batch)),
                None => self.put_back(batch, now, None),
            }
        }
    }

    fn request(&self, host: &impl Host, batch: &Batch) -> Option<HttpCallId> {
        let path = format!("{}{}", self.config.path_prefix, batch.signal.path());
        let mut headers = vec![
            (":method", "POST"),
            (":path", path.as_str()),
            (":authority", self.authority.as_str()),
            ("content-type", "application/x-protobuf"),
        ];
        let own = self.config.headers.iter();
        headers.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
        let body = self.body(batch);
        let request = HttpRequest {
            cluster: &self.config.cluster,
            headers: &headers,
            body: &body,
            timeout_ms: self.config.timeout_ms,
        };
        host.http_call(request).ok()
    }

    /// `ResourceSpans`, `ResourceLogs` and `ResourceMetrics` have the same numbers, and so have what
    /// is in them.
    fn body(&self, batch: &Batch) -> Vec<u8> {
        let room = self.resource.len().saturating_add(batch.bytes.len());
        let mut scope = Vec::with_capacity(room.saturating_add(64));
        Writer::new(&mut scope).message(1, |scope| {
            scope.text(1, "pgmesh");
            scope.text(2, env!("CARGO_PKG_VERSION"));
        });
        scope.extend_from_slice(&batch.bytes);
        let mut of_resource = Vec::with_capacity(room.saturating_add(64));
        let mut writer = Writer::new(&mut of_resource);
        writer.bytes(1, &self.resource);
        writer.bytes(2, &scope);
        drop(scope);
        let mut body = Vec::with_capacity(of_resource.len().saturating_add(8));
        Writer::new(&mut body).bytes(1, &of_resource);
        body
    }
}

fn read_number(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}
