//! The Grafana dashboards without a Grafana: every query of them with macros and
//! variables expanded as Grafana's PostgreSQL data source does, run by the reader's
//! role. What the files look like is tested where they are made, in crates/dashboards.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use postgres::types::Type;
use postgres::{Client, Column, SimpleQueryMessage};
use serde_json::Value;
use sparkify_server_tests::{Server, refusal};

const READER: &str = "sparkify_dashboard_reader";
const BOARDS: [&str; 3] = ["listening", "recommendations", "operations"];

fn read(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dashboards").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn board(name: &str) -> Value {
    serde_json::from_str(&read(&format!("boards/{name}.json"))).expect("valid JSON")
}

fn panels() -> Vec<Value> {
    BOARDS
        .iter()
        .flat_map(|name| board(name)["panels"].as_array().cloned().unwrap_or_default())
        .collect()
}

fn panel(title: &str) -> Value {
    panels().into_iter().find(|panel| panel["title"] == title).expect(title)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What is chosen on a board.
#[derive(Clone, Copy)]
struct Chosen<'a> {
    user: &'a str,
    artist: &'a str,
    genre: &'a str,
    to: &'a str,
}

const NOTHING: Chosen = Chosen { user: "", artist: "", genre: "", to: "2026-12-31T00:00:00Z" };

/// Expands what Grafana would: a variable of one value has its quotes doubled and nothing else.
fn expand(sql: &str, chosen: Chosen) -> String {
    let quoted = |value: &str| value.replace('\'', "''");
    let (from, to) = ("'2026-01-01T00:00:00Z'", format!("'{}'", chosen.to));
    let mut expanded = sql.replace("$__timeFrom()", from).replace("$__timeTo()", &to);
    while let Some(start) = expanded.find("$__timeFilter(") {
        let end = start + expanded[start..].find(')').expect("a closing bracket");
        let column = expanded[start + "$__timeFilter(".len()..end].to_owned();
        expanded.replace_range(start..=end, &format!("{column} BETWEEN {from} AND {to}"));
    }
    assert!(!expanded.contains("$__"), "something is left to expand: {expanded}");
    for (name, value) in
        [("$user", chosen.user), ("$artist", chosen.artist), ("$genre", chosen.genre)]
    {
        expanded = expanded.replace(name, &quoted(value));
    }
    expanded
}

fn number_type(column: &Column) -> bool {
    [Type::INT4, Type::INT8, Type::FLOAT4, Type::FLOAT8, Type::NUMERIC].contains(column.type_())
}

/// The rows of a panel, its values as text, after a check that its columns are those that it draws.
fn rows_of(client: &mut Client, panel: &Value, chosen: Chosen) -> Vec<Vec<Option<String>>> {
    let title = text(&panel["title"]);
    let target = &panel["targets"][0];
    let sql = expand(text(&target["rawSql"]), chosen);
    let statement =
        client.prepare(&sql).unwrap_or_else(|error| panic!("{title}: {error:?}\n{sql}"));
    let names: Vec<&str> = statement.columns().iter().map(Column::name).collect();
    for rule in array(&panel["fieldConfig"]["overrides"]) {
        let name = text(&rule["matcher"]["options"]);
        assert!(names.contains(&name), "{title} has no column {name}: {names:?}");
    }
    if panel["type"] == "table" {
        let described = array(&panel["fieldConfig"]["overrides"]).len();
        assert_eq!(described, names.len(), "{title}: every column has its width");
    }
    if target["format"] == "time_series" {
        let first = &statement.columns()[0];
        assert_eq!((first.name(), first.type_()), ("time", &Type::TIMESTAMPTZ), "{title}");
        assert!(statement.columns()[1..].iter().all(number_type), "{title}");
    }
    let began = Instant::now();
    let messages =
        client.simple_query(&sql).unwrap_or_else(|error| panic!("{title}: {error:?}\n{sql}"));
    assert!(began.elapsed() < Duration::from_secs(20), "{title} runs for ever");
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
        }
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

/// The only value of a panel of one.
fn said(client: &mut Client, title: &str, chosen: Chosen) -> String {
    let rows = rows_of(client, &panel(title), chosen);
    assert_eq!((rows.len(), rows[0].len()), (1, 1), "{title}");
    rows[0][0].clone().expect(title)
}

