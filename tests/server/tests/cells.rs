//! Users split over four cells: every answer that of one plain database, whichever
//! server is killed nothing is lost, and a cell moves while plays come in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use postgres::Client;
use sparkify_server_tests::cells::{Cells, MINUTE, Member, PLAYS, has_router, join, number, texts};
use sparkify_server_tests::data::{failed_checks, on_demand, stored};
use sparkify_server_tests::gate::wait_until;
use sparkify_server_tests::refusal;

#[test]
fn four_cells_answer_as_one_database_does() {
    if !has_router() {
        println!("skipped: cells need the extensions plproxy, postgres_fdw and dblink");
        return;
    }
    let mut cells = Cells::split(4, 400, 160);
    signatures_are_those_of_a_plain_database(&cells);
    a_user_lies_where_the_hash_says(&cells);
    plain_minute(&cells);
    answers_are_equal(&cells);
    a_new_model_is_served_when_its_lists_are_whole(&cells);
    answers_are_equal(&cells);
    plays_come_by_the_router(&cells);
    each_is_killed_in_turn(&cells);
    a_cell_moves(&mut cells);
    a_cell_is_added_and_leaves(&cells);
}

fn plain_minute(cells: &Cells) {
    let mut plain = cells.plain.connect();
    plain
        .batch_execute(
            "SELECT sparkify.refresh_recommendations(10); SELECT sparkify.refresh_summaries()",
        )
        .unwrap();
}

/// Everything that an application calls and the dashboard reads.
fn answers_are_equal(cells: &Cells) {
    cells.wait_for_plays();
    cells.trainer.connect().batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    let (mut door, mut plain) = (cells.door(), cells.plain.connect());
    let on_demand_here = on_demand(&mut door, 10);
    assert!(on_demand_here.0 > 1000, "{on_demand_here:?}");
    assert_eq!(on_demand_here, on_demand(&mut plain, 10));
    assert_eq!(stored(&mut door), stored(&mut plain));
    assert_eq!(stored(&mut door), on_demand_here);
    for sql in [
        "SELECT user_id, age, country, genre_weights FROM sparkify.users",
        "SELECT user_id, track_id, played_at, ms_played, skipped, session_id, event_id FROM sparkify.listening_events",
        "SELECT * FROM sparkify.user_vectors",
        "SELECT user_id, model_id, track_ids, scores, strategy FROM sparkify.recommendation_lists",
        "SELECT user_id, rank, track_id, track_name, track_genre, primary_artist, score, strategy FROM sparkify.recommendation_details",
        "SELECT * FROM sparkify.user_top_artists",
        "SELECT * FROM sparkify.user_top_tracks",
        "SELECT * FROM sparkify.user_genre_plays WHERE user_id = 'user 3'",
        "SELECT * FROM sparkify.top_artists",
        "SELECT * FROM sparkify.top_tracks",
        "SELECT * FROM sparkify.genre_plays",
        "SELECT * FROM sparkify.daily_plays",
        "SELECT * FROM sparkify.track_plays",
        "SELECT * FROM sparkify.tracks",
        "SELECT * FROM sparkify.genre_distribution",
        "SELECT * FROM sparkify.artist_distribution",
        "SELECT * FROM sparkify.recommendation_coverage",
        "SELECT t.track_id, s.* FROM sparkify.tracks AS t, sparkify.similar_tracks(t.track_id, 5) AS s WHERE t.track_id LIKE '%7'",
        "SELECT u.user_id, sparkify.recommend_json(u.user_id, 3) FROM sparkify.users AS u",
        "SELECT r.* FROM sparkify.recommend('user 3', 20, exclude => '{track 1}', genres => '{genre 1,genre 2}', distinct_songs => false) AS r",
        "SELECT * FROM sparkify.profile_tracks()",
        "SELECT * FROM sparkify.histogram_tracks('tempo', 7)",
        "SELECT * FROM sparkify.correlate_tracks()",
        "SELECT * FROM sparkify.outlier_tracks('tempo')",
        "SELECT * FROM sparkify.outlier_tracks()",
        "SELECT * FROM sparkify.popular_tracks(20)",
        "SELECT * FROM sparkify.popular_tracks(5, since => '100 years', genres => '{genre 1,genre 2}')",
        "SELECT * FROM sparkify.trending(30, since => '50 years')",
        "SELECT * FROM sparkify.recommend_for('{track 3,track 9}', 7)",
        "SELECT u.user_id, x.* FROM sparkify.users AS u, sparkify.recommend(u.user_id, 1) AS r, sparkify.explain_recommendation(u.user_id, r.track_id, 3) AS x WHERE u.user_id LIKE '%4'",
        "SELECT model_id, kind, metric, params, active FROM sparkify.models",
    ] {
        let expected = texts(&mut plain, sql);
        assert!(!expected.is_empty(), "{sql} gives nothing to compare");
        assert_eq!(texts(&mut door, sql), expected, "{sql}");
    }
    for cell in &cells.cells {
        assert_eq!(failed_checks(&mut cell.connect()), [""; 0], "{}", cell.name);
    }
    assert_eq!(failed_checks(&mut cells.trainer.connect()), [""; 0]);
}

