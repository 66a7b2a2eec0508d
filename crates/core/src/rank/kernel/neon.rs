//! The inner loops with NEON.

use std::arch::aarch64::*;

use super::{BLOCK, GROUP};

const RUN: usize = BLOCK * GROUP;

/// Sums of products of the 16 tracks of a block.
///
/// # Safety
/// `block` points to `groups` runs of 64 bytes, `codes` to `groups` groups
/// of 4.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn sums(block: *const u8, codes: *const i8, groups: usize) -> [int32x4_t; 4] {
    // SAFETY: the caller gives memory of this size; both are read unaligned.
    unsafe {
        let offset = vdupq_n_u8(128);
        let mut sums = [vdupq_n_s32(0); 4];
        for group in 0..groups {
            let code = codes.add(group * GROUP).cast::<i32>().read_unaligned();
            let code = vreinterpret_s8_s32(vdup_n_s32(code));
            for (quarter, sum) in sums.iter_mut().enumerate() {
                let run = block.add(group * RUN + quarter * RUN / 4);
                let track = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(run), offset));
                let low = vpaddlq_s16(vmull_s8(vget_low_s8(track), code));
                let high = vpaddlq_s16(vmull_s8(vget_high_s8(track), code));
                *sum = vaddq_s32(*sum, vpaddq_s32(low, high));
            }
        }
        sums
    }
}

#[target_feature(enable = "neon")]
pub fn reaching(
    blocks: &[u8],
    codes: &[i8],
    threshold: i32,
    mut first: u32,
    out: &mut [u32],
) -> usize {
    let groups = codes.len() / GROUP;
    let mut count = 0;
    for block in blocks.chunks_exact(groups * RUN) {
        // SAFETY: the chunk has one block, and `codes` has `groups` groups.
        let sums = unsafe { sums(block.as_ptr(), codes.as_ptr(), groups) };
        let [a, b, c, d] = sums;
        let largest = vmaxq_s32(vmaxq_s32(a, b), vmaxq_s32(c, d));
        if vmaxvq_s32(largest) >= threshold {
            let mut found = [0i32; BLOCK];
            for (found, sum) in found.chunks_exact_mut(4).zip(sums) {
                // SAFETY: the chunk has the 16 bytes that are written.
                unsafe { vst1q_s32(found.as_mut_ptr(), sum) };
            }
            for (lane, found) in found.into_iter().enumerate() {
                if found >= threshold {
                    out[count] = first + lane as u32;
                    count += 1;
                }
            }
        }
        first += BLOCK as u32;
    }
    count
}

#[target_feature(enable = "neon")]
pub fn maxima(blocks: &[u8], codes: &[i8], lanes: &mut [i32; BLOCK]) {
    let groups = codes.len() / GROUP;
    let mut largest = [vdupq_n_s32(i32::MIN); 4];
    for block in blocks.chunks_exact(groups * RUN) {
        // SAFETY: the chunk has one block, and `codes` has `groups` groups.
        let sums = unsafe { sums(block.as_ptr(), codes.as_ptr(), groups) };
        for (largest, sum) in largest.iter_mut().zip(sums) {
            *largest = vmaxq_s32(*largest, sum);
        }
    }
    let mut found = [0i32; BLOCK];
    for (found, largest) in found.chunks_exact_mut(4).zip(largest) {
        // SAFETY: the chunk has the 16 bytes that are written.
        unsafe { vst1q_s32(found.as_mut_ptr(), largest) };
    }
    for (lane, found) in lanes.iter_mut().zip(found) {
        *lane = found.max(*lane);
    }
}

#[target_feature(enable = "neon")]
pub fn dots(vectors: &[f32], numbers: &[u32], query: &[f64], out: &mut [f64]) {
    for (&number, out) in numbers.iter().zip(out) {
        let row = &vectors[number as usize * query.len()..][..query.len()];
        let mut lanes = [vdupq_n_f64(0.0); 4];
        for (row, query) in row.chunks_exact(8).zip(query.chunks_exact(8)) {
            // SAFETY: the chunks have the eight numbers that are read.
            unsafe {
                let (left, right) = (vld1q_f32(row.as_ptr()), vld1q_f32(row.as_ptr().add(4)));
                let row = [
                    vcvt_f64_f32(vget_low_f32(left)),
                    vcvt_high_f64_f32(left),
                    vcvt_f64_f32(vget_low_f32(right)),
                    vcvt_high_f64_f32(right),
                ];
                for (number, (lane, row)) in lanes.iter_mut().zip(row).enumerate() {
                    *lane = vfmaq_f64(*lane, row, vld1q_f64(query.as_ptr().add(2 * number)));
                }
            }
        }
        let [l01, l23, l45, l67] = lanes;
        let two = vaddq_f64(vaddq_f64(l01, l45), vaddq_f64(l23, l67));
        *out = vaddvq_f64(two);
    }
}
