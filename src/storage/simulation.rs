//! The simulator's tables: hidden tastes, the clock, and the rows it writes.

use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;
use serde_json::{Map, Value};
use sparkify_core::simulate::{MOODS, Person, Play, Rhythm, TasteRecord, TrackFacts};

use super::bulk::{self, RowWriter};
use super::spi::{self, Row};
use super::turns::{self, Work};
use crate::error::raise;
use crate::memory;

/// 2000-01-01, from which the server counts, in microseconds since 1970.
const SERVER_EPOCH: i64 = 946_684_800_000_000;

/// A time of the server as the simulator counts: microseconds since 1970. Infinity stays infinite.
pub fn time_of(timestamp: TimestampWithTimeZone) -> i64 {
    i64::from(timestamp).saturating_add(SERVER_EPOCH)
}

fn timestamp(time: i64) -> TimestampWithTimeZone {
    TimestampWithTimeZone::try_from(time - SERVER_EPOCH).unwrap_or_else(|_| {
        raise(
            PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
            format!("time {time} us since 1970 is out of range"),
            None,
        )
    })
}

/// A time that stands in a row, so far from both ends that differences can be had.
fn time(row: &Row, column: usize) -> i64 {
    let time = row.timestamp(column).unwrap_or_default().saturating_add(SERVER_EPOCH);
    time.clamp(i64::MIN / 4, i64::MAX / 4)
}

/// A time as the session shows it.
pub fn shown(time: i64) -> String {
    timestamp(time).to_string()
}

/// What a simulation needs to go on.
pub struct State {
    /// The seed it began with.
    pub seed: i64,
    /// Its options, by name, as JSON.
    pub options: String,
    /// The level of listening found when it began, as JSON.
    pub calibration: String,
    /// Start of the simulated time.
    pub started_at: i64,
    /// Where the simulated time stands.
    pub simulated_until: i64,
}

/// Lets one simulation work at a time, to the end of the transaction.
pub fn lock() {
    turns::take(Work::Simulation);
    spi::execute("LOCK TABLE sparkify_internal.simulator_state IN SHARE ROW EXCLUSIVE MODE", &[]);
}

/// Which state of the database is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// The caller's.
    Callers,
    /// What is committed now, and what this call has written.
    Fresh,
}

fn select(snapshot: Snapshot, sql: &str, each: impl FnMut(&Row)) {
    match snapshot {
        Snapshot::Callers => spi::select(sql, &[], each),
        Snapshot::Fresh => spi::select_now(sql, &[], each),
    }
}

/// The simulation that has begun.
pub fn state(snapshot: Snapshot) -> Option<State> {
    let mut state = None;
    select(
        snapshot,
        "SELECT seed, options::text, calibration::text, started_at, simulated_until \
         FROM sparkify_internal.simulator_state",
        |row| {
            state = Some(State {
                seed: row.i64(0).unwrap_or_default(),
                options: row.text(1).unwrap_or_default().to_owned(),
                calibration: row.text(2).unwrap_or_default().to_owned(),
                started_at: time(row, 3),
                simulated_until: time(row, 4),
            });
        },
    );
    state
}

/// Remembers where a simulation stands.
pub fn save(state: State) {
    spi::execute(
        "INSERT INTO sparkify_internal.simulator_state AS s \
             (seed, options, calibration, started_at, simulated_until) VALUES ($1, $2::jsonb, $3::jsonb, $4, $5) \
         ON CONFLICT (one) DO UPDATE SET simulated_until = excluded.simulated_until",
        &[
            state.seed.into(),
            state.options.into(),
            state.calibration.into(),
            timestamp(state.started_at).into(),
            timestamp(state.simulated_until).into(),
        ],
    );
}

/// Deletes the simulated events and forgets the simulation; gives the events deleted.
pub fn forget() -> u64 {
    let deleted = spi::execute(
        "DELETE FROM sparkify.listening_events WHERE sparkify.is_simulated(event_id)",
        &[],
    );
    spi::execute("UPDATE sparkify.simulated_tastes SET arrives_at = NULL", &[]);
    spi::execute("DELETE FROM sparkify_internal.simulator_state", &[]);
    deleted
}

