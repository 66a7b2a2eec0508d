//! Neighbours: what the listeners of a track also play, as a sparse map.
//!
//! In `P: (users, tracks)` a play has the value `n^(−¼) · d^(−0.4)`, of a user of n
//! tracks and a track of d listeners, scaled so that the mean of the diagonal of `G
//! = PᵀP` is 1. For each track i, the target, a ridge regression over the tracks C
//! that are most played together with it gives `b = (G_CC + λI)⁻¹ G_Ci`. A play of
//! j then adds `W_ji = max(0, d_j^(−0.4) · b_j · d_i^(0.3))` to the score of i, and
//! every j keeps its greatest.
//!
//! Rows of G are computed one at a time and their greatest entries kept, as many
//! as a budget of bytes allows: all of them in a small catalogue, where `G_CC` is
//! then exact, at least the candidates in a large one, where pairs outside both
//! rows count as never played together. Memory, with m tracks: a row takes 8 bytes
//! times the lower of its length and budget / (8 m); what is kept, 8 bytes a
//! neighbour; the plays, both ways, 8 bytes an entry, of histories as cut; a
//! track altogether 120 bytes more, and 26 more for each thread. With 10⁶ tracks,
//! 10⁸ plays, 200 candidates and 100 kept that is 1.6 + 0.8 + 0.8 + 0.2 GB.
//!
//! Source: H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW
//! 2019, restricted to a neighbourhood as in X. Ning, G. Karypis, "SLIM", ICDM 2011.

use std::ops::Range;
use std::sync::Mutex;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::{MatMut, Par};
use sparkify_core::{Interrupt, Result, workers};

use crate::interactions::{reserve, zeros};
use crate::{Interactions, Signal};

/// How neighbours are found.
#[derive(Debug, Clone, PartialEq)]
pub struct NeighbourOptions {
    /// Exponent of a user's distinct tracks in `P`, negated.
    pub user_exponent: f64,
    /// Exponent of a track's distinct listeners in `P`, negated.
    pub source_exponent: f64,
    /// Exponent of the target's distinct listeners in `W`.
    pub target_exponent: f64,
    /// Ridge λ, where the diagonal of G is 1 in the mean.
    pub ridge: f64,
    /// Tracks of a regression.
    pub candidates: usize,
    /// Neighbours kept of each track.
    pub kept: usize,
    /// Longer histories count with this many of their newest plays.
    pub longest_history: usize,
    /// Bytes for the rows of G, where more than the candidates would fit.
    pub row_bytes: usize,
}

impl Default for NeighbourOptions {
    fn default() -> Self {
        Self {
            user_exponent: 0.25,
            source_exponent: 0.4,
            target_exponent: 0.3,
            ridge: 5.0,
            candidates: 200,
            kept: 100,
            longest_history: 500,
            row_bytes: 1 << 30,
        }
    }
}

/// What a play of each track adds to others: rows by source, targets ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Neighbours {
    /// Where each source's neighbours begin; `tracks + 1` entries.
    pub offsets: Vec<usize>,
    /// The tracks added to.
    pub targets: Vec<u32>,
    /// What is added; above 0.
    pub weights: Vec<f32>,
}

impl Neighbours {
    /// No neighbours of any of `tracks`.
    pub(crate) fn none(tracks: usize) -> Result<Self> {
        Ok(Self { offsets: zeros(tracks + 1, "neighbours")?, ..Self::default() })
    }

    /// The neighbours of a track and what its play adds to them.
    pub fn of(&self, source: u32) -> impl Iterator<Item = (u32, f32)> + '_ {
        let own = self.offsets[source as usize]..self.offsets[source as usize + 1];
        self.targets[own.clone()].iter().copied().zip(self.weights[own].iter().copied())
    }

    /// Finds the neighbours of all tracks; the same for any number of `threads`.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn find(
        data: &Interactions,
        options: &NeighbourOptions,
        threads: usize,
        interrupt: Interrupt,
    ) -> Result<Self> {
        let plays = Plays::new(data, options, interrupt)?;
        let rows = plays.rows(options, threads, interrupt)?;
        let kept = solve_all(&plays, &rows, options, threads, interrupt)?;
        drop(rows);
        let mut found = Self::none(data.tracks())?;
        let count = kept.iter().map(Vec::len).sum();
        reserve(&mut found.targets, count, "neighbours")?;
        reserve(&mut found.weights, count, "neighbours")?;
        for (source, mut own) in kept.into_iter().enumerate() {
            own.sort_unstable_by_key(|&(_, target)| target);
            found.targets.extend(own.iter().map(|&(_, target)| target));
            found.weights.extend(own.iter().map(|&(weight, _)| weight));
            found.offsets[source + 1] = found.targets.len();
        }
        Ok(found)
    }
}

