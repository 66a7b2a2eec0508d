//! Which tracks are versions of one song.
//!
//! One recording is sold under many ids and spellings. A song is a folded title
//! (see [`crate::fold`]) without the marks of its edition, and its folded artists
//! in any order, each once.
//!
//! **Marks** are taken from the end of a title, one after the other, where they
//! stand in brackets or behind a dash with blanks around it, and only where
//! something is left. Several of them may be joined by `/`, `;`, `,`, `|` or a dash.
//! These are marks, since they name the same recording:
//!
//! - a remaster: `remaster`, `remastered`, `remasterizado` and their like, with a
//!   year and the words `digital`, `digitally`, `24-bit`, `version`, `edition`;
//! - a release: `radio edit`, `radio version`, `single version`, `single edit`,
//!   `album version`, `original version`, `original mix`, `original`, `edit`,
//!   `bonus track`, `bonus`, `explicit`, `clean` (also with `version`);
//! - the sound: `mono`, `stereo` (also with `version` or `mix`), `mixed`;
//! - guests: `feat. …`, `ft. …`, `featuring …`, and `with …` where who follows is
//!   one of the track's artists;
//! - where it was heard: `from "…"`, also with `soundtrack` and the like behind it.
//!
//! Live, acoustic, remix, instrumental, demo, extended, sped up, re-recorded and
//! all else are other recordings, and stay.
//!
//! The key is the 128-bit XXH3 hash of the pieces, every piece preceded by its
//! length in bytes (`u64`, little endian), so that no text can stand for two
//! pieces. Among a billion songs the chance of any two sharing a key is below 2⁻⁶⁸.

use xxhash_rust::xxh3::xxh3_128;

use crate::fold::fold;

/// The key shared by all versions of a song.
pub fn song_key<'a>(name: &str, artists: impl IntoIterator<Item = &'a str>) -> u128 {
    let mut artists: Vec<String> = artists.into_iter().map(fold).collect();
    artists.sort_unstable();
    artists.dedup();
    let folded = fold(name);
    let title = title(&folded, &artists);
    let mut pieces = Vec::with_capacity(128);
    push_piece(&mut pieces, title);
    for artist in &artists {
        push_piece(&mut pieces, artist);
    }
    xxh3_128(&pieces)
}

/// What a play that names no id is looked up by: its title and one artist.
#[must_use]
pub fn name_key(name: &str, artist: &str) -> u128 {
    let artist = [fold(artist)];
    let folded = fold(name);
    folded_name_key(title(&folded, &artist), &artist[0])
}

/// [`name_key`] of a track for each of its artists: the first is the primary one's.
pub fn name_keys<'a>(
    name: &str,
    artists: impl IntoIterator<Item = &'a str>,
) -> impl Iterator<Item = u128> {
    let artists: Vec<String> = artists.into_iter().map(fold).collect();
    let folded = fold(name);
    let short = title(&folded, &artists);
    let mut keys: Vec<u128> = artists.iter().map(|artist| folded_name_key(short, artist)).collect();
    // A play that names one artist cannot know "with …" for a mark of another.
    for artist in &artists {
        let known = title(&folded, std::slice::from_ref(artist));
        if known != short {
            keys.push(folded_name_key(known, artist));
        }
    }
    keys.into_iter()
}

fn folded_name_key(title: &str, artist: &str) -> u128 {
    let mut pieces = Vec::with_capacity(96);
    push_piece(&mut pieces, title);
    push_piece(&mut pieces, artist);
    xxh3_128(&pieces)
}

/// The artists that a credit may mean, the whole of it first: histories credit
/// guests in one text, catalogues in a list.
pub fn credited(artist: &str) -> impl Iterator<Item = &str> {
    const DIVIDERS: [&str; 13] = [
        " feat. ",
        " feat ",
        " ft. ",
        " ft ",
        " featuring ",
        " (feat. ",
        " (ft. ",
        "; ",
        ";",
        ", ",
        " & ",
        " x ",
        " / ",
    ];
    let whole = artist.trim();
    DIVIDERS
        .into_iter()
        .filter_map(move |divider| {
            let at = find_ignoring_case(whole, divider)?;
            Some(whole[..at].trim()).filter(|first| !first.is_empty())
        })
        .fold(vec![whole], |mut seen, first| {
            if !seen.contains(&first) {
                seen.push(first);
            }
            seen
        })
        .into_iter()
}

fn find_ignoring_case(text: &str, ascii: &str) -> Option<usize> {
    let wanted = ascii.as_bytes();
    // What is found begins with an ASCII byte, which no other character holds.
    text.as_bytes().windows(wanted.len()).position(|part| part.eq_ignore_ascii_case(wanted))
}

/// A folded name without the marks of its edition; `artists` are folded, too.
fn title<'a>(folded: &'a str, artists: &[String]) -> &'a str {
    let mut title = folded;
    while let Some((rest, mark)) = split_mark(title) {
        if rest.is_empty() || !is_mark(mark, artists) {
            break;
        }
        title = rest;
    }
    title
}

