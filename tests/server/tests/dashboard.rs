//! The Grafana dashboard without a Grafana: its structure, and every query of it
//! with macros and variables expanded as Grafana's PostgreSQL data source does,
//! run by the reader's role.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use postgres::types::Type;
use postgres::{Client, Column};
use serde_json::Value;
use sparkify_server_tests::{Server, refusal};

const READER: &str = "sparkify_dashboard_reader";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dashboards")
}

fn read(file: &str) -> String {
    let path = folder().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&read("sparkify.json")).expect("valid JSON")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard = dashboard();
    assert_eq!(dashboard["schemaVersion"], 39);
    assert_eq!(dashboard["refresh"], "1m");
    assert_eq!(dashboard["timezone"], "browser");
    let panels = array(&dashboard["panels"]);
    assert!(panels.len() >= 15);
    let (mut ids, mut titles, mut taken) = (HashSet::new(), HashSet::new(), HashSet::new());
    for panel in panels {
        let title = text(&panel["title"]);
        assert!(!title.is_empty() && titles.insert(title), "title \"{title}\"");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "id of {title}");
        assert!(text(&panel["description"]).ends_with('.'), "description of {title}");
        let defaults = &panel["fieldConfig"]["defaults"];
        let empty = text(&defaults["noValue"]);
        assert!(!empty.is_empty() && !empty.eq_ignore_ascii_case("no data"), "noValue of {title}");
        for source in array(&panel["targets"]).iter().chain([panel]) {
            assert_eq!(source["datasource"]["type"], "grafana-postgresql-datasource", "{title}");
            assert_eq!(source["datasource"]["uid"], "${datasource}", "{title}");
        }
        assert!(!array(&panel["targets"]).is_empty(), "queries of {title}");
        if ["stat", "barchart", "bargauge", "timeseries", "piechart"]
            .contains(&text(&panel["type"]))
        {
            assert!(!text(&defaults["unit"]).is_empty(), "unit of {title}");
        }
        let grid = |key: &str| panel["gridPos"][key].as_u64().expect("a place in the grid");
        assert!(grid("w") > 0 && grid("h") > 0 && grid("x") + grid("w") <= 24, "{title}");
        for x in grid("x")..grid("x") + grid("w") {
            for y in grid("y")..grid("y") + grid("h") {
                assert!(taken.insert((x, y)), "{title} overlaps at {x}, {y}");
            }
        }
    }
    let height = taken.iter().map(|(_, y)| y + 1).max().unwrap_or_default();
    assert_eq!(taken.len() as u64, height * 24, "the grid has a hole");
}

#[test]
fn the_variables_are_used() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].to_string();
    let variables = array(&dashboard["templating"]["list"]);
    let names: Vec<&str> = variables.iter().map(|variable| text(&variable["name"])).collect();
    assert_eq!(names, ["datasource", "user"]);
    assert_eq!(variables[0]["query"], "grafana-postgresql-datasource");
    assert_eq!(variables[1]["datasource"]["uid"], "${datasource}");
    assert_eq!(variables[1]["query"], variables[1]["definition"]);
    assert!(text(&variables[1]["query"]).contains("$__searchFilter"));
    assert!(text(&variables[1]["query"]).ends_with("LIMIT 200"));
    for name in names {
        assert!(panels.contains(&format!("${{{name}")), "{name} is used");
    }
    // Within a query a user's id must come quoted.
    for panel in array(&dashboard["panels"]) {
        for target in array(&panel["targets"]) {
            let sql = text(&target["rawSql"]).replace("${user:sqlstring}", "");
            assert!(!sql.contains("$user") && !sql.contains("${"), "{}", panel["title"]);
        }
    }
}

