//! What a message says as a play.
//!
//! A message is a JSON object. A mapping names, for each field of an event, the
//! path of the value in the message; a field it does not name is read from the
//! message's own top level under its own name. Applications write ids as numbers
//! and times as milliseconds since 1970 as often as they write text: both become
//! the text that an event has.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};

/// The fields of an event.
pub const FIELDS: [&str; 7] =
    ["user_id", "track_id", "played_at", "ms_played", "skipped", "session_id", "event_id"];

/// Fields that are text, where a message may have a whole number.
const IDS: [&str; 3] = ["user_id", "track_id", "session_id"];
const PLAYED_AT: usize = 2;
/// A path longer than this leads nowhere.
const DEEPEST: usize = 32;
/// Milliseconds from 1970 to the year 10000, which no clock shows.
const YEAR_10000: i64 = 253_402_300_800_000;

/// Why a mapping is none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MappingFault {
    /// It is not a JSON object, but this.
    NotAnObject(&'static str),
    /// It names what no event has.
    UnknownField(String),
    /// The path of a field is neither text, a list of texts, nor null.
    NotAPath(&'static str),
    /// The path of a field is empty or deeper than 32 names.
    Depth(&'static str),
}

impl fmt::Display for MappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MappingFault::NotAnObject(kind) => {
                write!(f, "columns must be a JSON object, not a JSON {kind}")
            }
            MappingFault::UnknownField(name) => write!(f, "an event has no field \"{name}\""),
            MappingFault::NotAPath(field) => {
                write!(f, "the path of {field} must be text, a list of names, or null")
            }
            MappingFault::Depth(field) => {
                write!(f, "the path of {field} must have 1 to {DEEPEST} names")
            }
        }
    }
}

impl std::error::Error for MappingFault {}

/// From a message to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// By the order of [`FIELDS`]: the names that lead to the value; none where the field is not read.
    paths: [Option<Vec<String>>; FIELDS.len()],
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// An event as JSON text, whose values nobody has judged yet, and the user it names.
    Event(String, Option<String>),
    /// No event, and why.
    Refused(String),
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Default for Mapping {
    fn default() -> Mapping {
        Mapping { paths: FIELDS.map(|field| Some(vec![field.to_owned()])) }
    }
}

impl Mapping {
    /// Reads a mapping: an object of field names and paths. A path is text whose names
    /// are divided by dots, a list of names where these have dots in them, or null for
    /// a field that is not to be read.
    ///
    /// # Errors
    /// [`MappingFault`] says what is wrong.
    pub fn read(columns: &Value) -> Result<Mapping, MappingFault> {
        let Value::Object(columns) = columns else {
            return Err(MappingFault::NotAnObject(kind(columns)));
        };
        let mut mapping = Mapping::default();
        for (name, path) in columns {
            let Some(place) = FIELDS.iter().position(|field| field == name) else {
                return Err(MappingFault::UnknownField(name.chars().take(60).collect()));
            };
            mapping.paths[place] = read_path(FIELDS[place], path)?;
        }
        Ok(mapping)
    }

    /// What a message is: `limit` is the greatest length in bytes that is looked at.
    #[must_use]
    pub fn apply(&self, message: Option<&[u8]>, limit: usize) -> Reading {
        let Some(message) = message else {
            return Reading::Refused("the message is empty".into());
        };
        if message.len() > limit {
            return Reading::Refused(format!(
                "the message has {} bytes, more than {limit}",
                message.len()
            ));
        }
        let value: Value = match serde_json::from_slice(message) {
            Ok(value) => value,
            Err(error) => return Reading::Refused(format!("the message is no JSON: {error}")),
        };
        let Value::Object(object) = value else {
            return Reading::Refused(format!(
                "an event must be a JSON object, not a JSON {}",
                kind(&value)
            ));
        };
        self.event(&object)
    }

    fn event(&self, message: &Map<String, Value>) -> Reading {
        let mut event = String::with_capacity(192);
        let mut user = None;
        for (place, (field, path)) in FIELDS.iter().zip(&self.paths).enumerate() {
            let Some(value) = path.as_ref().and_then(|path| find(message, path)) else { continue };
            event.push(if event.is_empty() { '{' } else { ',' });
            // Writing to a String does not fail.
            let _ = write!(event, "\"{field}\":");
            let converted = match value {
                Value::Number(number) if IDS.contains(field) => {
                    (number.is_i64() || number.is_u64()).then(|| number.to_string())
                }
                Value::Number(number) if place == PLAYED_AT => number.as_i64().and_then(time),
                _ => None,
            };
            match (&converted, value) {
                (Some(text), _) => {
                    let _ = write!(event, "\"{text}\"");
                }
                (None, Value::String(text)) if text.contains('\0') => {
                    return Reading::Refused(format!("{field} holds a zero byte"));
                }
                (None, value) => {
                    let _ = write!(event, "{value}");
                }
            }
            if place == 0 {
                user = converted.or_else(|| value.as_str().map(str::to_owned));
            }
        }
        if event.is_empty() {
            event.push('{');
        }
        event.push('}');
        Reading::Event(event, user)
    }
}

fn read_path(field: &'static str, path: &Value) -> Result<Option<Vec<String>>, MappingFault> {
    let names: Vec<String> = match path {
        Value::Null => return Ok(None),
        Value::String(text) => text.split('.').map(str::to_owned).collect(),
        Value::Array(names) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or(MappingFault::NotAPath(field))?,
        _ => return Err(MappingFault::NotAPath(field)),
    };
    if names.is_empty() || names.len() > DEEPEST || names.iter().any(String::is_empty) {
        return Err(MappingFault::Depth(field));
    }
    Ok(Some(names))
}

