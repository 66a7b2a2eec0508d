//! The figures of the real catalogue that generated ones are drawn from.

use serde::Deserialize;

use super::normal::{Normal, cumulative};
use crate::catalogue::FEATURES;

const SHIPPED: &str = include_str!("../../../statistics/tracks.json");

/// The features drawn from quantiles, by their place in [`FEATURES`]; popularity last.
pub const REAL: [usize; 11] = [1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 0];
/// What is drawn from shares: key, mode, time signature, and then explicit.
pub const DISCRETE: [usize; 3] = [4, 6, 13];
/// How many normal variables make a track: those of REAL without popularity, those of
/// DISCRETE and of explicit, and popularity's, which as the last one moves nothing else.
pub const VARIABLES: usize = REAL.len() + DISCRETE.len() + 1;
const TIME_SIGNATURES: [f64; 4] = [1.0, 3.0, 4.0, 5.0];

#[derive(Deserialize)]
struct Shipped {
    levels: Vec<f64>,
    names: Vec<String>,
    shared_artists: f64,
    artist_likeness: f64,
    genres: Vec<ShippedGenre>,
}

#[derive(Deserialize)]
struct ShippedGenre {
    genre: usize,
    tracks: u32,
    failed: f64,
    artists: [f64; 2],
    versions: f64,
    credited: Vec<f64>,
    genres: Vec<f64>,
    partners: Vec<(usize, u32)>,
    quantiles: Vec<Vec<f64>>,
    shares: Vec<Vec<f64>>,
    correlations: Vec<i32>,
}

/// What all genres share.
pub struct Statistics {
    /// Every genre's name.
    pub names: Vec<String>,
    /// The share of artists new to a genre that are known from another.
    pub shared_artists: f64,
    /// The share of the variance within a genre that lies between artists.
    pub artist_likeness: f64,
    /// The genres that are the primary genre of a track.
    pub genres: Vec<Genre>,
    /// Share of the tracks up to and including each of `genres`.
    pub cumulative: Vec<f64>,
}

/// The figures of the tracks of one primary genre.
pub struct Genre {
    /// Where in `Statistics::names` it stands.
    pub name: usize,
    /// Share of analyses that failed.
    pub failed: f64,
    /// Concentration and discount of the Pitman-Yor process that gives songs to artists.
    pub concentration: f64,
    /// See `concentration`.
    pub discount: f64,
    /// Share of tracks that are another version of an earlier song.
    pub versions: f64,
    /// Shares of 0, 1, … artists beside the first.
    pub credited: Vec<f64>,
    /// Shares of 0, 1, … genres beside the primary one.
    pub further: Vec<f64>,
    /// Genres that occur beside it and how often.
    pub partners: Vec<(usize, u32)>,
    /// For each of REAL, values over the normal variable.
    curves: Vec<Curve>,
    /// For each of DISCRETE and explicit, up to where the normal variable means each value.
    steps: Vec<Vec<f64>>,
    /// Lower triangular (VARIABLES × VARIABLES, by rows): makes independent variables
    /// correlate as in the genre.
    factor: Vec<f64>,
}

struct Curve {
    zero_below: f64,
    knots: Vec<(f64, f64)>,
}

impl Curve {
    fn value(&self, z: f64) -> f64 {
        if z < self.zero_below {
            return 0.0;
        }
        let above = self.knots.partition_point(|knot| knot.0 <= z);
        let last = self.knots.len() - 1;
        if above == 0 || above > last {
            return self.knots[above.min(last)].1;
        }
        let ((z0, v0), (z1, v1)) = (self.knots[above - 1], self.knots[above]);
        v0 + (v1 - v0) * ((z - z0) / (z1 - z0))
    }
}

impl Statistics {
    /// Reads the shipped figures. They are part of the program: the error can only
    /// be that of a broken build.
    pub fn load(normal: &Normal) -> Result<Statistics, String> {
        let shipped: Shipped = serde_json::from_str(SHIPPED).map_err(|error| error.to_string())?;
        let levels: Vec<f64> = shipped.levels.iter().map(|level| cumulative(*level)).collect();
        let total: f64 = shipped.genres.iter().map(|genre| f64::from(genre.tracks)).sum();
        let mut so_far = 0.0;
        let cumulative = shipped
            .genres
            .iter()
            .map(|genre| {
                so_far += f64::from(genre.tracks) / total;
                so_far
            })
            .collect();
        let genres = shipped.genres.into_iter().map(|genre| genre.prepare(&levels, normal));
        Ok(Statistics {
            names: shipped.names,
            shared_artists: shipped.shared_artists,
            artist_likeness: shipped.artist_likeness,
            genres: genres.collect(),
            cumulative,
        })
    }
}

