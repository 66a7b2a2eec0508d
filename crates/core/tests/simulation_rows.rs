//! The rows of a simulation: the same however they are asked for, and sensible at the edges.

mod simulated;

use simulated::{START, all, catalogue, listeners};
use sparkify_core::simulate::random::text_key;
use sparkify_core::simulate::*;
use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn simulation(users: i32, seed: i64) -> (Simulation, Vec<Listener>) {
    let options = SimulationOptions { events_per_user: 200, ..Default::default() };
    let catalogue = catalogue(3000, 30, &options);
    let (_, listeners) = listeners(&catalogue, users, seed);
    (Simulation::calibrate(catalogue, options, &listeners, START, &|| {}).unwrap(), listeners)
}

fn sorted(mut plays: Vec<Play>) -> Vec<Play> {
    plays.sort_by_key(|p| (p.user, p.played_at));
    plays
}

#[test]
fn any_cut_of_the_time_gives_the_rows_of_the_whole() {
    let (sim, listeners) = simulation(60, 42);
    let end = START + 130 * DAY;
    let whole = all(&sim, &listeners, (START, end), 0);
    for cut in [START + DAY / 3, START + 59 * DAY + 7 * DAY / 11, START + 119 * DAY] {
        let mut parts = all(&sim, &listeners, (START, cut), 0);
        parts.extend(all(&sim, &listeners, (cut, end), 0));
        assert_eq!(sorted(parts), whole);
    }
    let mut hours = Vec::new();
    for hour in 0..48 {
        let from = START + 20 * DAY + hour * DAY / 24;
        hours.extend(all(&sim, &listeners, (from, from + DAY / 24), 0));
    }
    let days = |p: &&Play| (START + 20 * DAY..START + 22 * DAY).contains(&p.played_at);
    assert_eq!(sorted(hours), whole.iter().filter(days).copied().collect::<Vec<_>>());
}

#[test]
fn a_calibration_that_was_kept_gives_the_same_rows() {
    let (sim, listeners) = simulation(40, 42);
    let kept = serde_json::to_string(sim.calibration()).unwrap();
    let options = SimulationOptions { events_per_user: 200, ..Default::default() };
    let again = Simulation::new(
        catalogue(3000, 30, &options),
        options,
        serde_json::from_str(&kept).unwrap(),
        START,
    )
    .unwrap();
    let window = (START, START + 120 * DAY);
    assert_eq!(all(&again, &listeners, window, 0), all(&sim, &listeners, window, 0));
}

#[test]
fn rows_are_the_same_for_any_number_of_threads() {
    let (sim, listeners) = simulation(400, 42);
    let window = (START, START + 120 * DAY);
    let one = all(&sim, &listeners, window, 0);
    assert!(one.len() > 60_000);
    for workers in [1, 2, 3, 8] {
        assert_eq!(all(&sim, &listeners, window, workers), one);
    }
}

#[test]
fn rows_are_in_the_order_of_the_key_with_ids_of_their_own() {
    let (sim, listeners) = simulation(100, 42);
    let plays = all(&sim, &listeners, (START, START + 120 * DAY), 0);
    let in_order = |w: &[Play]| (w[0].user, w[0].played_at) < (w[1].user, w[1].played_at);
    assert!(plays.windows(2).all(in_order));
    let ids: HashSet<u128> = plays.iter().map(Play::event_id).collect();
    assert_eq!(ids.len(), plays.len());
    for &id in &ids {
        assert_eq!((id >> 76 & 15, id >> 62 & 3), (8, 2), "version and variant");
        assert!(is_simulated(id) && !is_simulated(id ^ 1) && !is_simulated(id ^ 1 << 100));
    }
    let sessions: HashSet<([u8; 16], u32)> =
        plays.iter().map(|p| (p.session_id(), p.user)).collect();
    let ids: HashSet<[u8; 16]> = plays.iter().map(Play::session_id).collect();
    assert_eq!(ids.len(), sessions.len());
}

