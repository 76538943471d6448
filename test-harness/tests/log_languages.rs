//! A server that speaks another language: each severity and companion line is read, the three formats
//! are the same events, and SQLSTATE tells the class.

use std::fs;

use pg_log::{Classes, Event, Field, Parser, Prefix, Severity};
use test_harness::hosts::{Postgres, Version};

const PREFIX: &str = "%m|%p|%c|%e|";

/// The languages that PostgreSQL 15 of Debian is translated into, by locale.
const LANGUAGES: [&str; 11] = [
    "de_DE", "es_ES", "fr_FR", "it_IT", "ja_JP", "ka_GE", "ko_KR", "ru_RU", "sv_SE", "uk_UA",
    "zh_CN",
];

/// What each session does, and what the log must say of it.
const EXPECTED: [(Severity, &str, &str); 5] = [
    (Severity::Error, "22012", "division_by_zero"),
    (Severity::Error, "23505", "unique_violation"),
    (Severity::Error, "22P02", "invalid_text_representation"),
    (Severity::Error, "42P01", "undefined_table"),
    (Severity::Fatal, "57P01", "terminated_by_administrator"),
];

fn statements(language: &str) -> String {
    format!(
        "SET lc_messages = '{language}.UTF-8';
         SELECT 1/0;
         INSERT INTO t VALUES (1);
         DO $$ BEGIN PERFORM 'x'::int; END $$;
         SELECT * FROM nowhere_at_all;
         DO $$ BEGIN RAISE WARNING 'w' USING HINT = 'h'; END $$;
         SELECT pg_terminate_backend(pg_backend_pid());"
    )
}

fn entries<'t>(parser: &mut Parser, log: &'t [u8]) -> Vec<Event<'t>> {
    let mut events = Vec::new();
    let mut rest = log;
    while let Some((event, behind)) = parser.parse(rest) {
        events.push(event);
        rest = behind;
    }
    let rest = String::from_utf8_lossy(rest);
    assert!(rest.is_empty(), "not read: {rest}");
    events
}

/// What all three formats say, of the events that are no LOG.
fn said(events: &[Event<'_>]) -> Vec<String> {
    let fields = [
        Field::Sqlstate,
        Field::Message,
        Field::Detail,
        Field::Hint,
        Field::Context,
        Field::Statement,
        Field::Position,
        Field::InternalPosition,
    ];
    let said = events.iter().filter_map(|event| {
        let severity = event
            .severity()
            .filter(|severity| *severity > Severity::Log)?;
        let values = fields.iter().map(|field| {
            let text = event.fields.get(*field).unwrap_or_default().decode();
            format!("{field:?}: {}", String::from_utf8_lossy(&text))
        });
        Some(format!(
            "{severity:?}\n{}",
            values.collect::<Vec<_>>().join("\n")
        ))
    });
    said.collect()
}

#[test]
fn eleven_languages_are_read_alike_in_three_formats() {
    let server = Postgres::builder(Version::V15)
        .languages(&LANGUAGES)
        .setting("logging_collector", "on")
        .setting("log_destination", "stderr,csvlog,jsonlog")
        .setting("log_directory", "log")
        .setting("log_filename", "server.log")
        .setting("log_line_prefix", PREFIX)
        .start();
    server.sql("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    for language in LANGUAGES {
        let mut psql = server.client("psql");
        for statement in statements(language).split(";\n") {
            psql.args(["-c", statement]);
        }
        psql.arg("-Xq").output().expect("psql runs");
    }
    let directory = server.data_directory().join("log");
    let mut server = server;
    server.stop();
    let read = |name: &str| fs::read(directory.join(name)).expect("the log is there");
    let (text, rows, objects) = (read("server.log"), read("server.csv"), read("server.json"));
    let prefix = Prefix::compile(PREFIX).expect("a valid prefix");
    let stderr = entries(&mut Parser::with_prefix(prefix), &text);
    let csvlog = entries(&mut Parser::new(), &rows);
    let jsonlog = entries(&mut Parser::new(), &objects);

    assert_eq!(said(&stderr), said(&csvlog));
    // The one word that Georgian has for NOTICE and WARNING is read as the worse.
    let of_json = |severity: &str| {
        said(&jsonlog)
            .iter()
            .filter(|one| one.starts_with(severity))
            .count()
    };
    assert_eq!(of_json("Warning"), LANGUAGES.len());
    assert_eq!(said(&csvlog), said(&jsonlog));

    let classes = Classes::new();
    for (severity, sqlstate, class) in EXPECTED {
        let found = csvlog.iter().filter(|event| {
            let code = event.fields.get(Field::Sqlstate).unwrap_or_default();
            event.severity() == Some(severity)
                && code.raw == sqlstate.as_bytes()
                && classes.of(event).is_some_and(|found| found.name == class)
        });
        assert_eq!(found.count(), LANGUAGES.len(), "{class}");
    }
}
