//! The mathematics of Sparkify, without a database.
//!
//! Nothing here does I/O, reads a clock or keeps global state. Slices and
//! `ndarray` views go in; values or an [`Error`] come out. A random process
//! takes its seed as an argument and gives the same answer on every machine
//! and for any number of threads.
//!
//! Work that can take longer than a few milliseconds takes an [`Interrupt`],
//! calls it at least every few milliseconds from the calling thread only, and
//! must be safe to unwind out of: inside a server the call raises when the
//! statement was cancelled.

pub mod catalogue;
mod eigen;
pub mod embedding;
pub mod error;
pub mod explore;
pub mod listening;
pub mod memory;
pub mod plays;
pub mod popularity;
pub mod rank;
pub mod signals;
pub mod simulate;
pub mod sorting;
pub mod taste;
pub mod workers;

pub use error::{Error, Result};

/// A check that a long computation makes now and then. It may unwind.
pub type Interrupt<'a> = &'a dyn Fn();
