//! Neighbours against their definition on dense matrices.

use faer::{Mat, Side, linalg::solvers::Solve};

use super::*;
use crate::{Play, Signal};

fn play(track: u32) -> Play {
    Play { track, weight: 1.0, signal: Signal::Played, first: 0, last: 0 }
}

fn data(users: &[&[u32]], tracks: usize) -> Interactions {
    let mut data = Interactions::new(tracks, false).unwrap();
    for user in users {
        data.push(&mut user.iter().map(|&track| play(track)).collect::<Vec<_>>()).unwrap();
    }
    data
}

/// Users with a taste for tracks near a place of their own.
fn drawn(users: usize, tracks: usize) -> Interactions {
    let mut state = 7u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    let mut data = Interactions::new(tracks, false).unwrap();
    for _ in 0..users {
        let place = below(tracks);
        let mut own: Vec<u32> =
            (0..2 + below(8)).map(|_| ((place + below(6)) % tracks) as u32).collect();
        own.sort_unstable();
        own.dedup();
        data.push(&mut own.into_iter().map(play).collect::<Vec<_>>()).unwrap();
    }
    data
}

/// `W` by the formula, with every other track a candidate.
fn dense(data: &Interactions, options: &NeighbourOptions) -> Mat<f64> {
    let (users, tracks) = (data.users(), data.tracks());
    let listeners = data.listeners(&|| ()).unwrap();
    let power = |track: usize, exponent: f64| f64::from(listeners[track].max(1)).powf(exponent);
    let mut p = Mat::<f64>::zeros(users, tracks);
    for user in 0..users {
        let n = data.plays_of(user).len() as f64;
        for play in data.plays_of(user) {
            let track = play.track as usize;
            p[(user, track)] =
                n.powf(-options.user_exponent) * power(track, -options.source_exponent);
        }
    }
    let mut g = p.transpose() * &p;
    let heard = listeners.iter().filter(|&&d| d > 0).count() as f64;
    let mean = (0..tracks).map(|i| g[(i, i)]).sum::<f64>() / heard;
    g *= faer::Scale(1.0 / mean);
    let mut w = Mat::zeros(tracks, tracks);
    for i in 0..tracks {
        let others: Vec<usize> = (0..tracks).filter(|&j| j != i && g[(j, i)] > 0.0).collect();
        let system = Mat::from_fn(others.len(), others.len(), |a, b| {
            g[(others[a], others[b])] + if a == b { options.ridge } else { 0.0 }
        });
        let right = Mat::from_fn(others.len(), 1, |a, _| g[(others[a], i)]);
        let solved = system.llt(Side::Lower).unwrap().solve(&right);
        for (a, &j) in others.iter().enumerate() {
            let weight = power(j, -options.source_exponent)
                * solved[(a, 0)]
                * power(i, options.target_exponent);
            w[(j, i)] = weight.max(0.0);
        }
    }
    w
}

#[test]
fn with_room_for_all_it_is_the_formula() {
    let data = drawn(60, 15);
    let options = NeighbourOptions::default();
    let want = dense(&data, &options);
    let found = Neighbours::find(&data, &options, 1, &|| ()).unwrap();
    for source in 0..15 {
        let mut row = [0.0; 15];
        found.of(source as u32).for_each(|(target, w)| row[target as usize] = f64::from(w));
        for target in 0..15 {
            let (got, want) = (row[target], want[(source, target)]);
            assert!((got - want).abs() < 1e-6, "{source} to {target}: {got} is not {want}");
        }
    }
}

#[test]
fn two_tracks_of_the_same_listeners_have_a_known_weight() {
    // Two users, both played both: every entry of G is equal, the diagonal 1.
    let data = data(&[&[0, 1], &[0, 1]], 3);
    let found = Neighbours::find(&data, &NeighbourOptions::default(), 1, &|| ()).unwrap();
    let want = 2f64.powf(-0.4) * (1.0 / 6.0) * 2f64.powf(0.3);
    assert_eq!(found.targets, [1, 0]);
    assert_eq!(found.offsets, [0, 1, 2, 2]);
    for weight in found.weights {
        assert!((f64::from(weight) - want).abs() < 1e-7, "{weight} is not {want}");
    }
}

#[test]
fn any_number_of_threads_finds_the_same() {
    let data = drawn(3000, 400);
    let options = NeighbourOptions { candidates: 30, kept: 7, ..NeighbourOptions::default() };
    let alone = Neighbours::find(&data, &options, 1, &|| ()).unwrap();
    assert!(alone.weights.len() > 400);
    for threads in [2, 4] {
        assert_eq!(Neighbours::find(&data, &options, threads, &|| ()).unwrap(), alone);
    }
}

#[test]
fn the_greatest_are_kept() {
    let data = drawn(500, 60);
    let all = Neighbours::find(&data, &NeighbourOptions::default(), 2, &|| ()).unwrap();
    let options = NeighbourOptions { kept: 3, ..NeighbourOptions::default() };
    let few = Neighbours::find(&data, &options, 2, &|| ()).unwrap();
    for source in 0..60 {
        let mut greatest: Vec<(u32, f32)> = all.of(source).collect();
        greatest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        greatest.truncate(3);
        greatest.sort_unstable_by_key(|&(target, _)| target);
        assert_eq!(few.of(source).collect::<Vec<_>>(), greatest);
    }
}

#[test]
fn rows_cut_short_still_give_neighbours_that_are_finite_and_above_zero() {
    let data = drawn(2000, 100);
    let options =
        NeighbourOptions { candidates: 4, row_bytes: 0, ridge: 0.0, ..NeighbourOptions::default() };
    let found = Neighbours::find(&data, &options, 2, &|| ()).unwrap();
    assert!(found.weights.len() >= 100);
    assert!(found.weights.iter().all(|weight| weight.is_finite() && *weight > 0.0));
}

#[test]
fn a_long_history_counts_with_its_newest_plays() {
    let mut data = Interactions::new(4, true).unwrap();
    for _ in 0..2 {
        let newest = [0, 3, 1, 2];
        let mut own = newest.map(|last| Play { last, ..play(last) });
        own.iter_mut().for_each(|play| play.last = 10 - play.last);
        data.push(&mut own).unwrap();
    }
    let options = NeighbourOptions { longest_history: 2, ..NeighbourOptions::default() };
    let found = Neighbours::find(&data, &options, 1, &|| ()).unwrap();
    // Tracks 0 and 1 were played last.
    assert_eq!(found.offsets, [0, 1, 2, 2, 2]);
}

#[test]
fn nothing_played_together_has_no_neighbours() {
    for users in [&[] as &[&[u32]], &[&[0], &[1]], &[&[]]] {
        let found =
            Neighbours::find(&data(users, 2), &NeighbourOptions::default(), 2, &|| ()).unwrap();
        assert_eq!(found.offsets, [0, 0, 0]);
    }
}

#[test]
fn recency_counts_from_the_end() {
    let plays = [(0, 5), (1, 9), (2, 7)].map(|(track, last)| Play { last, ..play(track) });
    let found: Vec<(u32, f64)> = recency(plays.into_iter(), true).collect();
    assert_eq!(found, [(1, 1.0), (2, 0.5f64.sqrt()), (0, 3f64.powf(-0.5))]);
    let same = plays.map(|play| Play { last: play.last.min(7), ..play });
    let found: Vec<(u32, f64)> = recency(same.into_iter(), true).collect();
    assert_eq!(found, [(1, 1.0), (2, 1.0), (0, 3f64.powf(-0.5))]);
    assert!(recency(plays.into_iter(), false).all(|(_, weight)| weight == 1.0));
}
