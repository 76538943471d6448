//! The sample policies in `envoy-configs/envoy/policies`: each decides the cases beside it as they
//! say, every rule of it decides some case, and the shipped schema is the one of the types.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    reason = "tests say what they expect by panicking"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use envoy_policy::config::Document;
use envoy_policy::policy::{Ask, Client, Decision, Policy, Reason, SessionState};
use pg_sql::Encoding;
use serde::Deserialize;

/// A client, what it wants to run, and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    user: String,
    database: Option<String>,
    #[serde(default)]
    application: String,
    principal: Option<String>,
    source: Option<std::net::IpAddr>,
    replication: Option<String>,
    /// What the server reports; unknown if absent.
    search_path: Option<Vec<String>>,
    /// Without it, and without a function call, the case is about the connection.
    sql: Option<String>,
    #[serde(default)]
    function_call: bool,
    verdict: Verdict,
    /// The rule, or `default`, `protected setting`, `too long`.
    by: String,
    #[serde(default)]
    logged: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
enum Verdict {
    #[serde(rename = "allow")]
    Allow,
    #[serde(rename = "deny")]
    Deny,
    #[serde(rename = "would deny")]
    WouldDeny,
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy-configs/envoy")
}

/// Every policy, by its path.
fn policies() -> Vec<PathBuf> {
    let files = std::fs::read_dir(shipped().join("policies")).expect("the folder");
    let mut policies: Vec<PathBuf> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| !path.to_string_lossy().ends_with(".cases.json"))
        .collect();
    policies.sort();
    policies
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn decision(policy: &Policy, case: &Case) -> Decision {
    let client = Client {
        principal: case.principal.clone(),
        source: case.source,
        user: case.user.clone(),
        database: case.database.clone().unwrap_or_else(|| case.user.clone()),
        application: case.application.clone(),
        replication: case.replication.is_some(),
        logical: case.replication.as_deref() == Some("database"),
    };
    let profile = policy.profile(&client);
    let ask = match &case.sql {
        _ if case.function_call => Ask::FunctionCall { oid: 1 },
        Some(sql) => Ask::Text {
            text: sql.as_bytes(),
            bytes: sql.len() as u64,
            truncated: false,
            at_once: true,
        },
        None => return profile.admission,
    };
    let state = SessionState {
        transaction: Some(1),
        search_path: case.search_path.clone().map(Into::into),
        standard_conforming_strings: Some(true),
        client_encoding: Some(Encoding::Utf8),
        ..SessionState::default()
    };
    if profile.admission.denied.is_some() {
        return profile.admission;
    }
    profile.judge(policy, &client, ask, &state).0
}

fn rule(policy: &Policy, number: u16) -> String {
    policy.rule(number).expect("a rule").name.clone()
}

/// The verdict and who gave it.
fn verdict(policy: &Policy, decision: &Decision) -> (Verdict, String) {
    let by = |reason: Reason| match reason {
        Reason::Rule(number) => rule(policy, number),
        Reason::Default => "default".to_owned(),
        Reason::TooLong => "too long".to_owned(),
        Reason::PathInUse => "path in use setting".to_owned(),
        Reason::Protected => "protected setting".to_owned(),
    };
    match (decision.denied, decision.would_deny.first()) {
        (Some(reason), _) => (Verdict::Deny, by(reason)),
        (None, Some(reason)) => (Verdict::WouldDeny, by(*reason)),
        (None, None) => {
            let by = decision.allowed_by.map(|number| rule(policy, number));
            (Verdict::Allow, by.unwrap_or_else(|| "default".to_owned()))
        }
    }
}

#[test]
fn every_sample_policy_decides_its_cases_as_they_say() {
    let policies = policies();
    assert!(!policies.is_empty());
    for path in policies {
        let shown = path.display();
        let policy = Policy::read(&read(&path)).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(policy.warnings(), [""; 0], "{shown}");
        let cases = path.with_extension("cases.json");
        let cases: Vec<Case> = serde_json::from_slice(&read(&cases)).expect("cases");
        let mut came_up = BTreeSet::new();
        for case in &cases {
            let decision = decision(&policy, case);
            let (verdict, by) = verdict(&policy, &decision);
            assert_eq!(
                (verdict, &by),
                (case.verdict, &case.by),
                "{shown}: {case:?}"
            );
            let logged: Vec<_> = decision
                .logged
                .iter()
                .map(|one| rule(&policy, *one))
                .collect();
            assert_eq!(logged, case.logged, "{shown}: {case:?}");
            came_up.insert(by);
            came_up.extend(logged);
        }
        for rule in policy.rules() {
            assert!(
                came_up.contains(&rule.name),
                "{shown}: no case for `{}`",
                rule.name
            );
        }
    }
}

#[test]
fn the_shipped_schema_is_the_one_of_the_types_and_knows_the_samples() {
    let shipped = read(&shipped().join("envoy-policy.schema.json"));
    let shipped: serde_json::Value = serde_json::from_slice(&shipped).expect("JSON");
    let made = serde_json::to_value(schemars::schema_for!(Document)).expect("a schema is JSON");
    assert_eq!(shipped, made, "make it anew: see examples/schema.rs");
    let schema = jsonschema::validator_for(&shipped).expect("a schema");
    for path in policies() {
        let policy = serde_json::from_slice(&read(&path)).expect("JSON");
        assert!(schema.is_valid(&policy), "{}", path.display());
    }
    for refused in [r#"{"rule": []}"#, r#"{"rules": [{"name": "a"}]}"#] {
        let refused = serde_json::from_str(refused).expect("JSON");
        assert!(!schema.is_valid(&refused), "{refused}");
    }
}
