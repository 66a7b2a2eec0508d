//! Tracks in the shapes that people have them in, from files and tables.

use postgres::Client;
use sparkify_server_tests::{Server, file_for_server, refusal};

fn load(client: &mut Client, name: &str, content: &str) -> Result<i64, postgres::Error> {
    let path = file_for_server(name, content.as_bytes());
    Ok(client.query_one("SELECT sparkify.load_tracks($1)", &[&path.to_str()])?.get(0))
}

fn text(client: &mut Client, sql: &str) -> String {
    client.query_one(sql, &[]).expect(sql).get::<_, Option<String>>(0).unwrap_or_default()
}

/// What cleaning reports, without what did not happen.
fn clean(client: &mut Client) -> String {
    text(
        client,
        "SELECT string_agg(step || ' ' || rows, ', ') FROM sparkify.clean_tracks() WHERE rows > 0",
    )
}

/// The NOTICE and WARNING texts of a statement.
fn said(database: &sparkify_server_tests::Database, sql: &str) -> String {
    let output = database.program("psql").args(["-X", "-q", "-At", "-c", sql]).output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_kind_of_file_is_read_or_refused_with_what_to_do() {
    let server = Server::shared();
    let database = server.database("imports_files");
    let mut client = database.connect();
    let tracks = "SELECT string_agg(format('%s %s %s %s', track_id, track_name, array_to_string(artists, '+'),
        array_to_string(genres, '+')), ', ' ORDER BY track_id) FROM sparkify.tracks";
    for (name, content, expected) in [
        (
            "notes.csv",
            "\u{feff}genre,artist_name,track_name,track_id,key,mode,time_signature\nRock,Ann,Moon,n1,C#,Major,4/4\n",
            "n1 Moon Ann Rock",
        ),
        (
            "lists.csv",
            "id,name,artists\nl1,Moon,\"['Ann', \"\"Ben's\"\"]\"\n",
            "l1 Moon Ann+Ben's ",
        ),
        (
            "export.csv",
            "Track URI,Track Name,Artist Name(s),Genres\nspotify:track:e1,Moon,\"Ann, Ben\",\"rock,indie\"\n",
            "e1 Moon Ann+Ben indie+rock",
        ),
        (
            "pandas.csv",
            "Unnamed: 0.1,Unnamed: 0,track_id,artists,track_name\n0,0,p1,Ann,Moon\n",
            "p1 Moon Ann ",
        ),
        (
            "commas.csv",
            "track_id,artists,track_name,,\nc1,Ann,Moon,,\n\n\nc2,Ben,Sun,,\n\n",
            "c1 Moon Ann , c2 Sun Ben ",
        ),
        (
            "tabs.csv",
            "track_id\tartists\ttrack_name\nt1\tAnn;Ben\tMoon, Sun\n",
            "t1 Moon, Sun Ann+Ben ",
        ),
    ] {
        client.batch_execute("TRUNCATE sparkify.raw_tracks, sparkify.tracks").unwrap();
        load(&mut client, name, content).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        clean(&mut client);
        assert_eq!(text(&mut client, tracks), expected, "{name}");
    }
    let numbers = "SELECT format('%s %s %s', key, mode, time_signature) FROM sparkify.tracks WHERE track_id = 'n1'";
    load(&mut client, "again.csv", "genre,artist_name,track_name,track_id,key,mode,time_signature\nRock,Ann,Moon,n1,D♭,Minor,3/4\n").unwrap();
    clean(&mut client);
    assert_eq!(text(&mut client, numbers), "1 0 3");

    client.batch_execute("TRUNCATE sparkify.raw_tracks, sparkify.tracks").unwrap();
    let rows = "track_id,artists,track_name,popularity,duration_ms\ntrack_id,artists,track_name,popularity,duration_ms\n\
        1.23457E+21,Ann,Moon,1,\n1.23457E+21,Ann,Sun,1,\nx,nan,Sun,1,\ny,Ann,None,1,\nz,Ann,Sun,nan,\"1,234\"\n";
    load(&mut client, "refused.csv", rows).unwrap();
    assert_eq!(
        clean(&mut client),
        "read 6, refused 5, tracks 1, written 1, repaired_duration_ms 1"
    );
    let reasons = "SELECT string_agg(reason, '; ' ORDER BY reason) FROM sparkify.rejected_tracks";
    assert_eq!(
        text(&mut client, reasons),
        "no artists; no track_name; the header again; track_id 1.23457E+21 is a number that a spreadsheet has rounded; \
         track_id 1.23457E+21 is a number that a spreadsheet has rounded"
    );
}

