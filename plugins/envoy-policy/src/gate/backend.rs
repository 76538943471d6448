//! What the server sends, message by message: what it reports of its state is passed to the judge,
//! and its answer to a token is rewritten.

use pg_wire::body::auth::BackendKeyData;
use pg_wire::body::query::ReadyForQuery;
use pg_wire::body::report::{Fields, ParameterStatus};
use pg_wire::{Direction, FrameError, MessageName, tagged_header};

use super::denial::error_response;
use super::edits::Edits;
use super::{Judge, Rest, Shared, Uninspectable, Window};

/// Tag and length word.
const HEADER: usize = 5;
/// Bytes of a ParameterStatus that are looked at: a longer `search_path` counts as unknown.
const MAX_PARAMETER: usize = 4096;
/// Bytes of an ErrorResponse that can be rewritten; what libpq takes at most.
const MAX_REPORT: usize = 30_000;
/// Process id, and a key of up to 256 bytes.
const MAX_KEY: usize = 4 + 256;
/// `ERRCODE_PROTOCOL_VIOLATION`
const PROTOCOL_VIOLATION: &[u8] = b"08P01";

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Tagged,
    /// What comes goes on as it is: the last words of a server that could not even start.
    LastWords,
    /// The client has been told; the server has nothing more to say to it.
    Over,
}

/// Cuts and rewrites what the server sends.
#[derive(Debug, Default)]
pub(super) struct Backend {
    phase: Phase,
    /// The beginning of a message that is looked at.
    held: Vec<u8>,
    /// `held` was taken out of the host's buffer, and has not gone on.
    withheld: bool,
    rest: Rest,
}

impl Backend {
    pub(super) fn feed(
        &mut self,
        mut window: Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        while !window.rest.is_empty() && !shared.unseen {
            match self.phase {
                Phase::Over => window.drop_bytes(usize::MAX, edits),
                Phase::LastWords => return,
                Phase::Tagged if self.rest != Rest::None => self.rest.advance(&mut window, edits),
                Phase::Tagged => self.next(&mut window, shared, judge, edits),
            }
        }
    }

    pub(super) fn skip(&self) -> u64 {
        match self.phase {
            Phase::Tagged => self.rest.bytes(),
            Phase::LastWords | Phase::Over => u64::MAX,
        }
    }

