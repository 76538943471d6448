//! Lines of stack traces: which are frames, and which name an error. Whatever else stands in one may be
//! what an error says, and goes.

use super::parting::{rsplit_once, split_once};
use crate::lists::is_any;

/// How names of source files end.
const SOURCES: [&str; 22] = [
    "c", "cc", "clj", "cpp", "cs", "ex", "exs", "fs", "go", "groovy", "java", "js", "jsx", "kt",
    "mjs", "php", "py", "rb", "rs", "scala", "ts", "tsx",
];

/// What Java writes for the place of a frame that it does not know.
const UNKNOWN_PLACES: [&str; 3] = ["Native Method", "Unknown Source", "<generated>"];

/// Whether a line is a frame of Java, .NET or Node (`at f (file:1)`), Python (`File "f", line 1, in g`),
/// Go (`file.go:1 +0x1`), Ruby (`file.rb:1:in 'f'`), Elixir (`(app 1.0) file.ex:1: M.f/1`) or PHP
/// (`#0 file.php(1): f()`), and has room for nothing else.
pub(super) fn is_frame(line: &str) -> bool {
    let line = line.trim();
    if line == "Traceback (most recent call last):" {
        return true;
    }
    if let Some(frame) = line.strip_prefix("at ") {
        return is_frame_behind_at(frame);
    }
    if let Some(frame) = line.strip_prefix("File \"") {
        return is_python_frame(frame);
    }
    if let Some(frame) = line.strip_prefix('#') {
        return is_php_frame(frame);
    }
    is_go_frame(line) || is_ruby_frame(line) || is_elixir_frame(line)
}

fn is_frame_behind_at(frame: &str) -> bool {
    // Java names the archive behind the frame: `~[app.jar:1.0]`.
    let frame = split_once(frame, " ~[").map_or(frame, |(frame, _)| frame);
    if let Some((called, place)) = rsplit_once(frame, " in ") {
        return is_call(called) && is_dotnet_place(place);
    }
    let Some((called, place)) = frame.strip_suffix(')').and_then(|it| split_once(it, "(")) else {
        return is_place(frame);
    };
    let called = called.trim_end();
    let called = ["async ", "new "]
        .iter()
        .find_map(|word| called.strip_prefix(word))
        .unwrap_or(called);
    is_name(called) && (UNKNOWN_PLACES.contains(&place) || is_place(place)) || is_call(frame)
}

/// .NET: `Shop.Cart.Pay(String card, Int32 amount)`.
fn is_call(text: &str) -> bool {
    let Some((name, parameters)) = text.strip_suffix(')').and_then(|it| split_once(it, "(")) else {
        return false;
    };
    let is_parameter = |parameter: &str| {
        let typed = rsplit_once(parameter.trim(), " ");
        typed.is_some_and(|(kind, name)| is_name(kind) && is_name(name))
    };
    name.contains('.')
        && is_name(name)
        && (parameters.is_empty() || parameters.split(',').all(is_parameter))
}

/// .NET: `/src/Cart.cs:line 12`.
fn is_dotnet_place(place: &str) -> bool {
    let found = split_once(place, ":line ");
    found.is_some_and(|(file, line)| is_file(file) && is_number(line))
}

/// `Cart.java:12`, `/src/cart.js:1:2`, `file:///src/cart.js:1:2`, `node:internal/timers:1:2`.
fn is_place(place: &str) -> bool {
    let Some((file, line)) = rsplit_once(place, ":") else {
        return false;
    };
    let file = match rsplit_once(file, ":") {
        Some((file, column)) if is_number(column) => file,
        _ => file,
    };
    let of_node = file.strip_prefix("node:").is_some_and(is_path);
    is_number(line) && (of_node || is_file(file.strip_prefix("file://").unwrap_or(file)))
}

