use std::collections::{HashMap, HashSet};

use super::*;
use crate::catalogue::song_key;
use crate::explore::{correlations, summarise};

fn catalogue(n: usize, seed: i64) -> Vec<Track> {
    Generator::new(seed).unwrap().take(n).collect()
}

fn columns(tracks: &[Track]) -> Vec<Vec<f64>> {
    let column = |i: usize| tracks.iter().map(|t| t.features[i].unwrap_or(f64::NAN)).collect();
    (0..FEATURES.len()).map(column).collect()
}

/// Mean, standard deviation and quartiles of the real catalogue's 89,740 tracks, by pandas.
const REAL: [(&str, [f64; 5]); 14] = [
    ("popularity", [33.207566302652104, 20.574085678584044, 19.0, 33.0, 49.0]),
    ("duration_ms", [229144.36557833743, 112945.78033648535, 173040.0, 213295.5, 264293.0]),
    ("danceability", [0.5631515879128852, 0.175271063639369, 0.45, 0.576, 0.692]),
    ("energy", [0.6344584717695565, 0.256606378558644, 0.457, 0.676, 0.853]),
    ("key", [5.283530198350791, 3.559911833166974, 2.0, 5.0, 8.0]),
    ("loudness", [-8.49899375975039, 5.221517633363928, -10.32225, -7.185, -5.108]),
    ("mode", [0.6369734789391576, 0.4808750803005425, 0.0, 1.0, 1.0]),
    ("speechiness", [0.08759558175100186, 0.11331768476483814, 0.036, 0.049, 0.086]),
    ("acousticness", [0.32828496982828176, 0.33832056336500377, 0.0171, 0.188, 0.625]),
    ("instrumentalness", [0.17341537119300202, 0.32384928544996616, 0.0, 5.8e-5, 0.097625]),
    ("liveness", [0.21697110441274794, 0.19488488577204763, 0.0982, 0.132, 0.279]),
    ("valence", [0.4702972219171048, 0.26235735501126095, 0.25, 0.458, 0.683]),
    ("tempo", [122.27204900483353, 29.70701103542023, 99.515, 122.021, 140.0875]),
    ("time_signature", [3.9044743128893256, 0.42244097210249737, 4.0, 4.0, 4.0]),
];

/// Of the pairs that correlate most in the real catalogue, and popularity's.
const REAL_CORRELATIONS: [(&str, &str, f64); 7] = [
    ("energy", "loudness", 0.759),
    ("energy", "acousticness", -0.733),
    ("loudness", "acousticness", -0.583),
    ("danceability", "valence", 0.488),
    ("loudness", "instrumentalness", -0.435),
    ("popularity", "loudness", 0.072),
    ("popularity", "instrumentalness", -0.128),
];

#[test]
fn a_generated_catalogue_looks_like_the_real_one() {
    let tracks = catalogue(89_740, 42);
    let columns = columns(&tracks);
    for ((name, real), column) in REAL.iter().zip(&columns) {
        let summary = summarise(column, &|| ()).unwrap();
        let [_, q1, median, q3, _] = summary.five_numbers.unwrap();
        let [mean, stddev, quartiles @ ..] = real;
        // Means and quartiles within 5 % of a standard deviation, which is a point of
        // popularity; the deviation within 8 %, or 15 % for durations, where a few tracks
        // of an hour and more make up much of it.
        for (have, want) in
            [summary.mean.unwrap(), q1, median, q3].iter().zip([mean].into_iter().chain(quartiles))
        {
            let distance = (have - want).abs() / stddev;
            println!("{name}: {have:.6} for {want:.6}, {distance:.4} standard deviations apart");
            assert!(distance <= 0.05, "{name}: {have} for {want}");
        }
        let ratio = summary.stddev.unwrap() / stddev;
        println!("{name}: standard deviation {ratio:.4} times the real one's");
        let tolerance = if *name == "duration_ms" { 0.15 } else { 0.08 };
        assert!((ratio - 1.0).abs() <= tolerance, "{name}: standard deviation {ratio} times");
    }
    let at = |name: &str| FEATURES.iter().position(|feature| feature.name == name).unwrap();
    let pairs = correlations(&columns, &|| {});
    for (a, b, want) in REAL_CORRELATIONS {
        let pair = pairs.iter().find(|pair| (pair.a, pair.b) == (at(a), at(b))).unwrap();
        let have = pair.coefficient.unwrap();
        println!("{a} and {b}: correlation {have:.3} for {want:.3}");
        assert!((have - want).abs() <= 0.05, "{a} and {b}: {have} for {want}");
    }

    // What is counted, within a tenth, for a failed analysis within a third.
    let zeros = |name: &str| columns[at(name)].iter().filter(|value| **value == 0.0).count();
    let distinct =
        |of: &dyn Fn(&Track) -> u128| tracks.iter().map(of).collect::<HashSet<_>>().len();
    let artists = |track: &Track| song_key("", [track.artists[0].as_str()]);
    let songs = |t: &Track| song_key(&t.track_name, t.artists.iter().map(String::as_str));
    let count = |is: &dyn Fn(&&Track) -> bool| tracks.iter().filter(is).count();
    let mut sizes = HashMap::new();
    tracks.iter().for_each(|track| *sizes.entry(&track.artists[0]).or_insert(0usize) += 1);
    let mut sizes: Vec<usize> = sizes.into_values().collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    for (what, have, want, tolerance) in [
        ("popularity of zero", zeros("popularity"), 9347, 0.1),
        ("instrumentalness of zero", zeros("instrumentalness"), 29_924, 0.1),
        ("explicit tracks", count(&|t| t.explicit == Some(true)), 7704, 0.1),
        ("tracks of several genres", count(&|t| t.genres.len() > 1), 16_299, 0.1),
        ("failed analyses", count(&|t| t.feature("tempo").is_none()), 157, 0.33),
        ("primary artists", distinct(&artists), 17_648, 0.1),
        ("songs", distinct(&songs), 81_206, 0.1),
        ("artists of one track", sizes.iter().filter(|size| **size == 1).count(), 7144, 0.1),
        ("tracks of the first hundredth of the artists", sizes[..176].iter().sum(), 14_023, 0.2),
        ("tracks of several artists", count(&|t| t.artists.len() > 1), 22_586, 0.1),
    ] {
        println!("{what}: {have} for {want}");
        assert!((have as f64 / want as f64 - 1.0).abs() <= tolerance, "{what}: {have} for {want}");
    }
}

