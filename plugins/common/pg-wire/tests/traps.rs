//! What a passive decoder falls into, one conversation each, as real servers of both versions held
//! it. A story tells, from the first ReadyForQuery on, how statements (operation and rows),
//! transactions, errors and notices followed each other.
#![allow(
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking"
)]

mod common;

use common::{Recording, Seen};
use pg_wire::{
    DesyncReason, Direction, Event, MessageName, OpaqueReason, Outcome, SqlState, SubProtocol,
};

/// What a session makes of a conversation; the servers of both versions must agree.
fn both(name: &str) -> Seen {
    let recordings = Recording::load(name);
    assert_eq!(recordings.len(), 2, "{name}");
    let (old, new) = (recordings[0].observe(), recordings[1].observe());
    assert_eq!(old.story(), new.story(), "{name}");
    new
}

#[track_caller]
fn tells(name: &str, story: &[&str]) {
    assert_eq!(both(name).story(), story, "{name}");
}

fn one(name: &str) -> Seen {
    let recordings = Recording::load(name);
    assert_eq!(recordings.len(), 1, "{name}");
    recordings[0].observe()
}

#[test]
fn trap_1_minor_versions_are_accepted_or_negotiated_and_keys_vary_in_length() {
    for (name, minor, key) in [("protocol 3.1", 1, 4), ("protocol 3.2", 2, 32)] {
        for recording in Recording::load(name) {
            let seen = recording.observe();
            assert_eq!(seen.brief[0], format!("startup 3.{minor} postgres@app"));
            assert!(seen.brief.contains(&"ready".to_owned()));
            let new = recording.name.starts_with("18");
            let negotiated = seen.count(MessageName::NegotiateProtocolVersion);
            assert_eq!(negotiated, usize::from(!new), "{}", recording.name);
            let key = if new { key } else { 4 };
            assert_eq!(
                seen.length(MessageName::BackendKeyData),
                9 + key,
                "{}",
                recording.name
            );
        }
    }
    let seen = both("protocol 3.9 with an option nobody knows");
    assert_eq!(seen.count(MessageName::NegotiateProtocolVersion), 1);
    assert_eq!(seen.story(), ["SELECT 1", "commit"]);
}

#[test]
fn trap_2_each_request_for_encryption_is_answered_by_one_untagged_byte() {
    assert_eq!(
        both("encryption refused").count(MessageName::EncryptionResponse),
        1
    );
    let seen = one("encryption refused twice");
    assert_eq!(seen.count(MessageName::EncryptionResponse), 2);
    assert_eq!(seen.story(), ["SELECT 1", "commit"]);
    let seen = one("gss encryption accepted");
    assert_eq!(
        seen.events,
        [format!("{:?}", Event::Opaque(OpaqueReason::Gss))]
    );
}

#[test]
fn trap_4_startup_values_may_be_empty_and_the_database_is_the_user_by_default() {
    let seen = both("empty values and options");
    assert_eq!(seen.brief[0], "startup 3.0 app@app");
    assert_eq!(seen.story(), ["SHOW 0", "commit"]);
}

#[test]
fn trap_5_a_replication_connection_streams_and_a_logical_one_runs_sql_too() {
    let seen = both("physical replication");
    assert_eq!(
        seen.events_named("ReplicationStarted"),
        ["ReplicationStarted(Physical)"]
    );
    assert!(!seen.events_named("ReplicationData").is_empty());
    assert!(
        seen.transactions.is_empty(),
        "a physical walsender has no database"
    );
    let seen = both("logical replication");
    assert_eq!(
        seen.events_named("ReplicationStarted"),
        ["ReplicationStarted(Logical)"]
    );
    assert!(seen.events_named("CopyData").is_empty());
    assert!(seen.story().ends_with(&[
        "error 42704",
        "OTHER failed 42704",
        "rollback",
        "SELECT 1",
        "commit"
    ]));
    assert!(both("a base backup").events_named("Opaque").is_empty());
}

#[test]
fn trap_6_a_query_ends_at_ready_for_query_and_each_result_is_a_statement() {
    tells(
        "many results of one query, the third failing",
        &[
            "SELECT 1",
            "SELECT 1",
            "error 22012",
            "SELECT failed 22012",
            "rollback",
            "EMPTY 0",
            "commit",
            "EMPTY 0",
            "commit",
        ],
    );
}

