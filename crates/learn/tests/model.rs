//! A trained model keeps its contract: a known answer, the same bits, refusals.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ndarray::Array2;
use sparkify_core::Error;
use sparkify_core::embedding::Features;
use sparkify_learn::{
    Additions, Cut, Entry, FoldIn, Interactions, Model, Options, Play, Signal, State, neighbours,
    train,
};

fn play(track: u32) -> Play {
    Play { track, weight: 1.0, signal: Signal::Played, first: track, last: track }
}

fn interactions(users: &[Vec<Play>], tracks: usize) -> Interactions {
    let mut data = Interactions::new(tracks, true).unwrap();
    for user in users {
        data.push(&mut user.clone()).unwrap();
    }
    data
}

/// Users of even number play even tracks, others odd ones, each all but one.
fn checkerboard(users: usize, tracks: usize) -> Interactions {
    let own = |user: usize| {
        let tracks = (0..tracks as u32).filter(move |track| *track as usize % 2 == user % 2);
        tracks.filter(move |track| *track as usize / 2 != user / 2 % 20).map(play).collect()
    };
    interactions(&(0..users).map(own).collect::<Vec<_>>(), tracks)
}

/// Plays around places, from a generator of our own, with a long tail.
fn drawn(users: usize, tracks: usize) -> Interactions {
    let mut state = 3u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    let rows: Vec<Vec<Play>> = (0..users)
        .map(|_| {
            let place = below(tracks);
            let count = 3 + below(30);
            let mut own: Vec<Play> = (0..count)
                .map(|at| {
                    let near = 1 + below(tracks / 4);
                    let track = (place + below(near)) % tracks;
                    let weight = 1.0 + below(9) as f32;
                    let at = at as u32;
                    Play {
                        track: track as u32,
                        weight,
                        signal: Signal::Played,
                        first: at,
                        last: at,
                    }
                })
                .collect();
            own.sort_unstable_by_key(|play| play.track);
            own.dedup_by_key(|play| play.track);
            own
        })
        .collect();
    interactions(&rows, tracks)
}

fn plain(dims: usize) -> Options {
    Options {
        dims,
        ridge: Some(0.4),
        output_exponent: Some(0.5),
        neighbour_weight: Some(0.2),
        ..Options::default()
    }
}

fn output(model: &Model, track: u32) -> &[f32] {
    let dims = model.state.fold_in.dims();
    &model.outputs[track as usize * dims..(track as usize + 1) * dims]
}

/// Scores of all tracks for plays, the way that serving adds them up.
fn scores(model: &Model, plays: &[Play]) -> Vec<f64> {
    let entries: Vec<Entry> = plays
        .iter()
        .map(|play| Entry {
            output: output(model, play.track),
            listeners: model.listeners[play.track as usize],
            weight: f64::from(play.weight),
            signal: play.signal,
        })
        .collect();
    let x = model.state.fold_in.fold_in(&entries);
    let rms = model.state.root_mean_square(&x);
    let mut additions = Additions::new(model.listeners.len()).unwrap();
    for (track, recency) in neighbours::recency(plays.iter().copied(), true) {
        additions.add(&model.neighbours, track, recency);
    }
    let weight = model.state.neighbour_weight * additions.per_rms();
    (0..model.listeners.len() as u32)
        .map(|track| {
            let dot: f64 =
                output(model, track).iter().zip(&x).map(|(&o, x)| f64::from(o) * x).sum();
            let dot = if rms > 0.0 { dot / rms } else { 0.0 };
            dot + weight * additions.of(track)
        })
        .collect()
}

#[test]
fn on_a_checkerboard_the_tracks_of_ones_own_colour_come_first() {
    let data = checkerboard(40, 40);
    let model = train(&data, None, &plain(8), &|| ()).unwrap();
    for colour in 0..2u32 {
        let plays: Vec<Play> = (0..10).map(|at| play(2 * at + colour)).collect();
        let scores = scores(&model, &plays);
        let of = |want: bool| {
            scores
                .iter()
                .enumerate()
                .filter(move |(track, _)| (*track as u32 % 2 == colour) == want)
        };
        let worst = of(true).map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
        let best = of(false).map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
        assert!(worst > best + 0.5, "{worst} is not above {best}");
    }
}

