//! The tracks as the simulator sees them: genres with their popularity tables,
//! artists with their tracks, and where each track lies among its genre's.

use super::random::{AliasTable, Draws, noise, text_key};
use super::{DAY, SimulationOptions};
use crate::{Error, Interrupt, Result, memory};
use std::collections::{HashMap, HashSet};

/// What memory is asked for.
const WHAT: &str = "the catalogue that is listened to";
/// Tracks between two interrupt checks.
const CHECK_EVERY: usize = 1 << 16;
/// A track with more genres than this has a set of its own for them.
const MANY_GENRES: usize = 32;

/// Audio features that a taste can prefer: danceability, energy, acousticness, valence.
pub const MOODS: [&str; 4] = ["danceability", "energy", "acousticness", "valence"];

/// Days over which a track's popularity keeps its direction.
const POPULARITY_EPOCH: f64 = 90.0;

/// The head of a genre is flatter than a power law (Mandelbrot's shift): a fan does not
/// play one song every fourth time.
const FLAT_HEAD: (f64, f64) = (0.3, 0.004);

/// One track as it is delivered.
#[derive(Debug, Clone, Copy)]
pub struct TrackFacts<'a> {
    /// The id.
    pub track_id: &'a str,
    /// The primary artist.
    pub artist: &'a str,
    /// Genres; may be empty.
    pub genres: &'a [&'a str],
    /// 0 to 100.
    pub popularity: Option<i32>,
    /// Length in milliseconds.
    pub duration_ms: Option<i32>,
    /// Values of [`MOODS`].
    pub moods: [Option<f64>; 4],
}

/// What is read on every play.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    /// Moods standardised within the track's first genre; 0 where unknown.
    pub z: [f32; 4],
    pub key: u64,
    pub duration_ms: i32,
    pub artist: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Genre {
    pub name: String,
    pub key: u64,
    /// Tracks by falling popularity; the tail that nobody plays is left out.
    pub tracks: Vec<u32>,
    /// Share of the genre's plays of each of `tracks`, before taste and time.
    pub shares: Vec<f64>,
    pub table: AliasTable,
    /// Mean popularity of the genre's tracks, 0 to 100.
    pub popularity: f64,
}

impl Genre {
    /// How strongly the genre draws people in general.
    pub fn pull(&self) -> f64 {
        let popularity = self.popularity + 1.0;
        popularity * popularity
    }
}

/// Collects tracks for a [`Catalogue`]. Add them in the order of their ids.
#[derive(Debug, Default)]
pub struct CatalogueBuilder {
    tracks: Vec<Track>,
    popularity: Vec<i32>,
    moods: Vec<[Option<f64>; 4]>,
    genre_ends: Vec<u32>,
    genre_list: Vec<u32>,
    genre_ids: HashMap<String, u32>,
    artist_ids: HashMap<String, u32>,
    /// Genres of a track that has very many.
    seen: HashSet<u32>,
}

/// The number of a name, which is the next one where the name is new.
fn number(numbers: &mut HashMap<String, u32>, name: &str) -> Result<u32> {
    if let Some(&number) = numbers.get(name) {
        return Ok(number);
    }
    let next = numbers.len() as u32;
    memory::reserve_in(numbers, WHAT)?;
    numbers.insert(memory::owned(name, WHAT)?, next);
    Ok(next)
}

/// The catalogue, ready to be listened to.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub(crate) tracks: Vec<Track>,
    pub(crate) genres: Vec<Genre>,
    genre_ends: Vec<u32>,
    genre_list: Vec<u32>,
    pub(crate) artist_names: Vec<String>,
    artist_ids: HashMap<String, u32>,
    genre_ids: HashMap<String, u32>,
    artist_ends: Vec<u32>,
    artist_tracks: Vec<u32>,
    drift: f64,
    genre_table: AliasTable,
}

impl CatalogueBuilder {
    /// Adds a track; its index is the number of tracks added before.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where there is no room for another track.
    pub fn add(&mut self, facts: TrackFacts<'_>) -> Result<()> {
        let artist = number(&mut self.artist_ids, facts.artist)?;
        let start = self.genre_list.len();
        let unnamed = facts.genres.is_empty().then_some("");
        for name in facts.genres.iter().copied().chain(unnamed) {
            let genre = number(&mut self.genre_ids, name)?;
            // What was seen within this track stands at its end: few genres are the rule.
            let seen = if self.genre_list.len() - start < MANY_GENRES {
                self.genre_list[start..].contains(&genre)
            } else {
                !memory::add(&mut self.seen, genre, WHAT)?
            };
            if !seen {
                memory::push(&mut self.genre_list, genre, WHAT)?;
                if self.genre_list.len() - start == MANY_GENRES {
                    self.seen.clear();
                    self.seen.extend(&self.genre_list[start..]);
                }
            }
        }
        memory::push(&mut self.genre_ends, self.genre_list.len() as u32, WHAT)?;
        let track = Track {
            z: [0.0; 4],
            key: text_key(facts.track_id, 0),
            duration_ms: facts.duration_ms.unwrap_or(0),
            artist,
        };
        memory::push(&mut self.tracks, track, WHAT)?;
        memory::push(&mut self.popularity, facts.popularity.unwrap_or(0), WHAT)?;
        memory::push(&mut self.moods, facts.moods, WHAT)
    }

