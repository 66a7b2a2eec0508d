//! A user's factors from what the user played, at any time after the training.

use sparkify_core::{Error, Result};

use crate::Signal;
use crate::solve::{Known, Solver, shrinkage};
use crate::targets::confidence;

/// How what speaks against a track counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Opposed {
    /// Multiple of the target that a play would have; not above 0.
    pub target: f64,
    /// Confidence, where that of a play is 1 in the mean; not negative.
    pub confidence: f64,
}

/// One track that a user played, skipped or disliked.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The track's stored vector, of `dims` entries.
    pub output: &'a [f32],
    /// Distinct listeners in the training; 0 for a track that had none.
    pub listeners: u32,
    /// Sum over the plays of completion times recency; not negative.
    pub weight: f64,
    /// Whether it speaks for the track or against it.
    pub signal: Signal,
}

/// What folding in needs to know of a model, all of it stored with the model.
///
/// A user's vector is the half-step of the training, in which the confidence of
/// a play is also multiplied by `(listeners / mean listeners)^g`: what everybody
/// plays is certain, if not characteristic.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldIn {
    /// Of `VᵀV`, in whose eigenbasis the vectors are stored; descending.
    pub eigenvalues: Vec<f64>,
    /// Weight α of all pairs without a play.
    pub alpha: f64,
    /// Ridge λ.
    pub lambda: f64,
    /// Scale κ of the targets.
    pub kappa: f64,
    /// Exponent a of a user's distinct tracks in the targets.
    pub user_exponent: f64,
    /// Exponent b of a track's distinct listeners in the targets.
    pub listener_exponent: f64,
    /// Exponent f: a stored vector is the factors times `listeners^(b·f)`.
    pub output_exponent: f64,
    /// Exponent g.
    pub certainty_exponent: f64,
    /// Mean of the listeners over the tracks that have some.
    pub mean_listeners: f64,
    /// Exponent of a play's weight in its confidence.
    pub confidence_exponent: f64,
    /// Mean over the training of the confidences before they were divided by it.
    pub confidence_mean: f64,
    /// How a skip counts.
    pub skip: Opposed,
    /// How a dislike counts.
    pub dislike: Opposed,
    /// What the vectors of tracks without listeners were multiplied by.
    pub boost: f64,
}

/// Numbers before the eigenvalues in [`FoldIn::to_words`].
const SCALARS: usize = 15;

impl FoldIn {
    /// Dimensions of the vectors.
    pub fn dims(&self) -> usize {
        self.eigenvalues.len()
    }

    /// Numbers before the eigenvalues in [`Self::to_words`].
    pub(crate) const fn scalars() -> usize {
        SCALARS
    }

    /// The user's vector, of `dims` entries: zeros without entries.
    ///
    /// Finite for finite entries. An entry of another length than `dims` is cut
    /// to the shorter of both.
    pub fn fold_in(&self, entries: &[Entry]) -> Vec<f64> {
        let mut x = vec![0.0; self.dims()];
        let known = self.known(entries);
        let shrink = shrinkage(&self.eigenvalues, self.alpha, self.lambda);
        // A loop of a few milliseconds at most goes on.
        let _ =
            Solver::for_row(&shrink, entries.len()).solve(entries.len(), known, &|| true, &mut x);
        x
    }

    /// What each entry carries of the dot product of the user's vector and `output`, a
    /// stored vector of `dims` entries: zeros where that is not finite.
    ///
    /// With `t = D^(−½) output` and the symbols of the half-step, entry j carries
    /// `r_j · B_jᵀ z`, `z = (I + BBᵀ)⁻¹ t = t − B (I + BᵀB)⁻¹ Bᵀ t`: the second term is
    /// the half-step for other targets.
    pub fn parts(&self, entries: &[Entry], output: &[f32]) -> Vec<f64> {
        let shrink = shrinkage(&self.eigenvalues, self.alpha, self.lambda);
        let known = self.known(entries);
        let t: Vec<f64> = output.iter().zip(&shrink).map(|(&o, s)| f64::from(o) * s).collect();
        // √c B_jᵀ y of an entry, whose column of B is √c D^(−½) v.
        let product = |known: &Known, y: &[f64]| -> f64 {
            let row = known.row.iter().zip(&shrink).zip(y);
            known.scale * row.map(|((&v, s), y)| f64::from(v) * s * y).sum::<f64>()
        };
        let other = |at: usize| {
            let known = known(at);
            Known { target: product(&known, &t), ..known }
        };
        let mut z = vec![0.0; self.dims()];
        let solved =
            Solver::for_row(&shrink, entries.len()).solve(entries.len(), other, &|| true, &mut z);
        // What the half-step gives is D^(−½) times what is sought.
        for ((z, t), s) in z.iter_mut().zip(&t).zip(&shrink) {
            *z = t - *z / s;
        }
        let part = |at: usize| {
            let known = known(at);
            known.confidence * known.target * product(&known, &z)
        };
        let mut parts: Vec<f64> = (0..entries.len()).map(part).collect();
        if solved.is_none() || parts.iter().any(|part| !part.is_finite()) {
            parts.fill(0.0);
        }
        parts
    }

