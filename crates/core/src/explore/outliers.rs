//! Tukey's rule: an outlier lies more than one and a half interquartile ranges
//! below the first or above the third quartile.

use super::quartiles::{Fences, fences_of};

/// The fences of a column; `None` where no value is known.
#[must_use]
pub fn fences(column: &[f64]) -> Option<Fences> {
    let mut known: Vec<f64> = column.iter().copied().filter(|value| !value.is_nan()).collect();
    known.sort_unstable_by(f64::total_cmp);
    fences_of(&known)
}

/// The rows whose value is an outlier, the farthest beyond its fence first,
/// equally far ones in the order of rows; and the fences.
#[must_use]
pub fn outliers(column: &[f64]) -> Option<(Fences, Vec<usize>)> {
    let fences = fences(column)?;
    let beyond = |row: usize| (fences.lower - column[row]).max(column[row] - fences.upper);
    let mut rows: Vec<usize> = (0..column.len())
        .filter(|row| !column[*row].is_nan() && !fences.contain(column[*row]))
        .collect();
    rows.sort_by(|a, b| beyond(*b).total_cmp(&beyond(*a)));
    Some((fences, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_comes_first() {
        // Quartiles 1.75 and 4.
        let column = [-2.0, 1.0, 2.0, f64::NAN, 3.0, 4.0, 7.0, 9.0, 2.0, 3.0, 3.0, -2.0, 4.0];
        let (fences, rows) = outliers(&column).unwrap();
        assert_eq!(fences, Fences { lower: -1.625, upper: 7.375 });
        assert_eq!(rows, [7, 0, 11]);
    }

    #[test]
    fn without_spread_everything_else_is_an_outlier() {
        let (fences, rows) = outliers(&[4.0, 4.0, 4.0, 4.0, 3.0]).unwrap();
        assert_eq!(fences, Fences { lower: 4.0, upper: 4.0 });
        assert_eq!(rows, [4]);
        assert_eq!(outliers(&[f64::NAN]), None);
    }
}