    pub(super) fn skipped(&mut self, at: usize, bytes: usize, edits: &mut Edits) {
        match self.phase {
            Phase::Tagged => self.rest.skipped(at, bytes, edits),
            Phase::LastWords => {}
            Phase::Over => edits.drop_bytes(at, bytes),
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    fn next(
        &mut self,
        window: &mut Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        if !self.held.is_empty() {
            return self.split(window, shared, judge, edits);
        }
        if !shared.asked.is_empty() && window.rest.first() != Some(&b'E') {
            return self.encryption(window, shared, judge, edits);
        }
        if !shared.started && shared.asked.is_empty() {
            return self.unseen(window, shared, judge, edits);
        }
        let Some(header) = window.rest.first_chunk::<HEADER>() else {
            return self.split(window, shared, judge, edits);
        };
        let (name, body) = match tagged_header(Direction::Backend, *header) {
            Ok(header) => header,
            Err(error) => return self.desync(error, window, shared, judge, edits),
        };
        let needed = HEADER.saturating_add(head(name, body, shared));
        let Some(seen) = window.rest.get(..needed) else {
            return self.split(window, shared, judge, edits);
        };
        let rest = HEADER.saturating_add(body).saturating_sub(needed);
        match answer(name, seen, rest, shared, judge) {
            None => {
                window.take(needed);
            }
            Some(instead) => {
                window.drop_bytes(needed, edits);
                edits.insert(window.at, instead);
            }
        }
        self.rest = Rest::pass(rest);
    }

    /// A message that does not stand in the window up to where it can be looked at. One that may
    /// have to be rewritten is withheld, any other goes on while its beginning is copied.
    fn split(
        &mut self,
        window: &mut Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        if self.held.is_empty() {
            self.withheld = window.rest.first() == Some(&b'E') && expects_refusal(shared);
        }
        if !self.fill(HEADER, window, edits) {
            return;
        }
        let Some(header) = self.held.first_chunk() else {
            return;
        };
        let (name, body) = match tagged_header(Direction::Backend, *header) {
            Ok(header) => header,
            Err(error) => return self.desync(error, window, shared, judge, edits),
        };
        let wanted = match self.withheld || name != MessageName::ErrorResponse {
            true => head(name, body, shared),
            // Its beginning has gone on already.
            false => 0,
        };
        let needed = HEADER.saturating_add(wanted);
        if !self.fill(needed, window, edits) {
            return;
        }
        let rest = HEADER.saturating_add(body).saturating_sub(needed);
        let instead = match self.withheld || name != MessageName::ErrorResponse {
            true => answer(name, &self.held, rest, shared, judge),
            false => None,
        };
        if self.withheld {
            let held = std::mem::take(&mut self.held);
            edits.insert(window.at, instead.unwrap_or(held));
        }
        self.held = Vec::new();
        self.withheld = false;
        self.rest = Rest::pass(rest);
    }

    /// Brings `held` to `target` bytes; whether it has them.
    fn fill(&mut self, target: usize, window: &mut Window<'_>, edits: &mut Edits) -> bool {
        let missing = target.saturating_sub(self.held.len());
        if self.withheld {
            window.hold(missing, &mut self.held, edits);
        } else {
            self.held.extend_from_slice(window.take(missing));
        }
        self.held.len() >= target
    }

    /// The one byte that answers an SSLRequest or GSSENCRequest.
    fn encryption(
        &mut self,
        window: &mut Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        let reason = shared.asked.remove(0);
        match window.rest.first() {
            Some(b'N') => {
                window.take(1);
            }
            Some(b'S' | b'G') => match judge.uninspectable(reason) {
                Ok(()) => shared.unseen = true,
                Err(denial) => {
                    let refusal = judge.refusal(denial);
                    window.drop_bytes(usize::MAX, edits);
                    let error = error_response(&Fields::of_head(&[]), &refusal);
                    edits.insert(window.at, error);
                    self.give_up(shared);
                }
            },
            _ => self.unseen(window, shared, judge, edits),
        }
    }

    /// The server cannot be understood.
    #[cold]
    fn unseen(
        &mut self,
        window: &mut Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        if judge.uninspectable(Uninspectable::BackendDesync).is_ok() {
            shared.unseen = true;
            if self.withheld {
                edits.insert(window.at, std::mem::take(&mut self.held));
            }
            return;
        }
        self.give_up(shared);
    }

    fn give_up(&mut self, shared: &mut Shared) {
        self.phase = Phase::Over;
        self.held = Vec::new();
        shared.doomed = true;
    }

    #[cold]
    fn desync(
        &mut self,
        error: FrameError,
        window: &mut Window<'_>,
        shared: &mut Shared,
        judge: &mut impl Judge,
        edits: &mut Edits,
    ) {
        // A postmaster that cannot fork says so in plain text behind an E
        // (`report_fork_failure_to_client`, `src/backend/postmaster/postmaster.c`).
        if error == FrameError::BadLength(MessageName::ErrorResponse) && shared.unready <= 1 {
            if self.withheld {
                edits.insert(window.at, std::mem::take(&mut self.held));
            }
            self.phase = Phase::LastWords;
            return;
        }
        self.unseen(window, shared, judge, edits);
    }
}

/// Whether an ErrorResponse may be one to rewrite.
fn expects_refusal(shared: &Shared) -> bool {
    shared.tokens.pending() || shared.refusing.is_some()
}

/// How much of a body of `body` bytes is looked at.
fn head(name: MessageName, body: usize, shared: &Shared) -> usize {
    match name {
        MessageName::ReadyForQuery => body,
        MessageName::ParameterStatus => body.min(MAX_PARAMETER),
        MessageName::BackendKeyData => body.min(MAX_KEY),
        MessageName::ErrorResponse if expects_refusal(shared) && body <= MAX_REPORT => body,
        _ => 0,
    }
}

/// Looks at a message of which `seen` has the header and as much of the body as [`head`] asks for;
/// what is to stand in its place, if anything.
fn answer(
    name: MessageName,
    seen: &[u8],
    rest: usize,
    shared: &mut Shared,
    judge: &mut impl Judge,
) -> Option<Vec<u8>> {
    let body = seen.get(HEADER..).unwrap_or_default();
    match name {
        MessageName::ReadyForQuery => {
            shared.unready = shared.unready.saturating_sub(1);
            shared.open = true;
            let settled = shared.unready == 0 && !shared.unsynced;
            shared.copy.ready(settled);
            if let Ok(ready) = ReadyForQuery::read(body) {
                judge.ready(ready.status, settled);
            }
        }
        MessageName::CopyInResponse => shared.copy.begins(),
        MessageName::CommandComplete => {
            let passed_over = shared.copy.complete();
            shared.unready = shared.unready.saturating_sub(passed_over);
            // What the COPY has changed is reported with the ReadyForQuery of the next Sync.
            shared.unsynced |= passed_over > 0 && shared.unready == 0;
        }
        MessageName::ParameterStatus if rest > 0 => {
            judge.parameter(ParameterStatus::of_head(body).name, None);
        }
        MessageName::ParameterStatus => {
            if let Ok(status) = ParameterStatus::read(body) {
                judge.parameter(status.name, Some(status.value));
            }
        }
        MessageName::BackendKeyData => {
            if let Ok(key) = BackendKeyData::read(body) {
                judge.backend_key(key.process_id, key.secret_key.0);
            }
        }
        MessageName::ErrorResponse if rest == 0 => {
            return refused(&Fields::read(body).ok()?, shared, judge);
        }
        _ => {}
    }
    None
}

/// The error to put in the place of the server's answer to a token, or to a refused connection.
fn refused(fields: &Fields<'_>, shared: &mut Shared, judge: &mut impl Judge) -> Option<Vec<u8>> {
    if let Some(denial) = shared.tokens.answered(fields) {
        return Some(error_response(fields, &judge.refusal(denial)));
    }
    let denial = shared.refusing?;
    let fatal = fields.get(b'V') == Some(b"FATAL");
    let refused_startup = shared.unready <= 1;
    if fatal && (refused_startup || fields.get(b'C') == Some(PROTOCOL_VIOLATION)) {
        shared.refusing = None;
        return Some(error_response(fields, &judge.refusal(denial)));
    }
    None
}
