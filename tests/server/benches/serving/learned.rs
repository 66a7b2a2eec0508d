//! Models that learn from plays: one user at a time, its parts, and all users at once.

use std::collections::HashMap;

use postgres::types::ToSql;
use postgres::{Client, Statement};
use sparkify_core::rank::{
    self, AlignedBytes, Boosts, Index, IndexBuilder, Learned, Metric, Query, Workspace,
};
use sparkify_learn::listener::{Folded, Folding, Heard};
use sparkify_learn::{Signal, State};
use sparkify_server_tests::{Database, Server};

use crate::measure::{Table, Times, thousands};
use crate::reference::{Faiss, Vectors};
use crate::{batch, music};

/// Everything is measured in turn, so many times.
const ROUNDS: usize = 20;
/// Calls of each thing in a round.
const CALLS: usize = 50;
/// Rounds of what takes seconds.
const BATCHES: usize = 5;
/// Tracks and dimensions beside those of the catalogue.
const SMALLER: (i32, i32) = (40_981, 256);
/// Of the catalogue.
const DIMS: i32 = 128;

/// Measures on the catalogue, and on a smaller one of longer vectors.
pub fn measure(server: &Server) {
    of_world(server, "bench_learned", None, DIMS);
    of_world(server, "bench_learned_long", Some(SMALLER.0), SMALLER.1);
}

fn of_world(server: &Server, name: &str, tracks: Option<i32>, dims: i32) {
    // For who changes the serving, and measures it again and again.
    let again = std::env::var_os("SPARKIFY_BENCH_AGAIN").is_some_and(|again| again == "1");
    let database = if again { server.present_database(name) } else { server.database(name) };
    let client = &mut database.connect();
    if !again {
        music::fill_catalogue(client, tracks);
        music::simulate_listeners(client);
        let train = "SELECT sparkify.train_model('hybrid', $1)";
        let training = Times::of(|| client.query_one(train, &[&dims]).expect("a model"));
        println!("\ntrain_model('hybrid', {dims}): {}", training.shown());
        music::settle(client);
    }
    let first = batch::refresh(client, false);
    music::settle(client);
    let world = World::read(client);
    println!("\n{}", world.describe());
    let mut faiss = Faiss::start(&world.vectors);
    on_demand(&database, &world, faiss.as_mut());
    in_batch(client, &world, first, faiss.as_mut());
}

/// A user whose plays are measured with.
struct Listener {
    user_id: String,
    heard: Vec<Heard>,
    track_ids: Vec<String>,
}

/// The active model and its users, read from the database.
struct World {
    vectors: Vectors,
    image: AlignedBytes,
    state: State,
    warm: usize,
    neighbours: usize,
    /// Users of as many plays as are asked for.
    listeners: Vec<Listener>,
    users: usize,
    plays: i64,
}

