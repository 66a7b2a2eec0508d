//! Models of vectors that were made elsewhere.

use postgres::Client;
use sparkify_server_tests::{Server, data, refusal};

const TRACKS: &str = "INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, duration_ms)
    SELECT 't' || i, 'Song ' || i, ARRAY['Artist ' || i], ARRAY['g' || i % 3], 'g' || i % 3, 100 FROM generate_series(1, 8) AS i;
    INSERT INTO sparkify.users (user_id, genre_weights) VALUES ('ann', NULL), ('ben', '{\"g1\": 1}');
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played) VALUES
        ('ann', 't1', '2026-01-02', 100), ('ann', 't2', '2026-01-02', 50);
    CREATE TABLE public.vectors (id text, v double precision[]);
    INSERT INTO public.vectors VALUES ('t1', '{2,0}'), ('t2', '{0,5}'), ('t3', '{4,3}'), ('t4', '{1,2}'), ('t5', '{-1,0}'), ('t6', '{3,4}'),
        ('t7', NULL), ('t8', '{0,0}'), ('gone', '{1,1}'), ('t9', '{NaN,1}');";

fn model(client: &mut Client, arguments: &str) -> Result<i64, postgres::Error> {
    Ok(client.query_one(&format!("SELECT sparkify.import_embeddings({arguments})"), &[])?.get(0))
}

#[test]
fn everything_works_on_an_imported_model() {
    let server = Server::shared();
    let database = server.database("imported_model");
    let mut client = database.connect();
    client.batch_execute(TRACKS).unwrap();
    let id = model(&mut client, "'public.vectors'").unwrap();
    let row = client
        .query_one(
            "SELECT kind, metric, active, metrics, params FROM sparkify.models WHERE model_id = $1",
            &[&id],
        )
        .unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("imported", "cosine", true));
    let metrics: serde_json::Value = row.get(3);
    let counted = [
        "tracks",
        "tracks_without_vector",
        "unknown_tracks",
        "missing_vectors",
        "not_finite_vectors",
        "zero_vectors",
    ];
    let counted: Vec<i64> = counted.iter().map(|name| metrics[name].as_i64().unwrap()).collect();
    assert_eq!(counted, [6, 2, 1, 1, 1, 1]);
    let params: serde_json::Value = row.get(4);
    assert_eq!((params["dims"].as_i64(), params["half_life_days"].as_f64()), (Some(2), Some(30.0)));

    // Ann heard t1 whole and half of t2 at one time: (1, ½), so the cosine with t3 (4, 3) is
    // (4 + 1.5) / (5 · √1.25), with t6 (3, 4) 5 / (5 · √1.25), with t4 (1, 2) 2 / (√5 · √1.25).
    let served = client
        .query("SELECT track_id, score::float8, strategy FROM sparkify.recommend('ann', 3)", &[])
        .unwrap();
    let root = 1.25f64.sqrt();
    for (row, (track, score)) in
        served.iter().zip([("t3", 1.1 / root), ("t6", 1.0 / root), ("t4", 0.8)])
    {
        assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(2)), (track, "listened"));
        assert!((row.get::<_, f64>(1) - score).abs() < 1e-6, "{track}");
    }
    // Ben declared g1: the mean of the unit vectors of t1 and t4 decides; t4 is nearest.
    let declared =
        client.query("SELECT track_id, strategy FROM sparkify.recommend('ben', 2)", &[]).unwrap();
    assert_eq!(declared[0].get::<_, &str>(1), "declared");
    let alike =
        client.query_one("SELECT track_id FROM sparkify.similar_tracks('t4', 1)", &[]).unwrap();
    assert_eq!(alike.get::<_, &str>(0), "t6");
    client
        .batch_execute("SELECT sparkify.build_user_vectors(), sparkify.refresh_recommendations(3)")
        .unwrap();
    assert_eq!(data::differences(&mut client, 3), [""; 0]);
    // A warning says how many tracks have no vector; all else passes.
    let failed = data::failed_checks(&mut client);
    assert!(failed.len() == 1 && failed[0].starts_with("tracks_embedded: 2 tracks"), "{failed:?}");
}

