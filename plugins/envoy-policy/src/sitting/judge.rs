//! What the gate asks of the judge, and what the server tells it: the way from the stream of messages
//! to what is known of the connection.

use pg_sql::Encoding;
use pg_sql::sqlcommenter::TraceParent;
use pg_wire::SubProtocol;
use pg_wire::body::query::TransactionStatus;
use pg_wire::body::startup::{CancelRequest, StartupMessage};
use proxy_host::Host;

use super::Bench;
use crate::cancels;
use crate::cause::Cause;
use crate::config::{Cancel, Mode, Verdict};
use crate::gate::denial::{Denial, Refusal};
use crate::gate::{Admission, Judge, Request, Uninspectable};
use crate::policy::unit::transaction_bit;
use crate::policy::{Ask, SearchPath};

impl<H: Host> Judge for Bench<'_, H> {
    fn startup(&mut self, startup: &StartupMessage<'_>) -> Admission {
        self.admit(startup).unwrap_or_else(Admission::Deny)
    }

    fn cancel(&mut self, request: &CancelRequest<'_>) -> bool {
        let session = match cancels::are_noted(self.policy) {
            true => {
                let key = self.cancel_key(request.process_id, request.secret_key.0);
                cancels::session(self.host, self.shares, key)
            }
            false => None,
        };
        let allowed = self.policy.cancel == Cancel::Any
            || self.policy.mode == Mode::DryRun
            || session.is_some();
        self.counters.cancel(self.host, !allowed);
        if let Some(server) = session.and_then(|session| session.server) {
            self.follow(server);
        }
        allowed
    }

    fn request(&mut self, request: Request<'_>, settled: bool) -> Result<(), Denial> {
        if settled {
            self.sitting.suspect = false;
            self.sitting.path.suspect = false;
        }
        match request {
            Request::Text { protocol, text } => {
                let ask = Ask::Text {
                    text,
                    bytes: text.len() as u64,
                    truncated: false,
                    at_once: protocol == SubProtocol::Simple,
                };
                self.judge_text(ask, protocol, settled)?;
                self.check_limits(protocol == SubProtocol::Simple)
            }
            Request::TooLong {
                protocol,
                text,
                bytes,
            } => {
                let ask = Ask::Text {
                    text,
                    bytes,
                    truncated: true,
                    at_once: protocol == SubProtocol::Simple,
                };
                self.judge_text(ask, protocol, settled)?;
                self.check_limits(protocol == SubProtocol::Simple)
            }
            Request::FunctionCall { oid } => {
                self.judge_text(Ask::FunctionCall { oid }, SubProtocol::Function, settled)?;
                self.check_limits(true)
            }
            Request::Execute => self.check_limits(true),
        }
    }

    fn uninspectable(&mut self, reason: Uninspectable) -> Result<(), Denial> {
        let denied = self.policy.uninspectable == Verdict::Deny;
        let enforced = self.policy.mode == Mode::Enforce;
        self.counters
            .uninspectable(self.host, reason, denied && enforced);
        if !denied {
            return Ok(());
        }
        if self.sitting.profile.is_none() {
            self.look_around();
        }
        let cause = Cause::Uninspectable(reason);
        let outcome = self.outcome();
        self.record(cause, outcome, None);
        self.enforce(cause)
    }

    fn backend_key(&mut self, process_id: u32, secret_key: &[u8]) {
        if !cancels::are_noted(self.policy) || self.sitting.cancel_key.is_some() {
            return;
        }
        let key = self.cancel_key(process_id, secret_key);
        let server = self.host.with_property(&["upstream", "address"], |bytes| {
            str::from_utf8(bytes).ok()?.parse().ok()
        });
        match cancels::note(self.host, self.shares, key, server.ok().flatten()) {
            Ok(()) => self.sitting.cancel_key = Some(key),
            Err(_) => {
                log::error!("pgmesh: a session cannot be cancelled: the host's shared data is busy")
            }
        }
    }

    fn parameter(&mut self, name: &[u8], value: Option<&[u8]>) {
        let value = value.map(String::from_utf8_lossy);
        let sitting = &mut *self.sitting;
        match name {
            b"standard_conforming_strings" => {
                sitting.standard_conforming_strings = value.map(|value| value != "off");
                sitting.reading_changed |= sitting.open;
            }
            b"client_encoding" => {
                sitting.client_encoding = value.map(|value| Encoding::from_name(&value));
                sitting.reading_changed |= sitting.open;
            }
            b"search_path" => {
                let user = &sitting.client.user;
                sitting.search_path = value.and_then(|value| SearchPath::new(&value, user));
                sitting.path.unsettled |= sitting.open;
            }
            _ => {}
        }
    }

    fn ready(&mut self, status: TransactionStatus, settled: bool) {
        self.sitting.open = true;
        self.sitting.transaction = Some(transaction_bit(status));
        if settled && status == TransactionStatus::Idle {
            self.sitting.path.unsettled = false;
        }
        if settled && !self.policy.limits.is_empty() {
            let mut held = std::mem::take(&mut self.sitting.held);
            let in_transaction = status != TransactionStatus::Idle;
            self.limits().ready(self.host, &mut held, in_transaction);
            self.sitting.held = held;
        }
    }

    fn label(&self, denial: Denial) -> &str {
        Cause::of_code(denial.code).label(self.policy)
    }

    fn trace_parent(&self, text: &[u8]) -> Option<TraceParent> {
        pg_sql::sqlcommenter::tags(text, &self.lexer()).trace_parent()
    }

    fn refusal(&self, denial: Denial) -> Refusal {
        let about_statement = self.sitting.profile.is_some()
            && !matches!(Cause::of_code(denial.code), Cause::Uninspectable(_));
        Cause::of_code(denial.code)
            .refusal(self.policy, about_statement.then_some(denial.fingerprint))
    }

    fn may_hold(&mut self, bytes: usize) -> bool {
        match self.may_hold.checked_sub(bytes) {
            Some(left) => {
                *self.may_hold = left;
                true
            }
            None => false,
        }
    }
}
