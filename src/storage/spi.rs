//! Statements over kept plans, with rows read in place.
//!
//! A statement is prepared once a backend and its plan kept; rows are decoded
//! without a copy where the type allows it. [`select`] reads under the
//! caller's snapshot, so that several reads of one call see one state of the
//! database, and it works in parallel workers and on standbys. [`select_now`]
//! and [`execute`] take a new snapshot and see what this call wrote.
#![expect(unsafe_code, reason = "the server's SPI is a C interface")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::marker::PhantomData;

use pgrx::datum::DatumWithOid;
use pgrx::{FromDatum, PgSqlErrorCode, pg_sys};

use crate::error::raise;

/// How many rows a cursor brings at a time.
const FETCH: i64 = 4096;

thread_local! {
    /// Kept plans by statement text. Plans outlive transactions and are revalidated by the server.
    static PLANS: RefCell<HashMap<String, pg_sys::SPIPlanPtr>> = RefCell::default();
}

/// One row of a result, valid during the callback that receives it.
pub struct Row<'a> {
    values: &'a [pg_sys::Datum],
    nulls: &'a [bool],
    types: &'a [pg_sys::Oid],
}

impl<'a> Row<'a> {
    fn datum(&self, column: usize, expected: pg_sys::Oid) -> Option<pg_sys::Datum> {
        if self.types[column] != expected {
            raise(
                PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                format!(
                    "column {} has type {:?}, not {expected:?}",
                    column + 1,
                    self.types[column]
                ),
                Some("Was a table of schema sparkify altered? Its columns must keep their types."),
            );
        }
        (!self.nulls[column]).then(|| self.values[column])
    }

    /// A `text` value.
    pub fn text(&self, column: usize) -> Option<&'a str> {
        let datum = self.datum(column, pg_sys::TEXTOID)?;
        // SAFETY: the datum is a text of this row; a detoasted copy lives in the row's memory context.
        unsafe {
            let varlena = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            Some(pgrx::varlena::text_to_rust_str_unchecked(varlena))
        }
    }

    /// A `bigint` value.
    pub fn i64(&self, column: usize) -> Option<i64> {
        self.datum(column, pg_sys::INT8OID).map(|d| d.value() as i64)
    }

    /// An `integer` value.
    pub fn i32(&self, column: usize) -> Option<i32> {
        self.datum(column, pg_sys::INT4OID).map(|d| d.value() as i32)
    }

    /// A `double precision` value.
    pub fn f64(&self, column: usize) -> Option<f64> {
        self.datum(column, pg_sys::FLOAT8OID).map(|d| f64::from_bits(d.value() as u64))
    }

    /// A `boolean` value.
    pub fn bool(&self, column: usize) -> Option<bool> {
        self.datum(column, pg_sys::BOOLOID).map(|d| d.value() as u8 != 0)
    }

    /// A `timestamptz` value: microseconds since 2000-01-01 00:00 UTC.
    pub fn timestamp(&self, column: usize) -> Option<i64> {
        self.datum(column, pg_sys::TIMESTAMPTZOID).map(|d| d.value() as i64)
    }

    /// A `uuid` value.
    pub fn uuid(&self, column: usize) -> Option<u128> {
        let datum = self.datum(column, pg_sys::UUIDOID)?;
        // SAFETY: a uuid datum points to its sixteen bytes.
        Some(u128::from_be_bytes(unsafe { *datum.cast_mut_ptr::<[u8; 16]>() }))
    }

    /// A `jsonb` value.
    pub fn jsonb(&self, column: usize) -> Option<serde_json::Value> {
        let datum = self.datum(column, pg_sys::JSONBOID)?;
        // SAFETY: the datum was checked to be a jsonb that is not null.
        unsafe { pgrx::JsonB::from_datum(datum, false) }.map(|json| json.0)
    }

    /// A `text[]` value; elements that are NULL are left out.
    pub fn texts(&self, column: usize) -> Option<Vec<String>> {
        let datum = self.datum(column, pg_sys::TEXTARRAYOID)?;
        // SAFETY: the datum was checked to be a text array that is not null.
        let elements = unsafe { Vec::<Option<String>>::from_datum(datum, false) }?;
        Some(elements.into_iter().flatten().collect())
    }

    /// Reads a `real[]` value of one dimension without NULL elements into `out`, which it replaces.
    /// False where the value is NULL or of another shape.
    pub fn reals_into(&self, column: usize, out: &mut Vec<f32>) -> bool {
        out.clear();
        let Some(datum) = self.datum(column, pg_sys::FLOAT4ARRAYOID) else { return false };
        // SAFETY: the datum is an array of float4; its header tells where the elements lie.
        unsafe {
            let array: *mut pg_sys::ArrayType =
                pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast();
            if (*array).dataoffset != 0 || (*array).ndim > 1 {
                return false;
            }
            if (*array).ndim == 1 {
                let header = array.cast::<u8>().add(size_of::<pg_sys::ArrayType>());
                let len = header.cast::<i32>().read_unaligned() as usize;
                // One dimension's length and lower bound, then the elements, 8-aligned.
                let offset = (size_of::<pg_sys::ArrayType>() + 8).next_multiple_of(8);
                let elements = array.cast::<u8>().add(offset).cast::<f32>();
                out.extend_from_slice(std::slice::from_raw_parts(elements, len));
            }
        }
        true
    }
}

/// A connection to the SPI manager, closed on drop also when an error unwinds.
struct Connection(PhantomData<*const ()>);

impl Connection {
    fn open() -> Connection {
        // SAFETY: called in a backend with a transaction, from its only thread.
        let code = unsafe { pg_sys::SPI_connect() };
        expect(code, pg_sys::SPI_OK_CONNECT as i32, "connect");
        Connection(PhantomData)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // After an error the transaction's end unwinds the SPI stack itself.
        if !std::thread::panicking() {
            // SAFETY: opened by `open`.
            unsafe { pg_sys::SPI_finish() };
        }
    }
}

