//! One error, as each format writes it, is one event.
#![allow(clippy::expect_used, reason = "helpers of tests may panic")]

use pg_log::{Event, Field, Level, Parser, Prefix, Severity};

/// What a field says, in words.
fn value(event: &Event<'_>, field: Field) -> Option<String> {
    let text = event.fields.get(field)?.decode();
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Reads the only entry of a text.
fn only<'t>(parser: &mut Parser, text: &'t str) -> Event<'t> {
    let (event, rest) = parser.parse(text.as_bytes()).expect(text);
    assert_eq!(rest, b"", "{text}");
    event
}

const FIELDS: [(Field, &str); 15] = [
    (Field::UserName, "bob"),
    (Field::DatabaseName, "shop"),
    (Field::ProcessId, "4711"),
    (Field::ClientAddress, "::1"),
    (Field::ClientPort, "39612"),
    (Field::SessionId, "692280b5.1267"),
    (Field::CommandTag, "INSERT"),
    (Field::VirtualTransactionId, "3/17"),
    (Field::TransactionId, "735"),
    (Field::Sqlstate, "23505"),
    (
        Field::Message,
        "duplicate key value violates unique constraint \"t_pkey\"",
    ),
    (Field::Detail, "Key (a)=(x\ny) already exists."),
    (Field::Statement, "INSERT INTO t\nVALUES ('x\ny', \"c\")"),
    (Field::Function, "_bt_check_unique"),
    (Field::Line, "666"),
];

fn assert_is_the_event(event: &Event<'_>) {
    assert_eq!(event.level, Level::Severity(Severity::Error));
    for (field, expected) in FIELDS {
        assert_eq!(value(event, field).as_deref(), Some(expected), "{field:?}");
    }
    assert!(event.faults.is_empty(), "{:?}", event.faults);
}

#[test]
fn a_log_has_a_position_only_if_it_says_how_long_it_waited() {
    let mut parser = Parser::with_prefix(Prefix::compile("%m [%p] ").unwrap());
    let mut position = |message: &str| {
        let text = format!("2026-11-23 03:34:37.123 UTC [4711] LOG:  {message}");
        value(&only(&mut parser, &text), Field::Position)
    };
    for waited in [
        "process 7 still waiting for ShareLock on transaction 735 after 100.126 ms at character 15",
        "プロセス7はShareLockを待機しています。100.126ミリ秒後(15文字目)",
        "プロセス7は650.337 ms後にShareLockを獲得しました(15文字目)",
    ] {
        assert_eq!(position(waited).as_deref(), Some("15"), "{waited}");
    }
    for other in [
        "statement: SELECT 1 AS x at character 15",
        "duration: 1.5 ms  statement: SELECT 1 AS x at character 15",
        "all terms at character 15",
    ] {
        assert_eq!(position(other), None, "{other}");
    }
}

#[test]
fn stderr_with_a_prefix_that_says_it_all() {
    let prefix = "%m|%u|%d|%p|%r|%c|%i|%v|%x|%q ";
    let mut parser = Parser::with_prefix(Prefix::compile(prefix).unwrap());
    let head =
        "2026-11-23 03:34:37.123 UTC|bob|shop|4711|::1(39612)|692280b5.1267|INSERT|3/17|735| ";
    let text = format!(
        "{head}ERROR:  23505: duplicate key value violates unique constraint \"t_pkey\"\n\
         {head}DETAIL:  Key (a)=(x\n\ty) already exists.\n\
         {head}LOCATION:  _bt_check_unique, nbtinsert.c:666\n\
         {head}STATEMENT:  INSERT INTO t\n\tVALUES ('x\n\ty', \"c\")\n"
    );
    assert_is_the_event(&only(&mut parser, &text));
}

#[test]
fn csvlog() {
    let text = "2026-11-23 03:34:37.123 UTC,\"bob\",\"shop\",4711,\"::1:39612\",692280b5.1267,5,\
        \"INSERT\",2026-11-23 03:34:00 UTC,3/17,735,ERROR,23505,\"duplicate key value violates \
        unique constraint \"\"t_pkey\"\"\",\"Key (a)=(x\ny) already exists.\",,,,,\
        \"INSERT INTO t\nVALUES ('x\ny', \"\"c\"\")\",,\"_bt_check_unique, nbtinsert.c:666\",\
        \"psql\",\"client backend\",,0\n";
    assert_is_the_event(&only(&mut Parser::new(), text));
}

#[test]
fn jsonlog() {
    let text = r#"{"timestamp":"2026-11-23 03:34:37.123 UTC","user":"bob","dbname":"shop","pid":4711,"remote_host":"::1","remote_port":39612,"session_id":"692280b5.1267","line_num":5,"ps":"INSERT","session_start":"2026-11-23 03:34:00 UTC","vxid":"3/17","txid":735,"error_severity":"ERROR","state_code":"23505","message":"duplicate key value violates unique constraint \"t_pkey\"","detail":"Key (a)=(x\ny) already exists.","statement":"INSERT INTO t\nVALUES ('x\ny', \"c\")","func_name":"_bt_check_unique","file_name":"nbtinsert.c","file_line_num":666,"application_name":"psql","backend_type":"client backend","query_id":0}"#;
    assert_is_the_event(&only(&mut Parser::new(), text));
}

