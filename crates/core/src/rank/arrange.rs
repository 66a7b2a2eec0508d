//! The order of the rows: tracks that are alike lie in one run of blocks.
//!
//! A k-d tree (Bentley 1975) whose leaves are the runs. A part is cut in the
//! middle, at a whole run, along the component that counts most there: its
//! variance in the part times its share in the second moment of all tracks,
//! for queries lie where tracks lie. n tracks cost n log(n / 256) steps.

use super::kernel::BLOCK;
use crate::{Interrupt, Result};

/// Blocks of a run.
pub const RUN_BLOCKS: usize = 16;
/// Tracks of a run.
const RUN: usize = RUN_BLOCKS * BLOCK;
/// Tracks of a part that its variances are taken from.
const SAMPLE: usize = 64;
/// Tracks between two calls of the interrupt.
const INTERRUPT_EVERY: usize = 1 << 16;

/// Positions by row, for tracks with `width` code bytes each, of which the
/// first `shares.len()` are components, with their shares in the second moment.
pub fn arrange(
    codes: &[u8],
    width: usize,
    shares: &[f64],
    interrupt: Interrupt,
) -> Result<Vec<u32>> {
    let len = codes.len() / width;
    let (mut positions, mut after, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    super::reserve(&mut positions, len)?;
    super::reserve(&mut after, len)?;
    super::reserve(&mut keys, len)?;
    positions.extend(0..len as u32);
    let mut parts = vec![(0, len)];
    let mut seen = 0;
    while let Some((start, end)) = parts.pop() {
        let runs = (end - start).div_ceil(RUN);
        if runs < 2 {
            continue;
        }
        seen += end - start;
        if seen > INTERRUPT_EVERY {
            seen = 0;
            interrupt();
        }
        let middle = runs / 2 * RUN;
        let tracks = &mut positions[start..end];
        let axis = widest(codes, width, shares, tracks);
        keys.clear();
        keys.extend(tracks.iter().map(|&position| codes[position as usize * width + axis]));
        cut(tracks, middle, &keys, &mut after);
        parts.push((start + middle, end));
        parts.push((start, start + middle));
    }
    Ok(positions)
}

/// The component along which the tracks are to be cut.
fn widest(codes: &[u8], width: usize, shares: &[f64], tracks: &[u32]) -> usize {
    let stride = tracks.len().div_ceil(SAMPLE);
    let (mut sums, mut squares) = (vec![0u32; shares.len()], vec![0u32; shares.len()]);
    for &position in tracks.iter().step_by(stride) {
        let codes = &codes[position as usize * width..][..shares.len()];
        for ((sum, square), &code) in sums.iter_mut().zip(&mut squares).zip(codes) {
            *sum += u32::from(code);
            *square += u32::from(code) * u32::from(code);
        }
    }
    let count = tracks.len().div_ceil(stride) as f64;
    let spread = |axis: usize| {
        let mean = f64::from(sums[axis]) / count;
        (f64::from(squares[axis]) / count - mean * mean) * shares[axis]
    };
    (0..shares.len()).max_by(|&a, &b| spread(a).total_cmp(&spread(b))).unwrap_or(0)
}

/// Puts `middle` tracks with the smallest of `keys`, one for each, before the others;
/// otherwise the order stays. `after` is room.
fn cut(tracks: &mut [u32], middle: usize, keys: &[u8], after: &mut Vec<u32>) {
    let mut counts = [0usize; 256];
    for &key in keys {
        counts[usize::from(key)] += 1;
    }
    // Those below `least` go before, and of those that have it as many as there is room for.
    let (mut least, mut room) = (0u8, middle);
    while counts[usize::from(least)] < room {
        room -= counts[usize::from(least)];
        least += 1;
    }
    after.clear();
    let mut before = 0;
    for (at, &key) in keys.iter().enumerate() {
        let track = tracks[at];
        if key < least || key == least && room > 0 {
            room -= usize::from(key == least);
            tracks[before] = track;
            before += 1;
        } else {
            after.push(track);
        }
    }
    tracks[before..].copy_from_slice(after);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_track_has_a_row_and_runs_hold_neighbours() {
        // Two components, the second of no weight: rows come by the first.
        for len in [0, 1, RUN - 1, RUN, RUN + 1, 2 * RUN, 5 * RUN + 7, 40 * RUN] {
            let code = |at: usize| (at * 7919 % len * 255 / len) as u8;
            let codes: Vec<u8> = (0..len).flat_map(|at| [code(at), at as u8, 9]).collect();
            let positions = arrange(&codes, 3, &[1.0, 0.0], &|| ()).unwrap();
            let mut sorted = positions.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..len as u32), "{len}");
            let runs: Vec<Vec<u8>> = positions
                .chunks(RUN)
                .map(|run| run.iter().map(|&at| code(at as usize)).collect())
                .collect();
            for pair in runs.windows(2) {
                assert!(pair[0].iter().max() <= pair[1].iter().min(), "{len}: {pair:?}");
            }
        }
    }

    #[test]
    fn parts_are_cut_along_the_component_that_counts_most() {
        // A run of tracks on either side of each component; the second counts more.
        let side = |at: usize| [at / RUN / 2, at / RUN % 2];
        let codes: Vec<u8> =
            (0..4 * RUN).flat_map(|at| [side(at)[0] as u8 * 90, side(at)[1] as u8 * 80]).collect();
        let positions = arrange(&codes, 2, &[0.4, 0.6], &|| ()).unwrap();
        let expected = [[0, 0], [1, 0], [0, 1], [1, 1]];
        for (run, expected) in positions.chunks(RUN).zip(expected) {
            assert!(run.iter().all(|&at| side(at as usize) == expected), "{expected:?}");
        }
    }
}
