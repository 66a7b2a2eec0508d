//! Where histories lie: files, patterns of files, folders and ZIPs on the server,
//! and tables and queries.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use pgrx::{PgSqlErrorCode, check_for_interrupts, pg_sys};
use sparkify_formats::header::{ColumnMap, PLAY_COLUMNS, play};
use sparkify_formats::history::{self, Archive, Fault, Format, Item, Options, Raw, is_history};
use sparkify_formats::moment::Moment;
use sparkify_formats::objects;

use super::history::{Counts, Importer};
use super::source::{self, Source};
use super::spi::callers;
use super::track_file::refuse_to_open;
use super::track_file::{self, EPOCH};
use crate::error::raise;

const INSTEAD: &str = "use import_history(), as in docs/your-own-music.md";
/// How deep folders in folders are looked into.
const DEPTH: usize = 6;
const DAY: i64 = 86_400_000_000;

/// The latest time that a play is believed to have.
fn latest() -> i64 {
    track_file::new_delivery() + DAY
}

/// Reads the histories at a path.
pub fn load(path: &str, user_id: &str, format: Format) -> Counts {
    track_file::require_files(INSTEAD);
    let files = files(path);
    let mut importer = Importer::new();
    importer.begin(user_id, true);
    let options = Options { format, user_id, latest: latest() };
    for file in &files {
        let shown = file.to_string_lossy();
        let opened = track_file::open(&shown, INSTEAD);
        if is_zip(&opened, &shown) {
            read_archive(&shown, opened, &options, &mut importer);
        } else {
            read(&shown, BufReader::new(opened), &options, &mut importer);
        }
    }
    importer.finish()
}

/// Reads a history that the caller hands over.
pub fn import(text: &str, user_id: &str, format: Format) -> Counts {
    let mut importer = Importer::new();
    importer.begin(user_id, true);
    let options = Options { format, user_id, latest: latest() };
    let read = history::read(text.as_bytes(), &options, &mut |item: Item| importer.take(&item));
    read.unwrap_or_else(|fault| refuse("the history", &fault));
    importer.finish()
}

/// The files that a path stands for, by name.
fn files(path: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if Path::new(path).is_dir() {
        collect(Path::new(path), DEPTH, &mut files);
    } else if path.contains(['*', '?', '[']) && !Path::new(path).exists() {
        let found = glob::glob(path).unwrap_or_else(|error| {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("\"{path}\" is not a pattern of files: {error}"),
                None,
            )
        });
        files.extend(found.flatten().filter(|file| file.is_file()));
    } else {
        return vec![PathBuf::from(path)];
    }
    files.sort_unstable();
    if files.is_empty() {
        raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
            format!("\"{path}\" holds no listening history"),
            Some(
                "Histories are endsong_*.json, Streaming_History_Audio_*.json, StreamingHistory*.json, listens as *.jsonl, or *.csv.",
            ),
        );
    }
    files
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    check_for_interrupts!();
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| refuse_to_open(&folder.to_string_lossy(), &error, INSTEAD));
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => collect(&path, depth - 1, files),
            Ok(kind) if kind.is_file() && is_history(&path.to_string_lossy()) => files.push(path),
            _ => {}
        }
    }
}

fn is_zip(mut file: &File, path: &str) -> bool {
    use std::io::Seek;
    let mut start = Vec::new();
    let read = file.take(4).read_to_end(&mut start).and_then(|_| file.rewind());
    if let Err(error) = read {
        refuse_to_open(path, &error, INSTEAD);
    }
    start == b"PK\x03\x04"
}

fn read_archive(path: &str, file: File, options: &Options, importer: &mut Importer) {
    let broken = |error: std::io::Error| -> ! {
        raise(
            PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT,
            format!("could not unpack \"{path}\": {error}"),
            Some("Was it downloaded whole? Otherwise unpack it, and give the path of the folder."),
        )
    };
    let mut archive = Archive::open(BufReader::new(file)).unwrap_or_else(|error| broken(error));
    if archive.is_empty() {
        raise(
            PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT,
            format!("\"{path}\" holds no listening history"),
            Some(
                "Spotify's lie in files named endsong_*.json, Streaming_History_Audio_*.json or StreamingHistory*.json.",
            ),
        );
    }
    for number in 0..archive.len() {
        let name = format!("{path}/{}", archive.name(number));
        let packed = archive.read(number).unwrap_or_else(|error| broken(error));
        read(&name, packed, options, importer);
    }
}

fn read(name: &str, source: impl Read, options: &Options, importer: &mut Importer) {
    let read = history::read(source, options, &mut |item: Item| importer.take(&item));
    read.unwrap_or_else(|fault| refuse(&format!("file \"{name}\""), &fault));
}

