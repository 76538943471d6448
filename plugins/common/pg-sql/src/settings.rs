//! Where utility statements keep data in the place of names: values of settings, passwords, names of
//! savepoints and prepared statements.
//!
//! Values of settings may be secrets whatever their form (`SET app.token TO abc` has no literal), so
//! redaction takes them as literals. So is a password, connection string, option of a foreign server or
//! payload of NOTIFY that somebody forgot to quote: the server refuses it, and the refusal is logged.
//! Names of savepoints and prepared statements are what `pg_stat_statements` of PostgreSQL 18 replaces by
//! `$n` (`query_jumble_location` in `parsenodes.h`), so the fingerprint must not see them.

/// What a token is besides what the lexer says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Nothing else.
    Plain,
    /// A name that no fingerprint depends on.
    PassingName,
    /// A part of the value of a setting, the commas between such parts included.
    Value,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// Before the first word of a statement.
    #[default]
    Start,
    /// Nothing to be found in this statement any more.
    Done,
    /// In a CREATE: FUNCTION or PROCEDURE may come, which have SET clauses.
    Create,
    /// Behind ALTER.
    Alter,
    /// Behind ROLE, USER, GROUP or their DATABASE: a name comes, which may be PASSWORD or SET.
    RoleName,
    /// In CREATE or ALTER of a ROLE, USER, GROUP or USER MAPPING: PASSWORD may come, SET, and OPTIONS.
    Role,
    /// Behind PASSWORD there, or MySQL's IDENTIFIED.
    Password,
    /// Behind a password in quotes, which may have been closed too early.
    PasswordRead,
    /// In DO: nothing but code, or LANGUAGE.
    Code,
    /// Behind LANGUAGE: a name comes.
    Language,
    /// Behind ALTER DATABASE: a name comes.
    DatabaseName,
    /// In ALTER SYSTEM or DATABASE: SET may come.
    Settings,
    /// In a statement of foreign data: OPTIONS may come.
    Foreign,
    /// Behind OPTIONS.
    Options,
    /// In its parentheses: ADD, SET or DROP may come, or a name.
    OptionName,
    /// Behind the name: a value comes.
    OptionValue,
    /// Behind SUBSCRIPTION: a name comes.
    SubscriptionName,
    /// In CREATE or ALTER SUBSCRIPTION: CONNECTION may come.
    Subscription,
    /// Behind CONNECTION.
    Connection,
    /// Behind NOTIFY: a name comes.
    Channel,
    /// Behind it: a payload may come.
    Payload,
    /// In a statement that may have SET clauses.
    Clauses,
    /// Behind SET of a statement (true) or of a clause (false).
    Set(bool),
    /// Behind the name of a setting, or its part; TO or `=` comes.
    Setting(bool),
    /// Behind `SET SESSION`.
    SetSession,
    /// Behind `SET [SESSION] AUTHORIZATION`, ROLE, NAMES or TO: a value comes.
    ValueDue(bool),
    /// Behind a part of a value.
    ValueRead(bool),
    /// Behind a comma in a value.
    ValueGoesOn(bool),
    /// Behind SAVEPOINT, RELEASE, DEALLOCATE and ROLLBACK TO: a name comes.
    Name,
    /// Behind ROLLBACK.
    Rollback,
}

/// Follows one text, token by token.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    state: State,
}

/// What may follow in CREATE and ALTER ROLE (`CreateOptRoleElem`, `AlterOptRoleElem` in `gram.y`).
const ROLE_OPTIONS: [&str; 28] = [
    "password",
    "encrypted",
    "unencrypted",
    "inherit",
    "noinherit",
    "connection",
    "valid",
    "user",
    "superuser",
    "nosuperuser",
    "createdb",
    "nocreatedb",
    "createrole",
    "nocreaterole",
    "createuser",
    "nocreateuser",
    "login",
    "nologin",
    "replication",
    "noreplication",
    "bypassrls",
    "nobypassrls",
    "sysid",
    "admin",
    "role",
    "in",
    "identified",
    "set",
];

fn is(word: &[u8], known: &str) -> bool {
    word.eq_ignore_ascii_case(known.as_bytes())
}

fn is_any(word: &[u8], known: &[&str]) -> bool {
    known.iter().any(|known| is(word, known))
}

impl Settings {
    /// A word or a quoted identifier.
    #[inline]
    pub(crate) fn word(&mut self, word: &[u8]) -> Role {
        let (state, role) = match self.state {
            State::Done => return Role::Plain,
            State::Clauses if !is(word, "set") => return Role::Plain,
            state => Self::behind_word(state, word),
        };
        self.state = state;
        role
    }

