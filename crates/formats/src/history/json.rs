//! Histories in JSON. One shape holds the fields of all services: which of them
//! an object has says where it comes from.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Fault, Format, Item, Options, Raw, cut, milliseconds, moment, uuid};
use crate::moment as moments;
use crate::objects::Objects;

/// A value that is no object and no list; those count as none.
#[derive(Debug, Default)]
enum Scalar<'a> {
    #[default]
    Nothing,
    Text(Cow<'a, str>),
    Number(f64),
    Bool(bool),
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Scalar::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Scalar::Number(value as f64))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Scalar::Number(value as f64))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Scalar::Number(value))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar::Nothing)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nothing)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nothing)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Scalar<'_> {
    /// The text without blanks around it, where there is any.
    fn text(&self) -> Option<&str> {
        match self {
            Scalar::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    fn bool(&self) -> Option<bool> {
        match self {
            Scalar::Bool(value) => Some(*value),
            _ => None,
        }
    }

    fn moment(&self) -> Option<Result<moments::Moment, String>> {
        match self {
            Scalar::Number(number) => Some(
                moments::epoch(*number)
                    .ok_or_else(|| format!("played_at must be a date and time, not {number}")),
            ),
            Scalar::Bool(value) => {
                Some(Err(format!("played_at must be a date and time, not {value}")))
            }
            _ => self.text().map(moment),
        }
    }

    fn milliseconds(&self) -> Option<Result<i32, String>> {
        match self {
            Scalar::Number(number) => Some(milliseconds(*number)),
            Scalar::Bool(value) => Some(Err(format!("ms_played must be a number, not {value}"))),
            _ => self.text().map(|text| {
                let number = text.parse::<f64>().ok();
                number
                    .ok_or_else(|| format!("ms_played must be a number, not \"{}\"", cut(text)))
                    .and_then(milliseconds)
            }),
        }
    }
}

macro_rules! shape {
    ($name:ident { $($field:ident $(= $other:literal)*),* $(,)? }) => {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct $name<'a> {
            $(#[serde(borrow $(, alias = $other)*)] $field: Scalar<'a>,)*
        }
    };
}

shape!(Object {
    ts,
    end_time = "endTime",
    listened_at,
    played_at,
    ms_played = "msPlayed",
    spotify_track_uri,
    track_id,
    extended_name = "master_metadata_track_name",
    extended_artist = "master_metadata_album_artist_name",
    track_name = "trackName",
    artist = "artistName" = "artist_name",
    episode = "spotify_episode_uri" = "episodeName",
    episode_name,
    show = "podcastName" = "episode_show_name",
    book = "audiobook_uri" = "audiobookName",
    book_title = "audiobook_title",
    skipped,
    reason_end,
    user_id,
    session_id,
    event_id,
});

#[derive(Default, Deserialize)]
#[serde(default)]
struct Listen<'a> {
    #[serde(borrow)]
    track_metadata: Option<Metadata<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    track_name: Scalar<'a>,
    #[serde(borrow)]
    artist_name: Scalar<'a>,
    #[serde(borrow)]
    additional_info: Option<Information<'a>>,
}

shape!(Information { spotify_id, origin_url, duration_played, ms_played });

pub(super) fn read(
    start: Vec<u8>,
    source: impl Read,
    options: &Options,
    each: &mut dyn FnMut(Item),
) -> Result<(), Fault> {
    let mut objects = Objects::new(start, source);
    while let Some((line, bytes)) = objects.next().map_err(Fault::Objects)? {
        let broken = |error: serde_json::Error| Item::Rejected {
            reason: format!("the object on line {line} is no JSON: {error}"),
            track_id: None,
            track_name: None,
            artist: None,
        };
        let object: Object = match serde_json::from_slice(bytes) {
            Ok(object) => object,
            Err(error) => {
                each(broken(error));
                continue;
            }
        };
        let has = |value: &Scalar| !matches!(value, Scalar::Nothing);
        if has(&object.listened_at) || memchr::memmem::find(bytes, b"\"track_metadata\"").is_some()
        {
            match serde_json::from_slice::<Listen>(bytes) {
                Ok(listen) => each(listened(&object, &listen, options)),
                Err(error) => each(broken(error)),
            }
            continue;
        }
        let format = if has(&object.ts) {
            Format::SpotifyExtended
        } else if has(&object.end_time) {
            Format::Spotify
        } else if has(&object.played_at) || has(&object.user_id) {
            Format::Events
        } else {
            return Err(Fault::Unknown(String::from_utf8_lossy(bytes).chars().take(80).collect()));
        };
        each(if options.format.is(format) {
            match format {
                Format::SpotifyExtended => extended(&object, options),
                Format::Spotify => account(&object, options),
                _ => event(&object, options),
            }
        } else {
            other_format(options.format)
        });
    }
    Ok(())
}

