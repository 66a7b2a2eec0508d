//! The only code that talks to tables.
