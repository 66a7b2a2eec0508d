//! Loading, cleaning and generating tracks, and what is refused.

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::{Server, file_for_server, refusal};

fn load(client: &mut Client, path: &str) -> Result<i64, postgres::Error> {
    Ok(client.query_one("SELECT sparkify.load_tracks($1)", &[&path])?.get(0))
}

fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).expect(sql).get(0)
}

fn step(client: &mut Client, name: &str) -> i64 {
    let sql = "SELECT rows FROM sparkify.clean_tracks() WHERE step = $1";
    client.query_one(sql, &[&name]).expect(name).get(0)
}

#[test]
fn files_with_columns_in_any_order() {
    let server = Server::shared();
    let database = server.database("catalogue_order");
    let mut client = database.connect();
    for (name, content) in [
        (
            "kaggle.csv",
            ",track_id,artists,track_name,track_genre\n0,k1,A;B,\"a, \"\"b\"\"\nc\",pop\n",
        ),
        ("order.csv", "track_name,artists,track_id\nN,A,o1\n"),
        ("mark.csv", "\u{feff}\"track_id\",Artists , track_name\nm1,A,N\n"),
        ("crlf.csv", "track_id,artists,track_name\r\nc1,A,N\r\n"),
        ("pandas.csv", "Unnamed: 0,track_id,artists,track_name\n7,p1,A,N\n"),
    ] {
        let path = file_for_server(name, content.as_bytes());
        assert_eq!(load(&mut client, path.to_str().unwrap()).unwrap(), 1, "{name}");
    }
    let header = file_for_server("header.csv", b"track_id,artists,track_name\n");
    assert_eq!(load(&mut client, header.to_str().unwrap()).unwrap(), 0);
    let row = client
        .query_one(
            "SELECT row_index, artists, track_name, track_genre, tempo FROM sparkify.raw_tracks WHERE track_id = 'k1'",
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "0");
    assert_eq!(row.get::<_, &str>(2), "a, \"b\"\nc");
    assert_eq!(row.get::<_, Option<&str>>(4), None);
    assert_eq!(step(&mut client, "written"), 5);
    assert_eq!(step(&mut client, "written"), 0);
}

#[test]
fn a_bad_file_names_its_line_and_loads_nothing() {
    let server = Server::shared();
    let database = server.database("catalogue_bad");
    let mut client = database.connect();
    // Long enough that the fault lies beyond the first buffers.
    let good = "id,artist,\"a name, quoted\"\n".repeat(5000);
    let file = |rest: &[u8]| [b"track_id,artists,track_name\n", good.as_bytes(), rest].concat();
    for (name, content, code, message) in [
        (
            "quote.csv",
            file(b"1,\"2,3\n4,5,6\n"),
            "22P04",
            "line 5002 of file \"PATH\": a quotation mark is never closed",
        ),
        (
            "fields.csv",
            file(b"1,2\n"),
            "22P04",
            "line 5002 of file \"PATH\": the number of fields is 2, and 3 in the header",
        ),
        ("utf8.csv", file(b"1,2,3\n4,5,\xff\n"), "22021", "line 5003 of file \"PATH\": not UTF-8"),
        (
            "end_of_data.csv",
            file(b"\\.\n4,5,6\n"),
            "22P04",
            "line 5002 of file \"PATH\": the number of fields is 1, and 3 in the header",
        ),
        (
            "zero.csv",
            file(b"4,5,\0\n"),
            "22P04",
            "line 5002 of file \"PATH\": the record holds a zero byte",
        ),
        ("empty.csv", vec![], "22P04", "file \"PATH\" is empty"),
        (
            "noid.csv",
            b"artists,track_name\n1,2\n".to_vec(),
            "22P04",
            "file \"PATH\" has no column \"track_id\"",
        ),
        (
            "twice.csv",
            b"track_id,artists,track_id\n".to_vec(),
            "22P04",
            "file \"PATH\" has column \"track_id\" twice",
        ),
        (
            "ids.csv",
            b"track_id\n1\n".to_vec(),
            "22P04",
            "file \"PATH\" has no column \"artists\", no column \"track_name\"",
        ),
        (
            "utf16.csv",
            b"\xff\xfet\0\n\0".to_vec(),
            "22P04",
            "file \"PATH\" looks like text in UTF-16",
        ),
        ("gzip.csv", b"\x1f\x8b\x08\0".to_vec(), "22P04", "file \"PATH\" looks like a gzip file"),
        (
            "excel.csv",
            b"PK\x03\x04\x14\0".to_vec(),
            "22P04",
            "file \"PATH\" looks like a ZIP file or an Excel sheet",
        ),
    ] {
        let path = file_for_server(name, &content);
        let path = path.to_str().unwrap();
        let (state, text) = refusal(load(&mut client, path));
        assert_eq!((state.code(), text), (code, message.replace("PATH", path)), "{name}");
    }
    let folder = std::env::temp_dir();
    for (path, code) in [
        ("/no/such/file.csv", "58P01"),
        (folder.to_str().unwrap(), "42809"),
        ("/dev/null", "42809"),
    ] {
        assert_eq!(refusal(load(&mut client, path)).0.code(), code, "{path}");
    }
    let null = client.query("SELECT sparkify.load_tracks(NULL)", &[]);
    assert_eq!(refusal(null).0, SqlState::NULL_VALUE_NOT_ALLOWED);
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.raw_tracks"), 0);
}

