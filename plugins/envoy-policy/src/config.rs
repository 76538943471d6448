//! The policy as a user writes it: a JSON document. What its parts mean is settled when it is
//! compiled ([`crate::policy`]); here it is only read.

pub mod json;

use std::collections::BTreeMap;

use json::{Entries, Fields, Json, Read, object, words};

/// What a user can set.
#[derive(Clone, Debug)]
#[cfg_attr(
    feature = "schema",
    derive(serde::Deserialize, schemars::JsonSchema),
    serde(default, deny_unknown_fields)
)]
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
    /// A cluster of type ORIGINAL_DST, through which a CancelRequest goes to the server of its session;
    /// to tcp_proxy's own cluster if empty.
    pub cancel_cluster: String,
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
            cancel_cluster: String::new(),
            limits: Vec::new(),
            routes: Vec::new(),
            max_statement_bytes: 1 << 20,
            max_held_bytes: 64 << 20,
        }
    }
}

impl Read for Document {
    fn read(json: Json) -> Result<Self, String> {
        let default = Self::default();
        let mut fields = Fields::of(json)?;
        let document = Self {
            mode: fields.take("mode", Some(default.mode))?,
            default: fields.take("default", Some(default.default))?,
            rules: fields.take("rules", Some(default.rules))?,
            uninspectable: fields.take("uninspectable", Some(default.uninspectable))?,
            protocol_versions: fields.take("protocol_versions", Some(default.protocol_versions))?,
            cancel: fields.take("cancel", Some(default.cancel))?,
            cancel_cluster: fields.take("cancel_cluster", Some(default.cancel_cluster))?,
            max_statement_bytes: fields
                .take("max_statement_bytes", Some(default.max_statement_bytes))?,
            limits: fields.take("limits", Some(default.limits))?,
            routes: fields.take("routes", Some(default.routes))?,
            max_held_bytes: fields.take("max_held_bytes", Some(default.max_held_bytes))?,
        };
        fields.end(&[
            "mode",
            "default",
            "rules",
            "uninspectable",
            "protocol_versions",
            "cancel",
            "cancel_cluster",
            "max_statement_bytes",
            "limits",
            "routes",
            "max_held_bytes",
        ])?;
        Ok(document)
    }
}

words! {
    /// Whether denials are carried out.
    #[derive(Default)]
    Mode {
        /// They are.
        #[default]
        Enforce = "enforce",
        /// They are recorded, and the statement passes.
        DryRun = "dry_run",
    }
}

words! {
    /// Yes or no.
    Verdict {
        /// It passes.
        Allow = "allow",
        /// It does not.
        Deny = "deny",
    }
}

words! {
    /// Which CancelRequests pass.
    Cancel {
        /// All: the server knows its keys.
        Any = "any",
        /// Those with a key that a session through this proxy was given.
        Strict = "strict",
    }
}

words! {
    /// What a rule does.
    Action {
        /// Lets it pass; later rules are not looked at.
        Allow = "allow",
        /// Denies it; later rules are not looked at.
        Deny = "deny",
        /// Records it; later rules decide.
        Log = "log",
    }
}

