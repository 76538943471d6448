//! Statements that pgmesh's policy filter has denied: what the server's log says of each is about the
//! identifier that stood in for it ([`StandIn`]), which holds the fingerprint of the client's statement.

use pg_sql::stand_in::{self, StandIn};

use crate::classes::Class;
use crate::severity::Severity;

/// The class of the message.
pub(crate) const CLASS: &str = "policy_denied";
/// The beginning of the rule's name, as it stands in the identifier.
pub(crate) const RULE: &str = "pgmesh.rule";

/// A denied statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denial<'t> {
    pub(crate) rule: &'t str,
    pub(crate) stand_in: StandIn,
}

impl<'t> Denial<'t> {
    /// That of which a message is, in whatever language: its one quoted part is the identifier.
    pub(crate) fn of_message(
        message: &'t [u8],
        severity: Option<Severity>,
        class: Option<&'static Class>,
    ) -> Option<Self> {
        let may_be = severity == Some(Severity::Error)
            && class.is_none_or(|class| matches!(class.name, CLASS | "syntax_error"));
        may_be.then(|| Self::find(message)).flatten()
    }

    /// That of a statement: the identifier, and the client's comment behind it.
    pub(crate) fn of_statement(statement: &'t [u8]) -> Option<Self> {
        statement
            .starts_with(stand_in::PREFIX.as_bytes())
            .then(|| Self::find(statement))
            .flatten()
    }

    fn find(text: &'t [u8]) -> Option<Self> {
        let (rule, stand_in) = StandIn::find(text)?;
        Some(Self { rule, stand_in })
    }
}

/// The class of denied statements.
pub(crate) fn class() -> Option<&'static Class> {
    Class::all().iter().find(|class| class.name == CLASS)
}
