//! The only code that talks to tables.

pub mod bulk;
pub mod catalogue;
pub mod columns;
pub mod spi;
pub mod track_file;
