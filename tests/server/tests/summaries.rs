//! The summaries behind the views: right in every snapshot, whoever writes and however.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postgres::Client;
use sparkify_server_tests::{Database, Server, run};

/// Sixty tracks of seven artists and three genres, one of them unknown; users and plays.
const FILLED: &str = "
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, popularity, energy)
    SELECT 't' || i, 'Song ' || i, ARRAY['Artist ' || i % 7], ARRAY['g' || i % 3], NULLIF('g' || i % 3, 'g2'),
        NULLIF(i % 20, 3), i * 0.01
    FROM generate_series(1, 60) AS i;
    INSERT INTO sparkify.users (user_id) SELECT 'u' || i FROM generate_series(0, 40) AS i;
    SELECT setseed(0.5);
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at, skipped)
    SELECT 'u' || floor(random() * 40), 't' || floor(1 + random() * 65), timestamptz '2026-01-01' + random() * interval '3 days',
        (ARRAY[true, false, NULL])[1 + floor(random() * 3)::int]
    FROM generate_series(1, 500);
    SELECT sparkify.build_embeddings(4);
    SELECT sparkify.refresh_recommendations(5);";

/// What the views say against a count in plain SQL, in one snapshot: the rows in which they differ.
const DIFFERENCES: &str = "
    WITH expected AS (
        SELECT d.dimension, d.name, count(*) AS plays, count(DISTINCT e.user_id) AS listeners,
            count(*) FILTER (WHERE e.skipped) AS skipped, count(e.skipped) AS skip_known
        FROM sparkify.listening_events AS e LEFT JOIN sparkify.tracks AS t USING (track_id)
        CROSS JOIN LATERAL (VALUES ('track', e.track_id), ('artist', t.primary_artist), ('genre', t.primary_genre),
            ('popularity', t.popularity::text),
            ('day', ((e.played_at AT TIME ZONE 'UTC')::date - date '1970-01-01')::text)) AS d (dimension, name)
        WHERE d.name IS NOT NULL GROUP BY 1, 2
        UNION ALL
        SELECT 'first_day', (first - date '1970-01-01')::text, count(*), count(*), 0, 0
        FROM (SELECT min((played_at AT TIME ZONE 'UTC')::date) AS first FROM sparkify.listening_events GROUP BY user_id) AS u
        GROUP BY first
    ), plays AS (
        (SELECT * FROM sparkify_internal.current_plays EXCEPT SELECT * FROM expected)
        UNION ALL (SELECT * FROM expected EXCEPT SELECT * FROM sparkify_internal.current_plays)
    ), listed AS (
        SELECT r.user_id, r.track_id, t.primary_genre, t.primary_artist, t.popularity
        FROM sparkify.user_recommendations AS r JOIN sparkify.models AS m USING (model_id)
        LEFT JOIN sparkify.tracks AS t USING (track_id) WHERE m.active
    ), coverage AS (
        SELECT (SELECT count(*) FROM listed), (SELECT count(DISTINCT user_id) FROM listed),
            (SELECT count(DISTINCT track_id) FROM listed),
            (SELECT round(avg(n), 9) FROM (SELECT count(DISTINCT primary_genre) AS n FROM listed GROUP BY user_id) AS g),
            (SELECT round(avg(n), 9) FROM (SELECT count(DISTINCT primary_artist) AS n FROM listed GROUP BY user_id) AS a),
            (SELECT round(avg(popularity), 9) FROM listed),
            (SELECT round(avg(t.popularity), 9) FROM sparkify.listening_events JOIN sparkify.tracks AS t USING (track_id))
        EXCEPT
        SELECT recommendations, users_served, tracks_recommended, round(genres_per_list::numeric, 9),
            round(artists_per_list::numeric, 9), round(recommended_popularity::numeric, 9), round(played_popularity::numeric, 9)
        FROM sparkify.recommendation_coverage
    )
    SELECT (SELECT count(*) FROM plays) + (SELECT count(*) FROM coverage)";

fn count(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
}

#[track_caller]
fn agree(client: &mut Client, after: &str) {
    assert_eq!(count(client, DIFFERENCES), 0, "after {after}");
}