/// What the router answers, called as in a plain database.
const ROUTED: [&str; 17] = [
    "correlate_tracks",
    "explain_recommendation",
    "forget_user",
    "grant_reader",
    "help",
    "histogram_tracks",
    "import_history",
    "ingest_events",
    "outlier_tracks",
    "popular_tracks",
    "profile_tracks",
    "rate_track",
    "recommend",
    "recommend_for",
    "recommend_json",
    "similar_tracks",
    "trending",
];

/// What readers and writers call in a plain database and not on a router, and why.
const NOT_ROUTED: [(&str, &str); 7] = [
    ("import_events", "reads tables beside the extension: called in the cell"),
    ("import_tracks", "reads tables beside the extension: called in the trainer"),
    ("is_simulated", "arithmetic, for databases in which the simulator runs"),
    ("load_history", "reads files of the server: called in the cell, or import_history()"),
    ("load_tracks", "reads files of the server: called in the trainer"),
    ("similar_users", "compares with the stored vectors of one database: called in the cell"),
    ("song_key", "arithmetic of the catalogue: called in trainer or cell"),
];

fn signatures_are_those_of_a_plain_database(cells: &Cells) {
    let (mut door, mut plain) = (cells.door(), cells.plain.connect());
    let named = format!("'{}'", ROUTED.join("', '"));
    let calls = format!(
        "SELECT p.proname, pg_get_function_arguments(p.oid) AS takes, pg_get_function_result(p.oid) AS gives FROM pg_proc AS p
        WHERE p.pronamespace = 'sparkify'::regnamespace AND p.proname IN ({named})"
    );
    assert_eq!(texts(&mut door, &calls).len(), ROUTED.len());
    assert_eq!(texts(&mut door, &calls), texts(&mut plain, &calls));
    // Each function of a reader or writer is either answered or left out for a reason.
    let mut stated: Vec<&str> =
        ROUTED.iter().copied().filter(|name| *name != "grant_reader").collect();
    stated.extend(NOT_ROUTED.iter().map(|(name, _)| *name));
    stated.sort_unstable();
    let theirs = "SELECT DISTINCT substr(name, 10) COLLATE \"C\" FROM sparkify_internal.stated_privileges, regexp_split_to_table(objects, '\\s+') AS name
        WHERE kind = 'function' AND part IN ('reader', 'writer') AND name LIKE 'sparkify.%' ORDER BY 1";
    let theirs: Vec<String> =
        plain.query(theirs, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(theirs, stated);
    // And it has nothing else but what makes a router, and who may use it.
    let others = format!(
        "SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'sparkify'::regnamespace AND p.proname NOT IN ({named})"
    );
    assert_eq!(texts(&mut door, &others), ["(grant_writer)", "(make_router)"]);
    // Comments: of relations and columns the same, of a function with how it is answered.
    let comments = "SELECT c.relname, d.objsubid, d.description FROM pg_class AS c JOIN pg_description AS d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass
        WHERE c.relnamespace = 'sparkify'::regnamespace AND c.relkind IN ('r', 'v', 'f', 'p')
          AND c.relname NOT IN ('raw_tracks', 'rejected_tracks', 'rejected_events', 'unmatched_plays')";
    let there = texts(&mut plain, comments);
    assert!(there.len() > 100, "{}", there.len());
    assert_eq!(texts(&mut door, comments), there);
    let said = format!(
        "SELECT p.proname, split_part(obj_description(p.oid, 'pg_proc'), ' On this router: ', 1) AS said FROM pg_proc AS p
        WHERE p.pronamespace = 'sparkify'::regnamespace AND p.proname IN ({named})"
    );
    assert_eq!(texts(&mut door, &said), texts(&mut plain, &said));
    let unsaid = "SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace)
          AND obj_description(p.oid, 'pg_proc') IS NULL";
    assert_eq!(texts(&mut door, unsaid), [""; 0]);
    let helped = "SELECT signature FROM sparkify.help() WHERE signature LIKE 'popular%'";
    assert_eq!(texts(&mut door, helped), texts(&mut plain, helped));
    // A reader's relations, their columns and types.
    let columns =
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'sparkify'::regnamespace AND c.relkind IN ('r', 'v', 'f', 'p')
          AND c.relname NOT IN ('raw_tracks', 'rejected_tracks', 'rejected_events')";
    let there = texts(&mut plain, columns);
    assert!(there.len() > 100);
    assert_eq!(texts(&mut door, columns), there);
}

fn a_user_lies_where_the_hash_says(cells: &Cells) {
    let mut door = cells.door();
    let wrong = "SELECT count(*) FROM generate_series(1, 5000) AS i, generate_series(0, 6) AS k, LATERAL (SELECT 1 << k AS n) AS s
        WHERE NOT satisfies_hash_partition('sparkify.users'::regclass, 4, sparkify_internal.cell_of('u ' || i) & 3, 'u ' || i)
           OR (sparkify_internal.cell_of('u ' || i) & 3) <> ((sparkify_internal.cell_of('u ' || i) & (n * 4 - 1)) & 3)";
    assert_eq!(number(&mut door, wrong), 0);
    for (i, cell) in cells.cells.iter().enumerate() {
        let users = texts(&mut cell.connect(), "SELECT user_id FROM sparkify.users");
        assert!(users.len() > 20, "cell {i} has {} users", users.len());
        let by_hash = format!(
            "SELECT user_id FROM sparkify.users WHERE (sparkify_internal.cell_of(user_id) & 3) = {i}"
        );
        assert_eq!(texts(&mut door, &by_hash), users);
    }
    // One user's query asks one cell.
    let plan = texts_of_plan(
        &mut door,
        "SELECT * FROM sparkify.user_top_artists WHERE user_id = 'user 3'",
    );
    assert_eq!(plan.matches("Foreign Scan").count(), 1, "{plan}");
}

fn texts_of_plan(client: &mut Client, sql: &str) -> String {
    let rows = client.query(&format!("EXPLAIN {sql}"), &[]).unwrap();
    rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
}

fn a_new_model_is_served_when_its_lists_are_whole(cells: &Cells) {
    let mut door = cells.door();
    let before = on_demand(&mut door, 10);
    let mut trainer = cells.trainer.connect();
    // The models that cells serve still are kept, whatever the pipeline is told.
    trainer.batch_execute("CALL sparkify.run_pipeline(dims => 6, keep_models => 0)").unwrap();
    assert_eq!(number(&mut trainer, "SELECT count(*) FROM sparkify.models"), 2);
    assert_eq!(number(&mut trainer, "SELECT count(*) FROM sparkify_internal.changed_users"), 0);
    let published = "SELECT count(*) FROM sparkify_internal.published_model AS p JOIN sparkify.track_embeddings USING (model_id) WHERE p.model_id = 2";
    for cell in &cells.cells {
        let mut client = cell.connect();
        wait_until("the model is here", || number(&mut client, published) == 400);
    }
    // Here, and not served: neither on demand nor stored.
    assert_eq!(on_demand(&mut door, 10), before);
    let details = "SELECT count(*) FROM sparkify.recommendation_details";
    assert_eq!(number(&mut door, details), before.0);
    let behind = "SELECT count(*) FROM sparkify.cell_status WHERE model_id = 1 AND published_model_id = 2 AND message <> 'ok'";
    assert_eq!(number(&mut door, behind), 4);
    for cell in &cells.cells {
        cell.connect().batch_execute(MINUTE).unwrap();
    }
    assert_ne!(on_demand(&mut door, 10), before);
    assert_eq!(
        number(
            &mut door,
            "SELECT count(*) FROM sparkify.cell_status WHERE model_id = 2 AND message = 'ok'"
        ),
        4
    );
    wait_until("the trainer has heard it", || {
        number(
            &mut trainer,
            "SELECT count(*) FROM sparkify.cell_status WHERE model_id = 2 AND message = 'ok'",
        ) == 4
    });
    // The next run lets the old one go, and so do the cells.
    trainer.batch_execute("CALL sparkify.run_pipeline(dims => 6, keep_models => 0)").unwrap();
    for cell in &cells.cells {
        let mut client = cell.connect();
        wait_until("the old model is gone", || {
            number(&mut client, "SELECT min(model_id) FROM sparkify.models") == 2
        });
        client.batch_execute(MINUTE).unwrap();
        let left = "SELECT count(*) FROM sparkify.recommendation_lists AS l WHERE NOT EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = l.model_id)";
        assert_eq!(number(&mut client, left), 0);
    }
    let mut plain = cells.plain.connect();
    for _ in 0..2 {
        plain.batch_execute("CALL sparkify.run_pipeline(dims => 6, keep_models => 1)").unwrap();
    }
    cells.trainer.connect().batch_execute("DELETE FROM sparkify.models WHERE NOT active").unwrap();
    plain.batch_execute("DELETE FROM sparkify.models WHERE NOT active").unwrap();
    for cell in &cells.cells {
        let mut client = cell.connect();
        wait_until("one model is left", || {
            number(&mut client, "SELECT count(*) FROM sparkify.models") == 1
        });
        client.batch_execute(MINUTE).unwrap();
    }
}

fn event(user: &str, minute: usize) -> String {
    format!(
        r#"{{"user_id": "{user}", "track_id": "track {}", "played_at": "2025-06-01T{:02}:{:02}:00Z"}}"#,
        1 + minute % 300,
        minute / 60 % 24,
        minute % 60
    )
}

fn ingest(client: &mut Client, events: &[String]) -> Result<(i64, i64, i64), postgres::Error> {
    let sql = format!("SELECT * FROM sparkify.ingest_events('[{}]')", events.join(","));
    client.query_one(&sql, &[]).map(|row| (row.get(0), row.get(1), row.get(2)))
}

fn plays_come_by_the_router(cells: &Cells) {
    let (mut door, mut plain) = (cells.door(), cells.plain.connect());
    let mut events: Vec<String> = (0..60).map(|i| event(&format!("new {i}"), i)).collect();
    events.extend(["7".into(), r#"{"user_id": 5}"#.into(), event("new 1", 1), event("user 3", 5)]);
    let given = ingest(&mut door, &events).unwrap();
    assert_eq!(given, ingest(&mut plain, &events).unwrap());
    assert_eq!(given, (61, 1, 2));
    assert_eq!(ingest(&mut door, &events).unwrap(), (0, 62, 2));
    assert_eq!(ingest(&mut door, &[]).unwrap(), (0, 0, 0));
    let by_hand = "INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('new 7', 'track 3', '2025-01-01')";
    assert_eq!(door.execute(by_hand, &[]).unwrap(), 1);
    let forgotten = texts(&mut door, "SELECT * FROM sparkify.forget_user('new 9') ORDER BY 1");
    assert_eq!(
        forgotten,
        texts(&mut plain, "SELECT * FROM sparkify.forget_user('new 9') ORDER BY 1")
    );
    let (code, message) = refusal(door.query("SELECT * FROM sparkify.recommend('nobody')", &[]));
    assert_eq!(code.code(), "P0002");
    assert!(message.contains("user \"nobody\" does not exist"), "{message}");
    let country = "SELECT * FROM sparkify.popular_tracks(5, country => 'SE')";
    let refused = refusal(door.query(country, &[]));
    assert_eq!(refused.0.code(), "0A000");
    assert!(refused.1.contains("country \"SE\""), "{}", refused.1);
    let history = r#"SELECT * FROM sparkify.import_history('[{"ts": "2025-05-01T08:00:30Z", "ms_played": 200000, "spotify_track_uri": "spotify:track:nowhere",
        "master_metadata_track_name": "Song 5", "master_metadata_album_artist_name": "Artist 5"}]', 'new 3')"#;
    assert_eq!(texts(&mut door, history), texts(&mut plain, history));
    cells.wait_for_plays();
    let gone = "SELECT count(*) FROM sparkify.listening_events WHERE user_id = 'new 9'";
    assert_eq!(number(&mut cells.trainer.connect(), gone), 0);
}

/// Plays that come in by the router, one after another, each until it is stored.
struct Load<'a> {
    stop: AtomicBool,
    cells: &'a Cells,
}