#[test]
fn the_score_is_a_gauge_and_states_have_colours() {
    let dashboard = dashboard();
    let of_type = |kind: &str| -> Vec<&Value> {
        array(&dashboard["panels"]).iter().filter(|panel| panel["type"] == kind).collect()
    };
    let gauges: Vec<BTreeMap<&str, &Value>> = of_type("table")
        .iter()
        .flat_map(|panel| array(&panel["fieldConfig"]["overrides"]))
        .filter(|rule| rule["matcher"]["options"] == "score")
        .map(|rule| {
            array(&rule["properties"]).iter().map(|p| (text(&p["id"]), &p["value"])).collect()
        })
        .collect();
    assert_eq!(gauges.len(), 2, "stored and live");
    for gauge in gauges {
        assert_eq!(gauge["custom.cellOptions"]["type"], "gauge");
        assert_eq!((gauge["min"].as_f64(), gauge["max"].as_f64()), (Some(0.0), Some(1.0)));
    }
    assert!(
        of_type("barchart").iter().all(|panel| panel["options"]["orientation"] == "horizontal")
    );
    assert_eq!(of_type("barchart").len(), 4);
    for panel in of_type("piechart") {
        assert_eq!(panel["options"]["pieType"], "donut");
        assert_eq!(panel["transformations"][0]["id"], "rowsToFields");
    }
    let timeline = of_type("state-timeline")[0];
    for state in ["succeeded", "failed", "running"] {
        let mapping = &timeline["fieldConfig"]["defaults"]["mappings"][0]["options"][state];
        assert!(!text(&mapping["color"]).is_empty(), "{state}");
    }
}

/// Expands what Grafana would: macros of the data source, variables of the dashboard.
fn expand(sql: &str, user: &str, search: &str) -> String {
    let (from, to) = ("'2026-01-01T00:00:00Z'", "'2026-12-31T00:00:00Z'");
    let mut sql = sql
        .replace("${user:sqlstring}", &format!("'{}'", user.replace('\'', "''")))
        .replace("$__searchFilter", &format!("{}%", search.replace('\'', "''")))
        .replace("$__interval_ms", "1800000")
        .replace("$__timeFrom()", from)
        .replace("$__timeTo()", to);
    while let Some(start) = sql.find("$__timeFilter(") {
        let end = start + sql[start..].find(')').expect("a closing bracket");
        let column = sql[start + "$__timeFilter(".len()..end].to_owned();
        sql.replace_range(start..=end, &format!("{column} BETWEEN {from} AND {to}"));
    }
    assert!(!sql.contains('$'), "something is left to expand: {sql}");
    sql
}

fn number_type(column: &Column) -> bool {
    [Type::INT4, Type::INT8, Type::FLOAT4, Type::FLOAT8, Type::NUMERIC].contains(column.type_())
}

/// Runs a panel's query, and checks that its columns are those that the panel draws.
fn run_panel(client: &mut Client, panel: &Value, user: &str) -> Vec<postgres::Row> {
    let title = text(&panel["title"]);
    let target = &panel["targets"][0];
    let sql = expand(text(&target["rawSql"]), user, "");
    let statement =
        client.prepare(&sql).unwrap_or_else(|error| panic!("{title}: {error:?}\n{sql}"));
    let names: Vec<&str> = statement.columns().iter().map(Column::name).collect();
    for rule in array(&panel["fieldConfig"]["overrides"]) {
        assert!(
            names.contains(&text(&rule["matcher"]["options"])),
            "{title} has no column {rule}: {names:?}"
        );
    }
    if let Some(field) = panel["options"]["xField"].as_str() {
        assert!(names.contains(&field), "{title}: {field}");
    }
    for mapping in array(&panel["transformations"][0]["options"]["mappings"]) {
        assert!(names.contains(&text(&mapping["fieldName"])), "{title}: {mapping}");
    }
    if target["format"] == "time_series" || panel["type"] == "state-timeline" {
        assert_eq!(
            (names[0], statement.columns()[0].type_()),
            ("time", &Type::TIMESTAMPTZ),
            "{title}"
        );
    }
    if target["format"] == "time_series" {
        assert!(statement.columns()[1..].iter().all(number_type), "{title}");
    }
    let began = Instant::now();
    let rows =
        client.query(&statement, &[]).unwrap_or_else(|error| panic!("{title}: {error:?}\n{sql}"));
    assert!(began.elapsed() < Duration::from_secs(20), "{title} runs for ever");
    rows
}

fn run_all(client: &mut Client, user: &str) -> BTreeMap<String, usize> {
    let dashboard = dashboard();
    let panels = array(&dashboard["panels"]);
    panels
        .iter()
        .map(|panel| (text(&panel["title"]).to_owned(), run_panel(client, panel, user).len()))
        .collect()
}

