//! What users read of events says what the tables say. `PGMESH_RECORD=1` writes it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

#[path = "../build/table.rs"]
mod table;

use std::path::{Path, PathBuf};

use pg_log::{Class, Field, Sensitivity};

const BEGIN: &str = "<!-- events: written by the test `documentation` of pg-log -->\n";
const END: &str = "<!-- end of events -->\n";

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../README.md")
}

/// What a class adds to a record.
fn values(class: &Class) -> String {
    let shown = |value: &pg_log::Value| match value.sensitivity {
        Sensitivity::Lines => None,
        Sensitivity::Data => Some(format!("*{}*", value.name)),
        Sensitivity::Sql if value.name != "db.query.text" => None,
        _ => Some(format!("`{}`", value.full_name)),
    };
    let values: Vec<String> = class.values().iter().filter_map(shown).collect();
    values.join(", ")
}

/// Who has printed messages of a class for us.
fn origin(row: &table::Row) -> &'static str {
    let of_patterns = row.patterns.iter().flat_map(|pattern| &pattern.examples);
    let examples: Vec<_> = of_patterns.chain(&row.examples).collect();
    let by = |version: &str| {
        examples
            .iter()
            .any(|example| example.origin.contains(version))
    };
    match (by("15"), by("18")) {
        (true, true) => "15, 18",
        (true, false) => "15",
        (false, true) => "18",
        (false, false) => "source",
    }
}

fn events() -> String {
    let rows =
        table::read(include_str!("../classes.txt")).unwrap_or_else(|error| panic!("{error}"));
    let mut out = String::new();
    let mut section = String::new();
    for (row, class) in rows.iter().zip(Class::all()) {
        if section != row.section {
            section.clone_from(&row.section);
            out.push_str(&format!("\n**{section}**\n\n| event | values of its own | SQLSTATE | seen on |\n|---|---|---|---|\n"));
        }
        out.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            row.name,
            values(class),
            sqlstates(row),
            origin(row)
        ));
    }
    out
}

/// The one that each message has stands out.
fn sqlstates(row: &table::Row) -> String {
    match &row.sqlstate {
        Some(code) => format!("**{code}**"),
        None => row.sqlstates.join(", "),
    }
}

#[test]
fn the_readme_has_a_row_for_every_event_and_for_no_other() {
    let text = std::fs::read_to_string(readme()).expect("the README is there");
    let (before, rest) = text.split_once(BEGIN).expect("the list of events begins");
    let (written, after) = rest.split_once(END).expect("the list of events ends");
    let expected = format!("{}\n", events());
    if std::env::var_os("PGMESH_RECORD").is_some() {
        let text = [before, BEGIN, &expected, END, after].concat();
        std::fs::write(readme(), text).expect("the README can be written");
    } else {
        assert_eq!(written, expected, "PGMESH_RECORD=1 writes it anew");
    }
}

#[test]
fn the_readme_names_every_field() {
    let text = std::fs::read_to_string(readme()).expect("the README is there");
    let missing: Vec<&str> = Field::ALL
        .iter()
        .map(|field| field.name())
        .filter(|name| !text.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
