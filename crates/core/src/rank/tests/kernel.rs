//! The inner loops of every path against sums written out.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::kernel::{BLOCK, Codes, GROUP, Kernel, Path};
use super::super::score;

/// A block's bytes, or a query's codes: any, or the largest and smallest only.
fn codes(len: usize, rng: &mut ChaCha8Rng) -> Vec<i8> {
    let extreme = rng.random_range(0..3) == 0;
    let any = |rng: &mut ChaCha8Rng| rng.random_range(-127i8..=127);
    (0..len).map(|_| if extreme { [-127, 127][rng.random_range(0..2)] } else { any(rng) }).collect()
}

/// The sum of each track in blocks of the layout that the kernels read.
fn sums(blocks: &[u8], codes: &[i8]) -> Vec<i32> {
    let groups = codes.len() / GROUP;
    let byte = |track: usize, place: usize| {
        let run = track / BLOCK * groups + place / GROUP;
        i32::from(blocks[run * BLOCK * GROUP + track % BLOCK * GROUP + place % GROUP]) - 128
    };
    let sum =
        |track| codes.iter().enumerate().map(|(at, &code)| byte(track, at) * i32::from(code)).sum();
    (0..blocks.len() / codes.len()).map(sum).collect()
}

#[test]
fn every_path_finds_the_sums_that_reach_a_threshold() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for _ in 0..400 {
        let (groups, count) = (rng.random_range(1..7), rng.random_range(0..11));
        let blocks: Vec<u8> = codes(count * BLOCK * groups * GROUP, &mut rng)
            .into_iter()
            .map(|code| (i32::from(code) + 128) as u8)
            .collect();
        let queries = [codes(groups * GROUP, &mut rng), codes(groups * GROUP, &mut rng)];
        let sums = queries.each_ref().map(|codes| sums(&blocks, codes));
        let threshold = |sums: &Vec<i32>, rng: &mut ChaCha8Rng| match rng.random_range(0..4) {
            0 => i32::MIN,
            1 => 1_000_000_000,
            _ => sums.get(rng.random_range(0..=sums.len())).copied().unwrap_or(0),
        };
        let thresholds = sums.each_ref().map(|sums| threshold(sums, &mut rng));
        let expected: Vec<Vec<u32>> = sums
            .iter()
            .zip(thresholds)
            .map(|(sums, threshold)| {
                (7..).zip(sums).filter(|(_, sum)| **sum >= threshold).map(|(at, _)| at).collect()
            })
            .collect();
        let mut largest = [-1000; BLOCK];
        for (track, &sum) in sums[0].iter().enumerate() {
            largest[track % BLOCK] = largest[track % BLOCK].max(sum);
        }

        let queries = queries.map(Codes::new);
        for path in Path::available() {
            let kernel = Kernel::new(path);
            let mut out = [vec![0; count * BLOCK], vec![0; count * BLOCK]];
            for query in 0..2 {
                let out = &mut out[query];
                let found = kernel.reaching(&blocks, &queries[query], thresholds[query], 7, out);
                assert_eq!(out[..found], expected[query], "{path:?}, {groups} groups");
            }
            let [one, other] = &mut out;
            let found = kernel.reaching_together(
                &blocks,
                queries.each_ref(),
                thresholds,
                7,
                [&mut one[..], &mut other[..]],
            );
            for query in 0..2 {
                assert_eq!(out[query][..found[query]], expected[query], "{path:?}, two");
            }
            let mut lanes = [-1000; BLOCK];
            kernel.maxima(&blocks, &queries[0], &mut lanes);
            assert_eq!(lanes, largest, "{path:?}, {groups} groups");
        }
    }
}

#[test]
fn every_path_sums_in_the_canonical_order() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for width in [16, 32, 64, 80, 304] {
        let mut row = |len: usize| -> Vec<f32> {
            (0..len)
                .map(|_| (rng.random::<f32>() - 0.5) * 2f32.powi(rng.random_range(-40..40)))
                .collect()
        };
        let (vectors, query) = (row(9 * width), row(width));
        let expected: Vec<u64> = vectors
            .chunks_exact(width)
            .map(|vector| score::dot(vector, &query).to_bits())
            .collect();
        let query: Vec<f64> = query.into_iter().map(f64::from).collect();
        for path in Path::available() {
            for count in 0..=9u32 {
                let positions: Vec<u32> = (0..count).map(|at| at * 4 % 9).collect();
                let mut dots = vec![0.0; 9];
                Kernel::new(path).dots(&vectors, &positions, &query, &mut dots);
                for (position, dot) in positions.into_iter().zip(dots) {
                    assert_eq!(dot.to_bits(), expected[position as usize], "{path:?}");
                }
            }
        }
    }
}

#[test]
fn every_path_sums_the_same_products_of_codes() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for width in [64, 128, 320, 1024] {
        let rows: Vec<Vec<i8>> = (0..9).map(|_| codes(width, &mut rng)).collect();
        let bytes: Vec<u8> =
            rows.iter().flatten().map(|&code| (i32::from(code) + 128) as u8).collect();
        let query = codes(width, &mut rng);
        let product = |row: &Vec<i8>| -> i32 {
            row.iter().zip(&query).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
        };
        let expected: Vec<f64> = rows.iter().map(|row| f64::from(product(row))).collect();
        let query = Codes::new(query.clone());
        for path in Path::available() {
            for count in 0..=9u32 {
                let numbers: Vec<u32> = (0..count).map(|at| at * 4 % 9).collect();
                let mut products = vec![0.0; 9];
                Kernel::new(path).code_products(&bytes, &query, &numbers, &mut products);
                for (number, product) in numbers.into_iter().zip(products) {
                    assert_eq!(product, expected[number as usize], "{path:?}, {width}");
                }
            }
        }
    }
}

#[test]
fn every_path_adds_the_same_bits() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    for dims in [1, 7, 16, 64, 100] {
        let mut number = || (rng.random::<f64>() - 0.5) * 2f64.powi(rng.random_range(-40..40));
        let x: Vec<f32> = (0..dims).map(|_| number() as f32).collect();
        let (sums, factor): (Vec<f64>, f64) = ((0..dims).map(|_| number()).collect(), number());
        let added = sums.iter().zip(&x).map(|(sum, &x)| (sum + factor * f64::from(x)).to_bits());
        let expected: Vec<u64> = added.collect();
        for path in Path::available() {
            let mut sums = sums.clone();
            Kernel::new(path).add_scaled(&mut sums, factor, &x);
            assert!(sums.iter().map(|sum| sum.to_bits()).eq(expected.iter().copied()), "{path:?}");
        }
    }
}
