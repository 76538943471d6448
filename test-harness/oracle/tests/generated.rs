//! Statements from a generator: random nesting of common table expressions, sub-selects, set
//! operations, comments and literals in all forms. The server's parser takes every one of them.

use oracle::fingerprints::{exception, of_libpg_query};
use oracle::{Verdict, judge};
use pg_sql::{Lexer, LexerOptions, Token, TokenKind, fingerprint};
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::test_runner::TestRunner;
use std::cell::Cell;

/// Relations, some of which common table expressions are named after too.
fn relation() -> impl Strategy<Value = String> {
    pick(&[
        "t",
        "T",
        "\"T\"",
        "\"a\"\"b\"",
        "s.t",
        "S . \"T\"",
        "d.s.t",
        "u",
        "x",
        "y",
        "z",
        "U&\"\\0061b\"",
        "U&\"!0074\" UESCAPE '!'",
        "values_",
        "année",
        "temp",
        "only_",
        "lateral_",
        "set",
        "select_",
        "recursive",
        "tables",
        "over",
        "filter",
    ])
}

fn expression_name() -> impl Strategy<Value = String> {
    pick(&[
        "x",
        "y",
        "z",
        "X",
        "\"x\"",
        "t",
        "\"T\"",
        "u",
        "recursive",
        "u&\"\\0079\"",
    ])
}

fn function() -> impl Strategy<Value = String> {
    pick(&[
        "f",
        "F",
        "s.f",
        "\"F\"",
        "lower",
        "left",
        "now",
        "count",
        "pg_catalog.now",
        "cube",
        "rollup",
        "year",
        "t",
    ])
}

fn column() -> impl Strategy<Value = String> {
    pick(&[
        "a",
        "b",
        "t.a",
        "\"select\"",
        "x.y.z",
        "position",
        "t.\"from\"",
        "year",
        "values",
        "row",
        "time",
        "interval",
        "date",
        "over",
        "a.select",
        "escape",
        "format",
        "excluded.a",
        "current",
        "of",
        "within_",
        "json",
        "none",
        "text",
        "public.t.from",
    ])
}

fn literal() -> impl Strategy<Value = String> {
    pick(&[
        "1",
        "-2.5e3",
        "0x1f",
        "1_000",
        "'text'",
        "'it''s (select from nowhere)'",
        "E'\\' from q'",
        "'a' -- from b\n'c'",
        "$$ from b; delete from c $$",
        "$q$ $$ ; $q$",
        "B'01'",
        "X'1F'",
        "N'x'",
        "U&'\\0041'",
        "U&'!0041' UESCAPE '!'",
        "true",
        "null",
        "$1",
        "interval '1 day'",
        "interval(3) '1'",
        "date '2024-01-01'",
        "timestamp(3) with time zone '2024-01-01'",
        "double precision '1'",
        "numeric(4,2) '1'",
        "char 'x'",
        "bit varying(3) '1'",
        "'\\'",
        "json '{}'",
        "national character varying(3) 'x'",
        "time with time zone '1:00'",
    ])
}

fn blank() -> impl Strategy<Value = String> {
    pick(&[
        " ",
        "\n",
        "\t",
        " /* from nowhere */ ",
        " -- delete from c\n",
        " /* /* ; */ ' */ ",
    ])
}

fn typename() -> impl Strategy<Value = String> {
    pick(&[
        "int",
        "numeric(10, 2)",
        "text[]",
        "s.kind",
        "double precision",
        "timestamp(3) with time zone",
        "interval year to month",
        "int[3][]",
        "character varying(4)",
        "bit(3)",
        "int array[4]",
        "time without time zone",
        "setof_",
        "interval second(2)",
    ])
}

fn pick(words: &'static [&'static str]) -> impl Strategy<Value = String> + use<> {
    proptest::sample::select(words).prop_map(str::to_owned)
}

