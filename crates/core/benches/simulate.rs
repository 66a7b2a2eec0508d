//! Plays generated a second, on one thread, without writing them.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sparkify_core::simulate::random::{Draws, text_key};
use sparkify_core::simulate::{
    CatalogueBuilder, DAY, Listener, PeopleOptions, Simulation, SimulationOptions, Taste,
    TrackFacts, people,
};

const TRACKS: usize = 89_740;
const GENRES: usize = 114;
const START: i64 = 19_723 * DAY;

fn simulation() -> (Simulation, Vec<Listener>) {
    let options = SimulationOptions::default();
    let names: Vec<String> = (0..GENRES).map(|g| format!("genre {g}")).collect();
    let mut builder = CatalogueBuilder::default();
    for i in 0..TRACKS {
        let mut draws = Draws::new(i as u64);
        builder
            .add(TrackFacts {
                track_id: &format!("track{i:07}"),
                artist: &format!("artist {}", draws.below(17_648)),
                genres: &[names[i % GENRES].as_str()],
                popularity: Some((100.0 * draws.unit() * draws.unit()) as i32),
                duration_ms: Some(120_000 + draws.below(240_000) as i32),
                moods: std::array::from_fn(|_| Some(draws.unit())),
            })
            .unwrap();
    }
    let catalogue = builder.build(&options, &|| ()).expect("there are tracks");
    let until = START + 120 * DAY;
    let people = people(&catalogue, &PeopleOptions::default(), 0..2000, until, 42, &|| {})
        .expect("the options are in range");
    let listener = |person: &sparkify_core::simulate::Person| {
        let taste = Taste::bind(&person.taste, person.created_at, &catalogue)?;
        Some(Listener { key: text_key(&person.user_id, 42), age: Some(person.age), taste })
    };
    let listeners: Vec<Listener> = people.iter().filter_map(listener).collect();
    let sim = Simulation::calibrate(catalogue, options, &listeners, START, &|| {})
        .expect("the options are in range");
    (sim, listeners)
}

fn generate(criterion: &mut Criterion) {
    let (sim, listeners) = simulation();
    let window = (START, START + 120 * DAY);
    let plays = |workers| {
        sim.run(&listeners, window, workers, &|| {}, |next| {
            let (mut some, mut n) = (Vec::new(), 0);
            while next(&mut some).unwrap() {
                n += some.len();
            }
            n
        })
    };
    let mut group = criterion.benchmark_group("simulate");
    group.throughput(Throughput::Elements(plays(0) as u64)).sample_size(10);
    group.bench_function("plays of 2,000 users over 120 days", |bench| bench.iter(|| plays(0)));
    group.finish();
}

criterion_group!(benches, generate);
criterion_main!(benches);
