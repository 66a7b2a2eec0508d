//! How good lists are: against what was played afterwards, and beyond.
//!
//! With the relevant tracks R of a user, a list L of k tracks and its hits `L ∩ R`:
//!
//! - recall `|hits| / |R|`, precision `|hits| / k`, hit rate: 1 with any hit;
//! - NDCG `Σ_hits 1/log₂(rank + 1)`, divided by what the best list would have: K.
//!   Järvelin, J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques",
//!   TOIS 20 (2002);
//! - MRR `1 / rank` of the first hit, 0 without: E. Voorhees, "The TREC-8 question
//!   answering track report", 1999;
//! - coverage: share of the catalogue in any list; Gini: `Σ (2i − m − 1) x_i / (m Σ
//!   x)` of how often each of m tracks is listed, ascending, 0 where all are
//!   listed alike: G. Shani, A. Gunawardana, "Evaluating recommendation systems",
//!   2011;
//! - novelty: mean of `−log₂(listeners / users)`: T. Zhou et al., "Solving the
//!   apparent diversity-accuracy dilemma", PNAS 107 (2010); a track without
//!   listeners counts as one with one;
//! - diversity: mean of `1 − cos` over the pairs of a list: C.-N. Ziegler et al.,
//!   "Improving recommendation lists through topic diversification", WWW 2005;
//! - share of new tracks: those that nobody had played.
//!
//! Values are means over users; the standard error is the standard deviation
//! over them (denominator n − 1) by the root of their number.

use sparkify_core::Result;

use crate::interactions::zeros;

/// One number about lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// Its name: `recall`, `precision`, `ndcg`, `mrr`, `hit_rate`, `coverage`,
    /// `gini`, `novelty`, `diversity`, `new_tracks`.
    pub metric: &'static str,
    /// The value.
    pub value: f64,
    /// Of the mean over users; none where it is no mean or there is one user.
    pub standard_error: Option<f64>,
    /// Over how many users.
    pub users: usize,
}

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mean {
    count: usize,
    mean: f64,
    squares: f64,
}

impl Mean {
    /// Takes one more value (B. P. Welford, Technometrics 4, 1962).
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let off = value - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (value - self.mean);
    }

    /// How many values there were.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The mean; 0 of nothing.
    pub fn value(&self) -> f64 {
        self.mean
    }

    /// Standard error of the mean; none of fewer than two values.
    pub fn standard_error(&self) -> Option<f64> {
        let n = self.count as f64;
        (self.count > 1).then(|| (self.squares / (n - 1.0) / n).sqrt())
    }
}

/// Accuracy of one list.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Accuracy {
    /// Share of what is relevant that is in the list.
    pub recall: f64,
    /// Share of the k places that are relevant.
    pub precision: f64,
    /// Normalised discounted cumulated gain.
    pub ndcg: f64,
    /// One by the rank of the first hit.
    pub reciprocal_rank: f64,
}

/// Measures the first `k` of `list` against `relevant`, which is ascending.
///
/// All 0 where nothing is relevant.
pub fn accuracy(list: &[u32], relevant: &[u32], k: usize) -> Accuracy {
    if relevant.is_empty() || k == 0 {
        return Accuracy::default();
    }
    let (mut hits, mut gain, mut first) = (0usize, 0.0, None);
    for (at, track) in list.iter().take(k).enumerate() {
        if relevant.binary_search(track).is_ok() {
            hits += 1;
            gain += discount(at);
            first = first.or(Some(at + 1));
        }
    }
    let best: f64 = (0..k.min(relevant.len())).map(discount).sum();
    Accuracy {
        recall: hits as f64 / relevant.len() as f64,
        precision: hits as f64 / k as f64,
        ndcg: gain / best,
        reciprocal_rank: first.map_or(0.0, |rank| 1.0 / rank as f64),
    }
}

fn discount(at: usize) -> f64 {
    1.0 / (at as f64 + 2.0).log2()
}

/// What a measurement is made against.
#[derive(Clone, Copy)]
pub struct Catalogue<'a> {
    /// Listeners of each track before.
    pub listeners: &'a [u32],
    /// Users altogether, at least 1.
    pub users: usize,
    /// Vectors of the tracks, of `dims` entries each, for the diversity.
    pub vectors: &'a [f32],
    /// Entries of a vector.
    pub dims: usize,
}

