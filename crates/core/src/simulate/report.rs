//! Measures plays, wherever they come from, against what is published.
//!
//! Plays are given one by one, each user's together and in the order of time; room is
//! that of one user's plays and two numbers a track. A measure that the plays cannot
//! give (no user of the age, say) is `None`. Tolerances are meant for a million plays.

use super::activity::{DAY_STARTS, day_of, is_weekend};
use super::skip::{LAMERE_SKIPPED, LAMERE_WITHIN};
use super::{DAY, SESSION_GAP, SimulationOptions};
use std::collections::HashMap;

const LAMERE: &str = "Lamere 2014, The Skip (Spotify)";
const LOUAIL: &str = "Louail and Barthelemy 2017, Headphones on the wire";
const HETREC: &str = "HetRec 2011 (Last.fm), computed from the users' artists";
const SGUERRA: &str = "Sguerra, Tran, Hennequin 2022, Discovery Dynamics (Deezer)";
const CHOSEN: &str = "chosen for this simulator";

/// Users with fewer plays do not show their habits.
const ENOUGH_PLAYS: usize = 20;
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
}

impl Metric {
    /// Whether the measure is within the tolerance; `None` if there is none.
    pub fn within(&self) -> Option<bool> {
        self.measured.map(|m| (m - self.target).abs() <= self.tolerance + 1e-12)
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
    ) -> Self {
        Report {
            users,
            genres_of,
            options,
            track_plays: vec![0; tracks],
            track_users: vec![0; tracks],
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
        }
    }