#[test]
fn trap_7_a_pipeline_aborts_up_to_sync() {
    tells(
        "a pipeline aborts up to sync",
        &[
            "prepared 1",
            "SELECT 1",
            "prepared 2",
            "error 22012",
            "SELECT failed 22012",
            "rollback",
            "SELECT 1",
            "commit",
            "prepared 0",
        ],
    );
    tells(
        "a query behind a failed parse is discarded",
        &["error 42601", "OTHER failed 42601", "rollback"],
    );
}

#[test]
fn trap_8_a_query_in_the_place_of_sync_ends_with_one_ready_for_query() {
    // Up to 15 the Query ends the implicit transaction, as if a Sync came with it; in 18 it runs
    // inside, shows as a block, and goes with the client. (A Sync behind it makes 18.6 say idle and
    // stay in the transaction: its next message fails with XX000. No passive reader can know.)
    let [old, new] = Recording::load("a query in the place of sync")
        .try_into()
        .unwrap();
    assert_eq!(
        old.observe().story(),
        ["SELECT 1", "SELECT 1", "commit", "SELECT 1", "commit"]
    );
    assert_eq!(
        new.observe().story(),
        ["SELECT 1", "SELECT 1", "SELECT 1", "disconnected"]
    );
    assert!(!new.observe().transactions[0].explicit);
    tells(
        "a query that fails in the place of sync",
        &[
            "SELECT 1",
            "error 22012",
            "SELECT failed 22012",
            "rollback",
            "SELECT 1",
            "commit",
        ],
    );
}

#[test]
fn trap_9_sync_and_flush_are_ignored_while_copying_in() {
    tells(
        "copy in, extended",
        &[
            "CREATE 0",
            "commit",
            "copied 1 frontend",
            "COPY 1",
            "commit",
            "copied 1 frontend",
            "COPY 1",
            "commit",
            "error 22p02",
            "COPY failed 22P02",
            "rollback",
            "error 42p01",
            "COPY failed 42P01",
            "rollback",
            "SELECT 1",
            "commit",
            "DROP 0",
            "commit",
        ],
    );
}

#[test]
fn trap_9_what_a_failed_copy_still_sends_is_drained_and_a_query_goes_on_behind_a_copy() {
    tells(
        "copy in, simple",
        &[
            "CREATE 0",
            "commit",
            "copied 3 frontend",
            "COPY 3",
            "commit",
            "error 22p02",
            "COPY failed 22P02",
            "rollback",
            "error 57014",
            "COPY failed 57014",
            "rollback",
            "copied 1 frontend",
            "COPY 1",
            "SELECT 1",
            "copied 1 frontend",
            "COPY 1",
            "commit",
            "copied 1 frontend",
            "COPY 1",
            "commit",
            "SELECT 1",
            "commit",
            "DROP 0",
            "commit",
        ],
    );
}

#[test]
fn copy_out_counts_bytes_and_rows() {
    let seen = both("copy out");
    assert_eq!(
        seen.story(),
        [
            "copied 3 backend",
            "COPY 3",
            "commit",
            "copied 3 backend",
            "COPY 3",
            "commit",
            "error 22012",
            "COPY failed 22012",
            "rollback",
        ]
    );
    // "1\n2\n3\n", twice, and the two rows before the failure.
    let copied = [
        "CopyData Backend 6",
        "CopyData Backend 6",
        "CopyData Backend 4",
    ];
    assert_eq!(seen.events_named("CopyData"), copied);
}

#[test]
fn trap_10_notices_notifications_and_parameters_come_anywhere() {
    for recording in Recording::load("notices, notifications and parameters come anywhere") {
        let seen = recording.observe();
        // The servers report the parameters in orders of their own.
        let story = seen.story();
        let is_parameter = |event: &&&str| event.contains(" = ");
        let parameters: Vec<&str> = story.iter().filter(is_parameter).copied().collect();
        assert!(
            parameters.contains(&"client_encoding = LATIN1"),
            "{story:?}"
        );
        assert!(
            parameters.contains(&"application_name = other"),
            "{story:?}"
        );
        let others: Vec<&str> = story
            .iter()
            .filter(|it| !is_parameter(it))
            .copied()
            .collect();
        assert_eq!(
            others,
            [
                "LISTEN 0",
                "commit",
                "NOTIFY 0",
                "Notification",
                "commit",
                "SET 0",
                "SELECT 1",
                "SET 0",
                "commit",
                "warning 01000",
                "info 00000",
                "DO 0",
                "commit",
                "notice 00000",
                "DROP 0",
                "commit",
                "SET 0",
                "commit",
            ]
        );
    }
}