/// What stands in brackets at the end or behind the last dash, and what stands before.
fn split_mark(title: &str) -> Option<(&str, &str)> {
    for (open, close) in [('(', ')'), ('[', ']')] {
        if let Some(inside) = title.strip_suffix(close) {
            // The bracket that the last one closes: there may be others between.
            let mut depth = 1;
            for (at, character) in inside.char_indices().rev() {
                depth += i32::from(character == close) - i32::from(character == open);
                if depth == 0 {
                    return Some((inside[..at].trim_end(), inside[at + 1..].trim()));
                }
            }
            return None;
        }
    }
    let at = title.rfind(" - ")?;
    // A mark may hold a dash itself: "2015 - remaster".
    let (rest, mark) = (&title[..at], &title[at + 3..]);
    match rest.rfind(" - ") {
        Some(before) if is_year(&rest[before + 3..]) && is_remaster(mark) => {
            Some((rest[..before].trim_end(), mark.trim()))
        }
        _ => Some((rest.trim_end(), mark.trim())),
    }
}

fn is_mark(mark: &str, artists: &[String]) -> bool {
    if is_guests(mark, artists) || is_source(mark) {
        return true;
    }
    let mut parts = mark.split(['/', ';', ',', '|']).flat_map(|part| part.split(" - "));
    let mut any = false;
    let all = parts.all(|part| {
        let part = part.trim();
        let remaster = is_remaster(part);
        any |= remaster || is_release(part);
        // A year beside a mark: "2015 - remaster", "mono / 1967".
        remaster || is_release(part) || is_year(part)
    });
    all && any
}

