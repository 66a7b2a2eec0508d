\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\set hand_made :tests '/hand_made.psql'
\i :fresh
\set ECHO errors
\i :hand_made
\set ECHO all
SELECT jsonb_pretty(sparkify.recommend_json('bob', 1) #- '{0,score}');
-- The rows of recommend(), in their order, each with all its columns.
SELECT u.user_id, jsonb_agg(to_jsonb(r) - 'score' ORDER BY r.rank)
        = (SELECT jsonb_agg(j - 'score' ORDER BY place) FROM jsonb_array_elements(max(a.rows::text)::jsonb) WITH ORDINALITY AS e (j, place)) AS same,
    bool_and(r.score = (a.rows -> (r.rank - 1) ->> 'score')::real) AS same_scores
FROM sparkify.users AS u, LATERAL sparkify.recommend(u.user_id) AS r, LATERAL sparkify.recommend_json(u.user_id) AS a (rows)
GROUP BY u.user_id ORDER BY u.user_id;
SELECT jsonb_array_length(sparkify.recommend_json('ann')), jsonb_array_length(sparkify.recommend_json('ann', n => 2));
-- Nothing left is an empty array; a track without genre has null.
SELECT sparkify.recommend_json('ann', 1000) @> '[{"track_id": "z0", "genre": null}]' AS null_genre;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('tom', 'b3', '2025-01-03');
SELECT sparkify.recommend_json('tom');
SELECT refused('SELECT sparkify.recommend_json(NULL)');
SELECT refused('SELECT sparkify.recommend_json(''u42'')');
SELECT refused('SELECT sparkify.recommend_json(''ann'', 0)');
SELECT refused('SELECT sparkify.recommend_json(''ann'', 1001)');
SELECT refused('SELECT sparkify.recommend_json(''ann'', NULL)');
DELETE FROM sparkify.models;
SELECT refused('SELECT sparkify.recommend_json(''ann'')');
