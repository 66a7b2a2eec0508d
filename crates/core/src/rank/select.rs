//! The best rows seen so far.

use super::Ranked;

/// Songs that are compared at a time.
const CHUNK: usize = 32;

/// Up to `n` rows, best first; with `distinct` one per song. Rows may come in
/// any order and more than once.
pub struct Top {
    rows: Vec<Ranked>,
    songs: Vec<u32>,
    n: usize,
    distinct: bool,
}

impl Top {
    pub fn new(n: usize, distinct: bool) -> Self {
        Self { rows: Vec::with_capacity(n + 1), songs: Vec::new(), n, distinct }
    }

    pub fn n(&self) -> usize {
        self.n
    }

    pub fn is_full(&self) -> bool {
        self.rows.len() == self.n
    }

    /// The score below which nothing comes in any more.
    pub fn cutoff(&self) -> Option<f64> {
        if self.is_full() { self.rows.last().map(|row| row.score) } else { None }
    }

    /// Whether `row` would come in if its song were not there.
    pub fn admits(&self, row: &Ranked) -> bool {
        !self.is_full() || self.rows.last().is_some_and(|last| row.order(last).is_lt())
    }

    /// Whether a row of this position is among the best.
    pub fn holds(&self, position: u32) -> bool {
        self.rows.iter().any(|row| row.position == position)
    }

    /// Takes the row in at its place, if it is among the best. The worse row
    /// of two of a song goes, so that a row pushed out is never needed again.
    pub fn offer(&mut self, row: Ranked, song: u32) {
        if !self.admits(&row) {
            return;
        }
        let Err(at) = self.rows.binary_search_by(|other| other.order(&row)) else {
            return;
        };
        if self.distinct {
            if let Some(version) = find(&self.songs, song) {
                if version < at {
                    return;
                }
                self.rows.remove(version);
                self.songs.remove(version);
            }
            self.songs.insert(at, song);
            self.songs.truncate(self.n);
        }
        self.rows.insert(at, row);
        self.rows.truncate(self.n);
    }

    pub fn into_rows(self) -> Vec<Ranked> {
        self.rows
    }
}

/// Where `song` stands. Nearly always it is nowhere: chunks that are compared
/// whole are vectorised.
fn find(songs: &[u32], song: u32) -> Option<usize> {
    let chunk = songs
        .chunks(CHUNK)
        .position(|chunk| chunk.iter().fold(false, |found, &other| found | (other == song)))?;
    let start = chunk * CHUNK;
    songs[start..].iter().position(|&other| other == song).map(|at| start + at)
}
