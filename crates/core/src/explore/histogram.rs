//! Histograms with bins of one width, by the rules of numpy.

use crate::{Error, Result};

/// One bin: `lower ≤ value < upper`, the last one `lower ≤ value ≤ upper`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Lower edge.
    pub lower: f64,
    /// Upper edge.
    pub upper: f64,
    /// Values in the bin.
    pub count: u64,
}

/// The histogram of a column from its smallest to its greatest value, which
/// move half a unit down and up where they are equal. Empty where no value is known.
///
/// # Errors
/// `bins` outside 1 to 1000.
pub fn histogram(column: &[f64], bins: i64) -> Result<Vec<Bin>> {
    if !(1..=1000).contains(&bins) {
        return Err(Error::OutOfRange {
            name: "bins",
            value: bins.to_string(),
            expected: "between 1 and 1000".into(),
        });
    }
    let known = || column.iter().copied().filter(|value| !value.is_nan());
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in known() {
        min = min.min(value);
        max = max.max(value);
    }
    if min > max {
        return Ok(Vec::new());
    }
    if min == max {
        (min, max) = (min - 0.5, max + 0.5);
    }
    let n = bins as usize;
    let step = (max - min) / n as f64;
    let mut edges: Vec<f64> = (0..=n).map(|i| i as f64 * step + min).collect();
    edges[n] = max;
    let mut counts = vec![0; n];
    for value in known() {
        // Rounding may put a value next to an edge on its other side.
        let mut bin = (((value - min) / (max - min) * n as f64) as usize).min(n - 1);
        if value < edges[bin] {
            bin -= 1;
        } else if bin < n - 1 && value >= edges[bin + 1] {
            bin += 1;
        }
        counts[bin] += 1;
    }
    let bins = edges.windows(2).zip(counts);
    Ok(bins.map(|(edge, count)| Bin { lower: edge[0], upper: edge[1], count }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(column: &[f64], bins: i64) -> Vec<u64> {
        histogram(column, bins).unwrap().iter().map(|bin| bin.count).collect()
    }

    #[test]
    fn edges_belong_to_the_bin_above_and_the_last_to_the_last() {
        let column = [0.0, 1.0, 1.0, 2.0, f64::NAN, 3.0, 4.0];
        assert_eq!(counts(&column, 4), [1, 2, 1, 2]);
        assert_eq!(counts(&column, 1), [6]);
        let bins = histogram(&column, 2).unwrap();
        assert_eq!(bins[0], Bin { lower: 0.0, upper: 2.0, count: 3 });
        assert_eq!(bins[1], Bin { lower: 2.0, upper: 4.0, count: 3 });
    }

    #[test]
    fn values_on_edges_that_are_no_binary_fractions() {
        // numpy.histogram([0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1], 10)
        let column: Vec<f64> = (0..=10).map(|i| f64::from(i) / 10.0).collect();
        assert_eq!(counts(&column, 10), [1, 1, 2, 0, 1, 2, 1, 0, 1, 2]);
    }

    #[test]
    fn one_value_or_none() {
        let bins = histogram(&[4.0, 4.0], 2).unwrap();
        assert_eq!((bins[0].lower, bins[1].lower, bins[1].upper), (3.5, 4.0, 4.5));
        assert_eq!((bins[0].count, bins[1].count), (0, 2));
        assert_eq!(histogram(&[f64::NAN], 3), Ok(vec![]));
    }

    #[test]
    fn bins_are_limited() {
        for bins in [0, -1, 1001] {
            let error = histogram(&[1.0], bins).unwrap_err();
            assert_eq!(error.to_string(), format!("bins must be between 1 and 1000, not {bins}"));
        }
    }
}