#[test]
fn what_is_passed_over_and_what_is_doubtful_is_said() {
    let server = Server::shared();
    let database = server.database("imports_said");
    let call = |name: &str, content: &str| {
        let path = file_for_server(name, content.as_bytes());
        said(&database, &format!("SELECT sparkify.load_tracks('{}')", path.to_str().unwrap()))
    };
    let quiet = call("quiet.csv", ",track_id,artists,track_name,\n0,1,Ann,Moon,\n");
    assert_eq!(quiet, "");
    let unknown = call("unknown.csv", "track_id,artists,track_name,year,\n1,Ann,Moon,1999,x\n");
    assert!(
        unknown.contains("passed over \"year\"") && unknown.contains("column 5, which has no name"),
        "{unknown}"
    );
    let seconds = call("seconds.csv", "track_id,artists,track_name,duration_ms\n1,Ann,Moon,215\n");
    assert!(seconds.contains("WARNING") && seconds.contains("seconds"), "{seconds}");
    let no_id = call("noid.csv", "track_name,artist(s)_name,energy_%\nMoon,Ann,5\n");
    for part in ["has no column \"track_id\"", "\"energy_%\"", "columns => '{\"track_id\": \"…\"}'"]
    {
        assert!(no_id.contains(part), "{no_id}");
    }
    let latin =
        file_for_server("latin.csv", b"track_id,artists,track_name\n1,Ann,Moon\n2,Ann,Caf\xe9\n");
    let latin =
        said(&database, &format!("SELECT sparkify.load_tracks('{}')", latin.to_str().unwrap()));
    for part in ["line 3", "not UTF-8", "Latin-1", "iconv -f WINDOWS-1252"] {
        assert!(latin.contains(part), "{latin}");
    }
}

