//! Vectors and recommendations of many users, stored.

use std::collections::HashMap;

use pgrx::prelude::*;
use sparkify_core::popularity::Popularity;
use sparkify_core::rank::{self, Index, Query, Ranked};

use super::interrupt;
use super::listener::{self, History, Listener, Strategy};
use super::progress::Progress;
use crate::error::{in_range, or_raise, required};
use crate::storage::catalogue_index;
use crate::storage::listeners::{self, Declared, StoredPlay};
use crate::storage::models::{self, Lock, Model};
use crate::storage::serving::{self, RecommendationRow, VectorRow};

/// Users worked on at a time: what bounds the memory.
const CHUNK: usize = 4096;

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn build_user_vectors(model_id: default!(Option<i64>, "NULL")) -> i64 {
    models::in_turn(Lock::Refresh, || build_vectors(model_id)) as i64
}

fn build_vectors(model_id: Option<i64>) -> u64 {
    let model = models::resolve(model_id);
    let packed = catalogue_index::load(&model);
    let index = packed.index();
    let mut batch = Batch::new(&model, &index);
    let mut progress = Progress::new("build_user_vectors", listeners::count_users());
    serving::delete_vectors(model.model_id, None);
    let mut written = 0;
    let mut after = String::new();
    while let Some(users) = next_users(&mut after) {
        written += store_vectors(model.model_id, &users, &batch.listeners(&users, Span::Range));
        progress.advance(users.len());
    }
    batch.note_future();
    written
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn refresh_recommendations(
    n: default!(Option<i32>, 10),
    model_id: default!(Option<i64>, "NULL"),
    force: default!(Option<bool>, false),
    threads: default!(Option<i32>, 2),
) -> i64 {
    let n = in_range(required(n, "n").into(), 1, 1000, "n") as i32;
    let force = required(force, "force");
    let threads = in_range(required(threads, "threads").into(), 1, 256, "threads") as usize;
    models::in_turn(Lock::Refresh, || refresh(n, model_id, force, threads)) as i64
}

fn refresh(n: i32, model_id: Option<i64>, force: bool, threads: usize) -> u64 {
    let model = models::resolve(model_id);
    if force || model.recommended != Some(n) {
        return refresh_all(&model, n, threads);
    }
    // Notes are taken before events are read: a change committed in between is
    // seen now and noted for the next refresh.
    let changed = if model.active { listeners::take_changed() } else { listeners::changed() };
    if changed.is_empty() {
        return 0;
    }
    if model.active {
        models::forget_recommended_of_others(model.model_id);
    }
    refresh_some(&model, n, threads, &changed)
}

fn refresh_all(model: &Model, n: i32, threads: usize) -> u64 {
    if model.active && listeners::forget_changes() > 0 {
        models::forget_recommended_of_others(model.model_id);
    }
    let packed = catalogue_index::load(model);
    let index = packed.index();
    let mut batch = Batch::new(model, &index);
    let mut progress = Progress::new("refresh_recommendations", listeners::count_users());
    serving::delete_vectors(model.model_id, None);
    serving::delete_recommendations(model.model_id, None);
    let mut written = 0;
    let mut after = String::new();
    while let Some(users) = next_users(&mut after) {
        let listeners = batch.listeners(&users, Span::Range);
        store_vectors(model.model_id, &users, &listeners);
        written += batch.store_recommendations(&users, &listeners, n as usize, threads);
        progress.advance(users.len());
    }
    models::set_recommended(model.model_id, n);
    batch.note_future();
    written
}

fn refresh_some(model: &Model, n: i32, threads: usize, changed: &[String]) -> u64 {
    let packed = catalogue_index::load(model);
    let index = packed.index();
    let mut batch = Batch::new(model, &index);
    let mut progress = Progress::new("refresh_recommendations", changed.len());
    let mut written = 0;
    for ids in changed.chunks(CHUNK) {
        serving::delete_vectors(model.model_id, Some(ids));
        serving::delete_recommendations(model.model_id, Some(ids));
        let users = listeners::users_of(ids);
        let listeners = batch.listeners(&users, Span::Listed);
        store_vectors(model.model_id, &users, &listeners);
        written += batch.store_recommendations(&users, &listeners, n as usize, threads);
        progress.advance(ids.len());
    }
    batch.note_future();
    written
}

/// The next users in byte order, after the last of those before.
fn next_users(after: &mut String) -> Option<Vec<(String, Declared)>> {
    let users = listeners::users_after(after, CHUNK as i64);
    after.clone_from(&users.last()?.0);
    Some(users)
}

fn store_vectors(model_id: i64, users: &[(String, Declared)], listeners: &[Listener]) -> u64 {
    serving::write_vectors(
        model_id,
        users.iter().zip(listeners).map(|((user_id, _), listener)| VectorRow {
            user_id,
            vector: &listener.vector,
            strategy: listener.strategy.name(),
        }),
    )
}

/// How the plays of a chunk of users are found.
enum Span {
    /// All users between the first and the last.
    Range,
    /// Only the users listed.
    Listed,
}

/// What a run over many users shares.
struct Batch<'a> {
    model: &'a Model,
    index: &'a Index<'a>,
    centroids: HashMap<String, Vec<f32>>,
    /// Tracks deleted since the model was built.
    deleted: Vec<u32>,
    popularity: Option<Popularity>,
    now: i64,
    future: Vec<String>,
}

