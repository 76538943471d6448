//! The host's calls: one function per preset. `malloc` and `free` are in `memory`.
//!
//! Contract (Fluent Bit 4.2 and later, `plugins/filter_wasm` and `src/wasm`): arguments are copied in
//! and freed by the host; a record it could not copy comes as NULL with its length; the result is a C
//! string that the host copies and never frees, the input pointer to pass the record, `"\0"` to drop
//! it. After a trap the same instance is called again: nothing may stay borrowed across a call, and what the
//! call that trapped had taken of memory and stack has to be taken back.
#![allow(
    unsafe_code,
    reason = "the host's calls are pointers and lengths, found by unmangled names"
)]

use std::cell::Cell;

use crate::config::{DEFAULTS_MARK, DEFAULTS_ROOM, Preset};
use crate::filter::{Filter, Outcome};
use crate::memory;

struct State(Cell<Option<Box<Filter>>>);

// SAFETY: a wasm module without the threads feature has one thread.
unsafe impl Sync for State {}

static FILTER: State = State(Cell::new(None));

/// How the last call ended.
struct Ended(Cell<End>);

#[derive(Clone, Copy, Eq, PartialEq)]
enum End {
    /// There has been none.
    None,
    Returned,
    /// It did not return: the host calls for one record at a time.
    Trapped,
}

// SAFETY: a wasm module without the threads feature has one thread.
unsafe impl Sync for Ended {}

static LAST: Ended = Ended(Cell::new(End::None));

unsafe extern "C" {
    /// Begins the stack anew (`build.rs`). The caller must have nothing on it.
    fn pgmesh_begin_stack();
}

/// Room for defaults: the mark, then a JSON object, then zeros.
#[repr(C)]
struct Defaults {
    mark: [u8; DEFAULTS_MARK.len()],
    json: [u8; DEFAULTS_ROOM],
}

/// Filled in the finished module, by `make fluentbit-module CONFIG=...`.
#[used]
static DEFAULTS: Defaults = Defaults {
    mark: *DEFAULTS_MARK,
    json: [0; DEFAULTS_ROOM],
};

/// What the finished module has been given; the compiler only knows the zeros.
fn defaults() -> Vec<u8> {
    // SAFETY: a static of ours, which nobody writes to.
    let json = unsafe { (&raw const DEFAULTS.json).read_volatile() };
    json.into_iter().take_while(|byte| *byte != 0).collect()
}

/// Tells the host to drop the record.
const DROP: &[u8; 1] = b"\0";

/// What the host has put at a place.
///
/// # Safety
/// `place` is null or points to `length` bytes, which stay as they are.
unsafe fn bytes<'h>(place: *const u8, length: usize) -> &'h [u8] {
    if place.is_null() {
        return b"";
    }
    // SAFETY: as promised by the caller.
    unsafe { std::slice::from_raw_parts(place, length) }
}

/// Before a call: what a trap has left behind goes. The filter is out of its place during a call, so
/// that after a trap there is none, and the next call makes another.
fn prepare() {
    match LAST.0.replace(End::Trapped) {
        // The prefixes that are known stay for ever.
        End::None => {
            let _ = pg_log::detect(&[]);
            memory::mark();
        }
        End::Returned => {}
        // SAFETY: the filter that held it all is gone, and the host has copied what was handed back.
        End::Trapped => unsafe { memory::begin_anew() },
    }
}

/// One call.
///
/// # Safety
/// `tag` and `record` are null or point to as many bytes as is said.
#[inline(never)]
unsafe fn handle(
    preset: Preset,
    (tag, tag_length): (*const u8, usize),
    seconds: u32,
    (record, length): (*const u8, usize),
) -> *const u8 {
    prepare();
    let filter = FILTER.0.take();
    let mut filter = filter.unwrap_or_else(|| Box::new(Filter::with_defaults(preset, &defaults())));
    let outcome = if record.is_null() {
        filter.oversize(length);
        Outcome::Replaced
    } else {
        // SAFETY: as promised by the host.
        let (tag, record) = unsafe { (bytes(tag, tag_length), bytes(record, length)) };
        filter.record(tag, record, u64::from(seconds))
    };
    let result = match outcome {
        Outcome::Unchanged => record,
        Outcome::Replaced => filter.output().as_ptr(),
        Outcome::Dropped => DROP.as_ptr(),
    };
    FILTER.0.set(Some(filter));
    LAST.0.set(End::Returned);
    result
}

macro_rules! presets {
    ($($name:ident => $preset:ident;)*) => {$(
        /// # Safety
        /// Called by the host, with pointers to memory that `malloc` gave.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            tag: *const u8,
            tag_length: usize,
            seconds: u32,
            _nanoseconds: u32,
            record: *const u8,
            length: usize,
        ) -> *const u8 {
            // SAFETY: nothing of this function's is on the stack; pointers are as promised by the host.
            unsafe { pgmesh_begin_stack() };
            // SAFETY: as above.
            unsafe { handle(Preset::$preset, (tag, tag_length), seconds, (record, length)) }
        }
    )*};
}

presets! {
    pgmesh => Standard;
    pgmesh_keep_raw => KeepRaw;
    pgmesh_statements => Statements;
    pgmesh_no_redaction => NoRedaction;
    pgmesh_classify_only => ClassifyOnly;
}
