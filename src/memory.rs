//! Memory that runs out is an error of the statement (53200), never the end of the server.
//!
//! Rust ends the process where an allocation cannot be had, unless it was asked for with
//! `try_reserve`, as everything is whose size comes from data. What is left are the many small
//! pieces, of our own and of libraries. For those a reserve of address space is kept, which
//! costs no memory while nobody touches it: when the system gives nothing more, it is given
//! back, the piece is had from there, and the next check raises. A statement starts only where
//! there is a reserve.
#![expect(unsafe_code, reason = "an allocator is an unsafe interface")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use pgrx::PgSqlErrorCode;
use sparkify_core::memory;

use crate::error::{or_raise, raise};

/// More than any piece that is not asked for with `try_reserve`.
const RESERVE: usize = 16 << 20;

const LAYOUT: Layout = match Layout::from_size_align(RESERVE, 4096) {
    Ok(layout) => layout,
    Err(_) => Layout::new::<u8>(),
};

/// Nobody has touched it.
static KEPT: AtomicPtr<u8> = AtomicPtr::new(null_mut());

/// Whether the reserve was used since the last check.
static USED: AtomicBool = AtomicBool::new(false);

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Gives the reserve back; false where there is none.
#[cold]
fn give_back(size: usize) -> bool {
    if size >= RESERVE {
        return false;
    }
    let kept = KEPT.swap(null_mut(), Ordering::AcqRel);
    if kept.is_null() {
        return false;
    }
    USED.store(true, Ordering::Release);
    // SAFETY: allocated with this layout, and taken by nobody else.
    unsafe { System.dealloc(kept, LAYOUT) };
    true
}

// SAFETY: all memory is the system's; the reserve is its own allocation.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are handed on, here and below.
        unsafe {
            let piece = System.alloc(layout);
            if piece.is_null() && give_back(layout.size()) {
                return System.alloc(layout);
            }
            piece
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe {
            let piece = System.alloc_zeroed(layout);
            if piece.is_null() && give_back(layout.size()) {
                return System.alloc_zeroed(layout);
            }
            piece
        }
    }

    unsafe fn realloc(&self, before: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; a piece that cannot grow is left as it is.
        unsafe {
            let piece = System.realloc(before, layout, size);
            if piece.is_null() && give_back(size) {
                return System.realloc(before, layout, size);
            }
            piece
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(piece, layout) }
    }
}

/// Raises where the reserve had to be used.
#[inline]
pub fn check() {
    if USED.load(Ordering::Relaxed) {
        out();
    }
}

/// Sees to it that there is a reserve, and raises where none can be had.
pub fn begin() {
    check();
    if KEPT.load(Ordering::Acquire).is_null() {
        // SAFETY: a layout of more than 0 bytes.
        let kept = unsafe { System.alloc(LAYOUT) };
        if kept.is_null() {
            out();
        }
        let before = KEPT.swap(kept, Ordering::AcqRel);
        debug_assert!(before.is_null(), "one thread keeps the reserve");
    }
}

#[cold]
fn out() -> ! {
    USED.store(false, Ordering::Relaxed);
    raise(
        PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        "out of memory",
        Some("Give the server process more memory, or the call less to do."),
    )
}

/// Adds an entry, or raises 53200, as all below.
#[inline]
pub fn push<T>(vec: &mut Vec<T>, value: T, what: &'static str) {
    or_raise(memory::push(vec, value, what));
}

/// Adds to a text.
#[inline]
pub fn append(text: &mut String, more: &str, what: &'static str) {
    or_raise(memory::append(text, more, what));
}

/// `len` times the same value.
pub fn filled<T: Clone>(value: T, len: usize, what: &'static str) -> Vec<T> {
    or_raise(memory::filled(value, len, what))
}

/// Everything that an iterator gives.
pub fn collected<T>(values: impl IntoIterator<Item = T>, what: &'static str) -> Vec<T> {
    or_raise(memory::collected(values, what))
}

/// Adds to a set; whether it is new there.
#[inline]
pub fn add<T: Eq + Hash>(set: &mut HashSet<T>, value: T, what: &'static str) -> bool {
    or_raise(memory::add(set, value, what))
}

/// Puts a value into a map.
#[inline]
pub fn put<K: Eq + Hash, V>(map: &mut HashMap<K, V>, key: K, value: V, what: &'static str) {
    or_raise(memory::reserve_in(map, what));
    map.insert(key, value);
}

/// Raises where so many bytes cannot be had; takes none.
pub fn room(bytes: usize, what: &'static str) {
    or_raise(memory::reserve(&mut Vec::<u8>::new(), bytes, what));
}

/// A copy of a text that may be of any length.
pub fn owned(text: &str) -> String {
    or_raise(memory::owned(text, "a text"))
}
