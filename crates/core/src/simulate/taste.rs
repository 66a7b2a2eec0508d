//! What a user truly likes, and how it moves.
//!
//! A taste is kept by name in a [`TasteRecord`] (what a table stores) and bound
//! to a catalogue as a [`Taste`]. It is fixed; what drifts is the [`Leaning`]
//! read off it at a time, by smooth noise of the user's key.

use super::DAY;
use super::catalogue::{Catalogue, MOODS, Track};
use super::random::{Draws, key, noise};

/// Days over which a taste keeps its direction.
const TASTE_EPOCH: f64 = 60.0;

/// When a user listens most: four groups of similar size (Louail and Barthelemy 2017).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    /// 05:00 to 11:00.
    Early,
    /// 11:00 to 17:00.
    Working,
    /// 17:00 to 23:00.
    Evening,
    /// 23:00 to 05:00.
    Night,
}

impl Rhythm {
    /// All four, in the order of the day.
    pub const ALL: [Rhythm; 4] = [Rhythm::Early, Rhythm::Working, Rhythm::Evening, Rhythm::Night];

    /// Name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Rhythm::Early => "early bird",
            Rhythm::Working => "working hours",
            Rhythm::Evening => "evening",
            Rhythm::Night => "night owl",
        }
    }

    /// The rhythm of a name.
    pub fn from_name(name: &str) -> Option<Rhythm> {
        Rhythm::ALL.into_iter().find(|r| r.name() == name)
    }

    /// First hour in which the group's sessions start; the last is six hours later.
    pub(crate) fn first_hour(self) -> f64 {
        match self {
            Rhythm::Early => 5.0,
            Rhythm::Working => 10.5,
            Rhythm::Evening => 16.5,
            Rhythm::Night => 22.0,
        }
    }
}

/// A taste by name, as it is kept aside from every model.
#[derive(Debug, Clone, PartialEq)]
pub struct TasteRecord {
    /// Genres and their weights, which sum to 1; by name.
    pub genres: Vec<(String, f64)>,
    /// Favourite artists and their weights, which sum to 1; by name.
    pub artists: Vec<(String, f64)>,
    /// Preferred value of each of [`MOODS`], in standard deviations from the mean of a track's genre.
    pub moods: [f64; 4],
    /// Standard score of the logarithm of the rate of listening.
    pub activity: f64,
    /// When the user listens most.
    pub rhythm: Rhythm,
    /// Skips for one of a user of the same age; about 1.
    pub impatience: f64,
    /// Time until the user leaves, as a multiple of the mean.
    pub stay: f64,
}

/// A taste bound to a catalogue. Genres and artists that are not in it are dropped.
#[derive(Debug, Clone)]
pub struct Taste {
    pub(crate) genres: Vec<(u32, f64)>,
    /// Artist, genre it was met in, weight.
    pub(crate) artists: Vec<(u32, u32, f64)>,
    pub(crate) moods: [f64; 4],
    pub(crate) activity: f64,
    pub(crate) rhythm: Rhythm,
    pub(crate) impatience: f64,
    pub(crate) arrives_at: i64,
    pub(crate) stay: f64,
}

impl Taste {
    /// Binds a record of a user who starts to listen at `arrives_at`, in microseconds since
    /// 1970; `None` if no genre of it is in the catalogue.
    pub fn bind(record: &TasteRecord, arrives_at: i64, catalogue: &Catalogue) -> Option<Taste> {
        let mut named: Vec<&(String, f64)> = record.genres.iter().collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let genres: Vec<(u32, f64)> = named
            .iter()
            .filter(|(_, weight)| *weight > 0.0)
            .filter_map(|(name, weight)| Some((catalogue.genre_id(name)?, *weight)))
            .collect();
        if genres.is_empty() {
            return None;
        }
        let mut named: Vec<&(String, f64)> = record.artists.iter().collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let artists = named
            .iter()
            .filter_map(|(name, weight)| {
                let artist = catalogue.artist_id(name)?;
                let first = *catalogue.tracks_of(artist).first()?;
                let of_track = catalogue.genres_of(first);
                let genre = of_track.iter().find(|g| genres.iter().any(|(own, _)| own == *g));
                Some((artist, *genre.unwrap_or(&of_track[0]), *weight))
            })
            .collect();
        Some(Taste {
            genres,
            artists,
            moods: record.moods,
            activity: record.activity,
            rhythm: record.rhythm,
            impatience: record.impatience,
            arrives_at,
            stay: record.stay,
        })
    }
}

/// A user as the simulator sees one.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Key of the user's randomness: [`super::random::text_key`] of the id under the seed.
    pub key: u64,
    /// Age in years.
    pub age: Option<i32>,
    /// The truth.
    pub taste: Taste,
}

/// What a user likes at one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaning {
    /// Genres and weights; the weights need not sum to 1.
    pub genres: Vec<(u32, f64)>,
    pub moods: [f64; 4],
}

impl Leaning {
    /// Sets this to the taste of `listener` at `time`.
    pub fn at(&mut self, listener: &Listener, catalogue: &Catalogue, drift: f64, time: i64) {
        let epoch = time as f64 / (TASTE_EPOCH * DAY as f64);
        self.genres.clear();
        for &(genre, weight) in &listener.taste.genres {
            let of = key(listener.key, catalogue.genres[genre as usize].key);
            let factor = 1.0 + drift * (2.0 * noise(of, epoch) - 1.0);
            self.genres.push((genre, weight * factor));
        }
        for (i, mood) in self.moods.iter_mut().enumerate() {
            let of = key(listener.key, i as u64);
            *mood = listener.taste.moods[i] + drift * (2.0 * noise(of, epoch) - 1.0);
        }
    }

    pub fn draw_genre(&self, draws: &mut Draws) -> u32 {
        self.genres[draws.weighted(self.genres.iter().map(|g| g.1))].0
    }

    /// How well a track's sound fits, in (0, 1]: 1 / (1 + d²/4)  of the squared distance d².
    #[inline]
    pub fn fit(&self, track: &Track) -> f64 {
        let mut distance = 0.0;
        for i in 0..MOODS.len() {
            let d = f64::from(track.z[i]) - self.moods[i];
            distance += d * d;
        }
        1.0 / (1.0 + 0.25 * distance)
    }

    /// How near a track is to the taste, in [0, 1]: half its genre, half its
    /// sound, and a bonus for a favourite artist.
    pub fn affinity(&self, listener: &Listener, catalogue: &Catalogue, track: u32) -> f64 {
        let best = self.genres.iter().map(|g| g.1).fold(0.0, f64::max);
        let of_track = catalogue.genres_of(track);
        let own = self.genres.iter().filter(|g| of_track.contains(&g.0)).map(|g| g.1);
        let genre = (own.sum::<f64>() / best).min(1.0);
        let facts = &catalogue.tracks[track as usize];
        let favourite = listener.taste.artists.iter().any(|a| a.0 == facts.artist);
        (0.5 * genre + 0.5 * self.fit(facts) + if favourite { 0.25 } else { 0.0 }).min(1.0)
    }
}
