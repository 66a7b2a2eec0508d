use super::*;
use ndarray::array;
use rand::{RngExt, SeedableRng};

fn numeric_only<'a>(numeric: &'a Array2<f64>, offsets: &'a [usize]) -> Features<'a> {
    Features { numeric: numeric.view(), genre_offsets: offsets, genres: &[], n_genres: 0 }
}

fn embed(features: &Features, pca: &Pca) -> Array2<f32> {
    let mut out = Array2::zeros((features.n_tracks(), pca.components.nrows()));
    pca.project(features, &|| (), |i, e| out.row_mut(i).assign(&ndarray::aview1(e))).unwrap();
    out
}

#[test]
fn two_correlated_columns_have_known_components() {
    // Standardised columns with correlation r: eigenvalues 1 ± r along (1, ±1)/√2.
    let x = array![[1.0, 2.0], [2.0, 1.0], [3.0, 4.0], [4.0, 3.0]];
    let offsets = [0; 5];
    let pca = fit(&numeric_only(&x, &offsets), Dims::Exactly(2), 1.0, &|| ()).unwrap();
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
    let pca = fit(&numeric_only(&x, &offsets), Dims::Exactly(1), 1.0, &|| ()).unwrap();
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
    let pca = fit(&features, Dims::Exactly(2), 1.0, &|| ()).unwrap();
    // The second number never changes, the first genre is everywhere, the third nowhere.
    assert_eq!(pca.constant, vec![1, 2, 4]);
    assert!(pca.components.column(1).iter().all(|&v| v == 0.0));
}

#[test]
fn dims_are_checked_against_the_rank() {
    let x = array![[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [7.0, 14.0]];
    let offsets = [0; 5];
    let features = numeric_only(&x, &offsets);
    assert!(matches!(fit(&features, Dims::Exactly(0), 1.0, &|| ()), Err(Error::OutOfRange { .. })));
    for weight in [-1.0, f64::NAN, f64::INFINITY] {
        let refused = fit(&features, Dims::Exactly(1), weight, &|| ()).err();
        assert!(matches!(refused, Some(Error::OutOfRange { name: "genre_weight", .. })));
    }
    let refused = fit(&features, Dims::Exactly(2), 1.0, &|| ()).err();
    assert_eq!(refused, Some(Error::AboveRank { dims: 2, features: 2, rank: 1 }));
    assert!(fit(&features, Dims::Exactly(1), 1.0, &|| ()).is_ok());
    let one = array![[1.0, 2.0]];
    let too_few = fit(&numeric_only(&one, &offsets[..2]), Dims::Exactly(1), 1.0, &|| ()).err();
    assert_eq!(too_few, Some(Error::TooFew { what: "tracks", have: 1, need: 2 }));
    let same = array![[1.0], [1.0]];
    let flat = fit(&numeric_only(&same, &offsets[..3]), Dims::Exactly(1), 1.0, &|| ()).err();
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
        let weight = 0.5 + seed as f64;
        let pca = fit(&features, Dims::Exactly(6), weight, &|| ()).unwrap();
        // Dense: fill in, scale, centre; then XᵀX/(n−1) must be diagonal in the components.
        let n = numeric.nrows();
        let mut x = Array2::<f64>::zeros((n, 13));
        for i in 0..n {
            for j in 0..5 {
                let v = numeric[(i, j)];
                x[(i, j)] = if v.is_nan() { 0.0 } else { (v - pca.means[j]) / pca.scales[j] };
            }
            for &g in features.genres_of(i) {
                x[(i, 5 + g as usize)] = weight;
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

#[test]
fn as_many_dims_as_there_are_where_fewer_will_do() {
    let (numeric, offsets, genres) = catalogue(1);
    let features =
        Features { numeric: numeric.view(), genre_offsets: &offsets, genres: &genres, n_genres: 8 };
    let all = fit(&features, Dims::AtMost(64), 1.0, &|| ()).unwrap();
    assert_eq!(all.components.nrows(), 13);
    let exactly = fit(&features, Dims::Exactly(13), 1.0, &|| ()).unwrap();
    assert_eq!(all.components, exactly.components);
    assert_eq!(fit(&features, Dims::AtMost(3), 1.0, &|| ()).unwrap().components.nrows(), 3);
    let same = array![[1.0], [1.0]];
    let flat = fit(&numeric_only(&same, &[0; 3]), Dims::AtMost(64), 1.0, &|| ()).err();
    assert_eq!(flat, Some(Error::AboveRank { dims: 64, features: 0, rank: 0 }));
}

#[test]
fn of_very_many_genres_those_that_vary_most_take_part() {
    // Genre g has 1 track, genre 5000 has 20, genre 5001 all.
    let n = 6000;
    let numeric = Array2::from_shape_fn((n, 1), |(i, _)| (i % 7) as f64);
    let (mut offsets, mut genres) = (vec![0], Vec::new());
    for track in 0..n as u32 {
        genres.extend((track < 5000).then_some(track));
        genres.extend((track % 300 == 0).then_some(5000));
        genres.push(5001);
        offsets.push(genres.len());
    }
    let features = Features {
        numeric: numeric.view(),
        genre_offsets: &offsets,
        genres: &genres,
        n_genres: 5002,
    };
    let columns = GenreColumns::of(&features).unwrap();
    assert_eq!(columns.genres.len(), MAX_GENRES);
    // Of equals the first; the one that all have does not vary.
    assert_eq!(columns.genres[1998], 1998);
    assert_eq!(columns.genres[1999], 5000);
    assert_eq!(columns.shares[1999], 20.0 / 6000.0);
}
