//! The inner loops with AVX2 and FMA.

use std::arch::x86_64::*;

use super::{BLOCK, GROUP, write_bits};

const RUN: usize = BLOCK * GROUP;

/// Sums of products of the 16 tracks of a block.
///
/// # Safety
/// `block` points to `groups` runs of 64 bytes, `codes` to `groups` groups
/// of 4.
#[inline(always)]
unsafe fn sums(block: *const u8, codes: *const i8, groups: usize) -> [__m256i; 2] {
    // SAFETY: the caller gives memory of this size; both are read unaligned,
    // and the callers below enable the features.
    unsafe {
        let offset = _mm256_set1_epi8(-128);
        let ones = _mm256_set1_epi16(1);
        let mut sums = [_mm256_setzero_si256(); 2];
        for group in 0..groups {
            let code = _mm256_set1_epi32(codes.add(group * GROUP).cast::<i32>().read_unaligned());
            for (half, sum) in sums.iter_mut().enumerate() {
                let run = block.add(group * RUN + half * RUN / 2);
                let track = _mm256_xor_si256(_mm256_loadu_si256(run.cast()), offset);
                // Codes stay within 127, so that pairs of products fit 16 bits.
                let pairs =
                    _mm256_maddubs_epi16(_mm256_abs_epi8(track), _mm256_sign_epi8(code, track));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
            }
        }
        sums
    }
}

#[target_feature(enable = "avx2,fma")]
pub fn reaching(blocks: &[u8], codes: &[i8], threshold: i32, first: u32, out: &mut [u32]) -> usize {
    match codes.len() / GROUP {
        4 => reaching_groups::<4>(blocks, codes, 4, threshold, first, out),
        groups => reaching_groups::<0>(blocks, codes, groups, threshold, first, out),
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn reaching_groups<const GROUPS: usize>(
    blocks: &[u8],
    codes: &[i8],
    groups: usize,
    threshold: i32,
    mut first: u32,
    out: &mut [u32],
) -> usize {
    // A number of groups known here unrolls the loop over them.
    let groups = if GROUPS > 0 { GROUPS } else { groups };
    let below = _mm256_set1_epi32(threshold.saturating_sub(1));
    let mut count = 0;
    for block in blocks.chunks_exact(groups * RUN) {
        // SAFETY: the chunk has one block, and `codes` has `groups` groups.
        let sums = unsafe { sums(block.as_ptr(), codes.as_ptr(), groups) };
        let [low, high] =
            sums.map(|sum| _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(sum, below))));
        // SAFETY: `out` has room for every track, and these are not written yet.
        count = unsafe { write_bits((low | high << 8) as u64, first, out, count) };
        first += BLOCK as u32;
    }
    count
}

#[target_feature(enable = "avx2,fma")]
pub fn maxima(blocks: &[u8], codes: &[i8], lanes: &mut [i32; BLOCK]) {
    match codes.len() / GROUP {
        4 => maxima_groups::<4>(blocks, codes, 4, lanes),
        groups => maxima_groups::<0>(blocks, codes, groups, lanes),
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn maxima_groups<const GROUPS: usize>(
    blocks: &[u8],
    codes: &[i8],
    groups: usize,
    lanes: &mut [i32; BLOCK],
) {
    let groups = if GROUPS > 0 { GROUPS } else { groups };
    let mut largest = [_mm256_set1_epi32(i32::MIN); 2];
    for block in blocks.chunks_exact(groups * RUN) {
        // SAFETY: the chunk has one block, and `codes` has `groups` groups.
        let sums = unsafe { sums(block.as_ptr(), codes.as_ptr(), groups) };
        for (largest, sum) in largest.iter_mut().zip(sums) {
            *largest = _mm256_max_epi32(*largest, sum);
        }
    }
    let mut found = [0i32; BLOCK];
    for (found, largest) in found.chunks_exact_mut(8).zip(largest) {
        // SAFETY: the chunk has the 32 bytes that are written.
        unsafe { _mm256_storeu_si256(found.as_mut_ptr().cast(), largest) };
    }
    for (lane, found) in lanes.iter_mut().zip(found) {
        *lane = found.max(*lane);
    }
}

#[target_feature(enable = "avx2,fma")]
pub fn dots(vectors: &[f32], numbers: &[u32], query: &[f64], out: &mut [f64]) {
    for (&number, out) in numbers.iter().zip(out) {
        let row = &vectors[number as usize * query.len()..][..query.len()];
        let (mut low, mut high) = (_mm256_setzero_pd(), _mm256_setzero_pd());
        for (row, query) in row.chunks_exact(8).zip(query.chunks_exact(8)) {
            // SAFETY: the chunks have the eight numbers that are read.
            unsafe {
                let left = _mm256_cvtps_pd(_mm_loadu_ps(row.as_ptr()));
                let right = _mm256_cvtps_pd(_mm_loadu_ps(row.as_ptr().add(4)));
                low = _mm256_fmadd_pd(left, _mm256_loadu_pd(query.as_ptr()), low);
                high = _mm256_fmadd_pd(right, _mm256_loadu_pd(query.as_ptr().add(4)), high);
            }
        }
        let four = _mm256_add_pd(low, high);
        let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
        *out = _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
    }
}

#[target_feature(enable = "avx2,fma")]
pub fn code_products(codes: &[u8], query: &[i8], numbers: &[u32], out: &mut [f64]) {
    super::plain::code_products(codes, query, numbers, out);
}

#[target_feature(enable = "avx2,fma")]
pub fn rotate(columns: &[f32], x: &[f32], out: &mut [f32]) {
    super::plain::rotate(columns, x, out);
}

#[target_feature(enable = "avx2")]
pub fn add_scaled(sums: &mut [f64], factor: f64, x: &[f32]) {
    super::plain::add_scaled(sums, factor, x);
}