    /// Takes a play. A user's plays come together, in the order of time.
    pub fn add(&mut self, play: ReportedPlay) {
        if self.user.last.is_some_and(|(last, _)| last.user != play.user) {
            self.finish_user();
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
            let times = self.user.times.entry(track).or_default();
            self.track_users[track as usize] += u32::from(times.is_empty());
            self.repeats.count(!times.is_empty());
            times.push(play.played_at);
        }
        let ms = i64::from(play.ms_played.unwrap_or(0));
        self.user.last = Some((play, play.played_at + ms * 1000));
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

    fn finish_user(&mut self) {
        let user = std::mem::take(&mut self.user);
        let Some((last, _)) = user.last else { return };
        self.spans.push((user.first_at, last.played_at));
        let days = (last.played_at - user.first_at) as f64 / DAY as f64;
        if days >= 14.0 && user.plays >= 2 {
            self.log_rates.push(libm::log((user.plays - 1) as f64 / days));
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
    }

    /// The report, in a fixed order.
    pub fn finish(mut self) -> Vec<Metric> {
        self.finish_user();
        let mut rows = Vec::new();
        self.report_skips(&mut rows);
        self.report_time(&mut rows);
        self.report_tracks(&mut rows);
        rows
    }

    fn report_skips(&self, rows: &mut Vec<Metric>) {
        let scale = self.options.skip_rate / LAMERE_SKIPPED;
        for (share, (bound, target)) in self.within.iter().zip(LAMERE_WITHIN) {
            let name = format!("plays that end within {} s", bound / 1000);
            rows.push(metric(name, LAMERE, target * scale, 0.02, share.value()));
        }
        let mut skip = |name: &str, target: f64, tolerance: f64, share: Option<f64>| {
            rows.push(metric(name.to_owned(), LAMERE, target * scale, tolerance, share));
        };
        let [weekday, weekend] = self.skipped_on.map(|share| share.value());
        skip("plays that end before the track", LAMERE_SKIPPED, 0.02, self.skipped.value());
        let [teens, at_35, at_48] =
            self.by_age.map(|(sum, users)| (users > 0).then(|| sum / f64::from(users)));
        skip("skipped by a user of 13 to 19: above one half", 0.61, 0.11, teens);
        skip("skipped by a user of 33 to 37", 0.25, 0.04, at_35);
        skip("skipped by a user of 46 to 50", 0.42, 0.04, at_48);
        skip("skipped on weekends: above one half", 0.515, 0.015, weekend);
        let more = weekend.zip(weekday).map(|(a, b)| a - b);
        skip("skipped on weekends less skipped on weekdays", 0.03, 0.025, more);
        let more = self.other.value().zip(self.liked.value()).map(|(a, b)| a - b);
        let target = 0.2 * self.options.skip_taste;
        rows.push(metric(
            "skipped outside the liked genres less skipped inside".to_owned(),
            CHOSEN,
            target,
            0.12,
            more,
        ));
    }

    fn report_time(&self, rows: &mut Vec<Metric>) {
        let n = self.log_rates.len() as f64;
        let mean = self.log_rates.iter().sum::<f64>() / n;
        let moment = |p: i32| self.log_rates.iter().map(|r| (r - mean).powi(p)).sum::<f64>() / n;
        let deviation = moment(2).sqrt();
        let known = |x: f64| (n >= 3.0 && x.is_finite()).then_some(x);
        rows.push(metric(
            "standard deviation of the log of plays a day by user".to_owned(),
            HETREC,
            1.23,
            0.25,
            known(deviation),
        ));
        rows.push(metric(
            "skewness of the log of plays a day by user: log-normal has none".to_owned(),
            LOUAIL,
            0.0,
            0.5,
            known(moment(3) / (deviation * deviation * deviation)),
        ));
        let users: u64 = self.windows.iter().sum();
        let names = ["05 to 11 h", "11 to 17 h", "17 to 23 h", "23 to 05 h"];
        for (name, count) in names.iter().zip(self.windows) {
            let share = (users > 0).then(|| count as f64 / users as f64);
            let name = format!("users who listen most from {name}: four groups of similar size");
            rows.push(metric(name, LOUAIL, 0.25, 0.07, share));
        }
        rows.push(metric(
            "plays on a day of the weekend for one on a weekday".to_owned(),
            CHOSEN,
            self.options.weekend_factor,
            0.1 * self.options.weekend_factor,
            self.weekend_ratio(),
        ));
        rows.push(metric(
            "pauses of at most 30 minutes within sessions".to_owned(),
            "definition of a session",
            1.0,
            0.0,
            self.short_in_session.value(),
        ));
        rows.push(metric(
            "pauses of more than 30 minutes between sessions".to_owned(),
            "definition of a session",
            1.0,
            0.0,
            self.long_between.value(),
        ));
        let more = self.same_in_session.value().zip(self.same_between.value()).map(|(a, b)| a - b);
        rows.push(metric(
            "neighbours of one genre within sessions less across sessions".to_owned(),
            CHOSEN,
            0.25,
            0.15,
            more,
        ));
        self.report_growth(rows);
    }

    fn report_growth(&self, rows: &mut Vec<Metric>) {
        let start = self.spans.iter().map(|s| s.0).min().unwrap_or(0);
        let end = self.spans.iter().map(|s| s.1).max().unwrap_or(0);
        let days = (end - start) as f64 / DAY as f64;
        let mut arrived = Share::default();
        let mut left = Share::default();
        for &(first, last) in &self.spans {
            arrived.count(first > start + (end - start) / 2);
            if first < start + 30 * DAY {
                left.count(last < end - 30 * DAY);
            }
        }
        let long = days >= 90.0;
        rows.push(metric(
            "users first heard in the second half of the time".to_owned(),
            CHOSEN,
            1.0 - libm::exp2(-days / 2.0 / self.options.doubling_days),
            0.08,
            arrived.value().filter(|_| long),
        ));
        let months = (days - 45.0).max(0.0) / 30.0;
        rows.push(metric(
            "users heard in the first 30 days and not in the last 30".to_owned(),
            "Spotify F-1 2018: premium churn of 5.5 % a month in 2017",
            1.0 - libm::pow(1.0 - self.options.monthly_churn, months),
            0.08,
            left.value().filter(|_| long),
        ));
    }

    /// Tracks that would have been played, had listening gone on: Chao's estimate from the
    /// tracks of one and of two users. Luminate's figure is of trillions of plays; where
    /// there are ten a track, chance leaves out more.
    fn ever_played(&self, played: usize) -> f64 {
        let of = |n: u32| self.track_users.iter().filter(|&&users| users == n).count() as f64;
        let unseen = of(1) * (of(1) - 1.0) / (2.0 * (of(2) + 1.0));
        (played as f64 + unseen.max(0.0)).min(self.track_users.len() as f64)
    }

    fn weekend_ratio(&self) -> Option<f64> {
        let first = day_of(self.spans.iter().map(|s| s.0).min()?);
        let last = day_of(self.spans.iter().map(|s| s.1).max()?);
        let weekend = (first..=last).filter(|&d| is_weekend(d)).count() as f64;
        let weekday = (last - first + 1) as f64 - weekend;
        let [on_weekdays, on_weekends] = self.plays_on.map(|n| n as f64);
        let ratio = on_weekends / weekend / (on_weekdays / weekday);
        ratio.is_finite().then_some(ratio)
    }

    fn report_tracks(&mut self, rows: &mut Vec<Metric>) {
        let tracks = self.track_plays.len();
        self.track_plays.sort_unstable_by(|a, b| b.cmp(a));
        let played = self.track_plays.iter().take_while(|&&n| n > 0).count();
        let all: u64 = self.track_plays.iter().sum();
        let top = |share: f64| {
            let n = ((played as f64 * share).round() as usize).max(1);
            (all > 0).then(|| self.track_plays[..n].iter().sum::<u64>() as f64 / all as f64)
        };
        let name = |p: &str| format!("share of the plays that the top {p} of played tracks take");
        rows.push(metric(name("1 %"), HETREC, 0.40, 0.15, top(0.01)));
        rows.push(metric(name("10 %"), HETREC, 0.80, 0.10, top(0.1)));
        rows.push(metric(
            "tracks nobody would ever play (Chao's estimate from those of one and two users)"
                .to_owned(),
            "Luminate 2023 year-end report: 24.8 %",
            0.248,
            0.15,
            (all > 0).then(|| 1.0 - self.ever_played(played) / tracks as f64),
        ));
        rows.push(metric(
            "plays of a track the user has played before: most".to_owned(),
            LOUAIL,
            0.75,
            0.20,
            self.repeats.value(),
        ));
        rows.push(metric(
            "often played tracks whose plays are densest in the middle: above one third".to_owned(),
            SGUERRA,
            0.53,
            0.12,
            self.in_the_middle.value(),
        ));
    }
}

fn metric(
    metric: String,
    source: &'static str,
    target: f64,
    tolerance: f64,
    measured: Option<f64>,
) -> Metric {
    Metric { metric, source, target, tolerance, measured }
}
