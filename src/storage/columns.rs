//! The columns of `tracks`, read whole.

use sparkify_core::catalogue::{EXPLICIT, FEATURES, Feature};
use sparkify_core::explore::TextSummary;

use super::spi::{self, Row};
use crate::error::or_raise;
use crate::memory;

/// What memory is asked for.
const WHAT: &str = "the columns of the catalogue";

/// The columns that hold no number, with their types and what is read of each:
/// an empty list of genres is unknown.
pub const TEXT_COLUMNS: [(&str, &str, &str); 8] = [
    ("track_id", "text", "track_id"),
    ("track_name", "text", "track_name"),
    ("artists", "text[]", "artists::text"),
    ("primary_artist", "text", "primary_artist"),
    ("album_name", "text", "album_name"),
    ("genres", "text[]", "nullif(genres, '{}')::text"),
    ("primary_genre", "text", "primary_genre"),
    ("song_key", "uuid", "song_key::text"),
];

fn names(features: &[Feature]) -> String {
    features.iter().map(|feature| feature.name).collect::<Vec<_>>().join(", ")
}

/// The value of a numeric column, NaN where it is unknown.
fn number(row: &Row, column: usize, feature: &Feature) -> f64 {
    let value = if feature.integer { row.i32(column).map(f64::from) } else { row.f64(column) };
    value.unwrap_or(f64::NAN)
}

fn push_numbers(columns: &mut [Vec<f64>], features: &[Feature], row: &Row, first: usize) {
    for (i, (column, feature)) in columns.iter_mut().zip(features).enumerate() {
        memory::push(column, number(row, first + i, feature), WHAT);
    }
}

/// Numeric columns, NaN where a value is unknown.
pub fn read_features(features: &[Feature]) -> Vec<Vec<f64>> {
    let mut columns = vec![Vec::new(); features.len()];
    let sql = format!("SELECT {} FROM sparkify.tracks", names(features));
    spi::select(&sql, &[], |row| push_numbers(&mut columns, features, row, 0));
    columns
}

/// Ids and names of the tracks by id, and numeric columns of the same rows.
pub fn read_named_features(features: &[Feature]) -> (Vec<(String, String)>, Vec<Vec<f64>>) {
    let mut columns = vec![Vec::new(); features.len()];
    let mut tracks = Vec::new();
    let sql = format!(
        "SELECT track_id, track_name, {} FROM sparkify.tracks ORDER BY track_id",
        names(features)
    );
    spi::select(&sql, &[], |row| {
        memory::push(&mut tracks, (row.owned(0), row.owned(1)), WHAT);
        push_numbers(&mut columns, features, row, 2);
    });
    (tracks, columns)
}

/// Every column: the numeric ones, `explicit` as 0 and 1, and summaries of [`TEXT_COLUMNS`].
pub struct AllColumns {
    /// In the order of `FEATURES`.
    pub features: Vec<Vec<f64>>,
    /// 1 where true.
    pub explicit: Vec<f64>,
    /// In the order of [`TEXT_COLUMNS`].
    pub texts: Vec<TextSummary>,
}

/// Reads every column in one pass.
pub fn read_all() -> AllColumns {
    let mut all = AllColumns {
        features: vec![Vec::new(); FEATURES.len()],
        explicit: Vec::new(),
        texts: TEXT_COLUMNS.iter().map(|_| TextSummary::default()).collect(),
    };
    let texts = TEXT_COLUMNS.map(|(_, _, expression)| expression).join(", ");
    let sql = format!("SELECT {texts}, {EXPLICIT}, {} FROM sparkify.tracks", names(&FEATURES));
    let first = TEXT_COLUMNS.len();
    spi::select(&sql, &[], |row| {
        for (column, summary) in all.texts.iter_mut().enumerate() {
            or_raise(summary.push(row.text(column)));
        }
        let explicit = row.bool(first).map_or(f64::NAN, |value| f64::from(u8::from(value)));
        memory::push(&mut all.explicit, explicit, WHAT);
        push_numbers(&mut all.features, &FEATURES, row, first + 1);
    });
    all
}
