//! What can go wrong in the mathematics.

use std::fmt;

/// The result of a computation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a computation was refused. Messages are lowercase, without a full stop,
/// and carry the value that was wrong.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// An argument lies outside its range.
    OutOfRange {
        /// The argument's name, as the caller knows it.
        name: &'static str,
        /// What was given.
        value: String,
        /// The accepted range, to be read after "must be".
        expected: String,
    },
    /// There is less input than the computation needs.
    TooFew {
        /// What there is too little of, in the plural.
        what: &'static str,
        /// How many there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// More dimensions were asked for than the features span.
    AboveRank {
        /// Dimensions asked for.
        dims: usize,
        /// Features that vary.
        features: usize,
        /// Rank of the feature matrix: the largest `dims` that is possible.
        rank: usize,
    },
    /// Memory could not be had.
    OutOfMemory {
        /// What it was for.
        what: &'static str,
        /// How much was asked for.
        bytes: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::OutOfRange { name, value, expected } => {
                write!(f, "{name} must be {expected}, not {value}")
            }
            Error::TooFew { what, have, need } => {
                write!(f, "at least {need} {what} are needed, not {have}")
            }
            Error::AboveRank { dims, features, .. } => {
                write!(f, "cannot keep {dims} dimensions of {features} features")
            }
            Error::OutOfMemory { what, bytes } => {
                write!(f, "cannot allocate {bytes} bytes for {what}")
            }
        }
    }
}

impl std::error::Error for Error {}
