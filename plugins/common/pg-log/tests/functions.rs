//! What functions of users say, in every language that functions are written in: nothing of it leaves, whatever
//! SQLSTATE and severity they give it. The texts are what PostgreSQL 15 and 18 wrote for such functions.
#![allow(clippy::expect_used, reason = "helpers of tests may panic")]

use pg_log::{Memory, Options, Parser, Redaction, Reporter, Sink};

const SECRET: &str = "hunter2";

/// All that a report says.
#[derive(Default)]
struct All(Vec<(String, String)>);

impl Sink for All {
    fn text(&mut self, name: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        self.0.push((name.to_owned(), value));
    }

    fn number(&mut self, name: &str, digits: &[u8]) {
        self.text(name, digits);
    }
}

impl All {
    fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter();
        found
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    #[track_caller]
    fn assert_shows_nothing(&self, of: &str) {
        for (name, value) in &self.0 {
            assert!(!value.contains(SECRET), "{of}\n    {name}: {value}");
        }
    }
}

fn report(redaction: Redaction, text: &str) -> All {
    let mut parser = Parser::new();
    let (event, _) = parser.parse(text.as_bytes()).expect("the server's");
    let options = Options {
        redaction,
        ..Options::default()
    };
    let mut all = All::default();
    Reporter::new(options).report(&event, &mut Memory::default(), &mut all);
    all
}

/// A row of csvlog.
fn row(
    severity: &str,
    code: &str,
    message: &str,
    detail: &str,
    hint: &str,
    context: &str,
) -> String {
    let quoted = |text: &str| match text {
        "" => String::new(),
        text => format!("\"{}\"", text.replace('"', "\"\"")),
    };
    format!(
        "2026-11-23 03:34:37.123 UTC,\"bob\",\"shop\",4711,\"[local]\",692280b5.1267,5,\"SELECT\",2026-11-23 03:34:00 UTC,3/17,0,{severity},{code},{},{},{},,,{},,,,\"psql\",\"client backend\",,0",
        quoted(message),
        quoted(detail),
        quoted(hint),
        quoted(context)
    )
}

const RAISE: &str = "PL/pgSQL function f() line 1 at RAISE";

#[test]
fn no_message_of_a_function_leaves() {
    for (severity, code, message, context) in [
        ("ERROR", "P0001", "hunter2", RAISE),
        (
            "ERROR",
            "P0004",
            "hunter2",
            "PL/pgSQL function f() line 1 at ASSERT",
        ),
        ("WARNING", "01000", "hunter2", RAISE),
        ("WARNING", "01000", "hunter2", ""),
        ("NOTICE", "00000", "hunter2", RAISE),
        ("INFO", "00000", "hunter2", ""),
        ("LOG", "00000", "hunter2", ""),
        ("DEBUG", "00000", "hunter2", ""),
        // Words and SQLSTATE are the server's, the context is not.
        (
            "ERROR",
            "23505",
            "duplicate key value violates unique constraint \"hunter2\"",
            RAISE,
        ),
        (
            "ERROR",
            "42501",
            "permission denied for user hunter2",
            RAISE,
        ),
        ("ERROR", "22012", "hunter2 out of range", RAISE),
        (
            "ERROR",
            "22012",
            "hunter2",
            "PL/pgSQL-Funktion f() Zeile 1 bei RAISE",
        ),
        (
            "ERROR",
            "22012",
            "hunter2",
            "PL/pgSQL関数f()の1行目 - RAISE",
        ),
        (
            "ERROR",
            "22012",
            "hunter2",
            "f() PL/pgSQL fonksiyonu, 1. satır, RAISE içinde",
        ),
        (
            "ERROR",
            "22012",
            "hunter2",
            "在RAISE的第1行的PL/pgSQL函数f()",
        ),
        (
            "ERROR",
            "22012",
            "hunter2",
            "PL/pgSQL ფუნქცია f() ხაზზე 1 RAISE-სთან",
        ),
        (
            "ERROR",
            "XX000",
            "plpy.Error: hunter2",
            "Traceback (most recent call last):\n  PL/Python function \"f\", line 2, in <module>\n    plpy.error('hunter2')\nPL/Python function \"f\"",
        ),
        ("ERROR", "XX000", "plpy.Error: hunter2", ""),
        (
            "ERROR",
            "38000",
            "ValueError: hunter2",
            "Traceback (most recent call last):\n  PL/Python function \"f\", line 2, in <module>\n    raise ValueError(hunter2)\nPL/Python function \"f\"",
        ),
        ("FATAL", "XX000", "plpy.Fatal: hunter2", ""),
        (
            "ERROR",
            "38000",
            "hunter2 at line 2.",
            "PL/Perl function \"f\"",
        ),
        ("ERROR", "22012", "hunter2", "PL/Perl anonymous code block"),
        (
            "ERROR",
            "XX000",
            "hunter2",
            "hunter2\n    while executing\n\"error hunter2\"\n    (procedure \"__PLTcl_proc_16390\" line 1)\n    invoked from within\n\"__PLTcl_proc_16390\"\nin PL/Tcl function \"f\"",
        ),
    ] {
        let text = row(
            severity,
            code,
            message,
            "hunter2 it is",
            "try hunter2",
            context,
        );
        let all = report(Redaction::Strict, &text);
        all.assert_shows_nothing(&text);
        assert_eq!(all.get("severity"), Some(severity));
        assert_eq!(all.get("message"), Some("?"), "{text}");
        assert!(
            report(Redaction::Off, &text)
                .get("message")
                .is_some_and(|text| text.contains(SECRET))
        );
    }
}

