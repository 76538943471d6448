//! What pg-sql makes of a statement: `cargo run -p pg-sql --example explain -- "SELECT 1"`.
use pg_sql::classify::{Relation, Statement};
use pg_sql::{ClassifyOptions, LexerOptions, Operation, RedactOptions, ServerVersion, Token};

type Show<'a> = &'a dyn Fn(&str, &dyn std::fmt::Display);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sql] = arguments.as_slice() else {
        eprintln!("usage: explain SQL");
        std::process::exit(2);
    };
    let text = sql.as_bytes();
    let options = LexerOptions::default();
    let show = |name: &str, value: &dyn std::fmt::Display| println!("{name:<13} {value}");
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let (redacted, fingerprint) = pg_sql::redact_and_fingerprint(text, &RedactOptions::default());
    show("operation", &Operation::from_text(text).as_str());
    show("fingerprint", &fingerprint);
    show("redacted", &lossy(&redacted.text));
    show("canonical", &lossy(&pg_sql::canonical_text(text, &options)));
    for (name, version) in [("on 15", ServerVersion::V15), ("on 18", ServerVersion::V18)] {
        show(name, &lossy(&pg_sql::normalize(text, version)));
    }
    let said = pg_sql::classify(text, ClassifyOptions::default());
    show("summary", &said.summary());
    show("complete", &said.complete);
    for statement in &said.statements {
        describe(statement, text, &show);
    }
    for pair in pg_sql::sqlcommenter::tags(text, &options).pairs {
        show("comment", &format!("{} = {}", pair.key, pair.value));
    }
    for token in pg_sql::Lexer::new(text, options).filter(|token| !token.kind.is_blank()) {
        show("token", &described(&token, text));
    }
}

fn describe(statement: &Statement, text: &[u8], show: Show<'_>) {
    let words = |words: Vec<&str>| words.join(", ");
    let sql = text.get(statement.range.clone()).unwrap_or_default();
    show("statement", &String::from_utf8_lossy(sql));
    show("  command", &statement.command.as_str());
    show("  class", &statement.class.as_str());
    show("  effects", &words(statement.effects.names().collect()));
    show("  traits", &words(statement.traits.names().collect()));
    for Relation { name, access } in &statement.relations {
        let access = words(access.names().collect());
        show("  relation", &format!("{}: {access}", name.typed));
    }
    for function in &statement.functions {
        show("  function", &function.typed);
    }
    for attribute in &statement.attributes {
        show("  attribute", &attribute.typed);
    }
    for change in &statement.settings {
        let shown = format!("{:?}, {:?}", change.settings, change.kind);
        show("  setting", &shown);
    }
}

fn described(token: &Token, text: &[u8]) -> String {
    let shown = String::from_utf8_lossy(token.of(text));
    let fault = token.fault.map(|fault| format!(" ({fault:?})"));
    format!("{:?} {shown}{}", token.kind, fault.unwrap_or_default())
}