#[test]
fn trap_11_names_are_shared_with_sql_and_count_from_parse_complete_on() {
    tells(
        "named statements are replaced only when unnamed",
        &[
            "prepared 1",
            "commit",
            "error 42p05",
            "SELECT failed 42P05",
            "rollback",
            "commit",
            "PREPARE 0",
            "prepared 2",
            "commit",
            "PREPARE 0",
            "prepared 3",
            "commit",
            "SELECT 1",
            "commit",
            "SELECT 1",
            "commit",
            "DEALLOCATE 0",
            "prepared 2",
            "commit",
            "DEALLOCATE 0",
            "prepared 1",
            "commit",
            "prepared 2",
            "prepared 3",
            "commit",
            "DEALLOCATE 0",
            "prepared 0",
            "commit",
            "prepared 1",
            "commit",
            "DISCARD 0",
            "prepared 0",
            "commit",
        ],
    );
    // Close of a missing name succeeds; Bind and Execute of a missing one begin no transaction.
    tells(
        "parse alone, describe alone, close alone, sync alone",
        &[
            "prepared 1",
            "commit",
            "commit",
            "prepared 0",
            "error 26000",
            "rollback",
            "error 26000",
            "OTHER failed 26000",
            "error 34000",
            "OTHER failed 34000",
        ],
    );
}

#[test]
fn trap_12_a_portal_run_in_pieces_is_one_statement_at_its_end() {
    let seen = both("a portal run in pieces");
    assert_eq!(
        seen.story(),
        [
            "prepared 1",
            "SELECT 4",
            "commit",
            "BEGIN 0",
            "SELECT 10",
            "SELECT 2",
            "COMMIT 0",
            "SELECT 3",
            "commit block",
            "prepared 0",
        ]
    );
    let whole = seen.statements.iter().find(|it| it.rows == 10).unwrap();
    assert_eq!(whole.data_rows, 10);
    assert!(whole.first_row.unwrap() > whole.started && whole.finished > whole.first_row.unwrap());
}

#[test]
fn trap_13_a_function_call_is_a_statement_without_text() {
    let seen = both("a function call");
    assert_eq!(
        seen.story(),
        [
            "FUNCTION_CALL 0",
            "commit",
            "error 42883",
            "FUNCTION_CALL failed 42883",
            "rollback",
        ]
    );
    assert!(
        seen.statements
            .iter()
            .all(|it| it.protocol == SubProtocol::Function)
    );
}

#[test]
fn trap_14_passwords_are_never_looked_into_and_severity_is_the_untranslated_one() {
    assert_eq!(both("a password").story(), ["SELECT 1", "commit"]);
    let seen = both("a wrong password");
    assert_eq!(
        seen.brief,
        ["startup 3.0 with_password@app", "connection failed 28P01"]
    );
    for seen in [both("a password"), seen] {
        assert_eq!(seen.count(MessageName::AuthenticationResponse), 1);
        assert!(!format!("{seen:?}").contains("dummy"));
    }
}

#[test]
fn trap_14_only_the_last_number_of_a_command_tag_is_a_count() {
    tells(
        "every kind of command tag",
        &[
            "CREATE 0",
            "commit",
            "INSERT 10",
            "commit",
            "UPDATE 5",
            "commit",
            "DELETE 1",
            "commit",
            "MERGE 2",
            "commit",
            "SELECT 9",
            "commit",
            "SELECT 9",
            "commit",
            "BEGIN 0",
            "DECLARE 0",
            "FETCH 3",
            "MOVE 2",
            "CLOSE 0",
            "COMMIT 0",
            "commit block",
            "TRUNCATE 0",
            "ANALYZE 0",
            "SHOW 0",
            "EXPLAIN 0",
            "SELECT 2",
            "SELECT 0",
            "commit",
            "INSERT 1",
            "commit",
            "DROP 0",
            "commit",
        ],
    );
}