object! {
    /// One rule. Conditions that are left out match everything; all that are given must match.
    RuleDocument {
        /// In records, metrics, and the server's log.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 63)))]
        name: String,
        /// What it does.
        action: Action,
        /// `dry_run` records what it would have done, and lets later rules decide.
        #[cfg_attr(feature = "schema", serde(default))]
        mode: Mode = Mode::default(),

        /// Who: URI of the client's mesh certificate (`spiffe://...`), as globs.
        #[cfg_attr(feature = "schema", serde(default))]
        principal: Entries<String>,
        /// Who: networks of the client's address.
        #[cfg_attr(feature = "schema", serde(default))]
        source: Entries<String>,
        /// Who: users, as globs.
        #[cfg_attr(feature = "schema", serde(default))]
        user: Entries<String>,
        /// Who: databases, as globs.
        #[cfg_attr(feature = "schema", serde(default))]
        database: Entries<String>,
        /// Who: `application_name` of the StartupMessage, as globs. A client can send any.
        #[cfg_attr(feature = "schema", serde(default))]
        application: Entries<String>,
        /// Who: replication connections, or the others.
        replication: Option<bool>,

        /// What: classes as pgaudit has them.
        #[cfg_attr(feature = "schema", serde(default))]
        class: Entries<Class>,
        /// What: command tags (`DROP TABLE`), as globs.
        #[cfg_attr(feature = "schema", serde(default))]
        command: Entries<String>,
        /// What: effects.
        #[cfg_attr(feature = "schema", serde(default))]
        effect: Entries<Effect>,
        /// What: relations whose rows are read, as globs of `schema.name`, or `name` in any schema.
        #[cfg_attr(feature = "schema", serde(default))]
        reads: Entries<String>,
        /// What: relations whose rows are written, as globs.
        #[cfg_attr(feature = "schema", serde(default))]
        writes: Entries<String>,
        /// What: relations named in any way, as globs.
        #[cfg_attr(feature = "schema", serde(default))]
        tables: Entries<String>,
        /// What: functions called, as globs.
        #[cfg_attr(feature = "schema", serde(default))]
        functions: Entries<String>,
        /// What: UPDATE or DELETE without a WHERE that chooses rows.
        r#where as "where": Option<Where>,
        /// What: Query texts of several statements (`true`), or of one.
        multiple_statements: Option<bool>,
        /// What: COPY, or everything else.
        copy: Option<bool>,
        /// What: the FunctionCall message, or everything else.
        function_call: Option<bool>,
        /// What: texts that cannot be judged for certain.
        incomplete: Option<bool>,
        /// What: texts of more bytes.
        larger_than: Option<u64>,
        /// What: fingerprints, 16 hex digits.
        #[cfg_attr(feature = "schema", serde(default))]
        fingerprint: Entries<String>,
        /// What: the state of the session's transaction when the statement comes.
        #[cfg_attr(feature = "schema", serde(default))]
        transaction: Entries<Transaction>,

        /// What the client is told; a sentence that names the rule if left out.
        message: Option<String>,
        /// What the client could do about it.
        hint: Option<String>,
        /// Five characters; 42501 for statements and 28000 for connections if left out.
        sqlstate: Option<String>,

        /// Settings that sessions of these clients start with, and cannot change.
        #[cfg_attr(feature = "schema", serde(default))]
        set: BTreeMap<String, String>,
        /// `application_name` of these clients' sessions: `{application}`, `{principal}`, `{user}`,
        /// `{database}` and `{source}` stand for what the client brought.
        application_name: Option<String>,
    }
}

object! {
    /// One route. Conditions that are left out match everything; all that are given must match.
    RouteDocument {
        /// In metrics.
        name: String,
        /// Envoy's name of the cluster.
        cluster: String,
        /// Users, as globs.
        #[cfg_attr(feature = "schema", serde(default))]
        user: Entries<String>,
        /// Databases, as globs.
        #[cfg_attr(feature = "schema", serde(default))]
        database: Entries<String>,
        /// `application_name` of the StartupMessage, as globs.
        #[cfg_attr(feature = "schema", serde(default))]
        application: Entries<String>,
        /// Replication connections, or the others.
        replication: Option<bool>,
        /// What the client asks for with `options=-c pgmesh.route=...`; it never reaches the server.
        option: Option<String>,
    }
}

object! {
    /// One limit. What is left out is not limited.
    LimitDocument {
        /// In records, metrics, and what the client is told.
        name: String,
        /// Clients that differ in one of these have an allowance each; all share one if empty.
        #[cfg_attr(feature = "schema", serde(default))]
        key: Vec<KeyPart>,
        /// Connections at once. One more is refused with SQLSTATE 53300.
        max_connections: Option<u32>,
        /// Statements in a second, on average. One more is denied with SQLSTATE 53400.
        statements_per_second: Option<u32>,
        /// Statements that may come at once after a pause; as many as in a second if left out.
        burst: Option<u32>,
        /// Sessions that wait for the server at once. One more is denied with SQLSTATE 53400.
        max_busy: Option<u32>,
        /// Seconds that the server may take to answer. The session is closed then.
        max_statement_seconds: Option<u32>,
        /// Seconds that a transaction may be open. The session is closed then.
        max_transaction_seconds: Option<u32>,
        /// Seconds that an open transaction may wait for the client. The session is closed then.
        max_idle_in_transaction_seconds: Option<u32>,
    }
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
    let json = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    Document::read(json).map_err(|error| error.trim_start_matches(['.', ':', ' ']).to_owned())
}
