//! Sparkify's three Grafana dashboards, from a compact description.
//!
//! [`board`] lays panels out in rows and adds what all boards share, [`panel`]
//! makes panels and columns; each board is a module of queries.

mod board;
mod listening;
mod operations;
mod panel;
mod recommendations;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The files and what belongs in them.
#[must_use]
pub fn boards() -> [(&'static str, Value); 3] {
    [
        ("listening.json", listening::board()),
        ("recommendations.json", recommendations::board()),
        ("operations.json", operations::board()),
    ]
}

/// Where the files lie.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboards/boards")
}

/// A board as it stands in its file.
///
/// # Errors
/// None for a value that this crate made.
pub fn text(board: &Value) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(board)? + "\n")
}