fn stale(client: &mut Client) -> i64 {
    count(
        client,
        "SELECT count(*) FROM sparkify_internal.stale_marks WHERE subject <> 'raw_tracks'",
    )
}

fn filled<'a>(server: &'a Server, name: &str) -> (Database<'a>, Client) {
    let database = server.database(name);
    let mut client = database.connect();
    client.batch_execute(FILLED).unwrap();
    (database, client)
}

#[test]
fn every_way_of_writing_is_counted() {
    let server = Server::shared();
    let (_database, mut client) = filled(&server, "summaries_writes");
    agree(&mut client, "filling");
    client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    assert_eq!(stale(&mut client), 0);
    agree(&mut client, "the first refresh");
    for write in [
        "INSERT INTO sparkify.listening_events (user_id, track_id, played_at, skipped) VALUES ('u1', 't1', '2026-02-01', true)",
        "INSERT INTO sparkify.listening_events (user_id, track_id, played_at) SELECT 'u' || i % 40, 't' || i, '2025-12-31 23:59:59+00' FROM generate_series(1, 70) AS i",
        "DELETE FROM sparkify.listening_events WHERE user_id < 'u2'",
        "DELETE FROM sparkify.listening_events WHERE track_id IN ('t7', 't14', 't21', 't28', 't35', 't42', 't49', 't56')",
        "UPDATE sparkify.listening_events SET track_id = 't5', played_at = played_at + interval '1 day' WHERE track_id < 't3'",
        "UPDATE sparkify.listening_events SET user_id = 'u3' WHERE user_id = 'u4'",
        "UPDATE sparkify.listening_events SET skipped = NOT skipped",
        "BEGIN; DELETE FROM sparkify.listening_events; ROLLBACK",
        "BEGIN; INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('u5', 't1', '2026-02-02'); SAVEPOINT s;
         DELETE FROM sparkify.listening_events WHERE user_id = 'u5'; ROLLBACK TO s; COMMIT",
        "UPDATE sparkify.recommendation_lists SET track_ids = track_ids[:3], scores = scores[:3]",
        "DELETE FROM sparkify.recommendation_lists WHERE user_id = 'u3'",
        "UPDATE sparkify.recommendation_lists SET track_ids[1] = 't9'",
        "UPDATE sparkify.tracks SET artists = ARRAY['Somebody'] WHERE track_id = 't5'",
        "UPDATE sparkify.tracks SET primary_genre = 'g2', popularity = 99 WHERE track_id < 't3'",
        "INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES ('t61', 'Late', ARRAY['Late'])",
        "DELETE FROM sparkify.tracks WHERE track_id = 't10'",
        "INSERT INTO sparkify.listening_events (user_id, track_id, played_at) SELECT 'u' || i % 40, 't' || i % 70, timestamptz '2026-03-01' + i * interval '1 minute' FROM generate_series(1, 12000) AS i",
        "DELETE FROM sparkify.listening_events WHERE played_at >= '2026-03-01'",
        "SELECT sparkify.refresh_recommendations(5, force => true)",
        "BEGIN; SAVEPOINT s; SELECT sparkify.refresh_recommendations(4); ROLLBACK TO s;
         UPDATE sparkify.recommendation_lists SET track_ids[2] = 't8'; COMMIT",
        "BEGIN; SAVEPOINT s; SELECT sparkify.refresh_recommendations(3); RELEASE s; SELECT sparkify.refresh_summaries();
         UPDATE sparkify.recommendation_lists SET track_ids = track_ids || '{t1}', scores = scores || 0::real; COMMIT",
        "SELECT sparkify.activate_model(sparkify.build_embeddings(3, false))",
        "TRUNCATE sparkify.recommendation_lists",
        "TRUNCATE sparkify.listening_events",
        "INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('u1', 't1', '2026-02-01')",
    ] {
        client.batch_execute(write).unwrap_or_else(|error| panic!("{write}: {error}"));
        agree(&mut client, write);
        client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
        assert_eq!(stale(&mut client), 0, "{write}");
        assert_eq!(count(&mut client, "SELECT count(*) FROM sparkify_internal.play_changes"), 0);
        agree(&mut client, &format!("a refresh after {write}"));
    }
    assert_eq!(count(&mut client, "SELECT sparkify.refresh_summaries()"), 0, "nothing to do");
}

