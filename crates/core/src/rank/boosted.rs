//! Tracks whose scores are added to: they are looked at before the others.
//!
//! An addition is never negative, so that what these tracks reach is a cutoff for all
//! others, whose scores are the metric's alone.

use super::search::{Boosted, Scratch, Search, TILE};
use super::{Metric, Ranked};
use crate::Result;

/// Room for the rounding of an estimate.
const ROUNDING: f64 = 1e-12;

/// Takes in the best of the tracks whose scores are added to.
pub fn look_at(search: &mut Search, scratch: &mut Scratch) -> Result<()> {
    let mut tracks = std::mem::take(&mut scratch.boosted);
    tracks.clear();
    super::reserve(&mut tracks, search.boosts.len())?;
    for &(position, boost) in search.boosts {
        let row = search.index.row_of(position);
        let candidate = search.candidates.as_ref().is_none_or(|rows| rows.contains(row));
        if candidate && !search.exclude.contains(position) {
            tracks.push((row, boost));
        }
    }
    // Those with most to add give a cutoff that few of the others reach.
    let best = 2 * search.top.n() + 6;
    let mut first = 0;
    if best < tracks.len() {
        tracks.select_nth_unstable_by(best, |a, b| b.1.total_cmp(&a.1));
        first = best;
    }
    score(search, scratch, &tracks[..first]);
    let mut rest = tracks.split_off(first);
    let mut estimates = std::mem::take(&mut scratch.spare);
    for rest in rest.chunks_mut(TILE) {
        let count = estimate(search, scratch, rest, &mut estimates);
        let rest = &mut rest[..count];
        let mut done = 0;
        if count > 2 * best {
            scratch.bounds[..count].copy_from_slice(&estimates[..count]);
            let bounds = &mut scratch.bounds[..count];
            let (_, &mut least, _) = bounds.select_nth_unstable_by(best, |a, b| b.total_cmp(a));
            for at in 0..count {
                if estimates[at] > least {
                    rest.swap(done, at);
                    estimates.swap(done, at);
                    done += 1;
                }
            }
            score(search, scratch, &rest[..done]);
        }
        let cutoff = cutoff(search);
        let mut kept = done;
        for at in done..count {
            rest[kept] = rest[at];
            kept += usize::from(estimates[at] >= cutoff);
        }
        score(search, scratch, &rest[done..kept]);
    }
    search.boosted = Boosted::Done;
    scratch.spare = estimates;
    tracks.append(&mut rest);
    scratch.boosted = tracks;
    Ok(())
}

/// The score that a track must reach, by an estimate.
fn cutoff(search: &Search) -> f64 {
    let cutoff = search.top.cutoff().unwrap_or(f64::NEG_INFINITY);
    cutoff - cutoff.abs().min(f64::MAX) * ROUNDING
}

/// Keeps the tracks that may reach the cutoff and writes how far they reach at most to
/// `estimates`; returns how many.
fn estimate(
    search: &Search,
    scratch: &mut Scratch,
    tracks: &mut [(u32, f64)],
    estimates: &mut [f64],
) -> usize {
    let cutoff = cutoff(search);
    let scoring = search.scoring;
    let per_bound = match scoring.metric {
        Metric::Cosine => scoring.scale,
        Metric::Dot => scoring.scale * scoring.norm,
    };
    // By their lengths first, of which 8 bytes a track are read.
    let mut near = 0;
    for at in 0..tracks.len() {
        let (row, boost) = tracks[at];
        let length = match scoring.metric {
            Metric::Cosine => 1.0,
            Metric::Dot => search.index.norms()[row as usize],
        };
        estimates[near] = per_bound * length * (1.0 + ROUNDING) + boost;
        tracks[near] = tracks[at];
        near += usize::from(estimates[near] >= cutoff);
    }
    for (out, &(row, _)) in scratch.rows.iter_mut().zip(&tracks[..near]) {
        *out = row;
    }
    if !search.fine_bounds(&scratch.rows[..near], &mut scratch.bounds) {
        return near;
    }
    let mut kept = 0;
    for at in 0..near {
        estimates[kept] = per_bound * scratch.bounds[at] + tracks[at].1;
        tracks[kept] = tracks[at];
        kept += usize::from(estimates[kept] >= cutoff);
    }
    kept
}

/// Scores tracks and takes in the best.
fn score(search: &mut Search, scratch: &mut Scratch, tracks: &[(u32, f64)]) {
    let count = tracks.len();
    for (out, &(row, _)) in scratch.rows.iter_mut().zip(tracks) {
        *out = row;
    }
    search.dots(&scratch.rows[..count], &mut scratch.dots);
    for (&(row, boost), &dot) in tracks.iter().zip(&scratch.dots) {
        let unboosted = search.scoring.unboosted(dot, search.index.norms()[row as usize]);
        let position = search.index.position_of(row);
        search.take(Ranked { position, score: unboosted + boost });
    }
    search.raise();
}
