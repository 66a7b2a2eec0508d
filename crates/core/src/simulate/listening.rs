//! What a user plays: discoveries that are played again, and fresh tracks.
//!
//! A user's discoveries are a stream of slots in time, as many as it takes to be
//! played some eight times each. Slot `k` holds one track, a function of the user
//! and `k` alone. A repeat at time t picks an age from a distribution that rises
//! and then fades and plays the slot of that age: the interest in a track rises
//! after its discovery and fades again (Sguerra, Tran, Hennequin 2022), and
//! nothing has to be remembered.

use super::activity::{
    MOST_A_DAY, SECOND, SESSION_GAP, day_factor, day_of, day_start, is_weekend, pause, presence,
    rate, session_length, session_mean, session_starts,
};
use super::random::{Draws, key};
use super::skip::{WEEKEND, by_age, skipped_after};
use super::taste::{Leaning, Listener};
use super::{DAY, Play, Simulation};
use crate::{Result, memory};

/// Mean plays of a discovery.
const PLAYS_OF_A_DISCOVERY: f64 = 9.0;
/// A user has at least this many discoveries at hand.
const FEWEST_AT_HAND: f64 = 10.0;
/// Share of fresh plays that go to a favourite artist.
const BY_ARTIST: f64 = 0.25;
/// Share of sessions that stay with an artist, and of their fresh plays that do.
const ARTIST_SESSIONS: (f64, f64) = (0.15, 0.7);
/// Share of the turns to a genre that lead to one out of the whole catalogue.
const WANDERS: f64 = 0.12;
/// Tries to find a track that fits before the last one is taken.
const TRIES: usize = 8;
/// A track is not played again within this many plays of a session.
const RECENT: usize = 6;
const SLOTS_KEPT: usize = 512;
/// Plays that there is room for before a day is simulated.
const ROOM_FOR_A_DAY: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Key of the user and the number.
    key: u64,
    track: u32,
    /// How much of the interest it gets that its age allows, in (0, 1].
    appeal: f32,
}

/// Room that is used again from user to user.
#[derive(Debug)]
pub(crate) struct Workspace {
    leaning: Leaning,
    slot_leaning: Leaning,
    starts: Vec<i64>,
    slots: Vec<Slot>,
}

impl Default for Workspace {
    fn default() -> Self {
        let empty = Slot { key: 0, track: 0, appeal: 0.0 };
        Workspace {
            leaning: Leaning::default(),
            slot_leaning: Leaning::default(),
            starts: Vec::new(),
            slots: vec![empty; SLOTS_KEPT],
        }
    }
}

/// One user's listening.
pub(crate) struct Walk<'a> {
    sim: &'a Simulation,
    listener: &'a Listener,
    user: u32,
    room: &'a mut Workspace,
    rate: f64,
    slot_days: f64,
    /// Mean age of a repeat, in slots.
    fade: f64,
    skip: f64,
}

impl<'a> Walk<'a> {
    pub fn new(
        sim: &'a Simulation,
        user: u32,
        listener: &'a Listener,
        room: &'a mut Workspace,
    ) -> Self {
        let options = &sim.options;
        let rate = rate(listener, options, sim.calibration.plays_a_day);
        let slot_days = PLAYS_OF_A_DISCOVERY / (options.repeat_share * rate).max(1e-6);
        let fade = (options.fade_days / slot_days).max(FEWEST_AT_HAND);
        let skip = by_age(listener.age) * listener.taste.impatience * sim.calibration.skip;
        Walk { sim, listener, user, room, rate, slot_days, fade, skip }
    }

    /// Appends the plays that start in [from, until), in the order of time; not all of them
    /// where `go_on` says no.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where there is no room for them.
    pub fn plays(
        &mut self,
        from: i64,
        until: i64,
        go_on: &dyn Fn() -> bool,
        out: &mut Vec<Play>,
    ) -> Result<()> {
        let (arrives, leaves) = presence(self.listener, &self.sim.options, self.sim.started_at);
        let (from, until) = (from.max(arrives), until.min(leaves));
        if from >= until {
            return Ok(());
        }
        for day in day_of(from)..=day_of(until - 1) {
            if day & 31 == 0 && !go_on() {
                break;
            }
            memory::reserve(out, ROOM_FOR_A_DAY, "simulated plays")?;
            self.day(day, from, until, out);
        }
        Ok(())
    }

