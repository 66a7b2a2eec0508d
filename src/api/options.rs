//! The options that recommending functions share, and the rows they show.

use std::cell::RefCell;

use sparkify_core::popularity;
use sparkify_core::rank::{self, Index, Query, Ranked, Workspace};
use sparkify_core::sorting;

use super::arguments::positions;
use super::listener::{Listener, Strategy};
use crate::error::{in_range, or_raise, required};
use crate::interrupt::interrupt;
use crate::memory;
use crate::storage::genres;
use crate::storage::serving::{self, TrackRow};
use crate::texts::Texts;

/// A recommended or similar track.
pub struct Shown {
    /// From 1.
    pub rank: i32,
    /// The track.
    pub track_id: String,
    /// What is shown of it.
    pub track: TrackRow,
    /// Its score.
    pub score: f32,
}

/// What a caller asks for beside whom or what it is for.
pub struct Options {
    /// Rows wanted.
    pub n: usize,
    /// Tracks that must not come.
    pub exclude: Texts,
    candidates: Option<Texts>,
    genres: Option<Texts>,
    /// One version of a song.
    pub distinct_songs: bool,
    /// The model; `None` for the active one.
    pub model_id: Option<i64>,
}

impl Options {
    /// The options as SQL gives them; NULL elements do not count.
    pub fn new(
        n: Option<i32>,
        [exclude, candidates, genres]: [Option<Texts>; 3],
        distinct_songs: Option<bool>,
        model_id: Option<i64>,
    ) -> Options {
        Options {
            n: in_range(required(n, "n").into(), 1, 1000, "n") as usize,
            exclude: exclude.unwrap_or_default(),
            candidates,
            genres,
            distinct_songs: required(distinct_songs, "distinct_songs"),
            model_id,
        }
    }

    /// Positions that may appear, where any condition restricts them.
    pub fn candidates(&self, index: &Index) -> Option<Vec<u32>> {
        let named = self.candidates.as_ref().map(|ids| {
            let mut named = positions(index, ids);
            sorting::sort(&mut named, &interrupt);
            named.dedup();
            named
        });
        let Some(genres) = &self.genres else { return named };
        let mut of_genres = genres::positions(index, &genres::spellings(genres));
        sorting::sort(&mut of_genres, &interrupt);
        if let Some(named) = named {
            of_genres.retain(|position| named.binary_search(position).is_ok());
        }
        Some(of_genres)
    }

    /// What a listener is shown under these options.
    pub fn show(&self, index: &Index, listener: &Listener) -> Vec<Shown> {
        let candidates = self.candidates(index);
        let named = positions(index, &self.exclude);
        let exclude = memory::collected(listener.played.iter().copied().chain(named), "tracks");
        let query = Query {
            exclude: &exclude,
            candidates: candidates.as_deref(),
            distinct_songs: self.distinct_songs,
            ..listener.query(self.n)
        };
        if listener.strategy == Strategy::Popular {
            return show(index, &query, |query| or_raise(popularity::top_n(index, query)));
        }
        show(index, &query, |query| top_n(index, query))
    }
}

thread_local! {
    /// To get it from the system costs a call as much as half of its work.
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

/// The best of an index, ranked in memory that the session keeps.
pub fn top_n(index: &Index, query: &Query) -> Vec<Ranked> {
    let mut workspace = WORKSPACE.take();
    let ranked = or_raise(rank::top_n_in(index, query, &mut workspace, &interrupt));
    WORKSPACE.set(workspace);
    ranked
}

/// Rounds of ranking in which what is missing is left out one list at a time.
const ROUNDS: usize = 2;

/// Ranks until `query.n` tracks that the caller sees are found, or none is left.
pub fn show(index: &Index, query: &Query, rank: impl Fn(&Query) -> Vec<Ranked>) -> Vec<Shown> {
    let mut exclude = memory::collected(query.exclude.iter().copied(), "tracks");
    for round in 0.. {
        let ranked = rank(&Query { exclude: &exclude, ..*query });
        let mut tracks = serving::tracks(ranked.iter().map(|r| index.id(r.position)).collect());
        let missing = tracks.len() < ranked.len();
        if missing && round < ROUNDS {
            // Deleted since the model was built: rank again without them.
            let gone = ranked.iter().map(|r| r.position);
            exclude.extend(gone.filter(|&position| !tracks.contains_key(index.id(position))));
            continue;
        }
        if missing && round == ROUNDS {
            // There are many: all of them at once.
            exclude.extend(serving::unseen_positions(index));
            continue;
        }
        return ranked
            .iter()
            .zip(1..)
            .filter_map(|(ranked, rank)| {
                let (track_id, track) = tracks.remove_entry(index.id(ranked.position))?;
                Some(Shown { rank, track_id, track, score: ranked.score as f32 })
            })
            .collect();
    }
    Vec::new()
}
