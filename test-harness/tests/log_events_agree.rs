//! Real servers print all they can to stderr, csvlog and jsonlog at once: the three are the same
//! events, field by field, and each situation shows the events it must.

mod provoke;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use pg_log::{Class, Classes, Event, Field, Memory, Options, Parser, Prefix, Reporter, Sink};
use provoke::Logs;
use provoke::sessions::EVENTS;
use provoke::situations::SITUATIONS;
use test_harness::hosts::Version;

/// All entries of a log.
fn entries<'t>(parser: &mut Parser, log: &'t [u8]) -> Vec<Event<'t>> {
    let mut events = Vec::new();
    let mut rest = log;
    while !rest.is_empty() {
        let Some((event, behind)) = parser.parse(rest) else {
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            panic!("not read: {}", String::from_utf8_lossy(line));
        };
        events.push(event);
        rest = behind;
    }
    events
}

/// What an event says, in words. A line number is of its own log: stderr counts companion lines too.
fn words(event: &Event<'_>) -> String {
    let mut words = format!("{:?}\n", event.level);
    for (field, text) in event.fields.iter() {
        if field != Field::SessionLine {
            let text = text.decode();
            let text = String::from_utf8_lossy(&text);
            writeln!(words, "{field:?}: {text}").expect("a string takes all");
        }
    }
    words
}

/// The events of each process, in their order: two processes may come in another order in each log.
fn by_process(events: &[Event<'_>]) -> BTreeMap<String, Vec<String>> {
    let mut processes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let session = event.fields.get(Field::SessionId).unwrap_or_default();
        let session = String::from_utf8_lossy(session.raw).into_owned();
        processes.entry(session).or_default().push(words(event));
    }
    processes
}

#[track_caller]
fn assert_same(logs: &Logs) -> BTreeSet<&'static str> {
    let prefix = Prefix::compile(provoke::PREFIX).expect("a valid prefix");
    let stderr = by_process(&entries(&mut Parser::with_prefix(prefix), &logs.stderr));
    let csvlog = entries(&mut Parser::new(), &logs.csvlog);
    let jsonlog = by_process(&entries(&mut Parser::new(), &logs.jsonlog));
    let rows = by_process(&csvlog);
    assert!(csvlog.len() > 300, "{} entries", csvlog.len());
    for (session, row) in &rows {
        assert_eq!(stderr.get(session), Some(row), "stderr and csvlog differ");
        assert_eq!(jsonlog.get(session), Some(row), "jsonlog and csvlog differ");
    }
    assert_eq!((stderr.len(), jsonlog.len()), (rows.len(), rows.len()));
    let classes = Classes::new();
    csvlog
        .iter()
        .filter_map(|event| classes.of(event))
        .map(|class| class.name)
        .collect()
}

#[track_caller]
fn assert_shows_all(logs: &Logs, seen: &BTreeSet<&'static str>) {
    let wanted = SITUATIONS.iter().flat_map(|situation| situation.events);
    let missing: BTreeSet<_> = wanted
        .chain(EVENTS)
        .filter(|name| !seen.contains(*name))
        .collect();
    assert!(
        missing.is_empty(),
        "{:?} never showed {missing:?}",
        logs.version
    );
}

/// Everything that a report says, to look for secrets in.
#[derive(Default)]
struct All(String);

impl Sink for All {
    fn text(&mut self, name: &str, value: &[u8]) {
        writeln!(self.0, "{name}: {}", String::from_utf8_lossy(value)).expect("a string takes all");
    }

    fn number(&mut self, name: &str, digits: &[u8]) {
        self.text(name, digits);
    }
}

#[track_caller]
fn assert_nothing_leaks(logs: &Logs) {
    let reporter = Reporter::new(Options::default());
    let mut leaks = BTreeMap::new();
    for event in entries(&mut Parser::new(), &logs.csvlog) {
        let mut all = All::default();
        reporter.report(&event, &mut Memory::default(), &mut all);
        if let Some(line) = all.0.lines().find(|line| line.contains("secret")) {
            leaks.insert(line.to_owned(), all.0.clone());
        }
    }
    let lines: Vec<_> = leaks.keys().collect();
    assert!(lines.is_empty(), "{lines:#?}");
    assert!(
        String::from_utf8_lossy(&logs.csvlog)
            .matches("secret")
            .count()
            > 20
    );
}

/// The SQLSTATE that the table has for all messages of a class is the server's own for each of them.
#[track_caller]
fn assert_sqlstates_are_told(logs: &Logs) {
    let reporter = Reporter::new(Options::default());
    let mut told = BTreeSet::new();
    for event in entries(&mut Parser::new(), &logs.csvlog) {
        let class = reporter.report(&event, &mut Memory::default(), &mut All::default());
        let Some(code) = class.and_then(Class::sqlstate) else {
            continue;
        };
        let own = event.fields.get(Field::Sqlstate).unwrap_or_default();
        assert_eq!(own.raw, code.as_bytes(), "{}", words(&event));
        told.insert(code);
    }
    assert!(told.len() > 30, "{told:?}");
}

fn judge(version: Version) {
    let logs = provoke::run(version);
    if std::env::var_os("PGMESH_RECORD").is_some() {
        provoke::record::record(&logs, &entries(&mut Parser::new(), &logs.csvlog));
    }
    let seen = assert_same(&logs);
    assert_nothing_leaks(&logs);
    assert_sqlstates_are_told(&logs);
    assert_shows_all(&logs, &seen);
}

#[test]
fn the_three_formats_of_15_are_the_same_events() {
    judge(Version::V15);
}

#[test]
fn the_three_formats_of_18_are_the_same_events() {
    judge(Version::V18);
}
