use proptest::prelude::*;

use super::*;

/// A good row, with some columns changed.
fn row<'a>(changes: &[(&str, &'a str)]) -> RawTrack<'a> {
    let mut row: RawTrack = [
        "t1", "A", "Album", "Name", "50", "200000", "False", "0.5", "0.6", "7", "-6.5", "1",
        "0.05", "0.2", "0.0", "0.1", "0.4", "120.5", "4", "pop",
    ]
    .map(Some);
    for (name, value) in changes {
        row[RAW_COLUMNS.iter().position(|column| column == name).unwrap()] = Some(value);
    }
    row
}

fn clean(rows: &[RawTrack]) -> Cleaned {
    let mut cleaner = Cleaner::new();
    rows.iter().for_each(|row| cleaner.push(row, None, 1).unwrap());
    cleaner.finish(&|| ()).unwrap()
}

fn repaired(cleaned: &Cleaned) -> Vec<(&str, u64)> {
    cleaned.repaired.iter().copied().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn every_feature_has_its_column() {
    for (feature, column) in FEATURES.iter().zip(FEATURE_COLUMNS) {
        assert_eq!(feature.name, RAW_COLUMNS[column]);
    }
    assert_eq!(RAW_COLUMNS[EXPLICIT_COLUMN], EXPLICIT);
    let analysis = ANALYSIS.map(|i| FEATURES[i].name);
    assert_eq!(analysis, ["danceability", "speechiness", "valence", "tempo", "time_signature"]);
    for (column, name) in [
        (TRACK_ID, "track_id"),
        (ARTISTS, "artists"),
        (ALBUM_NAME, "album_name"),
        (TRACK_NAME, "track_name"),
        (GENRE, "track_genre"),
    ] {
        assert_eq!(RAW_COLUMNS[column], name);
    }
}

#[test]
fn a_row_becomes_a_track() {
    let cleaned = clean(&[row(&[("artists", " A ;B;; C; "), ("explicit", "TRUE")])]);
    let track = &cleaned.tracks[0];
    assert_eq!(track.artists, ["A", "B", "C"]);
    assert_eq!((track.track_id.as_str(), track.track_name.as_str()), ("t1", "Name"));
    assert_eq!(track.album_name.as_deref(), Some("Album"));
    assert_eq!(track.genres, ["pop"]);
    assert_eq!(track.explicit, Some(true));
    let numbers = [50.0, 200000.0, 0.5, 0.6, 7.0, -6.5, 1.0, 0.05, 0.2, 0.0, 0.1, 0.4, 120.5, 4.0];
    assert_eq!(track.features, numbers.map(Some));
    assert_eq!(track.feature("tempo"), Some(120.5));
    assert_eq!(repaired(&cleaned), []);
}

#[test]
fn rows_without_id_artists_or_name_are_refused() {
    let cleaned = clean(&[
        row(&[("track_id", " ")]),
        row(&[("artists", " ; ")]),
        row(&[("track_name", "")]),
        row(&[("track_name", "")]),
        [None; 20],
        row(&[("album_name", "")]),
    ]);
    let reasons: Vec<_> = cleaned.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["no track_id", "no artists", "no track_name", "no track_id, no artists, no track_name"]
    );
    assert_eq!((cleaned.read, cleaned.refused, cleaned.tracks.len()), (6, 5, 1));
    assert_eq!(cleaned.tracks[0].album_name, None);
    assert_eq!(cleaned.refusals[0].row[0].as_deref(), Some(" "));
    assert_eq!(cleaned.refusals[3].row[0], None);
}

#[test]
fn the_most_popular_row_of_an_id_wins_and_genres_are_united() {
    let rows = [
        row(&[("track_genre", "rock"), ("popularity", "60"), ("album_name", "Winner")]),
        row(&[("track_genre", "pop"), ("popularity", "59")]),
        row(&[("track_genre", "zouk"), ("popularity", "60")]),
        row(&[("track_genre", "zouk"), ("popularity", "60")]),
        row(&[("track_genre", ""), ("popularity", "60")]),
        row(&[("track_genre", "ambient"), ("popularity", "")]),
    ];
    let cleaned = clean(&rows);
    let track = &cleaned.tracks[0];
    assert_eq!(track.genres, ["ambient", "pop", "rock", "zouk"]);
    assert_eq!(track.primary_genre.as_deref(), Some("rock"));
    assert_eq!(track.album_name.as_deref(), Some("Winner"));
    assert_eq!((cleaned.read, cleaned.exact_duplicates, cleaned.merged), (6, 1, 4));
}

