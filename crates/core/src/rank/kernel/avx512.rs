//! The inner loops with AVX-512 and its integer dot products (VNNI).

use std::arch::x86_64::*;

use super::{BLOCK, Codes, GROUP, write_bits};

const RUN: usize = BLOCK * GROUP;

/// Rows between the one that is read and the one that is asked for.
const AHEAD: usize = 16;

/// Sums of products, offset included, of `Q` queries and `N` blocks that start at
/// `blocks`: every byte is read once.
///
/// # Safety
/// `blocks` points to `N * groups` runs of 64 bytes, each of `codes` to `groups`
/// groups of 4.
#[inline(always)]
unsafe fn sums<const Q: usize, const N: usize>(
    blocks: *const u8,
    codes: [*const i8; Q],
    groups: usize,
) -> [[__m512i; N]; Q] {
    // SAFETY: the caller gives memory of this size; both are read unaligned,
    // and the callers below enable the features.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); N]; Q];
        for group in 0..groups {
            let codes = codes.map(|codes| {
                _mm512_set1_epi32(codes.add(group * GROUP).cast::<i32>().read_unaligned())
            });
            for number in 0..N {
                let run = blocks.add((number * groups + group) * RUN);
                let run = _mm512_loadu_si512(run.cast());
                for (sums, code) in sums.iter_mut().zip(codes) {
                    sums[number] = _mm512_dpbusd_epi32(sums[number], run, code);
                }
            }
        }
        sums
    }
}

