//! Learning from plays, without a database.
//!
//! Plays of users ([`Interactions`]) become factors of tracks ([`Model`]), a
//! sparse term of neighbours ([`neighbours`]) and vectors for tracks that nobody
//! has played ([`cold`]); what cannot be known beforehand is chosen on a cut of
//! the plays themselves ([`Cut`]), and lists are measured with [`metrics`].
//! [`FoldIn`] answers for a user: training and serving solve the same system.
//!
//! Nothing here does I/O or reads a clock. The same seed gives the same bits for
//! any number of threads; the caller's thread is the only one that calls the
//! [`Interrupt`](sparkify_core::Interrupt).

mod choose;
pub mod cold;
mod cut;
mod dense;
pub mod evaluate;
mod factors;
mod fold_in;
mod history;
mod interactions;
pub mod listener;
pub mod metrics;
mod model;
pub mod neighbours;
mod solve;
mod start;
mod state;
mod targets;

pub use choose::Trial;
pub use cut::Cut;
pub use factors::FactorOptions;
pub use fold_in::{Entry, FoldIn, Opposed};
pub use history::Histories;
pub use interactions::{Interactions, Play};
pub use model::{Model, Options, train};
pub use neighbours::{Additions, NeighbourOptions, Neighbours};
pub use sparkify_core::listening::Signal;
pub use state::State;
pub use targets::TargetOptions;
