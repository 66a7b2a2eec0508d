//! Streams: what they are, where they stand, and who consumes them.
#![expect(unsafe_code, reason = "locks of a session are taken through a C interface")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use pgrx::{PgSqlErrorCode, pg_sys};
use sparkify_stream::mapping::Mapping;
use sparkify_stream::position::{Start, Step};
use sparkify_stream::properties::Properties;

use super::spi;
use crate::error::raise;

/// A file of properties is not longer than this.
const LONGEST_FILE: u64 = 64 << 10;

/// What a stream is.
pub struct Stream {
    /// Its number.
    pub id: i32,
    /// Brokers, divided by commas.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// From a message to an event.
    pub mapping: Mapping,
    /// The file that says how the brokers are reached.
    pub client_file: Option<String>,
    /// The group under whose name offsets are written back.
    pub group: String,
    /// Whether unknown users are made.
    pub create_users: bool,
    /// Longer messages are rejected.
    pub max_message_bytes: usize,
    /// Where it starts.
    pub start: Start,
    /// Whether it has.
    pub started: bool,
}

/// Reads a mapping of columns, or raises.
pub fn mapping(columns: &serde_json::Value) -> Mapping {
    Mapping::read(columns).unwrap_or_else(|fault| {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            fault.to_string(),
            Some(
                "Give an object of fields and paths, as {\"user_id\": \"listener.id\", \"played_at\": \"at\"}.",
            ),
        )
    })
}

/// The stream of this name under a new snapshot.
pub fn find(name: &str) -> Option<Stream> {
    let mut found = None;
    spi::select_now(
        "SELECT s.stream_id, s.brokers, s.topic, s.columns::text, s.client_file, s.consumer_group, s.create_users, \
                s.max_message_bytes, t.start, t.started, \
                CASE WHEN t.start NOT IN ('earliest', 'latest') THEN pg_catalog.floor(1000 * pg_catalog.date_part('epoch', \
                    sparkify_internal.read_played_at(t.start)))::bigint END \
         FROM sparkify_internal.streams AS s JOIN sparkify_internal.stream_state AS t USING (stream_id) WHERE s.name = $1",
        &[name.into()],
        |row| {
            let text = |column| row.text(column).unwrap_or_default().to_owned();
            found = Some(Stream {
                id: row.i32(0).unwrap_or_default(),
                brokers: text(1),
                topic: text(2),
                mapping: mapping(
                    &serde_json::from_str(row.text(3).unwrap_or_default()).unwrap_or_default(),
                ),
                client_file: row.text(4).map(str::to_owned),
                group: text(5),
                create_users: row.bool(6).unwrap_or_default(),
                max_message_bytes: row.i32(7).unwrap_or_default() as usize,
                start: match (row.text(8), row.i64(10)) {
                    (_, Some(time)) => Start::Time(time),
                    (Some("latest"), None) => Start::Latest,
                    _ => Start::Earliest,
                },
                started: row.bool(9).unwrap_or_default(),
            });
        },
    );
    found
}

/// Reads the file that says how brokers are reached. What it holds stays out of every message.
pub fn properties(path: &str) -> Properties {
    let refuse = |code, why: String| -> ! {
        raise(
            code,
            format!("client_file \"{path}\" {why}"),
            Some(
                "It must be a file of key=value lines that the server's user can read, and others cannot.",
            ),
        )
    };
    let file = std::fs::metadata(path).and_then(|metadata| {
        Ok((metadata.is_file().then(|| std::fs::File::open(path)).transpose()?, metadata))
    });
    let (file, metadata) = match file {
        Ok((Some(file), metadata)) => (file, metadata),
        Ok((None, _)) => {
            refuse(PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE, "is no regular file".into())
        }
        Err(error) => {
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
                std::io::ErrorKind::PermissionDenied => {
                    PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE
                }
                _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
            };
            refuse(code, format!("cannot be read: {}", error.kind()))
        }
    };
    if metadata.mode() & 0o007 != 0 {
        refuse(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("can be read by everybody (mode {:o})", metadata.mode() & 0o777),
        );
    }
    let mut text = String::new();
    if file.take(LONGEST_FILE).read_to_string(&mut text).is_err() {
        refuse(PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR, "is not UTF-8 text".into());
    }
    Properties::read(&text).unwrap_or_else(|fault| {
        refuse(PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR, format!("is of no use: {fault}"))
    })
}

