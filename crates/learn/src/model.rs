//! A model from plays, all of it.

use faer::MatRef;
use sparkify_core::embedding::Features;
use sparkify_core::{Error, Interrupt, Result};

use crate::choose::{Grid, Trial, Validation};
use crate::cold::ColdMap;
use crate::cut::Cut;
use crate::dense::Tall;
use crate::factors::{FactorOptions, Factors};
use crate::neighbours::{NeighbourOptions, Neighbours};
use crate::start::Start;
use crate::targets::{TargetOptions, Targets};
use crate::{FoldIn, Interactions, State};

/// How a model is trained. What is `None` is chosen from the plays.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Dimensions; fewer where the plays span fewer.
    pub dims: usize,
    /// The factorisation. Its ridge is what a choice starts from.
    pub factors: FactorOptions,
    /// The ridge, in units of the start's last singular value.
    pub ridge: Option<f64>,
    /// Targets and confidences.
    pub targets: TargetOptions,
    /// Exponent f: what is scored is the factors times `listeners^(b·f)`.
    pub output_exponent: Option<f64>,
    /// Exponent g of the listeners in a play's confidence when a user is folded in.
    pub certainty_exponent: f64,
    /// Weight of the neighbours beside the factors.
    pub neighbour_weight: Option<f64>,
    /// How neighbours are found.
    pub neighbours: NeighbourOptions,
    /// What the vectors of tracks without listeners are multiplied by.
    pub boost: f64,
    /// Users that a choice is made on, at most.
    pub validation_users: usize,
    /// Length of the lists that a choice is made on.
    pub k: usize,
    /// Of all that is drawn by chance.
    pub seed: u64,
    /// Threads; the result is the same for any number.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dims: 128,
            factors: FactorOptions::default(),
            ridge: None,
            targets: TargetOptions::default(),
            output_exponent: None,
            certainty_exponent: 0.25,
            neighbour_weight: None,
            neighbours: NeighbourOptions::default(),
            boost: 1.5,
            validation_users: 2000,
            k: 20,
            seed: 42,
            threads: 1,
        }
    }
}

/// Users of whom something must be held out for a choice to say anything.
const FEWEST_USERS: usize = 20;

/// Steps of the factorisation for a choice.
const CHOICE_ITERATIONS: usize = 2;

const RIDGES: [f64; 3] = [0.4, 0.1, 0.6];
const OUTPUT_EXPONENTS: [f64; 7] = [0.5, 0.25, 0.75, 0.0, 1.0, 1.5, 2.0];
const NEIGHBOUR_WEIGHTS: [f64; 10] = [0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 4.0];

/// A trained model.
pub struct Model {
    /// What is stored once for the model.
    pub state: State,
    /// What is scored: `(tracks, dims)` in rows.
    pub outputs: Vec<f32>,
    /// Distinct listeners of each track.
    pub listeners: Vec<u32>,
    /// Empty where their weight is 0.
    pub neighbours: Neighbours,
    /// From content to vectors, where content was given.
    pub cold: Option<ColdMap>,
    /// The ridge, in units of the start's last singular value.
    pub ridge: f64,
    /// What was tried, the chosen one first; empty where nothing was to be
    /// chosen or too few users had plays enough.
    pub trials: Vec<Trial>,
}

