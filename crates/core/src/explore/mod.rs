//! Exploratory statistics of columns, by the conventions of pandas: standard
//! deviations with n − 1, quantiles by linear interpolation, correlations over
//! the rows where both columns are known.
//!
//! A column is a slice with NaN where the value is unknown.

mod correlation;
mod histogram;
mod outliers;
mod profile;
mod quartiles;

pub use correlation::{Correlation, correlations};
pub use histogram::{Bin, histogram};
pub use outliers::{fences, outliers};
pub use profile::{Summary, TextSummary, summarise};
pub use quartiles::{Fences, quantile};
