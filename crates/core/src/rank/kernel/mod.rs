//! The inner loops, once per kind of processor, chosen at run time.
//!
//! All paths answer the same: the bounds are sums of integers, and the dot
//! products are summed in the canonical order (see [`super::score`]).
//!
//! Tracks are bounded in blocks of [`BLOCK`]. A block holds `groups` runs of
//! 64 bytes: run `g` has bytes `4 g` to `4 g + 3` of each of the 16 tracks,
//! track after track. A byte is a code in -127 to 127, plus 128.
#![expect(unsafe_code, reason = "SIMD intrinsics")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;

/// Tracks per block.
pub const BLOCK: usize = 16;

/// Codes that are multiplied at once; a group of a block has 64 bytes.
pub const GROUP: usize = 4;

/// Floats of a row of a vector are padded with zeros to a multiple of this.
pub const ROW_FLOATS: usize = 16;

/// Floats of a padded row of `dims` components.
pub fn padded(dims: usize) -> usize {
    dims.next_multiple_of(ROW_FLOATS)
}

/// A query's codes, each in -127 to 127, by groups.
pub struct Codes {
    values: Vec<i8>,
    /// What the 128 in the tracks' bytes adds to a sum of products.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "of use to AVX-512 only"))]
    offset: i32,
}

impl Codes {
    /// # Panics
    /// When there are not one or more whole groups.
    pub fn new(values: Vec<i8>) -> Self {
        assert!(values.len().is_multiple_of(GROUP) && !values.is_empty());
        let offset = 128 * values.iter().map(|&code| i32::from(code)).sum::<i32>();
        Self { values, offset }
    }

    /// Bytes of a block of as many codes a track.
    fn block(&self) -> usize {
        self.values.len() * BLOCK
    }
}

/// A kind of processor that there are inner loops for. All give the same rows
/// and scores; to force one is of use in tests and benches only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// x86-64 with AVX-512 F, BW, VL and VNNI.
    Avx512,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// AArch64 with NEON.
    Neon,
    /// Any processor.
    Plain,
}

impl Path {
    /// The paths this processor can take, the fastest first.
    pub fn available() -> impl Iterator<Item = Path> {
        [Path::Avx512, Path::Avx2, Path::Neon, Path::Plain].into_iter().filter(|path| path.runs())
    }

    /// The fastest path of this processor.
    pub fn best() -> Path {
        Self::available().next().unwrap_or(Path::Plain)
    }

    fn runs(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Path::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Path::Plain => true,
            #[allow(unreachable_patterns, reason = "paths of other architectures")]
            _ => false,
        }
    }
}

/// The inner loops of one path that this processor can take.
#[derive(Debug, Clone, Copy)]
pub struct Kernel(Path);

impl Kernel {
    /// The loops of `path`, or of the plain path where the processor lacks it.
    pub fn new(path: Path) -> Self {
        Self(if path.runs() { path } else { Path::Plain })
    }

