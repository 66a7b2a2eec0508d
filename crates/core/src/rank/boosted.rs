//! Tracks whose scores are added to: they are looked at before the others.
//!
//! An addition is never negative, so that what these tracks reach is a cutoff for all
//! others, whose scores are the metric's alone. Those with most to add give a first
//! cutoff; what lengths, then close bounds say of the others decides nearly all of them.

use super::filter::Set;
use super::search::{Scratch, Search, TILE};
use super::{Metric, Ranked};
use crate::Result;

/// Room for the rounding of an estimate.
const ROUNDING: f64 = 1e-12;
/// One addition in so many is looked at to find what a large one is.
const SAMPLED: usize = 8;
/// Tracks scored for a first cutoff at most, in multiples of those wanted.
const MOST_LEADERS: usize = 4;

/// Room for the tracks whose scores are added to.
#[derive(Default)]
pub struct Room {
    rows: Vec<u32>,
    boosts: Vec<f64>,
    /// How far each may reach: minus infinity where it is out.
    limits: Vec<f64>,
}

impl Room {
    fn clear(&mut self, len: usize) -> Result<()> {
        self.rows.clear();
        self.boosts.clear();
        self.limits.clear();
        super::reserve(&mut self.rows, len)?;
        super::reserve(&mut self.boosts, len)?;
        super::reserve(&mut self.limits, len)
    }

    /// Those of `from` on that may reach `cutoff` come first; returns where they end.
    fn keep(&mut self, range: std::ops::Range<usize>, cutoff: f64) -> usize {
        let mut kept = range.start;
        for at in range {
            let limit = self.limits[at];
            self.rows[kept] = self.rows[at];
            self.boosts[kept] = self.boosts[at];
            self.limits[kept] = limit;
            kept += usize::from(limit >= cutoff);
        }
        kept
    }

    /// Moves those above `least` to the front of a range, `most` of them at most; returns
    /// where they end.
    fn lead(
        &mut self,
        range: std::ops::Range<usize>,
        most: usize,
        above: impl Fn(&Self, usize) -> bool,
    ) -> usize {
        let mut lead = range.start;
        for at in range.clone() {
            if above(self, at) {
                self.rows.swap(lead, at);
                self.boosts.swap(lead, at);
                self.limits.swap(lead, at);
                lead += 1;
                if lead - range.start >= most {
                    break;
                }
            }
        }
        lead
    }
}

/// Takes in the best of the tracks whose scores are added to.
pub fn look_at(search: &mut Search, scratch: &mut Scratch, boosts: &[(u32, f64)]) -> Result<()> {
    let mut room = std::mem::take(&mut scratch.boosted);
    let looked = look(search, scratch, boosts, &mut room);
    scratch.boosted = room;
    looked
}

fn look(
    search: &mut Search,
    scratch: &mut Scratch,
    boosts: &[(u32, f64)],
    room: &mut Room,
) -> Result<()> {
    fill(search, boosts, room)?;
    let wanted = 2 * search.top.n() + 6;
    let large = large(room, wanted);
    let most = TILE.min(MOST_LEADERS * wanted);
    let leaders = room.lead(0..room.rows.len(), most, |room, at| {
        room.boosts[at] >= large && room.limits[at] > f64::NEG_INFINITY
    });
    score(search, scratch, room, 0..leaders);
    let end = room.keep(leaders..room.rows.len(), cutoff(search));
    for first in (leaders..end).step_by(TILE) {
        let mut end = end.min(first + TILE);
        let mut done = first;
        if refine(search, scratch, room, first..end) {
            end = room.keep(first..end, cutoff(search));
            if end - first > 2 * wanted {
                let limits = &mut scratch.spare[..end - first];
                limits.copy_from_slice(&room.limits[first..end]);
                let (_, &mut least, _) =
                    limits.select_nth_unstable_by(wanted, |a, b| b.total_cmp(a));
                done = room.lead(first..end, usize::MAX, |room, at| room.limits[at] > least);
                score(search, scratch, room, first..done);
                end = room.keep(done..end, cutoff(search));
            }
        }
        score(search, scratch, room, done..end);
    }
    Ok(())
}

