//! The memory of an agent.
//!
//! Every intent gets a fresh instance, and a growing memory is the dearest thing a short run does: the host changes the
//! protection of pages once when the memory grows and once when it takes it back. What a module declares is there from
//! the start and costs nothing until it is touched. So the first 64 KiB that Rust asks for lie in a static, and only
//! what does not fit goes to the system's allocator, which grows the memory.
//!
//! What the host hands over (the intent, lists of messages) is allocated by the C library's `cabi_realloc` and never
//! passes through here until it is freed or grown; it is told apart by its address.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ARENA: Arena = Arena::new();

const ARENA_BYTES: usize = 64 * 1024;

/// Hands out its bytes from front to back. Freeing the last block takes it back and growing it moves nothing, which is
/// how strings and vectors are mostly used; any other freed block stays used until the instance goes.
#[repr(C, align(16))]
struct Arena {
    bytes: UnsafeCell<[u8; ARENA_BYTES]>,
    used: Cell<usize>,
}

// SAFETY: without the target feature `atomics`, which this module is not compiled with, an instance has one thread.
unsafe impl Sync for Arena {}

impl Arena {
    const fn new() -> Arena {
        Arena { bytes: UnsafeCell::new([0; ARENA_BYTES]), used: Cell::new(0) }
    }

    /// Where in the arena a block begins; `None` for one that came from the system.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        let offset = block.addr().wrapping_sub(self.bytes.get().addr());
        (offset < ARENA_BYTES).then_some(offset)
    }
}

// SAFETY: a block of the arena lies inside `bytes`, between the blocks before it and `used`, and `used` only falls
// below its end when it is freed or shrunk; so live blocks never overlap. All other blocks stay the system's.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Neither sum can overflow: `used` is small, alignment and size are at most half the address space.
        let start = self.used.get().next_multiple_of(layout.align());
        let end = start + layout.size();
        if end <= ARENA_BYTES && layout.align() <= align_of::<Arena>() {
            self.used.set(end);
            // SAFETY: `start` is at most `ARENA_BYTES`.
            unsafe { self.bytes.get().cast::<u8>().add(start) }
        } else {
            // SAFETY: the caller vouches for the layout.
            unsafe { System.alloc(layout) }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            Some(start) if start + layout.size() == self.used.get() => self.used.set(start),
            Some(_) => {}
            // SAFETY: the block is none of the arena's, so the system made it, with this layout.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(start) = self.offset(block) else {
            // SAFETY: the block is none of the arena's, so the system made it, with this layout.
            return unsafe { System.realloc(block, layout, new_size) };
        };
        let is_last = start + layout.size() == self.used.get();
        if is_last && start + new_size <= ARENA_BYTES {
            self.used.set(start + new_size);
            return block;
        }
        if new_size <= layout.size() {
            return block;
        }
        // SAFETY: the caller vouches that `new_size` makes a layout; the new block is another one, and larger.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size());
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn the_last_block_grows_and_shrinks_in_place() {
        let arena = Arena::new();
        // SAFETY: every block is used with its own layout, and not after it was freed.
        unsafe {
            let first = arena.alloc(layout(3, 1));
            let last = arena.alloc(layout(8, 8));
            assert_eq!((arena.offset(first), arena.offset(last)), (Some(0), Some(8)));
            assert_eq!(arena.realloc(last, layout(8, 8), 4096), last);
            assert_eq!(arena.realloc(last, layout(4096, 8), 16), last);
            assert_eq!(arena.used.get(), 24);
            arena.dealloc(last, layout(16, 8));
            assert_eq!(arena.used.get(), 8);
        }
    }

    #[test]
    fn a_block_that_is_not_the_last_moves_with_its_bytes() {
        let arena = Arena::new();
        // SAFETY: as above.
        unsafe {
            let first = arena.alloc(layout(4, 1));
            first.copy_from_nonoverlapping(b"abcd".as_ptr(), 4);
            arena.alloc(layout(1, 1));
            assert_eq!(arena.realloc(first, layout(4, 1), 2), first);
            let moved = arena.realloc(first, layout(2, 1), 8);
            assert_eq!(arena.offset(moved), Some(5));
            assert_eq!(std::slice::from_raw_parts(moved, 2), b"ab");
        }
    }

    #[test]
    fn what_does_not_fit_is_the_systems() {
        let arena = Arena::new();
        // SAFETY: as above.
        unsafe {
            let all = arena.alloc(layout(ARENA_BYTES, 1));
            all.write(7);
            let other = arena.alloc(layout(1, 1));
            assert_eq!(arena.offset(other), None);
            arena.dealloc(other, layout(1, 1));

            let moved = arena.realloc(all, layout(ARENA_BYTES, 1), ARENA_BYTES + 1);
            assert_eq!((arena.offset(moved), moved.read(), arena.used.get()), (None, 7, 0));
            let moved = arena.realloc(moved, layout(ARENA_BYTES + 1, 1), 1);
            assert_eq!((arena.offset(moved), moved.read()), (None, 7));
            arena.dealloc(moved, layout(1, 1));

            let page = arena.alloc(layout(4096, 4096));
            assert_eq!((arena.offset(page), page.addr() % 4096), (None, 0));
            arena.dealloc(page, layout(4096, 4096));
        }
    }
}
