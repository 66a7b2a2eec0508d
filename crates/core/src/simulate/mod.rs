//! A listening simulator: users with hidden tastes, and what they play.
//!
//! # Time without memory
//!
//! Everything about a user at a time is a pure function of (seed, options,
//! catalogue, user, time). A listening day is generated from a key of the user and
//! the day; discoveries, tastes and the popularity of tracks are functions of time.
//! So the plays in [t₀, t₁) and in [t₁, t₂) together are those in [t₀, t₂), for any
//! cut, any number of threads and any order of the users. What a caller keeps
//! between calls is the clock, the seed, the options, the start and the
//! [`Calibration`].
//!
//! # Parts
//!
//! [`people`] makes users and their tastes, [`Simulation::calibrate`] sets the level
//! of listening and skipping for the users and tracks at hand, [`Simulation::run`]
//! hands out plays, [`report`] measures plays against what is published.
//! A play costs about a third of a microsecond.
//!
//! # What a user plays
//!
//! A session turns to a genre by the user's taste, and stays with it for a share of its
//! plays. A play is a repeat of an earlier discovery or fresh. A fresh play is of a favourite
//! artist, or drawn by popularity within the genre, (rank + 0.3 + 0.004 n)^-s, and taken with
//! probability vogue(track, time)² · 1 / (1 + d²/4), where d is the distance of the track's
//! sound from the user's, in standard deviations within the genre. The length of a session is
//! geometric; its pauses are 0.05 to 2 s (85 %), exponential of mean 40 s (12 %) or 2 to 25
//! minutes (3 %).
//!
//! # What is published
//!
//! | what | figure | source |
//! |---|---|---|
//! | plays that end within 5, 10, 30 s, before the end | 24.1, 28.9, 35.05, 48.6 % | Lamere 2014, The Skip: billions of plays on Spotify |
//! | skips in the teens, at 35, at 48, on weekends | above 50, about 25, about 42, above 50 % | the same |
//! | when users listen | four groups of similar size | Louail and Barthelemy 2017, Headphones on the wire (arXiv 1704.05815) |
//! | rhythm | heavy and light periods alternate | the same |
//! | repeats | most listeners repeat more than they discover | the same |
//! | interest in a track | an inverted U of the exposures | Sguerra, Tran, Hennequin 2022, Discovery Dynamics (arXiv 2210.16226) |
//! | users' rates | standard deviation of the logarithm 1.23 (half the distance of the 16th and 84th percentile 1.27) | computed from HetRec 2011 Last.fm (Cantador, Brusilovsky, Kuflik 2011) |
//! | plays that the top 1, 10 % take | 40, 80 % | the same, on artists |
//! | tracks never played | 24.8 % of 184 million | Luminate, year-end report 2023 |
//! | users who leave | 5.5 % a month | Spotify, form F-1, 2018 (premium churn in 2017) |
//!
//! Not published, and chosen: the doubling of the users in 240 days, the length of sessions,
//! the weekend's 10 % more plays, and how far genres cohere and skips depend on the taste.

mod activity;
mod calibration;
pub mod catalogue;
mod listening;
mod options;
pub mod people;
pub mod random;
pub mod report;
mod run;
pub mod skip;
pub mod taste;

pub use activity::{SESSION_GAP, is_weekend};
pub use calibration::Calibration;
pub use catalogue::{Catalogue, CatalogueBuilder, MOODS, TrackFacts};
pub use options::{DAY, SimulationOptions};
pub use people::{PeopleOptions, Person, people};
pub use taste::{Listener, Rhythm, Taste, TasteRecord};

use listening::{Walk, Workspace};

/// One play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Play {
    /// Index of the listener in the slice given to [`Simulation::run`].
    pub user: u32,
    /// Index of the track in the catalogue.
    pub track: u32,
    /// Start of the play, microseconds since 1970-01-01 UTC.
    pub played_at: i64,
    /// How long it lasted, in milliseconds: all of the track unless skipped.
    pub ms_played: i32,
    /// Ended before the track did.
    pub skipped: bool,
    /// Nearness of track and taste, 0 to 1. Part of the truth: not for a model.
    pub affinity: f32,
    /// Key of the session.
    pub session: u64,
    /// Key of the event, the same for the same play in every run.
    pub event: u64,
}

impl Play {
    /// The event's id: a UUID of version 8 whose second half is a function of its first.
    pub fn event_id(&self) -> u128 {
        let first = self.event & !0xF000 | 0x8000;
        u128::from(first) << 64 | u128::from(second_half(first))
    }

    /// The session's id: 16 hexadecimal digits.
    pub fn session_id(&self) -> [u8; 16] {
        let mut text = [0; 16];
        for (i, digit) in text.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(self.session >> (60 - 4 * i)) as usize & 15];
        }
        text
    }
}

/// Key under which the second half of an event's id follows from the first.
const EVENT: u64 = 0x6576_656E;

fn second_half(first: u64) -> u64 {
    random::key(first, EVENT) & !(3 << 62) | 1 << 63
}

/// Whether an event's id was given by [`Play::event_id`]. A random id passes once in 2^66.
pub fn is_simulated(event_id: u128) -> bool {
    let first = (event_id >> 64) as u64;
    first & 0xF000 == 0x8000 && second_half(first) == event_id as u64
}

/// A simulation ready to run.
#[derive(Debug, Clone)]
pub struct Simulation {
    pub(crate) catalogue: Catalogue,
    pub(crate) options: SimulationOptions,
    pub(crate) calibration: Calibration,
    /// Start of the simulated time: who had arrived by then had not left.
    pub(crate) started_at: i64,
}

impl Simulation {
    /// Goes on with a simulation that was calibrated before.
    ///
    /// # Errors
    /// Options out of range.
    pub fn new(
        catalogue: Catalogue,
        options: SimulationOptions,
        calibration: Calibration,
        started_at: i64,
    ) -> crate::Result<Self> {
        options.check()?;
        Ok(Simulation { catalogue, options, calibration, started_at })
    }

    /// The catalogue.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The level of listening and skipping.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Scores every track by how strongly the user is drawn to it at `time`: the truth
    /// that a recommender tries to find. Length: tracks of the catalogue.
    pub fn truth(&self, listener: &Listener, time: i64) -> Vec<f64> {
        let mut leaning = taste::Leaning::default();
        leaning.at(listener, &self.catalogue, self.options.taste_drift, time);
        listening::truth(self, listener, &leaning, time)
    }
}
impl Simulation {
    /// Plays a day while present, and days present in [from, until).
    pub fn expected(&self, listener: &Listener, from: i64, until: i64) -> (f64, f64) {
        let (arrives, leaves) = activity::presence(listener, &self.options, self.started_at);
        let days = (until.min(leaves) - from.max(arrives)).max(0) as f64 / DAY as f64;
        (activity::rate(listener, &self.options, self.calibration.plays_a_day), days)
    }
}