#[test]
fn reading_files_of_the_server_is_a_privilege() {
    let server = Server::shared();
    let database = server.database("catalogue_role");
    let mut client = database.connect();
    client
        .batch_execute(
            "DROP ROLE IF EXISTS catalogue_loader; CREATE ROLE catalogue_loader LOGIN;
             SELECT sparkify.grant_writer('catalogue_loader');",
        )
        .unwrap();
    let path = file_for_server("role.csv", b"track_id,artists,track_name\n1,A,N\n");
    let path = path.to_str().unwrap();
    let mut loader = database.connect_as("catalogue_loader");
    assert_eq!(refusal(load(&mut loader, path)).0, SqlState::INSUFFICIENT_PRIVILEGE);
    client.batch_execute("GRANT pg_read_server_files TO catalogue_loader").unwrap();
    assert_eq!(load(&mut loader, path).unwrap(), 1);
    drop(loader);
    client.batch_execute("DROP OWNED BY catalogue_loader; DROP ROLE catalogue_loader").unwrap();
}

#[test]
fn cleaning_writes_what_changed_and_keeps_the_rest() {
    let server = Server::shared();
    let database = server.database("catalogue_clean");
    let mut client = database.connect();
    client
        .batch_execute(
            "INSERT INTO sparkify.raw_tracks (track_id, artists, track_name, track_genre, popularity, tempo)
             SELECT 't' || i, 'A; B', 'Song ' || i, 'pop', i::text, '0' FROM generate_series(1, 50) AS i;
             INSERT INTO sparkify.raw_tracks (row_index, track_id, artists) VALUES ('9', 'x', '; ');
             INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES ('own', 'N', '{A}');",
        )
        .unwrap();
    let report = client.query("SELECT * FROM sparkify.clean_tracks() WHERE rows > 0", &[]).unwrap();
    let report: Vec<(String, i64)> = report.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected =
        [("read", 51), ("refused", 1), ("tracks", 50), ("written", 50), ("repaired_tempo", 50)];
    assert_eq!(report, expected.map(|(name, rows)| (name.to_owned(), rows)));
    let refused = client
        .query_one("SELECT row_index, track_id, artists, reason FROM sparkify.rejected_tracks", &[])
        .unwrap();
    let refused: [&str; 4] = std::array::from_fn(|i| refused.get(i));
    assert_eq!(refused, ["9", "x", "; ", "no artists, no track_name"]);

    client
        .batch_execute(
            "UPDATE sparkify.tracks SET popularity = NULL WHERE track_id IN ('t1', 't2');
             UPDATE sparkify.tracks SET artists = '{A}', genres = '{}' WHERE track_id = 't3';
             DELETE FROM sparkify.tracks WHERE track_id = 't4';
             INSERT INTO sparkify.raw_tracks (track_id, artists, track_name, track_genre, popularity)
             VALUES ('t5', 'A;B', 'Better', 'rock', '99'), ('new', 'C', 'N', NULL, NULL), (' ', 'C', 'N', NULL, NULL);",
        )
        .unwrap();
    assert_eq!(step(&mut client, "written"), 6);
    // The rows were inserted after those of t1 to t50: theirs is a newer delivery.
    assert_eq!(step(&mut client, "superseded"), 1);
    assert_eq!(step(&mut client, "written"), 0);
    let merged = client
        .query_one("SELECT track_name, genres, primary_genre, artists, popularity, tempo FROM sparkify.tracks WHERE track_id = 't5'", &[])
        .unwrap();
    assert_eq!(merged.get::<_, &str>(0), "Better");
    assert_eq!(merged.get::<_, Vec<String>>(1), ["rock"]);
    assert_eq!(merged.get::<_, &str>(2), "rock");
    assert_eq!(merged.get::<_, Vec<String>>(3), ["A", "B"]);
    assert_eq!((merged.get(4), merged.get(5)), (Some(99i32), None::<f64>));
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.tracks"), 52);
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.rejected_tracks"), 2);
}