/// Words with random blanks between them.
fn spaced(template: &'static str, parts: Vec<BoxedStrategy<String>>) -> BoxedStrategy<String> {
    (parts, blank())
        .prop_map(move |(parts, blank)| {
            let mut out = String::new();
            let mut parts = parts.into_iter();
            for piece in template.split(' ') {
                if !out.is_empty() {
                    out.push_str(&blank);
                }
                out.push_str(&match piece {
                    "_" => parts.next().expect("as many parts as places"),
                    word => word.to_owned(),
                });
            }
            out
        })
        .boxed()
}

fn one_of(choices: Vec<BoxedStrategy<String>>) -> BoxedStrategy<String> {
    Union::new(choices).boxed()
}

fn expression(depth: u32) -> BoxedStrategy<String> {
    let leaf = one_of(vec![literal().boxed(), column().boxed(), literal().boxed()]);
    if depth == 0 {
        return leaf;
    }
    let e = || expression(depth - 1);
    let q = || query(depth - 1);
    let mut choices: Vec<BoxedStrategy<String>> = vec![
        leaf.clone(),
        leaf,
        spaced("_ + _", vec![e(), e()]),
        spaced("( _ ) AND NOT _", vec![e(), e()]),
        spaced("_ OR _ IS NOT NULL", vec![e(), e()]),
        spaced("_ IS DISTINCT FROM _", vec![e(), e()]),
        spaced("( _ , _ )", vec![e(), e()]),
        spaced("_ IN ( _ , _ )", vec![e(), e(), e()]),
        spaced("_ NOT IN ( _ )", vec![e(), q()]),
        spaced("_ = ANY ( _ )", vec![e(), q()]),
        spaced("( _ )", vec![q()]),
        spaced("( ( _ ) )", vec![q()]),
        spaced("( ( _ ) UNION ( _ ) ORDER BY 1 LIMIT 2 )", vec![q(), q()]),
        spaced("( ( _ ) + _ )", vec![q(), e()]),
        spaced("EXISTS ( _ )", vec![q()]),
        spaced("ARRAY ( _ )", vec![q()]),
        spaced("ARRAY [ _ , _ ]", vec![e(), e()]),
        spaced("ROW ( _ , _ )", vec![e(), e()]),
        spaced("CASE WHEN _ THEN _ ELSE _ END", vec![e(), e(), e()]),
        spaced("CASE _ WHEN _ THEN _ END", vec![e(), e(), e()]),
        spaced("CAST ( _ AS _ )", vec![e(), typename().boxed()]),
        spaced("( _ ) :: _", vec![e(), typename().boxed()]),
        spaced(
            "_ :: _ [] IS NULL",
            vec![literal().boxed(), pick(&["int", "text"]).boxed()],
        ),
        spaced("( _ ) [ _ ]", vec![e(), e()]),
        spaced(
            "( _ ) [ _ : _ ] . a",
            vec![e(), column().boxed(), column().boxed()],
        ),
        spaced("_ ( )", vec![function().boxed()]),
        spaced("_ ( _ , _ )", vec![function().boxed(), e(), e()]),
        spaced(
            "_ ( DISTINCT _ ORDER BY _ DESC NULLS LAST )",
            vec![function().boxed(), e(), e()],
        ),
        spaced(
            "_ ( n => _ , VARIADIC _ )",
            vec![function().boxed(), e(), e()],
        ),
        spaced(
            "count( * ) FILTER ( WHERE _ ) OVER ( PARTITION BY _ ORDER BY _ ROWS BETWEEN _ PRECEDING AND CURRENT ROW )",
            vec![e(), e(), e(), literal().boxed()],
        ),
        spaced("_ ( _ ) OVER w", vec![function().boxed(), e()]),
        spaced(
            "_ ( _ ) WITHIN GROUP ( ORDER BY _ )",
            vec![function().boxed(), e(), e()],
        ),
        spaced("extract( year FROM _ )", vec![e()]),
        spaced("substring( _ FROM _ FOR _ )", vec![e(), e(), e()]),
        spaced("trim( BOTH _ FROM _ )", vec![e(), e()]),
        spaced("overlay( _ PLACING _ FROM _ )", vec![e(), e(), e()]),
        spaced("coalesce( _ , _ )", vec![e(), e()]),
        spaced(
            "_ AT TIME ZONE _",
            vec![column().boxed(), literal().boxed()],
        ),
        spaced("_ LIKE _ ESCAPE '!'", vec![e(), literal().boxed()]),
        spaced(
            "_ NOT BETWEEN SYMMETRIC _ AND _",
            vec![column().boxed(), literal().boxed(), literal().boxed()],
        ),
        spaced("_ COLLATE \"C\"", vec![column().boxed()]),
        spaced("_ OPERATOR(pg_catalog.+) _", vec![e(), e()]),
        spaced("- _", vec![e()]),
        spaced("NOT _", vec![e()]),
        spaced(
            "json_object( 'k' VALUE _ , _ : _ RETURNING jsonb )",
            vec![e(), literal().boxed(), literal().boxed()],
        ),
        spaced("json_array( _ NULL ON NULL )", vec![literal().boxed()]),
        spaced(
            "xmlelement( NAME from , xmlattributes( _ AS select ) , _ )",
            vec![e(), e()],
        ),
    ];
    choices.push(spaced("( _ ) IS NOT JSON", vec![e()]));
    one_of(choices)
}

