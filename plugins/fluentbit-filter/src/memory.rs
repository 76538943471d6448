//! The module's memory: pieces whose sizes are powers of two, and for each size a list of those that
//! are free.
//!
//! Fluent Bit interprets the module, and an allocator that splits and joins pieces costs more there
//! than reading a line does. Here a piece is two dozen instructions; memory grows to what was live at
//! once of each size, and no further.
#![allow(
    unsafe_code,
    reason = "an allocator hands out memory; the host's calls are found by unmangled names"
)]

use std::alloc::{GlobalAlloc, Layout, alloc, dealloc};
use std::arch::wasm32::{memory_grow, memory_size};
use std::cell::Cell;
use std::ptr::{null_mut, with_exposed_provenance_mut};

/// The largest piece of memory that is given to the host: a larger record comes as NULL.
const LARGEST: usize = 4 * 1024 * 1024;
/// Room before a piece of the host's, for its length.
const HEADER: usize = 8;
/// The smallest piece, and what all are aligned to.
const SMALLEST: usize = 16;
/// Sizes, by their power of two.
const SIZES: usize = usize::BITS as usize;
const PAGE: usize = 64 * 1024;

/// A free piece begins with the next one of its size.
type Free = Cell<*mut u8>;

struct Allocator {
    free: [Free; SIZES],
    /// What lies behind all pieces: from, to.
    rest: Cell<(usize, usize)>,
}

// SAFETY: a wasm module without the threads feature has one thread.
unsafe impl Sync for Allocator {}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator {
    free: [const { Cell::new(null_mut()) }; SIZES],
    rest: Cell::new((0, 0)),
};

unsafe extern "C" {
    /// The linker's: where the module's own data ends.
    static __heap_base: u8;
}

/// The size of the piece that serves a request.
#[inline]
fn rounded(size: usize) -> usize {
    size.max(SMALLEST)
        .checked_next_power_of_two()
        .unwrap_or(usize::MAX)
}

impl Allocator {
    #[inline]
    fn of_size(&self, rounded: usize) -> Option<&Free> {
        self.free.get(rounded.trailing_zeros() as usize)
    }

    /// A piece that was never used, of this size.
    #[cold]
    fn carve(&self, size: usize) -> *mut u8 {
        let (mut from, mut to) = self.rest.get();
        if to == 0 {
            from = (&raw const __heap_base).addr().next_multiple_of(SMALLEST);
            to = memory_size(0).wrapping_mul(PAGE);
        }
        loop {
            let missing = from.saturating_add(size).saturating_sub(to);
            if missing == 0 {
                break;
            }
            let grown = memory_grow(0, missing.div_ceil(PAGE));
            if grown == usize::MAX {
                return null_mut();
            }
            // Pages of the host's may lie between ours.
            let grown = grown.wrapping_mul(PAGE);
            if grown != to {
                from = grown;
            }
            to = memory_size(0).wrapping_mul(PAGE);
        }
        self.rest.set((from.wrapping_add(size), to));
        with_exposed_provenance_mut(from)
    }
}

// SAFETY: pieces do not overlap, are as large as asked for or larger, and aligned to `SMALLEST`; no
// request for more alignment is served.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = rounded(layout.size());
        let Some(list) = self.of_size(size).filter(|_| layout.align() <= SMALLEST) else {
            return null_mut();
        };
        let piece = list.get();
        if piece.is_null() {
            return self.carve(size);
        }
        // SAFETY: a free piece of this list, which begins with the next.
        list.set(unsafe { piece.cast::<*mut u8>().read() });
        piece
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if let Some(list) = self.of_size(rounded(layout.size())) {
            // SAFETY: the piece is the caller's to give back, and large enough for a pointer.
            unsafe { piece.cast::<*mut u8>().write(list.get()) };
            list.set(piece);
        }
    }

    #[inline]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if rounded(size) == rounded(layout.size()) {
            return piece;
        }
        // SAFETY: as the caller of `realloc` promises; both pieces have room for the smaller size.
        unsafe {
            let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
                return null_mut();
            };
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(piece, layout.size().min(size));
                self.dealloc(piece, layout);
            }
            moved
        }
    }
}

fn with_header(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(HEADER)?, HEADER).ok()
}

/// Memory for the host's arguments.
#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut u8 {
    let Some(layout) = with_header(size).filter(|_| size <= LARGEST) else {
        return null_mut();
    };
    // SAFETY: the size is not zero; the piece has room for the header, which is aligned for it.
    unsafe {
        let piece = alloc(layout);
        if piece.is_null() {
            return piece;
        }
        piece.cast::<usize>().write(size);
        piece.add(HEADER)
    }
}

/// Takes back what [`malloc`] gave.
///
/// # Safety
/// Called by the host, with what [`malloc`] gave it, once.
#[unsafe(no_mangle)]
unsafe extern "C" fn free(piece: *mut u8) {
    if piece.is_null() {
        return;
    }
    // SAFETY: `malloc` wrote the size before the piece.
    unsafe {
        let start = piece.sub(HEADER);
        if let Some(layout) = with_header(start.cast::<usize>().read()) {
            dealloc(start, layout);
        }
    }
}