fn other_format(format: Format) -> Item<'static> {
    let name = Format::ALL.iter().find(|(_, have)| *have == format).map_or("", |(name, _)| name);
    Item::Rejected {
        reason: format!("this is not written as \"{name}\" histories are"),
        track_id: None,
        track_name: None,
        artist: None,
    }
}

fn extended<'a>(object: &'a Object, options: &Options) -> Item<'a> {
    let track_id = object.spotify_track_uri.text();
    let track_name = object.extended_name.text();
    if track_id.is_none() && track_name.is_none() {
        // An episode, a chapter, a video, or something since withdrawn.
        return Item::PassedOver;
    }
    let skipped = object.skipped.bool().or_else(|| match object.reason_end.text()? {
        "trackdone" => Some(false),
        "fwdbtn" => Some(true),
        _ => None,
    });
    Raw {
        track_id: track_id.filter(|id| track_name.is_none() || !id.starts_with("spotify:local:")),
        track_name,
        artist: object.extended_artist.text(),
        played_at: object.ts.moment(),
        ms_played: object.ms_played.milliseconds(),
        skipped,
        session_id: None,
        event_id: None,
    }
    .judge(options)
}

fn account<'a>(object: &'a Object, options: &Options) -> Item<'a> {
    let none = |values: [&Scalar; 5]| values.iter().all(|value| value.text().is_none());
    let other =
        [&object.episode, &object.episode_name, &object.show, &object.book, &object.book_title];
    if !none(other) {
        return Item::PassedOver;
    }
    Raw {
        track_id: object.spotify_track_uri.text(),
        track_name: object.track_name.text(),
        artist: object.artist.text(),
        played_at: object.end_time.moment(),
        ms_played: object.ms_played.milliseconds(),
        skipped: None,
        session_id: None,
        event_id: None,
    }
    .judge(options)
}

fn listened<'a>(object: &'a Object, listen: &'a Listen, options: &Options) -> Item<'a> {
    if !options.format.is(Format::ListenBrainz) {
        return other_format(options.format);
    }
    let Some(metadata) = &listen.track_metadata else { return Item::PassedOver };
    if matches!(object.listened_at, Scalar::Nothing) {
        // What is playing now has no time yet.
        return Item::PassedOver;
    }
    let information = metadata.additional_info.as_ref();
    let address = |value: Option<&'a Scalar>| {
        value
            .and_then(Scalar::text)
            .filter(|text| text.contains("spotify.com/") || text.starts_with("spotify:"))
    };
    let track_id = address(information.map(|info| &info.spotify_id))
        .or_else(|| address(information.map(|info| &info.origin_url)))
        .filter(|id| crate::value::track_id(id).is_some());
    let seconds = information.and_then(|info| match info.duration_played {
        Scalar::Number(seconds) => Some(milliseconds((seconds * 1000.0).round())),
        _ => None,
    });
    Raw {
        track_id,
        track_name: metadata.track_name.text(),
        artist: metadata.artist_name.text(),
        played_at: object.listened_at.moment(),
        ms_played: information.and_then(|info| info.ms_played.milliseconds()).or(seconds),
        skipped: None,
        session_id: None,
        event_id: None,
    }
    .judge(options)
}

fn event<'a>(object: &'a Object, options: &Options) -> Item<'a> {
    if object.user_id.text().is_some_and(|user_id| user_id != options.user_id) {
        return Item::PassedOver;
    }
    Raw {
        track_id: object.track_id.text(),
        track_name: object.track_name.text(),
        artist: object.artist.text(),
        played_at: object.played_at.moment(),
        ms_played: object.ms_played.milliseconds(),
        skipped: object.skipped.bool(),
        session_id: object.session_id.text(),
        event_id: object.event_id.text().map(uuid),
    }
    .judge(options)
}
