//! The listening simulator: users, events and the report on them.

use std::collections::{HashMap, HashSet};

use pgrx::datum::{TimestampWithTimeZone, Uuid};
use pgrx::prelude::*;
use sparkify_core::simulate::people::{arrival, derive_taste, people};
use sparkify_core::simulate::random::text_key;
use sparkify_core::simulate::report::{Report, ReportedPlay, ReportedUser};
use sparkify_core::simulate::{
    self, Calibration, Catalogue, CatalogueBuilder, DAY, Listener, PeopleOptions, Person,
    Simulation, SimulationOptions, Taste,
};

use super::progress::Progress;
use crate::error::{in_range, or_raise, raise, required};
use crate::interrupt::interrupt;
use crate::memory;
use crate::storage::simulation::Snapshot::{self, Callers, Fresh};
use crate::storage::simulation::{self as storage, State, StoredUser};

/// Users generated and written at a time: what bounds the memory.
const BATCH: u32 = 8192;
/// Simulated time ends before the year 2200.
const LATEST: i64 = 84_006 * DAY;

#[pg_extern(immutable, strict, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn is_simulated(event_id: Uuid) -> bool {
    simulate::is_simulated(u128::from_be_bytes(*event_id.as_bytes()))
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn generate_users(
    n: default!(Option<i32>, 500),
    seed: default!(Option<i64>, 42),
    undeclared_share: default!(Option<f64>, 0.2),
    until: default!(
        Option<TimestampWithTimeZone>,
        "pg_catalog.date_trunc('hour', pg_catalog.now())"
    ),
) -> i64 {
    let n = in_range(required(n, "n").into(), 1, 10_000_000, "n") as u32;
    let seed = required(seed, "seed");
    let until = time(until, "until");
    let options = PeopleOptions {
        undeclared_share: required(undeclared_share, "undeclared_share"),
        ..PeopleOptions::default()
    };
    or_raise(options.check());
    storage::lock();
    // Who comes when the simulation runs arrives where its clock stands.
    let clock = storage::state(Fresh).map(|state| state.simulated_until);
    let (catalogue, _) = load_catalogue(Fresh, &SimulationOptions::default());
    let mut taken = HashSet::new();
    storage::taken_ids(|id| {
        memory::add(&mut taken, memory::owned(id), "ids of users");
    });
    let mut written = 0;
    for first in (0..n).step_by(BATCH as usize) {
        let numbers = first..n.min(first + BATCH);
        let mut people = or_raise(people(&catalogue, &options, numbers, until, seed, &interrupt));
        people.retain(|person| !taken.contains(&person.user_id));
        if let Some(clock) = clock {
            people.iter_mut().for_each(|person| person.created_at = clock);
        }
        let new: Vec<&Person> = people.iter().collect();
        written += storage::write_people(&new);
        let tastes: Vec<_> = people.iter().map(|p| (&*p.user_id, &p.taste, clock)).collect();
        storage::write_tastes(&tastes);
    }
    say_who_is_new(written, u64::from(n), clock);
    written as i64
}

/// A NOTICE where fewer users were written than one may have expected, or without a past.
fn say_who_is_new(written: u64, asked: u64, clock: Option<i64>) {
    if written < asked {
        pgrx::notice!("{written} of {asked} users are new: the others are there already");
    }
    if let Some(clock) = clock.filter(|_| written > 0) {
        pgrx::notice!(
            "a simulation runs: new users arrive where it stands, at {}, and have no plays before; run reset_simulation() and generate_events() for a past",
            storage::shown(clock)
        );
    }
}

