//! Tables, views and queries of the caller's, read with the caller's rights.
//!
//! Whatever is evaluated of them (views, functions, casts of types that somebody
//! made) runs as whoever called, under the caller's own search path: these
//! functions must never be made SECURITY DEFINER.

use pgrx::{PgSqlErrorCode, pg_sys};
use sparkify_formats::header::{self, ColumnMap, HeaderFault, Plan, Target};

use super::spi::callers;
use crate::error::{raise, raise_detailed};

/// What a caller names as a source: a query that can stand behind FROM, and its columns.
pub struct Source {
    from: String,
    /// Names and types.
    pub columns: Vec<(String, pg_sys::Oid)>,
}

impl Source {
    /// Takes the name of a table or view, or a query.
    pub fn open(source: &str) -> Source {
        let text = source.trim().trim_end_matches(';').trim_end();
        if text.is_empty() {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "source must not be empty",
                Some("Give the name of a table or view, or a query."),
            );
        }
        let relation = is_name(text).then(|| {
            callers::relation_name(text).unwrap_or_else(|| {
                raise(
                    PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                    format!("relation \"{text}\" does not exist"),
                    Some("Give the name of a table or view, with its schema, or a query."),
                )
            })
        });
        // The line end closes a comment in the query.
        let from = relation.unwrap_or_else(|| format!("({text}\n)"));
        let columns = callers::describe(&format!("SELECT * FROM {from} AS source"));
        Source { from, columns }
    }

    /// Which of its columns is which.
    pub fn plan(&self, targets: &[Target], map: &ColumnMap) -> Plan {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        header::plan(&names, targets, map)
            .unwrap_or_else(|fault| refuse_columns("the source", &names, targets, &fault))
    }

    /// A query of expressions over its columns.
    pub fn query(&self, expressions: &[String]) -> String {
        format!("SELECT {} FROM {} AS source", expressions.join(", "), self.from)
    }

    /// A column as text: lists and JSON as JSON, all else as its type is written.
    pub fn text(&self, column: usize) -> String {
        let (name, kind) = &self.columns[column];
        let name = pgrx::spi::quote_identifier(name);
        let listed = matches!(*kind, pg_sys::JSONOID | pg_sys::JSONBOID)
            || callers::element_type(*kind) != pg_sys::InvalidOid;
        if listed {
            format!("pg_catalog.to_jsonb(source.{name})::pg_catalog.text")
        } else {
            format!("source.{name}::pg_catalog.text")
        }
    }
}

/// Whether a text is a name, perhaps qualified and quoted: a query never is.
fn is_name(text: &str) -> bool {
    let mut rest = text;
    loop {
        let end = match rest.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map(|end| end + 2),
            None => {
                let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                Some(rest.find(|c| !word(c)).unwrap_or(rest.len())).filter(|end| *end > 0)
            }
        };
        let Some(end) = end else { return false };
        rest = &rest[end..];
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None => return rest.is_empty(),
        }
    }
}

/// Refuses a header or a list of columns that cannot be read.
pub fn refuse_columns(of: &str, names: &[String], targets: &[Target], fault: &HeaderFault) -> ! {
    let ours: Vec<&str> = targets.iter().map(|target| target.name).collect();
    match fault {
        HeaderFault::NoTarget(name) => raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("columns maps \"{name}\", which is not a column of ours"),
            Some(&format!("Ours are {}.", ours.join(", "))),
        ),
        HeaderFault::NotInHeader(name) => raise_detailed(
            PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            format!("{of} has no column \"{name}\""),
            format!("Its columns are {}.", shown(names)),
            "Correct the map in columns.",
        ),
        HeaderFault::Twice(name) => raise_detailed(
            PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT,
            format!("{of} has column \"{name}\" twice"),
            format!("Its columns are {}.", shown(names)),
            &format!("Say which it is: columns => '{{\"{name}\": \"…\"}}'."),
        ),
    }
}

/// Refuses what lacks a column that there must be.
pub fn refuse_missing(of: &str, names: &[String], missing: &[&str], more: &str, call: &str) -> ! {
    let map: Vec<String> = missing.iter().map(|name| format!("\"{name}\": \"…\"")).collect();
    raise_detailed(
        PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT,
        format!("{of} has no column \"{}\"", missing.join("\", no column \"")),
        format!("Its columns are {}.{more}", shown(names)),
        &format!(
            "Say which it is: {call}, columns => '{{{}}}'). Every track needs an id, a name and an artist.",
            map.join(", ")
        ),
    )
}

/// Names as a message shows them: a line of a text, or of another format, may be long.
fn shown(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(40)
        .map(|name| format!("\"{}\"", name.chars().take(60).collect::<String>()))
        .collect();
    let rest = names.len().saturating_sub(40);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

/// Says which columns nobody asked for.
pub fn notice_unknown(plan: &Plan, of: &str) {
    if !plan.unknown.is_empty() {
        pgrx::notice!("{of}: passed over {}", shown(&plan.unknown));
    }
}

/// Questions durations that are those of seconds.
pub fn question_durations(longest: f64, of: &str) {
    if longest > 0.0 && longest < 20_000.0 {
        pgrx::warning!(
            "duration_ms of {of} is nowhere above {longest}: are these seconds, not milliseconds?"
        );
    }
}