#[test]
fn tracks_come_by_id_in_byte_order() {
    let ids =
        ["catalogue:track:long:b", "b", "catalogue:track:long:a", "é", "B", "a", "ab", "a\u{1}"];
    let cleaned = clean(&ids.map(|id| row(&[("track_id", id)])));
    let mut expected = ids;
    expected.sort_unstable();
    let have: Vec<_> = cleaned.tracks.iter().map(|track| track.track_id.as_str()).collect();
    assert_eq!(have, expected);
}

#[test]
fn among_equals_the_row_that_knows_most_wins() {
    let rows = [row(&[("tempo", ""), ("key", "")]), row(&[("tempo", "")])];
    assert_eq!(clean(&rows).tracks[0].feature("key"), Some(7.0));
}

#[test]
fn values_outside_their_range_become_unknown_and_are_counted() {
    for (column, value, kept) in [
        ("popularity", "101", None),
        ("popularity", "-1", None),
        ("popularity", "12.5", None),
        ("popularity", "12.0", Some(12.0)),
        ("duration_ms", "0", None),
        ("duration_ms", "2147483648", None),
        ("duration_ms", "2147483647", Some(2147483647.0)),
        ("danceability", "1.0001", None),
        ("danceability", "1", Some(1.0)),
        ("energy", "1e999", None),
        ("energy", "1e-3", Some(0.001)),
        ("key", "-1", None),
        ("key", "11", Some(11.0)),
        ("loudness", "10.01", None),
        ("loudness", "-60", Some(-60.0)),
        ("mode", "2", None),
        ("valence", "0,5", None),
        ("tempo", "0", None),
        ("tempo", "inf", None),
        ("tempo", "0.1", Some(0.1)),
        ("time_signature", "8", None),
        ("time_signature", "0", None),
        ("time_signature", "7", Some(7.0)),
    ] {
        let cleaned = clean(&[row(&[(column, value)])]);
        assert_eq!(cleaned.tracks[0].feature(column), kept, "{column} {value}");
        let expected: &[_] = if kept.is_none() { &[(column, 1)] } else { &[] };
        assert_eq!(repaired(&cleaned), expected, "{column} {value}");
    }
    let cleaned = clean(&[row(&[("explicit", "perhaps")])]);
    assert_eq!(cleaned.tracks[0].explicit, None);
    assert_eq!(repaired(&cleaned), [("explicit", 1)]);
}

#[test]
fn what_is_missing_is_not_repaired() {
    let cleaned = clean(&[row(&[("tempo", ""), ("explicit", " "), ("popularity", "")])]);
    assert_eq!(repaired(&cleaned), []);
    assert_eq!(cleaned.tracks[0].feature("tempo"), None);
}

#[test]
fn a_failed_analysis_is_no_silence() {
    let zero = [
        ("tempo", "0.0"),
        ("danceability", "0.0"),
        ("speechiness", "0"),
        ("valence", "0.0"),
        ("time_signature", "0"),
    ];
    let cleaned = clean(&[row(&zero)]);
    assert_eq!(cleaned.failed_analyses, 1);
    assert_eq!(
        repaired(&cleaned),
        [
            ("danceability", 1),
            ("speechiness", 1),
            ("valence", 1),
            ("tempo", 1),
            ("time_signature", 1)
        ]
    );
    // One of the five known: the zeros of the others that can be, stand.
    let cleaned = clean(&[row(&zero[..4])]);
    assert_eq!(cleaned.failed_analyses, 0);
    assert_eq!(cleaned.tracks[0].feature("danceability"), Some(0.0));
    assert_eq!(repaired(&cleaned), [("tempo", 1)]);
}

#[test]
fn values_are_read_as_people_deliver_them() {
    let cleaned = clean(&[
        row(&[
            ("track_id", "spotify:track:t1"),
            ("artists", "['Ada Lind', 'Iva Jol']"),
            ("track_genre", "rock,indie"),
            ("key", "C#"),
            ("mode", "Minor"),
            ("time_signature", "3/4"),
            ("explicit", "TRUE"),
        ]),
        row(&[
            ("track_id", "https://open.spotify.com/track/t2?si=1"),
            ("track_genre", "['pop', 'uk pop']"),
            ("key", "D♭"),
        ]),
        row(&[
            ("track_id", "t3"),
            ("artists", "[Alexandros]"),
            ("album_name", "nan"),
            ("track_genre", "[]"),
            ("popularity", "NaN"),
            ("key", "N/A"),
        ]),
    ]);
    let [first, second, third] = &cleaned.tracks[..] else { panic!("{:?}", cleaned.refusals) };
    assert_eq!(first.track_id, "t1");
    assert_eq!(first.artists, ["Ada Lind", "Iva Jol"]);
    assert_eq!(
        (first.genres.join("+").as_str(), first.primary_genre.as_deref()),
        ("indie+rock", Some("rock"))
    );
    let read = ["key", "mode", "time_signature"].map(|name| first.feature(name));
    assert_eq!(read, [Some(1.0), Some(0.0), Some(3.0)]);
    assert_eq!((second.track_id.as_str(), second.genres.join("+").as_str()), ("t2", "pop+uk pop"));
    assert_eq!(second.feature("key"), Some(1.0));
    assert_eq!(
        (third.artists.join("+").as_str(), &third.album_name, third.genres.len()),
        ("[Alexandros]", &None, 0)
    );
    assert_eq!(repaired(&cleaned), []);
}

