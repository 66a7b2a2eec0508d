//! The vector of a user: what was heard, newest most, in the space of the tracks.
//!
//! `v = Σ w · e/‖e‖` over the tracks, normalised, where `e` is a track's embedding and `w`
//! its [weight](crate::listening::Heard::content_weight). Sums are float64 in the order of
//! the tracks; the result is rounded to float32 once.

use std::collections::BTreeMap;

use crate::rank::{self, Kernel, Path};
use crate::{Result, memory};

/// Vectors shorter than this share of their weight have cancelled out.
const CANCELLED: f64 = 1e-9;

/// A track that a vector is summed from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part<'a> {
    /// What its direction counts.
    pub weight: f64,
    /// The track's embedding, not normalised.
    pub embedding: &'a [f32],
    /// The embedding's Euclidean norm.
    pub norm: f64,
}

/// Unit vector of what a user heard, or `None` where there is none: nothing heard, all
/// weights zero or below, or tracks that cancel each other out.
pub fn listened<'a>(dims: usize, parts: impl Iterator<Item = Part<'a>>) -> Option<Vec<f32>> {
    let (sum, norm) = sum(dims, parts)?;
    Some(sum.iter().map(|v| (v / norm) as f32).collect())
}

/// What each part carries of the cosine of the vector that [`listened`] gives and an
/// embedding, (dims): the cosine, but for rounding to float32, is their sum. Zeros where
/// there is no vector.
pub fn shares<'a>(parts: &[Part<'a>], asked: &[f32]) -> Vec<f64> {
    let norm = sum(asked.len(), parts.iter().copied()).map_or(f64::INFINITY, |(_, norm)| norm);
    let share = |part: &Part| part.weight * rank::cosine(part.embedding, asked) / norm;
    parts.iter().map(share).collect()
}

/// The sum, and its length where that is one.
fn sum<'a>(dims: usize, parts: impl Iterator<Item = Part<'a>>) -> Option<(Vec<f64>, f64)> {
    let kernel = Kernel::new(Path::best());
    let mut sum = vec![0.0f64; dims];
    let (mut weights, mut heard) = (0.0, false);
    for part in parts.filter(|part| part.norm > 0.0) {
        weights += part.weight.abs();
        heard |= part.weight > 0.0;
        kernel.add_scaled(&mut sum, part.weight / part.norm, part.embedding);
    }
    let norm = if heard { length(&sum, weights)? } else { return None };
    Some((sum, norm))
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
    let norm = length(&sum, total)?;
    Some(sum.iter().map(|v| (v / norm) as f32).collect())
}

/// The length of a sum of these weights, unless it has cancelled out.
fn length(sum: &[f64], weights: f64) -> Option<f64> {
    let norm = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
    let usable = norm.is_finite() && norm > weights * CANCELLED && norm > f64::MIN_POSITIVE;
    usable.then_some(norm)
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

    fn part(embedding: &[f32], weight: f64) -> Part<'_> {
        let norm = embedding.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        Part { weight, embedding, norm }
    }

    #[test]
    fn lengths_of_embeddings_do_not_count() {
        let v = listened(2, [part(&[3.0, 0.0], 1.0), part(&[0.0, 5.0], 0.5)].into_iter()).unwrap();
        // (1, ½) normalised.
        let norm = 1.25f64.sqrt();
        assert!((f64::from(v[0]) - 1.0 / norm).abs() < 1e-7);
        assert!((f64::from(v[1]) - 0.5 / norm).abs() < 1e-7);
    }

    #[test]
    fn nothing_heard_gives_no_vector() {
        assert_eq!(listened(2, std::iter::empty()), None);
        for parts in [
            vec![part(&[1.0, 0.0], 0.0)],
            vec![part(&[1.0, 0.0], -0.5)],
            vec![part(&[0.0, 0.0], 1.0)],
            vec![part(&[1.0, 0.0], 1.0), part(&[-1.0, 0.0], 1.0)],
        ] {
            assert_eq!(listened(2, parts.iter().copied()), None);
            assert_eq!(shares(&parts, &[1.0, 1.0]), vec![0.0; parts.len()]);
        }
    }

    #[test]
    fn tiny_weights_do_not_vanish_from_a_lone_history() {
        let v = listened(1, [part(&[2.0], 1e-100)].into_iter());
        assert_eq!(v, Some(vec![1.0]));
    }

    #[test]
    fn shares_sum_up_to_the_cosine() {
        let parts = [
            part(&[3.0, 0.0, 1.0], 1.0),
            part(&[0.0, 5.0, 0.0], 0.5),
            part(&[0.0, 0.0, 0.0], 2.0),
            part(&[1.0, 1.0, -1.0], -0.5),
        ];
        let asked = [0.5, 2.0, -0.3];
        let vector = listened(3, parts.into_iter()).unwrap();
        let shares = shares(&parts, &asked);
        assert!((shares.iter().sum::<f64>() - rank::cosine(&vector, &asked)).abs() < 1e-6);
        // (0, 1, 0) · asked / |asked| times its weight over the length of the sum.
        let units = [[3.0 / 10f64.sqrt(), 0.0, 1.0 / 10f64.sqrt()], [0.0, 0.5, 0.0]];
        let pushed = -0.5 / 3f64.sqrt();
        let sum: [f64; 3] = std::array::from_fn(|at| {
            units[0][at] + units[1][at] + if at < 2 { pushed } else { -pushed }
        });
        let norms = [sum, [0.5, 2.0, -0.3]].map(|v| v.iter().map(|x| x * x).sum::<f64>().sqrt());
        assert!((shares[1] - 0.5 * 2.0 / norms[1] / norms[0]).abs() < 1e-7);
        assert_eq!(shares[2], 0.0);
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
