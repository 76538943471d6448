//! What the client sends, message by message.

use pg_wire::body::extended::Parse;
use pg_wire::body::query::Query;
use pg_wire::body::startup::{CancelRequest, StartupMessage};
use pg_wire::{
    Direction, FrameError, MessageName, ReplicationKind, SubProtocol, startup_header, tagged_header,
};

use super::denial::{Denial, message};
use super::edits::Edits;
use super::{Admission, Judge, MAX_STARTUP_PACKET, Request, Rest, Shared, Uninspectable, Window};

/// Tag and length word.
const HEADER: usize = 5;
/// Length word and code of a start-up packet.
const STARTUP_HEADER: usize = 8;
/// A held buffer no larger than this is kept for the next message.
const KEPT_CAPACITY: usize = 1024;

/// A start-up packet that a server must refuse: protocol 9.0 (`ProcessStartupPacket`,
/// `src/backend/tcop/backend_startup.c`).
const REFUSED_STARTUP: [u8; STARTUP_HEADER] = [0, 0, 0, 8, 0, 9, 0, 0];

/// A message with a tag that does not exist. The first ends a COPY, if one is under way; the second
/// ends the session (`SocketBackend`, `src/backend/tcop/postgres.c`).
const REFUSED_MESSAGE: [u8; 2 * HEADER] = [1, 0, 0, 0, 4, 1, 0, 0, 0, 4];

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    /// Packets without a tag.
    #[default]
    Startup,
    /// Messages.
    Tagged,
    /// The client has nothing more to say.
    Over,
}

/// Cuts and judges what the client sends.
#[derive(Debug, Default)]
pub(super) struct Frontend {
    phase: Phase,
    /// The beginning of a message, taken out of the host's buffer.
    held: Vec<u8>,
    rest: Rest,
    /// Each may come once; a server takes the second for a StartupMessage.
    asked_tls: bool,
    asked_gss: bool,
}

/// What becomes of a message.
enum Fate {
    Pass,
    Replace(Vec<u8>),
}

impl Frontend {
    pub(super) fn feed(
        &mut self,
        mut window: Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        while !window.rest.is_empty() && !shared.unseen {
            match self.phase {
                _ if self.rest != Rest::None => self.rest.advance(&mut window, edits),
                Phase::Startup => self.startup(&mut window, shared, judge, edits),
                Phase::Tagged => self.tagged(&mut window, shared, judge, edits),
                Phase::Over => window.drop_bytes(usize::MAX, edits),
            }
        }
    }

    pub(super) fn skip(&self) -> u64 {
        match self.phase {
            Phase::Over => u64::MAX,
            _ => self.rest.bytes(),
        }
    }

    pub(super) fn skipped(&mut self, at: usize, bytes: usize, edits: &mut Edits) {
        match self.phase {
            Phase::Over => edits.drop_bytes(at, bytes),
            _ => self.rest.skipped(at, bytes, edits),
        }
    }