/// The catalogue in the order of the ids.
pub fn read_tracks(snapshot: Snapshot, mut each: impl FnMut(TrackFacts)) {
    select(
        snapshot,
        "SELECT track_id, artists[1], genres, popularity, duration_ms, \
                danceability, energy, acousticness, valence \
         FROM sparkify.tracks ORDER BY track_id",
        |row| {
            let genres = row.texts(2).unwrap_or_default();
            let genres =
                memory::collected(genres.iter().map(String::as_str), "the genres of a track");
            each(TrackFacts {
                track_id: row.text(0).unwrap_or_default(),
                artist: row.text(1).unwrap_or_default(),
                genres: &genres,
                popularity: row.i32(3),
                duration_ms: row.i32(4),
                moods: [row.f64(5), row.f64(6), row.f64(7), row.f64(8)],
            });
        },
    );
}

/// A user, with the hidden taste if there is one yet.
pub struct StoredUser {
    /// The id.
    pub user_id: String,
    /// Age in years.
    pub age: Option<i32>,
    /// Country.
    pub country: Option<String>,
    /// Declared weights by genre.
    pub declared: Vec<(String, f64)>,
    /// The hidden taste.
    pub taste: Option<TasteRecord>,
    /// When the user starts to listen, in microseconds since 1970, once that is decided.
    pub arrives_at: Option<i64>,
}

/// All users in the order of their ids.
pub fn read_users(snapshot: Snapshot, mut each: impl FnMut(StoredUser)) {
    select(
        snapshot,
        "SELECT u.user_id, u.age, u.country, u.genre_weights, t.genre_weights, t.artist_weights, \
                t.moods, t.activity, t.rhythm, t.impatience, t.stay, t.arrives_at \
         FROM sparkify.users AS u LEFT JOIN sparkify.simulated_tastes AS t USING (user_id) \
         ORDER BY u.user_id",
        |row| {
            each(StoredUser {
                user_id: row.owned(0),
                age: row.i32(1),
                country: row.text(2).map(memory::owned),
                declared: weights(row, 3),
                taste: row.text(8).and_then(|rhythm| taste(row, rhythm)),
                arrives_at: row.timestamp(11).map(|_| time(row, 11)),
            });
        },
    );
}

/// Numbers by name, in the order of the names; what is not a finite number is left out.
fn weights(row: &Row, column: usize) -> Vec<(String, f64)> {
    row.weights(column).unwrap_or_default().into_iter().collect()
}

fn taste(row: &Row, rhythm: &str) -> Option<TasteRecord> {
    let moods = weights(row, 6);
    let mood = |name: &str| moods.iter().find(|m| m.0 == name).map_or(0.0, |m| m.1);
    Some(TasteRecord {
        genres: weights(row, 4),
        artists: weights(row, 5),
        moods: MOODS.map(mood),
        activity: row.f64(7)?,
        rhythm: Rhythm::from_name(rhythm)?,
        impatience: row.f64(9)?,
        stay: row.f64(10)?,
    })
}

/// The ids that [`sparkify_core::simulate::people()`] could give and that are taken.
pub fn taken_ids(mut each: impl FnMut(&str)) {
    spi::select_now(
        "SELECT user_id FROM sparkify.users WHERE user_id >= 'user_' AND user_id < 'user`'",
        &[],
        |row| each(row.text(0).unwrap_or_default()),
    );
}

fn json(weights: &[(String, f64)]) -> String {
    let fields: Map<String, Value> =
        weights.iter().map(|(name, weight)| (name.clone(), Value::from(*weight))).collect();
    Value::Object(fields).to_string()
}

/// Writes generated users; gives the rows written.
pub fn write_people(people: &[&Person]) -> u64 {
    let columns = ["user_id", "age", "country", "genre_weights", "created_at"];
    let mut rest = people.iter();
    bulk::write_rows("users", &columns, &mut |row| {
        let Some(person) = rest.next() else { return false };
        row.text(&person.user_id);
        row.i32(person.age);
        row.text(person.country);
        row.optional(person.declared.as_ref(), |row, declared| row.jsonb(&json(declared)));
        row.timestamp(person.created_at - SERVER_EPOCH);
        true
    })
}

/// A taste to be written, of a user, with the arrival if that is decided.
pub type NewTaste<'a> = (&'a str, &'a TasteRecord, Option<i64>);