fn refuse(of: &str, fault: &Fault) -> ! {
    let bad = PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT;
    let path = of.strip_prefix("file \"").and_then(|of| of.strip_suffix('"')).unwrap_or(of);
    match fault {
        Fault::Delimited(fault) => track_file::refuse(path, fault),
        Fault::Kind(kind) => {
            raise(bad, format!("{of} looks like {}", kind.what), Some(kind.remedy))
        }
        Fault::Unknown(start) => raise(
            bad,
            format!("{of} is not a listening history that is known: it begins with {start}"),
            Some(
                "Known are those of Spotify, Last.fm and ListenBrainz, and columns like those of listening_events; for others use import_events().",
            ),
        ),
        Fault::Objects(objects::Fault::Io(error)) => {
            raise(PgSqlErrorCode::ERRCODE_IO_ERROR, format!("could not read {of}: {error}"), None)
        }
        Fault::Objects(objects::Fault::NotAnObject(line)) => {
            raise(bad, format!("line {line} of {of}: what stands there is no JSON object"), None)
        }
        Fault::Objects(objects::Fault::Unfinished(line)) => raise(
            bad,
            format!("line {line} of {of}: the object that begins there does not end"),
            Some("Is the file cut off?"),
        ),
        Fault::Objects(objects::Fault::TooLong(line)) => raise(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("line {line} of {of}: the object that begins there is longer than 16 MB"),
            None,
        ),
    }
}

/// Reads plays from a table, view or query of the caller's.
pub fn import_source(text: &str, map: &ColumnMap) -> Counts {
    let from = Source::open(text);
    let plan = from.plan(&PLAY_COLUMNS, map);
    let has = |column: usize| plan.column(column).is_some();
    let track = has(play::TRACK_ID) || (has(play::TRACK_NAME) && has(play::ARTIST));
    let needed =
        [("user_id", has(play::USER_ID)), ("track_id", track), ("played_at", has(play::PLAYED_AT))];
    let missing: Vec<&str> = needed.iter().filter(|(_, has)| !has).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        let names: Vec<&str> = from.columns.iter().map(|(name, _)| name.as_str()).collect();
        crate::error::raise_detailed(
            PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            format!("the source has no column \"{}\"", missing.join("\", no column \"")),
            format!("Its columns are {}.", names.join(", ")),
            "Every play needs user_id, played_at, and track_id or track_name and artist: name them in the query, or in columns.",
        );
    }
    source::notice_unknown(&plan, "the source");
    // Each column as text, and the time as such where it is one.
    let mut values: Vec<String> = (0..PLAY_COLUMNS.len())
        .map(|column| match plan.column(column) {
            Some(at) => from.text(at),
            None => "NULL::pg_catalog.text".to_owned(),
        })
        .collect();
    let time = plan.column(play::PLAYED_AT).map(|at| &from.columns[at]);
    values.push(match time {
        Some((name, kind)) => {
            let name = pgrx::spi::quote_identifier(name);
            match *kind {
                pg_sys::TIMESTAMPTZOID => format!("source.{name}"),
                pg_sys::TIMESTAMPOID => format!("pg_catalog.timezone('UTC', source.{name})"),
                _ => "NULL::pg_catalog.timestamptz".to_owned(),
            }
        }
        None => "NULL::pg_catalog.timestamptz".to_owned(),
    });
    let timed = PLAY_COLUMNS.len();
    let sql = format!(
        "{} ORDER BY {} COLLATE pg_catalog.\"C\"",
        from.query(&values),
        values[play::USER_ID]
    );

    let mut importer = Importer::new();
    let mut current = None::<String>;
    let latest = latest();
    callers::select_once(&sql, |row| {
        let user_id = row.text(play::USER_ID).filter(|id| !id.is_empty() && id.len() <= 512);
        if current.is_none() || current.as_deref() != user_id {
            current = Some(user_id.unwrap_or_default().to_owned());
            if let Some(user_id) = user_id {
                importer.begin(user_id, true);
            }
        }
        let options =
            Options { format: Format::Events, user_id: user_id.unwrap_or_default(), latest };
        let mut raw = Raw::of_texts(|column| row.text(column));
        if let Some(at) = row.timestamp(timed) {
            let micros = at.saturating_add(EPOCH);
            raw.played_at = Some(Ok(Moment { micros, to_the_minute: false }));
        }
        let item = match user_id {
            Some(_) => raw.judge(&options),
            None => Item::Rejected {
                reason: "user_id must be a text of 1 to 512 bytes".to_owned(),
                track_id: raw.track_id,
                track_name: raw.track_name,
                artist: raw.artist,
            },
        };
        importer.take(&item);
    });
    importer.finish()
}
