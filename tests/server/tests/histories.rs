//! Listening histories of every service, from files, folders, ZIPs, JSON and tables.

use std::io::Write;

use postgres::Client;
use sparkify_server_tests::{Database, Server, file_for_server, refusal};

/// accepted, duplicate, unmatched, passed over, rejected.
type Counts = [i64; 5];

fn counts(result: Result<postgres::Row, postgres::Error>) -> Counts {
    let row = result.expect("a history is read");
    std::array::from_fn(|i| row.get(i))
}

fn load(client: &mut Client, path: &str, user: &str) -> Counts {
    counts(client.query_one("SELECT * FROM sparkify.load_history($1, $2)", &[&path, &user]))
}

fn text(client: &mut Client, sql: &str) -> String {
    client.query_one(sql, &[]).expect(sql).get::<_, Option<String>>(0).unwrap_or_default()
}

const CATALOGUE: &str = "INSERT INTO sparkify.tracks (track_id, track_name, artists, popularity, duration_ms)
    SELECT 't' || i, 'Song Nö ' || i, CASE WHEN i % 4 = 0 THEN ARRAY['Artist ' || i % 5, 'Guest'] ELSE ARRAY['Artist ' || i % 5] END, i % 50, 200000
    FROM generate_series(1, 40) AS i;";

/// A play of the month: the minute, the track's number.
fn month() -> Vec<(i64, usize)> {
    (0..120).map(|i| (1_790_841_600 / 60 + i * 350 + i % 7, (i as usize * 13) % 40 + 1)).collect()
}

/// `2026-10-01 08:00`, of minutes since 1970.
fn civil(client: &mut Client, minute: i64, form: &str) -> String {
    let sql = "SELECT to_char(to_timestamp($1::float8) AT TIME ZONE 'UTC', $2)";
    client.query_one(sql, &[&((minute * 60) as f64), &form]).unwrap().get(0)
}

/// The month in five formats: name of the file and content.
fn five(client: &mut Client) -> Vec<(&'static str, String)> {
    let (mut extended, mut account, mut listens) = (Vec::new(), Vec::new(), String::new());
    let mut lastfm =
        String::from("uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n");
    let mut plain = String::from("track_id,played_at,ms_played\n");
    for (minute, track) in month() {
        let (name, artist) = (format!("Song Nö {track}"), format!("Artist {}", track % 5));
        let iso = civil(client, minute, "YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"");
        let short = civil(client, minute, "YYYY-MM-DD HH24:MI");
        let words = civil(client, minute, "DD Mon YYYY, HH24:MI");
        extended.push(format!(
            r#"{{"ts": "{iso}", "username": "secret", "ip_addr_decrypted": "192.0.2.7", "ms_played": 180000, "master_metadata_track_name": "{name}",
              "master_metadata_album_artist_name": "{artist}", "spotify_track_uri": "spotify:track:t{track}", "reason_end": "trackdone"}}"#
        ));
        account.push(format!(
            r#"{{"endTime": "{short}", "artistName": "{artist}", "trackName": "{}", "msPlayed": 180000}}"#,
            name.to_uppercase()
        ));
        lastfm.push_str(&format!(
            "{},\"{words}\",{artist},,,,{name} - 2011 Remaster,\n",
            minute * 60
        ));
        listens.push_str(&format!(
            r#"{{"listened_at": {}, "user_name": "secret", "track_metadata": {{"track_name": "{name}", "artist_name": "{artist} feat. Somebody"}}}}"#,
            minute * 60
        ));
        listens.push('\n');
        plain.push_str(&format!("t{track},{iso},180000\n"));
    }
    vec![
        ("Streaming_History_Audio_2026_0.json", format!("[{}]", extended.join(",\n"))),
        ("StreamingHistory_music_0.json", format!("[{}]", account.join(","))),
        ("lastfm.csv", lastfm),
        ("listens.jsonl", listens),
        ("plain.csv", plain),
    ]
}

