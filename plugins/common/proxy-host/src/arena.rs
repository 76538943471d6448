//! Where the host puts what it hands over: memory that [`crate::allocate`] gives it during a host
//! call and that is taken back as soon as the caller has read it.
//!
//! One chunk of [`CHUNK`] bytes is kept for the life of the VM, which serves every read of
//! connection data; a larger request (a configuration) gets a chunk of its own for its time.

use std::cell::UnsafeCell;

/// Bytes of the chunk that is kept: the most that is read of a buffer in one host call.
pub(crate) const CHUNK: usize = 64 * 1024;

struct Arena {
    /// Host calls under way that may allocate. Outside of them there is no room: nobody would take
    /// it back.
    lending: u32,
    chunk: Vec<u8>,
    used: usize,
    oversize: Vec<Vec<u8>>,
}

struct Cell(UnsafeCell<Arena>);

// SAFETY: a wasm module without the threads feature has one thread.
unsafe impl Sync for Cell {}

static ARENA: Cell = Cell(UnsafeCell::new(Arena {
    lending: 0,
    chunk: Vec::new(),
    used: 0,
    oversize: Vec::new(),
}));

fn with<R>(f: impl FnOnce(&mut Arena) -> R) -> R {
    // SAFETY: one thread, and no closure given here calls the host or `with` again, so that this
    // is the only reference.
    f(unsafe { &mut *ARENA.0.get() })
}

/// Room for `size` bytes, 8-aligned where it is in the chunk; null if there is none.
pub(crate) fn allocate(size: usize) -> *mut u8 {
    with(|arena| {
        if arena.lending == 0 {
            return std::ptr::null_mut();
        }
        if arena.chunk.capacity() == 0 && arena.chunk.try_reserve_exact(CHUNK).is_err() {
            return std::ptr::null_mut();
        }
        let end = arena
            .used
            .checked_add(size)
            .filter(|end| *end <= arena.chunk.capacity());
        if let Some(end) = end {
            let start = arena.chunk.as_mut_ptr().wrapping_add(arena.used);
            arena.used = end.next_multiple_of(8).min(arena.chunk.capacity());
            return start;
        }
        let mut chunk = Vec::new();
        if chunk.try_reserve_exact(size).is_err() {
            return std::ptr::null_mut();
        }
        let start = chunk.as_mut_ptr();
        arena.oversize.push(chunk);
        start
    })
}

/// How full the arena is, to be given back to [`release`].
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    used: usize,
    oversize: usize,
}

/// Remembers what is in use now, before a host call that allocates.
pub(crate) fn mark() -> Mark {
    with(|arena| {
        arena.lending = arena.lending.saturating_add(1);
        Mark {
            used: arena.used,
            oversize: arena.oversize.len(),
        }
    })
}

/// Takes back what was allocated since `mark`; nothing of it may be referenced any more.
pub(crate) fn release(mark: Mark) {
    with(|arena| {
        arena.lending = arena.lending.saturating_sub(1);
        arena.used = mark.used;
        arena.oversize.truncate(mark.oversize);
    });
}