/// For each of `Q` queries what [`reaching`](super::Kernel::reaching) gives for one.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn reaching<const Q: usize>(
    blocks: &[u8],
    codes: [&Codes; Q],
    thresholds: [i32; Q],
    first: u32,
    out: [&mut [u32]; Q],
) -> [usize; Q] {
    let groups = codes[0].values.len() / GROUP;
    let threshold = |query: usize| thresholds[query].saturating_add(codes[query].offset);
    let thresholds = std::array::from_fn(|query| _mm512_set1_epi32(threshold(query)));
    let codes = codes.map(|codes| &codes.values[..]);
    match groups {
        4 => reaching_groups::<Q, 4>(blocks, codes, 4, thresholds, first, out),
        8 => reaching_groups::<Q, 8>(blocks, codes, 8, thresholds, first, out),
        _ => reaching_groups::<Q, 0>(blocks, codes, groups, thresholds, first, out),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn reaching_groups<const Q: usize, const GROUPS: usize>(
    blocks: &[u8],
    codes: [&[i8]; Q],
    groups: usize,
    thresholds: [__m512i; Q],
    mut first: u32,
    out: [&mut [u32]; Q],
) -> [usize; Q] {
    // A number of groups known here unrolls the loop over them.
    let groups = if GROUPS > 0 { GROUPS } else { groups };
    let codes = codes.map(|codes| codes.as_ptr());
    let mut counts = [0; Q];
    let mut four = blocks.chunks_exact(4 * groups * RUN);
    for blocks in four.by_ref() {
        // SAFETY: the chunk has four blocks, and `codes` have `groups` groups.
        let sums = unsafe { sums::<Q, 4>(blocks.as_ptr(), codes, groups) };
        for (query, sums) in sums.into_iter().enumerate() {
            let [m0, m1, m2, m3] = sums.map(|sum| _mm512_cmpge_epi32_mask(sum, thresholds[query]));
            let low = u64::from(m0) | u64::from(m1) << 16;
            let mask = low | (u64::from(m2) | u64::from(m3) << 16) << 32;
            // SAFETY: `out` has room for every track, and these are not written yet.
            counts[query] = unsafe { write_bits(mask, first, out[query], counts[query]) };
        }
        first += 4 * BLOCK as u32;
    }
    for block in four.remainder().chunks_exact(groups * RUN) {
        // SAFETY: the chunk has one block, and `codes` have `groups` groups.
        let sums = unsafe { sums::<Q, 1>(block.as_ptr(), codes, groups) };
        for (query, [sum]) in sums.into_iter().enumerate() {
            let mask = u64::from(_mm512_cmpge_epi32_mask(sum, thresholds[query]));
            // SAFETY: as above.
            counts[query] = unsafe { write_bits(mask, first, out[query], counts[query]) };
        }
        first += BLOCK as u32;
    }
    counts
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn maxima(blocks: &[u8], codes: &Codes, lanes: &mut [i32; BLOCK]) {
    match codes.values.len() / GROUP {
        4 => maxima_groups::<4>(blocks, codes, 4, lanes),
        groups => maxima_groups::<0>(blocks, codes, groups, lanes),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn maxima_groups<const GROUPS: usize>(
    blocks: &[u8],
    codes: &Codes,
    groups: usize,
    lanes: &mut [i32; BLOCK],
) {
    let groups = if GROUPS > 0 { GROUPS } else { groups };
    let mut largest = [_mm512_set1_epi32(i32::MIN); 4];
    let mut four = blocks.chunks_exact(4 * groups * RUN);
    for blocks in four.by_ref() {
        // SAFETY: the chunk has four blocks, and `codes` has `groups` groups.
        let [sums] = unsafe { sums::<1, 4>(blocks.as_ptr(), [codes.values.as_ptr()], groups) };
        for (largest, sum) in largest.iter_mut().zip(sums) {
            *largest = _mm512_max_epi32(*largest, sum);
        }
    }
    for block in four.remainder().chunks_exact(groups * RUN) {
        // SAFETY: the chunk has one block, and `codes` has `groups` groups.
        let [[sum]] = unsafe { sums::<1, 1>(block.as_ptr(), [codes.values.as_ptr()], groups) };
        largest[0] = _mm512_max_epi32(largest[0], sum);
    }
    let [a, b, c, d] = largest;
    let largest = _mm512_max_epi32(_mm512_max_epi32(a, b), _mm512_max_epi32(c, d));
    let mut found = [0i32; BLOCK];
    // SAFETY: `found` has the 64 bytes that are written.
    unsafe { _mm512_storeu_si512(found.as_mut_ptr().cast(), largest) };
    for (lane, found) in lanes.iter_mut().zip(found) {
        *lane = found.saturating_sub(codes.offset).max(*lane);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn dots(vectors: &[f32], numbers: &[u32], query: &[f64], out: &mut [f64]) {
    let four = numbers.len() & !3;
    for (at, out) in (0..four).step_by(4).zip(out.chunks_exact_mut(4)) {
        for &next in numbers.iter().skip(at + AHEAD).take(4) {
            let row = vectors.as_ptr().wrapping_add(next as usize * query.len());
            for line in (0..query.len()).step_by(16) {
                _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(line).cast());
            }
        }
        dots_of::<4>(vectors, &numbers[at..at + 4], query, out);
    }
    // Rows wait for their own sums, not for one another: the last ones go together, too.
    let (numbers, out) = (&numbers[four..], &mut out[four..]);
    match numbers.len() {
        0 => {}
        1 => dots_of::<1>(vectors, numbers, query, out),
        2 => dots_of::<2>(vectors, numbers, query, out),
        _ => dots_of::<3>(vectors, numbers, query, out),
    }
}

/// Dot products of `N` rows: each waits for its own sums only.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn dots_of<const N: usize>(vectors: &[f32], numbers: &[u32], query: &[f64], out: &mut [f64]) {
    let rows: [&[f32]; N] =
        std::array::from_fn(|row| &vectors[numbers[row] as usize * query.len()..][..query.len()]);
    let mut lanes = [_mm512_setzero_pd(); N];
    for (at, query) in query.chunks_exact(8).enumerate() {
        // SAFETY: the chunk has the eight numbers that are read.
        let query = unsafe { _mm512_loadu_pd(query.as_ptr()) };
        for (row, lanes) in rows.iter().zip(&mut lanes) {
            // SAFETY: each row is as long as the query, which has eight more from here.
            let row = unsafe { _mm256_loadu_ps(row.as_ptr().add(8 * at)) };
            *lanes = _mm512_fmadd_pd(_mm512_cvtps_pd(row), query, *lanes);
        }
    }
    for (lanes, out) in lanes.into_iter().zip(out) {
        let low = _mm512_castpd512_pd256(lanes);
        let four = _mm256_add_pd(low, _mm512_extractf64x4_pd::<1>(lanes));
        let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
        *out = _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn code_products(codes: &[u8], query: &Codes, numbers: &[u32], out: &mut [f64]) {
    let four = numbers.len() & !3;
    for (at, out) in (0..four).step_by(4).zip(out.chunks_exact_mut(4)) {
        super::prefetch_codes(codes, query.values.len(), near(numbers, at + AHEAD));
        code_products_of::<4>(codes, &numbers[at..at + 4], query, out);
    }
    for (number, out) in numbers[four..].iter().zip(&mut out[four..]) {
        code_products_of::<1>(
            codes,
            std::slice::from_ref(number),
            query,
            std::slice::from_mut(out),
        );
    }
}

/// Up to four numbers from `at`.
fn near(numbers: &[u32], at: usize) -> &[u32] {
    let start = at.min(numbers.len());
    &numbers[start..(start + 4).min(numbers.len())]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn code_products_of<const N: usize>(codes: &[u8], numbers: &[u32], query: &Codes, out: &mut [f64]) {
    let width = query.values.len();
    let rows: [&[u8]; N] =
        std::array::from_fn(|row| &codes[numbers[row] as usize * width..][..width]);
    let mut sums = [_mm512_setzero_si512(); N];
    for (at, query) in query.values.chunks_exact(RUN).enumerate() {
        // SAFETY: the chunk has the 64 codes that are read.
        let query = unsafe { _mm512_loadu_si512(query.as_ptr().cast()) };
        for (row, sum) in rows.iter().zip(&mut sums) {
            // SAFETY: each row is as long as the query, which has 64 more from here.
            let row = unsafe { _mm512_loadu_si512(row.as_ptr().add(at * RUN).cast()) };
            *sum = _mm512_dpbusd_epi32(*sum, row, query);
        }
    }
    for (sum, out) in sums.into_iter().zip(out) {
        *out = f64::from(_mm512_reduce_add_epi32(sum) - query.offset);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
pub fn rotate(columns: &[f32], x: &[f32], out: &mut [f32]) {
    super::plain::rotate(columns, x, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn add_scaled(sums: &mut [f64], factor: f64, x: &[f32]) {
    super::plain::add_scaled(sums, factor, x);
}
