//! Vectors and recommendations of many users, stored.

use std::cmp::Ordering;
use std::collections::HashMap;

use pgrx::prelude::*;
use sparkify_core::popularity;
use sparkify_core::rank::{Index, Query, Ranked, Together};
use sparkify_core::{memory, workers};
use sparkify_learn::State;
use sparkify_learn::listener::Folding;

use super::listener::{self, History, Listener, Strategy};
use super::progress::Progress;
use crate::error::{in_range, or_raise, required};
use crate::interrupt::interrupt;
use crate::storage::catalogue_index;
use crate::storage::listeners::{self, Declared};
use crate::storage::models::{self, Model};
use crate::storage::serving::{self, ListRow, VectorRow};
use crate::storage::turns::{self, Work};

/// Users worked on at a time at least and at most. A few times as many are in memory
/// at once: those being read, computed on and written.
const CHUNKS: (usize, usize) = (64, 1024);
/// Chunks that each thread is to have, where there are users enough: what is left when
/// the others have ended is then little.
const CHUNKS_A_THREAD: usize = 4;
/// What memory is asked for.
const WHAT: &str = "users";

/// Users of a chunk, of so many in all.
fn chunk(users: usize, threads: usize) -> usize {
    let chunks = threads.max(1).saturating_mul(CHUNKS_A_THREAD);
    users.div_ceil(chunks).clamp(CHUNKS.0, CHUNKS.1)
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn build_user_vectors(model_id: default!(Option<i64>, "NULL")) -> i64 {
    turns::in_turn(Work::Refresh, || build_vectors(model_id)) as i64
}

fn build_vectors(model_id: Option<i64>) -> u64 {
    let model = models::resolve_to_write(model_id);
    let users = listeners::count_users();
    let progress = Progress::new("build_user_vectors", users);
    serving::delete_vectors(model.model_id, None);
    run(&model, Lists { n: None, threads: 1 }, Source::all(users, 1), progress)
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
    turns::in_turn(Work::Refresh, || refresh(n, model_id, force, threads)) as i64
}

fn refresh(n: i32, model_id: Option<i64>, force: bool, threads: usize) -> u64 {
    let model = models::resolve_to_write(model_id);
    let lists = Lists { n: Some(n as usize), threads };
    if force || model.recommended != Some(n) {
        return refresh_all(&model, n, lists);
    }
    listeners::note_users_of_deleted_tracks();
    // Notes are taken before events are read: a change committed in between is
    // seen now and noted for the next refresh.
    let changed = if model.active { listeners::take_changed() } else { listeners::changed() };
    if changed.is_empty() {
        return 0;
    }
    if model.active {
        models::forget_recommended_of_others(model.model_id);
    }
    let progress = Progress::new("refresh_recommendations", changed.len());
    run(&model, lists, Source::Listed(changed.chunks(chunk(changed.len(), threads))), progress)
}

fn refresh_all(model: &Model, n: i32, lists: Lists) -> u64 {
    if model.active && listeners::forget_changes() > 0 {
        models::forget_recommended_of_others(model.model_id);
    }
    let users = listeners::count_users();
    let progress = Progress::new("refresh_recommendations", users);
    serving::delete_vectors(model.model_id, None);
    serving::delete_all_lists(model.model_id);
    let written = run(model, lists, Source::all(users, lists.threads), progress);
    models::set_recommended(model.model_id, n);
    written
}

fn run(model: &Model, lists: Lists, source: Source, progress: Progress) -> u64 {
    let packed = catalogue_index::load(model);
    Batch::new(model, &packed.index(), packed.state(), lists).run(source, progress)
}

/// What is made for each user beside the vector, and how.
#[derive(Clone, Copy)]
struct Lists {
    /// Length of a list; `None` for no list.
    n: Option<usize>,
    /// Threads that compute.
    threads: usize,
}

/// Which users are worked on.
enum Source<'a> {
    /// All in byte order after one.
    All { after: String, chunk: usize },
    /// Those listed, in byte order; what is stored of them is replaced.
    Listed(std::slice::Chunks<'a, String>),
}

/// Users, in byte order, and what they played.
struct Job<'a> {
    /// Whose rows are to be deleted; a user may be gone.
    replaced: &'a [String],
    users: Vec<(String, Declared)>,
    histories: Vec<History>,
}

