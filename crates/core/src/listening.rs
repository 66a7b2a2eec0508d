//! What a user did, gathered into one entry for a track. What content models and models
//! of plays serve from, what they explain and what they are trained on all start here.
//!
//! A play weighs `2^(−age / half_life)` times the share of the track that was heard, its
//! age counted from the newest event: an exponential decay from any other moment
//! multiplies all weights of a user alike. A like counts as a play to the end at the
//! moment it was said, whatever else the user plays, and fades as a play does. A dislike
//! outweighs all plays of its track. A track that was skipped whenever it came speaks
//! against itself in a model of plays, and counts the share that was heard in one of
//! content. Weights are float64, summed in the order of time.

/// Microseconds in a day.
pub(crate) const DAY: f64 = 86_400e6;

/// Share of a track that a skipped play counts as heard, where it is not known how long
/// it lasted: most skips come in the first seconds.
pub const SKIPPED: f64 = 0.1;

/// What a dislike counts in a content model in place of the share that was heard: it
/// takes half of what a play gives.
pub const DISLIKED: f64 = -0.5;

/// Share of a track that was heard in a play, 0 to 1: by the times in milliseconds, and
/// where one of them is not known [`SKIPPED`] of a skipped play, all of any other.
pub fn completion(ms_played: Option<i32>, duration_ms: Option<i32>, skipped: Option<bool>) -> f64 {
    match (ms_played, duration_ms) {
        (Some(played), Some(duration)) if duration > 0 => {
            (f64::from(played) / f64::from(duration)).clamp(0.0, 1.0)
        }
        _ if skipped == Some(true) => SKIPPED,
        _ => 1.0,
    }
}

/// What a play `age` microseconds old counts beside a new one; `half_life` is in days.
pub fn recency(age: i64, half_life: f64) -> f64 {
    (-(age as f64 / DAY) / half_life).exp2()
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Heard, in part or whole.
    Played {
        /// Share of the track that was heard, see [`completion`].
        completion: f64,
        /// Whether it was broken off.
        skipped: bool,
    },
    /// Said to be liked.
    Liked,
    /// Said to be disliked.
    Disliked,
}

impl Kind {
    /// All that tells two of them apart, in an order.
    fn rank(self) -> (u8, u64, bool) {
        match self {
            Kind::Played { completion, skipped } => (0, completion.to_bits(), skipped),
            Kind::Liked => (1, 0, false),
            Kind::Disliked => (2, 0, false),
        }
    }
}

/// Something that a user did with a track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Number of the track.
    pub track: u32,
    /// When, in microseconds since any fixed moment.
    pub at: i64,
    /// What.
    pub kind: Kind,
}

/// How a user stands to a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Heard, or said to be liked.
    Played,
    /// Begun and given up, and never heard.
    Skipped,
    /// Said to be disliked.
    Disliked,
}

/// All that a user did with a track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// Number of the track.
    pub track: u32,
    /// Sum over the plays of completion times recency; of a track that is disliked the
    /// recency of that. Not negative.
    pub weight: f64,
    /// Whether it speaks for the track or against it.
    pub signal: Signal,
    /// When it was first heard or spoken of, in the unit of the events.
    pub first: i64,
    /// When it was last heard or spoken of.
    pub last: i64,
}

impl Heard {
    /// What the track's direction counts in the vector of a content model.
    pub fn content_weight(&self) -> f64 {
        if self.signal == Signal::Disliked { DISLIKED * self.weight } else { self.weight }
    }
}

