//! How a broker is reached: a file of `key=value` lines, with librdkafka's names.
//!
//! What the file says stays out of every message: a fault names a line and a key
//! that is known, never a value.

use std::fmt;

/// The keys that a file may have.
pub const KEYS: [&str; 10] = [
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
    "client.rack",
];

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PropertiesFault {
    /// A line without `=`.
    NoValue(usize),
    /// A line whose key is none of [`KEYS`].
    UnknownKey(usize),
    /// A key that stands twice.
    Twice(&'static str),
    /// A protocol or mechanism that is not supported.
    Unsupported(&'static str),
    /// A key that the protocol needs.
    Missing(&'static str),
}

impl fmt::Display for PropertiesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PropertiesFault::NoValue(line) => write!(f, "line {line} is not of the form key=value"),
            PropertiesFault::UnknownKey(line) => {
                write!(f, "line {line} has a key that is not known; known are {}", KEYS.join(", "))
            }
            PropertiesFault::Twice(key) => write!(f, "{key} stands there twice"),
            PropertiesFault::Unsupported("sasl.mechanism") => {
                write!(f, "sasl.mechanism must be one of {}", MECHANISMS.join(", "))
            }
            PropertiesFault::Unsupported(key) => {
                write!(f, "{key} must be one of {}", PROTOCOLS.join(", "))
            }
            PropertiesFault::Missing(key) => write!(f, "{key} is missing"),
        }
    }
}

impl std::error::Error for PropertiesFault {}

/// Keys with their values. Does not show the values.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Properties(Vec<(&'static str, String)>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

impl Properties {
    /// Reads the text of a file. Empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    /// [`PropertiesFault`] says what is wrong.
    pub fn read(text: &str) -> Result<Properties, PropertiesFault> {
        let mut read = Properties::default();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(PropertiesFault::NoValue(number))?;
            let key = KEYS
                .iter()
                .find(|known| **known == key.trim())
                .ok_or(PropertiesFault::UnknownKey(number))?;
            if read.get(key).is_some() {
                return Err(PropertiesFault::Twice(key));
            }
            read.0.push((key, value.trim().to_owned()));
        }
        let protocol = read.get("security.protocol").unwrap_or("PLAINTEXT");
        if !PROTOCOLS.contains(&protocol) {
            return Err(PropertiesFault::Unsupported("security.protocol"));
        }
        if protocol.starts_with("SASL") {
            let mechanism = read.get("sasl.mechanism").unwrap_or("PLAIN");
            if !MECHANISMS.contains(&mechanism) {
                return Err(PropertiesFault::Unsupported("sasl.mechanism"));
            }
            for key in ["sasl.mechanism", "sasl.username", "sasl.password"] {
                if read.get(key).is_none() {
                    return Err(PropertiesFault::Missing(key));
                }
            }
        }
        Ok(read)
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str())
    }

    /// Keys and values, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(key, value)| (*key, value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_shown_without_its_values() {
        let text = "# broker\n\nsecurity.protocol = SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=u\nsasl.password= p=# q \n";
        let properties = Properties::read(text).unwrap();
        assert_eq!(properties.get("sasl.password"), Some("p=# q"));
        assert_eq!(properties.iter().count(), 4);
        assert!(!format!("{properties:?}").contains("p=#"));
        assert_eq!(Properties::read(""), Ok(Properties::default()));
    }

    #[test]
    fn faults_name_lines_and_keys_never_values() {
        for (text, fault) in [
            ("\nsecret", "line 2 is not of the form key=value"),
            (
                "security.protocol=SSL\nsecurity.protocol=SSL",
                "security.protocol stands there twice",
            ),
            (
                "security.protocol=secret",
                "security.protocol must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
            ),
            (
                "security.protocol=SASL_SSL\nsasl.mechanism=secret",
                "sasl.mechanism must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512",
            ),
            ("security.protocol=SASL_SSL\nsasl.username=secret", "sasl.mechanism is missing"),
            (
                "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=secret",
                "sasl.password is missing",
            ),
        ] {
            assert_eq!(Properties::read(text).unwrap_err().to_string(), fault);
        }
        let unknown = Properties::read("plugin.library.paths=secret").unwrap_err().to_string();
        assert!(
            unknown.starts_with("line 1 has a key that is not known; known are security.protocol")
        );
        assert!(!unknown.contains("secret"));
    }
}