#[test]
fn what_does_not_touch_a_count_leaves_no_mark() {
    let server = Server::shared();
    let (_database, mut client) = filled(&server, "summaries_quiet");
    client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    client
        .batch_execute("UPDATE sparkify.tracks SET track_name = track_name || '!', energy = 0.5")
        .unwrap();
    client.batch_execute("UPDATE sparkify.tracks SET popularity = popularity").unwrap();
    assert_eq!(stale(&mut client), 0);
}

#[test]
fn the_views_say_what_was_played() {
    let server = Server::shared();
    let database = server.database("summaries_worked");
    let mut client = database.connect();
    client
        .batch_execute(
            "INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, popularity) VALUES
                ('a', 'One', '{Ann,Bo}', '{folk,jazz}', 'folk', 10), ('b', 'Two', '{Ann}', '{jazz}', 'jazz', 70),
                ('c', 'Three', '{Cy}', '{}', NULL, NULL);
            INSERT INTO sparkify.users (user_id) VALUES ('x'), ('o''y');
            INSERT INTO sparkify.listening_events (user_id, track_id, played_at, skipped) VALUES
                ('x', 'a', '2026-05-01 23:30+00', true), ('x', 'a', '2026-05-02 00:30+00', false),
                ('x', 'b', '2026-05-02 10:00+00', NULL), ('o''y', 'a', '2026-05-02 11:00+00', false),
                ('o''y', 'c', '2026-05-02 12:00+00', NULL), ('x', 'gone', '2026-05-03 12:00+00', NULL)",
        )
        .unwrap();
    for round in 0..2 {
        for (sql, expected) in [
            (
                "SELECT string_agg(concat_ws(' ', name, plays, listeners), ', ' ORDER BY plays DESC) FROM sparkify.top_artists",
                "Ann 4 2, Cy 1 1",
            ),
            (
                "SELECT string_agg(concat_ws(' ', track_id, name, primary_artist, plays, listeners), ', ' ORDER BY plays DESC, track_id) FROM sparkify.top_tracks",
                "a One Ann 3 2, b Two Ann 1 1, c Three Cy 1 1",
            ),
            (
                "SELECT string_agg(concat_ws(' ', name, plays, listeners), ', ' ORDER BY name) FROM sparkify.genre_plays",
                "folk 3 2, jazz 1 1",
            ),
            (
                "SELECT string_agg(concat_ws(' ', day, plays, listeners, skip_rate), ', ' ORDER BY day) FROM sparkify.daily_plays",
                "2026-05-01 1 1 1, 2026-05-02 4 2 0, 2026-05-03 1 1",
            ),
            (
                "SELECT string_agg(concat_ws(' ', track_id, plays), ', ' ORDER BY track_id) FROM sparkify.track_plays",
                "a 3, b 1, c 1, gone 1",
            ),
            (
                "SELECT string_agg(concat_ws(' ', user_id, name, plays, listeners), ', ' ORDER BY user_id, name) FROM sparkify.user_top_artists",
                "o'y Ann 1 1, o'y Cy 1 1, x Ann 3 1",
            ),
            (
                "SELECT string_agg(concat_ws(' ', track_id, name, plays), ', ' ORDER BY track_id) FROM sparkify.user_top_tracks WHERE user_id = 'x'",
                "a One 2, b Two 1",
            ),
            (
                "SELECT string_agg(concat_ws(' ', name, plays), ', ' ORDER BY name) FROM sparkify.user_genre_plays WHERE user_id = 'o''y'",
                "folk 1",
            ),
            (
                "SELECT concat_ws(' ', users_served, users, recommendations, tracks, catalogue_share, played_popularity) FROM sparkify.recommendation_coverage",
                "0 2 0 3 0 25",
            ),
        ] {
            let said: String = client.query_one(sql, &[]).unwrap().get(0);
            assert_eq!(said, expected, "round {round}: {sql}");
        }
        client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    }
}