/// Hands an entry for each track to `each`, by the tracks' numbers. Brings the events
/// into that order; in which they come does not matter. `half_life` is in days and above 0.
pub fn gather(events: &mut [Event], half_life: f64, mut each: impl FnMut(Heard)) {
    let newest = events.iter().map(|event| event.at).max().unwrap_or(0);
    events.sort_unstable_by_key(|event| (event.track, event.at, event.kind.rank()));
    for of_track in events.chunk_by(|a, b| a.track == b.track) {
        let (first, last) = (of_track[0], of_track[of_track.len() - 1]);
        let mut heard = Heard {
            track: first.track,
            weight: 0.0,
            signal: Signal::Skipped,
            first: first.at,
            last: last.at,
        };
        for event in of_track {
            let recency = recency(newest.saturating_sub(event.at), half_life);
            match event.kind {
                Kind::Disliked => {
                    heard.signal = Signal::Disliked;
                    heard.weight = recency;
                }
                _ if heard.signal == Signal::Disliked => {}
                Kind::Liked => {
                    heard.signal = Signal::Played;
                    heard.weight += recency;
                }
                Kind::Played { completion, skipped } => {
                    heard.weight += recency * completion;
                    if !skipped {
                        heard.signal = Signal::Played;
                    }
                }
            }
        }
        each(heard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(track: u32, days: f64, kind: Kind) -> Event {
        Event { track, at: (days * DAY) as i64, kind }
    }

    const WHOLE: Kind = Kind::Played { completion: 1.0, skipped: false };

    fn gathered(events: &[Event]) -> Vec<Heard> {
        let mut heard = Vec::new();
        gather(&mut events.to_vec(), 10.0, |entry| heard.push(entry));
        heard
    }

    #[test]
    fn a_half_life_halves_and_plays_of_a_track_add_up() {
        let half = Kind::Played { completion: 0.5, skipped: false };
        let heard = gathered(&[event(3, 10.0, WHOLE), event(3, 20.0, half), event(1, 0.0, WHOLE)]);
        let tracks: Vec<u32> = heard.iter().map(|heard| heard.track).collect();
        assert_eq!(tracks, [1, 3]);
        assert_eq!([heard[0].weight, heard[1].weight], [0.25, 1.0]);
        assert_eq!((heard[1].first, heard[1].last), ((10.0 * DAY) as i64, (20.0 * DAY) as i64));
    }

    #[test]
    fn the_order_in_which_events_come_does_not_matter() {
        let mut events: Vec<Event> = (0..50)
            .map(|at| {
                let completion = f64::from(at % 7) / 7.0;
                let kind = Kind::Played { completion, skipped: at % 3 == 0 };
                event(at % 5, f64::from(at % 11), if at % 13 == 0 { Kind::Liked } else { kind })
            })
            .collect();
        let first = gathered(&events);
        events.reverse();
        assert_eq!(gathered(&events), first);
        events.rotate_left(17);
        assert_eq!(gathered(&events), first);
    }

    #[test]
    fn a_like_is_a_play_to_the_end_when_it_was_said() {
        let heard = gathered(&[event(0, 20.0, WHOLE), event(1, 10.0, Kind::Liked)]);
        assert_eq!((heard[1].weight, heard[1].signal), (0.5, Signal::Played));
        let skip = Kind::Played { completion: 0.25, skipped: true };
        let heard = gathered(&[event(1, 10.0, Kind::Liked), event(1, 10.0, skip)]);
        assert_eq!((heard[0].weight, heard[0].signal), (1.25, Signal::Played));
    }

    #[test]
    fn a_dislike_outweighs_all_plays_before_it_and_after() {
        let heard = gathered(&[
            event(1, 0.0, WHOLE),
            event(1, 10.0, Kind::Disliked),
            event(1, 20.0, WHOLE),
            event(2, 20.0, WHOLE),
        ]);
        assert_eq!((heard[0].weight, heard[0].signal), (0.5, Signal::Disliked));
        assert_eq!(heard[0].content_weight(), -0.25);
        assert_eq!((heard[1].content_weight(), heard[1].signal), (1.0, Signal::Played));
    }

    #[test]
    fn only_what_was_skipped_whenever_it_came_speaks_against_itself() {
        let skip = Kind::Played { completion: 0.25, skipped: true };
        let heard = gathered(&[event(1, 0.0, skip), event(2, 0.0, skip), event(2, 0.0, WHOLE)]);
        assert_eq!((heard[0].weight, heard[0].signal), (0.25, Signal::Skipped));
        assert_eq!((heard[1].weight, heard[1].signal), (1.25, Signal::Played));
        assert!(gathered(&[]).is_empty());
    }

    #[test]
    fn moments_at_the_ends_of_time_give_weights_that_are_numbers() {
        let events = [
            Event { track: 0, at: i64::MIN, kind: WHOLE },
            Event { track: 1, at: i64::MAX, kind: WHOLE },
        ];
        let weights: Vec<f64> = gathered(&events).iter().map(|heard| heard.weight).collect();
        assert_eq!(weights, [0.0, 1.0]);
    }

    #[test]
    fn a_play_of_unknown_length_was_heard_unless_it_was_skipped() {
        for (ms_played, duration_ms) in [(None, Some(200)), (Some(100), None), (Some(100), Some(0))]
        {
            assert_eq!(completion(ms_played, duration_ms, Some(true)), SKIPPED);
            assert_eq!(completion(ms_played, duration_ms, Some(false)), 1.0);
            assert_eq!(completion(ms_played, duration_ms, None), 1.0);
        }
        assert_eq!(completion(Some(-5), Some(200), Some(false)), 0.0);
        assert_eq!(completion(Some(100), Some(200), Some(true)), 0.5);
        assert_eq!(completion(Some(900), Some(200), None), 1.0);
    }
}
