//! A synthetic catalogue and users for the tests of the simulator.
#![allow(dead_code, reason = "every test file uses a part of it")]

use sparkify_core::catalogue::Generator;
use sparkify_core::simulate::random::{Draws, text_key};
use sparkify_core::simulate::*;

/// 2024-01-01, a Monday in a leap year.
pub const START: i64 = 19_723 * DAY;

pub fn catalogue(tracks: usize, genres: usize, options: &SimulationOptions) -> Catalogue {
    let mut builder = CatalogueBuilder::default();
    let names: Vec<String> = (0..genres).map(|g| format!("genre {g:03}")).collect();
    for i in 0..tracks {
        let mut draws = Draws::new(i as u64);
        let mut own = vec![names[i % genres].as_str()];
        if draws.chance(0.2) {
            own.push(names[draws.below(genres)].as_str());
        }
        let of_genre = draws.below(1 + tracks / genres / 5);
        builder
            .add(TrackFacts {
                track_id: &format!("track{i:07}"),
                artist: &format!("artist {}", (i % genres) * 1000 + of_genre),
                genres: &own,
                popularity: Some((100.0 * draws.unit() * draws.unit()) as i32),
                duration_ms: Some(120_000 + draws.below(240_000) as i32),
                moods: std::array::from_fn(|_| Some(draws.unit())),
            })
            .unwrap();
    }
    builder.build(options, &|| ()).unwrap()
}

/// The catalogue of `generate_tracks(n)`.
pub fn generated(n: usize, options: &SimulationOptions) -> Catalogue {
    let mut generator = Generator::new(42).unwrap();
    let mut tracks: Vec<_> = (0..n).map(|_| generator.next_track()).collect();
    tracks.sort_by(|a, b| a.track_id.cmp(&b.track_id));
    let mut builder = CatalogueBuilder::default();
    for track in &tracks {
        let genres: Vec<&str> = track.genres.iter().map(String::as_str).collect();
        builder
            .add(TrackFacts {
                track_id: &track.track_id,
                artist: &track.artists[0],
                genres: &genres,
                popularity: track.feature("popularity").map(|x| x as i32),
                duration_ms: track.feature("duration_ms").map(|x| x as i32),
                moods: MOODS.map(|mood| track.feature(mood)),
            })
            .unwrap();
    }
    builder.build(options, &|| ()).unwrap()
}

pub fn listeners(catalogue: &Catalogue, n: i32, seed: i64) -> (Vec<Person>, Vec<Listener>) {
    let options = PeopleOptions::default();
    let until = START + 120 * DAY;
    let people = people(catalogue, &options, 0..n as u32, until, seed, &|| {}).unwrap();
    let bind = |p: &Person| Listener {
        key: text_key(&p.user_id, seed as u64),
        age: Some(p.age),
        taste: Taste::bind(&p.taste, p.created_at, catalogue).unwrap(),
    };
    let listeners = people.iter().map(bind).collect();
    (people, listeners)
}

pub fn all(
    sim: &Simulation,
    listeners: &[Listener],
    window: (i64, i64),
    workers: usize,
) -> Vec<Play> {
    let mut plays = Vec::new();
    sim.run(listeners, window, workers, &|| {}, |next| {
        let mut some = Vec::new();
        while next(&mut some).unwrap() {
            plays.extend_from_slice(&some);
        }
    });
    plays
}