/// The stored positions, by partition, under a new snapshot.
pub fn positions(stream: i32) -> BTreeMap<i32, i64> {
    let mut positions = BTreeMap::new();
    spi::select_now(
        "SELECT \"partition\", next_offset FROM sparkify_internal.stream_offsets WHERE stream_id = $1",
        &[stream.into()],
        |row| {
            positions.insert(row.i32(0).unwrap_or_default(), row.i64(1).unwrap_or_default());
        },
    );
    positions
}

/// Stores the first position in a partition; false where there is one.
pub fn begin(stream: i32, partition: i32, position: i64, end: i64) -> bool {
    spi::execute(
        "INSERT INTO sparkify_internal.stream_offsets (stream_id, \"partition\", next_offset, end_offset, seen_at) \
         VALUES ($1, $2, $3, $4, pg_catalog.clock_timestamp()) ON CONFLICT DO NOTHING",
        &[stream.into(), partition.into(), position.into(), end.into()],
    ) == 1
}

/// Notes that the stream has started.
pub fn started(stream: i32) {
    spi::execute(
        "UPDATE sparkify_internal.stream_state SET started = true WHERE stream_id = $1 AND NOT started",
        &[stream.into()],
    );
}

/// Moves a position over messages that are gone; says so in the stream's state.
pub fn skip_lost(stream: i32, partition: i32, from: i64, to: i64) {
    let moved = spi::execute(
        "UPDATE sparkify_internal.stream_offsets SET next_offset = $4, lost = lost + $4 - $3 \
         WHERE stream_id = $1 AND \"partition\" = $2 AND next_offset = $3",
        &[stream.into(), partition.into(), from.into(), to.into()],
    );
    require_unmoved(moved == 1);
    let message = format!(
        "partition {partition} no longer has the {} messages from offset {from} on: it goes on at {to}",
        to - from
    );
    spi::execute(
        "UPDATE sparkify_internal.stream_state SET last_error = $2, last_error_at = pg_catalog.clock_timestamp() \
         WHERE stream_id = $1",
        &[stream.into(), message.into()],
    );
}

/// Stores what the topic has, where it is not what is stored already.
pub fn see(stream: i32, ends: &BTreeMap<i32, i64>) {
    spi::execute(
        "UPDATE sparkify_internal.stream_offsets AS o \
         SET end_offset = GREATEST(b.at, o.next_offset), seen_at = pg_catalog.clock_timestamp() \
         FROM pg_catalog.unnest($2::integer[], $3::bigint[]) AS b (\"partition\", at) \
         WHERE o.stream_id = $1 AND o.\"partition\" = b.\"partition\" AND o.end_offset <> b.at",
        &[
            stream.into(),
            ends.keys().copied().collect::<Vec<i32>>().into(),
            ends.values().copied().collect::<Vec<i64>>().into(),
        ],
    );
}

fn require_unmoved(unmoved: bool) {
    if !unmoved {
        raise(
            PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            "the offsets of the stream were changed by another session",
            Some("Call sparkify.consume_stream() again."),
        );
    }
}

/// Locks the positions that a batch begins at. Raises 40001 where they are others by now.
pub fn lock_positions(stream: i32, steps: &[(i32, Step)]) {
    let mut unmoved = 0;
    spi::execute_returning(
        "SELECT 1 FROM sparkify_internal.stream_offsets AS o \
         JOIN pg_catalog.unnest($2::integer[], $3::bigint[]) AS b (\"partition\", next_offset) \
              USING (\"partition\", next_offset) \
         WHERE o.stream_id = $1 ORDER BY o.\"partition\" FOR UPDATE OF o",
        &[
            stream.into(),
            steps.iter().map(|(partition, _)| *partition).collect::<Vec<i32>>().into(),
            steps.iter().map(|(_, step)| step.from).collect::<Vec<i64>>().into(),
        ],
        |_| unmoved += 1,
    );
    require_unmoved(unmoved == steps.len());
}