impl Catalogue<'_> {
    fn vector(&self, track: u32) -> &[f32] {
        self.vectors
            .get(track as usize * self.dims..(track as usize + 1) * self.dims)
            .unwrap_or(&[])
    }
}

/// Measures of lists of k tracks, one user after the other.
pub struct Evaluation {
    k: usize,
    recall: Mean,
    precision: Mean,
    ndcg: Mean,
    reciprocal_rank: Mean,
    hit_rate: Mean,
    novelty: Mean,
    diversity: Mean,
    new_tracks: Mean,
    listed: Vec<u32>,
}

impl Evaluation {
    /// Of lists of `k` tracks out of `tracks`.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn new(k: usize, tracks: usize) -> Result<Self> {
        let none = Mean::default();
        Ok(Self {
            k,
            recall: none,
            precision: none,
            ndcg: none,
            reciprocal_rank: none,
            hit_rate: none,
            novelty: none,
            diversity: none,
            new_tracks: none,
            listed: zeros(tracks, "evaluation")?,
        })
    }

    /// Takes the list of one user, whose `relevant` tracks are ascending and not empty.
    pub fn add(&mut self, list: &[u32], relevant: &[u32], catalogue: &Catalogue) {
        let list = &list[..list.len().min(self.k)];
        let accuracy = accuracy(list, relevant, self.k);
        self.recall.add(accuracy.recall);
        self.precision.add(accuracy.precision);
        self.ndcg.add(accuracy.ndcg);
        self.reciprocal_rank.add(accuracy.reciprocal_rank);
        self.hit_rate.add(f64::from(accuracy.reciprocal_rank > 0.0));
        for &track in list {
            self.listed[track as usize] += 1;
        }
        if list.is_empty() {
            return;
        }
        let users = catalogue.users.max(1) as f64;
        let heard = |&track: &u32| catalogue.listeners[track as usize];
        let surprise = list.iter().map(|track| (users / f64::from(heard(track).max(1))).log2());
        self.novelty.add(surprise.sum::<f64>() / list.len() as f64);
        let new = list.iter().filter(|track| heard(track) == 0).count();
        self.new_tracks.add(new as f64 / list.len() as f64);
        if let Some(diversity) = diversity(list, catalogue) {
            self.diversity.add(diversity);
        }
    }

    /// What was measured.
    pub fn measures(&self) -> Vec<Measure> {
        let mean = |metric, mean: &Mean| Measure {
            metric,
            value: mean.value(),
            standard_error: mean.standard_error(),
            users: mean.count(),
        };
        let whole = |metric, value| Measure {
            metric,
            value,
            standard_error: None,
            users: self.recall.count(),
        };
        let reached = self.listed.iter().filter(|&&times| times > 0).count();
        vec![
            mean("recall", &self.recall),
            mean("precision", &self.precision),
            mean("ndcg", &self.ndcg),
            mean("mrr", &self.reciprocal_rank),
            mean("hit_rate", &self.hit_rate),
            whole("coverage", reached as f64 / self.listed.len().max(1) as f64),
            whole("gini", gini(&self.listed)),
            mean("novelty", &self.novelty),
            mean("diversity", &self.diversity),
            mean("new_tracks", &self.new_tracks),
        ]
    }
}

/// Mean of `1 − cos` over the pairs; none of fewer than two tracks or without vectors. A vector
/// without length is at a right angle to every other.
fn diversity(list: &[u32], catalogue: &Catalogue) -> Option<f64> {
    let pairs = list.len() * list.len().saturating_sub(1) / 2;
    // Σ over pairs of cosines = (‖Σ unit vectors‖² − Σ ‖unit vector‖²) / 2.
    let mut sum = vec![0.0; catalogue.dims];
    let mut own = 0.0;
    for &track in list {
        let vector = catalogue.vector(track);
        let norm = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        if norm > 0.0 {
            own += 1.0;
            for (sum, &x) in sum.iter_mut().zip(vector) {
                *sum += f64::from(x) / norm;
            }
        }
    }
    let together: f64 = sum.iter().map(|x| x * x).sum();
    (pairs > 0 && catalogue.dims > 0).then(|| 1.0 - (together - own) / 2.0 / pairs as f64)
}

