//! Limits: how many connections, statements a second and busy sessions a key may have, and how long
//! statements and transactions may take.
//!
//! A limit is about every client that differs in its `key`: `["user", "database"]` gives each pair
//! of the two its own allowance. What is counted over all workers is in [`crate::shares`].

use proxy_host::Host;

use crate::config::{KeyPart, LimitDocument};
use crate::policy::Client;
use crate::shares::{Key, Refused, Shares};

/// What of a limit is reached.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Kind {
    /// `max_connections`
    Connections,
    /// `statements_per_second`
    Rate,
    /// `max_busy`
    Busy,
    /// `max_statement_seconds`, `max_transaction_seconds`, `max_idle_in_transaction_seconds`
    Time,
}

impl Kind {
    /// Every kind, in the order of the discriminants.
    pub const ALL: [Self; 4] = [Self::Connections, Self::Rate, Self::Busy, Self::Time];

    /// As metrics and records print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Rate => "rate",
            Self::Busy => "busy",
            Self::Time => "time",
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::Connections => "c",
            Self::Rate => "r",
            Self::Busy => "b",
            Self::Time => "t",
        }
    }
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Reached {
    /// Its number in the policy.
    pub limit: u8,
    /// What of it.
    pub kind: Kind,
}

/// A compiled limit.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Unique in its policy.
    pub name: String,
    key: Vec<KeyPart>,
    max_connections: Option<u32>,
    rate: Option<(u32, u32)>,
    max_busy: Option<u32>,
    /// In nanoseconds.
    statement: Option<u64>,
    transaction: Option<u64>,
    idle_in_transaction: Option<u64>,
}

/// Limits that a policy may have.
const MAX_LIMITS: usize = 64;

/// Compiles the limits of a document.
///
/// # Errors
/// One line that names the path of what is wrong, and what was expected.
pub fn compile(documents: &[LimitDocument]) -> Result<Vec<Limit>, String> {
    if documents.len() > MAX_LIMITS {
        return Err(format!("limits: expected at most {MAX_LIMITS}"));
    }
    let mut limits: Vec<Limit> = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let limit = limit(document).map_err(|reason| format!("limits[{index}].{reason}"))?;
        if limits.iter().any(|known| known.name == limit.name) {
            return Err(format!(
                "limits[{index}].name: there is a limit `{}` already",
                limit.name
            ));
        }
        limits.push(limit);
    }
    Ok(limits)
}

fn limit(document: &LimitDocument) -> Result<Limit, String> {
    if document.name.is_empty() || document.name.chars().any(char::is_control) {
        return Err("name: expected printable characters".to_owned());
    }
    if document.burst.is_some() && document.statements_per_second.is_none() {
        return Err("burst: there is no `statements_per_second` that it could exceed".to_owned());
    }
    let zero = [
        ("statements_per_second", document.statements_per_second),
        ("burst", document.burst),
    ]
    .into_iter()
    .find(|(_, value)| *value == Some(0));
    if let Some((name, _)) = zero {
        return Err(format!("{name}: expected at least 1, found 0"));
    }
    let nanoseconds = |seconds: Option<u32>| {
        seconds.map(|seconds| u64::from(seconds).saturating_mul(1_000_000_000))
    };
    let limit = Limit {
        name: document.name.clone(),
        key: document.key.clone(),
        max_connections: document.max_connections,
        rate: document
            .statements_per_second
            .map(|rate| (rate, document.burst.unwrap_or(rate))),
        max_busy: document.max_busy,
        statement: nanoseconds(document.max_statement_seconds),
        transaction: nanoseconds(document.max_transaction_seconds),
        idle_in_transaction: nanoseconds(document.max_idle_in_transaction_seconds),
    };
    let limits_nothing = limit.max_connections.is_none()
        && limit.rate.is_none()
        && limit.max_busy.is_none()
        && !limit.times();
    match limits_nothing {
        true => Err("name: nothing is limited".to_owned()),
        false => Ok(limit),
    }
}

impl Limit {
    fn times(&self) -> bool {
        self.statement.is_some() || self.transaction.is_some() || self.idle_in_transaction.is_some()
    }

    fn table(&self, kind: Kind) -> String {
        format!("{}/{}", kind.table(), self.name)
    }
}

/// Tables of the shared data that these limits need.
pub fn tables(limits: &[Limit]) -> Vec<String> {
    let mut tables = Vec::new();
    for limit in limits {
        let needed = [
            (Kind::Connections, limit.max_connections.is_some()),
            (Kind::Rate, limit.rate.is_some()),
            (Kind::Busy, limit.max_busy.is_some()),
        ];
        let needed = needed.into_iter().filter(|(_, needed)| *needed);
        tables.extend(needed.map(|(kind, _)| limit.table(kind)));
    }
    tables
}

