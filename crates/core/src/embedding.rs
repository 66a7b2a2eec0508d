//! Content embeddings: principal component analysis of standardised features.
//!
//! The feature matrix `x: (n_tracks, n_features)` has numeric columns,
//! standardised with the population standard deviation after missing values took
//! the mean of the known ones, and one 0/1 column for each genre, unscaled
//! (multi-hot: a track may have several). PCA centres every column and keeps the
//! eigenvectors of the covariance matrix with the largest eigenvalues, as
//! `sklearn.decomposition.PCA` does; a track's embedding is its centred row times
//! the components.
//!
//! Genres are sparse, so the covariance costs `O(n · (numeric + genres per
//! track)²)` and no dense matrix of all features is ever made; the projection
//! costs `O(n · dims · (numeric + genres per track))`. Sums are float64. The sign
//! of a component is free: here its loading of largest magnitude is positive.
//!
//! Source: K. Pearson, "On lines and planes of closest fit to systems of points
//! in space", Philosophical Magazine 2 (1901).

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, ArrayView2};

use crate::{Error, Interrupt, Result};

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
    /// Share of the tracks that have each genre.
    pub genre_shares: Array1<f64>,
    /// Columns without variance, left out: numeric ones first, then genres at `n_numeric + genre`.
    pub constant: Vec<usize>,
    /// Loadings `(dims, n_numeric + n_genres)`, 0 in constant columns; rows are orthonormal.
    pub components: Array2<f64>,
    /// Variance along each component (denominator n − 1), descending.
    pub explained_variance: Array1<f64>,
    /// Variance of all features together.
    pub total_variance: f64,
}

/// Fits the `dims` principal components of the features.
///
/// # Errors
/// [`Error::OutOfRange`] for `dims` = 0, [`Error::TooFew`] for fewer than two
/// tracks, [`Error::AboveRank`] where the features span fewer than `dims` dimensions.
pub fn fit(features: &Features, dims: usize, interrupt: Interrupt) -> Result<Pca> {
    if dims == 0 {
        return Err(Error::OutOfRange {
            name: "dims",
            value: "0".into(),
            expected: "at least 1".into(),
        });
    }
    let n = features.n_tracks();
    if n < 2 {
        return Err(Error::TooFew { what: "tracks", have: n, need: 2 });
    }
    let (means, scales) = standardisation(&features.numeric);
    let covariance = covariance(features, &means, &scales, interrupt);
    let n_numeric = features.numeric.ncols();
    let (varying, constant): (Vec<usize>, Vec<usize>) = (0..covariance.nrows())
        .partition(|&j| covariance[(j, j)] > 0.0 && (j >= n_numeric || scales[j] > 0.0));
    let total_variance = varying.iter().map(|&j| covariance[(j, j)]).sum();

    if varying.is_empty() {
        return Err(Error::AboveRank { dims, features: 0, rank: 0 });
    }
    let varying_covariance =
        DMatrix::from_fn(varying.len(), varying.len(), |i, j| covariance[(varying[i], varying[j])]);
    interrupt();
    let eigen = SymmetricEigen::new(varying_covariance);
    interrupt();
    let mut order: Vec<usize> = (0..varying.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]).then(a.cmp(&b)));
    let floor = order.first().map_or(0.0, |&first| eigen.eigenvalues[first] * RANK_TOLERANCE);
    let rank = order.iter().take_while(|&&k| eigen.eigenvalues[k] > floor).count().min(n - 1);
    if dims > rank {
        return Err(Error::AboveRank { dims, features: varying.len(), rank });
    }

    let mut components = Array2::zeros((dims, covariance.nrows()));
    for (row, &k) in order[..dims].iter().enumerate() {
        let loadings = eigen.eigenvectors.column(k);
        // The first of equal magnitudes decides, whatever rounding did to the others.
        let largest = loadings.amax();
        let deciding = loadings.iter().find(|v| v.abs() >= largest * (1.0 - 1e-9));
        let sign = if deciding.is_some_and(|&v| v < 0.0) { -1.0 } else { 1.0 };
        for (i, &j) in varying.iter().enumerate() {
            components[(row, j)] = sign * loadings[i];
        }
    }
    Ok(Pca {
        means,
        scales,
        genre_shares: genre_shares(features),
        constant,
        components,
        explained_variance: order[..dims].iter().map(|&k| eigen.eigenvalues[k]).collect(),
        total_variance,
    })
}

impl Pca {
    /// Share of the total variance along each component.
    pub fn explained_variance_ratio(&self) -> Array1<f64> {
        &self.explained_variance / self.total_variance
    }