fn is_python_frame(frame: &str) -> bool {
    let parts = split_once(frame, "\", line ")
        .and_then(|(file, rest)| Some((file, split_once(rest, ", in ")?)));
    parts.is_some_and(|(file, (line, called))| {
        let made = file.starts_with('<') && is_name(file);
        (made || is_file(file)) && is_number(line) && is_name(called)
    })
}

fn is_go_frame(line: &str) -> bool {
    let (place, offset) = split_once(line, " +0x").unwrap_or((line, "0"));
    let is_offset = offset.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = rsplit_once(place, ":");
    found.is_some_and(|(file, line)| {
        is_offset && file.ends_with(".go") && is_file(file) && is_number(line)
    })
}

/// Ruby: ``from /app/cart.rb:3:in `pay'``, since 3.4 `/app/cart.rb:3:in 'Cart#pay'`.
fn is_ruby_frame(line: &str) -> bool {
    let line = line.strip_prefix("from ").unwrap_or(line);
    let Some((place, called)) = split_once(line, ":in ") else {
        return false;
    };
    let called = called
        .strip_prefix(['`', '\''])
        .and_then(|it| it.strip_suffix('\''));
    let called = called.map(|it| rsplit_once(it, " in ").map_or(it, |(_, called)| called));
    is_place(place) && called.is_some_and(|it| is_name(it.trim_end_matches(['?', '!', '='])))
}

/// Elixir: `(postgrex 0.17.3) lib/postgrex.ex:340: Postgrex.query!/4`.
fn is_elixir_frame(line: &str) -> bool {
    let frame = match line.strip_prefix('(').and_then(|it| split_once(it, ") ")) {
        Some((application, frame)) if application.split(' ').all(is_part) => frame,
        Some(_) => return false,
        None => line,
    };
    let parts = split_once(frame, ": ")
        .and_then(|(place, called)| Some((place, rsplit_once(called, "/")?)));
    parts.is_some_and(|(place, (called, arity))| {
        let called = called.trim_end_matches(['?', '!']);
        is_place(place) && is_name(called) && arity.len() <= 2 && is_number(arity)
    })
}

/// The name or the version of an application.
fn is_part(text: &str) -> bool {
    is_name(text) || (text.len() <= 12 && text.split('.').all(is_number))
}

/// PHP: `0 /app/cart.php(12): Cart->pay()`. One with arguments in it is none.
fn is_php_frame(frame: &str) -> bool {
    let Some((number, frame)) = split_once(frame, " ") else {
        return false;
    };
    let parts = split_once(frame, "): ")
        .and_then(|(place, called)| Some((rsplit_once(place, "(")?, called.strip_suffix("()")?)));
    let is_call = parts
        .is_some_and(|((file, line), called)| is_file(file) && is_number(line) && is_name(called));
    is_number(number) && (frame == "{main}" || is_call)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A path to a source file, whose own name begins with a letter.
fn is_file(path: &str) -> bool {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let begins = file.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let kind = rsplit_once(file, ".").map(|(_, kind)| kind);
    begins && kind.is_some_and(|kind| is_any(kind.as_bytes(), &SOURCES)) && is_path(path)
}

fn is_path(path: &str) -> bool {
    path.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.$<>/\\:@-+~".contains(&byte))
}

/// Names with dots and the like between them, each of which begins with a letter.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.$<>/\\:[]@-+&`#,".contains(&byte);
    let between = |byte: char| !byte.is_ascii_alphanumeric() && byte != '-';
    let mut parts = text.split(between).filter(|part| !part.is_empty());
    let begins = |part: &str| part.starts_with(|first: char| first.is_ascii_alphabetic());
    // .NET counts parameters of generic types: `List`1`; Java and Kotlin lambdas: `lambda$0`.
    let counts = |part: &str| part.len() <= 2 && is_number(part);
    text.bytes().all(plain)
        && parts.next().is_some_and(begins)
        && parts.all(|part| begins(part) || counts(part))
}

