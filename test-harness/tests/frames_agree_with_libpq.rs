//! libpq's own view of an exchange, `PQtrace`, and ours of the same bytes: the same messages in
//! both directions, with the same names and lengths.

use std::fs;

use pg_wire::{Direction, Event, MessageName, Observer, Session};
use test_harness::drivers::{conninfo, python};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Postgres, Version};
use test_harness::relay::{Exchange, Relay};

/// Every message by direction, as `PQtrace` writes them: name, and length without the tag.
#[derive(Default)]
struct Messages {
    frontend: Vec<(String, u64)>,
    backend: Vec<(String, u64)>,
    opaque: bool,
}

impl Observer for Messages {
    fn message(&mut self, name: MessageName, bytes: u64) {
        let plain = name
            .as_str()
            .trim_start_matches("Frontend")
            .trim_start_matches("Backend");
        let plain = if name == MessageName::BackendKeyData {
            name.as_str()
        } else {
            plain
        };
        let list = match name.direction() {
            Direction::Frontend => &mut self.frontend,
            Direction::Backend => &mut self.backend,
        };
        list.push((plain.to_owned(), bytes - u64::from(name.tag().is_some())));
    }

    fn event(&mut self, event: Event<'_>) {
        self.opaque |= matches!(event, Event::Opaque(_));
    }
}

fn libpqs_view(trace: &str, direction: &str) -> Vec<(String, u64)> {
    let lines = trace
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    lines
        .filter(|fields| fields.first() == Some(&direction))
        .map(|fields| (fields[2].to_owned(), fields[1].parse().expect("a length")))
        .collect()
}

#[test]
fn names_and_lengths_are_libpqs() {
    for version in Version::ALL {
        let server = Postgres::start(version);
        let relay = Relay::to(server.address());
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("trace");
        let mut script = python("libpq_trace.py");
        output_of(script.arg(conninfo(relay.port(), "postgres")).arg(&path));
        let trace = fs::read_to_string(&path).expect("the trace");
        let [exchange] = relay.exchanges().try_into().expect("one connection");
        let mut ours = Messages::default();
        decode(&exchange, &mut ours);
        assert!(!ours.opaque);
        // libpq traces from behind the start-up to before Terminate.
        let frontend = libpqs_view(&trace, "F");
        let skipped = ours.frontend.len() - frontend.len() - 1;
        assert_eq!(ours.frontend[skipped..ours.frontend.len() - 1], frontend);
        let backend = libpqs_view(&trace, "B");
        let skipped = ours.backend.len() - backend.len();
        assert_eq!(ours.backend[skipped..], backend);
        assert!(
            frontend.len() > 40 && backend.len() > 80,
            "the trace is whole"
        );
    }
}

fn decode(exchange: &Exchange, ours: &mut Messages) {
    let mut session = Session::new();
    for ((direction, bytes), now) in exchange.iter().zip(1..) {
        match direction {
            Direction::Frontend => session.frontend(bytes, now, ours),
            Direction::Backend => session.backend(bytes, now, ours),
        }
    }
}
