//! The policy as a user writes it: a JSON document. What its parts mean is settled when it is
//! compiled ([`crate::policy`]); here it is only read.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a user can set.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Document {
    /// `dry_run` lets everything pass and only tells what it would have done.
    pub mode: Mode,
    /// What happens to whatever no rule decides.
    pub default: Verdict,
    /// Rules in order: the first that matches decides, as in pg_hba.conf.
    pub rules: Vec<RuleDocument>,
    /// What happens to sessions that cannot be read: TLS or GSS up to the server, direct TLS, bytes
    /// that are not PostgreSQL's protocol.
    pub uninspectable: Verdict,
    /// Protocol versions that may be asked for; all of protocol 3 if empty.
    pub protocol_versions: Vec<String>,
    /// Which CancelRequests pass.
    pub cancel: Cancel,
    /// Bytes of a Query or Parse that are held to be judged. A longer one is denied, unless a rule
    /// with `larger_than` or `incomplete` allows it.
    #[cfg_attr(feature = "schema", schemars(range(min = 1024, max = 1_073_741_824)))]
    pub max_statement_bytes: u32,
    /// How much a client may have, over all workers of the process.
    pub limits: Vec<LimitDocument>,
    /// Clusters for sessions: the first that matches is taken, tcp_proxy's own if none does.
    pub routes: Vec<RouteDocument>,
    /// Bytes held for all connections of a worker together.
    #[cfg_attr(feature = "schema", schemars(range(min = 65_536, max = 536_870_912)))]
    pub max_held_bytes: u32,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            default: Verdict::Allow,
            rules: Vec::new(),
            uninspectable: Verdict::Deny,
            protocol_versions: Vec::new(),
            cancel: Cancel::Any,
            limits: Vec::new(),
            routes: Vec::new(),
            max_statement_bytes: 1 << 20,
            max_held_bytes: 64 << 20,
        }
    }
}

/// Whether denials are carried out.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// They are recorded, and the statement passes.
    DryRun,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It passes.
    Allow,
    /// It does not.
    Deny,
}

/// Which CancelRequests pass.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cancel {
    /// All: the server knows its keys.
    #[default]
    Any,
    /// Those with a key that a session through this proxy was given.
    Strict,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Lets it pass; later rules are not looked at.
    Allow,
    /// Denies it; later rules are not looked at.
    Deny,
    /// Records it; later rules decide.
    Log,
}

/// One rule. Conditions that are left out match everything; all that are given must match.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleDocument {
    /// In records, metrics, and the server's log.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 63)))]
    pub name: String,
    /// What it does.
    pub action: Action,
    /// `dry_run` records what it would have done, and lets later rules decide.
    #[serde(default)]
    pub mode: Mode,

    /// Who: URI of the client's mesh certificate (`spiffe://...`), as globs.
    #[serde(default)]
    pub principal: Vec<String>,
    /// Who: networks of the client's address.
    #[serde(default)]
    pub source: Vec<String>,
    /// Who: users, as globs.
    #[serde(default)]
    pub user: Vec<String>,
    /// Who: databases, as globs.
    #[serde(default)]
    pub database: Vec<String>,
    /// Who: `application_name` of the StartupMessage, as globs. A client can send any.
    #[serde(default)]
    pub application: Vec<String>,
    /// Who: replication connections, or the others.
    pub replication: Option<bool>,

    /// What: classes as pgaudit has them.
    #[serde(default)]
    pub class: Vec<Class>,
    /// What: command tags (`DROP TABLE`), as globs.
    #[serde(default)]
    pub command: Vec<String>,
    /// What: effects.
    #[serde(default)]
    pub effect: Vec<Effect>,
    /// What: relations whose rows are read, as globs of `schema.name`, or `name` in any schema.
    #[serde(default)]
    pub reads: Vec<String>,
    /// What: relations whose rows are written, as globs.
    #[serde(default)]
    pub writes: Vec<String>,
    /// What: relations named in any way, as globs.
    #[serde(default)]
    pub tables: Vec<String>,
    /// What: functions called, as globs.
    #[serde(default)]
    pub functions: Vec<String>,
    /// What: UPDATE or DELETE without a WHERE that chooses rows.
    pub r#where: Option<Where>,
    /// What: Query texts of several statements (`true`), or of one.
    pub multiple_statements: Option<bool>,
    /// What: COPY, or everything else.
    pub copy: Option<bool>,
    /// What: the FunctionCall message, or everything else.
    pub function_call: Option<bool>,
    /// What: texts that cannot be judged for certain.
    pub incomplete: Option<bool>,
    /// What: texts of more bytes.
    pub larger_than: Option<u64>,
    /// What: fingerprints, 16 hex digits.
    #[serde(default)]
    pub fingerprint: Vec<String>,
    /// What: the state of the session's transaction when the statement comes.
    #[serde(default)]
    pub transaction: Vec<Transaction>,

    /// What the client is told; a sentence that names the rule if left out.
    pub message: Option<String>,
    /// What the client could do about it.
    pub hint: Option<String>,
    /// Five characters; 42501 for statements and 28000 for connections if left out.
    pub sqlstate: Option<String>,

    /// Settings that sessions of these clients start with, and cannot change.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// `application_name` of these clients' sessions: `{application}`, `{principal}`, `{user}`,
    /// `{database}` and `{source}` stand for what the client brought.
    pub application_name: Option<String>,
}

