//! Points in time as listening histories write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since 1970-01-01 00:00 UTC.
    pub micros: i64,
    /// Whether seconds were not written: the moment is somewhere in that minute.
    pub to_the_minute: bool,
}

/// Reads a number of seconds, milliseconds or microseconds since 1970 (told apart
/// by their size), an ISO 8601 date and time, or one like `01 Oct 2026, 08:00`. In
/// UTC where no zone is named.
#[must_use]
pub fn parse(text: &str) -> Option<Moment> {
    let text = text.trim();
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    if text.len() > 40 || text.is_empty() {
        return None;
    }
    if let Ok(number) = text.parse::<f64>() {
        return epoch(number);
    }
    let colons = text.bytes().take_while(|byte| *byte != b'+').filter(|byte| *byte == b':').count();
    let to_the_minute = colons == 1;
    let moment =
        |timestamp: Timestamp| Moment { micros: timestamp.as_microsecond(), to_the_minute };
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(moment(timestamp));
    }
    // A date alone says too little.
    if text.len() > 10 && colons > 0 {
        let civil = text.parse::<DateTime>().ok().or_else(|| in_words(text))?;
        return TimeZone::UTC.to_timestamp(civil).ok().map(moment);
    }
    None
}

fn in_words(text: &str) -> Option<DateTime> {
    ["%d %b %Y, %H:%M", "%d %b %Y %H:%M", "%d %b %Y, %H:%M:%S", "%d %b %Y %H:%M:%S"]
        .iter()
        .find_map(|form| strtime::parse(form, text).ok()?.to_datetime().ok())
}

/// Seconds, milliseconds or microseconds since 1970: the first until the year 5138.
#[must_use]
pub fn epoch(number: f64) -> Option<Moment> {
    let micros = if !number.is_finite() || number < 0.0 {
        return None;
    } else if number < 1e11 {
        number * 1e6
    } else if number < 1e14 {
        number * 1e3
    } else {
        number
    };
    (micros < 4e15).then_some(Moment { micros: micros.round() as i64, to_the_minute: false })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn moments_of_every_service() {
        // 1,790,841,600 is 2026-10-01 08:00 UTC.
        for (text, seconds, to_the_minute) in [
            ("2026-10-01T08:00:30Z", 30, false),
            ("2026-10-01T10:00:30+02:00", 30, false),
            ("2026-10-01 08:00", 0, true),
            ("2026-10-01 08:00:07", 7, false),
            ("2026-10-01 08:00:07 UTC", 7, false),
            ("01 Oct 2026, 08:00", 0, true),
            ("1 Oct 2026 08:00", 0, true),
            ("01 Oct 2026, 08:00:09", 9, false),
            ("1790841601", 1, false),
            ("1790841601.0", 1, false),
            ("1790841601000", 1, false),
            ("1790841601000000", 1, false),
            ("2026-10-01T08:00Z", 0, true),
        ] {
            let moment = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(moment.micros, (1_790_841_600 + seconds) * 1_000_000, "{text}");
            assert_eq!(moment.to_the_minute, to_the_minute, "{text}");
        }
        assert_eq!(parse("2026-10-01T08:00:30.5Z").unwrap().micros % 1_000_000, 500_000);
    }

    #[test]
    fn what_is_no_moment() {
        for text in [
            "",
            "now",
            "infinity",
            "NaN",
            "-5",
            "2026-10-01",
            "2026-02-31 08:00",
            "01.10.2026 08:00",
            "08:00",
            "1e300",
            "31 Feb 2026, 08:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
