//! Consuming a stream: the part of `consume_stream()` that is one transaction.

use pgrx::prelude::*;

use crate::storage::json::Document;
use crate::storage::streams;

#[cfg(feature = "kafka")]
mod consumer;

#[cfg(not(feature = "kafka"))]
mod consumer {
    use pgrx::PgSqlErrorCode;

    use crate::error::raise;

    /// Always raises.
    pub fn read(
        _name: &str,
        _rows: usize,
        _memory: usize,
        _seconds: f64,
        _until_end: bool,
    ) -> &'static str {
        raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "this build of the extension reads no streams",
            Some("Build it with the feature kafka."),
        )
    }

    /// Nothing is open.
    pub fn close(_keep_lock: bool) -> Option<String> {
        None
    }
}

#[pg_extern(schema = "sparkify_internal", immutable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn check_stream_columns(columns: Document) {
    streams::mapping(&columns.parse("columns"));
}

#[pg_extern(schema = "sparkify_internal", volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn read_stream(
    name: &str,
    batch_rows: i32,
    memory_mb: i32,
    seconds: f64,
    until_end: bool,
) -> &'static str {
    consumer::read(
        name,
        batch_rows.max(1) as usize,
        (memory_mb.max(1) as usize) << 20,
        seconds.max(0.0),
        until_end,
    )
}

#[pg_extern(schema = "sparkify_internal", volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn close_stream(keep_lock: bool) -> Option<String> {
    consumer::close(keep_lock)
}
