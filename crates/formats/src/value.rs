//! Single values as they are delivered.
//!
//! A value that cannot be read is `None`, and the caller counts it: nothing is
//! guessed. [`present`] says what is missing rather than unreadable.

use std::borrow::Cow;

/// The text without blanks around it, `None` where it says that there is nothing:
/// blank, an empty list, and what pandas, SQL and spreadsheets write for it.
#[must_use]
pub fn present(text: &str) -> Option<&str> {
    let text = text.trim();
    let missing = matches!(
        text,
        "" | "nan"
            | "NaN"
            | "NAN"
            | "None"
            | "NULL"
            | "null"
            | "N/A"
            | "n/a"
            | "#N/A"
            | "<NA>"
            | "[]"
            | "{}"
            | "['']"
            | "[\"\"]"
    );
    (!missing).then_some(text)
}

/// The number in a text: finite, in decimal notation.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Python's, PostgreSQL's, C's and pandas' ways of writing a boolean.
#[must_use]
pub fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match (is(["true", "t", "1", "1.0"]), is(["false", "f", "0", "0.0"])) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// A key of music: its number, or the name of its note (`C#`, `D♭`, `F sharp`).
#[must_use]
pub fn key(text: &str) -> Option<f64> {
    if let Some(number) = number(text) {
        return Some(number);
    }
    let mut rest = text.chars();
    let note = match rest.next()?.to_ascii_uppercase() {
        'C' => 0,
        'D' => 2,
        'E' => 4,
        'F' => 5,
        'G' => 7,
        'A' => 9,
        'B' => 11,
        _ => return None,
    };
    let sign = match rest.as_str().trim().to_ascii_lowercase().as_str() {
        "" => 0,
        "#" | "♯" | "sharp" => 1,
        "b" | "♭" | "flat" => 11,
        // Both names of one key: "C#/Db".
        both if both.contains('/') => {
            let (one, other) = text.split_once('/')?;
            return key(one.trim()).filter(|number| key(other.trim()) == Some(*number));
        }
        _ => return None,
    };
    Some(f64::from((note + sign) % 12))
}

/// A mode: 0 or 1, Minor or Major.
#[must_use]
pub fn mode(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().as_str() {
        "major" => Some(1.0),
        "minor" => Some(0.0),
        _ => number(text),
    }
}

/// A time signature: its number of quarters, or `n/4`.
#[must_use]
pub fn time_signature(text: &str) -> Option<f64> {
    number(text.strip_suffix("/4").unwrap_or(text).trim())
}

/// The id in a reference to a track: the id itself, a Spotify URI or an address of
/// open.spotify.com. `None` for what refers to something else, as local files do.
#[must_use]
pub fn track_id(text: &str) -> Option<&str> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("spotify:") {
        return rest.strip_prefix("track:").filter(|id| !id.is_empty());
    }
    let address = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match address.and_then(|address| address.strip_prefix("open.spotify.com/")) {
        Some(path) => {
            let at = path.find("track/")?;
            let id = path[at + "track/".len()..].split(['?', '#', '/']).next()?;
            (!id.is_empty()).then_some(id)
        }
        None => (!text.is_empty()).then_some(text),
    }
}

/// Whether an id was a number to a spreadsheet, which has rounded it: `1.23457E+21`.
#[must_use]
pub fn is_rounded_number(id: &str) -> bool {
    let Some((mantissa, exponent)) = id.split_once(['E', 'e']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    whole.len() == 1
        && digits(whole)
        && digits(fraction)
        && exponent.strip_prefix('+').is_some_and(digits)
}

/// The texts of a list: a Python list of texts, a JSON array of texts, or texts
/// divided by one of `dividers`; trimmed, none missing.
///
/// What begins like a list and is none is one text: bands are called `[X]`.
#[must_use]
pub fn list<'a>(text: &'a str, dividers: &[char]) -> Vec<Cow<'a, str>> {
    let text = text.trim();
    let mut items =
        literal(text).unwrap_or_else(|| text.split(dividers).map(Cow::Borrowed).collect());
    items.retain_mut(|item| {
        if item.trim().len() != item.len() {
            *item = Cow::Owned(item.trim().to_owned());
        }
        present(item).is_some()
    });
    items
}

/// The quoted texts of `['…', "…"]`, with the escapes that Python and JSON write.
fn literal(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut items = Vec::new();
    let mut rest = inside.trim_start();
    while let Some(quote) = rest.chars().next() {
        if quote != '\'' && quote != '"' {
            return None;
        }
        let (item, after) = quoted(&rest[1..], quote)?;
        items.push(Cow::Owned(item));
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if rest.is_empty() => {}
            None => return None,
        }
    }
    Some(items)
}

/// A quoted text up to its closing quote, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return Some((item, &text[at + 1..]));
        }
        if character != '\\' {
            item.push(character);
            continue;
        }
        let escape = characters.next()?.1;
        let digits = match escape {
            'n' => {
                item.push('\n');
                continue;
            }
            't' => {
                item.push('\t');
                continue;
            }
            'r' => {
                item.push('\r');
                continue;
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => {
                item.push(other);
                continue;
            }
        };
        let mut code = hexadecimal(&mut characters, digits)?;
        if (0xd800..0xdc00).contains(&code) {
            // JSON writes what lies beyond 16 bits as two halves.
            let mut ahead = characters.clone();
            if ahead.next()?.1 != '\\' || ahead.next()?.1 != 'u' {
                return None;
            }
            let low = hexadecimal(&mut ahead, 4)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            characters = ahead;
            code = 0x10000 + ((code - 0xd800) << 10) + low;
        }
        item.push(char::from_u32(code)?);
    }
    None
}

