//! Listening histories: the plays that a service's export holds.
//!
//! | format | what it is | a play's time | by |
//! |---|---|---|---|
//! | `spotify_extended` | Spotify's extended streaming history (`endsong_*.json`, `Streaming_History_Audio_*.json`) | its end, to the second | id and names |
//! | `spotify` | Spotify's account data (`StreamingHistory*.json`) | its end, to the minute | names |
//! | `lastfm` | scrobbles as CSV, with a header or `artist,album,track,date` without | its beginning | names |
//! | `listenbrainz` | listens as JSON lines | its beginning, to the second | id where the player sent it, and names |
//! | `events` | CSV or JSON with the columns of `listening_events` | as it stands | id or names |
//!
//! `auto` tells them apart, object by object. Nothing else of an export is read:
//! no address, no device, no user name.

mod delivery;
mod json;
mod table;

use std::io::Read;

pub use delivery::{Archive, is_history};

use crate::appearance::{self, Appearance};
use crate::delimited;
use crate::header::play;
use crate::moment::Moment;
use crate::objects;
use crate::value;

/// How a history is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Whichever it is.
    Auto,
    /// Spotify's extended streaming history.
    SpotifyExtended,
    /// Spotify's account data.
    Spotify,
    /// Scrobbles of Last.fm.
    Lastfm,
    /// Listens of ListenBrainz.
    ListenBrainz,
    /// The columns of `listening_events`.
    Events,
}

impl Format {
    /// The formats and their names.
    pub const ALL: [(&'static str, Format); 6] = [
        ("auto", Format::Auto),
        ("spotify_extended", Format::SpotifyExtended),
        ("spotify", Format::Spotify),
        ("lastfm", Format::Lastfm),
        ("listenbrainz", Format::ListenBrainz),
        ("events", Format::Events),
    ];

    /// The format of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Format> {
        Self::ALL.iter().find(|(have, _)| *have == name).map(|(_, format)| *format)
    }

    fn is(self, other: Format) -> bool {
        self == Format::Auto || self == other
    }
}

/// A play that names its track by an id, by name and artist, or by both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Play<'a> {
    /// The track's id.
    pub track_id: Option<&'a str>,
    /// The track's name.
    pub track_name: Option<&'a str>,
    /// The track's artist as credited.
    pub artist: Option<&'a str>,
    /// Microseconds since 1970.
    pub played_at: i64,
    /// Whether the time is known to the minute only.
    pub to_the_minute: bool,
    /// For how long.
    pub ms_played: Option<i32>,
    /// Whether it was broken off.
    pub skipped: Option<bool>,
    /// The session, where it is named.
    pub session_id: Option<&'a str>,
    /// The play's own id.
    pub event_id: Option<u128>,
}

/// What one record of a history is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'a> {
    /// A play of a track.
    Play(Play<'a>),
    /// No play of a track: an episode, a book, another user's.
    PassedOver,
    /// A play that cannot be read.
    Rejected {
        /// Why.
        reason: String,
        /// What it names, of the fields that are kept of a play.
        track_id: Option<&'a str>,
        /// The track's name.
        track_name: Option<&'a str>,
        /// The track's artist.
        artist: Option<&'a str>,
    },
}

/// Why a history cannot be read further.
#[derive(Debug)]
pub enum Fault {
    /// Nothing that is known; what the first record holds.
    Unknown(String),
    /// As JSON.
    Objects(objects::Fault),
    /// As text with delimiters.
    Delimited(delimited::Fault),
    /// Of another kind.
    Kind(Appearance),
}

/// How to read a history.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// How it is written.
    pub format: Format,
    /// Whose plays are wanted, where it holds those of several.
    pub user_id: &'a str,
    /// The latest time that is believed, in microseconds since 1970.
    pub latest: i64,
}

/// Hands what a history holds to `each`, record by record.
///
/// # Errors
/// Where it is of no known form, or is broken off.
pub fn read(
    mut source: impl Read,
    options: &Options,
    each: &mut dyn FnMut(Item),
) -> Result<(), Fault> {
    let mut start = Vec::new();
    let begun = source.by_ref().take(4096).read_to_end(&mut start);
    begun.map_err(|error| Fault::Objects(objects::Fault::Io(error)))?;
    if let Some(found) = appearance::recognise(&start) {
        return Err(Fault::Kind(found));
    }
    if start.starts_with(appearance::BYTE_ORDER_MARK) {
        start.drain(..appearance::BYTE_ORDER_MARK.len());
    }
    match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => json::read(start, source, options, each),
        _ => table::read(std::io::Cursor::new(start).chain(source), options, each),
    }
}

