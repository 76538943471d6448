//! What a policy says of a statement, and why:
//! `cargo run -p envoy-policy --example try -- policy.json --user app "DROP TABLE orders"`.
//!
//! Without a statement it tells whether the client is let in. The session is taken to be idle, with
//! the server's default settings, and the text to be a Query: `--transaction open|failed|unknown`,
//! `--protocol extended` (a Parse) and `--search-path a,b` (what the server reports of it) say
//! otherwise.

use std::process::ExitCode;

use envoy_policy::config::{Action, Mode};
use envoy_policy::policy::unit::{Scene, Unit, transaction_bit};
use envoy_policy::policy::{Ask, Client, Decision, Match, Policy, Reason, Rule, SessionState};
use pg_sql::{ClassifyOptions, Encoding, LexerOptions};
use pg_wire::body::query::TransactionStatus;

const USAGE: &str = "usage: try POLICY.json [--user NAME] [--database NAME] [--application NAME] \
    [--principal URI] [--source ADDRESS] [--replication true|database] [--search-path SCHEMAS] \
    [--transaction idle|open|failed|unknown] [--protocol simple|extended] [SQL]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

struct Question {
    policy: Policy,
    client: Client,
    state: SessionState,
    /// Of a Query; a Parse is run later.
    at_once: bool,
    sql: Option<String>,
}

/// Whether it passes.
fn run(arguments: impl Iterator<Item = String>) -> Result<bool, String> {
    let question = question(arguments)?;
    let Question {
        policy,
        client,
        state,
        at_once,
        sql,
    } = &question;
    for warning in policy.warnings() {
        println!("warning: {warning}");
    }
    let profile = policy.profile(client);
    for (name, value) in profile.settings.iter() {
        println!("session starts with {name} = {value}");
    }
    if let Some(name) = &profile.application_name {
        println!("session starts with application_name = {name}");
    }
    for rule in policy.rules() {
        let unmet = unmet_by_client(rule, client);
        if !unmet.is_empty() {
            let name = &rule.name;
            println!(
                "rule `{name}` is not about this client: {}",
                unmet.join(", ")
            );
        }
    }
    println!("connection: {}", verdict(policy, &profile.admission));
    let Some(sql) = sql else {
        return Ok(profile.admission.denied.is_none());
    };
    if profile.admission.denied.is_some() {
        return Ok(false);
    }
    explain(&question, sql);
    let ask = Ask::Text {
        text: sql.as_bytes(),
        bytes: sql.len() as u64,
        truncated: sql.len() > policy.max_statement_bytes,
        at_once: *at_once,
    };
    let (decision, _) = profile.judge(policy, client, ask, state);
    println!("text: {}", verdict(policy, &decision));
    Ok(decision.denied.is_none())
}

fn question(mut arguments: impl Iterator<Item = String>) -> Result<Question, String> {
    let file = arguments.next().ok_or(USAGE)?;
    let json = std::fs::read(&file).map_err(|error| format!("{file}: {error}"))?;
    let mut question = Question {
        policy: Policy::read(&json).map_err(|error| format!("{file}: {error}"))?,
        client: Client::default(),
        state: SessionState {
            transaction: Some(1),
            search_path: None,
            standard_conforming_strings: Some(true),
            client_encoding: Some(Encoding::Utf8),
            ..SessionState::default()
        },
        at_once: true,
        sql: None,
    };
    while let Some(argument) = arguments.next() {
        let Some(option) = argument.strip_prefix("--") else {
            question.sql = Some(argument);
            continue;
        };
        let value = arguments.next().ok_or(USAGE)?;
        set(&mut question, option, value)?;
    }
    let client = &mut question.client;
    if client.database.is_empty() {
        client.database.clone_from(&client.user);
    }
    Ok(question)
}

fn set(question: &mut Question, option: &str, value: String) -> Result<(), String> {
    let client = &mut question.client;
    match option {
        "user" => client.user = value,
        "database" => client.database = value,
        "application" => client.application = value,
        "principal" => client.principal = Some(value),
        "source" => {
            let address = value.parse().map_err(|error| format!("{value}: {error}"))?;
            client.source = Some(address);
        }
        "replication" => {
            client.replication = true;
            client.logical = value == "database";
        }
        "search-path" => {
            let schemas = value.split(',').map(|schema| schema.trim().to_owned());
            question.state.search_path = Some(schemas.collect());
        }
        "transaction" => question.state.transaction = transaction(&value)?,
        "protocol" => question.at_once = one_of(&value, &[("simple", true), ("extended", false)])?,
        _ => return Err(USAGE.to_owned()),
    }
    Ok(())
}