#[test]
fn a_month_of_one_listener_is_the_same_in_every_format() {
    let server = Server::shared();
    let database = server.database("histories_five");
    let mut client = database.connect();
    client.batch_execute(CATALOGUE).unwrap();
    let plays = month().len() as i64;
    for (user, content) in five(&mut client) {
        let path = file_for_server(user, content.as_bytes());
        let path = path.to_str().unwrap();
        assert_eq!(load(&mut client, path, user), [plays, 0, 0, 0, 0], "{user}");
        assert_eq!(load(&mut client, path, user), [0, plays, 0, 0, 0], "{user} again");
    }
    let same = "SELECT count(*)::text || ' ' || count(DISTINCT plays)::text FROM
        (SELECT user_id, md5(string_agg(track_id || played_at, ' ' ORDER BY played_at)) AS plays FROM sparkify.listening_events GROUP BY user_id) AS u";
    assert_eq!(text(&mut client, same), "5 1");
    // One listener who has all of them heard each play once.
    for (name, content) in five(&mut client) {
        let path = file_for_server(name, content.as_bytes());
        load(&mut client, path.to_str().unwrap(), "all");
    }
    let all = "SELECT count(*)::text FROM sparkify.listening_events WHERE user_id = 'all'";
    assert_eq!(text(&mut client, all), plays.to_string());
    for relation in ["listening_events", "users", "unmatched_plays", "rejected_events"] {
        let leaked = format!(
            "SELECT count(*)::text FROM sparkify.{relation} AS r WHERE r::text ~ 'secret|192.0.2'"
        );
        assert_eq!(text(&mut client, &leaked), "0", "{relation}");
    }
}

