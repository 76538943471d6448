//! The kernel asks both peers of a production Envoy whether they are still there: PostgreSQL's own
//! keepalives reach Envoy only.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use test_harness::hosts::{Postgres, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(30);
const ESTABLISHED: &str = "01";
/// The kernel's number of the keepalive timer (proc_net_tcp.txt in its documentation).
const KEEPALIVE: &str = "02";

/// A connection in the kernel's table: its two ports and the timer that runs.
struct Socket {
    local: u16,
    remote: u16,
    timer: String,
}

fn sockets() -> Vec<Socket> {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let port = |address: &str| {
        let (_, port) = address.split_once(':')?;
        u16::from_str_radix(port, 16).ok()
    };
    let read = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let [local, remote, state] = [fields.next()?, fields.next()?, fields.next()?];
        let timer = fields.nth(1)?.split_once(':')?.0.to_owned();
        (state == ESTABLISHED).then_some(Socket {
            local: port(local)?,
            remote: port(remote)?,
            timer,
        })
    };
    table.lines().skip(1).filter_map(read).collect()
}

#[test]
fn client_and_server_are_asked_while_a_session_is_silent() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::sidecar_bootstrap(&server).start();
    let mut session = server
        .client_through(envoy.port(), "psql")
        .env("PGSSLMODE", "disable")
        .arg("-XAtq")
        .stdin(Stdio::piped())
        .spawn()
        .expect("psql starts");
    // Of the four ends, two are Envoy's: the one with its port, and the one towards the server's.
    let (port, server) = (envoy.port(), server.port());
    let asked = wait_for(LIMIT, || {
        let sockets = sockets();
        let asks = |end: &dyn Fn(&Socket) -> bool| {
            let mut ends = sockets.iter().filter(|socket| end(socket));
            ends.any(|socket| socket.timer == KEEPALIVE)
        };
        let client = asks(&|socket: &Socket| socket.local == port);
        let server = asks(&|socket: &Socket| socket.remote == server);
        (client && server).then_some(())
    });
    session.kill().expect("it runs");
    session.wait().expect("it ends");
    assert!(asked.is_some());
}
