//! Judges `pg_sql::classify`, `split` and `fingerprint` by PostgreSQL's own parser, through libpg_query.
//!
//! `cargo run -- <folder>` (or `make oracle SQL=<folder>`) reads every `.sql` file of a folder; the
//! tests run the same comparison over pg-sql's corpus and over generated statements.

pub mod facts;
pub mod files;
pub mod fingerprints;
pub mod tag;
pub mod tree;

use facts::Facts;
use pg_query::{ParserOptions, protobuf};
use pg_sql::{ClassifyOptions, classify};

/// What became of one statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// libpg_query refuses it: nothing to compare.
    Refused,
    /// Both say the same.
    Right,
    /// pg-sql says that it does not know.
    Incomplete,
    /// pg-sql says that it knows, and is wrong in this.
    Wrong(Vec<String>),
}

/// Compares both readings of a text that holds one statement.
pub fn judge(text: &str) -> Verdict {
    let Ok(parsed) = pg_query::parse(text, ParserOptions::default()) else {
        return Verdict::Refused;
    };
    let protobuf::ParseResult { stmts, .. } = parsed.protobuf;
    let right: Vec<Facts> = stmts
        .iter()
        .map(|raw| serde_json::to_value(raw).expect("a tree is JSON"))
        .map(|raw| tree::facts(&raw["stmt"]))
        .collect();
    let said = classify(text.as_bytes(), ClassifyOptions::default());
    if !said.complete {
        return Verdict::Incomplete;
    }
    let said: Vec<Facts> = said.statements.iter().map(Facts::of).collect();
    if right.len() != said.len() {
        return Verdict::Wrong(vec![format!(
            "{} statements, said {}",
            right.len(),
            said.len()
        )]);
    }
    let pairs = right.iter().zip(&said);
    let differences: Vec<String> = pairs
        .flat_map(|(right, said)| right.differences(said))
        .collect();
    if differences.is_empty() {
        Verdict::Right
    } else {
        Verdict::Wrong(differences)
    }
}