    fn day(&mut self, day: i64, from: i64, until: i64, out: &mut Vec<Play>) {
        let options = &self.sim.options;
        let mut draws = Draws::new(key(key(self.listener.key, 0x6461_7973), day as u64));
        let length = session_mean(self.rate, options);
        // Sessions are cut where the day ends, those of heavy listeners more often.
        let full = self.rate / MOST_A_DAY;
        let cut = 1.0 - 0.015 - 0.05 * full * full;
        let sessions = self.rate * day_factor(self.listener, options, day) / (length * cut);
        let mut starts = std::mem::take(&mut self.room.starts);
        session_starts(
            self.listener.taste.rhythm,
            self.rate,
            sessions,
            day,
            &mut draws,
            &mut starts,
        );
        let last = day_start(day + 1) - SESSION_GAP - SECOND;
        let mut free_from = i64::MIN;
        for (ordinal, &start) in starts.iter().enumerate() {
            if start >= until {
                break;
            }
            let session =
                key(key(self.listener.key, 0x7365_7373), (day * 1024 + ordinal as i64) as u64);
            let mut draws = Draws::new(session);
            let start = if start < free_from {
                free_from + (600.0 * draws.unit() * SECOND as f64) as i64
            } else {
                start
            };
            let tracks = session_length(length, &mut draws);
            let end = self.session(session, start, last, tracks, day, (from, until), draws, out);
            free_from = end + SESSION_GAP + SECOND;
        }
        self.room.starts = starts;
    }

    /// Plays a session and returns when it ended.
    #[allow(clippy::too_many_arguments)]
    fn session(
        &mut self,
        session: u64,
        start: i64,
        last: i64,
        tracks: usize,
        day: i64,
        (from, until): (i64, i64),
        mut draws: Draws,
        out: &mut Vec<Play>,
    ) -> i64 {
        let sim = self.sim;
        let options = &sim.options;
        let mut leaning = std::mem::take(&mut self.room.leaning);
        leaning.at(self.listener, &sim.catalogue, options.taste_drift, start);
        let mut genre = turn(sim, &leaning, &mut draws);
        let stays = draws.chance(ARTIST_SESSIONS.0);
        let weekend = WEEKEND[usize::from(is_weekend(day))];
        let mut recent = [u32::MAX; RECENT];
        let mut previous = None;
        let (mut time, mut end) = (start, start);
        for n in 0..tracks {
            let mut track = 0;
            for _ in 0..4 {
                track =
                    self.next(&leaning, &mut genre, previous.filter(|_| stays), time, &mut draws);
                if !recent.contains(&track) {
                    break;
                }
            }
            recent[n % RECENT] = track;
            previous = Some(track);
            let affinity = leaning.affinity(self.listener, &sim.catalogue, track);
            let near = options.skip_taste * (sim.calibration.affinity - affinity);
            let skipped = draws.chance((self.skip * weekend * (1.0 + near)).clamp(0.0, 0.98));
            let duration = sim.catalogue.tracks[track as usize].duration_ms;
            let ms_played = if skipped { skipped_after(duration, &mut draws) } else { duration };
            let ends = time + i64::from(ms_played) * 1000;
            if ends > last || time >= until {
                break;
            }
            if time >= from {
                out.push(Play {
                    user: self.user,
                    track,
                    played_at: time,
                    ms_played,
                    skipped,
                    affinity: affinity as f32,
                    session,
                    event: key(session, n as u64),
                });
            }
            end = ends;
            time = ends + pause(&mut draws);
        }
        self.room.leaning = leaning;
        end
    }

    fn next(
        &mut self,
        leaning: &Leaning,
        genre: &mut u32,
        stay_with: Option<u32>,
        time: i64,
        draws: &mut Draws,
    ) -> u32 {
        let options = &self.sim.options;
        let catalogue = &self.sim.catalogue;
        if draws.chance(options.repeat_share) {
            return self.repeat(*genre, time, draws);
        }
        if let Some(track) = stay_with.filter(|_| draws.chance(ARTIST_SESSIONS.1)) {
            let tracks = catalogue.tracks_of(catalogue.artist_of(track));
            if tracks.len() > 1 {
                return tracks[draws.below(tracks.len())];
            }
        }
        if !draws.chance(options.coherence) {
            *genre = turn(self.sim, leaning, draws);
        }
        fresh(self.sim, self.listener, leaning, *genre, time, draws)
    }

