//! Many texts in little memory.

use crate::memory;

/// Texts one after the other: two pieces of memory however many they are, which are given
/// back at once where a call is cancelled.
#[derive(Default)]
pub struct Texts {
    bytes: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Adds one, or raises 53200.
    pub fn push(&mut self, text: &str) {
        memory::append(&mut self.bytes, text, "the elements of an array");
        memory::push(&mut self.ends, self.bytes.len(), "the elements of an array");
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Each in its order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        (0..self.ends.len()).map(|at| {
            let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.bytes[start..self.ends[at]]
        })
    }
}
