//! Streams, measured: `make bench-stream`.
//!
//! A broker and a server on this machine, the server with durable commits. Figures are
//! medians of several runs in turn.

mod latency;
mod throughput;

use std::time::Duration;

use postgres::Client;
use sparkify_server_tests::cancel::cancel;
use sparkify_server_tests::kafka::Broker;
use sparkify_server_tests::random::{Random, from_environment};
use sparkify_server_tests::{Database, Server};

/// Listeners whose plays stream in.
pub const USERS: usize = 5_000;
const CANCELS: usize = 12;

/// Runs statements, or panics with them.
pub fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The smallest of some times that `share` of them do not exceed, in milliseconds.
pub fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let at = (times.len() as f64 * share).ceil() as usize;
    times.get(at.saturating_sub(1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// What a consumer is cancelled in: a name, the stream it reads, the longest it is left alone.
fn cancels(database: &Database, broker: &Broker) {
    broker.topic("quiet", 1, &[]);
    let mut client = database.connect();
    for (name, stream, brokers, topic, longest) in [
        ("no broker answers", "nobody", "127.0.0.1:1".to_owned(), "any", 3000),
        ("nothing arrives", "quiet", broker.address(), "quiet", 3000),
        ("plays are stored", "plays", broker.address(), "plays", 1500),
    ] {
        run(
            &mut client,
            &format!("SELECT sparkify.create_stream('{stream}', '{brokers}', '{topic}')"),
        );
        let call = format!("CALL sparkify.consume_stream('{stream}', 600)");
        let mut random = Random::new(1);
        let mut times: Vec<Duration> = (0..CANCELS)
            .filter_map(|_| {
                cancel(
                    &mut client,
                    &call,
                    Duration::from_millis(100 + random.below(longest) as u64),
                )
            })
            .collect();
        let (median, greatest) = (quantile(&mut times, 0.5), quantile(&mut times, 1.0));
        println!(
            "cancelled while {name}: median {median:.1} ms, greatest {greatest:.1} ms of {}",
            times.len()
        );
        run(&mut client, &format!("SELECT sparkify.drop_stream('{stream}')"));
    }
}

fn main() {
    let Some(broker) = Broker::start("streams") else { return };
    let plays = from_environment("SPARKIFY_STREAM_PLAYS", 1_000_000) as usize;
    let server = Server::start(&["fsync = on", "shared_buffers = 256MB", "max_wal_size = 4GB"]);
    let database = server.database("streams");
    let mut client = database.connect();
    for sql in [
        "SET client_min_messages = warning",
        "SELECT sparkify.generate_tracks(20000)",
        &format!("SELECT sparkify.generate_users({USERS})"),
        "SELECT sparkify.build_embeddings()",
        "VACUUM ANALYZE",
    ] {
        run(&mut client, sql);
    }
    let only = std::env::var("SPARKIFY_STREAM_ONLY").unwrap_or_default();
    if "throughput".contains(&only) || only == "cancel" {
        throughput::fill(&mut client, &broker, plays);
    }
    if "throughput".contains(&only) {
        throughput::measure(&database, &mut client, &broker, plays);
    }
    if "cancel".contains(&only) {
        cancels(&database, &broker);
    }
    if "latency".contains(&only) {
        run(&mut client, "TRUNCATE sparkify.listening_events");
        latency::measure(&database, &broker);
    }
}
