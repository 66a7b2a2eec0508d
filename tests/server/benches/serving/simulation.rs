//! Simulated listening, written into the indexed table with its triggers.

use std::time::Instant;

use postgres::Client;
use sparkify_server_tests::Server;

use crate::measure::thousands;
use crate::music;

/// Users of 60 plays each, a million events and some.
const USERS: i32 = 20_500;
const ROUNDS: usize = 3;

/// CPU time in clock ticks of a process, or of one of its threads: user and system.
fn ticks(stat: &str) -> u64 {
    let line = std::fs::read_to_string(stat).unwrap_or_default();
    // The name, in brackets, may hold blanks; 14 and 15 are counted from 1 before it.
    let fields: Vec<&str> = line.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Measures `generate_events()` and how its CPU time divides: the backend writes
/// on its main thread and generates on another.
pub fn measure(server: &Server) {
    let database = server.database("bench_simulation");
    let client: &mut Client = &mut database.connect();
    music::fill_catalogue(client, None);
    client.query_one("SELECT sparkify.generate_users($1)", &[&USERS]).expect("users");
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).expect("a pid").get(0);
    let (whole, main) = (format!("/proc/{pid}/stat"), format!("/proc/{pid}/task/{pid}/stat"));
    let (mut rates, mut shares, mut events) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        client.batch_execute("SELECT sparkify.reset_simulation(); CHECKPOINT").expect("a reset");
        let before = (ticks(&whole), ticks(&main));
        let start = Instant::now();
        let written: i64 =
            client.query_one("SELECT sparkify.generate_events()", &[]).expect("events").get(0);
        let seconds = start.elapsed().as_secs_f64();
        let (all, writing) = (ticks(&whole) - before.0, ticks(&main) - before.1);
        rates.push(written as f64 / seconds);
        shares.push(1.0 - writing as f64 / all.max(1) as f64);
        events = written;
    }
    rates.sort_by(f64::total_cmp);
    shares.sort_by(f64::total_cmp);
    println!(
        "\nSimulation: generate_events() writes {} events at {} a second (median of {ROUNDS}; {} to {});\n\
         {:.0} % of its CPU time is generating, the rest writing",
        thousands(events as usize),
        thousands(rates[ROUNDS / 2] as usize),
        thousands(rates[0] as usize),
        thousands(rates[ROUNDS - 1] as usize),
        shares[ROUNDS / 2] * 100.0,
    );
    println!("Peak memory of the simulating backend: {}", crate::peak_memory(client));
}
