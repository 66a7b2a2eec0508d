//! What the factors are to reproduce: targets and confidences of the entries.
//!
//! A track that `d` users played, played by a user of `n` tracks, has the target
//! `κ · n^(−a) · d^(−b)`, with `κ` such that the mean square of the targets is 1:
//! without it the factors spend themselves on long histories and on the charts.
//! The confidence of a play is `(w / the user's mean w)^e`, divided by its mean
//! over all plays. Skips and dislikes have multiples of the same target, not
//! above 0, and confidences of their own.
//!
//! Source: Y. Hu, Y. Koren, C. Volinsky, "Collaborative filtering for implicit
//! feedback datasets", ICDM 2008, for confidences; the normalisation is that of a
//! degree-normalised adjacency matrix.

use sparkify_core::{Interrupt, Result};

use crate::fold_in::Opposed;
use crate::interactions::{CHECK_EVERY, reserve, zeros};
use crate::{Interactions, Signal};

/// What turns plays into targets.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetOptions {
    /// The exponent a of a user's distinct tracks.
    pub user_exponent: f64,
    /// The exponent b of a track's distinct listeners.
    pub listener_exponent: f64,
    /// The exponent e of a play's weight.
    pub confidence_exponent: f64,
    /// How a skip counts.
    pub skip: Opposed,
    /// How a dislike counts.
    pub dislike: Opposed,
}

impl Default for TargetOptions {
    fn default() -> Self {
        Self {
            user_exponent: 0.25,
            listener_exponent: 0.3,
            confidence_exponent: 0.3,
            skip: Opposed { target: 0.0, confidence: 0.5 },
            dislike: Opposed { target: -1.0, confidence: 2.0 },
        }
    }
}

/// One side of the matrix: rows of entries, columns ascending.
pub(crate) struct Side {
    pub offsets: Vec<usize>,
    pub columns: Vec<u32>,
    pub targets: Vec<f32>,
    pub confidences: Vec<f32>,
}

impl Side {
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    fn with_room(rows: usize, entries: usize) -> Result<Self> {
        Ok(Self {
            offsets: zeros(rows + 1, "row offsets")?,
            columns: zeros(entries, "columns")?,
            targets: zeros(entries, "targets")?,
            confidences: zeros(entries, "confidences")?,
        })
    }

    /// Rows and columns changed over; the columns of a row stay ascending.
    fn transposed(&self, rows: usize, interrupt: Interrupt) -> Result<Self> {
        let mut other = Self::with_room(rows, self.columns.len())?;
        for columns in self.columns.chunks(CHECK_EVERY) {
            interrupt();
            for &column in columns {
                other.offsets[column as usize + 1] += 1;
            }
        }
        for row in 0..rows {
            other.offsets[row + 1] += other.offsets[row];
        }
        let mut next = Vec::new();
        reserve(&mut next, rows, "row offsets")?;
        next.extend_from_slice(&other.offsets[..rows]);
        for row in 0..self.rows() {
            if row % 1024 == 0 {
                interrupt();
            }
            for at in self.offsets[row]..self.offsets[row + 1] {
                let to = &mut next[self.columns[at] as usize];
                other.columns[*to] = row as u32;
                other.targets[*to] = self.targets[at];
                other.confidences[*to] = self.confidences[at];
                *to += 1;
            }
        }
        Ok(other)
    }
}

/// Targets and confidences of all entries, by user and by track.
pub(crate) struct Targets {
    pub by_user: Side,
    pub by_track: Side,
    pub listeners: Vec<u32>,
    pub kappa: f64,
    pub confidence_mean: f64,
    /// Mean of the listeners over the tracks that have some.
    pub mean_listeners: f64,
    /// How many plays there are, skips and dislikes apart.
    pub plays: usize,
}

impl Targets {
    pub fn new(data: &Interactions, options: &TargetOptions, interrupt: Interrupt) -> Result<Self> {
        let listeners = data.listeners(interrupt)?;
        let by_listeners = by_degree(listeners.iter().copied().max(), -options.listener_exponent)?;
        let mut by_user = Side::with_room(data.users(), data.len())?;
        by_user.offsets.copy_from_slice(data.offsets());
        let (mut squares, mut confidences, mut plays) = (0.0, 0.0, 0usize);
        let mut since_check = 0;
        for user in 0..data.users() {
            let heard = data.plays_of(user).filter(|play| play.signal == Signal::Played);
            let (count, sum) =
                heard.fold((0usize, 0.0), |(n, sum), play| (n + 1, sum + f64::from(play.weight)));
            let of_user = (count.max(1) as f64).powf(-options.user_exponent);
            let mean = sum / count.max(1) as f64;
            let first = data.offsets()[user];
            since_check += data.plays_of(user).len();
            if since_check > CHECK_EVERY {
                interrupt();
                since_check = 0;
            }
            for (at, play) in data.plays_of(user).enumerate() {
                let base = of_user * by_listeners[listeners[play.track as usize] as usize];
                let (target, confidence) = match play.signal {
                    Signal::Played => {
                        let confidence =
                            confidence(f64::from(play.weight), mean, options.confidence_exponent);
                        squares += base * base;
                        confidences += confidence;
                        plays += 1;
                        (base, confidence)
                    }
                    Signal::Skipped => (options.skip.target * base, options.skip.confidence),
                    Signal::Disliked => (options.dislike.target * base, options.dislike.confidence),
                };
                by_user.columns[first + at] = play.track;
                by_user.targets[first + at] = target as f32;
                by_user.confidences[first + at] = confidence as f32;
            }
        }
        let kappa = if squares > 0.0 { (plays as f64 / squares).sqrt() } else { 1.0 };
        let confidence_mean = if confidences > 0.0 { confidences / plays as f64 } else { 1.0 };
        for user in 0..data.users() {
            if user % 1024 == 0 {
                interrupt();
            }
            let own = data.offsets()[user]..data.offsets()[user + 1];
            for (at, play) in own.zip(data.plays_of(user)) {
                by_user.targets[at] = (f64::from(by_user.targets[at]) * kappa) as f32;
                if play.signal == Signal::Played {
                    let relative = f64::from(by_user.confidences[at]) / confidence_mean;
                    by_user.confidences[at] = relative as f32;
                }
            }
        }
        interrupt();
        let by_track = by_user.transposed(data.tracks(), interrupt)?;
        let heard = listeners.iter().filter(|&&d| d > 0).count().max(1);
        let mean_listeners = (plays as f64 / heard as f64).max(1.0);
        Ok(Self { by_user, by_track, listeners, kappa, confidence_mean, mean_listeners, plays })
    }
}

/// `(weight / mean)^exponent`; 1 where a user's weights say nothing.
pub(crate) fn confidence(weight: f64, mean: f64, exponent: f64) -> f64 {
    if mean > 0.0 { (weight / mean).powf(exponent) } else { 1.0 }
}

/// `n^exponent` for n up to `largest`; 1 for 0.
fn by_degree(largest: Option<u32>, exponent: f64) -> Result<Vec<f64>> {
    let largest = largest.unwrap_or(0) as usize;
    let mut powers = Vec::new();
    reserve(&mut powers, largest + 1, "powers of degrees")?;
    powers.extend((0..=largest).map(|n| (n.max(1) as f64).powf(exponent)));
    Ok(powers)
}
