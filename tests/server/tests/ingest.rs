//! `ingest_events`: what it takes, what it refuses, and that it never fails for one bad event.

use postgres::Client;
use postgres::error::SqlState;
use serde_json::{Value, json};
use sparkify_server_tests::{Server, refusal};

fn ingest(client: &mut Client, events: &Value, create_users: bool) -> (i64, i64, i64) {
    let row = client
        .query_one("SELECT * FROM sparkify.ingest_events($1, $2)", &[events, &create_users])
        .unwrap_or_else(|error| panic!("{error}"));
    (row.get("accepted"), row.get("duplicate"), row.get("rejected"))
}

fn play(user: &str) -> Value {
    json!({"user_id": user, "track_id": "t1", "played_at": "2026-01-01T10:00:00Z"})
}

fn with(key: &str, value: Value) -> Value {
    let mut event = play("u1");
    event[key] = value;
    event
}

fn small(name: &str, test: impl FnOnce(&mut Client)) {
    let server = Server::shared();
    let database = server.database(name);
    let mut client = database.connect();
    client
        .batch_execute(
            "INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy)
             SELECT 't' || i, 'Song ' || i, ARRAY['Artist ' || i], ARRAY['g' || i % 2], 'g' || i % 2, i * 0.1 FROM generate_series(1, 9) AS i;
             INSERT INTO sparkify.users (user_id) VALUES ('u1')",
        )
        .unwrap();
    test(&mut client);
}

#[test]
fn the_same_key_again_is_a_duplicate() {
    small("ingest_duplicates", |client| {
        let id = with("event_id", json!("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"));
        let batch = json!([play("u1"), play("u1"), id, with("track_id", json!("t2"))]);
        assert_eq!(ingest(client, &batch, true), (3, 1, 0));
        assert_eq!(ingest(client, &batch, true), (0, 4, 0));
        // The same instant in another zone, and with a space, is the same play.
        let again = json!([
            with("played_at", json!("2026-01-01 12:00:00.000+02")),
            with("played_at", json!("2026-01-01T10:00"))
        ]);
        assert_eq!(ingest(client, &again, true), (0, 2, 0));
        assert_eq!(ingest(client, &json!([]), true), (0, 0, 0));
    });
}

