//! From stored plays to what a ranking needs of a listener: the same on demand and in batch.

use pgrx::pg_sys;
use sparkify_core::rank::{Index, Query};
use sparkify_core::sorting;
use sparkify_core::taste::{self, Play};
use sparkify_learn::Signal;
use sparkify_learn::listener::{Folding, Heard};

use crate::error::or_raise;
use crate::interrupt::interrupt;
use crate::memory;
use crate::storage::listeners::{Declared, Feedback, StoredPlay};

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

/// What memory is asked for.
const WHAT: &str = "the plays of a user";
/// Plays that there is room for at once.
const USUAL_PLAYS: usize = 64;
/// Plays whose vectors are asked for ahead of their use.
const AHEAD: usize = 8;

/// A play, or what was said of a track, while it is read.
#[derive(Clone, Copy)]
struct Event {
    /// Where the track's id ends among all.
    end: usize,
    at: i64,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Played { ms_played: Option<i32>, skipped: Option<bool> },
    Liked,
    Disliked,
}

/// The plays of one user up to now, and what the user said, while they are read.
#[derive(Default)]
pub struct History {
    /// The ids of the tracks, one after the other.
    track_ids: String,
    events: Vec<Event>,
    /// Whether a play lies in the future, and will count later.
    pub future: bool,
}

/// An event of a track that the index has.
#[derive(Clone, Copy)]
struct Known {
    position: u32,
    at: i64,
    kind: Kind,
}

impl History {
    /// Takes a play; `now` is in microseconds since 2000-01-01 00:00 UTC.
    pub fn add(&mut self, play: &StoredPlay, now: i64) {
        if play.played_at > now {
            self.future = true;
            return;
        }
        let kind = Kind::Played { ms_played: play.ms_played, skipped: play.skipped };
        self.push(play.track_id, play.played_at, kind);
    }

    /// Takes a track that was heard to the end.
    pub fn hear(&mut self, track_id: &str, at: i64) {
        self.push(track_id, at, Kind::Played { ms_played: None, skipped: None });
    }

    /// Takes what the user said of a track. A like counts as a play that was heard to
    /// the end.
    pub fn rate(&mut self, feedback: &Feedback) {
        let kind = if feedback.rating < 0 { Kind::Disliked } else { Kind::Liked };
        self.push(feedback.track_id, feedback.rated_at, kind);
    }

    fn push(&mut self, track_id: &str, at: i64, kind: Kind) {
        if self.events.is_empty() {
            self.events.reserve(USUAL_PLAYS);
            self.track_ids.reserve(USUAL_PLAYS * track_id.len());
        }
        memory::append(&mut self.track_ids, track_id, WHAT);
        let event = Event { end: self.track_ids.len(), at, kind };
        memory::push(&mut self.events, event, WHAT);
    }

    /// The events that count.
    fn known(&self, index: &Index) -> Vec<Known> {
        let mut start = 0;
        let track_ids = self.events.iter().map(|event| {
            let id = &self.track_ids[start..event.end];
            start = event.end;
            id
        });
        let mut known = Vec::new();
        or_raise(sparkify_core::memory::reserve(&mut known, self.events.len(), WHAT));
        let mut events = self.events.iter();
        index.positions(track_ids, |position| {
            if let (Some(position), Some(&Event { at, kind, .. })) = (position, events.next()) {
                known.push(Known { position, at, kind });
            }
        });
        known
    }

    /// What the ranking needs, from the plays or, where they say nothing, the declared
    /// taste. `folding` is that of a model of plays.
    pub fn to_listener(
        &self,
        index: &Index,
        mut folding: Option<&mut Folding>,
        half_life_days: f64,
        declared: &Declared,
        centroid: impl Fn(&str) -> Option<Vec<f32>>,
    ) -> sparkify_core::Result<Listener> {
        let known = self.known(index);
        let mut listener = Listener::of_nothing(&known, index);
        match &mut folding {
            Some(folding) => {
                let heard = heard(&known, index, half_life_days);
                if let Some(folded) = folding.fold(&heard)? {
                    listener.strategy = Strategy::Listened;
                    listener.vector = folded.vector;
                    listener.scale = folded.scale;
                    listener.boosts = folded.boosts;
                    return Ok(listener);
                }
            }
            None => {
                let disliked = disliked(&known);
                let plays = plays(&known, &disliked, index);
                if let Some(vector) = taste::listened(index.dims(), half_life_days, plays) {
                    listener.strategy = Strategy::Listened;
                    listener.vector = vector;
                    return Ok(listener);
                }
            }
        }
        if let Some(vector) = taste::declared(index.dims(), declared, centroid) {
            listener.strategy = Strategy::Declared;
            if let Some(folding) = folding {
                listener.scale = folding.scale(&vector);
            }
            listener.vector = vector;
        }
        Ok(listener)
    }

