//! The simple query protocol.

/// The tag of a CommandComplete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CommandTag<'a> {
    /// What ran: `SELECT`, `CREATE TABLE`.
    pub command: &'a [u8],
    /// How many rows, if the command counts them.
    pub rows: Option<u64>,
}

impl<'a> CommandTag<'a> {
    /// Reads a tag, with or without its zero. `INSERT` has an object identifier before its count.
    #[must_use]
    pub fn parse(tag: &'a [u8]) -> Self {
        let tag = tag.split(|byte| *byte == 0).next().unwrap_or_default();
        let Some((command, rows)) = split_count(tag) else {
            return Self {
                command: tag,
                rows: None,
            };
        };
        let command = split_count(command).map_or(command, |(command, _)| command);
        Self {
            command,
            rows: Some(rows),
        }
    }
}

/// Parts a tag from the number at its end.
fn split_count(tag: &[u8]) -> Option<(&[u8], u64)> {
    let blank = tag.iter().rposition(|byte| *byte == b' ')?;
    let (command, count) = tag.split_at_checked(blank)?;
    let count = std::str::from_utf8(count.get(1..)?).ok()?.parse().ok()?;
    Some((command, count))
}
