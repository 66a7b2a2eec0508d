//! From stored plays to what a ranking needs of a listener: the same on demand and in batch.

use pgrx::pg_sys;
use sparkify_core::listening::{self, Heard, completion, gather};
use sparkify_core::rank::{Index, Query};
use sparkify_core::taste::{self, Part};
use sparkify_core::{Result, memory};
use sparkify_learn::listener::Folding;

use crate::error::or_raise;
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
/// Tracks whose vectors are asked for ahead of their use.
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
    Said(listening::Kind),
}

/// What a rating says.
pub fn said(feedback: &Feedback) -> listening::Kind {
    if feedback.rating < 0 { listening::Kind::Disliked } else { listening::Kind::Liked }
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

    /// Takes what the user said of a track.
    pub fn rate(&mut self, feedback: &Feedback) {
        self.push(feedback.track_id, feedback.rated_at, Kind::Said(said(feedback)));
    }

    fn push(&mut self, track_id: &str, at: i64, kind: Kind) {
        if self.events.is_empty() {
            or_raise(memory::reserve(&mut self.events, USUAL_PLAYS, WHAT));
        }
        if self.track_ids.capacity() - self.track_ids.len() < track_id.len() {
            let more = USUAL_PLAYS * track_id.len() + self.track_ids.len();
            or_raise(memory::reserve_text(&mut self.track_ids, more, WHAT));
        }
        self.track_ids.push_str(track_id);
        let event = Event { end: self.track_ids.len(), at, kind };
        or_raise(memory::push(&mut self.events, event, WHAT));
    }

    /// The events of tracks that the index has.
    fn known(&self, index: &Index) -> Result<Vec<listening::Event>> {
        let mut start = 0;
        let track_ids = self.events.iter().map(|event| {
            let id = &self.track_ids[start..event.end];
            start = event.end;
            id
        });
        let mut known = Vec::new();
        memory::reserve(&mut known, self.events.len(), WHAT)?;
        let mut events = self.events.iter();
        index.positions(track_ids, |position| {
            let Some(event) = events.next() else { return };
            let Some(track) = position else { return };
            let kind = match event.kind {
                Kind::Said(said) => said,
                Kind::Played { ms_played, skipped } => listening::Kind::Played {
                    completion: completion(ms_played, index.duration_ms(track), skipped),
                    skipped: skipped == Some(true),
                },
            };
            known.push(listening::Event { track, at: event.at, kind });
        });
        Ok(known)
    }

    /// The tracks that the user heard or said something of, each once, by position.
    pub fn heard(&self, index: &Index, half_life_days: f64) -> Result<Vec<Heard>> {
        let mut known = self.known(index)?;
        let mut heard = Vec::new();
        memory::reserve(&mut heard, known.len(), WHAT)?;
        gather(&mut known, half_life_days, |entry| heard.push(entry));
        Ok(heard)
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
    ) -> Result<Listener> {
        let heard = self.heard(index, half_life_days)?;
        let mut listener = Listener::of_nothing(&heard, index)?;
        match &mut folding {
            Some(folding) => {
                if let Some(folded) = folding.fold(&heard)? {
                    listener.strategy = Strategy::Listened;
                    listener.vector = folded.vector;
                    listener.scale = folded.scale;
                    listener.boosts = folded.boosts;
                    return Ok(listener);
                }
            }
            None => {
                if let Some(vector) = taste::listened(index.dims(), parts(index, &heard)) {
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
}

/// What a content model's vector is summed from.
pub fn parts<'a>(index: &'a Index, heard: &'a [Heard]) -> impl Iterator<Item = Part<'a>> {
    heard.iter().enumerate().map(move |(at, entry)| {
        if let Some(later) = heard.get(at + AHEAD) {
            index.prefetch(later.track);
        }
        Part {
            weight: entry.content_weight(),
            embedding: index.vector(entry.track),
            norm: index.norm(entry.track),
        }
    })
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
    fn of_nothing(heard: &[Heard], index: &Index) -> Result<Listener> {
        let played = memory::collected(heard.iter().map(|entry| entry.track), WHAT)?;
        let mut songs =
            memory::collected(played.iter().map(|&position| index.song(position)), WHAT)?;
        songs.sort_unstable();
        songs.dedup();
        let (vector, boosts) = (Vec::new(), Vec::new());
        Ok(Listener { vector, scale: 1.0, boosts, strategy: Strategy::Popular, played, songs })
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
