//! Reads OTLP requests, so that tests see what a collector would: spans, log records, and the
//! resource they belong to. It reads protobuf itself, so that it is no copy of the writer.

use std::collections::BTreeMap;

/// Attributes, numbers as their digits.
pub type Attributes = BTreeMap<String, String>;

/// One request to `/v1/traces` or `/v1/logs`.
#[derive(Debug, Default)]
pub struct Request {
    /// Of the resource.
    pub resource: Attributes,
    /// Of the instrumentation scope.
    pub scope: String,
    /// Of a request for traces.
    pub spans: Vec<Span>,
    /// Of a request for logs.
    pub records: Vec<Record>,
}

/// A span; ids as hex digits.
#[derive(Debug, Default, Clone)]
pub struct Span {
    pub trace_id: String,
    pub span_id: String,
    /// Empty for a root.
    pub parent: String,
    pub name: String,
    /// 2 for SERVER, 3 for CLIENT.
    pub kind: u64,
    /// Nanoseconds since the epoch.
    pub start: u64,
    /// Nanoseconds since the epoch.
    pub end: u64,
    pub attributes: Attributes,
    /// Time, name, attributes.
    pub events: Vec<(u64, String, Attributes)>,
    /// The spans it is linked to.
    pub links: Vec<String>,
    /// Code and message; 2 is an error.
    pub status: (u64, String),
}

/// A log record.
#[derive(Debug, Default, Clone)]
pub struct Record {
    pub time: u64,
    pub severity: u64,
    pub event_name: String,
    pub trace_id: String,
    pub span_id: String,
    pub attributes: Attributes,
}

impl Request {
    /// Reads the body of a request. Panics where it is no OTLP.
    #[track_caller]
    pub fn read(body: &[u8]) -> Self {
        let mut request = Self::default();
        for (number, of_resource) in fields(body) {
            assert_eq!(number, 1, "resource_spans or resource_logs");
            for (number, value) in fields(of_resource.bytes()) {
                match number {
                    1 => request.resource = attributes(value.bytes(), 1),
                    2 => request.scope(value.bytes()),
                    other => panic!("field {other} of ResourceSpans or ResourceLogs"),
                }
            }
        }
        request
    }

    fn scope(&mut self, scope: &[u8]) {
        for (number, value) in fields(scope) {
            match number {
                1 => {
                    let name = fields(value.bytes()).find(|(number, _)| *number == 1);
                    self.scope = name.map_or_else(String::new, |(_, name)| text(name.bytes()));
                }
                // A span begins with its id, a record with its time.
                2 if value.bytes().first() == Some(&0x0a) => self.spans.push(span(value.bytes())),
                2 => self.records.push(record(value.bytes())),
                other => panic!("field {other} of ScopeSpans or ScopeLogs"),
            }
        }
    }
}

fn span(bytes: &[u8]) -> Span {
    let mut span = Span {
        attributes: attributes(bytes, 9),
        ..Span::default()
    };
    for (number, value) in fields(bytes) {
        match number {
            1 => span.trace_id = hex(value.bytes()),
            2 => span.span_id = hex(value.bytes()),
            4 => span.parent = hex(value.bytes()),
            5 => span.name = text(value.bytes()),
            6 => span.kind = value.number(),
            7 => span.start = value.number(),
            8 => span.end = value.number(),
            9 => {}
            11 => span.events.push(event(value.bytes())),
            13 => span.links.extend(
                fields(value.bytes())
                    .filter(|(number, _)| *number == 2)
                    .map(|(_, id)| hex(id.bytes())),
            ),
            15 => {
                for (number, value) in fields(value.bytes()) {
                    match number {
                        2 => span.status.1 = text(value.bytes()),
                        3 => span.status.0 = value.number(),
                        other => panic!("field {other} of Status"),
                    }
                }
            }
            16 => assert_eq!(value.number() & 1, 1, "what is exported is sampled"),
            other => panic!("field {other} of Span"),
        }
    }
    span
}

fn event(bytes: &[u8]) -> (u64, String, Attributes) {
    let mut event = (0, String::new(), attributes(bytes, 3));
    for (number, value) in fields(bytes) {
        match number {
            1 => event.0 = value.number(),
            2 => event.1 = text(value.bytes()),
            3 => {}
            other => panic!("field {other} of Event"),
        }
    }
    event
}

fn record(bytes: &[u8]) -> Record {
    let mut record = Record {
        attributes: attributes(bytes, 6),
        ..Record::default()
    };
    for (number, value) in fields(bytes) {
        match number {
            1 => record.time = value.number(),
            2 => record.severity = value.number(),
            6 | 11 => {}
            9 => record.trace_id = hex(value.bytes()),
            10 => record.span_id = hex(value.bytes()),
            12 => record.event_name = text(value.bytes()),
            other => panic!("field {other} of LogRecord"),
        }
    }
    record
}

/// The `KeyValue`s with this field number.
fn attributes(message: &[u8], wanted: u64) -> Attributes {
    let pairs = fields(message).filter(|(number, _)| *number == wanted);
    pairs
        .map(|(_, pair)| {
            let mut key = String::new();
            let mut found = String::new();
            for (number, value) in fields(pair.bytes()) {
                match number {
                    1 => key = text(value.bytes()),
                    2 => {
                        let (kind, value) = fields(value.bytes()).next().expect("a value");
                        found = match kind {
                            1 => text(value.bytes()),
                            3 => (value.number() as i64).to_string(),
                            other => panic!("field {other} of AnyValue"),
                        };
                    }
                    other => panic!("field {other} of KeyValue"),
                }
            }
            (key, found)
        })
        .collect()
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Bytes(bytes) => panic!("{bytes:?} is no number"),
        }
    }

    fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("{number} is no bytes"),
        }
    }
}

fn fields(message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let tag = varint(&mut rest);
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut rest)),
            1 => Value::Number(fixed(&mut rest, 8)),
            2 => {
                let length = varint(&mut rest) as usize;
                let (bytes, behind) = rest.split_at(length);
                rest = behind;
                Value::Bytes(bytes)
            }
            5 => Value::Number(fixed(&mut rest, 4)),
            other => panic!("wire type {other}"),
        };
        Some((tag >> 3, value))
    })
}

fn varint(rest: &mut &[u8]) -> u64 {
    let length = rest
        .iter()
        .position(|byte| byte & 0x80 == 0)
        .expect("an end")
        + 1;
    let (bytes, behind) = rest.split_at(length);
    *rest = behind;
    let high_first = bytes.iter().rev();
    high_first.fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f))
}

fn fixed(rest: &mut &[u8], size: usize) -> u64 {
    let (bytes, behind) = rest.split_at(size);
    *rest = behind;
    bytes
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
