//! Plays a second from a topic to the table, beside kcat into COPY.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use postgres::Client;
use rdkafka::producer::Producer;
use sparkify_server_tests::Database;
use sparkify_server_tests::kafka::{Broker, send};
use sparkify_server_tests::random::Random;

use crate::{USERS, run};

const RUNS: usize = 3;
const PARTITIONS: usize = 4;
/// Megabytes that a consumer may hold fetched.
const MEMORY: usize = 64;

/// Writes the same plays to two topics: as messages, and as lines for COPY.
pub fn fill(client: &mut Client, broker: &Broker, plays: usize) {
    let texts = |client: &mut Client, sql: &str| -> Vec<String> {
        client.query(sql, &[]).expect("a query").iter().map(|row| row.get(0)).collect()
    };
    let users = texts(client, "SELECT user_id FROM sparkify.users ORDER BY 1");
    let tracks = texts(client, "SELECT track_id FROM sparkify.tracks ORDER BY 1");
    broker.topic("plays", PARTITIONS as i32, &[]);
    broker.topic("lines", PARTITIONS as i32, &[]);
    let producer = broker.producer();
    let mut random = Random::new(1);
    for number in 0..plays {
        let user = random.below(USERS);
        let (user, track, skipped) =
            (&users[user], &tracks[random.below(tracks.len())], random.once_in(5));
        let partition = (number % PARTITIONS) as i32;
        let (minute, second) = (number / 60 % 60, number % 60);
        let (day, hour) = (number / 86_400 + 1, number / 3600 % 24);
        let at = format!("2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        let id = format!("00000000-0000-0000-0000-{number:012}");
        let ms = 30_000 + random.below(200_000);
        let message = format!(
            r#"{{"user_id":"{user}","track_id":"{track}","played_at":"{at}","ms_played":{ms},"skipped":{skipped},"event_id":"{id}"}}"#
        );
        send(&producer, "plays", partition, message.as_bytes());
        let line = format!("{user},{track},{at},{ms},{skipped},{id}");
        send(&producer, "lines", partition, line.as_bytes());
    }
    producer.flush(Duration::from_secs(600)).expect("the broker has all of them");
}

fn empty(client: &mut Client) {
    run(
        client,
        "TRUNCATE sparkify.listening_events, sparkify_internal.changed_users, sparkify_internal.play_changes,
            sparkify_internal.stale_marks",
    );
    run(client, "CHECKPOINT");
}

fn stored(client: &mut Client) -> usize {
    let count: i64 = client
        .query_one("SELECT count(*) FROM sparkify.listening_events", &[])
        .expect("a count")
        .get(0);
    count as usize
}

/// Kilobytes of a process that are its own.
fn own_kilobytes(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Consumes everything; seconds, and the most kilobytes that were added to the session's own meanwhile.
fn consume(database: &Database) -> (f64, usize) {
    let mut client = database.connect();
    let pid = client.query_one("SELECT pg_backend_pid()", &[]).expect("a number").get(0);
    let before = own_kilobytes(pid);
    let (ended, most) = (AtomicBool::new(false), AtomicUsize::new(0));
    let took = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(own_kilobytes(pid), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let began = Instant::now();
        run(
            &mut client,
            &format!(
                "CALL sparkify.consume_stream('plays', 3600, until_end => true, memory_mb => {MEMORY})"
            ),
        );
        let took = began.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        took
    });
    (took, most.into_inner().saturating_sub(before))
}

/// kcat into COPY; seconds.
fn copy(database: &Database, broker: &Broker) -> f64 {
    let began = Instant::now();
    let mut kcat = Command::new("kcat")
        .args(["-q", "-C", "-e", "-o", "beginning", "-t", "lines", "-b", &broker.address()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kcat runs");
    let status = database
        .program("psql")
        .args(["-Xqc", r"\copy sparkify.listening_events (user_id, track_id, played_at, ms_played, skipped, event_id) FROM STDIN (FORMAT csv)"])
        .stdin(kcat.stdout.take().expect("its output"))
        .status()
        .expect("psql runs");
    let took = began.elapsed().as_secs_f64();
    assert!(kcat.wait().expect("kcat ends").success() && status.success());
    took
}

pub fn measure(database: &Database, client: &mut Client, broker: &Broker, plays: usize) {
    run(
        client,
        &format!("SELECT sparkify.create_stream('plays', '{}', 'plays')", broker.address()),
    );
    let has_kcat = Command::new("kcat").arg("-V").output().is_ok();
    let (mut ours, mut theirs, mut most) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        empty(client);
        run(client, "SELECT sparkify.reset_stream('plays')");
        let (took, memory) = consume(database);
        assert_eq!(stored(client), plays);
        ours.push(took);
        most = most.max(memory);
        if has_kcat {
            empty(client);
            theirs.push(copy(database, broker));
            assert_eq!(stored(client), plays);
        }
    }
    show("consume_stream", &mut ours, plays);
    if has_kcat {
        show("kcat into COPY", &mut theirs, plays);
    } else {
        println!("kcat is not installed: nothing to compare with");
    }
    println!(
        "memory of the session with memory_mb => {MEMORY}: {} MB at most, {plays} messages waiting",
        most / 1024
    );
    run(client, "SELECT sparkify.drop_stream('plays')");
    empty(client);
}

fn show(name: &str, seconds: &mut [f64], plays: usize) {
    seconds.sort_by(f64::total_cmp);
    let rate = |seconds: f64| plays as f64 / seconds;
    println!(
        "{name}: {:.0} plays a second ({:.0} to {:.0} in {} runs)",
        rate(seconds[seconds.len() / 2]),
        rate(seconds[seconds.len() - 1]),
        rate(seconds[0]),
        seconds.len()
    );
}
