//! Statements over kept plans, with rows read in place.
//!
//! A statement is prepared once a backend and its plan kept. Rows go from the
//! executor to a callback one by one, however many there are, and are decoded
//! without a copy where the type allows it. [`select`] reads under the caller's
//! snapshot, so that several reads of one call see one state of the database,
//! and it works in parallel workers and on standbys. [`select_now`] and
//! [`execute`] take a new snapshot and see what this call wrote.
#![expect(unsafe_code, reason = "the server's SPI is a C interface")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CString, c_int};
use std::marker::PhantomData;

use pgrx::datum::DatumWithOid;
use pgrx::varlena::{text_to_rust_str_unchecked, varatt_is_1b_e, varatt_is_4b_c};
use pgrx::{FromDatum, PgSqlErrorCode, pg_guard, pg_sys};

use super::json::{self, Weights};
use crate::error::raise;

pub mod callers;
use crate::memory;

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
        // SAFETY: the datum is a text of this row; a detoasted copy lives as long as the row.
        unsafe {
            let mut varlena: *mut pg_sys::varlena = datum.cast_mut_ptr();
            // Nearly every text lies there as it is: no call into the server for those.
            if varatt_is_1b_e(varlena) || varatt_is_4b_c(varlena) {
                varlena = pg_sys::pg_detoast_datum_packed(varlena);
            }
            Some(text_to_rust_str_unchecked(varlena))
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

    /// The numbers by name in a `jsonb` object; `None` for NULL.
    pub fn weights(&self, column: usize) -> Option<Weights> {
        let datum = self.datum(column, pg_sys::JSONBOID)?;
        // SAFETY: the datum was checked to be a jsonb that is not null.
        Some(unsafe { json::weights(datum) })
    }

    /// A copy of a `text` value; empty for NULL.
    pub fn owned(&self, column: usize) -> String {
        memory::owned(self.text(column).unwrap_or_default())
    }

    /// A `text[]` value of any number of dimensions; elements that are NULL are left out.
    pub fn texts(&self, column: usize) -> Option<Vec<String>> {
        let datum = self.datum(column, pg_sys::TEXTARRAYOID)?;
        // SAFETY: the datum was checked to be a text array that is not null.
        let elements = unsafe { pgrx::Array::<&str>::from_datum(datum, false) }?;
        let mut texts = Vec::new();
        for (at, text) in elements.iter().enumerate() {
            if at % 4096 == 4095 {
                crate::interrupt::interrupt();
            }
            if let Some(text) = text {
                memory::push(&mut texts, memory::owned(text), "the elements of an array");
            }
        }
        Some(texts)
    }

    /// Whether any element of a `text[]` value, of any number of dimensions, is as asked for.
    pub fn any_text(&self, column: usize, mut wanted: impl FnMut(&str) -> bool) -> bool {
        let Some(datum) = self.datum(column, pg_sys::TEXTARRAYOID) else { return false };
        // SAFETY: the datum was checked to be a text array that is not null.
        let elements = unsafe { pgrx::Array::<&str>::from_datum(datum, false) };
        elements.is_some_and(|elements| {
            elements.iter().enumerate().any(|(at, text)| {
                if at % 4096 == 4095 {
                    crate::interrupt::interrupt();
                }
                text.is_some_and(&mut wanted)
            })
        })
    }

    /// A `real[]` value of at most one dimension and without NULL elements; `None` for any other.
    pub fn reals(&self, column: usize) -> Option<&'a [f32]> {
        // SAFETY: the elements of this type are float4.
        unsafe { self.numbers(column, pg_sys::FLOAT4ARRAYOID) }
    }

    /// A `double precision[]` value, as [`Row::reals`].
    pub fn doubles(&self, column: usize) -> Option<&'a [f64]> {
        // SAFETY: the elements of this type are float8.
        unsafe { self.numbers(column, pg_sys::FLOAT8ARRAYOID) }
    }

    /// An `integer[]` value, as [`Row::reals`].
    pub fn integers(&self, column: usize) -> Option<&'a [i32]> {
        // SAFETY: the elements of this type are int4.
        unsafe { self.numbers(column, pg_sys::INT4ARRAYOID) }
    }

    /// The elements of an array of plain numbers.
    ///
    /// # Safety
    /// `T` is what the array type has for elements: of 4 or 8 bytes, of any bit pattern.
    unsafe fn numbers<T>(&self, column: usize, array: pg_sys::Oid) -> Option<&'a [T]> {
        let datum = self.datum(column, array)?;
        // SAFETY: the datum is an array of such numbers, whose header tells where they lie,
        // aligned; a detoasted copy lives as long as the row.
        unsafe {
            let array: *mut pg_sys::ArrayType =
                pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast();
            if (*array).dataoffset != 0 || (*array).ndim > 1 {
                return None;
            }
            if (*array).ndim == 0 {
                return Some(&[]);
            }
            let header = array.cast::<u8>().add(size_of::<pg_sys::ArrayType>());
            let len = header.cast::<i32>().read_unaligned() as usize;
            // One dimension's length and lower bound, then the elements, 8-aligned.
            let offset = (size_of::<pg_sys::ArrayType>() + 8).next_multiple_of(8);
            Some(std::slice::from_raw_parts(array.cast::<u8>().add(offset).cast(), len))
        }
    }
}