fn from_item(depth: u32) -> BoxedStrategy<String> {
    let plain = || relation().boxed();
    let alias = || pick(&["", "AS q", "q", "AS q (c1, c2)", "AS \"from\"", "q (a)"]).boxed();
    if depth == 0 {
        return spaced("_ _", vec![plain(), alias()]);
    }
    let item = || from_item(depth - 1);
    let e = || expression(depth - 1);
    one_of(vec![
        spaced("_ _", vec![plain(), alias()]),
        spaced("ONLY _ _", vec![plain(), alias()]),
        spaced("ONLY ( _ )", vec![plain()]),
        spaced("_ *", vec![plain()]),
        spaced(
            "( _ ) _",
            vec![
                query(depth - 1),
                pick(&["q", "AS q (a, b)", "AS q"]).boxed(),
            ],
        ),
        spaced("LATERAL ( _ ) q", vec![query(depth - 1)]),
        spaced(
            "( ( _ ) UNION ALL ( _ ) ) q",
            vec![query(depth - 1), query(depth - 1)],
        ),
        spaced(
            "( ( _ JOIN _ ON _ ) CROSS JOIN _ )",
            vec![item(), item(), e(), item()],
        ),
        spaced("_ JOIN _ ON _", vec![item(), item(), e()]),
        spaced(
            "_ JOIN _ JOIN _ ON _ ON _",
            vec![item(), item(), item(), e(), e()],
        ),
        spaced("_ NATURAL LEFT OUTER JOIN _", vec![item(), item()]),
        spaced("_ FULL JOIN _ USING ( a , b ) AS j", vec![item(), item()]),
        spaced("_ CROSS JOIN _", vec![item(), item()]),
        spaced(
            "_ ( _ ) WITH ORDINALITY AS q ( a , b )",
            vec![function().boxed(), e()],
        ),
        spaced(
            "_ ( _ ) AS ( a int , b text COLLATE \"C\" )",
            vec![function().boxed(), e()],
        ),
        spaced(
            "ROWS FROM ( _ ( _ ) , f ( ) AS ( a int ) ) q",
            vec![function().boxed(), e()],
        ),
        spaced(
            "_ TABLESAMPLE system ( _ ) REPEATABLE ( 1 )",
            vec![plain(), literal().boxed()],
        ),
        spaced(
            "JSON_TABLE( _ , '$' COLUMNS ( a int PATH '$.a' , NESTED '$.b' COLUMNS ( b text ) ) ) q",
            vec![e()],
        ),
        spaced(
            "XMLTABLE( '/a' PASSING _ COLUMNS a int PATH 'a' DEFAULT 1 NOT NULL , o FOR ORDINALITY ) q",
            vec![column().boxed()],
        ),
        spaced("current_date q", vec![]),
    ])
}

