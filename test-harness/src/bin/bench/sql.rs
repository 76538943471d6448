//! pg-sql inside of WebAssembly: MB/s of its passes, and what they add to a module.

use std::fs;
use std::time::{Duration, Instant};

use test_harness::hosts::places;
use wasmtime::{Engine, Instance, Module, Store};

use crate::Options;
use crate::report::figure;

/// Bytes of text for a pass, in fewer statements than `classify` is ready to look at.
const TEXT: u32 = 100_000;
const LEAST: Duration = Duration::from_millis(500);

/// Speed and size, on the modules that `make bench` builds.
pub fn in_wasm(_options: &Options) {
    let base = size("base");
    figure(
        "lexer, redaction, fingerprint: KB added",
        size("redact") - base,
        "<= 60",
    );
    figure(
        "the same and classify: KB added",
        size("classify") - base,
        "<= 350",
    );
    for (pass, bound) in [
        ("lex", ">= 150"),
        ("redact", ">= 80"),
        ("classify", ">= 15"),
    ] {
        figure(
            &format!("{pass} in wasmtime: MB/s"),
            megabytes_per_second(pass),
            bound,
        );
    }
}

fn path(variant: &str) -> std::path::PathBuf {
    places::built_module(&format!("sql-{variant}"))
}

fn size(variant: &str) -> f64 {
    fs::metadata(path(variant)).map_or(f64::NAN, |found| found.len() as f64 / 1024.0)
}

/// The best run of at least half a second of runs.
fn megabytes_per_second(pass: &str) -> f64 {
    let engine = Engine::default();
    let module = Module::from_file(&engine, path("classify")).expect("a module");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("it imports nothing");
    let prepare = instance
        .get_typed_func::<u32, u32>(&mut store, "prepare")
        .expect("an export");
    let bytes = f64::from(prepare.call(&mut store, TEXT).expect("no trap"));
    let run = instance.get_func(&mut store, pass).expect("an export");
    let mut results = vec![wasmtime::Val::I32(0); run.ty(&store).results().len()];
    let mut best = Duration::MAX;
    let begun = Instant::now();
    while begun.elapsed() < LEAST {
        let start = Instant::now();
        run.call(&mut store, &[], &mut results).expect("no trap");
        best = best.min(start.elapsed());
    }
    bytes / best.as_secs_f64() / 1e6
}
