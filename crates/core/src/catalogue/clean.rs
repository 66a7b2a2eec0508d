//! Raw rows become tracks.
//!
//! Row by row: refuse what has no id, artists or name; drop exact duplicates;
//! parse every column, where a value that cannot be read or lies outside its
//! range becomes unknown. The rows of one id are merged: their genres are
//! united, everything else is the most popular row's. Where several are, the
//! first genre in byte order decides, then the most values known, then the
//! least [`row_hash`], so that the outcome never depends on the order of rows.
//! The primary genre is that row's; the first of all where it has none.
//!
//! A tempo, danceability, speechiness, valence and time signature that are all
//! zero are an analysis that failed, not a silent track: all five become unknown.
//!
//! Text is trimmed, and blank text is missing. Rows are duplicates when all
//! columns are equal before trimming; a 128-bit hash stands for a row, so that
//! memory holds the tracks and sixteen bytes for every distinct row and id, and the
//! cost is that of reading each row once.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_128;

use super::track::{EXPLICIT, FEATURES, RAW_COLUMNS, Track};
use crate::{Interrupt, Result, memory};

/// What memory is asked for.
const WHAT: &str = "raw rows and the tracks that come of them";

/// One raw row, in the order of [`RAW_COLUMNS`]; `None` and the empty text are the same.
pub type RawTrack<'a> = [Option<&'a str>; RAW_COLUMNS.len()];

const TRACK_ID: usize = 0;
const ARTISTS: usize = 1;
const ALBUM_NAME: usize = 2;
const TRACK_NAME: usize = 3;
const GENRE: usize = 19;

/// Where in [`RAW_COLUMNS`] each of [`FEATURES`] stands.
const FEATURE_COLUMNS: [usize; FEATURES.len()] =
    [4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];
const EXPLICIT_COLUMN: usize = 6;

/// The features that an analysis that failed leaves at zero.
pub(super) const ANALYSIS: [usize; 5] = [2, 7, 11, 12, 13];

/// A row that cannot become a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The number the row came with.
    pub row_index: Option<String>,
    /// The row as it came.
    pub row: Vec<Option<String>>,
    /// What it lacks.
    pub reason: String,
}

/// The catalogue that came of the rows, and what was done to them.
///
/// `read = refused + exact_duplicates + merged + tracks.len()`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleaned {
    /// The tracks, by id in byte order.
    pub tracks: Vec<Track>,
    /// The rows refused, each distinct one once, in the order of arrival.
    pub refusals: Vec<Refusal>,
    /// Rows read.
    pub read: u64,
    /// Rows refused.
    pub refused: u64,
    /// Rows dropped because an equal one had been read.
    pub exact_duplicates: u64,
    /// Rows merged into another one of the same id.
    pub merged: u64,
    /// Tracks whose analysis failed.
    pub failed_analyses: u64,
    /// By column, the tracks whose value was there but could not be kept, those
    /// of a failed analysis included.
    pub repaired: Vec<(&'static str, u64)>,
}

/// What the rows of one id have come to so far.
struct Merged {
    track: Track,
    hash: u128,
    /// A bit for each of FEATURES, then one for explicit.
    repaired: u16,
    failed: bool,
}

impl Merged {
    fn into_track(self) -> Track {
        let mut track = self.track;
        if track.primary_genre.is_none() {
            track.primary_genre = track.genres.first().cloned();
        }
        track
    }
}

/// Takes rows one by one, in any order, and gives the catalogue.
#[derive(Default)]
pub struct Cleaner {
    tracks: Vec<Merged>,
    /// Where in `tracks` the id of that hash stands.
    places: HashMap<u128, usize>,
    seen: HashSet<u128>,
    refused: HashSet<u128>,
    refusals: Vec<Refusal>,
    read: u64,
    rows_refused: u64,
    /// The row being hashed.
    bytes: Vec<u8>,
}

/// The hash that stands for a row: equal for rows whose columns are all equal.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] for a row that is too long.
pub fn row_hash(row: &RawTrack) -> Result<u128> {
    hash_into(row, &mut Vec::with_capacity(512))
}

