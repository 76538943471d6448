//! The module's memory: pieces whose sizes are powers of two, and for each size a list of those that
//! are free.
//!
//! Fluent Bit interprets the module, and an allocator that splits and joins pieces costs more there
//! than reading a line does. Here a piece is two dozen instructions; memory grows to what was live at
//! once of each size, and no further.
//!
//! What the host holds, its arguments, lies apart from what the filter holds: after a trap nobody knows any
//! more what the filter held, and all of it is given out anew ([`begin_anew`]).
#![allow(
    unsafe_code,
    reason = "an allocator hands out memory; the host's calls are found by unmangled names"
)]

use std::alloc::{GlobalAlloc, Layout};
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

/// Runs of pages that pieces are carved from. Where the filter and the host take turns in growing the
/// memory, each has several; of one more than this, nothing is given out a second time.
const RUNS: usize = 64;

/// Pieces of one owner's.
struct Arena {
    free: [Free; SIZES],
    /// From, to.
    runs: [Cell<(usize, usize)>; RUNS],
    /// How many runs there are.
    known: Cell<usize>,
    /// The run that is carved from, and where the next piece begins.
    at: Cell<(usize, usize)>,
    /// Where `at` goes back to.
    mark: Cell<(usize, usize)>,
}

// SAFETY: a wasm module without the threads feature has one thread.
unsafe impl Sync for Arena {}

#[global_allocator]
static FILTERS: Arena = Arena::new();

static HOSTS: Arena = Arena::new();

/// Keeps what the filter holds by now, whatever comes.
pub(crate) fn mark() {
    FILTERS.mark.set(FILTERS.at.get());
}

/// Takes back all that the filter has been given since [`mark`], whether it has given it back or not.
///
/// # Safety
/// Nobody looks at any of it any more.
pub(crate) unsafe fn begin_anew() {
    for list in &FILTERS.free {
        list.set(null_mut());
    }
    FILTERS.at.set(FILTERS.mark.get());
}

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

impl Arena {
    const fn new() -> Self {
        Self {
            free: [const { Cell::new(null_mut()) }; SIZES],
            runs: [const { Cell::new((0, 0)) }; RUNS],
            known: Cell::new(0),
            at: Cell::new((0, 0)),
            mark: Cell::new((0, 0)),
        }
    }

    #[inline]
    fn of_size(&self, rounded: usize) -> Option<&Free> {
        self.free.get(rounded.trailing_zeros() as usize)
    }

    #[inline]
    fn take(&self, size: usize) -> *mut u8 {
        let size = rounded(size);
        let Some(list) = self.of_size(size) else {
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

    /// # Safety
    /// The piece was taken for this size, and nobody looks at it any more.
    #[inline]
    unsafe fn give_back(&self, piece: *mut u8, size: usize) {
        if let Some(list) = self.of_size(rounded(size)) {
            // SAFETY: the piece is the caller's to give back, and large enough for a pointer.
            unsafe { piece.cast::<*mut u8>().write(list.get()) };
            list.set(piece);
        }
    }

    fn run(&self, number: usize) -> Option<(usize, usize)> {
        let known = number < self.known.get();
        self.runs.get(number).filter(|_| known).map(Cell::get)
    }

    /// A piece that is on no list, of this size.
    #[cold]
    fn carve(&self, size: usize) -> *mut u8 {
        self.begin();
        loop {
            let (number, from) = self.at.get();
            let (begin, end) = self.run(number).unwrap_or_default();
            let place = from.max(begin);
            let behind = place.saturating_add(size);
            if behind <= end {
                self.at.set((number, behind));
                return with_exposed_provenance_mut(place);
            }
            let next = number.saturating_add(1);
            if next < self.known.get() {
                self.at.set((next, 0));
            } else if !self.grow(end, behind, size) {
                return null_mut();
            }
        }
    }

    /// Has the first run, unless it has one: the filter's is what there is of memory from the beginning,
    /// the host's has nothing in it yet.
    fn begin(&self) {
        if self.known.get() > 0 {
            return;
        }
        let end = memory_size(0).wrapping_mul(PAGE);
        if std::ptr::eq(self, &raw const FILTERS) {
            let begin = (&raw const __heap_base).addr();
            self.add((begin.next_multiple_of(SMALLEST), end));
        } else {
            FILTERS.begin();
            self.add((end, end));
        }
    }

    /// Makes the last run, which has this end, end behind a piece; or adds one with room for it, if
    /// somebody else's pages lie between.
    fn grow(&self, end: usize, behind: usize, size: usize) -> bool {
        let here = memory_size(0).wrapping_mul(PAGE);
        let missing = if here == end {
            behind.saturating_sub(end)
        } else {
            size
        };
        if memory_grow(0, missing.div_ceil(PAGE)) == usize::MAX {
            return false;
        }
        let to = memory_size(0).wrapping_mul(PAGE);
        let last = self.known.get().saturating_sub(1);
        match self.runs.get(last).filter(|_| here == end) {
            Some(run) => run.set((run.get().0, to)),
            None => self.add((here, to)),
        }
        true
    }

    fn add(&self, run: (usize, usize)) {
        let number = self.known.get().min(RUNS.saturating_sub(1));
        if let Some(place) = self.runs.get(number) {
            place.set(run);
        }
        self.known.set(number.saturating_add(1));
    }
}

// SAFETY: pieces do not overlap, are as large as asked for or larger, and aligned to `SMALLEST`; no
// request for more alignment is served.
unsafe impl GlobalAlloc for Arena {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > SMALLEST {
            return null_mut();
        }
        self.take(layout.size())
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: as the caller of `dealloc` promises.
        unsafe { self.give_back(piece, layout.size()) };
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

/// Memory for the host's arguments.
#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut u8 {
    if size > LARGEST {
        return null_mut();
    }
    let piece = HOSTS.take(size.saturating_add(HEADER));
    if piece.is_null() {
        return piece;
    }
    // SAFETY: the piece has room for the header, which is aligned for it.
    unsafe {
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
        let size = start.cast::<usize>().read();
        HOSTS.give_back(start, size.saturating_add(HEADER));
    }
}