fn search(client: &mut Client, typed: &str) -> Vec<String> {
    let sql = text(&board("recommendations")["templating"]["list"][1]["query"])
        .replace("$__searchFilter", &format!("{}%", typed.replace('\'', "''")));
    client
        .query(&sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// The queries of the alert rules, from YAML: each on lines indented below `rawSql: >-`.
fn alert_queries() -> Vec<String> {
    let rules = read("provisioning/alerting/sparkify.yaml");
    rules
        .split("rawSql: >-\n")
        .skip(1)
        .map(|rest| {
            let lines = rest.lines().take_while(|line| line.starts_with("                "));
            lines.map(str::trim).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn fill(client: &mut Client) {
    client.batch_execute(FILLED).unwrap();
    client.batch_execute("CALL sparkify.run_pipeline(dims => 4, kind => 'content')").unwrap();
    client.batch_execute(DATED).unwrap();
}

fn make_reader(client: &mut Client) {
    client
        .batch_execute(&format!(
            "DO $$ BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
             SELECT sparkify.grant_reader('{READER}', '25 s')"
        ))
        .unwrap();
}

const USERS: [&str; 4] = ["o'brien", "Zoë \"Z\" Müller", "back\\slash\\", "50%_off"];

const FILLED: &str = "
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy, valence, popularity, duration_ms)
    SELECT 't' || i, 'It''s song ' || i, ARRAY['Artist ' || i % 17], ARRAY['g' || i % 13], 'g' || i % 13, i * 0.01, i % 5 * 0.1, i, 200000
    FROM generate_series(1, 60) AS i;
    INSERT INTO sparkify.users (user_id) SELECT 'u' || i FROM generate_series(1, 250) AS i;
    INSERT INTO sparkify.users (user_id) VALUES ('o''brien'), ('Zoë \"Z\" Müller'), (E'back\\\\slash\\\\'), ('50%_off'), ('cold');
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at, skipped, ms_played)
    SELECT u.user_id, 't' || i, timestamptz '2026-05-01' + i * interval '1 hour', i % 3 = 0, 100000
    FROM sparkify.users AS u, generate_series(1, 30) AS i WHERE u.user_id <> 'cold';
    SELECT * FROM sparkify.ingest_events('[{\"user_id\": \"a secret\", \"track_id\": \"another secret\", \"played_at\": \"2026-01-01T10:00:00Z\"}, 7]');";

/// Two lists of o'brien come and go: the first was followed by plays, one of them of the first place.
const DATED: &str = "
    INSERT INTO sparkify.model_evaluations (evaluation_id, evaluated_at, kind, subject, plays, metric, k, value, users)
    SELECT 1000, '2026-06-01', 'hybrid', subject, 'new', metric, 10, 0.25, 100
    FROM unnest(ARRAY['hybrid', 'content', 'popularity', 'chance']) AS subject, unnest(ARRAY['ndcg', 'recall', 'coverage']) AS metric;
    UPDATE sparkify.pipeline_runs SET started_at = timestamptz '2026-06-01' + (started_at - (SELECT min(started_at) FROM sparkify.pipeline_runs)),
        finished_at = timestamptz '2026-06-01' + (finished_at - (SELECT min(started_at) FROM sparkify.pipeline_runs));
    UPDATE sparkify.rejected_events SET rejected_at = '2026-06-01';
    UPDATE sparkify.models SET trained_at = '2026-06-01';
    UPDATE sparkify_internal.model_service SET served_from = '2026-06-01';
    UPDATE sparkify.recommendation_lists SET generated_at = '2026-06-02' WHERE user_id = 'o''brien';
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at, skipped)
    SELECT user_id, track_ids[1], timestamptz '2026-06-03', true FROM sparkify.recommendation_lists WHERE user_id = 'o''brien';
    SELECT sparkify.refresh_recommendations();
    SELECT sparkify.refresh_summaries();";

#[test]
fn every_query_runs_as_the_reader() {
    let server = Server::shared();
    let database = server.database("dashboard_queries");
    let mut owner = database.connect();
    make_reader(&mut owner);
    let mut reader = database.connect_as(READER);

    // A fresh install, where no user can be chosen: tables say what an empty answer means.
    assert_eq!(search(&mut reader, ""), Vec::<String>::new());
    for panel in panels() {
        let rows = rows_of(&mut reader, &panel, NOTHING);
        assert_eq!(rows.is_empty(), panel["type"] == "timeseries", "{}", panel["title"]);
    }
    assert_eq!(said(&mut reader, "User $user", NOTHING), "There are no users yet.");
    let found: Vec<usize> = alert_queries()
        .iter()
        .map(|sql| reader.query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}")).len())
        .collect();
    assert_eq!(found, [0, 0, 0, 0], "no data; of the first, that alerts");

    fill(&mut owner);
    for user in USERS {
        let chosen = Chosen { user, ..NOTHING };
        for panel in panels() {
            let rows = rows_of(&mut reader, &panel, chosen);
            assert!(!rows.is_empty(), "{} is empty for {user}", panel["title"]);
            // A sentence in place of rows leaves the other columns empty.
            if panel["type"] == "table"
                && !["Failed steps", "Cleaned and repaired rows", "Streams · now"]
                    .contains(&text(&panel["title"]))
            {
                let known = rows[0].iter().filter(|value| value.is_some()).count();
                assert!(known > 1, "{} for {user}: {rows:?}", panel["title"]);
            }
        }
        for (title, expected) in [
            ("Stored for $user", 10),
            ("For $user now", 10),
            ("Top tracks of $user · all time", 10),
        ] {
            assert_eq!(
                rows_of(&mut reader, &panel(title), chosen).len(),
                expected,
                "{title} of {user}"
            );
        }
        assert!(said(&mut reader, "User $user", chosen).contains("list of 10 tracks from plays"));
    }
    let found: Vec<usize> =
        alert_queries().iter().map(|sql| reader.query(sql, &[]).unwrap().len()).collect();
    assert_eq!(found, [1, 1, 0, 0], "too few lists were tested to tell quality, and no streams");
    // A stream that stores nothing while messages wait, one that failed, one that is fine.
    owner
        .batch_execute(
            "SELECT sparkify.create_stream(name, 'nowhere:9092', 'plays') FROM unnest(ARRAY['slow', 'failing', 'fine']) AS name;
             UPDATE sparkify_internal.stream_state AS t SET last_error = 'no broker answers', last_error_at = now()
             FROM sparkify_internal.streams AS s WHERE s.stream_id = t.stream_id AND s.name = 'failing';
             INSERT INTO sparkify_internal.stream_offsets (stream_id, \"partition\", next_offset, end_offset, moved_at, seen_at)
             SELECT stream_id, 0, 5, CASE name WHEN 'slow' THEN 9 ELSE 5 END, now() - interval '1 hour', now() FROM sparkify_internal.streams",
        )
        .unwrap();
    let trouble: i32 = reader.query_one(&alert_queries()[3], &[]).unwrap().get(0);
    assert_eq!(trouble, 2);
}

#[test]
fn a_user_is_found_by_any_part_of_a_name_and_what_is_not_there_is_said() {
    let server = Server::shared();
    let database = server.database("dashboard_search");
    let mut owner = database.connect();
    make_reader(&mut owner);
    fill(&mut owner);
    let mut reader = database.connect_as(READER);
    assert_eq!(search(&mut reader, "").len(), 200);
    for (typed, found) in [
        ("o'B", "o'brien"),
        ("\"Z\"", "Zoë \"Z\" Müller"),
        ("k\\s", "back\\slash\\"),
        ("\\", "back\\slash\\"),
        ("%_", "50%_off"),
    ] {
        assert_eq!(search(&mut reader, typed), [found], "{typed}");
    }
    assert_eq!(search(&mut reader, "u25"), ["u25", "u250"]);
    assert_eq!(search(&mut reader, "u%5"), Vec::<String>::new());
    for (user, expected) in [
        ("", "Choose a user above."),
        ("nobody's", "There is no user \"nobody's\"."),
        ("cold", "0 plays; list of 10 tracks from popularity"),
    ] {
        let sentence = said(&mut reader, "User $user", Chosen { user, ..NOTHING });
        assert!(sentence.starts_with(expected), "{sentence}");
    }
    let nobody = Chosen { user: "nobody", ..NOTHING };
    assert_eq!(
        rows_of(&mut reader, &panel("For $user now"), nobody)[0][1].as_deref(),
        Some("There is no such user.")
    );
    for panel in panels() {
        rows_of(&mut reader, &panel, nobody);
    }
    // Filters: an artist has the tracks i % 17 = 3, a genre those with i % 13 = 3.
    let tracks = panel("Top tracks · all time");
    let of_artist = rows_of(&mut reader, &tracks, Chosen { artist: "Artist 3", ..NOTHING });
    assert_eq!(of_artist.len(), 2, "t3 and t20 were played");
    let both = rows_of(&mut reader, &tracks, Chosen { artist: "Artist 3", genre: "g3", ..NOTHING });
    assert_eq!(both[0][0].as_deref(), Some("It's song 3"));
    assert_eq!(both.len(), 1);
    let none = rows_of(&mut reader, &tracks, Chosen { artist: "o'nobody", ..NOTHING });
    assert_eq!(none[0][0].as_deref(), Some("Nothing was played."));
}

#[test]
fn missing_rights_are_told_as_what_they_are() {
    let server = Server::shared();
    let database = server.database("dashboard_rights");
    let mut owner = database.connect();
    owner.batch_execute("DO $$ BEGIN CREATE ROLE sparkify_dashboard_stranger LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$").unwrap();
    let mut stranger = database.connect_as("sparkify_dashboard_stranger");
    assert_eq!(
        said(&mut stranger, "Access", NOTHING),
        "Role sparkify_dashboard_stranger may not read here: run SELECT sparkify.grant_reader('sparkify_dashboard_stranger')."
    );
    make_reader(&mut owner);
    let mut reader = database.connect_as(READER);
    assert!(
        said(&mut reader, "Access", NOTHING).starts_with("Ready: sparkify_dashboard_reader reads")
    );
    owner.batch_execute("DROP EXTENSION sparkify CASCADE").unwrap();
    assert!(
        said(&mut reader, "Access", NOTHING)
            .starts_with("The extension is not installed in database")
    );
}

#[test]
fn no_day_to_come_is_drawn() {
    let server = Server::shared();
    let database = server.database("dashboard_days");
    let mut owner = database.connect();
    owner
        .batch_execute(
            "INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES ('t', 'T', '{A}');
             INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
             VALUES ('u', 't', now() - interval '2 days'), ('u', 't', now()), ('v', 't', now())",
        )
        .unwrap();
    let chosen = Chosen { user: "u", to: "2099-01-01T00:00:00Z", ..NOTHING };
    for title in ["Plays by day", "New and returning listeners by day", "Listening of $user by day"]
    {
        assert_eq!(rows_of(&mut owner, &panel(title), chosen).len(), 3, "{title}");
    }
    let days = rows_of(&mut owner, &panel("New and returning listeners by day"), chosen);
    let counts: Vec<_> = days.iter().map(|row| [row[1].as_deref(), row[2].as_deref()]).collect();
    let day = |returning, new| [Some(returning), Some(new)];
    assert_eq!(counts, [day("0", "1"), day("0", "0"), day("1", "1")]);
}

#[test]
fn no_step_ends_before_it_began() {
    let server = Server::shared();
    let database = server.database("dashboard_steps");
    let mut owner = database.connect();
    make_reader(&mut owner);
    assert!(owner.batch_execute("CALL sparkify.run_pipeline()").is_err(), "there are no tracks");
    let early: i64 = owner
        .query_one(
            "SELECT count(*) FROM sparkify.pipeline_runs WHERE finished_at < started_at",
            &[],
        )
        .unwrap()
        .get(0);
    assert_eq!(early, 0);
    let mut reader = database.connect_as(READER);
    let chosen = Chosen { to: "2099-01-01T00:00:00Z", ..NOTHING };
    let failed = rows_of(&mut reader, &panel("Failed steps"), chosen);
    assert_eq!((failed.len(), failed[0][1].as_deref()), (1, Some("embeddings")));
    assert_eq!(reader.query_one(&alert_queries()[1], &[]).unwrap().get::<_, i32>(0), 1);
}

#[test]
fn what_was_refused_is_counted_and_not_shown() {
    let server = Server::shared();
    let database = server.database("dashboard_refused");
    let mut owner = database.connect();
    make_reader(&mut owner);
    fill(&mut owner);
    let mut reader = database.connect_as(READER);
    let mut reasons: Vec<_> = rows_of(&mut reader, &panel("Refused rows, by reason"), NOTHING)
        .into_iter()
        .map(|row| row[1].clone().unwrap())
        .collect();
    reasons.sort();
    assert_eq!(reasons, ["an event must be a JSON object", "track … does not exist"]);
}

#[test]
fn outcomes_are_those_worked_by_hand() {
    let server = Server::shared();
    let database = server.database("dashboard_outcomes");
    let mut client = database.connect();
    fill(&mut client);
    // DATED: the list of o'brien was followed by one play, of its first place, skipped.
    let outcomes = |client: &mut Client| -> Vec<(i32, i64, i64, i64)> {
        client
            .query("SELECT rank, lists, played, skipped FROM sparkify.recommendation_outcomes WHERE played > 0 OR rank = 2 ORDER BY made_on, rank", &[])
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
            .collect()
    };
    assert_eq!(outcomes(&mut client), [(1, 1, 1, 1), (2, 1, 0, 0)]);
    // Lists that are replaced without a play between tell nothing.
    client.batch_execute("SELECT sparkify.refresh_recommendations(force => true)").unwrap();
    assert_eq!(outcomes(&mut client).len(), 2);
    // A model that ceased to serve is judged by its time alone, when it is deleted.
    client
        .batch_execute(
            "UPDATE sparkify.recommendation_lists SET generated_at = '2026-07-01';
             SELECT sparkify.activate_model(sparkify.build_embeddings(3, false));
             UPDATE sparkify_internal.model_service SET served_until = '2026-07-10' WHERE served_until IS NOT NULL;
             INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
             SELECT user_id, track_ids[2], CASE user_id WHEN 'u1' THEN timestamptz '2026-07-05' ELSE timestamptz '2026-07-15' END
             FROM sparkify.recommendation_lists WHERE user_id IN ('u1', 'u2');
             DELETE FROM sparkify.models WHERE NOT active",
        )
        .unwrap();
    assert_eq!(outcomes(&mut client), [(1, 1, 1, 1), (2, 1, 0, 0), (2, 1, 1, 0)]);
    client.batch_execute("SELECT sparkify.refresh_summaries()").unwrap();
    assert_eq!(outcomes(&mut client), [(1, 1, 1, 1), (2, 1, 0, 0), (2, 1, 1, 0)]);
}

#[test]
fn concentration_is_that_worked_by_hand() {
    let server = Server::shared();
    let database = server.database("dashboard_concentration");
    let mut client = database.connect();
    // Plays 0, 1, 1, 2: 2 · (1·0 + 2·1 + 3·1 + 4·2) / (4 · 4) − 5 / 4 = 0.375.
    client
        .batch_execute(
            "INSERT INTO sparkify.tracks (track_id, track_name, artists) SELECT 't' || i, 'T', '{A}' FROM generate_series(1, 4) AS i;
             INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
             VALUES ('u', 't1', '2026-01-01'), ('u', 't2', '2026-01-01'), ('u', 't2', '2026-01-02'), ('v', 't3', '2026-01-01');
             SELECT sparkify.refresh_summaries()",
        )
        .unwrap();
    let row = client.query_one("SELECT * FROM sparkify.concentration", &[]).unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)),
        ("plays", 3, 4)
    );
    let shares: Vec<f64> = (3..7).map(|at| row.get(at)).collect();
    assert_eq!(shares, [0.375, 0.5, 0.5, 0.5]);
}