    /// Finishes the catalogue. O(tracks log tracks).
    ///
    /// # Errors
    /// [`Error::TooFew`] without tracks, [`Error::OutOfMemory`].
    pub fn build(
        mut self,
        options: &SimulationOptions,
        interrupt: Interrupt<'_>,
    ) -> Result<Catalogue> {
        if self.tracks.is_empty() {
            return Err(Error::TooFew { what: "tracks", have: 0, need: 1 });
        }
        self.standardise_moods()?;
        self.fill_durations();
        interrupt();
        let rank = self.ranks()?;
        let mut members: Vec<Vec<u32>> = memory::filled(Vec::new(), self.genre_ids.len(), WHAT)?;
        for (at, &track) in rank.iter().enumerate() {
            if at % CHECK_EVERY == 0 {
                interrupt();
            }
            for &genre in self.genres_of(track as usize) {
                memory::push(&mut members[genre as usize], track, WHAT)?;
            }
        }
        let genre_names = names(&self.genre_ids)?;
        let mut genres: Vec<Genre> = Vec::new();
        memory::reserve(&mut genres, genre_names.len(), WHAT)?;
        for (at, (name, tracks)) in genre_names.into_iter().zip(members).enumerate() {
            if at % 16 == 0 {
                interrupt();
            }
            genres.push(self.genre(name, tracks, options)?);
        }
        let mut played = memory::filled(false, self.tracks.len(), WHAT)?;
        genres.iter().flat_map(|g| &g.tracks).for_each(|&t| played[t as usize] = true);

        let pulls = memory::collected(genres.iter().map(Genre::pull), WHAT)?;
        interrupt();
        let artist_names = names(&self.artist_ids)?;
        interrupt();
        let mut artist_ends = memory::filled(0u32, artist_names.len(), WHAT)?;
        for (track, _) in self.tracks.iter().zip(&played).filter(|(_, played)| **played) {
            artist_ends[track.artist as usize] += 1;
        }
        let mut sum = 0;
        for end in &mut artist_ends {
            let start = sum;
            sum += *end;
            *end = start;
        }
        let mut artist_tracks = memory::filled(0u32, sum as usize, WHAT)?;
        for &track in rank.iter().filter(|&&t| played[t as usize]) {
            let end = &mut artist_ends[self.tracks[track as usize].artist as usize];
            artist_tracks[*end as usize] = track;
            *end += 1;
        }
        Ok(Catalogue {
            tracks: self.tracks,
            genres,
            genre_ends: self.genre_ends,
            genre_list: self.genre_list,
            artist_names,
            artist_ids: self.artist_ids,
            genre_ids: self.genre_ids,
            artist_ends,
            artist_tracks,
            drift: options.popularity_drift,
            genre_table: AliasTable::new(&pulls)?,
        })
    }

    fn genres_of(&self, track: usize) -> &[u32] {
        slice_of(&self.genre_ends, &self.genre_list, track)
    }

    /// Tracks by falling popularity, ties in an order of their own.
    fn ranks(&self) -> Result<Vec<u32>> {
        let mut rank = memory::collected(0..self.tracks.len() as u32, WHAT)?;
        // Of no two the keys are equal.
        rank.sort_unstable_by_key(|&t| {
            (std::cmp::Reverse(self.popularity[t as usize]), self.tracks[t as usize].key, t)
        });
        Ok(rank)
    }

    fn genre(
        &self,
        name: String,
        mut tracks: Vec<u32>,
        options: &SimulationOptions,
    ) -> Result<Genre> {
        let sum: f64 = tracks.iter().map(|&t| f64::from(self.popularity[t as usize])).sum();
        let popularity = sum / tracks.len() as f64;
        let played = (tracks.len() as f64 * (1.0 - options.unplayed_share)).ceil() as usize;
        tracks.truncate(played.max(1));
        let shift = FLAT_HEAD.0 + FLAT_HEAD.1 * tracks.len() as f64;
        let weights = (1..=tracks.len())
            .map(|rank| libm::pow(rank as f64 + shift, -options.popularity_exponent));
        let mut shares = memory::collected(weights, WHAT)?;
        let total: f64 = shares.iter().sum();
        let table = AliasTable::new(&shares)?;
        shares.iter_mut().for_each(|share| *share /= total);
        Ok(Genre { key: text_key(&name, 0), name, tracks, shares, table, popularity })
    }

