//! From stored plays to what a ranking needs of a listener: the same on demand and in batch.

use pgrx::pg_sys;
use sparkify_core::rank::{Index, Query};
use sparkify_core::taste::{self, Play};

use crate::storage::listeners::{Declared, StoredPlay};

/// How a listener's direction came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// From plays.
    Listened,
    /// From declared weights over genre centroids.
    Declared,
    /// From nothing: ranked by popularity.
    Popular,
}

impl Strategy {
    /// As stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Listened => "listened",
            Strategy::Declared => "declared",
            Strategy::Popular => "popular",
        }
    }
}

/// The plays of one user that count, while they are read.
#[derive(Default)]
pub struct History {
    plays: Vec<(u32, i64, Option<i32>)>,
    /// Whether a play lies in the future, and will count later.
    pub future: bool,
}

impl History {
    /// Takes a play; `now` is in microseconds since 2000-01-01 00:00 UTC.
    pub fn add(&mut self, index: &Index, play: &StoredPlay, now: i64) {
        if play.played_at > now {
            self.future = true;
        } else if let Some(position) = index.position(play.track_id) {
            self.plays.push((position, play.played_at, play.ms_played));
        }
    }

    /// What the ranking needs, from the plays or, where they say nothing, the declared taste.
    pub fn into_listener(
        self,
        index: &Index,
        half_life_days: f64,
        declared: &Declared,
        centroid: impl Fn(&str) -> Option<Vec<f32>>,
    ) -> Listener {
        let plays = self.plays.iter().map(|&(position, played_at, ms_played)| Play {
            embedding: index.vector(position),
            norm: index.norm(position),
            played_at,
            ms_played,
            duration_ms: index.duration_ms(position),
        });
        let (vector, strategy) = match taste::listened(index.dims(), half_life_days, plays) {
            Some(vector) => (vector, Strategy::Listened),
            None => match taste::declared(index.dims(), declared, centroid) {
                Some(vector) => (vector, Strategy::Declared),
                None => (Vec::new(), Strategy::Popular),
            },
        };
        let mut played: Vec<u32> = self.plays.iter().map(|play| play.0).collect();
        played.sort_unstable();
        played.dedup();
        let mut songs: Vec<u32> = played.iter().map(|&position| index.song(position)).collect();
        songs.sort_unstable();
        songs.dedup();
        Listener { vector, strategy, played, songs }
    }
}

/// What a ranking needs of a user.
pub struct Listener {
    /// Unit vector; empty for [`Strategy::Popular`].
    pub vector: Vec<f32>,
    /// Where it comes from.
    pub strategy: Strategy,
    /// Positions of the tracks played.
    pub played: Vec<u32>,
    /// Songs played.
    pub songs: Vec<u32>,
}

impl Listener {
    /// The plain query: the `n` best of what was not played.
    pub fn query(&self, n: usize) -> Query<'_> {
        Query {
            vector: &self.vector,
            n,
            exclude: &self.played,
            candidates: None,
            distinct_songs: true,
            exclude_songs: &self.songs,
        }
    }
}

/// The wall clock, in microseconds since 2000-01-01 00:00 UTC.
#[expect(unsafe_code, reason = "the server's clock is a C function")]
pub fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
