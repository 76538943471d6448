//! Every alert that we ship becomes active in a real Prometheus when its fault is caused, and none does
//! before: a real Envoy with both modules, a primary and its standby, their postgres_exporters, the load
//! of an application, and an Alertmanager that tells of a server that is down and of nothing else about it.
//!
//! The rules are those of `envoy-configs/prometheus/rules`, with seconds in place of minutes and, where a
//! fault would have to last for minutes, a lower threshold ([`LOWERED`]).

mod faults;
mod site;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use faults::{Fault, Guard};
use site::Site;
use test_harness::hosts::wait_for;
use test_harness::rules;

/// Alerts that no fault can cause here, and why. `promtool` tests them all the same.
const NOT_CAUSED: &[(&str, &str)] = &[
    (
        "EnvoyCertificateExpires",
        "a day must pass without a renewal",
    ),
    (
        "EnvoyRefusesConnections",
        "all other faults need their connections; `overload_refuses` sees the metrics",
    ),
    (
        "PgmeshModuleNotFetched",
        "there is no agent of Istio's here",
    ),
    (
        "PgmeshMetricsRefused",
        "Envoy refuses no metric that it can be asked for",
    ),
    (
        "PgmeshPolicyHostFailures",
        "no host call of the filter fails in an Envoy that the module was made for",
    ),
];

/// What a duration of the rules is here.
const DURATIONS: &[(&str, &str)] = &[
    ("1m", "2s"),
    ("2m", "6s"),
    ("5m", "10s"),
    ("10m", "4s"),
    ("15m", "4s"),
    ("30m", "12s"),
    ("1h", "16s"),
    ("2h", "16s"),
    ("6h", "20s"),
    ("1d", "24s"),
    ("3d", "30s"),
];

/// Thresholds that are reached in seconds here, and what stands in their place.
const LOWERED: &[(&str, &str)] = &[
    (
        "longest_transaction_seconds > 300",
        "longest_transaction_seconds > 20",
    ),
    (
        "replication_lag_seconds > 30",
        "replication_lag_seconds > 5",
    ),
    (
        "slot_wal_bytes > 5 * 1024 * 1024 * 1024",
        "slot_wal_bytes > 1024 * 1024",
    ),
    ("wraparound:ratio > 0.5", "wraparound:ratio > 0.00002"),
    (
        "(pgmesh_state_bytes) > 256 * 1024 * 1024",
        "(pgmesh_state_bytes) > 2 * 1024 * 1024",
    ),
];

/// Longer than any window of [`DURATIONS`] that looks back on how things usually are.
const BASELINE: Duration = Duration::from_secs(42);
const LIMIT: Duration = Duration::from_secs(120);

/// The shipped rules, quickened: file name and text.
fn quick_rules() -> Vec<(String, String)> {
    let mut lowered = BTreeSet::new();
    let files = rules::files().into_iter().map(|file| {
        let mut text = file.quickened(DURATIONS);
        for (from, to) in LOWERED {
            if text.contains(from) {
                text = text.replace(from, to);
                lowered.insert(from);
            }
        }
        (format!("{}.yml", file.name), text)
    });
    let files: Vec<_> = files.collect();
    assert_eq!(lowered.len(), LOWERED.len(), "only {lowered:?} are there");
    files
}

/// Causes faults at once, waits until all their alerts fire, and ends them.
fn cause(site: &Site, seen: &mut BTreeSet<String>, faults: &[Fault]) {
    let _guards: Vec<Guard> = faults.iter().map(|fault| (fault.cause)(site)).collect();
    let expected: BTreeSet<&str> = faults
        .iter()
        .flat_map(|fault| fault.alerts)
        .copied()
        .collect();
    let start = Instant::now();
    let mut missing = expected.clone();
    let all = wait_for(LIMIT, || {
        std::thread::sleep(Duration::from_millis(500));
        for alert in site.firing() {
            if missing.remove(alert.name()) {
                eprintln!(
                    "{:>4.0?} {}",
                    start.elapsed(),
                    alert.annotations["description"]
                );
                judge(&alert);
            }
        }
        missing.is_empty().then_some(())
    });
    assert!(
        all.is_some(),
        "not active: {missing:?}\n{}",
        site.explain(&missing)
    );
    seen.extend(expected.into_iter().map(str::to_owned));
}

/// It reads as a sentence: every label that its texts name is there.
fn judge(alert: &test_harness::hosts::prometheus::Alert) {
    for (name, text) in &alert.annotations {
        let whole = !text.contains("<no value>") && !text.contains("  ") && !text.contains("{{");
        assert!(whole, "{} {name}: {text}", alert.name());
    }
}

#[test]
fn every_alert_becomes_active_when_its_fault_is_caused_and_none_before() {
    let mut site = Site::start(quick_rules());
    let load = faults::usual_load(&site);
    std::thread::sleep(BASELINE);
    let early: Vec<_> = site
        .firing()
        .iter()
        .map(|it| it.name().to_owned())
        .collect();
    assert!(early.is_empty(), "nothing has happened yet: {early:?}");

    let mut seen = BTreeSet::new();
    cause(&site, &mut seen, faults::OF_CLIENTS);
    cause(&site, &mut seen, faults::OF_SERVERS);
    drop(load);
    cause(&site, &mut seen, faults::CRASH);

    // A server that is down is told; what follows from it is not.
    cause(&site, &mut seen, faults::DOWN);
    site.told_of_the_server_alone();

    site.exporter_ends();
    cause(&site, &mut seen, &[faults::EXPORTER_GONE]);
    site.envoy_loses_the_module();
    cause(&site, &mut seen, &[faults::MODULE_GONE]);

    let excused = NOT_CAUSED.iter().map(|(name, _)| (*name).to_owned());
    seen.extend(excused);
    let all: BTreeSet<String> = rules::alerts().into_iter().map(|rule| rule.name).collect();
    assert_eq!(seen, all);
}
