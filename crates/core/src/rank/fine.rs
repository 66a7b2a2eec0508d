//! Close upper bounds from a byte per component, for tracks that the head of a
//! vector does not decide.
//!
//! With track `t` and query `q` of length one, `c` the codes of `t` and `d` those of
//! `q`, in -127 to 127, `s` the track's own step and `r` the query's:
//!
//! ```text
//! t . q <= s r (c . d) + |s c| |q - r d| + |t - s c| |q|
//! ```
//!
//! by Cauchy and Schwarz. A step of the track's own makes the codes of all tracks as
//! good, however their lengths and largest components differ.

use super::kernel::{Codes, Kernel, padded};
use crate::{Interrupt, Result};

/// Numbers kept of a track: step, norm of its codes, norm of what they leave.
pub const TERMS: usize = 4;
/// Components of a row of codes are padded with zero codes to a multiple of this.
const ROW_CODES: usize = 64;
/// Largest code.
const CODES: f64 = 127.0;
/// The byte of the code 0.
const ZERO: u8 = 128;
/// Room for the rounding to float32, of which half a unit in the last place is 6e-8.
const UP: f64 = 1.0 + 1e-6;
/// Room for the rounding of float64, of sums and products of numbers around one.
const SLACK: f64 = 1e-9;
/// Tracks between two calls of the interrupt.
const INTERRUPT_EVERY: usize = 4096;

/// Code bytes of a track of `dims` components.
pub fn width(dims: usize) -> usize {
    dims.next_multiple_of(ROW_CODES)
}

/// Codes and terms of the tracks, by row.
#[derive(Default)]
pub struct Fine {
    pub codes: Vec<u8>,
    pub terms: Vec<f32>,
}

impl Fine {
    /// Of `vectors`, (n, padded dims) raw by position, of these norms.
    pub fn build(
        vectors: &[f32],
        norms: &[f64],
        dims: usize,
        positions: &[u32],
        interrupt: Interrupt,
    ) -> Result<Self> {
        let (mut codes, mut terms) = (Vec::new(), Vec::new());
        super::reserve(&mut codes, positions.len().saturating_mul(width(dims)))?;
        super::reserve(&mut terms, positions.len().saturating_mul(TERMS))?;
        codes.resize(positions.len() * width(dims), ZERO);
        let mut unit = vec![0f64; dims];
        let rows = codes.chunks_exact_mut(width(dims)).zip(positions).enumerate();
        for (row, (codes, &position)) in rows {
            if row % INTERRUPT_EVERY == 0 {
                interrupt();
            }
            let vector = &vectors[position as usize * padded(dims)..][..dims];
            to_unit(vector, norms[position as usize], &mut unit);
            // The step that is stored is the one that the codes are made with.
            let step = f64::from((largest(&unit) / CODES) as f32);
            let per_step = if step > 0.0 { 1.0 / step } else { 0.0 };
            let (mut coded, mut left) = (0.0, 0.0);
            for (byte, &x) in codes.iter_mut().zip(&unit) {
                let code = (x * per_step).round_ties_even().clamp(-CODES, CODES);
                coded += (step * code) * (step * code);
                left += (x - step * code) * (x - step * code);
                *byte = (code as i32 + i32::from(ZERO)) as u8;
            }
            let up = |squares: f64| (squares.sqrt() * UP + SLACK) as f32;
            terms.extend([step as f32, up(coded), up(left), 0.0]);
        }
        Ok(Self { codes, terms })
    }
}

fn to_unit(vector: &[f32], norm: f64, unit: &mut [f64]) {
    let per_norm = if norm > 0.0 { 1.0 / norm } else { 0.0 };
    for (unit, &x) in unit.iter_mut().zip(vector) {
        *unit = f64::from(x) * per_norm;
    }
}

fn largest(unit: &[f64]) -> f64 {
    unit.iter().fold(0.0, |largest, x| x.abs().max(largest))
}

/// The query's side of the fine bounds.
pub struct QueryFine {
    codes: Codes,
    step: f64,
    /// Norm of the query minus its codes.
    left: f64,
}

impl QueryFine {
    /// For the raw `vector`, (dims), of this norm.
    pub fn new(vector: &[f32], norm: f64) -> Self {
        let mut unit = vec![0f64; vector.len()];
        to_unit(vector, norm, &mut unit);
        let step = if norm > 0.0 { largest(&unit) / CODES } else { 1.0 };
        let mut codes = vec![0i8; width(vector.len())];
        let mut left = 0.0;
        for (code, &x) in codes.iter_mut().zip(&unit) {
            *code = (x / step).round_ties_even().clamp(-CODES, CODES) as i8;
            left += (x - step * f64::from(*code)).powi(2);
        }
        Self { codes: Codes::new(codes), step, left: left.sqrt() * UP + SLACK }
    }

    /// Writes an upper bound of the cosine of each of `rows` and the query to `bounds`.
    pub fn bounds(
        &self,
        kernel: Kernel,
        codes: &[u8],
        terms: &[f32],
        rows: &[u32],
        bounds: &mut [f64],
    ) {
        kernel.code_products(codes, &self.codes, rows, bounds);
        for (&row, bound) in rows.iter().zip(bounds) {
            let terms = &terms[row as usize * TERMS..][..TERMS];
            let [step, coded, left] = [terms[0], terms[1], terms[2]].map(f64::from);
            *bound = *bound * self.step * step + coded * self.left + left + SLACK;
        }
    }
}
