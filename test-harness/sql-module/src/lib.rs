//! pg-sql as a WebAssembly module: `make bench ONLY=sql` runs its passes over a text that the module
//! makes itself, and compares the sizes of the module with and without them.

use std::cell::RefCell;

thread_local! {
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What ordinary text is made of.
const STATEMENT: &[u8] = b"SELECT o.id, o.total * 1.19 AS gross, c.name, coalesce(c.city, 'none') \
    FROM shop.orders AS o JOIN shop.customers c ON c.id = o.customer_id \
    WHERE o.created_at >= '2026-11-23 00:00:00+00' AND o.state IN ('new', 'paid', 'sent') \
    AND c.country_code = $1 ORDER BY o.created_at DESC LIMIT 50;\n";

/// Makes a text of at least `bytes` bytes and tells how many they are.
#[unsafe(no_mangle)]
pub extern "C" fn prepare(bytes: usize) -> usize {
    TEXT.with_borrow_mut(|text| {
        text.clear();
        while text.len() < bytes {
            text.extend_from_slice(STATEMENT);
        }
        text.len()
    })
}

/// Lexes the text.
#[cfg(feature = "redact")]
#[unsafe(no_mangle)]
pub extern "C" fn lex() -> usize {
    use pg_sql::{Lexer, LexerOptions};
    TEXT.with_borrow(|text| Lexer::new(text, LexerOptions::default()).count())
}

/// Lexes, redacts and fingerprints the text in one pass.
#[cfg(feature = "redact")]
#[unsafe(no_mangle)]
pub extern "C" fn redact() -> u64 {
    use pg_sql::{RedactOptions, redact_and_fingerprint};
    TEXT.with_borrow(|text| {
        let (redacted, fingerprint) = redact_and_fingerprint(text, &RedactOptions::default());
        fingerprint.0 ^ redacted.text.len() as u64
    })
}

/// Classifies the text.
#[cfg(feature = "classify")]
#[unsafe(no_mangle)]
pub extern "C" fn classify() -> usize {
    use pg_sql::ClassifyOptions;
    TEXT.with_borrow(|text| {
        let said = pg_sql::classify(text, ClassifyOptions::default());
        said.statements
            .len()
            .wrapping_add(usize::from(said.complete))
    })
}
