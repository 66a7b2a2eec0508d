//! One column at a glance.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_128;

use super::quartiles::{Fences, fences_of, known, quantile};
use crate::{Interrupt, Result, memory, sorting};

/// A numeric column; statistics are `None` where too few values are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Rows, known or not.
    pub rows: u64,
    /// Rows where the value is unknown.
    pub missing: u64,
    /// Values that are zero.
    pub zeros: u64,
    /// Different values.
    pub distinct_values: u64,
    /// The smallest value, the three quartiles, the greatest value.
    pub five_numbers: Option<[f64; 5]>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Standard deviation with n − 1, from two values on.
    pub stddev: Option<f64>,
    /// Values outside of [`Fences`].
    pub outliers: u64,
}

/// Summarises a column. O(n log n).
///
/// # Errors
/// [`crate::Error::OutOfMemory`] for a column that is too long.
pub fn summarise(column: &[f64], interrupt: Interrupt) -> Result<Summary> {
    let mut known = known(column)?;
    sorting::sort_by(&mut known, interrupt, f64::total_cmp);
    let n = known.len() as f64;
    let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / n);
    let stddev = mean.filter(|_| known.len() > 1).map(|mean| {
        let squares: f64 = known.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / (n - 1.0)).sqrt()
    });
    let [min, q1, median, q3, max] = [0.0, 0.25, 0.5, 0.75, 1.0].map(|q| quantile(&known, q));
    let five_numbers = match (min, q1, median, q3, max) {
        (Some(min), Some(q1), Some(median), Some(q3), Some(max)) => {
            Some([min, q1, median, q3, max])
        }
        _ => None,
    };
    let outside = |fences: Fences| known.iter().filter(|value| !fences.contain(**value)).count();
    Ok(Summary {
        rows: column.len() as u64,
        missing: (column.len() - known.len()) as u64,
        zeros: known.iter().filter(|value| **value == 0.0).count() as u64,
        distinct_values: known.chunk_by(|a, b| a == b).count() as u64,
        five_numbers,
        mean,
        stddev,
        outliers: fences_of(&known).map_or(0, outside) as u64,
    })
}

/// A column of text, read value by value. Sixteen bytes a distinct value.
#[derive(Debug, Default)]
pub struct TextSummary {
    /// Rows, known or not.
    pub rows: u64,
    /// Rows where the value is unknown.
    pub missing: u64,
    seen: HashSet<u128>,
}

impl TextSummary {
    /// Reads a value.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where there is no room for another value.
    pub fn push(&mut self, value: Option<&str>) -> Result<()> {
        self.rows += 1;
        match value {
            Some(value) => {
                memory::add(&mut self.seen, xxh3_128(value.as_bytes()), "distinct values")?;
            }
            None => self.missing += 1,
        }
        Ok(())
    }

    /// Different values read.
    #[must_use]
    pub fn distinct_values(&self) -> u64 {
        self.seen.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_worked_by_hand() {
        let summary = summarise(&[4.0, f64::NAN, 0.0, 1.0, 1.0, 30.0, -0.0], &|| ()).unwrap();
        // Sorted: 0 0 1 1 4 30; the quartiles stand at 1.25, 2.5 and 3.75.
        assert_eq!(summary.five_numbers, Some([-0.0, 0.25, 1.0, 3.25, 30.0]));
        assert_eq!((summary.rows, summary.missing, summary.zeros), (7, 1, 2));
        assert_eq!(summary.distinct_values, 4);
        assert_eq!(summary.mean, Some(6.0));
        // Squares 36 + 36 + 25 + 25 + 4 + 576 = 702, over 5.
        assert_eq!(summary.stddev, Some(140.4f64.sqrt()));
        // Above 3.25 + 1.5 × 3 = 7.75 lies 30.
        assert_eq!(summary.outliers, 1);
    }

    #[test]
    fn few_values() {
        let summary = summarise(&[f64::NAN], &|| ()).unwrap();
        assert_eq!((summary.five_numbers, summary.mean, summary.stddev), (None, None, None));
        let summary = summarise(&[2.0], &|| ()).unwrap();
        assert_eq!(summary.five_numbers, Some([2.0; 5]));
        assert_eq!((summary.mean, summary.stddev), (Some(2.0), None));
        assert_eq!(summarise(&[], &|| ()).unwrap().rows, 0);
    }

    #[test]
    fn text_counts_what_differs() {
        let mut summary = TextSummary::default();
        for value in [Some("a"), Some("b"), None, Some("a"), Some("")] {
            summary.push(value).unwrap();
        }
        assert_eq!((summary.rows, summary.missing, summary.distinct_values()), (5, 1, 3));
    }
}