#[test]
fn more_rows_begin_with_the_same_and_other_seeds_with_others() {
    let first = catalogue(300, -7);
    assert_eq!(catalogue(1000, -7)[..300], first[..]);
    let ids = |tracks: &[Track]| tracks.iter().map(|t| t.track_id.clone()).collect::<HashSet<_>>();
    assert!(ids(&first).is_disjoint(&ids(&catalogue(300, 7))));
}

// What a seed gives must not depend on machine or version.
#[test]
fn a_seed_gives_the_same_row_for_ever() {
    let track = catalogue(100, 42).pop().unwrap();
    assert_eq!(track.track_id, "gen_cotHm8cNM1TGTgrlax");
    assert_eq!(
        (track.track_name.as_str(), track.artists[0].as_str()),
        ("Velvet Mirror", "Emeka M. Jarby")
    );
    assert_eq!(track.genres, ["drum-and-bass"]);
    let values = [
        17.0, 180275.0, 0.433, 0.973, 8.0, -0.551, 1.0, 0.0474, 0.0197, 0.0375, 0.263, 0.378,
        174.307, 4.0,
    ];
    assert_eq!(track.features, values.map(Some));
}

#[test]
fn every_row_is_a_clean_track() {
    let tracks = catalogue(5000, 1);
    let ids: HashSet<_> = tracks.iter().map(|track| &track.track_id).collect();
    assert_eq!(ids.len(), tracks.len());
    for track in &tracks {
        assert!(track.track_id.len() == 22 && track.track_id.starts_with(GENERATED_PREFIX));
        assert!(track.genres.is_sorted_by(|a, b| a < b));
        assert!(track.genres.contains(track.primary_genre.as_ref().unwrap()));
        let artists: HashSet<_> = track.artists.iter().collect();
        assert!(!artists.is_empty() && artists.len() == track.artists.len());
        for (value, feature) in track.features.iter().zip(&FEATURES) {
            let Some(value) = value else { continue };
            assert!((feature.lowest..=feature.highest).contains(value), "{}", feature.name);
            assert!(!feature.integer || value.fract() == 0.0, "{}", feature.name);
        }
    }
}

#[test]
fn versions_share_the_song_and_often_the_recording() {
    let tracks = catalogue(5000, 1);
    let mut songs: HashMap<u128, Vec<&Track>> = HashMap::new();
    for track in &tracks {
        let key = song_key(&track.track_name, track.artists.iter().map(String::as_str));
        songs.entry(key).or_default().push(track);
    }
    let pairs: Vec<_> = songs.values().filter(|versions| versions.len() > 1).collect();
    let same = pairs.iter().filter(|v| v[0].feature("duration_ms") == v[1].feature("duration_ms"));
    let share = same.count() as f64 / pairs.len() as f64;
    assert!(pairs.len() > 100 && (0.3..0.7).contains(&share), "{share} of {}", pairs.len());
}
