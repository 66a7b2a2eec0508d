//! How long training takes, part by part, on drawn plays with a long tail.
//!
//! `SPARKIFY_PLAYS`, `SPARKIFY_TRACKS` (810,000 and 40,000 where not set),
//! `SPARKIFY_DIMS` (128), `SPARKIFY_THREADS` (2); `SPARKIFY_CHOOSE=1` lets the plays
//! choose, too. `SPARKIFY_WRITE=FILE` writes the plays as `user_id,track_id,plays`.

use std::io::Write as _;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sparkify_learn::{Entry, Interactions, Neighbours, Options, Play, Signal, train};

fn variable(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Users of a few tastes each; within a taste the chance of a track falls with
/// its rank as in Zipf's law. Histories are as long as an exponential says.
fn drawn(plays: usize, tracks: usize) -> Interactions {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let users = plays / 80;
    let tastes = (tracks / 200).max(2);
    let mut data = Interactions::new(tracks, true).expect("tracks");
    for _ in 0..users {
        let own: [usize; 4] = std::array::from_fn(|_| rng.random_range(0..tastes));
        let length = (-80.0 * (1.0 - rng.random::<f64>()).ln()) as usize + 5;
        let mut row: Vec<Play> = (0..length as u32)
            .map(|at| {
                // A fifth of the plays is the charts.
                let taste = if rng.random_bool(0.2) { 0 } else { own[rng.random_range(0..4)] };
                let reach = if taste == 0 { tracks } else { tracks / tastes * 4 };
                let rank = (reach as f64).powf(rng.random::<f64>()) as usize - 1;
                let track = ((rank * tastes / 4 + taste * 7919) % tracks) as u32;
                let weight = 1.0 + rng.random_range(0..5) as f32;
                Play { track, weight, signal: Signal::Played, first: at, last: at }
            })
            .collect();
        row.sort_unstable_by_key(|play| play.track);
        row.dedup_by_key(|play| play.track);
        data.push(&mut row).expect("valid plays");
    }
    data
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what}: {:.2?}", start.elapsed());
    result
}

fn main() {
    let (plays, tracks) =
        (variable("SPARKIFY_PLAYS", 810_000), variable("SPARKIFY_TRACKS", 40_000));
    let threads = variable("SPARKIFY_THREADS", 2);
    let data = timed("drawn", || drawn(plays, tracks));
    let listeners = data.listeners(&|| ()).expect("memory");
    let heard = listeners.iter().filter(|&&d| d > 0).count();
    let most = listeners.iter().max().copied().unwrap_or(0);
    println!(
        "{} users, {} plays of {heard} tracks, at most {most} listeners",
        data.users(),
        data.len()
    );
    if let Ok(file) = std::env::var("SPARKIFY_WRITE") {
        let mut out = std::io::BufWriter::new(std::fs::File::create(file).expect("a file"));
        writeln!(out, "user_id,track_id,plays").expect("room");
        for user in 0..data.users() {
            for play in data.plays_of(user) {
                writeln!(out, "{user},{},{}", play.track, play.weight).expect("room");
            }
        }
    }
    let mut options =
        Options { dims: variable("SPARKIFY_DIMS", 128), threads, ..Options::default() };
    let choose = variable("SPARKIFY_CHOOSE", 0) > 0;
    if !choose {
        options.ridge = Some(0.4);
        options.output_exponent = Some(0.5);
        options.neighbour_weight = Some(0.0);
    }
    let model = timed("train", || train(&data, None, &options, &|| ()).expect("a model"));
    for trial in model.trials.iter().take(2) {
        println!("{trial:?}");
    }
    if !choose {
        let found = timed("neighbours", || {
            Neighbours::find(&data, &options.neighbours, threads, &|| ()).expect("memory")
        });
        println!("{} neighbours", found.weights.len());
    }
    let dims = model.state.fold_in.dims();
    let longest = data.tracks().min(60) as u32;
    let entries: Vec<Entry> = (0..longest)
        .map(|track| Entry {
            output: &model.outputs[track as usize * dims..(track as usize + 1) * dims],
            listeners: model.listeners[track as usize],
            weight: 1.0,
            signal: Signal::Played,
        })
        .collect();
    let mut taken: Vec<Duration> = (0..501)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(model.state.fold_in.fold_in(&entries));
            start.elapsed()
        })
        .collect();
    taken.sort();
    println!("folding in {longest} tracks: {:.1?}", taken[250]);
}