fn is_year(word: &str) -> bool {
    matches!(word.len(), 2 | 4) && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_remaster(mark: &str) -> bool {
    let mut found = false;
    let known = mark.split(' ').all(|word| {
        let remaster = matches!(
            word,
            "remaster"
                | "remastered"
                | "remasterd"
                | "remasterizado"
                | "remasterizada"
                | "remasterisé"
                | "remasterisée"
                | "remasterizzato"
                | "remasterizzata"
                | "remasteringu"
        );
        found |= remaster;
        remaster
            || is_year(word)
            || matches!(
                word,
                "digital"
                    | "digitally"
                    | "24-bit"
                    | "24"
                    | "bit"
                    | "hi-res"
                    | "original"
                    | "version"
                    | "versión"
                    | "versão"
                    | "edition"
                    | "single"
                    | "album"
                    | "mono"
                    | "stereo"
                    | "in"
                    | "the"
                    | "en"
            )
    });
    found && known
}

fn is_release(mark: &str) -> bool {
    matches!(
        mark,
        "radio edit"
            | "radio version"
            | "single version"
            | "single edit"
            | "album version"
            | "lp version"
            | "original version"
            | "original mix"
            | "original"
            | "edit"
            | "bonus track"
            | "bonus"
            | "explicit"
            | "explicit version"
            | "clean"
            | "clean version"
            | "mono"
            | "stereo"
            | "mono version"
            | "stereo version"
            | "mono mix"
            | "stereo mix"
            | "mixed"
            | "single version mono"
            | "mono single version"
            | "album version mono"
            | "mono album version"
    )
}

fn is_guests(mark: &str, artists: &[String]) -> bool {
    let guests = ["feat. ", "feat ", "ft. ", "ft ", "featuring "];
    if guests.iter().any(|word| mark.strip_prefix(word).is_some_and(|who| !who.is_empty())) {
        return true;
    }
    mark.strip_prefix("with ").is_some_and(|who| {
        let first = who.split([',', '&']).next().unwrap_or(who).trim();
        artists.iter().any(|artist| artist == who || artist == first)
    })
}

/// `from "…"`, perhaps with what kind of thing it was.
fn is_source(mark: &str) -> bool {
    let Some(rest) = mark.strip_prefix("from ") else { return false };
    let rest = rest.strip_prefix("the ").unwrap_or(rest);
    for quote in ["\"", "''", "'"] {
        if let Some(inside) = rest.strip_prefix(quote)
            && let Some(end) = inside.rfind(quote)
            && end > 0
        {
            let kind = inside[end + quote.len()..].trim_start_matches(['/', ' ', '-']);
            return matches!(
                kind,
                "" | "soundtrack"
                    | "soundtrack version"
                    | "score"
                    | "original soundtrack"
                    | "motion picture soundtrack"
            );
        }
    }
    false
}

fn push_piece(pieces: &mut Vec<u8>, text: &str) {
    pieces.extend_from_slice(&(text.len() as u64).to_le_bytes());
    pieces.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{credited, name_key, name_keys, song_key};

    fn same(one: &str, other: &str) -> bool {
        song_key(one, ["Q", "Guest"]) == song_key(other, ["Q", "Guest"])
    }

    #[test]
    fn spelling_and_order_do_not_matter() {
        let key = song_key("Hello", ["Adele", "Björk"]);
        assert_eq!(key, song_key("  hELLO\t", ["Bjo\u{308}rk", "ADELE ", "adele"]));
        assert!(same("Don't  Go", "don\u{2019}t go "));
        assert_ne!(key, song_key("Hello", ["Adele"]));
    }

    #[test]
    fn marks_of_an_edition_are_no_part_of_the_title() {
        for name in [
            "Go - Remastered 2011",
            "Go - 2011 Remaster",
            "Go (Remastered)",
            "Go [2011 - Remaster]",
            "Go - 2015 - Remaster",
            "Go - Mono / 2011 Remaster",
            "Go - Digitally Remastered 1998",
            "Go - 24-Bit Digitally Remastered 04",
            "Go - Remasterizado 2009",
            "Go - Versión Remasterizada",
            "Go - 2009 Digital Remaster",
            "Go \u{2013} Radio Edit",
            "Go (Radio Edit)",
            "Go - Single Version / Mono",
            "Go (feat. Someone)",
            "Go - feat. Someone",
            "Go [ft. Someone]",
            "Go (Feat. A & B) - Radio Edit",
            "Go (feat. A (of B))",
            "Go (with Guest)",
            "Go - Original Mix",
            "Go - Edit",
            "Go - Mono",
            "Go (Bonus Track)",
            "Go - From \"Film\"",
            "Go (From \u{201c}Film\u{201d})",
            "Go - From \"Film\"/Soundtrack Version",
            "Go - Album Version (Explicit)",
        ] {
            assert!(same("Go", name), "{name}");
        }
    }

    #[test]
    fn other_recordings_stay_others() {
        for name in [
            "Go - Live",
            "Go (Live)",
            "Go (Acoustic)",
            "Go - Remix",
            "Go - Kygo Remix",
            "Go (Instrumental)",
            "Go - Live / Remastered",
            "Go (Live 2011 Remaster)",
            "Go - Extended Mix",
            "Go (Demo)",
            "Go - 2011",
            "Go (Stay)",
            "Go (with you)",
            "Go - Sped Up",
            "Go, Pt. 2",
            "Go (Taylor's Version)",
            "Go-Mono",
            "Going",
            "Go Remastered",
            "Go - feat.",
            "Go - From the Heart",
            "Go (From Here)",
            "Go - Radio",
            "Go (Part 2)",
        ] {
            assert!(!same("Go", name), "{name}");
        }
        // A mark that is the whole name is the name.
        for name in ["Mono", "(Remastered)", "[feat. Somebody]", "- Live"] {
            assert!(!same("", name), "{name}");
        }
        assert!(!same("Mono", "Stereo"));
    }

    #[test]
    fn pieces_cannot_run_into_each_other() {
        let keys = [
            song_key("a", ["b", "c"]),
            song_key("a", ["bc"]),
            song_key("ab", ["c"]),
            song_key("abc", []),
            song_key("a", ["b", "c", ""]),
            song_key("a b", ["c"]),
            song_key("", []),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "key {i} is not unique");
        }
    }

    #[test]
    fn a_play_finds_its_track_by_any_artist() {
        let keys: Vec<u128> =
            name_keys("Snow - 2009 Remaster", ["Dee & the Dots", "Iva Jol"]).collect();
        assert_eq!(keys, [name_key("snow", "DEE & THE DOTS"), name_key("Snow (Mono)", "Iva Jol")]);
        let with: Vec<u128> = name_keys("Low (with Ben)", ["Ada", "Ben"]).collect();
        for (name, artist) in [("Low", "Ada"), ("Low (with Ben)", "Ada"), ("Low", "Ben")] {
            assert!(with.contains(&name_key(name, artist)), "{name} {artist}");
        }
        assert!(credited("Dee & the Dots feat. Iva Jol").any(|one| one == "Dee & the Dots"));
        let all: Vec<&str> = credited("Ada FEAT. Ben").collect();
        assert_eq!(all, ["Ada FEAT. Ben", "Ada"]);
        assert_eq!(credited(" Ada ").collect::<Vec<_>>(), ["Ada"]);
        assert_eq!(credited("İ & B").collect::<Vec<_>>(), ["İ & B", "İ"]);
    }

    // The key is stored in tables and dumps: it must never change. The bytes
    // hashed are 05 00 00 00 00 00 00 00 "hello" 05 00 00 00 00 00 00 00 "adele",
    // and the value is the one of another implementation (Python's xxhash).
    #[test]
    fn stays_the_same_for_ever() {
        assert_eq!(song_key("Hello", ["Adele"]), 0xd987_2b72_cbf9_c41c_1f35_165e_a9bd_a8ac);
    }

    proptest! {
        #[test]
        fn any_text_has_a_key(name in "\\PC{0,20}|[()\\[\\] a-z./-]{0,20}", artist in "\\PC{0,10}") {
            let key = song_key(&name, [artist.as_str()]);
            prop_assert_eq!(key, song_key(&format!(" {name}  "), [artist.as_str(), artist.as_str()]));
        }
    }
}
