//! Secrets under names that say nothing, in texts that stand where nobody expects them, and in errors of
//! drivers that no type tells: none comes out. What only looks like them passes as it is.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;

use crate::logs::{ERROR, JSON, batch, body, line, with_body};
use crate::otlp::{SECRET, get, map, pair, processor, string, text};
use crate::traces::{self, span};

const STATEMENT: &str = "INSERT INTO users (email) VALUES ('hunter2-4111')";
const REQUEST: (&str, &str) = ("http.request.method", "POST");
const UNIQUE: &str = "duplicate key value violates unique constraint \"users_pkey\"";
const KEY: &str = "Key (email)=(hunter2-4111) already exists.";
const INVALID: &str = "invalid input syntax for type integer: \"hunter2-4111\"";

fn list(values: Vec<AnyValue>) -> AnyValue {
    AnyValue {
        value: Some(Value::ArrayValue(ArrayValue { values })),
    }
}

fn processed(span: &Span) -> Span {
    traces::processed("", &traces::batch(vec![span.clone()]).encode_to_vec())
}

#[track_caller]
fn assert_hidden(what: &str, shown: &str) {
    for secret in [SECRET, "hunter2", "4111"] {
        assert!(!shown.contains(secret), "{what}: {shown}");
    }
}

#[test]
fn sql_and_passwords_are_told_under_names_that_say_nothing() {
    let behind = format!("executing {STATEMENT}");
    let statements = [
        ("payload", STATEMENT),
        ("otel.name", STATEMENT),
        ("operation.name", STATEMENT),
        ("transaction.name", behind.as_str()),
        ("db.prepared", STATEMENT),
        ("db.client", STATEMENT),
        ("input", STATEMENT),
        ("dd.span.Resource", STATEMENT),
        ("postgresql.query", STATEMENT),
        ("postgresql.statement", STATEMENT),
        ("pgmesh.x", STATEMENT),
        ("sqlcommenter.foo", STATEMENT),
    ];
    for (name, value) in statements {
        let mut before = span("q", &[("db.system", "postgresql"), (name, value)]);
        before.events.push(Event {
            name: "sent".to_owned(),
            attributes: vec![text(name, value)],
            ..Event::default()
        });
        before.links.push(Link {
            attributes: vec![text(name, value)],
            ..Link::default()
        });
        let after = processed(&before);
        assert_hidden(name, &format!("{after:?}"));
        let shown = get(&after.attributes, name).unwrap_or_default();
        assert!(shown.ends_with("VALUES (?)"), "{name}: {shown}");
    }
    for (name, value) in [
        ("db.connection", "postgres://bob:hunter2@db/shop"),
        ("db.jdbc", "jdbc:postgresql://db/shop?password=hunter2"),
        ("db.instance", "postgres://bob:hunter2@db/shop"),
        ("db.name", "host=db password=hunter2"),
        ("server.address", "postgresql://bob:hunter2@db"),
        ("peer.service", "bob:hunter2@db"),
        ("db.client.connection.pool.name", "Host=db;Password=hunter2"),
        ("postgresql.parameters", "hunter2"),
        ("postgresql.value", "hunter2"),
        ("postgresql.values", "hunter2"),
        ("pgmesh.password", "hunter2"),
    ] {
        for migrate in ["off", "replace", "duplicate"] {
            let before = span("q", &[("db.system", "postgresql"), (name, value)]);
            let config = format!(r#"{{"traces":{{"migrate":"{migrate}"}}}}"#);
            let bytes = traces::batch(vec![before]).encode_to_vec();
            assert_hidden(name, &format!("{:?}", traces::processed(&config, &bytes)));
        }
    }
}

#[test]
fn a_span_of_opentracing_names_postgresql_by_its_type() {
    let named = |system| span("Query", &[("db.type", system), ("db.statement", STATEMENT)]);
    let after = processed(&named("postgresql"));
    assert_hidden("db.type", &format!("{after:?}"));
    assert_eq!(get(&after.attributes, "db.system.name"), Some("postgresql"));
    for other in ["sql", "mysql"] {
        assert_eq!(processed(&named(other)), named(other));
    }
}

#[test]
fn what_is_neither_sql_nor_a_password_stays_under_such_names() {
    let attributes = [
        ("db.system", "postgresql"),
        ("app.step", "update 17"),
        ("container.image.name", "postgres:18@sha256:4111"),
        ("code.namespace", "shop.SelectOrders2"),
        ("db.namespace", "shop"),
        ("k8s.pod.name", "update-orders-7fd9"),
        ("payload", "4 items (2 new), see 'orders'"),
        ("peer.service", "db:5432"),
        ("postgresql.parameter", "work_mem"),
        ("postgresql.query_id", "-4111"),
        ("server.address", "db.shop.svc"),
        ("user.email", "bob@example.com"),
        ("note", "the password is too short, see \"help\""),
        ("app.sql", "UPDATE users SET password = $1 WHERE id = $2"),
        ("label", "UPDATE users SET password = $1 WHERE id = $2"),
    ];
    let before = span("q", &attributes);
    assert_eq!(processed(&before), before);
    let mut others = span("GET /orders", &[REQUEST, ("payload", STATEMENT)]);
    others
        .attributes
        .push(text("proxy", "http://bob:hunter2@db"));
    assert_eq!(processed(&others), others);
}

/// Errors of drivers and mappers: type, message and stack trace.
fn errors() -> Vec<(&'static str, String, String)> {
    let frames = |count: usize| {
        let frame = |number| format!("\tat com.shop.Filter.doFilter(Filter.java:{number})\n");
        (1..count).map(frame).collect::<String>()
    };
    let detail = format!("{UNIQUE}\nDETAIL:  {KEY}");
    let spring = format!("SQL [{STATEMENT}]; ERROR: {UNIQUE}\n  Detail: {KEY}");
    let java = |count| {
        format!(
            "org.springframework.dao.DuplicateKeyException: {spring}\n{}Caused by: \
             org.postgresql.util.PSQLException: ERROR: {UNIQUE}\n  Detail: {KEY}\n",
            frames(count)
        )
    };
    let node = |path: &str| {
        format!("error: {INVALID}\n    at Parser.parseErrorMessage (/app/node_modules/{path}:1:2)")
    };
    vec![
        (
            "error",
            INVALID.to_owned(),
            node("pg-protocol/dist/parser.js"),
        ),
        ("22P02", INVALID.to_owned(), node("pg/lib/client.js")),
        (
            "PostgresError",
            "hunter2".to_owned(),
            node("postgres/cjs/src/connection.js"),
        ),
        (
            "QueryFailedError",
            "hunter2".to_owned(),
            node("typeorm/driver/postgres/Query.js"),
        ),
        (
            "SequelizeDatabaseError",
            INVALID.to_owned(),
            "Error\n".to_owned(),
        ),
        ("error", format!("{STATEMENT} - {UNIQUE}"), String::new()),
        (
            "org.springframework.dao.DuplicateKeyException",
            spring.clone(),
            java(20),
        ),
        (
            "org.springframework.dao.DuplicateKeyException",
            "hunter2".to_owned(),
            java(400),
        ),
        (
            "org.hibernate.X",
            format!("failed [ERROR: {UNIQUE}\n  Detail: {KEY}] [{STATEMENT}]"),
            String::new(),
        ),
        (
            "django.db.utils.IntegrityError",
            detail.clone(),
            String::new(),
        ),
        (
            "tortoise.exceptions.IntegrityError",
            detail.clone(),
            String::new(),
        ),
        (
            "*fmt.wrapError",
            format!("insert: pq: {INVALID}"),
            String::new(),
        ),
        (
            "*fmt.wrapError",
            format!("x: ERROR: {INVALID} (SQLSTATE 22P02): rollback: y"),
            String::new(),
        ),
        (
            "x",
            format!("failed [ERROR: {INVALID} (SQLSTATE 22P02)]"),
            String::new(),
        ),
        ("x", format!("db error: ERROR: {detail}"), String::new()),
        (
            "x",
            "Failed: error returned from database: hunter2".to_owned(),
            String::new(),
        ),
        (
            "x",
            format!("Database(PgDatabaseError {{ code: \"23505\", detail: Some(\"{KEY}\") }})"),
            String::new(),
        ),
        (
            "PDOException",
            format!("SQLSTATE[23505]: Unique violation: 7 ERROR:  {detail}"),
            String::new(),
        ),
        (
            "io.r2dbc.postgresql.ExceptionFactory$X",
            "hunter2".to_owned(),
            String::new(),
        ),
        (
            "io.vertx.pgclient.PgException",
            "hunter2".to_owned(),
            String::new(),
        ),
        (
            "pg8000.exceptions.DatabaseError",
            "hunter2".to_owned(),
            String::new(),
        ),
        (
            "PrismaClientKnownRequestError",
            format!("Message: `{UNIQUE} DETAIL: {KEY}`"),
            String::new(),
        ),
    ]
}

#[test]
fn an_error_of_postgresql_is_told_on_the_span_of_a_request() {
    for (kind, message, stack) in errors() {
        let before = Span {
            events: vec![Event {
                name: "exception".to_owned(),
                attributes: vec![
                    text("exception.type", kind),
                    text("exception.message", &message),
                    text("exception.stacktrace", &stack),
                ],
                ..Event::default()
            }],
            status: Some(Status {
                message: message.clone(),
                code: 2,
            }),
            ..span("POST /orders", &[REQUEST])
        };
        let after = processed(&before);
        assert_hidden(&message, &format!("{after:?}"));
        assert_eq!(after.attributes, before.attributes);
        assert_eq!(
            get(&after.events[0].attributes, "exception.type"),
            Some(kind)
        );
    }
}

#[test]
fn an_error_of_postgresql_is_told_in_what_an_application_logs() {
    for (kind, message, stack) in errors() {
        if kind.contains("2dbc") || kind.contains("pg") || message == "hunter2" {
            continue; // Told by its type alone, which a log line has not.
        }
        let error = vec![
            text("type", kind),
            text("message", &message),
            text("stack", &stack),
            text("detail", KEY),
            text("where", "COPY users, line 1: \"hunter2-4111\""),
        ];
        let nested = vec![text("msg", "failed"), pair("err", map(error))];
        for record in [line(&message), with_body(map(nested))] {
            let after = logs("", vec![record]).remove(0);
            assert_hidden(&message, &format!("{after:?}"));
        }
    }
}

/// Loggers write an error into JSON or logfmt, behind words of their own, and escaped once more.
#[test]
fn an_error_of_postgresql_is_told_in_the_middle_of_a_line() {
    for message in [
        "asyncpg.exceptions.DataError: invalid input for query argument $1: 'hunter2-4111'",
        "sqlalchemy.exc.DBAPIError: x [SQL: select $1] [parameters: ('hunter2-4111',)]",
        "Npgsql.PostgresException (0x80004005): 22P02: value \"hunter2-4111\"",
        "PG::NotNullViolation: ERROR:  null value; Failing row contains (hunter2-4111)",
        "Postgrex.Error ERROR 23502 hunter2-4111",
        "io.vertx.pgclient.PgException: hunter2-4111",
        "invalid input syntax for type integer: \"hunter2-4111\"",
        "column \"x\" does not exist\nLINE 1: INSERT INTO t VALUES ('hunter2-4111')\n        ^",
        "integer out of range\nCONTEXT:  unnamed portal parameter $1 = 'hunter2-4111'",
        "Failed query: insert into \"t\" values ($1)\nparams: hunter2-4111",
        "cannot parse `postgres://bob:hunter2-4111@db:x/s`: invalid port",
        "insert into \"t\" values ('hunter2-4111') - relation \"t\" does not exist",
    ] {
        let json = serde_json::json!({ "level": "error", "err": message }).to_string();
        let lines = [
            format!("2026-01-01 ERROR shop - request failed: {message}"),
            format!("level=error err={message:?}"),
            serde_json::json!({ "log": json }).to_string(),
            json,
        ];
        for text in lines {
            let after = logs("", vec![line(&text)]).remove(0);
            assert_hidden(&text, &format!("{after:?}"));
        }
    }
}

#[test]
fn another_programs_error_passes_as_it_is() {
    for message in [
        "column \"total\" does not exist",
        "Duplicate entry 'hunter2' for key 'users.email'",
        "ORA-00001: unique constraint (SHOP.USERS_PK) violated: 4111",
        "card 4111 refused: \"insufficient funds\"",
        "TypeError: x is not a function\n    at run (/app/main.js:1:2)\n    at Client.query (/app/node_modules/pg/lib/client.js:1:2)",
        "see the Details: order 4111 is \"late\"",
        "{\"level\":\"info\",\"msg\":\"order 4111: \\\"late\\\"\"}",
        "2026-11-23T03:34:37Z INFO order 4111 of 'hunter2':  late, but paid",
    ] {
        let failed = Span {
            events: vec![Event {
                name: "exception".to_owned(),
                attributes: vec![text("exception.message", message)],
                ..Event::default()
            }],
            status: Some(Status {
                message: message.to_owned(),
                code: 2,
            }),
            ..span("POST /orders", &[REQUEST])
        };
        assert_eq!(processed(&failed), failed, "{message}");
        let said = map(vec![text("msg", message), text("order", "4111")]);
        let records = vec![
            line(message),
            with_body(said.clone()),
            with_attributes("ok", vec![text("log", message), pair("order", said)]),
        ];
        assert_eq!(logs("", records.clone()), records, "{message}");
    }
}

fn with_attributes(body: &str, attributes: Vec<KeyValue>) -> LogRecord {
    LogRecord {
        attributes,
        ..line(body)
    }
}

fn logs(config: &str, records: Vec<LogRecord>) -> Vec<LogRecord> {
    let bytes = batch(records).encode_to_vec();
    let mut processor = processor(config);
    let out = processor.process_logs(&bytes).expect("OTLP");
    let mut out = LogsData::decode(&*out).expect("OTLP");
    out.resource_logs.remove(0).scope_logs.remove(0).log_records
}

const ROW: &str = "2026-11-23 03:34:37.123 UTC,\"app\",\"shop\",70,\"10.0.0.1:5000\",65.1,1,\"INSERT\",\
    2026-11-23 03:34:37 UTC,3/4,0,ERROR,23505,\"duplicate key value violates unique constraint \
    \"\"users_pkey\"\"\",\"Key (email)=(hunter2-4111) already exists.\",,,,,\
    \"INSERT INTO users VALUES ('hunter2-4111')\",,,\"web\",\"client backend\",,0";

/// Places for a line, a row or an entry, besides the body.
fn places(entry: &str) -> Vec<(&'static str, LogRecord)> {
    let one = |key, value: &str| with_body(map(vec![text(key, value)]));
    let quoted = serde_json::Value::from(format!("{entry}\n")).to_string();
    let docker =
        format!("{{\"log\":{quoted},\"stream\":\"stderr\",\"time\":\"2026-11-23T03:34:37.1Z\"}}");
    let mut places = vec![
        (
            "attribute",
            with_attributes("ok", vec![text("message", entry)]),
        ),
        (
            "nested attribute",
            with_attributes("ok", vec![pair("x", map(vec![text("log", entry)]))]),
        ),
        (
            "without a body",
            LogRecord {
                body: None,
                ..with_attributes("", vec![text("log", entry)])
            },
        ),
        (
            "second key",
            with_body(map(vec![text("log", "x"), text("message", entry)])),
        ),
        (
            "third key",
            with_body(map(vec![text("message", "started"), text("msg", entry)])),
        ),
        (
            "ECS",
            with_body(map(vec![
                text("message", "x"),
                pair("event", map(vec![text("original", entry)])),
            ])),
        ),
        (
            "deep",
            with_body(map(vec![pair(
                "a",
                map(vec![pair("b", map(vec![text("log", entry)]))]),
            )])),
        ),
        ("list", with_body(list(vec![string(entry), string(entry)]))),
        (
            "GELF",
            with_body(map(vec![
                text("short_message", entry),
                text("full_message", entry),
            ])),
        ),
        ("docker", line(&docker)),
        (
            "docker, parsed too",
            with_attributes(&docker, vec![text("log", entry), text("stream", "stderr")]),
        ),
        (
            "Google",
            line(&format!(
                "{{\"textPayload\":{quoted},\"resource\":{{\"type\":\"x\"}}}}"
            )),
        ),
    ];
    let keys = [
        "@message",
        "body",
        "content",
        "event",
        "line",
        "raw",
        "text",
        "textPayload",
    ];
    places.extend(keys.map(|key| (key, one(key, entry))));
    places
}

#[test]
fn an_entry_is_found_wherever_in_a_record_it_stands() {
    for entry in [ERROR[1], &ERROR[2].replace("users", STATEMENT), ROW, JSON] {
        for config in ["", r#"{"logs":{"resources":{"k8s.pod.name":["db-0"]}}}"#] {
            for (place, record) in places(entry) {
                let after = logs(config, vec![record]).remove(0);
                assert_hidden(place, &format!("{after:?}"));
                assert_eq!(
                    get(&after.attributes, "db.system.name"),
                    Some("postgresql"),
                    "{place}"
                );
                assert_ne!(body(&after), "?", "{place} of {entry}");
            }
        }
    }
}

#[test]
fn where_nothing_but_the_servers_lines_is_expected_every_other_body_is_withheld() {
    let config = r#"{"logs":{"resources":{"k8s.pod.name":["db-0"]}}}"#;
    let secret = || map(vec![text("card", SECRET)]);
    for value in [
        string(SECRET),
        secret(),
        list(vec![secret(), string(SECRET)]),
        map(vec![pair("a", secret())]),
    ] {
        let after = logs(config, vec![with_body(value)]).remove(0);
        assert_hidden("body", &format!("{after:?}"));
        assert_eq!(get(&after.attributes, "pgmesh.faults"), Some("unreadable"));
    }
    let nothing = LogRecord {
        body: None,
        ..with_attributes("", vec![text("log.file.name", "pg.log")])
    };
    assert_eq!(logs(config, vec![nothing.clone()]), [nothing]);
}

#[test]
fn what_a_drivers_logger_says_is_of_postgresql() {
    for (logger, said) in [
        ("psycopg", "bad value 'hunter2-4111'"),
        (
            "Npgsql.Command",
            "Command execution completed: SELECT 'hunter2-4111'",
        ),
        (
            "org.postgresql.core.v3.QueryExecutorImpl",
            " FE=> Bind(stmt=null,portal=null,$1=<'hunter2-4111'>,type=VARCHAR)",
        ),
        (
            "tokio_postgres::query",
            "executing statement s0 with parameters: [\"hunter2-4111\"]",
        ),
    ] {
        let record = with_attributes(said, vec![text("Parameters", SECRET)]);
        let mut logs = batch(vec![record]);
        logs.resource_logs[0].scope_logs[0].scope = Some(InstrumentationScope {
            name: logger.to_owned(),
            ..InstrumentationScope::default()
        });
        let bytes = logs.encode_to_vec();
        let mut processor = processor("");
        let out = processor.process_logs(&bytes).expect("OTLP");
        let out = LogsData::decode(&*out).expect("OTLP");
        assert_hidden(logger, &format!("{out:?}"));
    }
    let before = span("q", &[("db.system", "pgsql"), ("db.statement", STATEMENT)]);
    assert_hidden("pgsql", &format!("{:?}", processed(&before)));
}
