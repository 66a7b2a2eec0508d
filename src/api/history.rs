//! Listening histories, from files, JSON and tables.

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use sparkify_formats::history::Format;

use super::catalogue::column_map;
use crate::error::{raise, required};
use crate::storage::history::Counts;
use crate::storage::json::Document;
use crate::storage::{history_file, unmatched};

type Row = (i64, i64, i64, i64, i64);

fn row(counts: Counts) -> Row {
    let Counts { accepted, duplicate, unmatched, passed_over, rejected } = counts;
    (accepted, duplicate, unmatched, passed_over, rejected)
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn load_history(
    path: Option<&str>,
    user_id: Option<&str>,
    format: default!(Option<&str>, "'auto'"),
) -> TableIterator<
    'static,
    (
        name!(accepted, i64),
        name!(duplicate, i64),
        name!(unmatched, i64),
        name!(passed_over, i64),
        name!(rejected, i64),
    ),
> {
    let (path, user_id, format) = (required(path, "path"), listener(user_id), named(format));
    TableIterator::once(row(history_file::load(path, user_id, format)))
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn import_history(
    history: Option<Document>,
    user_id: Option<&str>,
    format: default!(Option<&str>, "'auto'"),
) -> TableIterator<
    'static,
    (
        name!(accepted, i64),
        name!(duplicate, i64),
        name!(unmatched, i64),
        name!(passed_over, i64),
        name!(rejected, i64),
    ),
> {
    let (history, user_id) = (required(history, "history"), listener(user_id));
    // A text is a file as it is; all else is JSON.
    let text = match history.0.starts_with('"') {
        true => history.parse("history").as_str().map(str::to_owned).unwrap_or_default(),
        false => history.0,
    };
    TableIterator::once(row(history_file::import(&text, user_id, named(format))))
}

// No search_path clause: the source is the caller's, and so are its names.
#[pg_extern(volatile, parallel_unsafe)]
fn import_events(
    source: Option<&str>,
    columns: default!(Option<Document>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(accepted, i64),
        name!(duplicate, i64),
        name!(unmatched, i64),
        name!(passed_over, i64),
        name!(rejected, i64),
    ),
> {
    TableIterator::once(row(history_file::import_source(
        required(source, "source"),
        &column_map(columns),
    )))
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn match_plays()
-> TableIterator<'static, (name!(accepted, i64), name!(duplicate, i64), name!(unmatched, i64))> {
    let counts = unmatched::match_again();
    TableIterator::once((counts.accepted, counts.duplicate, counts.unmatched))
}

fn listener(user_id: Option<&str>) -> &str {
    let user_id = required(user_id, "user_id");
    if user_id.is_empty() || user_id.len() > 512 {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("user_id must be a text of 1 to 512 bytes, not of {}", user_id.len()),
            None,
        );
    }
    user_id
}

fn named(format: Option<&str>) -> Format {
    let name = required(format, "format");
    Format::named(name).unwrap_or_else(|| {
        let names = Format::ALL.map(|(name, _)| name).join(", ");
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("format must be one of {names}, not \"{name}\""),
            None,
        )
    })
}
