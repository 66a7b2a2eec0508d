//! A user of a model, ready to be ranked: the half-step over what the user heard, the
//! factor that brings scores of factors to a root mean square of 1, and what neighbours
//! of the tracks heard add.
//!
//! `score = x·o / rms(x·O) + w · Σ_j r_j W_ji / rms(Σ_j r_j W_j)`, the root mean squares
//! over all tracks of the model, `r` the [recency](crate::neighbours::recency) of a track.

use std::cmp::Reverse;

use sparkify_core::Result;
pub use sparkify_core::listening::Heard;
use sparkify_core::rank::{Boosts, Index};

use crate::neighbours::fading;
use crate::{Entry, Signal, State};

/// Tracks whose neighbours are asked for ahead of their use.
const AHEAD: usize = 4;

/// A user in the space of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// Factors, (dims).
    pub vector: Vec<f32>,
    /// What dot products are multiplied by.
    pub scale: f64,
    /// What is added to scores, by ascending position.
    pub boosts: Vec<(u32, f64)>,
}

/// Folds users in, one after the other in the same memory.
pub struct Folding<'a> {
    index: &'a Index<'a>,
    state: &'a State,
    boosts: Option<Boosts>,
}

impl<'a> Folding<'a> {
    /// For the users of a model. Its tracks and its state must be of the same dims.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn new(index: &'a Index<'a>, state: &'a State) -> Result<Self> {
        Self::within(index, state, None)
    }

    /// As [`new`](Self::new), in memory that [`into_memory`](Self::into_memory) gave,
    /// where that suits.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn within(index: &'a Index<'a>, state: &'a State, memory: Option<Boosts>) -> Result<Self> {
        let boosts = match state.neighbour_weight > 0.0 && index.has_neighbours() {
            false => None,
            true => Some(match memory.filter(|memory| memory.suit(index)) {
                Some(memory) => memory,
                None => Boosts::new(index)?,
            }),
        };
        Ok(Self { index, state, boosts })
    }

    /// The memory, to be used again.
    pub fn into_memory(self) -> Option<Boosts> {
        self.boosts
    }

    /// What brings the dot products with a vector, (dims), to a root mean square of 1; 1
    /// where they are all 0.
    pub fn scale(&self, vector: &[f32]) -> f64 {
        let x: Vec<f64> = vector.iter().map(|&x| f64::from(x)).collect();
        let rms = self.state.root_mean_square(&x);
        if rms.is_normal() { rms.recip() } else { 1.0 }
    }

    /// A user who heard these tracks, each once; `None` where nothing speaks for any
    /// track, or the model cannot say anything about those that were heard.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn fold(&mut self, heard: &[Heard]) -> Result<Option<Folded>> {
        if heard.iter().all(|heard| heard.signal != Signal::Played) {
            return Ok(None);
        }
        let entries = entries(self.index, heard);
        let x = self.state.fold_in.fold_in(&entries);
        let vector: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let rms = self.state.root_mean_square(&x);
        let mut folded = Folded { vector, scale: 1.0, boosts: Vec::new() };
        if rms.is_normal() {
            folded.scale = rms.recip();
        } else {
            folded.vector.fill(0.0);
        }
        if let Some(boosts) = &mut self.boosts {
            let recency = recency(heard);
            for (at, &(position, factor)) in recency.iter().enumerate() {
                if let Some(&(later, _)) = recency.get(at + AHEAD) {
                    self.index.prefetch_neighbours(later);
                }
                boosts.add(self.index, position, factor);
            }
            let rms = boosts.take(&mut folded.boosts)?;
            let factor = self.state.neighbour_weight / rms;
            for (_, boost) in &mut folded.boosts {
                *boost *= factor;
            }
        }
        let known = !folded.boosts.is_empty() || folded.vector.iter().any(|&x| x != 0.0);
        Ok(known.then_some(folded))
    }
}

fn entries<'a>(index: &Index<'a>, heard: &[Heard]) -> Vec<Entry<'a>> {
    let entry = |heard: &Heard| Entry {
        output: index.vector(heard.track),
        listeners: index.listeners(heard.track).unwrap_or(0),
        weight: heard.weight,
        signal: heard.signal,
    };
    heard.iter().map(entry).collect()
}

/// The tracks that speak for their neighbours, the last one first, and how much: as in
/// [`neighbours::recency`](crate::neighbours::recency).
fn recency(heard: &[Heard]) -> Vec<(u32, f64)> {
    let mut played: Vec<&Heard> =
        heard.iter().filter(|heard| heard.signal == Signal::Played).collect();
    played.sort_unstable_by_key(|heard| (Reverse(heard.last), heard.track));
    let weights = fading(played.iter().map(|heard| heard.last), true);
    played.iter().map(|heard| heard.track).zip(weights).collect()
}