#[test]
fn folders_patterns_and_zips_as_delivered() {
    let server = Server::shared();
    let database = server.database("histories_zip");
    let mut client = database.connect();
    client.batch_execute(CATALOGUE).unwrap();
    let play = |minute: usize, track: usize| {
        format!(
            r#"{{"ts": "2026-10-01T08:{minute:02}:10Z", "ms_played": 9000, "spotify_track_uri": "spotify:track:t{track}"}}"#
        )
    };
    let parts = [
        ("endsong_0.json", format!("[{},{}]", play(1, 1), play(2, 2))),
        ("endsong_1.json", format!("[{},{}]", play(2, 2), play(3, 3))),
    ];
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in
        [("ReadMeFirst.pdf", "%PDF".to_owned()), ("Identity.json", "{\"a\": 1}".to_owned())]
            .iter()
            .chain(&parts)
    {
        zip.start_file(format!("My Data/{name}"), zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    let zipped = file_for_server("my_data.zip", &zip.finish().unwrap().into_inner());
    assert_eq!(load(&mut client, zipped.to_str().unwrap(), "zip"), [3, 1, 0, 0, 0]);

    let folder = zipped.with_file_name("my_data");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("inner")).unwrap();
    for (place, (name, content)) in ["", "inner"].iter().zip(&parts) {
        std::fs::write(folder.join(place).join(name), content).unwrap();
    }
    std::fs::write(folder.join("notes.txt"), "x").unwrap();
    assert_eq!(load(&mut client, folder.to_str().unwrap(), "folder"), [3, 1, 0, 0, 0]);
    let pattern = folder.join("endsong_?.json");
    assert_eq!(load(&mut client, pattern.to_str().unwrap(), "pattern"), [2, 0, 0, 0, 0]);

    let cut = std::fs::read(&zipped).unwrap();
    let cut = file_for_server("cut.zip", &cut[..cut.len() / 2]);
    let nothing = file_for_server("nothing.txt", b"hello world\n");
    for (path, user, format, code) in [
        (cut.to_str().unwrap(), "me", "auto", "22P04"),
        (nothing.to_str().unwrap(), "me", "auto", "22P04"),
        ("/no/such/file.json", "me", "auto", "58P01"),
        ("/no/such/*.json", "me", "auto", "58P01"),
        (zipped.to_str().unwrap(), "", "auto", "22023"),
        (zipped.to_str().unwrap(), "me", "winamp", "22023"),
    ] {
        let call =
            client.query_one("SELECT sparkify.load_history($1, $2, $3)", &[&path, &user, &format]);
        assert_eq!(refusal(call).0.code(), code, "{path} {user} {format}");
    }
    let null = client.query_one("SELECT sparkify.load_history(NULL, 'me')", &[]);
    assert_eq!(refusal(null).0.code(), "22004");
    assert_eq!(
        text(&mut client, "SELECT count(*)::text FROM sparkify.users WHERE user_id IN ('me', '')"),
        "0"
    );
}

#[test]
fn episodes_skips_unknown_and_broken_records() {
    let server = Server::shared();
    let database = server.database("histories_records");
    let mut client = database.connect();
    client.batch_execute(CATALOGUE).unwrap();
    let history = r#"[
        {"ts": "2026-10-01T08:00:00Z", "ms_played": 0, "spotify_track_uri": "spotify:track:t1", "skipped": false},
        {"ts": "2026-10-01T08:01:00Z", "ms_played": 9, "episode_name": "E", "spotify_episode_uri": "spotify:episode:e"},
        {"ts": "2026-10-01T08:02:00Z", "ms_played": 9, "spotify_track_uri": "spotify:track:gone",
         "master_metadata_track_name": "Lost", "master_metadata_album_artist_name": "Nobody", "ip_addr": "192.0.2.7"},
        {"ts": "2026-10-01T08:03:00Z", "ms_played": 9, "spotify_track_uri": "spotify:track:old",
         "master_metadata_track_name": "song nö 2", "master_metadata_album_artist_name": "ARTIST 2"},
        {"ts": "2026-10-01T08:04:00Z", "ms_played": -5, "spotify_track_uri": "spotify:track:t1", "ip_addr": "192.0.2.7"},
        {"ts": "1970-01-01T00:00:00Z", "ms_played": 5, "spotify_track_uri": "spotify:track:t1"}]"#;
    let call =
        |client: &mut Client| {
            counts(client.query_one(
                "SELECT * FROM sparkify.import_history($1::text::jsonb, 'me')",
                &[&history],
            ))
        };
    assert_eq!(call(&mut client), [2, 0, 1, 1, 2]);
    assert_eq!(call(&mut client), [0, 2, 1, 1, 2]);
    let kept = "SELECT string_agg(track_id || ' ' || coalesce(skipped::text, '-'), ', ' ORDER BY played_at) FROM sparkify.listening_events";
    assert_eq!(text(&mut client, kept), "t1 true, t2 -");
    assert_eq!(
        text(
            &mut client,
            "SELECT string_agg(reason, '; ' ORDER BY reason) FROM sparkify.rejected_events"
        ),
        "ms_played must be a whole number from 0 to 2147483647, not -5; played_at lies before 1970-01-02"
    );
    assert_eq!(
        text(
            &mut client,
            "SELECT string_agg(track_name || ' ' || artist || ' ' || track_id, ';') FROM sparkify.unmatched_plays"
        ),
        "Lost Nobody gone"
    );

    // The text of a file, as a client without files of the server hands it over.
    let csv = "artist,track,uts\nArtist 3,Song Nö 3,1790841600\n";
    let sql = "SELECT * FROM sparkify.import_history(to_jsonb($1::text), 'csv', 'lastfm')";
    assert_eq!(counts(client.query_one(sql, &[&csv])), [1, 0, 0, 0, 0]);
    for (history, code) in [("{\"a\": 1}", "22P04"), ("\"a,b\\n1,2\"", "22P04"), ("[1]", "22P04")] {
        let call =
            client.query_one("SELECT sparkify.import_history($1::text::jsonb, 'me')", &[&history]);
        assert_eq!(refusal(call).0.code(), code, "{history}");
    }
}