/// Plays both ways, long histories cut.
struct Plays {
    tracks: usize,
    user_offsets: Vec<usize>,
    tracks_of: Vec<u32>,
    track_offsets: Vec<usize>,
    users_of: Vec<u32>,
    /// Scale² · n^(−2 · user exponent).
    of_user: Vec<f64>,
    /// d^(−source exponent).
    of_track: Vec<f64>,
    /// d^(target exponent).
    of_target: Vec<f64>,
    /// The diagonal of G.
    diagonal: Vec<f64>,
}

impl Plays {
    fn new(data: &Interactions, options: &NeighbourOptions, interrupt: Interrupt) -> Result<Self> {
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
        for &track in &tracks_of {
            track_offsets[track as usize + 1] += 1;
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
    fn rows(
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

/// Value and track, tracks ascending.
type Row = Box<[(f32, u32)]>;

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

/// Cuts to the `count` greatest; of equal ones the lower track stays.
fn keep_greatest(entries: &mut Vec<(f32, u32)>, count: usize) {
    if entries.len() > count {
        let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if count > 0 {
            entries.select_nth_unstable_by(count - 1, order);
        }
        entries.truncate(count);
    }
}

fn taken<T>(pool: &Mutex<Vec<T>>) -> Option<T> {
    pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop()
}

fn give_back<T>(pool: &Mutex<Vec<T>>, scratch: T) {
    pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(scratch);
}

/// The memory of one regression after the other.
struct Regression {
    /// Where a track stands among the candidates, from 1; 0 for others.
    slots: Vec<u16>,
    system: Vec<f64>,
    copy: Vec<f64>,
    right: Vec<f64>,
    stack: MemBuffer,
}

/// What sources add to one target.
type Column = Vec<(u32, f32)>;

fn solve_all(
    plays: &Plays,
    rows: &[Row],
    options: &NeighbourOptions,
    threads: usize,
    interrupt: Interrupt,
) -> Result<Vec<Vec<(f32, u32)>>> {
    let candidates = options.candidates.min(usize::from(u16::MAX) - 1);
    let pool = Mutex::new(Vec::new());
    let mut next = 0;
    let jobs = || {
        let first = next;
        next = (next + 16).min(plays.tracks);
        (first < next).then_some(first..next)
    };
    let work = |range: Range<usize>, go_on: &dyn Fn() -> bool| {
        let fresh = || Regression::new(plays.tracks, candidates);
        let mut regression = match taken(&pool).map_or_else(fresh, Ok) {
            Ok(regression) => regression,
            Err(error) => return Some(Err(error)),
        };
        let mut columns = Vec::with_capacity(range.len());
        for target in range {
            if !go_on() {
                return None;
            }
            columns.push((target as u32, regression.column(plays, rows, options, target)));
        }
        give_back(&pool, regression);
        Some(Ok(columns))
    };
    let mut kept: Vec<Vec<(f32, u32)>> = zeros(plays.tracks, "neighbours")?;
    let mut failed = None;
    let mut keep = |columns: Vec<(u32, Column)>| -> Result<()> {
        for (target, column) in columns {
            for (source, weight) in column {
                offer(&mut kept[source as usize], (weight, target), options.kept)?;
            }
        }
        Ok(())
    };
    let take = |columns: Result<Vec<(u32, Column)>>| {
        if let Err(error) = columns.and_then(&mut keep) {
            failed = failed.take().or(Some(error));
        }
    };
    workers::in_order(threads, jobs, work, take, interrupt);
    failed.map_or(Ok(kept), Err)
}

/// Adds to a heap of the `count` greatest, its least first.
///
/// Targets come in ascending order, so of equal weights the lower target stays.
fn offer(heap: &mut Vec<(f32, u32)>, entry: (f32, u32), count: usize) -> Result<()> {
    let less = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)).is_lt();
    if heap.len() < count {
        if heap.len() == heap.capacity() {
            reserve(heap, heap.len().max(4).min(count - heap.len()), "neighbours")?;
        }
        heap.push(entry);
        let mut at = heap.len() - 1;
        while at > 0 && less(&heap[at], &heap[(at - 1) / 2]) {
            heap.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        return Ok(());
    }
    if heap.is_empty() || !less(&heap[0], &entry) {
        return Ok(());
    }
    heap[0] = entry;
    let mut at = 0;
    loop {
        let mut least = at;
        for child in [2 * at + 1, 2 * at + 2] {
            if child < heap.len() && less(&heap[child], &heap[least]) {
                least = child;
            }
        }
        if least == at {
            return Ok(());
        }
        heap.swap(at, least);
        at = least;
    }
}

impl Regression {
    fn new(tracks: usize, candidates: usize) -> Result<Self> {
        let scratch =
            llt::factor::cholesky_in_place_scratch::<f64>(candidates, Par::Seq, Default::default());
        Ok(Self {
            slots: zeros(tracks, "neighbours")?,
            system: zeros(candidates * candidates, "neighbours")?,
            copy: Vec::new(),
            right: zeros(candidates, "neighbours")?,
            stack: MemBuffer::new(scratch),
        })
    }

    fn column(
        &mut self,
        plays: &Plays,
        rows: &[Row],
        options: &NeighbourOptions,
        target: usize,
    ) -> Column {
        let mut chosen = rows[target].to_vec();
        keep_greatest(&mut chosen, self.right.len());
        chosen.sort_unstable_by_key(|&(_, track)| track);
        let size = chosen.len();
        if size == 0 {
            return Vec::new();
        }
        for (slot, &(_, track)) in chosen.iter().enumerate() {
            self.slots[track as usize] = slot as u16 + 1;
        }
        let system = &mut self.system[..size * size];
        system.fill(0.0);
        for (slot, &(value, track)) in chosen.iter().enumerate() {
            self.right[slot] = f64::from(value);
            for &(value, other) in &rows[track as usize] {
                if let Some(with) = usize::from(self.slots[other as usize]).checked_sub(1) {
                    // Only the lower triangle is read; where a row was cut, its
                    // partner may still hold the pair.
                    system[slot.min(with) * size + slot.max(with)] = f64::from(value);
                }
            }
            system[slot * size + slot] = plays.diagonal[track as usize] + options.ridge;
        }
        for &(_, track) in &chosen {
            self.slots[track as usize] = 0;
        }
        self.solve(size);
        let of_target = plays.of_target[target];
        let weight = |(&(_, track), &b): (&(f32, u32), &f64)| {
            let weight = (plays.of_track[track as usize] * b * of_target) as f32;
            (weight > 0.0 && weight.is_finite()).then_some((track, weight))
        };
        chosen.iter().zip(&self.right[..size]).filter_map(weight).collect()
    }

    /// `right ← system⁻¹ right` for the leading `size`.
    ///
    /// With pairs missing the system may not be positive; then more is added to
    /// its diagonal until it is.
    fn solve(&mut self, size: usize) {
        self.copy.clear();
        self.copy.extend_from_slice(&self.system[..size * size]);
        let stack = MemStack::new(&mut self.stack);
        for _ in 0..32 {
            let mut system =
                MatMut::from_column_major_slice_mut(&mut self.system[..size * size], size, size);
            let factored = llt::factor::cholesky_in_place(
                system.as_mut(),
                Default::default(),
                Par::Seq,
                stack,
                Default::default(),
            );
            if factored.is_ok() {
                let right = MatMut::from_column_major_slice_mut(&mut self.right[..size], size, 1);
                return llt::solve::solve_in_place(system.as_ref(), right, Par::Seq, stack);
            }
            for at in 0..size {
                self.copy[at * size + at] *= 2.0;
            }
            self.system[..size * size].copy_from_slice(&self.copy);
        }
        self.right[..size].fill(0.0);
    }
}

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

#[cfg(test)]
#[path = "neighbours_tests.rs"]
mod tests;