#[test]
fn a_play_moves_its_neighbours_up_and_a_dislike_down() {
    let model = train(&drawn(300, 60), None, &plain(12), &|| ()).unwrap();
    let before = [play(10), play(12), play(40)];
    let nearest = model.neighbours.of(20).max_by(|a, b| a.1.total_cmp(&b.1));
    let nearest = nearest.map(|(target, _)| target as usize).unwrap();
    let after = |signal| [&before[..], &[Play { signal, ..play(20) }]].concat();
    let (plain, up, down) = (
        scores(&model, &before),
        scores(&model, &after(Signal::Played)),
        scores(&model, &after(Signal::Disliked)),
    );
    assert!(up[20] > plain[20] && plain[20] > down[20], "{} {} {}", up[20], plain[20], down[20]);
    let (plain, up, down) = (plain[nearest], up[nearest], down[nearest]);
    assert!(up > plain && plain > down, "{up} {plain} {down}");
}

#[test]
fn the_same_seed_gives_the_same_bits_for_any_number_of_threads() {
    let data = drawn(400, 150);
    let with = |seed, threads| {
        let options = Options { dims: 24, seed, threads, ..Options::default() };
        train(&data, None, &options, &|| ()).unwrap()
    };
    let first = with(42, 1);
    assert!(!first.trials.is_empty());
    let bits = |model: &Model| {
        let words = model.state.to_words();
        let words: Vec<u64> = words.into_iter().map(f64::to_bits).collect();
        let outputs: Vec<u32> = model.outputs.iter().map(|value| value.to_bits()).collect();
        (words, outputs, model.neighbours.clone(), model.trials.clone())
    };
    for threads in [1, 2, 4] {
        assert!(bits(&with(42, threads)) == bits(&first), "{threads} threads");
    }
    assert!(with(43, 1).outputs != first.outputs);
}

#[test]
fn folding_in_a_user_of_the_training_is_the_half_step() {
    // With g = 0 the two differ by the rounding of what is stored alone: one more
    // step over the tracks leaves the users' factors of a settled model.
    let data = drawn(200, 40);
    let mut options = plain(10);
    options.certainty_exponent = 0.0;
    options.factors.iterations = 200;
    let model = train(&data, None, &options, &|| ()).unwrap();
    let gram = &model.state.fold_in.eigenvalues;
    assert!(gram.windows(2).all(|pair| pair[0] >= pair[1]), "{gram:?}");
    // At the optimum the Gram matrices of both sides are balanced: Σ‖x‖² = Σ‖v‖².
    let squares: f64 = (0..data.users())
        .map(|user| {
            let entries: Vec<Entry> = data
                .plays_of(user)
                .map(|play| Entry {
                    output: output(&model, play.track),
                    listeners: model.listeners[play.track as usize],
                    weight: f64::from(play.weight),
                    signal: play.signal,
                })
                .collect();
            model.state.fold_in.fold_in(&entries).iter().map(|x| x * x).sum::<f64>()
        })
        .sum();
    let trace: f64 = gram.iter().sum();
    assert!((squares / trace - 1.0).abs() < 1e-3, "{squares} {trace}");
}

