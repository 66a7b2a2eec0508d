//! What an image holds of its model beside the vectors.

use super::index::Index;
use super::{Metric, Ranked, kernel};

impl<'a> Index<'a> {
    /// What scores tracks, unless a query says otherwise.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Listeners of the track when the model was made, where the model says so.
    ///
    /// # Panics
    /// When `position` is not below [`Index::len`].
    pub fn listeners(&self, position: u32) -> Option<u32> {
        let listeners = (!self.listeners.is_empty()).then_some(self.listeners);
        listeners.map(|listeners| listeners[position as usize])
    }

    /// The tracks in the order of their popularity when the model was made, each with
    /// its share of the most popular one's; empty where the model does not say.
    pub fn popular(&self) -> impl Iterator<Item = Ranked> + 'a {
        let len = self.len();
        let known = self.popular.iter().zip(self.popular_shares);
        known
            .filter(move |&(&position, _)| (position as usize) < len)
            .map(|(&position, &share)| Ranked { position, score: f64::from(share) })
    }

    /// What its model's maker stored to serve with: numbers that mean nothing here.
    pub fn state(&self) -> &'a [f64] {
        self.state
    }

    /// Whether tracks have neighbours.
    pub fn has_neighbours(&self) -> bool {
        !self.neighbour_positions.is_empty()
    }

    /// Neighbours of the track at `position` with their weights, in the order given;
    /// a position is not checked to be below [`Index::len`].
    pub fn neighbours(&self, position: u32) -> (&'a [u32], &'a [f32]) {
        let ends = self.neighbour_ends.get(position as usize..position as usize + 2);
        let range = ends.map_or(0..0, |ends| ends[0] as usize..ends[1] as usize);
        (
            self.neighbour_positions.get(range.clone()).unwrap_or_default(),
            self.neighbour_weights.get(range).unwrap_or_default(),
        )
    }

    /// Asks the processor to bring the neighbours of a track near, for use soon.
    pub fn prefetch_neighbours(&self, position: u32) {
        let (positions, weights) = self.neighbours(position);
        kernel::prefetch_all(positions);
        kernel::prefetch_all(weights);
    }

    pub(super) fn fine_codes(&self) -> &'a [u8] {
        self.fine_codes
    }

    pub(super) fn fine_terms(&self) -> &'a [f32] {
        self.fine_terms
    }
}
