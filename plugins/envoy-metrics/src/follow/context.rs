//! Which span a statement belongs under: what the client has said about its own trace.
//!
//! In this order: the `traceparent` of the statement's own sqlcommenter comment; one in
//! `application_name`; one in the setting `pgmesh.traceparent` (`SET`, `SET LOCAL`, `set_config` with
//! literals: bind values are never looked at).

use std::collections::VecDeque;

use pg_sql::LexerOptions;
use pg_sql::sqlcommenter::{TraceParent, tags};
use pg_wire::TextId;

/// The setting, as clients write it.
const SETTING: &[u8] = b"pgmesh.traceparent";
/// What every source has in it.
const WORD: &[u8] = b"traceparent";
/// Texts in flight whose comments are remembered; of more, the oldest lose theirs.
const MAX_TOLD: usize = 64;

/// What a session has said.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    application: Option<TraceParent>,
    session: Option<TraceParent>,
    transaction: Option<TraceParent>,
    /// Of texts that have not run yet, in the order in which they came.
    told: VecDeque<Told>,
    /// Of the text whose statements are ending.
    current: Option<TraceParent>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    id: TextId,
    parent: Option<TraceParent>,
    change: Option<Change>,
}

/// What a statement does to the setting, if it succeeds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Change {
    value: Option<TraceParent>,
    /// Up to the end of the transaction only.
    local: bool,
}

impl Contexts {
    /// The session's `application_name` is this.
    pub(crate) fn application(&mut self, name: &[u8]) {
        let name = String::from_utf8_lossy(name);
        self.application = TraceParent::in_application_name(&name);
    }

    /// A text came in.
    pub(crate) fn text(&mut self, id: TextId, text: &[u8], options: &LexerOptions) {
        let told = contains(text, WORD).then(|| Told {
            id,
            parent: tags(text, options).trace_parent(),
            change: change(text),
        });
        // Once one is remembered, those without a parent are too: texts are told apart by order.
        if told.is_none() && self.told.is_empty() {
            return;
        }
        if self.told.len() >= MAX_TOLD {
            self.told.pop_front();
        }
        self.told.push_back(told.unwrap_or(Told {
            id,
            parent: None,
            change: None,
        }));
    }

    /// A statement of this text has ended. Its own parent, which later executions of the same
    /// prepared statement do not have: it was the one of the moment.
    pub(crate) fn ended(&mut self, id: TextId, index: u32, succeeded: bool) -> Option<TraceParent> {
        if index > 0 {
            return self.current;
        }
        self.current = None;
        let place = self.told.iter().position(|told| told.id == id)?;
        let told = self.told.remove(place)?;
        if let Some(change) = told.change.filter(|_| succeeded) {
            let scope = if change.local {
                &mut self.transaction
            } else {
                &mut self.session
            };
            *scope = change.value;
        }
        self.current = told.parent;
        told.parent
    }

    /// What holds for statements that say nothing of their own.
    pub(crate) fn inherited(&self) -> Option<TraceParent> {
        self.application.or(self.transaction).or(self.session)
    }

    /// The transaction has ended, and what was set for it only.
    pub(crate) fn transaction_ended(&mut self) {
        self.transaction = None;
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.told.capacity().saturating_mul(size_of::<Told>())
    }
}

/// Whether a text has this word, in any case. It looks for the letter that is rarest in SQL.
fn contains(text: &[u8], word: &[u8]) -> bool {
    find(text, word).is_some()
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    // `p` is at place 5 of `traceparent`, at 0 of `pgmesh.traceparent`.
    let before = word.iter().position(|byte| *byte == b'p')?;
    let mut from = 0;
    loop {
        let rest = text.get(from..)?;
        let at = from.saturating_add(rest.iter().position(|byte| *byte | 0x20 == b'p')?);
        from = at.saturating_add(1);
        let Some(start) = at.checked_sub(before) else {
            continue;
        };
        let candidate = text.get(start..start.saturating_add(word.len()));
        if candidate.is_some_and(|candidate| candidate.eq_ignore_ascii_case(word)) {
            return Some(start);
        }
    }
}

/// Reads `SET [SESSION | LOCAL] pgmesh.traceparent {TO | =} '...'`, `RESET` of it, and
/// `set_config('pgmesh.traceparent', '...', true | false)`; other values clear it.
fn change(text: &[u8]) -> Option<Change> {
    let at = find(text, SETTING)?;
    let before = text.get(..at).unwrap_or_default();
    let behind = text.get(at.saturating_add(SETTING.len())..)?;
    let text = std::str::from_utf8(behind).ok()?;
    // Behind the quote that ends the name in set_config.
    let in_call = contains_word(before, b"set_config");
    let text = if in_call {
        text.strip_prefix('\'')?
    } else {
        text
    };
    let mut quoted = text.splitn(3, '\'');
    let (_, value, rest) = (quoted.next(), quoted.next(), quoted.next());
    let local = if in_call {
        rest.is_some_and(|rest| rest.trim_start_matches([',', ' ']).starts_with("true"))
    } else {
        contains_word(before, b"local")
    };
    Some(Change {
        value: value.and_then(TraceParent::parse),
        local,
    })
}