#[test]
fn two_cleaners_and_a_generator_at_once() {
    let server = Server::shared();
    let database = server.database("catalogue_concurrent");
    let mut client = database.connect();
    client
        .batch_execute(
            "INSERT INTO sparkify.raw_tracks (track_id, artists, track_name)
             SELECT 't' || i, 'A', 'N' FROM generate_series(1, 5000) AS i",
        )
        .unwrap();
    let call = |sql: &'static str| {
        let mut client = database.connect();
        std::thread::spawn(move || number(&mut client, sql))
    };
    let clean = "SELECT rows FROM sparkify.clean_tracks() WHERE step = 'written'";
    let generate = "SELECT sparkify.generate_tracks(2000)";
    let calls: Vec<_> = [clean, clean, generate, generate].map(call).into_iter().collect();
    let written: i64 = calls.into_iter().map(|call| call.join().unwrap()).sum();
    assert_eq!(written, 7000);
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.tracks"), 7000);
}

#[test]
fn generated_tracks_are_added_once() {
    let server = Server::shared();
    let database = server.database("catalogue_generate");
    let mut client = database.connect();
    let mut generate = |arguments: &str| -> Result<i64, postgres::Error> {
        Ok(client.query_one(&format!("SELECT sparkify.generate_tracks({arguments})"), &[])?.get(0))
    };
    assert_eq!(generate("500").unwrap(), 500);
    assert_eq!(generate("500, 42").unwrap(), 0);
    assert_eq!(generate("seed => 42, n => 700").unwrap(), 200);
    assert_eq!(generate("500, -1").unwrap(), 500);
    for (arguments, code) in
        [("0", "22023"), ("10000001", "22023"), ("NULL", "22004"), ("1, NULL", "22004")]
    {
        assert_eq!(refusal(generate(arguments)).0.code(), code, "{arguments}");
    }
    client.batch_execute("DELETE FROM sparkify.tracks WHERE energy < 0.5").unwrap();
    let left =
        number(&mut client, "SELECT count(*) FROM sparkify.tracks WHERE track_id LIKE 'gen\\_%'");
    let again = number(&mut client, "SELECT sparkify.generate_tracks(700)");
    let other = number(&mut client, "SELECT sparkify.generate_tracks(500, -1)");
    assert!(left < 1200 && left + again + other == 1200, "{left} + {again} + {other}");
}

#[test]
fn versions_of_a_song_share_a_key() {
    let server = Server::shared();
    let database = server.database("catalogue_songs");
    let mut client = database.connect();
    let row = client
        .query_one(
            "SELECT sparkify.song_key('Hello', ARRAY['Adele'])::text,
                sparkify.song_key(' hELLO', ARRAY['ADELE ']) = sparkify.song_key('Hello', ARRAY['Adele']),
                sparkify.song_key('Hello', ARRAY['A', 'B']) = sparkify.song_key('Hello - Live', ARRAY['A', 'B']),
                sparkify.song_key(NULL, ARRAY['A']) IS NULL",
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "d9872b72-cbf9-c41c-1f35-165ea9bda8ac");
    assert_eq!((row.get(1), row.get(2), row.get(3)), (true, false, true));
}