/// The value that a path leads to; null is none.
fn find<'a>(message: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let mut value = message.get(first)?;
    for name in rest {
        value = match value {
            Value::Object(object) => object.get(name)?,
            Value::Array(list) => list.get(name.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    (!value.is_null()).then_some(value)
}

/// Milliseconds since 1970 as a date and time of the proleptic Gregorian calendar,
/// UTC; `None` before 1970 and from the year 10000 on. Days to a date as in
/// Howard Hinnant, "chrono-compatible low-level date algorithms", 2013.
fn time(milliseconds: i64) -> Option<String> {
    if !(0..YEAR_10000).contains(&milliseconds) {
        return None;
    }
    let (day, rest) = (milliseconds / 86_400_000, milliseconds % 86_400_000);
    // Eras of 400 years of 146,097 days that begin on the first of March of year 0.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1000 % 60, rest % 1000);
    Some(format!(
        "{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(mapping: &Mapping, message: &str) -> Value {
        match mapping.apply(Some(message.as_bytes()), 10_000) {
            Reading::Event(text, _) => serde_json::from_str(&text).unwrap(),
            Reading::Refused(reason) => panic!("{reason}"),
        }
    }

    fn refused(message: Option<&[u8]>) -> String {
        match Mapping::default().apply(message, 50) {
            Reading::Refused(reason) => reason,
            Reading::Event(text, _) => panic!("{text}"),
        }
    }

    #[test]
    fn a_message_of_the_events_own_names_is_the_event_without_what_else_it_says() {
        let message = r#"{"user_id":"ü","track_id":"t","played_at":"2026-01-01","ms_played":3,"skipped":false,"more":[1]}"#;
        let expected = json!({"user_id":"ü","track_id":"t","played_at":"2026-01-01","ms_played":3,"skipped":false});
        assert_eq!(event(&Mapping::default(), message), expected);
        assert_eq!(event(&Mapping::default(), "{}"), json!({}));
    }

    #[test]
    fn values_lie_where_the_mapping_says() {
        let columns = json!({"user_id":"listener.id","track_id":["items.played","0","track"],"played_at":"at","event_id":null});
        let mapping = Mapping::read(&columns).unwrap();
        let message = r#"{"listener":{"id":17},"items.played":[{"track":"t9"}],"at":0,"event_id":"x","session_id":4,"skipped":null}"#;
        let expected = json!({"user_id":"17","track_id":"t9","played_at":"1970-01-01T00:00:00.000Z","session_id":"4"});
        assert_eq!(event(&mapping, message), expected);
        let lost = r#"{"listener":[1],"items.played":{"0":3},"at":{}}"#;
        assert_eq!(event(&mapping, lost), json!({"played_at":{}}));
        let named = mapping.apply(Some(message.as_bytes()), 1000);
        assert!(matches!(named, Reading::Event(_, Some(user)) if user == "17"));
    }

    #[test]
    fn what_no_judge_could_read_is_refused_here() {
        for (message, reason) in [
            (None, "the message is empty"),
            (
                Some(&b""[..]),
                "the message is no JSON: EOF while parsing a value at line 1 column 0",
            ),
            (Some(b"[]"), "an event must be a JSON object, not a JSON array"),
            (Some(b"7"), "an event must be a JSON object, not a JSON number"),
            (Some(&[b' '; 51]), "the message has 51 bytes, more than 50"),
            (Some(br#"{"user_id":"a\u0000b"}"#), "user_id holds a zero byte"),
        ] {
            assert_eq!(refused(message), reason);
        }
        for message in
            [&b"{\"user_id\":\"\xff\"}"[..], br#"{"user_id":"\ud800"}"#, b"{\"ms_played\":1e999}"]
        {
            assert!(refused(Some(message)).starts_with("the message is no JSON: "));
        }
        let deep = [b'['; 40];
        assert!(refused(Some(&deep)).starts_with("the message is no JSON"));
    }

    #[test]
    fn numbers_that_are_no_id_and_no_time_are_left_to_the_judge() {
        let message = r#"{"user_id":1.5,"played_at":-1,"track_id":-3}"#;
        let expected = json!({"user_id":1.5,"played_at":-1,"track_id":"-3"});
        assert_eq!(event(&Mapping::default(), message), expected);
    }

    #[test]
    fn milliseconds_are_dates() {
        for (milliseconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (YEAR_10000 - 1, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(time(milliseconds).as_deref(), Some(expected));
        }
        assert_eq!((time(-1), time(YEAR_10000), time(i64::MAX)), (None, None, None));
    }

    #[test]
    fn bad_mappings_say_what_is_wrong() {
        for (columns, message) in [
            (json!([]), "columns must be a JSON object, not a JSON array"),
            (json!({"user":"u"}), "an event has no field \"user\""),
            (json!({"user_id":1}), "the path of user_id must be text, a list of names, or null"),
            (
                json!({"user_id":["a",1]}),
                "the path of user_id must be text, a list of names, or null",
            ),
            (json!({"track_id":""}), "the path of track_id must have 1 to 32 names"),
            (json!({"track_id":"a..b"}), "the path of track_id must have 1 to 32 names"),
            (json!({"track_id":[]}), "the path of track_id must have 1 to 32 names"),
            (json!({"track_id":vec!["a"; 33]}), "the path of track_id must have 1 to 32 names"),
        ] {
            assert_eq!(Mapping::read(&columns).unwrap_err().to_string(), message);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_event_that_is_json_or_are_refused(message: Vec<u8>) {
            if let Reading::Event(text, _) = Mapping::default().apply(Some(&message), 1 << 20) {
                proptest::prop_assert!(serde_json::from_str::<Map<String, Value>>(&text).is_ok());
            }
        }
    }
}
