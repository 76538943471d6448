//! The server's own counters, recorded with each conversation, against what a session counted.

mod common;

use common::Recording;
use pg_sql::Operation;
use pg_wire::TransactionOutcome;

/// Conversations in which the server does things that do not show on the wire.
const INVISIBLE: &[(&str, &str)] = &[
    (
        "notices",
        "a session that listens is woken into a transaction",
    ),
    (
        "statements-that-commit",
        "VACUUM, CONCURRENTLY and procedures commit within a statement",
    ),
    (
        "logical-replication",
        "exporting a snapshot leaves a transaction that is rolled back later",
    ),
];

/// Conversations in which pg_stat_statements counts otherwise, for reasons of its own.
const COUNTED_OTHERWISE: &[(&str, &str)] = &[
    (
        "prepared-transactions",
        "PREPARE TRANSACTION is kept, PREPARE is not, both are one operation",
    ),
    (
        "deferred-constraint",
        "a statement has run for it, though the commit behind it then fails",
    ),
    (
        "fails-in-the-place-of-sync",
        "it loses a portal whose transaction fails before it is closed",
    ),
    (
        "physical-replication",
        "replication commands are no statements",
    ),
    (
        "logical-replication",
        "replication commands are no statements",
    ),
    ("base-backup", "replication commands are no statements"),
];

fn visible(except: &[(&str, &str)]) -> Vec<Recording> {
    let all = Recording::all();
    for (name, _) in except {
        assert!(
            all.iter().any(|it| it.name.contains(name)),
            "no recording {name}"
        );
    }
    let is_visible = |it: &Recording| !except.iter().any(|(name, _)| it.name.contains(name));
    all.into_iter().filter(is_visible).collect()
}

#[test]
fn transactions_are_counted_as_pg_stat_database_counts_them() {
    for recording in visible(INVISIBLE) {
        let seen = recording.observe();
        // The server runs one of its own to start a session in a database.
        let started = seen.events.iter().any(|event| event.starts_with("Ready"))
            && !recording.name.contains("replication")
            && !recording.name.contains("base-backup");
        let ended = |outcome| seen.ended(outcome);
        let ours = (
            ended(TransactionOutcome::Commit) + u64::from(started),
            // What the end of a connection leaves behind is rolled back.
            ended(TransactionOutcome::Rollback) + ended(TransactionOutcome::Disconnected),
        );
        let theirs = (
            recording.counter("xact_commit"),
            recording.counter("xact_rollback"),
        );
        assert_eq!(ours, theirs, "{}: {:#?}", recording.name, seen.events);
    }
}

#[test]
fn statements_are_counted_as_pg_stat_statements_counts_them() {
    for recording in visible(COUNTED_OTHERWISE) {
        let seen = recording.observe();
        let counted = |operation: Operation| match operation {
            // Not kept by pg_stat_statements of any version.
            Operation::Empty | Operation::Function | Operation::Prepare => false,
            Operation::Deallocate => !recording.name.starts_with("15"),
            _ => true,
        };
        let calls = seen.completed().filter(|it| counted(it.operation)).count() as u64;
        assert_eq!(
            calls,
            recording.counter("calls"),
            "{}: {:#?}",
            recording.name,
            seen.events
        );
    }
}

#[test]
fn rows_are_counted_as_pg_stat_statements_counts_them() {
    for recording in visible(COUNTED_OTHERWISE) {
        // Version 15 keeps the rows of a portal's last piece only.
        if recording.name == "15/a-portal-run-in-pieces.txt" {
            continue;
        }
        let seen = recording.observe();
        let counted = seen
            .completed()
            .filter(|it| it.operation != Operation::Move);
        let rows: u64 = counted.map(|it| it.rows).sum();
        assert_eq!(
            rows,
            recording.counter("rows"),
            "{}: {:#?}",
            recording.name,
            seen.events
        );
    }
}

#[test]
fn every_conversation_that_is_postgresql_is_decoded_to_its_end() {
    let broken = [
        "breaks-the-protocol",
        "message-too-short",
        "gss-encryption",
        "protocol-4-0",
    ];
    for recording in Recording::all() {
        let opaque = recording.observe().events_named("Opaque").len();
        let expected = usize::from(broken.iter().any(|name| recording.name.contains(name)));
        assert_eq!(opaque, expected, "{}", recording.name);
    }
}

#[test]
fn every_message_of_a_recording_is_counted_with_its_length() {
    for recording in visible(&[
        ("gss-encryption", ""),
        ("too-short", ""),
        ("4-0", ""),
        ("breaks", ""),
    ]) {
        let seen = recording.observe();
        let counted: u64 = seen.messages.iter().map(|(_, bytes)| bytes).sum();
        let sent: usize = recording.pieces.iter().map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(counted, sent as u64, "{}", recording.name);
    }
}
