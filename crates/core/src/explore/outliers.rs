//! Tukey's rule: an outlier lies more than one and a half interquartile ranges
//! below the first or above the third quartile.

use super::quartiles::{Fences, fences_of, known};
use crate::{Interrupt, Result, memory, sorting};

/// The fences of a column; `None` where no value is known.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] for a column that is too long.
pub fn fences(column: &[f64], interrupt: Interrupt) -> Result<Option<Fences>> {
    let mut known = known(column)?;
    sorting::sort_by(&mut known, interrupt, f64::total_cmp);
    Ok(fences_of(&known))
}

/// The rows whose value is an outlier, the farthest beyond its fence first,
/// equally far ones in the order of rows; and the fences.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] for a column that is too long.
pub fn outliers(column: &[f64], interrupt: Interrupt) -> Result<Option<(Fences, Vec<usize>)>> {
    let Some(fences) = fences(column, interrupt)? else { return Ok(None) };
    let beyond = |row: usize| (fences.lower - column[row]).max(column[row] - fences.upper);
    let outside =
        (0..column.len()).filter(|row| !column[*row].is_nan() && !fences.contain(column[*row]));
    let mut rows = memory::collected(outside, "outliers")?;
    sorting::sort_by(&mut rows, interrupt, |a, b| beyond(*b).total_cmp(&beyond(*a)).then(a.cmp(b)));
    Ok(Some((fences, rows)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_comes_first() {
        // Quartiles 1.75 and 4.
        let column = [-2.0, 1.0, 2.0, f64::NAN, 3.0, 4.0, 7.0, 9.0, 2.0, 3.0, 3.0, -2.0, 4.0];
        let (fences, rows) = outliers(&column, &|| ()).unwrap().unwrap();
        assert_eq!(fences, Fences { lower: -1.625, upper: 7.375 });
        assert_eq!(rows, [7, 0, 11]);
    }

    #[test]
    fn without_spread_everything_else_is_an_outlier() {
        let (fences, rows) = outliers(&[4.0, 4.0, 4.0, 4.0, 3.0], &|| ()).unwrap().unwrap();
        assert_eq!(fences, Fences { lower: 4.0, upper: 4.0 });
        assert_eq!(rows, [4]);
        assert_eq!(outliers(&[f64::NAN], &|| ()), Ok(None));
    }
}
