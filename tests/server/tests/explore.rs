//! Exploratory analysis: worked by hand, and against pandas on the real file.

use postgres::Client;
use sparkify_server_tests::{Server, real_tracks, refusal};

fn column<T: postgres::types::FromSqlOwned>(client: &mut Client, sql: &str) -> Vec<T> {
    client.query(sql, &[]).expect(sql).iter().map(|row| row.get(0)).collect()
}

fn close(have: f64, want: f64) -> bool {
    (have - want).abs() <= 1e-11 * want.abs().max(1.0)
}

#[test]
fn a_small_catalogue_worked_by_hand() {
    let server = Server::shared();
    let database = server.database("explore_small");
    let mut client = database.connect();
    client
        .batch_execute(
            "INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, explicit, popularity, energy)
             VALUES ('a', 'N', '{A}', '{pop}', 'pop', true, 0, 0.1), ('b', 'N', '{A,B}', '{pop,rock}', 'rock', false, 1, 0.2),
                    ('c', 'N', '{C}', '{}', NULL, NULL, 1, 0.3), ('d', 'M', '{C,C}', '{rock}', 'rock', false, 30, NULL),
                    ('e', 'M', '{C}', '{rock}', 'rock', false, NULL, NULL)",
        )
        .unwrap();
    let profile = "SELECT ROW(rows, missing, zeros, distinct_values, min, q1, median, q3, max, mean, stddev::numeric(20,9), outliers)::text
        FROM sparkify.profile_tracks() WHERE column_name = ";
    for (name, want) in [
        ("popularity", "(5,1,1,3,0,0.75,1,8.25,30,8,14.674240469,1)"),
        ("genres", "(5,1,,3,,,,,,,,)"),
        ("track_name", "(5,0,,2,,,,,,,,)"),
        ("explicit", "(5,1,3,2,,,,,,0.25,,)"),
        ("tempo", "(5,5,0,0,,,,,,,,0)"),
    ] {
        let have = column::<String>(&mut client, &format!("{profile}'{name}'"));
        assert_eq!(have, [want], "{name}");
    }
    let columns =
        column::<String>(&mut client, "SELECT column_name FROM sparkify.profile_tracks()");
    assert_eq!(
        (columns.len(), columns[0].as_str(), columns[10].as_str()),
        (23, "track_id", "explicit")
    );

    let pair = client
        .query_one("SELECT n, correlation FROM sparkify.correlate_tracks() WHERE feature_a = 'popularity' AND feature_b = 'energy'", &[])
        .unwrap();
    assert_eq!(pair.get::<_, i64>(0), 3);
    // Deviations −2/3, 1/3, 1/3 and −0.1, 0, 0.1.
    assert!(close(pair.get(1), 0.1 / (2.0f64 / 3.0 * 0.02).sqrt()));
    let unknown =
        "SELECT correlation FROM sparkify.correlate_tracks() WHERE feature_b = 'tempo' LIMIT 1";
    assert_eq!(column::<Option<f64>>(&mut client, unknown), [None]);

    let bins = "SELECT ROW(h.*)::text FROM sparkify.histogram_tracks('popularity', 3) AS h";
    assert_eq!(column::<String>(&mut client, bins), ["(1,0,10,3)", "(2,10,20,0)", "(3,20,30,1)"]);
    let none = "SELECT bin FROM sparkify.histogram_tracks('tempo', 3)";
    assert!(column::<i32>(&mut client, none).is_empty());
    let outliers = "SELECT ROW(o.*)::text FROM sparkify.outlier_tracks() AS o";
    assert_eq!(column::<String>(&mut client, outliers), ["(d,M,popularity,30,-10.5,19.5)"]);

    let genres = "SELECT ROW(g.*)::text FROM sparkify.genre_distribution AS g ORDER BY genre";
    assert_eq!(
        column::<String>(&mut client, genres),
        ["(pop,2,0.4,1,1,0.5)", "(rock,3,0.6,3,2,15.5)"]
    );
    let artists = "SELECT ROW(a.*)::text FROM sparkify.artist_distribution AS a ORDER BY artist";
    assert_eq!(
        column::<String>(&mut client, artists),
        ["(A,2,0.4,2,2,0.5)", "(B,1,0.2,0,1,1)", "(C,3,0.6,3,2,15.5)"]
    );
}

#[test]
fn wrong_arguments_are_refused() {
    let server = Server::shared();
    let database = server.database("explore_wrong");
    let mut client = database.connect();
    for (call, code, message) in [
        ("histogram_tracks('tempos')", "22023", "feature \"tempos\" does not exist"),
        ("histogram_tracks('tempo', 0)", "22023", "bins must be between 1 and 1000, not 0"),
        ("histogram_tracks('tempo', 1001)", "22023", "bins must be between 1 and 1000, not 1001"),
        ("histogram_tracks('tempo', NULL)", "22004", "bins must not be null"),
        ("histogram_tracks(NULL)", "22004", "feature must not be null"),
        ("outlier_tracks('explicit')", "22023", "feature \"explicit\" does not exist"),
    ] {
        let (state, text) = refusal(client.query(&format!("SELECT * FROM sparkify.{call}"), &[]));
        assert_eq!((state.code(), text.as_str()), (code, message), "{call}");
    }
}