/// What is stored of users.
struct Answer<'a> {
    replaced: &'a [String],
    users: Vec<(String, Declared)>,
    listeners: Vec<Listener>,
    /// Empty where no list was wanted.
    ranked: Vec<Vec<Ranked>>,
}

impl<'a> Source<'a> {
    fn all(users: usize, threads: usize) -> Source<'a> {
        Source::All { after: String::new(), chunk: chunk(users, threads) }
    }

    /// The next users, with their plays up to now; those who have plays later go into `future`.
    fn next(&mut self, now: i64, future: &mut Vec<String>) -> Option<Job<'a>> {
        let (replaced, users) = match self {
            Source::All { after, chunk } => {
                let users = listeners::users_after(after, *chunk as i64);
                after.clone_from(&users.last()?.0);
                (&[][..], users)
            }
            Source::Listed(chunks) => {
                let listed = chunks.next()?;
                (listed, listeners::users_of(listed))
            }
        };
        let mut histories: Vec<History> = users.iter().map(|_| History::default()).collect();
        let (mut of_plays, mut of_feedback) = (InOrder::new(&users), InOrder::new(&users));
        match (self, users.first(), users.last()) {
            (Source::All { .. }, Some(first), Some(last)) => {
                listeners::plays_between(&first.0, &last.0, |play| {
                    of_plays.with(play.user_id, &mut histories, |history| history.add(&play, now));
                });
                listeners::feedback_between(&first.0, &last.0, |said| {
                    of_feedback.with(said.user_id, &mut histories, |history| history.rate(&said));
                });
            }
            (Source::Listed(_), Some(_), _) => {
                let ids: Vec<String> = users.iter().map(|user| user.0.clone()).collect();
                listeners::plays_of_all(&ids, |play| {
                    of_plays.with(play.user_id, &mut histories, |history| history.add(&play, now));
                });
                listeners::feedback_of_all(&ids, |said| {
                    of_feedback.with(said.user_id, &mut histories, |history| history.rate(&said));
                });
            }
            _ => {}
        }
        let later = users.iter().zip(&histories).filter(|(_, history)| history.future);
        future.extend(later.map(|(user, _)| user.0.clone()));
        Some(Job { replaced, users, histories })
    }
}

/// Finds the users of rows that come by user, in the same order as the users.
struct InOrder<'a> {
    users: &'a [(String, Declared)],
    at: usize,
}

impl<'a> InOrder<'a> {
    fn new(users: &'a [(String, Declared)]) -> InOrder<'a> {
        InOrder { users, at: 0 }
    }

    /// Hands the history of a user to `work`, where there is one.
    fn with(&mut self, user_id: &str, histories: &mut [History], work: impl FnOnce(&mut History)) {
        while let Some((user, _)) = self.users.get(self.at) {
            match user.as_str().cmp(user_id) {
                Ordering::Less => self.at += 1,
                Ordering::Equal => return work(&mut histories[self.at]),
                Ordering::Greater => return,
            }
        }
    }
}

/// What a run over many users shares. Threads read it.
struct Batch<'a> {
    model: &'a Model,
    index: &'a Index<'a>,
    state: Option<&'a State>,
    lists: Lists,
    centroids: HashMap<String, Vec<f32>>,
    /// Tracks deleted since the model was built.
    deleted: Vec<u32>,
}

