//! How often and by how many listeners things were played.
//!
//! Every play counts towards several names: its track, the track's artist, genre
//! and popularity, its day. A user counts once, for the day of the first play. A name's listeners are its different users. Plays
//! come in any order; they are sorted by user by counting, after which a name
//! has been seen from a user when the last user it was seen from is that one.
//!
//! Cost: one hash look-up a play and dimension of text, then O(plays); 16 bytes a play.

use std::collections::HashMap;

use crate::{Interrupt, Result, memory};

/// What memory is asked for.
const WHAT: &str = "plays and what they are counted by";

/// What plays are counted by.
pub const DIMENSIONS: [&str; 5] = ["track", "artist", "genre", "popularity", "day"];
/// Besides: users by the day of their first play, each counted once.
pub const FIRST_DAY: &str = "first_day";

/// What a track counts towards beside itself: artist, genre and popularity, where known.
pub type Names = [Option<String>; 3];

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;
/// Days from 1970-01-01 to 2000-01-01.
const EPOCH: i64 = 10_957;
const NOBODY: u32 = u32::MAX;

/// What was counted for one name of a dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// One of [`DIMENSIONS`], or [`FIRST_DAY`], where plays and listeners are both the users.
    pub dimension: &'static str,
    /// The track's id, the artist, the genre, the popularity, or the day as days since 1970-01-01.
    pub name: String,
    /// Plays.
    pub plays: u64,
    /// Different users among them.
    pub listeners: u64,
    /// Plays known to have been skipped.
    pub skipped: u64,
    /// Plays of which it is known whether they were skipped.
    pub skip_known: u64,
}

#[derive(Clone, Copy, Default)]
struct Play {
    user: u32,
    track: u32,
    day: u32,
    /// 0 not skipped, 1 skipped, 2 unknown.
    skipped: u8,
}

/// Numbers for texts, in the order in which they were first seen.
#[derive(Default)]
struct Numbers {
    of: HashMap<String, u32>,
    last: (String, u32),
}

impl Numbers {
    fn get(&mut self, text: &str) -> Result<u32> {
        // Plays often come by user: the last one again.
        if self.last.0 == text && !self.of.is_empty() {
            return Ok(self.last.1);
        }
        let next = self.of.len() as u32;
        let number = match self.of.get(text) {
            Some(&number) => number,
            None => {
                memory::reserve_in(&mut self.of, WHAT)?;
                *self.of.entry(memory::owned(text, WHAT)?).or_insert(next)
            }
        };
        self.last = (memory::owned(text, WHAT)?, number);
        Ok(number)
    }

    fn names(self) -> Result<Vec<String>> {
        let mut names = memory::filled(String::new(), self.of.len(), WHAT)?;
        for (name, number) in self.of {
            names[number as usize] = name;
        }
        Ok(names)
    }
}

/// Takes plays, then counts them.
#[derive(Default)]
pub struct PlayCounter {
    plays: Vec<Play>,
    users: Numbers,
    tracks: Numbers,
    days: HashMap<i64, u32>,
}

impl PlayCounter {
    /// Takes a play; `played_at` in microseconds since 2000-01-01 00:00 UTC.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where there is no room for another play.
    pub fn add(
        &mut self,
        user_id: &str,
        track_id: &str,
        played_at: i64,
        skipped: Option<bool>,
    ) -> Result<()> {
        let next = self.days.len() as u32;
        let day =
            *self.days.entry(played_at.div_euclid(MICROSECONDS_A_DAY) + EPOCH).or_insert(next);
        let (user, track) = (self.users.get(user_id)?, self.tracks.get(track_id)?);
        let skipped = skipped.map_or(2, u8::from);
        memory::push(&mut self.plays, Play { user, track, day, skipped }, WHAT)
    }

