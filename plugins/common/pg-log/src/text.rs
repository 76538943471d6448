//! A piece of a log, where it stands: borrowed, with a note of how it was written there.

use std::borrow::Cow;

use crate::json;
use crate::scan::{behind, find, find_byte};

/// How the log writes a text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Form {
    /// As it is.
    #[default]
    Plain,
    /// With a tab behind each newline (`append_with_tabs` of `elog.c`).
    Tabbed,
    /// Inside quotes, each quote doubled (`appendCSVLiteral` of `csvlog.c`).
    Csv,
    /// Inside a JSON string.
    Json,
}

/// A borrowed text of a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text<'t> {
    /// As the log has it.
    pub raw: &'t [u8],
    /// How to read it.
    pub form: Form,
}

impl<'t> Text<'t> {
    /// A text that stands as it is.
    #[must_use]
    pub const fn plain(raw: &'t [u8]) -> Self {
        Self {
            raw,
            form: Form::Plain,
        }
    }

    /// A text as it stands in the log.
    #[must_use]
    pub const fn new(raw: &'t [u8], form: Form) -> Self {
        Self { raw, form }
    }

    /// No text, or an empty one.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The text the server meant; borrowed wherever nothing has to be taken out of it.
    #[must_use]
    pub fn decode(&self) -> Cow<'t, [u8]> {
        match self.form {
            Form::Plain => Cow::Borrowed(self.raw),
            Form::Tabbed => replace(self.raw, b"\n\t", b"\n"),
            Form::Csv => replace(self.raw, b"\"\"", b"\""),
            Form::Json => match find_byte(self.raw, b'\\') {
                None => Cow::Borrowed(self.raw),
                Some(_) => {
                    let mut out = Vec::with_capacity(self.raw.len());
                    json::unescape(self.raw, &mut out);
                    Cow::Owned(out)
                }
            },
        }
    }
}

/// `text` with every `from` replaced.
fn replace<'t>(text: &'t [u8], from: &[u8], to: &[u8]) -> Cow<'t, [u8]> {
    let Some(mut at) = find(text, from) else {
        return Cow::Borrowed(text);
    };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        out.extend_from_slice(crate::scan::before(rest, at));
        out.extend_from_slice(to);
        rest = behind(rest, at.saturating_add(from.len()));
        match find(rest, from) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_as_the_server_writes_it() {
        let read = |raw: &'static str, form| {
            String::from_utf8(Text::new(raw.as_bytes(), form).decode().into_owned()).unwrap()
        };
        assert_eq!(read("a\n\tb\n\n\t\tc", Form::Tabbed), "a\nb\n\n\tc");
        assert_eq!(read(r#"a ""b"""#, Form::Csv), r#"a "b""#);
        assert_eq!(read(r#"a \"b\" \u00e9\n"#, Form::Json), "a \"b\" é\n");
        assert_eq!(read(r#"a ""b"""#, Form::Plain), r#"a ""b"""#);
    }
}
