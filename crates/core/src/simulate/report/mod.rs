//! Measures plays, wherever they come from, against what is published.
//!
//! Plays are given one by one, each user's together and in the order of time; room is
//! that of one user's plays and two numbers a track. A measure that the plays cannot
//! give (no user of the age, say) is `None`. Tolerances are meant for a million plays;
//! below a tenth of that nothing is judged.

use super::activity::{DAY_STARTS, day_of, is_weekend};
use super::skip::LAMERE_WITHIN;
use super::{DAY, SESSION_GAP, SimulationOptions};
use crate::{Result, memory};
use std::collections::HashMap;

/// What memory is asked for.
const PLAYS: &str = "plays that are measured";

mod targets;

/// Users with fewer plays do not show their habits.
const ENOUGH_PLAYS: usize = 20;
/// Fewer plays, or of fewer users, miss targets by chance.
const ENOUGH: (u64, usize) = (100_000, 200);
/// Plays of one track by one user from which on rise and fade can be seen.
const OFTEN: usize = 7;

/// A play as it stands in the table.
#[derive(Debug, Clone, Copy)]
pub struct ReportedPlay {
    /// Index of the user; one past the known users where nothing is known of it.
    pub user: u32,
    /// Dense index of the track; `None` if it is not in the catalogue.
    pub track: Option<u32>,
    /// Microseconds since 1970-01-01 UTC.
    pub played_at: i64,
    /// Milliseconds.
    pub ms_played: Option<i32>,
    /// Ended before the track did.
    pub skipped: Option<bool>,
    /// Key of the session.
    pub session: Option<u64>,
}

/// What the report knows of a user.
#[derive(Debug, Clone, Default)]
pub struct ReportedUser {
    /// Age in years.
    pub age: Option<i32>,
    /// Genres the user truly likes, if that is known.
    pub liked: Vec<u32>,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// What is measured.
    pub metric: String,
    /// Where the target comes from.
    pub source: &'static str,
    /// What is aimed at.
    pub target: f64,
    /// How far off still counts.
    pub tolerance: f64,
    /// What was measured.
    pub measured: Option<f64>,
    /// Whether there is enough of it to hold it against the target.
    pub enough: bool,
}

impl Metric {
    /// Whether the measure is within the tolerance; `None` if there is none, or too few plays
    /// to tell.
    pub fn within(&self) -> Option<bool> {
        self.measured
            .filter(|_| self.enough)
            .map(|m| (m - self.target).abs() <= self.tolerance + 1e-12)
    }
}

/// A share, counted.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    of: u64,
    hits: u64,
}

impl Share {
    fn count(&mut self, hit: bool) {
        self.of += 1;
        self.hits += u64::from(hit);
    }

    fn value(&self) -> Option<f64> {
        (self.of > 0).then(|| self.hits as f64 / self.of as f64)
    }
}

/// Takes plays and measures them.
pub struct Report<'a, G> {
    users: &'a [ReportedUser],
    genres_of: G,
    options: &'a SimulationOptions,
    track_plays: Vec<u64>,
    track_users: Vec<u32>,
    within: [Share; 3],
    skipped: Share,
    /// Sums of the users' skip rates in the teens, around 35 and around 48, and how many users.
    by_age: [(f64, u32); 3],
    skipped_on: [Share; 2],
    plays_on: [u64; 2],
    liked: Share,
    other: Share,
    short_in_session: Share,
    long_between: Share,
    same_in_session: Share,
    same_between: Share,
    repeats: Share,
    in_the_middle: Share,
    windows: [u64; 4],
    log_rates: Vec<f64>,
    spans: Vec<(i64, i64)>,
    user: User,
}

/// The user whose plays are coming in.
#[derive(Debug, Default)]
struct User {
    last: Option<(ReportedPlay, i64)>,
    first_at: i64,
    plays: usize,
    skipped: Share,
    windows: [usize; 4],
    times: HashMap<u32, Vec<i64>>,
}

impl<'a, 'g, G: Fn(u32) -> &'g [u32]> Report<'a, G> {
    /// A report on `tracks` tracks, whose genres `genres_of` gives.
    pub fn new(
        users: &'a [ReportedUser],
        tracks: usize,
        genres_of: G,
        options: &'a SimulationOptions,
    ) -> Result<Self> {
        const WHAT: &str = "the plays of each track";
        Ok(Report {
            users,
            genres_of,
            options,
            track_plays: memory::filled(0, tracks, WHAT)?,
            track_users: memory::filled(0, tracks, WHAT)?,
            within: Default::default(),
            skipped: Share::default(),
            by_age: Default::default(),
            skipped_on: Default::default(),
            plays_on: [0; 2],
            liked: Share::default(),
            other: Share::default(),
            short_in_session: Share::default(),
            long_between: Share::default(),
            same_in_session: Share::default(),
            same_between: Share::default(),
            repeats: Share::default(),
            in_the_middle: Share::default(),
            windows: [0; 4],
            log_rates: Vec::new(),
            spans: Vec::new(),
            user: User::default(),
        })
    }