fn with(depth: u32) -> BoxedStrategy<String> {
    let recursive = pick(&["", "RECURSIVE"]).boxed();
    let body = || one_of(vec![query(depth), written(depth)]);
    let materialized = pick(&["", "MATERIALIZED", "NOT MATERIALIZED"]).boxed();
    one_of(vec![
        spaced(
            "WITH _ _ AS _ ( _ )",
            vec![
                recursive.clone(),
                expression_name().boxed(),
                materialized,
                body(),
            ],
        ),
        spaced(
            "WITH _ _ ( a ) AS ( _ ) , _ AS ( _ )",
            vec![
                recursive.clone(),
                expression_name().boxed(),
                body(),
                expression_name().boxed(),
                body(),
            ],
        ),
        spaced(
            "WITH _ _ AS ( _ ) SEARCH DEPTH FIRST BY a SET o CYCLE a SET c TO 1 DEFAULT 0 USING p , _ AS ( _ )",
            vec![
                recursive,
                expression_name().boxed(),
                body(),
                expression_name().boxed(),
                body(),
            ],
        ),
    ])
}

/// A query that returns rows.
fn query(depth: u32) -> BoxedStrategy<String> {
    if depth == 0 {
        return one_of(vec![
            spaced(
                "SELECT _ FROM _",
                vec![column().boxed(), relation().boxed()],
            ),
            spaced("TABLE _", vec![relation().boxed()]),
            spaced("VALUES ( _ )", vec![literal().boxed()]),
        ]);
    }
    let e = || expression(depth - 1);
    let q = || query(depth - 1);
    let f = || from_item(depth - 1);
    let target = one_of(vec![
        pick(&["*", "t.*", "DISTINCT a", "DISTINCT ON (a) b"]).boxed(),
        spaced("_ AS select , _ label", vec![e(), column().boxed()]),
        spaced("_ AS \"from\"", vec![e()]),
        spaced("_", vec![e()]),
    ]);
    one_of(vec![
        spaced(
            "SELECT _ FROM _ , _ WHERE _",
            vec![target.clone(), f(), f(), e()],
        ),
        spaced(
            "SELECT _ FROM _ GROUP BY ROLLUP ( a , _ ) , GROUPING SETS ( ( ) , ( a , b ) ) HAVING _ WINDOW w AS ( ORDER BY a ) ORDER BY _ USING < NULLS FIRST",
            vec![target.clone(), f(), e(), e(), e()],
        ),
        spaced(
            "SELECT _ FROM _ LIMIT _ OFFSET _ FOR UPDATE SKIP LOCKED",
            vec![target.clone(), f(), literal().boxed(), literal().boxed()],
        ),
        spaced("SELECT _ FROM _ FETCH FIRST 3 ROWS ONLY", vec![target, f()]),
        spaced("SELECT", vec![]),
        spaced("SELECT FROM _", vec![f()]),
        spaced("_ UNION ALL _", vec![q0(), q0()]),
        spaced("( _ ) EXCEPT DISTINCT _ ORDER BY 1", vec![q(), q0()]),
        spaced("( _ )", vec![q()]),
        spaced("( ( _ ) INTERSECT ( _ ) ) LIMIT 1", vec![q(), q()]),
        spaced("_ _", vec![with(depth - 1), q()]),
        spaced("VALUES ( _ , _ ) , ( _ , DEFAULT )", vec![e(), e(), e()]),
    ])
}

fn q0() -> BoxedStrategy<String> {
    spaced(
        "SELECT _ FROM _ WHERE _",
        vec![column().boxed(), relation().boxed(), literal().boxed()],
    )
}

