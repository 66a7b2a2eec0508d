//! Memory of an index image: 64-byte aligned, and read as numbers in place.
//!
//! An image is written by one process and mapped by others on the same
//! machine, so numbers are in the machine's own byte order.
#![expect(unsafe_code, reason = "views of aligned bytes as numbers and back")]

use std::ops::{Deref, DerefMut};

use crate::{Error, Result};

/// Alignment of an image and of each of its sections, in bytes.
pub const ALIGNMENT: usize = 64;

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; ALIGNMENT]);

/// Owned bytes whose first one lies on a 64-byte boundary.
pub struct AlignedBytes {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedBytes {
    /// `len` zero bytes for `what`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when they cannot be had.
    pub fn zeroed(len: usize, what: &'static str) -> Result<Self> {
        let count = len.div_ceil(ALIGNMENT);
        let mut lines = Vec::new();
        lines.try_reserve_exact(count).map_err(|_| Error::OutOfMemory { what, bytes: len })?;
        lines.resize(count, Line([0; ALIGNMENT]));
        Ok(Self { lines, len })
    }

    /// A copy of `bytes` on a 64-byte boundary.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the memory cannot be had.
    pub fn copy_of(bytes: &[u8]) -> Result<Self> {
        let mut copy = Self::zeroed(bytes.len(), "index image")?;
        copy.copy_from_slice(bytes);
        Ok(copy)
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the lines are initialised, contiguous and hold at least `len` bytes.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl std::fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBytes({} bytes)", self.len)
    }
}

/// Numbers of which every bit pattern is a value, without padding.
///
/// # Safety
/// Implemented only for primitive integers and floats.
pub(super) unsafe trait Number: Copy + 'static {}
// SAFETY: primitives without padding, every bit pattern valid.
unsafe impl Number for u8 {}
// SAFETY: as above.
unsafe impl Number for i8 {}
// SAFETY: as above.
unsafe impl Number for u32 {}
// SAFETY: as above.
unsafe impl Number for i32 {}
// SAFETY: as above.
unsafe impl Number for u64 {}
// SAFETY: as above.
unsafe impl Number for f32 {}
// SAFETY: as above.
unsafe impl Number for f64 {}

/// `bytes` read as numbers; `None` where they are misaligned or not a whole
/// number of numbers.
pub(super) fn view<T: Number>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: every bit pattern is a `T` (see `Number`).
    let (before, numbers, after) = unsafe { bytes.align_to::<T>() };
    (before.is_empty() && after.is_empty()).then_some(numbers)
}

/// Numbers as the bytes they consist of.
pub(super) fn bytes_of<T: Number>(numbers: &[T]) -> &[u8] {
    // SAFETY: a `Number` has no padding, and bytes need no alignment.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}
