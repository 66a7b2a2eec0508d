//! What any model must hold to: batch equals on demand, bit for bit, and what
//! was played or excluded stays out.

use postgres::Client;
use sparkify_server_tests::Server;
use sparkify_server_tests::data::{differences, failed_checks, fill, on_demand, stored};

const USERS: i64 = 160;

fn refresh(client: &mut Client, call: &str) -> i64 {
    client
        .query_one(&format!("SELECT sparkify.refresh_recommendations({call})"), &[])
        .expect(call)
        .get(0)
}

fn strategies(client: &mut Client) -> Vec<(String, i64)> {
    client
        .query("SELECT strategy, count(*) FROM sparkify.user_vectors GROUP BY 1 ORDER BY 1", &[])
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
}

#[test]
fn batch_equals_on_demand_bit_for_bit() {
    let server = Server::shared();
    let database = server.database("contract_batch");
    let mut client = database.connect();
    fill(&mut client, 900, USERS as usize);
    client.batch_execute("SELECT sparkify.build_embeddings(24)").unwrap();
    let none: [String; 0] = [];
    for n in [1, 10, 137, 1000] {
        refresh(&mut client, &format!("{n}"));
        assert_eq!(differences(&mut client, n), none, "n = {n}");
    }
    let users = strategies(&mut client);
    assert_eq!(users, [("declared".into(), 20), ("listened".into(), 120), ("popular".into(), 20)]);
    // Neither the number of threads nor doing it again makes a difference.
    refresh(&mut client, "50, threads => 1, force => true");
    let alone = stored(&mut client);
    for threads in [2, 3, 8] {
        refresh(&mut client, &format!("50, threads => {threads}, force => true"));
        assert_eq!(stored(&mut client), alone, "{threads} threads");
    }
    assert_eq!(alone.0, 50 * USERS);

    // Tracks that are gone since the model was built: no list is shorter for it.
    client
        .batch_execute(
            "DELETE FROM sparkify.tracks WHERE hashtext(track_id) % 3 = 0;
            DELETE FROM sparkify.tracks WHERE track_id IN
                (SELECT track_id FROM sparkify.user_recommendations WHERE rank = 1)",
        )
        .unwrap();
    assert!(refresh(&mut client, "50") > 0);
    assert_eq!(stored(&mut client).0, 50 * USERS);
    refresh(&mut client, "50, force => true");
    assert_eq!(differences(&mut client, 50), none, "after deletes");
    // What is left of the checks are the plays of tracks that are gone.
    let failed = failed_checks(&mut client);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].starts_with("events_of_known_tracks"), "{failed:?}");

    // Changes of any kind, taken up for those who changed alone.
    client
        .batch_execute(
            "INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
                SELECT 'user 9', track_id, '2025-06-01' FROM sparkify.user_recommendations
                WHERE user_id = 'user 9' AND rank < 4;
            DELETE FROM sparkify.listening_events WHERE user_id IN ('user 3', 'user 10');
            UPDATE sparkify.listening_events SET ms_played = 0 WHERE user_id = 'user 4';
            UPDATE sparkify.users SET genre_weights = NULL WHERE user_id = 'user 8'",
        )
        .unwrap();
    assert_eq!(refresh(&mut client, "50"), 5 * 50);
    let changed = differences(&mut client, 50);
    // Popularity has moved with the plays, for those who are ranked by it and did not change.
    let popular: Vec<String> = client
        .query("SELECT user_id FROM sparkify.user_vectors WHERE strategy = 'popular'", &[])
        .unwrap()
        .iter()
        .map(|row| format!("{} ", row.get::<_, String>(0)))
        .collect();
    assert!(changed.iter().all(|d| popular.iter().any(|user| d.starts_with(user))), "{changed:?}");
    refresh(&mut client, "50, force => true");
    assert_eq!(differences(&mut client, 50), none, "after changes");
}