    /// The entries as the half-step takes them.
    fn known<'e>(&self, entries: &'e [Entry]) -> impl Fn(usize) -> Known<'e> {
        let played = entries.iter().filter(|entry| entry.signal == Signal::Played);
        let (count, sum) = played.fold((0usize, 0.0), |(n, sum), e| (n + 1, sum + e.weight));
        let mean = sum / count.max(1) as f64;
        let of_user = self.kappa * (count.max(1) as f64).powf(-self.user_exponent);
        move |at: usize| {
            let entry = &entries[at];
            let listeners = f64::from(entry.listeners.max(1));
            let base = of_user * listeners.powf(-self.listener_exponent);
            let (target, certainty) = match entry.signal {
                Signal::Played => {
                    let relative = confidence(entry.weight, mean, self.confidence_exponent);
                    (base, relative / self.confidence_mean)
                }
                Signal::Skipped => (self.skip.target * base, self.skip.confidence),
                Signal::Disliked => (self.dislike.target * base, self.dislike.confidence),
            };
            Known {
                row: entry.output,
                scale: self.scale_to_factors(entry.listeners),
                confidence: certainty
                    * (listeners / self.mean_listeners).powf(self.certainty_exponent),
                target,
            }
        }
    }

    /// What a track's factors are multiplied by to be stored.
    pub fn scale_to_output(&self, listeners: u32) -> f64 {
        if listeners == 0 {
            self.boost
        } else {
            f64::from(listeners).powf(self.listener_exponent * self.output_exponent)
        }
    }

    fn scale_to_factors(&self, listeners: u32) -> f64 {
        self.scale_to_output(listeners).recip()
    }

    /// All of it as numbers, to be kept where only numbers can be.
    pub fn to_words(&self) -> Vec<f64> {
        let mut words = vec![
            self.alpha,
            self.lambda,
            self.kappa,
            self.user_exponent,
            self.listener_exponent,
            self.output_exponent,
            self.certainty_exponent,
            self.mean_listeners,
            self.confidence_exponent,
            self.confidence_mean,
            self.skip.target,
            self.skip.confidence,
            self.dislike.target,
            self.dislike.confidence,
            self.boost,
        ];
        words.extend_from_slice(&self.eigenvalues);
        words
    }

    /// What [`Self::to_words`] gave.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for too few words, or numbers that no training gives.
    pub fn from_words(words: &[f64]) -> Result<Self> {
        let refuse = |value: String| Error::OutOfRange {
            name: "model state",
            value,
            expected: "what a training wrote".into(),
        };
        let Some((scalars, eigenvalues)) = words.split_first_chunk::<SCALARS>() else {
            return Err(refuse(format!("{} numbers", words.len())));
        };
        if let Some(wrong) = words.iter().find(|word| !word.is_finite()) {
            return Err(refuse(wrong.to_string()));
        }
        let [alpha, lambda, kappa, user_exponent, rest @ ..] = *scalars;
        let [listener_exponent, output_exponent, certainty_exponent, mean_listeners, rest @ ..] =
            rest;
        let [confidence_exponent, confidence_mean, rest @ ..] = rest;
        let [skip_target, skip_confidence, dislike_target, dislike_confidence, boost] = rest;
        for positive in [lambda, kappa, mean_listeners, confidence_mean, boost] {
            if positive <= 0.0 {
                return Err(refuse(positive.to_string()));
            }
        }
        for not_negative in [alpha, skip_confidence, dislike_confidence] {
            if not_negative < 0.0 {
                return Err(refuse(not_negative.to_string()));
            }
        }
        Ok(Self {
            eigenvalues: eigenvalues.to_vec(),
            alpha,
            lambda,
            kappa,
            user_exponent,
            listener_exponent,
            output_exponent,
            certainty_exponent,
            mean_listeners,
            confidence_exponent,
            confidence_mean,
            skip: Opposed { target: skip_target, confidence: skip_confidence },
            dislike: Opposed { target: dislike_target, confidence: dislike_confidence },
            boost,
        })
    }
}
