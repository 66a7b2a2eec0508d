//! A catalogue that looks like the real one.
//!
//! Row by row: a primary genre by its share; a new song, or another version of an
//! earlier song of the genre; its artist by a Pitman–Yor process (Pitman and Yor
//! 1997), which gives a few artists many songs and many artists one; features by a
//! Gaussian copula, that is normal variables that correlate as in the genre, each
//! read off the genre's quantiles. A part of the normal variables is the artist's,
//! so that songs of an artist are alike. The genre's share of analyses fail.
//!
//! Every row has its own random streams and depends on earlier rows only: the
//! first n rows of a seed are the same for every n. Memory grows by some twenty
//! bytes a row; a row costs a few microseconds.

mod draw;
mod names;
mod normal;
mod statistics;

use draw::{Draw, Purpose};
use normal::Normal;
use statistics::{Genre, Statistics, VARIABLES};

use super::clean::ANALYSIS;
use super::track::{FEATURES, Track};
use crate::{Result, memory};

/// What the ids of generated tracks begin with; no base-62 id of Spotify's does.
pub const GENERATED_PREFIX: &str = "gen_";

/// Digits of an id after the prefix: with it as long as Spotify's 22.
const DIGITS: usize = 18;

/// How much versions of a song that are not the same recording have in common.
const VERSION_LIKENESS: f64 = 0.9;

/// Albums of an artist.
const ALBUMS: usize = 8;

/// A song as its first version made it.
struct Song {
    /// The row of the first version.
    row: u32,
    artist: u32,
    /// Where in `Generator::credits` the other artists stand.
    credits: u32,
    credited: u8,
}

/// What a genre has so far.
#[derive(Default)]
struct Stock {
    /// The song of each row.
    rows: Vec<u32>,
    /// The artist of each song.
    artists: Vec<u32>,
    /// How many artists those are.
    distinct: u32,
}

/// Gives one track after the other, without end.
pub struct Generator {
    seed: i64,
    normal: Normal,
    statistics: Statistics,
    row: u32,
    songs: Vec<Song>,
    credits: Vec<u32>,
    stocks: Vec<Stock>,
    /// Songs of each artist, over all genres.
    artist_songs: Vec<u32>,
}

impl Generator {
    /// A generator of that seed, before its first row.
    ///
    /// # Errors
    /// Only where the statistics built into the program are broken.
    pub fn new(seed: i64) -> std::result::Result<Generator, String> {
        let normal = Normal::new();
        let statistics = Statistics::load(&normal)?;
        let stocks = statistics.genres.iter().map(|_| Stock::default()).collect();
        Ok(Generator {
            seed,
            normal,
            statistics,
            row: 0,
            songs: Vec::new(),
            credits: Vec::new(),
            stocks,
            artist_songs: Vec::new(),
        })
    }