/// What one connection holds of its limits.
#[derive(Debug, Default)]
pub struct Held {
    /// By the number of the limit; empty until the client is let in, and where there are no limits.
    keys: Vec<Key>,
    /// Limits of which a connection is held.
    connections: u8,
    /// Limits of which a busy session is held.
    busy: u8,
    /// When the server was first asked for what it has not answered.
    busy_since: Option<u64>,
    /// When the transaction was first seen open.
    transaction_since: Option<u64>,
    /// When the server last was ready.
    ready_since: u64,
}

/// The limits of a policy, and this worker's part in them.
pub struct Limits<'a> {
    /// Compiled.
    pub limits: &'a [Limit],
    /// This worker's part.
    pub shares: &'a Shares,
}

impl Limits<'_> {
    fn numbered(&self) -> impl Iterator<Item = (u8, &Limit)> {
        (0_u8..).zip(self.limits)
    }

    fn key(&self, limit: &Limit, client: &Client) -> Key {
        let source = client.source.map(|source| source.to_string());
        let value = |part: &KeyPart| match part {
            KeyPart::Principal => client.principal.as_deref().unwrap_or_default(),
            KeyPart::Source => source.as_deref().unwrap_or_default(),
            KeyPart::User => client.user.as_str(),
            KeyPart::Database => client.database.as_str(),
            KeyPart::Application => client.application.as_str(),
        };
        let values = limit.key.iter().map(|part| value(part).as_bytes());
        self.shares.key(values)
    }

    /// A client is let in.
    ///
    /// # Errors
    /// It would be one too many; nothing is held.
    pub fn admit(&self, host: &impl Host, client: &Client, held: &mut Held) -> Result<(), Reached> {
        held.keys = self
            .limits
            .iter()
            .map(|limit| self.key(limit, client))
            .collect();
        for (number, limit) in self.numbered() {
            let (Some(max), Some(key)) = (limit.max_connections, held.key(number)) else {
                continue;
            };
            let table = limit.table(Kind::Connections);
            if self.shares.acquire(host, &table, key, max).is_err() {
                self.leave(host, held);
                return Err(Reached {
                    limit: number,
                    kind: Kind::Connections,
                });
            }
            held.connections = number.saturating_add(1);
        }
        Ok(())
    }

    /// The client is gone.
    pub fn leave(&self, host: &impl Host, held: &mut Held) {
        self.give_back_busy(host, held);
        let connections = std::mem::take(&mut held.connections);
        for (number, limit) in self.numbered() {
            if number < connections
                && limit.max_connections.is_some()
                && let Some(key) = held.key(number)
            {
                self.release(host, limit, Kind::Connections, key);
            }
        }
    }

    fn release(&self, host: &impl Host, limit: &Limit, kind: Kind, key: Key) {
        if let Err(Refused::Host) = self.shares.release(host, &limit.table(kind), key) {
            log::error!(
                "pgmesh: limit `{}` counts one {} too many: the host's shared data is busy",
                limit.name,
                kind.as_str()
            );
        }
    }

    /// A statement is to be run.
    ///
    /// # Errors
    /// It would be one too many in this second.
    pub fn run(&self, host: &impl Host, held: &Held) -> Result<(), Reached> {
        for (number, limit) in self.numbered() {
            let (Some((rate, burst)), Some(key)) = (limit.rate, held.key(number)) else {
                continue;
            };
            let table = limit.table(Kind::Rate);
            let token = self.shares.take_token(host, &table, key, rate, burst);
            token.map_err(|_| Reached {
                limit: number,
                kind: Kind::Rate,
            })?;
        }
        Ok(())
    }

    /// The server is asked for something. It is busy until [`Limits::ready`].
    ///
    /// # Errors
    /// It would be one session too many; nothing more is held.
    pub fn busy(&self, host: &impl Host, held: &mut Held) -> Result<(), Reached> {
        if held.busy_since.is_some() || self.limits.is_empty() {
            return Ok(());
        }
        for (number, limit) in self.numbered() {
            let (Some(max), Some(key)) = (limit.max_busy, held.key(number)) else {
                continue;
            };
            let table = limit.table(Kind::Busy);
            if self.shares.acquire(host, &table, key, max).is_err() {
                self.give_back_busy(host, held);
                return Err(Reached {
                    limit: number,
                    kind: Kind::Busy,
                });
            }
            held.busy = number.saturating_add(1);
        }
        held.busy_since = Some(host.now());
        Ok(())
    }

    fn give_back_busy(&self, host: &impl Host, held: &mut Held) {
        held.busy_since = None;
        let busy = std::mem::take(&mut held.busy);
        for (number, limit) in self.numbered() {
            if number < busy
                && limit.max_busy.is_some()
                && let Some(key) = held.key(number)
            {
                self.release(host, limit, Kind::Busy, key);
            }
        }
    }

    /// The server has answered all it was asked for.
    pub fn ready(&self, host: &impl Host, held: &mut Held, in_transaction: bool) {
        if self.limits.is_empty() {
            return;
        }
        self.give_back_busy(host, held);
        if self.limits.iter().any(Limit::times) {
            held.ready_since = host.now();
            held.transaction_since =
                in_transaction.then(|| held.transaction_since.unwrap_or(held.ready_since));
        }
    }

    /// Whether something has taken too long.
    #[must_use]
    pub fn overdue(&self, held: &Held, now: u64) -> Option<Reached> {
        let over = |since: Option<u64>, limit: Option<u64>| {
            since
                .zip(limit)
                .is_some_and(|(since, limit)| now.saturating_sub(since) > limit)
        };
        let idle_since = held
            .transaction_since
            .filter(|_| held.busy_since.is_none())
            .map(|_| held.ready_since);
        let (number, _) = self.numbered().find(|(_, limit)| {
            over(held.busy_since, limit.statement)
                || over(held.transaction_since, limit.transaction)
                || over(idle_since, limit.idle_in_transaction)
        })?;
        Some(Reached {
            limit: number,
            kind: Kind::Time,
        })
    }
}

