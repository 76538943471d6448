//! The filter as the host drives it: every callback copies what the session needs to see, lets it
//! decode, and answers Continue. It writes nothing and never pauses.

use pg_wire::{Direction, Limits, Session};
use proxy_host::{Action, Buffer, ContextId, Host, HttpResponse, Plugin};

use crate::catalog;
use crate::config::Config;
use crate::follow::Follow;
use crate::hints::Hints;
use crate::recorder::{Ledger, Recorder};
use crate::series::Series;

/// The most bytes that are copied out of the host in one call.
const CHUNK: usize = 64 * 1024;

/// One configured filter in one VM.
pub struct Metrics {
    series: Series,
    hints: Hints,
    follow: Option<Box<Follow>>,
    limits: Limits,
    /// The tick is the shorter of two intervals: counts are handed over with each so many.
    ticks_per_flush: u32,
    /// Of these, how many are left.
    ticks: u32,
}

/// One connection through it.
pub struct Connection {
    session: Session,
    ledger: Ledger,
}

impl Connection {
    fn bytes(&self) -> usize {
        let ledger = size_of::<Ledger>().saturating_add(self.ledger.heap_bytes());
        self.session.state_bytes().saturating_add(ledger)
    }
}

impl Metrics {
    fn data(
        &mut self,
        host: &impl Host,
        connection: &mut Connection,
        direction: Direction,
        size: usize,
    ) -> Action {
        let Connection { session, ledger } = connection;
        let mut recorder = Recorder {
            host,
            series: &mut self.series,
            hints: &mut self.hints,
            ledger,
            follow: self.follow.as_deref_mut(),
        };
        if size > 0 {
            recorder.bytes(catalog::direction(direction), size);
            decode(host, session, &mut recorder, direction, size);
        }
        Action::Continue
    }
}

impl Metrics {
    /// Hands all counts to the host; `connections` is what they hold, in bytes.
    fn flush(&mut self, host: &impl Host, connections: usize) {
        let mut held = connections;
        if let Some(follow) = &self.follow {
            held = held.saturating_add(follow.bytes());
            for (name, total) in follow.counters() {
                self.series.publish(host, name, total);
            }
        }
        self.series.flush(host, held);
    }
}

/// Shows the session the `size` bytes of a callback, except for those it does not need to see.
fn decode<H: Host>(
    host: &H,
    session: &mut Session,
    recorder: &mut Recorder<'_, H>,
    direction: Direction,
    size: usize,
) {
    let buffer = match direction {
        Direction::Frontend => Buffer::DownstreamData,
        Direction::Backend => Buffer::UpstreamData,
    };
    let mut now = None;
    let mut seen = 0;
    while seen < size && !session.is_opaque() {
        let left = size.saturating_sub(seen);
        let skip = usize::try_from(session.skip(direction))
            .unwrap_or(usize::MAX)
            .min(left);
        if skip > 0 {
            session.skipped(direction, skip as u64);
            seen = seen.saturating_add(skip);
            continue;
        }
        let now = *now.get_or_insert_with(|| host.now());
        let read = host.with_buffer(buffer, seen, left.min(CHUNK), |bytes| {
            match direction {
                Direction::Frontend => session.frontend(bytes, now, recorder),
                Direction::Backend => session.backend(bytes, now, recorder),
            }
            bytes.len()
        });
        match read {
            Ok(read) if read > 0 => seen = seen.saturating_add(read),
            // The host holds less than it said: what is missing cannot be decoded around.
            Ok(_) | Err(_) => return session.missed(direction, recorder),
        }
    }
}

impl Plugin for Metrics {
    type Connection = Connection;

    fn configure(host: &impl Host, configuration: &[u8]) -> Result<Self, String> {
        let config = Config::read(configuration)?;
        let flush = config.flush_interval_ms;
        let tick = config
            .export
            .as_ref()
            .map_or(flush, |export| export.interval_ms.min(flush));
        host.set_tick_period(tick)
            .map_err(|error| format!("the host has no timers: status {}", error.0))?;
        let follow = Follow::new(host, &config).map(Box::new);
        Ok(Self {
            limits: match follow {
                Some(_) => Follow::limits(&config),
                None => Limits::DEFAULT,
            },
            follow,
            ticks_per_flush: flush.checked_div(tick).unwrap_or(1),
            ticks: 1,
            series: Series::new(config),
            hints: Hints::default(),
        })
    }

    fn connect(&mut self) -> Connection {
        Connection {
            session: Session::with(self.limits),
            ledger: Ledger::new(self.follow.is_some()),
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

    fn upstream_close(&mut self, _host: &impl Host, connection: &mut Connection) {
        connection.ledger.server_closed();
    }

    fn disconnect(&mut self, host: &impl Host, mut connection: Connection, remaining: usize) {
        let ledger = &mut connection.ledger;
        let mut recorder = Recorder {
            host,
            series: &mut self.series,
            hints: &mut self.hints,
            ledger,
            follow: self.follow.as_deref_mut(),
        };
        connection.session.close(host.now(), &mut recorder);
        recorder.closed();
        if remaining == 0 {
            if let Some(follow) = &mut self.follow {
                follow.rest(host);
            }
            self.flush(host, 0);
        }
    }

    fn retire(&mut self, host: &impl Host) {
        if let Some(follow) = &mut self.follow {
            follow.retire(host);
        }
        self.series.retire(host);
    }

    fn tick<'a>(
        &mut self,
        host: &impl Host,
        connections: impl Iterator<Item = (ContextId, &'a mut Connection)>,
    ) {
        if let Some(follow) = &mut self.follow {
            follow.tick(host, host.now());
        }
        self.ticks = self.ticks.saturating_sub(1);
        if self.ticks == 0 {
            self.ticks = self.ticks_per_flush;
            let held = connections
                .map(|(_, connection)| connection.bytes())
                .fold(0, usize::saturating_add);
            self.flush(host, held);
        }
    }

    fn http_response(&mut self, host: &impl Host, response: HttpResponse) {
        if let Some(follow) = &mut self.follow {
            follow.http_response(host, &response);
        }
    }
}
