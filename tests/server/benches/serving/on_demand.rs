//! One user at a time.

use postgres::types::ToSql;
use postgres::{Client, Statement};
use sparkify_core::rank::{self, Index, Query};
use sparkify_server_tests::Database;

use crate::measure::{Table, Times};
use crate::music::LISTENERS;
use crate::reference::{Faiss, Vectors};

/// Everything is measured in turn, so many times.
const ROUNDS: usize = 40;
/// Calls of each thing in a round.
const CALLS: usize = 50;
/// New connections.
const CONNECTIONS: usize = 20;
/// A user of few plays, one of many.
const FEW: (&str, i32) = ("few", 15);
const MANY: (&str, i32) = ("many", 10_000);

pub fn add_listeners(client: &mut Client) {
    for (user_id, plays) in [FEW, MANY] {
        crate::music::add_listener(client, user_id, plays);
    }
}

fn listener(number: usize) -> String {
    // A prime apart, so that calls after each other have nothing in common.
    format!("user_{:06}", number * 7919 % LISTENERS + 1)
}

/// A statement, and its arguments in the call of this number.
struct Call<'a> {
    name: &'a str,
    statement: Statement,
    arguments: Box<dyn Fn(usize) -> Vec<Box<dyn ToSql + Sync>> + 'a>,
}

impl Call<'_> {
    fn run(&self, client: &mut Client, number: usize) {
        let arguments = (self.arguments)(number);
        let arguments: Vec<&(dyn ToSql + Sync)> = arguments.iter().map(Box::as_ref).collect();
        let rows = client.query(&self.statement, &arguments).expect(self.name);
        assert!(!rows.is_empty(), "{} gives nothing", self.name);
    }
}

fn calls<'a>(client: &mut Client, tracks: &'a [String], genre: &'a str) -> Vec<Call<'a>> {
    let mut call = |name, sql: &str, arguments| Call {
        name,
        statement: client.prepare(sql).expect(sql),
        arguments,
    };
    let some = |count: usize, number: usize| -> Vec<String> {
        tracks.iter().skip(number * 31 % 1000).step_by(7).take(count).cloned().collect()
    };
    vec![
        call("SELECT 1", "SELECT 1", Box::new(|_| vec![])),
        call(
            "recommend, 15 plays",
            "SELECT * FROM sparkify.recommend($1, 10)",
            Box::new(|_| vec![Box::new(FEW.0)]),
        ),
        call(
            "recommend, 60 plays, any user",
            "SELECT * FROM sparkify.recommend($1, 10)",
            Box::new(|number| vec![Box::new(listener(number))]),
        ),
        call(
            "recommend, 10,000 plays",
            "SELECT * FROM sparkify.recommend($1, 10)",
            Box::new(|_| vec![Box::new(MANY.0)]),
        ),
        call(
            "recommend, 60 plays, 100 excluded",
            "SELECT * FROM sparkify.recommend($1, 10, exclude => $2)",
            Box::new(move |number| vec![Box::new(listener(number)), Box::new(some(100, number))]),
        ),
        call(
            "recommend, 60 plays, 1,000 candidates",
            "SELECT * FROM sparkify.recommend($1, 10, candidates => $2)",
            Box::new(move |number| vec![Box::new(listener(number)), Box::new(some(1000, number))]),
        ),
        call(
            "recommend, 60 plays, one genre",
            "SELECT * FROM sparkify.recommend($1, 10, genres => ARRAY[$2::text])",
            Box::new(move |number| vec![Box::new(listener(number)), Box::new(genre.to_owned())]),
        ),
        call(
            "similar_tracks",
            "SELECT * FROM sparkify.similar_tracks($1, 10)",
            Box::new(move |number| vec![Box::new(tracks[number * 7919 % tracks.len()].clone())]),
        ),
    ]
}

