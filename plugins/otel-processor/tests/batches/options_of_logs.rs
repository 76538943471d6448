//! What a user can set for log records: each option by what it changes.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData};
use prost::Message;

use crate::leaks::nested;
use crate::logs::{ERROR, OTHER, batch, body, line, with_body};
use crate::order::reversed;
use crate::otlp::{SECRET, get, map, pair, processor, string, text};

const FAILED: &str = "2026-11-23 03:34:37.123 UTC [70] app@shop FATAL:  password authentication failed for user \"bob\"";
const RECEIVED: &str = "2026-11-23 03:34:37.123 UTC [70] [unknown]@[unknown] LOG:  connection received: host=10.1.2.3 port=7";

/// The record that one becomes, in both orders of fields.
fn only(options: &str, record: LogRecord) -> LogRecord {
    let config = format!(r#"{{"logs":{{{options}}}}}"#);
    only_with(&config, record)
}

fn only_with(config: &str, record: LogRecord) -> LogRecord {
    let whole = batch(vec![record]).encode_to_vec();
    let of = |bytes: &[u8]| {
        let mut processor = processor(config);
        let out = processor.process_logs(bytes).expect("OTLP");
        let mut out = LogsData::decode(&*out).expect("OTLP");
        let mut record = out.resource_logs[0].scope_logs[0].log_records.remove(0);
        record
            .attributes
            .sort_by(|one, other| one.key.cmp(&other.key));
        // It says where in the bytes.
        record.attributes.retain(|one| one.key != "pgmesh.error");
        record
    };
    let found = of(&whole);
    // No deeper: a text may read like a message.
    assert_eq!(of(&reversed(&whole, 4)), found, "{config}");
    found
}

fn lines(options: &str, lines: &[&str]) -> LogRecord {
    only(options, line(&lines.join("\n")))
}

#[test]
fn nothing_changes_where_records_are_not_looked_at() {
    let bytes = batch(vec![line(OTHER)]).encode_to_vec();
    let mut processor = processor(r#"{"logs":{"enabled":false}}"#);
    assert_eq!(*processor.process_logs(&bytes).expect("OTLP"), bytes);
}

#[test]
fn names_of_roles_are_left_out_of_an_entry_on_request() {
    let shown = lines("", &[FAILED]);
    assert_eq!(get(&shown.attributes, "user.name"), Some("app"));
    assert!(body(&shown).contains("\"bob\""));
    let hidden = lines(r#""hide_users":true"#, &[FAILED]);
    assert_eq!(get(&hidden.attributes, "user.name"), None);
    assert_eq!(
        body(&hidden),
        "password authentication failed for user \"?\""
    );
    assert_eq!(get(&hidden.attributes, "db.namespace"), Some("shop"));
    // Whoever has put it there.
    let mut given = line(FAILED);
    given.attributes = vec![text("user.name", "bob"), text("k8s.pod.name", "db-0")];
    let hidden = only(r#""hide_users":true"#, given);
    assert!(!format!("{hidden:?}").contains("bob"), "{hidden:?}");
    assert_eq!(get(&hidden.attributes, "k8s.pod.name"), Some("db-0"));
}

#[test]
fn names_of_machines_are_left_out_of_an_entry_on_request() {
    let shown = lines("", &[RECEIVED]);
    assert_eq!(get(&shown.attributes, "client.address"), Some("10.1.2.3"));
    let hidden = lines(r#""hide_hosts":true"#, &[RECEIVED]);
    assert_eq!(get(&hidden.attributes, "client.address"), None);
    assert_eq!(body(&hidden), "connection received: host=? port=7");
}

/// `db.server.query_sample`, as the Collector's receiver has it.
fn sample() -> LogRecord {
    LogRecord {
        event_name: "db.server.query_sample".to_owned(),
        attributes: [
            ("db.system.name", "postgresql"),
            ("db.namespace", "shop"),
            ("db.query.text", "SELECT a FROM t WHERE b = 'hunter2-4111'"),
            ("user.name", "bob"),
            ("postgresql.rolname", "bob"),
            ("postgresql.state", "active"),
            ("postgresql.application_name", "psql"),
            ("postgresql.wait_event", "ClientRead"),
            ("client.address", "10.1.2.3"),
            ("network.peer.address", "10.1.2.3"),
            ("net.peer.name", "db.example.com"),
            ("postgresql.client_hostname", "laptop.example.com"),
        ]
        .map(|(key, value)| text(key, value))
        .to_vec(),
        ..LogRecord::default()
    }
}

const USERS: [&str; 2] = ["user.name", "postgresql.rolname"];
const HOSTS: [&str; 4] = [
    "client.address",
    "network.peer.address",
    "net.peer.name",
    "postgresql.client_hostname",
];

fn has(attributes: &[KeyValue], keys: &[&str]) -> Vec<bool> {
    let has = |key: &&str| attributes.iter().any(|one| one.key == **key);
    keys.iter().map(has).collect()
}

#[test]
fn a_query_sample_shows_no_data_and_names_unless_they_are_hidden() {
    for (options, users, hosts) in [
        ("", true, true),
        (r#""hide_users":true"#, false, true),
        (r#""hide_hosts":true"#, true, false),
        (r#""hide_users":true,"hide_hosts":true"#, false, false),
    ] {
        let out = only(options, sample());
        assert_eq!(out.event_name, "db.server.query_sample");
        let get = |key| get(&out.attributes, key);
        assert_eq!(get("db.query.text"), Some("SELECT a FROM t WHERE b = ?"));
        assert_eq!(get("db.query.summary"), Some("SELECT t"));
        assert!(get("pgmesh.fingerprint").is_some());
        for (key, value) in [
            ("db.namespace", "shop"),
            ("postgresql.state", "active"),
            ("postgresql.application_name", "psql"),
            ("postgresql.wait_event", "ClientRead"),
        ] {
            assert_eq!(get(key), Some(value), "{options}");
        }
        assert_eq!(has(&out.attributes, &USERS), [users; 2], "{options}");
        assert_eq!(has(&out.attributes, &HOSTS), [hosts; 4], "{options}");
        // What was described before loses its names, too.
        let again = only(r#""hide_users":true,"hide_hosts":true"#, out);
        assert_eq!(has(&again.attributes, &USERS), [false; 2]);
        assert_eq!(has(&again.attributes, &HOSTS), [false; 4]);
    }
    let off = only(r#""redaction":"off","hide_users":true"#, sample());
    assert!(format!("{off:?}").contains(SECRET));
    assert_eq!(has(&off.attributes, &USERS), [false; 2]);
}

/// Neither under a stable name, nor where nothing else can be read.
#[test]
fn what_is_hidden_has_no_other_place() {
    for migrate in ["off", "duplicate", "replace"] {
        let config = format!(
            r#"{{"traces":{{"migrate":"{migrate}"}},"logs":{{"hide_hosts":true,"hide_users":true}}}}"#
        );
        let mut deep = sample();
        deep.attributes.push(pair("ctx", nested("x", 40)));
        for record in [sample(), deep] {
            let shown = format!("{:?}", only_with(&config, record));
            for name in ["bob", "10.1.2.3", "example.com"] {
                assert!(!shown.contains(name), "{migrate}: {shown}");
            }
            assert!(shown.contains("ClientRead"));
        }
    }
}

#[test]
fn a_time_zone_is_what_the_option_says() {
    let entry = "2026-11-23 03:34:37.123 XST [70] app@shop LOG:  checkpoint starting: time";
    let utc = 1_795_404_877_123_000_000;
    let three_hours = 3 * 3600 * 1_000_000_000;
    let time = |options: &str| lines(options, &[entry]).time_unix_nano;
    assert_eq!(time(""), 0);
    assert_eq!(time(r#""time_zones":{"XST":"+03:00"}"#), utc - three_hours);
    assert_eq!(time(r#""time_zones":{"XST":"-03:00"}"#), utc + three_hours);
}

#[test]
fn the_line_is_in_the_member_that_keys_name_first() {
    let parted = |members: [(&str, &str); 2]| {
        let members = members.map(|(key, value)| text(key, value));
        with_body(map(members.to_vec()))
    };
    let other =
        "2026-11-23 03:34:37.124 UTC [71] app@shop LOG:  checkpoint starting: time".to_owned();
    for (options, members, expected) in [
        ("", [("log", OTHER), ("msg", other.as_str())], "authorized"),
        (
            r#""keys":["msg","log"]"#,
            [("log", OTHER), ("msg", other.as_str())],
            "checkpoint",
        ),
        (
            r#""keys":["line"]"#,
            [("line", OTHER), ("msg", other.as_str())],
            "authorized",
        ),
    ] {
        let out = only(options, parted(members));
        assert_eq!(out.severity_text, "LOG", "{options}");
        assert!(body(&out).contains(expected), "{options}: {out:?}");
    }
}

#[test]
fn redaction_takes_out_all_data_or_that_of_statements_or_nothing() {
    let statement = ERROR[2].replace("users", "users (email) VALUES ('hunter2-4111')");
    let text = [ERROR[0], ERROR[1], &statement];
    let seen = |mode: &str| {
        let out = lines(&format!(r#""redaction":"{mode}""#), &text);
        assert_eq!(
            body(&out),
            "duplicate key value violates unique constraint \"users_pkey\""
        );
        ["postgresql.detail", "db.query.text"]
            .map(|key| get(&out.attributes, key).map(str::to_owned))
    };
    let detail = |value: &str| Some(format!("Key (email)=({value}) already exists."));
    let query = |value: &str| Some(format!("INSERT INTO users (email) VALUES ({value})"));
    assert_eq!(seen("strict"), [detail("?"), query("?")]);
    assert_eq!(seen("statements"), [detail(SECRET), query("?")]);
    assert_eq!(seen("off"), [detail(SECRET), query("'hunter2-4111'")]);
    // A text that is not known.
    let unknown =
        "2026-11-23 03:34:37.123 UTC [70] app@shop LOG:  my extension says 'hunter2-4111'";
    let said = |mode: &str| body(&lines(&format!(r#""redaction":"{mode}""#), &[unknown]));
    assert!(!said("strict").contains(SECRET));
    assert!(said("statements").contains(SECRET));
    assert!(said("off").contains(SECRET));
}

/// A record that is about a statement, such as an application's.
#[test]
fn redaction_of_a_record_that_is_no_entry_is_that_of_an_entry() {
    let record = LogRecord {
        attributes: vec![
            text("db.system.name", "postgresql"),
            text("db.query.text", "SELECT 'hunter2-4111'"),
            text("db.query.parameter.0", SECRET),
            text(
                "postgresql.detail",
                "Key (email)=(hunter2-4111) already exists.",
            ),
        ],
        ..with_body(string("query was slow"))
    };
    for (mode, detail, rest) in [
        ("strict", false, false),
        ("statements", true, false),
        ("off", true, true),
    ] {
        let out = only(&format!(r#""redaction":"{mode}""#), record.clone());
        let shows = |key| get(&out.attributes, key).is_some_and(|text| text.contains(SECRET));
        assert_eq!(shows("postgresql.detail"), detail, "{mode}");
        assert_eq!(shows("db.query.text"), rest, "{mode}");
        assert_eq!(shows("db.query.parameter.0"), rest, "{mode}");
    }
}