fn hash_into(row: &RawTrack, bytes: &mut Vec<u8>) -> Result<u128> {
    bytes.clear();
    for value in row {
        let value = value.unwrap_or_default();
        memory::reserve(bytes, value.len().saturating_add(8), WHAT)?;
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    Ok(xxh3_128(bytes))
}

impl Cleaner {
    /// A cleaner that has read nothing.
    #[must_use]
    pub fn new() -> Cleaner {
        Cleaner::default()
    }

    /// Reads a row. Its index, if it came with one, is kept where the row is refused
    /// and plays no part otherwise.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where there is no room for another row.
    pub fn push(&mut self, row: &RawTrack, row_index: Option<&str>) -> Result<()> {
        self.read += 1;
        let hash = hash_into(row, &mut self.bytes)?;
        let text = |column: usize| row[column].map(str::trim).filter(|text| !text.is_empty());
        let artists = text(ARTISTS).filter(|artists| split_artists(artists).next().is_some());
        let (Some(track_id), Some(artists), Some(track_name)) =
            (text(TRACK_ID), artists, text(TRACK_NAME))
        else {
            self.rows_refused += 1;
            if memory::add(&mut self.refused, hash, WHAT)? {
                let needed = [
                    ("track_id", text(TRACK_ID)),
                    ("artists", artists),
                    ("track_name", text(TRACK_NAME)),
                ];
                let lacking: Vec<_> = needed
                    .iter()
                    .filter(|(_, value)| value.is_none())
                    .map(|(name, _)| *name)
                    .collect();
                let refusal = Refusal {
                    row_index: owned(row_index)?,
                    row: row.iter().map(|value| owned(*value)).collect::<Result<_>>()?,
                    reason: format!("no {}", lacking.join(", no ")),
                };
                memory::push(&mut self.refusals, refusal, WHAT)?;
            }
            return Ok(());
        };
        if !memory::add(&mut self.seen, hash, WHAT)? {
            return Ok(());
        }
        memory::reserve_in(&mut self.places, WHAT)?;
        memory::reserve(&mut self.tracks, 1, WHAT)?;
        let genre = text(GENRE);
        let values = Values::parse(row);
        let fill = |genres| Merged {
            track: Track {
                track_id: track_id.to_owned(),
                track_name: track_name.to_owned(),
                artists: split_artists(artists).map(str::to_owned).collect(),
                album_name: text(ALBUM_NAME).map(str::to_owned),
                genres,
                primary_genre: genre.map(str::to_owned),
                explicit: values.explicit,
                features: values.features,
            },
            hash,
            repaired: values.repaired,
            failed: values.failed,
        };
        let place = *self.places.entry(xxh3_128(track_id.as_bytes())).or_insert(self.tracks.len());
        match self.tracks.get_mut(place) {
            None => {
                self.tracks.push(fill(genre.map(str::to_owned).into_iter().collect()));
            }
            Some(kept) => {
                let mut genres = std::mem::take(&mut kept.track.genres);
                if let Some(genre) = genre
                    && let Err(at) = genres.binary_search_by(|have| have.as_str().cmp(genre))
                {
                    genres.insert(at, genre.to_owned());
                }
                if precedes(&values, genre, hash, kept) {
                    *kept = fill(genres);
                } else {
                    kept.track.genres = genres;
                }
            }
        }
        Ok(())
    }

    /// The catalogue of the rows read.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where there is no room to sort the tracks.
    pub fn finish(self, interrupt: Interrupt) -> Result<Cleaned> {
        let merged = self.tracks;
        let columns = FEATURES.iter().map(|feature| feature.name).chain([EXPLICIT]);
        let repaired = columns
            .enumerate()
            .map(|(bit, name)| {
                (name, merged.iter().filter(|m| m.repaired & (1 << bit) != 0).count() as u64)
            })
            .collect();
        let distinct = self.seen.len() as u64;
        Ok(Cleaned {
            read: self.read,
            refused: self.rows_refused,
            exact_duplicates: self.read - self.rows_refused - distinct,
            merged: distinct - merged.len() as u64,
            failed_analyses: merged.iter().filter(|m| m.failed).count() as u64,
            repaired,
            refusals: self.refusals,
            tracks: in_order(merged, interrupt)?,
        })
    }
}

/// The tracks by id. Places are sorted, since tracks are large to move about,
/// with the first bytes of the ids beside them, since the rest lies far away.
fn in_order(merged: Vec<Merged>, interrupt: Interrupt) -> Result<Vec<Track>> {
    interrupt();
    let tracks = merged.into_iter().map(|merged| Some(merged.into_track()));
    let mut tracks: Vec<Option<Track>> = memory::collected(tracks, WHAT)?;
    interrupt();
    let id = |place: usize| tracks[place].as_ref().map(|track| track.track_id.as_bytes());
    let places = (0..tracks.len()).map(|place| {
        let first = id(place).into_iter().flatten().take(16).enumerate();
        (first.fold(0, |key, (i, byte)| key | u128::from(*byte) << (120 - 8 * i)), place)
    });
    let mut places: Vec<(u128, usize)> = memory::collected(places, WHAT)?;
    interrupt();
    places.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| id(a.1).cmp(&id(b.1))));
    interrupt();
    memory::collected(places.into_iter().filter_map(|(_, place)| tracks[place].take()), WHAT)
}

