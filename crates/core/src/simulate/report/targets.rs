//! The report's rows: what is aimed at, how far off still counts, and where that comes from.

use super::super::DAY;
use super::super::activity::{day_of, is_weekend};
use super::super::skip::{LAMERE_SKIPPED, LAMERE_WITHIN};
use super::{ENOUGH, Metric, Report, Share};

const LAMERE: &str = "Lamere 2014, The Skip (Spotify)";
const LOUAIL: &str = "Louail and Barthelemy 2017, Headphones on the wire";
const HETREC: &str = "HetRec 2011 (Last.fm), computed from the users' artists";
const SGUERRA: &str = "Sguerra, Tran, Hennequin 2022, Discovery Dynamics (Deezer)";
const SPOTIFY: &str = "Spotify, form F-1, 2018: premium churn of 5.5 % a month in 2017";
const LUMINATE: &str = "Luminate, year-end report 2023: 24.8 % of tracks";
const SESSION: &str = "definition of a session";
const CHOSEN: &str = "chosen for this simulator";

/// Collects rows.
#[derive(Default)]
struct Rows(Vec<Metric>);

impl Rows {
    fn add(
        &mut self,
        metric: impl Into<String>,
        source: &'static str,
        (target, tolerance): (f64, f64),
        measured: Option<f64>,
    ) {
        self.0.push(Metric {
            metric: metric.into(),
            source,
            target,
            tolerance,
            measured,
            enough: true,
        });
    }
}