#[test]
fn stored_vectors_lie_in_the_eigenbasis_of_the_factors() {
    let model = train(&drawn(200, 80), None, &plain(16), &|| ()).unwrap();
    let fold_in = &model.state.fold_in;
    let dims = fold_in.dims();
    let mut gram = Array2::<f64>::zeros((dims, dims));
    for (track, &heard) in model.listeners.iter().enumerate().filter(|(_, heard)| **heard > 0) {
        let row = output(&model, track as u32);
        let v = |k: usize| f64::from(row[k]) / fold_in.scale_to_output(heard);
        for i in 0..dims {
            for j in 0..dims {
                gram[(i, j)] += v(i) * v(j);
            }
        }
    }
    for i in 0..dims {
        for j in 0..dims {
            let want = if i == j { fold_in.eigenvalues[i] } else { 0.0 };
            assert!((gram[(i, j)] - want).abs() < 1e-4 * fold_in.eigenvalues[0]);
        }
    }
    let x: Vec<f64> = (0..dims).map(|k| (k as f64).cos()).collect();
    let squares = (0..80).map(|track| {
        let dot: f64 = output(&model, track).iter().zip(&x).map(|(&o, x)| f64::from(o) * x).sum();
        dot * dot
    });
    let want = (squares.sum::<f64>() / 80.0).sqrt();
    assert!((model.state.root_mean_square(&x) / want - 1.0).abs() < 1e-6);
}

#[test]
fn a_state_comes_back_from_its_words_and_what_is_broken_is_refused() {
    let model = train(&drawn(100, 30), None, &plain(6), &|| ()).unwrap();
    let words = model.state.to_words();
    assert_eq!(State::from_words(&words).unwrap(), model.state);
    assert_eq!(FoldIn::from_words(&model.state.fold_in.to_words()).unwrap(), model.state.fold_in);
    let refused = |words: &[f64]| matches!(State::from_words(words), Err(Error::OutOfRange { .. }));
    for length in [0, 1, 2, 10, words.len() - 1] {
        assert!(refused(&words[..length]), "{length} words");
    }
    for (at, wrong) in [(0, -1.0), (0, 1e300), (0, 6.5), (0, f64::NAN), (1, -0.5), (3, 0.0)] {
        let mut broken = words.clone();
        broken[at] = wrong;
        assert!(refused(&broken), "{wrong} at {at}");
    }
    let mut longer = words.clone();
    longer.push(0.0);
    assert!(refused(&longer));
}

#[test]
fn a_track_without_plays_takes_its_vector_from_content() {
    let mut rows: Vec<Vec<Play>> = (0..60)
        .map(|user| {
            (0..20u32).filter(|t| t % 2 == user % 2 && t % 7 != user % 7).map(play).collect()
        })
        .collect();
    rows[0].truncate(6);
    // Tracks 20 and 21 were never played; the genre is the colour.
    let data = interactions(&rows, 22);
    let numeric = Array2::from_elem((22, 1), f64::NAN);
    let offsets: Vec<usize> = (0..=22).collect();
    let genres: Vec<u32> = (0..22).map(|track| track % 2).collect();
    let features =
        Features { numeric: numeric.view(), genre_offsets: &offsets, genres: &genres, n_genres: 2 };
    let model = train(&data, Some(&features), &plain(4), &|| ()).unwrap();
    assert_eq!(model.listeners[20..], [0, 0]);
    let scores = scores(&model, &[play(0), play(2), play(4)]);
    assert!(scores[20] > scores[21] + 0.5, "{} {}", scores[20], scores[21]);
    let boosted = Options { boost: 3.0, ..plain(4) };
    let boosted = train(&data, Some(&features), &boosted, &|| ()).unwrap();
    for (twice, once) in output(&boosted, 20).iter().zip(output(&model, 20)) {
        assert!((twice - 2.0 * once).abs() < 1e-5);
    }
    // The boost is for lists: folded in, such a track counts like any other.
    let x = |model: &Model| {
        let output = output(model, 20);
        let entry = Entry { output, listeners: 0, weight: 1.0, signal: Signal::Played };
        model.state.fold_in.fold_in(&[entry])
    };
    for (a, b) in x(&boosted).iter().zip(x(&model)) {
        assert!((a - b).abs() < 1e-5);
    }
    // Without content it has none.
    let without = train(&data, None, &plain(4), &|| ()).unwrap();
    assert!(output(&without, 20).iter().all(|&value| value == 0.0));
}

