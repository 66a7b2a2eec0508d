//! Content embeddings: principal component analysis of standardised features.
//!
//! The feature matrix `x: (n_tracks, n_features)` has numeric columns,
//! standardised with the population standard deviation after missing values took
//! the mean of the known ones, and one column for each genre, 0 or the weight of
//! genres (multi-hot: a track may have several). PCA centres every column and keeps the
//! eigenvectors of the covariance matrix with the largest eigenvalues, as
//! `sklearn.decomposition.PCA` does; a track's embedding is its centred row times
//! the components.
//!
//! Of very many genres the [`MAX_GENRES`] of greatest variance take part.
//!
//! Genres are sparse, so the covariance costs `O(n · (numeric + genres per
//! track)²)` and no dense matrix of all features is ever made; the projection
//! costs `O(n · dims · (numeric + genres per track))`. Sums are float64. The sign
//! of a component is free: here its loading of largest magnitude is positive.
//!
//! Source: K. Pearson, "On lines and planes of closest fit to systems of points
//! in space", Philosophical Magazine 2 (1901).

use ndarray::{Array1, Array2, ArrayView2};

use crate::eigen::Tridiagonal;
use crate::{Error, Interrupt, Result, memory};

/// Genres that are features: of more, those that vary most. A genre that few tracks have
/// varies little, and the matrix grows with the square of their number.
pub const MAX_GENRES: usize = 2000;

/// No column.
const NONE: u32 = u32::MAX;

/// Eigenvalues below this share of the largest are rounding, not variance.
const RANK_TOLERANCE: f64 = 1e-10;

/// Rows between two interrupt checks.
const CHECK_EVERY: usize = 4096;

/// What is known of the tracks, before standardisation.
pub struct Features<'a> {
    /// `(n_tracks, n_numeric)`; NaN where a value is missing.
    pub numeric: ArrayView2<'a, f64>,
    /// Where each track's genres begin in `genres`; `n_tracks + 1` entries.
    pub genre_offsets: &'a [usize],
    /// The tracks' genres one after the other, each in `0..n_genres`, none twice in a track.
    pub genres: &'a [u32],
    /// How many genres there are.
    pub n_genres: usize,
}

impl Features<'_> {
    fn n_tracks(&self) -> usize {
        self.numeric.nrows()
    }

    fn genres_of(&self, track: usize) -> &[u32] {
        &self.genres[self.genre_offsets[track]..self.genre_offsets[track + 1]]
    }
}

/// A fitted projection of tracks onto their principal components.
pub struct Pca {
    /// Mean of the known values of each numeric column; 0 where none is known.
    pub means: Vec<f64>,
    /// Population standard deviation of each numeric column after imputation; 0 where constant.
    pub scales: Vec<f64>,
    /// Genres that take part, rising: what stands in the columns after the numeric ones.
    pub genres: Vec<u32>,
    /// Share of the tracks that have each of `genres`.
    pub genre_shares: Vec<f64>,
    /// What a genre's column holds for a track that has it.
    pub genre_weight: f64,
    /// Columns without variance, left out: numeric ones first, then genres at `n_numeric + genre`.
    pub constant: Vec<usize>,
    /// Loadings `(dims, n_numeric + genres.len())`, 0 in constant columns; rows are orthonormal.
    pub components: Array2<f64>,
    /// Variance along each component (denominator n − 1), descending.
    pub explained_variance: Array1<f64>,
    /// Variance of all features together.
    pub total_variance: f64,
}

/// How many components are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dims {
    /// So many, or an error.
    Exactly(usize),
    /// So many, or all that the features span.
    AtMost(usize),
}