#[test]
fn trap_15_a_tag_of_the_other_direction_is_not_taken_for_ours() {
    let seen = both("a client that breaks the protocol");
    let reason = OpaqueReason::Desync(Direction::Frontend, DesyncReason::UnknownTag);
    assert_eq!(seen.story(), [format!("{:?}", Event::Opaque(reason))]);
    let seen = both("a message too short");
    let reason = OpaqueReason::Desync(Direction::Frontend, DesyncReason::BadLength);
    assert_eq!(seen.story(), [format!("{:?}", Event::Opaque(reason))]);
}

#[test]
fn blocks_end_by_commit_or_rollback_and_a_failed_one_only_by_rollback() {
    tells(
        "transaction blocks",
        &[
            "BEGIN 0",
            "SELECT 1",
            "COMMIT 0",
            "commit block",
            "BEGIN 0",
            "error 22012",
            "SELECT failed 22012",
            "error 25p02",
            "SELECT failed 25P02",
            "ROLLBACK 0",
            "rollback block",
            "BEGIN 0",
            "ROLLBACK 0",
            "rollback block",
            "warning 25p01",
            "COMMIT 0",
            "commit",
            "warning 25p01",
            "ROLLBACK 0",
            "rollback",
            "BEGIN 0",
            "warning 25001",
            "BEGIN 0",
            "COMMIT 0",
            "commit block",
        ],
    );
}

#[test]
fn rollback_to_a_savepoint_ends_nothing() {
    tells(
        "savepoints",
        &[
            "BEGIN 0",
            "SAVEPOINT 0",
            "error 22012",
            "SELECT failed 22012",
            "ROLLBACK 0",
            "ROLLBACK 0",
            "RELEASE 0",
            "COMMIT 0",
            "commit block",
            "BEGIN 0",
            "SAVEPOINT 0",
            "SELECT 1",
            "ROLLBACK 0",
            "SELECT 1",
            "COMMIT 0",
            "commit block",
            "BEGIN 0",
            "SAVEPOINT 0",
            "ROLLBACK 0",
            "COMMIT 0",
            "commit block",
        ],
    );
}

#[test]
fn a_chained_transaction_begins_without_a_tag() {
    tells(
        "chained transactions",
        &[
            "BEGIN 0",
            "COMMIT 0",
            "commit block",
            "ROLLBACK 0",
            "rollback block",
            "error 22012",
            "SELECT failed 22012",
            "ROLLBACK 0",
            "rollback block",
            "ROLLBACK 0",
            "rollback block",
            "BEGIN 0",
            "SELECT 1",
            "COMMIT 0",
            "commit block",
            "SELECT 1",
            "COMMIT 0",
            "commit block",
        ],
    );
}

#[test]
fn blocks_begin_and_end_in_the_middle_of_a_query() {
    tells(
        "blocks in the middle of a query",
        &[
            "SELECT 1",
            "BEGIN 0",
            "SELECT 1",
            "COMMIT 0",
            "commit block",
            "SELECT 1",
            "commit",
            "SELECT 1",
            "warning 25p01",
            "COMMIT 0",
            "commit",
            "SELECT 1",
            "warning 25p01",
            "ROLLBACK 0",
            "rollback",
            "SELECT 1",
            "commit",
            "BEGIN 0",
            "SELECT 1",
            "error 22012",
            "SELECT failed 22012",
            "ROLLBACK 0",
            "rollback block",
            "SELECT 1",
            "commit",
            "SELECT 1",
            "BEGIN 0",
            "error 22012",
            "SELECT failed 22012",
            "ROLLBACK 0",
            "rollback block",
            "BEGIN 0",
            "COMMIT 0",
            "commit block",
            "BEGIN 0",
            "ROLLBACK 0",
            "rollback block",
            "BEGIN 0",
            "COMMIT 0",
            "commit block",
            "BEGIN 0",
            "SELECT 1",
            "ROLLBACK 0",
            "rollback block",
            "SELECT 1",
            "COMMIT 0",
            "commit block",
        ],
    );
}