#[test]
fn the_reader_reads_and_does_not_write() {
    let server = Server::shared();
    let database = server.database("dashboard_reader");
    let mut owner = database.connect();
    make_reader(&mut owner);
    fill(&mut owner);
    let mut reader = database.connect_as(READER);
    for (setting, value) in [
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "25s"),
        ("jit", "off"),
        ("max_parallel_workers_per_gather", "0"),
    ] {
        let found: String = reader.query_one(&format!("SHOW {setting}"), &[]).unwrap().get(0);
        assert_eq!(found, value, "{setting}");
    }
    for call in [
        "sparkify.recommend('u1')",
        "sparkify.recommend_json('u1')",
        "sparkify.similar_tracks('t1')",
        "sparkify.recommendation_details",
        "sparkify.pipeline_runs",
        "sparkify.model_history",
        "sparkify.daily_plays",
        "sparkify.recommendation_coverage",
    ] {
        assert!(!reader.query(&format!("SELECT * FROM {call}"), &[]).unwrap().is_empty(), "{call}");
    }
    // The summaries are behind; the views count afresh with the reader's own privileges.
    owner.batch_execute("UPDATE sparkify.tracks SET popularity = 1").unwrap();
    for view in ["top_artists", "recommendation_coverage"] {
        assert!(!reader.query(&format!("SELECT * FROM sparkify.{view}"), &[]).unwrap().is_empty());
    }
    // Read-only is the default; privileges hold where it is switched off.
    for setting in ["on", "off"] {
        reader.batch_execute(&format!("SET default_transaction_read_only = {setting}")).unwrap();
        for write in [
            "INSERT INTO sparkify.users (user_id) VALUES ('x')",
            "DELETE FROM sparkify.recommendation_lists",
            "SELECT * FROM sparkify.ingest_events('[{\"user_id\": \"u1\", \"track_id\": \"t1\", \"played_at\": \"2026-01-01T10:00:00Z\"}]')",
            "SELECT sparkify.build_embeddings(2)",
            "SELECT sparkify.refresh_recommendations()",
            "CALL sparkify.run_pipeline()",
        ] {
            let (code, _) = refusal(reader.batch_execute(write));
            assert!(
                ["25006", "42501"].contains(&code.code()),
                "{write} with {setting}: {}",
                code.code()
            );
        }
    }
    for table in ["raw_tracks", "rejected_tracks", "rejected_events"] {
        let (code, _) = refusal(reader.query(&format!("SELECT * FROM sparkify.{table}"), &[]));
        assert_eq!(code.code(), "42501", "{table}");
    }
}