/// Inequality of counts: 0 where all are the same, near 1 where one has all.
pub fn gini(counts: &[u32]) -> f64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let m = sorted.len() as f64;
    let total: f64 = sorted.iter().map(|&x| f64::from(x)).sum();
    if total == 0.0 {
        return 0.0;
    }
    let weighted = sorted
        .iter()
        .enumerate()
        .map(|(at, &x)| (2.0 * (at as f64 + 1.0) - m - 1.0) * f64::from(x));
    weighted.sum::<f64>() / (m * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got} is not {want}");
    }

    #[test]
    fn a_list_with_hits_in_places_one_and_three() {
        let got = accuracy(&[7, 2, 5, 1], &[3, 5, 7], 4);
        close(got.recall, 2.0 / 3.0);
        close(got.precision, 0.5);
        close(got.reciprocal_rank, 1.0);
        // 1/log₂2 + 1/log₂4 of 1/log₂2 + 1/log₂3 + 1/log₂4.
        close(got.ndcg, 1.5 / (1.5 + 1.0 / 3f64.log2()));
    }

    #[test]
    fn the_best_list_has_gain_one_and_what_is_below_k_does_not_count() {
        close(accuracy(&[1, 2], &[1, 2, 3, 4], 2).ndcg, 1.0);
        close(accuracy(&[1, 2], &[1, 2, 3, 4], 2).recall, 0.5);
        close(accuracy(&[9, 8, 1], &[1], 2).ndcg, 0.0);
        close(accuracy(&[9, 8, 1], &[1], 3).reciprocal_rank, 1.0 / 3.0);
        // A list may be shorter than k.
        close(accuracy(&[1], &[1], 10).precision, 0.1);
    }

    #[test]
    fn without_anything_relevant_all_is_zero() {
        assert_eq!(accuracy(&[1, 2], &[], 2), Accuracy::default());
        assert_eq!(accuracy(&[1, 2], &[1], 0), Accuracy::default());
        assert_eq!(accuracy(&[], &[1], 5), Accuracy::default());
    }

    #[test]
    fn inequality_of_counts() {
        close(gini(&[3, 3, 3]), 0.0);
        close(gini(&[0, 0, 0, 8]), 0.75);
        // Half of the mean absolute difference by the mean: pairs of 1, 2, 3.
        close(gini(&[2, 1, 3]), (8.0 / 9.0) / 2.0 / 2.0);
        close(gini(&[0, 0]), 0.0);
        close(gini(&[]), 0.0);
    }

    #[test]
    fn a_mean_and_its_standard_error() {
        let mut mean = Mean::default();
        assert_eq!((mean.value(), mean.standard_error()), (0.0, None));
        mean.add(2.0);
        assert_eq!(mean.standard_error(), None);
        mean.add(4.0);
        mean.add(6.0);
        close(mean.value(), 4.0);
        // Variance 4 of three values.
        close(mean.standard_error().unwrap(), (4.0f64 / 3.0).sqrt());
    }

    #[test]
    fn lists_of_two_users_beyond_accuracy() {
        // Track 3 is new; tracks 0 and 1 point the same way, 2 at a right angle.
        let vectors = [2.0, 0.0, 1.0, 0.0, 0.0, 5.0, 0.0, 0.0];
        let catalogue =
            Catalogue { listeners: &[8, 2, 4, 0], users: 8, vectors: &vectors, dims: 2 };
        let mut evaluation = Evaluation::new(2, 4).unwrap();
        evaluation.add(&[0, 1, 2], &[1], &catalogue);
        evaluation.add(&[0, 3], &[2], &catalogue);
        let measures = evaluation.measures();
        let value = |name: &str| {
            let found = measures.iter().find(|measure| measure.metric == name);
            found.map_or(f64::NAN, |measure| measure.value)
        };
        close(value("hit_rate"), 0.5);
        close(value("mrr"), 0.25);
        close(value("coverage"), 0.75);
        close(value("gini"), gini(&[2, 1, 0, 1]));
        // (0 + 2) / 2 and (0 + 3) / 2.
        close(value("novelty"), 1.25);
        // Cosine 1, and none of a vector without length.
        close(value("diversity"), 0.5);
        close(value("new_tracks"), 0.25);
        let users = measures.iter().map(|measure| measure.users);
        assert!(users.eq(std::iter::repeat_n(2, 10)));
    }

    #[test]
    fn users_without_a_list_count_as_missed() {
        let catalogue = Catalogue { listeners: &[1], users: 1, vectors: &[1.0], dims: 1 };
        let mut evaluation = Evaluation::new(3, 1).unwrap();
        evaluation.add(&[], &[0], &catalogue);
        let measures = evaluation.measures();
        assert!(measures.iter().all(|measure| measure.value == 0.0), "{measures:?}");
    }
}
