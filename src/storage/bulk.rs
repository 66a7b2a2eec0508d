//! Bulk writing: rows streamed into the server's own COPY machinery.
//!
//! The rows are encoded in COPY's binary format and handed over by a callback,
//! the road that logical replication takes for its initial copy. It batches heap
//! and index insertion, and keeps what makes a table a table: constraints,
//! generated columns, defaults, triggers, partitions. Privileges are checked
//! here, as COPY would. A table with row-level security in force, or distributed
//! by Citus, takes the rows through a temporary table and INSERT, where policies
//! apply and the shards are found.
#![expect(unsafe_code, reason = "the server's COPY is a C interface")]

use std::cell::Cell;
use std::ffi::{CString, c_int, c_void};

use pgrx::pg_guard;
use pgrx::pg_sys::AsPgCStr;
use pgrx::{PgSqlErrorCode, pg_sys};
use sparkify_core::memory;

use super::spi;
use crate::error::{or_raise, raise};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Encodes the columns of one row, in the order of the column list.
pub struct RowWriter {
    bytes: Vec<u8>,
    /// Where `bytes` has been handed over to.
    taken: usize,
    columns: u16,
}

impl RowWriter {
    /// A value, and its length before it, may be as long as a value of the server can be.
    fn make_room(&mut self, len: usize) {
        or_raise(memory::reserve(&mut self.bytes, len + 8, "a row"));
    }

    fn field(&mut self, value: &[u8]) {
        self.make_room(value.len());
        self.bytes.extend_from_slice(&(value.len() as i32).to_be_bytes());
        self.bytes.extend_from_slice(value);
    }

    /// NULL.
    pub fn null(&mut self) {
        self.bytes.extend_from_slice(&(-1i32).to_be_bytes());
    }

    /// A value, or NULL for `None`.
    pub fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }

    /// A `text` column; the server checks its encoding.
    pub fn text(&mut self, value: impl AsRef<[u8]>) {
        self.field(value.as_ref());
    }

    /// A `boolean` column.
    pub fn bool(&mut self, value: bool) {
        self.field(&[u8::from(value)]);
    }

    /// An `integer` column.
    pub fn i32(&mut self, value: i32) {
        self.field(&value.to_be_bytes());
    }

    /// A `bigint` column.
    pub fn i64(&mut self, value: i64) {
        self.field(&value.to_be_bytes());
    }

    /// A `real` column.
    pub fn f32(&mut self, value: f32) {
        self.field(&value.to_be_bytes());
    }

    /// A `double precision` column.
    pub fn f64(&mut self, value: f64) {
        self.field(&value.to_be_bytes());
    }

    /// A `timestamptz` column, in microseconds since 2000-01-01 00:00 UTC.
    pub fn timestamp(&mut self, micros: i64) {
        self.i64(micros);
    }

    /// A `uuid` column.
    pub fn uuid(&mut self, value: u128) {
        self.field(&value.to_be_bytes());
    }

    /// A `jsonb` column, from its text.
    pub fn jsonb(&mut self, json: &str) {
        self.make_room(json.len());
        // A version byte stands before the text.
        self.bytes.extend_from_slice(&(json.len() as i32 + 1).to_be_bytes());
        self.bytes.push(1);
        self.bytes.extend_from_slice(json.as_bytes());
    }

    /// Starts an array of one dimension (none where it is empty); gives where its length stands.
    fn begin_array(&mut self, len: usize, element: pg_sys::Oid) -> usize {
        let at = self.bytes.len();
        let dimensions = i32::from(len > 0);
        for word in [0, dimensions, 0, u32::from(element) as i32] {
            self.bytes.extend_from_slice(&word.to_be_bytes());
        }
        if len > 0 {
            self.bytes.extend_from_slice(&(len as i32).to_be_bytes());
            self.bytes.extend_from_slice(&1i32.to_be_bytes());
        }
        at
    }

    fn end_array(&mut self, at: usize) {
        let len = (self.bytes.len() - at - 4) as i32;
        self.bytes[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }

    /// A `real[]` column.
    pub fn reals(&mut self, values: impl ExactSizeIterator<Item = f32>) {
        let at = self.begin_array(values.len(), pg_sys::FLOAT4OID);
        for value in values {
            self.f32(value);
        }
        self.end_array(at);
    }

    /// An `integer[]` column.
    pub fn integers(&mut self, values: impl ExactSizeIterator<Item = i32>) {
        let at = self.begin_array(values.len(), pg_sys::INT4OID);
        for value in values {
            self.i32(value);
        }
        self.end_array(at);
    }

    /// A `text[]` column; the server checks its encoding.
    pub fn texts<S: AsRef<[u8]>>(&mut self, values: impl ExactSizeIterator<Item = S>) {
        let at = self.begin_array(values.len(), pg_sys::TEXTOID);
        for value in values {
            self.text(value);
        }
        self.end_array(at);
    }
}