/// A statement that writes rows.
fn written(depth: u32) -> BoxedStrategy<String> {
    let e = || expression(depth);
    let f = || from_item(depth);
    let r = || relation().boxed();
    let returning = || {
        pick(&[
            "",
            "RETURNING *",
            "RETURNING a AS from, b",
            "RETURNING WITH (OLD AS o, NEW AS n) o.a",
        ])
        .boxed()
    };
    one_of(vec![
        spaced(
            "INSERT INTO _ VALUES ( _ , DEFAULT ) _",
            vec![r(), e(), returning()],
        ),
        spaced(
            "INSERT INTO _ AS q ( a , b [ 1 ] . c ) _ ON CONFLICT ( a , lower ( b ) ) WHERE _ DO UPDATE SET a = _ , ( b , c ) = ( _ ) WHERE _ _",
            vec![r(), query(depth), e(), e(), query(depth), e(), returning()],
        ),
        spaced(
            "INSERT INTO _ ( _ ) ON CONFLICT ON CONSTRAINT k DO NOTHING",
            vec![r(), query(depth)],
        ),
        spaced(
            "INSERT INTO _ ( values ) OVERRIDING SYSTEM VALUE _",
            vec![r(), query(depth)],
        ),
        spaced("INSERT INTO _ DEFAULT VALUES _", vec![r(), returning()]),
        spaced(
            "UPDATE _ SET a = _ , ( b , c ) = ROW ( _ , DEFAULT ) FROM _ WHERE _ _",
            vec![r(), e(), e(), f(), e(), returning()],
        ),
        spaced(
            "UPDATE ONLY _ AS q SET a . b = _ _",
            vec![r(), e(), returning()],
        ),
        spaced(
            "UPDATE _ * q SET a [ 1 ] = DEFAULT WHERE CURRENT OF c",
            vec![r()],
        ),
        spaced(
            "DELETE FROM _ USING _ WHERE _ _",
            vec![r(), f(), e(), returning()],
        ),
        spaced("DELETE FROM _ q _", vec![r(), returning()]),
        spaced("DELETE FROM ONLY ( _ ) AS q WHERE _", vec![r(), e()]),
        spaced(
            "MERGE INTO _ AS q USING _ ON _ WHEN MATCHED AND _ THEN UPDATE SET a = _ WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT ( a ) OVERRIDING USER VALUE VALUES ( _ ) _",
            vec![r(), f(), e(), e(), e(), e(), returning()],
        ),
        spaced(
            "MERGE INTO ONLY _ USING ( _ ) s ON true WHEN MATCHED THEN DO NOTHING",
            vec![r(), query(depth)],
        ),
    ])
}

