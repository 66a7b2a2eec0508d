//! Genres by name: case-blind, and those that nobody knows are said.

use std::collections::HashSet;

use sparkify_core::rank::Index;

use super::spi;
use crate::memory;

/// Names that a notice gives for one that is not known.
const NEAR: usize = 3;
/// How alike two names are that are near, from 0 to 1 by Jaro and Winkler.
const ALIKE: f64 = 0.75;

/// How the catalogue spells some genres. Says which are in no track.
pub fn spellings(asked: &[String]) -> Vec<String> {
    let mut open: HashSet<String> = HashSet::new();
    for genre in asked {
        memory::add(&mut open, genre.to_lowercase(), "genres");
    }
    let mut spellings = Vec::new();
    // Nearly always a model knows them: its genres are few.
    select_known("SELECT DISTINCT genre FROM sparkify.genre_embeddings", |genre| {
        if open.contains(&genre.to_lowercase()) {
            memory::push(&mut spellings, memory::owned(genre), "genres");
        }
    });
    for spelling in &spellings {
        open.remove(&spelling.to_lowercase());
    }
    if open.is_empty() {
        return spellings;
    }
    let mut all = Vec::new();
    select_known(
        "SELECT DISTINCT genre FROM sparkify.tracks, pg_catalog.unnest(genres) AS genre",
        |genre| memory::push(&mut all, memory::owned(genre), "genres"),
    );
    let mut known = HashSet::new();
    for genre in &all {
        let lower = genre.to_lowercase();
        if open.contains(&lower) {
            memory::push(&mut spellings, memory::owned(genre), "genres");
            memory::add(&mut known, lower, "genres");
        }
    }
    let mut unknown: Vec<&String> =
        asked.iter().filter(|genre| open.contains(&genre.to_lowercase())).collect();
    unknown.retain(|genre| !known.contains(&genre.to_lowercase()));
    unknown.sort_unstable();
    unknown.dedup();
    say(&unknown, &all);
    spellings
}

fn select_known(sql: &str, mut each: impl FnMut(&str)) {
    spi::select(sql, &[], |row| {
        if let Some(genre) = row.text(0) {
            each(genre);
        }
    });
}

fn say(unknown: &[&String], all: &[String]) {
    let Some(first) = unknown.first() else { return };
    let mut near: Vec<(f64, &String)> = all
        .iter()
        .map(|genre| (strsim::jaro_winkler(&first.to_lowercase(), &genre.to_lowercase()), genre))
        .filter(|&(alike, _)| alike > ALIKE)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let near: Vec<String> = near.iter().take(NEAR).map(|(_, g)| format!("\"{g}\"")).collect();
    let more = match unknown.len() {
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
    spi::select(
        "SELECT track_id FROM sparkify.tracks WHERE genres && $1",
        &[genres.to_vec().into()],
        |row| {
            if let Some(position) = index.position(row.text(0).unwrap_or_default()) {
                memory::push(&mut positions, position, "tracks");
            }
        },
    );
    positions
}
