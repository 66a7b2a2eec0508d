//! Genres by name: case-blind, and those that nobody knows are said.

use std::collections::HashSet;

use sparkify_core::rank::Index;

use super::spi;
use crate::interrupt::interrupt;
use crate::memory;
use crate::texts::Texts;

/// Names that a notice gives for one that is not known.
const NEAR: usize = 3;
/// How alike two names are that are near, from 0 to 1 by Jaro and Winkler.
const ALIKE: f64 = 0.75;
/// Names between two interrupt checks.
const CHUNK: usize = 1024;
/// Genres that are looked up in the index of the tracks. For more of them all tracks are
/// read: nothing stops the index while it compares names with the rows that it has not
/// sorted in yet.
const LOOKED_UP: usize = 16;

/// How the catalogue spells some genres. Says which are in no track.
pub fn spellings(asked: &Texts) -> Vec<String> {
    let mut open: HashSet<String> = HashSet::new();
    for (at, genre) in asked.iter().enumerate() {
        check(at);
        memory::add(&mut open, genre.to_lowercase(), "genres");
    }
    let mut spellings = Vec::new();
    // Nearly always a model knows them: its genres are few.
    select_known("SELECT DISTINCT genre FROM sparkify.genre_embeddings", |genre| {
        if open.contains(&genre.to_lowercase()) {
            memory::push(&mut spellings, memory::owned(genre), "genres");
        }
    });
    for (at, spelling) in spellings.iter().enumerate() {
        check(at);
        open.remove(&spelling.to_lowercase());
    }
    if open.is_empty() {
        return spellings;
    }
    let mut all = Texts::default();
    let mut known = HashSet::new();
    select_known(
        "SELECT DISTINCT genre FROM sparkify.tracks, pg_catalog.unnest(genres) AS genre",
        |genre| {
            all.push(genre);
            let lower = genre.to_lowercase();
            if open.contains(&lower) {
                memory::push(&mut spellings, memory::owned(genre), "genres");
                memory::add(&mut known, lower, "genres");
            }
        },
    );
    let mut unknown: HashSet<&str> = HashSet::new();
    for (at, genre) in asked.iter().enumerate() {
        check(at);
        let lower = genre.to_lowercase();
        if open.contains(&lower) && !known.contains(&lower) {
            memory::add(&mut unknown, genre, "genres");
        }
    }
    if let Some(first) = unknown.iter().min() {
        say(first, unknown.len(), &all);
    }
    spellings
}

fn check(at: usize) {
    if at.is_multiple_of(CHUNK) {
        interrupt();
    }
}

fn select_known(sql: &str, mut each: impl FnMut(&str)) {
    spi::select(sql, &[], |row| {
        if let Some(genre) = row.text(0) {
            each(genre);
        }
    });
}

/// A notice of genres that no track has: how many, the first, and what is near it.
fn say(first: &str, count: usize, all: &Texts) {
    let asked = first.to_lowercase();
    let mut near: Vec<(f64, &str)> = Vec::new();
    for (at, genre) in all.iter().enumerate() {
        check(at);
        let alike = strsim::jaro_winkler(&asked, &genre.to_lowercase());
        if alike <= ALIKE {
            continue;
        }
        let place = near.partition_point(|&(other, name)| {
            other.total_cmp(&alike).reverse().then(name.cmp(genre)).is_lt()
        });
        near.insert(place, (alike, genre));
        near.truncate(NEAR);
    }
    let near: Vec<String> = near.iter().map(|(_, genre)| format!("\"{genre}\"")).collect();
    let more = match count {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    match near.is_empty() {
        true => pgrx::notice!("no track has the genre \"{first}\"{more}"),
        false => pgrx::notice!(
            "no track has the genre \"{first}\"{more}; near it are {}",
            near.join(", ")
        ),
    }
}

/// Positions in the index of the tracks that have any of some genres now.
pub fn positions(index: &Index, genres: &[String]) -> Vec<u32> {
    let mut positions = Vec::new();
    if genres.is_empty() {
        return positions;
    }
    let mut add = |track_id: Option<&str>| {
        if let Some(position) = index.position(track_id.unwrap_or_default()) {
            memory::push(&mut positions, position, "tracks");
        }
    };
    if genres.len() <= LOOKED_UP {
        spi::select(
            "SELECT track_id FROM sparkify.tracks WHERE genres && $1",
            &[genres.to_vec().into()],
            |row| add(row.text(0)),
        );
        return positions;
    }
    let mut wanted = HashSet::new();
    for (at, genre) in genres.iter().enumerate() {
        check(at);
        memory::add(&mut wanted, genre.as_str(), "genres");
    }
    spi::select("SELECT track_id, genres FROM sparkify.tracks", &[], |row| {
        if row.any_text(1, |genre| wanted.contains(genre)) {
            add(row.text(0));
        }
    });
    positions
}
