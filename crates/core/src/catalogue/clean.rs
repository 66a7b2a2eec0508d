//! Raw rows become tracks.
//!
//! Row by row: refuse what has no id, artists or name, what repeats the header, and
//! an id that a spreadsheet has rounded; drop exact duplicates; parse every column,
//! where a value that cannot be read or lies outside its range becomes unknown. Of
//! the rows of one id those of the newest delivery count, as a whole: what it leaves
//! out becomes unknown, too. They are merged: their genres are united, everything
//! else is the most popular row's. Where several are, the
//! first genre in byte order decides, then the most values known, then the
//! least [`row_hash`], so that the outcome never depends on the order of rows.
//! The primary genre is that row's; the first of all where it has none.
//!
//! A tempo, danceability, speechiness, valence and time signature that are all
//! zero are an analysis that failed, not a silent track: all five become unknown.
//!
//! Values are read as `sparkify_formats::value` does. Rows are duplicates when they
//! are of one delivery and all columns are equal before trimming; a 128-bit hash stands for a row, so that
//! memory holds the tracks and sixteen bytes for every distinct row and id, and the
//! cost is that of reading each row once.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use sparkify_formats::header::{TRACK_COLUMNS, find};
use sparkify_formats::value;
use xxhash_rust::xxh3::xxh3_128;

use super::track::{EXPLICIT, FEATURES, RAW_COLUMNS, Track};
use crate::{Interrupt, Result, memory, sorting};

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

