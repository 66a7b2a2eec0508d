//! Every path against the plain sort, bit for bit.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::*;

/// What the rows of a catalogue look like.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Around a few centres, variances falling.
    Clustered,
    /// Every direction alike: the head decides little.
    Isotropic,
    /// Few different rows, many times.
    Repeated,
    /// One row only: nothing can be decided by a bound.
    Equal,
    /// Norms from denormal to the largest float32.
    Extreme,
    /// Small integers, a third of the rows zero: many ties.
    Grid,
    /// Only zeros.
    Zero,
}

const SHAPES: [Shape; 7] = [
    Shape::Clustered,
    Shape::Isotropic,
    Shape::Repeated,
    Shape::Equal,
    Shape::Extreme,
    Shape::Grid,
    Shape::Zero,
];

const METRICS: [Metric; 2] = [Metric::Cosine, Metric::Dot];

fn component(rng: &mut ChaCha8Rng) -> f32 {
    rng.random::<f32>() + rng.random::<f32>() + rng.random::<f32>() - 1.5
}

fn row(shape: Shape, dims: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let centre = |number: u64| -> Vec<f32> {
        let mut own = ChaCha8Rng::seed_from_u64(number);
        (0..dims).map(|_| component(&mut own)).collect()
    };
    match shape {
        Shape::Clustered => {
            let number = rng.random_range(0..9);
            let centre = centre(number);
            let fall = |at: usize| 1.0 / (1.0 + at as f32);
            centre
                .into_iter()
                .enumerate()
                .map(|(at, x)| (3.0 * x + component(rng)) * fall(at))
                .collect()
        }
        Shape::Isotropic => (0..dims).map(|_| component(rng)).collect(),
        Shape::Repeated => {
            let number = rng.random_range(0..20);
            centre(number)
        }
        Shape::Equal => vec![0.7; dims],
        Shape::Extreme => {
            let scale = [1e-45f32, 1e-38, 1e-20, 1.0, 1e20, 1e38][rng.random_range(0..6)];
            (0..dims).map(|_| component(rng) * scale).collect()
        }
        Shape::Grid => {
            let zero = rng.random_range(0..3) == 0;
            (0..dims).map(|_| if zero { 0.0 } else { rng.random_range(-1i32..=1) as f32 }).collect()
        }
        Shape::Zero => vec![0.0; dims],
    }
}

fn catalogue(
    shape: Shape,
    metric: Metric,
    len: usize,
    dims: usize,
    rng: &mut ChaCha8Rng,
) -> AlignedBytes {
    let mut builder = IndexBuilder::new(dims).unwrap();
    for number in 0..len {
        let song = rng.random_range(0..=len as u128 / 2);
        builder.push(&format!("{number:06}"), &row(shape, dims, rng), song, None).unwrap();
    }
    builder.learned(Learned { metric, ..Learned::default() }).unwrap();
    builder.finish(0, &|| ()).unwrap()
}

fn numbers(below: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    (0..count).map(|_| rng.random_range(0..below as u32 + 2)).collect()
}

/// What a query borrows.
#[derive(Debug)]
struct Parts {
    vector: Vec<f32>,
    by_cosine: bool,
    scale: f64,
    boosts: Vec<(u32, f64)>,
    n: usize,
    exclude: Vec<u32>,
    candidates: Option<Vec<u32>>,
    distinct_songs: bool,
    exclude_songs: Vec<u32>,
}

impl Parts {
    fn random(shape: Shape, index: &Index, rng: &mut ChaCha8Rng) -> Self {
        let len = index.len();
        let vector = match rng.random_range(0..4) {
            0 if len > 0 => index.vector(rng.random_range(0..len as u32)).to_vec(),
            1 => row(Shape::Grid, index.dims(), rng),
            2 => row(Shape::Isotropic, index.dims(), rng),
            _ => row(shape, index.dims(), rng),
        };
        let count = [0, 3, 300, len][rng.random_range(0..4)];
        let candidates = match rng.random_range(0..5) {
            0 => Some(numbers(len, 20, rng)),
            1 => Some(numbers(len, 1500, rng)),
            2 => Some(numbers(len, len, rng)),
            _ => None,
        };
        let scale = [1.0, 1.0, 0.3, 1e-30, 1e30][rng.random_range(0..5)];
        // Additions as large as the scores they are added to, or much smaller or larger.
        let norms = || (0..len as u32).map(|position| index.norm(position));
        let longest = match index.metric() {
            Metric::Cosine => 1.0,
            Metric::Dot => score::norm(&vector) * norms().fold(0.0, f64::max),
        };
        let unit = scale * longest * [1e-3, 0.1, 1.0, 10.0][rng.random_range(0..4)];
        let mut boosted = numbers(len, [0, 0, 5, 60, len][rng.random_range(0..5)], rng);
        boosted.sort_unstable();
        boosted.dedup();
        let boost =
            |rng: &mut ChaCha8Rng| [0.0, unit, unit * rng.random::<f64>()][rng.random_range(0..3)];
        let boosts = boosted.into_iter().map(|position| (position, boost(rng))).collect();
        Self {
            vector,
            by_cosine: rng.random_range(0..4) == 0,
            scale,
            boosts,
            n: [0, 1, 10, 10, 100, 3000][rng.random_range(0..6)],
            exclude: numbers(len, count, rng),
            candidates,
            distinct_songs: rng.random(),
            exclude_songs: numbers(index.songs_len(), count / 3, rng),
        }
    }

