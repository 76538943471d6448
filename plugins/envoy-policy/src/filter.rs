//! The filter as the host drives it: every callback shows the gate what it needs to see, and
//! writes back what is to change. What cannot be written back closes the connection.

use std::hash::Hasher;

use pg_wire::Direction;
use proxy_host::{Action, Buffer, ContextId, Host, HostError, Plugin, Side};
use siphasher::sip::SipHasher24;

use crate::cancels;
use crate::catalog::Counters;
use crate::config::Mode;
use crate::gate::edits::Edits;
use crate::gate::{Gate, Limits};
use crate::limits;
use crate::policy::Policy;
use crate::shares::Shares;
use crate::sitting::{Bench, Recorder, Sitting};

/// The most bytes that are copied out of the host in one call.
const CHUNK: usize = 64 * 1024;
/// Milliseconds between two ticks.
const TICK: u32 = 1000;

/// One configured filter in one VM.
pub struct PolicyFilter {
    policy: Policy,
    counters: Counters,
    recorder: Recorder,
    shares: Shares,
    edits: Edits,
    /// Bytes held by all connections.
    held: usize,
    /// Mixed from the clock, for the keys of connections: this target has no other source.
    seed: u64,
    connections: u64,
}

/// One connection through it.
#[derive(Default)]
pub struct Connection {
    gate: Option<Box<Gate>>,
    sitting: Sitting,
    /// It was doomed at the last tick already: what was written has gone out.
    doomed: bool,
    /// Nothing goes on before its StartupMessage, or CancelRequest, has been seen.
    waits_for_route: bool,
    /// Something took too long at the last tick already.
    overdue: bool,
    /// The host failed: nothing passes any more.
    broken: bool,
}

impl Connection {
    fn has_begun(&self) -> bool {
        self.gate.as_ref().is_some_and(|gate| gate.has_begun())
    }
}

/// Tables of the shared data that a policy needs.
fn tables(policy: &Policy) -> Vec<String> {
    let mut tables = limits::tables(&policy.limits);
    if cancels::are_noted(policy) {
        tables.push(cancels::TABLE.to_owned());
    }
    tables
}

impl PolicyFilter {
    /// The secret of a new connection.
    fn key(&mut self, host: &impl Host) -> (u64, u64) {
        self.connections = self.connections.wrapping_add(1);
        let mut hasher = SipHasher24::new_with_keys(self.seed, self.connections);
        hasher.write_u64(host.now());
        self.seed = hasher.finish();
        hasher.write_u64(self.connections);
        (self.seed.rotate_left(32), hasher.finish())
    }

    fn data(
        &mut self,
        host: &impl Host,
        connection: &mut Connection,
        direction: Direction,
        size: usize,
    ) -> Action {
        if connection.broken {
            return Action::Pause;
        }
        if size == 0 {
            return Action::Continue;
        }
        if connection.gate.is_none() {
            let limits = Limits {
                held: self.policy.max_statement_bytes,
            };
            connection.gate = Some(Box::new(Gate::new(limits, self.key(host))));
        }
        let passed = self.pass(host, connection, direction, size);
        let waits = connection.waits_for_route && !connection.has_begun();
        match passed {
            // The host chooses a server with the first bytes that go on.
            Ok(()) if waits => Action::Pause,
            Ok(()) => Action::Continue,
            Err(HostError(status)) => {
                log::error!("pgmesh: closing a connection: the host failed with status {status}");
                self.counters.host_failed();
                connection.broken = true;
                // Nothing of this callback may pass; if it cannot be closed either, it stands.
                let _closed = host.close(Side::Downstream);
                Action::Pause
            }
        }
    }

    /// Shows the gate what it needs to see, and writes back what it changed.
    fn pass(
        &mut self,
        host: &impl Host,
        connection: &mut Connection,
        direction: Direction,
        size: usize,
    ) -> Result<(), HostError> {
        let Some(gate) = &mut connection.gate else {
            return Ok(());
        };
        let buffer = match direction {
            Direction::Frontend => Buffer::DownstreamData,
            Direction::Backend => Buffer::UpstreamData,
        };
        let Self {
            policy,
            counters,
            recorder,
            shares,
            edits,
            held,
            ..
        } = self;
        edits.clear();
        let mut may_hold = policy.max_held_bytes.saturating_sub(*held);
        let held_before = gate.held_bytes();
        let mut seen = 0;
        while seen < size {
            let left = size.saturating_sub(seen);
            let skip = usize::try_from(gate.skip(direction)).unwrap_or(usize::MAX);
            let skip = skip.min(left);
            if skip > 0 {
                gate.skipped(direction, seen, skip, edits);
                seen = seen.saturating_add(skip);
                continue;
            }
            let mut bench = Bench {
                host,
                policy,
                sitting: &mut connection.sitting,
                counters,
                recorder,
                may_hold: &mut may_hold,
                shares,
                too_late_to_route: gate.has_begun(),
            };
            let read = host.with_buffer(buffer, seen, left.min(CHUNK), |bytes| {
                match direction {
                    Direction::Frontend => gate.frontend(bytes, seen, &mut bench, edits),
                    Direction::Backend => gate.backend(bytes, seen, &mut bench, edits),
                }
                bytes.len()
            })?;
            if read == 0 {
                // The host holds less than it said.
                return Err(HostError::NOT_FOUND);
            }
            seen = seen.saturating_add(read);
        }
        *held = held
            .saturating_sub(held_before)
            .saturating_add(gate.held_bytes());
        write_back(host, buffer, size, edits)
    }

