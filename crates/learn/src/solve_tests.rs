//! The half-step against a dense solve of its definition.

use faer::{Mat, Side, linalg::solvers::Solve};
use proptest::prelude::*;

use super::*;

/// `(αG + λI + VᵀCV)⁻¹ VᵀCp` as it stands, in the basis of diagonal `eigenvalues`.
fn dense(
    rows: &[Vec<f32>],
    confidences: &[f64],
    targets: &[f64],
    eigenvalues: &[f64],
    (alpha, lambda): (f64, f64),
) -> Vec<f64> {
    let d = eigenvalues.len();
    let diagonal = |i: usize, j: usize| if i == j { alpha * eigenvalues[i] + lambda } else { 0.0 };
    let known = |i: usize, j: usize| -> f64 {
        rows.iter().zip(confidences).map(|(v, c)| c * f64::from(v[i]) * f64::from(v[j])).sum()
    };
    let system = Mat::from_fn(d, d, |i, j| diagonal(i, j) + known(i, j));
    let right = Mat::from_fn(d, 1, |i, _| {
        let terms = rows.iter().zip(confidences).zip(targets);
        terms.map(|((v, c), p)| c * p * f64::from(v[i])).sum::<f64>()
    });
    let solved = system.llt(Side::Lower).unwrap().solve(&right);
    (0..d).map(|i| solved[(i, 0)]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Fewer entries than dims, as many, and more, also more than one chunk.
    #[test]
    fn both_ways_equal_a_dense_solve(
        d in 1usize..12,
        n in prop_oneof![0usize..30, Just(CHUNK), Just(CHUNK + 3)],
        alpha in 0.0f64..2.0,
        lambda in 0.01f64..5.0,
        seed in any::<u64>(),
    ) {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as f64 / f64::from(1u32 << 31) * 2.0 - 1.0
        };
        let rows: Vec<Vec<f32>> = (0..n).map(|_| (0..d).map(|_| draw() as f32).collect()).collect();
        let confidences: Vec<f64> = (0..n).map(|_| draw().abs() * 3.0).collect();
        let targets: Vec<f64> = (0..n).map(|_| draw() * 2.0).collect();
        let eigenvalues: Vec<f64> = (0..d).map(|_| draw().abs() * 10.0).collect();
        let want = dense(&rows, &confidences, &targets, &eigenvalues, (alpha, lambda));
        let shrink = shrinkage(&eigenvalues, alpha, lambda);
        let mut solver = Solver::new(&shrink);
        let known = |at: usize| Known {
            row: &rows[at],
            scale: 1.0,
            confidence: confidences[at],
            target: targets[at],
        };
        let mut got = vec![f64::NAN; d];
        // Twice: nothing of the row before may stay.
        for _ in 0..2 {
            solver.solve(n, known, &|| true, &mut got).unwrap();
            for (got, want) in got.iter().zip(&want) {
                prop_assert!((got - want).abs() <= 1e-8 * (1.0 + want.abs()), "{got} {want}");
            }
        }
    }
}

#[test]
fn a_row_of_one_column_has_the_answer_of_a_fraction() {
    // (α·g + λ + c·v²) x = c·v·p with one dimension.
    let shrink = shrinkage(&[4.0], 0.5, 1.0);
    let known = |_| Known { row: &[2.0], scale: 0.5, confidence: 3.0, target: 2.0 };
    let mut x = [0.0];
    Solver::new(&shrink).solve(1, known, &|| true, &mut x).unwrap();
    assert!((x[0] - 6.0 / 6.0).abs() < 1e-15, "{x:?}");
}

#[test]
fn a_row_without_columns_is_zero_and_a_stopped_one_gives_nothing() {
    let shrink = shrinkage(&[1.0, 1.0], 1.0, 1.0);
    let known = |_| Known { row: &[1.0, 1.0], scale: 1.0, confidence: 1.0, target: 1.0 };
    let mut x = [5.0, 5.0];
    let mut solver = Solver::new(&shrink);
    solver.solve(0, known, &|| true, &mut x).unwrap();
    assert_eq!(x, [0.0, 0.0]);
    assert!(solver.solve(2, known, &|| false, &mut x).is_none());
}

#[test]
fn what_is_not_finite_says_nothing() {
    let shrink = shrinkage(&[1.0, 1.0], 1.0, 1.0);
    let known = |_| Known { row: &[f32::NAN, 1.0], scale: 1.0, confidence: 1.0, target: 1.0 };
    let mut x = [0.0; 2];
    for n in [1, 3] {
        Solver::new(&shrink).solve(n, known, &|| true, &mut x).unwrap();
        assert!(x.iter().all(|x| *x == 0.0), "{n} columns: {x:?}");
    }
}
