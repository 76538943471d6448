//! Puts what a real server printed into pg-log's tables as the example of its pattern, in the place of
//! what is there from the source: `PGMESH_RECORD=1 cargo test -p test-harness --test log_events_agree`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use pg_log::{Classes, Event, Field};
use test_harness::hosts::places::tree;

use super::Logs;

/// Servers are run side by side; the tables are written by one at a time.
static TABLES: Mutex<()> = Mutex::new(());

/// Longer examples are of no use to a reader: they end with a line.
const LONGEST: usize = 600;

/// Records the messages and companion lines of a log.
pub fn record(logs: &Logs, events: &[Event<'_>]) {
    let classes = Classes::new();
    let mut messages = BTreeMap::new();
    let mut companions = BTreeMap::new();
    let mut reports = BTreeMap::new();
    for event in events {
        let text = |field| event.fields.get(field).unwrap_or_default().decode();
        let message = text(Field::Message);
        if let Some(found) = classes.of_message(&message) {
            note(&mut messages, found.pattern(), &message);
        }
        for line in message.split(|byte| *byte == b'\n') {
            if let Some(found) = classes.report(line) {
                note(&mut reports, found.pattern(), line);
            }
        }
        for field in [Field::Detail, Field::Context] {
            for line in text(field).split(|byte| *byte == b'\n') {
                if let Some(found) = classes.companion(line) {
                    note(&mut companions, found.pattern(), line);
                }
            }
        }
    }
    let _one_at_a_time = TABLES.lock();
    for (table, printed) in [
        ("classes.txt", messages),
        ("companions.txt", companions),
        ("reports.txt", reports),
    ] {
        rewrite(logs, table, &printed);
    }
}

fn note(examples: &mut BTreeMap<&'static str, String>, pattern: &'static str, text: &[u8]) {
    let whole = String::from_utf8_lossy(text);
    let mut text: &str = &whole;
    while text.len() > LONGEST {
        let Some((before, _)) = text.rsplit_once('\n') else {
            return;
        };
        text = before;
    }
    examples.entry(pattern).or_insert_with(|| text.to_owned());
}

fn rewrite(logs: &Logs, table: &str, printed: &BTreeMap<&'static str, String>) {
    let path = tree().join("plugins/common/pg-log").join(table);
    let text = fs::read_to_string(&path).expect("the table is there");
    let version = logs.version.number().to_string();
    let directories: Vec<_> = logs
        .directories
        .iter()
        .map(|path| path.to_string_lossy())
        .collect();
    let mut current: Option<&String> = None;
    let mut out = String::new();
    for line in text.lines() {
        if let Some(pattern) = line.strip_prefix("= ") {
            current = printed.get(pattern.replace("\\n", "\n").as_str());
        }
        let rewritten = line.split_once(" < ").and_then(|(origin, text)| {
            let mut example = current?.replace('\n', "\\n");
            for directory in &directories {
                example = example.replace(&**directory, "/data");
            }
            match origin {
                "source" => Some(format!("{version} < {example}")),
                "15" if version == "18" => Some(format!("15 18 < {text}")),
                "18" if version == "15" => Some(format!("15 18 < {text}")),
                _ => None,
            }
        });
        out.push_str(rewritten.as_deref().unwrap_or(line));
        out.push('\n');
    }
    fs::write(&path, out).expect("the table can be written");
}
