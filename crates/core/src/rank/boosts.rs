//! The sum of what a user's tracks add to the scores of their neighbours.

use super::Index;
use crate::Result;

/// Additions by position, while they are summed. One is made for an index and used for
/// one user after the other.
pub struct Boosts {
    /// By position; 0 where nothing was added.
    sums: Vec<f64>,
    /// A bit for each position that something was added to.
    added: Vec<u64>,
}

impl Boosts {
    /// Room for the tracks of an index.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn new(index: &Index) -> Result<Self> {
        let (mut sums, mut added) = (Vec::new(), Vec::new());
        super::reserve(&mut sums, index.len())?;
        super::reserve(&mut added, index.len().div_ceil(64))?;
        sums.resize(index.len(), 0.0);
        added.resize(index.len().div_ceil(64), 0);
        Ok(Self { sums, added })
    }

    /// Whether these are additions to as many tracks as the index has.
    pub fn suit(&self, index: &Index) -> bool {
        self.sums.len() == index.len()
    }

    /// Adds `factor`, 0 or more, times their weights to the neighbours of the track at
    /// `position`. Sums are float64 in the order of the calls.
    pub fn add(&mut self, index: &Index, position: u32, factor: f64) {
        let (positions, weights) = index.neighbours(position);
        for (&position, &weight) in positions.iter().zip(weights) {
            let Some(sum) = self.sums.get_mut(position as usize) else { continue };
            *sum += factor * f64::from(weight);
            self.added[position as usize / 64] |= 1 << (position % 64);
        }
    }

    /// The sums above 0 by ascending position, and their root mean square over all
    /// tracks of the index; empties itself.
    pub fn take(&mut self, into: &mut Vec<(u32, f64)>) -> Result<f64> {
        into.clear();
        let count: u32 = self.added.iter().map(|word| word.count_ones()).sum();
        super::reserve(into, count as usize)?;
        let mut squares = 0.0;
        for (at, word) in self.added.iter_mut().enumerate() {
            let mut left = std::mem::take(word);
            while left != 0 {
                let position = at * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let sum = std::mem::take(&mut self.sums[position]);
                squares += sum * sum;
                if sum > 0.0 {
                    into.push((position as u32, sum));
                }
            }
        }
        Ok((squares / self.sums.len().max(1) as f64).sqrt())
    }
}
