//! Ranking by popularity, for listeners of whom nothing is known.
//!
//! Tracks are ordered by their plays, then by the catalogue's own popularity,
//! then by position. A score is the share of the most popular track's plays, or
//! of the greatest popularity where nothing was ever played. `O(n log n)` once,
//! then a walk for each list.

use crate::rank::{Index, Query, Ranked};

/// A catalogue in the order of its popularity.
pub struct Popularity {
    order: Vec<Ranked>,
}

impl Popularity {
    /// Orders a catalogue. `plays` and `popularity` are by position in the index
    /// and of its length; an unknown popularity is 0.
    pub fn new(plays: &[u64], popularity: &[i32]) -> Popularity {
        let most_plays = plays.iter().copied().max().unwrap_or(0);
        let greatest = popularity.iter().copied().max().unwrap_or(0);
        let score = |at: usize| match (most_plays, greatest) {
            (1.., _) => plays[at] as f64 / most_plays as f64,
            (0, 1..) => f64::from(popularity[at].max(0)) / f64::from(greatest),
            _ => 0.0,
        };
        let mut positions: Vec<usize> = (0..plays.len()).collect();
        positions.sort_by_key(|&at| {
            (std::cmp::Reverse(plays[at]), std::cmp::Reverse(popularity[at]), at)
        });
        let order = positions
            .into_iter()
            .map(|at| Ranked { position: at as u32, score: score(at) })
            .collect();
        Popularity { order }
    }

    /// The `query.n` most popular tracks that the query's filters leave; its
    /// vector is not read.
    pub fn top_n(&self, index: &Index, query: &Query) -> Vec<Ranked> {
        let mut banned = vec![query.candidates.is_some(); index.len()];
        for &position in query.candidates.unwrap_or_default() {
            banned[position as usize] = false;
        }
        for &position in query.exclude {
            banned[position as usize] = true;
        }
        let mut songs = std::collections::HashSet::new();
        if query.distinct_songs {
            songs.extend(query.exclude_songs.iter().copied());
        }
        self.order
            .iter()
            .filter(|ranked| !banned[ranked.position as usize])
            .filter(|ranked| !query.distinct_songs || songs.insert(index.song(ranked.position)))
            .take(query.n)
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::IndexBuilder;

    fn positions(ranked: &[Ranked]) -> Vec<u32> {
        ranked.iter().map(|r| r.position).collect()
    }

    #[test]
    fn plays_decide_then_popularity_then_position() {
        let popularity = Popularity::new(&[0, 4, 0, 2, 0], &[5, 0, 9, 0, 5]);
        assert_eq!(positions(&popularity.order), [1, 3, 2, 0, 4]);
        let scores: Vec<f64> = popularity.order.iter().map(|r| r.score).collect();
        assert_eq!(scores, [1.0, 0.5, 0.0, 0.0, 0.0]);
        let unplayed = Popularity::new(&[0, 0], &[20, 80]);
        assert_eq!(positions(&unplayed.order), [1, 0]);
        assert_eq!(unplayed.order[1].score, 0.25);
        assert_eq!(Popularity::new(&[0], &[0]).order[0].score, 0.0);
    }

    #[test]
    fn filters_apply_before_the_cut() {
        let mut builder = IndexBuilder::new(1).unwrap();
        for (id, song) in [("a", 1), ("b", 1), ("c", 2), ("d", 3), ("e", 4)] {
            builder.push(id, &[1.0], song, None).unwrap();
        }
        let image = builder.finish(7, &|| ()).unwrap();
        let index = Index::open(&image).unwrap();
        let popularity = Popularity::new(&[9, 8, 7, 6, 5], &[0; 5]);
        let query = Query { n: 2, exclude: &[2], distinct_songs: true, ..Query::default() };
        assert_eq!(positions(&popularity.top_n(&index, &query)), [0, 3]);
        let some = Query { candidates: Some(&[4, 1, 2]), ..query };
        assert_eq!(positions(&popularity.top_n(&index, &some)), [1, 4]);
        let song = index.song(0);
        let other = Query { exclude_songs: &[song], ..query };
        assert_eq!(positions(&popularity.top_n(&index, &other)), [3, 4]);
    }
}
