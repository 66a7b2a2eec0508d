//! How music is written down.
//!
//! What people have of their music comes in many shapes: a track file of one of a
//! dozen public data sets, an export of a player, a listening history of one of
//! three services. This crate reads all of them into one form, and knows no
//! database: bytes and texts in, values or a fault that says where out.
//!
//! - [`fold`] and [`song`]: when two spellings name the same song.
//! - [`value`]: numbers, lists, keys and ids as they are delivered.
//! - [`header`]: which column of a file is which column of a track or play.
//! - [`delimited`]: CSV and its relatives, record by record with line numbers.
//! - [`objects`]: JSON arrays and JSON lines, object by object.
//! - [`history`]: the plays of a listening history.
//! - [`moment`]: points in time as histories write them.
//! - [`appearance`]: what bytes look like that are none of this.

pub mod appearance;
pub mod delimited;
pub mod fold;
pub mod header;
pub mod history;
pub mod moment;
pub mod objects;
pub mod song;
pub mod value;
