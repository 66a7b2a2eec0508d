//! Upper bounds of scores from a few integers per track.
//!
//! Unit vectors are rotated so that their second moment is diagonal and
//! descending, which changes no dot product. The first components (the head)
//! are kept as codes of 7 bits and a sign, the others as their norm in two
//! bands. With track `t`, query `q`, both rotated and of length one, step `s`
//! of the codes `c` of the tracks and step `r` of the codes `d` of the query:
//!
//! ```text
//! t . q <= s r (c . d) + |q_head - r d| max|s c| + |q_head| max|t_head - s c|
//!          + |t_band1| |q_band1| + |t_band2| |q_band2|
//! ```
//!
//! by Cauchy and Schwarz. The band norms are codes too, rounded up, in the
//! places after the head, so that the sum of all products of codes bounds the
//! score up to one factor and one addend per query. The addend has room for
//! the rounding of the rotation in float32.
//!
//! For the cosine, rows are arranged so that tracks that are alike stand together. The
//! mean codes of each run of blocks bound nothing; they tell where to look first. For
//! the dot product, the longest vectors come first: a bound of the cosine, times the
//! first length of a run, bounds the whole run, and there is a row after which no track
//! is long enough.

use super::Metric;
use super::arrange::{RUN_BLOCKS, arrange};
use super::kernel::{BLOCK, Codes, GROUP, Kernel, padded};
use super::rotation::{rotation, turn};
use crate::{Interrupt, Result, sorting};

/// Share of the second moment that the head holds, about. On a real
/// catalogue more costs more to read than it spares, and less spares less.
const HEAD_SHARE: f64 = 0.93;
/// Components of a head at most, with the bands. Where they hold less than the share,
/// as those of learned vectors do, tracks have fine codes, too.
const HEAD_MOST: usize = 32 - BANDS;
/// Largest code.
const CODES: f64 = 127.0;
/// The byte of the code 0.
const ZERO: u8 = 128;
/// Places of the band norms in a block.
const BANDS: usize = 2;
/// Half a unit in the last place of a float32, relative.
const ROUNDING: f64 = 1.0 / (1 << 24) as f64;
/// Tracks between two calls of the interrupt.
const INTERRUPT_EVERY: usize = 4096;

/// Numbers that hold for all tracks of an index.
#[derive(Debug, Clone, Copy)]
pub struct Measures {
    /// Groups of codes per track.
    pub groups: usize,
    step: f64,
    band_steps: [f64; BANDS],
    /// Largest norm of a head minus its codes.
    head_error: f64,
    /// Largest norm of a head's codes.
    head_norm: f64,
    slack: f64,
}

impl Measures {
    /// Numbers in their stored form.
    pub const STORED: usize = 8;

    /// As stored in an image.
    pub fn store(&self) -> [f64; Self::STORED] {
        [
            self.groups as f64,
            self.step,
            self.band_steps[0],
            self.band_steps[1],
            self.head_error,
            self.head_norm,
            self.slack,
            0.0,
        ]
    }

    /// From the form of [`Measures::store`].
    pub fn load(stored: &[f64]) -> Option<Self> {
        let &[groups, step, band1, band2, head_error, head_norm, slack, _] = stored else {
            return None;
        };
        Some(Self {
            groups: groups as usize,
            step,
            band_steps: [band1, band2],
            head_error,
            head_norm,
            slack,
        })
    }

    /// Code bytes of a track.
    fn width(&self) -> usize {
        self.groups * GROUP
    }

    /// Components in the head, of `dims`.
    fn head(&self, dims: usize) -> usize {
        dims.min(self.width() - BANDS)
    }
}

/// The tracks' side of the bounds.
pub struct Bounds {
    /// (dims, dims): row `i` holds what component `i` adds to each rotated
    /// component; empty where vectors are not rotated.
    pub rotation: Vec<f32>,
    /// Positions by row.
    pub positions: Vec<u32>,
    /// Blocks of 16 rows, in the kernels' layout.
    pub blocks: Vec<u8>,
    /// Mean codes of the runs, in the layout of tracks.
    pub means: Vec<u8>,
    pub measures: Measures,
    /// Whether the head holds as much as is worth reading.
    pub decides: bool,
}