/// Fits the first principal components of the features, a genre counting
/// `genre_weight` where a number counts its standard deviations.
///
/// # Errors
/// [`Error::OutOfRange`] for 0 dims and a weight that is negative or not finite, [`Error::TooFew`] for fewer than two tracks,
/// [`Error::AboveRank`] where the features span fewer dimensions than asked for, or none,
/// [`Error::OutOfMemory`].
pub fn fit(
    features: &Features,
    dims: Dims,
    genre_weight: f64,
    interrupt: Interrupt,
) -> Result<Pca> {
    let (Dims::Exactly(wanted) | Dims::AtMost(wanted)) = dims;
    if wanted == 0 {
        return Err(Error::OutOfRange {
            name: "dims",
            value: "0".into(),
            expected: "at least 1".into(),
        });
    }
    if !(0.0..=1e6).contains(&genre_weight) {
        return Err(Error::OutOfRange {
            name: "genre_weight",
            value: genre_weight.to_string(),
            expected: "between 0 and 1000000".into(),
        });
    }
    let n = features.n_tracks();
    if n < 2 {
        return Err(Error::TooFew { what: "tracks", have: n, need: 2 });
    }
    let (means, scales) = standardisation(&features.numeric);
    let columns = GenreColumns::of(features)?;
    let n_numeric = features.numeric.ncols();
    let width = n_numeric + columns.genres.len();
    let mut covariance = covariance(features, &columns, &means, &scales, interrupt)?;
    let scale = |j: usize| if j < n_numeric { 1.0 } else { genre_weight };
    for (i, row) in covariance.chunks_exact_mut(width.max(1)).enumerate() {
        row.iter_mut().enumerate().for_each(|(j, value)| *value *= scale(i) * scale(j));
    }
    let variance = |j: usize| covariance[j * width + j];
    let (varying, constant): (Vec<usize>, Vec<usize>) =
        (0..width).partition(|&j| variance(j) > 0.0 && (j >= n_numeric || scales[j] > 0.0));
    let total_variance = varying.iter().map(|&j| variance(j)).sum();
    let constant = constant.into_iter().map(|j| match j.checked_sub(n_numeric) {
        Some(at) => n_numeric + columns.genres[at] as usize,
        None => j,
    });
    let constant = memory::collected(constant, "features")?;

    if varying.is_empty() {
        return Err(Error::AboveRank { dims: wanted, features: 0, rank: 0 });
    }
    let tridiagonal =
        Tridiagonal::of(among(covariance, width, &varying), varying.len(), interrupt)?;
    let largest = tridiagonal.largest(1, interrupt)?;
    let floor = largest.first().map_or(0.0, |first| first * RANK_TOLERANCE);
    let rank = tridiagonal.count_above(floor).min(n - 1);
    let dims = match dims {
        Dims::AtMost(_) if rank > 0 => wanted.min(rank),
        _ => wanted,
    };
    if dims > rank {
        return Err(Error::AboveRank { dims, features: varying.len(), rank });
    }
    let explained_variance = tridiagonal.largest(dims, interrupt)?;
    let vectors = tridiagonal.vectors(&explained_variance, interrupt)?;

    let mut components = zeros(dims, width, "components")?;
    for (row, loadings) in vectors.chunks_exact(varying.len()).enumerate() {
        // The first of equal magnitudes decides, whatever rounding did to the others.
        let largest = loadings.iter().fold(0.0f64, |largest, v| largest.max(v.abs()));
        let deciding = loadings.iter().find(|v| v.abs() >= largest * (1.0 - 1e-9));
        let sign = if deciding.is_some_and(|&v| v < 0.0) { -1.0 } else { 1.0 };
        for (i, &j) in varying.iter().enumerate() {
            components[(row, j)] = sign * loadings[i];
        }
    }
    Ok(Pca {
        means,
        scales,
        genres: columns.genres,
        genre_shares: columns.shares,
        genre_weight,
        constant,
        components,
        explained_variance: Array1::from_vec(explained_variance),
        total_variance,
    })
}

/// The rows and columns `kept`, rising, of a matrix of `width` columns, in its own place.
fn among(mut matrix: Vec<f64>, width: usize, kept: &[usize]) -> Vec<f64> {
    let mut to = 0;
    for &i in kept {
        for &j in kept {
            matrix[to] = matrix[i * width + j];
            to += 1;
        }
    }
    matrix.truncate(to);
    matrix
}

fn zeros(rows: usize, columns: usize, what: &'static str) -> Result<Array2<f64>> {
    let cells = memory::filled(0.0, rows.saturating_mul(columns), what)?;
    // Of that length it cannot fail.
    Ok(Array2::from_shape_vec((rows, columns), cells).unwrap_or_default())
}

impl Pca {
    /// Share of the total variance along each component.
    pub fn explained_variance_ratio(&self) -> Array1<f64> {
        &self.explained_variance / self.total_variance
    }

    /// Embeds every track in turn: `each(track, embedding)` with `embedding` of `dims` entries.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] for a copy of the components.
    pub fn project(
        &self,
        features: &Features,
        interrupt: Interrupt,
        mut each: impl FnMut(usize, &[f32]),
    ) -> Result<()> {
        let (dims, n_numeric) = (self.components.nrows(), features.numeric.ncols());
        // By feature, so that a track adds up contiguous rows.
        let by_feature = self.components.columns().into_iter().flatten().copied();
        let mut loadings = Vec::new();
        memory::reserve(&mut loadings, self.components.len(), "components")?;
        loadings.extend(by_feature);
        let row = |feature: usize| &loadings[feature * dims..][..dims];
        let column_of = column_of(&self.genres, features.n_genres)?;
        let mut centre = vec![0.0; dims];
        for (at, &share) in self.genre_shares.iter().enumerate() {
            add_scaled(&mut centre, -share * self.genre_weight, row(n_numeric + at));
        }
        let mut sums = vec![0.0; dims];
        let mut embedding = vec![0.0f32; dims];
        for track in 0..features.n_tracks() {
            if track % CHECK_EVERY == 0 {
                interrupt();
            }
            sums.copy_from_slice(&centre);
            for (j, &value) in features.numeric.row(track).iter().enumerate() {
                let z = standardised(value, self.means[j], self.scales[j]);
                if z != 0.0 {
                    add_scaled(&mut sums, z, row(j));
                }
            }
            for &genre in features.genres_of(track) {
                let column = column_of[genre as usize];
                if column != NONE {
                    add_scaled(&mut sums, self.genre_weight, row(n_numeric + column as usize));
                }
            }
            for (out, &sum) in embedding.iter_mut().zip(&sums) {
                *out = sum as f32;
            }
            each(track, &embedding);
        }
        Ok(())
    }
}

