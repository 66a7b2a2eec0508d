//! Track vectors that were made elsewhere, from a table, view or query.

use pgrx::{PgSqlErrorCode, check_for_interrupts, pg_sys};

use super::source::Source;
use super::spi::callers;
use crate::error::{raise, raise_detailed};

/// The most dimensions there can be.
pub const MOST_DIMS: usize = 2000;

/// A source of ids and vectors.
pub struct Vectors {
    sql: String,
    doubles: bool,
}

/// Finds the id and the vector in a source: columns `track_id` and `embedding` (or
/// `vector`) where it has them, else the first two.
pub fn open(text: &str) -> Vectors {
    let from = Source::open(text);
    let named = |names: &[&str]| {
        from.columns.iter().position(|(name, _)| names.contains(&name.to_lowercase().as_str()))
    };
    let by_name = named(&["track_id"]).zip(named(&["embedding", "vector"]));
    let by_place = (from.columns.len() == 2).then_some((0, 1));
    let Some((id, vector)) = by_name.or(by_place) else {
        let names: Vec<&str> = from.columns.iter().map(|(name, _)| name.as_str()).collect();
        raise_detailed(
            PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            "the source has no columns track_id and embedding",
            format!("Its columns are {}.", names.join(", ")),
            "Select two columns, the id and the vector: SELECT id AS track_id, vector AS embedding FROM …",
        )
    };
    let (name, kind) = &from.columns[vector];
    let quoted = pgrx::spi::quote_identifier(name);
    let doubles = match *kind {
        pg_sys::FLOAT8ARRAYOID | pg_sys::NUMERICARRAYOID | pg_sys::INT4ARRAYOID => true,
        pg_sys::FLOAT4ARRAYOID => false,
        // pgvector's types have casts to real[]; what has none is refused by the server.
        other if callers::can_cast(other, pg_sys::FLOAT4ARRAYOID) => false,
        _ => raise(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("column \"{name}\" of the source is not a vector"),
            Some(
                "Give real[], double precision[], or a type with a cast to real[], as pgvector's vector has.",
            ),
        ),
    };
    let target = if doubles { "float8[]" } else { "float4[]" };
    let vector = format!("source.{quoted}::pg_catalog.{target}");
    let sql = from.query(&[from.text(id), vector]);
    Vectors { sql, doubles }
}

/// Hands every id and vector to `each`; `None` for what is no vector of numbers.
pub fn read(vectors: &Vectors, mut each: impl FnMut(Option<&str>, Option<&[f32]>)) {
    let mut narrow: Vec<f32> = Vec::new();
    callers::select_once(&vectors.sql, |row| {
        check_for_interrupts!();
        let vector = if vectors.doubles {
            row.doubles(1).map(|values| {
                narrow.clear();
                narrow.extend(values.iter().map(|value| *value as f32));
                narrow.as_slice()
            })
        } else {
            row.reals(1)
        };
        each(row.text(0), vector);
    });
}
