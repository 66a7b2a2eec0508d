//! The columns of a track, raw and typed.

/// A numeric column of a track and the range of its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feature {
    /// The column's name, in the raw rows and in the table.
    pub name: &'static str,
    /// Whether values are whole numbers.
    pub integer: bool,
    /// The smallest value there can be.
    pub lowest: f64,
    /// The greatest value there can be.
    pub highest: f64,
}

const fn real(name: &'static str, lowest: f64, highest: f64) -> Feature {
    Feature { name, integer: false, lowest, highest }
}

const fn integer(name: &'static str, lowest: i32, highest: i32) -> Feature {
    Feature { name, integer: true, lowest: lowest as f64, highest: highest as f64 }
}

/// The numeric columns, in the order in which every function names them.
/// A tempo is above zero: its range begins at the least positive number.
pub const FEATURES: [Feature; 14] = [
    integer("popularity", 0, 100),
    integer("duration_ms", 1, i32::MAX),
    real("danceability", 0.0, 1.0),
    real("energy", 0.0, 1.0),
    integer("key", 0, 11),
    real("loudness", -60.0, 10.0),
    integer("mode", 0, 1),
    real("speechiness", 0.0, 1.0),
    real("acousticness", 0.0, 1.0),
    real("instrumentalness", 0.0, 1.0),
    real("liveness", 0.0, 1.0),
    real("valence", 0.0, 1.0),
    real("tempo", f64::from_bits(1), f64::MAX),
    integer("time_signature", 1, 7),
];

/// The name of the only boolean column.
pub const EXPLICIT: &str = "explicit";

/// The columns of a raw row, in the order of the Kaggle file.
pub const RAW_COLUMNS: [&str; 20] = [
    "track_id",
    "artists",
    "album_name",
    "track_name",
    "popularity",
    "duration_ms",
    EXPLICIT,
    "danceability",
    "energy",
    "key",
    "loudness",
    "mode",
    "speechiness",
    "acousticness",
    "instrumentalness",
    "liveness",
    "valence",
    "tempo",
    "time_signature",
    "track_genre",
];

/// A track of the catalogue; `None` where a value is unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// The id, not empty.
    pub track_id: String,
    /// The name, not empty.
    pub track_name: String,
    /// The artists as credited, at least one; the first is the primary artist.
    pub artists: Vec<String>,
    /// The album.
    pub album_name: Option<String>,
    /// The genres in byte order, each once.
    pub genres: Vec<String>,
    /// The genre that names the track where one is wanted.
    pub primary_genre: Option<String>,
    /// Whether the text is explicit.
    pub explicit: Option<bool>,
    /// The numeric columns in the order of [`FEATURES`], each within its range.
    pub features: [Option<f64>; FEATURES.len()],
}

impl Track {
    /// The value of a numeric column, `None` also where there is no such column.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<f64> {
        let at = FEATURES.iter().position(|feature| feature.name == name)?;
        self.features[at]
    }
}
