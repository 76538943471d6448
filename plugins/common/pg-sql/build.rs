//! Compiles `grammar/*.txt` into the tables that `src/classify/machine.rs` runs.
//!
//! The notation is extended BNF. A rule starts in the first column (`name = ...`) and goes on in
//! indented lines. `KEYWORD`, `'('`, `%class` and `rule` are symbols; `( | ) ? * +` group and repeat;
//! `@action(ARG)` calls the recogniser, ARG being a command's tag or, of `@sets`, a setting's name;
//! `&n(...)` and `!n(...)` ask that the n-th token ahead is, or is not, one of those listed, and
//! stand first in their alternative. Alternatives are tried in order and chosen by the tokens
//! ahead, never by trying: there is no backtracking.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "runs at build time, where a panic with a message is the error report"
)]

#[path = "build/codegen.rs"]
mod codegen;
#[path = "build/notation.rs"]
mod notation;
#[path = "build/terminals.rs"]
mod terminals;

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=grammar");
    println!("cargo:rerun-if-changed=build");
    let read = |name: &str| {
        std::fs::read_to_string(Path::new("grammar").join(name))
            .unwrap_or_else(|error| panic!("grammar/{name}: {error}"))
    };
    let terminals = terminals::Terminals::new(&read("keywords.txt"));
    let mut rules = Vec::new();
    for file in [
        "expression.txt",
        "query.txt",
        "utility.txt",
        "definition.txt",
    ] {
        rules.extend(notation::parse(file, &read(file), &terminals));
    }
    let tables = codegen::generate(&rules, &terminals, &read("commands.txt"));
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("tables.rs"), tables).expect("OUT_DIR can be written");
}
