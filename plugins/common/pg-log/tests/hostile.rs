//! Lines that somebody made to be misread: nothing of a secret leaves, whatever they imitate.
#![allow(clippy::expect_used, reason = "helpers of tests may panic")]

use pg_log::{Memory, Options, Parser, Redaction, Reporter, Sink};

const HEAD: &str = "2026-11-23 03:34:37.123 UTC [4711] bob@shop ";

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

fn report(redaction: Redaction, text: &str) -> Vec<(String, String)> {
    let mut all = All::default();
    let mut parser = Parser::new();
    let (event, _) = parser.parse(text.as_bytes()).expect("the server's");
    let options = Options {
        redaction,
        ..Options::default()
    };
    Reporter::new(options).report(&event, &mut Memory::default(), &mut all);
    all.0
}

/// What stands in each for data: as a word, and as a number.
const SECRETS: [&str; 2] = ["hunter2", "46114"];

#[test]
fn no_data_leaves_by_a_path_of_its_own() {
    let mut leaks = Vec::new();
    for body in [
        "ERROR:  x\n@DETAIL:  the password is hunter2",
        "WARNING:  well\n@HINT:  try hunter2 instead",
        "ERROR:  P0001: no\n@DETAIL:  46114 and hunter2",
        "ERROR:  invalid input syntax for type json\n@DETAIL:  Token \"hunter2\" is invalid.\n@CONTEXT:  JSON data, line 1: {hunter2, 46114",
        "ERROR:  x\n@CONTEXT:  remote SQL command: SELECT a FROM t WHERE ssn = 46114 AND b = 'hunter2'",
        "ERROR:  x\n@CONTEXT:  Remote SQL command: SELECT a FROM t WHERE ssn = 46114",
        "ERROR:  x\n@CONTEXT:  PL/pgSQL assignment \"x := 46114\"",
        "ERROR:  x\n@CONTEXT:  SQL expression \"x + 46114\"\n\tPL/pgSQL function f() line 3 at IF",
        "ERROR:  x\n@CONTEXT:  PL/pgSQL expression \"x = 46114\"",
        "LOG:  archive command failed with exit code 1\n@DETAIL:  The failed archive command was: PGPASSWORD=hunter2 cp a b",
        "WARNING:  archive_cleanup_command \"PASSWORD=hunter2 pg_archivecleanup\": child process exited with exit code 1",
        "LOG:  could not execute command \"hunter2\"",
        "LOG:  duration: 1.0 ms  plan:\n\tQuery Text: SELECT 46114\n\tForeign Scan on t  (cost=0.00..1.0 rows=1 width=4)\n\t  Remote SQL: SELECT a FROM t WHERE (a = 46114)",
        "LOG:  duration: 1.0 ms  plan:\n\tQuery Text: SELECT 46114\n\tWindowAgg  (cost=0.00..1.0 rows=1 width=4)\n\t  Run Condition: (row_number() OVER (?) <= 46114)\n\t  Order By: (a + 46114)\n\t  Settings: search_path = 'hunter2'",
        "LOG:  duration: 1.0 ms  plan:\n\t{\n\t  \"Query Text\": \"SELECT 46114\",\n\t  \"Plan\": {\n\t    \"Node Type\": \"Seq Scan\",\n\t    \"Filter\": \"(a = 46114)\"\n\t  }\n\t}",
        "LOG:  duration: 1.0 ms  plan:\n\tQuery Text: \"SELECT 46114\"\n\tPlan: \n\t  Node Type: \"Seq Scan\"\n\t  Filter: \"(a = 46114)\"",
        "LOG:  duration: 1.0 ms  plan:\n\t<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n\t  <Query-Text>SELECT 46114 -- hunter2</Query-Text>\n\t  <Plan>\n\t    <Filter>(a = 46114)</Filter>\n\t  </Plan>\n\t</explain>",
        "ERROR:  x\n@CONTEXT:  unnamed portal with parameters: $1 = 'a\n\tPL/pgSQL function f() line 3 at RAISE', $2 = 'hunter2'",
        "LOG:  statement: EXECUTE p\n@DETAIL:  parameters: $1 = 'a\n\tprepare: hunter2', $2 = '46114'",
        "ERROR:  deadlock detected\n@DETAIL:  Process 1 waits for ShareLock on transaction 7; blocked by process 2.\n\tProcess 2 waits for ShareLock on transaction 8; blocked by process 1.\n\tProcess 1: UPDATE t SET a = 'x\n\tProcess 2: hunter2' WHERE b = 46114\n\tProcess 2: SELECT 46114",
        "LOG:  parse tree:\n@DETAIL:     {QUERY \n\t   :constvalue 4 [ 46114 117 ]\n\t   }",
        "LOG:  conflict detected on relation \"public.t\": conflict=insert_exists\n@DETAIL:  Key already exists in unique index \"t_pkey\", modified in transaction 740.\n\tKey (c)=(46114); existing local row (1, hunter2); remote row (46114, hunter2).",
        "ERROR:  duplicate key value violates unique constraint \"c\"\n@DETAIL:  Key (a)=(x) already exists.) hunter2) already exists.",
        "ERROR:  duplicate key value violates unique constraint \"c\"\n@DETAIL:  Key (a)=(hunter2\n\t) already exists.\n\thunter2) already exists.",
        "ERROR:  no partition of relation \"t\" found for row\n@DETAIL:  Partition key of the failing row contains (a) = (hunter2).",
        "ERROR:  conflicting key value violates exclusion constraint \"c\"\n@DETAIL:  Key (a)=(hunter2) conflicts with existing key (a)=(46114).",
        "ERROR:  doppelter Schlüsselwert verletzt Unique-Constraint »c«\n@DETAIL:  Schlüssel »(a)=(hunter2)« existiert bereits.",
        "ERREUR:  x\n@DÉTAIL:  La clé « (a)=(hunter2) » existe déjà.",
        "ERROR:  x\n@DETALLE:  Ya existe la llave (a)=(hunter2).",
        "ОШИБКА:  x\n@ПОДРОБНОСТИ:  Ключ \"(a)=(hunter2)\" уже существует.",
        "ERROR:  x\n@DETAIL:  キー (a)=(hunter2) はすでに存在します。",
        "错误:  x\n@详细信息:  键值\"(a)=(hunter2)\" 已经存在",
        "오류:  x\n@상세정보:  (a)=(hunter2) 키가 이미 있습니다.",
        "ERROR:  x\n@DETAIL:  Chave (a)=(hunter2) já existe.",
        "ERROR:  Verklemmung entdeckt\n@DETAIL:  Prozess 1 wartet auf ShareLock auf Transaktion 5; blockiert von Prozess 2.\n\tProzess 2 wartet auf ShareLock auf Transaktion 6; blockiert von Prozess 1.\n\tProzess 1: UPDATE t SET a = 46114\n\tProzess 2: DELETE FROM t WHERE a = 46114",
        "ERROR:  40P01: Verklemmung entdeckt\n@DETAIL:  Prozess 1 wartet auf ShareLock auf Transaktion 5; blockiert von Prozess 2.\n\tProzess 1: UPDATE t SET a = 46114",
        "ERROR:  23505: doppelter Wert\n@DETAIL:  Schlüssel »(a)=(x\n\thunter2)« existiert bereits.",
        "ERROR:  22012: Division durch Null\n@CONTEXT:  SQL-Anweisung »INSERT INTO t\n\tVALUES (46114, 1/0)«\n\tPL/pgSQL-Funktion f() Zeile 3 bei SQL-Anweisung",
        "LOG:  cron job 1 starting: SELECT 'hunter2', 46114",
        "LOG:  cron job 5 ERROR:  duplicate key value violates unique constraint \"u\"\n\tDETAIL:  Key (email)=(hunter2) already exists.",
        "LOG:  cron job 5 ERROR:  customer hunter2 is bad",
        "LOG:  cron job 5 FATAL:  hunter2\n",
        "LOG:  cron job 5: ERROR: customer hunter2: 46114",
        "LOG:  AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.t,\"SELECT \"\"it's\"\", 'hunter2', \"\"it's\"\", 46114 FROM t\",<not logged>",
        "LOG:  AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.t,\"SELECT \"\"x--\"\", 'a\n\thunter2', 46114 FROM t\",<not logged>",
        "LOG:  duration: 1.0 ms  plan:\n\tQuery Text: SELECT 46114\n\tForeign Scan on t  (cost=0.00..1.0 rows=1 width=4)\n\t  Foreign Program: curl -u bob:hunter2\n\t  Foreign File: /data/46114.csv",
        "LOG:  AUDIT: SESSION,1,1,WRITE,INSERT,,,\"INSERT INTO t VALUES ('hunter2\n\t46114",
        "LOG:  AUDIT: SESSION,1,1,ROLE,ALTER ROLE,,,ALTER ROLE a PASSWORD 'hunter2',<not logged>",
        "LOG:  AUDIT: SESSION,1,1,READ,SELECT,,,select $1,\"46114,\"\"hunter2\"\"\"",
        "ERROR:  syntax error at or near \"hunter2\" at character 8",
        "ERROR:  unterminated quoted string at or near \"'hunter2\n\tx\" at character 8",
        "ERROR:  22P02: invalid input syntax for type integer: \"hunter2\" and \"46114\"",
        "ERROR:  value \"46114\" is out of range for type smallint",
        "LOG:  statement: CREATE USER MAPPING FOR a SERVER s OPTIONS (password 'hunter2')",
        "LOG:  statement: CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter2' PUBLICATION p",
        "LOG:  duration: 1 ms  bind <unnamed>: SELECT $1\n@DETAIL:  parameters: $1 = 'hunter2', $2 = '46114', $3 = 'it''s\n\t46114",
        "LOG:  execute fetch from p/c: SELECT 'hunter2'",
        // A node of a plan that stands in a string.
        "LOG:  duration: 1.0 ms  plan:\n\tQuery Text: SELECT 'a\n\tSeq Scan on b  (cost=0.00..1.0 rows=1 width=4)\n\thunter2', 46114\n\tResult  (cost=0.00..1.0 rows=1 width=4)",
        "LOG:  duration: 1.0 ms  plan:\n\tQuery Text: SELECT 'it\\'s hunter2', 'b'\n\tResult  (cost=0.00..1.0 rows=1 width=4)\n\t  Filter: (a = 'it''s hunter2'::text)",
        "LOG:  duration: 1.0 ms  plan:\n\tQuery Text: SELECT f\n\tf  (cost=46114)\n\tResult  (cost=0.00..1.0 rows=1 width=4)",
        // A name with commas shifts pgaudit's columns.
        "LOG:  AUDIT: SESSION,1,1,WRITE,INSERT,TABLE,\"public.\"\"a,b\"\"\",\"INSERT INTO t VALUES ('x')\",\"46114,hunter2\"",
        "LOG:  AUDIT: SESSION,1,1,WRITE,INSERT,TABLE,a,INSERT INTO t VALUES (1),x,hunter2",
        // What a library says of what it was given.
        "ERROR:  could not connect to the primary server: missing \"=\" after \"hunter2\" in connection info string",
        "LOG:  authentication option not in name=value format: hunter2",
        // Literals of the schema, keys of advisory locks, files of a statement.
        "ERROR:  duplicate key value violates unique constraint \"c\"\n@DETAIL:  Key ((a || 'hunter2'::text), (46114))=(x) already exists.",
        "LOG:  process 1 still waiting for ExclusiveLock on advisory lock [5,0,46114,1] after 1000.1 ms",
        "ERROR:  deadlock detected\n@DETAIL:  Process 1 waits for ExclusiveLock on advisory lock [5,0,46114,1]; blocked by process 2.",
        "ERROR:  could not access file \"hunter2\": No such file or directory",
        "ERROR:  could not open file \"/tmp/hunter2\" for reading: No such file or directory",
        "ERROR:  x\n@CONTEXT:  WAL redo at 0/3000060 for LogicalMessage/MESSAGE: transactional, prefix \"p\"; payload (5 bytes): 46114",
        // Values that no quotes are around, in another language, and in a string constant.
        "ERROR:  22P02: ungültige Eingabe\n@CONTEXT:  JSON-Daten, Zeile 1: hunter2...",
        "ERROR:  22023: setseed parameter 46114 is out of allowed range [-1,1]",
        "ERROR:  22023: odd constant E'hunter2'",
        "ERROR:  22012: x\n@DETAIL:  the value was 46114.",
        "ERROR:  22012: x\n\thunter2 goes on",
        // The prefix is not sure: an application's name imitates a message that takes whatever follows.
        "LOG:  checkpoint starting: LOG:  statement: SELECT 'hunter2'",
        // Lines of another process that came in between.
        "LOG:  connection authorized: user=app database=shop\n\tVALUES ('hunter2', 46114)",
        "LOG:  automatic analyze of table \"shop.public.t\"\n\tVALUES ('hunter2', 46114)",
    ] {
        let text = format!("{HEAD}{}\n", body.replace('@', HEAD));
        for (name, value) in report(Redaction::Strict, &text) {
            if SECRETS.iter().any(|secret| value.contains(secret)) {
                leaks.push(format!("{body}\n    {name}: {value}"));
            }
        }
        // The test can fail: with nothing taken out, the text has a secret.
        let all = report(Redaction::Off, &text);
        let seen =
            |(_, value): &(String, String)| SECRETS.iter().any(|secret| value.contains(secret));
        assert!(all.iter().any(seen), "{body}: {all:?}");
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn a_detail_of_raise_on_a_line_of_its_own_is_not_believed() {
    for error in ["ERROR:  x", "ERROR:  P0001: relation \"t\" does not exist"] {
        let reporter = Reporter::default();
        let (mut parser, mut memory) = (Parser::new(), Memory::default());
        let mut of = |line: &str| {
            let text = format!("{HEAD}{line}");
            let (event, _) = parser.parse(text.as_bytes()).expect("the server's");
            let mut all = All::default();
            reporter.report(&event, &mut memory, &mut all);
            all.0
        };
        of(error);
        for line in ["DETAIL:  hunter2 it is", "HINT:  try hunter2"] {
            let left = of(line);
            assert!(
                left.iter().all(|(_, value)| !value.contains("hunter2")),
                "{error}: {left:?}"
            );
        }
    }
}
