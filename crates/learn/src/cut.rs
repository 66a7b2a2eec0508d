//! A cut of the plays in two: what is known, and what is to be foreseen.

use sparkify_core::{Interrupt, Result};

use crate::interactions::reserve;
use crate::{Interactions, Play, Signal};

/// Users with fewer plays than this keep them all.
const FEWEST_PLAYS: usize = 5;

/// Plays before the cut, and the tracks first played after it.
pub struct Cut {
    /// The same users and tracks, without what is held out.
    pub known: Interactions,
    /// Where each user's held out tracks begin; `users + 1` entries.
    offsets: Vec<usize>,
    held_out: Vec<u32>,
}

impl Cut {
    /// Holds out a fifth of each user's tracks, rounded to the nearest: those that
    /// the user began to play last, or, where no times are known, any.
    ///
    /// Users of fewer than five tracks, skips and dislikes stay whole. The same
    /// seed cuts the same way.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn last_fifth(data: &Interactions, seed: u64, interrupt: Interrupt) -> Result<Self> {
        let mut known = Interactions::new(data.tracks(), data.timed())?;
        let (mut offsets, mut held_out) = (Vec::new(), Vec::new());
        reserve(&mut offsets, data.users() + 1, "cut")?;
        reserve(&mut held_out, data.len() / 4 + 1, "cut")?;
        offsets.push(0);
        let mut own: Vec<Play> = Vec::new();
        for user in 0..data.users() {
            if user % 1024 == 0 {
                interrupt();
            }
            let (mut played, rest): (Vec<Play>, Vec<Play>) =
                data.plays_of(user).partition(|play| play.signal == Signal::Played);
            let n = played.len();
            let count = if n < FEWEST_PLAYS { 0 } else { (n as f64 / 5.0).round() as usize };
            let by_chance =
                |play: &Play| mixed(seed ^ mixed((user as u64) << 32 | u64::from(play.track)));
            // Without times all are 0, and chance decides.
            played.sort_by_cached_key(|play| (play.first, by_chance(play)));
            let mut last: Vec<u32> = played.drain(n - count..).map(|play| play.track).collect();
            last.sort_unstable();
            held_out.extend(last);
            offsets.push(held_out.len());
            own.clear();
            own.extend(played.into_iter().chain(rest));
            known.push(&mut own)?;
        }
        Ok(Self { known, offsets, held_out })
    }

    /// What is held out of a user's tracks, ascending.
    pub fn held_out(&self, user: usize) -> &[u32] {
        &self.held_out[self.offsets[user]..self.offsets[user + 1]]
    }

    /// Up to `most` users of whom something is held out, evenly spread.
    pub fn users(&self, most: usize) -> Vec<usize> {
        let all: Vec<usize> =
            (0..self.known.users()).filter(|&user| !self.held_out(user).is_empty()).collect();
        if all.len() <= most {
            return all;
        }
        (0..most).map(|at| all[at * all.len() / most]).collect()
    }
}

/// A number as if drawn by chance for each argument (G. Steele et al., "Fast
/// splittable pseudorandom number generators", OOPSLA 2014).
pub(crate) fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