impl Load<'_> {
    /// Runs `work` while plays come in; the plays that were acknowledged.
    fn during(cells: &Cells, first: usize, work: impl FnOnce()) -> usize {
        let load = Load { stop: AtomicBool::new(false), cells };
        thread::scope(|scope| {
            let running = scope.spawn(|| load.run(first));
            work();
            load.stop.store(true, Ordering::Relaxed);
            running.join().expect("the load runs to its end")
        })
    }

    fn run(&self, first: usize) -> usize {
        let mut stored = 0;
        let mut door = None;
        while !self.stop.load(Ordering::Relaxed) {
            let i = first + stored;
            let batch: Vec<String> =
                (0..4).map(|u| event(&format!("load {}", (i * 4 + u) % 16), i)).collect();
            // Again until it is acknowledged: a broken answer says nothing of what was stored.
            if door.is_none() {
                door = self.cells.router.try_connect("router", "postgres").ok();
            }
            let answer = door.as_mut().map(|door: &mut Client| ingest(door, &batch));
            match answer {
                Some(Ok(_)) => stored += 1,
                Some(Err(error)) if error.is_closed() => door = None,
                _ => thread::sleep(std::time::Duration::from_millis(20)),
            }
        }
        stored
    }
}

fn count_of_load(client: &mut Client) -> i64 {
    number(client, "SELECT count(*) FROM sparkify.listening_events WHERE user_id LIKE 'load %'")
}

