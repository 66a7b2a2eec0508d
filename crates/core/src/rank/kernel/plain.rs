//! The inner loops in portable Rust.

use super::super::score::{LANES, sum_lanes};
use super::{BLOCK, GROUP};

fn sums(block: &[u8], codes: &[i8]) -> [i32; BLOCK] {
    let mut sums = [0; BLOCK];
    for (run, codes) in block.chunks_exact(BLOCK * GROUP).zip(codes.chunks_exact(GROUP)) {
        for (sum, track) in sums.iter_mut().zip(run.chunks_exact(GROUP)) {
            for (&byte, &code) in track.iter().zip(codes) {
                *sum += (i32::from(byte) - 128) * i32::from(code);
            }
        }
    }
    sums
}

pub fn reaching(blocks: &[u8], codes: &[i8], threshold: i32, first: u32, out: &mut [u32]) -> usize {
    let mut count = 0;
    for (number, block) in blocks.chunks_exact(codes.len() * BLOCK).enumerate() {
        for (lane, sum) in sums(block, codes).into_iter().enumerate() {
            if sum >= threshold {
                out[count] = first + (number * BLOCK + lane) as u32;
                count += 1;
            }
        }
    }
    count
}

pub fn maxima(blocks: &[u8], codes: &[i8], lanes: &mut [i32; BLOCK]) {
    for block in blocks.chunks_exact(codes.len() * BLOCK) {
        for (lane, sum) in lanes.iter_mut().zip(sums(block, codes)) {
            *lane = sum.max(*lane);
        }
    }
}

pub fn dots(vectors: &[f32], numbers: &[u32], query: &[f64], out: &mut [f64]) {
    for (out, &number) in out.iter_mut().zip(numbers) {
        let row = &vectors[number as usize * query.len()..][..query.len()];
        let mut lanes = [0f64; LANES];
        for (row, query) in row.chunks_exact(LANES).zip(query.chunks_exact(LANES)) {
            for lane in 0..LANES {
                lanes[lane] += f64::from(row[lane]) * query[lane];
            }
        }
        *out = sum_lanes(lanes);
    }
}

/// As [`rotate`].
#[inline(always)]
pub fn code_products(codes: &[u8], query: &[i8], numbers: &[u32], out: &mut [f64]) {
    const LANES: usize = 16;
    for (&number, out) in numbers.iter().zip(out) {
        let row = &codes[number as usize * query.len()..][..query.len()];
        let mut lanes = [0i32; LANES];
        for (row, query) in row.chunks_exact(LANES).zip(query.chunks_exact(LANES)) {
            for ((lane, &byte), &code) in lanes.iter_mut().zip(row).zip(query) {
                *lane += (i32::from(byte) - 128) * i32::from(code);
            }
        }
        *out = f64::from(lanes.iter().sum::<i32>());
    }
}

/// Written for the compiler to vectorise, also for the paths that inline it.
#[inline(always)]
pub fn rotate(columns: &[f32], x: &[f32], out: &mut [f32]) {
    const TILE: usize = 64;
    let width = out.len();
    for (start, out) in (0..width).step_by(TILE).zip(out.chunks_mut(TILE)) {
        let mut sums = [0f32; TILE];
        if out.len() == TILE {
            for (&x, column) in x.iter().zip(columns.chunks_exact(width)) {
                for (sum, &c) in sums.iter_mut().zip(&column[start..start + TILE]) {
                    *sum += x * c;
                }
            }
        } else {
            for (&x, column) in x.iter().zip(columns.chunks_exact(width)) {
                for (sum, &c) in sums.iter_mut().zip(&column[start..]) {
                    *sum += x * c;
                }
            }
        }
        out.copy_from_slice(&sums[..out.len()]);
    }
}

/// As [`rotate`].
#[inline(always)]
pub fn add_scaled(sums: &mut [f64], factor: f64, x: &[f32]) {
    for (sum, &x) in sums.iter_mut().zip(x) {
        *sum += factor * f64::from(x);
    }
}
