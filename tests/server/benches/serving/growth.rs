//! How the cost grows with tracks, dimensions, length of the lists, and users.

use postgres::Client;
use sparkify_server_tests::{Database, Server};

use crate::measure::{Table, Times, thousands};
use crate::{music, peak_memory};

const CALLS: usize = 200;
const TRACKS: [i32; 3] = [10_000, 100_000, 1_000_000];
const DIMS: [i32; 4] = [8, 16, 32, 128];
const LISTS: [i32; 2] = [100, 1000];
const USERS: [usize; 3] = [1_000, 10_000, 100_000];

pub fn measure(server: &Server) {
    let table = Table::new("Growth with the catalogue; 1,000 users of 60 plays", vec![]);
    for tracks in TRACKS {
        let database = world(server, tracks);
        of_model(&table, &database, &format!("{} tracks x 64", thousands(tracks as usize)), 64);
    }
    let database = world(server, TRACKS[1]);
    for dims in DIMS {
        of_model(&table, &database, &format!("100,000 tracks x {dims}"), dims);
    }
    let client = &mut database.connect();
    build(client, 64);
    for n in LISTS {
        table.row(&format!("recommend(user, {n}), 100,000 tracks x 64"), &recommend(client, n));
    }
    drop(database);

    let table = Table::new("Growth with the users; 100,000 tracks x 64", vec![]);
    let mut there = USERS[0];
    for users in USERS {
        if users > there {
            music::add_listeners(client, there + 1, users);
            music::settle(client);
            there = users;
        }
        // A connection of its own, for its memory.
        let client = &mut server.connect_as("bench_growth", "postgres");
        let times = refresh(client);
        table.row(&format!("refresh_recommendations, {} users", thousands(users)), &times);
        println!("    peak memory of the backend: {}", peak_memory(client));
    }
}

/// A database of so many generated tracks, and the smallest number of users.
fn world(server: &Server, tracks: i32) -> Database<'_> {
    let database = server.database("bench_growth");
    let client = &mut database.connect();
    music::fill_catalogue(client, Some(tracks));
    music::add_listeners(client, 1, USERS[0]);
    database
}

fn build(client: &mut Client, dims: i32) {
    client.execute("SELECT sparkify.build_embeddings($1)", &[&dims]).expect("a model");
    client.execute("DELETE FROM sparkify.models WHERE NOT active", &[]).expect("one model");
    music::settle(client);
}

fn of_model(table: &Table, database: &Database, name: &str, dims: i32) {
    build(&mut database.connect(), dims);
    let client = &mut database.connect();
    let sql = "SELECT * FROM sparkify.recommend('user_000001', 10)";
    let first = Times::of(|| client.query(sql, &[]).expect("rows"));
    table.row(&format!("first call, image to be built, {name}"), &first);
    table.row(&format!("recommend(user, 10), {name}"), &recommend(client, 10));
    table.row(&format!("refresh_recommendations, {name}"), &refresh(client));
    println!("    peak memory of the backend: {}", peak_memory(client));
}

fn recommend(client: &mut Client, n: i32) -> Times {
    let sql = client.prepare("SELECT * FROM sparkify.recommend($1, $2)").expect("prepared");
    let mut times = Times::default();
    for number in 0..CALLS {
        let user = format!("user_{:06}", number % USERS[0] + 1);
        times.take(|| client.query(&sql, &[&user, &n]).expect("rows"));
    }
    times
}

fn refresh(client: &mut Client) -> Times {
    let sql = "SELECT sparkify.refresh_recommendations(10, force => true, threads => 2)";
    Times::of(|| client.query_one(sql, &[]).expect("lists"))
}