fn hexadecimal(characters: &mut std::str::CharIndices, digits: usize) -> Option<u32> {
    (0..digits).try_fold(0u32, |code, _| Some(code << 4 | characters.next()?.1.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_missing() {
        for text in ["", "  ", "nan", "NaN", "None", "NULL", "N/A", "[]", " [] ", "<NA>"] {
            assert_eq!(present(text), None, "{text:?}");
        }
        for text in ["Nan", "Nobody", "none", "0", "NA", "[X]", "-"] {
            assert_eq!(present(text), Some(text));
        }
    }

    #[test]
    fn keys_modes_and_signatures() {
        for (text, number) in [
            ("0", Some(0.0)),
            ("11.0", Some(11.0)),
            ("C", Some(0.0)),
            ("C#", Some(1.0)),
            ("D♭", Some(1.0)),
            ("Db", Some(1.0)),
            ("b", Some(11.0)),
            ("Cb", Some(11.0)),
            ("B#", Some(0.0)),
            ("G♯", Some(8.0)),
            ("f sharp", Some(6.0)),
            ("C#/Db", Some(1.0)),
            ("C#/D", None),
            ("H", None),
            ("", None),
            ("Cm", None),
            ("-1", Some(-1.0)),
            ("é", None),
        ] {
            assert_eq!(key(text), number, "{text}");
        }
        assert_eq!(
            [mode("Major"), mode("minor"), mode("1"), mode("Dur")],
            [Some(1.0), Some(0.0), Some(1.0), None]
        );
        assert_eq!(
            ["4/4", "5/4", "3", "0/4", "6/8", "four"].map(time_signature),
            [Some(4.0), Some(5.0), Some(3.0), Some(0.0), None, None]
        );
        assert_eq!(
            ["TRUE", "False", "0", "1", "1.0", "WAHR", "yes"].map(boolean),
            [Some(true), Some(false), Some(false), Some(true), Some(true), None, None]
        );
        assert_eq!(
            ["1e3", "inf", "1,234", "50%", "0x1"].map(number),
            [Some(1000.0), None, None, None, None]
        );
    }

    #[test]
    fn references_to_tracks() {
        for (text, id) in [
            ("abc", Some("abc")),
            (" spotify:track:abc ", Some("abc")),
            ("https://open.spotify.com/track/abc?si=x", Some("abc")),
            ("http://open.spotify.com/intl-de/track/abc", Some("abc")),
            ("spotify:local:a:b:c:200", None),
            ("spotify:episode:abc", None),
            ("spotify:track:", None),
            ("https://open.spotify.com/album/abc", None),
            ("https://example.org/track/abc", Some("https://example.org/track/abc")),
            ("", None),
        ] {
            assert_eq!(track_id(text), id, "{text}");
        }
        for (id, rounded) in [
            ("1.23457E+21", true),
            ("1,23457E+21", true),
            ("5E+10", true),
            ("6e+07", true),
            ("12E5", false),
            ("1.2E21", false),
            ("abcE+21", false),
            ("7", false),
            ("3kE+1", false),
        ] {
            assert_eq!(is_rounded_number(id), rounded, "{id}");
        }
    }

    #[test]
    fn lists_of_texts() {
        for (text, items) in [
            ("['Ada Lind', 'Iva Jol']", vec!["Ada Lind", "Iva Jol"]),
            (r#"["A", "B\"C", "\u00e9\ud83c\udfb5"]"#, vec!["A", "B\"C", "é🎵"]),
            (r#"["Don't", 'say "x"', 'it\'s']"#, vec!["Don't", "say \"x\"", "it's"]),
            ("['a'", vec!["['a'"]),
            ("[Alexandros]", vec!["[Alexandros]"]),
            ("[:SITD:];Dennis", vec!["[:SITD:]", "Dennis"]),
            ("A; B ;;nan; ", vec!["A", "B"]),
            ("[]", vec![]),
            ("['']", vec![]),
            ("['a',]", vec!["a"]),
            (r"['\ud83c']", vec![r"['\ud83c']"]),
        ] {
            assert_eq!(list(text, &[';']), items, "{text}");
        }
        assert_eq!(list("rock,indie | pop", &[';', ',', '|']), ["rock", "indie", "pop"]);
    }

    proptest! {
        #[test]
        fn a_json_array_is_its_texts(texts in prop::collection::vec("[a-zé🎵\"'\\\\\n,;]{1,6}", 0..5)) {
            let texts: Vec<String> = texts.into_iter().map(|text| format!("x{text}x")).collect();
            let written = serde_json::to_string(&texts).unwrap();
            prop_assert_eq!(list(&written, &[';']), texts);
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,20}|[\\[\\]'\",\\\\ux0-9d]{0,20}") {
            let _ = list(&text, &[';']);
            let _ = key(&text);
            let _ = track_id(&text);
            let _ = is_rounded_number(&text);
        }
    }
}
