//! What the lexer makes of each form of token, and of what is wrong.

use super::*;

/// The tokens of a text that are not blank, in brackets, with `!` where there is a fault.
fn shown(text: &[u8], options: LexerOptions) -> String {
    Lexer::new(text, options)
        .filter(|token| !token.kind.is_blank())
        .map(|token| {
            let fault = if token.fault.is_some() { "!" } else { "" };
            format!("[{}{fault}]", String::from_utf8_lossy(token.of(text)))
        })
        .collect()
}

#[test]
fn tokens_end_where_the_server_ends_them() {
    for (text, tokens) in [
        ("a.b,c", "[a][.][b][,][c]"),
        ("'it''s'", "['it''s']"),
        (r"'\','x'", r"['\'][,]['x']"),
        (r"e'\','x", r"[e'\','][x]"),
        ("'a'\n 'b'", "['a'\n 'b']"),
        ("'a' -- c\n--d\n'b'", "['a' -- c\n--d\n'b']"),
        ("'a' 'b'", "['a']['b']"),
        ("'a' /**/\n'b'", "['a']['b']"),
        ("x'1F'\n'2'b'0'", "[x'1F'\n'2'][b'0']"),
        ("x'1''2'", "[x'1']['2']"),
        ("n'x'", "[n]['x']"),
        ("U&'a' uescape '!'", "[U&'a'][uescape]['!']"),
        ("u&\"a\"u&b", "[u&\"a\"][u][&][b]"),
        ("\"a\"\"b\"\"\"", "[\"a\"\"b\"\"\"]"),
        ("\"\"", "[\"\"!]"),
        ("$$a$b$$", "[$$a$b$$]"),
        ("$a$ $b$ $a$ $a", "[$a$ $b$ $a$][$][a]"),
        ("$a$$a$", "[$a$$a$]"),
        ("a$b$c$1", "[a$b$c$1]"),
        ("$1+$23x", "[$1][+][$23x!]"),
        ("a/*/*x*/*/b--c\nd", "[a][b][d]"),
        ("/* /* */", ""),
        ("a=-1", "[a][=][-][1]"),
        ("a@-1", "[a][@-][1]"),
        ("*+-+-a", "[*][+][-][+][-][a]"),
        ("a<>-- c", "[a][<>]"),
        ("@/*c*/-", "[@][-]"),
        ("a::b:=c[1:2]", "[a][::][b][:=][c][[][1][:][2][]]"),
        ("1..2 1.e5 .5 1.", "[1][..][2][1.e5][.5][1.]"),
        ("1e 1e+ 1e+5 1.5x", "[1e!][1e+!][1e+5][1.5x!]"),
        (
            "0x1F 0o17 0o18 0b1 0x 0xg",
            "[0x1F][0o17][0o18!][0b1][0x!][0xg!]",
        ),
        ("1_000 1__0 1_ 0x_1", "[1_000][1__0!][1_!][0x_1]"),
        ("{\\", "[{][\\]"),
    ] {
        assert_eq!(
            shown(text.as_bytes(), LexerOptions::default()),
            tokens,
            "{text}"
        );
    }
}

#[test]
fn backslashes_escape_in_plain_strings_when_strings_do_not_conform() {
    let options = LexerOptions {
        standard_conforming_strings: false,
        ..LexerOptions::default()
    };
    assert_eq!(shown(br"'\','x", options), r"['\','][x]");
    assert_eq!(shown(br"U&'a'", options), r"[U&'a'!]");
    let strict = LexerOptions {
        backslash_quote: false,
        ..options
    };
    assert_eq!(shown(br"'\''a", strict), r"['\''!][a]");
}

#[test]
fn a_backslash_inside_a_character_is_not_a_backslash() {
    let options = LexerOptions {
        encoding: Encoding::Sjis,
        ..LexerOptions::default()
    };
    let text = b"E'\x95\\' a\x83\\b";
    let tokens: Vec<_> = Lexer::new(text, options)
        .map(|token| token.of(text))
        .collect();
    assert_eq!(tokens, [&b"E'\x95\\'"[..], b" ", b"a\x83\\b"]);
}

#[test]
fn an_operator_of_64_bytes_is_refused() {
    let text = "@".repeat(64);
    assert_eq!(
        shown(text.as_bytes(), LexerOptions::default()),
        format!("[{text}!]")
    );
}
