//! Plays played together: rows of G, one at a time.

use std::ops::Range;
use std::sync::Mutex;

use sparkify_core::{Interrupt, Result, workers};

use super::{NeighbourOptions, Row, give_back, keep_greatest, taken};
use crate::interactions::{CHECK_EVERY, reserve, zeros};
use crate::{Interactions, Signal};

/// Plays both ways, long histories cut.
pub(super) struct Plays {
    pub(super) tracks: usize,
    user_offsets: Vec<usize>,
    tracks_of: Vec<u32>,
    track_offsets: Vec<usize>,
    users_of: Vec<u32>,
    /// Scale² · n^(−2 · user exponent).
    of_user: Vec<f64>,
    /// d^(−source exponent).
    pub(super) of_track: Vec<f64>,
    /// d^(target exponent).
    pub(super) of_target: Vec<f64>,
    /// The diagonal of G.
    pub(super) diagonal: Vec<f64>,
}

impl Plays {
    pub(super) fn new(
        data: &Interactions,
        options: &NeighbourOptions,
        interrupt: Interrupt,
    ) -> Result<Self> {
        let (users, tracks) = (data.users(), data.tracks());
        let mut user_offsets = zeros(users + 1, "plays")?;
        let mut tracks_of = Vec::new();
        reserve(&mut tracks_of, data.len(), "plays")?;
        let mut own = Vec::new();
        for user in 0..users {
            if user % 1024 == 0 {
                interrupt();
            }
            own.clear();
            own.extend(data.plays_of(user).filter(|play| play.signal == Signal::Played));
            if own.len() > options.longest_history {
                own.sort_by(|a, b| b.last.cmp(&a.last).then(b.weight.total_cmp(&a.weight)));
                own.truncate(options.longest_history);
                own.sort_unstable_by_key(|play| play.track);
            }
            tracks_of.extend(own.iter().map(|play| play.track));
            user_offsets[user + 1] = tracks_of.len();
        }
        let mut track_offsets: Vec<usize> = zeros(tracks + 1, "plays")?;
        for tracks in tracks_of.chunks(CHECK_EVERY) {
            interrupt();
            for &track in tracks {
                track_offsets[track as usize + 1] += 1;
            }
        }
        let power = |exponent: f64| move |count: usize| (count.max(1) as f64).powf(exponent);
        let degrees = |offsets: &[usize], exponent| -> Result<Vec<f64>> {
            let mut powers = Vec::new();
            reserve(&mut powers, offsets.len() - 1, "degrees")?;
            powers.extend(offsets.windows(2).map(|w| w[1] - w[0]).map(power(exponent)));
            Ok(powers)
        };
        for track in 0..tracks {
            track_offsets[track + 1] += track_offsets[track];
        }
        let of_track = degrees(&track_offsets, -options.source_exponent)?;
        let of_target = degrees(&track_offsets, options.target_exponent)?;
        let mut of_user = degrees(&user_offsets, -2.0 * options.user_exponent)?;
        let mut users_of = zeros(tracks_of.len(), "plays")?;
        let mut next = Vec::new();
        reserve(&mut next, tracks, "plays")?;
        next.extend_from_slice(&track_offsets[..tracks]);
        let mut diagonal: Vec<f64> = zeros(tracks, "plays")?;
        for user in 0..users {
            if user % 1024 == 0 {
                interrupt();
            }
            for &track in &tracks_of[user_offsets[user]..user_offsets[user + 1]] {
                let to = &mut next[track as usize];
                users_of[*to] = user as u32;
                *to += 1;
                diagonal[track as usize] += of_user[user] * of_track[track as usize].powi(2);
            }
        }
        let heard = track_offsets.windows(2).filter(|w| w[0] < w[1]).count();
        let scale = heard.max(1) as f64 / diagonal.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        of_user.iter_mut().chain(&mut diagonal).for_each(|value| *value *= scale);
        Ok(Self {
            tracks,
            user_offsets,
            tracks_of,
            track_offsets,
            users_of,
            of_user,
            of_track,
            of_target,
            diagonal,
        })
    }