#[test]
fn rows_that_are_no_tracks_are_refused_with_the_reason() {
    let cleaned = clean(&[
        row(&[("track_id", "track_id"), ("artists", "artists"), ("track_name", "track_name")]),
        row(&[("track_id", "Track URI"), ("track_name", "Track Name")]),
        row(&[("track_id", "1.23457E+21")]),
        row(&[("track_id", "1.23457E+21"), ("track_name", "Other")]),
        row(&[("track_id", "spotify:local:a:b:c:1")]),
        row(&[("artists", "nan")]),
        row(&[("track_name", "None")]),
    ]);
    let reasons: Vec<_> = cleaned.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    let rounded = "track_id 1.23457E+21 is a number that a spreadsheet has rounded";
    assert_eq!(
        reasons,
        [
            "the header again",
            "the header again",
            rounded,
            rounded,
            "track_id spotify:local:a:b:c:1 is not that of a track",
            "no artists",
            "no track_name"
        ]
    );
    assert_eq!(cleaned.tracks, []);
    // A song may have the name of a column.
    assert_eq!(clean(&[row(&[("track_name", "Energy"), ("artists", "Key")])]).tracks.len(), 1);
}

#[test]
fn the_newest_delivery_of_an_id_wins() {
    let mut cleaner = Cleaner::new();
    for (delivery, changes) in [
        (2, &[("popularity", "10"), ("tempo", ""), ("track_genre", "new")][..]),
        (1, &[("popularity", "90"), ("track_genre", "old")]),
        (1, &[("popularity", "80"), ("track_genre", "older")]),
        (2, &[("popularity", "5"), ("track_genre", "newer")]),
        (2, &[("popularity", "5"), ("track_genre", "newer")]),
        (1, &[("track_id", "t2"), ("track_genre", "old")]),
    ] {
        cleaner.push(&row(changes), None, delivery).unwrap();
    }
    let cleaned = cleaner.finish(&|| ()).unwrap();
    let track = &cleaned.tracks[0];
    assert_eq!((track.feature("popularity"), track.feature("tempo")), (Some(10.0), None));
    assert_eq!(
        (track.genres.join("+").as_str(), track.primary_genre.as_deref()),
        ("new+newer", Some("new"))
    );
    assert_eq!(cleaned.tracks[1].genres, ["old"]);
    assert_eq!(
        (cleaned.read, cleaned.exact_duplicates, cleaned.superseded, cleaned.merged),
        (6, 1, 2, 1)
    );
}

type OwnedRow = [Option<String>; 20];

/// Rows from few values, so that ids, genres and popularities collide.
fn owned_row() -> impl Strategy<Value = OwnedRow> {
    let pick = |values: &'static [&'static str]| {
        prop::sample::select(values).prop_map(|value| (value != "NULL").then(|| value.to_owned()))
    };
    (
        pick(&["a", "b", " b", "", "NULL"]),
        pick(&["X", "X; Y", ";", "NULL"]),
        pick(&["N", "N ", "", "é"]),
        pick(&["0", "50", "50.0", "101", "", "x", "NULL"]),
        pick(&["pop", "rock", "", "NULL"]),
        pick(&["0", "0.5", "2", ""]),
        pick(&["0", "120", "-3", "NULL"]),
        pick(&["True", "f", "maybe", ""]),
    )
        .prop_map(|(id, artists, name, popularity, genre, value, tempo, explicit)| {
            let mut row: OwnedRow = std::array::from_fn(|_| value.clone());
            for (column, value) in [
                (0, id),
                (1, artists),
                (3, name),
                (4, popularity),
                (6, explicit),
                (17, tempo),
                (19, genre),
            ] {
                row[column] = value;
            }
            row
        })
}

fn clean_deliveries(rows: &[(OwnedRow, i64)]) -> Cleaned {
    let mut cleaner = Cleaner::new();
    for (row, delivery) in rows {
        cleaner
            .push(&std::array::from_fn(|column| row[column].as_deref()), None, *delivery)
            .unwrap();
    }
    cleaner.finish(&|| ()).unwrap()
}

