//! Randomness that can be asked for by name: every draw is a pure function of
//! a key, so that nothing about the past has to be remembered.
//!
//! [`mix`] is the finaliser of SplitMix64 (Steele, Lea, Flood 2014), a bijection
//! of 64 bits that passes BigCrush when fed a counter; [`Draws`] is that
//! generator. Logarithms and exponentials come from the `libm` crate, which is
//! plain arithmetic: the same bits on every machine.

use crate::{Result, memory};

/// Step of the counter: 2^64 divided by the golden ratio, odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Scrambles 64 bits; a bijection.
#[inline]
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A key made of a key and a number.
#[inline]
pub fn key(of: u64, with: u64) -> u64 {
    mix(of ^ mix(with.wrapping_add(STEP)))
}

/// The key of a text under a seed.
pub fn text_key(text: &str, seed: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), seed)
}

/// Uniform in [0, 1) from 64 random bits.
#[inline]
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Smooth noise in [0, 1): uniform values at whole `x`, joined by smoothstep.
#[inline]
pub fn noise(of: u64, x: f64) -> f64 {
    let whole = x.floor();
    let part = x - whole;
    let epoch = whole as i64 as u64;
    let (a, b) = (unit(key(of, epoch)), unit(key(of, epoch.wrapping_add(1))));
    a + (b - a) * part * part * (3.0 - 2.0 * part)
}

/// A stream of draws from a key.
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// The stream of `key`.
    #[inline]
    pub fn new(key: u64) -> Self {
        Draws(mix(key ^ STEP))
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Uniform in [0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        unit(self.bits())
    }

    /// Uniform in [low, high).
    #[inline]
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`.
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A whole number in [0, n); 0 for n = 0.
    #[inline]
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Exponential with mean 1.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }

    /// Standard normal (Box and Muller, one of the pair).
    pub fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Poisson with the given mean (inversion; meant for means below 100).
    pub fn poisson(&mut self, mean: f64) -> usize {
        let mut at = self.unit();
        let mut p = libm::exp(-mean);
        let mut n = 0;
        while at >= p && n < 1000 {
            at -= p;
            n += 1;
            p *= mean / n as f64;
        }
        n
    }

    /// An index drawn by weight; the last one where the weights are all zero.
    #[inline]
    pub fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let total: f64 = weights.clone().sum();
        let mut at = self.unit() * total;
        let mut last = 0;
        for (i, w) in weights.enumerate() {
            last = i;
            if at < w {
                break;
            }
            at -= w;
        }
        last
    }
}

/// Walker's alias method: a draw by weight in constant time.
#[derive(Debug, Clone)]
pub struct AliasTable {
    /// Threshold in 1/2^32 to keep the column, and where to go otherwise.
    columns: Vec<(u32, u32)>,
}

impl AliasTable {
    /// Builds the table in O(n) (Vose 1991). Weights are finite, not negative and not all zero.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] for too many.
    pub fn new(weights: &[f64]) -> Result<Self> {
        const WHAT: &str = "a table of weights";
        let n = weights.len();
        let total: f64 = weights.iter().sum();
        let mut scaled = memory::collected(weights.iter().map(|w| w / total * n as f64), WHAT)?;
        let mut columns = memory::filled((u32::MAX, 0u32), n, WHAT)?;
        for (i, column) in columns.iter_mut().enumerate() {
            column.1 = i as u32;
        }
        // Each may come to hold all but one of them.
        let (mut small, mut large) = (Vec::new(), Vec::new());
        memory::reserve(&mut small, n, WHAT)?;
        memory::reserve(&mut large, n, WHAT)?;
        for (i, share) in scaled.iter().enumerate() {
            if *share < 1.0 { &mut small } else { &mut large }.push(i);
        }
        while let (Some(&s), Some(&l)) = (small.last(), large.last()) {
            small.pop();
            columns[s] = ((scaled[s] * u32::MAX as f64) as u32, l as u32);
            scaled[l] -= 1.0 - scaled[s];
            if scaled[l] < 1.0 {
                large.pop();
                small.push(l);
            }
        }
        Ok(AliasTable { columns })
    }

    /// Draws an index.
    #[inline]
    pub fn draw(&self, draws: &mut Draws) -> usize {
        let bits = draws.bits();
        let column = (((bits >> 32) * self.columns.len() as u64) >> 32) as usize;
        let (keep, other) = self.columns[column];
        if (bits as u32) <= keep { column } else { other as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alias_table_draws_by_weight_and_never_a_zero() {
        let weights = [0.0, 1.0, 2.0, 0.0, 5.0];
        let table = AliasTable::new(&weights).unwrap();
        let mut draws = Draws::new(7);
        let mut counts = [0usize; 5];
        for _ in 0..80_000 {
            counts[table.draw(&mut draws)] += 1;
        }
        assert!(counts[0] < 5 && counts[3] < 5, "{counts:?}");
        for (count, weight) in counts.iter().zip(weights) {
            assert!((*count as f64 - weight * 10_000.0).abs() < 400.0, "{counts:?}");
        }
    }

    #[test]
    fn noise_is_continuous_and_fills_the_unit_interval() {
        let mut seen = (1.0f64, 0.0f64);
        for i in -1000..1000 {
            let x = f64::from(i) * 0.05;
            let value = noise(3, x);
            assert!((value - noise(3, x + 1e-9)).abs() < 1e-6);
            seen = (seen.0.min(value), seen.1.max(value));
        }
        assert!(seen.0 < 0.1 && seen.1 > 0.9, "{seen:?}");
    }

    #[test]
    fn poisson_and_exponential_have_their_means() {
        let mut draws = Draws::new(1);
        let n = 50_000;
        for mean in [0.1, 1.0, 12.0] {
            let sum: usize = (0..n).map(|_| draws.poisson(mean)).sum();
            let error = 5.0 * (mean / f64::from(n)).sqrt();
            assert!((sum as f64 / f64::from(n) - mean).abs() < error);
        }
        let sum: f64 = (0..n).map(|_| draws.exponential()).sum();
        assert!((sum / f64::from(n) - 1.0).abs() < 0.03);
    }
}
