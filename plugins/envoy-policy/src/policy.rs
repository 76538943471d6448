//! The rules and what they decide: host-free, and without a wire.
//!
//! A [`Policy`] is compiled from the document once. For a client it gives a [`Profile`]: the rules
//! that can ever match this client, the settings its session starts with, and whether it is let in.
//! A request is then judged against the profile ([`Profile::judge`]). The first rule that applies
//! decides, as in pg_hba.conf.
//!
//! - `glob`: patterns of names and networks.
//! - `compile`: from the document to rules.
//! - `index`: which rules a statement is held against.
//! - [`rule`]: one rule, and whether it matches.
//! - [`unit`]: what rules are held against.
//! - `reach`: what gets at relations without naming them.
//! - `settings`: what a session must not change.
//! - `verdicts`: what was decided before.

mod compile;
mod glob;
mod index;
mod judge;
mod reach;
pub mod rule;
mod search_path;
mod settings;
pub mod unit;
mod verdicts;

use std::cell::RefCell;
use std::rc::Rc;

use index::Index;
pub use judge::{Aftermath, Ask, Decision, SessionState};
pub(crate) use rule::Who;
pub use rule::{Client, Match, Rule};
pub use search_path::SearchPath;
pub use settings::Protected;
use verdicts::Verdicts;

use crate::config::{Action, Cancel, Document, Mode, Verdict};
use crate::limits::{self, Limit};
use crate::routes::{self, Route};

/// Commands of the replication protocol (PostgreSQL docs: "Streaming Replication Protocol"); on a
/// connection for logical replication, a text that begins with none of them is SQL
/// (`replication_scanner_is_replication_command`, `src/backend/replication/repl_scanner.l`).
pub(crate) const REPLICATION_COMMANDS: &[&str] = &[
    "ALTER_REPLICATION_SLOT",
    "BASE_BACKUP",
    "CREATE_REPLICATION_SLOT",
    "DROP_REPLICATION_SLOT",
    "IDENTIFY_SYSTEM",
    "READ_REPLICATION_SLOT",
    "SHOW",
    "START_REPLICATION",
    "TIMELINE_HISTORY",
    "UPLOAD_MANIFEST",
];

/// Profiles that are kept: more than there are sets of rules in a policy that somebody can read.
const MAX_PROFILES: usize = 256;

/// Why something is denied.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// By the rule of this number.
    Rule(u16),
    /// No rule allows it, and the default is `deny`.
    Default,
    /// Longer than `max_statement_bytes`, or more than the worker may hold.
    TooLong,
    /// It changes a setting that the policy imposes.
    Protected,
    /// It changes `search_path` under statements that were prepared, and allowed, for what it was.
    PathInUse,
}

/// A compiled policy.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    /// What was made of the policy for clients before, by the rules that can match them.
    profiles: RefCell<Vec<Profile>>,
    verdicts: RefCell<Verdicts>,
    /// For the whole policy.
    pub mode: Mode,
    /// Where no rule decides.
    pub default: Verdict,
    /// For sessions that cannot be read.
    pub uninspectable: Verdict,
    /// Major and minor; all if empty.
    pub protocol_versions: Vec<(u16, u16)>,
    /// Which CancelRequests pass.
    pub cancel: Cancel,
    /// A cluster that leads each to the server of its session; none if empty.
    pub cancel_cluster: String,
    /// Bytes of a text that are held.
    pub max_statement_bytes: usize,
    /// How much a client may have.
    pub limits: Vec<Limit>,
    /// Clusters for sessions.
    pub routes: Vec<Route>,
    /// Bytes held by all connections of a worker.
    pub max_held_bytes: usize,
}