    /// Embeds every track in turn: `each(track, embedding)` with `embedding` of `dims` entries.
    pub fn project(
        &self,
        features: &Features,
        interrupt: Interrupt,
        mut each: impl FnMut(usize, &[f32]),
    ) {
        let (dims, n_numeric) = (self.components.nrows(), features.numeric.ncols());
        // By feature, so that a track adds up contiguous rows.
        let loadings = self.components.t().as_standard_layout().into_owned();
        let mut centre = vec![0.0; dims];
        for (genre, &share) in self.genre_shares.iter().enumerate() {
            add_scaled(&mut centre, -share, &loadings.row(n_numeric + genre).to_vec());
        }
        let rows: Vec<&[f64]> = loadings.rows().into_iter().filter_map(|r| r.to_slice()).collect();
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
                    add_scaled(&mut sums, z, rows[j]);
                }
            }
            for &genre in features.genres_of(track) {
                add_scaled(&mut sums, 1.0, rows[n_numeric + genre as usize]);
            }
            for (out, &sum) in embedding.iter_mut().zip(&sums) {
                *out = sum as f32;
            }
            each(track, &embedding);
        }
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

fn genre_shares(features: &Features) -> Array1<f64> {
    let mut counts = Array1::zeros(features.n_genres);
    for &genre in features.genres {
        counts[genre as usize] += 1.0;
    }
    counts / features.n_tracks() as f64
}

