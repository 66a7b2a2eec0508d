//! The one score: cosine similarity in one canonical order of summation.
//!
//! `cos(t, q) = (t . q) / (|t| |q|)` over raw float32 components, in float64.
//! Component `i` is added to lane `i mod 8`, lanes in ascending `i`; the eight
//! lanes `l` are then summed as `((l0+l4)+(l2+l6)) + ((l1+l5)+(l3+l7))`.
//!
//! The product of two float32 is exact in float64, so a fused multiply-add
//! gives the same bits as a product and a sum, and a lane never holds -0, so
//! that padding with zeros changes nothing: every kernel that keeps the lanes
//! gives the same bits.

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

/// Cosine from a dot product and two norms; 0 where a norm is zero.
pub(super) fn cosine_of(dot: f64, track_norm: f64, query_norm: f64) -> f64 {
    let norms = track_norm * query_norm;
    if norms > 0.0 { dot / norms } else { 0.0 }
}