#[test]
fn cloudnativepg() {
    let text = r#"{"level":"info","ts":"2026-11-23T03:34:37Z","logger":"postgres","msg":"record","record":{"log_time":"2026-11-23 03:34:37.123 UTC","user_name":"bob","database_name":"shop","process_id":"4711","connection_from":"::1:39612","session_id":"692280b5.1267","session_line_num":"5","command_tag":"INSERT","session_start_time":"2026-11-23 03:34:00 UTC","virtual_transaction_id":"3/17","transaction_id":"735","error_severity":"ERROR","sql_state_code":"23505","message":"duplicate key value violates unique constraint \"t_pkey\"","detail":"Key (a)=(x\ny) already exists.","query":"INSERT INTO t\nVALUES ('x\ny', \"c\")","location":"_bt_check_unique, nbtinsert.c:666","application_name":"psql","backend_type":"client backend","query_id":"0"},"logging_pod":"shop-1"}"#;
    assert_is_the_event(&only(&mut Parser::new(), text));
}

#[test]
fn a_row_of_every_version_has_its_columns() {
    let row = |more: &str| {
        format!(
            "2026-11-23 03:34:37.123 UTC,,,1,,2.3,1,,2026-11-23 03:34:00 UTC,,0,LOG,00000,\"m\",,,,,,,,,\"a\"{more}"
        )
    };
    for more in ["", ",\"checkpointer\"", ",\"checkpointer\",,0"] {
        assert!(only(&mut Parser::new(), &row(more)).faults.is_empty());
    }
    let odd = row(",\"checkpointer\",");
    assert!(!only(&mut Parser::new(), &odd).faults.is_empty());
}

#[test]
fn a_row_in_a_language_that_is_not_known_is_still_a_row() {
    for (code, severity) in [
        ("00000", Severity::Log),
        ("01000", Severity::Warning),
        ("22012", Severity::Error),
        ("57P01", Severity::Error),
    ] {
        for text in [
            format!(
                "2026-11-23 03:34:37.123 UTC,,,1,,2.3,1,,2026-11-23 03:34:00 UTC,,0,HIBA,{code},\"x\",,,,,,,,,\"a\",\"b\",,0"
            ),
            format!("{{\"error_severity\":\"HIBA\",\"state_code\":\"{code}\",\"message\":\"x\"}}"),
        ] {
            let event = only(&mut Parser::new(), &text);
            let faults: Vec<_> = event.faults.names().collect();
            assert_eq!(faults, ["severity_unknown"]);
            assert_eq!(event.severity(), Some(severity), "{text}");
        }
    }
}

#[test]
fn what_heroku_drains_is_read_with_its_sqlstate() {
    let long = "time_ms = \"2026-11-23 03:34:37.123 UTC\" pid=\"4711\" proc_start_time=\"2026-11-23 03:34:00 UTC\" session_id=\"692280b5.1267\" vtid=\"3/17\" tid=\"0\" log_line=\"5\" ";
    let session = "database=\"shop\" connection_source=\"10.0.0.1(55000)\" user=\"bob\" application_name=\"psql\" ";
    for carrier in [
        "",
        "[5-1] ",
        "[DATABASE] [5-1] ",
        "app[postgres.4711]: [HEROKU_POSTGRESQL_RED] [5-1] ",
        "2026-11-23T03:34:37+00:00 app[postgres.4711]: [DATABASE] [5-1] ",
    ] {
        for blank in ["", " "] {
            for (values, pid, user) in [
                (String::new(), None, None),
                (long.to_owned(), Some("4711"), None),
                (format!("{long}{session}"), Some("4711"), Some("bob")),
            ] {
                let text =
                    format!("{carrier}{blank}sql_error_code = 28000 {values}FATAL:  no such user");
                let event = only(&mut Parser::new(), &text);
                let has = |field| {
                    let text = event.fields.get(field)?.raw;
                    std::str::from_utf8(text).ok()
                };
                assert_eq!(event.severity(), Some(Severity::Fatal), "{text}");
                assert_eq!(has(Field::Sqlstate), Some("28000"), "{text}");
                assert_eq!(has(Field::Message), Some("no such user"), "{text}");
                assert_eq!(has(Field::ProcessId), pid, "{text}");
                assert_eq!(has(Field::UserName), user, "{text}");
            }
        }
    }
}

#[test]
fn the_line_of_a_script_is_no_process() {
    let event = only(
        &mut Parser::new(),
        "psql:/docker-entrypoint-initdb.d/a.sql:3: NOTICE:  relation \"x\" already exists, skipping",
    );
    assert_eq!(event.severity(), Some(Severity::Notice));
    assert!(event.fields.get(Field::ProcessId).is_none());
}

#[test]
fn a_word_before_an_equals_sign_is_no_user() {
    let event = only(
        &mut Parser::new(),
        "2026-11-23 03:34:37.123 UTC [4711] odd_name = 28000 FATAL:  x",
    );
    assert!(event.fields.get(Field::UserName).is_none());
}

