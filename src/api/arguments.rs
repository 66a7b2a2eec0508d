//! Arrays that callers give, of whatever length.

use pgrx::prelude::*;
use sparkify_core::rank::Index;

use crate::interrupt::interrupt;
use crate::memory;

/// Elements between two interrupt checks.
const CHUNK: usize = 4096;

/// The elements that are not NULL.
pub fn known(elements: Array<'_, &str>) -> Vec<String> {
    let mut known = Vec::new();
    for (at, element) in elements.iter().enumerate() {
        if at.is_multiple_of(CHUNK) {
            interrupt();
        }
        if let Some(element) = element {
            memory::push(&mut known, memory::owned(element), "the elements of an array");
        }
    }
    known
}

/// Positions of the tracks that the index has, each once where the ids are many.
pub fn positions(index: &Index, ids: &[String]) -> Vec<u32> {
    let mut positions = Vec::new();
    let many = ids.len() > CHUNK;
    let mut seen = memory::filled(false, if many { index.len() } else { 0 }, "tracks");
    for chunk in ids.chunks(CHUNK) {
        interrupt();
        index.positions(chunk.iter().map(String::as_str), |position| {
            let Some(position) = position else { return };
            let before = seen.get_mut(position as usize).map(|seen| std::mem::replace(seen, true));
            if before != Some(true) {
                memory::push(&mut positions, position, "tracks");
            }
        });
    }
    positions
}