fn expect(code: i32, wanted: i32, what: &str) {
    if code != wanted {
        raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("the server refused to {what} a statement (SPI code {code})"),
            None,
        );
    }
}

fn plan(sql: &str, args: &[DatumWithOid]) -> pg_sys::SPIPlanPtr {
    if let Some(kept) = PLANS.with_borrow(|plans| plans.get(sql).copied()) {
        return kept;
    }
    let Ok(text) = CString::new(sql) else {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "a statement holds a zero byte",
            None,
        )
    };
    let mut types: Vec<pg_sys::Oid> = args.iter().map(DatumWithOid::oid).collect();
    // SAFETY: connected; text and types are valid for the call; a kept plan is never freed.
    unsafe {
        let plan = pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_mut_ptr());
        if plan.is_null() {
            expect(pg_sys::SPI_result, 0, "prepare");
        }
        expect(pg_sys::SPI_keepplan(plan), 0, "keep");
        PLANS.with_borrow_mut(|plans| plans.insert(sql.to_owned(), plan));
        plan
    }
}

/// The values and null flags of arguments, in the form SPI takes.
fn bind(args: &[DatumWithOid]) -> (Vec<pg_sys::Datum>, Vec<std::ffi::c_char>) {
    args.iter()
        .map(|arg| match arg.datum() {
            // The datum's owner is borrowed by `args`, which outlives the statement.
            Some(datum) => (datum.sans_lifetime(), b' ' as std::ffi::c_char),
            None => (pg_sys::Datum::from(0), b'n' as std::ffi::c_char),
        })
        .unzip()
}

/// Hands every row of the current result to `each`.
fn visit(each: &mut dyn FnMut(&Row)) -> usize {
    // SAFETY: SPI_tuptable is the result of the statement just executed, with
    // SPI_processed tuples of its descriptor.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        if table.is_null() {
            return 0;
        }
        let rows = pg_sys::SPI_processed as usize;
        let descriptor = (*table).tupdesc;
        let columns = (*descriptor).natts as usize;
        let types: Vec<pg_sys::Oid> =
            (1..=columns).map(|i| pg_sys::SPI_gettypeid(descriptor, i as i32)).collect();
        let mut values = vec![pg_sys::Datum::from(0); columns];
        let mut nulls = vec![false; columns];
        for i in 0..rows {
            let tuple = *(*table).vals.add(i);
            pg_sys::heap_deform_tuple(tuple, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            each(&Row { values: &values, nulls: &nulls, types: &types });
        }
        rows
    }
}

fn run(sql: &str, args: &[DatumWithOid], read_only: bool, each: &mut dyn FnMut(&Row)) -> u64 {
    let _connection = Connection::open();
    let plan = plan(sql, args);
    let (mut values, nulls) = bind(args);
    // SAFETY: the plan was prepared with as many arguments as are bound.
    unsafe {
        let code =
            pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), read_only, 0);
        if code < 0 {
            expect(code, 0, "execute");
        }
        let processed = pg_sys::SPI_processed;
        visit(each);
        processed
    }
}

/// Reads rows under the caller's snapshot; the whole result is in memory at once.
pub fn select(sql: &str, args: &[DatumWithOid], mut each: impl FnMut(&Row)) {
    run(sql, args, true, &mut each);
}

/// Reads rows under a new snapshot: what this call has written, and what others have committed meanwhile.
pub fn select_now(sql: &str, args: &[DatumWithOid], mut each: impl FnMut(&Row)) {
    run(sql, args, false, &mut each);
}

/// The first row of a read under the caller's snapshot.
pub fn select_first<T>(
    sql: &str,
    args: &[DatumWithOid],
    mut read: impl FnMut(&Row) -> T,
) -> Option<T> {
    let mut first = None;
    select(sql, args, |row| {
        if first.is_none() {
            first = Some(read(row));
        }
    });
    first
}

/// Does `work` under a snapshot of this moment in place of the caller's.
pub fn under_new_snapshot<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: in a transaction; where `work` raises, its end drops the snapshot.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) };
    let result = work();
    // SAFETY: pushed above, and `work` has taken off what it put on it.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}

/// Executes a statement that writes; gives the number of rows it processed.
pub fn execute(sql: &str, args: &[DatumWithOid]) -> u64 {
    run(sql, args, false, &mut |_| {})
}

/// Executes a statement that writes and returns rows.
pub fn execute_returning(sql: &str, args: &[DatumWithOid], mut each: impl FnMut(&Row)) -> u64 {
    run(sql, args, false, &mut each)
}

/// Reads rows through a cursor, a few thousand in memory at a time. `fresh`
/// takes a new snapshot, otherwise the caller's is used.
pub fn select_streaming(sql: &str, args: &[DatumWithOid], fresh: bool, mut each: impl FnMut(&Row)) {
    let _connection = Connection::open();
    let plan = plan(sql, args);
    let (mut values, nulls) = bind(args);
    // SAFETY: as in `run`; the portal is closed before the connection is.
    unsafe {
        let portal = pg_sys::SPI_cursor_open(
            std::ptr::null(),
            plan,
            values.as_mut_ptr(),
            nulls.as_ptr(),
            !fresh,
        );
        loop {
            pgrx::check_for_interrupts!();
            pg_sys::SPI_cursor_fetch(portal, true, FETCH as _);
            let rows = visit(&mut each);
            pg_sys::SPI_freetuptable(pg_sys::SPI_tuptable);
            if rows == 0 {
                break;
            }
        }
        pg_sys::SPI_cursor_close(portal);
    }
}