impl World {
    fn read(client: &mut Client) -> World {
        let state: Vec<f64> = client
            .query_one(
                "SELECT state FROM sparkify_internal.model_states JOIN sparkify.models USING (model_id)
                 WHERE active",
                &[],
            )
            .expect("a state")
            .get(0);
        let state = State::from_words(&state).expect("a state of a training");
        let rows = client
            .query(
                "SELECT track_id, embedding, ('x' || left(song_key::text, 8))::bit(32)::bigint, duration_ms,
                     listeners, popularity, track_no
                 FROM sparkify.track_embeddings JOIN sparkify.models USING (model_id)
                 WHERE active ORDER BY track_id",
                &[],
            )
            .expect("embeddings");
        let dims = rows.first().map_or(0, |row| row.get::<_, Vec<f32>>(1).len());
        let mut builder = IndexBuilder::new(dims).expect("dims");
        let mut learned = Learned { metric: Metric::Dot, ..Learned::default() };
        let mut positions = HashMap::new();
        let mut numbered = HashMap::new();
        for (row, position) in rows.iter().zip(0u32..) {
            let (id, embedding): (String, Vec<f32>) = (row.get(0), row.get(1));
            let song = row.get::<_, i64>(2) as u128;
            builder.push(&id, &embedding, song, row.get(3)).expect("a track");
            learned.listeners.push(row.get::<_, Option<i32>>(4).unwrap_or(0).unsigned_abs());
            learned.popularity.push(row.get::<_, Option<i32>>(5).unwrap_or(0));
            if let Some(number) = row.get::<_, Option<i32>>(6) {
                numbered.insert(number, position);
            }
            positions.insert(id, position);
        }
        let warm = learned.listeners.iter().filter(|&&listeners| listeners > 0).count();
        let of_track: HashMap<u32, (Vec<i32>, Vec<f32>)> = client
            .query(
                "SELECT track_no, neighbours, weights FROM sparkify_internal.track_neighbours
                     JOIN sparkify.models USING (model_id) WHERE active",
                &[],
            )
            .expect("neighbours")
            .iter()
            .map(|row| (numbered[&row.get(0)], (row.get(1), row.get(2))))
            .collect();
        learned.neighbour_ends.push(0);
        for position in 0..rows.len() as u32 {
            if let Some((neighbours, weights)) = of_track.get(&position) {
                learned.neighbour_positions.extend(neighbours.iter().map(|at| numbered[at]));
                learned.neighbour_weights.extend(weights);
            }
            learned.neighbour_ends.push(learned.neighbour_positions.len() as u64);
        }
        let neighbours = learned.neighbour_positions.len();
        builder.learned(learned).expect("a model");
        let image = builder.finish(0, &|| ()).expect("memory");
        let (listeners, users, plays) = read_listeners(client, &positions);
        let vectors = Vectors::read(client);
        World { vectors, image, state, warm, neighbours, listeners, users, plays }
    }

    fn describe(&self) -> String {
        let tracks = self.vectors.tracks.len() / self.vectors.dims;
        format!(
            "Hybrid model: {} tracks x {}, {} of them played, {} neighbours a played track, weight {:.2}; \
             {} users, {} plays, {} users of {} plays",
            thousands(tracks),
            self.vectors.dims,
            thousands(self.warm),
            self.neighbours / self.warm.max(1),
            self.state.neighbour_weight,
            thousands(self.users),
            thousands(self.plays as usize),
            thousands(self.listeners.len()),
            music::PLAYS,
        )
    }
}

/// Users of [`music::PLAYS`] plays, in an order that has nothing to do with their ids;
/// how many users and plays there are in all.
fn read_listeners(
    client: &mut Client,
    positions: &HashMap<String, u32>,
) -> (Vec<Listener>, usize, i64) {
    let rows = client
        .query(
            "SELECT user_id, array_agg(track_id ORDER BY played_at),
                 array_agg((extract(epoch FROM played_at) * 1e6)::bigint ORDER BY played_at),
                 array_agg(coalesce(skipped, false) ORDER BY played_at)
             FROM sparkify.listening_events GROUP BY user_id HAVING count(*) = $1
             ORDER BY md5(user_id)",
            &[&(music::PLAYS as i64)],
        )
        .expect("plays");
    let listener = |row: &postgres::Row| {
        let (track_ids, moments, skips): (Vec<String>, Vec<i64>, Vec<bool>) =
            (row.get(1), row.get(2), row.get(3));
        let mut heard: Vec<Heard> = Vec::new();
        for ((id, &last), skipped) in track_ids.iter().zip(&moments).zip(skips) {
            let signal = if skipped { Signal::Skipped } else { Signal::Played };
            let position = positions[id];
            match heard.iter_mut().find(|heard| heard.track == position) {
                None => {
                    heard.push(Heard { track: position, weight: 1.0, signal, first: last, last })
                }
                Some(before) => {
                    before.last = last;
                    if signal == Signal::Played {
                        before.signal = signal;
                    }
                }
            }
        }
        heard.sort_unstable_by_key(|heard| heard.track);
        Listener { user_id: row.get(0), heard, track_ids }
    };
    let count = client
        .query_one(
            "SELECT (SELECT count(*) FROM sparkify.users), count(*) FROM sparkify.listening_events",
            &[],
        )
        .expect("counts");
    (rows.iter().map(listener).collect(), count.get::<_, i64>(0) as usize, count.get(1))
}

