//! Sets of positions or songs that a query lets in or keeps out.

use crate::Result;

/// Above this many numbers a bit for each is cheaper than to search.
const SEARCHED: usize = 256;

/// A set of numbers below a limit; larger numbers are not in it.
pub enum Set {
    Sorted(Vec<u32>),
    Bits(Vec<u64>),
}

impl Set {
    /// The set of `numbers`, in any order, repeated or not, below `limit`.
    pub fn new(numbers: &[u32], limit: usize) -> Result<Self> {
        if numbers.len() <= SEARCHED {
            Self::sorted(numbers, limit)
        } else {
            Self::bits(numbers, limit)
        }
    }

    /// As [`Set::new`], ascending and without repetition.
    pub fn sorted(numbers: &[u32], limit: usize) -> Result<Self> {
        let mut sorted = Vec::new();
        super::reserve(&mut sorted, numbers.len())?;
        sorted.extend(numbers.iter().filter(|&&number| (number as usize) < limit));
        sorted.sort_unstable();
        sorted.dedup();
        Ok(Self::Sorted(sorted))
    }

    /// As [`Set::new`], as one bit for each number below the limit.
    pub fn bits(numbers: &[u32], limit: usize) -> Result<Self> {
        let mut bits = Vec::new();
        super::reserve(&mut bits, limit.div_ceil(64))?;
        bits.resize(limit.div_ceil(64), 0u64);
        for &number in numbers.iter().filter(|&&number| (number as usize) < limit) {
            bits[number as usize / 64] |= 1 << (number % 64);
        }
        Ok(Self::Bits(bits))
    }

    pub fn contains(&self, number: u32) -> bool {
        match self {
            Set::Sorted(sorted) => !sorted.is_empty() && sorted.binary_search(&number).is_ok(),
            Set::Bits(bits) => {
                bits.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
            }
        }
    }
}