/// Encodes the next row and says so, or writes nothing and gives `false`.
pub type Next<'a> = dyn FnMut(&mut RowWriter) -> bool + 'a;

/// What the callback reads from: COPY's callback carries no argument.
struct Source<'a> {
    next: &'a mut Next<'a>,
    writer: RowWriter,
    ended: bool,
}

thread_local! {
    static SOURCE: Cell<*mut c_void> = const { Cell::new(std::ptr::null_mut()) };
}

impl Source<'_> {
    fn fill(&mut self, out: &mut [u8]) -> usize {
        while !self.ended && self.writer.bytes.len() - self.writer.taken < out.len() {
            if self.writer.taken == self.writer.bytes.len() {
                self.writer.bytes.clear();
                self.writer.taken = 0;
            }
            let start = self.writer.bytes.len();
            let columns = self.writer.columns;
            self.writer.bytes.extend_from_slice(&columns.to_be_bytes());
            if !(self.next)(&mut self.writer) {
                self.writer.bytes.truncate(start);
                self.writer.bytes.extend_from_slice(&(-1i16).to_be_bytes());
                self.ended = true;
            }
        }
        let ready = &self.writer.bytes[self.writer.taken..];
        let len = ready.len().min(out.len());
        out[..len].copy_from_slice(&ready[..len]);
        self.writer.taken += len;
        // What is left is less than a buffer: move it to the front.
        self.writer.bytes.drain(..self.writer.taken);
        self.writer.taken = 0;
        len
    }
}

/// COPY asks for between `_least` and `most` bytes; 0 is the end.
#[pg_guard]
unsafe extern "C-unwind" fn read_source(out: *mut c_void, _least: c_int, most: c_int) -> c_int {
    let source = SOURCE.get().cast::<Source<'static>>();
    // SAFETY: `copy` keeps SOURCE pointing to a live source while COPY runs, and the
    // server passes a buffer of `most` bytes.
    unsafe { (*source).fill(std::slice::from_raw_parts_mut(out.cast(), most as usize)) as c_int }
}

/// Restores what COPY needed changed, also when an error unwinds.
struct Restore {
    source: *mut c_void,
    encoding: c_int,
}

impl Drop for Restore {
    fn drop(&mut self) {
        SOURCE.set(self.source);
        // SAFETY: the encoding was in force before.
        unsafe { pg_sys::SetClientEncoding(self.encoding) };
    }
}

/// Writes rows into a table of schema `sparkify`; `next` encodes one row a call, column by
/// column as listed, and gives `false` when there are no more. It may raise, and
/// may run statements. Gives the number of rows written; what was written is
/// visible to this transaction's next statement.
pub fn write_rows(table: &str, columns: &[&str], next: &mut Next) -> u64 {
    write_rows_of("sparkify", table, columns, next)
}

/// The same for a table of the extension's own schema `sparkify_internal`.
pub fn write_internal_rows(table: &str, columns: &[&str], next: &mut Next) -> u64 {
    write_rows_of("sparkify_internal", table, columns, next)
}

fn write_rows_of(schema: &str, table: &str, columns: &[&str], next: &mut Next) -> u64 {
    let relation = relation_id(schema, table);
    // SAFETY: a backend's main thread in a transaction; `relation` exists.
    let secured = unsafe {
        let user = pg_sys::GetUserId();
        let allowed = pg_sys::pg_class_aclcheck(relation, user, pg_sys::ACL_INSERT as _);
        if allowed != pg_sys::AclResult::ACLCHECK_OK {
            raise(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied for table {table}"),
                Some("Ask its owner to GRANT INSERT."),
            );
        }
        let rls = pg_sys::check_enable_rls(relation, pg_sys::InvalidOid, false);
        rls == pg_sys::CheckEnableRlsResult::RLS_ENABLED as c_int
    };
    if secured || is_distributed(relation) {
        insert(schema, table, columns, next)
    } else {
        copy(relation, columns, next)
    }
}