/// A statement, and its arguments for the user of this number.
struct Call<'a> {
    name: &'a str,
    statement: Statement,
    arguments: Box<dyn Fn(&'a Listener) -> Vec<&'a (dyn ToSql + Sync)> + 'a>,
}

fn calls<'a>(client: &mut Client, recommended: &'a HashMap<String, Vec<String>>) -> Vec<Call<'a>> {
    let mut call = |name, sql: &str, arguments| Call {
        name,
        statement: client.prepare(sql).expect(sql),
        arguments,
    };
    vec![
        call("SELECT 1", "SELECT 1", Box::new(|_| vec![])),
        call(
            "recommend, 60 plays, another user each call",
            "SELECT * FROM sparkify.recommend($1, 10)",
            Box::new(|of| vec![&of.user_id]),
        ),
        call(
            "  of it: reading the plays (SQL)",
            "SELECT track_id, played_at, ms_played, skipped FROM sparkify.listening_events
             WHERE user_id = $1 ORDER BY played_at, event_id",
            Box::new(|of| vec![&of.user_id]),
        ),
        call(
            "  of it: names of ten tracks (SQL)",
            "SELECT track_id, track_name, primary_artist, primary_genre FROM sparkify.tracks
             WHERE track_id = ANY ($1)",
            Box::new(|of| vec![&recommended[&of.user_id]]),
        ),
        call(
            "recommend_for, 60 tracks",
            "SELECT * FROM sparkify.recommend_for($1, 10)",
            Box::new(|of| vec![&of.track_ids]),
        ),
        call(
            "similar_tracks",
            "SELECT * FROM sparkify.similar_tracks($1, 10)",
            Box::new(|of| vec![&of.track_ids[0]]),
        ),
        call(
            "explain_recommendation",
            "SELECT * FROM sparkify.explain_recommendation($1, $2)",
            Box::new(|of| vec![&of.user_id, &recommended[&of.user_id][0]]),
        ),
    ]
}

/// The parts of a ranking, in this process.
#[derive(Default)]
struct Parts {
    fold_in: Times,
    neighbours: Times,
    scan: Times,
    ranking: Times,
    memory: Option<Boosts>,
    workspace: Workspace,
}

impl Parts {
    fn take(&mut self, index: &Index, state: &State, listener: &Listener) {
        let alone = State { neighbour_weight: 0.0, ..state.clone() };
        let mut folding = Folding::new(index, &alone).expect("memory");
        let fold = |folding: &mut Folding| {
            folding.fold(&listener.heard).expect("memory").expect("somebody who heard something")
        };
        let folded = self.fold_in.take(|| fold(&mut folding));
        let exclude: Vec<u32> = listener.heard.iter().map(|heard| heard.track).collect();
        let songs: Vec<u32> = exclude.iter().map(|&position| index.song(position)).collect();
        let workspace = &mut self.workspace;
        let mut rank = |folded: &Folded| {
            let query = Query {
                vector: &folded.vector,
                scale: folded.scale,
                boosts: &folded.boosts,
                n: 10,
                exclude: &exclude,
                distinct_songs: true,
                exclude_songs: &songs,
                ..Query::default()
            };
            rank::top_n_in(index, &query, workspace, &|| ()).expect("rows")
        };
        self.scan.take(|| rank(&folded));
        let folded = self.neighbours.take(|| {
            let memory = self.memory.take();
            let mut folding = Folding::within(index, state, memory).expect("memory");
            let folded = fold(&mut folding);
            self.memory = folding.into_memory();
            folded
        });
        self.ranking.take(|| rank(&folded));
    }
}

