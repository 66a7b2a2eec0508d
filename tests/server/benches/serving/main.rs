//! What recommending costs in SQL, with ratios to reference implementations
//! measured in turn with it, in the same run.
//!
//! `make bench` starts a server for it and names it in the environment.
//! Ratios say more than times: a busy machine slows both sides.

mod batch;
mod growth;
mod learned;
mod measure;
mod music;
mod on_demand;
mod reference;
mod simulation;

use postgres::Client;
use sparkify_server_tests::Server;

use crate::measure::thousands;
use crate::reference::{Faiss, Vectors};

fn main() {
    let server = Server::shared();
    let part = std::env::var("SPARKIFY_BENCH_PART").unwrap_or_default();
    if ["", "content"].contains(&&*part) {
        content(&server);
    }
    if ["", "learned"].contains(&&*part) {
        learned::measure(&server);
    }
    if ["", "simulation"].contains(&&*part) {
        simulation::measure(&server);
    }
    if std::env::var_os("SPARKIFY_BENCH_FULL").is_some_and(|full| full == "1") {
        growth::measure(&server);
    }
}

/// A model of content.
fn content(server: &Server) {
    let database = server.database("bench");
    let client = &mut database.connect();
    music::fill_catalogue(client, None);
    music::add_listeners(client, 1, music::LISTENERS);
    on_demand::add_listeners(client);
    client.batch_execute("SELECT sparkify.build_embeddings()").expect("a model");
    music::settle(client);

    let first = batch::refresh(client, false);
    let vectors = Vectors::read(client);
    println!(
        "Catalogue: {} tracks x {}; {} users",
        thousands(vectors.tracks.len() / vectors.dims),
        vectors.dims,
        thousands(vectors.users().count())
    );
    let mut faiss = Faiss::start(&vectors);
    on_demand::measure(&database, &vectors, faiss.as_mut());
    batch::measure(client, first, &vectors, faiss.as_mut());
}

/// The most memory that the server process of a connection has taken, the mapped image and shared buffers included.
fn peak_memory(client: &mut Client) -> String {
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).expect("a pid").get(0);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |peak| peak.trim().to_owned())
}
