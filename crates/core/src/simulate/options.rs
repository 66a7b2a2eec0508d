//! The knobs of the simulator, each with its unit, range and default.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Days in which the number of accounts doubles, where nobody says otherwise.
pub(crate) const DOUBLING_DAYS: f64 = 240.0;

/// Microseconds in a day; times are microseconds since 1970-01-01 UTC.
pub const DAY: i64 = 86_400_000_000;

/// What decides the listening besides the seed, the users and the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SimulationOptions {
    /// Mean plays of a user over `days`; 1 to 100 × `days`.
    pub events_per_user: i32,
    /// Days that `events_per_user` refers to; 1 to 3650.
    pub days: i32,
    /// Standard deviation of the logarithm of the users' rates; 0 to 2.
    pub activity_spread: f64,
    /// Mean plays of a session of a user who plays two tracks a day; 1 to 50.
    /// A user's own mean grows with the fourth root of the rate.
    pub session_plays: f64,
    /// Plays on a day of the weekend for one on a weekday; 0.1 to 10.
    pub weekend_factor: f64,
    /// Days in which the number of users doubles; 1 to 36,500.
    pub doubling_days: f64,
    /// Share of the users who leave for good within 30 days; 0 to 0.9.
    pub monthly_churn: f64,
    /// Exponent s of plays against a track's rank r within its genre of n tracks,
    /// (r + 0.3 + 0.004 n)^-s; 0 to 3.
    pub popularity_exponent: f64,
    /// Share of each genre's tracks, the least popular, that nobody plays; 0 to 0.95.
    pub unplayed_share: f64,
    /// How far the popularity of a track moves over time; 0 (fixed) to 0.95.
    pub popularity_drift: f64,
    /// How far a user's taste moves over time; 0 (fixed) to 0.95.
    pub taste_drift: f64,
    /// Share of plays taken from what the user has discovered already; 0 to 0.95.
    pub repeat_share: f64,
    /// Mean age, in days, at which a discovery is played again; 1 to 365.
    pub fade_days: f64,
    /// Share of plays that stay in the genre of the session; 0 to 1.
    pub coherence: f64,
    /// Share of plays that end before the track does; 0 to 0.9.
    pub skip_rate: f64,
    /// How much skipping depends on the distance from the taste; 0 (not at all) to 1.5.
    pub skip_taste: f64,
}

impl Default for SimulationOptions {
    fn default() -> Self {
        SimulationOptions {
            events_per_user: 60,
            days: 120,
            activity_spread: 1.2,
            session_plays: 8.0,
            weekend_factor: 1.1,
            doubling_days: DOUBLING_DAYS,
            monthly_churn: 0.055,
            popularity_exponent: 1.6,
            unplayed_share: 0.1,
            popularity_drift: 0.7,
            taste_drift: 0.5,
            repeat_share: 0.5,
            fade_days: 20.0,
            coherence: 0.85,
            skip_rate: 0.486,
            skip_taste: 1.0,
        }
    }
}

impl SimulationOptions {
    /// The first option, by name, in which `other` differs: its name, its value here, and there.
    pub fn difference(&self, other: &SimulationOptions) -> Option<(String, String, String)> {
        let fields = |options| match serde_json::to_value(options) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let there = fields(other);
        fields(self).into_iter().find_map(|(name, here)| {
            let there = there.get(&name)?;
            (here != *there).then(|| (name, here.to_string(), there.to_string()))
        })
    }

    /// # Errors
    /// [`Error::OutOfRange`] naming the first option outside its range.
    pub fn check(&self) -> Result<()> {
        whole("days", self.days, 1, 3650)?;
        whole("events_per_user", self.events_per_user, 1, self.days.saturating_mul(100))?;
        within("activity_spread", self.activity_spread, 0.0, 2.0)?;
        within("session_plays", self.session_plays, 1.0, 50.0)?;
        within("weekend_factor", self.weekend_factor, 0.1, 10.0)?;
        within("doubling_days", self.doubling_days, 1.0, 36_500.0)?;
        within("monthly_churn", self.monthly_churn, 0.0, 0.9)?;
        within("popularity_exponent", self.popularity_exponent, 0.0, 3.0)?;
        within("unplayed_share", self.unplayed_share, 0.0, 0.95)?;
        within("popularity_drift", self.popularity_drift, 0.0, 0.95)?;
        within("taste_drift", self.taste_drift, 0.0, 0.95)?;
        within("repeat_share", self.repeat_share, 0.0, 0.95)?;
        within("fade_days", self.fade_days, 1.0, 365.0)?;
        within("coherence", self.coherence, 0.0, 1.0)?;
        within("skip_rate", self.skip_rate, 0.0, 0.9)?;
        within("skip_taste", self.skip_taste, 0.0, 1.5)
    }
}

/// # Errors
/// [`Error::OutOfRange`] unless `low <= value <= high`.
pub(crate) fn within(name: &'static str, value: f64, low: f64, high: f64) -> Result<()> {
    if value >= low && value <= high {
        return Ok(());
    }
    Err(Error::OutOfRange {
        name,
        value: value.to_string(),
        expected: format!("between {low} and {high}"),
    })
}

/// # Errors
/// [`Error::OutOfRange`] unless `low <= value <= high`.
pub(crate) fn whole(name: &'static str, value: i32, low: i32, high: i32) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::OutOfRange {
        name,
        value: value.to_string(),
        expected: format!("between {low} and {high}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named_with_both_values() {
        let options = SimulationOptions::default();
        assert_eq!(options.difference(&options.clone()), None);
        let other = SimulationOptions { fade_days: 7.5, ..options.clone() };
        let (name, here, there) = options.difference(&other).unwrap();
        assert_eq!((&*name, &*here, &*there), ("fade_days", "20.0", "7.5"));
    }

    #[test]
    fn defaults_are_in_range_and_the_edges_are_refused() {
        SimulationOptions::default().check().unwrap();
        let refused = |change: fn(&mut SimulationOptions)| {
            let mut options = SimulationOptions::default();
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert_eq!(refused(|o| o.days = 0), "days must be between 1 and 3650, not 0");
        assert_eq!(
            refused(|o| (o.days, o.events_per_user) = (2, 201)),
            "events_per_user must be between 1 and 200, not 201"
        );
        assert_eq!(
            refused(|o| o.repeat_share = f64::NAN),
            "repeat_share must be between 0 and 0.95, not NaN"
        );
        assert_eq!(
            refused(|o| o.skip_rate = -0.1),
            "skip_rate must be between 0 and 0.9, not -0.1"
        );
    }
}
