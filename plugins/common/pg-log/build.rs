//! Turns the tables of messages into Rust: `classes.txt`, `companions.txt` and `reports.txt`, without
//! their examples. The tests read the same files, with them.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fmt, fs};

#[path = "build/table.rs"]
mod table;

fn main() -> Result<(), Box<dyn Error>> {
    let mut source = String::new();
    for (name, file) in [
        ("CLASSES", "classes.txt"),
        ("COMPANIONS", "companions.txt"),
        ("REPORTS", "reports.txt"),
    ] {
        println!("cargo::rerun-if-changed={file}");
        let rows = table::read(&fs::read_to_string(file)?);
        write_table(
            &mut source,
            name,
            &rows.map_err(|error| format!("{file}: {error}"))?,
        )?;
    }
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