#[test]
fn parallel_workers_answer_as_the_leader_does() {
    let server = Server::shared();
    let database = server.database("contract_parallel");
    let mut client = database.connect();
    fill(&mut client, 300, 40);
    client.batch_execute("SELECT sparkify.build_embeddings(8)").unwrap();
    let alone = on_demand(&mut client, 9);
    assert_eq!(alone.0, 9 * 40);
    // The name of the setting changed with PostgreSQL 16.
    client
        .batch_execute(
            "SELECT set_config(name, 'on', false) FROM pg_settings
                WHERE name IN ('force_parallel_mode', 'debug_parallel_query')",
        )
        .unwrap();
    let call = "SELECT r.* FROM sparkify.users AS u, sparkify.recommend(u.user_id) AS r";
    let plan: String = client.query(&format!("EXPLAIN {call}"), &[]).unwrap()[0].get(0);
    assert!(plan.starts_with("Gather"), "{plan}");
    assert_eq!(on_demand(&mut client, 9), alone);
    for call in [
        "SELECT count(*) FROM sparkify.similar_tracks('track 5', 20)",
        "SELECT jsonb_array_length(sparkify.recommend_json('user 1', 20))::bigint",
    ] {
        assert_eq!(client.query_one(call, &[]).unwrap().get::<_, i64>(0), 20, "{call}");
    }
}

/// Two groups of tracks, of listeners and of plays, each in its own group: black and white squares.
const CHECKERBOARD: &str = "
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy, valence, popularity)
    SELECT format('%s%s', side, lpad(i::text, 2, '0')), format('Song %s %s', side, i), '{A}', ARRAY[side], side,
        CASE side WHEN 'black' THEN 0.1 ELSE 0.9 END, CASE side WHEN 'black' THEN 0.8 ELSE 0.2 END + i * 0.001, 50
    FROM unnest('{black,white}'::text[]) AS side, generate_series(1, 20) AS i;
    INSERT INTO sparkify.users (user_id) SELECT format('%s user %s', side, i)
    FROM unnest('{black,white}'::text[]) AS side, generate_series(1, 10) AS i;
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
    SELECT format('%s user %s', side, u), format('%s%s', side, lpad((2 * i + u % 2 - 1)::text, 2, '0')), '2025-01-01'
    FROM unnest('{black,white}'::text[]) AS side, generate_series(1, 10) AS u, generate_series(1, 10) AS i
    WHERE 2 * i + u % 2 - 1 <= 20;
    SELECT sparkify.build_embeddings(2);";

#[test]
fn on_a_checkerboard_the_known_answer_is_found() {
    let server = Server::shared();
    let database = server.database("contract_checkerboard");
    let mut client = database.connect();
    client.batch_execute(CHECKERBOARD).unwrap();
    refresh(&mut client, "10");
    for from in [
        "sparkify.user_recommendations",
        "(SELECT u.user_id, r.* FROM sparkify.users AS u, sparkify.recommend(u.user_id) AS r) AS r",
    ] {
        // Ten squares of a user's colour are played, the other ten are the list; of the other colour none.
        let row = client
            .query_one(
                &format!(
                    "SELECT count(*), count(*) FILTER (WHERE left(user_id, 5) = left(track_id, 5)),
                        count(*) FILTER (WHERE EXISTS (SELECT FROM sparkify.listening_events AS e
                            WHERE e.user_id = r.user_id AND e.track_id = r.track_id))
                    FROM {} WHERE rank <= 10",
                    if from.ends_with('r') { from.to_owned() } else { format!("{from} AS r") }
                ),
                &[],
            )
            .unwrap();
        let (rows, own, played): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        assert_eq!((rows, own, played), (200, 200, 0), "{from}");
    }
    // And tracks are similar to those of their colour.
    let crossed: i64 = client
        .query_one(
            "SELECT count(*) FROM sparkify.tracks AS t, sparkify.similar_tracks(t.track_id, 19) AS s
            WHERE left(t.track_id, 5) <> left(s.track_id, 5)",
            &[],
        )
        .unwrap()
        .get(0);
    assert_eq!(crossed, 0);
}
