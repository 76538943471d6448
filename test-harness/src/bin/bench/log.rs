//! The log filter in a host that keeps Fluent Bit's contract: CPU per record, the host's copies
//! included, instructions per record, and the module's memory.

use std::fs;
use std::time::Instant;

use serde_json::json;
use test_harness::fakes::fluent_bit::{Execution, FluentBit};
use test_harness::hosts::fluent_bit::{Filters, FluentBit as FluentBitHost};
use test_harness::hosts::places::built_module;

use crate::Options;
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

/// What the filter adds to a real Fluent Bit's CPU per record, interpreted, with the shipped
/// configuration; the multiline parser is in both sides of it.
pub fn in_fluent_bit(options: &Options) {
    const RECORDS: usize = 200_000;
    let Some(host) = FluentBitHost::find() else {
        return;
    };
    let directory = std::env::temp_dir();
    for (kind, line) in LINES {
        let log = directory.join(format!("pgmesh-{kind}-{}.log", std::process::id()));
        let lines: String = (0..DIFFERENT)
            .map(|number| varied(line, number) + "\n")
            .collect();
        fs::write(&log, lines.repeat(RECORDS / DIFFERENT as usize)).expect("written");
        let rounds: Vec<f64> = (0..options.rounds.min(3))
            .map(|_| {
                let without = host.cpu_time(Filters::WithoutTheModule, &log);
                let with = host.cpu_time(Filters::All, &log);
                with.saturating_sub(without).as_secs_f64() * 1e6 / RECORDS as f64
            })
            .collect();
        let name = format!(
            "{kind}, {} bytes, interpreted: us added per record",
            line.len()
        );
        figure(&name, median(&rounds), "<= 4");
        fs::remove_file(&log).expect("it is there");
    }
}

fn microseconds_per_record(host: &mut FluentBit, records: &[Vec<u8>]) -> f64 {
    let begin = Instant::now();
    for (second, record) in (0..RECORDS).zip(records.iter().cycle()) {
        assert!(host.record_unjudged(second, record) > 0);
    }
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(RECORDS)
}
