//! Spans against the table of the semantic conventions: each attribute that there is something to say
//! for is there, none that is only for those who opt in, and no other of OpenTelemetry's is added.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;

use crate::otlp::{get, pair, text};
use crate::traces::{batch, processed, span};

/// How strongly an attribute is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    Required,
    /// Required where it is known, or where the operation failed.
    Conditionally,
    Recommended,
    OptIn,
}

/// The conventions that the table is from.
const VERSION: &str = "1.44";

/// `docs/db/postgresql.md` of the semantic conventions 1.44.0: attributes of a client's span, their
/// requirement levels, and whether they are numbers. `db.system.name` is in the text above its table.
const ATTRIBUTES: [(&str, Level, bool); 14] = [
    ("db.system.name", Level::Required, false),
    ("db.namespace", Level::Conditionally, false),
    ("db.response.status_code", Level::Conditionally, false),
    ("error.type", Level::Conditionally, false),
    ("server.port", Level::Conditionally, true),
    ("db.collection.name", Level::Recommended, false),
    ("db.operation.batch.size", Level::Recommended, true),
    ("db.operation.name", Level::Recommended, false),
    ("db.query.summary", Level::Recommended, false),
    ("db.query.text", Level::Recommended, false),
    ("db.stored_procedure.name", Level::Recommended, false),
    ("server.address", Level::Recommended, false),
    ("db.query.parameter.id", Level::OptIn, false),
    ("db.response.returned_rows", Level::OptIn, true),
];

/// `docs/non-normative/db-migration.md` of the same: names from before, and what became of them.
const RENAMED: [(&str, &str); 4] = [
    ("db.system", "db.system.name"),
    ("db.statement", "db.query.text"),
    ("db.operation", "db.operation.name"),
    ("db.sql.table", "db.collection.name"),
];

fn integer(key: &str, value: i64) -> KeyValue {
    let value = AnyValue {
        value: Some(Value::IntValue(value)),
    };
    pair(key, value)
}

/// A span that says all there is to be said, by names from before the stable conventions.
fn old() -> Span {
    let mut old = span(
        "query",
        &[
            ("db.system", "postgresql"),
            ("db.name", "shop"),
            (
                "db.statement",
                "DELETE FROM t WHERE a = 1; DELETE FROM t WHERE a = 2",
            ),
            ("db.sql.table", "t"),
            ("db.stored_procedure.name", "f"),
            ("net.peer.name", "db"),
            ("db.query.parameter.id", "7"),
        ],
    );
    old.attributes.push(integer("net.peer.port", 5433));
    old.status = Some(Status {
        message: "duplicate key value violates unique constraint \"t_pkey\"".to_owned(),
        code: 2,
    });
    old
}

fn described(config: &str, span: Span) -> Vec<KeyValue> {
    processed(config, &batch(vec![span]).encode_to_vec()).attributes
}

const REPLACE: &str = r#"{"traces":{"migrate":"replace"}}"#;

#[test]
fn what_the_conventions_ask_for_is_there_by_its_stable_name_and_in_its_type() {
    let attributes = described(REPLACE, old());
    for (name, level, is_number) in ATTRIBUTES {
        let found: Vec<_> = attributes.iter().filter(|pair| pair.key == name).collect();
        let expected = usize::from(level != Level::OptIn);
        assert_eq!(found.len(), expected, "{name} in {attributes:?}");
        for pair in found {
            let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
            let fits = match value {
                Some(Value::StringValue(text)) => !is_number && !text.is_empty(),
                Some(Value::IntValue(_)) => is_number,
                _ => false,
            };
            assert!(fits, "{pair:?}");
        }
    }
    for attribute in &attributes {
        let known = ATTRIBUTES.iter().any(|(name, ..)| *name == attribute.key);
        assert!(
            known || attribute.key.starts_with("pgmesh."),
            "{attribute:?}"
        );
    }
}

#[test]
fn an_attribute_that_is_for_those_who_opt_in_is_kept_by_name_and_never_added() {
    let config = r#"{"traces":{"keep_parameters":["db.query.parameter.id"]}}"#;
    let kept = described(config, old());
    assert!(kept.iter().any(|pair| pair.key == "db.query.parameter.id"));
    for config in ["", REPLACE, config] {
        let attributes = described(config, old());
        assert!(
            !attributes
                .iter()
                .any(|pair| pair.key == "db.response.returned_rows")
        );
    }
}

#[test]
fn each_old_name_has_the_stable_one_that_the_guide_names() {
    for (old, stable) in RENAMED {
        let value = if old == "db.system" {
            "postgresql"
        } else {
            "SELECT"
        };
        let mut before = span("q", &[("db.system.name", "postgresql"), (old, value)]);
        before
            .attributes
            .retain(|pair| old != "db.system" || pair.key == old);
        let after = described(REPLACE, before);
        assert!(
            !after.iter().any(|pair| pair.key == old),
            "{old}: {after:?}"
        );
        assert!(after.contains(&text(stable, value)), "{old}: {after:?}");
    }
}

#[test]
fn nothing_is_said_of_an_error_where_nothing_failed() {
    let mut fine = old();
    fine.status = None;
    let attributes = described(REPLACE, fine);
    for name in ["db.response.status_code", "error.type"] {
        assert!(!attributes.iter().any(|pair| pair.key == name), "{name}");
    }
    // Nor of a batch where there is one statement.
    let one = span(
        "q",
        &[
            ("db.system", "postgresql"),
            ("db.statement", "SELECT 1 FROM t"),
        ],
    );
    let attributes = described(REPLACE, one);
    assert!(
        !attributes
            .iter()
            .any(|pair| pair.key == "db.operation.batch.size")
    );
}

#[test]
fn the_readme_names_the_version_of_the_table() {
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    assert!(readme.contains(&format!("conventions {VERSION}")));
}

#[test]
fn a_summary_is_no_longer_than_the_conventions_let_it_be() {
    let tables: Vec<_> = (0..60)
        .map(|number| format!("a_long_table_{number}"))
        .collect();
    let statement = format!("SELECT * FROM {}", tables.join(", "));
    let attributes = described(
        "",
        span(
            "q",
            &[("db.system", "postgresql"), ("db.statement", &statement)],
        ),
    );
    let summary = get(&attributes, "db.query.summary").expect("a summary");
    assert!(summary.len() <= 255, "{summary}");
    let last = summary.rsplit(' ').next().expect("a word");
    assert!(tables.iter().any(|table| table == last), "{summary}");
}
