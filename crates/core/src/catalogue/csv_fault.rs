//! Where a CSV file is at fault, by the rules of PostgreSQL's COPY.
//!
//! COPY says what is wrong but, for a quote never closed, only the line where
//! the file ended. This finds the line where the faulty record begins, in one
//! pass and without keeping any record: quotation marks toggle, a comma outside
//! of quotes separates fields, a line end outside of quotes ends the record, and
//! all line ends are of the kind of the first.

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsvFault {
    /// A byte that is not UTF-8.
    Encoding,
    /// The file ends within quotation marks.
    UnclosedQuote,
    /// Another number of fields than the header has.
    Fields(u64),
    /// A line end of another kind than the first one, outside of quotes.
    LineEnd,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    Lf,
    CrLf,
    Cr,
}

/// Reads a file chunk by chunk until the first fault.
pub struct CsvFaultFinder {
    needed: u64,
    line: u64,
    record_line: u64,
    fields: u64,
    quoted: bool,
    after_cr: bool,
    /// Whether the record has any byte.
    begun: bool,
    line_end: Option<LineEnd>,
    /// The beginning of a character that the last chunk ended in.
    pending: Vec<u8>,
    fault: Option<(u64, CsvFault)>,
}

impl CsvFaultFinder {
    /// A finder for a file of `fields` columns, before its first byte.
    #[must_use]
    pub fn new(fields: u64) -> CsvFaultFinder {
        CsvFaultFinder {
            needed: fields,
            line: 1,
            record_line: 1,
            fields: 1,
            quoted: false,
            after_cr: false,
            begun: false,
            line_end: None,
            pending: Vec::new(),
            fault: None,
        }
    }

    /// Reads the next bytes; true where there is no need for more.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        self.pending.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.pending);
        let (valid, invalid) = match std::str::from_utf8(&bytes) {
            Ok(_) => (bytes.len(), false),
            Err(error) => (error.valid_up_to(), error.error_len().is_some()),
        };
        for byte in &bytes[..valid] {
            self.step(*byte);
            if self.fault.is_some() {
                return true;
            }
        }
        if invalid {
            self.end_cr();
            self.fault.get_or_insert((self.line, CsvFault::Encoding));
            return true;
        }
        self.pending = bytes[valid..].to_vec();
        false
    }

    /// The line, counted from 1, and the first fault of what was read, if that was the whole file.
    #[must_use]
    pub fn finish(mut self) -> Option<(u64, CsvFault)> {
        self.end_cr();
        if self.fault.is_none() && !self.pending.is_empty() {
            self.fault = Some((self.line, CsvFault::Encoding));
        }
        if self.fault.is_none() && self.quoted {
            self.fault = Some((self.record_line, CsvFault::UnclosedQuote));
        }
        if self.fault.is_none() && self.begun {
            self.end_record();
        }
        self.fault
    }

    fn step(&mut self, byte: u8) {
        if self.after_cr {
            if byte == b'\n' {
                self.after_cr = false;
                return self.end_line(LineEnd::CrLf);
            }
            self.end_cr();
            if self.fault.is_some() {
                return;
            }
        }
        match byte {
            b'\r' => self.after_cr = true,
            b'\n' => self.end_line(LineEnd::Lf),
            _ => {
                self.begun = true;
                match byte {
                    b'"' => self.quoted = !self.quoted,
                    b',' if !self.quoted => self.fields += 1,
                    _ => {}
                }
            }
        }
    }

    fn end_cr(&mut self) {
        if std::mem::take(&mut self.after_cr) {
            self.end_line(LineEnd::Cr);
        }
    }

    fn end_line(&mut self, kind: LineEnd) {
        if self.quoted {
            self.line += 1;
        } else if *self.line_end.get_or_insert(kind) != kind {
            self.fault = Some((self.line, CsvFault::LineEnd));
        } else {
            self.end_record();
            self.line += 1;
            self.record_line = self.line;
        }
    }

    fn end_record(&mut self) {
        if self.fields != self.needed {
            self.fault = Some((self.record_line, CsvFault::Fields(self.fields)));
        }
        self.fields = 1;
        self.begun = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{CsvFault, CsvFaultFinder};

    /// The fault of a file of two columns, the same for chunks of every size.
    fn fault(file: &[u8]) -> Option<(u64, CsvFault)> {
        let find = |size: usize| {
            let mut finder = CsvFaultFinder::new(2);
            for chunk in file.chunks(size) {
                if finder.feed(chunk) {
                    break;
                }
            }
            finder.finish()
        };
        let whole = find(file.len().max(1));
        for size in 1..file.len() {
            assert_eq!(find(size), whole, "in chunks of {size}");
        }
        whole
    }

    #[test]
    fn a_good_file_has_none() {
        assert_eq!(fault(b""), None);
        assert_eq!(fault(b"a,b\n1,\"x\r\ny, \"\"z\"\"\"\n\xc3\xa9,\xf0\x9f\x8e\xb5"), None);
        assert_eq!(fault(b"\xef\xbb\xbfa,b\r\n1,2\r\n"), None);
        assert_eq!(fault(b"a,b\r1,2\r"), None);
    }

    #[test]
    fn the_line_is_where_the_record_begins() {
        assert_eq!(fault(b"a,b\n1,2\n3,\"4\n5,6\n7,8\n"), Some((3, CsvFault::UnclosedQuote)));
        assert_eq!(fault(b"a,b\n1,\"x\ny\"\n3,\"4\n5,6\n"), Some((4, CsvFault::UnclosedQuote)));
        // The quote of line 2 is closed by the one that was to open on line 3.
        assert_eq!(fault(b"a,b\n1,\"2\n3,\"x,y\"\n"), Some((2, CsvFault::UnclosedQuote)));
        assert_eq!(fault(b"a,b\n1,\"2\n3,\"x,y\n"), Some((2, CsvFault::Fields(3))));
    }

    #[test]
    fn fields_line_ends_and_encoding_are_checked() {
        assert_eq!(fault(b"a,b\n1,2\n3\n4,5,6\n"), Some((3, CsvFault::Fields(1))));
        assert_eq!(fault(b"a,b\n1,2\n4,5,6"), Some((3, CsvFault::Fields(3))));
        assert_eq!(fault(b"a,b\n1,2\n\n"), Some((3, CsvFault::Fields(1))));
        assert_eq!(fault(b"a,b\r\n1,2\r\n3,4\n"), Some((3, CsvFault::LineEnd)));
        assert_eq!(fault(b"a,b\n1,2\n3\r,4\n"), Some((3, CsvFault::LineEnd)));
        assert_eq!(fault(b"a,b\n1,\xff2\n"), Some((2, CsvFault::Encoding)));
        assert_eq!(fault(b"a,b\n1,2\xe2\x82"), Some((2, CsvFault::Encoding)));
    }
}
