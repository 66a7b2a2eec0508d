//! Users: who they are, what they like, and what of it they declare.
//!
//! User `i` is a function of the seed, `i` and the catalogue, so that a larger
//! number of users only adds. Ages run from 16 to 64 and lean to the young
//! (half are under 25): only so can skipping be 48.6 % over all and still 25 %
//! at 35, as Lamere (2014) measured. Accounts grow exponentially, one doubling
//! in `doubling_days`.

use super::DAY;
use super::catalogue::Catalogue;
use super::options::{DOUBLING_DAYS, within};
use super::random::{Draws, key, text_key, unit};
use super::taste::{Rhythm, TasteRecord};
use crate::{Interrupt, Result};

/// Countries and their shares of the users.
pub const COUNTRIES: [(&str, f64); 10] = [
    ("US", 0.28),
    ("BR", 0.12),
    ("GB", 0.11),
    ("DE", 0.10),
    ("MX", 0.09),
    ("FR", 0.08),
    ("IN", 0.08),
    ("ES", 0.05),
    ("JP", 0.05),
    ("SE", 0.04),
];

/// Genres that belong to a country: five times as likely there.
const HOME: [(&str, &[&str]); 10] = [
    ("US", &["country", "bluegrass", "hip-hop", "honky-tonk", "gospel", "r-n-b", "emo"]),
    ("BR", &["brazil", "mpb", "samba", "sertanejo", "pagode", "forro"]),
    ("GB", &["british", "drum-and-bass", "dubstep", "grunge", "garage", "indie"]),
    ("DE", &["german", "techno", "minimal-techno", "trance", "industrial", "hardstyle"]),
    ("MX", &["latin", "latino", "reggaeton", "salsa", "spanish"]),
    ("FR", &["french", "house", "electro", "disco", "chill"]),
    ("IN", &["indian", "pop-film", "world-music"]),
    ("ES", &["spanish", "latino", "latin", "reggaeton", "tango"]),
    ("JP", &["j-pop", "j-rock", "j-idol", "j-dance", "anime"]),
    ("SE", &["swedish", "synth-pop", "metal", "death-metal", "progressive-house"]),
];

/// Genres with an age at which they are liked most; others get one from their name.
const AGES: [(&str, f64); 30] = [
    ("pop", 20.0),
    ("k-pop", 18.0),
    ("hip-hop", 20.0),
    ("edm", 20.0),
    ("anime", 18.0),
    ("emo", 22.0),
    ("dance", 22.0),
    ("reggaeton", 20.0),
    ("dubstep", 21.0),
    ("indie-pop", 22.0),
    ("study", 20.0),
    ("sad", 18.0),
    ("r-n-b", 25.0),
    ("indie", 26.0),
    ("techno", 28.0),
    ("house", 30.0),
    ("alt-rock", 32.0),
    ("metal", 30.0),
    ("grunge", 40.0),
    ("punk-rock", 35.0),
    ("rock", 42.0),
    ("hard-rock", 46.0),
    ("country", 45.0),
    ("disco", 52.0),
    ("soul", 50.0),
    ("jazz", 55.0),
    ("blues", 55.0),
    ("classical", 55.0),
    ("opera", 60.0),
    ("rock-n-roll", 60.0),
];

/// No account is older than this many days.
const OLDEST: f64 = 5.0 * 365.0;

/// The knobs of [`people`].
#[derive(Debug, Clone, PartialEq)]
pub struct PeopleOptions {
    /// Share of users who declare no taste; 0 to 1.
    pub undeclared_share: f64,
    /// Days in which the number of accounts doubles; 1 to 36,500.
    pub doubling_days: f64,
}

impl Default for PeopleOptions {
    fn default() -> Self {
        PeopleOptions { undeclared_share: 0.2, doubling_days: DOUBLING_DAYS }
    }
}

impl PeopleOptions {
    /// # Errors
    /// [`crate::Error::OutOfRange`] naming the first option outside its range.
    pub fn check(&self) -> Result<()> {
        within("undeclared_share", self.undeclared_share, 0.0, 1.0)?;
        within("doubling_days", self.doubling_days, 1.0, 36_500.0)
    }
}

