//! A file of tracks on the server, read into `raw_tracks`.

use std::fs::File;
use std::io::{ErrorKind, Read};

use pgrx::{PgSqlErrorCode, check_for_interrupts};
use sparkify_core::catalogue::RAW_COLUMNS;
use sparkify_formats::appearance;
use sparkify_formats::delimited::{Fault, Records};
use sparkify_formats::header::{self, ColumnMap, Plan, TRACK_COLUMNS};
use sparkify_formats::value;

use super::spi::callers;
use super::{bulk, source, spi};
use crate::error::{raise, raise_detailed};

/// Columns without which no row becomes a track: an id, an artist, a name.
pub const REQUIRED: [usize; 3] = [0, 1, 3];
const DURATION: usize = 5;
/// Microseconds from 1970 to 2000.
pub const EPOCH: i64 = 946_684_800_000_000;

/// Refuses who may not read the server's files.
pub fn require_files(instead: &str) {
    let allowed = spi::select_first(
        "SELECT pg_catalog.pg_has_role('pg_read_server_files', 'USAGE')",
        &[],
        |row| row.bool(0),
    );
    if allowed != Some(Some(true)) {
        raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied to read files of the server",
            Some(&format!("Ask for GRANT pg_read_server_files, or {instead}.")),
        );
    }
}

/// The number of a delivery that begins now.
pub fn new_delivery() -> i64 {
    callers::clock() + EPOCH
}

/// Copies the file into `raw_tracks`; gives the number of rows.
pub fn load(path: &str, map: &ColumnMap) -> u64 {
    const INSTEAD: &str =
        "use \\copy sparkify.raw_tracks (...) FROM 'file' WITH (FORMAT csv, HEADER) in psql";
    require_files(INSTEAD);
    let of = format!("file \"{path}\"");
    let mut records = Records::open(open(path, INSTEAD), &TRACK_COLUMNS, map)
        .unwrap_or_else(|fault| refuse(path, &fault));
    let names = records.header().to_vec();
    let plan = header::plan(&names, &TRACK_COLUMNS, map)
        .unwrap_or_else(|fault| source::refuse_columns(&of, &names, &TRACK_COLUMNS, &fault));
    let missing = missing(&plan);
    if !missing.is_empty() {
        let more = encoding(path, INSTEAD);
        source::refuse_missing(&of, &names, &missing, &more, "load_tracks(path");
    }
    source::notice_unknown(&plan, &of);

    let delivery = new_delivery();
    let places: Vec<(usize, usize)> =
        (0..RAW_COLUMNS.len()).filter_map(|target| Some((target, plan.column(target)?))).collect();
    let columns: Vec<&str> = places
        .iter()
        .map(|(target, _)| RAW_COLUMNS[*target])
        .chain(plan.index.map(|_| "row_index"))
        .chain(["delivery"])
        .collect();
    let mut filled = vec![false; names.len()];
    let mut longest = 0.0f64;
    let rows = bulk::write_rows("raw_tracks", &columns, &mut |out| {
        check_for_interrupts!();
        let record = match records.next() {
            Ok(Some(record)) => record,
            Ok(None) => return false,
            Err(fault) => refuse(path, &fault),
        };
        for &(target, column) in &places {
            let text = plan.field(target, &record[column]);
            if target == DURATION {
                longest = longest.max(value::number(text.trim()).unwrap_or_default());
            }
            out.optional(Some(text).filter(|text| !text.is_empty()), |out, text| {
                out.text(text.as_bytes())
            });
        }
        if let Some(column) = plan.index {
            let index = Some(&record[column]).filter(|text| !text.is_empty());
            out.optional(index, |out, text| out.text(text));
        }
        out.i64(delivery);
        for &column in &plan.unnamed {
            filled[column] |= !record[column].trim().is_empty();
        }
        true
    });
    for column in plan.unnamed.iter().filter(|column| filled[**column]) {
        pgrx::notice!("{of}: passed over column {}, which has no name", column + 1);
    }
    source::question_durations(longest, &of);
    rows
}

/// The required columns that were not found.
pub fn missing(plan: &Plan) -> Vec<&'static str> {
    let missing = REQUIRED.iter().filter(|target| plan.column(**target).is_none());
    missing.map(|target| RAW_COLUMNS[*target]).collect()
}

/// A regular file, opened for reading.
pub fn open(path: &str, instead: &str) -> File {
    let metadata =
        std::fs::metadata(path).unwrap_or_else(|error| refuse_to_open(path, &error, instead));
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "a directory" } else { "not a regular file" };
        raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("\"{path}\" is {kind}"),
            Some("Give the path of a file."),
        );
    }
    File::open(path).unwrap_or_else(|error| refuse_to_open(path, &error, instead))
}

/// Refuses a file that could not be read.
pub fn refuse_to_open(path: &str, error: &std::io::Error, instead: &str) -> ! {
    let code = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
        ErrorKind::PermissionDenied => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
    };
    raise(
        code,
        format!("could not read file \"{path}\": {error}"),
        Some(&format!(
            "The server process reads the file, on its machine and as its user. For a file of the client {instead}."
        )),
    )
}

/// What is to be said of the encoding of a file that is refused anyway.
fn encoding(path: &str, instead: &str) -> String {
    let mut start = Vec::new();
    let read = open(path, instead).take(1 << 20).read_to_end(&mut start);
    match read.ok().and_then(|_| appearance::line_not_utf8(&start)) {
        Some(line) => {
            format!(" Line {line} is not UTF-8: it looks like {}.", appearance::not_utf8().what)
        }
        None => String::new(),
    }
}

/// Raises what is wrong with a file, and where.
pub fn refuse(path: &str, fault: &Fault) -> ! {
    let bad = PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT;
    let at = |line: &u64, what: &str| format!("line {line} of file \"{path}\": {what}");
    match fault {
        Fault::Io(error) => raise(
            PgSqlErrorCode::ERRCODE_IO_ERROR,
            format!("could not read file \"{path}\": {error}"),
            None,
        ),
        Fault::Kind(kind) => {
            raise(bad, format!("file \"{path}\" looks like {}", kind.what), Some(kind.remedy))
        }
        Fault::Empty => raise(
            bad,
            format!("file \"{path}\" is empty"),
            Some("The first line must name the columns."),
        ),
        Fault::Encoding(line) => raise_detailed(
            PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
            at(line, "not UTF-8"),
            format!("It looks like {}.", appearance::not_utf8().what),
            appearance::not_utf8().remedy,
        ),
        Fault::UnclosedQuote(line) => raise(
            bad,
            at(line, "a quotation mark is never closed"),
            Some("Within a quoted field write a quotation mark twice."),
        ),
        Fault::Fields { line, have, need } => raise(
            bad,
            at(line, &format!("the number of fields is {have}, and {need} in the header")),
            Some(
                "A field with delimiters or line ends must be quoted, and every quotation mark closed.",
            ),
        ),
        Fault::TooLong(line) => raise(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            at(line, "the record is longer than 16 MB"),
            Some("Is a quotation mark never closed?"),
        ),
        Fault::ZeroByte(line) => raise(
            bad,
            at(line, "the record holds a zero byte"),
            Some("Is the file cut off, or of another kind?"),
        ),
    }
}
