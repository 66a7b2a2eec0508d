//! Which column of a file is which.
//!
//! Names are compared in lower case and without anything but letters, digits and
//! the percent sign, which says that the values are in another unit. Where several
//! columns could be one, the name that stands first among its aliases wins, and the
//! others count as unknown. A map names columns that the built-in names miss.

use std::borrow::Cow;

use crate::value;

/// A column that is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Other names of it in public files, normalised, the more telling first.
    pub aliases: &'static [&'static str],
}

const fn target(name: &'static str, aliases: &'static [&'static str]) -> Target {
    Target { name, aliases }
}

/// The columns of a track, in the order of the table of raw tracks.
pub const TRACK_COLUMNS: [Target; 20] = [
    target(
        "track_id",
        &["trackuri", "spotifyuri", "spotifyid", "spotifytrackid", "spotifytrackuri", "id", "uri"],
    ),
    target(
        "artists",
        &["artistnames", "artistsname", "trackartists", "artistname", "trackartist", "artist"],
    ),
    target("album_name", &["trackalbumname", "albumtitle", "album"]),
    target(
        "track_name",
        &["tracktitle", "songname", "songtitle", "name", "title", "track", "song"],
    ),
    target("popularity", &["trackpopularity", "songpopularity"]),
    target("duration_ms", &["trackdurationms", "songdurationms", "lengthms"]),
    target("explicit", &["isexplicit", "trackexplicit"]),
    target("danceability", &[]),
    target("energy", &[]),
    target("key", &["audiokey"]),
    target("loudness", &["loudnessdb"]),
    target("mode", &["audiomode"]),
    target("speechiness", &[]),
    target("acousticness", &[]),
    target("instrumentalness", &[]),
    target("liveness", &[]),
    target("valence", &["audiovalence"]),
    target("tempo", &["tempobpm", "bpm"]),
    target("time_signature", &[]),
    target("track_genre", &["genres", "genre", "artistgenres", "playlistgenre"]),
];

/// The columns of a play.
pub const PLAY_COLUMNS: [Target; 9] = [
    target("user_id", &[]),
    target("track_id", &["spotifytrackuri", "trackuri", "spotifyid"]),
    target(
        "track_name",
        &["mastermetadatatrackname", "tracktitle", "songtitle", "track", "title", "song", "name"],
    ),
    target("artist", &["artistname", "mastermetadataalbumartistname", "artists", "artistcredit"]),
    target(
        "played_at",
        &[
            "uts",
            "listenedat",
            "ts",
            "timestamp",
            "endtime",
            "scrobbletime",
            "utctime",
            "datetime",
            "date",
            "time",
        ],
    ),
    target("ms_played", &["playedms"]),
    target("skipped", &[]),
    target("session_id", &[]),
    target("event_id", &[]),
];

/// Where [`PLAY_COLUMNS`] has each column.
pub mod play {
    /// The listener.
    pub const USER_ID: usize = 0;
    /// The track's id.
    pub const TRACK_ID: usize = 1;
    /// The track's name.
    pub const TRACK_NAME: usize = 2;
    /// Its artist.
    pub const ARTIST: usize = 3;
    /// When it was played.
    pub const PLAYED_AT: usize = 4;
    /// For how long.
    pub const MS_PLAYED: usize = 5;
    /// Whether it was skipped.
    pub const SKIPPED: usize = 6;
    /// The session.
    pub const SESSION_ID: usize = 7;
    /// The play's own id.
    pub const EVENT_ID: usize = 8;
}

/// A name as names are compared.
#[must_use]
pub fn normalise(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric() || *c == '%').flat_map(char::to_lowercase).collect()
}

/// The column that a name stands for among `targets`, and how well (0 is best).
#[must_use]
pub fn find(name: &str, targets: &[Target]) -> Option<(usize, usize)> {
    let name = normalise(name);
    targets.iter().enumerate().find_map(|(column, target)| {
        if name == normalise(target.name) {
            return Some((column, 0));
        }
        let rank = target.aliases.iter().position(|alias| *alias == name)?;
        Some((column, rank + 1))
    })
}

/// What a caller says of columns: a target's name, and the file's name for it;
/// `None` leaves the column out.
pub type ColumnMap = [(String, Option<String>)];

/// A header that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderFault {
    /// The map names a column that there is not.
    NoTarget(String),
    /// The map names a column that the header has not.
    NotInHeader(String),
    /// Two columns are one.
    Twice(&'static str),
}