pub fn measure(database: &Database, vectors: &Vectors, mut faiss: Option<&mut Faiss>) {
    let client = &mut database.connect();
    let mut texts = |sql: &str| -> Vec<String> {
        client.query(sql, &[]).expect(sql).iter().map(|row| row.get(0)).collect()
    };
    let tracks = texts("SELECT track_id FROM numbered ORDER BY number");
    let genre = texts(
        "SELECT primary_genre FROM sparkify.tracks GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
    );
    let calls = calls(client, &tracks, &genre[0]);
    let image = vectors.pack();
    let index = Index::open(&image).expect("a valid image");
    let users: Vec<&[f32]> = vectors.users().collect();
    let query =
        |number: usize| Query { vector: users[number % users.len()], n: 10, ..Query::default() };

    let mut sql: Vec<Times> = calls.iter().map(|_| Times::default()).collect();
    let (mut plain, mut bounded) = (Times::default(), Times::default());
    let mut flat = [Times::default(), Times::default()];
    for round in 0..ROUNDS {
        let numbers = round * CALLS..(round + 1) * CALLS;
        for (call, times) in calls.iter().zip(&mut sql) {
            // What others measured meanwhile has emptied the caches.
            call.run(client, round);
            numbers.clone().for_each(|number| times.take(|| call.run(client, number)));
        }
        let scan = |number| rank::top_n_unbounded(&index, &query(number), &|| ()).expect("rows");
        scan(round);
        numbers.clone().for_each(|number| plain.take(|| drop(scan(number))));
        let scan = |number| rank::top_n(&index, &query(number), &|| ()).expect("rows");
        scan(round);
        numbers.clone().for_each(|number| bounded.take(|| drop(scan(number))));
        if let Some(faiss) = &mut faiss {
            for (threads, times) in flat.iter_mut().enumerate() {
                times.extend(faiss.scan(threads + 1, CALLS, numbers.start));
            }
        }
    }

    let mut references = vec![("plain scan".to_owned(), plain.median())];
    if let Some(faiss) = &faiss {
        references.push((format!("{}, 1 thread", faiss.version), flat[0].median()));
    }
    let table =
        Table::new("On demand: whole calls, prepared, over one warm connection", references);
    for (call, times) in calls.iter().zip(&sql) {
        table.row(call.name, times);
    }
    table.row("recommend, 60 plays, 2 clients at once", &two_clients(database));
    table.row("first call of a connection, image shared", &first_calls(database, false));
    table.row("first call of a connection, image to be built", &first_calls(database, true));
    table.row("the core's bounded scan alone", &bounded);
    table.row("plain scan: the core without bounds", &plain);
    if let Some(faiss) = faiss {
        for (threads, times) in flat.iter().enumerate() {
            table.row(&format!("{} IndexFlatIP, {} thread(s)", faiss.version, threads + 1), times);
        }
    }
}

/// Calls of two connections at the same time.
fn two_clients(database: &Database) -> Times {
    let calls = |offset: usize| {
        let mut client = database.connect();
        let statement =
            client.prepare("SELECT * FROM sparkify.recommend($1, 10)").expect("prepared");
        let mut times = Times::default();
        client.query(&statement, &[&listener(offset)]).expect("rows");
        for number in 0..ROUNDS * CALLS / 2 {
            let user = listener(offset + number);
            times.take(|| client.query(&statement, &[&user]).expect("rows"));
        }
        times
    };
    let mut both = std::thread::scope(|scope| {
        let other = scope.spawn(|| calls(LISTENERS / 2));
        let times = calls(0);
        [times, other.join().expect("the other client")]
    });
    let [times, other] = &mut both;
    times.append(other);
    std::mem::take(times)
}

/// First calls of new connections; where the image is `unknown`, each has to build it.
fn first_calls(database: &Database, unknown: bool) -> Times {
    let mut times = Times::default();
    for number in 0..CONNECTIONS {
        let mut client = database.connect();
        if unknown {
            client
                .batch_execute(
                    "UPDATE sparkify.models SET fingerprint = gen_random_uuid() WHERE active",
                )
                .expect("another fingerprint");
            client = database.connect();
        }
        let user = listener(number);
        times.take(|| {
            client.query("SELECT * FROM sparkify.recommend($1, 10)", &[&user]).expect("rows")
        });
    }
    times
}
