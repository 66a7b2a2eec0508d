//! The vector of a user: what was heard, newest most, in the space of the tracks.
//!
//! `v = Σ w · e/‖e‖` over the user's plays, normalised, where `e` is the played
//! track's embedding and
//! `w = 2^(−age / half_life) · clamp(ms_played / duration_ms, 0, 1)`, the second
//! factor 1 where either time is unknown, 0.1 where the play was skipped then. Age is counted from the newest play
//! that counts: an exponential decay from any other moment multiplies all weights
//! alike and leaves the direction as it is. Sums are float64 in the order of the
//! plays; the result is rounded to float32 once.

use std::collections::BTreeMap;

use crate::rank::{Kernel, Path};
use crate::{Result, memory};

/// Microseconds in a day.
const DAY: f64 = 86_400e6;

/// Vectors shorter than this share of their weight have cancelled out.
const CANCELLED: f64 = 1e-9;

/// Share of a track that a skipped play counts as heard, where it is not known how long
/// it lasted: most skips come in the first seconds.
pub const SKIPPED: f64 = 0.1;

/// What a dislike counts in place of the share that was heard: it takes half of what a
/// play gives.
pub const DISLIKED: f64 = -0.5;

/// Share of a track that was heard in a play, 0 to 1: by the times in milliseconds, and
/// where one of them is not known [`SKIPPED`] of a skipped play, all of any other.
pub fn completion(ms_played: Option<i32>, duration_ms: Option<i32>, skipped: Option<bool>) -> f64 {
    match (ms_played, duration_ms) {
        (Some(played), Some(duration)) if duration > 0 => {
            (f64::from(played) / f64::from(duration)).clamp(0.0, 1.0)
        }
        _ if skipped == Some(true) => SKIPPED,
        _ => 1.0,
    }
}

/// What a play `age` microseconds old counts beside a new one; `half_life` is in days.
pub fn recency(age: i64, half_life: f64) -> f64 {
    (-(age as f64 / DAY) / half_life).exp2()
}

/// One play of a track that has an embedding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Play<'a> {
    /// The track's embedding, not normalised.
    pub embedding: &'a [f32],
    /// The embedding's Euclidean norm.
    pub norm: f64,
    /// When it was played, in microseconds since any fixed moment.
    pub played_at: i64,
    /// Share of the track that was heard, see [`completion`], or [`DISLIKED`].
    pub completion: f64,
}

/// Unit vector of a user's plays, or `None` where there is none: no play, all
/// weights zero or below, or plays that cancel each other out. `half_life` is in days and
/// above 0.
pub fn listened<'a>(
    dims: usize,
    half_life: f64,
    plays: impl Iterator<Item = Play<'a>> + Clone,
) -> Option<Vec<f32>> {
    let newest = plays.clone().map(|play| play.played_at).max()?;
    let kernel = Kernel::new(Path::best());
    let mut sum = vec![0.0f64; dims];
    let (mut weights, mut heard) = (0.0, false);
    for play in plays.filter(|play| play.norm > 0.0) {
        let weight = recency(newest - play.played_at, half_life) * play.completion;
        weights += weight.abs();
        heard |= weight > 0.0;
        let factor = weight / play.norm;
        kernel.add_scaled(&mut sum, factor, play.embedding);
    }
    if heard { normalised(&sum, weights) } else { None }
}

/// Unit vector of a declared taste, weights over genres: `Σ w · centroid(genre)`,
/// normalised. Genres without centroid and weights that are not positive and
/// finite do not count; `None` where nothing does.
pub fn declared(
    dims: usize,
    weights: &BTreeMap<String, f64>,
    centroid: impl Fn(&str) -> Option<Vec<f32>>,
) -> Option<Vec<f32>> {
    let mut sum = vec![0.0f64; dims];
    let mut total = 0.0;
    for (genre, &weight) in weights.iter().filter(|(_, w)| w.is_finite() && **w > 0.0) {
        let Some(centroid) = centroid(genre) else { continue };
        total += weight;
        for (out, &value) in sum.iter_mut().zip(&centroid) {
            *out += weight * f64::from(value);
        }
    }
    normalised(&sum, total)
}

fn normalised(sum: &[f64], weights: f64) -> Option<Vec<f32>> {
    let norm = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
    let usable = norm.is_finite() && norm > weights * CANCELLED && norm > f64::MIN_POSITIVE;
    usable.then(|| sum.iter().map(|v| (v / norm) as f32).collect())
}

/// Mean of unit vectors, by group: the centroids of the genres.
pub struct Centroids {
    dims: usize,
    sums: Vec<f64>,
    counts: Vec<u32>,
}

impl Centroids {
    /// Empty centroids of `groups` groups.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) where there are too many.
    pub fn new(groups: usize, dims: usize) -> Result<Centroids> {
        let what = "the centroids of the genres";
        let sums = memory::filled(0.0, groups.saturating_mul(dims), what)?;
        Ok(Centroids { dims, sums, counts: memory::filled(0, groups, what)? })
    }

