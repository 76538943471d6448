//! The tables of messages: every example is of the class it stands under, and says what it is for.
#![allow(clippy::panic, reason = "helpers of tests may panic")]

#[path = "../build/table.rs"]
mod table;

use pg_log::{Class, Classes};

fn rows() -> Vec<table::Row> {
    table::read(include_str!("../classes.txt")).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_example_is_of_the_class_it_stands_under() {
    let classes = Classes::new();
    let mut wrong = Vec::new();
    for row in rows() {
        for pattern in &row.patterns {
            for example in &pattern.examples {
                let found = classes.of_message(example.text.as_bytes());
                let name = found.map(|found| found.class.name);
                if name != Some(row.name.as_str()) {
                    wrong.push(format!("{}: {name:?}: {}", row.name, example.text));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_values_of_an_example_put_into_its_pattern_give_the_example_back() {
    let classes = Classes::new();
    for row in rows() {
        for pattern in &row.patterns {
            for example in &pattern.examples {
                let text = example.text.as_bytes();
                let found = classes.of_message(text).expect(&example.text);
                let mut rebuilt = String::new();
                let mut rest = pattern.text.as_str();
                let mut values = found.captures(text);
                while let Some((literal, behind)) = rest.split_once('{') {
                    rebuilt.push_str(literal);
                    let (_, behind) = behind.split_once('}').expect("values are closed");
                    rest = behind;
                    let value = values.next().map_or(&b""[..], |capture| capture.text);
                    rebuilt.push_str(std::str::from_utf8(value).expect("examples are UTF-8"));
                }
                rebuilt.push_str(rest);
                assert_eq!(rebuilt, example.text, "{}", pattern.text);
            }
        }
    }
}

#[test]
fn the_table_is_what_the_crate_knows() {
    let rows = rows();
    assert_eq!(rows.len(), Class::all().len());
    for (row, class) in rows.iter().zip(Class::all()) {
        assert_eq!(row.sqlstate.as_deref(), class.sqlstate(), "{}", row.name);
        assert_eq!(row.name, class.name);
        assert_eq!(row.sqlstates, class.sqlstates);
    }
}

#[test]
fn there_are_as_many_classes_as_promised() {
    assert!(Class::all().len() >= 120, "{}", Class::all().len());
}

#[test]
fn a_sqlstate_tells_the_class_when_the_language_is_another() {
    let classes = Classes::new();
    for (code, class) in [
        ("23505", "unique_violation"),
        ("40P01", "deadlock_detected"),
        ("40001", "serialization_failure"),
        ("42P01", "undefined_table"),
        ("28P01", "password_authentication_failed"),
    ] {
        let found = classes.of_sqlstate(code.as_bytes()).map(|class| class.name);
        assert_eq!(found, Some(class));
    }
    assert!(classes.of_sqlstate(b"00000").is_none());
    assert!(classes.of_message("Deadlock entdeckt".as_bytes()).is_none());
}

#[test]
fn no_sqlstate_tells_two_classes() {
    let mut codes: Vec<&str> = Class::all()
        .iter()
        .flat_map(|class| class.sqlstates.iter().copied())
        .collect();
    codes.sort_unstable();
    assert!(codes.windows(2).all(|two| two[0] != two[1]), "{codes:?}");
}
