//! When users listen: rates, weeks, days and the starts of sessions.
//!
//! The simulated world has one time zone, UTC. A listening day runs from 05:00
//! to 05:00, the quietest hour, and its sessions end half an hour before: days
//! never touch, each is a function of the user and the day alone.

use super::random::{Draws, key, noise};
use super::taste::{Listener, Rhythm};
use super::{DAY, SimulationOptions};

/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;
/// A longer pause starts a new session.
pub const SESSION_GAP: i64 = 1800 * SECOND;
/// Nobody plays more than this in a day.
pub(crate) const MOST_A_DAY: f64 = 120.0;

pub(crate) const DAY_STARTS: i64 = 5 * 3600 * SECOND;

/// The listening day of a time.
#[inline]
pub(crate) fn day_of(time: i64) -> i64 {
    (time - DAY_STARTS).div_euclid(DAY)
}

/// When a listening day starts.
#[inline]
pub(crate) fn day_start(day: i64) -> i64 {
    day * DAY + DAY_STARTS
}

/// Saturday or Sunday, by the listening day. 1970-01-01 was a Thursday.
#[inline]
pub fn is_weekend(day: i64) -> bool {
    matches!((day + 3).rem_euclid(7), 5 | 6)
}

/// Plays a day of a user while present, for a mean user of `mean` plays a day.
pub(crate) fn rate(listener: &Listener, options: &SimulationOptions, mean: f64) -> f64 {
    (mean * relative_rate(listener, options)).min(MOST_A_DAY)
}

/// Log-normal with mean 1.
pub(crate) fn relative_rate(listener: &Listener, options: &SimulationOptions) -> f64 {
    let spread = options.activity_spread;
    libm::exp(spread * listener.taste.activity - 0.5 * spread * spread)
}

/// From when until when a user listens. Who had arrived before `start` had not left by then.
pub(crate) fn presence(listener: &Listener, options: &SimulationOptions, start: i64) -> (i64, i64) {
    let arrives = listener.taste.arrives_at;
    if options.monthly_churn <= 0.0 {
        return (arrives, i64::MAX);
    }
    let mean_days = -30.0 / libm::log(1.0 - options.monthly_churn);
    let stay = (listener.taste.stay * mean_days * DAY as f64).min(i64::MAX as f64 / 4.0);
    (arrives, arrives.max(start).saturating_add(stay as i64))
}

/// Mean plays of a user's sessions.
pub(crate) fn session_mean(rate: f64, options: &SimulationOptions) -> f64 {
    (options.session_plays * (rate / 2.0).sqrt().sqrt()).clamp(1.0, 50.0)
}

/// Weekend and heavy and light weeks, as a factor with mean 1.
pub(crate) fn day_factor(listener: &Listener, options: &SimulationOptions, day: i64) -> f64 {
    let f = options.weekend_factor;
    let weekday = 7.0 / (5.0 + 2.0 * f);
    let of_week = 0.5 + noise(key(listener.key, 0x7765_656B), day as f64 / 7.0);
    of_week * if is_weekend(day) { weekday * f } else { weekday }
}

/// Draws when the sessions of a day start, sorted, in `starts`; nearer than a gap is possible.
pub(crate) fn session_starts(
    rhythm: Rhythm,
    rate: f64,
    sessions: f64,
    day: i64,
    draws: &mut Draws,
    starts: &mut Vec<i64>,
) {
    starts.clear();
    for _ in 0..draws.poisson(sessions) {
        let (first, hours) = if draws.chance(0.75 - 0.35 * rate / MOST_A_DAY) {
            (rhythm.first_hour(), 6.0)
        } else {
            (6.0, 18.0)
        };
        // The sum of two uniform draws: a triangle over the window.
        let hour = first + hours * 0.5 * (draws.unit() + draws.unit()) - 5.0;
        starts.push(day_start(day) + (hour * 3600.0 * SECOND as f64) as i64);
    }
    starts.sort_unstable();
}

/// The pause before the next track: mostly none, seldom minutes, never a session's gap.
pub(crate) fn pause(draws: &mut Draws) -> i64 {
    let seconds = match draws.unit() {
        p if p < 0.85 => draws.between(0.05, 2.0),
        p if p < 0.97 => (40.0 * draws.exponential()).clamp(2.0, 600.0),
        _ => draws.between(120.0, 1500.0),
    };
    (seconds * SECOND as f64) as i64
}

/// Plays of a session: geometric with the given mean.
pub(crate) fn session_length(mean: f64, draws: &mut Draws) -> usize {
    if mean <= 1.0 {
        return 1;
    }
    let scale = 1.0 / libm::log1p(1.0 / (mean - 1.0));
    1 + (draws.exponential() * scale) as usize
}
