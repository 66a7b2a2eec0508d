//! What users have played: a sparse matrix of users × tracks.

use sparkify_core::listening::Signal;
pub(crate) use sparkify_core::memory::reserve;
use sparkify_core::{Error, Interrupt, Result, memory};

/// Entries between two interrupt checks.
pub(crate) const CHECK_EVERY: usize = 1 << 16;

/// All plays of one track by one user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Play {
    /// Which track, in `0..tracks`.
    pub track: u32,
    /// Sum over the plays of completion times recency; finite, not negative.
    /// Of no meaning but for [`Signal::Played`].
    pub weight: f32,
    /// Whether it speaks for the track or against it.
    pub signal: Signal,
    /// When the user first played the track, in seconds after any fixed moment.
    pub first: u32,
    /// When the user last played the track, in the same seconds.
    pub last: u32,
}

/// Users × tracks, one entry for a user and a track, in rows by user.
///
/// 17 bytes an entry, 9 where no times are known.
#[derive(Debug, Clone)]
pub struct Interactions {
    tracks: usize,
    timed: bool,
    offsets: Vec<usize>,
    columns: Vec<u32>,
    weights: Vec<f32>,
    signals: Vec<Signal>,
    first: Vec<u32>,
    last: Vec<u32>,
}

impl Interactions {
    /// No users yet, over `tracks` tracks; `timed` where the plays carry times.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for more tracks than 32 bits can number.
    pub fn new(tracks: usize, timed: bool) -> Result<Self> {
        if u32::try_from(tracks).is_err() {
            return Err(Error::OutOfRange {
                name: "tracks",
                value: tracks.to_string(),
                expected: format!("at most {}", u32::MAX),
            });
        }
        let (offsets, columns, weights) = (vec![0], Vec::new(), Vec::new());
        let (signals, first, last) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { tracks, timed, offsets, columns, weights, signals, first, last })
    }

    /// Adds the next user. `plays` are brought into the order of their tracks.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a track that does not exist or occurs twice and
    /// for a weight that is negative or not finite; [`Error::OutOfMemory`].
    pub fn push(&mut self, plays: &mut [Play]) -> Result<()> {
        plays.sort_unstable_by_key(|play| play.track);
        for (at, play) in plays.iter().enumerate() {
            let refuse = |name, value: String, expected: &str| {
                Err(Error::OutOfRange { name, value, expected: expected.into() })
            };
            if play.track as usize >= self.tracks {
                let below = format!("less than {}", self.tracks);
                return refuse("track", play.track.to_string(), &below);
            }
            if at > 0 && plays[at - 1].track == play.track {
                return refuse("track", play.track.to_string(), "there once for each user");
            }
            if !(play.weight.is_finite() && play.weight >= 0.0) {
                return refuse("weight", play.weight.to_string(), "finite and not negative");
            }
        }
        let more = plays.len();
        reserve(&mut self.offsets, 1, "users")?;
        reserve(&mut self.columns, more, "plays")?;
        reserve(&mut self.weights, more, "plays")?;
        reserve(&mut self.signals, more, "plays")?;
        self.columns.extend(plays.iter().map(|play| play.track));
        self.weights.extend(plays.iter().map(|play| play.weight));
        self.signals.extend(plays.iter().map(|play| play.signal));
        if self.timed {
            reserve(&mut self.first, more, "plays")?;
            reserve(&mut self.last, more, "plays")?;
            self.first.extend(plays.iter().map(|play| play.first));
            self.last.extend(plays.iter().map(|play| play.last));
        }
        self.offsets.push(self.columns.len());
        Ok(())
    }

    /// How many users there are.
    pub fn users(&self) -> usize {
        self.offsets.len() - 1
    }

    /// How many tracks there are.
    pub fn tracks(&self) -> usize {
        self.tracks
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Whether times are known.
    pub fn timed(&self) -> bool {
        self.timed
    }

    /// The entries of a user, in the order of their tracks.
    pub fn plays_of(&self, user: usize) -> impl ExactSizeIterator<Item = Play> + Clone {
        (self.offsets[user]..self.offsets[user + 1]).map(|at| self.play(at))
    }

    fn play(&self, at: usize) -> Play {
        Play {
            track: self.columns[at],
            weight: self.weights[at],
            signal: self.signals[at],
            first: if self.timed { self.first[at] } else { 0 },
            last: if self.timed { self.last[at] } else { 0 },
        }
    }

    pub(crate) fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Distinct listeners of each track: users who played it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn listeners(&self, interrupt: Interrupt) -> Result<Vec<u32>> {
        let mut listeners = zeros(self.tracks, "listeners")?;
        let entries = self.columns.chunks(CHECK_EVERY).zip(self.signals.chunks(CHECK_EVERY));
        for (columns, signals) in entries {
            interrupt();
            for (&track, &signal) in columns.iter().zip(signals) {
                listeners[track as usize] += u32::from(signal == Signal::Played);
            }
        }
        Ok(listeners)
    }
}

impl Interactions {
    /// The same users over the tracks that somebody played, and which those are.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn of_heard(&self, interrupt: Interrupt) -> Result<(Self, Vec<u32>)> {
        const NONE: u32 = u32::MAX;
        let mut numbers: Vec<u32> = zeros(self.tracks, "tracks")?;
        let mut heard = Vec::new();
        for (track, listeners) in self.listeners(interrupt)?.into_iter().enumerate() {
            numbers[track] = NONE;
            if listeners > 0 {
                numbers[track] = heard.len() as u32;
                reserve(&mut heard, 1, "tracks")?;
                heard.push(track as u32);
            }
        }
        let mut among = Self::new(heard.len(), self.timed)?;
        let mut own = Vec::new();
        for user in 0..self.users() {
            if user % 1024 == 0 {
                interrupt();
            }
            own.clear();
            reserve(&mut own, self.plays_of(user).len(), "plays")?;
            own.extend(self.plays_of(user).filter_map(|play| {
                let track = numbers[play.track as usize];
                (track != NONE).then_some(Play { track, ..play })
            }));
            among.push(&mut own)?;
        }
        Ok((among, heard))
    }

    /// Whether there are plays enough to learn from: 100 users who played 5 tracks
    /// or more, and 1,000 plays of distinct tracks by them.
    pub fn enough(&self) -> bool {
        let played =
            |user| self.plays_of(user).filter(|play| play.signal == Signal::Played).count();
        let counts = (0..self.users()).map(played).filter(|&count| count >= 5);
        let (users, plays) =
            counts.fold((0, 0), |(users, plays), count| (users + 1, plays + count));
        users >= 100 && plays >= 1000
    }
}

/// `count` zeros, or [`Error::OutOfMemory`].
pub(crate) fn zeros<T: Clone + Default>(count: usize, what: &'static str) -> Result<Vec<T>> {
    memory::filled(T::default(), count, what)
}
