//! Ranking the whole catalogue for users whose later plays are known.
//!
//! New plays and all plays are told apart: for the first, what a user had to do
//! with before is neither listed nor relevant; for the second everything can be
//! listed, and every track played later is relevant.

use sparkify_core::{Interrupt, Result, workers};

use crate::cut::mixed;
use crate::dense::products;
use crate::interactions::zeros;
use crate::metrics::{Catalogue, Evaluation, Measure};
use crate::neighbours::{Additions, recency};
use crate::{Entry, Interactions, Model, Signal};

/// Users whose scores a thread holds at a time.
const USERS: usize = 8;

/// What ranks.
#[derive(Clone, Copy)]
pub enum Ranker<'a> {
    /// A trained model.
    Model(&'a Model),
    /// Unit vectors of the tracks, `(tracks, dims)` in rows: the cosine with the sum
    /// of those of what was played, by weight.
    Content(&'a [f32], usize),
    /// The number of listeners.
    Popularity(&'a [u32]),
    /// A number drawn for each user and track.
    Chance(u64),
}

/// What was known of users, and what they played afterwards.
#[derive(Clone, Copy)]
pub struct Later<'a> {
    /// Plays before the cut.
    pub known: &'a Interactions,
    /// Users to be ranked for.
    pub users: &'a [u32],
    /// What each user of all played after the cut, ascending.
    pub played: &'a [Vec<u32>],
}

/// A user, and the best tracks with and without what the user had played before.
type UserLists = (u32, Vec<u32>, Vec<u32>);

/// The measures of lists of `k` tracks, of new plays and of all plays.
///
/// # Errors
/// [`sparkify_core::Error::OutOfMemory`].
pub fn evaluate(
    ranker: Ranker,
    later: Later,
    catalogue: &Catalogue,
    k: usize,
    threads: usize,
    interrupt: Interrupt,
) -> Result<[Vec<Measure>; 2]> {
    let tracks = catalogue.listeners.len();
    let mut evaluations = [Evaluation::new(k, tracks)?, Evaluation::new(k, tracks)?];
    let mut groups = later.users.chunks(USERS);
    let work = |group: &[u32], go_on: &dyn Fn() -> bool| {
        let mut scores: Vec<f32> = match zeros(group.len() * tracks, "scores") {
            Ok(scores) => scores,
            Err(error) => return Some(Err(error)),
        };
        match ranker.score(later.known, group, &mut scores, tracks, go_on)? {
            Ok(()) => (),
            Err(error) => return Some(Err(error)),
        }
        let mut lists = Vec::with_capacity(group.len());
        for (&user, scores) in group.iter().zip(scores.chunks_exact_mut(tracks.max(1))) {
            if !go_on() {
                return None;
            }
            let all = best(scores, k);
            for play in later.known.plays_of(user as usize) {
                scores[play.track as usize] = f32::NEG_INFINITY;
            }
            lists.push((user, best(scores, k), all));
        }
        Some(Ok(lists))
    };
    let mut failed = None;
    let take = |lists: Result<Vec<UserLists>>| match lists {
        Ok(lists) => {
            for (user, new, all) in lists {
                let played = &later.played[user as usize];
                let before: Vec<u32> =
                    later.known.plays_of(user as usize).map(|play| play.track).collect();
                let unheard: Vec<u32> =
                    played.iter().copied().filter(|t| before.binary_search(t).is_err()).collect();
                if !unheard.is_empty() {
                    evaluations[0].add(&new, &unheard, catalogue);
                }
                if !played.is_empty() {
                    evaluations[1].add(&all, played, catalogue);
                }
            }
        }
        Err(error) => failed = failed.take().or(Some(error)),
    };
    workers::in_order(threads, || groups.next(), work, take, interrupt);
    match failed {
        Some(error) => Err(error),
        None => Ok(evaluations.map(|evaluation| evaluation.measures())),
    }
}

impl Ranker<'_> {
    /// Scores of all tracks for the users of a group: `(users, tracks)` in rows.
    fn score(
        self,
        known: &Interactions,
        group: &[u32],
        scores: &mut [f32],
        tracks: usize,
        go_on: &dyn Fn() -> bool,
    ) -> Option<Result<()>> {
        match self {
            Ranker::Popularity(listeners) => {
                for scores in scores.chunks_exact_mut(tracks.max(1)) {
                    for (score, &heard) in scores.iter_mut().zip(listeners) {
                        *score = heard as f32;
                    }
                }
            }
            Ranker::Chance(seed) => {
                for (&user, scores) in group.iter().zip(scores.chunks_exact_mut(tracks.max(1))) {
                    for (track, score) in scores.iter_mut().enumerate() {
                        let drawn = mixed(seed ^ mixed(u64::from(user) << 32 | track as u64));
                        *score = (drawn >> 40) as f32;
                    }
                }
            }
            Ranker::Content(vectors, dims) => {
                let mut users = Vec::with_capacity(group.len() * dims);
                for &user in group {
                    let mut sum = vec![0.0f64; dims];
                    for play in known.plays_of(user as usize) {
                        let at = play.track as usize * dims;
                        let weight = f64::from(play.weight);
                        if play.signal == Signal::Played {
                            for (sum, &x) in sum.iter_mut().zip(&vectors[at..at + dims]) {
                                *sum += weight * f64::from(x);
                            }
                        }
                    }
                    users.extend(sum.into_iter().map(|x| x as f32));
                }
                products(vectors, dims, &users, scores, go_on)?;
            }
            Ranker::Model(model) => {
                let dims = model.state.fold_in.dims();
                let mut users = Vec::with_capacity(group.len() * dims);
                for &user in group {
                    let entries: Vec<Entry> = known
                        .plays_of(user as usize)
                        .map(|play| Entry {
                            output: model.output(play.track),
                            listeners: model.listeners[play.track as usize],
                            weight: f64::from(play.weight),
                            signal: play.signal,
                        })
                        .collect();
                    let x = model.state.fold_in.fold_in(&entries);
                    let rms = model.state.root_mean_square(&x);
                    let scale = if rms > 0.0 { rms.recip() } else { 0.0 };
                    users.extend(x.into_iter().map(|x| (x * scale) as f32));
                }
                products(&model.outputs, dims, &users, scores, go_on)?;
                if let Err(error) = model.add_neighbours(known, group, scores, tracks) {
                    return Some(Err(error));
                }
            }
        }
        Some(Ok(()))
    }
}