/// Mean, standard deviation, minimum, quartiles, maximum and outliers by pandas.
const PANDAS: [(&str, [f64; 7], i64); 14] = [
    ("popularity", [33.207566302652104, 20.574085678584044, 0.0, 19.0, 33.0, 49.0, 100.0], 11),
    (
        "duration_ms",
        [229144.36557833743, 112945.78033648535, 8586.0, 173040.0, 213295.5, 264293.0, 5237295.0],
        4225,
    ),
    (
        "danceability",
        [0.5631515879128852, 0.175271063639369, 0.0513, 0.45, 0.576, 0.692, 0.985],
        317,
    ),
    ("energy", [0.6344584717695565, 0.256606378558644, 0.0, 0.457, 0.676, 0.853, 1.0], 0),
    ("key", [5.283530198350791, 3.559911833166974, 0.0, 2.0, 5.0, 8.0, 11.0], 0),
    (
        "loudness",
        [-8.49899375975039, 5.221517633363928, -49.531, -10.32225, -7.185, -5.108, 4.532],
        5026,
    ),
    ("mode", [0.6369734789391576, 0.4808750803005425, 0.0, 0.0, 1.0, 1.0, 1.0], 0),
    (
        "speechiness",
        [0.08759558175100186, 0.11331768476483814, 0.0221, 0.036, 0.049, 0.086, 0.965],
        10644,
    ),
    (
        "acousticness",
        [0.32828496982828176, 0.33832056336500377, 0.0, 0.0171, 0.188, 0.625, 0.996],
        0,
    ),
    (
        "instrumentalness",
        [0.17341537119300202, 0.32384928544996616, 0.0, 0.0, 5.8e-05, 0.097625, 1.0],
        19613,
    ),
    ("liveness", [0.21697110441274794, 0.19488488577204763, 0.0, 0.0982, 0.132, 0.279, 1.0], 6981),
    ("valence", [0.4702972219171048, 0.26235735501126095, 0.0, 0.25, 0.458, 0.683, 0.995], 0),
    (
        "tempo",
        [122.27204900483353, 29.70701103542023, 30.2, 99.515, 122.021, 140.08749999999998, 243.372],
        368,
    ),
    ("time_signature", [3.9044743128893256, 0.42244097210249737, 1.0, 4.0, 4.0, 4.0, 5.0], 10035),
];

/// Correlations by pandas.
const CORRELATIONS: [(&str, &str, f64); 15] = [
    ("popularity", "duration_ms", -0.0231554355901652),
    ("popularity", "danceability", 0.06599735984811377),
    ("popularity", "energy", 0.013609546017530644),
    ("popularity", "key", 0.0034824091270425337),
    ("popularity", "loudness", 0.07168466417883283),
    ("popularity", "mode", -0.016384627067498166),
    ("popularity", "speechiness", -0.046977996724665724),
    ("popularity", "acousticness", -0.03882040605159619),
    ("popularity", "instrumentalness", -0.1276467404250756),
    ("popularity", "liveness", -0.013968004484830921),
    ("popularity", "valence", -0.010973175352518306),
    ("popularity", "tempo", 0.008834969400686283),
    ("popularity", "time_signature", 0.04265678840052447),
    ("energy", "loudness", 0.7587736370436302),
    ("danceability", "valence", 0.48832457985304745),
];

#[test]
fn the_real_catalogue_equals_pandas() {
    let Some(path) = real_tracks("the_real_catalogue_equals_pandas") else { return };
    let server = Server::shared();
    let database = server.database("explore_real");
    let mut client = database.connect();
    client.query("SELECT sparkify.load_tracks($1)", &[&path.to_str().unwrap()]).unwrap();
    client.query("SELECT sparkify.clean_tracks()", &[]).unwrap();
    for (name, want, outliers) in PANDAS {
        let row = client
            .query_one(
                "SELECT mean, stddev, min, q1, median, q3, max, outliers FROM sparkify.profile_tracks() WHERE column_name = $1",
                &[&name],
            )
            .unwrap();
        for (i, want) in want.into_iter().enumerate() {
            assert!(close(row.get(i), want), "{name}: {} for {want}", row.get::<_, f64>(i));
        }
        assert_eq!(row.get::<_, i64>(7), outliers, "{name}");
    }
    for (a, b, want) in CORRELATIONS {
        let row = client
            .query_one("SELECT correlation FROM sparkify.correlate_tracks() WHERE feature_a = $1 AND feature_b = $2", &[&a, &b])
            .unwrap();
        assert!(close(row.get(0), want), "{a} and {b}: {} for {want}", row.get::<_, f64>(0));
    }
    let keys = column::<i64>(&mut client, "SELECT count FROM sparkify.histogram_tracks('key', 12)");
    assert_eq!(keys, [10352, 8576, 9327, 2769, 7133, 7308, 6139, 10550, 5570, 8998, 5889, 7129]);
    let tempos =
        column::<i64>(&mut client, "SELECT count FROM sparkify.histogram_tracks('tempo', 7)");
    assert_eq!(tempos, [361, 14097, 29510, 31329, 12313, 1946, 27]);
}