/// The type of an error and what it says, of a line such as `Caused by: java.sql.SQLException: text`.
pub(super) fn error_line(line: &str) -> Option<(&str, &str)> {
    let named = line.strip_prefix("Caused by: ").unwrap_or(line);
    let (name, said) = split_once(named, ": ")?;
    is_error_name(name).then_some((name, said))
}

/// `java.sql.SQLException`, `TypeError`: in a name of one part there are letters only.
fn is_error_name(name: &str) -> bool {
    let last = name.rsplit(['.', ':']).next().unwrap_or(name);
    let named_so = ["Error", "Exception", "Violation"]
        .iter()
        .any(|end| last.ends_with(end));
    let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let qualified = last.len() < name.len();
    named_so
        && last.starts_with(|first: char| first.is_ascii_uppercase())
        && (letters(last) || (qualified && is_name(last)))
        && is_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_in_every_language() {
        for line in [
            "\tat org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2733) ~[postgresql-42.7.jar:42.7]",
            "    at java.base/java.lang.Thread.run(Thread.java:840)",
            "\tat shop.Cart$$Lambda$14.run(Unknown Source)",
            "\tat jdk.internal.Reflect.invoke0(Native Method)",
            "    at Client._handleErrorMessage (/app/node_modules/pg/lib/client.js:410:15)",
            "    at async Object.<anonymous> (file:///app/main.mjs:3:1)",
            "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
            "    at /app/main.js:12:7",
            "   at Npgsql.Internal.NpgsqlConnector.ReadMessage(Boolean async, DataRowLoadingMode mode) in /src/Npgsql.cs:line 12",
            "   at Shop.Cart.Pay()",
            "Traceback (most recent call last):",
            "  File \"/usr/lib/python3/site-packages/psycopg/cursor.py\", line 97, in execute",
            "  File \"<string>\", line 1, in <module>",
            "\t/src/main.go:12 +0x1d",
            "/gems/pg-1.5/lib/pg/connection.rb:12:in `exec_params'",
            "\tfrom /app/cart.rb:3:in `block in pay!'",
            "/app/cart.rb:3:in 'Cart#pay'",
            "    (postgrex 0.17.3) lib/postgrex.ex:340: Postgrex.query!/4",
            "    lib/shop/cart.ex:12: Shop.Cart.pay/2",
            "#0 /app/cart.php(12): PDOStatement->execute()",
            "#1 {main}",
        ] {
            assert!(is_frame(line), "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_a_frame_is_none() {
        for line in [
            "at 4111-1111-1111-1111:1",
            "at hunter2:4111",
            "at 4111.java:1",
            "at a.b(4111)",
            "at hunter2 (4111)",
            "File \"4111\", line 1, in x",
            "File \"a.py\", line 1, in 4111-1111",
            "4111.go:12",
            "hunter2 /src/main.go:12",
            "at card '4111'",
            "#0 /app/cart.php(12): PDO->query('hunter2')",
            "#4111 hunter2",
            "/app/cart.rb:3:in `4111'",
            "4111.rb:3:in 'f'",
            "(4111-1111-1111-1111) lib/x.ex:1: M.f/1",
            "lib/x.ex:1: M.f/4111",
            "",
        ] {
            assert!(!is_frame(line), "{line}");
        }
    }

    #[test]
    fn an_errors_type_is_a_name_and_not_what_it_says() {
        for (line, expected) in [
            (
                "Caused by: java.sql.SQLException: x: y",
                Some(("java.sql.SQLException", "x: y")),
            ),
            (
                "psycopg.errors.UniqueViolation: k",
                Some(("psycopg.errors.UniqueViolation", "k")),
            ),
            ("TypeError: x", Some(("TypeError", "x"))),
            ("hunter2Error: x", None),
            ("4111Error: x", None),
            ("Hunter2Error: x", None),
            ("card 4111 Error: x", None),
            ("'4111'.Error: x", None),
        ] {
            assert_eq!(error_line(line), expected, "{line}");
        }
    }
}