    /// The tallies of every name that was played, in no particular order. `names`
    /// tells what a track counts towards; nothing beside itself where it is unknown.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where there is no room to sort the plays.
    pub fn count(self, names: impl Fn(&str) -> Names, interrupt: Interrupt) -> Result<Vec<Tally>> {
        let plays = by_user(self.plays, self.users.of.len(), interrupt)?;
        let track_names = self.tracks.names()?;
        interrupt();
        let mut of_names = [Numbers::default(), Numbers::default(), Numbers::default()];
        // By track: its number in each dimension but day.
        let mut numbers: Vec<[Option<u32>; 4]> = Vec::new();
        memory::reserve(&mut numbers, track_names.len(), WHAT)?;
        for (track, number) in track_names.iter().zip(0..) {
            if number % 4096 == 0 {
                interrupt();
            }
            let mut of_track = [Some(number), None, None, None];
            for ((slot, of), name) in of_track[1..].iter_mut().zip(&mut of_names).zip(names(track))
            {
                *slot = name.map(|name| of.get(&name)).transpose()?;
            }
            numbers.push(of_track);
        }
        let mut days = memory::filled(0i64, self.days.len(), WHAT)?;
        for (day, number) in self.days {
            days[number as usize] = day;
        }
        let day_names: Vec<String> = days.iter().map(i64::to_string).collect();
        let [artists, genres, popularities] = of_names.map(Numbers::names);
        let all_names = [track_names, artists?, genres?, popularities?, day_names];
        let mut counts = Vec::with_capacity(all_names.len());
        for names in &all_names {
            counts.push(memory::filled(Count::default(), names.len(), WHAT)?);
        }
        interrupt();
        let mut first_plays = memory::filled(0u64, days.len(), WHAT)?;
        for plays in plays.chunk_by(|one, next| one.user == next.user) {
            if let Some(first) = plays.iter().min_by_key(|play| days[play.day as usize]) {
                first_plays[first.day as usize] += 1;
            }
        }
        for chunk in plays.chunks(1 << 16) {
            interrupt();
            for play in chunk {
                let [track, artist, genre, popularity] = numbers[play.track as usize];
                for (counts, number) in
                    counts.iter_mut().zip([track, artist, genre, popularity, Some(play.day)])
                {
                    if let Some(number) = number {
                        counts[number as usize].add(play);
                    }
                }
            }
        }
        let tallies = |((dimension, names), counts): ((&'static str, Vec<String>), Vec<Count>)| {
            names.into_iter().zip(counts).map(move |(name, count)| Tally {
                dimension,
                name,
                plays: count.plays,
                listeners: count.listeners,
                skipped: count.skipped,
                skip_known: count.skip_known,
            })
        };
        let first_days =
            days.iter().zip(first_plays).filter(|&(_, users)| users > 0).map(|(day, users)| {
                Tally {
                    dimension: FIRST_DAY,
                    name: day.to_string(),
                    plays: users,
                    listeners: users,
                    skipped: 0,
                    skip_known: 0,
                }
            });
        let tallies = DIMENSIONS.into_iter().zip(all_names).zip(counts).flat_map(tallies);
        memory::collected(tallies.chain(first_days), WHAT)
    }
}

#[derive(Clone)]
struct Count {
    plays: u64,
    listeners: u64,
    skipped: u64,
    skip_known: u64,
    last_user: u32,
}

impl Default for Count {
    fn default() -> Count {
        Count { plays: 0, listeners: 0, skipped: 0, skip_known: 0, last_user: NOBODY }
    }
}

impl Count {
    fn add(&mut self, play: &Play) {
        self.plays += 1;
        self.listeners += u64::from(self.last_user != play.user);
        self.last_user = play.user;
        self.skipped += u64::from(play.skipped == 1);
        self.skip_known += u64::from(play.skipped != 2);
    }
}

/// Plays in the order of their users' numbers.
fn by_user(plays: Vec<Play>, users: usize, interrupt: Interrupt) -> Result<Vec<Play>> {
    if plays.is_sorted_by_key(|play| play.user) {
        return Ok(plays);
    }
    let mut starts = memory::filled(0usize, users + 1, WHAT)?;
    interrupt();
    for play in &plays {
        starts[play.user as usize + 1] += 1;
    }
    for user in 0..users {
        starts[user + 1] += starts[user];
    }
    interrupt();
    let mut sorted = memory::filled(Play::default(), plays.len(), WHAT)?;
    for chunk in plays.chunks(1 << 16) {
        interrupt();
        for play in chunk {
            let place = &mut starts[play.user as usize];
            sorted[*place] = *play;
            *place += 1;
        }
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(plays: &[(&str, &str, i64, Option<bool>)]) -> Vec<(String, String, [u64; 4])> {
        let mut counter = PlayCounter::default();
        for (user, track, day, skipped) in plays {
            counter.add(user, track, day * MICROSECONDS_A_DAY, *skipped).unwrap();
        }
        let names = |track: &str| match track {
            "t1" => [Some("ann".into()), Some("folk".into()), Some("7".into())],
            "t2" => [Some("ann".into()), Some("jazz".into()), None],
            _ => Names::default(),
        };
        let mut tallies: Vec<_> = counter
            .count(names, &|| {})
            .unwrap()
            .into_iter()
            .map(|t| {
                (t.dimension.to_owned(), t.name, [t.plays, t.listeners, t.skipped, t.skip_known])
            })
            .collect();
        tallies.sort();
        tallies
    }

    fn row(dimension: &str, name: &str, counts: [u64; 4]) -> (String, String, [u64; 4]) {
        (dimension.into(), name.into(), counts)
    }

    #[test]
    fn counts_a_user_once_for_a_name_whatever_the_order() {
        let mut plays = [
            ("u", "t1", 0, Some(true)),
            ("v", "t2", 1, None),
            ("u", "t2", 1, Some(false)),
            ("u", "t1", 1, Some(true)),
            ("v", "gone", -1, Some(true)),
        ];
        let expected = vec![
            row("artist", "ann", [4, 2, 2, 3]),
            row("day", "10956", [1, 1, 1, 1]),
            row("day", "10957", [1, 1, 1, 1]),
            row("day", "10958", [3, 2, 1, 2]),
            row("first_day", "10956", [1, 1, 0, 0]),
            row("first_day", "10957", [1, 1, 0, 0]),
            row("genre", "folk", [2, 1, 2, 2]),
            row("genre", "jazz", [2, 2, 0, 1]),
            row("popularity", "7", [2, 1, 2, 2]),
            row("track", "gone", [1, 1, 1, 1]),
            row("track", "t1", [2, 1, 2, 2]),
            row("track", "t2", [2, 2, 0, 1]),
        ];
        assert_eq!(count(&plays), expected);
        plays.reverse();
        assert_eq!(count(&plays), expected);
        plays.sort();
        assert_eq!(count(&plays), expected);
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let mut counter = PlayCounter::default();
        for micros in [-1, 0, MICROSECONDS_A_DAY - 1, MICROSECONDS_A_DAY] {
            counter.add("u", "t", micros, None).unwrap();
        }
        let tallies = counter.count(|_| Names::default(), &|| {}).unwrap();
        let mut days: Vec<_> = tallies
            .iter()
            .filter(|t| t.dimension == "day")
            .map(|t| (t.name.as_str(), t.plays))
            .collect();
        days.sort_unstable();
        assert_eq!(days, [("10956", 1), ("10957", 2), ("10958", 1)]);
    }

    #[test]
    fn nothing_played_counts_nothing() {
        assert_eq!(PlayCounter::default().count(|_| Names::default(), &|| {}), Ok(vec![]));
    }

    #[test]
    fn an_empty_id_is_a_name_like_any_other() {
        assert_eq!(
            count(&[("", "", 0, None), ("", "t9", 0, None)])[2],
            row("track", "", [1, 1, 0, 0])
        );
    }
}
