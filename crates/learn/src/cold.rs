//! Vectors for tracks that nobody has played, from their content.
//!
//! A ridge regression from content to the learned vectors, `W = (FᵀωF + 10 I)⁻¹
//! FᵀωO`, weighted by `ω = d / (d + 1)` with a track's d listeners. The columns of F
//! are half the standardised numbers, not beyond ±3, and one 0/1 column a genre; of
//! very many genres the [`MAX_GENRES`] that most tracks have.
//!
//! Source: Z. Gantner et al., "Learning attribute-to-feature mappings for
//! cold-start recommendations", ICDM 2010.

use faer::{Mat, MatMut, Side, linalg::solvers::Solve};
use sparkify_core::embedding::{Features, MAX_GENRES};
use sparkify_core::{Error, Interrupt, Result};

use crate::interactions::{reserve, zeros};

/// What is added to the diagonal.
const RIDGE: f64 = 10.0;

/// Largest magnitude of a standardised number.
const CLIP: f64 = 3.0;

/// Weight of a standardised number beside a genre.
const NUMERIC_WEIGHT: f64 = 0.5;

/// Tracks between two interrupt checks.
const CHECK_EVERY: usize = 512;

/// A map from content to vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct ColdMap {
    /// Entries of a vector.
    pub dims: usize,
    /// Mean of the known values of each numeric column.
    pub means: Vec<f64>,
    /// Standard deviation of the known values; 0 where they do not vary.
    pub scales: Vec<f64>,
    /// Genres that take part, ascending.
    pub genres: Vec<u32>,
    /// `(n_numeric + genres, dims)` in rows.
    pub weights: Vec<f64>,
}

impl ColdMap {
    /// Fits the map to the vectors of the tracks with listeners.
    ///
    /// `output(track)` is the track's stored vector, of `dims` entries.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn fit<'o>(
        features: &Features,
        listeners: &[u32],
        dims: usize,
        output: impl Fn(usize) -> &'o [f32],
        interrupt: Interrupt,
    ) -> Result<Self> {
        let (means, scales) = standardisation(features);
        let genres = most_frequent(features)?;
        let width = means.len() + genres.len();
        let weights = zeros(width * dims, "content map")?;
        let mut map = Self { dims, means, scales, genres, weights };
        let mut system: Vec<f64> = zeros(width * width, "content map")?;
        let mut entries = Vec::new();
        for (track, &heard) in listeners.iter().enumerate().filter(|&(_, &heard)| heard > 0) {
            if track % CHECK_EVERY == 0 {
                interrupt();
            }
            let weight = f64::from(heard) / (f64::from(heard) + 1.0);
            map.entries(features, track, &mut entries);
            let vector = output(track);
            for &(row, value) in &entries {
                for &(column, other) in &entries {
                    system[column * width + row] += weight * value * other;
                }
                let sums = &mut map.weights[row * dims..(row + 1) * dims];
                for (sum, &x) in sums.iter_mut().zip(vector) {
                    *sum += weight * value * f64::from(x);
                }
            }
        }
        for at in 0..width {
            system[at * width + at] += RIDGE;
        }
        interrupt();
        let system = MatMut::from_column_major_slice_mut(&mut system, width, width);
        let factored = system.llt(Side::Lower).map_err(|_| Error::OutOfRange {
            name: "content",
            value: "a number that is not finite".into(),
            expected: "finite".into(),
        })?;
        let right = Mat::from_fn(width, dims, |row, k| map.weights[row * dims + k]);
        let solved = factored.solve(&right);
        for row in 0..width {
            for k in 0..dims {
                map.weights[row * dims + k] = solved[(row, k)];
            }
        }
        Ok(map)
    }

    /// The vector of a track of `features`, times `boost`.
    pub fn vector(&self, features: &Features, track: usize, boost: f64) -> Vec<f32> {
        let mut entries = Vec::new();
        self.entries(features, track, &mut entries);
        let mut sums = vec![0.0; self.dims];
        for (row, value) in entries {
            let weights = self.weights.get(row * self.dims..(row + 1) * self.dims).unwrap_or(&[]);
            for (sum, &weight) in sums.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
        sums.into_iter().map(|sum| (sum * boost) as f32).collect()
    }

    /// The entries of a track's row of F that are not 0.
    fn entries(&self, features: &Features, track: usize, entries: &mut Vec<(usize, f64)>) {
        entries.clear();
        let numbers = features.numeric.row(track);
        for (column, &value) in numbers.iter().enumerate() {
            if self.scales[column] > 0.0 && value.is_finite() {
                let z = ((value - self.means[column]) / self.scales[column]).clamp(-CLIP, CLIP);
                entries.push((column, NUMERIC_WEIGHT * z));
            }
        }
        let own = features.genre_offsets[track]..features.genre_offsets[track + 1];
        for genre in &features.genres[own] {
            if let Ok(at) = self.genres.binary_search(genre) {
                entries.push((self.means.len() + at, 1.0));
            }
        }
    }
}

/// Up to [`MAX_GENRES`] genres, ascending.
fn most_frequent(features: &Features) -> Result<Vec<u32>> {
    let mut counts: Vec<u32> = zeros(features.n_genres, "genres")?;
    features.genres.iter().for_each(|&genre| counts[genre as usize] += 1);
    let mut genres: Vec<u32> = Vec::new();
    reserve(&mut genres, features.n_genres, "genres")?;
    genres.extend(0..features.n_genres as u32);
    genres.sort_by_key(|&genre| std::cmp::Reverse(counts[genre as usize]));
    genres.truncate(MAX_GENRES);
    genres.sort_unstable();
    Ok(genres)
}

/// Mean and standard deviation of the known values, by column.
fn standardisation(features: &Features) -> (Vec<f64>, Vec<f64>) {
    let columns = features.numeric.columns().into_iter();
    columns
        .map(|column| {
            let known = column.iter().filter(|value| value.is_finite());
            let (count, sum) = known.clone().fold((0usize, 0.0), |(n, sum), x| (n + 1, sum + x));
            let mean = sum / count.max(1) as f64;
            let squares: f64 = known.map(|x| (x - mean).powi(2)).sum();
            let deviation = (squares / count.max(1) as f64).sqrt();
            // A spread within the rounding of the mean is that of a constant column.
            let varies = deviation > mean.abs() * f64::EPSILON * 16.0;
            (mean, if varies { deviation } else { 0.0 })
        })
        .unzip()
}
