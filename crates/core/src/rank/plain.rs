//! Ranking without any cleverness: score every track, sort, cut.
//!
//! The measure of correctness for the fast paths, and the way taken for lists
//! so long that bounds decide nothing.

use std::collections::HashSet;

use super::score::Scoring;
use super::{Index, Query, Ranked};
use crate::{Interrupt, Result};

/// The same rows as [`top_n`](super::top_n), by scoring all and sorting.
///
/// # Errors
/// As [`top_n`](super::top_n).
pub fn top_n(index: &Index, query: &Query, interrupt: Interrupt) -> Result<Vec<Ranked>> {
    query.check(index)?;
    let scoring = Scoring::new(index, query);
    let excluded: HashSet<u32> = query.exclude.iter().copied().collect();
    let excluded_songs: HashSet<u32> = query.exclude_songs.iter().copied().collect();
    let candidates: Option<HashSet<u32>> =
        query.candidates.map(|candidates| candidates.iter().copied().collect());

    let mut ranked = Vec::new();
    super::reserve(&mut ranked, index.len())?;
    for position in 0..index.len() as u32 {
        if position.is_multiple_of(4096) {
            interrupt();
        }
        if candidates.as_ref().is_none_or(|candidates| candidates.contains(&position))
            && !excluded.contains(&position)
            && !(query.distinct_songs && excluded_songs.contains(&index.song(position)))
        {
            ranked.push(Ranked { position, score: scoring.score(index, position, query) });
        }
    }
    interrupt();
    ranked.sort_unstable_by(Ranked::order);
    if query.distinct_songs {
        let mut seen = HashSet::new();
        ranked.retain(|ranked| seen.len() < query.n && seen.insert(index.song(ranked.position)));
    }
    ranked.truncate(query.n);
    Ok(ranked)
}