#[test]
fn unmatched_plays_are_taken_up_when_the_catalogue_grows() {
    let server = Server::shared();
    let database = server.database("histories_unmatched");
    let mut client = database.connect();
    client.batch_execute(CATALOGUE).unwrap();
    let csv = "artist,track,uts\nNew One,Moon (feat. X),1790841600\nNew One,Moon,1790841660\nNew Two,Sun,1790841720\n";
    let sql = "SELECT * FROM sparkify.import_history(to_jsonb($1::text), $2)";
    for user in ["me", "you"] {
        assert_eq!(counts(client.query_one(sql, &[&csv, &user])), [0, 0, 3, 0, 0]);
    }
    let again =
        "SELECT format('%s %s %s', accepted, duplicate, unmatched) FROM sparkify.match_plays()";
    assert_eq!(text(&mut client, again), "0 0 6");
    client
        .batch_execute(
            "INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES ('new', 'Moon - Mono', '{New One}');
             DELETE FROM sparkify.users WHERE user_id = 'you';",
        )
        .unwrap();
    // A closed account takes its plays along.
    assert_eq!(text(&mut client, "SELECT count(*)::text FROM sparkify.unmatched_plays"), "3");
    client.batch_execute("CALL sparkify.run_pipeline(dims => 1, n => 3)").unwrap();
    let step = "SELECT status || ' ' || rows || ' ' || message FROM sparkify.pipeline_runs WHERE step = 'match'";
    assert_eq!(text(&mut client, step), "succeeded 2 1 still unmatched");
    let plays = "SELECT string_agg(user_id || track_id, ' ') FROM sparkify.listening_events";
    assert_eq!(text(&mut client, plays), "menew menew");
    assert_eq!(counts(client.query_one(sql, &[&csv, &"me"])), [0, 2, 1, 0, 0]);
    let left = client.query_one("SELECT table_name FROM sparkify.forget_user('me') WHERE table_name = 'sparkify.unmatched_plays'", &[]);
    assert!(left.is_ok(), "erasure leaves unmatched plays");
}

/// Two ids of one song: the one played before, else the most popular, and one play.
#[test]
fn a_name_is_one_id() {
    let server = Server::shared();
    let database = server.database("histories_names");
    let mut client = database.connect();
    client
        .batch_execute(
            "INSERT INTO sparkify.tracks (track_id, track_name, artists, popularity) VALUES
                 ('single', 'Line', '{Ada}', 10), ('album', 'Line - Remastered 2009', '{Ada}', 60), ('duet', 'Line', '{Ada,Ben}', 20), ('live', 'Line - Live', '{Ada}', 99);
             INSERT INTO sparkify.users (user_id) VALUES ('old');
             INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('old', 'single', '2026-01-01');",
        )
        .unwrap();
    let csv = "artist,track,uts\nAda,LINE,1790841600\nBen,Line,1790841900\n";
    let sql = "SELECT * FROM sparkify.import_history(to_jsonb($1::text), $2)";
    for user in ["old", "new"] {
        assert_eq!(counts(client.query_one(sql, &[&csv, &user])), [2, 0, 0, 0, 0]);
        assert_eq!(counts(client.query_one(sql, &[&csv, &user])), [0, 2, 0, 0, 0]);
    }
    let plays = |user: &str| {
        format!(
            "SELECT string_agg(track_id, ' ' ORDER BY played_at) FROM sparkify.listening_events WHERE user_id = '{user}'"
        )
    };
    assert_eq!(text(&mut client, &plays("old")), "single single duet");
    assert_eq!(text(&mut client, &plays("new")), "album duet");
    // The same play under another id, and to the minute, is the same play.
    let other = r#"[{"ts": "2026-10-01T08:00:00Z", "spotify_track_uri": "spotify:track:single"},
        {"endTime": "2026-10-01 08:00", "artistName": "Ada", "trackName": "Line"}]"#;
    let sql = "SELECT * FROM sparkify.import_history($1::text::jsonb, 'new')";
    assert_eq!(counts(client.query_one(sql, &[&other])), [0, 2, 0, 0, 0]);
    // An id of its own makes an event that stands there a duplicate, whatever its track.
    let own = r#"[{"track_id": "live", "played_at": "2026-10-02T08:00:00Z", "event_id": "11111111-1111-1111-1111-111111111111"},
        {"track_id": "single", "played_at": "2026-10-02T08:00:00Z", "event_id": "11111111-1111-1111-1111-111111111111"}]"#;
    assert_eq!(counts(client.query_one(sql, &[&own])), [1, 1, 0, 0, 0]);
}

