//! What a statement does, as one word: the cheap path, for callers that need no more than a label.
//!
//! The server says it in the CommandComplete tag (`src/include/tcop/cmdtaglist.h`). Where no tag
//! comes, because the statement failed, the first keyword of its text stands in.

macro_rules! operations {
    ($($variant:ident $word:literal $(= $synonym:literal)*;)*) => {
        /// The command of a statement, coarse enough to be a metric's label: every CREATE is one
        /// operation, rare commands are [`Operation::Other`].
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[repr(u8)]
        pub enum Operation {
            $(#[doc = $word] $variant,)*
        }

        impl Operation {
            /// Every operation, in the order of the discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it stands in metrics and logs: the first word of the command, in capitals.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        /// First words of tags and texts, with the operation each stands for.
        const WORDS: &[(&str, Operation)] = &[
            $(($word, Operation::$variant), $(($synonym, Operation::$variant),)*)*
        ];
    };
}

operations! {
    Select "SELECT" = "TABLE" = "VALUES" = "WITH";
    Insert "INSERT";
    Update "UPDATE";
    Delete "DELETE";
    Merge "MERGE";
    Copy "COPY";
    Fetch "FETCH";
    Move "MOVE";
    Begin "BEGIN" = "START";
    Commit "COMMIT" = "END";
    Rollback "ROLLBACK" = "ABORT";
    Savepoint "SAVEPOINT";
    Release "RELEASE";
    Set "SET";
    Reset "RESET";
    Show "SHOW";
    Prepare "PREPARE";
    Execute "EXECUTE";
    Deallocate "DEALLOCATE";
    Declare "DECLARE";
    Close "CLOSE";
    Discard "DISCARD";
    Explain "EXPLAIN";
    Call "CALL";
    Do "DO";
    Listen "LISTEN";
    Unlisten "UNLISTEN";
    Notify "NOTIFY";
    Lock "LOCK";
    Create "CREATE";
    Alter "ALTER";
    Drop "DROP";
    Truncate "TRUNCATE";
    Comment "COMMENT";
    Grant "GRANT";
    Revoke "REVOKE";
    Refresh "REFRESH";
    Vacuum "VACUUM";
    Analyze "ANALYZE" = "ANALYSE";
    Cluster "CLUSTER";
    Reindex "REINDEX";
    Checkpoint "CHECKPOINT";
    // An empty text: EmptyQueryResponse.
    Empty "EMPTY";
    // A FunctionCall message, which has no text.
    Function "FUNCTION_CALL";
    Other "OTHER";
}

impl Operation {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// By the first keyword of a statement's text, past white space, comments, parentheses and
    /// empty statements. `WITH` counts as SELECT here; the tag of a statement that succeeds knows
    /// better. A text without any keyword is [`Operation::Empty`].
    #[must_use]
    pub fn from_text(text: &[u8]) -> Self {
        let rest = skip_insignificant(text);
        match first_word(rest) {
            [] if rest.is_empty() => Self::Empty,
            word => Self::from_word(word),
        }
    }

    /// By a CommandComplete tag (`INSERT 0 5`, `CREATE TABLE`, `SELECT 3`).
    #[must_use]
    pub fn from_command_tag(tag: &[u8]) -> Self {
        Self::from_word(first_word(tag))
    }

    fn from_word(word: &[u8]) -> Self {
        WORDS
            .iter()
            .find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes()))
            .map_or(Self::Other, |(_, operation)| *operation)
    }
}

fn first_word(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'));
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// What is left of a text behind white space, comments, `(` and `;`.
fn skip_insignificant(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | b'(' | b';',
                rest @ ..,
            ] => rest,
            [b'-', b'-', rest @ ..] => after_line(rest),
            [b'/', b'*', rest @ ..] => after_comment(rest),
            _ => return text,
        };
    }
}

fn after_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    end.and_then(|end| text.get(end..)).unwrap_or_default()
}

/// Behind the end of a comment whose `/*` has been read; they nest.
fn after_comment(mut text: &[u8]) -> &[u8] {
    let mut depth: usize = 1;
    while depth > 0 {
        text = match text {
            [] => return text,
            [b'/', b'*', rest @ ..] => {
                depth = depth.saturating_add(1);
                rest
            }
            [b'*', b'/', rest @ ..] => {
                depth = depth.saturating_sub(1);
                rest
            }
            [_, rest @ ..] => rest,
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_their_command() {
        for (tag, operation) in [
            ("SELECT 3", Operation::Select),
            ("INSERT 0 5", Operation::Insert),
            ("CREATE TABLE", Operation::Create),
            ("START TRANSACTION", Operation::Begin),
            ("ROLLBACK PREPARED", Operation::Rollback),
            ("CLOSE CURSOR ALL", Operation::Close),
            ("SECURITY LABEL", Operation::Other),
            ("", Operation::Other),
        ] {
            assert_eq!(
                Operation::from_command_tag(tag.as_bytes()),
                operation,
                "{tag}"
            );
        }
    }

    #[test]
    fn the_first_keyword_is_found_behind_what_does_not_matter() {
        for (text, operation) in [
            ("select 1", Operation::Select),
            (" \n;(( Values (1)", Operation::Select),
            ("-- drop\n/* a /* nested */ b */uPdAtE t", Operation::Update),
            ("end", Operation::Commit),
            ("selec 1", Operation::Other),
            ("'select'", Operation::Other),
            ("/* open", Operation::Empty),
            (" ; ", Operation::Empty),
        ] {
            assert_eq!(Operation::from_text(text.as_bytes()), operation, "{text}");
        }
    }

    #[test]
    fn every_name_leads_back_to_its_operation() {
        for operation in Operation::ALL {
            assert_eq!(
                Operation::from_command_tag(operation.as_str().as_bytes()),
                *operation
            );
        }
    }
}
