//! The host's calls: `malloc` and `free` for what it hands over, and one function per preset.
//!
//! Contract (Fluent Bit 4.2 and later, `plugins/filter_wasm` and `src/wasm`): arguments are copied in
//! and freed by the host; a record it could not copy comes as NULL with its length; the result is a C
//! string that the host copies and never frees, the input pointer to pass the record, `"\0"` to drop
//! it. After a trap the same instance is called again, so nothing may stay borrowed across a call.
#![allow(
    unsafe_code,
    reason = "the host's calls are pointers and lengths, found by unmangled names"
)]

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;

use crate::config::Preset;
use crate::filter::{Filter, Outcome};

/// The largest piece of memory that is given to the host: a larger record comes as NULL.
const LARGEST: usize = 4 * 1024 * 1024;
/// Room before each piece, for its length.
const HEADER: usize = 8;
/// The chunk that serves the usual call: a tag and a record.
const CHUNK: usize = 32 * 1024;

/// Pieces of one call, one behind the other; begun anew when the host has freed all of them.
struct Arena {
    chunk: *mut u8,
    used: usize,
    live: usize,
}

struct State {
    arena: Cell<Arena>,
    filter: Cell<Option<Box<Filter>>>,
}

// SAFETY: a wasm module without the threads feature has one thread.
unsafe impl Sync for State {}

static STATE: State = State {
    arena: Cell::new(EMPTY),
    filter: Cell::new(None),
};

const EMPTY: Arena = Arena {
    chunk: std::ptr::null_mut(),
    used: 0,
    live: 0,
};

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, HEADER).ok()
}

impl Arena {
    fn take(&mut self, size: usize) -> Option<*mut u8> {
        if self.chunk.is_null() {
            // SAFETY: the size is not zero.
            self.chunk = unsafe { alloc(layout(CHUNK)?) };
        }
        let end = self
            .used
            .checked_add(size.checked_next_multiple_of(HEADER)?)?;
        if self.chunk.is_null() || end > CHUNK {
            return None;
        }
        // SAFETY: `used` is inside the chunk.
        let piece = unsafe { self.chunk.add(self.used) };
        self.used = end;
        self.live = self.live.saturating_add(1);
        Some(piece)
    }

    fn owns(&self, piece: *mut u8) -> bool {
        let start = self.chunk.addr();
        !self.chunk.is_null() && (start..start.saturating_add(CHUNK)).contains(&piece.addr())
    }

    fn give_back(&mut self) {
        self.live = self.live.saturating_sub(1);
        if self.live == 0 {
            self.used = 0;
        }
    }
}

/// Memory for the host's arguments.
#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut u8 {
    if size > LARGEST {
        return std::ptr::null_mut();
    }
    let mut arena = STATE.arena.replace(EMPTY);
    let piece = arena.take(size.max(1));
    STATE.arena.set(arena);
    piece.unwrap_or_else(|| own_piece(size))
}

/// A piece that is too large for the chunk: its length stands before it.
fn own_piece(size: usize) -> *mut u8 {
    let Some(layout) = size.checked_add(HEADER).and_then(layout) else {
        return std::ptr::null_mut();
    };
    // SAFETY: the size is not zero; the piece has room for the header, which is aligned for it.
    unsafe {
        let piece = alloc(layout);
        if piece.is_null() {
            return piece;
        }
        piece.cast::<usize>().write(layout.size());
        piece.add(HEADER)
    }
}

/// Takes back what [`malloc`] gave.
#[unsafe(no_mangle)]
unsafe extern "C" fn free(piece: *mut u8) {
    if piece.is_null() {
        return;
    }
    let mut arena = STATE.arena.replace(EMPTY);
    let owned = arena.owns(piece);
    if owned {
        arena.give_back();
    }
    STATE.arena.set(arena);
    if owned {
        return;
    }
    // SAFETY: not of the chunk, so of `own_piece`, which wrote the size before it.
    unsafe {
        let start = piece.sub(HEADER);
        if let Some(layout) = layout(start.cast::<usize>().read()) {
            dealloc(start, layout);
        }
    }
}

/// Tells the host to drop the record.
const DROP: &[u8; 1] = b"\0";

/// One call. The filter is taken out of its place meanwhile: after a trap there is none, and the next
/// call makes another.
///
/// # Safety
/// `record` is null or points to `length` bytes.
unsafe fn handle(preset: Preset, seconds: u32, record: *const u8, length: usize) -> *const u8 {
    let filter = STATE.filter.take();
    let mut filter = filter.unwrap_or_else(|| Box::new(Filter::new(preset)));
    let outcome = if record.is_null() {
        filter.oversize(length);
        Outcome::Replaced
    } else {
        // SAFETY: as promised by the host.
        let bytes = unsafe { std::slice::from_raw_parts(record, length) };
        filter.record(bytes, u64::from(seconds))
    };
    let result = match outcome {
        Outcome::Unchanged => record,
        Outcome::Replaced => filter.output().as_ptr(),
        Outcome::Dropped => DROP.as_ptr(),
    };
    STATE.filter.set(Some(filter));
    result
}

macro_rules! presets {
    ($($name:ident => $preset:ident;)*) => {$(
        /// # Safety
        /// Called by the host, with pointers to memory that [`malloc`] gave.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            _tag: *const u8,
            _tag_length: usize,
            seconds: u32,
            _nanoseconds: u32,
            record: *const u8,
            length: usize,
        ) -> *const u8 {
            // SAFETY: as promised by the host.
            unsafe { handle(Preset::$preset, seconds, record, length) }
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
