//! What a file looks like that is no text to read.

/// The UTF-8 byte order mark, which a text may begin with.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What was recognised, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appearance {
    /// Read after "looks like".
    pub what: &'static str,
    /// A sentence that says how to go on.
    pub remedy: &'static str,
}

/// What the first bytes of a file say it is, where it is not a text in UTF-8.
#[must_use]
pub fn recognise(start: &[u8]) -> Option<Appearance> {
    const UTF16: &str = "Convert it: iconv -f UTF-16 -t UTF-8 old.csv > new.csv.";
    const UNPACK: &str = "Unpack it first, and give the path of what was in it.";
    const EXPORT: &str = "Save the sheet as CSV UTF-8, and give the path of that.";
    const KNOWN: [(&[u8], &str, &str); 15] = [
        (
            b"\xff\xfe\0\0",
            "text in UTF-32",
            "Convert it: iconv -f UTF-32 -t UTF-8 old.csv > new.csv.",
        ),
        (b"\xff\xfe", "text in UTF-16", UTF16),
        (b"\xfe\xff", "text in UTF-16", UTF16),
        (b"\x1f\x8b", "a gzip file", UNPACK),
        (b"BZh", "a bzip2 file", UNPACK),
        (b"\xfd7zXZ\0", "an xz file", UNPACK),
        (b"\x28\xb5\x2f\xfd", "a zstd file", UNPACK),
        (b"7z\xbc\xaf\x27\x1c", "a 7z file", UNPACK),
        (
            b"PK\x03\x04",
            "a ZIP file or an Excel sheet",
            "Unpack it, or save the sheet as CSV UTF-8, and give the path of that.",
        ),
        (b"\xd0\xcf\x11\xe0", "an old Excel sheet", EXPORT),
        (b"PAR1", "a Parquet file", "Write it as CSV, or into a table, and use import_tracks()."),
        (
            b"SQLite format 3",
            "an SQLite database",
            "Write its table as CSV, and give the path of that.",
        ),
        (b"%PDF", "a PDF", "Give the path of a CSV file."),
        (
            b"<!DOCTYPE",
            "a web page",
            "Look at it in a browser: the download may have asked for a login.",
        ),
        (
            b"<html",
            "a web page",
            "Look at it in a browser: the download may have asked for a login.",
        ),
    ];
    let text = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start);
    if let Some((_, what, remedy)) = KNOWN.iter().find(|(magic, ..)| text.starts_with(magic)) {
        return Some(Appearance { what, remedy });
    }
    // Text of one byte a character has no zero bytes; UTF-16 without a mark has one in two.
    let sample = &start[..start.len().min(512)];
    let zeros = sample.iter().filter(|byte| **byte == 0).count();
    if zeros > sample.len() / 3 {
        return Some(Appearance { what: "text in UTF-16", remedy: UTF16 });
    }
    (zeros > 0)
        .then_some(Appearance { what: "binary data", remedy: "Give the path of a CSV file." })
}

/// What bytes look like that are not UTF-8.
#[must_use]
pub fn not_utf8() -> Appearance {
    Appearance {
        what: "text in Latin-1 or Windows-1252",
        remedy: "Convert it: iconv -f WINDOWS-1252 -t UTF-8 old.csv > new.csv.",
    }
}

/// The line, counted from 1, of the first byte that is not UTF-8; a character that
/// the end cuts in two is none.
#[must_use]
pub fn line_not_utf8(text: &[u8]) -> Option<u64> {
    let error = std::str::from_utf8(text).err().filter(|error| error.error_len().is_some())?;
    Some(1 + memchr::memchr_iter(b'\n', &text[..error.valid_up_to()]).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::{line_not_utf8, recognise};

    #[test]
    fn files_of_other_kinds() {
        for (start, what) in [
            (&b"\xff\xfea\0b\0"[..], Some("text in UTF-16")),
            (b"a\0,\0b\0\n\0", Some("text in UTF-16")),
            (b"\x1f\x8b\x08", Some("a gzip file")),
            (b"PK\x03\x04\x14", Some("a ZIP file or an Excel sheet")),
            (b"<!DOCTYPE html>", Some("a web page")),
            (b"abcdefghijkl\0mnopqrst", Some("binary data")),
            (b"track_id,artists\n", None),
            (b"\xef\xbb\xbftrack_id", None),
            (b"\xc3\xa9,caf\xe9", None),
            (b"", None),
        ] {
            assert_eq!(recognise(start).map(|found| found.what), what, "{start:?}");
        }
    }

    #[test]
    fn the_line_of_the_first_bad_byte() {
        assert_eq!(line_not_utf8(b"a\nb\ncaf\xe9\n"), Some(3));
        assert_eq!(line_not_utf8(b"caf\xc3\xa9\n"), None);
        assert_eq!(line_not_utf8(b"caf\xc3"), None);
    }
}
