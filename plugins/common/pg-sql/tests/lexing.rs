//! The lexer is total: whatever the bytes and the settings, its tokens tile the text.

mod common;

use common::invariants::tokens_tile;
use common::{adversarial_texts, any_options, noisy_text};
use pg_sql::{Lexer, LexerOptions};
use proptest::prelude::*;

proptest! {
    #[test]
    fn tokens_tile_any_bytes(text: Vec<u8>, options in any_options()) {
        tokens_tile(&text, options);
    }

    #[test]
    fn tokens_tile_what_is_made_of_pieces_of_sql(text in noisy_text(), options in any_options()) {
        tokens_tile(text.as_bytes(), options);
    }

    /// What is appended to a text changes no token but the last ones: an embedder may cut a text
    /// anywhere and trust all tokens before the one it cut through.
    #[test]
    fn a_cut_changes_only_the_token_it_falls_in(text in noisy_text(), cut: prop::sample::Index) {
        let cut = cut.index(text.len().saturating_add(1));
        let options = LexerOptions::default();
        let whole: Vec<_> = Lexer::new(text.as_bytes(), options).collect();
        let head: Vec<_> = Lexer::new(&text.as_bytes()[..cut], options).collect();
        let settled = head.len().saturating_sub(3);
        prop_assert_eq!(&head[..settled], &whole[..settled]);
    }
}

#[test]
fn adversarial_texts_tile_too() {
    for text in adversarial_texts(200_000) {
        tokens_tile(&text, LexerOptions::default());
    }
}
