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

fn catalogue(shape: Shape, len: usize, dims: usize, rng: &mut ChaCha8Rng) -> AlignedBytes {
    let mut builder = IndexBuilder::new(dims).unwrap();
    for number in 0..len {
        let song = rng.random_range(0..=len as u128 / 2);
        builder.push(&format!("{number:06}"), &row(shape, dims, rng), song, None).unwrap();
    }
    builder.finish(0, &|| ()).unwrap()
}

fn numbers(below: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    (0..count).map(|_| rng.random_range(0..below as u32 + 2)).collect()
}

/// What a query borrows.
struct Parts {
    vector: Vec<f32>,
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
        Self {
            vector,
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
    for shape in SHAPES {
        for (len, dims) in [
            (1, 1),
            (15, 3),
            (17, 16),
            (130, 2),
            (256, 4),
            (257, 4),
            (3000, 64),
            (9000, 20),
            (700, 300),
        ] {
            let image = catalogue(shape, len, dims, &mut rng);
            let index = Index::open(&image).unwrap();
            for _ in 0..12 {
                let parts = Parts::random(shape, &index, &mut rng);
                let expected = plain::top_n(&index, &parts.query(), &|| ()).unwrap();
                assert!(expected.iter().all(|row| row.score.abs() <= 1.0 + 1e-12));
                let rows = top_n_unbounded(&index, &parts.query(), &|| ()).unwrap();
                assert_eq!(bits(&rows), bits(&expected));
                for path in Path::available() {
                    let rows = top_n_on(path, &index, &parts.query(), &|| ()).unwrap();
                    assert_eq!(
                        bits(&rows),
                        bits(&expected),
                        "{path:?} {shape:?} {len} x {dims}, n {}",
                        parts.n
                    );
                }
            }
        }
    }
}

#[test]
fn a_batch_equals_its_queries_for_any_number_of_threads() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for shape in [Shape::Clustered, Shape::Grid] {
        let image = catalogue(shape, 5000, 24, &mut rng);
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
    for dims in [1, 7, 16, 33, 64] {
        let image = catalogue(Shape::Extreme, 50, dims, &mut rng);
        let index = Index::open(&image).unwrap();
        let vector = row(Shape::Isotropic, dims, &mut rng);
        let query = Query { vector: &vector, n: 50, ..Query::default() };
        for path in Path::available() {
            for row in top_n_on(path, &index, &query, &|| ()).unwrap() {
                let score = cosine(&index, row.position, &vector);
                assert_eq!(row.score.to_bits(), score.to_bits());
            }
        }
    }
}
