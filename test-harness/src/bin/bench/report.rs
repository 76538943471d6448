//! Medians and how they are printed.

use std::io::{IsTerminal, Write};

/// The middle of the values; of an even number the upper one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Begins a part.
pub fn heading(name: &str) {
    println!("\n== {name}");
}

/// A figure with its bound.
pub fn figure(name: &str, value: f64, bound: &str) {
    println!("{name:<58} {value:>8.3}   {bound}");
}

/// Says on the terminal how far a long part has come.
pub fn progress(text: &str) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    eprint!("\r\x1b[K{text}");
    // Progress that cannot be shown is no reason to stop.
    let _shown = std::io::stderr().flush();
}

/// Takes the progress line away.
pub fn done() {
    progress("");
}
