//! Real servers print all they can to stderr, csvlog and jsonlog at once: the three are the same
//! events, field by field, and each situation shows the events it must.

mod provoke;
#[allow(dead_code, reason = "its columns are read by others")]
#[path = "../../plugins/common/pg-log/build/table.rs"]
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use pg_log::{
    Class, Classes, Event, Field, Memory, Options, Parser, Prefix, Redaction, Reporter, Sink, Text,
};
use provoke::languages::{Known, in_english};
use provoke::situations::SITUATIONS;
use provoke::{Formats, Logs};
use test_harness::hosts::Version;

/// What stands where data does.
const SECRETS: [&str; 2] = ["secret", "7654321"];
/// What stands where passwords do, of roles and in connection strings.
const PASSWORDS: [&str; 1] = ["hunter2"];

/// Classes that show only if two processes happen to meet.
const BY_CHANCE: [&str; 3] = [
    "server_in_recovery_mode",
    "server_starting_up",
    "wal_missing",
];

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

/// The classes of events.
fn classes_of(events: &[Event<'_>]) -> BTreeSet<&'static str> {
    let classes = Classes::new();
    let classes = events.iter().filter_map(|event| classes.of(event));
    classes.map(|class| class.name).collect()
}

/// The classes of a log's events, which are the same in all of its formats.
#[track_caller]
fn assert_same(log: &Formats) -> BTreeSet<&'static str> {
    let stderr = by_process(&entries(&mut with_prefix(), &log.stderr));
    let csvlog = entries(&mut Parser::new(), &log.csvlog);
    let jsonlog = by_process(&entries(&mut Parser::new(), &log.jsonlog));
    let rows = by_process(&csvlog);
    for (name, other) in [("stderr", &stderr), ("jsonlog", &jsonlog)] {
        assert_eq!(other.len(), rows.len(), "{name} and csvlog differ");
        for (session, row) in &rows {
            let other = other.get(session).expect("a session in both");
            let different = row.iter().zip(other).find(|(one, other)| one != other);
            assert_eq!(different, None, "csvlog and {name} differ");
            assert_eq!(row.len(), other.len(), "csvlog and {name} differ: {row:#?}");
        }
    }
    classes_of(&csvlog)
}

fn with_prefix() -> Parser {
    Parser::with_prefix(Prefix::compile(provoke::PREFIX).expect("a valid prefix"))
}

/// What the table says of who printed what is so: a class that one of the servers prints here is not
/// marked as known from the source alone, and one that this version printed once, it prints again.
#[track_caller]
fn assert_marked(version: Version, seen: &BTreeSet<&'static str>) {
    let table = include_str!("../../plugins/common/pg-log/classes.txt");
    let rows = table::read(table).expect("a valid table");
    let number = version.number().to_string();
    let origins = |row: &table::Row| -> String {
        let of_patterns = row.patterns.iter().flat_map(|pattern| &pattern.examples);
        let origins = of_patterns.chain(&row.examples);
        origins
            .map(|example| format!("{} ", example.origin))
            .collect()
    };
    let of_the_source: BTreeSet<&str> = rows
        .iter()
        .filter(|row| !origins(row).contains(char::is_numeric))
        .map(|row| row.name.as_str())
        .collect();
    let printed = rows.iter().filter(|row| origins(row).contains(&number));
    let missing: Vec<&str> = printed
        .map(|row| row.name.as_str())
        .filter(|name| !seen.contains(name) && !BY_CHANCE.contains(name))
        .collect();
    println!(
        "{version:?}: {} of {} classes were provoked; known from the source alone: {}",
        seen.len(),
        rows.len(),
        of_the_source.iter().copied().collect::<Vec<_>>().join(", ")
    );
    assert!(missing.is_empty(), "{version:?} never showed {missing:?}");
    let unmarked: Vec<_> = seen.intersection(&of_the_source).collect();
    assert!(
        unmarked.is_empty(),
        "{version:?} printed {unmarked:?}: PGMESH_RECORD=1 marks them"
    );
}

#[track_caller]
fn assert_shows_all(logs: &Logs, seen: &BTreeSet<&'static str>) {
    let wanted = SITUATIONS.iter().flat_map(|situation| situation.events);
    let missing: BTreeSet<_> = wanted.filter(|name| !seen.contains(*name)).collect();
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

/// The lines of what is said of a log with this much taken out that have one of these words.
fn leaks(log: &Formats, redaction: Redaction, words: &[&str]) -> BTreeSet<String> {
    let reporter = Reporter::new(Options {
        redaction,
        ..Options::default()
    });
    let mut leaks = BTreeSet::new();
    for (mut parser, text) in [(Parser::new(), &log.csvlog), (with_prefix(), &log.stderr)] {
        for event in entries(&mut parser, text) {
            let mut all = All::default();
            reporter.report(&event, &mut Memory::default(), &mut all);
            let leaks_in = |line: &&str| words.iter().any(|word| line.contains(word));
            if let Some(line) = all.0.lines().find(leaks_in) {
                leaks.insert(line.to_owned());
            }
        }
    }
    leaks
}

/// What leaves a module of these logs has no data in it, nor a password if less is taken out.
#[track_caller]
fn assert_nothing_leaks(logs: &[Formats]) {
    let mut all = BTreeSet::new();
    for log in logs {
        let data = [&SECRETS[..], &PASSWORDS].concat();
        all.extend(leaks(log, Redaction::Strict, &data));
        all.extend(leaks(log, Redaction::Statements, &PASSWORDS));
    }
    assert!(all.is_empty(), "{all:#?}");
}

/// How often one of these words stands in a log.
fn planted(log: &Formats, words: &[&str]) -> usize {
    let text = String::from_utf8_lossy(&log.csvlog);
    words.iter().map(|word| text.matches(word).count()).sum()
}

/// Messages of the server's that have no pattern, each once.
fn unknown_messages(log: &Formats) -> BTreeSet<String> {
    let classes = Classes::new();
    let mut unknown = BTreeSet::new();
    for event in entries(&mut Parser::new(), &log.csvlog) {
        let message = event
            .fields
            .get(Field::Message)
            .unwrap_or_default()
            .decode();
        if classes.of_message(&message).is_none() {
            unknown.insert(String::from_utf8_lossy(&message).into_owned());
        }
    }
    unknown
}

/// The SQLSTATE that the table has for all messages of a class is the server's own for each of them.
#[track_caller]
fn assert_sqlstates_are_told(log: &Formats) {
    let reporter = Reporter::new(Options::default());
    let (mut told, mut others) = (BTreeSet::new(), Vec::new());
    for event in entries(&mut Parser::new(), &log.csvlog) {
        let class = reporter.report(&event, &mut Memory::default(), &mut All::default());
        let Some(code) = class.and_then(Class::sqlstate) else {
            continue;
        };
        let own = event.fields.get(Field::Sqlstate).unwrap_or_default();
        if own.raw != code.as_bytes() {
            others.push(format!("{code}: {}", words(&event)));
        }
        told.insert(code);
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
    assert!(told.len() > 30, "{told:?}");
}

/// What the table says of a function of the server's is so of all that it printed.
#[track_caller]
fn assert_places_are_told(log: &Formats) {
    let classes = Classes::new();
    let name = |class: Option<&Class>| class.map(|class| class.name);
    let (mut told, mut others) = (BTreeSet::new(), BTreeSet::new());
    for event in entries(&mut Parser::new(), &log.csvlog) {
        let mut brief = event.clone();
        brief.fields.set(Field::Function, Text::default());
        let by_place = name(classes.without_text(&event));
        if by_place == name(classes.without_text(&brief)) {
            continue;
        }
        let message = event.fields.get(Field::Message).unwrap_or_default();
        let by_message = classes.of_message(&message.decode());
        if by_message.map(|found| found.class.name) != by_place {
            others.insert(words(&event));
        }
        told.insert(by_place);
    }
    assert!(others.is_empty(), "{others:#?}");
    assert!(told.len() > 25, "{told:?}");
}

fn judge(version: Version) {
    let logs = provoke::run(version, None);
    let mut seen = classes_of(&entries(&mut with_prefix(), &logs.early));
    if std::env::var_os("PGMESH_RECORD").is_some() {
        provoke::record::record(&logs, &entries(&mut with_prefix(), &logs.early));
        for log in &logs.servers {
            provoke::record::record(&logs, &entries(&mut Parser::new(), &log.csvlog));
        }
    }
    for log in &logs.servers {
        seen.extend(assert_same(log));
    }
    let primary = &logs.servers[0];
    println!(
        "messages without a pattern: {:#?}",
        unknown_messages(primary)
    );
    assert!(
        planted(primary, &SECRETS) > 150,
        "{}",
        planted(primary, &SECRETS)
    );
    assert!(
        planted(primary, &PASSWORDS) > 30,
        "{}",
        planted(primary, &PASSWORDS)
    );
    assert_nothing_leaks(&logs.servers);
    assert_sqlstates_are_told(primary);
    assert_places_are_told(primary);
    assert_shows_all(&logs, &seen);
    assert_marked(version, &seen);
}

#[test]
fn the_three_formats_of_15_are_the_same_events() {
    judge(Version::V15);
}

#[test]
fn the_three_formats_of_18_are_the_same_events() {
    judge(Version::V18);
}

/// Spoken by the servers of the tests; the catalogues of PostgreSQL 15 have more.
const LANGUAGES: [&str; 5] = ["de_DE", "es_ES", "fr_FR", "ja_JP", "ru_RU"];

/// Events that are taken for others where only the SQLSTATE, and maybe the function, can be read.
/// A file that cannot be opened because too many are is both.
const MISTAKEN: [(&str, &str); 8] = [
    ("authentication_timeout", "statement_canceled"),
    ("autovacuum_canceled", "statement_canceled"),
    ("file_error", "too_many_files"),
    ("query_notice", "duplicate_object"),
    ("server_in_recovery_mode", "server_starting_up"),
    ("server_shutting_down", "server_starting_up"),
    ("statement_timeout", "statement_canceled"),
    ("terminated_by_crash", "terminated_by_administrator"),
];

/// Of a hundred places of the server's source whose events are known in English, those that are known in
/// another language, at least: by SQLSTATE, and by the function, too.
struct Share {
    by_sqlstate: usize,
    by_place: usize,
}

fn csv_entries(logs: &[Formats]) -> Vec<Vec<Event<'_>>> {
    let logs = logs.iter();
    logs.map(|log| entries(&mut Parser::new(), &log.csvlog))
        .collect()
}

/// What a language's servers logged says the same in all formats, gives nothing away, and is known as
/// well as promised.
#[track_caller]
fn judge_language(language: &str, english: &[Formats], logs: &[Formats], least: &Share) {
    for log in logs {
        assert_same(log);
    }
    assert!(planted(&logs[0], &SECRETS) > 100, "{language}");
    assert!(planted(&logs[0], &PASSWORDS) > 25, "{language}");
    assert_nothing_leaks(logs);
    let known = Known::of(&in_english(&csv_entries(english)), &csv_entries(logs));
    println!("{language}: {known}");
    let mistaken = known.mistaken.iter();
    let others: Vec<_> = mistaken.filter(|one| !MISTAKEN.contains(one)).collect();
    assert!(others.is_empty(), "{language}: {others:?}");
    let enough = |count: usize, least: usize| count * 100 >= known.places * least;
    assert!(enough(known.by_sqlstate, least.by_sqlstate), "{known}");
    assert!(enough(known.by_place, least.by_place), "{known}");
}

#[test]
fn what_sql_causes_is_known_in_five_languages() {
    let (english, logs) = std::thread::scope(|scope| {
        let english = scope.spawn(|| provoke::run_sql(None));
        let logs = LANGUAGES.map(|language| scope.spawn(move || provoke::run_sql(Some(language))));
        let logs = logs.map(|log| [log.join().expect("it runs")]);
        ([english.join().expect("it runs")], logs)
    });
    let least = Share {
        by_sqlstate: 60,
        by_place: 80,
    };
    for (language, logs) in LANGUAGES.iter().zip(&logs) {
        judge_language(language, &english, logs, &least);
    }
}

#[test]
#[ignore = "takes five minutes"]
fn all_events_are_known_in_five_languages() {
    let english = provoke::run(Version::V15, None).servers;
    let least = Share {
        by_sqlstate: 50,
        by_place: 76,
    };
    for language in LANGUAGES {
        let logs = provoke::run(Version::V15, Some(language)).servers;
        judge_language(language, &english, &logs, &least);
    }
}
