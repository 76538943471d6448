//! Any `log_line_prefix`, with any values in it, gives the values back; and the prefix itself is found
//! out from the lines.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

use pg_log::{Faults, Field, KNOWN_PREFIXES, Parser, Prefix, Severity, detect};
use proptest::prelude::*;
use proptest::sample::select;

/// The values of one session, as the server has them.
#[derive(Clone, Debug)]
struct Session {
    application: String,
    user: String,
    database: String,
    host: String,
    port: Option<u16>,
    backend: &'static str,
    pid: u32,
    tag: &'static str,
    sqlstate: &'static str,
    line: u32,
    transaction: (u32, u32),
    xid: u32,
    milliseconds: u16,
}

/// What an escape prints, and the field it must come back in.
fn printed(session: &Session, escape: char) -> (String, Option<(Field, String)>) {
    let same = |field, text: String| (text.clone(), Some((field, text)));
    let time = "2026-11-23 03:34:37";
    match escape {
        'a' => same(Field::Application, session.application.clone()),
        'u' => same(Field::UserName, session.user.clone()),
        'd' => same(Field::DatabaseName, session.database.clone()),
        'h' => same(Field::ClientAddress, session.host.clone()),
        'r' => {
            let port = session
                .port
                .map_or(String::new(), |port| format!("({port})"));
            let text = format!("{}{port}", session.host);
            (text, Some((Field::ClientAddress, session.host.clone())))
        }
        'b' => same(Field::BackendType, session.backend.to_owned()),
        'p' => same(Field::ProcessId, session.pid.to_string()),
        'i' => same(Field::CommandTag, session.tag.to_owned()),
        'e' => same(Field::Sqlstate, session.sqlstate.to_owned()),
        'l' => same(Field::SessionLine, session.line.to_string()),
        't' => same(Field::LogTime, format!("{time} UTC")),
        'm' => same(
            Field::LogTime,
            format!("{time}.{:03} +0530", session.milliseconds),
        ),
        'n' => same(
            Field::LogTime,
            format!("1763868877.{:03}", session.milliseconds),
        ),
        's' => same(Field::SessionStart, format!("{time} CET")),
        'c' => same(Field::SessionId, format!("692280b5.{:x}", session.pid)),
        'v' => {
            let (backend, local) = session.transaction;
            same(Field::VirtualTransactionId, format!("{backend}/{local}"))
        }
        'x' => same(Field::TransactionId, session.xid.to_string()),
        'Q' => same(Field::QueryId, (-i64::from(session.xid)).to_string()),
        other => panic!("no escape of the tests: {other}"),
    }
}

