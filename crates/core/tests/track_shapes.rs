//! One catalogue, written in any of the shapes that are accepted, is one catalogue.

use proptest::prelude::*;
use sparkify_core::catalogue::{Cleaner, FEATURES, RAW_COLUMNS, Track};
use sparkify_formats::delimited::Records;
use sparkify_formats::header::{TRACK_COLUMNS, plan};

/// How a file is written.
#[derive(Debug, Clone)]
struct Shape {
    names: usize,
    delimiter: u8,
    line_end: &'static str,
    mark: bool,
    index: bool,
    extra: bool,
    blank_lines: bool,
    lists: usize,
    ids: usize,
    keys: usize,
    booleans: usize,
    missing: &'static str,
    shuffle: u64,
}

/// The names of the required columns, of the genre and of a few more, as data sets have them.
const NAMES: [[(&str, &str); 7]; 6] = [
    [
        ("track_id", "track_id"),
        ("artists", "artists"),
        ("track_name", "track_name"),
        ("track_genre", "track_genre"),
        ("album_name", "album_name"),
        ("duration_ms", "duration_ms"),
        ("popularity", "popularity"),
    ],
    [
        ("track_id", "track_id"),
        ("artists", "artist_name"),
        ("track_name", "track_name"),
        ("track_genre", "genre"),
        ("album_name", "Album"),
        ("duration_ms", "Duration (ms)"),
        ("popularity", "Popularity"),
    ],
    [
        ("track_id", "id"),
        ("artists", "artists"),
        ("track_name", "name"),
        ("track_genre", "genres"),
        ("album_name", "album"),
        ("duration_ms", "duration_ms"),
        ("popularity", "popularity"),
    ],
    [
        ("track_id", "track_id"),
        ("artists", "track_artist"),
        ("track_name", "track_name"),
        ("track_genre", "playlist_genre"),
        ("album_name", "track_album_name"),
        ("duration_ms", "duration_ms"),
        ("popularity", "track_popularity"),
    ],
    [
        ("track_id", "Track URI"),
        ("artists", "Artist Name(s)"),
        ("track_name", "Track Name"),
        ("track_genre", "Genres"),
        ("album_name", "Album Name"),
        ("duration_ms", "Track Duration (ms)"),
        ("popularity", "Popularity"),
    ],
    [
        ("track_id", "Spotify ID"),
        ("artists", "Artist Names"),
        ("track_name", "SONG_NAME"),
        ("track_genre", "Artist Genres"),
        ("album_name", "Album Title"),
        ("duration_ms", "Duration_Ms"),
        ("popularity", "popularity"),
    ],
];

fn shape() -> impl Strategy<Value = Shape> {
    (
        (
            0..NAMES.len(),
            prop::sample::select(&b",;\t|"[..]),
            prop::sample::select(&["\n", "\r\n"][..]),
        ),
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        (0..3usize, 0..3usize, 0..3usize, 0..4usize),
        (prop::sample::select(&["", "nan", "NaN", "None", "NULL", "N/A"][..]), any::<u64>()),
    )
        .prop_map(
            |(
                (names, delimiter, line_end),
                (mark, index, extra, blank_lines),
                (lists, ids, keys, booleans),
                (missing, shuffle),
            )| {
                Shape {
                    names,
                    delimiter,
                    line_end,
                    mark,
                    index,
                    extra,
                    blank_lines,
                    lists,
                    ids,
                    keys,
                    booleans,
                    missing,
                    shuffle,
                }
            },
        )
}

fn track() -> impl Strategy<Value = Track> {
    let word = "[A-Za-z#é(\"'-][A-Za-z0-9 é&\"'.-]{0,8}[a-z0-9é!]";
    let words = |least: usize| prop::collection::btree_set(word, least..3);
    (
        ("[A-Za-z][A-Za-z0-9]{4,20}", word, words(1), words(0), prop::option::of(word)),
        prop::array::uniform14(prop::option::of(0.0..1.0f64)),
        prop::option::of(any::<bool>()),
    )
        .prop_map(|((track_id, track_name, artists, genres, album_name), shares, explicit)| {
            Track {
                track_id,
                track_name,
                artists: artists.into_iter().collect(),
                album_name,
                primary_genre: genres.first().cloned(),
                genres: genres.into_iter().collect(),
                explicit,
                features: std::array::from_fn(|i| {
                    let feature = &FEATURES[i];
                    // Within its range, never all zero.
                    let value = match feature.name {
                        "duration_ms" => shares[i]? * 1e6 + 20_000.0,
                        "tempo" => shares[i]? * 200.0 + 1.0,
                        _ => feature.lowest + shares[i]? * (feature.highest - feature.lowest),
                    };
                    Some(if feature.integer { value.round() } else { value })
                }),
            }
        })
}

