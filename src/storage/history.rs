//! Plays of a delivery: matched with the catalogue, and stored once.
//!
//! A play is of the track of its id, else of one that has its name and artist: the
//! one this user played before, else the most popular. Two plays of one song by a
//! user are the same when their times are equal, or when one is known to the minute
//! and the other lies within it. Memory holds the catalogue, and of one user at a
//! time 60 bytes for every play there is.

use std::collections::{HashMap, HashSet};

use md5::{Digest, Md5};
use pgrx::check_for_interrupts;
use sparkify_formats::history::{Item, Play};
use sparkify_formats::song;
use xxhash_rust::xxh3::xxh3_128;

use super::bulk::{self, RowWriter};
use super::directory::Directory;
use super::spi;
use super::track_file::EPOCH;
use crate::memory;

const MINUTE: i64 = 60_000_000;
/// Plays that one statement writes.
pub const BATCH: usize = 50_000;
/// Rows that one statement writes that may stand there already.
const FEW: usize = 5_000;

/// What became of the records of a delivery.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Plays stored.
    pub accepted: i64,
    /// Plays that stood there already.
    pub duplicate: i64,
    /// Plays of tracks that the catalogue does not hold, kept in `unmatched_plays`.
    pub unmatched: i64,
    /// Records that are no plays of a track.
    pub passed_over: i64,
    /// Records that cannot be read, kept in `rejected_events`.
    pub rejected: i64,
}

/// A play to be stored.
struct Event {
    track: u32,
    user: u32,
    played_at: i64,
    ms_played: Option<i32>,
    skipped: Option<bool>,
    session_id: Option<String>,
    event_id: u128,
}

/// Rows of columns, for one statement.
#[derive(Default)]
struct Unmatched {
    user_id: Vec<String>,
    played_at: Vec<i64>,
    play_key: Vec<String>,
    track_id: Vec<Option<String>>,
    track_name: Vec<Option<String>>,
    artist: Vec<Option<String>>,
    ms_played: Vec<Option<i32>>,
    skipped: Vec<Option<bool>>,
    session_id: Vec<Option<String>>,
    event_id: Vec<Option<String>>,
    to_the_minute: Vec<bool>,
}

/// What is known of the user whose plays come.
#[derive(Default)]
struct Listener {
    played: HashSet<u32>,
    /// Times and tracks of plays.
    exact: HashSet<(i64, u32)>,
    /// Minutes and tracks of plays, and whether one is known to the minute only.
    minutes: HashMap<(i64, u32), bool>,
    /// Times and ids of plays, read when a play brings an id of its own.
    ids: Option<HashSet<(i64, u128)>>,
    /// What names were found to be: the tracks, the most fitting first.
    names: HashMap<u128, Vec<u32>>,
}

/// Takes plays, user by user.
pub struct Importer {
    directory: Directory,
    users: Vec<String>,
    listener: Listener,
    events: Vec<Event>,
    unmatched: Unmatched,
    rejected: Vec<(String, String)>,
    counts: Counts,
}

/// What became of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is to be stored.
    Accepted,
    /// It stands there already.
    Duplicate,
    /// Its track is unknown.
    Unmatched,
}

