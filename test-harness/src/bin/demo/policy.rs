//! The policy filter at work: what psql shows of a denial, of a limit and of a route, and what a dry
//! run would have denied.

use std::thread;
use std::time::Duration;

use test_harness::hosts::{Envoy, HostError, Postgres, Version};
use test_harness::shipped;

/// The policy, beside what it shows.
const POLICY: &str = r#"{ "rules": [ { "name": "no drop", "action": "deny", "command": ["DROP *"], "message": "tables are not dropped through the mesh", "hint": "Write a migration." }, { "name": "where", "action": "deny", "where": "missing" }, { "name": "reports only read", "action": "allow", "user": ["bob"], "set": { "default_transaction_read_only": "on" } }, { "name": "big deletes", "action": "deny", "mode": "dry_run", "command": ["DELETE"] } ], "limits": [ { "name": "per application", "key": ["application"], "max_connections": 2 } ], "routes": [ { "name": "replicas", "cluster": "replicas", "option": "ro" } ] }"#;

/// A session of psql: who, with which options, what.
struct Session {
    shows: &'static str,
    user: &'static str,
    options: &'static str,
    statements: &'static [&'static str],
}

const SESSIONS: &[Session] = &[
    Session {
        shows: "A denied DROP is an error like the server's own",
        user: "alice",
        options: "",
        statements: &["drop table orders"],
    },
    Session {
        shows: "So is an UPDATE without WHERE; the transaction is the server's",
        user: "alice",
        options: "",
        statements: &[
            "begin",
            "update orders set price = 0",
            "select 1",
            "rollback",
        ],
    },
    Session {
        shows: "bob only reads: the server enforces it, and he cannot change it",
        user: "bob",
        options: "",
        statements: &[
            "insert into orders values (0, 0)",
            "set default_transaction_read_only = off",
        ],
    },
    Session {
        shows: "A dry run lets pass and tells",
        user: "alice",
        options: "",
        statements: &["delete from orders where id = 1"],
    },
    Session {
        shows: "A session that asks for it goes to the replicas",
        user: "alice",
        options: "-c pgmesh.route=ro",
        statements: &["show cluster_name"],
    },
    Session {
        shows: "All others go to the primary",
        user: "alice",
        options: "",
        statements: &["show cluster_name"],
    },
];

/// Starts two servers and an Envoy with the shipped bootstrap, and runs the sessions.
pub fn show() -> Result<(), HostError> {
    println!("\nPolicy: PostgreSQL 18 and 15 and Envoy with envoy-configs/envoy/policy.yaml ...");
    let primary = named(Version::V18, "primary")?;
    let replica = named(Version::V15, "replica")?;
    let envoy = shipped::policy_bootstrap_with(&primary, &replica, POLICY).try_start()?;
    for session in SESSIONS {
        println!("\n{}", session.shows);
        run(&primary, &envoy, session);
    }
    println!("\nA third connection of one application is one too many");
    quota(&primary, &envoy);
    println!("\nWhat Envoy's log says of the dry run");
    for line in envoy.log().lines().filter(|line| line.contains("dry_run")) {
        let record = line.find('{').and_then(|start| line.get(start..));
        println!("  {}", record.unwrap_or(line));
    }
    // Counts are handed over every second.
    thread::sleep(Duration::from_millis(1500));
    println!("\nWhat Prometheus gets");
    let scrape = envoy.scrape();
    for sample in scrape.select("pgmesh_policy_decisions_total", &[]) {
        println!("  {sample}");
    }
    Ok(())
}

fn named(version: Version, name: &str) -> Result<Postgres, HostError> {
    let server = Postgres::builder(version)
        .setting("cluster_name", name)
        .try_start()?;
    server.sql(
        "create table orders (id int, price int);
         insert into orders select g, g from generate_series(1, 100) g;
         create role alice login; create role bob login;
         grant all on orders to alice, bob; alter table orders owner to alice",
    );
    Ok(server)
}

fn psql(server: &Postgres, envoy: &Envoy, user: &str) -> std::process::Command {
    let mut psql = server.client_through(envoy.port(), "psql");
    psql.env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable")
        .args(["-X", "-q", "-P", "footer=off", "-U", user, "-d", "postgres"]);
    psql
}

fn run(server: &Postgres, envoy: &Envoy, session: &Session) {
    let mut command = psql(server, envoy, session.user);
    command.env("PGOPTIONS", session.options);
    for statement in session.statements {
        println!("  {}=> {statement}", session.user);
        command.args(["-c", statement]);
    }
    print_output(&mut command);
}

fn quota(server: &Postgres, envoy: &Envoy) {
    let mut sleepers: Vec<_> = (0..2)
        .filter_map(|_| {
            let mut sleeper = psql(server, envoy, "alice");
            sleeper.args(["-c", "select pg_sleep(3)"]);
            sleeper.stdout(std::process::Stdio::null()).spawn().ok()
        })
        .collect();
    thread::sleep(Duration::from_secs(1));
    print_output(psql(server, envoy, "alice").args(["-c", "select 1"]));
    for sleeper in &mut sleepers {
        // A demo has nothing to do about a psql that did not end well.
        let _status = sleeper.wait();
    }
}

fn print_output(command: &mut std::process::Command) {
    match command.output() {
        Ok(output) => {
            for line in [output.stdout, output.stderr]
                .concat()
                .split(|byte| *byte == b'\n')
            {
                if !line.is_empty() {
                    println!("    {}", String::from_utf8_lossy(line));
                }
            }
        }
        Err(error) => println!("    psql does not run: {error}"),
    }
}