#[test]
fn dims_are_fewer_where_the_plays_span_fewer() {
    let dims = |users: &[Vec<Play>], tracks| {
        let model = train(&interactions(users, tracks), None, &plain(64), &|| ()).unwrap();
        assert!(model.outputs.iter().all(|value| value.is_finite()));
        assert_eq!(model.outputs.len(), tracks * model.state.fold_in.dims());
        model.state.fold_in.dims()
    };
    assert_eq!(dims(&[vec![play(0)]], 1), 1);
    assert_eq!(dims(&[vec![play(0), play(1)]], 5), 1);
    assert_eq!(dims(&[vec![play(0)], vec![play(1)]], 3), 2);
    assert!(dims(&vec![vec![play(0), play(2)]; 30], 3) == 1);
}

#[test]
fn without_a_play_nothing_can_be_learned() {
    let disliked = Play { signal: Signal::Disliked, ..play(0) };
    for users in [vec![], vec![vec![]], vec![vec![disliked]]] {
        for options in [plain(4), Options::default()] {
            let refused = train(&interactions(&users, 2), None, &options, &|| ()).err();
            assert!(matches!(refused, Some(Error::TooFew { what: "plays", .. })), "{refused:?}");
        }
    }
}

#[test]
fn users_without_plays_and_without_weight_do_no_harm() {
    let mut rows: Vec<Vec<Play>> = (0..30).map(|user| vec![play(user % 3), play(3)]).collect();
    rows.push(vec![]);
    rows.push(vec![Play { weight: 0.0, ..play(1) }, Play { weight: 0.0, ..play(2) }]);
    rows.push(vec![Play { weight: f32::MAX, ..play(1) }, Play { weight: 1e-38, ..play(2) }]);
    let model = train(&interactions(&rows, 6), None, &plain(4), &|| ()).unwrap();
    assert!(model.outputs.iter().all(|value| value.is_finite()));
    assert!(model.state.to_words().iter().all(|word| word.is_finite()));
}

#[test]
fn wrong_plays_are_refused() {
    let mut data = Interactions::new(3, true).unwrap();
    let mut refused = |plays: &[Play]| data.push(&mut plays.to_vec()).unwrap_err().to_string();
    assert_eq!(refused(&[play(3)]), "track must be less than 3, not 3");
    assert_eq!(refused(&[play(1), play(1)]), "track must be there once for each user, not 1");
    for weight in [f32::NAN, f32::INFINITY, -1.0] {
        let message = refused(&[Play { weight, ..play(0) }]);
        assert_eq!(message, format!("weight must be finite and not negative, not {weight}"));
    }
    assert_eq!(data.users(), 0);
    assert!(data.is_empty());
}

#[test]
fn wrong_options_are_refused() {
    let data = checkerboard(40, 40);
    let refused = |options: Options| match train(&data, None, &options, &|| ()) {
        Err(Error::OutOfRange { name, .. }) => name,
        other => panic!("{:?}", other.err()),
    };
    let default = Options::default;
    assert_eq!(refused(Options { dims: 0, ..default() }), "dims");
    assert_eq!(refused(Options { ridge: Some(0.0), ..default() }), "ridge");
    assert_eq!(refused(Options { ridge: Some(f64::NAN), ..default() }), "ridge");
    assert_eq!(refused(Options { boost: -1.0, ..default() }), "boost");
    assert_eq!(refused(Options { neighbour_weight: Some(-0.1), ..default() }), "neighbour_weight");
    assert_eq!(refused(Options { output_exponent: Some(3.0), ..default() }), "output_exponent");
    assert_eq!(refused(Options { k: 0, ..default() }), "k");
    let mut options = default();
    options.targets.dislike.target = 1.0;
    assert_eq!(refused(options), "dislike_target");
    let mut options = default();
    options.factors.iterations = 0;
    assert_eq!(refused(options), "iterations");
}

