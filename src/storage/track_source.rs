//! Tracks of a table, view or query, copied into `raw_tracks` by one statement of
//! the server's: with the caller's rights, and without a row in our memory.

use sparkify_core::catalogue::RAW_COLUMNS;
use sparkify_formats::header::{ColumnMap, TRACK_COLUMNS};

use super::source::{self, Source};
use super::spi::callers;
use super::track_file;

/// Copies the rows; gives their number.
pub fn import(text: &str, map: &ColumnMap) -> u64 {
    let from = Source::open(text);
    let plan = from.plan(&TRACK_COLUMNS, map);
    let missing = track_file::missing(&plan);
    if !missing.is_empty() {
        let names: Vec<String> = from.columns.iter().map(|(name, _)| name.clone()).collect();
        source::refuse_missing("the source", &names, &missing, "", "import_tracks(source");
    }
    source::notice_unknown(&plan, "the source");
    let found: Vec<(&str, usize)> = (0..RAW_COLUMNS.len())
        .filter_map(|target| Some((RAW_COLUMNS[target], plan.column(target)?)))
        .collect();
    let mut columns: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    let mut values: Vec<String> = found.iter().map(|(_, column)| from.text(*column)).collect();
    columns.push("delivery");
    values.push(format!("{}::pg_catalog.int8", track_file::new_delivery()));
    let sql = format!(
        "INSERT INTO sparkify.raw_tracks ({}) {} RETURNING CASE \
         WHEN duration_ms OPERATOR(pg_catalog.~) '^[0-9]{{1,9}}$' THEN duration_ms::pg_catalog.int4 END",
        columns.join(", "),
        from.query(&values)
    );
    let (mut rows, mut longest) = (0, 0.0f64);
    callers::select_once(&sql, |row| {
        rows += 1;
        longest = longest.max(f64::from(row.i32(0).unwrap_or_default()));
    });
    source::question_durations(longest, "the source");
    rows
}
