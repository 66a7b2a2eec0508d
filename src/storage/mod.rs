//! The only code that talks to tables.

pub mod bulk;
pub mod catalogue;
pub mod catalogue_index;
pub mod charts;
pub mod checks;
pub mod columns;
pub mod directory;
pub mod embedding_source;
pub mod features;
pub mod genres;
pub mod history;
pub mod history_file;
pub mod json;
pub mod learning;
pub mod listeners;
pub mod models;
mod packing;
pub mod plays;
pub mod serving;
mod shared_image;
pub mod simulation;
pub mod source;
pub mod spi;
pub mod streams;
pub mod track_file;
pub mod track_source;
pub mod turns;
pub mod unmatched;

#[cfg(any(test, feature = "pg_test"))]
mod tests;