/// Whether what stands here is the shell of a table that Citus distributes.
fn is_distributed(relation: pg_sys::Oid) -> bool {
    // SAFETY: a look-up with a valid name.
    let citus = unsafe {
        let catalogue = pg_sys::Oid::from(pg_sys::PG_CATALOG_NAMESPACE);
        pg_sys::get_relname_relid(c"pg_dist_partition".as_ptr(), catalogue)
    };
    let mut distributed = false;
    if citus != pg_sys::InvalidOid {
        spi::select_now(
            "SELECT FROM pg_catalog.pg_dist_partition WHERE logicalrelid::pg_catalog.oid = $1",
            &[relation.into()],
            |_| distributed = true,
        );
    }
    distributed
}

/// Policies and distribution apply to INSERT, not to the machinery of COPY.
fn insert(schema: &str, table: &str, columns: &[&str], next: &mut Next) -> u64 {
    let list = columns.join(", ");
    let staging = format!("sparkify_staged_{table}");
    spi::execute(
        &format!(
            "CREATE TEMPORARY TABLE {staging} AS SELECT {list} FROM {schema}.{table} WHERE false"
        ),
        &[],
    );
    copy(relation_id("pg_temp", &staging), columns, next);
    let rows = spi::execute(
        &format!("INSERT INTO {schema}.{table} ({list}) SELECT {list} FROM pg_temp.{staging}"),
        &[],
    );
    spi::execute(&format!("DROP TABLE pg_temp.{staging}"), &[]);
    rows
}

fn relation_id(schema: &str, table: &str) -> pg_sys::Oid {
    let (Ok(schema), Ok(name)) = (CString::new(schema), CString::new(table)) else {
        raise(PgSqlErrorCode::ERRCODE_INVALID_NAME, "a table's name holds a zero byte", None)
    };
    // SAFETY: plain catalogue look-ups with valid strings.
    let relation = unsafe {
        let namespace = if schema.as_c_str() == c"pg_temp" {
            pg_sys::LookupCreationNamespace(schema.as_ptr())
        } else {
            pg_sys::get_namespace_oid(schema.as_ptr(), false)
        };
        pg_sys::get_relname_relid(name.as_ptr(), namespace)
    };
    if relation == pg_sys::InvalidOid {
        raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("table {table} does not exist in schema {}", schema.to_string_lossy()),
            Some("Run CREATE EXTENSION sparkify."),
        );
    }
    relation
}

fn copy(relation: pg_sys::Oid, columns: &[&str], next: &mut Next) -> u64 {
    let writer = RowWriter { bytes: SIGNATURE.to_vec(), taken: 0, columns: columns.len() as u16 };
    let mut source = Source { next, writer, ended: false };
    // Text in the binary format is read in the client's encoding; ours is the server's.
    // SAFETY: reading and setting the session's encoding.
    let encoding = unsafe { pg_sys::pg_get_client_encoding() };
    let restore = Restore { source: SOURCE.get(), encoding };
    SOURCE.set((&raw mut source).cast());
    // SAFETY: the sequence of the server's own table synchronisation: open, describe
    // the columns and options, copy, close. Nodes live in the current memory context.
    let rows = unsafe {
        pg_sys::SetClientEncoding(pg_sys::GetDatabaseEncoding());
        let lock = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
        let table = pg_sys::table_open(relation, lock);
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        pg_sys::addRangeTableEntryForRelation(
            state,
            table,
            lock,
            std::ptr::null_mut(),
            false,
            false,
        );
        let mut names = std::ptr::null_mut();
        for column in columns {
            names = pg_sys::lappend(names, pg_sys::makeString(column.as_pg_cstr()).cast());
        }
        let format = pg_sys::makeDefElem(
            pg_sys::pstrdup(c"format".as_ptr()),
            pg_sys::makeString("binary".as_pg_cstr()).cast(),
            -1,
        );
        let options = pg_sys::lappend(std::ptr::null_mut(), format.cast());
        let copy = pg_sys::BeginCopyFrom(
            state,
            table,
            std::ptr::null_mut(),
            std::ptr::null(),
            false,
            Some(read_source),
            names,
            options,
        );
        let rows = pg_sys::CopyFrom(copy);
        pg_sys::EndCopyFrom(copy);
        pg_sys::free_parsestate(state);
        pg_sys::table_close(table, pg_sys::NoLock as pg_sys::LOCKMODE);
        pg_sys::CommandCounterIncrement();
        rows
    };
    drop(restore);
    rows
}