/// One escape with its padding, and the literal behind it.
type Part = (char, i16, &'static str);

fn compiled(parts: &[Part]) -> String {
    let escape = |(escape, padding, literal): &Part| match padding {
        0 => format!("%{escape}{literal}"),
        padding => format!("%{padding}{escape}{literal}"),
    };
    parts.iter().map(escape).collect()
}

/// The prefix as the server prints it (`log_status_format` and `process_log_prefix_padding`).
fn print(parts: &[Part], session: &Session) -> String {
    let one = |(escape, padding, literal): &Part| {
        let (text, _) = printed(session, *escape);
        // printf counts bytes.
        let fill = usize::from(padding.unsigned_abs()).saturating_sub(text.len());
        let fill = " ".repeat(fill);
        match padding {
            ..0 => format!("{text}{fill}{literal}"),
            _ => format!("{fill}{text}{literal}"),
        }
    };
    parts.iter().map(one).collect()
}

const OPEN: &str = "audhbi";
const LITERALS: &[&str] = &[" ", ",", "] ", "|", ": ", " - ", "/", "; "];

/// Prefixes in which no field comes twice and each value is followed by something.
fn prefixes() -> impl Strategy<Value = Vec<Part>> {
    let escapes: Vec<char> = "audrbpielmscvxQ".chars().collect();
    let order = Just(escapes).prop_shuffle();
    let more = proptest::collection::vec((select(vec![0_i16, 0, 0, 5, -12]), select(LITERALS)), 15);
    (order, more, 1..12_usize).prop_map(|(escapes, more, count)| {
        let parts = escapes.into_iter().zip(more).take(count);
        parts
            .map(|(escape, (padding, literal))| (escape, padding, literal))
            .collect()
    })
}

/// Names as people and attackers choose them, blanks at the ends aside: padding hides those.
fn names() -> impl Strategy<Value = String> {
    "[!-~]([ -~]{0,20}[!-~])?|[а-я]{1,8}"
}

fn sessions() -> impl Strategy<Value = Session> {
    let hosts = select(vec![
        "10.0.0.1",
        "::1",
        "fe80::1:2",
        "db-client.example.com",
    ]);
    let backends = select(vec!["client backend", "parallel worker", "walsender"]);
    let tags = select(vec![
        "SELECT",
        "idle in transaction",
        "INSERT waiting",
        "authentication",
    ]);
    (
        (names(), names(), names(), hosts, any::<u16>(), backends),
        (
            1..4_000_000_u32,
            tags,
            1..999_u32,
            1..99_u32,
            1..u32::MAX,
            0..1000_u16,
        ),
    )
        .prop_map(
            |(
                (application, user, database, host, port, backend),
                (pid, tag, line, backend_id, xid, milliseconds),
            )| Session {
                application,
                user,
                database,
                host: host.to_owned(),
                port: Some(port),
                backend,
                pid,
                tag,
                sqlstate: "42P01",
                line,
                transaction: (backend_id, line),
                xid,
                milliseconds,
            },
        )
}

/// Whether no value can be taken for its surroundings: none has the literal that follows it, nor a
/// blank where the prefix pads.
fn is_plain(parts: &[Part], session: &Session) -> bool {
    parts.iter().all(|(escape, padding, literal)| {
        let (text, _) = printed(session, *escape);
        let first = format!("{text}{literal}").find(literal);
        let ends_there = first == Some(text.len());
        !OPEN.contains(*escape) || (ends_there && (*padding == 0 || !text.contains(' ')))
    })
}

/// What a prefix may say.
const BEGINNING: [Field; 14] = [
    Field::Application,
    Field::UserName,
    Field::DatabaseName,
    Field::ClientAddress,
    Field::BackendType,
    Field::ProcessId,
    Field::CommandTag,
    Field::Sqlstate,
    Field::SessionLine,
    Field::LogTime,
    Field::SessionStart,
    Field::SessionId,
    Field::VirtualTransactionId,
    Field::TransactionId,
];

/// Whether a prefix keeps to what no line can show: who prints a time prints that of the entry; who
/// prints a number prints the process id, and alone in brackets; and two numbers with a slash between them
/// are a virtual transaction's.
fn is_usual(opening: &str, parts: &[Part]) -> bool {
    let has = |these: &str| parts.iter().any(|(escape, ..)| these.contains(*escape));
    let number = |part: &Part| "plxQv".contains(part.0);
    let joined = |two: &[Part]| number(&two[0]) && two[0].2 == "/" && number(&two[1]);
    let bracketed = opening != "[" || "ptmn".contains(parts[0].0);
    let timed = has("tmn") || !has("s");
    let told = has("p") || !has("lxQ");
    bracketed && timed && told && !parts.windows(2).any(joined)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_prefix_was_printed_with_comes_back(parts in prefixes(), session in sessions()) {
        prop_assume!(is_plain(&parts, &session));
        let source = compiled(&parts);
        let line = format!("{}ERROR:  relation \"t\" does not exist at character 15", print(&parts, &session));
        let mut parser = Parser::with_prefix(Prefix::compile(&source).unwrap());
        let (event, _) = parser.parse(line.as_bytes()).unwrap();
        prop_assert_eq!(event.severity(), Some(Severity::Error));
        for (escape, ..) in &parts {
            if let (_, Some((field, expected))) = printed(&session, *escape) {
                let text = event.fields.get(field).map(|text| text.decode().into_owned());
                let text = text.map(|text| String::from_utf8(text).unwrap());
                prop_assert_eq!(text.as_deref(), Some(expected.as_str()), "{}", source);
            }
        }
    }

    /// A prefix that is found says what a line was printed with, or nothing. Lines in which a value looks
    /// like what follows it are nobody's to judge.
    #[test]
    fn a_prefix_is_found_out_or_not_at_all(
        opening in select(vec!["", "", "[", "< "]),
        parts in prefixes(),
        sessions in proptest::collection::vec(sessions(), 20),
    ) {
        prop_assume!(is_usual(opening, &parts));
        let source = format!("{opening}{}", compiled(&parts));
        let line = |session| format!("{opening}{}LOG:  statement: SELECT 1", print(&parts, session));
        let lines: Vec<String> = sessions.iter().map(line).collect();
        let all: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let Some(found) = detect(&all) else {
            return Ok(());
        };
        let mut parser = Parser::with_prefix(found.prefix.clone());
        for (session, line) in sessions.iter().zip(&all) {
            if !found.prefix.fits(line) || !is_plain(&parts, session) {
                continue;
            }
            let (event, _) = parser.parse(line).unwrap();
            prop_assert_eq!(event.severity(), Some(Severity::Log), "{}", source);
            let put_in: Vec<_> = parts.iter().filter_map(|part| printed(session, part.0).1).collect();
            for (field, text) in event.fields.iter().filter(|(field, _)| BEGINNING.contains(field)) {
                let text = String::from_utf8_lossy(&text.decode()).into_owned();
                prop_assert!(put_in.contains(&(field, text)), "{} taken for {}: {}", source, found.prefix.source(), String::from_utf8_lossy(line));
            }
        }
    }

    #[test]
    fn no_name_changes_the_severity_without_a_warning(
        parts in prefixes(),
        mut session in sessions(),
        forged in select(vec!["x LOG:  y", "PANIC:  ", "] FATAL:  z", "a, ERROR:  b", "HINT:  "]),
    ) {
        session.application = forged.to_owned();
        let line = format!("{}WARNING:  the real one", print(&parts, &session));
        let mut parser = Parser::with_prefix(Prefix::compile(&compiled(&parts)).unwrap());
        if let Some((event, _)) = parser.parse(line.as_bytes()) {
            let right = event.severity() == Some(Severity::Warning);
            prop_assert!(right || event.faults.contains(Faults::AMBIGUOUS_PREFIX), "{}", line);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(prefix in "[ -~]{0,40}", text in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(prefix) = Prefix::compile(&prefix) {
            Parser::with_prefix(prefix).parse(&text);
        }
        Parser::new().parse(&text);
        let _ = detect(&[&text]);
    }
}

/// What a background process quotes may go on like the rest of the prefix, which it does not print.
#[test]
fn a_background_process_is_nobody_whatever_it_quotes() {
    const HEAD: &str = "2026-11-23 03:34:37.123 UTC [4711] ";
    for (prefix, message) in [
        (
            "%m [%p] %q%u@%d ",
            "LOG:  cron job 1 starting: SELECT 'hunter2@x PANIC:  foo'",
        ),
        (
            "%m [%p] %q%u@%d/%a ",
            "LOG:  automatic analyze of table \"s.p.a@b/c PANIC:  x\"",
        ),
        (
            "%m [%p] %q[user=%u,db=%d,app=%a] ",
            "LOG:  x [user=a,db=b,app=c] PANIC:  y",
        ),
    ] {
        for mut parser in [
            Parser::new(),
            Parser::with_prefix(Prefix::compile(prefix).unwrap()),
        ] {
            for _ in 0..2 {
                let line = format!("{HEAD}{message}");
                let (event, _) = parser.parse(line.as_bytes()).unwrap();
                assert_eq!(event.severity(), Some(Severity::Log), "{prefix}: {line}");
                assert!(
                    event.fields.get(Field::UserName).is_none(),
                    "{prefix}: {line}"
                );
                // Those of clients are theirs.
                let ours = prefix.replace("%m [%p] %q", HEAD).replace("%u", "u");
                let ours = ours.replace("%d", "d").replace("%a", "a");
                let line = format!("{ours}ERROR:  division by zero");
                let (event, _) = parser.parse(line.as_bytes()).unwrap();
                assert_eq!(event.severity(), Some(Severity::Error), "{line}");
                assert!(event.fields.get(Field::UserName).is_some(), "{line}");
                assert!(event.faults.is_empty(), "{line}: {:?}", event.faults);
            }
        }
    }
}

/// Prefixes found in guides, distributions' files and answers, beside those the crate knows.
const OTHERS: &[&str] = &[
    "[%m] [%p] %u@%d ",
    "%m [%p] user=%u,db=%d,app=%a,client=%h ",
    "%m [%p] user=%u db=%d host=%h ",
    "%t [%p]: user=%u,db=%d,client=%h ",
    "%t [%p] user=%u db=%d app=%a ",
    "%m pid=%p user=%u db=%d app=%a client=%h ",
    "time=%m pid=%p line=%l user=%u db=%d ",
    "%t [%p]: [%l-1] %u@%d ",
    "%m [%p]: [%l] %u@%d ",
    "%n [%p] %u@%d ",
    "%m [%p] [%c] %u@%d ",
    "%m [%p] %u@%d/%a ",
    "%m [%p] %h %u@%d ",
    "%m [%p] %e ",
    "%m [%p] sqlstate=%e user=%u db=%d ",
    "%m [%p-%l] user=%u,db=%d,app=%a,client=%r ",
    "pid=%p,user=%u,db=%d,app=%a,client=%h ",
    "%m user=%u,db=%d,pid=%p,session=%c ",
    "%t user=%u,db=%d,pid=%p,xid=%x ",
];

fn parts_of(prefix: &str) -> Vec<Part> {
    // The escapes of a prefix and the text between them, the first text in a part of its own.
    let mut parts = Vec::new();
    for piece in prefix.replace("%q", "").split('%').skip(1) {
        let escape = piece.chars().next().unwrap();
        let literal: &'static str = String::leak(piece[1..].to_owned());
        parts.push((escape, 0, literal));
    }
    parts
}

fn lines_of(prefix: &str) -> Vec<(Session, String)> {
    let parts = parts_of(prefix);
    let first = prefix.split('%').next().unwrap();
    let people = ["bob", "alice", "shop_backend", "postgres", "etl-job"];
    let databases = ["shop", "postgres", "warehouse_2", "a-b"];
    let applications = [
        "psql",
        "DBeaver 24.1 - Main",
        "PostgreSQL JDBC Driver",
        "checkout[3]",
    ];
    let hosts = ["10.0.13.7", "::1", "192.168.1.250", "10.0.13.8"];
    let session = |number: usize| Session {
        application: applications[number % 4].to_owned(),
        user: people[number % 5].to_owned(),
        database: databases[number % 4].to_owned(),
        host: hosts[number % 4].to_owned(),
        port: Some(50_000 + u16::try_from(number).unwrap()),
        backend: "client backend",
        pid: 4000 + u32::try_from(number).unwrap(),
        tag: "SELECT",
        sqlstate: if number.is_multiple_of(2) {
            "00000"
        } else {
            "42P01"
        },
        line: 1 + u32::try_from(number).unwrap(),
        transaction: (3, 17),
        xid: 735 + u32::try_from(number).unwrap(),
        milliseconds: 123,
    };
    let line = |number| {
        let session = session(number);
        let line = format!(
            "{first}{}LOG:  statement: SELECT {number}",
            print(&parts, &session)
        );
        (session, line)
    };
    (0..20).map(line).collect()
}

/// Whether a prefix gives the values that another was printed with.
fn is_equivalent(found: &Prefix, prefix: &str) -> bool {
    lines_of(prefix).iter().all(|(session, line)| {
        let mut parser = Parser::with_prefix(found.clone());
        let Some((event, _)) = parser.parse(line.as_bytes()) else {
            return false;
        };
        parts_of(prefix).iter().all(|(escape, ..)| {
            let (_, Some((field, expected))) = printed(session, *escape) else {
                return true;
            };
            let text = event.fields.get(field).unwrap_or_default().decode();
            expected == "00000" || text == expected.as_bytes()
        })
    })
}

#[test]
fn the_prefixes_people_use_are_found_out_from_20_lines() {
    let all: Vec<&str> = KNOWN_PREFIXES.iter().chain(OTHERS).copied().collect();
    let mut missed = Vec::new();
    for prefix in &all {
        let lines = lines_of(prefix);
        let lines: Vec<&[u8]> = lines.iter().map(|(_, line)| line.as_bytes()).collect();
        match detect(&lines) {
            Some(found) if is_equivalent(&found.prefix, prefix) => {}
            Some(found) => missed.push(format!("{prefix:?} taken for {:?}", found.prefix.source())),
            None => missed.push(format!("{prefix:?} not found")),
        }
    }
    assert!(missed.len() * 100 <= all.len(), "{}", missed.join("\n"));
}

#[test]
fn what_is_no_log_of_a_server_has_no_prefix() {
    let lines: Vec<&[u8]> = [
        "2026-11-23 03:34:37,123 INFO: no action. I am (a), the leader",
        "GET /index.html HTTP/1.1 200",
        "",
        "level=info msg=\"LOG:  x\"",
    ]
    .iter()
    .map(|line| line.as_bytes())
    .collect();
    assert!(detect(&lines[..3]).is_none());
}