/// The tracks that may appear, how far they reach by their lengths.
fn fill(search: &Search, boosts: &[(u32, f64)], room: &mut Room) -> Result<()> {
    room.clear(boosts.len())?;
    let (index, norms) = (search.index, search.index.norms());
    let per_length = per_bound(search) * (1.0 + ROUNDING);
    room.rows.extend(boosts.iter().map(|&(position, _)| index.row_of(position)));
    room.boosts.extend(boosts.iter().map(|&(_, boost)| boost));
    match search.scoring.metric {
        Metric::Cosine => room.limits.extend(room.boosts.iter().map(|boost| per_length + boost)),
        Metric::Dot => {
            let limit = |(&row, &boost): (&u32, &f64)| per_length * norms[row as usize] + boost;
            room.limits.extend(room.rows.iter().zip(&room.boosts).map(limit));
        }
    }
    let mut out = |at: usize| room.limits[at] = f64::NEG_INFINITY;
    match &search.exclude {
        // What a user heard has most to add to what else the user heard.
        Set::Sorted(excluded) => {
            for position in excluded {
                if let Ok(at) = boosts.binary_search_by_key(position, |&(position, _)| position) {
                    out(at);
                }
            }
        }
        excluded => {
            (0..boosts.len()).filter(|&at| excluded.contains(boosts[at].0)).for_each(&mut out)
        }
    }
    if let Some(candidates) = &search.candidates {
        (0..boosts.len()).filter(|&at| !candidates.contains(room.rows[at])).for_each(&mut out);
    }
    Ok(())
}

/// What about `wanted` of the additions reach.
fn large(room: &Room, wanted: usize) -> f64 {
    let len = room.boosts.len();
    let mut sample = [0.0; 1024];
    let step = SAMPLED.max(len.div_ceil(sample.len()));
    let mut count = 0;
    for at in (0..len).step_by(step) {
        sample[count] = room.boosts[at];
        count += usize::from(room.limits[at] > f64::NEG_INFINITY);
    }
    if count <= wanted / step {
        return 0.0;
    }
    *sample[..count].select_nth_unstable_by(wanted / step, |a, b| b.total_cmp(a)).1
}

/// What a bound of the metric is multiplied by to be one of the score.
fn per_bound(search: &Search) -> f64 {
    match search.scoring.metric {
        Metric::Cosine => search.scoring.scale,
        Metric::Dot => search.scoring.scale * search.scoring.norm,
    }
}

/// The score that a track must reach, by an estimate.
fn cutoff(search: &Search) -> f64 {
    // A track that is out has a limit below any.
    let cutoff = search.top.cutoff().unwrap_or(f64::MIN);
    (cutoff - cutoff.abs() * ROUNDING).max(f64::MIN)
}

/// Closer limits of a range of the tracks, where there are any; as many as a tile at most.
fn refine(
    search: &Search,
    scratch: &mut Scratch,
    room: &mut Room,
    range: std::ops::Range<usize>,
) -> bool {
    let bounds = &mut scratch.bounds[..range.len()];
    if !search.fine_bounds(&room.rows[range.clone()], bounds) {
        return false;
    }
    let per_bound = per_bound(search);
    let known = room.limits[range.clone()].iter_mut().zip(&room.boosts[range]);
    for ((limit, boost), bound) in known.zip(bounds) {
        *limit = per_bound * *bound + boost;
    }
    true
}

/// Scores a range of the tracks and takes in the best; as many as a tile at most.
fn score(search: &mut Search, scratch: &mut Scratch, room: &Room, range: std::ops::Range<usize>) {
    let (rows, boosts) = (&room.rows[range.clone()], &room.boosts[range]);
    search.dots(rows, &mut scratch.dots);
    for ((&row, boost), &dot) in rows.iter().zip(boosts).zip(&scratch.dots) {
        let unboosted = search.scoring.unboosted(dot, search.index.norms()[row as usize]);
        let position = search.index.position_of(row);
        search.take(Ranked { position, score: unboosted + boost });
    }
    search.raise();
}