#[test]
fn a_text_log_that_does_not_name_users_has_no_message_that_cannot_be_told() {
    for line in [
        "2026-11-23 03:34:37.123 UTC [4711] LOG:  hunter2",
        "2026-11-23 03:34:37.123 UTC [4711] DEBUG:  hunter2",
        "2026-11-23 03:34:37.123 UTC [4711] WARNING:  hunter2",
        "2026-11-23 03:34:37.123 UTC [4711] NOTICE:  hunter2",
        "2026-11-23 03:34:37.123 UTC [4711] ERROR:  hunter2",
        "2026-11-23 03:34:37.123 UTC [4711] bob@shop LOG:  hunter2",
    ] {
        let all = report(Redaction::Strict, line);
        all.assert_shows_nothing(line);
    }
    // One that names users where there are any says that this process has none.
    let prefix = pg_log::Prefix::compile("%m [%p] %q%u@%d ").expect("a prefix");
    let mut parser = Parser::with_prefix(prefix);
    let text = "2026-11-23 03:34:37.123 UTC [4711] LOG:  skipped nothing at all";
    let (event, _) = parser.parse(text.as_bytes()).expect("the server's");
    let mut all = All::default();
    Reporter::default().report(&event, &mut Memory::default(), &mut all);
    assert_eq!(all.get("message"), Some("skipped nothing at all"));
}

#[test]
fn the_servers_own_words_stay() {
    for (code, message, context, expected) in [
        (
            "22012",
            "division by zero",
            "PL/pgSQL function f() line 3 at PERFORM",
            "division by zero",
        ),
        (
            "XX000",
            "cache lookup failed for relation 16384",
            "",
            "cache lookup failed for relation 16384",
        ),
        // Of no pattern: the words stay, what may be a value goes.
        (
            "22023",
            "step size cannot equal 46114",
            "",
            "step size cannot equal ?",
        ),
        (
            "42809",
            "\"hunter2\" is not a procedure",
            "",
            "\"?\" is not a procedure",
        ),
        (
            "58030",
            "could not link file \"a\": Permission denied",
            "",
            "could not link file \"?\": Permission denied",
        ),
        ("22030", "odd words: hunter2", "", "odd words: ?"),
    ] {
        let text = row("ERROR", code, message, "", "", context);
        let all = report(Redaction::Strict, &text);
        assert_eq!(all.get("message"), Some(expected), "{text}");
    }
}

#[test]
fn companions_that_come_alone_have_the_author_of_their_message() {
    let head = "2026-11-23 03:34:37.123 UTC [4711] bob@shop ";
    let reporter = Reporter::default();
    let (mut parser, mut memory) = (Parser::new(), Memory::default());
    for line in [
        "WARNING:  hunter2",
        "DETAIL:  hunter2 it is",
        "HINT:  try hunter2",
        "CONTEXT:  hunter2",
    ] {
        let text = format!("{head}{line}");
        let (event, _) = parser.parse(text.as_bytes()).expect("the server's");
        let mut all = All::default();
        reporter.report(&event, &mut memory, &mut all);
        all.assert_shows_nothing(line);
        assert_eq!(all.get("severity"), Some("WARNING"));
    }
}
