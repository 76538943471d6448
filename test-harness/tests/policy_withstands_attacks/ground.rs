//! Where the attacks take place: a server with something to protect, an Envoy with the policy in
//! front of it, and a judge that asks the server what has become of it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use test_harness::hosts::{Envoy, Postgres, Version, wait_for};
use test_harness::net::Client;
use test_harness::net::client::Message;
use test_harness::net::messages::{self, PROTOCOL_3_0};

/// Stands in the protected table, and nowhere else.
pub const SECRET: &str = "secret-4711";

/// The attacker is a superuser: nothing but the policy stands in the way.
const ROLES: &str = "\
create role mallory superuser login;
create role app superuser;
create extension dblink;
create extension postgres_fdw;
create extension pageinspect;
create extension tablefunc;
create publication everything for all tables;
select pg_create_logical_replication_slot('changes', 'test_decoding');";

const STATE: &str = "\
drop owned by mallory cascade;
alter role mallory reset all;
drop schema if exists app, gone, loot cascade;
drop function if exists harmless;
create or replace function peek() returns text language plpgsql
    as 'begin return (select note from app.payments); end';
create schema app;
create schema loot;
create table app.orders (id int primary key, note text);
insert into app.orders values (1, 'an order'), (2, 'another');
create table app.payments (id int primary key, note text, order_id int references app.orders);
insert into app.payments values (1, 'secret-4711', 1);
create table app.parent (id int, note text, order_id int)";

/// What the protected table has been through, so far: scans and changed rows.
const TOUCHES: &str = "\
select coalesce((select seq_scan + coalesce(idx_scan, 0) + n_tup_ins + n_tup_upd + n_tup_del
    from pg_stat_user_tables where schemaname = 'app' and relname = 'payments'), -1)";

/// A server behind the policy, and somebody who watches it.
pub struct Ground {
    pub server: Postgres,
    _envoy: Envoy,
    pub through: SocketAddr,
    judge: RefCell<Client>,
    touches: RefCell<String>,
}

impl Ground {
    pub fn new(version: Version, policy: &str) -> Self {
        let server = Postgres::builder(version)
            .setting("max_replication_slots", "4")
            .start();
        let envoy = Envoy::in_front_of(server.address())
            .module("envoy-policy", policy)
            .start();
        let through = SocketAddr::from(([127, 0, 0, 1], envoy.port()));
        let judge = RefCell::new(Client::session(server.address(), "postgres"));
        let ground = Self {
            server,
            _envoy: envoy,
            through,
            judge,
            touches: RefCell::default(),
        };
        for statement in ROLES.lines() {
            ground.ask(statement);
        }
        ground.restore();
        ground
    }

    /// Runs SQL past the policy; the first value of the last row.
    #[track_caller]
    pub fn ask(&self, sql: &str) -> String {
        let answer = self.judge.borrow_mut().query(sql);
        let error = answer.iter().find(|message| message.tag == b'E');
        if let Some(error) = error {
            panic!("{sql}: {}", String::from_utf8_lossy(&error.body));
        }
        value(&answer).unwrap_or_default()
    }

    /// Everything is as it was before the first attack.
    pub fn restore(&self) {
        self.ask(STATE);
        let touches = self.touches();
        self.touches.replace(touches);
    }

    /// The judge's own are counted once it is idle.
    fn touches(&self) -> String {
        self.ask("select pg_stat_force_next_flush()");
        self.ask(TOUCHES)
    }

    /// A text with `{port}`, `{data}` and `{file}` made what they stand for. The file is on the disk.
    pub fn fill_in(&self, text: &str) -> String {
        let mut text = text.replace("{port}", &self.server.port().to_string());
        let data = self.server.data_directory();
        text = text.replace("{data}", &data.to_string_lossy());
        if text.contains("{file}") {
            self.ask("checkpoint");
            let file = self.ask("select pg_relation_filepath('app.payments')");
            text = text.replace("{file}", &file);
        }
        text
    }

    /// Waits until the attacker's sessions are gone, and tells what harm was done.
    pub fn harm(&self, seen: &[u8]) -> Option<String> {
        let sessions = "select count(*) from pg_stat_activity where usename = 'mallory'";
        let gone = wait_for(Duration::from_secs(20), || {
            (self.ask(sessions) == "0").then_some(())
        });
        assert!(gone.is_some(), "the attacker's sessions go on");
        if tells(seen) {
            return Some("the secret was told".to_owned());
        }
        let touches = self.touches();
        if touches != *self.touches.borrow() {
            return Some(format!("the table was touched: {touches}"));
        }
        let there = "select to_regclass('app.payments') is not null";
        if self.ask(there) != "t" {
            return Some("the table is gone".to_owned());
        }
        let rows = self.ask("select string_agg(p::text, ',') from app.payments p");
        let read = self.touches();
        self.touches.replace(read);
        (rows != format!("(1,{SECRET},1)")).then(|| format!("the table holds {rows}"))
    }
}

/// Whether the secret is among these bytes, plain or in hexadecimal digits.
fn tells(seen: &[u8]) -> bool {
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    [SECRET, &hex]
        .iter()
        .any(|secret| holds(seen, secret.as_bytes()))
}

/// Whether `bytes` hold `part`.
pub fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The first value of the last DataRow.
pub fn value(answer: &[Message]) -> Option<String> {
    let row = answer.iter().rev().find(|message| message.tag == b'D')?;
    let size = u32::from_be_bytes(*row.body.get(2..)?.first_chunk()?);
    let value = row.body.get(6..)?.get(..usize::try_from(size).ok()?)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The StartupMessage of the attacker.
pub fn startup(more: &[(&str, &str)]) -> Vec<u8> {
    let who = [("user", "mallory"), ("database", "postgres")];
    messages::startup(PROTOCOL_3_0, &[&who, more].concat())
}

/// A session of the attacker that is ready, or the FATAL that refused it.
pub fn session(address: SocketAddr, more: &[(&str, &str)]) -> Result<Client, String> {
    let mut client = Client::connect(address);
    client.send(&startup(more));
    loop {
        match client.next_message() {
            Some(message) if message.tag == b'Z' => return Ok(client),
            Some(message) if message.tag == b'E' => {
                return Err(String::from_utf8_lossy(&message.body).replace('\0', " "));
            }
            Some(_) => {}
            None => return Err("the connection ended".to_owned()),
        }
    }
}

/// Every byte the server sends until it is ready, or gone; a COPY it waits for gets one row.
pub fn answer(client: &mut Client) -> Vec<u8> {
    let mut seen = Vec::new();
    while let Some(message) = client.next_message() {
        seen.push(message.tag);
        seen.extend_from_slice(&message.body);
        match message.tag {
            b'Z' => break,
            b'G' => {
                client.send(&messages::copy_data(b"9\tforged\t1\n"));
                client.send(&messages::copy_done());
            }
            _ => {}
        }
    }
    seen
}