/// A connection to the SPI manager, closed on drop also when an error unwinds.
struct Connection(PhantomData<*const ()>);

impl Connection {
    fn open() -> Connection {
        memory::begin();
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
        // A plan that no argument changes: there is one to make, in the first call.
        let plan = pg_sys::SPI_prepare_cursor(
            text.as_ptr(),
            types.len() as c_int,
            types.as_mut_ptr(),
            pg_sys::CURSOR_OPT_GENERIC_PLAN as c_int,
        );
        if plan.is_null() {
            expect(pg_sys::SPI_result, 0, "prepare");
        }
        expect(pg_sys::SPI_keepplan(plan), 0, "keep");
        PLANS.with_borrow_mut(|plans| plans.insert(sql.to_owned(), plan));
        plan
    }
}

/// Arguments in the form the executor takes, in memory of the open connection; no list
/// where there are none, as the server itself has it: extensions that copy the list
/// count on that.
pub(super) fn bind(args: &[DatumWithOid]) -> pg_sys::ParamListInfo {
    if args.is_empty() {
        return std::ptr::null_mut();
    }
    // SAFETY: connected; the list has room for as many parameters as are written.
    unsafe {
        let list = pg_sys::makeParamList(args.len() as i32);
        let params = (*list).params.as_mut_ptr();
        for (i, arg) in args.iter().enumerate() {
            // The datum's owner is borrowed by `args`, which outlives the statement.
            let datum = arg.datum().map(|datum| datum.sans_lifetime());
            *params.add(i) = pg_sys::ParamExternData {
                value: datum.unwrap_or(pg_sys::Datum::from(0)),
                isnull: datum.is_none(),
                pflags: pg_sys::PARAM_FLAG_CONST as u16,
                ptype: arg.oid(),
            };
        }
        list
    }
}

/// Does something with a row, and says whether it wants another.
type Each<'a> = dyn FnMut(&Row) -> bool + 'a;

/// Where the executor sends its rows: one after the other to a callback, as they
/// lie in the executor's slot.
#[repr(C)]
struct Receiver<'a> {
    base: pg_sys::DestReceiver,
    each: &'a mut Each<'a>,
    types: Vec<pg_sys::Oid>,
    /// Holds what reading a row needs, until the next row.
    memory: pg_sys::MemoryContext,
}