/// A track's raw value of a column.
fn value(track: &Track, column: &str, shape: &Shape, row: usize) -> String {
    let list = |items: &[String]| match shape.lists {
        0 => items.join(";"),
        1 => serde_json::to_string(items).unwrap(),
        // As Python writes them.
        _ => {
            let quoted = items.iter().map(|item| {
                if item.contains('\'') && !item.contains('"') {
                    format!("\"{item}\"")
                } else {
                    format!("'{}'", item.replace('\'', "\\'"))
                }
            });
            format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
        }
    };
    let missing = || shape.missing.to_owned();
    match column {
        "track_id" => match shape.ids {
            0 => track.track_id.clone(),
            1 => format!("spotify:track:{}", track.track_id),
            _ => format!("https://open.spotify.com/track/{}?si=x", track.track_id),
        },
        "artists" => list(&track.artists),
        "track_genre" if track.genres.is_empty() => missing(),
        "track_genre" => list(&track.genres),
        "track_name" => track.track_name.clone(),
        "album_name" => track.album_name.clone().unwrap_or_else(missing),
        "explicit" => track.explicit.map_or_else(missing, |explicit| {
            let words = [["False", "True"], ["FALSE", "TRUE"], ["0", "1"], ["f", "t"]];
            words[shape.booleans][usize::from(explicit)].to_owned()
        }),
        "row_index" => row.to_string(),
        "year" => "1999".to_owned(),
        _ => track.feature(column).map_or_else(missing, |number| match (column, shape.keys) {
            ("key", 1) => ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
                [number as usize]
                .to_owned(),
            ("key", 2) => ["c", "D♭", "d", "E♭", "e", "f", "G♭", "g", "A♭", "a", "B♭", "b"]
                [number as usize]
                .to_owned(),
            ("mode", 1 | 2) => ["Minor", "Major"][number as usize].to_owned(),
            ("time_signature", 1) => format!("{number}/4"),
            _ => number.to_string(),
        }),
    }
}

fn write(tracks: &[Track], shape: &Shape) -> Vec<u8> {
    let mut columns: Vec<(&str, &str)> = RAW_COLUMNS
        .iter()
        .map(|column| {
            let named = NAMES[shape.names].iter().find(|(ours, _)| ours == column);
            named.copied().unwrap_or((column, column))
        })
        .collect();
    if shape.extra {
        columns.push(("year", "year"));
    }
    // A shuffle that the seed decides.
    let mut state = shape.shuffle;
    for i in (1..columns.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        columns.swap(i, (state >> 33) as usize % (i + 1));
    }
    if shape.index {
        columns.insert(0, ("row_index", if shape.shuffle % 2 == 0 { "" } else { "Unnamed: 0" }));
    }
    let field = |text: &str| {
        let special = |byte: u8| byte == shape.delimiter || byte == b'"' || byte == b'\n';
        if text.bytes().any(special) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let delimiter = char::from(shape.delimiter).to_string();
    let mut text = if shape.mark { "\u{feff}".to_owned() } else { String::new() };
    let mut line = |fields: Vec<String>| {
        text.push_str(&fields.iter().map(|text| field(text)).collect::<Vec<_>>().join(&delimiter));
        text.push_str(shape.line_end);
        if shape.blank_lines {
            text.push_str(shape.line_end);
        }
    };
    line(columns.iter().map(|(_, name)| (*name).to_owned()).collect());
    for (row, track) in tracks.iter().enumerate() {
        line(columns.iter().map(|(column, _)| value(track, column, shape, row)).collect());
    }
    text.into_bytes()
}

fn read(file: &[u8]) -> Vec<Track> {
    let mut records = Records::open(file, &TRACK_COLUMNS, &[]).expect("a file");
    let plan = plan(records.header(), &TRACK_COLUMNS, &[]).expect("a header");
    let mut cleaner = Cleaner::new();
    while let Some(record) = records.next().expect("records") {
        let fields: Vec<_> = (0..RAW_COLUMNS.len())
            .map(|target| plan.column(target).map(|column| plan.field(target, &record[column])))
            .collect();
        cleaner.push(&std::array::from_fn(|target| fields[target].as_deref()), None, 1);
    }
    let cleaned = cleaner.finish();
    assert_eq!(cleaned.refusals, []);
    cleaned.tracks
}

proptest! {
    #[test]
    fn every_shape_loads_to_the_same_tracks(tracks in prop::collection::vec(track(), 1..8), shape in shape()) {
        let mut expected = tracks;
        expected.sort_by(|a, b| a.track_id.cmp(&b.track_id));
        expected.dedup_by(|a, b| a.track_id == b.track_id);
        let file = write(&expected, &shape);
        prop_assert_eq!(read(&file), expected, "{}", String::from_utf8_lossy(&file));
    }
}
