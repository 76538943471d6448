//! What `pg_stat_statements` says of a statement: `normalize` prints it, and it has the fingerprint
//! that the statement has in the client's bytes and redacted.
//!
//! Each statement of the corpus runs alone on real servers, and what they remember of it is
//! compared. The corpus: `plugins/common/pg-sql/tests/corpus/README.md`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use pg_sql::{
    Fingerprint, LexerOptions, RedactOptions, ServerVersion, fingerprint, normalize, redact,
};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Postgres, Version};

fn corpus_file(name: &str) -> String {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/common/pg-sql/tests/corpus");
    fs::read_to_string(folder.join(name)).expect(name)
}

/// Texts of the corpus, without the `;` at their ends.
fn corpus() -> Vec<String> {
    let statements = corpus_file("statements.sql");
    let mut texts: Vec<String> = statements.split(";\n").map(str::to_owned).collect();
    let literals = corpus_file("literals.txt");
    for template in corpus_file("templates.txt").lines() {
        for literal in literals.lines() {
            texts.push(template.replace('%', &literal.replace("\\n", "\n")));
        }
    }
    texts.retain(|text| !text.trim().is_empty());
    texts
}

/// A psql script that runs each text and prints what `pg_stat_statements` has then, as
/// `number:hex`.
fn script(texts: &[String]) -> String {
    let mut script = String::new();
    for (number, text) in texts.iter().enumerate() {
        let _ = write!(
            script,
            "\\o /dev/null\nSELECT pg_stat_statements_reset();\n{text}\n;\n\\o\n\
             SELECT '{number}:' || encode(convert_to(query, 'UTF8'), 'hex') FROM pg_stat_statements \
             WHERE query NOT LIKE '%pg_stat_statements%';\n"
        );
    }
    script
}

fn unhex(hex: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(pair).collect()
}

/// For each text the numbers of, what the server remembers of it.
fn remembered(version: Version, texts: &[String]) -> Vec<(usize, Vec<u8>)> {
    let server = Postgres::builder(version)
        .preload("pg_stat_statements")
        .start();
    server.sql("CREATE EXTENSION pg_stat_statements");
    server.sql(&corpus_file("schema.sql"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.sql");
    fs::write(&path, script(texts)).unwrap();
    let mut psql = server.client("psql");
    psql.args(["-XAtq", "-f"]).arg(&path);
    // What this server refuses is told there; what it took is counted below.
    psql.stderr(Stdio::null());
    let output = output_of(&mut psql);
    let rows = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let (number, hex) = line.split_once(':').expect(line);
        (number.parse().expect(number), unhex(hex))
    };
    rows.lines().map(row).collect()
}

type Exceptions = &'static [(&'static str, &'static str)];

/// Texts whose fingerprint the server's own text has not, and why.
const OTHER_FINGERPRINT: Exceptions = &[
    (
        "-(3)",
        "the server takes the parenthesis for the number: `$13)`",
    ),
    ("EXECUTE", "the server remembers what was prepared"),
];

/// Texts that `normalize` does not print as the server does, and why.
const OTHER_TEXT: Exceptions = &[
    ("EXECUTE", "the server remembers what was prepared"),
    ("SET ROLE 'alice'", ROLE_STAYS),
    ("SET SESSION AUTHORIZATION alice", ROLE_STAYS),
];

/// `normalize` expects a change of role, after which 18 has the text word for word under the new one.
const ROLE_STAYS: &str = "normalised by 18 only where the role stays the same";

fn is_one_of(exceptions: Exceptions, text: &str) -> bool {
    exceptions.iter().any(|(part, _)| text.contains(part))
}

fn print_of(text: &[u8]) -> Fingerprint {
    fingerprint(text, &LexerOptions::default())
}

#[test]
fn a_redacted_statement_has_the_fingerprint_of_its_origin() {
    for text in corpus() {
        let redacted = redact(text.as_bytes(), &RedactOptions::default()).text;
        assert_eq!(print_of(&redacted), print_of(text.as_bytes()), "{text}");
    }
}

/// Runs the corpus and fails with every text for which `wrong` says something.
fn judge(wrong: impl Fn(Version, &str, &[u8]) -> Option<String>) {
    let texts = corpus();
    let mut failed = false;
    for version in Version::ALL {
        let rows = remembered(version, &texts);
        let taken: HashSet<usize> = rows.iter().map(|(number, _)| *number).collect();
        assert!(
            taken.len() > texts.len() / 2,
            "{version:?} took {}",
            taken.len()
        );
        let wrong: Vec<_> = rows
            .iter()
            .filter_map(|(number, row)| {
                let text = &texts[*number];
                let said = wrong(version, text, row)?;
                Some(format!(
                    "{text}\n    {}\n    {said}",
                    String::from_utf8_lossy(row)
                ))
            })
            .collect();
        wrong.iter().for_each(|wrong| println!("{wrong}"));
        let number = version.number();
        println!(
            "{number}: {} of {} texts taken, {} wrong",
            taken.len(),
            texts.len(),
            wrong.len()
        );
        failed |= !wrong.is_empty();
    }
    assert!(!failed);
}

#[test]
fn what_the_server_remembers_has_the_fingerprint_of_what_was_sent() {
    judge(|_, text, row| {
        let [sent, seen] = [text.as_bytes(), row].map(print_of);
        (sent != seen && !is_one_of(OTHER_FINGERPRINT, text)).then(|| format!("{sent}, not {seen}"))
    });
}

#[test]
fn normalize_prints_what_the_server_remembers() {
    judge(|version, text, row| {
        let version = match version {
            Version::V15 => ServerVersion::V15,
            Version::V18 => ServerVersion::V18,
        };
        let printed = normalize(text.as_bytes(), version);
        (printed != row && !is_one_of(OTHER_TEXT, text))
            .then(|| String::from_utf8_lossy(&printed).into_owned())
    });
}