fn owned(text: Option<&str>) -> Result<Option<String>> {
    text.map(|text| memory::owned(text, WHAT)).transpose()
}

/// Whether a row is to be kept rather than the one kept so far.
fn precedes(values: &Values, genre: Option<&str>, hash: u128, kept: &Merged) -> bool {
    let known = |explicit: Option<bool>, features: &[Option<f64>]| {
        usize::from(explicit.is_some()) + features.iter().flatten().count()
    };
    let popularity = |features: &[Option<f64>]| features[0].unwrap_or(-1.0);
    let track = &kept.track;
    // A missing genre comes last.
    let by_genre = match (genre, track.primary_genre.as_deref()) {
        (Some(new), Some(old)) => old.cmp(new),
        (new, old) => new.is_some().cmp(&old.is_some()),
    };
    popularity(&values.features)
        .total_cmp(&popularity(&track.features))
        .then(by_genre)
        .then_with(|| {
            known(values.explicit, &values.features).cmp(&known(track.explicit, &track.features))
        })
        .then(kept.hash.cmp(&hash))
        .is_gt()
}

/// The artists of a credit: separated by semicolons, trimmed, none blank.
fn split_artists(credit: &str) -> impl Iterator<Item = &str> {
    credit.split(';').map(str::trim).filter(|artist| !artist.is_empty())
}

/// The parsed columns of a row.
struct Values {
    features: [Option<f64>; FEATURES.len()],
    explicit: Option<bool>,
    repaired: u16,
    failed: bool,
}

impl Values {
    fn parse(row: &RawTrack) -> Values {
        let mut values =
            Values { features: [None; FEATURES.len()], explicit: None, repaired: 0, failed: false };
        let mut zeros: u16 = 0;
        for (i, feature) in FEATURES.iter().enumerate() {
            let text = row[FEATURE_COLUMNS[i]].map_or("", str::trim);
            if text.is_empty() {
                continue;
            }
            let number = text.parse::<f64>().ok();
            if number == Some(0.0) {
                zeros |= 1 << i;
            }
            let inside = |number: &f64| {
                (feature.lowest..=feature.highest).contains(number)
                    && !(feature.integer && number.fract() != 0.0)
            };
            // Adding zero makes one zero of the two.
            values.features[i] = number.filter(inside).map(|number| number + 0.0);
            if values.features[i].is_none() {
                values.repaired |= 1 << i;
            }
        }
        values.failed = ANALYSIS.iter().all(|i| zeros & (1 << i) != 0);
        if values.failed {
            for i in ANALYSIS {
                values.features[i] = None;
                values.repaired |= 1 << i;
            }
        }
        let explicit = row[EXPLICIT_COLUMN].map_or("", str::trim);
        values.explicit = parse_bool(explicit);
        if values.explicit.is_none() && !explicit.is_empty() {
            values.repaired |= 1 << FEATURES.len();
        }
        values
    }
}

/// Python's, PostgreSQL's and C's ways of writing a boolean.
fn parse_bool(text: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match (is(["true", "t", "1"]), is(["false", "f", "0"])) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;
