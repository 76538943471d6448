//! A server that has come near the end of its transaction ids, as years of load would bring it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use test_harness::hosts::process::{Process, Spec};
use test_harness::hosts::{Postgres, Version};

use super::psql;

/// The next transaction id: the first of a page of `pg_xact`, less than three million before the last.
const NEXT: u32 = (2_147_483_650 - 1_000_000) / 32_768 * 32_768;

const LIMIT: Duration = Duration::from_secs(20);

/// It refuses to write, and autovacuum makes room.
pub(crate) fn run(version: Version, language: Option<&'static str>) -> Postgres {
    let server = super::builder(version, language).start();
    psql(
        &server,
        "CREATE TABLE old (a int PRIMARY KEY); INSERT INTO old VALUES (1); VACUUM old",
    );
    let server = server.start_again_after(|data| advance(version, data));
    psql(&server, "INSERT INTO old VALUES (2)");
    psql(&server, "VACUUM old");
    thread::sleep(Duration::from_secs(3));
    server
}

fn advance(version: Version, data: &Path) {
    let program = version.program("pg_resetwal").expect("it has one");
    let spec = Spec::new("pg_resetwal", &program, data.with_extension("resetwal.log"))
        .unprivileged()
        .args(["-x", &NEXT.to_string(), "-u", "3", "-D"])
        .args([data]);
    let mut run = Process::start(spec).expect("it starts");
    run.wait_to_succeed(LIMIT).expect("it succeeds");
}