impl Policy {
    /// Compiles a document.
    ///
    /// # Errors
    /// One line that names the path of what is wrong, and what was expected.
    pub fn compile(document: &Document) -> Result<Self, String> {
        let within = |path: &str, value: u32, min: u32, max: u32| {
            if (min..=max).contains(&value) {
                return Ok(value as usize);
            }
            Err(format!("{path}: expected {min} to {max}, found {value}"))
        };
        let rules = compile::rules(&document.rules)?;
        Ok(Self {
            verdicts: RefCell::new(Verdicts::new(
                rules.iter().filter_map(|rule| rule.what.larger_than),
            )),
            rules,
            profiles: RefCell::default(),
            mode: document.mode,
            default: document.default,
            uninspectable: document.uninspectable,
            protocol_versions: document
                .protocol_versions
                .iter()
                .enumerate()
                .map(|(index, version)| {
                    protocol_version(version)
                        .ok_or_else(|| format!("protocol_versions[{index}]: expected `3.0` or so"))
                })
                .collect::<Result<_, _>>()?,
            cancel: document.cancel,
            cancel_cluster: document.cancel_cluster.clone(),
            limits: limits::compile(&document.limits)?,
            routes: routes::compile(&document.routes)?,
            max_statement_bytes: within(
                "max_statement_bytes",
                document.max_statement_bytes,
                1024,
                1 << 30,
            )?,
            max_held_bytes: within("max_held_bytes", document.max_held_bytes, 65_536, 1 << 29)?,
        })
    }

    /// Reads and compiles a document.
    ///
    /// # Errors
    /// As [`Policy::compile`].
    pub fn read(json: &[u8]) -> Result<Self, String> {
        Self::compile(&crate::config::read(json)?)
    }

    /// What is in order, but worth a second look.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        compile::warnings(&self.rules)
    }

    /// The rules in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// A rule by its number.
    #[must_use]
    pub fn rule(&self, number: u16) -> Option<&Rule> {
        self.rules.get(usize::from(number))
    }

    /// What the policy means for one client.
    #[must_use]
    pub fn profile(&self, client: &Client) -> Profile {
        let mut numbers = Vec::new();
        for (number, rule) in (0_u16..).zip(&self.rules) {
            if rule.who.matches(client) {
                numbers.push(number);
                if rule.ends_all() {
                    break;
                }
            }
        }
        let mut profile = self.known_profile(numbers);
        profile.application_name = self.stamped(client, &profile);
        profile
    }

    /// The profile of clients whom these rules can match, made once as long as there are few.
    fn known_profile(&self, numbers: Vec<u16>) -> Profile {
        let Ok(mut profiles) = self.profiles.try_borrow_mut() else {
            return Profile::new(self, numbers, None);
        };
        let known = profiles.iter().find(|known| known.index.all() == numbers);
        if let Some(profile) = known {
            return profile.clone();
        }
        if profiles.len() >= MAX_PROFILES {
            return Profile::new(self, numbers, None);
        }
        let profile = Profile::new(self, numbers, u32::try_from(profiles.len()).ok());
        profiles.push(profile.clone());
        profile
    }

    /// `application_name` by the first template of the client's rules.
    fn stamped(&self, client: &Client, profile: &Profile) -> Option<String> {
        let rules = profile
            .index
            .all()
            .iter()
            .filter_map(|number| self.rule(*number))
            .filter(|rule| rule.mode == Mode::Enforce);
        let template = rules
            .filter_map(|rule| rule.application_name.as_deref())
            .next()?;
        Some(stamp(template, client))
    }
}

fn protocol_version(text: &str) -> Option<(u16, u16)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What a policy means for clients that the same rules are about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    /// Under which its verdicts are kept; `None` if they are not.
    number: Option<u32>,
    /// Rules that can match.
    index: Rc<Index>,
    /// Settings that the session starts with: name and value.
    pub settings: Rc<[(String, String)]>,
    /// `application_name`, if the policy stamps it.
    pub application_name: Option<String>,
    /// What the client must not change.
    pub protected: Rc<Protected>,
    /// What would change `search_path`; `None` if no rule is about schemas.
    path: Option<Rc<Protected>>,
    /// Whether the client is let in.
    pub admission: Decision,
}

