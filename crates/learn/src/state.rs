//! All that serving needs of a model beside the vectors and the neighbours.

use sparkify_core::{Error, Result};

use crate::FoldIn;

/// Dot product, in eight sums side by side: one alone waits for each addition.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum()
}

/// What is stored once for a model.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// What a user is folded in with.
    pub fold_in: FoldIn,
    /// `OᵀO / tracks: (dims, dims)` of the stored vectors.
    pub output_gram: Vec<f64>,
    /// Weight of the neighbours; 0 where there are none.
    pub neighbour_weight: f64,
}

impl State {
    /// Root mean square over all tracks of the scores of the user with vector
    /// `x`, of `dims` entries; 0 for a vector without length.
    pub fn root_mean_square(&self, x: &[f64]) -> f64 {
        let dims = self.fold_in.dims();
        let rows = self.output_gram.chunks_exact(dims.max(1));
        let square: f64 = rows.zip(x).map(|(row, x_of_row)| x_of_row * dot(row, x)).sum();
        square.max(0.0).sqrt()
    }

    /// All of it as numbers, to be kept where only numbers can be.
    pub fn to_words(&self) -> Vec<f64> {
        let mut words = vec![self.fold_in.dims() as f64, self.neighbour_weight];
        words.extend(self.fold_in.to_words());
        words.extend_from_slice(&self.output_gram);
        words
    }

    /// What [`Self::to_words`] gave.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for numbers that no training gives.
    pub fn from_words(words: &[f64]) -> Result<Self> {
        let refuse = |value: String| Error::OutOfRange {
            name: "model state",
            value,
            expected: "what a training wrote".into(),
        };
        let [dims, neighbour_weight, rest @ ..] = words else {
            return Err(refuse(format!("{} numbers", words.len())));
        };
        // A float beyond the range becomes the nearest end of it.
        let size = *dims as usize;
        let scalars = FoldIn::scalars();
        let Some((fold_in, gram)) =
            size.checked_add(scalars).and_then(|length| rest.split_at_checked(length))
        else {
            return Err(refuse(format!("{} numbers", words.len())));
        };
        if size as f64 != *dims || gram.len() != size * size {
            return Err(refuse(format!("{} numbers for {dims} dims", words.len())));
        }
        if let Some(wrong) = words.iter().find(|word| !word.is_finite()) {
            return Err(refuse(wrong.to_string()));
        }
        if *neighbour_weight < 0.0 {
            return Err(refuse(neighbour_weight.to_string()));
        }
        Ok(Self {
            fold_in: FoldIn::from_words(fold_in)?,
            output_gram: gram.to_vec(),
            neighbour_weight: *neighbour_weight,
        })
    }
}