impl Bounds {
    /// Bounds of `vectors`, (n, padded dims) raw by position, of these norms.
    pub fn build(
        vectors: &[f32],
        norms: &[f64],
        dims: usize,
        metric: Metric,
        kernel: Kernel,
        interrupt: Interrupt,
    ) -> Result<Self> {
        let (rotation, shares) = rotation(vectors, norms, dims, metric, interrupt);
        let mut held = 0.0;
        let head = shares.iter().take_while(|&&share| {
            let before = held;
            held += share;
            before < HEAD_SHARE
        });
        let head = head.count();
        let decides = head <= HEAD_MOST;
        let groups = (head.min(HEAD_MOST) + BANDS).div_ceil(GROUP);
        let root = (dims as f64).sqrt();
        let products = if rotation.is_empty() { 0.0 } else { 2.5 * dims as f64 * root };
        let mut measures = Measures {
            groups,
            step: 0.0,
            band_steps: [0.0; BANDS],
            head_error: 0.0,
            head_norm: 0.0,
            slack: (products + 8.0 * root + 16.0) * ROUNDING,
        };

        let width = measures.width();
        let head = measures.head(dims);
        let mut rotated = Vec::new();
        super::reserve(&mut rotated, norms.len() * width)?;
        rotated.resize(norms.len() * width, 0f32);
        let (mut unit, mut turned) = (vec![0f32; dims], vec![0f32; dims]);
        let (mut largest, mut largest_bands) = (0f32, [0f32; BANDS]);
        for (position, kept) in rotated.chunks_exact_mut(width).enumerate() {
            if position % INTERRUPT_EVERY == 0 {
                interrupt();
            }
            let row = &vectors[position * padded(dims)..][..dims];
            turn(row, norms[position], &rotation, kernel, &mut unit, &mut turned);
            let (coordinates, bands) = kept.split_at_mut(width - BANDS);
            coordinates[..head].copy_from_slice(&turned[..head]);
            bands.copy_from_slice(&bands_of(&turned[head..]));
            largest = turned[..head].iter().fold(largest, |largest, x| largest.max(x.abs()));
            for (largest, &band) in largest_bands.iter_mut().zip(&*bands) {
                *largest = largest.max(band);
            }
        }
        measures.step = if largest > 0.0 { f64::from(largest) / CODES } else { 1.0 };
        measures.band_steps = largest_bands.map(|largest| f64::from(largest) / CODES);

        let mut codes = Vec::new();
        super::reserve(&mut codes, rotated.len())?;
        let (mut error, mut norm) = (0f32, 0f32);
        let (step, per_step) = (measures.step as f32, (1.0 / measures.step) as f32);
        let per_band = measures.band_steps.map(|step| if step > 0.0 { 1.0 / step } else { 0.0 });
        for (position, kept) in rotated.chunks_exact(width).enumerate() {
            if position % INTERRUPT_EVERY == 0 {
                interrupt();
            }
            let (mut errors, mut squares) = (0f32, 0f32);
            for (place, &x) in kept.iter().enumerate() {
                let code = if place < width - BANDS {
                    let code = round(x * per_step).clamp(-127.0, 127.0);
                    errors += (x - step * code) * (x - step * code);
                    squares += step * code * step * code;
                    code as i32
                } else {
                    let code = f64::from(x) * per_band[place + BANDS - width];
                    code.ceil().clamp(0.0, CODES) as i32
                };
                codes.push((code + 128) as u8);
            }
            error = error.max(errors);
            norm = norm.max(squares);
        }
        // Rounded up: the sums were made in float32, with one step for both.
        let up = 1.0 + 4.0 * (width as f64 + 2.0) * ROUNDING;
        measures.head_error = f64::from(error).sqrt() * up + 4.0 * root * ROUNDING;
        measures.head_norm = f64::from(norm).sqrt() * up;
        drop(rotated);

        let positions = match metric {
            Metric::Cosine => arrange(&codes, width, &shares[..head], interrupt)?,
            Metric::Dot => by_length(norms, interrupt)?,
        };
        let mut rows = Vec::new();
        super::reserve(&mut rows, codes.len())?;
        for (row, &position) in positions.iter().enumerate() {
            if row % INTERRUPT_EVERY == 0 {
                interrupt();
            }
            rows.extend_from_slice(&codes[position as usize * width..][..width]);
        }
        interrupt();
        let blocks = in_blocks(&rows, width)?;
        interrupt();
        let means = match metric {
            Metric::Cosine => in_blocks(&means_of(&rows, width)?, width)?,
            Metric::Dot => Vec::new(),
        };
        Ok(Self { rotation, positions, blocks, means, measures, decides })
    }
}

/// Positions by row, the longest vectors first.
fn by_length(norms: &[f64], interrupt: Interrupt) -> Result<Vec<u32>> {
    let mut positions = Vec::new();
    super::reserve(&mut positions, norms.len())?;
    positions.extend(0..norms.len() as u32);
    let norm = |position: u32| norms[position as usize];
    sorting::sort_by(&mut positions, interrupt, |&a, &b| {
        norm(b).total_cmp(&norm(a)).then(a.cmp(&b))
    });
    Ok(positions)
}