/// What each track heard carries of the score of the track at `position`, in the order
/// of `heard`: the score, but for rounding to float32, is their sum.
///
/// The part of the factors is linear in the targets of the entries: with `B` and `r` as
/// in the half-step, entry j carries `r_j · B_jᵀ (I + BBᵀ)⁻¹ D^(−½) o` (Hu, Koren,
/// Volinsky 2008, section 5).
///
/// # Errors
/// [`sparkify_core::Error::OutOfMemory`].
pub fn explain(index: &Index, state: &State, heard: &[Heard], position: u32) -> Result<Vec<f64>> {
    let entries = entries(index, heard);
    let x = state.fold_in.fold_in(&entries);
    let rms = state.root_mean_square(&x);
    let mut parts = state.fold_in.parts(&entries, index.vector(position));
    for part in &mut parts {
        *part = if rms.is_normal() { *part / rms } else { 0.0 };
    }
    if state.neighbour_weight > 0.0 && index.has_neighbours() {
        let mut boosts = Boosts::new(index)?;
        let recency = recency(heard);
        for &(position, factor) in &recency {
            boosts.add(index, position, factor);
        }
        let rms = boosts.take(&mut Vec::new())?;
        for (heard, part) in heard.iter().zip(&mut parts) {
            let Some(&(_, factor)) = recency.iter().find(|(at, _)| *at == heard.track) else {
                continue;
            };
            let (positions, weights) = index.neighbours(heard.track);
            let own = positions.iter().zip(weights).filter(|&(&at, _)| at == position);
            let weight: f64 = own.map(|(_, &weight)| f64::from(weight)).sum();
            if weight > 0.0 {
                *part += state.neighbour_weight * factor * weight / rms;
            }
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use sparkify_core::rank::{AlignedBytes, IndexBuilder, Learned, Metric, Query, score, top_n};

    use super::*;
    use crate::{Interactions, Options, Play, train};

    const TRACKS: u32 = 12;

    /// A checkerboard: users of even tracks and users of odd ones, each without one.
    fn model() -> (AlignedBytes, State) {
        let mut data = Interactions::new(TRACKS as usize, true).unwrap();
        for user in 0..40u32 {
            let own = (0..TRACKS).filter(|track| track % 2 == user % 2 && *track != user % TRACKS);
            let mut plays: Vec<Play> = own
                .map(|track| Play {
                    track,
                    weight: 1.0,
                    signal: Signal::Played,
                    first: track,
                    last: track,
                })
                .collect();
            data.push(&mut plays).unwrap();
        }
        let options = Options { dims: 2, neighbour_weight: Some(0.3), ..Options::default() };
        let model = train(&data, None, &options, &|| ()).unwrap();
        let mut builder = IndexBuilder::new(model.state.fold_in.dims()).unwrap();
        for (track, vector) in model.outputs.chunks_exact(model.state.fold_in.dims()).enumerate() {
            builder.push(&format!("{track:02}"), vector, track as u128, None).unwrap();
        }
        let learned = Learned {
            metric: Metric::Dot,
            listeners: model.listeners,
            neighbour_ends: model.neighbours.offsets.iter().map(|&end| end as u64).collect(),
            neighbour_positions: model.neighbours.targets,
            neighbour_weights: model.neighbours.weights,
            state: model.state.to_words(),
            ..Learned::default()
        };
        builder.learned(learned).unwrap();
        (builder.finish(0, &|| ()).unwrap(), model.state)
    }

    fn heard(position: u32, signal: Signal) -> Heard {
        let last = position.into();
        let weight = 1.0 + f64::from(position % 3);
        Heard { track: position, weight, signal, first: last, last }
    }

    fn query<'a>(folded: &'a Folded, exclude: &'a [u32]) -> Query<'a> {
        let Folded { vector, scale, boosts } = folded;
        let n = TRACKS as usize;
        Query { vector, scale: *scale, boosts, exclude, n, ..Query::default() }
    }

    #[test]
    fn who_heard_even_tracks_is_given_the_others() {
        let (image, state) = model();
        let index = Index::open(&image).unwrap();
        assert_eq!(State::from_words(index.state()).unwrap(), state);
        let mut folding = Folding::new(&index, &state).unwrap();
        for side in [0, 1, 0] {
            let own = [side, side + 2, side + 6].map(|at| heard(at, Signal::Played));
            let folded = folding.fold(&own).unwrap().unwrap();
            let rows = top_n(&index, &query(&folded, &[side, side + 2, side + 6]), &|| ()).unwrap();
            let mut best: Vec<u32> = rows[..3].iter().map(|row| row.position).collect();
            best.sort_unstable();
            assert_eq!(best, [side + 4, side + 8, side + 10]);
        }
    }

    #[test]
    fn nothing_that_speaks_for_a_track_is_no_user() {
        let (image, state) = model();
        let index = Index::open(&image).unwrap();
        let mut folding = Folding::new(&index, &state).unwrap();
        assert_eq!(folding.fold(&[]).unwrap(), None);
        assert_eq!(folding.fold(&[heard(1, Signal::Disliked)]).unwrap(), None);
    }

    #[test]
    fn a_dislike_takes_from_its_side() {
        let (image, state) = model();
        let index = Index::open(&image).unwrap();
        let mut folding = Folding::new(&index, &state).unwrap();
        let played = [heard(0, Signal::Played), heard(1, Signal::Played)];
        let without = folding.fold(&played).unwrap().unwrap();
        let disliked = [played[0], played[1], heard(3, Signal::Disliked)];
        let with = folding.fold(&disliked).unwrap().unwrap();
        let of = |folded, at| score(&index, at, &query(folded, &[])).unwrap();
        assert!(of(&with, 5) - of(&with, 4) < of(&without, 5) - of(&without, 4) - 1e-3);
    }

    #[test]
    fn the_parts_of_a_score_are_the_score() {
        let (image, state) = model();
        let index = Index::open(&image).unwrap();
        let mut folding = Folding::new(&index, &state).unwrap();
        // Fewer entries than dims, and more.
        for own in [
            vec![heard(2, Signal::Played)],
            vec![heard(2, Signal::Played), heard(7, Signal::Skipped)],
            (0..9)
                .map(|at| heard(at, [Signal::Played, Signal::Disliked][at as usize % 2]))
                .collect(),
        ] {
            let folded = folding.fold(&own).unwrap().unwrap();
            for position in 0..TRACKS {
                let parts = explain(&index, &state, &own, position).unwrap();
                assert_eq!(parts.len(), own.len());
                let score = score(&index, position, &query(&folded, &[])).unwrap();
                assert!((parts.iter().sum::<f64>() - score).abs() < 1e-5, "{parts:?} {score}");
            }
        }
    }
}