impl<'a> Batch<'a> {
    fn new(model: &'a Model, index: &'a Index<'a>) -> Batch<'a> {
        Batch {
            model,
            index,
            centroids: models::genre_embeddings(model.model_id, None),
            deleted: serving::deleted_positions(index),
            popularity: None,
            now: listener::now(),
            future: Vec::new(),
        }
    }

    /// The listeners of a chunk of users, in their order, which is byte order.
    fn listeners(&mut self, users: &[(String, Declared)], span: Span) -> Vec<Listener> {
        let (Some(first), Some(last)) = (users.first(), users.last()) else { return Vec::new() };
        let mut listeners = Vec::with_capacity(users.len());
        let mut history = History::default();
        // Plays come by user in the same order: everyone before a play's user is complete.
        let take = |play: StoredPlay| {
            while users.get(listeners.len()).is_some_and(|user| user.0.as_str() < play.user_id) {
                self.complete(users, &mut listeners, &mut history);
            }
            if users.get(listeners.len()).is_some_and(|user| user.0 == play.user_id) {
                history.add(&play, self.now);
            }
        };
        match span {
            Span::Range => listeners::plays_between(&first.0, &last.0, take),
            Span::Listed => {
                let ids: Vec<String> = users.iter().map(|user| user.0.clone()).collect();
                listeners::plays_of_all(&ids, take);
            }
        }
        while listeners.len() < users.len() {
            self.complete(users, &mut listeners, &mut history);
        }
        listeners
    }

    fn complete(
        &mut self,
        users: &[(String, Declared)],
        listeners: &mut Vec<Listener>,
        history: &mut History,
    ) {
        let (user_id, declared) = &users[listeners.len()];
        let history = std::mem::take(history);
        if history.future {
            self.future.push(user_id.clone());
        }
        let centroid = |genre: &str| self.centroids.get(genre).cloned();
        let half_life = self.model.half_life_days;
        listeners.push(history.into_listener(self.index, half_life, declared, centroid));
    }

    fn store_recommendations(
        &mut self,
        users: &[(String, Declared)],
        listeners: &[Listener],
        n: usize,
        threads: usize,
    ) -> u64 {
        let ranked = self.rank(listeners, n, threads);
        let index = self.index;
        let rows =
            users.iter().zip(listeners).zip(&ranked).flat_map(|((user, listener), ranked)| {
                ranked.iter().zip(1..).map(|(ranked, rank)| RecommendationRow {
                    user_id: &user.0,
                    rank,
                    track_id: index.id(ranked.position),
                    score: ranked.score as f32,
                    strategy: listener.strategy.name(),
                })
            });
        serving::write_recommendations(self.model.model_id, rows)
    }

    fn rank(&mut self, listeners: &[Listener], n: usize, threads: usize) -> Vec<Vec<Ranked>> {
        let excluded: Vec<Vec<u32>> = listeners
            .iter()
            .map(|listener| [&listener.played[..], &self.deleted[..]].concat())
            .collect();
        let query = |at: usize| Query { exclude: &excluded[at], ..listeners[at].query(n) };
        let (popular, known): (Vec<usize>, Vec<usize>) =
            (0..listeners.len()).partition(|&at| listeners[at].strategy == Strategy::Popular);
        let mut ranked = vec![Vec::new(); listeners.len()];
        let queries: Vec<Query> = known.iter().map(|&at| query(at)).collect();
        let answers = or_raise(rank::top_n_batch(self.index, &queries, threads, &interrupt));
        for (at, answer) in known.into_iter().zip(answers) {
            ranked[at] = answer;
        }
        for at in popular {
            let popularity = self.popularity.get_or_insert_with(|| {
                let (plays, popularity) = serving::popularity(self.index);
                Popularity::new(&plays, &popularity)
            });
            interrupt();
            ranked[at] = popularity.top_n(self.index, &query(at));
        }
        ranked
    }

    /// A play in the future counts when its time has come: the user is looked at again.
    fn note_future(self) {
        listeners::note_changed(self.future);
    }
}
