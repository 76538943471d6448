//! Turns the tables of messages into Rust: `classes.txt`, `companions.txt` and `reports.txt`, without
//! their examples, and `places.txt`. The tests read the same files, with them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fmt, fs};

#[path = "build/place.rs"]
mod place;
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
        if name == "CLASSES" {
            write_places(&mut source, &rows)?;
        }
        write_table(&mut source, name, &rows)?;
    }
    write_names(&mut source, &names)?;
    writeln!(
        source,
        "pub(super) static SURE: &str = {:?};",
        sure.join(" ")
    )?;
    println!("cargo::rerun-if-changed=build/table.rs");
    println!("cargo::rerun-if-changed=build/place.rs");
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

/// What functions of the server's say, in the order of their numbers: a number and the class's place in one.
fn write_places(source: &mut String, classes: &[table::Row]) -> Result<(), Box<dyn Error>> {
    const FILE: &str = "places.txt";
    println!("cargo::rerun-if-changed={FILE}");
    let mut places = BTreeMap::new();
    let text = fs::read_to_string(FILE)?;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [class, function, sqlstate] = words.as_slice() else {
            return Err(format!("{FILE}: {line}").into());
        };
        let class = classes.iter().position(|row| row.name == *class);
        let class = class.ok_or_else(|| format!("{FILE}: no such class: {line}"))?;
        let number = place::number(function.as_bytes(), sqlstate.as_bytes());
        let entry = number << 8 | u32::from(u8::try_from(class)?);
        if places.insert(number, entry).is_some() {
            return Err(format!("{FILE}: has the number of another: {line}").into());
        }
    }
    let places: Vec<u32> = places.into_values().collect();
    Ok(writeln!(
        source,
        "pub(super) static PLACES: &[u32] = &{places:?};"
    )?)
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

/// The names that values leave a module under, in the order of what the tables call them: one without a
/// dot is PostgreSQL's, and so are some with one; the others are OpenTelemetry's or an extension's.
fn write_names(source: &mut String, names: &BTreeSet<String>) -> fmt::Result {
    writeln!(source, "pub(super) static NAMES: &[&str] = &[")?;
    for name in names {
        let own = !name.contains('.') || OWN.iter().any(|own| name.starts_with(own));
        let prefix = if own { "postgresql." } else { "" };
        writeln!(source, "    \"{prefix}{name}\",")?;
    }
    writeln!(source, "];")
}