    /// Counts a track's embedding in its groups; one of norm 0 counts as the zero vector.
    pub fn add(&mut self, groups: &[u32], embedding: &[f32]) {
        let norm = embedding.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        for &group in groups {
            let group = group as usize;
            self.counts[group] += 1;
            if norm > 0.0 {
                let sums = &mut self.sums[group * self.dims..(group + 1) * self.dims];
                for (sum, &value) in sums.iter_mut().zip(embedding) {
                    *sum += f64::from(value) / norm;
                }
            }
        }
    }

    /// The centroid of a group and how many tracks it is the mean of; `None` for an empty group.
    pub fn get(&self, group: usize) -> Option<(Vec<f32>, u32)> {
        let count = self.counts[group];
        let sums = &self.sums[group * self.dims..(group + 1) * self.dims];
        (count > 0)
            .then(|| (sums.iter().map(|sum| (sum / f64::from(count)) as f32).collect(), count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(embedding: &[f32], days: f64) -> Play<'_> {
        let norm = embedding.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let played_at = (days * DAY) as i64;
        Play { embedding, norm, played_at, completion: 1.0 }
    }

    #[test]
    fn a_play_one_half_life_older_weighs_half() {
        let plays = [play(&[3.0, 0.0], 30.0), play(&[0.0, 5.0], 0.0)];
        let v = listened(2, 30.0, plays.iter().copied()).unwrap();
        // (1, ½) normalised; the embeddings' own lengths do not count.
        let norm = 1.25f64.sqrt();
        assert!((f64::from(v[0]) - 1.0 / norm).abs() < 1e-7);
        assert!((f64::from(v[1]) - 0.5 / norm).abs() < 1e-7);
    }

    #[test]
    fn a_play_broken_off_weighs_its_share() {
        let mut half = play(&[0.0, 1.0], 0.0);
        half.completion = completion(Some(100), Some(200), Some(true));
        let mut beyond = play(&[1.0, 0.0], 0.0);
        beyond.completion = completion(Some(900), Some(200), None);
        let v = listened(2, 30.0, [half, beyond].into_iter()).unwrap();
        assert!((f64::from(v[1]) / f64::from(v[0]) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_play_of_unknown_length_was_heard_unless_it_was_skipped() {
        for (ms_played, duration_ms) in [(None, Some(200)), (Some(100), None), (Some(100), Some(0))]
        {
            assert_eq!(completion(ms_played, duration_ms, Some(true)), SKIPPED);
            assert_eq!(completion(ms_played, duration_ms, Some(false)), 1.0);
            assert_eq!(completion(ms_played, duration_ms, None), 1.0);
        }
        assert_eq!(completion(Some(-5), Some(200), Some(false)), 0.0);
    }

    #[test]
    fn nothing_heard_gives_no_vector() {
        assert_eq!(listened(2, 30.0, std::iter::empty()), None);
        let mut skipped = play(&[1.0, 0.0], 0.0);
        skipped.completion = completion(Some(0), Some(200), None);
        assert_eq!(listened(2, 30.0, [skipped].into_iter()), None);
        assert_eq!(listened(2, 30.0, [play(&[0.0, 0.0], 0.0)].into_iter()), None);
        let opposite = [play(&[1.0, 0.0], 0.0), play(&[-1.0, 0.0], 0.0)];
        assert_eq!(listened(2, 30.0, opposite.into_iter()), None);
    }

    #[test]
    fn a_dislike_takes_half_of_what_a_play_gives() {
        let mut disliked = play(&[0.0, 3.0], 0.0);
        disliked.completion = DISLIKED;
        let v = listened(2, 30.0, [play(&[1.0, 0.0], 0.0), disliked].into_iter()).unwrap();
        assert!((f64::from(v[1]) / f64::from(v[0]) + 0.5).abs() < 1e-6);
        assert_eq!(listened(2, 30.0, [disliked].into_iter()), None);
    }

    #[test]
    fn very_old_plays_do_not_vanish_from_a_lone_history() {
        let v = listened(1, 0.001, [play(&[2.0], -1e5)].into_iter());
        assert_eq!(v, Some(vec![1.0]));
    }

    #[test]
    fn declared_weights_pass_over_what_cannot_count() {
        let weights = BTreeMap::from([
            ("rock".to_owned(), 0.6),
            ("jazz".to_owned(), -1.0),
            ("polka".to_owned(), f64::NAN),
            ("unheard".to_owned(), 1.0),
        ]);
        let centroid = |genre: &str| match genre {
            "rock" => Some(vec![0.0, 0.5]),
            "jazz" | "polka" => Some(vec![1.0, 0.0]),
            _ => None,
        };
        assert_eq!(declared(2, &weights, centroid), Some(vec![0.0, 1.0]));
        assert_eq!(declared(2, &BTreeMap::new(), centroid), None);
    }

    #[test]
    fn a_centroid_is_the_mean_of_unit_vectors() {
        let mut centroids = Centroids::new(3, 2).unwrap();
        centroids.add(&[0, 1], &[2.0, 0.0]);
        centroids.add(&[0], &[0.0, 7.0]);
        assert_eq!(centroids.get(0), Some((vec![0.5, 0.5], 2)));
        assert_eq!(centroids.get(1), Some((vec![1.0, 0.0], 1)));
        assert_eq!(centroids.get(2), None);
    }
}
