//! Exploratory analysis of the catalogue, as rows.

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use sparkify_core::catalogue::{EXPLICIT, FEATURES, Feature};
use sparkify_core::explore::{self, Summary};

use crate::error::{or_raise, raise, required};
use crate::interrupt::interrupt;
use crate::storage::columns::{self, TEXT_COLUMNS};

/// The numeric column of that name, or an error that lists them all.
fn feature(name: &str) -> Feature {
    FEATURES.into_iter().find(|feature| feature.name == name).unwrap_or_else(|| {
        let names = FEATURES.map(|feature| feature.name).join(", ");
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("feature \"{name}\" does not exist"),
            Some(&format!("Features are {names}.")),
        )
    })
}

type Profile = (
    String,
    String,
    i64,
    i64,
    Option<i64>,
    i64,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<i64>,
);

fn summarise(column: &[f64]) -> Summary {
    interrupt();
    or_raise(explore::summarise(column, &interrupt))
}

fn numeric_profile(name: &str, data_type: &str, summary: &Summary) -> Profile {
    let [min, q1, median, q3, max] = match summary.five_numbers {
        Some(numbers) => numbers.map(Some),
        None => [None; 5],
    };
    (
        name.to_owned(),
        data_type.to_owned(),
        summary.rows as i64,
        summary.missing as i64,
        Some(summary.zeros as i64),
        summary.distinct_values as i64,
        min,
        q1,
        median,
        q3,
        max,
        summary.mean,
        summary.stddev,
        Some(summary.outliers as i64),
    )
}

#[pg_extern(stable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn profile_tracks() -> TableIterator<
    'static,
    (
        name!(column_name, String),
        name!(data_type, String),
        name!(rows, i64),
        name!(missing, i64),
        name!(zeros, Option<i64>),
        name!(distinct_values, i64),
        name!(min, Option<f64>),
        name!(q1, Option<f64>),
        name!(median, Option<f64>),
        name!(q3, Option<f64>),
        name!(max, Option<f64>),
        name!(mean, Option<f64>),
        name!(stddev, Option<f64>),
        name!(outliers, Option<i64>),
    ),
> {
    let all = columns::read_all();
    let texts = TEXT_COLUMNS.iter().zip(&all.texts).map(|((name, data_type, _), text)| {
        let (rows, missing, distinct) = (text.rows, text.missing, text.distinct_values());
        let (name, data_type) = ((*name).to_owned(), (*data_type).to_owned());
        let (rows, missing, distinct) = (rows as i64, missing as i64, distinct as i64);
        (
            name, data_type, rows, missing, None, distinct, None, None, None, None, None, None,
            None, None,
        )
    });
    let numbers = FEATURES.iter().zip(&all.features).map(|(feature, column)| {
        let data_type = if feature.integer { "integer" } else { "double precision" };
        numeric_profile(feature.name, data_type, &summarise(column))
    });
    // Quartiles and outliers of a yes or no say nothing. It stands after duration_ms.
    let mut explicit = numeric_profile(EXPLICIT, "boolean", &summarise(&all.explicit));
    (explicit.6, explicit.7, explicit.8, explicit.9, explicit.10) = (None, None, None, None, None);
    (explicit.12, explicit.13) = (None, None);
    let mut rows: Vec<Profile> = texts.chain(numbers).collect();
    rows.insert(TEXT_COLUMNS.len() + 2, explicit);
    TableIterator::new(rows)
}

#[pg_extern(stable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn correlate_tracks() -> TableIterator<
    'static,
    (
        name!(feature_a, &'static str),
        name!(feature_b, &'static str),
        name!(n, i64),
        name!(correlation, Option<f64>),
    ),
> {
    let columns = columns::read_features(&FEATURES);
    let pairs = explore::correlations(&columns, &interrupt);
    TableIterator::new(pairs.into_iter().map(|pair| {
        (FEATURES[pair.a].name, FEATURES[pair.b].name, pair.n as i64, pair.coefficient)
    }))
}

#[pg_extern(stable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn histogram_tracks(
    feature: Option<&str>,
    bins: default!(Option<i32>, 20),
) -> TableIterator<
    'static,
    (name!(bin, i32), name!(lower, f64), name!(upper, f64), name!(count, i64)),
> {
    let feature = self::feature(required(feature, "feature"));
    let bins = i64::from(required(bins, "bins"));
    or_raise(explore::histogram(&[], bins));
    let column = columns::read_features(&[feature]).concat();
    let bins = or_raise(explore::histogram(&column, bins));
    let rows = (1..).zip(bins);
    TableIterator::new(rows.map(|(i, bin)| (i, bin.lower, bin.upper, bin.count as i64)))
}

#[pg_extern(stable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn outlier_tracks(
    feature: default!(Option<&str>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(track_id, String),
        name!(track_name, String),
        name!(feature, &'static str),
        name!(value, f64),
        name!(lower_fence, f64),
        name!(upper_fence, f64),
    ),
> {
    let features = match feature {
        Some(name) => vec![self::feature(name)],
        None => FEATURES.to_vec(),
    };
    let (tracks, columns) = columns::read_named_features(&features);
    let mut rows = Vec::new();
    for (feature, column) in features.iter().zip(&columns) {
        interrupt();
        let Some((fences, outliers)) = or_raise(explore::outliers(column, &interrupt)) else {
            continue;
        };
        rows.extend(outliers.into_iter().map(|row| {
            let (track_id, track_name) = tracks[row].clone();
            (track_id, track_name, feature.name, column[row], fences.lower, fences.upper)
        }));
    }
    TableIterator::new(rows)
}
