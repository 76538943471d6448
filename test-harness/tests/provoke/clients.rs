//! Clients that a server refuses, and clients that do not keep to its protocol.

use std::fs;
use std::thread;
use std::time::Duration;

use test_harness::hosts::{Postgres, Version};
use test_harness::net::{Client, messages};

use super::{CONNECTIONS, command, psql, reset, run_with, set};

/// Lines of `pg_hba.conf` over which some come in, and others do not.
const NARROW: &str = "\
local all peered peer
local all mapped peer map=strangers
local all all trust
local replication all trust
host all rejected 127.0.0.1/32 reject
host replication rejected 127.0.0.1/32 reject
host all bob 127.0.0.1/32 scram-sha-256
host all postgres 127.0.0.1/32 trust
host replication postgres 127.0.0.1/32 trust
";

/// What no server can read.
const WRONG: &str = "\
host all all nonsense trust secret=1
host all all 0.0.0.0/0 secret
host all all 0.0.0.0/0 ldap ldapserver=ldap.example ldapbindpasswd=hunter2 nonsense=hunter2
";

/// Standbys come in over the lines that this leaves.
pub(crate) fn run(server: &Postgres) {
    psql(
        server,
        "CREATE ROLE rejected LOGIN; CREATE ROLE unlisted LOGIN; CREATE ROLE peered LOGIN; CREATE ROLE mapped LOGIN;
         CREATE DATABASE full_up CONNECTION LIMIT 0",
    );
    rules(server, WRONG);
    rules(server, NARROW);
    set(server, "authentication_timeout = '2s'");
    thread::scope(|scope| {
        scope.spawn(|| client_that_never_says_its_password(server));
        refused(server);
        packets(server);
        messages_out_of_place(server);
        if server.version() == Version::V15 {
            tls(server);
        }
    });
    reset(server, "authentication_timeout");
    too_many(server);
}

/// Puts lines into `pg_hba.conf`.
fn rules(server: &Postgres, lines: &str) {
    let path = server.data_directory().join("pg_hba.conf");
    fs::write(path, lines).expect("written");
    psql(server, "SELECT pg_reload_conf(); SELECT pg_sleep(0.3)");
}

fn refused(server: &Postgres) {
    let come = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut psql = command(server);
        psql.envs(variables.iter().copied()).args(arguments);
        run_with(psql, "SELECT 1");
    };
    let tcp = ("PGHOST", "127.0.0.1");
    for role in ["rejected", "unlisted"] {
        come(&[tcp, ("PGUSER", role)], &[]);
        come(&[tcp, ("PGUSER", role)], &["-d", "replication=true"]);
    }
    for role in ["peered", "mapped"] {
        come(&[("PGUSER", role)], &[]);
    }
    come(&[("PGUSER", "bob"), ("PGDATABASE", "full_up")], &[]);
}

fn client_that_never_says_its_password(server: &Postgres) {
    let mut client = Client::connect(server.address());
    client.send(&messages::startup(0x0003_0000, &[("user", "bob")]));
    client.read_to_end();
}

/// Bytes that promise more, and no more.
fn cut_short(mut client: Client, bytes: &[u8]) {
    client.send(bytes);
    client.half_close();
    client.read_to_end();
}

/// What comes before a session.
fn packets(server: &Postgres) {
    let send = |bytes: &[u8]| {
        let mut client = Client::connect(server.address());
        client.send(bytes);
        client.read_to_end();
    };
    let raw = |version: u32, body: &[u8]| {
        messages::untagged(&[&version.to_be_bytes()[..], body].concat())
    };
    send(&raw(0x0003_0000, b"\0"));
    send(&raw(0x0004_0000, b"user\0postgres\0\0"));
    send(&raw(0x0003_0000, b"user\0postgres\0secret"));
    send(b"\0\0\0\x02");
    cut_short(
        Client::connect(server.address()),
        b"\0\0\0\x20\0\x03\0\0user",
    );
    let of_nobody = messages::cancel_request(u32::MAX >> 1, &[0; 4]);
    send(&of_nobody);
    let backend = server.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' OR backend_type = 'logical replication launcher' LIMIT 1");
    let backend = backend.parse().expect("a process id");
    send(&messages::cancel_request(backend, &[0; 4]));
    // A password message is awaited, and a query comes.
    let mut client = Client::connect(server.address());
    client.send(&messages::startup(0x0003_0000, &[("user", "bob")]));
    client.send(&messages::query("SELECT 'secret'"));
    client.read_to_end();
}

/// What comes in a session.
fn messages_out_of_place(server: &Postgres) {
    for bytes in [
        messages::message(b'z', b"secret"),
        messages::message(b'B', b"secret"),
        messages::message(b'B', b"\0\0\0\0\0\x01\0\0\0\x09"),
        b"Q\0\0\0\x01".to_vec(),
    ] {
        let mut client = Client::session(server.address(), "postgres");
        client.send(&[bytes, messages::sync(), messages::terminate()].concat());
        client.read_to_end();
    }
    for bytes in [&b"Q\0\0"[..], b"Q\0\0\0\x20SELECT"] {
        cut_short(Client::session(server.address(), "postgres"), bytes);
    }
    // A cursor that is read in two steps.
    let mut client = Client::session(server.address(), "postgres");
    let steps = [
        messages::query("SET log_statement = 'all'"),
        messages::parse("", "SELECT generate_series(1, 3), 'secret'"),
        messages::bind("", "", &[]),
        messages::execute("", 1),
        messages::execute("", 1),
        messages::bind("", "nothing", &[]),
        messages::sync(),
        messages::execute("nothing", 0),
        messages::sync(),
        messages::terminate(),
    ];
    client.send(&steps.concat());
    client.read_to_end();
    let mut client = Client::session(server.address(), "postgres");
    client.send(&messages::query("SELECT pg_sleep(0.3), 'secret'"));
    client.reset();
}

/// A server that speaks TLS, to one that does and one that does not.
fn tls(server: &Postgres) {
    let mut psql = server.client("psql");
    psql.env("PGHOST", "127.0.0.1")
        .env("PGSSLMODE", "require")
        .args(["-Xqc", "SELECT 1"]);
    psql.output().expect("psql runs");
    let mut client = Client::connect(server.address());
    client.send(&messages::request(80_877_103));
    assert_eq!(client.read_byte(), b'S');
    cut_short(client, b"this is no handshake, secret");
}

/// Until only the places of superusers are left, and then none.
fn too_many(server: &Postgres) {
    thread::scope(|scope| {
        let sleep = || psql(server, "SELECT pg_sleep(1.5)");
        for _ in 0..CONNECTIONS - 2 {
            scope.spawn(sleep);
        }
        thread::sleep(Duration::from_millis(500));
        let mut psql = command(server);
        psql.env("PGUSER", "bob");
        run_with(psql, "SELECT 1");
        for _ in 0..4 {
            scope.spawn(sleep);
        }
    });
}