/// A NOTICE where a call could not write much.
fn say_how_many(written: u64, users: usize, from: i64, until: i64) {
    if (written as usize) < users {
        let (from, until) = (storage::shown(from), storage::shown(until));
        pgrx::notice!(
            "{written} plays of {users} users in the simulated time from {from} to {until}: a longer time, by a later until, has more"
        );
    }
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
#[expect(clippy::too_many_arguments, reason = "every knob is a named option")]
fn generate_events(
    events_per_user: default!(Option<i32>, 60),
    days: default!(Option<i32>, 120),
    until: default!(
        Option<TimestampWithTimeZone>,
        "pg_catalog.date_trunc('hour', pg_catalog.now())"
    ),
    seed: default!(Option<i64>, 42),
    since: default!(Option<TimestampWithTimeZone>, "NULL"),
    activity_spread: default!(Option<f64>, 1.2),
    session_plays: default!(Option<f64>, 8.0),
    weekend_factor: default!(Option<f64>, 1.1),
    doubling_days: default!(Option<f64>, 240.0),
    monthly_churn: default!(Option<f64>, 0.055),
    popularity_exponent: default!(Option<f64>, 1.6),
    unplayed_share: default!(Option<f64>, 0.1),
    popularity_drift: default!(Option<f64>, 0.7),
    taste_drift: default!(Option<f64>, 0.5),
    repeat_share: default!(Option<f64>, 0.5),
    fade_days: default!(Option<f64>, 20.0),
    coherence: default!(Option<f64>, 0.85),
    skip_rate: default!(Option<f64>, 0.486),
    skip_taste: default!(Option<f64>, 1.0),
    include_real_users: default!(Option<bool>, false),
) -> i64 {
    let options = SimulationOptions {
        events_per_user: required(events_per_user, "events_per_user"),
        days: required(days, "days"),
        activity_spread: required(activity_spread, "activity_spread"),
        session_plays: required(session_plays, "session_plays"),
        weekend_factor: required(weekend_factor, "weekend_factor"),
        doubling_days: required(doubling_days, "doubling_days"),
        monthly_churn: required(monthly_churn, "monthly_churn"),
        popularity_exponent: required(popularity_exponent, "popularity_exponent"),
        unplayed_share: required(unplayed_share, "unplayed_share"),
        popularity_drift: required(popularity_drift, "popularity_drift"),
        taste_drift: required(taste_drift, "taste_drift"),
        repeat_share: required(repeat_share, "repeat_share"),
        fade_days: required(fade_days, "fade_days"),
        coherence: required(coherence, "coherence"),
        skip_rate: required(skip_rate, "skip_rate"),
        skip_taste: required(skip_taste, "skip_taste"),
    };
    or_raise(options.check());
    let everyone = required(include_real_users, "include_real_users");
    let seed = required(seed, "seed");
    let until = time(until, "until");
    let since = since.map(|since| time(Some(since), "since"));
    storage::lock();
    let state = storage::state(Fresh);
    if let Some(state) = &state {
        check_same(state, seed, &options, since);
        if until <= state.simulated_until {
            pgrx::notice!(
                "simulated time stands at {} already: give a later until, or run reset_simulation()",
                storage::shown(state.simulated_until)
            );
            return 0;
        }
    }
    let (catalogue, track_ids) = load_catalogue(Fresh, &options);
    let started_at = match (&state, since) {
        (Some(state), _) => state.started_at,
        (None, Some(since)) => since,
        (None, None) => (until - i64::from(options.days) * DAY).max(0),
    };
    if started_at >= until {
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "until must be after since", None);
    }
    let from = state.as_ref().map_or(started_at, |state| state.simulated_until);
    let begins = state.is_none();
    let (user_ids, listeners) = load_listeners(&catalogue, &options, seed, from, begins, everyone);
    let sim = match &state {
        Some(state) => {
            or_raise(Simulation::new(catalogue, options.clone(), calibration(state), started_at))
        }
        None => or_raise(Simulation::calibrate(
            catalogue,
            options.clone(),
            &listeners,
            started_at,
            &interrupt,
        )),
    };
    let mut progress = Progress::new("generate_events", user_ids.len());
    let mut begun = 0;
    let written = sim.run(&listeners, (from, until), 1, &interrupt, |next| {
        storage::write_plays(&user_ids, &track_ids, &mut |plays| {
            let more = or_raise(next(plays));
            // Plays come by user, in the users' order.
            if let Some(play) = plays.last() {
                progress.advance((play.user as usize).saturating_sub(begun));
                begun = play.user as usize;
            }
            more
        })
    });
    say_how_many(written, listeners.len(), from, until);
    storage::save(State {
        seed,
        options: json(&options),
        calibration: json(sim.calibration()),
        started_at,
        simulated_until: until,
    });
    written as i64
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn reset_simulation() -> i64 {
    storage::lock();
    storage::forget() as i64
}

#[pg_extern(stable, parallel_restricted)]
#[search_path(pg_catalog, pg_temp)]
#[expect(clippy::type_complexity, reason = "the columns, by name")]
fn simulation_report() -> TableIterator<
    'static,
    (
        name!(metric, String),
        name!(source, String),
        name!(target, f64),
        name!(tolerance, f64),
        name!(measured, Option<f64>),
        name!(within, Option<bool>),
    ),
> {
    let options =
        storage::state(Callers).map(|state| read_json(&state.options)).unwrap_or_default();
    let (catalogue, track_ids) = load_catalogue(Callers, &options);
    let tracks = indices(&track_ids);
    let (mut user_ids, mut users) = (Vec::new(), Vec::new());
    storage::read_users(Callers, |user| {
        let liked = liked(&user, &catalogue);
        memory::push(&mut users, ReportedUser { age: user.age, liked }, "users");
        memory::push(&mut user_ids, user.user_id, "users");
    });
    let known = indices(&user_ids);
    let genres_of = |track| catalogue.genres_of(track);
    let mut report = or_raise(Report::new(&users, track_ids.len(), genres_of, &options));
    let mut current = (String::new(), 0);
    let mut strangers = users.len() as u32;
    storage::read_plays(|play| {
        if current.0 != play.user_id {
            let user = known.get(play.user_id).copied().unwrap_or_else(|| {
                strangers += 1;
                strangers
            });
            current = (play.user_id.to_owned(), user);
        }
        let play = ReportedPlay {
            user: current.1,
            track: tracks.get(play.track_id).copied(),
            played_at: play.played_at,
            ms_played: play.ms_played,
            skipped: play.skipped,
            session: play.session_id.map(|id| text_key(id, 0)),
        };
        or_raise(report.add(play));
    });
    let rows = or_raise(report.finish()).into_iter().map(|row| {
        let within = row.within();
        (row.metric, row.source.to_owned(), row.target, row.tolerance, row.measured, within)
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// Genres that weigh in a user's hidden taste.
fn liked(user: &StoredUser, catalogue: &Catalogue) -> Vec<u32> {
    let genres = user.taste.iter().flat_map(|taste| &taste.genres);
    genres.filter(|g| g.1 > 0.08).filter_map(|g| catalogue.genre_id(&g.0)).collect()
}

fn indices(ids: &[String]) -> HashMap<&str, u32> {
    let mut indices = HashMap::new();
    for (id, index) in ids.iter().zip(0u32..) {
        if index.is_multiple_of(4096) {
            interrupt();
        }
        memory::put(&mut indices, id.as_str(), index, "ids");
    }
    indices
}

/// The catalogue and the ids of its tracks; raises where there are none.
fn load_catalogue(snapshot: Snapshot, options: &SimulationOptions) -> (Catalogue, Vec<String>) {
    let mut builder = CatalogueBuilder::default();
    let mut ids = Vec::new();
    storage::read_tracks(snapshot, |track| {
        memory::push(&mut ids, memory::owned(track.track_id), "ids of tracks");
        or_raise(builder.add(track));
    });
    interrupt();
    (or_raise(builder.build(options, &interrupt)), ids)
}

/// The simulated users with their tastes, or `everyone`, of whom who has no taste gets one,
/// kept for the next time; who has not
/// arrived yet does so where the clock stands, or when the simulation begins somewhere in a
/// growth that ends `days` later.
fn load_listeners(
    catalogue: &Catalogue,
    options: &SimulationOptions,
    seed: i64,
    clock: i64,
    begins: bool,
    everyone: bool,
) -> (Vec<String>, Vec<Listener>) {
    let (mut ids, mut listeners) = (Vec::new(), Vec::new());
    let (mut tastes, mut arrivals) = (Vec::new(), Vec::new());
    let end = clock + i64::from(options.days) * DAY;
    let mut real = 0u64;
    storage::read_users(Fresh, |user| {
        if user.taste.is_none() && !everyone {
            real += 1;
            return;
        }
        let key = text_key(&user.user_id, seed as u64);
        let grown = if begins { arrival(key, end, options.doubling_days) } else { clock };
        let arrives_at = user.arrives_at.unwrap_or(grown);
        let derived = || {
            let country = user.country.as_deref();
            derive_taste(catalogue, key, user.age, country, Some(&user.declared))
        };
        let kept = user.taste.is_some();
        let record = user.taste.clone().unwrap_or_else(derived);
        let bound = Taste::bind(&record, arrives_at, catalogue)
            .or_else(|| Taste::bind(&derived(), arrives_at, catalogue));
        if let Some(taste) = bound {
            memory::push(&mut listeners, Listener { key, age: user.age, taste }, "users");
            if !kept {
                memory::push(&mut tastes, (user.user_id.clone(), record, arrives_at), "users");
            } else if user.arrives_at.is_none() {
                memory::push(&mut arrivals, (user.user_id.clone(), arrives_at), "users");
            }
            memory::push(&mut ids, user.user_id, "users");
        }
    });
    for tastes in tastes.chunks(BATCH as usize) {
        let new: Vec<_> =
            tastes.iter().map(|(id, taste, at)| (id.as_str(), taste, Some(*at))).collect();
        storage::write_tastes(&new);
    }
    for arrivals in arrivals.chunks(BATCH as usize) {
        storage::set_arrivals(arrivals);
    }
    if ids.is_empty() {
        let (message, hint) = match real {
            0 => ("there are no users", "Run SELECT sparkify.generate_users(), or insert users."),
            _ => (
                "there are no simulated users",
                "Run SELECT sparkify.generate_users(), or give include_real_users => true to write plays of the users that are there.",
            ),
        };
        raise(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message, Some(hint));
    }
    if real > 0 {
        pgrx::notice!(
            "no plays are written of users that were not simulated ({real}): include_real_users => true writes theirs, too"
        );
    }
    (ids, listeners)
}

/// A time within the simulator's range.
fn time(value: Option<TimestampWithTimeZone>, name: &str) -> i64 {
    let time = storage::time_of(required(value, name));
    if (0..=LATEST).contains(&time) {
        return time;
    }
    raise(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{name} must be between 1970-01-01 and 2200-01-01 UTC"),
        None,
    )
}

/// Raises where a call does not go on with the simulation that has begun.
fn check_same(state: &State, seed: i64, options: &SimulationOptions, since: Option<i64>) {
    let kept: SimulationOptions = read_json(&state.options);
    let differs = if seed != state.seed {
        Some(("seed".to_owned(), state.seed.to_string(), seed.to_string()))
    } else if let Some(since) = since.filter(|since| *since != state.started_at) {
        let (kept, given) = (storage::shown(state.started_at), storage::shown(since));
        Some(("since".to_owned(), kept, given))
    } else {
        kept.difference(options)
    };
    if let Some((name, kept, given)) = differs {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the simulation runs with {name} => {kept}, not {given}"),
            Some(
                "Give the same options to go on, or run SELECT sparkify.reset_simulation(), which deletes the simulated events.",
            ),
        );
    }
}

fn calibration(state: &State) -> Calibration {
    read_json(&state.calibration)
}

fn read_json<T: serde::de::DeserializeOwned>(value: &str) -> T {
    serde_json::from_str(value).unwrap_or_else(|error| {
        raise(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            format!("sparkify_internal.simulator_state cannot be read: {error}"),
            Some("Run SELECT sparkify.reset_simulation()."),
        )
    })
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
