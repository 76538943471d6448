//! The invariants of the property tests, for the fuzz targets. Their processors last: to make new ones takes a
//! hundred times as long as to handle a batch, and what was learned of others must not matter.

#[path = "../tests/batches/invariants.rs"]
pub mod invariants;

use std::cell::RefCell;

use otel_processor::Processor;

thread_local! {
    static PROCESSORS: RefCell<Vec<Processor>> = RefCell::new(invariants::processors().into());
}

/// A batch of each signal.
pub fn any_batch(bytes: &[u8]) {
    PROCESSORS.with_borrow_mut(|processors| invariants::any_batch(processors, bytes));
}

/// Lines of any log.
pub fn any_lines(log: &str) {
    PROCESSORS.with_borrow_mut(|processors| invariants::any_lines(processors, log));
}