#[test]
fn the_prefixes_of_providers_are_found_out() {
    for (prefix, line) in [
        (
            "%t:%r:%u@%d:[%p]:",
            "2026-11-23 03:34:37 UTC:10.0.0.1(55000):bob@shop:[4711]:ERROR:  x",
        ),
        ("%t-%c-", "2026-11-23 03:34:37 UTC-692280b5.1267-ERROR:  x"),
        (
            "%m [%p]: [%l-1] db=%d,user=%u ",
            "2026-11-23 03:34:37.123 UTC [4711]: [2-1] db=shop,user=bob ERROR:  x",
        ),
        (
            "%m [%p] %q%u@%d ",
            "2026-11-23 03:34:37.123 UTC [4711] bob@shop ERROR:  x",
        ),
        (
            "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
            "2026-11-23 03:34:37 UTC [4711]: [2-1] user=bob,db=shop,app=DBeaver 24, [x],client=fe80::1 ERROR:  x",
        ),
    ] {
        let mut parser = Parser::new();
        let event = only(&mut parser, line);
        assert_eq!(event.level, Level::Severity(Severity::Error));
        assert_eq!(value(&event, Field::Message).as_deref(), Some("x"));
        assert_eq!(parser.prefix().map(Prefix::source), Some(prefix));
    }
}

#[test]
fn lines_of_other_programs_are_not_the_servers() {
    for line in [
        "2026-11-23 03:34:37,123 INFO: no action. I am (shop-0), the leader with the lock",
        "2026-11-23 03:34:37.123 UTC [31] LOG C-0x55: shop/bob@10.0.0.1:55000 login attempt: db=shop user=bob tls=no",
        "2026-11-23 03:34:37.123 UTC [31] WARNING TLS handshake failed",
        "The files belonging to this database system will be owned by user \"postgres\".",
        "PostgreSQL init process complete; ready for start up.",
        "{\"level\":\"info\",\"ts\":\"2026-11-23T03:34:37Z\",\"msg\":\"Starting webhook server\"}",
        "",
        "{",
    ] {
        assert!(Parser::new().parse(line.as_bytes()).is_none(), "{line}");
    }
}

#[test]
fn what_a_runtime_or_syslog_left_before_a_line_is_taken_off() {
    for before in [
        "stdout F ",
        "2026-11-23T03:34:37.123456789Z stderr F ",
        "Nov 23 03:34:37 db1 postgres[4711]: [5-1] ",
        "<134>Nov 23 03:34:37 db1 postgres[4711]: [5-1] ",
        "2026-11-23T03:34:37.123456+00:00 db1 postgres[4711]: [5-1] ",
    ] {
        let text = format!("{before}2026-11-23 03:34:37.123 UTC [4711] bob@shop ERROR:  x");
        let event = only(&mut Parser::new(), &text);
        assert_eq!(
            value(&event, Field::UserName).as_deref(),
            Some("bob"),
            "{before}"
        );
    }
}

#[test]
fn a_companion_on_its_own_says_what_it_is() {
    let line = "2026-11-23 03:34:37.123 UTC [4711] bob@shop STATEMENT:  SELECT 1";
    let event = only(&mut Parser::new(), line);
    assert_eq!(event.severity(), None);
    assert_eq!(value(&event, Field::Statement).as_deref(), Some("SELECT 1"));
}

#[test]
fn another_entry_in_the_same_text_is_left_for_the_next_call() {
    let text = "2026-11-23 03:34:37.123 UTC [1] LOG:  one\n\tmore\n2026-11-23 03:34:37.124 UTC [2] LOG:  two\n";
    let mut parser = Parser::new();
    let (first, rest) = parser.parse(text.as_bytes()).unwrap();
    assert_eq!(value(&first, Field::Message).as_deref(), Some("one\nmore"));
    let (second, rest) = parser.parse(rest).unwrap();
    assert_eq!(value(&second, Field::Message).as_deref(), Some("two"));
    assert!(rest.is_empty());
}

#[test]
fn a_prefix_that_an_application_name_imitates_is_said_to_be_ambiguous() {
    let prefix = Prefix::compile("%m [%p] app=%a ").unwrap();
    let mut parser = Parser::with_prefix(prefix);
    let head = "2026-11-23 03:34:37.123 UTC [1] app=";
    let honest = format!("{head}psql ERROR:  x");
    assert!(only(&mut parser, &honest).faults.is_empty());
    let forged = format!("{head}a PANIC:  all is lost LOG:  statement: SELECT 1");
    assert!(!only(&mut parser, &forged).faults.is_empty());
}

#[test]
fn the_line_that_a_statement_forges_belongs_to_the_statement() {
    let head = "2026-11-23 03:34:37.123 UTC [1] bob@shop ";
    let text = format!("{head}LOG:  statement: SELECT '\n\t{head}PANIC:  x'");
    let event = only(&mut Parser::new(), &text);
    assert_eq!(event.severity(), Some(Severity::Log));
}
