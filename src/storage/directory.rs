//! The catalogue as plays look it up: by id, and by name and artist.
//!
//! Held in memory while a delivery is read: 60 bytes a track and 32 for each of its
//! artists. Ids and names are 128-bit hashes.

use std::collections::HashMap;

use pgrx::PgSqlErrorCode;
use sparkify_core::sorting;
use sparkify_formats::song;
use xxhash_rust::xxh3::xxh3_128;

use super::spi;
use crate::error::raise;
use crate::interrupt::interrupt;
use crate::memory;

/// What memory is asked for.
const WHAT: &str = "the tracks of the catalogue";

/// The catalogue's tracks by number, the most popular first.
pub struct Directory {
    /// All ids, one behind the other.
    ids: String,
    /// Where each track's id begins; one entry more than tracks.
    offsets: Vec<u32>,
    by_id: HashMap<u128, u32>,
    /// Tracks by the key of title and artist, by key and number.
    names: Vec<(u128, u32)>,
    /// The key of title and first artist of each track.
    primary: Vec<u128>,
}

impl Directory {
    /// Reads all tracks as they are now.
    pub fn read() -> Directory {
        let mut directory = Directory {
            ids: String::new(),
            offsets: vec![0],
            by_id: HashMap::new(),
            names: Vec::new(),
            primary: Vec::new(),
        };
        // The order makes the lesser number the more popular track.
        spi::select_now(
            "SELECT track_id, track_name, artists FROM sparkify.tracks \
             ORDER BY popularity DESC NULLS LAST, track_id",
            &[],
            |row| {
                interrupt();
                if let (Some(id), Some(name), Some(artists)) =
                    (row.text(0), row.text(1), row.texts(2))
                {
                    directory.add(id, name, &artists);
                }
            },
        );
        sorting::sort(&mut directory.names, &interrupt);
        directory.names.dedup();
        directory
    }

    fn add(&mut self, id: &str, name: &str, artists: &[String]) {
        let number = self.primary.len() as u32;
        memory::append(&mut self.ids, id, WHAT);
        let Ok(end) = u32::try_from(self.ids.len()) else {
            raise(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("cannot match plays with more than {number} tracks"),
                None,
            )
        };
        memory::push(&mut self.offsets, end, WHAT);
        memory::put(&mut self.by_id, xxh3_128(id.as_bytes()), number, WHAT);
        let keys = song::name_keys(name, artists.iter().map(String::as_str));
        let before = self.names.len();
        for key in keys {
            memory::push(&mut self.names, (key, number), WHAT);
        }
        let primary = self.names.get(before).map_or(0, |(key, _)| *key);
        memory::push(&mut self.primary, primary, WHAT);
    }

    /// A track's id.
    pub fn id(&self, number: u32) -> &str {
        let number = number as usize;
        &self.ids[self.offsets[number] as usize..self.offsets[number + 1] as usize]
    }

    /// The track of that id.
    pub fn find(&self, id: &str) -> Option<u32> {
        self.by_id.get(&xxh3_128(id.as_bytes())).copied()
    }

    /// The tracks of a title and artist, the most popular first.
    pub fn named(&self, key: u128) -> impl Iterator<Item = u32> + '_ {
        let start = self.names.partition_point(|(have, _)| *have < key);
        self.names[start..]
            .iter()
            .take_while(move |(have, _)| *have == key)
            .map(|(_, number)| *number)
    }

    /// The tracks of the same title and first artist as a track, itself among them.
    pub fn versions(&self, number: u32) -> impl Iterator<Item = u32> + '_ {
        self.named(self.primary[number as usize])
    }
}