impl Held {
    fn key(&self, limit: u8) -> Option<Key> {
        self.keys.get(usize::from(limit)).copied()
    }
}

#[cfg(test)]
mod tests {
    use proxy_host::fake::FakeHost;

    use super::*;
    use crate::config::json::Read;

    fn compiled(json: &str) -> Result<Vec<Limit>, String> {
        compile(&Vec::<LimitDocument>::read(serde_json::from_str(json).unwrap()).unwrap())
    }

    fn user(name: &str) -> Client {
        Client {
            user: name.to_owned(),
            ..Client::default()
        }
    }

    #[test]
    fn each_key_has_its_own_connections() {
        let host = FakeHost::default();
        let limits = compiled(
            r#"[{"name": "all", "key": [], "max_connections": 3},
                {"name": "user", "key": ["user"], "max_connections": 2}]"#,
        )
        .unwrap();
        let shares = Shares::start(&host, &tables(&limits));
        let limits = Limits {
            limits: &limits,
            shares: &shares,
        };
        let admit = |name: &str| {
            let mut held = Held::default();
            limits.admit(&host, &user(name), &mut held).map(|()| held)
        };
        let mut first = admit("a").unwrap();
        admit("a").unwrap();
        let reached = |limit| {
            let kind = Kind::Connections;
            Some(Reached { limit, kind })
        };
        assert_eq!(admit("a").err(), reached(1));
        admit("b").unwrap();
        assert_eq!(admit("c").err(), reached(0));
        limits.leave(&host, &mut first);
        admit("a").unwrap();
    }

    #[test]
    fn a_session_is_busy_until_the_server_is_ready() {
        let host = FakeHost::default();
        let limits = compiled(r#"[{"name": "one", "max_busy": 1}]"#).unwrap();
        let shares = Shares::start(&host, &tables(&limits));
        let limits = Limits {
            limits: &limits,
            shares: &shares,
        };
        let mut sessions = [Held::default(), Held::default()];
        for held in &mut sessions {
            limits.admit(&host, &user("a"), held).unwrap();
        }
        let [first, second] = &mut sessions;
        limits.busy(&host, first).unwrap();
        limits.busy(&host, first).unwrap();
        assert!(limits.busy(&host, second).is_err());
        limits.ready(&host, first, false);
        limits.busy(&host, second).unwrap();
        limits.leave(&host, second);
        limits.busy(&host, first).unwrap();
    }

    #[test]
    fn what_takes_too_long_is_overdue() {
        let host = FakeHost::default();
        let limits = compiled(
            r#"[{"name": "t", "max_statement_seconds": 10, "max_transaction_seconds": 60,
                 "max_idle_in_transaction_seconds": 5}]"#,
        )
        .unwrap();
        let shares = Shares::default();
        let limits = Limits {
            limits: &limits,
            shares: &shares,
        };
        let second = |second: u64| second * 1_000_000_000;
        let mut held = Held::default();
        let overdue = |held: &Held, at| limits.overdue(held, second(at)).is_some();
        limits.busy(&host, &mut held).unwrap();
        assert!(!overdue(&held, 10));
        assert!(overdue(&held, 11));
        host.time.set(second(8));
        limits.ready(&host, &mut held, true);
        assert!(!overdue(&held, 13));
        assert!(overdue(&held, 14));
        limits.busy(&host, &mut held).unwrap();
        assert!(!overdue(&held, 14));
        host.time.set(second(60));
        limits.ready(&host, &mut held, true);
        assert!(overdue(&held, 69));
        limits.ready(&host, &mut held, false);
        assert!(!overdue(&held, 1000));
    }

    #[test]
    fn a_bad_limit_says_where_and_why() {
        for (json, expected) in [
            (r#"[{"name": "a"}]"#, "limits[0].name: nothing is limited"),
            (
                r#"[{"name": "a", "burst": 1}]"#,
                "limits[0].burst: there is no",
            ),
            (
                r#"[{"name": "a", "statements_per_second": 0}]"#,
                "limits[0].statements_per_second: expected at least 1",
            ),
            (
                r#"[{"name": "a", "max_busy": 1}, {"name": "a", "max_busy": 1}]"#,
                "limits[1].name: there is a limit `a` already",
            ),
        ] {
            let error = compiled(json).expect_err(json);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
