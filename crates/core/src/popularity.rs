//! Ranking by popularity, for listeners of whom nothing is known.
//!
//! Tracks are ordered by their listeners, then by the catalogue's own popularity,
//! then by position: a listener counts once, however often the same track is
//! repeated. A score is the share of the most popular track's listeners, or of the
//! greatest popularity where nothing was ever played. `O(n log n)` once, when an index
//! is made, then a walk for each list.

use std::cmp::Reverse;

use crate::rank::{Index, Query, Ranked};
use crate::{Interrupt, Result, memory, sorting};

/// Positions in the order of their popularity, and the score of each. `listeners` and
/// `popularity` are by position and of one length, or one is empty and counts as zeros;
/// an unknown popularity is 0.
///
/// # Errors
/// [`crate::Error::OutOfMemory`].
pub fn order(
    listeners: &[u32],
    popularity: &[i32],
    interrupt: Interrupt,
) -> Result<(Vec<u32>, Vec<f32>)> {
    let len = listeners.len().max(popularity.len());
    let mut shares = Vec::new();
    memory::reserve(&mut shares, len, "popularity")?;
    let heard = |at: u32| listeners.get(at as usize).copied().unwrap_or(0);
    let known = |at: u32| popularity.get(at as usize).copied().unwrap_or(0).max(0);
    let mut positions = memory::collected(0..len as u32, "popularity")?;
    let key = |at: u32| (Reverse(heard(at)), Reverse(known(at)), at);
    sorting::sort_by_key(&mut positions, interrupt, |&at| key(at));
    let most = positions.first().map_or(0, |&at| heard(at));
    let greatest = popularity.iter().copied().max().unwrap_or(0);
    shares.extend(positions.iter().map(|&at| match (most, greatest) {
        (1.., _) => (f64::from(heard(at)) / f64::from(most)) as f32,
        (0, 1..) => (f64::from(known(at)) / f64::from(greatest)) as f32,
        _ => 0.0,
    }));
    Ok((positions, shares))
}

/// The `query.n` most popular tracks of an index that the query's filters leave; its
/// vector is not read.
///
/// # Errors
/// [`crate::Error::OutOfMemory`].
pub fn top_n(index: &Index, query: &Query) -> Result<Vec<Ranked>> {
    let mut banned = memory::filled(query.candidates.is_some(), index.len(), "popularity")?;
    let mut ban = |positions: &[u32], ban: bool| {
        for &position in positions {
            if let Some(banned) = banned.get_mut(position as usize) {
                *banned = ban;
            }
        }
    };
    ban(query.candidates.unwrap_or_default(), false);
    ban(query.exclude, true);
    let mut songs = std::collections::HashSet::new();
    if query.distinct_songs {
        for &song in query.exclude_songs {
            memory::add(&mut songs, song, "songs")?;
        }
    }
    let ranked = index
        .popular()
        .filter(|ranked| !banned[ranked.position as usize])
        .filter(|ranked| !query.distinct_songs || songs.insert(index.song(ranked.position)))
        .take(query.n)
        .collect();
    Ok(ranked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::{IndexBuilder, Learned};

    fn positions(ranked: &[Ranked]) -> Vec<u32> {
        ranked.iter().map(|r| r.position).collect()
    }

    #[test]
    fn listeners_decide_then_popularity_then_position() {
        let (positions, shares) = order(&[0, 4, 0, 2, 0], &[5, 0, 9, 0, 5], &|| ()).unwrap();
        assert_eq!(positions, [1, 3, 2, 0, 4]);
        assert_eq!(shares, [1.0, 0.5, 0.0, 0.0, 0.0]);
        let unplayed = order(&[0, 0], &[20, 80], &|| ()).unwrap();
        assert_eq!(unplayed, (vec![1, 0], vec![1.0, 0.25]));
        assert_eq!(order(&[], &[-5, 0], &|| ()).unwrap(), (vec![0, 1], vec![0.0, 0.0]));
        assert_eq!(order(&[0], &[], &|| ()).unwrap().1, [0.0]);
        assert_eq!(order(&[], &[], &|| ()).unwrap(), (vec![], vec![]));
    }

    #[test]
    fn filters_apply_before_the_cut() {
        let mut builder = IndexBuilder::new(1).unwrap();
        for (id, song) in [("a", 1), ("b", 1), ("c", 2), ("d", 3), ("e", 4)] {
            builder.push(id, &[1.0], song, None).unwrap();
        }
        let listeners = vec![9, 8, 7, 6, 5];
        builder.learned(Learned { listeners, ..Learned::default() }).unwrap();
        let image = builder.finish(7, &|| ()).unwrap();
        let index = Index::open(&image).unwrap();
        let query = Query { n: 2, exclude: &[2], distinct_songs: true, ..Query::default() };
        assert_eq!(positions(&top_n(&index, &query).unwrap()), [0, 3]);
        let some = Query { candidates: Some(&[4, 1, 2, 77]), ..query };
        assert_eq!(positions(&top_n(&index, &some).unwrap()), [1, 4]);
        let song = index.song(0);
        let other = Query { exclude_songs: &[song], ..query };
        assert_eq!(positions(&top_n(&index, &other).unwrap()), [3, 4]);
    }
}
