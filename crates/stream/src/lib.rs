//! Plays from a topic, without a database.
//!
//! [`mapping`] says what a message means as a play, [`position`] where a consumer
//! of a partition stands and goes on, [`properties`] how a broker is reached, and
//! [`kafka`] reads a topic.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod mapping;
pub mod position;
pub mod properties;