/// A generated user.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// `user_` and the number, counted from 1, in at least six digits.
    pub user_id: String,
    /// 16 to 64.
    pub age: i32,
    /// One of [`COUNTRIES`].
    pub country: &'static str,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// A noisy, partial view of the taste; `None` for those who declare none.
    pub declared: Option<Vec<(String, f64)>>,
    /// The truth.
    pub taste: TasteRecord,
}

/// Generates users of a seed by number, counted from 0, with accounts opened before `until`.
///
/// # Errors
/// Options out of range.
pub fn people(
    catalogue: &Catalogue,
    options: &PeopleOptions,
    numbers: std::ops::Range<u32>,
    until: i64,
    seed: i64,
    check: Interrupt<'_>,
) -> Result<Vec<Person>> {
    options.check()?;
    let mut people = Vec::new();
    for i in numbers.map(u64::from) {
        if i.is_multiple_of(1024) {
            check();
        }
        people.push(person(catalogue, options, until, seed, i));
    }
    Ok(people)
}

fn person(catalogue: &Catalogue, options: &PeopleOptions, until: i64, seed: i64, i: u64) -> Person {
    let user_id = format!("user_{:06}", i + 1);
    let mut draws = Draws::new(key(key(seed as u64, 0x7065_6F70), i));
    let age = 16 + (48.999 * libm::pow(draws.unit(), 2.4)) as i32;
    let country = COUNTRIES[draws.weighted(COUNTRIES.iter().map(|c| c.1))].0;
    let key_of_user = text_key(&user_id, seed as u64);
    let created_at = arrival(key_of_user, until, options.doubling_days);
    let taste = derive_taste(catalogue, key_of_user, Some(age), Some(country), None);
    let declared = (!draws.chance(options.undeclared_share))
        .then(|| declare(catalogue, &taste.genres, &mut draws));
    Person { user_id, age, country, created_at, declared, taste }
}

/// When a user arrives if the users grew exponentially up to `until`; in whole seconds.
pub fn arrival(user: u64, until: i64, doubling_days: f64) -> i64 {
    let doublings = OLDEST / doubling_days;
    let oldest = 1.0 - libm::exp2(-doublings);
    let u = unit(key(user, 0x6172_7269));
    let days = -doubling_days * libm::log2(1.0 - oldest * u);
    let second = 1_000_000;
    (until - (days * DAY as f64) as i64 - second).div_euclid(second) * second
}

/// Draws a taste: 1 to 3 favourite genres (weights .4–.6, .2–.3, .1–.2) and 2 to 4
/// to explore (.01–.05), normalised, by the genres' popularity and the bias of age and
/// country; or the declared genres, where there are some that the catalogue has, in
/// place of the favourites.
pub fn derive_taste(
    catalogue: &Catalogue,
    user: u64,
    age: Option<i32>,
    country: Option<&str>,
    declared: Option<&[(String, f64)]>,
) -> TasteRecord {
    let mut draws = Draws::new(key(user, 0x7461_7374));
    let mut pulls: Vec<f64> = (0..catalogue.genre_count() as u32)
        .map(|genre| pull(catalogue, genre, age, country))
        .collect();
    let favourites = 1 + draws.below(3);
    let explored = 2 + draws.below(3);
    let mut genres: Vec<(u32, f64)> = Vec::new();
    for (name, weight) in declared.unwrap_or_default() {
        if let Some(genre) =
            catalogue.genre_id(name).filter(|_| *weight > 0.0 && weight.is_finite())
        {
            pulls[genre as usize] = 0.0;
            genres.push((genre, *weight));
        }
    }
    let sum: f64 = genres.iter().map(|g| g.1).sum();
    genres.iter_mut().for_each(|g| g.1 *= 0.9 / sum);
    let given = genres.len();
    let bounds = [(0.4, 0.6), (0.2, 0.3), (0.1, 0.2)];
    for (low, high) in bounds.into_iter().take(if given > 0 { 0 } else { favourites }) {
        draw_genre(&mut genres, &mut pulls, draws.between(low, high), &mut draws);
    }
    let liked = genres.len();
    for _ in 0..explored {
        draw_genre(&mut genres, &mut pulls, draws.between(0.01, 0.05), &mut draws);
    }
    let sum: f64 = genres.iter().map(|g| g.1).sum();
    genres.iter_mut().for_each(|g| g.1 /= sum);

    let mut artists: Vec<(u32, f64)> = Vec::new();
    for (i, &(genre, weight)) in genres.iter().enumerate() {
        for _ in 0..if i < liked { 4 } else { 1 } {
            let artist = catalogue.artist_of(catalogue.draw(genre, &mut draws));
            if artists.iter().all(|a| a.0 != artist) {
                artists.push((artist, weight * draws.between(0.5, 1.5)));
            }
        }
    }
    let sum: f64 = artists.iter().map(|a| a.1).sum();
    let named = |genre: u32| catalogue.genre_name(genre).to_owned();
    let mut genres: Vec<_> = genres.into_iter().map(|(g, w)| (named(g), w)).collect();
    genres.sort_by(|a, b| a.0.cmp(&b.0));
    let mut artists: Vec<_> =
        artists.into_iter().map(|(a, w)| (catalogue.artist_name(a).to_owned(), w / sum)).collect();
    artists.sort_by(|a, b| a.0.cmp(&b.0));
    TasteRecord {
        genres,
        artists,
        moods: std::array::from_fn(|_| 0.8 * draws.normal()),
        activity: draws.normal().clamp(-3.0, 3.0),
        rhythm: Rhythm::ALL[draws.below(4)],
        impatience: draws.between(0.9, 1.1),
        stay: draws.exponential(),
    }
}