fn each_is_killed_in_turn(cells: &Cells) {
    let stored = Load::during(cells, 0, || {
        // A cell: its users are out of reach, the others are not.
        let down = &cells.cells[1];
        down.kill();
        let mut door = cells.door();
        let (mut served, mut out) = (0, 0);
        for user in 0..160 {
            let user = format!("user {user}");
            let cell: i32 = door
                .query_one("SELECT sparkify_internal.cell_of($1) & 3", &[&user])
                .unwrap()
                .get(0);
            if user.split(' ').nth(1).unwrap().parse::<i32>().unwrap() % 8 < 2 {
                continue;
            }
            match door.query("SELECT * FROM sparkify.recommend($1, 3)", &[&user]) {
                Ok(rows) => {
                    assert_ne!(cell, 1);
                    assert_eq!(rows.len(), 3);
                    served += 1;
                }
                Err(error) => {
                    assert_eq!(cell, 1, "{error:?}");
                    let message =
                        error.as_db_error().map(|e| e.message().to_owned()).unwrap_or_default();
                    assert!(message.contains("cell_1"), "{message}");
                    out += 1;
                }
            }
        }
        assert!(served > 60 && out > 20, "{served} {out}");
        for sql in [
            "SELECT * FROM sparkify.similar_tracks('track 5', 4)",
            "SELECT * FROM sparkify.popular_tracks(4)",
            "SELECT * FROM sparkify.recommend_for('{track 5}', 4)",
        ] {
            assert_eq!(door.query(sql, &[]).unwrap().len(), 4, "{sql}");
        }
        let status = texts(
            &mut door,
            "SELECT cell, connected, message = 'ok' AS fine FROM sparkify.cell_status",
        );
        assert_eq!(status.iter().filter(|row| row.ends_with("t,t)")).count(), 3, "{status:?}");
        assert!(
            status.iter().any(|row| row.contains("dbname=cell_1") && row.ends_with("f,f)")),
            "{status:?}"
        );
        // One user of another cell, read from a view.
        let alive = "SELECT user_id FROM sparkify.users WHERE user_id = $1";
        let user = (2..160).map(|i| format!("user {i}")).find(|user| {
            door.query_one("SELECT sparkify_internal.cell_of($1) & 3", &[user])
                .unwrap()
                .get::<_, i32>(0)
                == 2
                && user[5..].parse::<i32>().unwrap() % 8 > 1
        });
        assert_eq!(door.query(alive, &[&user.unwrap()]).unwrap().len(), 1);
        down.revive();

        // The trainer: cells serve and take plays.
        cells.trainer.kill();
        assert_eq!(
            door.query("SELECT * FROM sparkify.recommend('user 3', 3)", &[]).unwrap().len(),
            3
        );
        assert_eq!(ingest(&mut door, &[event("user 3", 700)]).unwrap(), (1, 0, 0));
        cells.cells[0].connect().batch_execute(MINUTE).unwrap();
        cells.trainer.revive();

        // The router.
        cells.router.kill(cells.router.postmaster());
        assert!(cells.router.try_connect("router", "postgres").is_err());
        cells.cells[0].connect().batch_execute(MINUTE).unwrap();
        wait_until("the router starts again", || cells.router.try_resume());
    });
    assert!(stored > 20, "{stored}");
    cells.wait_for_plays();
    let there: i64 = cells.cells.iter().map(|cell| count_of_load(&mut cell.connect())).sum();
    let mut trainer = cells.trainer.connect();
    assert_eq!(there, count_of_load(&mut trainer));
    // Everything acknowledged, and at most the last batch beside.
    assert!((stored as i64 * 4..=stored as i64 * 4 + 4).contains(&there), "{stored} {there}");
    wait_until("every cell is well", || {
        number(&mut trainer, "SELECT count(*) FROM sparkify.cell_status WHERE message = 'ok'") == 4
    });
}