#[test]
fn a_transaction_open_during_a_refresh_is_counted_after_it_commits() {
    let server = Server::shared();
    let (database, mut client) = filled(&server, "summaries_late");
    client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    let mut late = database.connect();
    late.batch_execute(
        "BEGIN; INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('u1', 't1', '2026-02-01');
         DELETE FROM sparkify.listening_events WHERE user_id = 'u2'",
    )
    .unwrap();
    client.batch_execute("INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('u1', 't1', '2026-02-02')").unwrap();
    client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    agree(&mut client, "a refresh beside an open transaction");
    agree(&mut late, "writing, in the transaction itself");
    late.batch_execute("COMMIT").unwrap();
    agree(&mut client, "the late commit");
    client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    agree(&mut client, "the next refresh");
}

#[test]
fn only_a_mark_of_its_own_spares_a_transaction_its_notes() {
    let server = Server::shared();
    let (database, mut client) = filled(&server, "summaries_marks");
    client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    let add = |client: &mut Client, user: &str| {
        let sql = "INSERT INTO sparkify.recommendation_lists (user_id, model_id, track_ids, scores, strategy)
            SELECT $1, model_id, '{t1}', '{0}', 'listened' FROM sparkify.models WHERE active";
        client.execute(sql, &[&user]).unwrap();
        count(client, "SELECT count(*) FROM sparkify_internal.list_changes")
    };
    let mark = "INSERT INTO sparkify_internal.stale_marks (subject, model_id)
        SELECT 'recommendations', model_id FROM sparkify.models WHERE active";

    let mut late = database.connect();
    client.batch_execute(mark).unwrap();
    late.batch_execute("BEGIN").unwrap();
    assert_eq!(add(&mut late, "u98"), 1, "a mark that another committed");
    client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    late.batch_execute("COMMIT").unwrap();
    agree(&mut client, "a mark taken off before the rows could be seen");

    late.batch_execute("BEGIN").unwrap();
    late.batch_execute(mark).unwrap();
    assert_eq!(add(&mut late, "u99"), 1, "a mark of its own");
    agree(&mut late, "a mark of its own");
    client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    late.batch_execute("COMMIT").unwrap();
    agree(&mut client, "the mark and the rows at once");
}

#[test]
fn writers_refreshes_and_readers_at_once() {
    let server = Server::shared();
    let (database, mut client) = filled(&server, "summaries_concurrent");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let mut client = database.connect();
                scope.spawn(move || {
                    for i in 0..150 {
                        client
                            .execute(
                                "INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
                                 SELECT 'u' || $1::int % 7, 't' || $1::int % 5, timestamptz '2026-04-01' + ($1 * 4 + $2) * interval '1 second'",
                                &[&i, &writer],
                            )
                            .unwrap();
                        if i % 5 == 0 {
                            client
                                .execute("DELETE FROM sparkify.listening_events WHERE played_at = timestamptz '2026-04-01' + ($1 * 4 + $2) * interval '1 second'", &[&(i / 2), &writer])
                                .unwrap();
                        }
                    }
                })
            })
            .collect();
        let mut refresher = database.connect();
        let done = &done;
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                refresher.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
            }
        });
        while writers.iter().any(|writer| !writer.is_finished()) {
            agree(&mut client, "some of the writes");
            std::thread::sleep(Duration::from_millis(20));
        }
        done.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap();
        }
    });
    agree(&mut client, "all writes");
}

#[test]
fn restored_summaries_are_right() {
    let server = Server::shared();
    let (database, mut client) = filled(&server, "summaries_dumped");
    client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    client
        .batch_execute(
            "DELETE FROM sparkify.listening_events WHERE user_id = 'u2';
             INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('u1', 't1', '2026-02-01')",
        )
        .unwrap();
    let file = std::env::temp_dir().join(format!("sparkify-summaries-{}.sql", std::process::id()));
    for (dump, make) in [
        (&["--no-owner"][..], &Server::empty_database as &dyn Fn(_, _) -> _),
        // Without triggers totals and changes come as they were.
        (&["--data-only", "--disable-triggers"][..], &Server::database),
    ] {
        run(database.program("pg_dump").args(dump).arg("-f").arg(&file));
        let restored: Database = make(&server, "summaries_restored");
        run(restored.program("psql").args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&file));
        let mut client = restored.connect();
        agree(&mut client, &format!("restoring from pg_dump {dump:?}"));
        client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
        agree(&mut client, "a refresh of what was restored");
    }
    std::fs::remove_file(file).unwrap();
}