/// Statements that hold others.
fn statement() -> BoxedStrategy<String> {
    let inner = || {
        one_of(vec![
            query(2),
            written(1),
            spaced("_ _", vec![with(1), written(1)]),
            spaced("_ _", vec![with(1), query(1)]),
        ])
    };
    let r = || relation().boxed();
    one_of(vec![
        inner(),
        inner(),
        inner(),
        spaced("EXPLAIN _", vec![inner()]),
        spaced("EXPLAIN ANALYZE VERBOSE _", vec![inner()]),
        spaced(
            "EXPLAIN ( ANALYZE off , COSTS false , FORMAT json ) _",
            vec![inner()],
        ),
        spaced("PREPARE p ( int , text ) AS _", vec![inner()]),
        spaced("DECLARE c NO SCROLL CURSOR WITH HOLD FOR _", vec![query(2)]),
        spaced(
            "CREATE TEMP TABLE _ ( a , b ) WITH ( fillfactor = 70 ) ON COMMIT DROP AS _ WITH NO DATA",
            vec![r(), query(1)],
        ),
        spaced(
            "CREATE MATERIALIZED VIEW IF NOT EXISTS _ AS _ WITH DATA",
            vec![r(), query(1)],
        ),
        spaced(
            "CREATE OR REPLACE VIEW _ ( a ) WITH ( security_barrier ) AS _ WITH LOCAL CHECK OPTION",
            vec![r(), query(1)],
        ),
        spaced(
            "CREATE RECURSIVE VIEW _ ( a ) AS _",
            vec![pick(&["x", "s.x", "t"]).boxed(), query(1)],
        ),
        spaced("COPY ( _ ) TO STDOUT WITH ( FORMAT csv )", vec![inner()]),
        spaced(
            "COPY _ ( a , b ) FROM '/tmp/f' WITH ( HEADER ) WHERE _",
            vec![r(), expression(1)],
        ),
        spaced(
            "CREATE RULE r AS ON UPDATE TO _ WHERE _ DO ALSO ( _ ; _ ; NOTIFY n )",
            vec![r(), expression(1), written(0), query(1)],
        ),
        spaced(
            "CREATE FUNCTION f ( IN a int DEFAULT _ , OUT b text ) LANGUAGE sql BEGIN ATOMIC _ ; _ ; END",
            vec![expression(1), written(0), query(1)],
        ),
        spaced(
            "CREATE FUNCTION f ( ) RETURNS int RETURN _",
            vec![expression(2)],
        ),
        spaced(
            "CREATE TABLE _ ( a int DEFAULT _ NOT NULL CHECK ( _ ) , b text COLLATE \"C\" REFERENCES _ ( a ) ON DELETE SET NULL , EXCLUDE USING gist ( a WITH = ) WHERE ( _ ) , LIKE _ INCLUDING ALL ) INHERITS ( _ )",
            vec![
                r(),
                literal().boxed(),
                expression(1),
                r(),
                expression(1),
                r(),
                r(),
            ],
        ),
        spaced(
            "CREATE UNIQUE INDEX CONCURRENTLY i ON ONLY _ USING btree ( a , lower ( b ) text_ops DESC NULLS LAST , ( _ ) ) INCLUDE ( c ) WHERE _",
            vec![r(), expression(1), expression(1)],
        ),
        spaced(
            "CREATE POLICY p ON _ AS PERMISSIVE FOR ALL TO PUBLIC USING ( _ ) WITH CHECK ( _ )",
            vec![r(), expression(1), expression(1)],
        ),
        spaced(
            "CREATE TRIGGER g AFTER INSERT OR UPDATE OF a ON _ REFERENCING NEW TABLE AS n FOR EACH ROW WHEN ( _ ) EXECUTE FUNCTION f ( 1 , 'x' )",
            vec![r(), expression(1)],
        ),
        spaced(
            "ALTER TABLE IF EXISTS ONLY _ ADD COLUMN a int DEFAULT _ , ALTER b TYPE text USING _ , ADD CONSTRAINT k FOREIGN KEY ( a ) REFERENCES _ , DROP c , OWNER TO o",
            vec![r(), literal().boxed(), expression(1), r()],
        ),
        spaced(
            "ALTER TABLE _ ATTACH PARTITION _ FOR VALUES FROM ( _ ) TO ( MAXVALUE )",
            vec![r(), r(), literal().boxed()],
        ),
        spaced(
            "TRUNCATE TABLE ONLY _ , _ RESTART IDENTITY CASCADE",
            vec![r(), r()],
        ),
        spaced(
            "LOCK TABLE _ , ONLY _ IN ACCESS EXCLUSIVE MODE NOWAIT",
            vec![r(), r()],
        ),
        spaced(
            "GRANT SELECT ( a , b ) , INSERT ON TABLE _ , _ TO PUBLIC WITH GRANT OPTION",
            vec![r(), r()],
        ),
        spaced("DROP TABLE IF EXISTS _ , _ CASCADE", vec![r(), r()]),
        spaced("COMMENT ON COLUMN s . t . a IS 'from x'", vec![]),
        spaced("VACUUM ( FULL , ANALYZE ) _ ( a ) , _", vec![r(), r()]),
        spaced("CALL f ( _ , _ )", vec![expression(1), expression(1)]),
        spaced(
            "SELECT _ INTO TEMP TABLE _ FROM _",
            vec![expression(1), r(), from_item(1)],
        ),
        spaced(
            "CREATE PUBLICATION p FOR TABLE _ ( a ) WHERE ( _ ) , _ , TABLES IN SCHEMA s",
            vec![r(), expression(1), r()],
        ),
        spaced("DO $$ delete from t $$", vec![]),
    ])
}