/// Writes hidden tastes, in place of those that users of these ids have left behind.
pub fn write_tastes(tastes: &[NewTaste]) {
    let ids: Vec<String> = tastes.iter().map(|taste| taste.0.to_owned()).collect();
    spi::execute("DELETE FROM sparkify.simulated_tastes WHERE user_id = ANY ($1)", &[ids.into()]);
    let columns = [
        "user_id",
        "genre_weights",
        "artist_weights",
        "moods",
        "activity",
        "rhythm",
        "impatience",
        "stay",
        "arrives_at",
    ];
    let mut rest = tastes.iter();
    bulk::write_rows("simulated_tastes", &columns, &mut |row| {
        let Some((user_id, taste, arrives_at)) = rest.next() else { return false };
        let moods: Vec<_> = MOODS.iter().map(|m| (*m).to_owned()).zip(taste.moods).collect();
        row.text(user_id);
        row.jsonb(&json(&taste.genres));
        row.jsonb(&json(&taste.artists));
        row.jsonb(&json(&moods));
        row.f64(taste.activity);
        row.text(taste.rhythm.name());
        row.f64(taste.impatience);
        row.f64(taste.stay);
        row.optional(*arrives_at, |row, time| row.timestamp(time - SERVER_EPOCH));
        true
    });
}

/// Decides when generated users arrived, and dates their accounts accordingly.
pub fn set_arrivals(arrivals: &[(String, i64)]) {
    let ids: Vec<String> = arrivals.iter().map(|a| a.0.clone()).collect();
    let times: Vec<TimestampWithTimeZone> = arrivals.iter().map(|a| timestamp(a.1)).collect();
    spi::execute(
        "UPDATE sparkify.simulated_tastes AS t SET arrives_at = a.arrives_at \
         FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS a (user_id, arrives_at) \
         WHERE t.user_id = a.user_id",
        &[ids.clone().into(), times.clone().into()],
    );
    spi::execute(
        "UPDATE sparkify.users AS u SET created_at = a.arrives_at \
         FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS a (user_id, arrives_at) \
         WHERE u.user_id = a.user_id AND u.created_at <> a.arrives_at",
        &[ids.into(), times.into()],
    );
}

/// Writes plays as they come: `next` replaces the content of a buffer, or gives `false`.
pub fn write_plays(
    users: &[String],
    tracks: &[String],
    next: &mut dyn FnMut(&mut Vec<Play>) -> bool,
) -> u64 {
    let columns =
        ["user_id", "track_id", "played_at", "ms_played", "skipped", "session_id", "event_id"];
    let mut plays = Vec::new();
    let mut at = 0;
    bulk::write_rows("listening_events", &columns, &mut |row| {
        while at == plays.len() {
            at = 0;
            plays.clear();
            if !next(&mut plays) {
                return false;
            }
        }
        write_play(row, &plays[at], users, tracks);
        at += 1;
        true
    })
}

fn write_play(row: &mut RowWriter, play: &Play, users: &[String], tracks: &[String]) {
    row.text(&users[play.user as usize]);
    row.text(&tracks[play.track as usize]);
    row.timestamp(play.played_at - SERVER_EPOCH);
    row.i32(play.ms_played);
    row.bool(play.skipped);
    row.text(std::str::from_utf8(&play.session_id()).unwrap_or_default());
    row.uuid(play.event_id());
}

/// A play as it stands in the table.
pub struct Heard<'a> {
    /// Who.
    pub user_id: &'a str,
    /// What.
    pub track_id: &'a str,
    /// When, in microseconds since 1970.
    pub played_at: i64,
    /// For how long, in milliseconds.
    pub ms_played: Option<i32>,
    /// Whether it ended before the track did.
    pub skipped: Option<bool>,
    /// In which session.
    pub session_id: Option<&'a str>,
}

/// All plays under the caller's snapshot, each user's together and in the order of time.
pub fn read_plays(mut each: impl FnMut(Heard)) {
    spi::select(
        "SELECT user_id, track_id, played_at, ms_played, skipped, session_id \
         FROM sparkify.listening_events ORDER BY user_id, played_at, event_id",
        &[],
        |row| {
            each(Heard {
                user_id: row.text(0).unwrap_or_default(),
                track_id: row.text(1).unwrap_or_default(),
                played_at: time(row, 2),
                ms_played: row.i32(3),
                skipped: row.bool(4),
                session_id: row.text(5),
            });
        },
    );
}
