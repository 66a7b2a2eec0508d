//! Random numbers: a stream of its own for every thing drawn, so that row i is
//! the same however many rows are asked for.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::normal::Normal;

/// What a stream is for.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// Id, genre, artists and all that depends on earlier rows.
    Row = 0,
    /// The normal variables of a row.
    Sound = 1,
    /// The title of a song.
    Title = 2,
    /// Name and normal variables of an artist.
    Artist = 3,
    /// The title of an album.
    Album = 4,
}

/// A stream of random numbers.
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of that purpose and number.
    pub fn new(seed: i64, purpose: Purpose, number: u64) -> Draw {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = purpose as u8;
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(number);
        Draw(rng)
    }

    /// 128 random bits.
    pub fn bits(&mut self) -> u128 {
        u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64())
    }

    /// Uniform, 0 ≤ u < 1.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform among `0..n`, for n > 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// One of a list.
    pub fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// An index by shares that sum to about one; the last takes what is left.
    pub fn by_share(&mut self, shares: &[f64]) -> usize {
        let mut u = self.unit();
        for (i, share) in shares.iter().enumerate() {
            if u < *share {
                return i;
            }
            u -= share;
        }
        shares.iter().rposition(|share| *share > 0.0).unwrap_or(0)
    }

    /// Independent standard normal variables.
    pub fn normals<const N: usize>(&mut self, normal: &Normal) -> [f64; N] {
        std::array::from_fn(|_| normal.quantile(self.unit()))
    }
}
