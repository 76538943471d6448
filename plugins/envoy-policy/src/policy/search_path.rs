//! The value of `search_path`, as the server reads it.

use std::rc::Rc;

/// Bytes of a name that the server does not cut.
const MAX_NAME: usize = 63;

/// Schemas that unqualified names are looked up in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SearchPath {
    /// In order, `$user` replaced.
    pub schemas: Rc<[String]>,
    /// One of them is the role that the session acts as.
    pub names_role: bool,
}

impl SearchPath {
    /// Reads a value that the server has reported (`SplitIdentifierString`,
    /// `src/backend/utils/adt/varlena.c`); `$user` is the role (`preprocessNamespacePath`,
    /// `src/backend/catalog/namespace.c`). `None` for a value that no server reports.
    #[must_use]
    pub fn new(value: &str, role: &str) -> Option<Self> {
        let mut schemas = Vec::new();
        let mut names_role = false;
        let mut rest = value.trim_start();
        while !rest.is_empty() {
            let (mut name, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted_name(quoted)?,
                None => bare_name(rest)?,
            };
            name.truncate(name.floor_char_boundary(MAX_NAME));
            if name == "$user" {
                names_role = true;
                role.clone_into(&mut name);
            }
            schemas.push(name);
            rest = match after.trim_start() {
                "" => "",
                after => after.strip_prefix(',')?.trim_start(),
            };
        }
        Some(Self {
            schemas: schemas.into(),
            names_role,
        })
    }
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
            ("\"$user\", public", vec!["app", "public"]),
            ("Shop ,\"Shop\"", vec!["shop", "Shop"]),
            ("\"a,b\",\"c\"\"d\", \" e\"", vec!["a,b", "c\"d", " e"]),
            ("pg_temp, pg_catalog", vec!["pg_temp", "pg_catalog"]),
        ] {
            let path = SearchPath::new(value, "app").expect(value);
            assert_eq!(*path.schemas, *expected, "{value}");
            assert_eq!(path.names_role, value.contains("$user"));
        }
        let long = SearchPath::new(&"x".repeat(70), "app").unwrap();
        assert_eq!(*long.schemas, ["x".repeat(63)]);
        for value in ["a b", "\"a", ",a", "\u{c4}"] {
            assert_eq!(SearchPath::new(value, "app"), None, "{value}");
        }
    }
}
