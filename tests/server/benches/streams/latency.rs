//! From a message to what is recommended, while plays stream in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use postgres::{Client, NoTls};
use sparkify_server_tests::Database;
use sparkify_server_tests::kafka::{Broker, send};

use crate::{quantile, run};

const RATE: usize = 1_000;
const PROBES: usize = 100;

fn milliseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis()
}

fn best(client: &mut Client) -> String {
    client
        .query_one("SELECT track_id FROM sparkify.recommend('probe', 1)", &[])
        .expect("a recommendation")
        .get(0)
}

/// A thousand plays a second by others, and now and then one of the track that a listener
/// is recommended first: the time until another stands there.
pub fn measure(database: &Database, broker: &Broker) {
    broker.topic("live", 3, &[]);
    let mut client = database.connect();
    run(&mut client, "INSERT INTO sparkify.users (user_id) VALUES ('probe')");
    run(
        &mut client,
        &format!("SELECT sparkify.create_stream('live', '{}', 'live')", broker.address()),
    );
    let tracks: Vec<String> = client
        .query("SELECT track_id FROM sparkify.tracks ORDER BY 1", &[])
        .expect("tracks")
        .iter()
        .map(|row| row.get(0))
        .collect();
    let mut consumer = database.connect();
    let token = consumer.cancel_token();
    let ended = AtomicBool::new(false);
    let mut times = std::thread::scope(|scope| {
        scope.spawn(move || consumer.batch_execute("CALL sparkify.consume_stream('live', 600)"));
        scope.spawn(|| {
            let producer = broker.producer();
            let began = Instant::now();
            let mut sent = 0;
            while !ended.load(Ordering::Relaxed) {
                while sent < (began.elapsed().as_secs_f64() * RATE as f64) as usize {
                    let (user, track) = (sent % 997, &tracks[sent % tracks.len()]);
                    let message = format!(
                        r#"{{"user_id":"l{user}","track_id":"{track}","played_at":{}}}"#,
                        milliseconds()
                    );
                    send(&producer, "live", (sent % 3) as i32, message.as_bytes());
                    sent += 1;
                }
                producer.poll(Duration::from_millis(2));
            }
        });
        let producer = broker.producer();
        std::thread::sleep(Duration::from_secs(3));
        let mut times = Vec::new();
        for probe in 0..PROBES {
            let track = best(&mut client);
            let message = format!(
                r#"{{"user_id":"probe","track_id":"{track}","played_at":{}}}"#,
                milliseconds()
            );
            let began = Instant::now();
            send(&producer, "live", (probe % 3) as i32, message.as_bytes());
            while best(&mut client) == track {
                producer.poll(Duration::from_millis(2));
            }
            times.push(began.elapsed());
            std::thread::sleep(Duration::from_millis(probe as u64 * 37 % 150));
        }
        ended.store(true, Ordering::Relaxed);
        token.cancel_query(NoTls).expect("a cancel is sent");
        times
    });
    println!(
        "from a message to recommend() at {RATE} plays a second: median {:.0} ms, p95 {:.0} ms, greatest {:.0} ms of {PROBES}",
        quantile(&mut times, 0.5),
        quantile(&mut times, 0.95),
        quantile(&mut times, 1.0)
    );
    run(&mut client, "SELECT sparkify.drop_stream('live')");
}