impl<'a> Batch<'a> {
    fn new(
        model: &'a Model,
        index: &'a Index<'a>,
        state: Option<&'a State>,
        lists: Lists,
    ) -> Batch<'a> {
        let centroids = models::genre_embeddings(model.model_id, None);
        let deleted = serving::deleted_positions(index);
        Batch { model, index, state, lists, centroids, deleted }
    }

    /// Reads, computes and writes, the middle on threads; gives the rows written:
    /// recommendations, or vectors where no list is wanted.
    fn run(&self, mut source: Source, mut progress: Progress) -> u64 {
        let now = listener::now();
        let mut future = Vec::new();
        let mut written = 0;
        workers::in_order(
            self.lists.threads,
            || source.next(now, &mut future),
            |job, go_on| self.compute(job, go_on).transpose(),
            |answer| {
                let answer = or_raise(answer);
                progress.advance(answer.replaced.len().max(answer.users.len()));
                written += self.store(answer);
            },
            &interrupt,
        );
        // A play in the future counts when its time has come: the user is looked at again.
        listeners::note_changed(future);
        written
    }

    /// On a thread of its own: calls nothing of the server.
    fn compute<'j>(
        &self,
        job: Job<'j>,
        go_on: &dyn Fn() -> bool,
    ) -> sparkify_core::Result<Option<Answer<'j>>> {
        let Job { replaced, users, histories } = job;
        let mut folding = match self.state {
            Some(state) => Some(Folding::new(self.index, state)?),
            None => None,
        };
        let mut together = Together::new(self.index)?;
        let centroid = |genre: &str| self.centroids.get(genre).cloned();
        let half_life = self.model.half_life_days;
        let (mut listeners, mut ranked, mut searched) = (Vec::new(), Vec::new(), Vec::new());
        memory::reserve(&mut listeners, users.len(), WHAT)?;
        memory::reserve(&mut ranked, users.len(), WHAT)?;
        for ((_, declared), history) in users.iter().zip(&histories) {
            if !go_on() {
                return Ok(None);
            }
            let folding = folding.as_mut();
            let mut listener =
                history.to_listener(self.index, folding, half_life, declared, centroid)?;
            if let Some(n) = self.lists.n {
                let exclude = self.excluded(&listener)?;
                let query = Query { exclude: &exclude, ..listener.query(n) };
                let mut list = Vec::new();
                if listener.strategy == Strategy::Popular {
                    list = popularity::top_n(self.index, &query)?;
                } else {
                    together.add(&query)?;
                    memory::push(&mut searched, ranked.len(), WHAT)?;
                }
                ranked.push(list);
            }
            // What neighbours add was looked at; it is most of what a listener takes.
            listener.boosts = Vec::new();
            listeners.push(listener);
        }
        let Some(answers) = together.finish(go_on)? else { return Ok(None) };
        for (at, answer) in searched.into_iter().zip(answers) {
            ranked[at] = answer;
        }
        Ok(Some(Answer { replaced, users, listeners, ranked }))
    }

    /// What must not be recommended to a listener.
    fn excluded(&self, listener: &Listener) -> sparkify_core::Result<Vec<u32>> {
        memory::collected(listener.played.iter().chain(&self.deleted).copied(), WHAT)
    }

    fn store(&self, answer: Answer) -> u64 {
        let Answer { replaced, users, listeners, ranked } = answer;
        let model_id = self.model.model_id;
        if !replaced.is_empty() {
            serving::delete_vectors(model_id, Some(replaced));
            serving::delete_lists(model_id, replaced);
        }
        let vectors: Vec<Vec<f32>> = listeners.iter().map(Listener::stored_vector).collect();
        let written = serving::write_vectors(
            model_id,
            users.iter().zip(&listeners).zip(&vectors).map(|(((user_id, _), listener), vector)| {
                VectorRow { user_id, vector, strategy: listener.strategy.name() }
            }),
        );
        if self.lists.n.is_none() {
            return written;
        }
        let rows = users.iter().zip(&listeners).zip(&ranked);
        let rows = rows.filter(|(_, ranked)| !ranked.is_empty());
        let rows = rows.map(|(((user_id, _), listener), ranked)| ListRow {
            user_id,
            ranked,
            strategy: listener.strategy.name(),
        });
        serving::write_lists(model_id, self.index, rows)
    }
}
