//! Events and ratings of all users, gathered into one entry for a user and a track: the
//! [same](sparkify_core::listening) that serving gathers of one user.

use sparkify_core::listening::{Event, gather};
use sparkify_core::{Interrupt, Result, sorting};

use crate::interactions::{CHECK_EVERY, reserve};
use crate::{Interactions, Play};

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;

/// Events and ratings of all users, in any order.
#[derive(Default)]
pub struct Histories {
    events: Vec<(u32, Event)>,
}

impl Histories {
    /// Takes an event of a user, as numbered by the caller; tracks are in `0..tracks`.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn add(&mut self, user: u32, event: Event) -> Result<()> {
        if self.events.len() == self.events.capacity() {
            let more = self.events.len().max(1024);
            reserve(&mut self.events, more, "plays")?;
        }
        self.events.push((user, event));
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
        let oldest = self.events.iter().map(|(_, event)| event.at).min().unwrap_or(0);
        let seconds =
            |at: i64| u32::try_from(at.saturating_sub(oldest) / SECOND).unwrap_or(u32::MAX);
        for events in self.events.chunks_mut(CHECK_EVERY) {
            interrupt();
            for (user, _) in events {
                *user = ranks[*user as usize];
            }
        }
        sorting::sort_by_key(&mut self.events, interrupt, |&(user, event)| (user, event.track));
        let mut data = Interactions::new(tracks, true)?;
        let (mut events, mut own, mut plays) = (&self.events[..], Vec::new(), Vec::new());
        for user in 0..ranks.len() as u32 {
            if user % 1024 == 0 {
                interrupt();
            }
            let count = events.iter().take_while(|(of, _)| *of == user).count();
            let (of_user, rest) = events.split_at(count);
            events = rest;
            own.clear();
            reserve(&mut own, count, "plays")?;
            own.extend(of_user.iter().map(|(_, event)| event));
            plays.clear();
            reserve(&mut plays, count, "plays")?;
            gather(&mut own, half_life, |heard| {
                plays.push(Play {
                    track: heard.track,
                    weight: heard.weight as f32,
                    signal: heard.signal,
                    first: seconds(heard.first),
                    last: seconds(heard.last),
                });
            });
            data.push(&mut plays)?;
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use sparkify_core::listening::Kind;

    use super::*;
    use crate::Signal;

    const DAY: f64 = 86_400e6;
    const WHOLE: Kind = Kind::Played { completion: 1.0, skipped: false };

    fn event(user: u32, track: u32, days: f64, kind: Kind) -> (u32, Event) {
        (user, Event { track, at: (days * DAY) as i64, kind })
    }

    fn gathered(events: &[(u32, Event)], ranks: &[u32]) -> Interactions {
        let mut histories = Histories::default();
        events.iter().for_each(|&(user, event)| histories.add(user, event).unwrap());
        histories.gather(10, ranks, 10.0, &|| ()).unwrap()
    }

    #[test]
    fn an_entry_has_the_weight_and_the_times_of_its_plays() {
        let half = Kind::Played { completion: 0.5, skipped: false };
        let events = [event(0, 3, 10.0, WHOLE), event(0, 3, 20.0, half), event(0, 1, 0.0, WHOLE)];
        let plays: Vec<Play> = gathered(&events, &[0]).plays_of(0).collect();
        assert_eq!(plays.iter().map(|play| play.track).collect::<Vec<_>>(), [1, 3]);
        assert_eq!([plays[0].weight, plays[1].weight], [0.25, 1.0]);
        assert_eq!((plays[1].first, plays[1].last), (864_000, 1_728_000));
    }

    #[test]
    fn users_come_in_the_order_of_their_ranks_whatever_the_order_of_events() {
        let mut events = [
            event(0, 3, 1.0, WHOLE),
            event(1, 2, 1.0, WHOLE),
            event(1, 2, 2.0, WHOLE),
            event(2, 4, 0.0, WHOLE),
            event(2, 9, 0.0, Kind::Liked),
        ];
        let first = gathered(&events, &[2, 0, 1]);
        let tracks = |user| first.plays_of(user).map(|play| play.track).collect::<Vec<_>>();
        assert_eq!([tracks(0), tracks(1), tracks(2)], [vec![2], vec![4, 9], vec![3]]);
        events.reverse();
        let again = gathered(&events, &[2, 0, 1]);
        for user in 0..3 {
            assert!(first.plays_of(user).eq(again.plays_of(user)));
        }
    }

    #[test]
    fn what_was_said_counts_beside_what_was_played() {
        let events = [
            event(0, 1, 0.0, WHOLE),
            event(0, 3, 0.0, WHOLE),
            event(0, 3, 0.0, Kind::Disliked),
            event(0, 4, 0.0, Kind::Disliked),
            event(0, 5, 0.0, Kind::Liked),
            event(0, 1, 0.0, Kind::Liked),
        ];
        let data = gathered(&events, &[0]);
        let found: Vec<_> = data.plays_of(0).map(|p| (p.track, p.signal, p.weight)).collect();
        let (played, disliked) = (Signal::Played, Signal::Disliked);
        assert_eq!(
            found,
            [(1, played, 2.0), (3, disliked, 1.0), (4, disliked, 1.0), (5, played, 1.0)]
        );
    }
}
