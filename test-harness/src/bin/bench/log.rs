//! The log filter in a host that keeps Fluent Bit's contract: CPU per record, the host's copies
//! included, instructions per record, and the module's memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::json;
use test_harness::fakes::fluent_bit::{Answer, Execution, FluentBit};
use test_harness::hosts::fluent_bit::{Filters, FluentBit as FluentBitHost};
use test_harness::hosts::places::{built_module, program_on_path};

use crate::Options;
use crate::load::{in_rounds, ratios};
use crate::report::{figure, median};

/// Lines of some 150 bytes as a busy server writes them most, by what the filter has to do with them.
const LINES: [(&str, &str); 3] = [
    (
        "connection",
        "2026-11-23 03:34:37.123 UTC [4711] shop_backend@shop LOG:  connection authorized: user=shop_backend database=shop application_name=checkout-service",
    ),
    (
        "statement",
        "2026-11-23 03:34:37.123 UTC [4711] shop_backend@shop LOG:  duration: 12.345 ms  statement: SELECT id, total FROM orders WHERE id = 4711 AND state <> 'paid'",
    ),
    (
        "error",
        "2026-11-23 03:34:37.123 UTC [4711] shop_backend@shop ERROR:  duplicate key value violates unique constraint \"customers_email_address_key\"",
    ),
];

/// Records of one measurement.
const RECORDS: u32 = 20_000;
/// Records of one run of Fluent Bit.
const IN_FLUENT_BIT: usize = 100_000;
/// Records that differ.
const DIFFERENT: u32 = 400;

/// A line as one of twenty sessions writes it at its time, with values of its own: the filter remembers what
/// it has seen.
fn varied(line: &str, number: u32) -> String {
    let time = format!("{:02}.{:03}", number / 20 % 60, number * 37 % 1000);
    let session = format!("[{}]", 4700 + number * 7 % 20);
    line.replace("37.123", &time)
        .replace("[4711]", &session)
        .replace("12.345", &format!("{}.345", number % 50))
        .replace("4711", &(4000 + number).to_string())
}

fn records(line: &str) -> Vec<Vec<u8>> {
    let record = |number| {
        json!({ "log": varied(line, number) })
            .to_string()
            .into_bytes()
    };
    (0..DIFFERENT).map(record).collect()
}

/// All figures of the filter that take no real Fluent Bit.
pub fn in_a_host_of_its_contract(options: &Options) {
    let module = built_module("fluentbit-filter");
    let size = fs::metadata(&module).map_or(f64::NAN, |found| found.len() as f64 / 1024.0);
    figure("module, KB", size, "<= 600");
    let mut compiled = FluentBit::load_to_be(Execution::Compiled, &module, "pgmesh");
    let mut metered = FluentBit::load(&module, "pgmesh");
    for (kind, line) in LINES {
        let records = records(line);
        let rounds: Vec<f64> = (0..options.rounds)
            .map(|_| microseconds_per_record(&mut compiled, &records))
            .collect();
        let name = format!("{kind}, {} bytes, compiled: us per record", line.len());
        figure(&name, median(&rounds), "<= 1.9");
        // The first records find the prefix out, and what comes again.
        let mut instructions = || -> u64 {
            let count = |record: &Vec<u8>| {
                metered.record(0, record);
                metered.instructions
            };
            records.iter().map(count).sum()
        };
        instructions();
        let name = format!("{kind}: WebAssembly instructions per record");
        figure(&name, instructions() as f64 / f64::from(DIFFERENT), "");
    }
    let memory = compiled.memory_bytes() as f64 / 1024.0;
    figure("memory of the module, KiB", memory, "<= 1024");
}

/// What a filter adds to a real Fluent Bit's CPU per record with the shipped configuration, whose
/// multiline parser is in both sides of it: ours, and the regex that everyone copies instead. The
/// bounds of the ratios are those of the times beside the 1.99 us that the regex takes on a quiet machine.
pub fn in_fluent_bit(options: &Options) {
    let Some(host) = FluentBitHost::find() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let compiled = compiled_by_wamrc(directory.path());
    for (kind, line) in LINES {
        let log = directory.path().join("log");
        let lines: String = (0..DIFFERENT)
            .map(|number| varied(line, number) + "\n")
            .collect();
        fs::write(&log, lines.repeat(IN_FLUENT_BIT / DIFFERENT as usize)).expect("written");
        let ready = ready_record(directory.path(), line);
        let mut variants = vec![
            ("without", Filters::WithoutTheModule, ["", ""]),
            ("one regex and its time", Filters::OneRegex, ["", ""]),
            (
                "a module with a ready record",
                Filters::Module(&ready),
                ["", ""],
            ),
            ("interpreted", Filters::All, ["<= 4", "<= 2"]),
        ];
        if let Some(module) = &compiled {
            let filters = Filters::Module(module);
            variants.push(("compiled by wamrc", filters, ["<= 1.9", "<= 0.95"]));
        }
        let rounds = in_rounds(options.rounds.min(3), &variants, kind, |(_, filters, _)| {
            host.cpu_time(*filters, &log).as_secs_f64() * 1e6 / IN_FLUENT_BIT as f64
        });
        let added: Vec<Vec<f64>> = rounds
            .iter()
            .map(|round| round[1..].iter().map(|all| all - round[0]).collect())
            .collect();
        for (index, (name, _, bounds)) in variants[1..].iter().enumerate() {
            let name = format!("{kind}, {name}");
            let times: Vec<f64> = added.iter().map(|round| round[index]).collect();
            figure(&format!("{name}: us added"), median(&times), bounds[0]);
            let to_regex = ratios(&added, index, |time| *time);
            let name = format!("{name}: ratio to the regex");
            figure(&name, median(&to_regex), bounds[1]);
        }
    }
}

/// The module as `wamrc` compiles it, where there is one: Fluent Bit loads that, too.
fn compiled_by_wamrc(directory: &Path) -> Option<PathBuf> {
    let Ok(compiler) = program_on_path("wamrc") else {
        println!("not measured compiled: no wamrc on the PATH");
        return None;
    };
    let compiled = directory.join("compiled.aot");
    let output = Command::new(compiler)
        .arg("-o")
        .args([&compiled, &built_module("fluentbit-filter")])
        .output()
        .expect("wamrc runs");
    assert!(output.status.success(), "{output:?}");
    Some(compiled)
}

/// A module that hands out what ours makes of a line, and does nothing for it: what is left of a bound
/// for the work itself.
fn ready_record(directory: &Path, line: &str) -> PathBuf {
    let mut ours = FluentBit::load(&built_module("fluentbit-filter"), "pgmesh");
    let record = records(line).swap_remove(0);
    let Answer::Replaced(record) = ours.record(0, &record) else {
        panic!("ours replaces {line}");
    };
    let record = record.replace('\\', "\\\\").replace('"', "\\22");
    let text = format!(
        r#"(module
            (memory (export "memory") 2)
            (data (i32.const 1024) "{record}\00")
            (func (export "malloc") (param i32) (result i32) (i32.const 65536))
            (func (export "free") (param i32))
            (func (export "pgmesh") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 1024)))"#
    );
    let path = directory.join("ready.wasm");
    let module = wat::parse_str(text).expect("a module");
    fs::write(&path, module).expect("written");
    path
}

fn microseconds_per_record(host: &mut FluentBit, records: &[Vec<u8>]) -> f64 {
    let begin = Instant::now();
    for (second, record) in (0..RECORDS).zip(records.iter().cycle()) {
        assert!(host.record_unjudged(second, record) > 0);
    }
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(RECORDS)
}
