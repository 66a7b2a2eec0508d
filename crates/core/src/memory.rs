//! Collections that grow with data, and say so where there is no room.
//!
//! An allocation that cannot be had ends the process, and with it a whole server, unless it is
//! asked for like this.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::{Error, Result};

fn short<T>(what: &'static str, count: usize) -> Error {
    Error::OutOfMemory { what, bytes: count.saturating_mul(size_of::<T>()) }
}

/// Makes room for `more` entries.
///
/// # Errors
/// [`Error::OutOfMemory`], as all of this module.
pub fn reserve<T>(vec: &mut Vec<T>, more: usize, what: &'static str) -> Result<()> {
    let count = vec.len().saturating_add(more);
    vec.try_reserve(more).map_err(|_| short::<T>(what, count))
}

/// Room for `more` bytes of text.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub fn reserve_text(text: &mut String, more: usize, what: &'static str) -> Result<()> {
    let count = text.len().saturating_add(more);
    text.try_reserve(more).map_err(|_| short::<u8>(what, count))
}

/// Adds an entry.
#[inline]
pub fn push<T>(vec: &mut Vec<T>, value: T, what: &'static str) -> Result<()> {
    if vec.len() == vec.capacity() {
        reserve(vec, 1, what)?;
    }
    vec.push(value);
    Ok(())
}

/// Adds to a text.
#[inline]
pub fn append(text: &mut String, more: &str, what: &'static str) -> Result<()> {
    let bytes = text.len().saturating_add(more.len());
    text.try_reserve(more.len()).map_err(|_| short::<u8>(what, bytes))?;
    text.push_str(more);
    Ok(())
}

/// `len` times the same value.
pub fn filled<T: Clone>(value: T, len: usize, what: &'static str) -> Result<Vec<T>> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(len).map_err(|_| short::<T>(what, len))?;
    vec.resize(len, value);
    Ok(vec)
}

/// Everything that an iterator gives.
pub fn collected<T>(values: impl IntoIterator<Item = T>, what: &'static str) -> Result<Vec<T>> {
    let values = values.into_iter();
    let mut vec = Vec::new();
    let count = values.size_hint().0;
    vec.try_reserve_exact(count).map_err(|_| short::<T>(what, count))?;
    for value in values {
        push(&mut vec, value, what)?;
    }
    Ok(vec)
}

/// Adds to a set; whether it is new there.
#[inline]
pub fn add<T: Eq + Hash>(set: &mut HashSet<T>, value: T, what: &'static str) -> Result<bool> {
    if set.len() == set.capacity() {
        let count = set.len() + 1;
        set.try_reserve(1).map_err(|_| short::<T>(what, count))?;
    }
    Ok(set.insert(value))
}

/// Makes room in a map for another entry.
#[inline]
pub fn reserve_in<K: Eq + Hash, V>(map: &mut HashMap<K, V>, what: &'static str) -> Result<()> {
    if map.len() == map.capacity() {
        let count = map.len() + 1;
        map.try_reserve(1).map_err(|_| short::<(K, V)>(what, count))?;
    }
    Ok(())
}

/// A copy of a text.
pub fn owned(text: &str, what: &'static str) -> Result<String> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(|_| short::<u8>(what, text.len()))?;
    copy.push_str(text);
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_an_error_with_its_size() {
        let bytes = usize::MAX;
        let refused = Error::OutOfMemory { what: "plays", bytes };
        assert_eq!(filled(0u64, usize::MAX, "plays"), Err(refused.clone()));
        assert_eq!(reserve(&mut vec![0u16], usize::MAX, "plays"), Err(refused.clone()));
        // What an iterator promises is believed.
        let endless = std::iter::repeat_n(0u64, usize::MAX);
        assert_eq!(collected(endless, "plays"), Err(refused));
    }

    #[test]
    fn what_can_be_had_is_there() {
        assert_eq!(filled(3u8, 2, "x"), Ok(vec![3, 3]));
        assert_eq!(collected((0..5).filter(|i| i % 2 == 0), "x"), Ok(vec![0, 2, 4]));
        let mut set = HashSet::new();
        assert_eq!((add(&mut set, 1, "x"), add(&mut set, 1, "x")), (Ok(true), Ok(false)));
        assert_eq!(owned("naïve", "x").as_deref(), Ok("naïve"));
    }
}