    fn flush(&mut self, host: &impl Host) {
        self.counters.flush(host, self.held);
    }
}

fn write_back(
    host: &impl Host,
    buffer: Buffer,
    size: usize,
    edits: &Edits,
) -> Result<(), HostError> {
    if edits.is_empty() {
        return Ok(());
    }
    if let Some((dropped, inserted)) = edits.as_prefix() {
        return host.set_buffer(buffer, 0, dropped, inserted);
    }
    let changed = host.with_buffer(buffer, 0, size, |bytes| edits.apply(bytes))?;
    host.set_buffer(buffer, 0, size, &changed)
}

impl Plugin for PolicyFilter {
    type Connection = Connection;

    fn configure(host: &impl Host, configuration: &[u8]) -> Result<Self, String> {
        let policy = Policy::read(configuration)?;
        for warning in policy.warnings() {
            log::warn!("pgmesh: policy: {warning}");
        }
        host.set_tick_period(TICK)
            .map_err(|error| format!("the host has no timers: status {}", error.0))?;
        Ok(Self {
            counters: Counters::new(host, &policy),
            shares: match tables(&policy).as_slice() {
                [] => Shares::default(),
                tables => Shares::start(host, tables),
            },
            policy,
            recorder: Recorder::default(),
            edits: Edits::default(),
            held: 0,
            seed: host.now(),
            connections: 0,
        })
    }

    fn connect(&mut self) -> Connection {
        Connection::default()
    }

    fn accept(&mut self, _host: &impl Host, connection: &mut Connection) -> Action {
        connection.waits_for_route =
            !self.policy.routes.is_empty() || !self.policy.cancel_cluster.is_empty();
        match connection.waits_for_route {
            true => Action::Pause,
            false => Action::Continue,
        }
    }

    fn downstream_data(
        &mut self,
        host: &impl Host,
        connection: &mut Connection,
        size: usize,
        _end_of_stream: bool,
    ) -> Action {
        self.data(host, connection, Direction::Frontend, size)
    }

    fn upstream_data(
        &mut self,
        host: &impl Host,
        connection: &mut Connection,
        size: usize,
        _end_of_stream: bool,
    ) -> Action {
        self.data(host, connection, Direction::Backend, size)
    }

    fn upstream_close(&mut self, _host: &impl Host, _connection: &mut Connection) {}

    fn disconnect(&mut self, host: &impl Host, mut connection: Connection, remaining: usize) {
        connection.sitting.leave(host, &self.policy, &self.shares);
        let held = connection.gate.map_or(0, |gate| gate.held_bytes());
        self.held = self.held.saturating_sub(held);
        if remaining == 0 {
            self.held = 0;
            self.flush(host);
        }
    }

    fn retire(&mut self, host: &impl Host) {
        self.held = 0;
        self.flush(host);
    }

    fn tick<'a>(
        &mut self,
        host: &impl Host,
        connections: impl Iterator<Item = (ContextId, &'a mut Connection)>,
    ) {
        let mut held = 0_usize;
        let now = host.now();
        let enforced = self.policy.mode == Mode::Enforce;
        for (id, connection) in connections {
            let Some(gate) = &connection.gate else {
                continue;
            };
            held = held.saturating_add(gate.held_bytes());
            let overdue = connection.sitting.overdue(&self.policy, &self.shares, now);
            if let Some(reached) = overdue
                && !connection.overdue
            {
                self.counters.limit(host, &self.policy, reached, enforced);
            }
            connection.overdue = overdue.is_some();
            let close = connection.doomed || (connection.overdue && enforced);
            if close && host.set_effective_context(id).is_ok() {
                // A connection that the host no longer knows is closed already.
                let _closed = host.close(Side::Downstream);
            }
            connection.doomed = gate.is_doomed();
        }
        self.held = held;
        self.shares.beat(host, now);
        self.flush(host);
    }
}