/// Moves the positions that [`lock_positions`] locked.
pub fn move_positions(stream: i32, steps: &[(i32, Step)], ends: &BTreeMap<i32, i64>) {
    let column =
        |of: fn(&Step) -> i64| steps.iter().map(|(_, step)| of(step)).collect::<Vec<i64>>();
    spi::execute(
        "UPDATE sparkify_internal.stream_offsets AS o \
         SET next_offset = b.at, messages = o.messages + b.messages, rejected = o.rejected + b.rejected, \
             end_offset = GREATEST(b.end_at, b.at), moved_at = b.now, seen_at = b.now, \
             rate = CASE WHEN b.full THEN (o.rate_count + b.messages) / b.seconds ELSE o.rate END, \
             rate_count = CASE WHEN b.full THEN 0 ELSE o.rate_count + b.messages END, \
             rate_since = CASE WHEN b.full THEN b.now ELSE o.rate_since END \
         FROM (SELECT u.*, t.now, p.stream_id, \
                      GREATEST(pg_catalog.date_part('epoch', t.now - p.rate_since), 1) AS seconds, \
                      t.now - p.rate_since > interval '10 seconds' AS full \
               FROM pg_catalog.unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
                        AS u (\"partition\", at, messages, rejected, end_at), \
                    (SELECT pg_catalog.clock_timestamp() AS now) AS t, \
                    sparkify_internal.stream_offsets AS p \
               WHERE p.stream_id = $1 AND p.\"partition\" = u.\"partition\") AS b \
         WHERE o.stream_id = b.stream_id AND o.\"partition\" = b.\"partition\"",
        &[
            stream.into(),
            steps.iter().map(|(partition, _)| *partition).collect::<Vec<i32>>().into(),
            column(|step| step.to).into(),
            column(|step| step.messages).into(),
            column(|step| step.rejected).into(),
            steps
                .iter()
                .map(|(partition, step)| ends.get(partition).copied().unwrap_or(step.to))
                .collect::<Vec<i64>>()
                .into(),
        ],
    );
}

/// Stores events; gives the places of those refused, from 0 on, and why.
pub fn store(events: Vec<String>, create_users: bool) -> Vec<(usize, String)> {
    let mut refused = Vec::new();
    spi::execute_returning(
        "SELECT u.place, u.reason FROM sparkify_internal.store_messages($1, $2) AS s, \
         LATERAL pg_catalog.unnest(s.refused, s.reasons) AS u (place, reason)",
        &[events.into(), create_users.into()],
        |row| {
            let place = row.i32(0).unwrap_or(1) - 1;
            refused.push((place as usize, row.text(1).unwrap_or_default().to_owned()));
        },
    );
    refused
}

/// A message that is no valid event.
pub struct Rejected {
    /// What it says, as far as it is text.
    pub message: String,
    /// Why it is refused.
    pub reason: String,
    /// The user it names; empty where it names none.
    pub user: String,
    /// The partition it stands in.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
}

/// Stores refused messages.
pub fn reject(topic: &str, rejected: Vec<Rejected>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for one in rejected {
        columns.0.push(one.message);
        columns.1.push(one.reason);
        columns.2.push(one.user);
        columns.3.push(one.partition);
        columns.4.push(one.offset);
    }
    spi::execute(
        "SELECT sparkify_internal.reject_messages($1, $2, $3, $4, $5, $6)",
        &[
            columns.0.into(),
            columns.1.into(),
            columns.2.into(),
            topic.into(),
            columns.3.into(),
            columns.4.into(),
        ],
    );
}

thread_local! {
    /// The stream whose lock this session took.
    static LOCKED: Cell<Option<i32>> = const { Cell::new(None) };
}

const MODE: pg_sys::LOCKMODE = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;

/// What is locked: a stream as an object of the database, which no statement of SQL locks.
fn tag(stream: i32) -> pg_sys::LOCKTAG {
    // SAFETY: catalogue look-ups in a transaction.
    let table = unsafe {
        let schema = pg_sys::get_namespace_oid(c"sparkify_internal".as_ptr(), false);
        pg_sys::get_relname_relid(c"streams".as_ptr(), schema)
    };
    pg_sys::LOCKTAG {
        // SAFETY: set when the session began.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.into(),
        locktag_field2: table.into(),
        locktag_field3: stream as u32,
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    }
}

/// Takes the lock of a stream for the session; false where another session has it.
pub fn lock(stream: i32) -> bool {
    if LOCKED.get() == Some(stream) {
        return true;
    }
    let tag = tag(stream);
    // SAFETY: the tag is valid for the call; the lock is kept in the session's own table.
    let taken = unsafe { pg_sys::LockAcquire(&raw const tag, MODE, true, true) };
    if taken == pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL {
        return false;
    }
    LOCKED.set(Some(stream));
    true
}

/// Gives the lock back where this session has one.
pub fn unlock() {
    if let Some(stream) = LOCKED.take() {
        let tag = tag(stream);
        // SAFETY: taken by `lock`, and not lost since: see `forget_lock`.
        unsafe { pg_sys::LockRelease(&raw const tag, MODE, true) };
    }
}

/// A transaction that ends in an error has released every lock of the session.
pub fn forget_lock() {
    LOCKED.set(None);
}