impl ShippedGenre {
    fn prepare(self, levels: &[f64], normal: &Normal) -> Genre {
        let curve = |table: &Vec<f64>| {
            let zeros = table[0];
            let knots = levels.iter().zip(&table[1..]);
            let knots =
                knots.map(|(p, value)| (normal.quantile(zeros + (1.0 - zeros) * p), *value));
            let mut knots: Vec<(f64, f64)> = knots.collect();
            // The ends of the table are flat: one knot each is enough.
            knots.dedup_by(|next, kept| {
                next.0 <= kept.0 && {
                    kept.1 = next.1;
                    true
                }
            });
            let zero_below = if zeros > 0.0 { normal.quantile(zeros) } else { f64::NEG_INFINITY };
            Curve { zero_below, knots }
        };
        let steps = |shares: &Vec<f64>| {
            let mut so_far = 0.0;
            shares[..shares.len() - 1]
                .iter()
                .map(|share| {
                    so_far += share;
                    match so_far {
                        p if p <= 0.0 => f64::NEG_INFINITY,
                        p if p >= 1.0 => f64::INFINITY,
                        p => normal.quantile(p),
                    }
                })
                .collect()
        };
        Genre {
            name: self.genre,
            failed: self.failed,
            concentration: self.artists[0],
            discount: self.artists[1],
            versions: self.versions,
            credited: self.credited,
            further: self.genres,
            partners: self.partners,
            curves: self.quantiles.iter().map(curve).collect(),
            steps: self.shares.iter().map(steps).collect(),
            factor: cholesky(&self.correlations),
        }
    }
}

/// The lower factor of the matrix whose triangle below a diagonal of ones is given in percent.
fn cholesky(percent: &[i32]) -> Vec<f64> {
    let mut factor = vec![0.0; VARIABLES * VARIABLES];
    for i in 0..VARIABLES {
        for j in 0..=i {
            let wanted = if i == j { 1.0 } else { f64::from(percent[i * (i - 1) / 2 + j]) / 100.0 };
            let dot: f64 =
                (0..j).map(|k| factor[i * VARIABLES + k] * factor[j * VARIABLES + k]).sum();
            let rest = wanted - dot;
            factor[i * VARIABLES + j] =
                if i == j { rest.sqrt() } else { rest / factor[j * VARIABLES + j] };
        }
    }
    factor
}

impl Genre {
    /// The features and explicit of independent normal variables.
    pub fn features(&self, independent: &[f64; VARIABLES]) -> ([f64; FEATURES.len()], bool) {
        let z: [f64; VARIABLES] = std::array::from_fn(|i| {
            let row = &self.factor[i * VARIABLES..];
            (0..=i).map(|j| row[j] * independent[j]).sum()
        });
        let mut features = [0.0; FEATURES.len()];
        for ((at, curve), z) in REAL.into_iter().zip(&self.curves).zip(z) {
            features[at] = curve.value(z);
        }
        let step =
            |i: usize| self.steps[i].iter().filter(|step| z[REAL.len() + i] >= **step).count();
        let [key, mode, time_signature] = DISCRETE;
        features[key] = step(0) as f64;
        features[mode] = step(1) as f64;
        features[time_signature] = TIME_SIGNATURES[step(2)];
        (features, step(3) == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_figures_are_whole() {
        let statistics = Statistics::load(&Normal::new()).unwrap();
        let names = REAL.map(|i| FEATURES[i].name);
        assert_eq!((names[0], names[1], names[10]), ("duration_ms", "danceability", "popularity"));
        assert_eq!(DISCRETE.map(|i| FEATURES[i].name), ["key", "mode", "time_signature"]);
        assert_eq!((statistics.names.len(), statistics.genres.len()), (114, 113));
        assert!((statistics.cumulative[112] - 1.0).abs() < 1e-9);
        for genre in &statistics.genres {
            let name = &statistics.names[genre.name];
            assert_eq!((genre.curves.len(), genre.steps.len()), (REAL.len(), 4), "{name}");
            assert!(genre.factor.iter().all(|x| x.is_finite()), "{name}");
            for curve in &genre.curves {
                assert!(curve.knots.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name}");
            }
            for steps in &genre.steps {
                assert!(steps.is_sorted(), "{name}");
            }
        }
    }

    #[test]
    fn the_factor_gives_the_correlations_back() {
        let percent: Vec<i32> =
            (0..VARIABLES * (VARIABLES - 1) / 2).map(|i| i as i32 % 7).collect();
        let factor = cholesky(&percent);
        let row = |i: usize| &factor[i * VARIABLES..(i + 1) * VARIABLES];
        for i in 0..VARIABLES {
            for j in 0..i {
                let dot: f64 = row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum();
                let wanted = f64::from(percent[i * (i - 1) / 2 + j]) / 100.0;
                assert!((dot - wanted).abs() < 1e-12);
            }
            let norm: f64 = row(i).iter().map(|a| a * a).sum();
            assert!((norm - 1.0).abs() < 1e-12);
        }
    }
}
