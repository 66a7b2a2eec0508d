//! Options that the plays choose themselves, on a cut of them.
//!
//! The ridge, the exponent f of what is scored and the weight of the neighbours
//! depend on how dense the plays are and on how much of them the charts are.
//! Every combination ranks the whole catalogue for the same users, and the one
//! with the best NDCG is taken.

use sparkify_core::{Interrupt, Result, workers};

use crate::cut::Cut;
use crate::dense::products;
use crate::factors::Factors;
use crate::fold_in::{Entry, FoldIn};
use crate::interactions::zeros;
use crate::metrics::{Mean, accuracy};
use crate::model::Options;
use crate::neighbours::{Additions, Neighbours, recency};

/// Users whose scores a thread holds at a time.
const USERS: usize = 16;

/// What one combination of options reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Ridge, in units of the start's last singular value.
    pub ridge: f64,
    /// Exponent f.
    pub output_exponent: f64,
    /// Weight of the neighbours.
    pub neighbour_weight: f64,
    /// NDCG at k.
    pub ndcg: Mean,
    /// Recall at k.
    pub recall: Mean,
}

/// What is tried.
pub(crate) struct Grid<'a> {
    pub output_exponents: &'a [f64],
    pub neighbour_weights: &'a [f64],
}

/// A model of the plays before the cut, to be tried on those after it.
pub(crate) struct Validation<'a> {
    pub cut: &'a Cut,
    pub users: &'a [usize],
    pub listeners: &'a [u32],
    /// As they are: the exponent f comes in when they are scored.
    pub factors: &'a Factors,
    pub fold_in: &'a FoldIn,
    pub neighbours: &'a Neighbours,
}

impl Validation<'_> {
    /// Ranks for the users with every combination of the grid.
    pub fn trials(
        &self,
        grid: &Grid,
        options: &Options,
        interrupt: Interrupt,
    ) -> Result<Vec<Trial>> {
        let Self { cut, users, listeners, fold_in, neighbours, .. } = *self;
        let tracks = listeners.len();
        let scales: Vec<Vec<f32>> = grid
            .output_exponents
            .iter()
            .map(|f| {
                let exponent = f * fold_in.listener_exponent;
                listeners.iter().map(|&d| f64::from(d.max(1)).powf(exponent) as f32).collect()
            })
            .collect();
        let mut trials: Vec<Trial> = Vec::new();
        for &output_exponent in grid.output_exponents {
            for &neighbour_weight in grid.neighbour_weights {
                let (ndcg, recall) = (Mean::default(), Mean::default());
                trials.push(Trial {
                    ridge: options.factors.ridge,
                    output_exponent,
                    neighbour_weight,
                    ndcg,
                    recall,
                });
            }
        }
        let mut groups = users.chunks(USERS);
        let work = |group: &[usize], go_on: &dyn Fn() -> bool| {
            let scores = match self.base_scores(group, go_on)? {
                Ok(scores) => scores,
                Err(error) => return Some(Err(error)),
            };
            let mut additions = match Additions::new(tracks) {
                Ok(additions) => additions,
                Err(error) => return Some(Err(error)),
            };
            let mut reached = Vec::new();
            for (&user, base) in group.iter().zip(scores.chunks_exact(tracks)) {
                additions.clear();
                let timed = cut.known.timed();
                for (play, at) in recency(cut.known.plays_of(user), timed) {
                    additions.add(neighbours, play, at);
                }
                for scale in &scales {
                    if !go_on() {
                        return None;
                    }
                    let lists = Scored::new(base, scale, cut, user, options.k, &additions);
                    for &weight in grid.neighbour_weights {
                        let list = lists.best(weight, &additions, options.k);
                        let accuracy = accuracy(&list, cut.held_out(user), options.k);
                        reached.push((accuracy.ndcg, accuracy.recall));
                    }
                }
            }
            Some(Ok(reached))
        };
        let mut failed = None;
        let take = |reached: Result<Vec<(f64, f64)>>| match reached {
            Ok(reached) => {
                for of_user in reached.chunks_exact(trials.len()) {
                    for (trial, &(ndcg, recall)) in trials.iter_mut().zip(of_user) {
                        trial.ndcg.add(ndcg);
                        trial.recall.add(recall);
                    }
                }
            }
            Err(error) => failed = failed.take().or(Some(error)),
        };
        workers::in_order(options.threads, || groups.next(), work, take, interrupt);
        failed.map_or(Ok(trials), Err)
    }

    /// `x · v` of all tracks for each user of a group: `(users, tracks)` in rows.
    fn base_scores(&self, group: &[usize], go_on: &dyn Fn() -> bool) -> Option<Result<Vec<f32>>> {
        let Self { cut, listeners, factors, fold_in, .. } = *self;
        let (tracks, dims) = (listeners.len(), factors.dims());
        let mut scores: Vec<f32> = match zeros(group.len() * tracks, "scores") {
            Ok(scores) => scores,
            Err(error) => return Some(Err(error)),
        };
        let mut vectors = Vec::with_capacity(group.len() * dims);
        for &user in group {
            let entries: Vec<Entry> = cut
                .known
                .plays_of(user)
                .map(|play| Entry {
                    output: factors.row(play.track as usize),
                    listeners: listeners[play.track as usize],
                    weight: f64::from(play.weight),
                    signal: play.signal,
                })
                .collect();
            vectors.extend(fold_in.fold_in(&entries).into_iter().map(|x| x as f32));
        }
        products(&factors.tracks.values, dims, &vectors, &mut scores, go_on)?;
        Some(Ok(scores))
    }
}

