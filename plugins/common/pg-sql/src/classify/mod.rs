//! What a Query text does: commands, relations, functions, effects.
//!
//! [`classify`] reads a text with a compiled grammar of PostgreSQL 18 (`grammar/`, [`machine`]) in
//! one pass, linear in the text, on a stack of its own. The contract is `complete`: when true,
//! everything said is right; text that is not understood is said to be incomplete, never guessed.
//!
//! Where it stands: `terminals` gives tokens, `machine` runs the grammar over them, `record` keeps what
//! is asked for (`changes`: of settings), `name` and `scope` settle which relation a name means,
//! `summary` words it.

mod changes;
mod conditions;
mod functions;
mod machine;
mod name;
mod names;
mod record;
mod scope;
mod summary;
mod tables;
mod terminals;
mod types;

pub use changes::setting_name;
pub use machine::MAX_DEPTH;
pub use record::MAX_NAMES;
pub use summary::MAX_SUMMARY;
pub use types::{
    Access, AuditClass, ChangeKind, Classification, Command, Effects, QualifiedName, Relation,
    SettingChange, Settings, Statement, Traits,
};

use crate::lexer::LexerOptions;
use machine::{Machine, Outcome};
use record::Recorder;
use tables::{END, SEMICOLON};
use terminals::Terminals;

/// Statements of one text that are classified; with more it is incomplete.
pub const MAX_STATEMENTS: usize = 1024;

/// How the server reads the text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClassifyOptions {
    /// The session's settings.
    pub lexer: LexerOptions,
    /// The caller has cut the text: it is never complete.
    pub truncated: bool,
}

/// Classifies every statement of a text; of one that may have been misread, what comes before that.
#[must_use]
pub fn classify(text: &[u8], options: ClassifyOptions) -> Classification {
    let (whole, misread) = read(text, options);
    let Some(misread) = misread else { return whole };
    let sure = text.get(..misread).unwrap_or_default();
    let options = ClassifyOptions {
        truncated: true,
        ..options
    };
    read(sure, options).0
}

fn read(text: &[u8], options: ClassifyOptions) -> (Classification, Option<usize>) {
    let terminals = Terminals::new(text, options.lexer);
    let mut machine = Machine::new(terminals);
    let mut statements = Vec::new();
    let mut complete = !options.truncated;
    loop {
        let first = machine.now();
        match first.terminal {
            END => break,
            SEMICOLON => {
                machine.bump();
                continue;
            }
            _ if statements.len() >= MAX_STATEMENTS => {
                complete = false;
                break;
            }
            _ => {}
        }
        let mut recorder = Recorder::new(text, options.lexer.encoding);
        let recognised = machine.statement(&mut recorder) == Outcome::Recognised;
        if !recognised {
            machine.skip_statement();
        }
        let statement = recorder.finish(first.start..machine.read_to(), recognised);
        complete &= statement.complete;
        statements.push(statement);
    }
    let said = Classification {
        statements,
        complete,
    };
    (said, machine.misread())
}

/// Every command that a statement can be recognised as, in no order.
pub fn commands() -> impl Iterator<Item = &'static str> {
    tables::COMMANDS
        .iter()
        .map(|(command, _, _)| command.as_str())
}

/// OpenTelemetry's `db.query.summary` of a text; see [`Classification::summary`].
#[must_use]
pub fn summary(text: &[u8], options: ClassifyOptions) -> String {
    classify(text, options).summary()
}
