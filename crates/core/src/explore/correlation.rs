//! Pearson's correlation of every pair of columns, each over the rows where
//! both are known: Σ(x − x̄)(y − ȳ) / √(Σ(x − x̄)² Σ(y − ȳ)²).

use crate::Interrupt;

/// The correlation of two columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// Index of the first column.
    pub a: usize,
    /// Index of the second column, greater than the first's.
    pub b: usize,
    /// Rows where both are known.
    pub n: u64,
    /// Pearson's coefficient; `None` below two rows or where a column is constant.
    pub coefficient: Option<f64>,
}

/// Every pair of columns of equal length, in the order of the columns.
/// O(n) a pair, in two passes.
#[must_use]
pub fn correlations(columns: &[Vec<f64>], interrupt: Interrupt) -> Vec<Correlation> {
    let mut pairs = Vec::with_capacity(columns.len() * columns.len() / 2);
    for a in 0..columns.len() {
        for b in a + 1..columns.len() {
            interrupt();
            let (n, coefficient) = pearson(&columns[a], &columns[b]);
            pairs.push(Correlation { a, b, n, coefficient });
        }
    }
    pairs
}

fn pearson(x: &[f64], y: &[f64]) -> (u64, Option<f64>) {
    let known = || x.iter().zip(y).filter(|(x, y)| !x.is_nan() && !y.is_nan());
    let (mut n, mut sum_x, mut sum_y) = (0u64, 0.0, 0.0);
    let mut constant = (true, true);
    let first = known().next();
    for (x, y) in known() {
        n += 1;
        sum_x += x;
        sum_y += y;
        constant.0 &= first.is_some_and(|first| first.0 == x);
        constant.1 &= first.is_some_and(|first| first.1 == y);
    }
    // A constant column is told by its values: the sums may leave a rest.
    if n < 2 || constant.0 || constant.1 {
        return (n, None);
    }
    let (mean_x, mean_y) = (sum_x / n as f64, sum_y / n as f64);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in known() {
        let (x, y) = (x - mean_x, y - mean_y);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    let coefficient = (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0);
    (n, coefficient.is_finite().then_some(coefficient))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_takes_the_rows_known_in_both() {
        let nan = f64::NAN;
        let columns = [
            vec![1.0, 2.0, 3.0, 4.0, nan],
            vec![2.0, 4.0, 6.0, nan, 1.0],
            vec![1.0, 3.0, 2.0, nan, nan],
            vec![0.1, 0.1, 0.1, 0.1, 0.1],
        ];
        let pairs = correlations(&columns, &|| {});
        let all: Vec<_> = pairs.iter().map(|p| (p.a, p.b, p.n, p.coefficient)).collect();
        let expected = [
            (0, 1, 3, Some(1.0)),
            (0, 2, 3, Some(0.5)),
            (0, 3, 4, None),
            (1, 2, 3, Some(0.5)),
            (1, 3, 4, None),
            (2, 3, 3, None),
        ];
        assert_eq!(all.len(), expected.len());
        for (have, want) in all.iter().zip(expected) {
            assert_eq!((have.0, have.1, have.2), (want.0, want.1, want.2));
            match (have.3, want.3) {
                (Some(have), Some(want)) => assert!((have - want).abs() < 1e-15),
                (have, want) => assert_eq!(have, want),
            }
        }
    }

    #[test]
    fn opposite_columns() {
        let columns = [vec![1.0, 2.0, 5.0], vec![-1.0, -2.0, -5.0]];
        assert_eq!(correlations(&columns, &|| {})[0].coefficient, Some(-1.0));
        assert_eq!(correlations(&[vec![1.0], vec![2.0]], &|| {})[0].coefficient, None);
    }
}