#[test]
fn every_value_is_stored() {
    small("ingest_values", |client| {
        let event = json!({"user_id": "o'ma", "track_id": "t3", "played_at": "2026-01-01T10:00:00.123456+01:00",
            "ms_played": 1.8e5, "skipped": true, "session_id": "s 1", "event_id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "more": [1]});
        assert_eq!(ingest(client, &json!([event]), true), (1, 0, 0));
        let row = client
            .query_one(
                "SELECT concat_ws('|', user_id, track_id, played_at AT TIME ZONE 'UTC', ms_played, skipped, session_id, event_id)
                 FROM sparkify.listening_events JOIN sparkify.users USING (user_id)",
                &[],
            )
            .unwrap();
        assert_eq!(
            row.get::<_, String>(0),
            "o'ma|t3|2026-01-01 09:00:00.123456|180000|t|s 1|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
        );
    });
}

#[test]
fn what_is_refused_says_why() {
    small("ingest_refused", |client| {
        let long = "x".repeat(100_000);
        let deep = (0..500).fold(json!(1), |value, _| json!([value]));
        let refused = [
            (json!(1), "an event must be a JSON object, not a JSON number"),
            (json!(null), "an event must be a JSON object, not a JSON null"),
            (deep.clone(), "an event must be a JSON object, not a JSON array"),
            (json!({}), "user_id is missing"),
            (with("user_id", json!(7)), "user_id must be a string of 1 to 512 bytes"),
            (with("user_id", json!("")), "user_id must be a string of 1 to 512 bytes"),
            (with("user_id", json!(long)), "user_id must be a string of 1 to 512 bytes"),
            (with("track_id", json!(null)), "track_id is missing"),
            (with("track_id", json!("")), "track_id must be a string of 1 to 512 bytes"),
            (with("track_id", json!(long)), "track_id must be a string of 1 to 512 bytes"),
            (with("track_id", json!("no'where")), "track \"no'where\" does not exist"),
            (with("played_at", json!(null)), "played_at is missing"),
            (
                with("played_at", json!(1_767_261_600)),
                "played_at must be an ISO 8601 date and time, not 1767261600",
            ),
            (
                with("played_at", json!("infinity")),
                "played_at must be an ISO 8601 date and time, not \"infinity\"",
            ),
            (
                with("played_at", json!("now")),
                "played_at must be an ISO 8601 date and time, not \"now\"",
            ),
            (
                with("played_at", json!("01/02/2026 10:00")),
                "played_at must be an ISO 8601 date and time, not \"01/02/2026 10:00\"",
            ),
            (
                with("played_at", json!("2026-02-30T10:00:00Z")),
                "played_at must be an ISO 8601 date and time, not \"2026-02-30T10:00:00Z\"",
            ),
            (
                with("played_at", json!("0000-01-01T10:00:00Z")),
                "played_at must be an ISO 8601 date and time, not \"0000-01-01T10:00:00Z\"",
            ),
            (
                with("played_at", json!("2026-01-01T10:00:00+99:99")),
                "played_at must be an ISO 8601 date and time, not \"2026-01-01T10:00:00+99:99\"",
            ),
            (with("played_at", json!("1969-12-31T23:59:59Z")), "played_at lies before 1970"),
            (
                with("played_at", json!("9999-01-01T00:00:00Z")),
                "played_at lies more than a day ahead",
            ),
            (
                with("ms_played", json!(-1)),
                "ms_played must be a whole number from 0 to 2147483647, not -1",
            ),
            (
                with("ms_played", json!(1.5)),
                "ms_played must be a whole number from 0 to 2147483647, not 1.5",
            ),
            (
                with("ms_played", json!(2_147_483_648_u64)),
                "ms_played must be a whole number from 0 to 2147483647, not 2147483648",
            ),
            (
                with("ms_played", json!("7")),
                "ms_played must be a whole number from 0 to 2147483647, not \"7\"",
            ),
            (with("skipped", json!("yes")), "skipped must be true or false, not \"yes\""),
            (
                with("session_id", json!({"a": 1})),
                "session_id must be a string of at most 512 bytes",
            ),
            (with("event_id", json!("7")), "event_id must be a uuid, not \"7\""),
        ];
        let mut batch: Vec<Value> = refused.iter().map(|(event, _)| event.clone()).collect();
        batch.push(play("u1"));
        assert_eq!(ingest(client, &Value::Array(batch), true), (1, 0, refused.len() as i64));
        for (event, reason) in &refused {
            let said: Vec<String> = client
                .query("SELECT reason FROM sparkify.rejected_events WHERE event = $1", &[event])
                .unwrap()
                .iter()
                .map(|row| row.get(0))
                .collect();
            assert_eq!(said, [*reason]);
        }
        // A number that fits no integer type, and a text that JSON allows and a type does not.
        let huge = "[{\"user_id\": \"u1\", \"track_id\": \"t1\", \"played_at\": \"2026-01-01T10:00:00Z\", \"ms_played\": 1e400},
                     {\"user_id\": \"u1\", \"track_id\": \"t1\", \"played_at\": 1e400}]";
        let row = client
            .query_one(&format!("SELECT rejected FROM sparkify.ingest_events('{huge}')"), &[])
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), 2);
    });
}

#[test]
fn unknown_users_are_made_or_refused() {
    small("ingest_users", |client| {
        let batch = json!([play("new"), play("u1"), with("track_id", json!("t2"))]);
        assert_eq!(ingest(client, &batch, false), (2, 0, 1));
        let reason: String =
            client.query_one("SELECT reason FROM sparkify.rejected_events", &[]).unwrap().get(0);
        assert_eq!(reason, "user \"new\" does not exist");
        assert_eq!(ingest(client, &batch, true), (1, 2, 0));
        let users: i64 =
            client.query_one("SELECT count(*) FROM sparkify.users", &[]).unwrap().get(0);
        assert_eq!(users, 2);
        // Nobody is made for an event that is refused.
        assert_eq!(
            ingest(
                client,
                &json!([{"user_id": "ghost", "track_id": "none", "played_at": "2026-01-01T10:00:00Z"}]),
                true
            ),
            (0, 0, 1)
        );
        let users: i64 =
            client.query_one("SELECT count(*) FROM sparkify.users", &[]).unwrap().get(0);
        assert_eq!(users, 2);
    });
}

#[test]
fn calls_that_make_no_sense_are_refused() {
    small("ingest_calls", |client| {
        for (call, code, message) in [
            ("NULL", SqlState::NULL_VALUE_NOT_ALLOWED, "events must not be null"),
            ("'[]', NULL", SqlState::NULL_VALUE_NOT_ALLOWED, "create_users must not be null"),
            (
                "'{}'",
                SqlState::INVALID_PARAMETER_VALUE,
                "events must be a JSON array, not a JSON object",
            ),
            (
                "'null'",
                SqlState::INVALID_PARAMETER_VALUE,
                "events must be a JSON array, not a JSON null",
            ),
        ] {
            let refused = refusal(
                client.query(&format!("SELECT * FROM sparkify.ingest_events({call})"), &[]),
            );
            assert_eq!(refused, (code, message.to_owned()));
        }
    });
}

#[test]
fn many_at_once_are_seen_by_the_next_refresh() {
    small("ingest_many", |client| {
        client
            .batch_execute(
                "SELECT sparkify.build_embeddings(2); SELECT sparkify.refresh_recommendations(3)",
            )
            .unwrap();
        let row = client
            .query_one(
                "SELECT e.* FROM (SELECT jsonb_agg(jsonb_build_object('user_id', 'n' || i % 1000, 'track_id', 't' || 1 + i % 3,
                        'played_at', to_char(timestamptz '2026-01-01' + i * interval '1 second', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))) AS events
                    FROM generate_series(1, 100000) AS i) AS made, sparkify.ingest_events(made.events) AS e",
                &[],
            )
            .unwrap();
        assert_eq!((row.get(0), row.get(1), row.get(2)), (100_000_i64, 0_i64, 0_i64));
        let written: i64 =
            client.query_one("SELECT sparkify.refresh_recommendations(3)", &[]).unwrap().get(0);
        assert!(written >= 3000, "{written}");
        let wrong: i64 = client
            .query_one("SELECT count(*) FROM sparkify.user_recommendations WHERE user_id LIKE 'n%' AND track_id IN ('t1', 't2', 't3')", &[])
            .unwrap()
            .get(0);
        assert_eq!(wrong, 0, "all of the thousand have played these");
    });
}