/// Covariance `(n_numeric + n_genres)²` of standardised numerics and 0/1 genres, denominator n − 1.
fn covariance(
    features: &Features,
    means: &[f64],
    scales: &[f64],
    interrupt: Interrupt,
) -> DMatrix<f64> {
    let (n, n_numeric) = (features.n_tracks(), features.numeric.ncols());
    let width = n_numeric + features.n_genres;
    // Products of the upper triangle; standardised columns have mean 0 already.
    let mut products = DMatrix::<f64>::zeros(width, width);
    let mut z = vec![0.0; n_numeric];
    for track in 0..n {
        if track % CHECK_EVERY == 0 {
            interrupt();
        }
        for (j, &value) in features.numeric.row(track).iter().enumerate() {
            z[j] = standardised(value, means[j], scales[j]);
        }
        let genres = features.genres_of(track);
        for j in 0..n_numeric {
            for i in 0..=j {
                products[(i, j)] += z[i] * z[j];
            }
        }
        for &genre in genres {
            let column = n_numeric + genre as usize;
            for (i, &value) in z.iter().enumerate() {
                products[(i, column)] += value;
            }
            for &other in genres.iter().filter(|&&other| other <= genre) {
                products[(n_numeric + other as usize, column)] += 1.0;
            }
        }
    }
    let shares = genre_shares(features);
    let mean = |j: usize| if j < n_numeric { 0.0 } else { shares[j - n_numeric] };
    DMatrix::from_fn(width, width, |i, j| {
        let product = products[(i.min(j), i.max(j))];
        (product - n as f64 * mean(i) * mean(j)) / (n as f64 - 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use rand::{RngExt, SeedableRng};

    fn numeric_only<'a>(numeric: &'a Array2<f64>, offsets: &'a [usize]) -> Features<'a> {
        Features { numeric: numeric.view(), genre_offsets: offsets, genres: &[], n_genres: 0 }
    }

    fn embed(features: &Features, pca: &Pca) -> Array2<f32> {
        let mut out = Array2::zeros((features.n_tracks(), pca.components.nrows()));
        pca.project(features, &|| (), |i, e| out.row_mut(i).assign(&ndarray::aview1(e)));
        out
    }

    #[test]
    fn two_correlated_columns_have_known_components() {
        // Standardised columns with correlation r: eigenvalues 1 ± r along (1, ±1)/√2.
        let x = array![[1.0, 2.0], [2.0, 1.0], [3.0, 4.0], [4.0, 3.0]];
        let offsets = [0; 5];
        let pca = fit(&numeric_only(&x, &offsets), 2, &|| ()).unwrap();
        let r = 0.6;
        let denominator = 4.0 / 3.0;
        assert!((pca.explained_variance[0] - (1.0 + r) * denominator).abs() < 1e-12);
        assert!((pca.explained_variance[1] - (1.0 - r) * denominator).abs() < 1e-12);
        let half = 0.5f64.sqrt();
        for (got, want) in pca.components.iter().zip([half, half, half, -half]) {
            assert!((got - want).abs() < 1e-12, "{:?}", pca.components);
        }
    }

    #[test]
    fn a_missing_value_takes_the_mean() {
        let x = array![[1.0], [f64::NAN], [3.0]];
        let offsets = [0; 4];
        let pca = fit(&numeric_only(&x, &offsets), 1, &|| ()).unwrap();
        assert_eq!(pca.means[0], 2.0);
        // Population deviation over three values, the imputed one included.
        assert!((pca.scales[0] - (2.0f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(embed(&numeric_only(&x, &offsets), &pca)[(1, 0)], 0.0);
    }

    #[test]
    fn constant_columns_are_left_out_and_named() {
        let x = array![[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]];
        let features = Features {
            numeric: x.view(),
            genre_offsets: &[0, 1, 3, 4],
            genres: &[0, 0, 1, 0],
            n_genres: 3,
        };
        let pca = fit(&features, 2, &|| ()).unwrap();
        // The second number never changes, the first genre is everywhere, the third nowhere.
        assert_eq!(pca.constant, vec![1, 2, 4]);
        assert!(pca.components.column(1).iter().all(|&v| v == 0.0));
    }

    #[test]
    fn dims_are_checked_against_the_rank() {
        let x = array![[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [7.0, 14.0]];
        let offsets = [0; 5];
        let features = numeric_only(&x, &offsets);
        assert!(matches!(fit(&features, 0, &|| ()), Err(Error::OutOfRange { .. })));
        let refused = fit(&features, 2, &|| ()).err();
        assert_eq!(refused, Some(Error::AboveRank { dims: 2, features: 2, rank: 1 }));
        assert!(fit(&features, 1, &|| ()).is_ok());
        let one = array![[1.0, 2.0]];
        let too_few = fit(&numeric_only(&one, &offsets[..2]), 1, &|| ()).err();
        assert_eq!(too_few, Some(Error::TooFew { what: "tracks", have: 1, need: 2 }));
        let same = array![[1.0], [1.0]];
        let flat = fit(&numeric_only(&same, &offsets[..3]), 1, &|| ()).err();
        assert_eq!(flat, Some(Error::AboveRank { dims: 1, features: 0, rank: 0 }));
    }

    /// Random catalogue with missing values and up to three genres a track.
    fn catalogue(seed: u64) -> (Array2<f64>, Vec<usize>, Vec<u32>) {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let n = 200;
        let numeric = Array2::from_shape_fn((n, 5), |(i, j)| {
            if rng.random_bool(0.1) {
                f64::NAN
            } else {
                rng.random::<f64>() * (j + 1) as f64 + (i % (j + 2)) as f64
            }
        });
        let (mut offsets, mut genres) = (vec![0], Vec::new());
        for _ in 0..n {
            let mut own: Vec<u32> =
                (0..rng.random_range(0..4)).map(|_| rng.random_range(0..8)).collect();
            own.sort_unstable();
            own.dedup();
            genres.extend(own);
            offsets.push(genres.len());
        }
        (numeric, offsets, genres)
    }

    #[test]
    fn the_sparse_road_equals_the_dense_definition() {
        for seed in 0..5 {
            let (numeric, offsets, genres) = catalogue(seed);
            let features = Features {
                numeric: numeric.view(),
                genre_offsets: &offsets,
                genres: &genres,
                n_genres: 8,
            };
            let pca = fit(&features, 6, &|| ()).unwrap();
            // Dense: fill in, scale, centre; then XᵀX/(n−1) must be diagonal in the components.
            let n = numeric.nrows();
            let mut x = Array2::<f64>::zeros((n, 13));
            for i in 0..n {
                for j in 0..5 {
                    let v = numeric[(i, j)];
                    x[(i, j)] = if v.is_nan() { 0.0 } else { (v - pca.means[j]) / pca.scales[j] };
                }
                for &g in features.genres_of(i) {
                    x[(i, 5 + g as usize)] = 1.0;
                }
            }
            let mean = x.mean_axis(ndarray::Axis(0)).unwrap();
            x -= &mean;
            let covariance = x.t().dot(&x) / (n as f64 - 1.0);
            let in_components = pca.components.dot(&covariance).dot(&pca.components.t());
            let orthonormal = pca.components.dot(&pca.components.t());
            for a in 0..6 {
                for b in 0..6 {
                    let want = if a == b { pca.explained_variance[a] } else { 0.0 };
                    assert!((in_components[(a, b)] - want).abs() < 1e-10);
                    assert!((orthonormal[(a, b)] - f64::from(a == b)).abs() < 1e-10);
                }
            }
            let scores = x.dot(&pca.components.t());
            for (got, want) in embed(&features, &pca).iter().zip(&scores) {
                assert!((f64::from(*got) - want).abs() < 1e-5);
            }
            let ratio: f64 = pca.explained_variance_ratio().sum();
            assert!(ratio > 0.0 && ratio < 1.0);
        }
    }
}