/// What each column of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// By column of the file, the target it is.
    pub targets: Vec<Option<usize>>,
    /// The column that numbers the rows, where there is one.
    pub index: Option<usize>,
    /// Names of columns that nothing is known of.
    pub unknown: Vec<String>,
    /// Columns without a name.
    pub unnamed: Vec<usize>,
    /// By target, whether its texts are divided by commas, as the plural in brackets says.
    pub commas: Vec<bool>,
}

impl Plan {
    /// The file's column of a target.
    #[must_use]
    pub fn column(&self, target: usize) -> Option<usize> {
        self.targets.iter().position(|have| *have == Some(target))
    }

    /// A field as its target reads it: texts that commas divide become a JSON list,
    /// since elsewhere a comma may be part of a name.
    #[must_use]
    pub fn field<'a>(&self, target: usize, text: &'a str) -> Cow<'a, str> {
        if self.commas[target] && text.contains(',') {
            let list = value::list(text, &[',', ';']);
            return serde_json::to_string(&list).map_or(Cow::Borrowed(text), Cow::Owned);
        }
        Cow::Borrowed(text)
    }

    /// How many targets were found.
    #[must_use]
    pub fn found(&self) -> usize {
        self.targets.iter().flatten().count()
    }
}

/// Reads a header.
///
/// # Errors
/// Where the map does not fit, or two columns with the same claim are one target.
pub fn plan(names: &[String], targets: &[Target], map: &ColumnMap) -> Result<Plan, HeaderFault> {
    // What each target is, with how well the name fits; a map fits best.
    let mut best: Vec<Option<(usize, usize)>> = vec![None; targets.len()];
    let mut mapped = vec![false; targets.len()];
    for (key, name) in map {
        let target = targets
            .iter()
            .position(|target| normalise(target.name) == normalise(key))
            .ok_or_else(|| HeaderFault::NoTarget(key.clone()))?;
        mapped[target] = true;
        if let Some(name) = name {
            let exact = names.iter().position(|have| have == name);
            let alike = || names.iter().position(|have| normalise(have) == normalise(name));
            let column =
                exact.or_else(alike).ok_or_else(|| HeaderFault::NotInHeader(name.clone()))?;
            best[target] = Some((column, 0));
        }
    }
    let taken: Vec<usize> = best.iter().flatten().map(|(column, _)| *column).collect();
    for (column, name) in names.iter().enumerate().filter(|(column, _)| !taken.contains(column)) {
        let Some((target, rank)) = find(name, targets).filter(|(target, _)| !mapped[*target])
        else {
            continue;
        };
        match best[target] {
            Some((_, have)) if have == rank => {
                return Err(HeaderFault::Twice(targets[target].name));
            }
            Some((_, have)) if have < rank => {}
            _ => best[target] = Some((column, rank)),
        }
    }
    let mut plan = Plan {
        targets: vec![None; names.len()],
        index: None,
        unknown: Vec::new(),
        unnamed: Vec::new(),
        commas: vec![false; targets.len()],
    };
    for (target, found) in best.iter().enumerate() {
        if let Some((column, _)) = found {
            plan.targets[*column] = Some(target);
            let name = names[*column].to_lowercase();
            plan.commas[target] = name.contains("(s)");
        }
    }
    for (column, name) in names.iter().enumerate() {
        if plan.targets[column].is_some() {
            continue;
        }
        if is_index(name) && (!name.is_empty() || column == 0) {
            plan.index.get_or_insert(column);
        } else if name.is_empty() {
            plan.unnamed.push(column);
        } else {
            plan.unknown.push(name.clone());
        }
    }
    Ok(plan)
}