    /// What each track heard weighs in the vector of a content model, by position.
    pub fn content_weights(&self, index: &Index, half_life_days: f64) -> Vec<(u32, f64)> {
        let known = self.known(index);
        let disliked = disliked(&known);
        let newest = known.iter().map(|event| event.at).max().unwrap_or(0);
        let weights = known.iter().filter_map(|event| {
            let recency = taste::recency(newest - event.at, half_life_days);
            Some((event.position, recency * content_weight(event, &disliked, index)?))
        });
        let mut weights: Vec<(u32, f64)> = memory::collected(weights, WHAT);
        sorting::sort_by(&mut weights, &interrupt, |a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let sum = |plays: &[(u32, f64)]| (plays[0].0, plays.iter().map(|play| play.1).sum());
        memory::collected(weights.chunk_by(|a, b| a.0 == b.0).map(sum), WHAT)
    }

    /// The tracks that the user heard or said something of, each once, by position.
    pub fn heard(&self, index: &Index, half_life_days: f64) -> Vec<Heard> {
        heard(&self.known(index), index, half_life_days)
    }
}

/// The events as a content model takes them. A dislike outweighs all plays of its track.
fn plays<'a>(
    known: &'a [Known],
    disliked: &'a [u32],
    index: &'a Index,
) -> impl Iterator<Item = Play<'a>> + Clone {
    known.iter().enumerate().filter_map(move |(at, event)| {
        if let Some(later) = known.get(at + AHEAD) {
            index.prefetch(later.position);
        }
        Some(Play {
            embedding: index.vector(event.position),
            norm: index.norm(event.position),
            played_at: event.at,
            completion: content_weight(event, disliked, index)?,
        })
    })
}

fn disliked(known: &[Known]) -> Vec<u32> {
    let disliked = known.iter().filter(|event| matches!(event.kind, Kind::Disliked));
    let mut disliked = memory::collected(disliked.map(|event| event.position), WHAT);
    sorting::sort(&mut disliked, &interrupt);
    disliked
}

/// What an event counts in a content model beside its age; `None` for a play of a track
/// that is disliked.
fn content_weight(event: &Known, disliked: &[u32], index: &Index) -> Option<f64> {
    match completion(event, index) {
        None => Some(taste::DISLIKED),
        Some(_) if disliked.binary_search(&event.position).is_ok() => None,
        Some(completion) => Some(completion),
    }
}

/// Share of a track that was heard; `None` for a dislike.
fn completion(event: &Known, index: &Index) -> Option<f64> {
    match event.kind {
        Kind::Played { ms_played, skipped } => {
            Some(taste::completion(ms_played, index.duration_ms(event.position), skipped))
        }
        Kind::Liked => Some(1.0),
        Kind::Disliked => None,
    }
}

/// An entry for each track. A dislike outweighs all plays; a track that was skipped
/// whenever it came, and never heard, speaks against itself.
fn heard(known: &[Known], index: &Index, half_life_days: f64) -> Vec<Heard> {
    let mut events = memory::collected(known.iter().copied(), WHAT);
    sorting::sort_by_key(&mut events, &interrupt, |event| (event.position, event.at));
    let newest = known.iter().map(|event| event.at).max().unwrap_or(0);
    let of_track = |events: &[Known]| {
        let disliked = events.iter().any(|event| matches!(event.kind, Kind::Disliked));
        let skipped = events
            .iter()
            .all(|event| matches!(event.kind, Kind::Played { skipped: Some(true), .. }));
        let weights = events.iter().filter_map(|event| {
            let recency = taste::recency(newest - event.at, half_life_days);
            Some(recency * completion(event, index)?)
        });
        Heard {
            position: events[0].position,
            weight: weights.sum(),
            signal: match (disliked, skipped) {
                (true, _) => Signal::Disliked,
                (false, true) => Signal::Skipped,
                (false, false) => Signal::Played,
            },
            last: events.iter().map(|event| event.at).max().unwrap_or(0),
        }
    };
    memory::collected(events.chunk_by(|a, b| a.position == b.position).map(of_track), WHAT)
}

/// What a ranking needs of a user.
pub struct Listener {
    /// Empty for [`Strategy::Popular`]; of length one but for a model of plays.
    pub vector: Vec<f32>,
    /// What the metric is multiplied by.
    pub scale: f64,
    /// What neighbours add, by position.
    pub boosts: Vec<(u32, f64)>,
    /// Where it comes from.
    pub strategy: Strategy,
    /// Positions of the tracks played, and of those rated.
    pub played: Vec<u32>,
    /// Songs played.
    pub songs: Vec<u32>,
}

impl Listener {
    fn of_nothing(known: &[Known], index: &Index) -> Listener {
        let mut played = memory::collected(known.iter().map(|event| event.position), WHAT);
        sorting::sort(&mut played, &interrupt);
        played.dedup();
        let songs = played.iter().map(|&position| index.song(position));
        let mut songs = memory::collected(songs, WHAT);
        sorting::sort(&mut songs, &interrupt);
        songs.dedup();
        let (vector, boosts) = (Vec::new(), Vec::new());
        Listener { vector, scale: 1.0, boosts, strategy: Strategy::Popular, played, songs }
    }

    /// The plain query: the `n` best of what was not played.
    pub fn query(&self, n: usize) -> Query<'_> {
        Query {
            vector: &self.vector,
            scale: self.scale,
            boosts: &self.boosts,
            n,
            exclude: &self.played,
            distinct_songs: true,
            exclude_songs: &self.songs,
            ..Query::default()
        }
    }

    /// The vector as it is stored: its product with a track's is the score, but for what
    /// neighbours add.
    pub fn stored_vector(&self) -> Vec<f32> {
        self.vector.iter().map(|&x| (f64::from(x) * self.scale) as f32).collect()
    }
}

/// The wall clock, in microseconds since 2000-01-01 00:00 UTC.
#[expect(unsafe_code, reason = "the server's clock is a C function")]
pub fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
