//! SQL-callable functions, a module per capability: check, load, compute, store.

mod catalogue;
mod embeddings;
mod explore;
mod listener;
mod plays;
mod progress;
mod recommend;
mod refresh;
mod simulation;
mod validate;

pub use embeddings::DEFAULT_HALF_LIFE_DAYS;

/// The check that long computations make: raises where the statement was cancelled.
pub fn interrupt() {
    pgrx::check_for_interrupts!();
}