#[test]
fn granting_refuses_what_makes_no_sense() {
    let server = Server::shared();
    let database = server.database("dashboard_grants");
    let mut owner = database.connect();
    for (call, code, message) in [
        ("'nobody at all'", "42704", "role \"nobody at all\" does not exist"),
        (
            "'postgres'",
            "22023",
            "role \"postgres\" is a superuser, whom nothing keeps from anything",
        ),
        ("NULL", "22004", "role must not be null"),
        ("'postgres', NULL", "22004", "statement_timeout must not be null"),
    ] {
        let (found, said) =
            refusal(owner.query(&format!("SELECT sparkify.grant_reader({call})"), &[]));
        assert_eq!((found.code(), said.as_str()), (code, message));
    }
}

#[test]
fn provisioning_names_the_data_source_and_keeps_its_password_outside() {
    let source = read("provisioning/datasources/sparkify.yaml");
    assert!(
        source.contains("uid: sparkify\n")
            && source.contains("type: grafana-postgresql-datasource\n")
    );
    assert!(source.contains("password: ${SPARKIFY_DB_PASSWORD}\n"));
    let rules = read("provisioning/alerting/sparkify.yaml");
    assert_eq!(rules.matches("datasourceUid: sparkify\n").count(), 4);
    assert_eq!(rules.matches("execErrState: Alerting\n").count(), 4);
    let freshness = rules.split("uid: sparkify-").nth(1).expect("a rule");
    assert!(freshness.starts_with("freshness\n") && freshness.contains("noDataState: Alerting\n"));
    let provider = read("provisioning/dashboards/sparkify.yaml");
    let compose = read("docker-compose.yml");
    assert!(provider.contains("path: /var/lib/grafana/dashboards\n"));
    assert!(compose.contains(":/var/lib/grafana/dashboards:ro"));
}
