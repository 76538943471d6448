//! Whatever record comes, valid JSON leaves, or the record passes as it is; and no secret leaves.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

use fluentbit_filter::config::Preset;
use fluentbit_filter::{Filter, Outcome};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

const TAG: &[u8] = b"postgres";

/// What the filter hands back, checked as the host would.
fn handed_back(filter: &mut Filter, record: &[u8]) -> Option<Map<String, Value>> {
    if filter.record(TAG, record, 0) != Outcome::Replaced {
        return None;
    }
    let text = filter.output().strip_suffix(b"\0").unwrap();
    assert!(!text.contains(&0));
    Some(serde_json::from_slice(text).unwrap())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        lines().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(keys(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn keys() -> impl Strategy<Value = String> {
    let known = select(vec![
        "log",
        "message",
        "msg",
        "record",
        "audit",
        "error_severity",
        "pgmesh",
        "timestamp",
        "statement",
        "detail",
        "severity",
    ]);
    prop_oneof![known.prop_map(str::to_owned), ".{0,8}"]
}

/// Pieces of logs in any order.
fn lines() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(vec![
            "2026-11-23 03:34:37.123 UTC",
            " [4711] ",
            "bob@shop ",
            "ERROR:  ",
            "DETAIL:  ",
            "STATEMENT:  ",
            "\n\t",
            "\n",
            ",",
            "\"",
            "\"\"",
            "'",
            "(",
            ")",
            "Key (a)=(",
            "42601: ",
            "duration: 1.0 ms  statement: ",
            "AUDIT: SESSION,1,1,",
            "LOG:  ",
            "{",
            "\\u0000",
            "»",
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
    ];
    proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_json_leaves_or_nothing_changes(
        members in proptest::collection::btree_map(keys(), values(), 0..6),
        preset in select(vec![Preset::Standard, Preset::KeepRaw, Preset::ClassifyOnly, Preset::NoRedaction]),
    ) {
        let record = Value::Object(members.into_iter().collect()).to_string();
        let mut filter = Filter::new(preset);
        for _ in 0..2 {
            handed_back(&mut filter, record.as_bytes());
        }
    }

    #[test]
    fn broken_json_passes_as_it_is(text in lines(), cut in any::<prop::sample::Index>(), flip in any::<u8>()) {
        let mut record = json!({ "log": text, "n": 1 }).to_string().into_bytes();
        let at = cut.index(record.len());
        let mut filter = Filter::new(Preset::Standard);
        prop_assert_eq!(filter.record(TAG, record.get(..at).unwrap(), 0), Outcome::Unchanged);
        if let Some(byte) = record.get_mut(at) {
            *byte = flip;
        }
        handed_back(&mut filter, &record);
    }

    #[test]
    fn what_is_not_of_the_entry_stays_as_it_came(members in proptest::collection::btree_map("[a-k]{1,4}", values(), 0..6)) {
        let mut record: Map<String, Value> = members.into_iter().collect();
        record.insert("log".to_owned(), json!("2026-11-23 03:34:37.123 UTC [1] LOG:  database system is shut down"));
        let record = Value::Object(record).to_string();
        let mut filter = Filter::new(Preset::Standard);
        let Some(left) = handed_back(&mut filter, record.as_bytes()) else {
            return Err(TestCaseError::fail("the entry was not found"));
        };
        // Read back as text is, so that a float is the float that its digits say.
        let came: Map<String, Value> = serde_json::from_str(&record).unwrap();
        for (key, value) in &came {
            // What has the key of each entry is taken for a copy of this one.
            let is_copy = value.to_string().contains("error_severity");
            if key != "log" && key != "msg" && !is_copy {
                prop_assert_eq!(left.get(key), Some(value));
            }
        }
        prop_assert_eq!(left.get("postgresql.event"), Some(&json!("server_shut_down")));
    }
}

const SECRET_ENTRY: &str = r#"{"timestamp":"2026-11-23 03:34:37.123 UTC","pid":1,"error_severity":"ERROR","state_code":"23505","message":"duplicate key value violates unique constraint \"u\"","detail":"Key (a)=(hunter2) already exists."}"#;

#[test]
fn no_second_copy_of_an_entry_leaves_beside_its_record() {
    let entry: Value = serde_json::from_str(SECRET_ENTRY).unwrap();
    let line = "2026-11-23 03:34:37.123 UTC [1] ERROR:  odd \"hunter2\"";
    let mut merged = entry.clone();
    merged["log"] = json!(SECRET_ENTRY);
    // Somebody has read a value as JSON, too.
    let mut opened = entry.clone();
    opened["detail"] = json!({ "a": "hunter2" });
    opened["statement"] = json!(["hunter2"]);
    for record in [
        merged,
        json!({ "log": line, "message": line }),
        json!({ "log": SECRET_ENTRY, "msg": SECRET_ENTRY }),
        // With its members sorted, in a list, as text written otherwise.
        json!({ "log": SECRET_ENTRY, "log_processed": entry }),
        json!({ "log": SECRET_ENTRY, "x": [entry] }),
        json!({ "log": SECRET_ENTRY, "x": entry.to_string() }),
        // Alone, as a host leaves it that has read it (`Keep_Log Off`).
        json!({ "stream": "stderr", "log_processed": entry }),
        json!({ "message": entry }),
        json!({ "log": format!("\u{feff} {SECRET_ENTRY}") }),
        json!({ "log": format!(" {SECRET_ENTRY}") }),
        opened,
    ]
    .map(|record| record.to_string())
    .into_iter()
    .chain([format!(
        // In the order that the server and Fluent Bit keep.
        "{{\"log\":{},\"log_processed\":{SECRET_ENTRY}}}",
        json!(SECRET_ENTRY)
    )]) {
        let mut filter = Filter::new(Preset::Standard);
        let left = handed_back(&mut filter, record.as_bytes()).unwrap();
        let left = Value::Object(left).to_string();
        assert!(!left.contains("hunter2"), "{record}: {left}");
        assert!(left.contains(r#""severity":"ERROR""#), "{left}");
    }
}

#[test]
fn a_line_inside_of_unknown_json_is_withheld() {
    let line = "2026-11-23 03:34:37.123 UTC [4711] bob@shop LOG:  statement: select 1";
    let inside = json!({ "message": line, "detail": "parameters: $1 = hunter2" }).to_string();
    let record = json!({ "log": inside }).to_string();
    let mut filter = Filter::new(Preset::Standard);
    let left = handed_back(&mut filter, record.as_bytes()).unwrap();
    assert_eq!(left["log"], "?");
    assert!(!Value::Object(left).to_string().contains("hunter2"));
}

#[test]
fn a_continuation_that_comes_alone_shows_nothing() {
    let mut filter = Filter::new(Preset::Standard);
    let torn = json!({ "stream": "stderr", "log": "\t\tVALUES ('hunter2')" }).to_string();
    // Even if the host began to read in the middle of an entry.
    assert_eq!(
        Value::Object(handed_back(&mut filter, torn.as_bytes()).unwrap()),
        json!({ "stream": "stderr", "log": "?", "pgmesh.faults": "continuation" })
    );
}

#[test]
fn a_truncated_entry_is_one_record_that_says_so() {
    for whole in [
        SECRET_ENTRY,
        r#"{"level":"info","logger":"postgres","msg":"record","record":{"log_time":"2026-11-23 03:34:37.123 UTC","process_id":"1","error_severity":"ERROR","sql_state_code":"23505","message":"duplicate","detail":"Key (a)=(hunter2) already exists.","query":"SELECT 'hunter2'","backend_type":"client backend"}}"#,
        "2026-11-23 03:34:37.123 UTC,\"bob\",\"shop\",4711,\"[local]\",692280b5.1267,5,\"INSERT\",2026-11-23 03:34:00 UTC,3/17,0,ERROR,23505,\"duplicate\",\"Key (a)=(hunter2) already exists.\",,,,,\"INSERT INTO t VALUES ('hunter2')\",,,\"psql\",\"client backend\",,0",
    ] {
        let from = whole.find("hunter2").unwrap();
        for cut in from..whole.len() {
            let (cut, _) = whole.split_at(cut);
            let record = json!({ "log": cut }).to_string();
            let mut filter = Filter::new(Preset::Standard);
            let left = handed_back(&mut filter, record.as_bytes());
            let left = Value::Object(left.unwrap_or_else(|| panic!("passed: {record}")));
            assert_eq!(left["severity"], "ERROR", "{record}");
            assert!(!left.to_string().contains("hunter2"), "{record}: {left}");
        }
    }
}
