use nalgebra::{DMatrix, SymmetricEigen};

use super::*;

fn decompose(a: &DMatrix<f64>, count: usize) -> (Vec<f64>, Vec<f64>) {
    let n = a.nrows();
    let rows = (0..n * n).map(|at| a[(at / n, at % n)]).collect();
    let tridiagonal = Tridiagonal::of(rows, n, &|| ()).unwrap();
    let values = tridiagonal.largest(count, &|| ()).unwrap();
    let vectors = tridiagonal.vectors(&values, &|| ()).unwrap();
    (values, vectors)
}

/// Holds what comes out to what an eigenvector is, and the values to another algorithm's.
fn check(name: &str, a: &DMatrix<f64>) {
    let n = a.nrows();
    let (values, vectors) = decompose(a, n);
    let mut expected: Vec<f64> =
        SymmetricEigen::new(a.clone()).eigenvalues.iter().copied().collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    let norm = a.norm().max(1e-290);
    for (have, want) in values.iter().zip(&expected) {
        assert!((have - want).abs() <= 1e-13 * norm, "{name}: {have} for {want}");
    }
    let v = DMatrix::from_row_slice(n, n, &vectors);
    let orthonormal = (&v * v.transpose() - DMatrix::identity(n, n)).norm();
    assert!(orthonormal < 1e-11 * n as f64, "{name}: orthonormal but for {orthonormal}");
    for (k, value) in values.iter().enumerate() {
        let x = v.row(k).transpose();
        let residual = (a * &x - &x * *value).norm();
        assert!(residual <= 1e-11 * norm, "{name}: vector {k} is off by {residual} of {norm}");
    }
}

fn random(n: usize, seed: u64) -> DMatrix<f64> {
    let a = DMatrix::from_fn(n, n, |i, j| noise(seed, i as u64, j as u64));
    &a + a.transpose()
}

#[test]
fn a_matrix_worked_by_hand() {
    // Eigenvalues 3 and 1 along (1, 1) and (1, −1).
    let (values, vectors) = decompose(&DMatrix::from_row_slice(2, 2, &[2.0, 1.0, 1.0, 2.0]), 2);
    assert!((values[0] - 3.0).abs() < 1e-15 && (values[1] - 1.0).abs() < 1e-15);
    let half = 0.5f64.sqrt();
    assert!((vectors[0].abs() - half).abs() < 1e-15 && (vectors[0] - vectors[1]).abs() < 1e-15);
    assert!((vectors[2] + vectors[3]).abs() < 1e-15);
}

#[test]
fn random_matrices_of_many_sizes() {
    for n in [1, 2, 3, 4, 7, 8, 9, 33, 100] {
        for seed in 0..3 {
            check(&format!("random {n}"), &random(n, seed));
        }
    }
}

#[test]
fn equal_and_nearly_equal_eigenvalues() {
    check("identity", &DMatrix::identity(20, 20));
    check("zero", &DMatrix::zeros(9, 9));
    check("ones", &DMatrix::from_element(30, 30, 1.0));
    check("huge", &(random(12, 5) * 1e150));
    check("small", &(random(12, 6) * 1e-150));
    // Two equal blocks: every eigenvalue twice.
    let block = random(15, 7);
    let twice =
        DMatrix::from_fn(
            30,
            30,
            |i, j| {
                if i / 15 == j / 15 { block[(i % 15, j % 15)] } else { 0.0 }
            },
        );
    check("twice", &twice);
    // As the covariance of many equally frequent genres: p (δ − p).
    let p = 1.0 / 120.0;
    let genres = DMatrix::from_fn(120, 120, |i, j| if i == j { p - p * p } else { -p * p });
    check("genres", &genres);
    let nearly = DMatrix::from_fn(60, 60, |i, j| {
        let off = 1e-14 * noise(3, i.min(j) as u64, i.max(j) as u64);
        off + if i == j { 1.0 + (i % 3) as f64 * 1e-13 } else { 0.0 }
    });
    check("nearly", &nearly);
    // Of rank 3.
    let thin = DMatrix::from_fn(40, 3, |i, j| noise(9, i as u64, j as u64));
    check("rank 3", &(&thin * thin.transpose()));
    // Wilkinson's: pairs of eigenvalues that agree to many digits.
    let wilkinson = DMatrix::from_fn(21, 21, |i, j| match i.abs_diff(j) {
        0 => (i as f64 - 10.0).abs(),
        1 => 1.0,
        _ => 0.0,
    });
    check("Wilkinson", &wilkinson);
}

#[test]
fn the_rank_is_counted() {
    let thin = DMatrix::from_fn(40, 3, |i, j| noise(9, i as u64, j as u64));
    let a = &thin * thin.transpose();
    let rows = (0..1600).map(|at| a[(at / 40, at % 40)]).collect();
    let tridiagonal = Tridiagonal::of(rows, 40, &|| ()).unwrap();
    let largest = tridiagonal.largest(1, &|| ()).unwrap()[0];
    assert_eq!(tridiagonal.count_above(largest * 1e-10), 3);
}

#[test]
fn an_interrupt_comes_often() {
    let n = 300;
    let calls = std::cell::Cell::new(0);
    let count = || calls.set(calls.get() + 1);
    let a = random(n, 1);
    let rows = (0..n * n).map(|at| a[(at / n, at % n)]).collect();
    let tridiagonal = Tridiagonal::of(rows, n, &count).unwrap();
    // One for each row: between two lie O(n²) operations.
    assert_eq!(calls.get(), n);
    let values = tridiagonal.largest(10, &count).unwrap();
    tridiagonal.vectors(&values, &count).unwrap();
    assert!(calls.get() >= n + 30);
}
