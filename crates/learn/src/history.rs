//! Events and ratings, gathered into one entry for a user and a track.
//!
//! A play weighs `2^(−age / half_life)` times the share of the track that was
//! heard, its age counted from the user's newest play. A track that was skipped
//! every time speaks against itself, and so does one that the user dislikes; one
//! that is liked counts the user's mean weight more.

use sparkify_core::{Interrupt, Result, sorting};

use crate::interactions::reserve;
use crate::{Interactions, Play, Signal};

/// Microseconds in a day, and in a second.
const DAY: f64 = 86_400e6;
const SECOND: i64 = 1_000_000;

/// One event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Who, as numbered by the caller.
    pub user: u32,
    /// What, in `0..tracks`.
    pub track: u32,
    /// When, in microseconds since any fixed moment.
    pub played_at: i64,
    /// Share of the track that was heard, 0 to 1.
    pub completion: f32,
    /// Whether it was broken off.
    pub skipped: bool,
}

impl Event {
    /// Share of a track that was heard; where a time is unknown, all of it, or
    /// nothing of a skipped one.
    pub fn completion(ms_played: Option<i32>, duration_ms: Option<i32>, skipped: bool) -> f32 {
        match (ms_played, duration_ms) {
            (Some(played), Some(duration)) if duration > 0 => {
                (played as f32 / duration as f32).clamp(0.0, 1.0)
            }
            _ => f32::from(u8::from(!skipped)),
        }
    }
}

/// Events and ratings of all users, in any order.
#[derive(Default)]
pub struct Histories {
    events: Vec<Event>,
    ratings: Vec<(u32, u32, bool)>,
}

impl Histories {
    /// Takes an event.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn add(&mut self, event: Event) -> Result<()> {
        if self.events.len() == self.events.capacity() {
            let more = self.events.len().max(1024);
            reserve(&mut self.events, more, "plays")?;
        }
        self.events.push(event);
        Ok(())
    }

    /// Takes what a user said of a track: likes it, or not.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn rate(&mut self, user: u32, track: u32, liked: bool) -> Result<()> {
        reserve(&mut self.ratings, 1, "ratings")?;
        self.ratings.push((user, track, liked));
        Ok(())
    }

    /// The matrix of all of them. `ranks[user]` is the row of a user, each of
    /// `0..ranks.len()` once. `half_life` is in days and above 0.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`], [`sparkify_core::Error::OutOfRange`].
    pub fn gather(
        mut self,
        tracks: usize,
        ranks: &[u32],
        half_life: f64,
        interrupt: Interrupt,
    ) -> Result<Interactions> {
        let oldest = self.events.iter().map(|event| event.played_at).min().unwrap_or(0);
        for events in self.events.chunks_mut(CHECK_EVERY) {
            interrupt();
            for event in events {
                event.user = ranks[event.user as usize];
            }
        }
        for rating in &mut self.ratings {
            rating.0 = ranks[rating.0 as usize];
        }
        interrupt();
        // All that tells two events apart: the order they came in does not matter.
        sorting::sort_by_key(&mut self.events, interrupt, |e| {
            (e.user, e.track, e.played_at, e.completion.to_bits(), e.skipped)
        });
        sorting::sort(&mut self.ratings, interrupt);
        let mut data = Interactions::new(tracks, true)?;
        let (mut events, mut ratings) = (&self.events[..], &self.ratings[..]);
        for user in 0..ranks.len() as u32 {
            if user % 1024 == 0 {
                interrupt();
            }
            let count = events.iter().take_while(|event| event.user == user).count();
            let (own, rest) = events.split_at(count);
            events = rest;
            let count = ratings.iter().take_while(|rating| rating.0 == user).count();
            let (rated, rest) = ratings.split_at(count);
            ratings = rest;
            data.push(&mut of_user(own, rated, half_life, oldest))?;
        }
        Ok(data)
    }
}