/// Code bytes of tracks or runs, (n, width), in the kernels' layout; what is
/// missing of the last block is filled with zero codes.
fn in_blocks(rows: &[u8], width: usize) -> Result<Vec<u8>> {
    let bytes = (rows.len() / width).next_multiple_of(BLOCK) * width;
    let mut blocks = Vec::new();
    super::reserve(&mut blocks, bytes)?;
    blocks.resize(bytes, ZERO);
    for (rows, block) in rows.chunks(BLOCK * width).zip(blocks.chunks_exact_mut(BLOCK * width)) {
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (group, codes) in row.chunks_exact(GROUP).enumerate() {
                block[(group * BLOCK + lane) * GROUP..][..GROUP].copy_from_slice(codes);
            }
        }
    }
    Ok(blocks)
}

/// Code bytes of the means of the runs of `rows`, (runs, width).
fn means_of(rows: &[u8], width: usize) -> Result<Vec<u8>> {
    let run = RUN_BLOCKS * BLOCK * width;
    let mut means = Vec::new();
    super::reserve(&mut means, rows.len().div_ceil(run) * width)?;
    let mut sums = vec![0; width];
    for rows in rows.chunks(run) {
        sums.fill(0);
        for row in rows.chunks_exact(width) {
            for (sum, &code) in sums.iter_mut().zip(row) {
                *sum += u32::from(code);
            }
        }
        let tracks = (rows.len() / width) as u32;
        means.extend(sums.iter().map(|sum| (sum / tracks) as u8));
    }
    Ok(means)
}

/// The nearest integer, for small `x`; an instruction on every processor.
fn round(x: f32) -> f32 {
    const TO_INTEGERS: f32 = 1.5 * (1 << 23) as f32;
    (x + TO_INTEGERS) - TO_INTEGERS
}

/// Norms of the two halves of what follows the head, rounded up.
fn bands_of(tail: &[f32]) -> [f32; BANDS] {
    let (near, far) = tail.split_at(tail.len() / 2);
    [near, far].map(|band| {
        let squares: f64 = band.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        (squares.sqrt() * (1.0 + 2.0 * ROUNDING)) as f32
    })
}

/// The query's side of the bounds.
pub struct QueryBounds {
    /// Codes to multiply the tracks' codes with, (groups x 4).
    pub codes: Codes,
    factor: f64,
    addend: f64,
}

impl QueryBounds {
    /// Bounds for the raw `vector`, (dims), of this norm.
    pub fn new(
        vector: &[f32],
        norm: f64,
        rotation: &[f32],
        measures: &Measures,
        kernel: Kernel,
    ) -> Self {
        let dims = vector.len();
        let (mut unit, mut turned) = (vec![0f32; dims], vec![0f32; dims]);
        turn(vector, norm, rotation, kernel, &mut unit, &mut turned);
        let (head, tail) = turned.split_at(measures.head(dims));
        let bands = bands_of(tail);
        let weights: [f64; BANDS] =
            std::array::from_fn(|band| f64::from(bands[band]) * measures.band_steps[band]);
        let largest = head.iter().map(|&x| f64::from(x.abs())).fold(0.0, f64::max);
        let largest = weights.iter().fold(largest, |largest, w| largest.max(w / measures.step));
        let step = if largest > 0.0 { largest / CODES } else { 1.0 };

        let mut codes = vec![0i8; measures.width()];
        let (head_codes, band_codes) = codes.split_at_mut(measures.width() - BANDS);
        let (mut errors, mut squares) = (0f64, 0f64);
        for (code, &x) in head_codes.iter_mut().zip(head) {
            let x = f64::from(x);
            *code = (x / step).round_ties_even().clamp(-CODES, CODES) as i8;
            errors += (x - step * f64::from(*code)).powi(2);
            squares += x * x;
        }
        for (code, weight) in band_codes.iter_mut().zip(weights) {
            *code = (weight / (measures.step * step)).ceil().min(CODES) as i8;
        }
        let addend = errors.sqrt() * measures.head_norm
            + squares.sqrt() * measures.head_error
            + measures.slack;
        Self { codes: Codes::new(codes), factor: measures.step * step, addend }
    }

    /// The sum of products that every track scoring `score` or more reaches.
    pub fn threshold(&self, score: f64) -> i32 {
        let sum = (score - self.addend) / self.factor;
        (sum.floor() - 1.0).clamp(-1e9, 1e9) as i32
    }
}
