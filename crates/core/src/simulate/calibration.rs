//! Sets what depends on the users and tracks at hand, once, when simulated time starts.

use super::activity::{MOST_A_DAY, presence, rate, relative_rate};
use super::skip::{LAMERE_SKIPPED, by_age};
use super::{Catalogue, DAY, Listener, Simulation, SimulationOptions, Walk, Workspace};
use crate::{Error, Interrupt, Result, memory};
use serde::{Deserialize, Serialize};

/// Users that are sampled for the mean affinity, and plays of each.
const SAMPLED: (usize, f64) = (400, 30.0);

/// Levels found when simulated time started.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Plays a day of a user of relative rate 1.
    pub plays_a_day: f64,
    /// Mean nearness of played tracks to their users' tastes.
    pub affinity: f64,
    /// Factor on the skip rate by age.
    pub skip: f64,
}

impl Simulation {
    /// Starts a simulation at `started_at`: `events_per_user` becomes the expected mean
    /// over the first `days`, whoever of the users is present, and the skip rate the mean
    /// over their plays, whatever the catalogue. O(users + sampled plays).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an option, [`Error::TooFew`] without users.
    pub fn calibrate(
        catalogue: Catalogue,
        options: SimulationOptions,
        listeners: &[Listener],
        started_at: i64,
        check: Interrupt<'_>,
    ) -> Result<Simulation> {
        options.check()?;
        if listeners.is_empty() {
            return Err(Error::TooFew { what: "users", have: 0, need: 1 });
        }
        let days_present = |listener: &Listener| {
            let (from, until) = presence(listener, &options, started_at);
            let end = started_at + i64::from(options.days) * DAY;
            (until.min(end) - from.max(started_at)).max(0) as f64 / DAY as f64
        };
        let mut present: Vec<(f64, f64)> = Vec::new();
        memory::reserve(&mut present, listeners.len(), "users")?;
        for (at, listener) in listeners.iter().enumerate() {
            if at % 4096 == 0 {
                check();
            }
            present.push((relative_rate(listener, &options), days_present(listener)));
        }
        check();
        let calibration = Calibration {
            plays_a_day: plays_a_day(&present, &options, check),
            affinity: 0.5,
            skip: options.skip_rate / LAMERE_SKIPPED,
        };
        let mut sim = Simulation { catalogue, options, calibration, started_at };
        sim.calibration.affinity = sim.mean_affinity(listeners, check)?;

        // The population at hand is not exactly Lamere's; the correction stays small, so
        // that the rates by age keep their places.
        let (mut plays, mut skips) = (0.0, 0.0);
        for (listener, (_, days)) in listeners.iter().zip(&present) {
            let weight = rate(listener, &sim.options, sim.calibration.plays_a_day) * days;
            plays += weight;
            skips += weight * by_age(listener.age) * listener.taste.impatience;
        }
        if plays > 0.0 {
            sim.calibration.skip *= (LAMERE_SKIPPED * plays / skips).clamp(0.93, 1.07);
        }
        Ok(sim)
    }

    fn mean_affinity(&self, listeners: &[Listener], check: Interrupt<'_>) -> Result<f64> {
        let stride = listeners.len().div_ceil(SAMPLED.0);
        let mut room = Workspace::default();
        let mut plays = Vec::new();
        let (mut sum, mut n) = (0.0, 0.0);
        for listener in listeners.iter().step_by(stride) {
            let rate = rate(listener, &self.options, self.calibration.plays_a_day);
            let days = (SAMPLED.1 / rate).clamp(1.0, 3650.0);
            let from = self.started_at.max(listener.taste.arrives_at);
            plays.clear();
            Walk::new(self, 0, listener, &mut room).plays(
                from,
                from + (days * DAY as f64) as i64,
                &|| {
                    check();
                    true
                },
                &mut plays,
            )?;
            sum += plays.iter().map(|p| f64::from(p.affinity)).sum::<f64>();
            n += plays.len() as f64;
        }
        Ok(if n > 0.0 { sum / n } else { 0.5 })
    }
}

/// Solves Σ min(a · rate, most) · days = events_per_user · users for a.
fn plays_a_day(present: &[(f64, f64)], options: &SimulationOptions, check: Interrupt<'_>) -> f64 {
    let wanted = f64::from(options.events_per_user) * present.len() as f64;
    let plays =
        |a: f64| present.iter().map(|(r, days)| (a * r).min(MOST_A_DAY) * days).sum::<f64>();
    let all: f64 = present.iter().map(|(r, days)| r * days).sum();
    let mean = f64::from(options.events_per_user) / f64::from(options.days);
    if all <= 0.0 {
        return mean;
    }
    let (mut low, mut high) = (0.0, 16.0 * (wanted / all).max(mean));
    for _ in 0..60 {
        check();
        let middle = 0.5 * (low + high);
        if plays(middle) < wanted { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}
