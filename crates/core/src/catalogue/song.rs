//! Which tracks are versions of one song.
//!
//! A song is a name and its artists in the order in which they are credited,
//! each trimmed and in Unicode lower case. The key is the 128-bit XXH3 hash of
//! these pieces, every piece preceded by its length in bytes (`u64`, little
//! endian), so that no text can stand for two pieces. Among a billion songs
//! the chance of any two sharing a key is below 2⁻⁶⁸.
//!
//! The order counts because it is what the real catalogue needs: versions of a
//! song credit the same artists alike, and "A featuring B" is not the song of
//! "B featuring A".

use xxhash_rust::xxh3::xxh3_128;

use crate::{Result, memory};

/// The key shared by all versions of a song: equal for names and artists that
/// differ only in letter case and surrounding white space.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] for texts that are too long.
pub fn song_key<'a>(name: &str, artists: impl IntoIterator<Item = &'a str>) -> Result<u128> {
    let mut pieces = Vec::with_capacity(128);
    push_piece(&mut pieces, name)?;
    for artist in artists {
        push_piece(&mut pieces, artist)?;
    }
    Ok(xxh3_128(&pieces))
}

fn push_piece(pieces: &mut Vec<u8>, text: &str) -> Result<()> {
    let text = text.trim();
    let at = pieces.len();
    // A letter takes at most three times as many bytes in lower case.
    let most = if text.is_ascii() { text.len() } else { text.len().saturating_mul(3) };
    memory::reserve(pieces, most.saturating_add(8), "the key of a song")?;
    pieces.extend_from_slice(&[0; 8]);
    if text.is_ascii() {
        pieces.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
    } else {
        // What the standard library's conversion will ask for can be had.
        drop(memory::filled(0u8, most.saturating_mul(2), "the key of a song")?);
        pieces.extend_from_slice(text.to_lowercase().as_bytes());
    }
    let length = (pieces.len() - at - 8) as u64;
    pieces[at..at + 8].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::song_key;

    #[test]
    fn case_and_surrounding_space_do_not_matter() {
        let key = song_key("Hello", ["Adele", "Björk"]).unwrap();
        assert_eq!(key, song_key("  hELLO\t", ["ADELE ", " BJÖRK"]).unwrap());
        assert_eq!(song_key("ΟΔΟΣ", ["Ä"]).unwrap(), song_key("οδος", ["ä"]).unwrap());
    }

    #[test]
    fn pieces_cannot_run_into_each_other() {
        let keys = [
            song_key("a", ["b", "c"]).unwrap(),
            song_key("a", ["bc"]).unwrap(),
            song_key("ab", ["c"]).unwrap(),
            song_key("abc", []).unwrap(),
            song_key("a", ["c", "b"]).unwrap(),
            song_key("a", ["b", "c", ""]).unwrap(),
            song_key("a b", ["c"]).unwrap(),
            song_key("", []).unwrap(),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "key {i} is not unique");
        }
    }

    // The key is stored in tables and dumps: it must never change. The bytes
    // hashed are 05 00 00 00 00 00 00 00 "hello" 05 00 00 00 00 00 00 00 "adele",
    // and the value is the one of another implementation (Python's xxhash).
    #[test]
    fn stays_the_same_for_ever() {
        assert_eq!(
            song_key("Hello", ["Adele"]).unwrap(),
            0xd987_2b72_cbf9_c41c_1f35_165e_a9bd_a8ac
        );
    }
}