/// The entries of one user, events in the order of their tracks.
fn of_user(events: &[Event], rated: &[(u32, u32, bool)], half_life: f64, oldest: i64) -> Vec<Play> {
    let newest = events.iter().map(|event| event.played_at).max().unwrap_or(oldest);
    let seconds = |at: i64| u32::try_from((at - oldest) / SECOND).unwrap_or(u32::MAX);
    let mut plays: Vec<Play> = Vec::new();
    for of_track in events.chunk_by(|a, b| a.track == b.track) {
        let weight: f64 = of_track
            .iter()
            .map(|event| {
                let age = (newest - event.played_at) as f64 / DAY;
                (-age / half_life).exp2() * f64::from(event.completion)
            })
            .sum();
        let skipped = of_track.iter().all(|event| event.skipped);
        plays.push(Play {
            track: of_track[0].track,
            weight: weight as f32,
            signal: if skipped { Signal::Skipped } else { Signal::Played },
            first: seconds(of_track[0].played_at),
            last: seconds(of_track[of_track.len() - 1].played_at),
        });
    }
    let played = plays.iter().filter(|play| play.signal == Signal::Played);
    let (count, sum) = played.fold((0u32, 0.0), |(n, sum), play| (n + 1, sum + play.weight));
    let mean = if sum > 0.0 { sum / count as f32 } else { 1.0 };
    for &(_, track, liked) in rated {
        let at = plays.binary_search_by_key(&track, |play| play.track);
        let at = at.unwrap_or_else(|at| {
            // Said without a play: as new as the newest one.
            let (signal, now) = (Signal::Skipped, seconds(newest));
            plays.insert(at, Play { track, weight: 0.0, signal, first: now, last: now });
            at
        });
        let play = &mut plays[at];
        if liked {
            play.signal = Signal::Played;
            play.weight += mean;
        } else {
            play.signal = Signal::Disliked;
        }
    }
    plays
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(user: u32, track: u32, days: f64) -> Event {
        let played_at = (days * DAY) as i64;
        Event { user, track, played_at, completion: 1.0, skipped: false }
    }

    fn gathered(events: &[Event], ratings: &[(u32, u32, bool)], ranks: &[u32]) -> Interactions {
        let mut histories = Histories::default();
        events.iter().for_each(|&event| histories.add(event).unwrap());
        ratings
            .iter()
            .for_each(|&(user, track, liked)| histories.rate(user, track, liked).unwrap());
        histories.gather(10, ranks, 10.0, &|| ()).unwrap()
    }

    #[test]
    fn a_half_life_halves_and_plays_of_a_track_add_up() {
        let mut half = event(0, 3, 20.0);
        half.completion = 0.5;
        let events = [event(0, 3, 10.0), half, event(0, 1, 0.0)];
        let data = gathered(&events, &[], &[0]);
        let plays: Vec<Play> = data.plays_of(0).collect();
        assert_eq!(plays.iter().map(|play| play.track).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(plays[0].weight, 0.25);
        assert_eq!(plays[1].weight, 1.0);
        assert_eq!((plays[1].first, plays[1].last), (864_000, 1_728_000));
    }

    #[test]
    fn users_come_in_the_order_of_their_ranks_whatever_the_order_of_events() {
        let mut events = [event(0, 3, 1.0), event(1, 2, 1.0), event(1, 2, 2.0), event(2, 4, 0.0)];
        let first = gathered(&events, &[(2, 9, true)], &[2, 0, 1]);
        let tracks = |user| first.plays_of(user).map(|play| play.track).collect::<Vec<_>>();
        assert_eq!([tracks(0), tracks(1), tracks(2)], [vec![2], vec![4, 9], vec![3]]);
        events.reverse();
        let again = gathered(&events, &[(2, 9, true)], &[2, 0, 1]);
        for user in 0..3 {
            assert!(first.plays_of(user).eq(again.plays_of(user)));
        }
    }

    #[test]
    fn what_was_only_skipped_or_disliked_speaks_against_itself() {
        let skip = Event { skipped: true, ..event(0, 1, 0.0) };
        let once = Event { skipped: true, ..event(0, 2, 0.0) };
        let events = [skip, once, event(0, 2, 0.0), event(0, 3, 0.0)];
        let data = gathered(&events, &[(0, 3, false), (0, 4, false)], &[0]);
        let signals: Vec<(u32, Signal)> = data.plays_of(0).map(|p| (p.track, p.signal)).collect();
        let (skipped, disliked) = (Signal::Skipped, Signal::Disliked);
        assert_eq!(signals, [(1, skipped), (2, Signal::Played), (3, disliked), (4, disliked)]);
    }

    #[test]
    fn a_liked_track_counts_the_mean_more() {
        let events = [event(0, 1, 0.0), event(0, 1, 0.0), event(0, 1, 0.0), event(0, 2, 0.0)];
        let data = gathered(&events, &[(0, 2, true), (0, 5, true), (1, 7, true)], &[0, 1]);
        let weights: Vec<(u32, f32)> = data.plays_of(0).map(|p| (p.track, p.weight)).collect();
        assert_eq!(weights, [(1, 3.0), (2, 3.0), (5, 2.0)]);
        let alone: Vec<(u32, f32)> = data.plays_of(1).map(|p| (p.track, p.weight)).collect();
        assert_eq!(alone, [(7, 1.0)]);
    }

    #[test]
    fn the_share_heard_lies_between_nothing_and_all() {
        assert_eq!(Event::completion(Some(50), Some(200), true), 0.25);
        assert_eq!(Event::completion(Some(500), Some(200), false), 1.0);
        assert_eq!(Event::completion(None, Some(200), false), 1.0);
        assert_eq!(Event::completion(None, Some(200), true), 0.0);
        assert_eq!(Event::completion(Some(5), None, false), 1.0);
    }
}