#[test]
fn blocks_begin_and_end_in_the_middle_of_a_pipeline() {
    tells(
        "extended blocks",
        &[
            "BEGIN 0",
            "SELECT 1",
            "COMMIT 0",
            "commit block",
            "BEGIN 0",
            "error 22012",
            "SELECT failed 22012",
            "ROLLBACK 0",
            "rollback block",
            "SELECT 1",
            "warning 25p01",
            "COMMIT 0",
            "commit",
            "SELECT 1",
            "commit",
            "SELECT 1",
            "BEGIN 0",
            "SELECT 1",
            "COMMIT 0",
            "commit block",
            "warning 25p01",
            "COMMIT 0",
            "commit",
        ],
    );
}

#[test]
fn a_prepared_transaction_counts_when_it_is_ended_and_so_does_the_command() {
    tells(
        "prepared transactions",
        &[
            "BEGIN 0",
            "CREATE 0",
            "PREPARE 0",
            "COMMIT 0",
            "commit block",
            "commit",
            "BEGIN 0",
            "DROP 0",
            "PREPARE 0",
            "ROLLBACK 0",
            "rollback block",
            "commit",
            "BEGIN 0",
            "error 22012",
            "SELECT failed 22012",
            "ROLLBACK 0",
            "rollback block",
            "DROP 0",
            "commit",
        ],
    );
}

#[test]
fn a_commit_that_fails_is_a_rollback() {
    tells(
        "a deferred constraint fails at the end",
        &[
            "CREATE 0",
            "commit",
            "error 23505",
            "INSERT failed 23505",
            "rollback",
            "INSERT 2",
            "error 23505",
            "rollback",
            "BEGIN 0",
            "INSERT 2",
            "error 23505",
            "COMMIT failed 23505",
            "rollback block",
            "BEGIN 0",
            "INSERT 2",
            "error 23505",
            "COMMIT failed 23505",
            "rollback block",
            "DROP 0",
            "commit",
        ],
    );
}

#[test]
fn a_cancelled_statement_fails_and_a_terminated_session_is_told_so() {
    tells(
        "cancelled while it runs",
        &["error 57014", "SELECT failed 57014", "rollback"],
    );
    tells(
        "terminated while it runs",
        &["fatal 57p01", "SELECT failed 57P01", "rollback"],
    );
    tells(
        "terminated in a transaction",
        &["BEGIN 0", "SELECT 1", "fatal 57p01", "disconnected block"],
    );
}

#[test]
fn what_a_client_leaves_open_ends_as_disconnected() {
    tells(
        "the client leaves in a transaction",
        &["BEGIN 0", "SELECT 1", "disconnected block"],
    );
    tells(
        "the client leaves in a failed transaction",
        &[
            "BEGIN 0",
            "error 22012",
            "SELECT failed 22012",
            "disconnected block",
        ],
    );
}

#[test]
fn a_refused_start_up_is_a_failed_connection() {
    for (name, sqlstate) in [("no such database", "3D000"), ("no user at all", "28000")] {
        assert_eq!(
            both(name).brief[1..],
            [format!("connection failed {sqlstate}")]
        );
    }
}

#[test]
fn a_client_need_not_wait_for_anything() {
    tells(
        "nothing is waited for",
        &["SELECT 1", "commit", "SELECT 1", "commit"],
    );
}

#[test]
fn idle_in_transaction_lasts_from_ready_for_query_to_the_next_message() {
    let seen = both("transaction blocks");
    let idle = seen.events_named("IdleInTransaction");
    // One tick of the recording's clock each: eight statements came in open blocks.
    assert_eq!(idle, ["IdleInTransaction { duration: 1 }"; 8]);
}

#[test]
fn times_run_from_the_request_to_the_end_of_its_answer() {
    let seen = both("many results of one query, the third failing");
    let [first, second, failed, ..] = seen.statements[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(
        (first.received, first.started),
        (first.finished - 1, first.finished - 1)
    );
    assert_eq!(
        (second.received, second.started),
        (first.received, first.finished)
    );
    assert_eq!(first.first_row, Some(first.finished));
    assert_eq!(failed.outcome, Outcome::Failed(SqlState(*b"22012")));
    assert_eq!(failed.first_row, None);
}