fn search(client: &mut Client, typed: &str) -> Vec<String> {
    let dashboard = dashboard();
    let sql = expand(text(&dashboard["templating"]["list"][1]["query"]), "", typed);
    client
        .query(&sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// The query of the alert rule, which is YAML on one line.
fn alert_query() -> String {
    let rule = read("provisioning/alerting/sparkify.yaml");
    let line = rule.lines().find_map(|line| line.trim().strip_prefix("rawSql: ")).expect("a query");
    line.to_owned()
}

fn fill(client: &mut Client) {
    client.batch_execute(FILLED).unwrap();
    client.batch_execute("CALL sparkify.run_pipeline(dims => 4)").unwrap();
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

const FILLED: &str = "
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy, valence, popularity)
    SELECT 't' || i, 'It''s song ' || i, ARRAY['Artist ' || i % 17], ARRAY['g' || i % 13], 'g' || i % 13, i * 0.01, i % 5 * 0.1, i
    FROM generate_series(1, 60) AS i;
    INSERT INTO sparkify.users (user_id) SELECT 'u' || i FROM generate_series(1, 250) AS i;
    INSERT INTO sparkify.users (user_id) VALUES ('o''brien');
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at, skipped)
    SELECT u.user_id, 't' || i, timestamptz '2026-05-01' + i * interval '1 hour', i % 3 = 0
    FROM sparkify.users AS u, generate_series(1, 30) AS i;";

const DATED: &str = "
    UPDATE sparkify.pipeline_runs SET started_at = '2026-06-01', finished_at = '2026-06-01 00:00:02';
    UPDATE sparkify.models SET trained_at = '2026-06-01';";

#[test]
fn every_query_runs_as_the_reader() {
    let server = Server::shared();
    let database = server.database("dashboard_queries");
    let mut owner = database.connect();
    make_reader(&mut owner);
    let mut reader = database.connect_as(READER);

    // A fresh install, where no user can be chosen.
    assert_eq!(search(&mut reader, ""), Vec::<String>::new());
    assert_eq!(reader.query(&alert_query(), &[]).unwrap().len(), 0, "no data, which alerts");
    for (title, rows) in run_all(&mut reader, "") {
        // These have no text of their own for an empty answer, or say "no data" in spite of it.
        let panels = dashboard();
        let panel = array(&panels["panels"]).iter().find(|panel| text(&panel["title"]) == title);
        let kind = text(&panel.expect("the panel")["type"]).to_owned();
        if ["stat", "bargauge", "barchart", "piechart", "state-timeline"].contains(&kind.as_str()) {
            assert!(rows > 0, "{title} is empty on a fresh install");
        }
    }

    fill(&mut owner);
    let users = search(&mut reader, "");
    assert_eq!(users.len(), 200);
    assert_eq!(search(&mut reader, "o'b"), ["o'brien"]);
    assert_eq!(search(&mut reader, "u25"), ["u25", "u250"]);
    assert_eq!(reader.query(&alert_query(), &[]).unwrap().len(), 1);
    for user in ["u1", "o'brien"] {
        for (title, rows) in run_all(&mut reader, user) {
            assert!(rows > 0, "{title} is empty for {user}");
            if title.ends_with("of $user") && title.starts_with("Top")
                || title.contains("recommendations of")
            {
                assert_eq!(rows, 10, "{title} of {user}");
            }
        }
    }
    // Someone who is not there is no error either.
    run_all(&mut reader, "nobody");
}

#[test]
fn the_reader_reads_and_does_not_write() {
    let server = Server::shared();
    let database = server.database("dashboard_reader");
    let mut owner = database.connect();
    make_reader(&mut owner);
    fill(&mut owner);
    let mut reader = database.connect_as(READER);
    for (setting, value) in
        [("default_transaction_read_only", "on"), ("statement_timeout", "25s"), ("jit", "off")]
    {
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
    let rule = read("provisioning/alerting/sparkify.yaml");
    assert!(rule.contains("datasourceUid: sparkify\n") && rule.contains("noDataState: Alerting\n"));
    let provider = read("provisioning/dashboards/sparkify.yaml");
    let compose = read("docker-compose.yml");
    assert!(provider.contains("path: /var/lib/grafana/dashboards\n"));
    assert!(compose.contains(":/var/lib/grafana/dashboards/sparkify.json:ro"));
    assert!(compose.contains("tests do not run"));
}