    /// Makes room for what the next row leaves behind.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub fn make_room(&mut self) -> Result<()> {
        const WHAT: &str = "the catalogue generated so far";
        memory::reserve(&mut self.songs, 1, WHAT)?;
        memory::reserve(&mut self.credits, usize::from(u8::MAX), WHAT)?;
        memory::reserve(&mut self.artist_songs, 1, WHAT)?;
        for stock in &mut self.stocks {
            memory::reserve(&mut stock.rows, 1, WHAT)?;
            memory::reserve(&mut stock.artists, 1, WHAT)?;
        }
        Ok(())
    }

    fn draw(&self, purpose: Purpose, number: u32) -> Draw {
        Draw::new(self.seed, purpose, u64::from(number))
    }

    /// The next track.
    pub fn next_track(&mut self) -> Track {
        let row = self.row;
        self.row += 1;
        let mut draw = self.draw(Purpose::Row, row);
        let track_id = track_id(draw.bits());
        let u = draw.unit();
        let last = self.statistics.genres.len() - 1;
        let genre = self.statistics.cumulative.partition_point(|share| *share <= u).min(last);
        let earlier = &self.stocks[genre].rows;
        let version = draw.unit() < self.statistics.genres[genre].versions && !earlier.is_empty();
        let song = if version {
            earlier[draw.below(earlier.len())]
        } else {
            self.new_song(genre, row, &mut draw)
        };
        self.stocks[genre].rows.push(song);
        let song = &self.songs[song as usize];
        let figures = &self.statistics.genres[genre];

        let (features, explicit) = figures.features(&self.variables(song, row, &mut draw));
        let mut features = std::array::from_fn(|i| Some(as_delivered(i, features[i])));
        if draw.unit() < figures.failed {
            ANALYSIS.into_iter().for_each(|i| features[i] = None);
        }
        let track_name = names::title(&mut self.draw(Purpose::Title, song.row));
        let album_name = match draw.below(3) {
            0 => track_name.clone(),
            _ => {
                let number = u64::from(song.artist) * ALBUMS as u64 + draw.below(ALBUMS) as u64;
                names::title(&mut Draw::new(self.seed, Purpose::Album, number))
            }
        };
        let from = song.credits as usize;
        let others = &self.credits[from..from + usize::from(song.credited)];
        let artists = std::iter::once(&song.artist).chain(others);
        Track {
            track_id,
            track_name,
            artists: artists.map(|artist| self.artist_name(*artist)).collect(),
            album_name: Some(album_name),
            genres: self.genres(figures, &mut draw),
            primary_genre: Some(self.statistics.names[figures.name].clone()),
            explicit: Some(explicit),
            features,
        }
    }

    fn artist_name(&self, artist: u32) -> String {
        names::artist(&mut self.draw(Purpose::Artist, artist))
    }

    /// The independent normal variables of a row.
    fn variables(&self, song: &Song, row: u32, draw: &mut Draw) -> [f64; VARIABLES] {
        let own: [f64; VARIABLES] = self.draw(Purpose::Sound, row).normals(&self.normal);
        let mut variables = own;
        if song.row != row {
            let first: [f64; VARIABLES] = self.draw(Purpose::Sound, song.row).normals(&self.normal);
            // The same recording, released again, or another one.
            let likeness = if draw.unit() < 0.5 { 1.0 } else { VERSION_LIKENESS };
            let rest = (1.0f64 - likeness * likeness).sqrt();
            for i in 0..VARIABLES {
                variables[i] = likeness * first[i] + rest * own[i];
            }
            // Popularity comes last and is each version's own.
            variables[VARIABLES - 1] = own[VARIABLES - 1];
        }
        let mut artist = self.draw(Purpose::Artist, song.artist);
        names::artist(&mut artist);
        let artist: [f64; VARIABLES] = artist.normals(&self.normal);
        let share = self.statistics.artist_likeness;
        let (common, particular) = (share.sqrt(), (1.0 - share).sqrt());
        std::array::from_fn(|i| common * artist[i] + particular * variables[i])
    }

    fn new_song(&mut self, genre: usize, row: u32, draw: &mut Draw) -> u32 {
        let artist = self.next_artist(genre, draw);
        let wanted = draw.by_share(&self.statistics.genres[genre].credited);
        let credits = self.credits.len();
        let known = &self.stocks[genre].artists;
        for _ in 0..wanted {
            if known.is_empty() {
                break;
            }
            let other = known[draw.below(known.len())];
            if other != artist && !self.credits[credits..].contains(&other) {
                self.credits.push(other);
            }
        }
        let song = self.songs.len() as u32;
        let credited = (self.credits.len() - credits) as u8;
        self.songs.push(Song { row, artist, credits: credits as u32, credited });
        self.stocks[genre].artists.push(artist);
        song
    }

    /// The artist of a genre's next song: with probability (θ + dk) / (θ + n) one that
    /// is new to the genre, otherwise artist a with one proportional to nₐ − d, for n
    /// songs of k artists so far.
    fn next_artist(&mut self, genre: usize, draw: &mut Draw) -> u32 {
        let figures = &self.statistics.genres[genre];
        let stock = &mut self.stocks[genre];
        let (theta, discount) = (figures.concentration, figures.discount);
        let songs = stock.artists.len();
        let new = (theta + discount * f64::from(stock.distinct)) / (theta + songs as f64);
        if songs > 0 && draw.unit() >= new {
            loop {
                let artist = stock.artists[draw.below(songs)];
                if draw.unit() * f64::from(self.artist_songs[artist as usize]) >= discount {
                    self.artist_songs[artist as usize] += 1;
                    return artist;
                }
            }
        }
        stock.distinct += 1;
        let artists = self.artist_songs.len();
        if artists > 0 && draw.unit() < self.statistics.shared_artists {
            let artist = draw.below(artists);
            self.artist_songs[artist] += 1;
            return artist as u32;
        }
        self.artist_songs.push(1);
        artists as u32
    }

    fn genres(&self, figures: &Genre, draw: &mut Draw) -> Vec<String> {
        let mut left = figures.partners.clone();
        let mut genres = vec![figures.name];
        for _ in 0..draw.by_share(&figures.further) {
            let total: u32 = left.iter().map(|(_, count)| count).sum();
            if total == 0 {
                break;
            }
            let mut at = draw.below(total as usize) as u32;
            let mut chosen = 0;
            while at >= left[chosen].1 {
                at -= left[chosen].1;
                chosen += 1;
            }
            genres.push(left.swap_remove(chosen).0);
        }
        // The names stand in byte order.
        genres.sort_unstable();
        genres.into_iter().map(|genre| self.statistics.names[genre].clone()).collect()
    }
}

impl Iterator for Generator {
    type Item = Track;

    fn next(&mut self) -> Option<Track> {
        Some(self.next_track())
    }
}

fn track_id(bits: u128) -> String {
    const BASE_62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut id = GENERATED_PREFIX.to_owned();
    let mut rest = bits;
    for _ in 0..DIGITS {
        id.push(char::from(BASE_62[(rest % 62) as usize]));
        rest /= 62;
    }
    id
}

/// A value within its range, with as many digits as the real file gives it.
fn as_delivered(feature: usize, value: f64) -> f64 {
    let feature = &FEATURES[feature];
    let rounded = if feature.integer {
        value.round()
    } else {
        let mut scale = 1e3;
        while value.abs() * scale < 100.0 && scale < 1e8 {
            scale *= 10.0;
        }
        (value * scale).round() / scale
    };
    rounded.clamp(feature.lowest, feature.highest)
}

#[cfg(test)]
mod tests;