#[test]
fn a_map_names_what_the_built_in_names_miss() {
    let server = Server::shared();
    let database = server.database("imports_map");
    let mut client = database.connect();
    let path = file_for_server("map.csv", b"isrc,who,what,energy\ni1,Ann,Moon,0.5\n");
    let mut call = |columns: &str| {
        let sql = format!("SELECT sparkify.load_tracks('{}', '{columns}')", path.to_str().unwrap());
        client.query_one(&sql, &[]).map(|row| row.get::<_, i64>(0))
    };
    let map = r#"{"track_id": "ISRC", "artists": "who", "track_name": "what", "energy": null}"#;
    assert_eq!(call(map).unwrap(), 1);
    for (columns, code, message) in [
        (r#"{"id": "isrc"}"#, "22023", "columns maps \"id\", which is not a column of ours"),
        (r#"{"track_id": "isbn"}"#, "42703", "has no column \"isbn\""),
        (r#"{"track_id": 1}"#, "22023", "columns must map track_id to a name, not to 1"),
        (r#"["isrc"]"#, "22023", "columns must be a JSON object"),
        (r#"{"track_id": "isrc"}"#, "22P04", "has no column \"artists\", no column \"track_name\""),
    ] {
        let (state, text) = refusal(call(columns));
        assert_eq!(state.code(), code, "{columns}");
        assert!(text.contains(message), "{columns}: {text}");
    }
    let row = client
        .query_one("SELECT track_id, artists, track_name, energy FROM sparkify.raw_tracks", &[])
        .unwrap();
    let row: [Option<&str>; 4] = std::array::from_fn(|i| row.get(i));
    assert_eq!(row, [Some("i1"), Some("Ann"), Some("Moon"), None]);
}

#[test]
fn the_newer_delivery_wins() {
    let server = Server::shared();
    let database = server.database("imports_deliveries");
    let mut client = database.connect();
    let file = "track_id,artists,track_name,popularity,track_genre\na,Ann,Moon,90,rock\na,Ann,Moon,80,jazz\nb,Ben,Sun,50,pop\n";
    load(&mut client, "first.csv", file).unwrap();
    clean(&mut client);
    load(
        &mut client,
        "second.csv",
        "track_id,artists,track_name,popularity,track_genre\na,Ann,Moon,3,folk\n",
    )
    .unwrap();
    assert_eq!(clean(&mut client), "read 4, superseded 2, tracks 2, written 1");
    let now = "SELECT string_agg(track_id || popularity || array_to_string(genres, '+'), ' ' ORDER BY track_id) FROM sparkify.tracks";
    assert_eq!(text(&mut client, now), "a3folk b50pop");
    load(&mut client, "third.csv", file).unwrap();
    clean(&mut client);
    assert_eq!(text(&mut client, now), "a90jazz+rock b50pop");
    // What is inserted is a delivery of its transaction.
    client.batch_execute("INSERT INTO sparkify.raw_tracks (track_id, artists, track_name, popularity) VALUES ('b', 'Ben', 'Sun', '7')").unwrap();
    clean(&mut client);
    assert_eq!(text(&mut client, now), "a90jazz+rock b7");
}

#[test]
fn tables_views_and_queries_with_the_callers_rights() {
    let server = Server::shared();
    let database = server.database("imports_tables");
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE SCHEMA shop;
             CREATE TABLE shop.songs (id integer, title text, singers text[], tags jsonb, ms integer);
             INSERT INTO shop.songs SELECT i, 'Song ' || i, ARRAY['Ann', 'B; C'], '[\"pop\", \"a, b\"]', 200000 + i FROM generate_series(1, 3000) AS i;
             CREATE VIEW shop.\"The View\" AS SELECT id AS track_id, title AS track_name, singers AS artists FROM shop.songs WHERE id <= 10;
             DROP ROLE IF EXISTS imports_writer; CREATE ROLE imports_writer LOGIN;
             SELECT sparkify.grant_writer('imports_writer');",
        )
        .unwrap();
    let call = |client: &mut Client, source: &str, columns: Option<&str>| {
        let sql = "SELECT sparkify.import_tracks($1, $2::text::jsonb)";
        client.query_one(sql, &[&source, &columns]).map(|row| row.get::<_, i64>(0))
    };
    let map = Some(r#"{"artists": "singers", "track_genre": "tags", "duration_ms": "ms"}"#);
    assert_eq!(call(&mut client, "shop.songs", map).unwrap(), 3000);
    clean(&mut client);
    let track = "SELECT format('%s|%s|%s|%s', track_name, artists, genres, duration_ms) FROM sparkify.tracks WHERE track_id = '7'";
    assert_eq!(text(&mut client, track), "Song 7|{Ann,\"B; C\"}|{\"a, b\",pop}|200007");
    assert_eq!(call(&mut client, " shop.\"The View\" ", None).unwrap(), 10);
    client.batch_execute("SET search_path = shop").unwrap();
    let query =
        "SELECT id AS track_id, title AS name, singers AS artists FROM songs WHERE id <= 5; ";
    assert_eq!(call(&mut client, query, None).unwrap(), 5);
    assert_eq!(
        call(&mut client, "SELECT id, title, singers AS artists FROM songs LIMIT 4 -- four", None)
            .unwrap(),
        4
    );
    for (source, code) in [
        ("", "22023"),
        ("SELECT 1; SELECT 2", "42601"),
        ("SELECT 1) AS x; DROP TABLE shop.songs; SELECT * FROM (SELECT 2", "22023"),
        ("SELECT 1) AS x; DROP TABLE shop.songs; --", "42601"),
        ("no_such_table", "42P01"),
        ("DELETE FROM shop.songs RETURNING *", "42601"),
        ("shop.songs", "22P04"),
    ] {
        assert_eq!(refusal(call(&mut client, source, None)).0.code(), code, "{source}");
    }
    assert_eq!(text(&mut client, "SELECT count(*)::text FROM shop.songs"), "3000");

    // Nothing of a source runs with more rights than the caller's.
    let mut writer = database.connect_as("imports_writer");
    let query = "SELECT id AS track_id, title AS name, singers AS artists FROM shop.songs";
    assert_eq!(refusal(call(&mut writer, query, None)).0.code(), "42501");
    let own =
        "SELECT current_user::text AS track_id, 'A' AS artists, session_user::text AS track_name";
    assert_eq!(call(&mut writer, own, None).unwrap(), 1);
    let row = "SELECT track_id || track_name FROM sparkify.raw_tracks WHERE artists = 'A'";
    assert_eq!(text(&mut client, row), "imports_writerimports_writer");
    let path = file_for_server("rights.csv", b"track_id,artists,track_name\n1,A,N\n");
    let load = writer.query_one("SELECT sparkify.load_tracks($1)", &[&path.to_str()]);
    assert_eq!(refusal(load).0.code(), "42501");
    drop(writer);
    client.batch_execute("DROP OWNED BY imports_writer; DROP ROLE imports_writer").unwrap();
}

#[test]
fn versions_of_a_song_are_one_song() {
    let server = Server::shared();
    let database = server.database("imports_songs");
    let mut client = database.connect();
    client
        .batch_execute(
            "INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES
                 ('1', 'Café', '{Zoë}'), ('2', normalize('CAFÉ', NFD), ARRAY[normalize('Zoë', NFD)]),
                 ('3', 'Don''t Go', '{Q,R}'), ('4', 'Don’t  Go ', '{r,q}'), ('5', 'Don''t Go - Remastered 2011', '{Q,R}'),
                 ('6', 'Don''t Go (feat. R)', '{Q,R}'), ('7', 'Don''t Go - Live', '{Q,R}'), ('8', 'Don''t Go', '{Q}')",
        )
        .unwrap();
    let songs = "SELECT string_agg(ids, ' ' ORDER BY ids) FROM
        (SELECT string_agg(track_id, '' ORDER BY track_id) AS ids FROM sparkify.tracks GROUP BY song_key) AS s";
    assert_eq!(text(&mut client, songs), "12 3456 7 8");
}