#[test]
fn another_seed_gives_other_rows() {
    let window = (START, START + 30 * DAY);
    let (a, of_a) = simulation(30, 0);
    let (b, of_b) = simulation(30, 2);
    let (a, b) = (all(&a, &of_a, window, 0), all(&b, &of_b, window, 0));
    let ids: HashSet<u128> = a.iter().map(Play::event_id).collect();
    assert!(b.iter().all(|p| !ids.contains(&p.event_id())));
}

#[test]
fn more_users_only_add() {
    let options = SimulationOptions::default();
    let catalogue = catalogue(1000, 20, &options);
    let (few, _) = listeners(&catalogue, 50, 42);
    let (many, _) = listeners(&catalogue, 200, 42);
    assert_eq!(few[..], many[..50]);
    assert_eq!(many[199].user_id, "user_000200");
}

#[test]
fn users_are_as_the_contract_says() {
    let options = SimulationOptions::default();
    let catalogue = catalogue(3000, 60, &options);
    let (people, _) = listeners(&catalogue, 4000, 42);
    let mut countries = HashSet::new();
    let mut undeclared = 0;
    for person in &people {
        assert!((16..=64).contains(&person.age));
        countries.insert(person.country);
        let weights: Vec<f64> = person.taste.genres.iter().map(|g| g.1).collect();
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        // An explored genre weighs at most .05/.4 of the best, a favourite at least .1/.6.
        let best = weights.iter().copied().fold(0.0, f64::max);
        let favourites = weights.iter().filter(|w| **w > 0.15 * best).count();
        assert!((1..=3).contains(&favourites) && weights.len() <= 7, "{weights:?}");
        assert!(weights.len() - favourites >= 2, "{weights:?}");
        assert!((person.taste.artists.iter().map(|a| a.1).sum::<f64>() - 1.0).abs() < 1e-9);
        undeclared += usize::from(person.declared.is_none());
        let declared = person.declared.iter().flatten();
        assert!(declared.clone().all(|d| d.1 > 0.0 && d.1 <= 1.0));
        assert!(person.created_at < START + 120 * DAY);
    }
    assert_eq!(countries.len(), 10);
    assert!((undeclared as f64 / 4000.0 - 0.2).abs() < 0.03);
    let partial = people.iter().filter(|p| p.declared.as_ref() != Some(&p.taste.genres)).count();
    assert!(partial as f64 > 0.95 * 4000.0);
}

#[test]
fn nobody_plays_before_arriving_or_after_leaving() {
    let options = SimulationOptions { monthly_churn: 0.6, ..Default::default() };
    let catalogue = catalogue(1000, 20, &options);
    let (people, listeners) = listeners(&catalogue, 300, 42);
    let sim = Simulation::calibrate(catalogue, options, &listeners, START, &|| {}).unwrap();
    let plays = all(&sim, &listeners, (START, START + 120 * DAY), 0);
    assert!(plays.iter().all(|p| p.played_at >= people[p.user as usize].created_at));
    let heard = |from: i64, to: i64| {
        let users = plays.iter().filter(|p| (from..to).contains(&p.played_at)).map(|p| p.user);
        users.collect::<HashSet<_>>()
    };
    let (early, late) =
        (heard(START, START + 30 * DAY), heard(START + 90 * DAY, START + 120 * DAY));
    assert!(early.intersection(&late).count() * 4 < early.len());
}

#[test]
fn popularity_and_tastes_shift_only_if_they_drift() {
    let window = |at: i64| (START + at * DAY, START + (at + 60) * DAY);
    let overlap = |drift: f64| {
        let options = SimulationOptions {
            events_per_user: 300,
            popularity_drift: drift,
            taste_drift: 0.0,
            repeat_share: 0.0,
            monthly_churn: 0.0,
            ..Default::default()
        };
        let catalogue = catalogue(2000, 4, &options);
        let (_, listeners) = listeners(&catalogue, 300, 42);
        let sim = Simulation::calibrate(catalogue, options, &listeners, START, &|| {}).unwrap();
        let top = |at: i64| {
            let mut plays = vec![(0, 0); 2000];
            for play in all(&sim, &listeners, window(at), 0) {
                plays[play.track as usize] = (plays[play.track as usize].0 - 1, play.track);
            }
            plays.sort_unstable();
            plays[..100].iter().map(|p| p.1).collect::<HashSet<_>>()
        };
        top(120).intersection(&top(400)).count()
    };
    let (still, moving) = (overlap(0.0), overlap(0.9));
    assert!(moving + 10 < still, "{moving} of 100 with drift, {still} without");
}

