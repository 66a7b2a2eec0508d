//! Raw tracks, tracks and refused rows.

use std::collections::{HashMap, HashSet};

use pgrx::datum::DatumWithOid;
use serde_json::{Map, Value, json};
use sparkify_core::Result;
use sparkify_core::catalogue::{
    EXPLICIT, FEATURES, GENERATED_PREFIX, Generator, RAW_COLUMNS, RawTrack, Refusal, Track,
    row_hash,
};

use super::bulk::{self, RowWriter};
use super::spi::{self, Row};
use super::turns::{self, Work};
use crate::error::or_raise;
use crate::interrupt::interrupt;
use crate::memory;

/// The columns of `tracks` that are written, before the features.
const LEADING: [&str; 7] =
    ["track_id", "track_name", "artists", "album_name", "genres", "primary_genre", EXPLICIT];

/// How many changed tracks one statement updates.
const BATCH: usize = 2000;

fn columns() -> Vec<&'static str> {
    LEADING.into_iter().chain(FEATURES.iter().map(|feature| feature.name)).collect()
}

/// Keeps others from writing tracks until the transaction ends, so that what is
/// decided on what stands there stays right.
pub fn lock_tracks() {
    turns::take(Work::Catalogue);
    spi::execute("LOCK TABLE sparkify.tracks IN SHARE ROW EXCLUSIVE MODE", &[]);
}

/// Hands every raw row, its index and the number of its delivery to `each`.
pub fn read_raw_tracks(mut each: impl FnMut(&RawTrack, Option<&str>, i64) -> Result<()>) {
    let columns = RAW_COLUMNS.join(", ");
    let sql = format!("SELECT {columns}, row_index, delivery FROM sparkify.raw_tracks");
    spi::select_now(&sql, &[], |row| {
        let delivery = row.i64(RAW_COLUMNS.len() + 1).unwrap_or_default();
        or_raise(each(&raw_track(row), row.text(RAW_COLUMNS.len()), delivery));
    });
}

fn raw_track<'a>(row: &Row<'a>) -> RawTrack<'a> {
    std::array::from_fn(|column| row.text(column))
}

/// Writes the refused rows that have not been written before.
pub fn write_refusals(refusals: &[Refusal]) {
    if refusals.is_empty() {
        return;
    }
    let mut known = HashSet::new();
    let sql = format!("SELECT {} FROM sparkify.rejected_tracks", RAW_COLUMNS.join(", "));
    spi::select_now(&sql, &[], |row| {
        memory::add(&mut known, or_raise(row_hash(&raw_track(row))), "refused rows");
    });
    let mut new = refusals.iter().filter(|refusal| {
        let row = std::array::from_fn(|column| refusal.row[column].as_deref());
        !known.contains(&or_raise(row_hash(&row)))
    });
    let columns: Vec<_> = RAW_COLUMNS.into_iter().chain(["row_index", "reason"]).collect();
    bulk::write_rows("rejected_tracks", &columns, &mut |writer| {
        let Some(refusal) = new.next() else { return false };
        for value in refusal.row.iter().chain([&refusal.row_index]) {
            writer.optional(value.as_deref(), RowWriter::text);
        }
        writer.text(&refusal.reason);
        true
    });
}

/// Writes the tracks that are new or differ from what stands there; gives their number.
pub fn write_tracks(tracks: &[Track]) -> u64 {
    let mut new: HashMap<&str, &Track> = HashMap::new();
    for (at, track) in tracks.iter().enumerate() {
        if at % 4096 == 0 {
            interrupt();
        }
        memory::put(&mut new, &track.track_id, track, "tracks");
    }
    let mut changed = Vec::new();
    let sql = format!("SELECT {} FROM sparkify.tracks", columns().join(", "));
    spi::select_now(&sql, &[], |row| {
        if let Some(track) = row.text(0).and_then(|track_id| new.remove(track_id))
            && *track != stored_track(row)
        {
            memory::push(&mut changed, track, "changed tracks");
        }
    });
    for batch in changed.chunks(BATCH) {
        update(batch);
    }
    let added = tracks.iter().filter(|track| new.contains_key(track.track_id.as_str()));
    changed.len() as u64 + insert(added)
}

