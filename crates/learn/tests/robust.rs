//! What is chosen from the plays holds on plays of other kinds.

use sparkify_learn::evaluate::{Later, Ranker, evaluate};
use sparkify_learn::metrics::Catalogue;
use sparkify_learn::{Interactions, Options, Play, Signal, train};

#[test]
fn where_everybody_plays_the_charts_a_model_lists_the_charts() {
    // Chance alone, weighed by 1 / (rank + 1): nothing beats the number of listeners.
    const TRACKS: usize = 200;
    let mut state = 5u64;
    let mut drawn = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (TRACKS as f64).powf((state >> 11) as f64 / (1u64 << 53) as f64) as u32 - 1
    };
    let (mut known, mut later) = (Interactions::new(TRACKS, true).unwrap(), Vec::new());
    for _ in 0..600 {
        let mut own: Vec<u32> = (0..20).map(|_| drawn()).collect();
        let mut after: Vec<u32> = (0..5).map(|_| drawn()).collect();
        own.sort_unstable();
        own.dedup();
        after.sort_unstable();
        after.dedup();
        after.retain(|track| own.binary_search(track).is_err());
        // All at one moment, as where no times are known.
        let (weight, signal) = (1.0, Signal::Played);
        let at_once = |track| Play { track, weight, signal, first: 0, last: 0 };
        known.push(&mut own.into_iter().map(at_once).collect::<Vec<_>>()).unwrap();
        later.push(after);
    }
    let model = train(&known, None, &Options { dims: 32, ..Options::default() }, &|| ()).unwrap();
    let users: Vec<u32> = (0..600).filter(|&user| !later[user as usize].is_empty()).collect();
    let listeners = known.listeners(&|| ()).unwrap();
    let catalogue = Catalogue { listeners: &listeners, users: 600, vectors: &[], dims: 0 };
    let later = Later { known: &known, users: &users, played: &later };
    let ndcg = |ranker| {
        let [new, _] = evaluate(ranker, later, &catalogue, 20, 2, &|| ()).unwrap();
        new.iter().find(|measure| measure.metric == "ndcg").map_or(f64::NAN, |ndcg| ndcg.value)
    };
    let (model, charts) = (ndcg(Ranker::Model(&model)), ndcg(Ranker::Popularity(&listeners)));
    assert!(model > 0.95 * charts, "{model} is far below {charts}");
}