/// What divides artists, and genres, where they are no list.
const ARTIST_DIVIDERS: [char; 1] = [';'];
const GENRE_DIVIDERS: [char; 3] = [';', ',', '|'];

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
/// `read = refused + exact_duplicates + superseded + merged + tracks.len()`.
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
    /// Rows of ids that a newer delivery holds.
    pub superseded: u64,
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
    delivery: i64,
    /// How many distinct rows.
    rows: u64,
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
    superseded: u64,
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

    /// Reads a row of a delivery; newer deliveries have greater numbers. Its index, if it
    /// came with one, is kept where the row is refused and plays no part otherwise.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where there is no room for another row.
    pub fn push(&mut self, row: &RawTrack, row_index: Option<&str>, delivery: i64) -> Result<()> {
        self.read += 1;
        let hash = hash_into(row, &mut self.bytes)?;
        let text = |column: usize| row[column].and_then(value::present);
        let artists = text(ARTISTS).map(|artists| value::list(artists, &ARTIST_DIVIDERS));
        let artists = artists.unwrap_or_default();
        let genres = text(GENRE).map(|genres| value::list(genres, &GENRE_DIVIDERS));
        let genres = genres.unwrap_or_default();
        let fault = || {
            fault(text(TRACK_ID), text(TRACK_NAME))
                .or_else(|| too_long(text(TRACK_ID)?, &artists, &genres))
        };
        let (Some(track_id), false, Some(track_name), None) =
            (text(TRACK_ID), artists.is_empty(), text(TRACK_NAME), fault())
        else {
            self.rows_refused += 1;
            if memory::add(&mut self.refused, hash, WHAT)? {
                let needed = [
                    ("track_id", text(TRACK_ID).is_none()),
                    ("artists", artists.is_empty()),
                    ("track_name", text(TRACK_NAME).is_none()),
                ];
                let lacking: Vec<_> =
                    needed.iter().filter(|(_, lacks)| *lacks).map(|(name, _)| *name).collect();
                let reason = fault();
                let refusal = Refusal {
                    row_index: owned(row_index)?,
                    row: row.iter().map(|value| owned(*value)).collect::<Result<_>>()?,
                    reason: reason.unwrap_or_else(|| format!("no {}", lacking.join(", no "))),
                };
                memory::push(&mut self.refusals, refusal, WHAT)?;
            }
            return Ok(());
        };
        let track_id = value::track_id(track_id).unwrap_or(track_id);
        // The same row in another delivery is another row.
        let in_delivery =
            u128::from(delivery as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        if !memory::add(&mut self.seen, hash ^ in_delivery, WHAT)? {
            return Ok(());
        }
        memory::reserve_in(&mut self.places, WHAT)?;
        memory::reserve(&mut self.tracks, 1, WHAT)?;
        let genre = genres.first().map(AsRef::as_ref);
        let values = Values::parse(row);
        let fill = |genres, rows| Merged {
            track: Track {
                track_id: track_id.to_owned(),
                track_name: track_name.to_owned(),
                artists: artists.iter().map(|artist| artist.clone().into_owned()).collect(),
                album_name: text(ALBUM_NAME).map(str::to_owned),
                genres,
                primary_genre: genre.map(str::to_owned),
                explicit: values.explicit,
                features: values.features,
            },
            delivery,
            rows,
            hash,
            repaired: values.repaired,
            failed: values.failed,
        };
        let place = *self.places.entry(xxh3_128(track_id.as_bytes())).or_insert(self.tracks.len());
        match self.tracks.get_mut(place) {
            None => self.tracks.push(fill(unite(Vec::new(), &genres), 1)),
            Some(kept) if delivery > kept.delivery => {
                self.superseded += kept.rows;
                *kept = fill(unite(Vec::new(), &genres), 1);
            }
            Some(kept) if delivery < kept.delivery => self.superseded += 1,
            Some(kept) => {
                let united = unite(std::mem::take(&mut kept.track.genres), &genres);
                if precedes(&values, genre, hash, kept) {
                    *kept = fill(united, kept.rows + 1);
                } else {
                    kept.track.genres = united;
                    kept.rows += 1;
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
            superseded: self.superseded,
            merged: distinct - self.superseded - merged.len() as u64,
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
    sorting::sort_by(&mut places, interrupt, |a, b| {
        a.0.cmp(&b.0).then_with(|| id(a.1).cmp(&id(b.1)))
    });
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

/// Why a row that has an id and a name is none of a track.
fn fault(track_id: Option<&str>, track_name: Option<&str>) -> Option<String> {
    let track_id = track_id?;
    let names = |text: Option<&str>, column: usize| {
        text.and_then(|text| find(text, &TRACK_COLUMNS)).is_some_and(|(found, _)| found == column)
    };
    if names(Some(track_id), TRACK_ID) && names(track_name, TRACK_NAME) {
        return Some("the header again".to_owned());
    }
    if value::is_rounded_number(track_id) {
        return Some(format!("track_id {track_id} is a number that a spreadsheet has rounded"));
    }
    match value::track_id(track_id) {
        Some(_) => None,
        None => Some(format!(
            "track_id {} is not that of a track",
            track_id.chars().take(60).collect::<String>()
        )),
    }
}

/// Bytes of an id or a genre: what an index takes, with room to spare.
const LONGEST: usize = 512;
/// Bytes of an artist's name.
const LONGEST_ARTIST: usize = 1024;
/// Artists, or genres, of a row.
const MOST: usize = 1000;

/// What of a row is too long, or too much, to be stored.
fn too_long(track_id: &str, artists: &[Cow<str>], genres: &[Cow<str>]) -> Option<String> {
    let longest = |texts: &[Cow<str>]| texts.iter().map(|text| text.len()).max().unwrap_or(0);
    if track_id.len() > LONGEST {
        Some(format!("track_id is longer than {LONGEST} bytes"))
    } else if longest(genres) > LONGEST {
        Some(format!("a genre is longer than {LONGEST} bytes"))
    } else if longest(artists) > LONGEST_ARTIST {
        Some(format!("an artist is longer than {LONGEST_ARTIST} bytes"))
    } else if artists.len() > MOST || genres.len() > MOST {
        Some(format!("there are more than {MOST} artists or genres"))
    } else {
        None
    }
}

/// Genres in byte order, each once.
fn unite(mut genres: Vec<String>, more: &[Cow<str>]) -> Vec<String> {
    for genre in more {
        if let Err(at) = genres.binary_search_by(|have| have.as_str().cmp(genre)) {
            genres.insert(at, genre.clone().into_owned());
        }
    }
    genres
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
            let Some(text) = row[FEATURE_COLUMNS[i]].and_then(value::present) else { continue };
            let number = match feature.name {
                "key" => value::key(text),
                "mode" => value::mode(text),
                "time_signature" => value::time_signature(text),
                _ => value::number(text),
            };
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
        let explicit = row[EXPLICIT_COLUMN].and_then(value::present);
        values.explicit = explicit.and_then(value::boolean);
        if values.explicit.is_none() && explicit.is_some() {
            values.repaired |= 1 << FEATURES.len();
        }
        values
    }
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;