impl Model {
    fn output(&self, track: u32) -> &[f32] {
        let dims = self.state.fold_in.dims();
        &self.outputs[track as usize * dims..(track as usize + 1) * dims]
    }

    fn add_neighbours(
        &self,
        known: &Interactions,
        group: &[u32],
        scores: &mut [f32],
        tracks: usize,
    ) -> Result<()> {
        let mut additions = Additions::new(tracks)?;
        for (&user, scores) in group.iter().zip(scores.chunks_exact_mut(tracks.max(1))) {
            additions.clear();
            if self.state.neighbour_weight > 0.0 {
                for (track, at) in recency(known.plays_of(user as usize), known.timed()) {
                    additions.add(&self.neighbours, track, at);
                }
            }
            let weight = self.state.neighbour_weight * additions.per_rms();
            for &track in additions.tracks() {
                scores[track as usize] += (weight * additions.of(track)) as f32;
            }
            if self.cold.is_none() {
                // Nothing is known of tracks without listeners.
                for (score, &heard) in scores.iter_mut().zip(&self.listeners) {
                    if heard == 0 {
                        *score = f32::NEG_INFINITY;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The `k` greatest, the greatest first; of equal ones the lower track.
fn best(scores: &[f32], k: usize) -> Vec<u32> {
    let mut kept = crate::choose::greatest(scores, k);
    let order =
        |&a: &u32, &b: &u32| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b));
    kept.sort_unstable_by(order);
    kept.truncate(k);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Play, train};

    fn play(track: u32) -> Play {
        Play { track, weight: 1.0, signal: Signal::Played, first: track, last: track }
    }

    /// Users of even number hear even tracks, others odd ones, each all but two.
    fn checkerboard() -> (Interactions, Vec<Vec<u32>>) {
        let (mut data, mut later) = (Interactions::new(20, true).unwrap(), Vec::new());
        for user in 0..40u32 {
            let own = |track: &u32| track % 2 == user % 2;
            let held = [(user + 6) % 20, (user + 12) % 20];
            let known = (0..20).filter(|track| own(track) && !held.contains(track));
            data.push(&mut known.map(play).collect::<Vec<_>>()).unwrap();
            let mut after = vec![held[0], held[1], user % 20];
            after.sort_unstable();
            later.push(after);
        }
        (data, later)
    }

    fn value(measures: &[Measure], metric: &str) -> f64 {
        measures.iter().find(|measure| measure.metric == metric).map_or(f64::NAN, |m| m.value)
    }

    #[test]
    fn on_a_checkerboard_all_but_chance_and_popularity_find_what_was_held_out() {
        let (data, later) = checkerboard();
        let options = Options { dims: 6, neighbour_weight: Some(0.2), ..Options::default() };
        let model = train(&data, None, &options, &|| ()).unwrap();
        let colours: Vec<f32> = (0..20).flat_map(|t| [[1.0, 0.0], [0.0, 1.0]][t % 2]).collect();
        let users: Vec<u32> = (0..40).collect();
        let listeners = data.listeners(&|| ()).unwrap();
        let catalogue = Catalogue { listeners: &listeners, users: 40, vectors: &colours, dims: 2 };
        let later = Later { known: &data, users: &users, played: &later };
        let of = |ranker| evaluate(ranker, later, &catalogue, 2, 2, &|| ()).unwrap();
        for ranker in [Ranker::Model(&model), Ranker::Content(&colours, 2)] {
            let [new, all] = of(ranker);
            assert_eq!(value(&new, "recall"), 1.0);
            assert_eq!(value(&new, "ndcg"), 1.0);
            assert_eq!(value(&new, "diversity"), 0.0);
            // Three are relevant, and two can be listed.
            assert!(value(&all, "recall") <= 2.0 / 3.0);
        }
        for ranker in [Ranker::Popularity(&listeners), Ranker::Chance(1)] {
            let [new, _] = of(ranker);
            assert!(value(&new, "recall") < 0.5, "{new:?}");
        }
        assert_eq!(of(Ranker::Chance(1)), of(Ranker::Chance(1)));
        assert_ne!(of(Ranker::Chance(1)), of(Ranker::Chance(2)));
    }

    #[test]
    fn what_was_played_before_is_listed_only_where_all_plays_count() {
        let mut data = Interactions::new(3, false).unwrap();
        data.push(&mut [play(0)]).unwrap();
        data.push(&mut [play(0), play(1)]).unwrap();
        let listeners = data.listeners(&|| ()).unwrap();
        let catalogue = Catalogue { listeners: &listeners, users: 2, vectors: &[], dims: 0 };
        let played = [vec![0, 2], vec![0]];
        let later = Later { known: &data, users: &[0, 1], played: &played };
        let popular = Ranker::Popularity(&listeners);
        let [new, all] = evaluate(popular, later, &catalogue, 2, 1, &|| ()).unwrap();
        // The first user alone has a new play: track 2, listed behind track 1.
        assert_eq!((new[0].users, all[0].users), (1, 2));
        assert_eq!(value(&new, "mrr"), 0.5);
        assert_eq!(value(&all, "mrr"), 1.0);
        assert_eq!(value(&new, "new_tracks"), 0.5);
    }
}
