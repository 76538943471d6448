//! The value of `search_path`, as the server reads it.

use std::rc::Rc;

/// Bytes of a name that the server does not cut.
const MAX_NAME: usize = 63;

/// The schemas that unqualified names are looked up in, from a value that the server has reported
/// (`SplitIdentifierString`, `src/backend/utils/adt/varlena.c`). `None` for a value that no server
/// reports, and if one of them is `$user` (`preprocessNamespacePath`,
/// `src/backend/catalog/namespace.c`): the role that the session acts as is not reported, and views and
/// defaults can change it.
#[must_use]
pub fn schemas(value: &str) -> Option<Rc<[String]>> {
    let mut schemas = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let (mut name, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_name(quoted)?,
            None => bare_name(rest)?,
        };
        name.truncate(name.floor_char_boundary(MAX_NAME));
        if name == "$user" {
            return None;
        }
        schemas.push(name);
        rest = match after.trim_start() {
            "" => "",
            after => after.strip_prefix(',')?.trim_start(),
        };
    }
    Some(schemas.into())
}

/// A name up to its closing quote, and what is behind it.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

/// A name up to a comma or blank, and what is behind it. Other letters than ASCII's are folded in
/// some encodings only, so that what they say is not known.
fn bare_name(text: &str) -> Option<(String, &str)> {
    let end = text
        .find(|letter: char| letter == ',' || letter.is_ascii_whitespace())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    (!name.is_empty() && name.is_ascii()).then(|| (name.to_ascii_lowercase(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_read_as_the_server_reads_them() {
        for (value, expected) in [
            ("", vec![]),
            ("Shop ,\"Shop\"", vec!["shop", "Shop"]),
            ("\"a,b\",\"c\"\"d\", \" e\"", vec!["a,b", "c\"d", " e"]),
            ("pg_temp, pg_catalog", vec!["pg_temp", "pg_catalog"]),
        ] {
            assert_eq!(*schemas(value).expect(value), *expected, "{value}");
        }
        assert_eq!(*schemas(&"x".repeat(70)).unwrap(), ["x".repeat(63)]);
        for value in ["a b", "\"a", ",a", "\u{c4}", "\"$user\", public"] {
            assert_eq!(schemas(value), None, "{value}");
        }
    }
}
