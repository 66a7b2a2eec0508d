//! Ranking, against a scan that scores every track.
//!
//! The catalogue is synthetic, clustered, with a spectrum that falls like that
//! of a real one. `SPARKIFY_VECTORS=FILE` takes raw float32 in this machine's
//! byte order instead, with `SPARKIFY_DIMS` components each (64 if not set).

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sparkify_core::rank::{
    AlignedBytes, Index, IndexBuilder, Path, Query, top_n, top_n_batch, top_n_on, top_n_unbounded,
};

const TRACKS: usize = 89_740;
const DIMS: usize = 64;
const PLAYS: usize = 60;
const BATCH: usize = 10_000;

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    (0..6).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * std::f32::consts::SQRT_2
}

/// Tracks around 114 centres: a dozen strong components, then a flat tail.
fn clustered(rng: &mut ChaCha8Rng) -> Vec<f32> {
    let spread = |at: usize| match at {
        0..13 => 1.6 * 0.93f32.powi(at as i32),
        13 => 0.45,
        _ => 0.17,
    };
    let centres: Vec<f32> =
        (0..114 * DIMS).map(|at| 0.6 * spread(at % DIMS) * normal(rng)).collect();
    let mut vectors = Vec::with_capacity(TRACKS * DIMS);
    for _ in 0..TRACKS {
        let centre = rng.random_range(0..114) * DIMS;
        let row = (0..DIMS).map(|at| centres[centre + at] + 0.8 * spread(at) * normal(rng));
        vectors.extend(row.collect::<Vec<_>>());
    }
    vectors
}

fn pack(vectors: &[f32], dims: usize) -> AlignedBytes {
    let mut builder = IndexBuilder::new(dims).expect("dims");
    builder.reserve(vectors.len() / dims).expect("memory");
    for (number, row) in vectors.chunks_exact(dims).enumerate() {
        let song = number as u128 * 10 / 11;
        builder.push(&format!("{number:022}"), row, song, None).expect("a valid track");
    }
    builder.finish(0, &|| ()).expect("memory")
}

fn catalogue(rng: &mut ChaCha8Rng) -> AlignedBytes {
    let Some(file) = std::env::var_os("SPARKIFY_VECTORS") else {
        return pack(&clustered(rng), DIMS);
    };
    let dims = std::env::var("SPARKIFY_DIMS").map_or(DIMS, |dims| dims.parse().expect("a number"));
    let bytes = std::fs::read(file).expect("SPARKIFY_VECTORS names a file");
    let float = |bytes: &[u8]| f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    pack(&bytes.chunks_exact(4).map(float).collect::<Vec<_>>(), dims)
}

/// Directions of listeners: sums of the unit vectors of their plays, which
/// lose half their weight every 30 of 120 days.
fn listeners(index: &Index, count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    let listener = |_| {
        let mut sum = vec![0f64; index.dims()];
        for _ in 0..PLAYS {
            let position = rng.random_range(0..index.len() as u32);
            let weight = 0.5f64.powf(4.0 * rng.random::<f64>()) / index.norm(position).max(1e-30);
            for (sum, &x) in sum.iter_mut().zip(index.vector(position)) {
                *sum += weight * f64::from(x);
            }
        }
        sum.into_iter().map(|x| x as f32).collect()
    };
    (0..count).map(listener).collect()
}

fn query(vector: &[f32]) -> Query<'_> {
    Query { vector, n: 10, ..Query::default() }
}

fn median(times: usize, mut work: impl FnMut(usize)) -> Duration {
    let mut taken: Vec<Duration> = (0..times)
        .map(|time| {
            let start = Instant::now();
            work(time);
            start.elapsed()
        })
        .collect();
    taken.sort();
    taken[times / 2]
}

/// Ratios of medians taken in turn, which a busy machine shifts less than times.
fn ratios(name: &str, index: &Index, vectors: &[Vec<f32>]) {
    let plain = median(51, |time| {
        black_box(top_n_unbounded(index, &query(&vectors[time]), &|| ()).expect("an answer"));
    });
    let bounded = median(301, |time| {
        black_box(top_n(index, &query(&vectors[time]), &|| ()).expect("an answer"));
    });
    let ratio = bounded.as_secs_f64() / plain.as_secs_f64();
    println!("{name}: plain scan {plain:.1?}, bounded {bounded:.1?}, ratio {ratio:.3}");
}

fn rank(criterion: &mut Criterion) {
    let rng = &mut ChaCha8Rng::seed_from_u64(42);
    let image = catalogue(rng);
    let index = Index::open(&image).expect("a valid image");
    let vectors = listeners(&index, BATCH, rng);
    let queries: Vec<Query> = vectors.iter().map(|vector| query(vector)).collect();
    let next = |at: &mut usize| {
        *at = (*at + 1) % BATCH;
        *at
    };

    let mut group = criterion.benchmark_group("single");
    let mut at = 0;
    group.bench_function("plain scan", |bench| {
        bench.iter(|| top_n_unbounded(&index, &queries[next(&mut at)], &|| ()));
    });
    for path in Path::available() {
        group.bench_function(format!("bounded scan, {path:?}"), |bench| {
            bench.iter(|| top_n_on(path, &index, &queries[next(&mut at)], &|| ()));
        });
    }
    for n in [100, 1000] {
        group.bench_function(format!("selection of {n}"), |bench| {
            bench.iter(|| top_n(&index, &Query { n, ..queries[next(&mut at)] }, &|| ()));
        });
    }
    group.bench_function("selection of 10 songs", |bench| {
        bench.iter(|| {
            top_n(&index, &Query { distinct_songs: true, ..queries[next(&mut at)] }, &|| ())
        });
    });
    let played: Vec<u32> = (0..10_000).map(|_| rng.random_range(0..index.len() as u32)).collect();
    group.bench_function("10,000 excluded", |bench| {
        bench.iter(|| top_n(&index, &Query { exclude: &played, ..queries[next(&mut at)] }, &|| ()));
    });
    for count in [1000, 10_000] {
        let candidates = Some(&played[..count]);
        group.bench_function(format!("{count} candidates"), |bench| {
            bench.iter(|| top_n(&index, &Query { candidates, ..queries[next(&mut at)] }, &|| ()));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("batch");
    group.sample_size(10);
    for threads in [1, 2] {
        group.bench_function(format!("{BATCH} queries, {threads} threads"), |bench| {
            bench.iter(|| top_n_batch(&index, &queries, threads, &|| ()));
        });
    }
    group.finish();

    let rows: Vec<f32> = (0..index.len() as u32).flat_map(|at| index.vector(at).to_vec()).collect();
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10);
    group.bench_function("image", |bench| {
        bench.iter_batched(|| (), |()| pack(&rows, index.dims()), BatchSize::PerIteration);
    });
    group.finish();

    ratios("catalogue", &index, &vectors);
    let isotropic: Vec<f32> = (0..TRACKS * DIMS).map(|_| normal(rng)).collect();
    let image = pack(&isotropic, DIMS);
    let index = Index::open(&image).expect("a valid image");
    ratios("all directions alike", &index, &listeners(&index, 301, rng));
    // Nothing can be decided early: every track has the same direction.
    let equal: Vec<f32> = (0..TRACKS).flat_map(|_| (0..DIMS).map(|at| 1.0 + at as f32)).collect();
    let image = pack(&equal, DIMS);
    let index = Index::open(&image).expect("a valid image");
    ratios("all tracks equal", &index, &listeners(&index, 301, rng));
}

criterion_group!(benches, rank);
criterion_main!(benches);