    pub(super) fn has_asked_for_encryption(&self) -> bool {
        self.asked_tls || self.asked_gss
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// Moves bytes to `held` until it has `target`; whether it has.
    fn fill(&mut self, target: usize, window: &mut Window<'_>, edits: &mut Edits) -> bool {
        let missing = target.saturating_sub(self.held.len());
        let here = missing.min(window.rest.len());
        if self.held.capacity().saturating_sub(self.held.len()) < here {
            // Doubled, so that many small pieces cost little, but never beyond the target.
            self.held
                .reserve_exact(self.held.len().max(here).min(missing));
        }
        window.hold(missing, &mut self.held, edits);
        self.held.len() >= target
    }

    /// The held bytes, which are dealt with.
    fn release(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Keeps the memory for the next message, unless it is much.
    fn recycle(&mut self, mut held: Vec<u8>) {
        if held.capacity() <= KEPT_CAPACITY {
            held.clear();
            self.held = held;
        }
    }

    /// A packet of the start-up phase is always held until it is whole.
    fn startup(
        &mut self,
        window: &mut Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        self.fill(1, window, edits);
        match self.held.first() {
            Some(0) | None => {}
            Some(0x16) => {
                return self.unseen(Uninspectable::DirectTls, window, shared, judge, edits);
            }
            Some(_) => {
                return self.unseen(Uninspectable::NotPostgresql, window, shared, judge, edits);
            }
        }
        if !self.fill(STARTUP_HEADER, window, edits) {
            return;
        }
        let Some(header) = self.held.first_chunk() else {
            return;
        };
        let Ok((name, length)) = startup_header(*header) else {
            return self.unseen(Uninspectable::NotPostgresql, window, shared, judge, edits);
        };
        if !self.fill(length.min(MAX_STARTUP_PACKET), window, edits) {
            return;
        }
        let packet = self.release();
        let body = packet.get(4..).unwrap_or_default();
        match name {
            MessageName::SSLRequest if !self.asked_tls => {
                self.asked_tls = true;
                shared.asked.push(Uninspectable::Tls);
                edits.insert(window.at, packet);
            }
            MessageName::GSSENCRequest if !self.asked_gss => {
                self.asked_gss = true;
                shared.asked.push(Uninspectable::Gss);
                edits.insert(window.at, packet);
            }
            MessageName::CancelRequest => {
                self.phase = Phase::Over;
                shared.started = true;
                let allowed = CancelRequest::read(body).is_ok_and(|cancel| judge.cancel(&cancel));
                if allowed {
                    edits.insert(window.at, packet);
                }
                shared.doomed = !allowed;
            }
            MessageName::StartupMessage => match StartupMessage::read(body) {
                Ok(startup) => {
                    shared.physical = startup.replication() == Some(ReplicationKind::Physical);
                    let admission = judge.startup(&startup);
                    self.admit(admission, packet, window, shared, edits);
                }
                Err(_) => {
                    self.held = packet;
                    self.unseen(Uninspectable::NotPostgresql, window, shared, judge, edits);
                }
            },
            _ => {
                self.held = packet;
                self.unseen(Uninspectable::NotPostgresql, window, shared, judge, edits);
            }
        }
    }

    fn admit(
        &mut self,
        admission: Admission,
        packet: Vec<u8>,
        window: &Window<'_>,
        shared: &mut Shared,
        edits: &mut Edits,
    ) {
        shared.started = true;
        shared.unready = 1;
        match admission {
            Admission::Pass => {
                self.phase = Phase::Tagged;
                edits.insert(window.at, packet);
            }
            Admission::Rewrite(packet) => {
                self.phase = Phase::Tagged;
                edits.insert(window.at, packet);
            }
            Admission::Deny(denial) => self.refuse(denial, window, shared, edits),
        }
    }

    /// What is held, and all that follows, cannot be judged.
    #[cold]
    fn unseen(
        &mut self,
        reason: Uninspectable,
        window: &Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        let held = self.release();
        match judge.uninspectable(reason) {
            Ok(()) => {
                shared.unseen = true;
                edits.insert(window.at, held);
            }
            Err(denial) => self.refuse(denial, window, shared, edits),
        }
    }

    /// Makes the server end the session, and with it what the client wants to say.
    #[cold]
    fn refuse(
        &mut self,
        denial: Denial,
        window: &Window<'_>,
        shared: &mut Shared,
        edits: &mut Edits,
    ) {
        let bytes = match self.phase {
            Phase::Startup => REFUSED_STARTUP.to_vec(),
            Phase::Tagged => REFUSED_MESSAGE.to_vec(),
            Phase::Over => return,
        };
        shared.started = true;
        shared.refusing = Some(denial);
        self.held = Vec::new();
        self.rest = Rest::None;
        self.phase = Phase::Over;
        edits.insert(window.at, bytes);
    }

    fn tagged(
        &mut self,
        window: &mut Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        let Some(header) = window.rest.first_chunk::<HEADER>() else {
            return self.split(window, shared, judge, edits);
        };
        if !self.held.is_empty() {
            return self.split(window, shared, judge, edits);
        }
        let (name, body) = match tagged_header(Direction::Frontend, *header) {
            Ok(header) => header,
            Err(error) => return self.desync(error, window, shared, judge, edits),
        };
        let needed = HEADER.saturating_add(head(name, body, shared.may_hold()));
        let Some(seen) = window.rest.get(..needed) else {
            return self.split(window, shared, judge, edits);
        };
        let rest = HEADER.saturating_add(body).saturating_sub(needed);
        match self.judge(name, seen, rest, shared, judge) {
            Ok(Fate::Pass) => {
                window.take(needed);
                self.rest = Rest::pass(rest);
            }
            Ok(Fate::Replace(with)) => {
                window.drop_bytes(needed, edits);
                edits.insert(window.at, with);
                self.rest = Rest::drop(rest);
            }
            Err(reason) => self.unseen(reason, window, shared, judge, edits),
        }
    }

    /// A message that does not stand in the window up to where it can be judged.
    fn split(
        &mut self,
        window: &mut Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        if !self.fill(HEADER, window, edits) {
            return;
        }
        let Some(header) = self.held.first_chunk() else {
            return;
        };
        let (name, body) = match tagged_header(Direction::Frontend, *header) {
            Ok(header) => header,
            Err(error) => return self.desync(error, window, shared, judge, edits),
        };
        let whole = HEADER.saturating_add(body);
        let mut needed = HEADER.saturating_add(head(name, body, shared.may_hold()));
        if self.held.len() < needed {
            let here = needed
                .saturating_sub(self.held.len())
                .min(window.rest.len());
            let is_text = matches!(name, MessageName::Query | MessageName::Parse);
            if is_text && !judge.may_hold(here) {
                // What is held has to do: the message counts as too long.
                needed = self.held.len();
            } else if !self.fill(needed, window, edits) {
                return;
            }
        }
        let seen = self.release();
        let rest = whole.saturating_sub(needed);
        match self.judge(name, &seen, rest, shared, judge) {
            Ok(Fate::Pass) => {
                edits.insert(window.at, seen);
                self.rest = Rest::pass(rest);
            }
            Ok(Fate::Replace(with)) => {
                edits.insert(window.at, with);
                self.rest = Rest::drop(rest);
                self.recycle(seen);
            }
            Err(reason) => {
                self.held = seen;
                self.unseen(reason, window, shared, judge, edits);
            }
        }
    }

    #[cold]
    fn desync(
        &mut self,
        _error: FrameError,
        window: &Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        self.unseen(Uninspectable::FrontendDesync, window, shared, judge, edits);
    }

    /// What becomes of a message of which `seen` has the header and as much of the body as [`head`]
    /// asks for; `rest` more bytes follow.
    fn judge(
        &mut self,
        name: MessageName,
        seen: &[u8],
        rest: usize,
        shared: &mut Shared,
        judge: &mut impl Judge,
    ) -> Result<Fate, Uninspectable> {
        let body = seen.get(HEADER..).unwrap_or_default();
        let settled = shared.unready == 0 && !shared.unsynced;
        match name {
            MessageName::Sync => shared.copy.sync(),
            MessageName::FrontendCopyDone => shared.copy.done(),
            MessageName::FrontendCopyData | MessageName::Flush => {}
            _ => shared.copy.other(),
        }
        match name {
            MessageName::Query | MessageName::FunctionCall | MessageName::Sync => {
                shared.unready = shared.unready.saturating_add(1);
                shared.unsynced = false;
            }
            MessageName::Parse
            | MessageName::Bind
            | MessageName::Execute
            | MessageName::Describe
            | MessageName::Close => shared.unsynced = true,
            MessageName::Terminate => self.phase = Phase::Over,
            _ => {}
        }
        let request = match name {
            MessageName::Query | MessageName::Parse => text(name, body, rest)?,
            MessageName::Execute => Request::Execute,
            MessageName::FunctionCall => Request::FunctionCall {
                oid: body.first_chunk().map_or(0, |oid| u32::from_be_bytes(*oid)),
            },
            _ => return Ok(Fate::Pass),
        };
        let text = match request {
            Request::Text { text, .. } => text,
            _ => &[],
        };
        match judge.request(request, settled) {
            Ok(()) => Ok(Fate::Pass),
            Err(denial) => {
                let token = shared.tokens.make(judge.label(denial), denial);
                let replacement = match judge.trace_parent(text) {
                    _ if shared.physical => replacement(name, body, &format!("SHOW {token}")),
                    // The server's log then tells which request it was.
                    Some(parent) => {
                        let statement = format!("{token} /*traceparent='{parent}'*/");
                        replacement(name, body, &statement)
                    }
                    None => replacement(name, body, &token),
                };
                Ok(Fate::Replace(replacement))
            }
        }
    }
}

/// How much of a body of `body` bytes is looked at.
fn head(name: MessageName, body: usize, held: usize) -> usize {
    match name {
        MessageName::Query | MessageName::Parse => body.min(held),
        MessageName::FunctionCall => body.min(4),
        _ => 0,
    }
}

fn text(name: MessageName, body: &[u8], rest: usize) -> Result<Request<'_>, Uninspectable> {
    let protocol = match name {
        MessageName::Query => SubProtocol::Simple,
        _ => SubProtocol::Extended,
    };
    if rest > 0 {
        let beginning = match name {
            MessageName::Query => body,
            _ => split_string(body).1,
        };
        let bytes = HEADER.saturating_add(body.len()).saturating_add(rest);
        return Ok(Request::TooLong {
            protocol,
            text: split_string(beginning).0,
            bytes: bytes as u64,
        });
    }
    let text = match name {
        MessageName::Query => Query::read(body).map(|query| query.text),
        _ => Parse::read(body).map(|parse| parse.text),
    };
    match text {
        Ok(text) => Ok(Request::Text {
            protocol,
            text: text.0,
        }),
        // A server refuses it too, but what it would make of the text before is its business.
        Err(_) => Err(Uninspectable::FrontendDesync),
    }
}

/// The string at the front, without its zero, and what follows; all of it if it does not end.
fn split_string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0);
    let (string, rest) = bytes
        .split_at_checked(end.unwrap_or(bytes.len()))
        .unwrap_or((bytes, &[]));
    (string, rest.get(1..).unwrap_or_default())
}

/// The message that the server is to refuse instead: of the same kind where it holds text, so that
/// what the server skips, and up to where, is the same. An Execute becomes a Parse under the token's
/// own name, which does not touch the unnamed statement. In physical replication, where no SQL is
/// parsed, the token is a setting that SHOW does not find (`exec_replication_command`,
/// `src/backend/replication/walsender.c`).
fn replacement(name: MessageName, body: &[u8], statement: &str) -> Vec<u8> {
    let statement = statement.as_bytes();
    let prepared = match name {
        MessageName::Query | MessageName::FunctionCall => {
            return message(b'Q', &[statement, &[0]].concat());
        }
        MessageName::Parse => split_string(body).0,
        _ => statement,
    };
    message(b'P', &[prepared, &[0], statement, &[0, 0, 0]].concat())
}