#[test]
fn one_track_one_genre_and_no_genre_give_rows() {
    for (tracks, genres) in [(1, 1), (1, 0), (2, 1), (40, 1)] {
        let options = SimulationOptions::default();
        let mut builder = CatalogueBuilder::default();
        for i in 0..tracks {
            builder
                .add(TrackFacts {
                    track_id: &format!("t{i}"),
                    artist: "a",
                    genres: &["rock"][..genres],
                    popularity: None,
                    duration_ms: None,
                    moods: [None; 4],
                })
                .unwrap();
        }
        let catalogue = builder.build(&options, &|| ()).unwrap();
        let (_, listeners) = listeners(&catalogue, 20, 42);
        let sim = Simulation::calibrate(catalogue, options, &listeners, START, &|| {}).unwrap();
        let plays = all(&sim, &listeners, (START, START + 120 * DAY), 0);
        assert!(plays.len() > 400, "{} plays of {tracks} tracks", plays.len());
        assert!(plays.iter().all(|p| (0..=210_000).contains(&p.ms_played)));
    }
}

#[test]
fn the_leap_day_is_a_day_like_others() {
    let (sim, listeners) = simulation(200, 42);
    let leap_day = START + 59 * DAY;
    let on = |day: i64| all(&sim, &listeners, (day, day + DAY), 0).len() as f64;
    let (day, around) = (on(leap_day), on(leap_day - DAY) + on(leap_day + DAY));
    assert!(day > 0.25 * around && day < 0.9 * around, "{day} against {around} on two days");
}

#[test]
fn weekends_are_where_the_calendar_has_them() {
    // 2024-01-06 was a Saturday.
    let days: Vec<bool> = (0..7).map(|d| is_weekend(19_723 + d)).collect();
    assert_eq!(days, [false, false, false, false, false, true, true]);
}

#[test]
fn no_tracks_and_no_users_are_refused() {
    let options = SimulationOptions::default();
    let none = CatalogueBuilder::default().build(&options, &|| ()).unwrap_err();
    assert_eq!(none.to_string(), "at least 1 tracks are needed, not 0");
    let catalogue = catalogue(10, 1, &options);
    let none = Simulation::calibrate(catalogue, options, &[], START, &|| {}).unwrap_err();
    assert_eq!(none.to_string(), "at least 1 users are needed, not 0");
}

#[test]
fn a_taste_of_nothing_in_the_catalogue_does_not_bind() {
    let options = SimulationOptions::default();
    let of = catalogue(100, 5, &options);
    let mut record = listeners(&of, 1, 42).0.remove(0).taste;
    record.genres = vec![("polka".to_owned(), 1.0)];
    assert!(Taste::bind(&record, START, &of).is_none());
    let key = text_key("own", 42);
    let declared = [("genre 003".to_owned(), 2.0), ("polka".to_owned(), 1.0)];
    let derived = people::derive_taste(&of, key, None, None, Some(&declared));
    let best = derived.genres.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(best.0, "genre 003");
    assert!(best.1 > 0.8 && Taste::bind(&derived, START, &of).is_some());
}

#[test]
fn a_check_that_unwinds_ends_the_run_on_any_number_of_threads() {
    let (sim, listeners) = simulation(200, 42);
    for workers in [0, 1, 4] {
        let calls = Cell::new(0);
        let visited = Cell::new(0);
        let cancelled = catch_unwind(AssertUnwindSafe(|| {
            let check = || {
                calls.set(calls.get() + 1);
                assert!(calls.get() < 3, "cancelled");
            };
            sim.run(&listeners, (START, START + 400 * DAY), workers, &check, |next| {
                let mut plays = Vec::new();
                while next(&mut plays).unwrap() {
                    visited.set(visited.get() + plays.len());
                }
            });
        }));
        assert!(cancelled.is_err());
        assert!(visited.get() < 40_000);
    }
}