fn clean_owned(rows: &[OwnedRow]) -> Cleaned {
    let mut cleaner = Cleaner::new();
    for row in rows {
        cleaner.push(&std::array::from_fn(|column| row[column].as_deref()), None, 1).unwrap();
    }
    cleaner.finish(&|| ()).unwrap()
}

/// The rows a track would be delivered as: one for each genre.
fn deliver(track: &Track) -> Vec<OwnedRow> {
    let genres = match &track.genres[..] {
        [] => vec![None],
        genres => genres.iter().cloned().map(Some).collect(),
    };
    let row = |genre: Option<String>| {
        let mut row: OwnedRow = std::array::from_fn(|_| None);
        row[TRACK_ID] = Some(track.track_id.clone());
        row[ARTISTS] = Some(track.artists.join(";"));
        row[ALBUM_NAME] = track.album_name.clone();
        row[TRACK_NAME] = Some(track.track_name.clone());
        row[EXPLICIT_COLUMN] = track.explicit.map(|explicit| explicit.to_string());
        for (value, column) in track.features.iter().zip(FEATURE_COLUMNS) {
            row[column] = value.map(|value| value.to_string());
        }
        // The least popularity would not let the primary genre win.
        if genre != track.primary_genre {
            row[4] = None;
        }
        row[GENRE] = genre;
        row
    };
    let rank = |genre: &Option<String>| *genre != track.primary_genre;
    let mut rows: Vec<_> = genres.into_iter().map(|genre| (rank(&genre), row(genre))).collect();
    rows.sort_by_key(|(rank, _)| *rank);
    rows.into_iter().map(|(_, row)| row).collect()
}

proptest! {
    #[test]
    fn the_order_of_rows_does_not_matter(
        (rows, shuffled) in prop::collection::vec((owned_row(), 1i64..4), 0..40)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let (mut first, mut second) = (clean_deliveries(&rows), clean_deliveries(&shuffled));
        let key = |refusal: &Refusal| (refusal.reason.clone(), refusal.row.clone());
        for cleaned in [&mut first, &mut second] {
            for refusal in &mut cleaned.refusals {
                // NULL and the empty text are the same; which is kept is the first one's.
                refusal.row.iter_mut().for_each(|value| { value.get_or_insert_default(); });
            }
            cleaned.refusals.sort_by_key(key);
        }
        prop_assert_eq!(&first, &second);
        prop_assert_eq!(
            first.read,
            first.refused + first.exact_duplicates + first.superseded + first.merged + first.tracks.len() as u64
        );
    }

    #[test]
    fn rows_read_twice_change_nothing(rows in prop::collection::vec(owned_row(), 0..40)) {
        let once = clean_owned(&rows);
        let twice = clean_owned(&[&rows[..], &rows[..]].concat());
        prop_assert_eq!(&once.tracks, &twice.tracks);
        prop_assert_eq!(&once.refusals, &twice.refusals);
        prop_assert_eq!(once.merged, twice.merged);
    }

    #[test]
    fn clean_tracks_stay_as_they_are(rows in prop::collection::vec(owned_row(), 0..40)) {
        let mut once = clean_owned(&rows);
        // A track without popularity and with several genres cannot be told apart when delivered.
        once.tracks.retain(|track| track.features[0].is_some() || track.genres.len() < 2);
        let delivered: Vec<OwnedRow> = once.tracks.iter().flat_map(deliver).collect();
        let again = clean_owned(&delivered);
        prop_assert_eq!(&again.tracks, &once.tracks);
        prop_assert!(again.repaired.iter().all(|(_, count)| *count == 0));
        prop_assert_eq!(again.refused, 0);
    }
}

#[test]
fn a_row_with_an_id_or_a_name_that_no_index_takes_is_refused() {
    let long = "x".repeat(12_800);
    let artist = "y".repeat(1025);
    let genres = (0..1001).map(|i| format!("g{i}")).collect::<Vec<_>>().join(";");
    let widest = "z".repeat(512);
    let cleaned = clean(&[
        row(&[("track_id", &long)]),
        row(&[("track_id", "t2"), ("track_genre", &long)]),
        row(&[("track_id", "t3"), ("artists", &artist)]),
        row(&[("track_id", "t4"), ("track_genre", &genres)]),
        row(&[("track_id", &widest), ("track_genre", &widest), ("track_name", &long)]),
    ]);
    let reasons: Vec<_> = cleaned.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "track_id is longer than 512 bytes",
            "a genre is longer than 512 bytes",
            "an artist is longer than 1024 bytes",
            "there are more than 1000 artists or genres",
        ]
    );
    assert_eq!(cleaned.tracks.len(), 1);
}
