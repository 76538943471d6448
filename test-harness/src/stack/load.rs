//! What clients do to the stack: applications at work, and in small measure all that goes wrong in real
//! life, so that every figure on a dashboard has something to show.

use std::any::Any;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::Stack;
use crate::background::{Again, Program, Stopped};
use crate::hosts::Postgres;
use crate::hosts::postgres::output_of;
use crate::net::{Client, messages};

/// The load, as long as it lives.
pub type Load = Vec<Box<dyn Any>>;

/// More than the filter has room for among its labels.
const USERS: usize = 60;

/// Databases and their owners.
const DATABASES: [(&str, &str); 2] = [("shop", "alice"), ("billing", "bob")];

/// Sessions that repeat their queries: user, database, milliseconds between two queries, queries.
type Session = (&'static str, &'static str, u64, &'static [&'static str]);

/// Some of the queries are meant to fail.
const SESSIONS: &[Session] = &[
    (
        "alice",
        "shop",
        300,
        &[
            "insert into orders values (1, 'twice')",
            "select * from order",
            "select 1 / (select count(*) from orders where false)",
            "set statement_timeout = '50ms'",
            "select pg_sleep(1)",
            "reset statement_timeout",
            "create temporary table if not exists basket (id int)",
            "copy (select g, md5(g::text) from generate_series(1, 5000) g) to stdout",
            "set work_mem = '64kB'",
            "select count(*) from (select g from generate_series(1, 100000) g order by md5(g::text)) s",
            "reset work_mem",
            "select pg_sleep(0.3) /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'*/",
        ],
    ),
    (
        "alice",
        "shop",
        400,
        &[
            "begin",
            "update orders set item = 'b' where id = 1",
            "rollback",
        ],
    ),
    (
        "bob",
        "billing",
        150,
        &["begin", "select count(*) from invoices", "commit"],
    ),
    (
        "bob",
        "billing",
        700,
        &[
            "drop table invoices",
            "delete from invoices",
            "listen paid",
            "notify paid",
        ],
    ),
    (
        "alice",
        "shop",
        2000,
        &["checkpoint", "vacuum orders", "select pg_switch_wal()"],
    ),
];

/// Begins it; the tables are made first.
#[track_caller]
pub fn start(stack: &Stack) -> Load {
    let (primary, address) = (&stack.primary, stack.address());
    prepare(primary);
    let mut load: Load = vec![
        Box::new(pgbench(
            stack,
            0,
            &["-M", "prepared", "-c", "3", "-R", "60"],
        )),
        Box::new(pgbench(
            stack,
            1,
            &["-M", "simple", "-S", "-c", "2", "-R", "60"],
        )),
        Box::new(pgbench(
            stack,
            1,
            &["-M", "extended", "-C", "-S", "-c", "1", "-R", "5"],
        )),
        Box::new(receive_wal(stack)),
        Box::new(locks(address)),
        Box::new(pipelines(address)),
        Box::new(readers(stack)),
        Box::new(function_calls(stack)),
        Box::new(strangers(address)),
        Box::new(too_many(address)),
        Box::new(unreadable(address)),
        Box::new(cancels(address)),
        Box::new(many_users(address)),
        Box::new(many_statements(address)),
        Box::new(a_collector_that_hangs(stack)),
        Box::new(torn_entries(stack)),
        Box::new(workload(stack)),
    ];
    for (user, database, pause, queries) in SESSIONS {
        let session = session(address, user, database);
        let pause = Duration::from_millis(*pause);
        load.push(Box::new(Again::queries(session, pause, queries)));
    }
    load
}

fn prepare(primary: &Postgres) {
    primary.sql("create role alice login; create role bob login; create role reports login");
    // For VACUUM of shared tables, CHECKPOINT and switching WAL, which the load does too.
    primary.sql("alter role alice superuser");
    for number in 0..USERS {
        primary.sql(&format!("create role reader_{number} login"));
    }
    for (database, owner) in DATABASES {
        primary.sql(&format!("create database {database} owner {owner}"));
        let as_owner = |program: &str| {
            let mut command = primary.client(program);
            command.env("PGDATABASE", database).env("PGUSER", owner);
            command
        };
        let tables = "create table orders (id int primary key, item text);
            insert into orders values (1, 'a'); create table invoices (id int);
            grant select on orders to reports";
        output_of(as_owner("psql").args(["-XAtqc", tables]));
        output_of(as_owner("pgbench").args(["-i", "-q", "-s", "2"]));
    }
}

fn hello(address: SocketAddr, user: &str, database: &str, application: &str) -> Client {
    let mut client = Client::connect(address);
    let parameters = [
        ("user", user),
        ("database", database),
        ("application_name", application),
    ];
    client.send(&messages::startup(messages::PROTOCOL_3_0, &parameters));
    client
}

fn session(address: SocketAddr, user: &str, database: &str) -> Client {
    let mut client = hello(address, user, database, "till");
    client.read_until_ready();
    client
}

fn client(stack: &Stack, program: &str, user: &str, database: &str) -> Command {
    let mut command = stack.primary.client_through(stack.envoy.port(), program);
    command.env("PGUSER", user).env("PGDATABASE", database);
    // The route of a session that asks for encryption first is chosen before it says who it is.
    command
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable");
    command
}

fn pgbench(stack: &Stack, place: usize, arguments: &[&str]) -> Program {
    let (database, user) = DATABASES[place];
    let mut pgbench = client(stack, "pgbench", user, database);
    Program::start(pgbench.args(["-n", "-T", "100000"]).args(arguments))
}

