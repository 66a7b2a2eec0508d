//! The objects of a JSON text, one by one.
//!
//! An array of objects and lines of objects are read alike: what stands between
//! objects may be blanks, commas and the brackets of an array. An object is given
//! as its bytes, for whoever wants it to parse; one that is no JSON is their
//! matter. Memory holds one object, and no object is longer than [`LONGEST`].

use std::io::{self, Read};

/// An object of more bytes than this is refused.
pub const LONGEST: usize = 16 << 20;
const CHUNK: usize = 1 << 16;

/// Why a text cannot be read further.
#[derive(Debug)]
pub enum Fault {
    /// The file could not be read.
    Io(io::Error),
    /// On this line stands what is no object.
    NotAnObject(u64),
    /// The object that begins on this line does not end.
    Unfinished(u64),
    /// The object that begins on this line is too long.
    TooLong(u64),
}

/// Reads objects from a source.
pub struct Objects<R> {
    source: R,
    bytes: Vec<u8>,
    /// Where in `bytes` the next object may begin.
    at: usize,
    line: u64,
    ended: bool,
}

impl<R: Read> Objects<R> {
    /// Objects of `source`, of which `start` has been read.
    pub fn new(start: Vec<u8>, source: R) -> Objects<R> {
        Objects { source, bytes: start, at: 0, line: 1, ended: false }
    }

    /// The next object and the line on which it begins.
    ///
    /// # Errors
    /// At the first fault.
    #[expect(clippy::should_implement_trait, reason = "what it gives is borrowed")]
    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>, Fault> {
        loop {
            match self.bytes.get(self.at) {
                Some(b'{') => break,
                Some(b'\n') => self.line += 1,
                Some(b' ' | b'\t' | b'\r' | b',' | b'[' | b']' | 0x1e) => {}
                Some(_) => return Err(Fault::NotAnObject(self.line)),
                None if self.ended => return Ok(None),
                None => {
                    self.bytes.clear();
                    self.at = 0;
                    self.fill()?;
                    continue;
                }
            }
            self.at += 1;
        }
        let (mut depth, mut end, mut quoted) = (0usize, self.at, false);
        loop {
            while let Some(byte) = self.bytes.get(end) {
                if quoted {
                    match memchr::memchr2(b'"', b'\\', &self.bytes[end..]) {
                        None => {
                            end = self.bytes.len();
                            break;
                        }
                        // An escape takes the byte behind it along, once that is there.
                        Some(ahead) if self.bytes[end + ahead] == b'\\' => {
                            end += ahead;
                            if end + 1 >= self.bytes.len() {
                                break;
                            }
                            end += 2;
                        }
                        Some(ahead) => {
                            end += ahead + 1;
                            quoted = false;
                        }
                    }
                    continue;
                }
                end += 1;
                match byte {
                    b'"' => quoted = true,
                    b'{' => depth += 1,
                    b'}' => {
                        depth -= 1;
                        if depth == 0 {
                            let line = self.line;
                            let object = &self.bytes[self.at..end];
                            self.line += memchr::memchr_iter(b'\n', object).count() as u64;
                            self.at = end;
                            return Ok(Some((line, object)));
                        }
                    }
                    _ => {}
                }
            }
            // What was given before goes; the object begins the buffer.
            self.bytes.drain(..self.at);
            end -= std::mem::take(&mut self.at);
            if self.bytes.len() > LONGEST {
                return Err(Fault::TooLong(self.line));
            }
            if self.ended {
                return Err(Fault::Unfinished(self.line));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), Fault> {
        let have = self.bytes.len();
        self.bytes.resize(have + CHUNK, 0);
        let read = loop {
            match self.source.read(&mut self.bytes[have..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.bytes.truncate(have + *read.as_ref().unwrap_or(&0));
        self.ended = read.map_err(Fault::Io)? == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::Objects;

    /// Gives a few bytes a call.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let len = self.1.min(out.len());
            self.0.take(len as u64).read(out).inspect(|len| self.0 = &self.0[*len..])
        }
    }

    fn read(text: &str, step: usize) -> Result<Vec<(u64, String)>, String> {
        let mut objects = Objects::new(Vec::new(), Slow(text.as_bytes(), step));
        let mut all = Vec::new();
        while let Some((line, object)) = objects.next().map_err(|fault| format!("{fault:?}"))? {
            all.push((line, String::from_utf8_lossy(object).into_owned()));
        }
        Ok(all)
    }

    #[test]
    fn arrays_and_lines() {
        for step in [1, 2, 7, 1000] {
            let objects = read("[\n {\"a\": \"}\\\"{\"},\n{\n\"b\": {}} ]", step).unwrap();
            assert_eq!(objects, [(2, "{\"a\": \"}\\\"{\"}".into()), (3, "{\n\"b\": {}}".into())]);
            assert_eq!(read("{}\n{}\r\n\n{}", step).unwrap().len(), 3);
            assert_eq!(read("[]", step).unwrap(), []);
            assert_eq!(read("", step).unwrap(), []);
            for (text, fault) in [
                ("{\"a\": 1}\n{\"b\": \"x}", "Unfinished(2)"),
                ("[{},\n1]", "NotAnObject(2)"),
                ("\"text\"", "NotAnObject(1)"),
                ("{\"a\\", "Unfinished(1)"),
            ] {
                assert_eq!(read(text, step).unwrap_err(), fault, "{text}");
            }
        }
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(super::LONGEST + 2 * super::CHUNK));
        assert_eq!(read(&long, 1 << 20).unwrap_err(), "TooLong(1)");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            texts in prop::collection::vec("\\PC{0,8}|[\\\\\"{}\\[\\]]{0,8}", 0..6), step in 1usize..40, lines: bool,
        ) {
            let objects: Vec<_> = texts.iter().map(|text| serde_json::json!({ "a": text, text: [text] })).collect();
            let written = if lines {
                objects.iter().map(|object| format!("{object}\n")).collect()
            } else {
                serde_json::to_string_pretty(&objects).unwrap()
            };
            let read: Vec<serde_json::Value> =
                read(&written, step).unwrap().iter().map(|(_, object)| serde_json::from_str(object).unwrap()).collect();
            prop_assert_eq!(read, objects);
        }
    }
}
