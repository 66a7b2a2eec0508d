//! Records of a text file with delimiters, one by one.
//!
//! The delimiter is the one of `,` `;` tab `|` that makes most of the header
//! known. Blank lines are passed over, any line end will do, and a byte order mark
//! goes. What is wrong is said with the line on which its record begins. Memory
//! holds one record, and no record is longer than [`LONGEST_RECORD`].

use std::cell::Cell;
use std::io::{self, Cursor, Read};
use std::rc::Rc;

use csv::{Reader, ReaderBuilder, StringRecord};

use crate::appearance::{self, Appearance};
use crate::header::{ColumnMap, Target, find, normalise};

/// A record of more bytes than this is taken for a quotation mark never closed.
pub const LONGEST_RECORD: u64 = 16 << 20;
/// How much is read before the header is looked at.
const START: usize = 1 << 16;
/// Ends the file: a record of its own, unless a quotation mark is still open. No
/// text holds a zero byte.
const END: &[u8] = b"\n\0\n";
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Why a file cannot be read further.
#[derive(Debug)]
pub enum Fault {
    /// The file could not be read.
    Io(io::Error),
    /// It is of another kind.
    Kind(Appearance),
    /// It has no record.
    Empty,
    /// A line is not UTF-8.
    Encoding(u64),
    /// A quotation mark opened in the record of this line is never closed.
    UnclosedQuote(u64),
    /// The record of this line has another number of fields than the header.
    Fields {
        /// The line.
        line: u64,
        /// Fields it has.
        have: usize,
        /// Fields of the header.
        need: usize,
    },
    /// The record of this line is too long.
    TooLong(u64),
    /// The record of this line holds a zero byte.
    ZeroByte(u64),
}

/// Hands a file on, and its end as [`END`]; counts what a record takes.
struct Guard<R> {
    source: R,
    end: Cursor<&'static [u8]>,
    record: Rc<Cell<u64>>,
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.record.get() > LONGEST_RECORD {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let len = match self.source.read(out)? {
            0 => self.end.read(out)?,
            len => len,
        };
        self.record.set(self.record.get() + len as u64);
        Ok(len)
    }
}

/// The records of a file after its header.
pub struct Records<R> {
    reader: Reader<Guard<io::Chain<Cursor<Vec<u8>>, R>>>,
    taken: Rc<Cell<u64>>,
    record: StringRecord,
    header: Vec<String>,
    crlf: bool,
    /// The first record stands for the next one, too.
    pending: bool,
}

impl<R: Read> Records<R> {
    /// Reads the header of a file, whose columns are `targets`.
    ///
    /// # Errors
    /// Where it is no text in UTF-8, or empty.
    pub fn open(mut source: R, targets: &[Target], map: &ColumnMap) -> Result<Records<R>, Fault> {
        let mut start = Vec::new();
        source.by_ref().take(START as u64).read_to_end(&mut start).map_err(Fault::Io)?;
        if let Some(found) = appearance::recognise(&start) {
            return Err(Fault::Kind(found));
        }
        let text = start.strip_prefix(appearance::BYTE_ORDER_MARK).unwrap_or(&start).to_vec();
        let delimiter = delimiter(&text, targets, map);
        let crlf = memchr::memchr(b'\n', &text).is_some_and(|at| at > 0 && text[at - 1] == b'\r');
        let taken = Rc::new(Cell::new(0));
        let source = Cursor::new(text).chain(source);
        let guard = Guard { source, end: Cursor::new(END), record: Rc::clone(&taken) };
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(START)
            .from_reader(guard);
        let mut records = Records {
            reader,
            taken,
            record: StringRecord::new(),
            header: Vec::new(),
            crlf,
            pending: false,
        };
        if records.advance()?.is_none() {
            return Err(Fault::Empty);
        }
        records.header = records.record.iter().map(|name| name.trim().to_owned()).collect();
        Ok(records)
    }

    /// The names in the first record.
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Takes the first record for one of data.
    pub fn without_header(&mut self) {
        self.pending = true;
    }

    /// The next record and the line on which it begins, `None` at the end.
    ///
    /// # Errors
    /// At the first record that is at fault.
    #[expect(clippy::should_implement_trait, reason = "what it gives is borrowed")]
    pub fn next(&mut self) -> Result<Option<&StringRecord>, Fault> {
        if std::mem::take(&mut self.pending) {
            return Ok(Some(&self.record));
        }
        if self.advance()?.is_none() {
            return Ok(None);
        }
        let (have, need) = (self.record.len(), self.header.len());
        if have != need {
            return Err(Fault::Fields { line: self.line(), have, need });
        }
        Ok(Some(&self.record))
    }

    fn advance(&mut self) -> Result<Option<()>, Fault> {
        self.taken.set(0);
        match self.reader.read_record(&mut self.record) {
            // The end of the file was inside quotation marks.
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => {
                let line = error.position().map_or(0, |position| position.line());
                return Err(match error.into_kind() {
                    csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                        Fault::TooLong(self.reader.position().line())
                    }
                    csv::ErrorKind::Io(error) => Fault::Io(error),
                    csv::ErrorKind::Utf8 { .. } => {
                        Fault::Encoding(line + u64::from(self.crlf && line > 1))
                    }
                    _ => Fault::Empty,
                });
            }
        }
        let bytes = self.record.as_slice().as_bytes();
        if bytes == b"\0" && self.record.len() == 1 {
            return Ok(None);
        }
        if memchr::memchr(0, bytes).is_some() {
            let fields = self.record.len();
            let open = self.record.get(fields - 1).is_some_and(|last| last.ends_with("\n\0\n"));
            let line = self.line();
            // No line feed has ended a record that is still open.
            let open_line = line + u64::from(!self.crlf);
            return Err(if open { Fault::UnclosedQuote(open_line) } else { Fault::ZeroByte(line) });
        }
        Ok(Some(()))
    }

    /// The line on which the record begins: the reader has counted the line feeds
    /// up to its end, where that of CR LF still comes.
    #[must_use]
    pub fn line(&self) -> u64 {
        let text = self.record.as_slice().as_bytes();
        let within = memchr::memchr_iter(b'\n', text).count() as u64;
        let end = self.reader.position().line();
        end.saturating_sub(within + u64::from(!self.crlf)).max(1)
    }
}

