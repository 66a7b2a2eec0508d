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

/// Plays that there is room for at once.
const USUAL_PLAYS: usize = 64;
/// Plays whose vectors are asked for ahead of their use.
const AHEAD: usize = 8;

/// The plays of one user up to now, while they are read.
#[derive(Default)]
pub struct History {
    /// The ids of the tracks, one after the other.
    track_ids: String,
    /// Where each play's id ends, when it was, how long it was heard.
    plays: Vec<(usize, i64, Option<i32>)>,
    /// Whether a play lies in the future, and will count later.
    pub future: bool,
}

/// A play of a track that the index has.
#[derive(Clone, Copy)]
struct KnownPlay {
    position: u32,
    played_at: i64,
    ms_played: Option<i32>,
}

impl History {
    /// Takes a play; `now` is in microseconds since 2000-01-01 00:00 UTC.
    pub fn add(&mut self, play: &StoredPlay, now: i64) {
        if play.played_at > now {
            self.future = true;
            return;
        }
        if self.plays.is_empty() {
            self.plays.reserve(USUAL_PLAYS);
            self.track_ids.reserve(USUAL_PLAYS * play.track_id.len());
        }
        self.track_ids.push_str(play.track_id);
        self.plays.push((self.track_ids.len(), play.played_at, play.ms_played));
    }

    /// The plays that count.
    fn known(&self, index: &Index) -> Vec<KnownPlay> {
        let mut start = 0;
        let track_ids = self.plays.iter().map(|&(end, ..)| {
            let id = &self.track_ids[start..end];
            start = end;
            id
        });
        let mut known = Vec::with_capacity(self.plays.len());
        let mut plays = self.plays.iter();
        index.positions(track_ids, |position| {
            let play = plays.next();
            if let (Some(position), Some(&(_, played_at, ms_played))) = (position, play) {
                known.push(KnownPlay { position, played_at, ms_played });
            }
        });
        known
    }

    /// What the ranking needs, from the plays or, where they say nothing, the declared taste.
    pub fn into_listener(
        self,
        index: &Index,
        half_life_days: f64,
        declared: &Declared,
        centroid: impl Fn(&str) -> Option<Vec<f32>>,
    ) -> Listener {
        let known = self.known(index);
        let plays = known.iter().enumerate().map(|(at, play)| {
            if let Some(later) = known.get(at + AHEAD) {
                index.prefetch(later.position);
            }
            Play {
                embedding: index.vector(play.position),
                norm: index.norm(play.position),
                played_at: play.played_at,
                ms_played: play.ms_played,
                duration_ms: index.duration_ms(play.position),
            }
        });
        let (vector, strategy) = match taste::listened(index.dims(), half_life_days, plays) {
            Some(vector) => (vector, Strategy::Listened),
            None => match taste::declared(index.dims(), declared, centroid) {
                Some(vector) => (vector, Strategy::Declared),
                None => (Vec::new(), Strategy::Popular),
            },
        };
        let mut played: Vec<u32> = known.iter().map(|play| play.position).collect();
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