    fn behind_word(state: State, word: &[u8]) -> (State, Role) {
        let plain = |state| (state, Role::Plain);
        match state {
            State::Done => plain(State::Done),
            State::Start => plain(Self::verb(word)),
            State::Create | State::Alter if is_any(word, &["role", "user", "group"]) => {
                plain(State::RoleName)
            }
            State::Create | State::Alter if is_any(word, &["foreign", "server"]) => {
                plain(State::Foreign)
            }
            State::Create | State::Alter if is(word, "subscription") => {
                plain(State::SubscriptionName)
            }
            State::Alter if is(word, "system") => plain(State::Settings),
            State::Alter if is(word, "database") => plain(State::DatabaseName),
            State::Alter => plain(State::Clauses),
            State::Settings if is(word, "set") => plain(State::Set(true)),
            State::Settings => plain(State::Settings),
            State::RoleName => plain(State::Role),
            State::DatabaseName => plain(State::Settings),
            State::Role if is_any(word, &["password", "identified"]) => plain(State::Password),
            State::Role if is(word, "database") => plain(State::RoleName),
            State::Role | State::Foreign if is(word, "options") => plain(State::Options),
            State::Role if is(word, "set") => plain(State::Set(true)),
            State::Role => plain(State::Role),
            State::Password if is(word, "null") => plain(State::Role),
            State::Password if is(word, "by") => plain(State::Password),
            // To the end of the statement: nobody knows where a password without quotes ends.
            State::Password => (State::ValueRead(true), Role::Value),
            State::PasswordRead if is_any(word, &ROLE_OPTIONS) => {
                Self::behind_word(State::Role, word)
            }
            State::PasswordRead => (State::ValueRead(true), Role::Value),
            State::Code if is(word, "language") => plain(State::Language),
            State::Code => (State::ValueRead(true), Role::Value),
            State::Language => plain(State::Code),
            State::Foreign | State::Options => plain(State::Foreign),
            State::OptionName if is_any(word, &["add", "set", "drop"]) => plain(State::OptionName),
            State::OptionName => plain(State::OptionValue),
            State::OptionValue => (State::OptionValue, Role::Value),
            State::SubscriptionName => plain(State::Subscription),
            State::Subscription if is(word, "connection") => plain(State::Connection),
            State::Connection if is(word, "publication") => plain(State::Subscription),
            State::Connection => (State::Connection, Role::Value),
            State::Subscription => plain(state),
            State::Channel => plain(State::Payload),
            // Without its comma.
            State::Payload => (State::ValueRead(true), Role::Value),
            State::Create if is_any(word, &["function", "procedure"]) => plain(State::Clauses),
            State::Create if is_any(word, &["or", "replace"]) => plain(State::Create),
            State::Create => plain(State::Done),
            State::Clauses => plain(State::Set(false)),
            State::Set(true) if is(word, "session") => plain(State::SetSession),
            State::Set(true) if is(word, "local") => plain(State::Set(true)),
            State::Set(true) if is_any(word, &["role", "names"]) => plain(State::ValueDue(true)),
            State::Set(true) if is_any(word, &["transaction", "constraints", "tablespace"]) => {
                plain(State::Done)
            }
            State::Set(statement) => plain(State::Setting(statement)),
            State::SetSession if is(word, "authorization") => plain(State::ValueDue(true)),
            State::SetSession if is(word, "characteristics") => plain(State::Done),
            State::SetSession => plain(State::Setting(true)),
            State::Setting(statement) if is(word, "to") => plain(State::ValueDue(statement)),
            State::Setting(true) if is(word, "zone") => plain(State::ValueDue(true)),
            State::Setting(true) if is_any(word, &["option", "from"]) => plain(State::Done),
            // `SET app.token abc`.
            State::Setting(true) => (State::ValueRead(true), Role::Value),
            State::Setting(false) => plain(State::Clauses),
            State::ValueDue(statement) if is(word, "default") => plain(Self::behind(statement)),
            State::ValueDue(statement) | State::ValueGoesOn(statement) => {
                (State::ValueRead(statement), Role::Value)
            }
            // `interval '1' hour to minute`.
            State::ValueRead(true) => (state, Role::Value),
            State::ValueRead(false) => Self::behind_word(State::Clauses, word),
            State::Name if is(word, "all") => plain(State::Done),
            State::Name if is_any(word, &["savepoint", "prepare"]) => plain(State::Name),
            State::Name => (State::Done, Role::PassingName),
            State::Rollback if is(word, "to") => plain(State::Name),
            State::Rollback if is_any(word, &["work", "transaction"]) => plain(State::Rollback),
            State::Rollback => plain(State::Done),
        }
    }