/// The delimiter that makes most names of the first line known; then the one that
/// gives most fields.
fn delimiter(text: &[u8], targets: &[Target], map: &ColumnMap) -> u8 {
    let mapped: Vec<String> =
        map.iter().flat_map(|(_, name)| name).map(|name| normalise(name)).collect();
    let score = |delimiter: u8| {
        let mut reader =
            ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(text);
        let mut record = csv::ByteRecord::new();
        if !matches!(reader.read_byte_record(&mut record), Ok(true)) {
            return (0, 0);
        }
        let names = record.iter().map(String::from_utf8_lossy);
        let known =
            names.filter(|name| find(name, targets).is_some() || mapped.contains(&normalise(name)));
        (known.count(), record.len())
    };
    let best = DELIMITERS.into_iter().rev().max_by_key(|delimiter| score(*delimiter));
    best.unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::{Fault, Records};
    use crate::header::TRACK_COLUMNS;

    type Read = Result<Vec<(u64, Vec<String>)>, String>;

    fn read(text: &[u8]) -> Read {
        let name = |fault: Fault| match fault {
            Fault::Kind(kind) => kind.what.to_owned(),
            Fault::Io(error) => error.to_string(),
            other => format!("{other:?}"),
        };
        let mut records = Records::open(text, &TRACK_COLUMNS, &[]).map_err(name)?;
        let mut all = Vec::new();
        while let Some(record) = records.next().map_err(name)? {
            let fields = record.iter().map(str::to_owned).collect();
            all.push((records.line(), fields));
        }
        Ok(all)
    }

    fn fields(text: &[u8]) -> Vec<String> {
        read(text)
            .unwrap()
            .into_iter()
            .map(|(line, fields)| format!("{line}:{}", fields.join("+")))
            .collect()
    }

    #[test]
    fn records_come_with_their_lines() {
        assert_eq!(fields(b"id,name\n1,a\n2,\"b\nc\"\n3,d"), ["2:1+a", "3:2+b\nc", "5:3+d"]);
        assert_eq!(
            fields(b"id,name\r\n1,a\r\n2,\"b\r\nc\"\r\n3,d\r\n"),
            ["2:1+a", "3:2+b\r\nc", "5:3+d"]
        );
        assert_eq!(fields(b"\xef\xbb\xbfid,name\n\n1,a\n\n\n2,b\n\n"), ["3:1+a", "6:2+b"]);
        assert_eq!(fields(b"id;name\n1;a,b\n"), ["2:1+a,b"]);
        assert_eq!(fields(b"id\tname\n1\ta;b\n"), ["2:1+a;b"]);
        assert_eq!(fields(b"id|name\n1|a\n"), ["2:1+a"]);
        assert_eq!(fields(b"id,name\n1,\"\"\"q\"\"\"\n"), ["2:1+\"q\""]);
        assert_eq!(fields(b"id,name\n\\.,x\n1,a\n"), ["2:\\.+x", "3:1+a"]);
        assert_eq!(fields(b"id,name"), [""; 0]);
    }

    #[test]
    fn faults_name_their_line() {
        for (text, fault) in [
            (&b"id,name\n1,a\n\\.\n2,b\n"[..], "Fields { line: 3, have: 1, need: 2 }"),
            (b"id,name\r\n1,a\r\n2\r\n", "Fields { line: 3, have: 1, need: 2 }"),
            (b"id,name\n1,a\n2,b,c", "Fields { line: 3, have: 3, need: 2 }"),
            (b"id,name\n1,a\n2,\"b\n3,c\n", "UnclosedQuote(3)"),
            (b"id,name\n1,a\n2,\"b\n3,c", "UnclosedQuote(3)"),
            (b"id,name\n1,\"a\n2,\"b,c\n", "Fields { line: 2, have: 3, need: 2 }"),
            (b"id,name\n1,a\n2,caf\xe9\n", "Encoding(3)"),
            (b"id,name\r\n1,a\r\n2,caf\xe9\r\n", "Encoding(3)"),
            (b"", "Empty"),
            (b"\n\n", "Empty"),
            (b"i\0d\0,\0n\0\n\0", "text in UTF-16"),
        ] {
            assert_eq!(read(text).unwrap_err(), fault, "{:?}", String::from_utf8_lossy(text));
        }
        let far = [b"id,name\n".as_slice(), "1,a\n".repeat(40_000).as_bytes(), b"2,\0\n"].concat();
        assert_eq!(read(&far).unwrap_err(), "ZeroByte(40002)");
        let long = [b"id,name\n1,\"".as_slice(), "x".repeat(17 << 20).as_bytes()].concat();
        assert_eq!(read(&long).unwrap_err(), "TooLong(2)");
    }
}
