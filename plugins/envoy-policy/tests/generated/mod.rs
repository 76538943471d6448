//! Texts that write to the table payments.cards and hide it, and such texts with mistakes in them.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A name of the protected table as the server reads it.
fn spelling(name: &'static str) -> impl Strategy<Value = String> {
    let escaped = move |at: usize, escape: char, long: bool| {
        let at = at % name.len();
        let code = u32::from(name.as_bytes()[at]);
        let code = match long {
            true => format!("{escape}+{code:06x}"),
            false => format!("{escape}{code:04X}"),
        };
        let name = format!("{}{code}{}", &name[..at], &name[at + 1..]);
        match escape {
            '\\' => format!("U&\"{name}\""),
            _ => format!("u&\"{name}\"~UESCAPE~'{escape}'"),
        }
    };
    let mixed = move |bits: u16| -> String {
        let upper = |(at, letter): (usize, char)| match bits >> (at % 16) & 1 {
            1 => letter.to_ascii_uppercase(),
            _ => letter,
        };
        name.chars().enumerate().map(upper).collect()
    };
    prop_oneof![
        Just(name.to_owned()),
        any::<u16>().prop_map(mixed),
        Just(format!("\"{name}\"")),
        (
            any::<usize>(),
            select(vec!['\\', '!', '?', '$']),
            any::<bool>()
        )
            .prop_map(move |(at, escape, long)| escaped(at, escape, long)),
    ]
}

/// A statement that changes payments.cards; `~` stands for a blank, `^` for none or any.
fn kernel() -> impl Strategy<Value = String> {
    let kernels = vec![
        "delete~from~@~where~id^=^1~returning~*",
        "update~@~set~a^=^1~where~id^=^1~returning~*",
        "insert~into~@~values^(^1^)~returning~*",
        "insert~into~@~select~1~on~conflict~do~nothing~returning~*",
        "delete~from~only~@~as~c~using~t~where~c^.^id^=^t^.^id~returning~c.*",
        "merge~into~@~c~using~t~on~c.id^=^t.id~when~matched~then~delete~returning~c.*",
    ];
    let name = (spelling("payments"), spelling("cards"))
        .prop_map(|(schema, name)| format!("{schema}^.^{name}"));
    (select(kernels), name).prop_map(|(kernel, name)| kernel.replace('@', &name))
}

/// Around a statement that returns rows; a MERGE does so from PostgreSQL 17 on.
fn wrapped() -> impl Strategy<Value = String> {
    let rows = vec![
        "with~x~as^(^@^)~select~*~from~x",
        "with~x~as~materialized^(^@^)^,^y~as^(^select~1^)~table~y",
        "with~recursive~x^(^a^,^b^)^as^(^@^)~insert~into~t~select~a~from~x~returning~*",
        "with~a~as^(^select~1^)^@",
    ];
    let whole = vec![
        "@",
        "@^;",
        "select~1^;^@",
        "^;^;^@^;^select~'x'",
        "begin^;^@^;^commit",
        "explain~analyze~@",
        "explain~analyse~verbose~@",
        "explain^(^costs~off^,^analyze^)^@",
        "explain^(^analyze~'on'^,^format~json^)^@",
        "prepare~p~as~@",
        "prepare~p^(^int^,^text^)^as~@",
        "copy^(^@^)^to~stdout",
        "copy^(^@^)^to~stdout~with^(^format~csv^)",
        "create~rule~r~as~on~insert~to~t~do~also~@",
        "create~rule~r~as~on~insert~to~t~where~true~do~instead^(^select~1^;^@^)",
        "create~function~f^(^)^returns~int~begin~atomic~@^;^select~1^;^end",
        "select~'a\\'^;^@",
        "select~E'\\''^;^@",
        "select~$q$~'~$q$^;^@",
        "select~\"'\"^from~t^;^@",
        "select~U&'\\0027'^;^@",
        "select~1.e5^;^@",
        "select~t.\"select\"~from~t^;^@",
    ];
    (kernel(), prop::option::of(select(rows)), select(whole)).prop_map(|(kernel, rows, whole)| {
        let rows = match rows {
            Some(rows) => rows.replace('@', &kernel),
            None => kernel,
        };
        whole.replace('@', &rows)
    })
}

/// A write to payments.cards, with blanks and comments wherever they may stand.
pub(crate) fn hidden_write() -> impl Strategy<Value = String> {
    let blanks = vec![
        " ",
        "\t",
        "\r\n",
        "\u{c}",
        "/**/",
        "/* ' */",
        "/* \" /* ; */ $w$ */",
        "--\n",
        "-- '\n",
        " /*--*/ ",
        "\n",
    ];
    let noise = prop::collection::vec(select(blanks), 24);
    (wrapped(), noise).prop_map(|(text, noise)| {
        let mut noise = noise.into_iter().cycle();
        let mut noised = String::new();
        for letter in text.chars() {
            let blank = noise.next().unwrap_or_default();
            match letter {
                '~' => noised.push_str(blank),
                '^' if blank.len() > 1 => noised.push_str(blank),
                '^' => {}
                letter => noised.push(letter),
            }
        }
        noised
    })
}

/// Pieces that open or close what the lexer reads as one, or that a statement falls apart at.
const PIECES: &[&str] = &[
    "'",
    "\"",
    "/*",
    "*/",
    "--",
    "\n",
    "\r",
    "$q$",
    "$$",
    "$",
    "E'",
    "N'",
    "B'",
    "U&'",
    "U&\"",
    "\\",
    "\\'",
    "\\\\",
    "''",
    "\"\"",
    "';",
    "select '",
    "select $q$",
    "/*;*/",
    ";",
    "(",
    ")",
    "[",
    "]",
    "{",
    ",",
    ".",
    ":",
    "::",
    "=>",
    "*",
    "@",
    "+",
    "-",
    "&",
    "1",
    "e",
    "u",
    "_",
    "$1",
    "\u{b}",
    "select ",
    " from ",
    " as ",
    " analyze ",
    " explain ",
    " false",
    " or ",
    " with ",
    " into ",
    " set ",
    " begin ",
    " end ",
    "cards",
    "payments",
    "t",
    "public.",
];

/// A hidden write with up to four mistakes: most are no SQL any more, some mean something else.
#[allow(
    dead_code,
    reason = "not every test that includes this file wants mistakes"
)]
pub(crate) fn mistaken_write() -> impl Strategy<Value = String> {
    let mistake = (any::<Index>(), 0..6_usize, prop::option::of(select(PIECES)));
    (hidden_write(), prop::collection::vec(mistake, 1..5)).prop_map(|(mut text, mistakes)| {
        for (at, removed, piece) in mistakes {
            let start = at.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            text.replace_range(start..end, piece.unwrap_or_default());
        }
        text
    })
}
