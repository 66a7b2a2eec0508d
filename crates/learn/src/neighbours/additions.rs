//! What a user's plays add to tracks by way of the neighbours.

use sparkify_core::Result;

use super::Neighbours;
use crate::Signal;
use crate::interactions::zeros;

/// The played tracks with what each counts: `(1 + tracks played since)^(−½)` by the
/// last play where times are known, 1 otherwise. Tracks last played at the same
/// moment count the same.
pub fn recency(
    plays: impl Iterator<Item = crate::Play>,
    timed: bool,
) -> impl Iterator<Item = (u32, f64)> {
    let mut played: Vec<crate::Play> = plays.filter(|play| play.signal == Signal::Played).collect();
    played.sort_by_key(|play| (std::cmp::Reverse(play.last), play.track));
    let weights = fading(played.iter().map(|play| i64::from(play.last)), timed);
    played.into_iter().map(|play| play.track).zip(weights)
}

/// What moments count that fall from one to the next: `(1 + how many are later)^(−½)`,
/// 1 each where they are not known.
pub(crate) fn fading(moments: impl Iterator<Item = i64>, timed: bool) -> Vec<f64> {
    let (mut since, mut before) = (0, None);
    let weight = |(at, moment)| {
        if before.is_some_and(|before| before != moment) {
            since = at;
        }
        before = Some(moment);
        if timed { (1.0 + since as f64).powf(-0.5) } else { 1.0 }
    };
    moments.enumerate().map(weight).collect()
}

/// What a user's plays add to each track by way of the neighbours.
pub struct Additions {
    sums: Vec<f64>,
    tracks: Vec<u32>,
}

impl Additions {
    /// Nothing yet, over `tracks` tracks.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn new(tracks: usize) -> Result<Self> {
        Ok(Self { sums: zeros(tracks, "additions")?, tracks: Vec::new() })
    }

    /// Back to nothing.
    pub fn clear(&mut self) {
        for track in self.tracks.drain(..) {
            self.sums[track as usize] = 0.0;
        }
    }

    /// Adds what a play of `source` gives, times `recency`, which is above 0.
    pub fn add(&mut self, neighbours: &Neighbours, source: u32, recency: f64) {
        for (target, weight) in neighbours.of(source) {
            let sum = &mut self.sums[target as usize];
            if *sum == 0.0 {
                self.tracks.push(target);
            }
            *sum += recency * f64::from(weight);
        }
    }

    /// The tracks that something was added to, each once.
    pub fn tracks(&self) -> &[u32] {
        &self.tracks
    }

    /// What was added to a track.
    pub fn of(&self, track: u32) -> f64 {
        self.sums[track as usize]
    }

    /// One by the root mean square over all tracks; 0 where nothing was added.
    pub fn per_rms(&self) -> f64 {
        let squares: f64 = self.tracks.iter().map(|&track| self.of(track).powi(2)).sum();
        if squares > 0.0 { (self.sums.len() as f64 / squares).sqrt() } else { 0.0 }
    }
}