#[test]
fn what_is_said_to_be_complete_is_right_and_generated_statements_are_complete() {
    let mut runner = TestRunner::new(config());
    let refused = Cell::new(0_u32);
    let outcome = runner.run(&statement(), |text| {
        match judge(&text) {
            Verdict::Wrong(why) => prop_assert!(false, "{text}\n{}", why.join("\n")),
            Verdict::Incomplete => prop_assert!(false, "incomplete: {text}"),
            Verdict::Refused => refused.set(refused.get() + 1),
            Verdict::Right => {}
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // What the server refuses judges nothing: the generator must not drift into it.
    assert!(
        refused.get() < config().cases / 5,
        "{} of {} refused",
        refused.get(),
        config().cases
    );
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn statements_with_a_token_lost_doubled_or_replaced_are_right_or_incomplete(
        text in statement(),
        at in any::<proptest::sample::Index>(),
        change in proptest::sample::select(&["", "(", ")", "select", "from", ",", "x", ";", "with", "as", "'", "delete", "into", "values", "table"][..]),
    ) {
        let mut words: Vec<&str> = text.split(' ').collect();
        let at = at.index(words.len());
        words[at] = change;
        let text = words.join(" ");
        if let Verdict::Wrong(why) = judge(&text) {
            prop_assert!(false, "{text}\n{}", why.join("\n"));
        }
    }
}

/// A text with other data, other letter case, other blanks and comments.
fn retold(text: &str) -> String {
    let mut told = String::new();
    let mut last = Token {
        kind: TokenKind::Other,
        fault: None,
        start: 0,
        end: 0,
    };
    for token in Lexer::new(text.as_bytes(), LexerOptions::default()) {
        let spelled = &text[token.start..token.end];
        match token.kind {
            TokenKind::Whitespace => told.push_str(" /* and */\n\t"),
            TokenKind::Word if spelled.is_ascii() => told.push_str(&spelled.to_uppercase()),
            TokenKind::String if last.kind != TokenKind::Word => told.push_str("'retold'"),
            TokenKind::Integer if spelled.len() > 1 => told.push_str("77"),
            _ => told.push_str(spelled),
        }
        if token.kind != TokenKind::Whitespace {
            last = token;
        }
    }
    told
}

#[test]
fn a_statement_told_with_other_data_case_blanks_and_comments_has_one_fingerprint() {
    let mut runner = TestRunner::new(config());
    let options = LexerOptions::default();
    let compared = Cell::new(0_u32);
    let outcome = runner.run(&statement(), |text| {
        let other = retold(&text);
        let one = of_libpg_query(&text);
        if one.is_some() && one == of_libpg_query(&other) {
            compared.set(compared.get() + 1);
            let [a, b] = [&text, &other].map(|text| fingerprint(text.as_bytes(), &options));
            prop_assert_eq!(a, b, "{} and {}", text, other);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(
        compared.get() > config().cases / 2,
        "only {} of {} are still the same when retold",
        compared.get(),
        config().cases
    );
}

#[test]
fn what_differs_in_more_than_the_exceptions_is_found() {
    for [one, other] in [
        ["SELECT a FROM t", "SELECT a FROM u"],
        ["SELECT a FROM t WHERE a > 1", "SELECT a FROM t WHERE a < 1"],
        ["DELETE FROM t WHERE a = 1", "UPDATE t SET a = 1"],
    ] {
        assert_eq!(exception(one, other), None, "{one} and {other}");
    }
}

/// As many cases as `PROPTEST_CASES` says; few enough by default for a run in seconds.
fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(4000),
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
