//! Simulated plays can be learned from: what users will newly play is ranked best by
//! the hidden truth, worst by popularity, and between them by co-play counts.

mod simulated;

use simulated::{START, all, catalogue, listeners};
use sparkify_core::simulate::*;
use std::collections::HashSet;

const TRACKS: usize = 3000;
const TOP: usize = 50;

/// Mean over users of the share of newly played tracks among the best `TOP` of the others.
fn recall(
    earlier: &[HashSet<u32>],
    later: &[HashSet<u32>],
    mut score: impl FnMut(usize) -> Vec<f64>,
) -> f64 {
    let (mut sum, mut users) = (0.0, 0.0);
    for (user, (earlier, later)) in earlier.iter().zip(later).enumerate() {
        let wanted: Vec<u32> = later.difference(earlier).copied().collect();
        if wanted.len() < 5 || earlier.len() < 20 {
            continue;
        }
        let scores = score(user);
        let mut rank: Vec<u32> = (0..TRACKS as u32).filter(|t| !earlier.contains(t)).collect();
        rank.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
        let found = rank[..TOP].iter().filter(|t| wanted.contains(t)).count();
        sum += found as f64 / wanted.len().min(TOP) as f64;
        users += 1.0;
    }
    assert!(users > 200.0);
    sum / users
}

#[test]
fn truth_beats_co_plays_and_co_plays_beat_popularity() {
    let options = SimulationOptions { events_per_user: 300, ..Default::default() };
    let catalogue = catalogue(TRACKS, 30, &options);
    let (_, listeners) = listeners(&catalogue, 800, 42);
    let sim = Simulation::calibrate(catalogue, options, &listeners, START, &|| {}).unwrap();
    let heard = |from: i64, to: i64| {
        let mut sets = vec![HashSet::new(); listeners.len()];
        for play in all(&sim, &listeners, (START + from * DAY, START + to * DAY), 0) {
            if !play.skipped {
                sets[play.user as usize].insert(play.track);
            }
        }
        sets
    };
    let (earlier, later) = (heard(0, 90), heard(90, 120));

    let mut users_of = vec![0.0f64; TRACKS];
    let mut together = vec![0.0f32; TRACKS * TRACKS];
    for set in &earlier {
        for &a in set {
            users_of[a as usize] += 1.0;
            for &b in set {
                together[a as usize * TRACKS + b as usize] += 1.0;
            }
        }
    }
    let by_popularity = recall(&earlier, &later, |_| users_of.clone());
    let by_co_plays = recall(&earlier, &later, |user| {
        let mut scores = vec![0.0; TRACKS];
        for &a in &earlier[user] {
            let row = &together[a as usize * TRACKS..][..TRACKS];
            for (b, score) in scores.iter_mut().enumerate() {
                let product = users_of[a as usize] * users_of[b];
                *score += f64::from(row[b]) / product.max(1.0).sqrt();
            }
        }
        scores
    });
    let by_truth = recall(&earlier, &later, |user| sim.truth(&listeners[user], START + 105 * DAY));
    println!("truth {by_truth:.3}, co-plays {by_co_plays:.3}, popularity {by_popularity:.3}");
    assert!(by_truth > 1.15 * by_co_plays, "truth {by_truth}, co-plays {by_co_plays}");
    assert!(by_co_plays > 2.0 * by_popularity, "{by_co_plays}, popularity {by_popularity}");
    assert!(by_truth > 3.0 * by_popularity, "truth {by_truth}, popularity {by_popularity}");
}