    fn query(&self) -> Query<'_> {
        Query {
            vector: &self.vector,
            by_cosine: self.by_cosine,
            scale: self.scale,
            boosts: &self.boosts,
            n: self.n,
            exclude: &self.exclude,
            candidates: self.candidates.as_deref(),
            distinct_songs: self.distinct_songs,
            exclude_songs: &self.exclude_songs,
        }
    }
}

fn bits(rows: &[Ranked]) -> Vec<(u32, u64)> {
    rows.iter().map(|row| (row.position, row.score.to_bits())).collect()
}

#[test]
fn every_path_equals_the_plain_sort() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (shape, metric) in
        SHAPES.into_iter().flat_map(|shape| METRICS.map(|metric| (shape, metric)))
    {
        for (len, dims) in [
            (1, 1),
            (15, 3),
            (17, 16),
            (130, 2),
            (256, 4),
            (257, 4),
            (3000, 64),
            (9000, 20),
            (5000, 100),
            (700, 300),
        ] {
            let image = catalogue(shape, metric, len, dims, &mut rng);
            let index = Index::open(&image).unwrap();
            for _ in 0..12 {
                let parts = Parts::random(shape, &index, &mut rng);
                let expected = plain::top_n(&index, &parts.query(), &|| ()).unwrap();
                assert!(expected.iter().all(|row| row.score.is_finite()));
                let rows = top_n_unbounded(&index, &parts.query(), &|| ()).unwrap();
                assert_eq!(bits(&rows), bits(&expected));
                for path in Path::available() {
                    let rows = top_n_on(path, &index, &parts.query(), &|| ()).unwrap();
                    assert_eq!(
                        bits(&rows),
                        bits(&expected),
                        "{path:?} {shape:?} {metric:?} {len} x {dims}, {parts:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_batch_equals_its_queries_for_any_number_of_threads() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for (shape, metric, dims) in [
        (Shape::Clustered, Metric::Cosine, 24),
        (Shape::Clustered, Metric::Dot, 80),
        (Shape::Isotropic, Metric::Cosine, 80),
        (Shape::Grid, Metric::Dot, 24),
    ] {
        let image = catalogue(shape, metric, 5000, dims, &mut rng);
        let index = Index::open(&image).unwrap();
        let parts: Vec<Parts> = (0..300).map(|_| Parts::random(shape, &index, &mut rng)).collect();
        let queries: Vec<Query> = parts.iter().map(Parts::query).collect();
        let single: Vec<_> =
            queries.iter().map(|query| bits(&top_n(&index, query, &|| ()).unwrap())).collect();
        for threads in 0..=4 {
            for path in Path::available() {
                let batch = top_n_batch_on(path, &index, &queries, threads, &|| ()).unwrap();
                let batch: Vec<_> = batch.iter().map(|rows| bits(rows)).collect();
                assert!(batch == single, "{path:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn every_path_scores_the_same_bits() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for (dims, metric) in [1, 7, 16, 33, 64].into_iter().flat_map(|dims| METRICS.map(|m| (dims, m)))
    {
        let image = catalogue(Shape::Extreme, metric, 50, dims, &mut rng);
        let index = Index::open(&image).unwrap();
        let vector = row(Shape::Isotropic, dims, &mut rng);
        let boosts = [(0, 0.5), (7, 0.25), (49, 1e-9), (50, 1.0)];
        let query =
            Query { vector: &vector, n: 50, scale: 0.7, boosts: &boosts, ..Query::default() };
        for path in Path::available() {
            for row in top_n_on(path, &index, &query, &|| ()).unwrap() {
                let score = score(&index, row.position, &query).unwrap();
                assert_eq!(row.score.to_bits(), score.to_bits());
            }
        }
    }
}

#[test]
fn a_score_is_the_metric_scaled_and_what_is_added() {
    let mut builder = IndexBuilder::new(2).unwrap();
    builder.push("a", &[3.0, 4.0], 1, None).unwrap();
    builder.push("b", &[0.5, 0.0], 2, None).unwrap();
    builder.push("c", &[-1.0, 2.0], 3, None).unwrap();
    builder.learned(Learned { metric: Metric::Dot, ..Learned::default() }).unwrap();
    let image = builder.finish(7, &|| ()).unwrap();
    let index = Index::open(&image).unwrap();
    let rows = |query| -> Vec<(u32, f64)> {
        let rows = top_n(&index, &query, &|| ()).unwrap();
        rows.iter().map(|row| (row.position, row.score)).collect()
    };
    let query = Query { vector: &[2.0, 0.0], n: 9, ..Query::default() };
    assert_eq!(rows(query), [(0, 6.0), (1, 1.0), (2, -2.0)]);
    assert_eq!(rows(Query { n: 1, scale: 0.5, ..query }), [(0, 3.0)]);
    let boosts = &[(1, 5.5), (2, 0.25)];
    assert_eq!(rows(Query { boosts, ..query }), [(1, 6.5), (0, 6.0), (2, -1.75)]);
    assert_eq!(rows(Query { boosts, exclude: &[1], ..query }), [(0, 6.0), (2, -1.75)]);
    assert_eq!(rows(Query { boosts, n: 1, candidates: Some(&[0, 2]), ..query }), [(0, 6.0)]);
    let by_cosine = Query { by_cosine: true, ..query };
    assert_eq!(rows(by_cosine)[..2], [(1, 1.0), (0, 0.6)]);
    // Nothing but what is added tells tracks apart.
    let zero = Query { vector: &[0.0, 0.0], boosts, ..query };
    assert_eq!(rows(zero), [(1, 5.5), (2, 0.25), (0, 0.0)]);

    for wrong in [
        Query { scale: 0.0, ..query },
        Query { scale: f64::NAN, ..query },
        Query { scale: 1e101, ..query },
        Query { boosts: &[(0, -0.1)], ..query },
        Query { boosts: &[(0, f64::NAN)], ..query },
        Query { boosts: &[(0, f64::INFINITY)], ..query },
        Query { boosts: &[(1, 0.1), (1, 0.1)], ..query },
        Query { boosts: &[(2, 0.1), (1, 0.1)], ..query },
    ] {
        assert!(matches!(top_n(&index, &wrong, &|| ()), Err(Error::OutOfRange { .. })));
        assert!(score(&index, 0, &wrong).is_err());
    }
}

#[test]
fn neighbours_add_up() {
    let mut builder = IndexBuilder::new(1).unwrap();
    for id in ["a", "b", "c", "d"] {
        builder.push(id, &[1.0], 0, None).unwrap();
    }
    let learned = Learned {
        metric: Metric::Dot,
        listeners: vec![4, 0, 1, 1],
        popularity: vec![0; 4],
        state: vec![1.5, -2.0],
        neighbour_ends: vec![0, 2, 2, 4, 4],
        neighbour_positions: vec![1, 3, 3, 0],
        neighbour_weights: vec![0.5, 0.25, 1.0, 0.0],
    };
    for wrong in [
        Learned { listeners: vec![1], ..learned.clone() },
        Learned { popularity: vec![1; 5], ..learned.clone() },
        Learned { neighbour_ends: vec![0, 4], ..learned.clone() },
        Learned { neighbour_ends: vec![0, 2, 1, 4, 4], ..learned.clone() },
        Learned { neighbour_ends: vec![0, 2, 2, 4, 5], ..learned.clone() },
        Learned { neighbour_ends: vec![1, 2, 2, 4, 4], ..learned.clone() },
        Learned { neighbour_positions: vec![1, 3, 3, 4], ..learned.clone() },
        Learned { neighbour_weights: vec![0.5, 0.25, 1.0], ..learned.clone() },
        Learned { neighbour_weights: vec![0.5, 0.25, 1.0, -1.0], ..learned.clone() },
        Learned { neighbour_weights: vec![0.5, f32::NAN, 1.0, 1.0], ..learned.clone() },
    ] {
        assert!(matches!(builder.learned(wrong), Err(Error::OutOfRange { .. })));
    }
    builder.learned(learned).unwrap();
    let image = builder.finish(7, &|| ()).unwrap();
    let index = Index::open(&image).unwrap();
    index.verify().unwrap();
    assert_eq!(index.metric(), Metric::Dot);
    assert_eq!((index.listeners(0), index.listeners(1)), (Some(4), Some(0)));
    assert_eq!(index.state(), [1.5, -2.0]);
    assert_eq!(index.neighbours(0), (&[1, 3][..], &[0.5, 0.25][..]));
    assert_eq!(index.neighbours(1), (&[][..], &[][..]));
    let popular: Vec<(u32, f64)> = index.popular().map(|row| (row.position, row.score)).collect();
    assert_eq!(popular, [(0, 1.0), (2, 0.25), (3, 0.25), (1, 0.0)]);

    let mut boosts = Boosts::new(&index).unwrap();
    let mut sums = Vec::new();
    for _ in 0..2 {
        boosts.add(&index, 0, 2.0);
        boosts.add(&index, 1, 9.0);
        boosts.add(&index, 2, 0.5);
        // 1 twice from track 0; 3 half from 0 and half from 2; 0 has weight 0.
        assert_eq!(boosts.take(&mut sums).unwrap(), ((1.0 + 1.0) / 4f64).sqrt());
        assert_eq!(sums, [(1, 1.0), (3, 1.0)]);
    }
    assert_eq!(boosts.take(&mut sums).unwrap(), 0.0);
    assert_eq!(sums, []);
}
