//! Every play of a topic is stored once, whatever is killed meanwhile.
//!
//! `SPARKIFY_STREAM_PLAYS` and `SPARKIFY_STREAM_KILLS` set the size; `make
//! test-stream` runs it with 200,000 plays and 36 kills.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use postgres::Client;
use sparkify_server_tests::gate::wait_until;
use sparkify_server_tests::kafka::{Broker, send};
use sparkify_server_tests::pipeline::SMALL;
use sparkify_server_tests::{Server, run};

use rdkafka::producer::Producer;

const PARTITIONS: usize = 4;
const DATABASE: &str = "once";

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Numbered: the number is the event's id, and its time.
fn play(number: usize) -> String {
    format!(
        r#"{{"user_id":"u{}","track_id":"t{}","played_at":{},"event_id":"00000000-0000-0000-0000-{number:012}"}}"#,
        number % 997,
        number % 12 + 1,
        1_769_904_000_000 + number,
    )
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
}

/// Consumes again and again, whatever happens, until told to stop.
fn consume(server: &Server, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if let Ok(mut client) = server.try_connect(DATABASE, "postgres") {
            let _ =
                client.batch_execute("CALL sparkify.consume_stream('plays', 5, batch_rows => 500)");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Reads the rest, then holds what is stored against what was produced.
#[track_caller]
fn finish(server: &Server, database: &str, plays: usize) {
    wait_until("the server takes connections", || server.try_connect(database, "postgres").is_ok());
    let mut client = server.connect_as(database, "postgres");
    let mut last = String::new();
    wait_until("the rest is read", || {
        match client.batch_execute("CALL sparkify.consume_stream('plays', 60, until_end => true)") {
            Ok(()) => {
                number(&mut client, "SELECT sum(lag)::bigint FROM sparkify.stream_status") == 0
            }
            Err(error) => {
                last = error.to_string();
                false
            }
        }
    });
    let plays = plays as i64;
    let streamed = "FROM sparkify.listening_events WHERE played_at >= '2026-02-01'";
    assert_eq!(
        number(&mut client, &format!("SELECT count(*) {streamed}")),
        plays,
        "never lost {last}"
    );
    assert_eq!(number(&mut client, &format!("SELECT count(DISTINCT event_id) {streamed}")), plays);
    // A play read twice would be a duplicate and leave no row: the messages tell.
    let messages = "SELECT sum(messages)::bigint FROM sparkify.stream_status";
    assert_eq!(number(&mut client, messages), plays, "never twice");
    assert_eq!(
        number(&mut client, "SELECT sum(rejected + lost)::bigint FROM sparkify.stream_status"),
        0
    );
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.rejected_events"), 0);
}

#[test]
fn every_play_is_stored_once_whatever_is_killed() {
    let plays = setting("SPARKIFY_STREAM_PLAYS", 20_000);
    let kills = setting("SPARKIFY_STREAM_KILLS", 9);
    let Some(mut broker) = Broker::start("every_play_is_stored_once_whatever_is_killed") else {
        return;
    };
    broker.topic("once", PARTITIONS as i32, &[]);
    let server = Arc::new(Server::start(&["wal_level = replica", "restart_after_crash = on"]));
    {
        let database = server.database(DATABASE);
        let mut client = database.connect();
        client.batch_execute(SMALL).unwrap();
        let create =
            format!("SELECT sparkify.create_stream('plays', '{}', 'once')", broker.address());
        client.batch_execute(&create).unwrap();
    }
    let standby = server.standby();

    let stop = Arc::new(AtomicBool::new(false));
    // Two at once: one of them is skipped at any time.
    let consumers: Vec<_> = (0..2)
        .map(|_| {
            let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
            std::thread::spawn(move || consume(&server, &stop))
        })
        .collect();
    // Plays are produced as the kills go on, so that every kill has some under way.
    let allowed = Arc::new(AtomicUsize::new(plays / (kills + 1)));
    let producer = broker.producer();
    let producing = {
        let allowed = Arc::clone(&allowed);
        std::thread::spawn(move || {
            for number in 0..plays {
                while allowed.load(Ordering::Relaxed) <= number {
                    producer.poll(Duration::from_millis(10));
                }
                send(&producer, "once", (number % PARTITIONS) as i32, play(number).as_bytes());
            }
            producer.flush(Duration::from_secs(600)).expect("the broker has all of them");
        })
    };

    let mut dice = Dice(42);
    let mut killed = [0; 3];
    let dump = std::env::temp_dir().join(format!("sparkify-once-{}.dump", std::process::id()));
    for kill in 0..kills {
        std::thread::sleep(Duration::from_millis(100 + dice.below(900)));
        let victim = kill % 3;
        match victim {
            0 => {
                let pid = server.try_connect(DATABASE, "postgres").ok().and_then(|mut client| {
                    let running = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL sparkify.consume_stream%'
                        AND state = 'active' ORDER BY backend_start LIMIT 1";
                    client.query_opt(running, &[]).ok().flatten().map(|row| row.get::<_, i32>(0))
                });
                if let Some(pid) = pid {
                    server.kill(pid);
                    killed[victim] += 1;
                }
            }
            1 => {
                server.kill(server.postmaster());
                killed[victim] += 1;
                wait_until("the server starts anew", || server.try_resume());
            }
            _ => {
                broker.kill();
                killed[victim] += 1;
                std::thread::sleep(Duration::from_millis(dice.below(1000)));
                broker.resume();
            }
        }
        allowed.fetch_add(plays / (kills + 1) + 1, Ordering::Relaxed);
        if kill == kills / 2 {
            wait_until("a dump is taken while plays stream in", || {
                let mut dumping = server.program("pg_dump", DATABASE);
                dumping.args(["-Fc", "-f"]).arg(&dump).stderr(Stdio::null());
                dumping.status().expect("pg_dump runs").success()
            });
        }
    }
    producing.join().expect("everything is produced");
    println!("killed: consumer {}, postmaster {}, broker {}", killed[0], killed[1], killed[2]);
    assert!(killed.iter().all(|&count| count > 0) || kills < 9, "{killed:?}");

    // The standby as it is when the primary goes, in the middle of consuming or not.
    server.kill(server.postmaster());
    stop.store(true, Ordering::Relaxed);
    for consumer in consumers {
        consumer.join().expect("no panic");
    }
    let mut promoted = standby.connect_as(DATABASE, "postgres");
    promoted.query_one("SELECT pg_promote()", &[]).unwrap();
    wait_until("the standby is a primary", || {
        !promoted.query_one("SELECT pg_is_in_recovery()", &[]).unwrap().get::<_, bool>(0)
    });
    finish(&standby, DATABASE, plays);

    // The server that lived through all of it.
    wait_until("the server starts anew", || server.try_resume());
    finish(&server, DATABASE, plays);

    // What was dumped half way goes on where it stood.
    server.empty_database("restored");
    run(server.program("pg_restore", "restored").arg("--exit-on-error").arg(&dump));
    let mut restored = server.connect_as("restored", "postgres");
    let before = number(
        &mut restored,
        "SELECT coalesce(sum(messages), 0)::bigint FROM sparkify.stream_status",
    );
    assert!(before < plays as i64, "the dump was taken meanwhile");
    finish(&server, "restored", plays);
    let _ = std::fs::remove_file(&dump);
}