impl Profile {
    /// The same for a session on which nothing is imposed.
    pub(crate) fn without_settings(&self) -> Self {
        Self {
            settings: Rc::default(),
            application_name: None,
            ..self.clone()
        }
    }

    fn new(policy: &Policy, numbers: Vec<u16>, number: Option<u32>) -> Self {
        let mut settings: Vec<(String, String)> = Vec::new();
        let (mut by_fingerprint, mut stamped) = (false, false);
        for number in &numbers {
            let Some(rule) = policy.rule(*number) else {
                continue;
            };
            by_fingerprint |= !rule.what.fingerprints.is_empty();
            if rule.mode == Mode::DryRun {
                continue;
            }
            for (name, value) in &rule.set {
                if settings.iter().all(|(known, _)| known != name) {
                    settings.push((name.clone(), value.clone()));
                }
            }
            stamped |= rule.application_name.is_some();
        }
        // Whoever is named by the policy must not name itself.
        let stamp = stamped.then_some(("application_name", ""));
        let mut rules = numbers.iter().filter_map(|number| policy.rule(*number));
        let about_schemas = rules.any(Rule::is_about_schemas);
        let protected = Protected::new(
            settings
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .chain(stamp),
        );
        Self {
            number: number.filter(|_| !by_fingerprint),
            admission: admission(policy, &numbers),
            index: Rc::new(Index::new(policy, numbers)),
            protected: Rc::new(protected),
            path: about_schemas.then(|| Rc::new(Protected::new([("search_path", "")].into_iter()))),
            settings: settings.into(),
            application_name: None,
        }
    }
}

/// Whether a client is let in: the first rule about connections decides, but a client that some
/// rule allows a statement is let in to send it.
fn admission(policy: &Policy, numbers: &[u16]) -> Decision {
    let mut decision = Decision::default();
    for number in numbers {
        let Some(rule) = policy.rule(*number) else {
            continue;
        };
        let about_connections = rule.is_about_connections();
        match (rule.action, rule.mode) {
            (Action::Log, _) if about_connections => decision.logged.push(*number),
            (Action::Deny, Mode::DryRun) if about_connections => {
                decision.would_deny.push(Reason::Rule(*number));
            }
            (Action::Deny, Mode::Enforce) if about_connections => {
                return decision.deny(Reason::Rule(*number), policy.mode);
            }
            (Action::Allow, Mode::Enforce) => {
                decision.allowed_by = Some(*number);
                return decision;
            }
            _ => {}
        }
    }
    match policy.default {
        Verdict::Allow => decision,
        Verdict::Deny => decision.deny(Reason::Default, policy.mode),
    }
}

/// Bytes of `application_name` that the server shows.
const SHOWN: usize = 63;

/// What the client calls itself is cut, so that what it is stands where the server shows it.
fn stamp(template: &str, client: &Client) -> String {
    let said = template.matches("{application}").count();
    let room = SHOWN.saturating_sub(filled(template, client, "").len());
    let room = room.checked_div(said).unwrap_or(0);
    let application: String = client.application.chars().take(room).collect();
    filled(template, client, &application)
}

fn filled(template: &str, client: &Client, application: &str) -> String {
    let source = client.source.map(|source| source.to_string());
    let value = |name: &str| match name {
        "application" => application,
        "principal" => client.principal.as_deref().unwrap_or_default(),
        "user" => &client.user,
        "database" => &client.database,
        _ => source.as_deref().unwrap_or_default(),
    };
    // As `pg_clean_ascii`, which makes more of such a character (`src/common/string.c`).
    let plain = |letter: char| match letter {
        ' '..='~' => letter,
        _ => '?',
    };
    let mut filled = String::new();
    let mut parts = template.split('{');
    filled.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        filled.extend(value(name).chars().map(plain));
        filled.push_str(rest);
    }
    filled
}