/// Trains a model: on plays alone, or with `content` for the tracks without them.
///
/// # Errors
/// [`Error::TooFew`] without a play, [`Error::OutOfRange`] for an option outside
/// its range, [`Error::OutOfMemory`].
pub fn train(
    data: &Interactions,
    content: Option<&Features>,
    options: &Options,
    interrupt: Interrupt,
) -> Result<Model> {
    check(options)?;
    let mut options = options.clone();
    let trials = choose(data, &mut options, interrupt)?;
    let targets = Targets::new(data, &options.targets, interrupt)?;
    if targets.plays == 0 {
        return Err(Error::TooFew { what: "plays", have: 0, need: 1 });
    }
    let start = Start::new(&targets, options.dims, options.seed, options.threads, interrupt)?;
    let factors = Factors::train(&targets, &start, &options.factors, options.threads, interrupt)?;
    drop(start);
    let output_exponent = options.output_exponent.unwrap_or(OUTPUT_EXPONENTS[0]);
    let fold_in = fold_in(&targets, &factors, output_exponent, &options);
    let listeners = targets.listeners;
    drop((targets.by_user, targets.by_track));
    let dims = factors.dims();
    let mut outputs = factors.tracks;
    for (row, &heard) in outputs.values.chunks_exact_mut(dims).zip(&listeners) {
        let scale = if heard > 0 { fold_in.scale_to_output(heard) } else { 0.0 };
        row.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
    }
    let cold = match content {
        Some(features) => {
            let map =
                ColdMap::fit(features, &listeners, dims, |track| outputs.row(track), interrupt)?;
            for track in (0..listeners.len()).filter(|&track| listeners[track] == 0) {
                let vector = map.vector(features, track, options.boost);
                outputs.values[track * dims..(track + 1) * dims].copy_from_slice(&vector);
            }
            Some(map)
        }
        None => None,
    };
    let neighbour_weight = options.neighbour_weight.unwrap_or(0.0);
    let neighbours = if neighbour_weight > 0.0 {
        Neighbours::find(data, &options.neighbours, options.threads, interrupt)?
    } else {
        Neighbours::none(data.tracks())?
    };
    let output_gram = output_gram(&outputs, options.threads, interrupt);
    Ok(Model {
        state: State { fold_in, output_gram, neighbour_weight },
        outputs: outputs.values,
        listeners,
        neighbours,
        cold,
        ridge: options.factors.ridge,
        trials,
    })
}

fn output_gram(outputs: &Tall, threads: usize, interrupt: Interrupt) -> Vec<f64> {
    let gram = outputs.gram(threads, interrupt);
    let rows = outputs.rows().max(1) as f64;
    let gram: MatRef<f64> = gram.as_ref();
    (0..outputs.dims).flat_map(|i| (0..outputs.dims).map(move |j| gram[(i, j)] / rows)).collect()
}

fn fold_in(
    targets: &Targets,
    factors: &Factors,
    output_exponent: f64,
    options: &Options,
) -> FoldIn {
    FoldIn {
        eigenvalues: factors.eigenvalues.clone(),
        alpha: options.factors.alpha,
        lambda: factors.lambda,
        kappa: targets.kappa,
        user_exponent: options.targets.user_exponent,
        listener_exponent: options.targets.listener_exponent,
        output_exponent,
        certainty_exponent: options.certainty_exponent,
        mean_listeners: targets.mean_listeners,
        confidence_exponent: options.targets.confidence_exponent,
        confidence_mean: targets.confidence_mean,
        skip: options.targets.skip,
        dislike: options.targets.dislike,
        boost: options.boost,
    }
}