impl Importer {
    /// Reads the catalogue.
    pub fn new() -> Importer {
        Importer {
            directory: spi::under_own_search_path(Directory::read),
            users: Vec::new(),
            listener: Listener::default(),
            events: Vec::new(),
            unmatched: Unmatched::default(),
            rejected: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Takes plays of that user from now on. Others who do the same wait until this
    /// transaction ends. False where the user does not exist and is not to be made.
    pub fn begin(&mut self, user_id: &str, create: bool) -> bool {
        // The source of plays may have brought the caller's own path.
        spi::under_own_search_path(|| self.begin_here(user_id, create))
    }

    fn begin_here(&mut self, user_id: &str, create: bool) -> bool {
        if create {
            spi::execute(
                "INSERT INTO sparkify.users (user_id) VALUES ($1) ON CONFLICT (user_id) DO NOTHING",
                &[user_id.into()],
            );
        }
        let mut found = false;
        spi::select_now(
            "SELECT 1 FROM sparkify.users WHERE user_id = $1 FOR NO KEY UPDATE",
            &[user_id.into()],
            |_| found = true,
        );
        if !found {
            return false;
        }
        self.users.push(user_id.to_owned());
        self.listener = Listener::default();
        let (listener, directory) = (&mut self.listener, &self.directory);
        spi::select_now(
            "SELECT track_id, played_at FROM sparkify.listening_events WHERE user_id = $1",
            &[user_id.into()],
            |row| {
                check_for_interrupts!();
                if let (Some(id), Some(at)) = (row.text(0), row.timestamp(1))
                    && let Some(track) = directory.find(id)
                {
                    // Without seconds it may be known to the minute only.
                    listener.note(at + EPOCH, at % MINUTE == 0, track);
                }
            },
        );
        true
    }

    /// Takes a record of the current user's.
    pub fn take(&mut self, item: &Item) {
        check_for_interrupts!();
        match item {
            Item::Play(play) => {
                if self.place(play) == Outcome::Unmatched {
                    self.keep(play);
                }
            }
            Item::PassedOver => self.counts.passed_over += 1,
            Item::Rejected { reason, track_id, track_name, artist } => {
                self.counts.rejected += 1;
                let event = serde_json::json!({
                    "user_id": self.users.last(), "track_id": track_id, "track_name": track_name, "artist": artist,
                    // Two bad records of one song are two.
                    "reason": reason,
                });
                self.rejected.push((event.to_string(), reason.clone()));
                if self.rejected.len() >= FEW {
                    spi::under_own_search_path(|| self.write_rejected());
                }
            }
        }
    }

    /// Finds a play's track, and has it stored where it is new.
    pub fn place(&mut self, play: &Play) -> Outcome {
        let key = match (play.track_name, play.artist) {
            (Some(name), Some(artist)) => Some((name, artist)),
            _ => None,
        };
        let by_id = play.track_id.and_then(|id| self.directory.find(id));
        let named = key.map(|(name, artist)| self.named(name, artist)).unwrap_or_default();
        let Some(track) = by_id.or_else(|| {
            let before = named.iter().find(|track| self.listener.played.contains(track));
            before.or(named.first()).copied()
        }) else {
            self.counts.unmatched += 1;
            return Outcome::Unmatched;
        };
        let heard = {
            let mut versions = named.into_iter().chain(self.directory.versions(track));
            versions.any(|version| self.listener.has(play, version))
        };
        let event_id = match play.event_id {
            // Without an id the same play delivered again still has to be the same event.
            None => u128::from_be_bytes(Md5::digest(self.directory.id(track)).into()),
            Some(id) => id,
        };
        if heard || (play.event_id.is_some() && !self.new_id(play.played_at, event_id)) {
            self.counts.duplicate += 1;
            return Outcome::Duplicate;
        }
        self.listener.note(play.played_at, play.to_the_minute, track);
        self.counts.accepted += 1;
        self.events.push(Event {
            track,
            user: self.users.len() as u32 - 1,
            played_at: play.played_at,
            ms_played: play.ms_played,
            skipped: play.skipped,
            session_id: play.session_id.map(str::to_owned),
            event_id,
        });
        if self.events.len() >= BATCH {
            spi::under_own_search_path(|| self.write_events());
        }
        Outcome::Accepted
    }

    /// The tracks that a name and a credit may mean, the most fitting first.
    fn named(&mut self, name: &str, artist: &str) -> Vec<u32> {
        let mut text = Vec::with_capacity(name.len() + artist.len() + 1);
        text.extend_from_slice(name.as_bytes());
        text.push(0);
        text.extend_from_slice(artist.as_bytes());
        let directory = &self.directory;
        let find = || {
            let found = song::credited(artist).find_map(|artist| {
                let tracks: Vec<u32> = directory.named(song::name_key(name, artist)).collect();
                (!tracks.is_empty()).then_some(tracks)
            });
            found.unwrap_or_default()
        };
        self.listener.names.entry(xxh3_128(&text)).or_insert_with(find).clone()
    }

    /// Whether the user has no play of that time and id yet; notes it.
    fn new_id(&mut self, played_at: i64, id: u128) -> bool {
        let user = self.users.last().map(String::as_str).unwrap_or_default();
        let ids = self.listener.ids.get_or_insert_with(|| {
            let mut ids = HashSet::new();
            let sql =
                "SELECT played_at, event_id FROM sparkify.listening_events WHERE user_id = $1";
            spi::under_own_search_path(|| {
                spi::select_now(sql, &[user.into()], |row| {
                    if let (Some(at), Some(id)) = (row.timestamp(0), row.uuid(1)) {
                        ids.insert((at + EPOCH, id));
                    }
                });
            });
            ids
        });
        ids.insert((played_at, id))
    }

    fn keep(&mut self, play: &Play) {
        let key = match (play.track_name, play.artist, play.track_id) {
            (Some(name), Some(artist), _) => song::name_key(name, artist),
            (_, _, id) => xxh3_128(id.unwrap_or_default().as_bytes()),
        };
        let own = |text: Option<&str>| text.map(str::to_owned);
        let rows = &mut self.unmatched;
        rows.user_id.push(self.users.last().cloned().unwrap_or_default());
        rows.played_at.push(play.played_at);
        rows.play_key.push(uuid(key));
        rows.track_id.push(own(play.track_id));
        rows.track_name.push(own(play.track_name));
        rows.artist.push(own(play.artist));
        rows.ms_played.push(play.ms_played);
        rows.skipped.push(play.skipped);
        rows.session_id.push(own(play.session_id));
        rows.event_id.push(play.event_id.map(uuid));
        rows.to_the_minute.push(play.to_the_minute);
        if rows.user_id.len() >= FEW {
            spi::under_own_search_path(|| self.write_unmatched());
        }
    }

    /// Writes what is not written yet; gives what became of all records.
    pub fn finish(mut self) -> Counts {
        spi::under_own_search_path(|| {
            self.write_events();
            self.write_unmatched();
            self.write_rejected();
        });
        self.counts
    }

    fn write_events(&mut self) {
        let mut events = std::mem::take(&mut self.events).into_iter();
        if events.len() == 0 {
            return;
        }
        let columns =
            ["user_id", "track_id", "played_at", "ms_played", "skipped", "session_id", "event_id"];
        bulk::write_rows("listening_events", &columns, &mut |out| {
            let Some(event) = events.next() else { return false };
            out.text(&self.users[event.user as usize]);
            out.text(self.directory.id(event.track));
            out.timestamp(event.played_at - EPOCH);
            out.optional(event.ms_played, RowWriter::i32);
            out.optional(event.skipped, RowWriter::bool);
            out.optional(event.session_id.as_deref(), |out, text| out.text(text));
            out.uuid(event.event_id);
            true
        });
    }

    fn write_unmatched(&mut self) {
        let rows = std::mem::take(&mut self.unmatched);
        if rows.user_id.is_empty() {
            return;
        }
        spi::execute(
            "INSERT INTO sparkify.unmatched_plays (user_id, played_at, play_key, track_id, track_name, artist, \
                 ms_played, skipped, session_id, event_id, to_the_minute) \
             SELECT p.user_id, pg_catalog.to_timestamp(0) + p.played_at * interval '1 microsecond', p.play_key::uuid, \
                 p.track_id, p.track_name, p.artist, p.ms_played, p.skipped, p.session_id, p.event_id::uuid, p.to_the_minute \
             FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], \
                 $8::boolean[], $9::text[], $10::text[], $11::boolean[]) \
                 AS p (user_id, played_at, play_key, track_id, track_name, artist, ms_played, skipped, session_id, event_id, to_the_minute) \
             ON CONFLICT (user_id, played_at, play_key) DO NOTHING",
            &[
                rows.user_id.into(),
                rows.played_at.into(),
                rows.play_key.into(),
                rows.track_id.into(),
                rows.track_name.into(),
                rows.artist.into(),
                rows.ms_played.into(),
                rows.skipped.into(),
                rows.session_id.into(),
                rows.event_id.into(),
                rows.to_the_minute.into(),
            ],
        );
    }

    fn write_rejected(&mut self) {
        let (events, reasons): (Vec<String>, Vec<String>) =
            std::mem::take(&mut self.rejected).into_iter().unzip();
        if events.is_empty() {
            return;
        }
        // Delivered again, a record is refused again and kept once.
        spi::execute(
            "INSERT INTO sparkify.rejected_events (event, reason) \
             SELECT jsonb_strip_nulls(r.event::jsonb), r.reason FROM unnest($1::text[], $2::text[]) AS r (event, reason) \
             ON CONFLICT DO NOTHING",
            &[events.into(), reasons.into()],
        );
    }
}

impl Listener {
    fn note(&mut self, at: i64, to_the_minute: bool, track: u32) {
        memory::add(&mut self.played, track, "the plays of a user");
        memory::add(&mut self.exact, (at, track), "the plays of a user");
        let minute = (at.div_euclid(MINUTE), track);
        let known = self.minutes.get(&minute).copied().unwrap_or_default();
        memory::put(&mut self.minutes, minute, known || to_the_minute, "the plays of a user");
    }

    /// Whether a play of that track is one that is known already.
    fn has(&self, play: &Play, track: u32) -> bool {
        if self.exact.contains(&(play.played_at, track)) {
            return true;
        }
        let there = self.minutes.get(&(play.played_at.div_euclid(MINUTE), track));
        there.is_some_and(|to_the_minute| play.to_the_minute || *to_the_minute)
    }
}

/// A uuid's text.
pub fn uuid(value: u128) -> String {
    format!("{value:032x}")
}
