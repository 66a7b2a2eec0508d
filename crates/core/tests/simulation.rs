//! The simulator on a synthetic catalogue.

use sparkify_core::simulate::random::{Draws, text_key};
use sparkify_core::simulate::report::{Report, ReportedPlay, ReportedUser};
use sparkify_core::simulate::*;

/// 2024-01-01, a Monday in a leap year.
const START: i64 = 19_723 * DAY;

fn catalogue(tracks: usize, genres: usize, options: &SimulationOptions) -> Catalogue {
    let mut builder = CatalogueBuilder::default();
    let names: Vec<String> = (0..genres).map(|g| format!("genre {g:03}")).collect();
    for i in 0..tracks {
        let mut draws = Draws::new(i as u64);
        let mut own = vec![names[i % genres].as_str()];
        if draws.chance(0.2) {
            own.push(names[draws.below(genres)].as_str());
        }
        let artist =
            format!("artist {}", (i % genres) * 1000 + draws.below(1 + tracks / genres / 5));
        builder.add(TrackFacts {
            track_id: &format!("track{i:07}"),
            artist: &artist,
            genres: &own,
            popularity: Some((100.0 * draws.unit() * draws.unit()) as i32),
            duration_ms: Some(120_000 + draws.below(240_000) as i32),
            moods: std::array::from_fn(|_| Some(draws.unit())),
        });
    }
    builder.build(options).unwrap()
}

fn listeners(catalogue: &Catalogue, n: i32, seed: i64) -> (Vec<Person>, Vec<Listener>) {
    let until = START + 120 * DAY;
    let options = PeopleOptions { n, ..Default::default() };
    let people = people(catalogue, &options, until, seed, &|| {}).unwrap();
    let listeners = people
        .iter()
        .map(|p| Listener {
            key: text_key(&p.user_id, seed as u64),
            age: Some(p.age),
            taste: Taste::bind(&p.taste, catalogue).unwrap(),
        })
        .collect();
    (people, listeners)
}

fn all(
    sim: &Simulation,
    listeners: &[Listener],
    from: i64,
    until: i64,
    threads: usize,
) -> Vec<Play> {
    let mut plays = Vec::new();
    sim.run(listeners, (from, until), threads, &|| {}, |some| {
        plays.extend_from_slice(some);
        Ok::<(), ()>(())
    })
    .unwrap();
    plays
}

#[test]
fn report_passes_on_a_million_plays() {
    let options = SimulationOptions { events_per_user: 2000, ..Default::default() };
    let catalogue = catalogue(40_000, 60, &options);
    let (people, listeners) = listeners(&catalogue, 500, 42);
    let sim = Simulation::calibrate(catalogue, options.clone(), &listeners, START, &|| {}).unwrap();
    let users: Vec<ReportedUser> = people
        .iter()
        .map(|p| ReportedUser {
            age: Some(p.age),
            liked: p
                .taste
                .genres
                .iter()
                .filter(|g| g.1 > 0.08)
                .map(|g| sim.catalogue().genre_id(&g.0).unwrap())
                .collect(),
        })
        .collect();
    let genres_of = |track: u32| sim.catalogue().genres_of(track);
    let mut report = Report::new(&users, sim.catalogue().len(), &genres_of, &options);
    let began = std::time::Instant::now();
    let plays = all(&sim, &listeners, START, START + 120 * DAY, 1);
    println!("{} plays in {:?}", plays.len(), began.elapsed());
    for play in &plays {
        report.add(ReportedPlay {
            user: play.user,
            track: Some(play.track),
            played_at: play.played_at,
            ms_played: Some(play.ms_played),
            skipped: Some(play.skipped),
            session: Some(play.session),
        });
    }
    println!("{:?}", sim.calibration());
    for (lo, hi) in [(0.0, 1.0), (1.0, 5.0), (5.0, 20.0), (20.0, 60.0), (60.0, 100.0), (100.0, 1000.0)] {
        let mut e = 0.0;
        let mut m = 0;
        for (u, l) in listeners.iter().enumerate() {
            let (r, d) = sim.expected(l, START, START + 120 * DAY);
            if r >= lo && r < hi { e += r * d; m += plays.iter().filter(|p| p.user == u as u32).count(); }
        }
        println!("{lo} {hi}: {e} {m}");
    }
    let mut failed = Vec::new();
    for row in report.finish() {
        println!(
            "{:<80} {:>6.3} ±{:>5.3} {:>6.3?} {:?}",
            row.metric,
            row.target,
            row.tolerance,
            row.measured,
            row.within()
        );
        if row.within() != Some(true) {
            failed.push(row.metric);
        }
    }
    let mean = plays.len() as f64 / 500.0;
    assert!((mean / 2000.0 - 1.0).abs() < 0.03, "{mean} plays a user");
    assert!(failed.is_empty(), "{failed:?}");
}