fn on_demand(database: &Database, world: &World, mut faiss: Option<&mut Faiss>) {
    let client = &mut database.connect();
    let recommended: HashMap<String, Vec<String>> = client
        .query("SELECT user_id, track_ids FROM sparkify.recommendation_lists", &[])
        .expect("lists")
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let calls = calls(client, &recommended);
    let index = Index::open(&world.image).expect("a valid image");
    let listener = |number: usize| &world.listeners[number % world.listeners.len()];
    let mut sql: Vec<Times> = calls.iter().map(|_| Times::default()).collect();
    let mut parts = Parts::default();
    let mut flat = Times::default();
    for round in 0..ROUNDS {
        for (call, times) in calls.iter().zip(&mut sql) {
            let mut run = |number: usize| {
                let rows = client.query(&call.statement, &(call.arguments)(listener(number)));
                assert!(!rows.expect(call.name).is_empty(), "{} gives nothing", call.name);
            };
            // What others measured meanwhile has emptied the caches.
            run(round);
            (round * CALLS..(round + 1) * CALLS).for_each(|number| times.take(|| run(number)));
        }
        Parts::default().take(&index, &world.state, listener(round));
        for number in round * CALLS..(round + 1) * CALLS {
            parts.take(&index, &world.state, listener(number));
        }
        if let Some(faiss) = &mut faiss {
            flat.extend(faiss.scan(1, CALLS, round * CALLS));
        }
    }
    let references = match &faiss {
        Some(faiss) => vec![(format!("{}, 1 thread", faiss.version), flat.median())],
        None => vec![],
    };
    let table = Table::new("Learned, on demand: whole calls over one warm connection", references);
    for (call, times) in calls.iter().zip(&sql) {
        table.row(call.name, times);
    }
    table.row("in this process: fold-in", &parts.fold_in);
    table.row("in this process: fold-in, neighbours gathered", &parts.neighbours);
    table.row("in this process: scan without neighbours", &parts.scan);
    table.row("in this process: scan with neighbours", &parts.ranking);
    if let Some(faiss) = faiss {
        table.row(&format!("{} IndexFlatIP, 1 thread", faiss.version), &flat);
    }
}

fn in_batch(client: &mut Client, world: &World, first: Times, mut faiss: Option<&mut Faiss>) {
    let image = world.vectors.pack_as(Metric::Dot);
    let index = Index::open(&image).expect("a valid image");
    let queries: Vec<Query> =
        world.vectors.users().map(|vector| Query { vector, n: 10, ..Query::default() }).collect();
    let (mut first, mut whole, mut scoring, mut flat) =
        (first, Times::default(), Times::default(), Times::default());
    for _ in 0..BATCHES {
        client
            .batch_execute("TRUNCATE sparkify.user_vectors, sparkify.recommendation_lists")
            .expect("no rows");
        first.append(&mut batch::refresh(client, false));
        whole.append(&mut batch::refresh(client, true));
        scoring.take(|| rank::top_n_batch(&index, &queries, 2, &|| ()).expect("rows"));
        if let Some(faiss) = &mut faiss {
            flat.extend(faiss.batch(2));
        }
    }
    let references = match &faiss {
        Some(faiss) => vec![(format!("{}, 2 threads", faiss.version), flat.median())],
        None => vec![],
    };
    let title = format!("Learned, in batch: {} users, 2 threads", thousands(world.users));
    let table = Table::new(&title, references);
    table.row("refresh_recommendations, nothing stored", &first);
    table.row("refresh_recommendations, all lists replaced", &whole);
    table.row("the core's scan alone, without neighbours", &scoring);
    if let Some(faiss) = faiss {
        table.row(&format!("{} IndexFlatIP, {} users", faiss.version, queries.len()), &flat);
    }
    println!("\nPeak memory of the refreshing backend: {}", crate::peak_memory(client));
}
