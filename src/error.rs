//! Errors as the client sees them: SQLSTATE, the value that was wrong, and a
//! hint that names the next command.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};
use sparkify_core::Error;

/// Raises an error. The transaction is rolled back to its last savepoint.
pub fn raise(code: PgSqlErrorCode, message: impl Into<String>, hint: Option<&str>) -> ! {
    let mut report = ErrorReport::new(code, message.into(), function_name!());
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("an error report of level ERROR does not return")
}

/// Raises an error with a detail of its own.
pub fn raise_detailed(
    code: PgSqlErrorCode,
    message: impl Into<String>,
    detail: impl Into<String>,
    hint: &str,
) -> ! {
    let report = ErrorReport::new(code, message.into(), function_name!());
    report.set_detail(detail.into()).set_hint(hint).report(PgLogLevel::ERROR);
    unreachable!("an error report of level ERROR does not return")
}

/// A parameter that must not be NULL (22004).
pub fn required<T>(value: Option<T>, name: &str) -> T {
    value.unwrap_or_else(|| {
        raise(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("{name} must not be null"),
            None,
        )
    })
}

/// A parameter that must lie in a range (22023).
pub fn in_range(value: i64, low: i64, high: i64, name: &str) -> i64 {
    if (low..=high).contains(&value) {
        return value;
    }
    raise(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{name} must be between {low} and {high}, not {value}"),
        None,
    )
}

/// The value of a computation, or its error raised.
pub fn or_raise<T>(result: sparkify_core::Result<T>) -> T {
    result.unwrap_or_else(|error| {
        let code = match error {
            Error::OutOfMemory { .. } => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            Error::TooFew { .. } => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            _ => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        };
        let hint = match &error {
            Error::AboveRank { rank: 0, .. } => {
                Some("No feature differs between the tracks.".into())
            }
            Error::AboveRank { rank, .. } => Some(format!("Use dims => {rank} or fewer.")),
            Error::TooFew { what: "plays", .. } => Some(
                "INSERT plays INTO sparkify.listening_events, or run sparkify.generate_events()."
                    .into(),
            ),
            Error::TooFew { what: "tracks", .. } => Some(
                "Run SELECT sparkify.clean_tracks() or SELECT sparkify.generate_tracks().".into(),
            ),
            _ => None,
        };
        raise(code, error.to_string(), hint.as_deref())
    })
}
