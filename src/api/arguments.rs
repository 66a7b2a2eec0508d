//! Arrays that callers give, of whatever length.

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use sparkify_core::rank::Index;

use crate::error::raise;
use crate::interrupt::interrupt;
use crate::memory;
use crate::texts::Texts;

/// Elements between two interrupt checks.
const CHUNK: usize = 4096;

/// Elements that an array may have: more are a catalogue, not a choice.
const MOST: usize = 10_000_000;

/// The elements that are not NULL.
pub fn known(elements: Array<'_, &str>) -> Texts {
    if elements.len() > MOST {
        raise(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("an array must have at most {MOST} elements, not {}", elements.len()),
            Some(
                "Keep tracks that nobody may get out of sparkify.tracks, or hide them by row-level security.",
            ),
        );
    }
    let mut known = Texts::default();
    for (at, element) in elements.iter().enumerate() {
        if at.is_multiple_of(CHUNK) {
            interrupt();
        }
        if let Some(element) = element {
            known.push(element);
        }
    }
    known
}

/// Positions of the tracks that the index has, each once where the ids are many.
pub fn positions(index: &Index, ids: &Texts) -> Vec<u32> {
    let mut positions = Vec::new();
    let many = ids.len() > CHUNK;
    let mut seen = memory::filled(false, if many { index.len() } else { 0 }, "tracks");
    let mut at = 0usize;
    let ids = ids.iter().inspect(|_| {
        if at.is_multiple_of(CHUNK) {
            interrupt();
        }
        at += 1;
    });
    index.positions(ids, |position| {
        let Some(position) = position else { return };
        let before = seen.get_mut(position as usize).map(|seen| std::mem::replace(seen, true));
        if before != Some(true) {
            memory::push(&mut positions, position, "tracks");
        }
    });
    positions
}
