//! The one score: cosine or dot product in one canonical order of summation, times a
//! factor, and an addition.
//!
//! `cos(t, q) = (t . q) / (|t| |q|)` over raw float32 components, in float64.
//! Component `i` is added to lane `i mod 8`, lanes in ascending `i`; the eight
//! lanes `l` are then summed as `((l0+l4)+(l2+l6)) + ((l1+l5)+(l3+l7))`.
//!
//! The product of two float32 is exact in float64, so a fused multiply-add
//! gives the same bits as a product and a sum, and a lane never holds -0, so
//! that padding with zeros changes nothing: every kernel that keeps the lanes
//! gives the same bits.

use super::{Index, Metric, Query};

/// Lanes of the canonical sum.
pub(super) const LANES: usize = 8;

/// Dot product in the canonical order. Slices of equal length.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0f64; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f64::from(a) * f64::from(b);
        }
    }
    sum_lanes(lanes)
}

/// The canonical sum of the lanes.
pub(super) fn sum_lanes([l0, l1, l2, l3, l4, l5, l6, l7]: [f64; LANES]) -> f64 {
    ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7))
}

/// Euclidean norm, from the canonical sum of squares.
pub fn norm(vector: &[f32]) -> f64 {
    dot(vector, vector).sqrt()
}

/// What makes the score of a track for a query out of a dot product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scoring {
    pub metric: Metric,
    pub scale: f64,
    /// Of the query.
    pub norm: f64,
}

impl Scoring {
    pub fn new(index: &Index, query: &Query) -> Self {
        Self { metric: query.metric(index), scale: query.scale, norm: norm(query.vector) }
    }

    /// The score but for a boost, from the dot product of track and query, and the
    /// track's norm.
    pub fn unboosted(&self, dot: f64, track_norm: f64) -> f64 {
        self.scale
            * match self.metric {
                Metric::Cosine => cosine_of(dot, track_norm, self.norm),
                Metric::Dot => dot,
            }
    }

    /// The whole score, by the canonical sum.
    pub fn score(&self, index: &Index, position: u32, query: &Query) -> f64 {
        let dot = dot(index.vector(position), query.vector);
        self.unboosted(dot, index.norm(position)) + query.boost(position)
    }
}

/// Cosine from a dot product and two norms; 0 where a norm is zero.
pub(super) fn cosine_of(dot: f64, track_norm: f64, query_norm: f64) -> f64 {
    let norms = track_norm * query_norm;
    if norms > 0.0 { dot / norms } else { 0.0 }
}