impl<G> Report<'_, G> {
    pub(super) fn rows(mut self) -> Vec<Metric> {
        let mut rows = Rows::default();
        self.skips(&mut rows);
        self.habits(&mut rows);
        self.sessions(&mut rows);
        self.growth(&mut rows);
        let plays: u64 = self.plays_on.iter().sum();
        let enough = plays >= ENOUGH.0 && self.spans.len() >= ENOUGH.1;
        self.tracks(&mut rows);
        rows.0.iter_mut().for_each(|row| row.enough = enough);
        rows.0
    }

    fn skips(&self, rows: &mut Rows) {
        let scale = self.options.skip_rate / LAMERE_SKIPPED;
        for (share, (bound, target)) in self.within.iter().zip(LAMERE_WITHIN) {
            let name = format!("plays that end within {} s", bound / 1000);
            rows.add(name, LAMERE, (target * scale, 0.02), share.value());
        }
        let [weekday, weekend] = self.skipped_on.map(|share| share.value());
        let [teens, at_35, at_48] =
            self.by_age.map(|(sum, users)| (users > 0).then(|| sum / f64::from(users)));
        let mut skip = |name: &str, target: f64, tolerance: f64, measured: Option<f64>| {
            rows.add(name, LAMERE, (target * scale, tolerance), measured);
        };
        skip("plays that end before the track", LAMERE_SKIPPED, 0.02, self.skipped.value());
        skip("skipped by a user of 13 to 19: above one half", 0.61, 0.11, teens);
        skip("skipped by a user of 33 to 37", 0.25, 0.04, at_35);
        skip("skipped by a user of 46 to 50", 0.42, 0.04, at_48);
        skip("skipped on weekends: above one half", 0.515, 0.015, weekend);
        let more = difference(weekend, weekday);
        skip("skipped on weekends less skipped on weekdays", 0.04, 0.03, more);
        rows.add(
            "skipped outside the liked genres less skipped inside",
            CHOSEN,
            (0.2 * self.options.skip_taste, 0.12),
            difference(self.other.value(), self.liked.value()),
        );
    }

    fn habits(&self, rows: &mut Rows) {
        let n = self.log_rates.len() as f64;
        let mean = self.log_rates.iter().sum::<f64>() / n;
        let moment = |p: i32| self.log_rates.iter().map(|r| (r - mean).powi(p)).sum::<f64>() / n;
        let deviation = moment(2).sqrt();
        let known = |x: f64| (n >= 3.0 && x.is_finite()).then_some(x);
        rows.add(
            "standard deviation of the log of plays a day by user",
            HETREC,
            (1.23, 0.25),
            known(deviation),
        );
        rows.add(
            "skewness of the log of plays a day by user: log-normal has none",
            LOUAIL,
            (0.0, 0.5),
            known(moment(3) / (deviation * deviation * deviation)),
        );
        let users: u64 = self.windows.iter().sum();
        let names = ["05 to 11 h", "11 to 17 h", "17 to 23 h", "23 to 05 h"];
        for (name, count) in names.iter().zip(self.windows) {
            let share = (users > 0).then(|| count as f64 / users as f64);
            let name = format!("users who listen most from {name}: four groups of similar size");
            rows.add(name, LOUAIL, (0.25, 0.07), share);
        }
        let factor = self.options.weekend_factor;
        rows.add(
            "plays on a day of the weekend for one on a weekday",
            CHOSEN,
            (factor, 0.11),
            self.weekend_ratio(),
        );
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

    fn sessions(&self, rows: &mut Rows) {
        rows.add(
            "pauses of at most 30 minutes within sessions",
            SESSION,
            (1.0, 0.0),
            self.short_in_session.value(),
        );
        rows.add(
            "pauses of more than 30 minutes between sessions",
            SESSION,
            (1.0, 0.0),
            self.long_between.value(),
        );
        rows.add(
            "neighbours of one genre within sessions less across sessions",
            CHOSEN,
            (0.25, 0.15),
            difference(self.same_in_session.value(), self.same_between.value()),
        );
    }

    /// Where the plays span 90 days or more: below, coming and going do not show.
    fn growth(&self, rows: &mut Rows) {
        let start = self.spans.iter().map(|s| s.0).min().unwrap_or(0);
        let end = self.spans.iter().map(|s| s.1).max().unwrap_or(0);
        let days = (end - start) as f64 / DAY as f64;
        let mut arrived = Share::default();
        let mut left = Share::default();
        for &(first, last) in self.spans.iter().filter(|_| days >= 90.0) {
            arrived.count(first > start + (end - start) / 2);
            if first < start + 30 * DAY {
                left.count(last < end - 30 * DAY);
            }
        }
        let doublings = days / 2.0 / self.options.doubling_days;
        rows.add(
            "users first heard in the second half of the time",
            CHOSEN,
            (1.0 - libm::exp2(-doublings), 0.08),
            arrived.value(),
        );
        let months = (days - 45.0).max(0.0) / 30.0;
        rows.add(
            "users heard in the first 30 days and not in the last 30",
            SPOTIFY,
            (1.0 - libm::pow(1.0 - self.options.monthly_churn, months), 0.08),
            left.value(),
        );
    }

    fn tracks(&mut self, rows: &mut Rows) {
        let tracks = self.track_plays.len() as f64;
        self.track_plays.sort_unstable_by(|a, b| b.cmp(a));
        let played = self.track_plays.iter().take_while(|&&n| n > 0).count();
        let all: u64 = self.track_plays.iter().sum();
        let known = |x: f64| (all > 0).then_some(x);
        let top = |share: f64| {
            let n = ((played as f64 * share).round() as usize).clamp(1, self.track_plays.len());
            known(self.track_plays[..n].iter().sum::<u64>() as f64 / all as f64)
        };
        let name = |p: &str| format!("share of the plays that the top {p} of played tracks take");
        rows.add(name("1 %"), HETREC, (0.40, 0.15), top(0.01));
        rows.add(name("10 %"), HETREC, (0.80, 0.10), top(0.1));
        rows.add(
            "tracks nobody would ever play (Chao's estimate from those of one and two users)",
            LUMINATE,
            (0.248, 0.15),
            known(1.0 - self.ever_played(played) / tracks),
        );
        rows.add(
            "plays of a track the user has played before: most",
            LOUAIL,
            (0.75, 0.20),
            self.repeats.value(),
        );
        rows.add(
            "often played tracks whose plays are densest in the middle: above one third",
            SGUERRA,
            (0.53, 0.12),
            self.in_the_middle.value(),
        );
    }

    /// Tracks that would have been played, had listening gone on: Chao's estimate from the
    /// tracks of one and of two users. Luminate's figure is of trillions of plays; where
    /// there are ten a track, chance leaves out more.
    fn ever_played(&self, played: usize) -> f64 {
        let of = |n: u32| self.track_users.iter().filter(|&&users| users == n).count() as f64;
        let unseen = of(1) * (of(1) - 1.0) / (2.0 * (of(2) + 1.0));
        (played as f64 + unseen.max(0.0)).min(self.track_users.len() as f64)
    }
}

fn difference(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.zip(b).map(|(a, b)| a - b)
}