    fn users_of(&self, track: usize) -> &[u32] {
        &self.users_of[self.track_offsets[track]..self.track_offsets[track + 1]]
    }

    fn tracks_of(&self, user: u32) -> &[u32] {
        &self.tracks_of[self.user_offsets[user as usize]..self.user_offsets[user as usize + 1]]
    }

    /// The greatest entries of each row of G off the diagonal.
    pub(super) fn rows(
        &self,
        options: &NeighbourOptions,
        threads: usize,
        interrupt: Interrupt,
    ) -> Result<Vec<Row>> {
        let longest = options.candidates.max(options.row_bytes / (8 * self.tracks.max(1)));
        let pool = Mutex::new(Vec::new());
        let mut next = 0;
        let jobs = || {
            let first = next;
            let mut cost = 0;
            while next < self.tracks && cost < 1 << 20 {
                let users = self.users_of(next);
                cost += users.iter().map(|&user| self.tracks_of(user).len()).sum::<usize>() + 64;
                next += 1;
            }
            (first < next).then_some(first..next)
        };
        let work = |range: Range<usize>, go_on: &dyn Fn() -> bool| {
            let mut sums = match taken(&pool).map_or_else(|| Sums::new(self.tracks), Ok) {
                Ok(sums) => sums,
                Err(error) => return Some(Err(error)),
            };
            let mut rows = Vec::with_capacity(range.len());
            for track in range {
                match self.row(track, longest, &mut sums, go_on)? {
                    Ok(row) => rows.push(row),
                    Err(error) => return Some(Err(error)),
                }
            }
            give_back(&pool, sums);
            Some(Ok(rows))
        };
        let mut all = Vec::new();
        reserve(&mut all, self.tracks, "co-plays")?;
        let mut failed = None;
        let take = |rows: Result<Vec<Row>>| match rows {
            Ok(rows) => all.extend(rows),
            Err(error) => failed = failed.take().or(Some(error)),
        };
        workers::in_order(threads, jobs, work, take, interrupt);
        failed.map_or(Ok(all), Err)
    }

    fn row(
        &self,
        track: usize,
        longest: usize,
        sums: &mut Sums,
        go_on: &dyn Fn() -> bool,
    ) -> Option<Result<Row>> {
        for users in self.users_of(track).chunks(256) {
            if !go_on() {
                return None;
            }
            for &user in users {
                let weight = self.of_user[user as usize];
                for &other in self.tracks_of(user) {
                    let sum = &mut sums.values[other as usize];
                    if *sum == 0.0 {
                        sums.touched.push(other);
                    }
                    *sum += weight;
                }
            }
        }
        sums.entries.clear();
        for &other in &sums.touched {
            let sum = std::mem::take(&mut sums.values[other as usize]);
            if other as usize != track {
                let value = sum * self.of_track[track] * self.of_track[other as usize];
                sums.entries.push((value as f32, other));
            }
        }
        sums.touched.clear();
        keep_greatest(&mut sums.entries, longest);
        sums.entries.sort_unstable_by_key(|&(_, other)| other);
        let mut row = Vec::new();
        if let Err(error) = reserve(&mut row, sums.entries.len(), "co-plays") {
            return Some(Err(error));
        }
        row.extend_from_slice(&sums.entries);
        Some(Ok(row.into_boxed_slice()))
    }
}

/// A row under way.
struct Sums {
    values: Vec<f64>,
    touched: Vec<u32>,
    entries: Vec<(f32, u32)>,
}

impl Sums {
    fn new(tracks: usize) -> Result<Self> {
        let mut touched = Vec::new();
        reserve(&mut touched, tracks, "co-plays")?;
        let mut entries = Vec::new();
        reserve(&mut entries, tracks, "co-plays")?;
        Ok(Self { values: zeros(tracks, "co-plays")?, touched, entries })
    }
}