/// A stream of WAL through Envoy, by a slot.
fn receive_wal(stack: &Stack) -> Program {
    let slot = "select pg_create_physical_replication_slot('archive')";
    stack.primary.sql(slot);
    let mut receiver = client(stack, "pg_receivewal", "postgres", "postgres");
    receiver.args(["--slot=archive", "--no-loop", "--no-sync", "-D"]);
    Program::start(receiver.arg(stack.scratch()))
}

/// Two sessions after the same two rows, in opposite order: waits and deadlocks.
fn locks(address: SocketAddr) -> [Again; 2] {
    let mut setup = session(address, "alice", "shop");
    setup.query("create table seats as select generate_series(1, 2) as id");
    [(1, 2), (2, 1)].map(|(first, second)| {
        let mut session = session(address, "alice", "shop");
        let lock = |id: u8| format!("select from seats where id = {id} for update");
        Again::and_again(move || {
            session.query("begin");
            session.query(&lock(first));
            thread::sleep(Duration::from_millis(50));
            session.query(&lock(second));
            session.query("rollback");
            thread::sleep(Duration::from_millis(1500));
        })
    })
}

/// Three statements under way at once, by a named prepared statement.
fn pipelines(address: SocketAddr) -> Again {
    let mut session = session(address, "bob", "billing");
    session.send(&messages::parse(
        "invoice",
        "select id from invoices where id = $1::int",
    ));
    session.send(&messages::sync());
    session.read_until_ready();
    Again::and_again(move || {
        for number in ["1", "2", "3"] {
            session.send(&messages::bind("", "invoice", &[number]));
            session.send(&messages::execute("", 0));
        }
        session.send(&messages::sync());
        session.read_until_ready();
        thread::sleep(Duration::from_millis(200));
    })
}

/// Reports, which ask for the replica.
fn readers(stack: &Stack) -> Again {
    let mut psql = client(stack, "psql", "reports", "shop");
    psql.env("PGOPTIONS", "-c pgmesh.route=ro");
    psql.args(["-XAtqc", "select count(*) from orders"]);
    Again::and_again(move || {
        // On a busy machine the standby may not have the role yet.
        let _answer = psql.output();
        thread::sleep(Duration::from_secs(1));
    })
}

/// psql reads and writes large objects by FunctionCall.
fn function_calls(stack: &Stack) -> Again {
    let mut psql = client(stack, "psql", "alice", "shop");
    psql.args(["-XAtqc", "\\lo_import /etc/hostname"]);
    Again::and_again(move || {
        let _answer = psql.output();
        thread::sleep(Duration::from_secs(2));
    })
}

/// Whom the server does not know, and whom the policy does not let in.
fn strangers(address: SocketAddr) -> Again {
    Again::and_again(move || {
        for user in ["nobody", "stranger_1"] {
            hello(address, user, "shop", "till").read_to_end();
        }
        thread::sleep(Duration::from_secs(1));
    })
}

/// More sessions of one application than its limit, for a moment.
fn too_many(address: SocketAddr) -> Again {
    Again::and_again(move || {
        let sessions = (0..32).map(|_| hello(address, "bob", "billing", "batch"));
        let sessions: Vec<Client> = sessions.collect();
        thread::sleep(Duration::from_millis(500));
        drop(sessions);
        thread::sleep(Duration::from_secs(4));
    })
}

/// TLS from the first byte, and a session that goes on with what is no message.
fn unreadable(address: SocketAddr) -> Again {
    Again::and_again(move || {
        let mut client = Client::connect(address);
        client.send(&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]);
        client.read_to_end();
        let mut client = session(address, "bob", "billing");
        client.send(&[0xff; 16]);
        client.read_to_end();
        thread::sleep(Duration::from_secs(2));
    })
}

fn cancels(address: SocketAddr) -> Again {
    Again::and_again(move || {
        let mut client = Client::connect(address);
        client.send(&messages::cancel_request(1, &[0; 4]));
        client.read_to_end();
        thread::sleep(Duration::from_secs(1));
    })
}

/// After a while, when all others have their labels.
fn many_users(address: SocketAddr) -> Again {
    let mut number = 0;
    Again::and_again(move || {
        thread::sleep(Duration::from_millis(200));
        number += 1;
        if number > 100 {
            let user = format!("reader_{}", number % USERS);
            session(address, &user, "shop").query("select 1");
        }
    })
}

/// More different statements than are remembered.
fn many_statements(address: SocketAddr) -> Again {
    let mut session = session(address, "bob", "billing");
    let mut number = 0;
    Again::and_again(move || {
        number += 1;
        session.query(&format!("select 1 as column_{}", number % 10_000));
        thread::sleep(Duration::from_millis(5));
    })
}

/// For some seconds of a minute it answers nothing.
fn a_collector_that_hangs(stack: &Stack) -> Again {
    let collector = stack.collector.process().id();
    Again::and_again(move || {
        thread::sleep(Duration::from_secs(8));
        let stopped = Stopped::id(collector);
        thread::sleep(Duration::from_secs(12));
        drop(stopped);
        thread::sleep(Duration::from_secs(14));
    })
}

/// An entry of the log whose end was never written.
fn torn_entries(stack: &Stack) -> Again {
    let log = stack.json_log();
    Again::and_again(move || {
        let torn = b"{\"timestamp\":\"2026-11-30 03:10:00.000 UTC\",\"pid\":1,\"error_severity\":\"LOG\",\"mess\n";
        if let Ok(mut log) = OpenOptions::new().append(true).open(&log) {
            log.write_all(torn).expect("the disk has room");
        }
        thread::sleep(Duration::from_secs(5));
    })
}

/// Statements that fail, from a workload that the mesh knows.
fn workload(stack: &Stack) -> Again {
    let address = SocketAddr::from(([127, 0, 0, 1], stack.workload_port()));
    let session = session(address, "bob", "billing");
    Again::queries(
        session,
        Duration::from_secs(2),
        &["select nothing", "select 1"],
    )
}