/// One route. Conditions that are left out match everything; all that are given must match.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouteDocument {
    /// In metrics.
    pub name: String,
    /// Envoy's name of the cluster.
    pub cluster: String,
    /// Users, as globs.
    #[serde(default)]
    pub user: Vec<String>,
    /// Databases, as globs.
    #[serde(default)]
    pub database: Vec<String>,
    /// `application_name` of the StartupMessage, as globs.
    #[serde(default)]
    pub application: Vec<String>,
    /// Replication connections, or the others.
    pub replication: Option<bool>,
    /// What the client asks for with `options=-c pgmesh.route=...`; it never reaches the server.
    pub option: Option<String>,
}

/// One limit. What is left out is not limited.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LimitDocument {
    /// In records, metrics, and what the client is told.
    pub name: String,
    /// Clients that differ in one of these have an allowance each; all share one if empty.
    #[serde(default)]
    pub key: Vec<KeyPart>,
    /// Connections at once. One more is refused with SQLSTATE 53300.
    pub max_connections: Option<u32>,
    /// Statements in a second, on average. One more is denied with SQLSTATE 53400.
    pub statements_per_second: Option<u32>,
    /// Statements that may come at once after a pause; as many as in a second if left out.
    pub burst: Option<u32>,
    /// Sessions that wait for the server at once. One more is denied with SQLSTATE 53400.
    pub max_busy: Option<u32>,
    /// Seconds that the server may take to answer. The session is closed then.
    pub max_statement_seconds: Option<u32>,
    /// Seconds that a transaction may be open. The session is closed then.
    pub max_transaction_seconds: Option<u32>,
    /// Seconds that an open transaction may wait for the client. The session is closed then.
    pub max_idle_in_transaction_seconds: Option<u32>,
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name { $($(#[$doc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// As in the document.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// pgaudit's classes.
    Class {
        /// SELECT, COPY from a relation or a query.
        Read = "READ",
        /// INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COPY to a relation, anywhere in the statement.
        Write = "WRITE",
        /// DO, CALL, and the FunctionCall message.
        Function = "FUNCTION",
        /// GRANT, REVOKE, CREATE, ALTER and DROP ROLE.
        Role = "ROLE",
        /// All other definitions.
        Ddl = "DDL",
        /// Everything else, transaction control among it.
        Misc = "MISC",
        /// SET and RESET.
        MiscSet = "MISC_SET",
    }
}

words! {
    /// What running a statement does.
    Effect {
        /// Reads rows of relations.
        ReadsRows = "reads_rows",
        /// Inserts, changes or removes rows, moves a sequence, writes large objects.
        WritesRows = "writes_rows",
        /// Creates, alters or drops anything but roles.
        ChangesSchema = "changes_schema",
        /// Creates, alters or drops roles, grants or revokes, or takes on another role.
        ChangesRoles = "changes_roles",
        /// Changes settings.
        ChangesSettings = "changes_settings",
        /// Takes locks that others wait for.
        Locks = "locks",
        /// Runs or stores code that cannot be seen: DO, CALL, EXECUTE, function bodies.
        RunsUnseenCode = "runs_unseen_code",
        /// Reads or writes files of the server, or runs programs there.
        TouchesServerFiles = "touches_server_files",
        /// Begins, ends or marks transactions.
        ControlsTransaction = "controls_transaction",
    }
}

words! {
    /// What tells clients apart.
    KeyPart {
        /// URI of the mesh certificate.
        Principal = "principal",
        /// Address.
        Source = "source",
        /// User.
        User = "user",
        /// Database.
        Database = "database",
        /// `application_name` of the StartupMessage.
        Application = "application",
    }
}

words! {
    /// Conditions on WHERE.
    Where {
        /// There is none, or one that chooses no rows (`WHERE true`).
        Missing = "missing",
    }
}

words! {
    /// States of a transaction.
    Transaction {
        /// There is none.
        Idle = "idle",
        /// In a block.
        Open = "open",
        /// In a block that has failed.
        Failed = "failed",
    }
}

/// Reads a document.
///
/// # Errors
/// One line that names the path of what is wrong, and what was expected.
pub fn read(json: &[u8]) -> Result<Document, String> {
    if json.trim_ascii().is_empty() {
        return Err("a policy is needed: expected a JSON document with `rules`".to_owned());
    }
    let mut json = serde_json::Deserializer::from_slice(json);
    let document = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
    json.end()
        .map_err(|error| format!("after the document: {error}"))?;
    Ok(document)
}
