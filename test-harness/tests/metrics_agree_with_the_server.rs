//! The filter's counts are the server's own: after a mixed load, transactions equal
//! `pg_stat_database`, statements and rows equal `pg_stat_statements`, exactly.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::Duration;

use test_harness::drivers::{conninfo, psycopg_sessions};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Samples, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(20);
/// The database that only the proxy's clients use; the test asks its questions from another one.
const JUDGED: &str = "judged";

/// psycopg's sessions of which both views have the same idea. The others use DEALLOCATE and MOVE,
/// which `pg_stat_statements` counts in its own way, or LISTEN: a backend reads notifications in
/// transactions that the wire does not show.
const SESSIONS: &[&str] = &[
    "simple_protocol",
    "parameters_in_text_and_binary",
    "errors_and_rollbacks",
    "pipeline",
    "copy_in_and_out",
    "notices",
    "large_values",
    "asynchronous",
];

struct Scene {
    server: Postgres,
    envoy: Envoy,
}

impl Scene {
    fn new(version: Version) -> Self {
        let server = Postgres::builder(version)
            .preload("pg_stat_statements")
            .setting("pg_stat_statements.max", "10000")
            // A parallel worker logs in, which is a transaction of the server's own.
            .setting("max_parallel_workers", "0")
            .start();
        server.sql("create extension pg_stat_statements");
        server.sql(&format!("create database {JUDGED}"));
        let envoy = shipped::metrics_bootstrap(&server).start();
        Self { server, envoy }
    }

    fn psql(&self, script: &str) {
        let mut psql = self.server.client_through(self.envoy.port(), "psql");
        // Some statements are meant to fail.
        let _output = psql
            .env("PGDATABASE", JUDGED)
            .args(["-XAtq", "-c", script])
            .output();
    }

    fn pgbench(&self, arguments: &[&str]) {
        let mut pgbench = self.server.client_through(self.envoy.port(), "pgbench");
        output_of(pgbench.env("PGDATABASE", JUDGED).args(arguments));
    }

    fn load(&self) {
        // Without VACUUM (v), whose transactions are the server's own.
        self.pgbench(&["-i", "-I", "dtgp", "-q"]);
        for mode in ["simple", "extended"] {
            self.pgbench(&["-n", "-M", mode, "-c", "3", "-t", "50"]);
        }
        // pg_stat_statements misses a prepared BEGIN or END after its first execution, since it sets
        // the query id of the plan that the server keeps to 0: only SELECTs here.
        self.pgbench(&["-n", "-M", "prepared", "-S", "-c", "3", "-t", "50"]);
        psycopg_sessions(&conninfo(self.envoy.port(), JUDGED), SESSIONS);
        for script in [
            "select 1; select 2; select 1/0; select 4",
            "begin; select 1; commit; select 2; begin; select 3",
            "begin; insert into pgbench_history (tid) values (1), (2); rollback",
            "begin; select 1/0; select 2; commit",
            "begin; savepoint a; select 1/0",
            "select generate_series(1, 1000)",
            "",
            ";",
            "create table made as select generate_series(1, 10) g",
            "begin; commit and chain; select 1; rollback and chain; select 2; commit",
            "commit",
            "merge into pgbench_tellers t using made m on t.tid = m.g when matched then update set filler = 'x'",
        ] {
            self.psql(script);
        }
    }

    /// Waits until neither side's counts move any more: the server publishes when a session ends,
    /// the filter on its tick.
    fn settled(&self) -> Samples {
        let open = |samples: &Samples| samples.sum("pgmesh_connections_active", &[]);
        wait_for(LIMIT, || {
            let sessions = "select count(*) from pg_stat_activity where datname = 'judged'";
            (self.server.sql(sessions) == "0" && open(&self.envoy.scrape()) == 0.0).then_some(())
        })
        .expect("all sessions end");
        sleep(Duration::from_millis(1500));
        self.envoy.scrape()
    }

    fn ask(&self, what: &str) -> f64 {
        self.server.sql(what).parse().expect("a number")
    }
}

#[test]
fn transactions_equal_pg_stat_database() {
    for version in Version::ALL {
        let scene = Scene::new(version);
        let stat = |column: &str| {
            format!("select {column} from pg_stat_database where datname = '{JUDGED}'")
        };
        scene.load();
        let ours = scene.settled();
        let judged = |outcome| {
            ours.sum(
                "pgmesh_transactions_total",
                &[("database", JUDGED), ("outcome", outcome)],
            )
        };
        let sessions = ours.sum("pgmesh_connections_total", &[("database", JUDGED)]);
        // Logging in is a transaction too, which the wire does not show.
        assert_eq!(
            judged("commit") + sessions,
            scene.ask(&stat("xact_commit")),
            "commits, PostgreSQL {version:?}"
        );
        assert_eq!(
            judged("rollback") + judged("disconnected"),
            scene.ask(&stat("xact_rollback")),
            "rollbacks, PostgreSQL {version:?}"
        );
    }
}

#[test]
fn statements_and_rows_equal_pg_stat_statements() {
    for version in Version::ALL {
        let scene = Scene::new(version);
        let stat = |column: &str| {
            format!(
                "select sum({column}) from pg_stat_statements s join pg_database d \
                 on d.oid = s.dbid where d.datname = '{JUDGED}' and s.toplevel"
            )
        };
        scene.load();
        let ours = scene.settled();
        let judged = [("database", JUDGED)];
        let of = |operation| [("database", JUDGED), ("operation", operation)];
        // A statement that failed is none in pg_stat_statements, nor is an empty one, nor before
        // 17 DEALLOCATE, which psycopg sends after a DROP.
        let failed = ours.sum("pgmesh_errors_total", &judged);
        let uncounted = if version == Version::V15 {
            "DEALLOCATE"
        } else {
            "EMPTY"
        };
        let apart: f64 = HashSet::from(["EMPTY", uncounted])
            .into_iter()
            .map(|operation| ours.sum("pgmesh_statements_total", &of(operation)))
            .sum();
        let statements = ours.sum("pgmesh_statements_total", &judged) - failed - apart;
        assert_eq!(
            statements,
            scene.ask(&stat("calls")),
            "calls, PostgreSQL {version:?}"
        );
        let rows = ours.sum("pgmesh_rows_total", &judged);
        assert_eq!(
            rows,
            scene.ask(&stat("rows")),
            "rows, PostgreSQL {version:?}"
        );
    }
}
