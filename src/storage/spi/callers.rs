//! Statements that a caller hands over: prepared for one call, and run with the
//! caller's rights and search path; and what there is to ask of their types.

use std::ffi::{CStr, CString};

use pgrx::{PgSqlErrorCode, pg_sys};

use super::{Connection, Row, execute_plan, expect, select_now};
use crate::error::raise;

/// A statement of the caller's, under the caller's search path and kept for this call only.
fn prepare_once(sql: &str) -> pg_sys::SPIPlanPtr {
    let Ok(text) = CString::new(sql) else {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "a statement holds a zero byte",
            None,
        )
    };
    // SAFETY: connected; the text is valid for the call.
    let plan = unsafe { pg_sys::SPI_prepare(text.as_ptr(), 0, std::ptr::null_mut()) };
    if plan.is_null() {
        // SAFETY: reading a global of the backend.
        expect(unsafe { pg_sys::SPI_result }, 0, "prepare");
    }
    plan
}

/// The names and types of the columns that a query gives.
pub fn describe(sql: &str) -> Vec<(String, pg_sys::Oid)> {
    let _connection = Connection::open();
    let plan = prepare_once(sql);
    // SAFETY: the plan lives as long as the connection; a query that gives rows has a descriptor.
    unsafe {
        let sources = pg_sys::SPI_plan_get_plan_sources(plan);
        let one = !sources.is_null() && (*sources).length == 1;
        let descriptor = if one {
            let source: *mut pg_sys::CachedPlanSource = (*(*sources).elements).ptr_value.cast();
            (*source).resultDesc
        } else {
            std::ptr::null_mut()
        };
        if descriptor.is_null() {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "source must be one table, view or query",
                Some("Give the name of a table, or one SELECT."),
            );
        }
        (1..=(*descriptor).natts)
            .map(|i| {
                let name = CStr::from_ptr(pg_sys::SPI_fname(descriptor, i));
                (name.to_string_lossy().into_owned(), pg_sys::SPI_gettypeid(descriptor, i))
            })
            .collect()
    }
}

/// Reads the rows of a query of the caller's, with the caller's rights and search path.
pub fn select_once(sql: &str, mut each: impl FnMut(&Row)) {
    let _connection = Connection::open();
    let plan = prepare_once(sql);
    execute_plan(plan, &[], false, &mut |row| {
        each(row);
        true
    });
}

/// The qualified and quoted name of a relation that a text names, where it does.
pub fn relation_name(text: &str) -> Option<String> {
    let mut name = None;
    select_now(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class AS c \
         JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
         WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)",
        &[text.into()],
        |row| {
            if let (Some(schema), Some(relation)) = (row.text(0), row.text(1)) {
                let quote = pgrx::spi::quote_identifier::<&str>;
                name = Some(format!("{}.{}", quote(schema), quote(relation)));
            }
        },
    );
    name
}

/// The type of the elements of an array type; none for another type.
pub fn element_type(kind: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: a catalogue look-up.
    unsafe { pg_sys::get_element_type(kind) }
}

/// Whether there is a cast from one type to another.
pub fn can_cast(from: pg_sys::Oid, to: pg_sys::Oid) -> bool {
    let mut function = pg_sys::InvalidOid;
    // SAFETY: a catalogue look-up.
    let path = unsafe {
        pg_sys::find_coercion_pathway(
            to,
            from,
            pg_sys::CoercionContext::COERCION_EXPLICIT,
            &raw mut function,
        )
    };
    path == pg_sys::CoercionPathType::COERCION_PATH_FUNC
        || path == pg_sys::CoercionPathType::COERCION_PATH_RELABELTYPE
}

/// The time of day, in microseconds since 2000-01-01 00:00 UTC.
pub fn clock() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
