//! The only code that talks to tables.

pub mod bulk;
pub mod spi;