fn draw_genre(genres: &mut Vec<(u32, f64)>, pulls: &mut [f64], weight: f64, draws: &mut Draws) {
    if genres.len() < pulls.len() {
        let genre = draws.weighted(pulls.iter().copied());
        if pulls[genre] > 0.0 {
            pulls[genre] = 0.0;
            genres.push((genre as u32, weight));
        }
    }
}

/// How strongly a genre draws people of an age and a country.
fn pull(catalogue: &Catalogue, genre: u32, age: Option<i32>, country: Option<&str>) -> f64 {
    let genre = &catalogue.genres[genre as usize];
    let of_country = match country {
        Some(country) => {
            let at_home = |home: &&(&str, &[&str])| home.1.contains(&genre.name.as_str());
            match HOME.iter().find(at_home) {
                Some(_) if HOME.iter().any(|h| h.0 == country && at_home(&h)) => 5.0,
                Some(_) => 0.5,
                None => 0.5 + unit(key(genre.key, text_key(country, 0))),
            }
        }
        None => 1.0,
    };
    let of_age = match age {
        Some(age) => {
            let known = AGES.iter().find(|a| a.0 == genre.name).map(|a| a.1);
            let best = known.unwrap_or_else(|| 18.0 + 35.0 * unit(genre.key));
            let distance = (f64::from(age) - best) / 12.0;
            0.2 + 1.0 / (1.0 + distance * distance)
        }
        None => 1.0,
    };
    genre.pull() * of_country * of_age
}

/// What a user says of the taste: genres forgotten, weights off by up to 40 %, and
/// now and then a genre that is not liked at all.
fn declare(
    catalogue: &Catalogue,
    genres: &[(String, f64)],
    draws: &mut Draws,
) -> Vec<(String, f64)> {
    let mut declared: Vec<(String, f64)> = Vec::new();
    let most = genres.iter().map(|g| g.1).fold(0.0, f64::max);
    for (name, weight) in genres {
        let noisy = weight * draws.between(0.6, 1.4);
        let told = match *weight {
            w if w == most => 0.95,
            w if w > 0.08 => 0.85,
            _ => 0.25,
        };
        if draws.chance(told) {
            declared.push((name.clone(), noisy));
        }
    }
    if draws.chance(0.1) {
        let stray = catalogue.genre_name(draws.below(catalogue.genre_count()) as u32);
        if genres.iter().all(|g| g.0 != stray) {
            declared.push((stray.to_owned(), draws.between(0.05, 0.3)));
        }
    }
    if declared.is_empty() {
        let best = genres.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        declared.extend(best.map(|g| (g.0.clone(), 1.0)));
    }
    declared.sort_by(|a, b| a.0.cmp(&b.0));
    let sum: f64 = declared.iter().map(|d| d.1).sum();
    declared.iter_mut().for_each(|d| d.1 = ((d.1 / sum) * 1000.0).round().max(1.0) / 1000.0);
    declared
}