    fn standardise_moods(&mut self) -> Result<()> {
        let mut sums = memory::filled([[0.0f64; 3]; 4], self.genre_ids.len(), WHAT)?;
        for (track, moods) in self.moods.iter().enumerate() {
            let genre = self.genres_of(track)[0] as usize;
            for (sum, mood) in sums[genre].iter_mut().zip(moods) {
                if let Some(x) = mood.filter(|x| x.is_finite()) {
                    *sum = [sum[0] + 1.0, sum[1] + x, sum[2] + x * x];
                }
            }
        }
        for track in 0..self.tracks.len() {
            let genre = self.genres_of(track)[0] as usize;
            for (i, &[n, sum, squares]) in sums[genre].iter().enumerate() {
                if let Some(x) = self.moods[track][i].filter(|x| x.is_finite()) {
                    let mean = sum / n;
                    let deviation = (squares / n - mean * mean).max(0.0).sqrt();
                    let z = if deviation > 1e-9 { (x - mean) / deviation } else { 0.0 };
                    self.tracks[track].z[i] = z.clamp(-3.0, 3.0) as f32;
                }
            }
        }
        Ok(())
    }

    fn fill_durations(&mut self) {
        let known = self.tracks.iter().map(|t| i64::from(t.duration_ms)).filter(|&d| d > 0);
        let (n, sum) = known.fold((0i64, 0i64), |(n, sum), d| (n + 1, sum + d));
        let mean = if n > 0 { (sum / n) as i32 } else { 210_000 };
        for track in &mut self.tracks {
            if track.duration_ms <= 0 {
                track.duration_ms = mean;
            }
        }
    }
}

impl Catalogue {
    /// Number of tracks.
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// A catalogue has a track.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Number of genres.
    pub fn genre_count(&self) -> usize {
        self.genres.len()
    }

    /// Name of a genre; empty for the tracks without one.
    pub fn genre_name(&self, genre: u32) -> &str {
        &self.genres[genre as usize].name
    }

    /// The genre of a name.
    pub fn genre_id(&self, name: &str) -> Option<u32> {
        self.genre_ids.get(name).copied()
    }

    /// Name of an artist.
    pub fn artist_name(&self, artist: u32) -> &str {
        &self.artist_names[artist as usize]
    }

    /// The artist of a name.
    pub fn artist_id(&self, name: &str) -> Option<u32> {
        self.artist_ids.get(name).copied()
    }

    /// The artist of a track.
    pub fn artist_of(&self, track: u32) -> u32 {
        self.tracks[track as usize].artist
    }

    /// The genres of a track.
    #[inline]
    pub fn genres_of(&self, track: u32) -> &[u32] {
        slice_of(&self.genre_ends, &self.genre_list, track as usize)
    }

    /// The tracks of an artist that are played at all, by falling popularity.
    #[inline]
    pub(crate) fn tracks_of(&self, artist: u32) -> &[u32] {
        slice_of(&self.artist_ends, &self.artist_tracks, artist as usize)
    }

    /// A track of a genre by popularity.
    #[inline]
    pub(crate) fn draw(&self, genre: u32, draws: &mut Draws) -> u32 {
        let genre = &self.genres[genre as usize];
        genre.tracks[genre.table.draw(draws)]
    }

    /// A genre out of all of them.
    #[inline]
    pub(crate) fn any_genre(&self, draws: &mut Draws) -> u32 {
        self.genre_table.draw(draws) as u32
    }

    /// What is left of a track's popularity at `time`, in (0, 1].
    #[inline]
    pub(crate) fn vogue(&self, track: &Track, time: i64) -> f64 {
        let left =
            1.0 - self.drift * noise(track.key, time as f64 / (POPULARITY_EPOCH * DAY as f64));
        left * left
    }
}

/// Names in the order of their numbers.
fn names(numbers: &HashMap<String, u32>) -> Result<Vec<String>> {
    let mut names = memory::filled(String::new(), numbers.len(), WHAT)?;
    for (name, &number) in numbers {
        names[number as usize] = memory::owned(name, WHAT)?;
    }
    Ok(names)
}

#[inline]
fn slice_of<'a>(ends: &[u32], list: &'a [u32], i: usize) -> &'a [u32] {
    let start = if i == 0 { 0 } else { ends[i - 1] as usize };
    &list[start..ends[i] as usize]
}