    fn verb(word: &[u8]) -> State {
        match word.len() {
            2 if is(word, "do") => State::Code,
            3 if is(word, "set") => State::Set(true),
            5 if is(word, "alter") => State::Alter,
            6 if is(word, "create") => State::Create,
            6 if is(word, "notify") => State::Channel,
            6 if is(word, "import") => State::Foreign,
            7 if is(word, "release") => State::Name,
            8 if is(word, "rollback") => State::Rollback,
            9 if is(word, "savepoint") => State::Name,
            10 if is(word, "deallocate") => State::Name,
            _ => State::Done,
        }
    }

    /// Behind the whole value of a statement or of a clause.
    fn behind(statement: bool) -> State {
        if statement {
            State::Done
        } else {
            State::Clauses
        }
    }

    /// A literal or parameter.
    #[inline]
    pub(crate) fn constant(&mut self) -> Role {
        match self.state {
            State::Clauses
            | State::Role
            | State::PasswordRead
            | State::Code
            | State::Settings
            | State::Foreign
            | State::Options
            | State::OptionValue => {}
            State::RoleName => self.state = State::Role,
            State::Channel => self.state = State::Payload,
            State::Payload => {
                self.state = State::ValueRead(true);
                return Role::Value;
            }
            State::SubscriptionName | State::Subscription => self.state = State::Subscription,
            State::Password => self.state = State::PasswordRead,
            State::Language => self.state = State::Code,
            State::Connection => return Role::Value,
            State::DatabaseName => self.state = State::Settings,
            State::OptionName => self.state = State::OptionValue,
            State::ValueDue(statement)
            | State::ValueGoesOn(statement)
            | State::ValueRead(statement) => {
                self.state = State::ValueRead(statement);
                return Role::Value;
            }
            State::Set(false) | State::Setting(false) => self.state = State::Clauses,
            _ => self.state = State::Done,
        }
        Role::Plain
    }

    /// A character of punctuation or of an operator.
    #[inline]
    pub(crate) fn character(&mut self, character: u8) -> Role {
        let passes = match self.state {
            State::Done => character != b';',
            State::Start => character == b'(',
            _ => false,
        };
        if passes {
            return Role::Plain;
        }
        self.character_that_matters(character)
    }

    fn character_that_matters(&mut self, character: u8) -> Role {
        match (self.state, character) {
            (_, b';') => self.state = State::Start,
            (State::Done, _) => {}
            (State::Setting(statement), b'=') => self.state = State::ValueDue(statement),
            (State::Setting(statement), b'.') => self.state = State::Set(statement),
            // A constant that is redacted already.
            (_, b'?') => return self.constant(),
            (State::ValueRead(statement), b',') => {
                self.state = State::ValueGoesOn(statement);
                return Role::Value;
            }
            // To the end of the statement, whatever it is: `SET app.token = 1f-ab/(c)` is an error, but
            // its text goes to the log.
            (State::ValueDue(true) | State::ValueRead(true) | State::ValueGoesOn(true), _) => {
                self.state = State::ValueRead(true);
                return Role::Value;
            }
            (State::Options, b'(') => self.state = State::OptionName,
            (State::OptionName | State::OptionValue, b',') => self.state = State::OptionName,
            (State::OptionName | State::OptionValue, b')') => self.state = State::Foreign,
            (State::Connection, _) => return Role::Value,
            (State::Payload, b',') => self.state = State::ValueDue(true),
            (State::PasswordRead | State::Code, _) => {
                self.state = State::ValueRead(true);
                return Role::Value;
            }
            // What comes behind a value in a clause may be a column list or a body.
            (
                State::ValueDue(false) | State::ValueRead(false) | State::ValueGoesOn(false),
                b'(' | b')',
            ) => self.state = State::Clauses,
            (State::ValueDue(false) | State::ValueRead(false) | State::ValueGoesOn(false), _) => {
                self.state = State::ValueGoesOn(false);
                return Role::Value;
            }
            (
                State::Clauses
                | State::Role
                | State::RoleName
                | State::DatabaseName
                | State::Settings
                | State::Foreign
                | State::Options
                | State::OptionName
                | State::OptionValue
                | State::Password
                | State::SubscriptionName
                | State::Subscription
                | State::Channel
                | State::Payload,
                _,
            ) => {}
            (State::Create, _) | (State::Start, _) => self.state = State::Done,
            (State::Setting(false) | State::Set(false), _) => {
                self.state = State::Clauses;
            }
            _ => self.state = State::Done,
        }
        Role::Plain
    }
}