/// A value in standard deviations from its mean; a missing one, and a constant column, give 0.
fn standardised(value: f64, mean: f64, scale: f64) -> f64 {
    if value.is_nan() || scale == 0.0 { 0.0 } else { (value - mean) / scale }
}

/// `sums += factor · row`.
fn add_scaled(sums: &mut [f64], factor: f64, row: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += factor * value;
    }
}

/// Mean of the known values and population standard deviation after imputation, by column.
fn standardisation(numeric: &ArrayView2<f64>) -> (Vec<f64>, Vec<f64>) {
    let n = numeric.nrows() as f64;
    numeric
        .columns()
        .into_iter()
        .map(|column| {
            let known = column.iter().filter(|v| !v.is_nan());
            let (count, sum) = known.clone().fold((0usize, 0.0), |(c, s), v| (c + 1, s + v));
            if count == 0 {
                return (0.0, 0.0);
            }
            let mean = sum / count as f64;
            let squares: f64 = known.clone().map(|v| (v - mean) * (v - mean)).sum();
            // An imputed value adds nothing to the squares. A spread within the
            // rounding of the mean is that of a constant column.
            let deviation = (squares / n).sqrt();
            let varies = deviation > mean.abs() * f64::EPSILON * 16.0;
            (mean, if varies { deviation } else { 0.0 })
        })
        .unzip()
}

/// The genres that take part.
struct GenreColumns {
    genres: Vec<u32>,
    shares: Vec<f64>,
    /// By genre: its place in `genres`, or [`NONE`].
    column_of: Vec<u32>,
}

impl GenreColumns {
    fn of(features: &Features) -> Result<GenreColumns> {
        let n = features.n_tracks() as f64;
        let mut counts = memory::filled(0u32, features.n_genres, "genres")?;
        for &genre in features.genres {
            counts[genre as usize] += 1;
        }
        let mut genres = memory::collected(0..features.n_genres as u32, "genres")?;
        if genres.len() > MAX_GENRES {
            let variance = |genre: &u32| {
                let share = f64::from(counts[*genre as usize]) / n;
                share * (1.0 - share)
            };
            genres.select_nth_unstable_by(MAX_GENRES, |a, b| {
                variance(b).total_cmp(&variance(a)).then(a.cmp(b))
            });
            genres.truncate(MAX_GENRES);
            genres.sort_unstable();
        }
        let shares = genres.iter().map(|&genre| f64::from(counts[genre as usize]) / n).collect();
        let column_of = column_of(&genres, features.n_genres)?;
        Ok(GenreColumns { genres, shares, column_of })
    }
}

fn column_of(genres: &[u32], n_genres: usize) -> Result<Vec<u32>> {
    let mut column_of = memory::filled(NONE, n_genres, "genres")?;
    for (&genre, column) in genres.iter().zip(0..) {
        column_of[genre as usize] = column;
    }
    Ok(column_of)
}

/// Covariance of standardised numerics and 0/1 genres, denominator n − 1: the whole matrix,
/// row by row.
fn covariance(
    features: &Features,
    columns: &GenreColumns,
    means: &[f64],
    scales: &[f64],
    interrupt: Interrupt,
) -> Result<Vec<f64>> {
    let (n, n_numeric) = (features.n_tracks(), features.numeric.ncols());
    let width = n_numeric + columns.genres.len();
    // Products of the lower triangle; standardised columns have mean 0 already.
    let mut products = memory::filled(0.0, width * width, "the covariance of the features")?;
    let mut z = vec![0.0; n_numeric];
    let mut own = Vec::new();
    for track in 0..n {
        if track % CHECK_EVERY == 0 {
            interrupt();
        }
        for (j, &value) in features.numeric.row(track).iter().enumerate() {
            z[j] = standardised(value, means[j], scales[j]);
        }
        for j in 0..n_numeric {
            add_scaled(&mut products[j * width..=j * width + j], z[j], &z[..=j]);
        }
        own.clear();
        let known = features.genres_of(track).iter().map(|&g| columns.column_of[g as usize]);
        for column in known.filter(|&column| column != NONE) {
            memory::push(&mut own, n_numeric + column as usize, "genres")?;
        }
        for (at, &column) in own.iter().enumerate() {
            if at % 64 == 63 {
                interrupt();
            }
            let row = &mut products[column * width..][..width];
            add_scaled(&mut row[..n_numeric], 1.0, &z);
            for &other in own.iter().filter(|&&other| other <= column) {
                row[other] += 1.0;
            }
        }
    }
    let mean = |j: usize| if j < n_numeric { 0.0 } else { columns.shares[j - n_numeric] };
    for i in 0..width {
        interrupt();
        for j in 0..=i {
            let product = products[i * width + j];
            let value = (product - n as f64 * mean(i) * mean(j)) / (n as f64 - 1.0);
            products[i * width + j] = value;
            products[j * width + i] = value;
        }
    }
    Ok(products)
}

#[cfg(test)]
#[path = "embedding_tests.rs"]
mod tests;
