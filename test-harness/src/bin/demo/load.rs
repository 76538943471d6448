//! The demo's load: two applications on two databases, and what goes wrong in real life.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use test_harness::hosts::Postgres;
use test_harness::hosts::postgres::output_of;

/// How long pgbench runs.
const SECONDS: u64 = 18;

/// The applications: user, database, and how its driver speaks.
const APPLICATIONS: &[(&str, &str, &[&str])] = &[
    ("alice", "shop", &["-M", "prepared", "-c", "4"]),
    ("bob", "billing", &["-M", "simple", "-c", "2", "-S"]),
    ("bob", "billing", &["-M", "extended", "-c", "2", "-N"]),
];

/// What goes wrong: who runs it where, and the Query messages of it.
const TROUBLE: &[(&str, &str, &[&str])] = &[
    ("alice", "shop", &["insert into orders values (1, 'twice')"]),
    ("alice", "shop", &["select * from order"]),
    (
        "alice",
        "shop",
        &[
            "begin",
            "update orders set item = 'b' where id = 1",
            "rollback",
        ],
    ),
    (
        "bob",
        "billing",
        &["select 1 / (select count(*) from invoices where false)"],
    ),
    (
        "bob",
        "billing",
        &["set statement_timeout = '50ms'", "select pg_sleep(1)"],
    ),
    ("bob", "shop", &["delete from orders"]),
    (
        "alice",
        "shop",
        &["copy (select g, md5(g::text) from generate_series(1, 20000) g) to stdout"],
    ),
];

/// Makes databases, users and tables, directly.
pub fn prepare(server: &Postgres) {
    server.sql("create role alice login; create role bob login");
    for (owner, database, table) in [
        (
            "alice",
            "shop",
            "create table orders (id int primary key, item text)",
        ),
        (
            "bob",
            "billing",
            "create table invoices (id int primary key)",
        ),
    ] {
        server.sql(&format!("create database {database} owner {owner}"));
        let mut psql = server.client("psql");
        psql.env("PGDATABASE", database).env("PGUSER", owner);
        output_of(psql.args(["-XAtq", "-c", table]));
        let mut pgbench = server.client("pgbench");
        pgbench.env("PGDATABASE", database).env("PGUSER", owner);
        output_of(pgbench.args(["-i", "-q", "-s", "2"]));
    }
    let mut psql = server.client("psql");
    psql.env("PGDATABASE", "shop").env("PGUSER", "alice");
    output_of(psql.args(["-XAtq", "-c", "insert into orders values (1, 'a')"]));
}

/// Runs it all through the proxy, with a line that shows how far it has come.
pub fn run(server: &Postgres, port: u16) {
    let as_user = |program: &str, user: &str, database: &str| {
        let mut command = server.client_through(port, program);
        command.env("PGUSER", user).env("PGDATABASE", database);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut pgbenches: Vec<_> = APPLICATIONS
        .iter()
        .map(|(user, database, arguments)| {
            let mut pgbench = as_user("pgbench", user, database);
            let seconds = SECONDS.to_string();
            // A pace, so that the demo leaves the machine some air.
            pgbench
                .args(["-n", "-T", &seconds, "-R", "300"])
                .args(*arguments);
            pgbench.spawn().expect("pgbench starts")
        })
        .collect();
    let begin = Instant::now();
    let mut trouble = TROUBLE.iter().cycle();
    while begin.elapsed() < Duration::from_secs(SECONDS) {
        if let Some((user, database, queries)) = trouble.next() {
            let mut psql = as_user("psql", user, database);
            psql.arg("-X")
                .args(queries.iter().flat_map(|query| ["-c", query]));
            // Some of these are meant to fail.
            let _status = psql.status();
        }
        show_progress(begin.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    idle_in_transaction(as_user("psql", "alice", "shop"));
    cancel(as_user("psql", "bob", "billing"));
    for pgbench in &mut pgbenches {
        let _status = pgbench.wait();
    }
    eprintln!();
}

fn show_progress(elapsed: Duration) {
    let done = usize::try_from(elapsed.as_secs() * 30 / SECONDS)
        .unwrap_or(30)
        .min(30);
    let bar = "#".repeat(done);
    eprint!(
        "\rload: [{bar:<30}] {:>2} of {SECONDS} s",
        elapsed.as_secs().min(SECONDS)
    );
    // Progress that cannot be shown is no reason to stop.
    let _shown = std::io::stderr().flush();
}

/// An application that does something else in the middle of a transaction.
fn idle_in_transaction(mut psql: Command) {
    let mut psql = psql
        .arg("-X")
        .stdin(Stdio::piped())
        .spawn()
        .expect("psql starts");
    if let Some(stdin) = &mut psql.stdin {
        for (statement, pause) in [("begin;\nselect 1;\n", 700), ("commit;\n", 0)] {
            // psql may have gone; then there is nothing to show.
            let _sent = stdin.write_all(statement.as_bytes());
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
    drop(psql.stdin.take());
    let _status = psql.wait();
}

/// A user who loses patience: psql turns Ctrl-C into a CancelRequest.
fn cancel(mut psql: Command) {
    let mut psql = psql
        .args(["-X", "-c", "select pg_sleep(60)"])
        .spawn()
        .expect("psql starts");
    std::thread::sleep(Duration::from_millis(500));
    let _status = Command::new("kill")
        .args(["-INT", &psql.id().to_string()])
        .status();
    let _status = psql.wait();
}

/// What the proxy adds to a statement: pgbench directly and through it, in turns.
pub fn print_added_latency(server: &Postgres, port: u16) {
    let mut direct = Vec::new();
    let mut through = Vec::new();
    for _ in 0..3 {
        direct.push(latency(server.client_through(server.port(), "pgbench")));
        through.push(latency(server.client_through(port, "pgbench")));
    }
    let best = |values: Vec<f64>| values.into_iter().fold(f64::INFINITY, f64::min);
    let (direct, through) = (best(direct), best(through));
    println!("\nLatency of one SELECT, one client, best of three:");
    println!("  directly               {direct:>7.3} ms");
    println!(
        "  through Envoy + pgmesh {through:>7.3} ms   (+{:.3} ms)",
        through - direct
    );
}

fn latency(mut pgbench: Command) -> f64 {
    pgbench.env("PGUSER", "alice").env("PGDATABASE", "shop");
    let output = output_of(pgbench.args(["-n", "-S", "-M", "prepared", "-c", "1", "-T", "1"]));
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = report
        .split("latency average = ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    value
        .and_then(|value| value.parse().ok())
        .expect("pgbench prints its latency")
}