impl<'a> Receiver<'a> {
    /// Lives no longer than the open connection.
    fn new(each: &'a mut Each<'a>) -> Self {
        let base = pg_sys::DestReceiver {
            receiveSlot: Some(receive),
            rStartup: Some(start_receiving),
            rShutdown: Some(nothing),
            rDestroy: Some(nothing),
            // Of SPI's point of view any that is neither its own nor none.
            mydest: pg_sys::CommandDest::DestTuplestore,
        };
        // SAFETY: the context goes with its parent, the connection's own.
        let memory = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"sparkify row".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        };
        Receiver { base, each, types: Vec::new(), memory }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn start_receiving(
    receiver: *mut pg_sys::DestReceiver,
    _operation: c_int,
    descriptor: pg_sys::TupleDesc,
) {
    // SAFETY: the executor passes the receiver it was given, and the descriptor of its rows.
    unsafe {
        let columns = (*descriptor).natts;
        let receiver = receiver.cast::<Receiver>();
        (*receiver).types = (1..=columns).map(|i| pg_sys::SPI_gettypeid(descriptor, i)).collect();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn receive(
    slot: *mut pg_sys::TupleTableSlot,
    receiver: *mut pg_sys::DestReceiver,
) -> bool {
    // SAFETY: as above; once its attributes are fetched a slot has as many values as columns.
    unsafe {
        let receiver = &mut *receiver.cast::<Receiver>();
        let columns = receiver.types.len();
        if ((*slot).tts_nvalid as usize) < columns {
            pg_sys::slot_getsomeattrs_int(slot, columns as c_int);
        }
        let row = Row {
            values: std::slice::from_raw_parts((*slot).tts_values, columns),
            nulls: std::slice::from_raw_parts((*slot).tts_isnull, columns),
            types: &receiver.types,
        };
        memory::check();
        let before = pg_sys::MemoryContextSwitchTo(receiver.memory);
        let more = (receiver.each)(&row);
        pg_sys::MemoryContextSwitchTo(before);
        if !(*receiver.memory).isReset {
            pg_sys::MemoryContextReset(receiver.memory);
        }
        more
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn nothing(_receiver: *mut pg_sys::DestReceiver) {}

fn run(sql: &str, args: &[DatumWithOid], read_only: bool, each: &mut Each) -> u64 {
    let _connection = Connection::open();
    let plan = plan(sql, args);
    execute_plan(plan, args, read_only, each)
}

fn execute_plan(
    plan: pg_sys::SPIPlanPtr,
    args: &[DatumWithOid],
    read_only: bool,
    each: &mut Each,
) -> u64 {
    let mut receiver = Receiver::new(each);
    // SAFETY: the plan was prepared with as many arguments as are bound; the
    // receiver lives until the executor has ended.
    unsafe {
        let options = pg_sys::SPIExecuteOptions {
            params: bind(args),
            read_only,
            dest: &raw mut receiver.base,
            ..Default::default()
        };
        let code = pg_sys::SPI_execute_plan_extended(plan, &options);
        if code < 0 {
            expect(code, 0, "execute");
        }
        pg_sys::SPI_processed
    }
}

/// Reads rows under the caller's snapshot.
pub fn select(sql: &str, args: &[DatumWithOid], mut each: impl FnMut(&Row)) {
    run(sql, args, true, &mut |row| {
        each(row);
        true
    });
}

/// Reads rows under a new snapshot: what this call has written, and what others have committed meanwhile.
pub fn select_now(sql: &str, args: &[DatumWithOid], mut each: impl FnMut(&Row)) {
    run(sql, args, false, &mut |row| {
        each(row);
        true
    });
}

/// The first row of a read under the caller's snapshot.
pub fn select_first<T>(
    sql: &str,
    args: &[DatumWithOid],
    mut read: impl FnMut(&Row) -> T,
) -> Option<T> {
    let mut first = None;
    run(sql, args, true, &mut |row| {
        first = Some(read(row));
        false
    });
    first
}

/// Does `work` under the search path that every function of ours has. For
/// functions that give rows one a call: a `SET` clause would be entered and left
/// for each row.
pub fn under_own_search_path<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: in a transaction; where `work` raises, its end restores the path.
    let level = unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::set_config_option(
            c"search_path".as_ptr(),
            c"pg_catalog, pg_temp".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
        // Nothing stops the compilation of a query.
        if pg_sys::jit_enabled {
            pg_sys::set_config_option(
                c"jit".as_ptr(),
                c"off".as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        level
    };
    let result = work();
    // SAFETY: the level was entered above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
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
    run(sql, args, false, &mut |_| true)
}

/// Executes a statement that writes and returns rows.
pub fn execute_returning(sql: &str, args: &[DatumWithOid], mut each: impl FnMut(&Row)) -> u64 {
    run(sql, args, false, &mut |row| {
        each(row);
        true
    })
}