/// Whether a name is one that pandas or R writes above the numbers of rows.
fn is_index(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    name.is_empty()
        || name == "row_index"
        || name == "index"
        || name.strip_prefix("unnamed: ").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &str) -> Vec<String> {
        header.split(',').map(str::to_owned).collect()
    }

    fn read(header: &str) -> Plan {
        plan(&names(header), &TRACK_COLUMNS, &[]).unwrap()
    }

    /// Pairs of the file's name and ours.
    fn pairs(header: &str) -> Vec<(String, &'static str)> {
        let plan = read(header);
        let all = names(header).into_iter().zip(plan.targets);
        all.filter_map(|(name, target)| Some((name, TRACK_COLUMNS[target?].name))).collect()
    }

    #[test]
    fn the_public_data_sets_are_known() {
        for (header, found, unknown) in [
            (
                ",track_id,artists,album_name,track_name,popularity,duration_ms,explicit,danceability,energy,key,loudness,mode,speechiness,acousticness,instrumentalness,liveness,valence,tempo,time_signature,track_genre",
                20,
                0,
            ),
            (
                "genre,artist_name,track_name,track_id,popularity,acousticness,danceability,duration_ms,energy,instrumentalness,key,liveness,loudness,mode,speechiness,tempo,time_signature,valence",
                18,
                0,
            ),
            (
                "id,name,popularity,duration_ms,explicit,artists,id_artists,release_date,danceability,energy,key,loudness,mode,speechiness,acousticness,instrumentalness,liveness,valence,tempo,time_signature",
                18,
                2,
            ),
            (
                "acousticness,artists,danceability,duration_ms,energy,explicit,id,instrumentalness,key,liveness,loudness,mode,name,popularity,release_date,speechiness,tempo,valence,year",
                17,
                2,
            ),
            (
                "track_id,track_name,track_artist,track_popularity,track_album_id,track_album_name,track_album_release_date,playlist_name,playlist_id,playlist_genre,playlist_subgenre,danceability,energy,key,loudness,mode,speechiness,acousticness,instrumentalness,liveness,valence,tempo,duration_ms",
                18,
                5,
            ),
            (
                "Track URI,Track Name,Artist URI(s),Artist Name(s),Album Name,Track Duration (ms),Popularity,Danceability,Energy,Key,Loudness,Mode,Tempo,Genres",
                13,
                1,
            ),
            (
                "Spotify ID,Artist IDs,Track Name,Album Name,Artist Name(s),Release Date,Duration (ms),Popularity,Added By,Added At,Genres,Danceability,Energy,Key,Loudness,Mode,Speechiness,Acousticness,Instrumentalness,Liveness,Valence,Tempo,Time Signature",
                19,
                4,
            ),
        ] {
            let plan = read(header);
            assert_eq!(
                (plan.found(), plan.unknown.len()),
                (found, unknown),
                "{header} {:?}",
                plan.unknown
            );
            for required in [0, 1, 3] {
                assert!(plan.column(required).is_some(), "{header}");
            }
        }
        assert!(read("Track URI,Artist Name(s),Track Name").commas[1]);
        assert!(!read("id,artist_name,name").commas[1]);
    }

    #[test]
    fn the_better_name_wins() {
        let expected = [("id", "track_id"), ("track_name", "track_name"), ("artists", "artists")];
        let expected = expected.map(|(name, ours)| (name.to_owned(), ours));
        assert_eq!(pairs("id,name,track_name,artist,artists"), expected);
        assert_eq!(read("id,name,track_name,artist,artists").unknown, ["name", "artist"]);
        assert_eq!(
            plan(&names("track_id,TRACK ID"), &TRACK_COLUMNS, &[]),
            Err(HeaderFault::Twice("track_id"))
        );
    }

    #[test]
    fn a_map_goes_first() {
        let map = |pairs: &[(&str, Option<&str>)]| -> Vec<(String, Option<String>)> {
            pairs.iter().map(|(key, name)| ((*key).to_owned(), name.map(str::to_owned))).collect()
        };
        let header = names("id,isrc,name,who,energy");
        let read = |pairs| plan(&header, &TRACK_COLUMNS, &map(pairs));
        let with = read(&[("track_id", Some("ISRC")), ("artists", Some("who")), ("energy", None)])
            .unwrap();
        assert_eq!(with.targets, [None, Some(0), Some(3), Some(1), None]);
        assert_eq!(with.unknown, ["id", "energy"]);
        assert_eq!(read(&[("artist", Some("who"))]), Err(HeaderFault::NoTarget("artist".into())));
        assert_eq!(
            read(&[("artists", Some("whom"))]),
            Err(HeaderFault::NotInHeader("whom".into()))
        );
    }

    #[test]
    fn numbers_of_rows_and_columns_without_a_name() {
        let plan = read("Unnamed: 0.1,Unnamed: 0,track_id,,,year");
        assert_eq!(
            (plan.index, plan.unnamed, plan.unknown),
            (Some(0), vec![3, 4], vec!["year".to_owned()])
        );
        assert_eq!(read("danceability_%,energy_%").found(), 0);
    }
}