fn contains_word(text: &[u8], word: &[u8]) -> bool {
    text.split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
        .any(|candidate| candidate.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const B: &str = "00-11111111111111111111111111111111-2222222222222222-00";

    fn run(contexts: &mut Contexts, id: u32, text: &str) -> Option<TraceParent> {
        contexts.text(TextId(id), text.as_bytes(), &LexerOptions::default());
        contexts.ended(TextId(id), 0, true).or(contexts.inherited())
    }

    #[test]
    fn a_comment_comes_before_the_application_name_and_that_before_the_setting() {
        let (a, b) = (TraceParent::parse(A), TraceParent::parse(B));
        let mut contexts = Contexts::default();
        assert_eq!(run(&mut contexts, 1, "select 1"), None);
        let comment = format!("select 1 /*traceparent='{A}'*/");
        assert_eq!(run(&mut contexts, 1, &comment), a);
        run(&mut contexts, 2, &format!("set pgmesh.traceparent = '{A}'"));
        assert_eq!(run(&mut contexts, 1, "select 1"), a);
        contexts.application(format!("shop {B}").as_bytes());
        assert_eq!(run(&mut contexts, 1, "select 1"), b);
        assert_eq!(run(&mut contexts, 1, &comment), a);
        contexts.application(b"shop");
        assert_eq!(run(&mut contexts, 1, "select 1"), a);
        run(&mut contexts, 3, "reset pgmesh.traceparent");
        assert_eq!(run(&mut contexts, 1, "select 1"), None);
    }

    #[test]
    fn what_is_set_for_a_transaction_ends_with_it() {
        for text in [
            format!("SET LOCAL pgmesh.traceparent TO '{A}'"),
            format!("select set_config('pgmesh.traceparent', '{A}', true)"),
        ] {
            let mut contexts = Contexts::default();
            run(&mut contexts, 1, &text);
            assert_eq!(contexts.inherited(), TraceParent::parse(A), "{text}");
            contexts.transaction_ended();
            assert_eq!(contexts.inherited(), None, "{text}");
        }
    }

    #[test]
    fn a_statement_that_fails_sets_nothing() {
        let mut contexts = Contexts::default();
        let text = format!("set pgmesh.traceparent = '{A}'");
        contexts.text(TextId(1), text.as_bytes(), &LexerOptions::default());
        contexts.ended(TextId(1), 0, false);
        assert_eq!(contexts.inherited(), None);
    }

    #[test]
    fn only_the_first_execution_of_a_prepared_statement_has_its_comment() {
        let mut contexts = Contexts::default();
        let comment = format!("select 1 /*traceparent='{A}'*/");
        contexts.text(TextId(1), comment.as_bytes(), &LexerOptions::default());
        assert_eq!(contexts.ended(TextId(1), 0, true), TraceParent::parse(A));
        assert_eq!(contexts.ended(TextId(1), 0, true), None);
    }

    #[test]
    fn texts_in_a_pipeline_keep_their_own_comments_however_alike_they_are() {
        let mut contexts = Contexts::default();
        for parent in [Some(A), None, Some(B)] {
            let comment = parent.map(|parent| format!("/*traceparent='{parent}'*/"));
            let text = format!("select 1 {}", comment.unwrap_or_default());
            contexts.text(TextId(1), text.as_bytes(), &LexerOptions::default());
        }
        for parent in [Some(A), None, Some(B)] {
            let parent = parent.and_then(TraceParent::parse);
            assert_eq!(contexts.ended(TextId(1), 0, true), parent);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_hostile_parents_are_none() {
        let mut contexts = Contexts::default();
        for n in 0..10_000 {
            let text = format!("select 1 /*traceparent='{A}{n}'*/");
            contexts.text(TextId(n), text.as_bytes(), &LexerOptions::default());
        }
        assert!(contexts.heap_bytes() <= 8192, "{}", contexts.heap_bytes());
        assert_eq!(contexts.ended(TextId(9_999), 0, true), None);
        for hostile in [
            "",
            "'",
            "pgmesh.traceparent",
            "set pgmesh.traceparent = '",
            "pppp",
        ] {
            run(&mut contexts, 1, hostile);
        }
        assert_eq!(contexts.inherited(), None);
    }
}