fn a_cell_moves(cells: &mut Cells) {
    let before = count_of_load(&mut cells.trainer.connect());
    let home = Member::new("cell_0_moved");
    let mut there = home.connect();
    join(&mut there, &cells.trainer, &home);
    let old = cells.cells[0].string();
    let mut seconds = 0.0;
    let stored = Load::during(cells, 100_000, || {
        there.batch_execute(&format!("CALL sparkify.follow_users('{old}')")).unwrap();
        there.batch_execute(MINUTE).unwrap();
        let began = std::time::Instant::now();
        there.batch_execute(&format!("CALL sparkify.take_users('{}')", home.string())).unwrap();
        let routes: Vec<String> = std::iter::once(home.route())
            .chain(cells.cells[1..].iter().map(Member::route))
            .collect();
        cells
            .door()
            .execute("CALL sparkify.make_router($1, $2)", &[&routes, &cells.trainer.route()])
            .unwrap();
        seconds = began.elapsed().as_secs_f64();
        // The old home refuses whoever has not followed.
        let late = refusal(
            cells.cells[0].connect().execute("INSERT INTO sparkify.users VALUES ('late')", &[]),
        );
        assert_eq!(late.0.code(), "25006");
        let mut door = cells.door();
        let (before, mut after) = (count_of_load(&mut door), 0);
        wait_until("plays come in again", || {
            after = count_of_load(&mut door);
            after > before + 20
        });
    });
    println!("a cell moved; for {seconds:.2} s its users could not write");
    let old = std::mem::replace(&mut cells.cells[0], home);
    old.connect().batch_execute("CALL sparkify.leave_trainer()").unwrap();
    drop(old);
    cells.wait_for_plays();
    let loaded = count_of_load(&mut cells.trainer.connect()) - before;
    assert!((stored as i64 * 4..=stored as i64 * 4 + 4).contains(&loaded), "{stored} {loaded}");
    assert_eq!(count_of_load(&mut cells.door()), count_of_load(&mut cells.trainer.connect()));
    let twice = "SELECT count(*) FROM (SELECT FROM sparkify.listening_events GROUP BY user_id, played_at, event_id HAVING count(*) > 1) AS t";
    assert_eq!(number(&mut cells.trainer.connect(), twice), 0);
    there.batch_execute(MINUTE).unwrap();
    assert_eq!(failed_checks(&mut there), [""; 0]);
}

