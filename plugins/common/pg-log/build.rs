//! Turns the tables of messages into Rust: `classes.txt`, `companions.txt` and `reports.txt`, without
//! their examples. The tests read the same files, with them.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fmt, fs};

#[path = "build/table.rs"]
mod table;

fn main() -> Result<(), Box<dyn Error>> {
    let mut source = String::new();
    let mut names = BTreeSet::new();
    let mut sure = Vec::new();
    for (name, file) in [
        ("CLASSES", "classes.txt"),
        ("COMPANIONS", "companions.txt"),
        ("REPORTS", "reports.txt"),
    ] {
        println!("cargo::rerun-if-changed={file}");
        let rows = table::read(&fs::read_to_string(file)?);
        let rows = rows.map_err(|error| format!("{file}: {error}"))?;
        names.extend(rows.iter().flat_map(value_names));
        sure.extend(rows.iter().filter_map(|row| row.sqlstate.clone()));
        write_table(&mut source, name, &rows)?;
    }
    write_names(&mut source, &names)?;
    writeln!(
        source,
        "pub(super) static SURE: &str = {:?};",
        sure.join(" ")
    )?;
    println!("cargo::rerun-if-changed=build/table.rs");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("tables.rs"), source)?;
    Ok(())
}

fn write_table(source: &mut String, name: &str, rows: &[table::Row]) -> fmt::Result {
    writeln!(source, "pub(super) static {name}: &[Class] = &[")?;
    for row in rows {
        let patterns: Vec<&str> = row.patterns.iter().map(|one| one.text.as_str()).collect();
        writeln!(
            source,
            "    Class {{ name: {:?}, sqlstates: &{:?}, patterns: &{patterns:?} }},",
            row.name, row.sqlstates
        )?;
    }
    writeln!(source, "];")
}

/// The names of the values in the patterns of a row.
fn value_names(row: &table::Row) -> Vec<String> {
    let patterns = row.patterns.iter();
    let values = patterns.flat_map(|pattern| pattern.text.split('{').skip(1));
    values
        .filter_map(|value| value.split(['}', ':', '!']).next())
        .map(str::to_owned)
        .collect()
}

/// First parts of names that are PostgreSQL's.
const OWN: [&str; 6] = [
    "checkpoint.",
    "cron.",
    "lock.",
    "timescaledb.",
    "vacuum.",
    "wal.",
];

/// Each name with the one it leaves a module under: one without a dot is PostgreSQL's, and so are some
/// with one; the others are OpenTelemetry's or an extension's.
fn write_names(source: &mut String, names: &BTreeSet<String>) -> fmt::Result {
    writeln!(source, "pub(super) static NAMES: &[(&str, &str)] = &[")?;
    for name in names {
        let own = !name.contains('.') || OWN.iter().any(|own| name.starts_with(own));
        let prefix = if own { "postgresql." } else { "" };
        writeln!(source, "    ({name:?}, \"{prefix}{name}\"),")?;
    }
    writeln!(source, "];")
}
