//! Quantiles, and the fences that Tukey sets by the quartiles.

use crate::{Result, memory};

/// The values that are known, in the order of the column.
pub(super) fn known(column: &[f64]) -> Result<Vec<f64>> {
    let known = column.iter().copied().filter(|value| !value.is_nan());
    memory::collected(known, "the values of a column")
}

/// The q-quantile of sorted values, 0 ≤ q ≤ 1: linear between the two nearest
/// (definition 7 of Hyndman and Fan). `None` without values.
#[must_use]
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = q * last as f64;
    let below = (at.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let share = at - below as f64;
    Some(sorted[below] + (sorted[above] - sorted[below]) * share)
}

/// The range outside of which values are outliers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fences {
    /// First quartile − 1.5 × interquartile range.
    pub lower: f64,
    /// Third quartile + 1.5 × interquartile range.
    pub upper: f64,
}

impl Fences {
    /// Whether a value is no outlier.
    #[must_use]
    pub fn contain(&self, value: f64) -> bool {
        (self.lower..=self.upper).contains(&value)
    }
}

/// The fences of sorted values.
pub(super) fn fences_of(sorted: &[f64]) -> Option<Fences> {
    let (q1, q3) = (quantile(sorted, 0.25)?, quantile(sorted, 0.75)?);
    let reach = 1.5 * (q3 - q1);
    Some(Fences { lower: q1 - reach, upper: q3 + reach })
}