#[test]
fn the_pipeline_keeps_an_imported_model() {
    let server = Server::shared();
    let database = server.database("imported_pipeline");
    let mut client = database.connect();
    client.batch_execute(TRACKS).unwrap();
    let step = |client: &mut Client, step: &str| -> (String, Option<String>) {
        let sql = "SELECT status, message FROM sparkify.pipeline_runs WHERE step = $1 ORDER BY run_id DESC LIMIT 1";
        let row = client.query_one(sql, &[&step]).unwrap();
        (row.get(0), row.get(1))
    };
    let active = |client: &mut Client| -> i64 {
        client.query_one("SELECT model_id FROM sparkify.models WHERE active", &[]).unwrap().get(0)
    };
    let (code, message) =
        refusal(client.batch_execute("CALL sparkify.run_pipeline(kind => 'imported')"));
    assert_eq!(code.code(), "55000");
    assert!(message.ends_with("failed: there is no imported model"), "{message}");

    let first = model(&mut client, "'public.vectors'").unwrap();
    client.batch_execute("CALL sparkify.run_pipeline()").unwrap();
    let kept = format!("model {first} was imported and is kept");
    assert_eq!(step(&mut client, "embeddings"), ("skipped".into(), Some(kept)));
    assert_eq!(
        (step(&mut client, "pipeline").0.as_str(), active(&mut client)),
        ("succeeded", first)
    );
    assert_eq!(data::differences(&mut client, 10), [""; 0]);

    // Asked for, another kind is trained; what was imported is not pruned, and can come back.
    client
        .batch_execute("CALL sparkify.run_pipeline(kind => 'content', dims => 2, keep_models => 0)")
        .unwrap();
    assert_ne!(active(&mut client), first);
    // A play that this run must take up, though the model is as it was.
    client
        .batch_execute(
            "INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played) VALUES ('ben', 't5', '2026-01-03', 100)",
        )
        .unwrap();
    client
        .batch_execute("CALL sparkify.run_pipeline(kind => 'imported', keep_models => 0)")
        .unwrap();
    assert_eq!(active(&mut client), first);
    assert_eq!(data::differences(&mut client, 10), [""; 0]);
    let models: i64 = client.query_one("SELECT count(*) FROM sparkify.models", &[]).unwrap().get(0);
    assert_eq!(models, 1);
}

#[test]
fn vectors_of_every_type_and_what_is_refused() {
    let server = Server::shared();
    let database = server.database("imported_types");
    let mut client = database.connect();
    client.batch_execute(TRACKS).unwrap();
    let good = "SELECT id, v FROM public.vectors WHERE id IN (''t1'', ''t2'', ''t3'')";
    let digest = |client: &mut Client, id: i64| -> String {
        let sql = "SELECT string_agg(track_id || embedding::text, ' ' ORDER BY track_id) FROM sparkify.track_embeddings WHERE model_id = $1";
        client.query_one(sql, &[&id]).unwrap().get(0)
    };
    for kind in ["real[]", "double precision[]", "numeric[]", "integer[]"] {
        let source = format!("'SELECT id, v::{kind} FROM ({good}) AS g', false");
        let id = model(&mut client, &source).unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        assert_eq!(digest(&mut client, id), "t1{2,0} t2{0,5} t3{4,3}", "{kind}");
    }
    // A type with a cast to real[], as pgvector's has; its function runs as the caller.
    client
        .batch_execute(
            "CREATE TYPE public.pair AS (x real, y real);
             CREATE FUNCTION public.to_reals(public.pair) RETURNS real[] LANGUAGE sql IMMUTABLE AS 'SELECT ARRAY[$1.x, $1.y]';
             CREATE CAST (public.pair AS real[]) WITH FUNCTION public.to_reals(public.pair);",
        )
        .unwrap();
    let id = model(
        &mut client,
        &format!("'SELECT id, ROW(v[1], v[2])::public.pair FROM ({good}) AS g', false"),
    )
    .unwrap();
    assert_eq!(digest(&mut client, id), "t1{2,0} t2{0,5} t3{4,3}");
    let active: i64 =
        client.query_one("SELECT count(*) FROM sparkify.models WHERE active", &[]).unwrap().get(0);
    assert_eq!(active, 0);
    for (arguments, code, message) in [
        ("NULL", "22004", "source must not be null"),
        (
            "'SELECT id, id FROM public.vectors'",
            "42804",
            "column \"id\" of the source is not a vector",
        ),
        (
            "'SELECT id FROM public.vectors'",
            "42703",
            "the source has no columns track_id and embedding",
        ),
        (
            "'SELECT ''t1'', ''{1}''::real[] UNION ALL SELECT ''t1'', ''{2}''::real[]'",
            "21000",
            "the source gives two vectors for track \"t1\"",
        ),
        (
            "'SELECT ''t1'', ''{1}''::real[] UNION ALL SELECT ''t2'', ''{1,2}''::real[]'",
            "22023",
            "the vector of track \"t2\" has 2 dimensions, and that of \"t1\" has 1",
        ),
        (
            "'SELECT ''t1'', array_fill(1::real, ARRAY[2001])'",
            "22023",
            "vectors may have at most 2000 dimensions, not 2001",
        ),
        (
            "'SELECT ''x'', ''{1}''::real[]'",
            "55000",
            "the source gives no vector of a track of the catalogue",
        ),
        (
            "'public.vectors', true, 'euclidean'",
            "22023",
            "metric must be cosine, not \"euclidean\"",
        ),
        (
            "'public.vectors', half_life_days => 0",
            "22023",
            "half_life_days must be above 0 and finite, not 0",
        ),
    ] {
        let (state, text) = refusal(model(&mut client, arguments));
        assert_eq!((state.code(), text.as_str()), (code, message), "{arguments}");
    }
}