#[test]
fn events_of_tables_and_queries() {
    let server = Server::shared();
    let database = server.database("histories_tables");
    let mut client = database.connect();
    client.batch_execute(CATALOGUE).unwrap();
    client
        .batch_execute(
            "CREATE TABLE public.plays (listener integer, song text, singer text, at timestamp, ms bigint);
             INSERT INTO public.plays SELECT i % 7, 'Song Nö ' || i % 41, 'Artist ' || i % 41 % 5, timestamp '2026-01-01' + i * interval '1 minute 1 second', 1000
             FROM generate_series(0, 2000) AS i;",
        )
        .unwrap();
    let call = |client: &mut Client, source: &str, columns: Option<&str>| {
        client.query_one(
            "SELECT * FROM sparkify.import_events($1, $2::text::jsonb)",
            &[&source, &columns],
        )
    };
    let map = r#"{"user_id": "listener", "track_name": "song", "artist": "singer", "played_at": "at", "ms_played": "ms"}"#;
    // Song 0 is in no catalogue: 49 of 2,001 plays.
    assert_eq!(counts(call(&mut client, "public.plays", Some(map))), [1952, 0, 49, 0, 0]);
    assert_eq!(counts(call(&mut client, "public.plays", Some(map))), [0, 1952, 49, 0, 0]);
    let same = "SELECT count(*)::text FROM sparkify.listening_events AS e JOIN public.plays AS p
        ON e.user_id = p.listener::text AND e.played_at = p.at AT TIME ZONE 'UTC' JOIN sparkify.tracks AS t USING (track_id) WHERE t.track_name = p.song";
    assert_eq!(text(&mut client, same), "1952");
    let texts = "SELECT 'x' AS user_id, 't1' AS track_id, v AS played_at FROM (VALUES ('2026-01-01T00:00:00Z'), ('1790841600'), ('never'), (NULL)) AS v (v)
        UNION ALL SELECT NULL, 't1', '1790841600'";
    assert_eq!(counts(call(&mut client, texts, None)), [2, 0, 0, 0, 3]);
    for (source, code) in [
        ("public.plays", "42703"),
        ("SELECT 1 AS user_id, now() AS played_at", "42703"),
        ("nothing", "42P01"),
        (" ", "22023"),
    ] {
        assert_eq!(refusal(call(&mut client, source, None)).0.code(), code, "{source}");
    }
}

#[test]
fn two_deliveries_of_one_user_at_once() {
    let server = Server::shared();
    let database: Database = server.database("histories_concurrent");
    let mut client = database.connect();
    client.batch_execute(CATALOGUE).unwrap();
    let content = five(&mut client).swap_remove(0).1;
    let path = file_for_server("at_once.json", content.as_bytes()).to_str().unwrap().to_owned();
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let (mut client, path) = (database.connect(), path.clone());
            std::thread::spawn(move || load(&mut client, &path, "me"))
        })
        .collect();
    let accepted: i64 = calls.into_iter().map(|call| call.join().unwrap()[0]).sum();
    assert_eq!(accepted, month().len() as i64);
}