    /// Takes a play. A user's plays come together, in the order of time.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where there is no room for it.
    pub fn add(&mut self, play: ReportedPlay) -> Result<()> {
        if self.user.last.is_some_and(|(last, _)| last.user != play.user) {
            self.finish_user()?;
        }
        let day = day_of(play.played_at);
        let weekend = usize::from(is_weekend(day));
        self.plays_on[weekend] += 1;
        self.add_skip(&play, weekend);
        self.add_session(&play);
        if self.user.plays == 0 {
            self.user.first_at = play.played_at;
        }
        self.user.plays += 1;
        let hour = (play.played_at - DAY_STARTS).rem_euclid(DAY) / 3_600_000_000;
        self.user.windows[(hour / 6) as usize] += 1;
        if let Some(track) = play.track {
            self.track_plays[track as usize] += 1;
            memory::reserve_in(&mut self.user.times, PLAYS)?;
            let times = self.user.times.entry(track).or_default();
            self.track_users[track as usize] += u32::from(times.is_empty());
            self.repeats.count(!times.is_empty());
            memory::push(times, play.played_at, PLAYS)?;
        }
        let ms = i64::from(play.ms_played.unwrap_or(0));
        self.user.last = Some((play, play.played_at.saturating_add(ms * 1000)));
        Ok(())
    }

    fn add_skip(&mut self, play: &ReportedPlay, weekend: usize) {
        if let Some(ms) = play.ms_played {
            for (share, (bound, _)) in self.within.iter_mut().zip(LAMERE_WITHIN) {
                share.count(ms <= bound);
            }
        }
        let Some(skipped) = play.skipped else { return };
        self.skipped.count(skipped);
        self.user.skipped.count(skipped);
        self.skipped_on[weekend].count(skipped);
        let Some(user) = self.users.get(play.user as usize) else { return };
        if let Some(track) = play.track.filter(|_| !user.liked.is_empty()) {
            let liked = (self.genres_of)(track).iter().any(|g| user.liked.contains(g));
            if liked { &mut self.liked } else { &mut self.other }.count(skipped);
        }
    }

    fn add_session(&mut self, play: &ReportedPlay) {
        let Some((last, ended)) = self.user.last else { return };
        let (Some(session), Some(before)) = (play.session, last.session) else { return };
        let gap = play.played_at - ended;
        let same_genre = |a: u32, b: u32| {
            let of_a = (self.genres_of)(a);
            (self.genres_of)(b).iter().any(|g| of_a.contains(g))
        };
        let same = last.track.zip(play.track).map(|(a, b)| same_genre(a, b));
        let (gaps, genres) = if session == before {
            (&mut self.short_in_session, &mut self.same_in_session)
        } else {
            (&mut self.long_between, &mut self.same_between)
        };
        gaps.count(if session == before { gap <= SESSION_GAP } else { gap > SESSION_GAP });
        if let Some(same) = same {
            genres.count(same);
        }
    }

    fn finish_user(&mut self) -> Result<()> {
        let user = std::mem::take(&mut self.user);
        let Some((last, _)) = user.last else { return Ok(()) };
        memory::push(&mut self.spans, (user.first_at, last.played_at), PLAYS)?;
        let days = (last.played_at - user.first_at) as f64 / DAY as f64;
        if days >= 14.0 && user.plays >= 2 {
            let rate = libm::log((user.plays - 1) as f64 / days);
            memory::push(&mut self.log_rates, rate, PLAYS)?;
        }
        if user.plays >= ENOUGH_PLAYS {
            let most = (0..4).rev().max_by_key(|&w| user.windows[w]).unwrap_or(0);
            self.windows[most] += 1;
            let age = match self.users.get(last.user as usize).and_then(|user| user.age) {
                Some(13..=19) => Some(0),
                Some(33..=37) => Some(1),
                Some(46..=50) => Some(2),
                _ => None,
            };
            if let (Some(age), Some(rate)) = (age, user.skipped.value()) {
                let (sum, users) = self.by_age[age];
                self.by_age[age] = (sum + rate, users + 1);
            }
        }
        let ended = last.played_at;
        for times in user.times.values().filter(|t| t.len() >= OFTEN) {
            let (first, last) = (times[0], times[times.len() - 1]);
            // Tracks that came and went: those of the edges have no rise or no fade.
            let edge = 15 * DAY;
            let inside = first >= user.first_at + edge && last <= ended - edge;
            if inside && last - first >= 7 * DAY {
                let third = (times.len() - 1) / 3;
                let middle = (times.len() - 1 - third) / 2;
                let lasts = |from: usize| times[from + third] - times[from];
                let rest = lasts(0).min(lasts(times.len() - 1 - third));
                self.in_the_middle.count(lasts(middle) < rest);
            }
        }
        Ok(())
    }

    /// The report, in a fixed order.
    ///
    /// # Errors
    /// As [`Report::add`].
    pub fn finish(mut self) -> Result<Vec<Metric>> {
        self.finish_user()?;
        Ok(self.rows())
    }
}