/// Puts what the plays choose into the options; what was tried, the best first.
fn choose(data: &Interactions, options: &mut Options, interrupt: Interrupt) -> Result<Vec<Trial>> {
    let fixed = (options.ridge, options.output_exponent, options.neighbour_weight);
    if let Some(ridge) = options.ridge {
        options.factors.ridge = ridge;
    }
    if let (Some(_), Some(_), Some(_)) = fixed {
        return Ok(Vec::new());
    }
    let cut = Cut::last_fifth(data, options.seed, interrupt)?;
    let users = cut.users(options.validation_users);
    if users.len() < FEWEST_USERS {
        return Ok(Vec::new());
    }
    let ridges = options.ridge.map_or(RIDGES.to_vec(), |ridge| vec![ridge]);
    let output_exponents = options.output_exponent.map_or(OUTPUT_EXPONENTS.to_vec(), |f| vec![f]);
    let neighbour_weights =
        options.neighbour_weight.map_or(NEIGHBOUR_WEIGHTS.to_vec(), |w| vec![w]);
    let grid = Grid { output_exponents: &output_exponents, neighbour_weights: &neighbour_weights };
    let targets = Targets::new(&cut.known, &options.targets, interrupt)?;
    let start = Start::new(&targets, options.dims, options.seed, options.threads, interrupt)?;
    let neighbours = if neighbour_weights == [0.0] {
        Neighbours::none(data.tracks())?
    } else {
        Neighbours::find(&cut.known, &options.neighbours, options.threads, interrupt)?
    };
    let mut tried = Vec::new();
    for ridge in ridges {
        options.factors.ridge = ridge;
        // What is best shows after a few steps.
        let iterations = options.factors.iterations.min(CHOICE_ITERATIONS);
        let trial = FactorOptions { iterations, ..options.factors.clone() };
        let factors = Factors::train(&targets, &start, &trial, options.threads, interrupt)?;
        // Factors as they are: f comes in when they are scored.
        let fold_in = fold_in(&targets, &factors, 0.0, options);
        let validation = Validation {
            cut: &cut,
            users: &users,
            listeners: &targets.listeners,
            factors: &factors,
            fold_in: &fold_in,
            neighbours: &neighbours,
        };
        tried.extend(validation.trials(&grid, options, interrupt)?);
    }
    // Of equal ones the first tried stays first.
    tried.sort_by(|a: &Trial, b| b.ndcg.value().total_cmp(&a.ndcg.value()));
    if let Some(best) = tried.first() {
        options.factors.ridge = best.ridge;
        options.output_exponent = Some(best.output_exponent);
        options.neighbour_weight = Some(best.neighbour_weight);
    }
    Ok(tried)
}

fn check(options: &Options) -> Result<()> {
    let refuse = |name, value: f64, expected: &str| {
        Err(Error::OutOfRange { name, value: value.to_string(), expected: expected.into() })
    };
    let whole = [
        ("dims", options.dims, 1),
        ("iterations", options.factors.iterations, 1),
        ("k", options.k, 1),
    ];
    for (name, value, least) in whole {
        if value < least {
            return refuse(name, value as f64, "at least 1");
        }
    }
    let (t, n) = (&options.targets, &options.neighbours);
    let positive = [
        ("ridge", options.ridge.unwrap_or(1.0)),
        ("ridge", options.factors.ridge),
        ("boost", options.boost),
    ];
    for (name, value) in positive {
        if !(value.is_finite() && value > 0.0) {
            return refuse(name, value, "finite and above 0");
        }
    }
    let not_negative = [
        ("alpha", options.factors.alpha),
        ("neighbour_weight", options.neighbour_weight.unwrap_or(0.0)),
        ("neighbour_ridge", n.ridge),
        ("skip_confidence", t.skip.confidence),
        ("dislike_confidence", t.dislike.confidence),
    ];
    for (name, value) in not_negative {
        if !(value.is_finite() && value >= 0.0) {
            return refuse(name, value, "finite and not negative");
        }
    }
    let exponents = [
        ("user_exponent", t.user_exponent),
        ("listener_exponent", t.listener_exponent),
        ("confidence_exponent", t.confidence_exponent),
        ("output_exponent", options.output_exponent.unwrap_or(0.0)),
        ("certainty_exponent", options.certainty_exponent),
        ("neighbour_user_exponent", n.user_exponent),
        ("neighbour_source_exponent", n.source_exponent),
        ("neighbour_target_exponent", n.target_exponent),
    ];
    for (name, value) in exponents {
        if !(0.0..=2.0).contains(&value) {
            return refuse(name, value, "between 0 and 2");
        }
    }
    for (name, value) in [("skip_target", t.skip.target), ("dislike_target", t.dislike.target)] {
        if !(-10.0..=0.0).contains(&value) {
            return refuse(name, value, "between -10 and 0");
        }
    }
    Ok(())
}
