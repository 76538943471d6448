//! Names of fields against OpenTelemetry's registry of attributes: what it has a name for has that name and
//! its type, and what it has none for does not look as if it had.

use pg_log::Field;

/// The registry of the semantic conventions 1.44.0 (`docs/registry/attributes`), as far as an entry of the log
/// has it, and whether the values are numbers.
const REGISTRY: [(&str, bool); 13] = [
    ("client.address", false),
    ("client.port", true),
    ("code.file.path", false),
    ("code.function.name", false),
    ("code.line.number", true),
    ("code.stacktrace", false),
    ("db.namespace", false),
    ("db.query.text", false),
    ("db.response.status_code", false),
    ("process.pid", true),
    ("server.address", false),
    ("session.id", false),
    ("user.name", false),
];

/// What a log record has a place of its own for.
const OF_A_RECORD: [&str; 2] = ["timestamp", "message"];
/// Where names begin that are nobody else's.
const OWN: [&str; 2] = ["postgresql.", "pgaudit."];

#[test]
fn a_field_has_the_registry_s_name_and_type_or_one_of_its_own() {
    let mut used = Vec::new();
    for field in Field::ALL {
        let name = field.name();
        match REGISTRY.iter().find(|(known, _)| *known == name) {
            Some((known, is_number)) => {
                assert_eq!(field.is_number(), *is_number, "{name}");
                used.push(*known);
            }
            None => assert!(
                OF_A_RECORD.contains(&name) || OWN.iter().any(|own| name.starts_with(own)),
                "{name}"
            ),
        }
    }
    used.sort_unstable();
    assert_eq!(used, REGISTRY.map(|(name, _)| name));
}
