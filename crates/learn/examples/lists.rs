//! Trains on a file of plays, ranks for the users of another and measures.
//!
//! `SPARKIFY_TRAIN` and `SPARKIFY_TEST` name files of `user_id,track_id,plays` with
//! a header; without them nothing is done. `SPARKIFY_DIMS`, `SPARKIFY_THREADS`,
//! `SPARKIFY_SEED`, `SPARKIFY_ITERATIONS`, `SPARKIFY_RIDGE`, `SPARKIFY_OUTPUT_EXPONENT`,
//! `SPARKIFY_NEIGHBOUR_WEIGHT` set options.

use std::collections::HashMap;
use std::time::Instant;

use sparkify_learn::metrics::{Catalogue, Evaluation};
use sparkify_learn::{Additions, Entry, Interactions, Options, Play, Signal, neighbours, train};

fn read(file: &str) -> Vec<(String, String, f32)> {
    let text = std::fs::read_to_string(file).expect("a file of plays");
    let row = |line: &str| {
        let mut cells = line.split(',').map(str::to_owned);
        let cell = cells.next().zip(cells.next()).zip(cells.next());
        let ((user, track), plays) = cell.expect("three cells");
        (user, track, plays.parse().expect("a number of plays"))
    };
    text.lines().skip(1).map(row).collect()
}

fn number<'a>(ids: impl Iterator<Item = &'a String>) -> HashMap<&'a String, u32> {
    let mut sorted: Vec<&String> = ids.collect();
    sorted.sort();
    sorted.dedup();
    sorted.into_iter().zip(0..).collect()
}

fn variable(name: &str) -> Option<f64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn main() {
    let (Ok(known), Ok(later)) = (std::env::var("SPARKIFY_TRAIN"), std::env::var("SPARKIFY_TEST"))
    else {
        return println!("skipped: SPARKIFY_TRAIN and SPARKIFY_TEST name no files");
    };
    let (known, later) = (read(&known), read(&later));
    let users = number(known.iter().map(|row| &row.0));
    let tracks = number(known.iter().map(|row| &row.1));
    let mut plays = vec![Vec::new(); users.len()];
    for (user, track, count) in &known {
        plays[users[user] as usize].push(Play {
            track: tracks[track],
            weight: *count,
            signal: Signal::Played,
            first: 0,
            last: 0,
        });
    }
    let mut data = Interactions::new(tracks.len(), false).expect("tracks");
    for own in &mut plays {
        data.push(own).expect("valid plays");
    }
    let mut relevant = vec![Vec::new(); users.len()];
    for (user, track, _) in &later {
        // A track that nobody played before still counts as missed.
        let track = tracks.get(track).copied().unwrap_or(u32::MAX);
        relevant[users[user] as usize].push(track);
    }
    let mut options = Options {
        threads: variable("SPARKIFY_THREADS").unwrap_or(2.0) as usize,
        ..Options::default()
    };
    options.dims = variable("SPARKIFY_DIMS").unwrap_or(128.0) as usize;
    options.seed = variable("SPARKIFY_SEED").unwrap_or(42.0) as u64;
    options.factors.iterations = variable("SPARKIFY_ITERATIONS").unwrap_or(4.0) as usize;
    options.ridge = variable("SPARKIFY_RIDGE");
    options.output_exponent = variable("SPARKIFY_OUTPUT_EXPONENT");
    options.neighbour_weight = variable("SPARKIFY_NEIGHBOUR_WEIGHT");
    let start = Instant::now();
    let model = train(&data, None, &options, &|| ()).expect("a model");
    println!("trained in {:.2?}; {} dims", start.elapsed(), model.state.fold_in.dims());
    for trial in model.trials.iter().take(5) {
        println!(
            "ridge {} f {} w {}: ndcg {:.4} ± {:.4} recall {:.4}",
            trial.ridge,
            trial.output_exponent,
            trial.neighbour_weight,
            trial.ndcg.value(),
            trial.ndcg.standard_error().unwrap_or(0.0),
            trial.recall.value()
        );
    }
    let dims = model.state.fold_in.dims();
    let catalogue = Catalogue {
        listeners: &model.listeners,
        users: users.len(),
        vectors: &model.outputs,
        dims,
    };
    let mut evaluation = Evaluation::new(20, tracks.len()).expect("memory");
    let mut additions = Additions::new(tracks.len()).expect("memory");
    for (user, relevant) in relevant.iter_mut().enumerate().filter(|(_, tracks)| !tracks.is_empty())
    {
        relevant.sort_unstable();
        let output =
            |track: u32| &model.outputs[track as usize * dims..(track as usize + 1) * dims];
        let entries: Vec<Entry> = data
            .plays_of(user)
            .map(|play| Entry {
                output: output(play.track),
                listeners: model.listeners[play.track as usize],
                weight: f64::from(play.weight),
                signal: play.signal,
            })
            .collect();
        let x = model.state.fold_in.fold_in(&entries);
        additions.clear();
        for (play, recency) in neighbours::recency(data.plays_of(user), false) {
            additions.add(&model.neighbours, play, recency);
        }
        let scores: Vec<f64> = (0..tracks.len() as u32)
            .map(|track| output(track).iter().zip(&x).map(|(&o, x)| f64::from(o) * x).sum())
            .collect();
        let squares: f64 = scores.iter().map(|score| score * score).sum();
        let rms = (squares / scores.len() as f64).sqrt();
        let weight = model.state.neighbour_weight * additions.per_rms();
        let mut ranked: Vec<(f64, u32)> = (0..tracks.len() as u32)
            .filter(|&track| data.plays_of(user).all(|play| play.track != track))
            .map(|track| (scores[track as usize] / rms + weight * additions.of(track), track))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let list: Vec<u32> = ranked.iter().take(20).map(|&(_, track)| track).collect();
        evaluation.add(&list, relevant, &catalogue);
    }
    for measure in evaluation.measures() {
        println!("{} {:.4}", measure.metric, measure.value);
    }
}
