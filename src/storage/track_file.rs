//! A CSV file of tracks, copied by the server into `raw_tracks`.
//!
//! The header decides the columns; the rows are read by COPY. Where COPY
//! refuses the file, the line is looked up, for COPY's own context is lost on
//! the way and names the end of the file for a quote that is never closed.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, PgTryBuilder, check_for_interrupts, spi::quote_literal};
use sparkify_core::catalogue::{CsvFault, CsvFaultFinder, RAW_COLUMNS};

use super::spi;
use crate::error::raise;

const ROW_INDEX: &str = "row_index";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// A header longer than this is none.
const LONGEST_HEADER: u64 = 1 << 20;

/// Copies the file into `raw_tracks`; gives the number of rows.
pub fn load(path: &str) -> u64 {
    let allowed =
        spi::select_first("SELECT pg_has_role('pg_read_server_files', 'USAGE')", &[], |row| {
            row.bool(0)
        });
    if allowed != Some(Some(true)) {
        raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied to read files of the server",
            Some(
                "Ask for GRANT pg_read_server_files, or use \\copy sparkify.raw_tracks (...) FROM 'file' WITH (FORMAT csv, HEADER) in psql.",
            ),
        );
    }
    let columns = columns(&header(path), path);
    let copy = format!(
        "COPY sparkify.raw_tracks ({}) FROM {} WITH (FORMAT csv, HEADER true, ENCODING 'UTF8')",
        columns.join(", "),
        quote_literal(path)
    );
    let fields = columns.len() as u64;
    let explain = |error: CaughtError| -> u64 { refuse(path, fields, &error) };
    PgTryBuilder::new(AssertUnwindSafe(|| spi::execute(&copy, &[])))
        .catch_when(PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT, explain)
        .catch_when(PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, explain)
        .execute()
}

fn open(path: &str) -> File {
    let metadata = std::fs::metadata(path).unwrap_or_else(|error| refuse_to_open(path, &error));
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "a directory" } else { "not a regular file" };
        raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("\"{path}\" is {kind}"),
            Some("Give the path of a CSV file."),
        );
    }
    File::open(path).unwrap_or_else(|error| refuse_to_open(path, &error))
}

fn refuse_to_open(path: &str, error: &std::io::Error) -> ! {
    let code = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
        ErrorKind::PermissionDenied => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
    };
    raise(
        code,
        format!("could not read file \"{path}\": {error}"),
        Some(
            "The server process reads the file, on its machine and as its user. For a file of the client use \\copy sparkify.raw_tracks (...) FROM 'file' WITH (FORMAT csv, HEADER) in psql.",
        ),
    )
}

/// The names in the file's first record.
fn header(path: &str) -> Vec<String> {
    let mut start = Vec::new();
    if let Err(error) = open(path).take(LONGEST_HEADER).read_to_end(&mut start) {
        refuse_to_open(path, &error);
    }
    let text = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&start);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text);
    let mut record = csv::ByteRecord::new();
    if !matches!(reader.read_byte_record(&mut record), Ok(true)) {
        refuse_header(format!("file \"{path}\" is empty"));
    }
    record
        .iter()
        .map(|name| match std::str::from_utf8(name) {
            Ok(name) => name.trim().to_lowercase(),
            Err(_) => refuse_header(format!("the first line of file \"{path}\" is not UTF-8")),
        })
        .collect()
}

/// The column of `raw_tracks` for each column of the file.
fn columns(names: &[String], path: &str) -> Vec<&'static str> {
    let mut columns: Vec<&'static str> = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let column = match name.as_str() {
            "" | "unnamed: 0" if i == 0 => ROW_INDEX,
            ROW_INDEX => ROW_INDEX,
            _ => match RAW_COLUMNS.iter().find(|column| *column == name) {
                Some(column) => column,
                None => {
                    // A line of a text, or of another format, may be long.
                    let shown: String = name.chars().take(60).collect();
                    refuse_header(format!(
                        "column {} of file \"{path}\" has the unknown name \"{shown}\"",
                        i + 1
                    ))
                }
            },
        };
        if columns.contains(&column) {
            refuse_header(format!("file \"{path}\" has column \"{column}\" twice"));
        }
        columns.push(column);
    }
    if !columns.contains(&RAW_COLUMNS[0]) {
        refuse_header(format!("file \"{path}\" has no column \"{}\"", RAW_COLUMNS[0]));
    }
    columns
}

fn refuse_header(message: String) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT,
        message,
        Some(&format!(
            "The first line must name the columns, separated by commas: {}, and any of {}; an unnamed first column is {ROW_INDEX}.",
            RAW_COLUMNS[0],
            RAW_COLUMNS[1..].join(", ")
        )),
    )
}

/// Raises COPY's error with the line that is at fault.
fn refuse(path: &str, fields: u64, error: &CaughtError) -> ! {
    let (CaughtError::PostgresError(report)
    | CaughtError::ErrorReport(report)
    | CaughtError::RustPanic { ereport: report, .. }) = error;
    let code = report.sql_error_code();
    let Some((line, fault)) = find_fault(path, fields) else {
        raise(code, format!("{} in file \"{path}\"", report.message()), report.hint())
    };
    let (what, hint) = match fault {
        CsvFault::Encoding => (report.message().to_owned(), "Convert the file to UTF-8."),
        CsvFault::UnclosedQuote => (
            "a quotation mark is never closed".to_owned(),
            "Within a quoted field write a quotation mark twice.",
        ),
        CsvFault::Fields(have) => (
            format!("the number of fields is {have}, and {fields} in the header"),
            "A field with commas or line ends must be quoted, and every quotation mark closed.",
        ),
        CsvFault::LineEnd => (
            "a line end of another kind than the first one".to_owned(),
            "Use one kind of line end throughout, or quote the field.",
        ),
    };
    raise(code, format!("line {line} of file \"{path}\": {what}"), Some(hint))
}

fn find_fault(path: &str, fields: u64) -> Option<(u64, CsvFault)> {
    let mut file = open(path);
    let mut finder = CsvFaultFinder::new(fields);
    let mut chunk = vec![0; 1 << 16];
    loop {
        check_for_interrupts!();
        match file.read(&mut chunk) {
            Ok(0) => return finder.finish(),
            Ok(len) if finder.feed(&chunk[..len]) => return finder.finish(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}