    /// Writes `first` plus the number of each track of `blocks` whose sum of
    /// products with `codes` reaches `threshold` to `out`, ascending; returns
    /// how many. `out` has room for all tracks.
    #[inline]
    pub fn reaching(
        self,
        blocks: &[u8],
        codes: &Codes,
        threshold: i32,
        first: u32,
        out: &mut [u32],
    ) -> usize {
        assert!(blocks.len().is_multiple_of(codes.block()));
        assert!(out.len() >= blocks.len() / codes.values.len());
        match self.0 {
            // SAFETY: `Kernel::new` made sure that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => unsafe {
                let [count] = avx512::reaching(blocks, [codes], [threshold], first, [out]);
                count
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => unsafe { avx2::reaching(blocks, &codes.values, threshold, first, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Path::Neon => unsafe { neon::reaching(blocks, &codes.values, threshold, first, out) },
            _ => plain::reaching(blocks, &codes.values, threshold, first, out),
        }
    }

    /// [`reaching`](Self::reaching) for several queries, whose codes are as many:
    /// the bytes are read once where the processor has registers for all.
    #[inline]
    pub fn reaching_together<const Q: usize>(
        self,
        blocks: &[u8],
        codes: [&Codes; Q],
        thresholds: [i32; Q],
        first: u32,
        out: [&mut [u32]; Q],
    ) -> [usize; Q] {
        #[cfg(target_arch = "x86_64")]
        if self.0 == Path::Avx512 {
            let width = codes[0].values.len();
            for (codes, out) in codes.iter().zip(&out) {
                assert!(codes.values.len() == width);
                assert!(blocks.len().is_multiple_of(codes.block()));
                assert!(out.len() >= blocks.len() / width);
            }
            // SAFETY: `Kernel::new` made sure that the processor has the features.
            return unsafe { avx512::reaching(blocks, codes, thresholds, first, out) };
        }
        let mut counts = [0; Q];
        for (query, out) in out.into_iter().enumerate() {
            counts[query] = self.reaching(blocks, codes[query], thresholds[query], first, out);
        }
        counts
    }

    /// Raises each lane to the largest sum of products with `codes` among the
    /// tracks that have this place in a block.
    #[inline]
    pub fn maxima(self, blocks: &[u8], codes: &Codes, lanes: &mut [i32; BLOCK]) {
        assert!(blocks.len().is_multiple_of(codes.block()));
        match self.0 {
            // SAFETY: `Kernel::new` made sure that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => unsafe { avx512::maxima(blocks, codes, lanes) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => unsafe { avx2::maxima(blocks, &codes.values, lanes) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Path::Neon => unsafe { neon::maxima(blocks, &codes.values, lanes) },
            _ => plain::maxima(blocks, &codes.values, lanes),
        }
    }

    /// Canonical dot products of `query`, (row floats), with the rows of
    /// `vectors`, (n, row floats), of these numbers, written to `out`.
    ///
    /// # Panics
    /// When a row lies outside of `vectors`.
    #[inline]
    pub fn dots(self, vectors: &[f32], numbers: &[u32], query: &[f64], out: &mut [f64]) {
        assert!(query.len().is_multiple_of(ROW_FLOATS) && !query.is_empty());
        assert!(out.len() >= numbers.len());
        let rows = vectors.len() / query.len();
        assert!(numbers.iter().all(|&number| (number as usize) < rows));
        match self.0 {
            // SAFETY: `Kernel::new` made sure that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => unsafe { avx512::dots(vectors, numbers, query, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => unsafe { avx2::dots(vectors, numbers, query, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Path::Neon => unsafe { neon::dots(vectors, numbers, query, out) },
            _ => plain::dots(vectors, numbers, query, out),
        }
    }

    /// Sums of products of `query` with the rows of `codes`, (n, codes of the query)
    /// bytes, of these numbers, written to `out`.
    ///
    /// # Panics
    /// When a row lies outside of `codes`, or has no multiple of 64 bytes.
    #[inline]
    pub fn code_products(self, codes: &[u8], query: &Codes, numbers: &[u32], out: &mut [f64]) {
        let width = query.values.len();
        assert!(width.is_multiple_of(BLOCK * GROUP));
        assert!(out.len() >= numbers.len());
        let rows = codes.len() / width;
        assert!(numbers.iter().all(|&number| (number as usize) < rows));
        match self.0 {
            // SAFETY: `Kernel::new` made sure that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => unsafe { avx512::code_products(codes, query, numbers, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => unsafe { avx2::code_products(codes, &query.values, numbers, out) },
            _ => plain::code_products(codes, &query.values, numbers, out),
        }
    }

    /// `out[j] = sum over i of x[i] columns[i][j]`, columns of the length of
    /// `out`. Rounding differs between paths: for bounds only.
    #[inline]
    pub fn rotate(self, columns: &[f32], x: &[f32], out: &mut [f32]) {
        assert_eq!(columns.len(), x.len() * out.len());
        match self.0 {
            // SAFETY: `Kernel::new` made sure that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => unsafe { avx512::rotate(columns, x, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => unsafe { avx2::rotate(columns, x, out) },
            _ => plain::rotate(columns, x, out),
        }
    }

    /// `sums[i] += factor x[i]`, a product and a sum each, the same bits on every path.
    #[inline]
    pub fn add_scaled(self, sums: &mut [f64], factor: f64, x: &[f32]) {
        match self.0 {
            // SAFETY: `Kernel::new` made sure that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => unsafe { avx512::add_scaled(sums, factor, x) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => unsafe { avx2::add_scaled(sums, factor, x) },
            _ => plain::add_scaled(sums, factor, x),
        }
    }
}

/// Asks the processor to bring the rows of `vectors`, (n, `row` floats),
/// and the norms of these numbers near.
#[inline]
pub fn prefetch(vectors: &[f32], row: usize, norms: &[f64], numbers: &[u32]) {
    #[cfg(target_arch = "x86_64")]
    for &number in numbers {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = vectors.as_ptr().wrapping_add(number as usize * row);
        for line in (0..row).step_by(ROW_FLOATS) {
            // SAFETY: x86-64 has SSE; a prefetch reads nothing, from any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line).cast()) };
        }
        let norm = norms.as_ptr().wrapping_add(number as usize);
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(norm.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (vectors, row, norms, numbers);
}

/// As [`prefetch`], for rows of `width` code bytes.
#[inline]
pub fn prefetch_codes(codes: &[u8], width: usize, numbers: &[u32]) {
    #[cfg(target_arch = "x86_64")]
    for &number in numbers {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = codes.as_ptr().wrapping_add(number as usize * width);
        for line in (0..width).step_by(BLOCK * GROUP) {
            // SAFETY: x86-64 has SSE; a prefetch reads nothing, from any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (codes, width, numbers);
}

/// Asks the processor to bring all of `numbers` near.
#[inline]
pub fn prefetch_all<T>(numbers: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in numbers.chunks(64 / size_of::<T>().max(1)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: x86-64 has SSE; a prefetch reads nothing, from any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}

/// Writes the numbers of the set bits of `mask`. Most masks have one bit or
/// none: the first is written whether it is there or not, which spares a branch
/// that cannot be predicted.
///
/// # Safety
/// `out` has room for a number after the first `count`, and for all of `mask`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn write_bits(mut mask: u64, first: u32, out: &mut [u32], mut count: usize) -> usize {
    // SAFETY: the caller gives room.
    unsafe {
        *out.get_unchecked_mut(count) = first.wrapping_add(mask.trailing_zeros());
        count += usize::from(mask != 0);
        mask &= mask.wrapping_sub(1);
        while mask != 0 {
            *out.get_unchecked_mut(count) = first + mask.trailing_zeros();
            count += 1;
            mask &= mask - 1;
        }
    }
    count
}
