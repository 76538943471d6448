//! pg-sql's own corpus, judged by the server's parser: classification of every statement, and the
//! cutting of texts that hold several.

#[allow(
    dead_code,
    reason = "how a statement is run matters to real servers only"
)]
#[path = "../../../plugins/common/pg-sql/tests/normalized/mod.rs"]
mod normalized;

use oracle::fingerprints::Groups;
use oracle::{Verdict, judge};
use std::path::Path;

fn corpus(name: &str) -> String {
    let folder = Path::new("../../plugins/common/pg-sql/tests/corpus");
    std::fs::read_to_string(folder.join(name)).expect("the corpus")
}

/// Statements of `statements.sql`, every template with every literal, and the statements whose
/// normal forms are known, which cover every command.
fn statements() -> Vec<String> {
    let literals = corpus("literals.txt").replace("\\n", "\n ");
    let templates = corpus("templates.txt");
    let filled = templates.lines().flat_map(|template| {
        literals
            .lines()
            .map(|literal| template.replace('%', literal))
    });
    let listed = corpus("statements.sql");
    filled
        .chain(listed.split(";\n").map(str::to_owned))
        .chain(normalized::cases().into_iter().map(|case| case.text))
        .collect()
}

#[test]
fn every_statement_of_the_corpus_is_classified_rightly() {
    let mut right = 0;
    for text in statements() {
        match judge(&text) {
            Verdict::Right => right += 1,
            Verdict::Refused => {}
            Verdict::Incomplete => panic!("incomplete: {text}"),
            Verdict::Wrong(why) => panic!("{text}\n{}", why.join("\n")),
        }
    }
    assert!(right > 3000, "only {right} statements judged");
}

#[test]
fn texts_of_several_statements_are_cut_where_the_parser_cuts_them() {
    let mut judged = 0;
    for several in statements().chunks(7) {
        let text = several.join(";\n");
        let Ok(parts) = pg_query::split_with_parser(&text) else {
            continue;
        };
        let options = pg_sql::LexerOptions::default();
        let said = pg_sql::split(text.as_bytes(), &options);
        let said: Vec<&str> = said.into_iter().map(|range| text[range].trim()).collect();
        let parts: Vec<&str> = parts
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect();
        assert_eq!(said, parts, "{text}");
        judged += 1;
    }
    assert!(judged > 100, "only {judged} texts judged");
}

#[test]
fn statements_that_libpg_query_calls_equal_have_one_fingerprint_but_for_the_exceptions() {
    let mut groups = Groups::default();
    statements().iter().for_each(|text| groups.add(text));
    let judged = groups.judge();
    assert!(judged.groups > 500 && judged.texts > 3 * judged.groups);
    assert!(judged.wrong.is_empty(), "{:#?}", judged.wrong);
}