fn transaction(word: &str) -> Result<Option<u8>, String> {
    let bit = |status| Some(transaction_bit(status));
    one_of(
        word,
        &[
            ("idle", bit(TransactionStatus::Idle)),
            ("open", bit(TransactionStatus::Block)),
            ("failed", bit(TransactionStatus::FailedBlock)),
            ("unknown", None),
        ],
    )
}

fn one_of<T: Copy>(word: &str, meanings: &[(&str, T)]) -> Result<T, String> {
    let known = meanings.iter().find(|(known, _)| *known == word);
    known.map(|(_, meaning)| *meaning).ok_or(USAGE.to_owned())
}

/// Statement by statement, which rules match it, up to the one that decides.
fn explain(question: &Question, sql: &str) {
    let options = ClassifyOptions::default();
    let said = pg_sql::classify(sql.as_bytes(), options);
    let mut scene = Scene::new(sql.as_bytes(), sql.len() as u64, LexerOptions::default());
    scene.statements = said.statements.len();
    scene.transaction = question.state.transaction.filter(|_| question.at_once);
    scene.search_path = question.state.search_path.as_deref();
    for statement in &said.statements {
        let unit = Unit::of(statement, said.complete);
        println!("statement {}", describe(&unit));
        held_against(question, &unit, &scene);
    }
    if !said.complete {
        println!("and what could not be read");
        held_against(question, &Unit::UNREAD, &scene);
    }
}

fn held_against(question: &Question, unit: &Unit<'_>, scene: &Scene<'_>) {
    for rule in question.policy.rules() {
        if !unmet_by_client(rule, &question.client).is_empty() {
            continue;
        }
        let how = |(name, matched): (&str, Match)| match matched {
            Match::Yes => None,
            Match::Maybe => Some(format!("{name} may match")),
            Match::No => Some(format!("{name} does not match")),
        };
        let why: Vec<String> = rule.conditions(unit, scene).filter_map(how).collect();
        let applies = rule.applies(unit, scene);
        let outcome = if applies { "applies" } else { "does not apply" };
        let why = match why.is_empty() {
            true => String::new(),
            false => format!(": {}", why.join(", ")),
        };
        println!("  rule `{}` ({}) {outcome}{why}", rule.name, action(rule));
        if applies && rule.action != Action::Log && rule.mode == Mode::Enforce {
            return;
        }
    }
    println!("  the default decides");
}

fn unmet_by_client(rule: &Rule, client: &Client) -> Vec<&'static str> {
    let unmet = rule.client_conditions(client).filter(|(_, met)| !met);
    unmet.map(|(name, _)| name).collect()
}

fn action(rule: &Rule) -> &'static str {
    match (rule.action, rule.mode) {
        (Action::Allow, Mode::Enforce) => "allow",
        (Action::Deny, Mode::Enforce) => "deny",
        (Action::Log, _) => "log",
        (_, Mode::DryRun) => "dry run",
    }
}

fn describe(unit: &Unit<'_>) -> String {
    let mut words = vec![unit.command.to_owned(), unit.class.as_str().to_owned()];
    words.extend(unit.effects.names().map(str::to_owned));
    words.extend(unit.relations.iter().map(|relation| {
        let uses: Vec<&str> = relation.access.names().collect();
        format!("{} ({})", relation.name, uses.join(" "))
    }));
    words.extend(unit.functions.iter().map(|name| format!("{name}()")));
    words.extend(unit.attributes.iter().map(|name| format!(".{name}")));
    if !unit.certain {
        words.push("not read for certain".to_owned());
    }
    words.join(", ")
}

fn verdict(policy: &Policy, decision: &Decision) -> String {
    let rule = |number: u16| {
        let rule = policy.rule(number);
        rule.map_or_else(String::new, |rule| format!("rule `{}`", rule.name))
    };
    let reason = |reason: &Reason| match reason {
        Reason::Rule(number) => rule(*number),
        Reason::Default => "the default".to_owned(),
        Reason::TooLong => "max_statement_bytes".to_owned(),
        Reason::PathInUse => "it changes search_path under prepared statements".to_owned(),
        Reason::Protected => "a setting that the policy imposes".to_owned(),
    };
    let mut said = match &decision.denied {
        Some(denied) => format!("DENIED by {}", reason(denied)),
        None => {
            let by = decision.allowed_by.map(rule);
            format!("allowed by {}", by.as_deref().unwrap_or("the default"))
        }
    };
    for would in &decision.would_deny {
        said = format!("{said}; would be denied by {}", reason(would));
    }
    for number in &decision.logged {
        said = format!("{said}; logged by {}", rule(*number));
    }
    said
}