fn a_cell_is_added_and_leaves(cells: &Cells) {
    let added = Member::new("cell_new");
    let mut client = added.connect();
    // Before it has anything.
    client.batch_execute("SELECT sparkify.serve_published_model()").unwrap();
    let call = format!(
        "CALL sparkify.join_trainer('{}', '{}', 'cell_new')",
        cells.trainer.string(),
        added.string()
    );
    client.batch_execute(&call).unwrap();
    client.batch_execute(&call).unwrap();
    client.batch_execute(MINUTE).unwrap();
    assert_eq!(
        failed_checks(&mut client),
        [
            "data_to_learn_from: 2 tables are empty, for instance \"listening_events\": declared tastes and popularity serve until there are plays"
        ]
    );
    client.batch_execute("INSERT INTO sparkify.users VALUES ('first')").unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.recommend('first', 5)"), 5);
    let mut trainer = cells.trainer.connect();
    assert_eq!(number(&mut trainer, "SELECT count(*) FROM sparkify.cell_status"), 5);
    let refused = refusal(trainer.batch_execute("CALL sparkify.leave_trainer()"));
    assert_eq!(refused.1, "5 cells belong to this trainer");
    let model = number(&mut client, "SELECT model_id FROM sparkify.models WHERE active");
    client.batch_execute("CALL sparkify.leave_trainer()").unwrap();
    assert_eq!(number(&mut client, "SELECT model_id FROM sparkify.models WHERE active"), model);
    assert_eq!(number(&mut client, "SELECT count(*) FROM pg_replication_slots"), 0);
    assert_eq!(number(&mut trainer, "SELECT count(*) FROM sparkify.cell_status"), 4);
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%cell_new%'";
    assert_eq!(number(&mut trainer, slots), 0);
    assert!(number(&mut trainer, PLAYS) > 0);
}