#[test]
fn an_interrupt_stops_it_wherever_it_comes() {
    let data = drawn(400, 150);
    let options = |threads| Options { dims: 16, threads, ..Options::default() };
    let count = Cell::new(0u32);
    train(&data, None, &options(1), &|| count.set(count.get() + 1)).unwrap();
    let calls = count.get();
    assert!(calls > 50, "{calls} calls");
    // The caller of other threads is asked less often.
    for (threads, stops) in [(1, [1, calls / 4, calls / 2]), (3, [1, 5, 20])] {
        for stop in stops {
            let left = Cell::new(stop);
            let interrupt = || {
                left.set(left.get().saturating_sub(1));
                if left.get() == 0 {
                    std::panic::panic_any("cancelled");
                }
            };
            let stopped = catch_unwind(AssertUnwindSafe(|| {
                train(&data, None, &options(threads), &interrupt).map(|_| ())
            }));
            assert_eq!(stopped.unwrap_err().downcast_ref::<&str>(), Some(&"cancelled"));
        }
    }
}

#[test]
fn the_cut_takes_what_was_first_played_last() {
    let own = |order: &[u32]| -> Vec<Play> {
        let plays = order.iter().enumerate();
        plays.map(|(at, &track)| Play { first: at as u32, last: 100, ..play(track) }).collect()
    };
    let mut rows = vec![own(&[4, 0, 3, 1, 2]), own(&[1, 2, 3, 4]), own(&[9, 8, 7, 6, 5, 4, 3, 2])];
    rows[0].push(Play { signal: Signal::Disliked, ..play(9) });
    let cut = Cut::last_fifth(&interactions(&rows, 10), 1, &|| ()).unwrap();
    assert_eq!(cut.held_out(0), [2]);
    assert_eq!(cut.held_out(1), [0u32; 0]);
    assert_eq!(cut.held_out(2), [2, 3]);
    let known: Vec<u32> = cut.known.plays_of(0).map(|play| play.track).collect();
    assert_eq!(known, [0, 1, 3, 4, 9]);
    assert_eq!(cut.known.plays_of(1).len(), 4);
    assert_eq!(cut.users(10), [0, 2]);
    assert_eq!(cut.users(1), [0]);
}

#[test]
fn without_times_the_seed_cuts() {
    let mut data = Interactions::new(50, false).unwrap();
    for _ in 0..4 {
        data.push(&mut (0..50).map(play).collect::<Vec<_>>()).unwrap();
    }
    let cut = |seed| Cut::last_fifth(&data, seed, &|| ()).unwrap();
    assert_eq!(cut(1).held_out(0).len(), 10);
    assert_eq!(cut(1).held_out(0), cut(1).held_out(0));
    assert_ne!(cut(1).held_out(0), cut(2).held_out(0));
    assert_ne!(cut(1).held_out(0), cut(1).held_out(1));
}

#[test]
fn tracks_that_nobody_played_are_left_out_on_demand() {
    let disliked = Play { signal: Signal::Disliked, ..play(3) };
    let data = interactions(&[vec![play(4), play(1), disliked], vec![], vec![play(4)]], 6);
    let (among, heard) = data.of_heard(&|| ()).unwrap();
    assert_eq!(heard, [1, 4]);
    assert_eq!((among.users(), among.tracks(), among.len()), (3, 2, 3));
    assert_eq!(among.plays_of(2).map(|play| play.track).collect::<Vec<_>>(), [1]);
}

#[test]
fn plays_are_enough_from_a_hundred_users_and_a_thousand_plays_on() {
    let rows = |users: usize, tracks: u32| {
        interactions(&vec![(0..tracks).map(play).collect::<Vec<_>>(); users], 20).enough()
    };
    assert!(rows(100, 10));
    assert!(!rows(99, 20));
    assert!(!rows(101, 9));
    assert!(!rows(1000, 4));
}