/// Writes the first `n` of generated tracks, but for those that stand there; gives
/// the number written.
pub fn write_generated(mut generator: Generator, n: usize) -> u64 {
    let mut known: HashSet<Vec<u8>> = HashSet::new();
    // In byte order a backquote follows the underscore that ends the prefix.
    let end = format!("{}`", &GENERATED_PREFIX[..GENERATED_PREFIX.len() - 1]);
    let range = [DatumWithOid::from(GENERATED_PREFIX), DatumWithOid::from(end)];
    let sql = "SELECT track_id FROM sparkify.tracks WHERE track_id >= $1 AND track_id < $2";
    spi::select_now(sql, &range, |row| {
        memory::add(&mut known, row.owned(0).into_bytes(), "ids of tracks");
    });
    let mut rows = 0..n;
    let mut next = || {
        rows.next()?;
        interrupt();
        or_raise(generator.make_room());
        Some(generator.next_track())
    };
    let mut tracks = std::iter::from_fn(|| {
        loop {
            let track = next()?;
            if !known.contains(track.track_id.as_bytes()) {
                return Some(track);
            }
        }
    });
    bulk::write_rows("tracks", &columns(), &mut |writer| match tracks.next() {
        Some(track) => {
            write_track(writer, &track);
            true
        }
        None => false,
    })
}

fn stored_track(row: &Row) -> Track {
    let text = |column| row.text(column).map(memory::owned);
    Track {
        track_id: text(0).unwrap_or_default(),
        track_name: text(1).unwrap_or_default(),
        artists: row.texts(2).unwrap_or_default(),
        album_name: text(3),
        genres: row.texts(4).unwrap_or_default(),
        primary_genre: text(5),
        explicit: row.bool(6),
        features: std::array::from_fn(|i| {
            let column = LEADING.len() + i;
            if FEATURES[i].integer { row.i32(column).map(f64::from) } else { row.f64(column) }
        }),
    }
}

/// Writes tracks whose ids do not stand there yet.
fn insert<'a>(mut tracks: impl Iterator<Item = &'a Track>) -> u64 {
    bulk::write_rows("tracks", &columns(), &mut |writer| match tracks.next() {
        Some(track) => {
            write_track(writer, track);
            true
        }
        None => false,
    })
}

fn write_track(writer: &mut RowWriter, track: &Track) {
    writer.text(&track.track_id);
    writer.text(&track.track_name);
    writer.texts(track.artists.iter());
    writer.optional(track.album_name.as_deref(), RowWriter::text);
    writer.texts(track.genres.iter());
    writer.optional(track.primary_genre.as_deref(), RowWriter::text);
    writer.optional(track.explicit, RowWriter::bool);
    for (value, feature) in track.features.iter().zip(&FEATURES) {
        if feature.integer {
            // Within its range, a whole number of 32 bits.
            writer.optional(value.map(|value| value as i32), RowWriter::i32);
        } else {
            writer.optional(*value, RowWriter::f64);
        }
    }
}

/// Overwrites tracks that stand there.
fn update(tracks: &[&Track]) {
    let columns = columns();
    let set: Vec<_> =
        columns[1..].iter().map(|column| format!("{column} = new.{column}")).collect();
    let types = LEADING
        .into_iter()
        .zip(["text", "text", "text[]", "text", "text[]", "text", "boolean"])
        .chain(FEATURES.iter().map(|feature| {
            (feature.name, if feature.integer { "integer" } else { "double precision" })
        }));
    let types: Vec<_> = types.map(|(column, kind)| format!("{column} {kind}")).collect();
    let sql = format!(
        "UPDATE sparkify.tracks SET {} FROM jsonb_to_recordset($1::jsonb) AS new({}) \
         WHERE tracks.track_id = new.track_id",
        set.join(", "),
        types.join(", ")
    );
    let rows: Vec<Value> = tracks.iter().map(|track| as_json(track)).collect();
    spi::execute(&sql, &[DatumWithOid::from(Value::Array(rows).to_string())]);
}

fn as_json(track: &Track) -> Value {
    let mut row = Map::new();
    let leading = [
        json!(track.track_id),
        json!(track.track_name),
        json!(track.artists),
        json!(track.album_name),
        json!(track.genres),
        json!(track.primary_genre),
        json!(track.explicit),
    ];
    row.extend(LEADING.map(str::to_owned).into_iter().zip(leading));
    for (value, feature) in track.features.iter().zip(&FEATURES) {
        let value = match value {
            Some(value) if feature.integer => json!(*value as i64),
            value => json!(value),
        };
        row.insert(feature.name.to_owned(), value);
    }
    Value::Object(row)
}
