//! The catalogue as plays look it up: by id, and by name and artist.
//!
//! Held in memory while a delivery is read: 60 bytes a track and 32 for each of its
//! artists. Ids and names are 128-bit hashes.

use std::collections::HashMap;

use pgrx::{PgSqlErrorCode, check_for_interrupts};
use sparkify_formats::song;
use xxhash_rust::xxh3::xxh3_128;

use super::spi;
use crate::error::raise;

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
                check_for_interrupts!();
                if let (Some(id), Some(name), Some(artists)) =
                    (row.text(0), row.text(1), row.texts(2))
                {
                    directory.add(id, name, &artists);
                }
            },
        );
        directory.names.sort_unstable();
        directory.names.dedup();
        directory
    }

    fn add(&mut self, id: &str, name: &str, artists: &[String]) {
        let room = self.ids.try_reserve(id.len()).is_ok()
            && self.offsets.try_reserve(1).is_ok()
            && self.by_id.try_reserve(1).is_ok()
            && self.names.try_reserve(artists.len()).is_ok()
            && self.primary.try_reserve(1).is_ok();
        let number = self.primary.len() as u32;
        self.ids.push_str(id);
        let (true, Ok(end)) = (room, u32::try_from(self.ids.len())) else {
            raise(
                PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
                format!("cannot hold more than {number} tracks in memory"),
                None,
            )
        };
        self.offsets.push(end);
        self.by_id.insert(xxh3_128(id.as_bytes()), number);
        let keys = song::name_keys(name, artists.iter().map(String::as_str));
        let before = self.names.len();
        self.names.extend(keys.map(|key| (key, number)));
        self.primary.push(self.names.get(before).map_or(0, |(key, _)| *key));
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