/// The tracks that can come into a user's list, scored without neighbours.
struct Scored {
    /// Score and track; what was played is not there.
    scored: Vec<(f64, u32)>,
}

impl Scored {
    fn new(
        base: &[f32],
        scale: &[f32],
        cut: &Cut,
        user: usize,
        k: usize,
        additions: &Additions,
    ) -> Self {
        let mut scores: Vec<f32> = base.iter().zip(scale).map(|(x, s)| x * s).collect();
        let squares: f64 = scores.iter().map(|&s| f64::from(s).powi(2)).sum();
        let rms = (squares / scores.len().max(1) as f64).sqrt();
        let per_rms = if rms > 0.0 { rms.recip() } else { 0.0 };
        for play in cut.known.plays_of(user) {
            scores[play.track as usize] = f32::NEG_INFINITY;
        }
        let mut chosen: Vec<u32> = additions.tracks().to_vec();
        chosen.extend(greatest(&scores, k));
        chosen.sort_unstable();
        chosen.dedup();
        let scored = chosen
            .into_iter()
            .map(|track| (f64::from(scores[track as usize]) * per_rms, track))
            .filter(|(score, _)| score.is_finite())
            .collect();
        Self { scored }
    }

    fn best(&self, weight: f64, additions: &Additions, k: usize) -> Vec<u32> {
        let scale = weight * additions.per_rms();
        let mut scored: Vec<(f64, u32)> = self
            .scored
            .iter()
            .map(|&(score, track)| (score + scale * additions.of(track), track))
            .collect();
        let order = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if scored.len() > k && k > 0 {
            scored.select_nth_unstable_by(k - 1, order);
            scored.truncate(k);
        }
        scored.sort_unstable_by(order);
        scored.into_iter().map(|(_, track)| track).collect()
    }
}

/// The `k` greatest in no order, and perhaps some more.
pub(crate) fn greatest(scores: &[f32], k: usize) -> Vec<u32> {
    let room = 4 * k.max(16);
    let mut kept: Vec<(f32, u32)> = Vec::with_capacity(room);
    let mut least = f32::NEG_INFINITY;
    for (track, &score) in scores.iter().enumerate() {
        if score > least {
            kept.push((score, track as u32));
            if kept.len() == room {
                kept.select_nth_unstable_by(k, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                kept.truncate(k + 1);
                least = kept[k].0;
            }
        }
    }
    kept.into_iter().map(|(_, track)| track).collect()
}