/// The raw fields that make a play, and how they are judged: alike in every format.
/// `None` where one is missing, an error where it cannot be read.
#[derive(Debug, Clone, Default)]
pub struct Raw<'a> {
    /// The track's id, or a reference to it.
    pub track_id: Option<&'a str>,
    /// The track's name.
    pub track_name: Option<&'a str>,
    /// The track's artist.
    pub artist: Option<&'a str>,
    /// When it was played.
    pub played_at: Option<Result<Moment, String>>,
    /// For how long.
    pub ms_played: Option<Result<i32, String>>,
    /// Whether it was broken off.
    pub skipped: Option<bool>,
    /// The session.
    pub session_id: Option<&'a str>,
    /// The play's own id.
    pub event_id: Option<Result<u128, String>>,
}

/// 1970-01-01 is what is written where the time is not known.
const EARLIEST: i64 = 86_400_000_000;
const LONGEST_ID: usize = 512;

impl<'a> Raw<'a> {
    /// The fields of a play in texts, by the columns of [`header::play`].
    #[must_use]
    pub fn of_texts(mut text: impl FnMut(usize) -> Option<&'a str>) -> Raw<'a> {
        // A title may be what elsewhere says that there is none.
        let name = |text: Option<&'a str>| text.map(str::trim).filter(|text| !text.is_empty());
        let track_name = name(text(play::TRACK_NAME));
        let artist = name(text(play::ARTIST));
        let mut present = |column: usize| text(column).and_then(value::present);
        Raw {
            track_id: present(play::TRACK_ID),
            track_name,
            artist,
            played_at: present(play::PLAYED_AT).map(moment),
            ms_played: present(play::MS_PLAYED).map(|text| {
                let number = text.parse::<f64>().ok();
                number
                    .ok_or_else(|| format!("ms_played must be a number, not \"{}\"", cut(text)))
                    .and_then(milliseconds)
            }),
            skipped: present(play::SKIPPED).and_then(value::boolean),
            session_id: present(play::SESSION_ID),
            event_id: present(play::EVENT_ID).map(uuid),
        }
    }

    /// The play that the fields make, or why they make none.
    #[must_use]
    pub fn judge(self, options: &Options) -> Item<'a> {
        match self.read(options) {
            Ok(play) => Item::Play(play),
            Err(reason) => Item::Rejected {
                reason,
                track_id: self.track_id,
                track_name: self.track_name,
                artist: self.artist,
            },
        }
    }

    fn read(&self, options: &Options) -> Result<Play<'a>, String> {
        let track_id = self.track_id.and_then(value::track_id);
        if track_id.is_none() && (self.track_name.is_none() || self.artist.is_none()) {
            return Err(match (self.track_id, self.track_name) {
                (Some(other), _) => format!("\"{}\" is not a track", cut(other)),
                (None, Some(_)) => "the artist is missing".to_owned(),
                (None, None) => "the track is missing".to_owned(),
            });
        }
        if track_id.is_some_and(|id| id.len() > LONGEST_ID) {
            return Err(format!("track_id must be of 1 to {LONGEST_ID} bytes"));
        }
        let moment = self.played_at.clone().ok_or("played_at is missing")??;
        if moment.micros < EARLIEST {
            return Err("played_at lies before 1970-01-02".to_owned());
        }
        if moment.micros > options.latest {
            return Err("played_at lies more than a day ahead".to_owned());
        }
        let ms_played = self.ms_played.clone().transpose()?;
        Ok(Play {
            track_id,
            track_name: self.track_name,
            artist: self.artist,
            played_at: moment.micros,
            to_the_minute: moment.to_the_minute,
            ms_played,
            // What was not heard at all was skipped.
            skipped: if ms_played == Some(0) { Some(true) } else { self.skipped },
            session_id: self.session_id.filter(|id| id.len() <= LONGEST_ID),
            event_id: self.event_id.clone().transpose()?,
        })
    }
}

/// A text as a message shows it.
fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

fn milliseconds(number: f64) -> Result<i32, String> {
    if (0.0..=f64::from(i32::MAX)).contains(&number) && number.fract() == 0.0 {
        return Ok(number as i32);
    }
    Err(format!("ms_played must be a whole number from 0 to 2147483647, not {number}"))
}

fn uuid(text: &str) -> Result<u128, String> {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let plain = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain
        .then(|| u128::from_str_radix(&digits, 16).ok())
        .flatten()
        .ok_or_else(|| format!("event_id must be a uuid, not \"{}\"", cut(text)))
}

fn moment(text: &str) -> Result<Moment, String> {
    crate::moment::parse(text)
        .ok_or_else(|| format!("played_at must be a date and time, not \"{}\"", cut(text)))
}

#[cfg(test)]
mod tests;
