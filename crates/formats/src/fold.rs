//! Spellings of one text.
//!
//! Two texts that a reader takes for the same are often different characters: a
//! composed and a decomposed letter, a straight and a curly apostrophe, a dash and
//! a hyphen, a blank that does not break. Folding makes them one: Unicode
//! normalisation form KC (UAX #15) and full case folding (Unicode 3.13), then
//! every quotation mark, apostrophe and prime becomes `'` or `"`, every dash `-`,
//! what cannot be seen goes, and white space is one blank between words and none
//! around them. Accents stay: they tell words apart.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;

/// The spelling that all spellings of a text share. Folding twice changes nothing.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    if text.is_ascii() {
        push_plain(&mut folded, text);
        return folded;
    }
    let normalizer = ComposingNormalizer::new_nfkc();
    // Marks that stand alone would be taken apart, and what is invisible keeps letters apart.
    let text: String = text.chars().filter(|c| !is_invisible(*c)).map(plain).collect();
    let composed = normalizer.normalize(&text);
    let lower: Cow<str> = CaseMapper::new().fold_string(&composed);
    // Folding can leave what composes anew.
    push_plain(&mut folded, &normalizer.normalize(&lower));
    folded
}

fn push_plain(folded: &mut String, text: &str) {
    let mut blank = false;
    for character in text.chars() {
        let plain = plain(character);
        if is_invisible(plain) {
            continue;
        }
        if plain.is_whitespace() || plain.is_control() {
            blank = true;
            continue;
        }
        if blank && !folded.is_empty() {
            folded.push(' ');
        }
        blank = false;
        folded.push(plain);
    }
}

/// A letter, quotation mark or dash in the one spelling of it.
fn plain(character: char) -> char {
    match character {
        'A'..='Z' => character.to_ascii_lowercase(),
        '\u{2018}'..='\u{201b}'
        | '\u{2032}'
        | '\u{2035}'
        | '\u{2bc}'
        | '\u{2b9}'
        | '`'
        | '\u{b4}' => '\'',
        '\u{201c}'..='\u{201f}'
        | '\u{2033}'
        | '\u{2036}'
        | '\u{ab}'
        | '\u{bb}'
        | '\u{301d}'..='\u{301f}' => '"',
        '\u{2010}'..='\u{2015}'
        | '\u{2043}'
        | '\u{2212}'
        | '\u{fe58}'
        | '\u{fe63}'
        | '\u{ff0d}' => '-',
        _ => character,
    }
}

/// Soft hyphen, joiners, direction marks, variation selectors, byte order mark.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fold;

    #[test]
    fn spellings_of_one_text_fold_to_one() {
        for (spellings, folded) in [
            (vec!["Café", "cafe\u{301}", "CAFÉ", " Café\u{a0}", "Ca\u{ad}fé"], "café"),
            (
                vec!["Don't Go", "DON\u{2019}T  GO", "don\u{b4}t\tgo", "Don\u{2bc}t\u{3000}Go"],
                "don't go",
            ),
            (vec!["A - B", "a \u{2013} b", "A \u{2014} B", "a \u{2212} b"], "a - b"),
            (vec!["\u{201c}Heroes\u{201d}", "\"heroes\"", "\u{ab}Heroes\u{bb}"], "\"heroes\""),
            (vec!["Straße", "STRASSE", "strasse"], "strasse"),
            (vec!["ＡＢＣ １", "abc 1"], "abc 1"),
            (vec!["ΟΔΟΣ", "οδος", "οδοσ"], "οδοσ"),
            (vec!["ﬁre", "Fire", "\u{feff}fire\u{200b}"], "fire"),
            (vec!["", " ", "\u{200b}", "\t\n"], ""),
        ] {
            for spelling in spellings {
                assert_eq!(fold(spelling), folded, "{spelling:?}");
            }
        }
    }

    #[test]
    fn other_words_stay_others() {
        for (one, other) in
            [("Cafe", "Café"), ("Dont", "Don't"), ("A B", "AB"), ("1", "2"), ("Ö", "O")]
        {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in "\\PC{0,12}|[ -~’–é\u{301}\u{200b}ßΣ]{0,12}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }
}