    /// A discovery again: of the session's genre if one is found soon.
    fn repeat(&mut self, genre: u32, time: i64, draws: &mut Draws) -> u32 {
        let now = time as f64 / (self.slot_days * DAY as f64);
        let other = 1.0 - self.sim.options.coherence;
        let mut track = 0;
        for _ in 0..TRIES {
            // Rises to its peak at `fade`, falls to nothing at twice that; one in ten is older.
            let triangle = self.fade * (draws.unit() + draws.unit());
            let age = if draws.chance(0.9) { triangle } else { triangle * 4.0 * draws.unit() };
            let slot = self.slot((now - age).floor() as i64);
            track = slot.track;
            let same = self.sim.catalogue.genres_of(track).contains(&genre);
            if draws.unit() < f64::from(slot.appeal) * if same { 1.0 } else { other } {
                break;
            }
        }
        track
    }

    fn slot(&mut self, number: i64) -> Slot {
        let place = number.rem_euclid(SLOTS_KEPT as i64) as usize;
        let slot = key(key(self.listener.key, 0x736C_6F74), number as u64);
        if self.room.slots[place].key == slot {
            return self.room.slots[place];
        }
        let sim = self.sim;
        let mut draws = Draws::new(slot);
        let time = (number as f64 * self.slot_days * DAY as f64) as i64;
        let leaning = &mut self.room.slot_leaning;
        leaning.at(self.listener, &sim.catalogue, sim.options.taste_drift, time);
        let genre = leaning.draw_genre(&mut draws);
        let track = fresh(sim, self.listener, leaning, genre, time, &mut draws);
        let slot = Slot { key: slot, track, appeal: (0.3 + 0.7 * draws.unit()) as f32 };
        self.room.slots[place] = slot;
        slot
    }
}

/// The genre that a user turns to.
fn turn(sim: &Simulation, leaning: &Leaning, draws: &mut Draws) -> u32 {
    if draws.chance(WANDERS) { sim.catalogue.any_genre(draws) } else { leaning.draw_genre(draws) }
}

/// A track out of the whole genre, by popularity, vogue and sound, or of a favourite artist.
fn fresh(
    sim: &Simulation,
    listener: &Listener,
    leaning: &Leaning,
    genre: u32,
    time: i64,
    draws: &mut Draws,
) -> u32 {
    let catalogue = &sim.catalogue;
    if draws.chance(BY_ARTIST) {
        let own = listener.taste.artists.iter().filter(|a| a.1 == genre);
        if own.clone().next().is_some() {
            let chosen = draws.weighted(own.clone().map(|a| a.2));
            if let Some(&(artist, ..)) = own.clone().nth(chosen) {
                let tracks = catalogue.tracks_of(artist);
                let u = draws.unit();
                return tracks[((u * u) * tracks.len() as f64) as usize];
            }
        }
    }
    let mut track = 0;
    for _ in 0..TRIES {
        track = catalogue.draw(genre, draws);
        let facts = &catalogue.tracks[track as usize];
        if draws.unit() < catalogue.vogue(facts, time) * leaning.fit(facts) {
            break;
        }
    }
    track
}

/// How strongly a user is drawn to each track at a time: the probability that a fresh
/// play is of it. What the truth would rank by.
pub(crate) fn truth(
    sim: &Simulation,
    listener: &Listener,
    leaning: &Leaning,
    time: i64,
) -> Vec<f64> {
    let catalogue = &sim.catalogue;
    let mut scores = vec![0.0; catalogue.len()];
    let all: f64 = leaning.genres.iter().map(|g| g.1).sum();
    for &(id, weight) in &leaning.genres {
        let weight = weight / all;
        let genre = &catalogue.genres[id as usize];
        let own = listener.taste.artists.iter().filter(|a| a.1 == id);
        let of_artists: f64 = own.clone().map(|a| a.2).sum();
        let by_artist = if of_artists > 0.0 { BY_ARTIST } else { 0.0 };
        let accepted = |track: u32| {
            let facts = &catalogue.tracks[track as usize];
            catalogue.vogue(facts, time) * leaning.fit(facts)
        };
        let shares = || genre.tracks.iter().zip(&genre.shares);
        let mean: f64 = shares().map(|(&t, share)| share * accepted(t)).sum();
        for (&track, share) in shares() {
            let p = share * accepted(track) / mean;
            scores[track as usize] += weight * (1.0 - by_artist) * p;
        }
        for &(artist, _, artist_weight) in own {
            let tracks = catalogue.tracks_of(artist);
            let n = tracks.len() as f64;
            for (place, &track) in tracks.iter().enumerate() {
                let share = ((place as f64 + 1.0) / n).sqrt() - (place as f64 / n).sqrt();
                scores[track as usize] += weight * by_artist * artist_weight / of_artists * share;
            }
        }
    }
    scores
}
