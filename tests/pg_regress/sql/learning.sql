\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\i :fresh
\set ECHO all
-- Ratings.
SELECT refused($$SELECT sparkify.rate_track(NULL, 't1', 1)$$);
SELECT refused($$SELECT sparkify.rate_track('u1', NULL, 1)$$);
SELECT refused($$SELECT sparkify.rate_track('', 't1', 1)$$);
SELECT refused($$SELECT sparkify.rate_track('u1', '', 1)$$);
SELECT refused($$SELECT sparkify.rate_track('u1', 't1', 2)$$);
SELECT sparkify.rate_track('u1', 't1', 1), sparkify.rate_track('u1', 't2', -1), sparkify.rate_track('u2', 't1', 1);
SELECT sparkify.rate_track('u1', 't1', -1), sparkify.rate_track('u1', 't2', 0), sparkify.rate_track('u2', 't1', NULL);
SELECT user_id, track_id, rating FROM sparkify.track_feedback ORDER BY 1, 2;
-- Whoever rates is taken up by the next refresh.
SELECT DISTINCT user_id FROM sparkify_internal.changed_users ORDER BY 1;
SELECT refused($$INSERT INTO sparkify.track_feedback VALUES ('u1', 't3', 0)$$);
SELECT refused($$INSERT INTO sparkify.track_feedback VALUES ('u1', 't3', 1, 'infinity')$$);
SELECT * FROM sparkify.forget_user('u1') WHERE table_name LIKE '%feedback';
SELECT count(*) FROM sparkify.track_feedback;

-- Calls that make no sense.
SELECT refused($$SELECT sparkify.train_model(NULL)$$);
SELECT refused($$SELECT sparkify.train_model('psychic')$$);
SELECT refused($$SELECT sparkify.train_model(dims => 0)$$);
SELECT refused($$SELECT sparkify.train_model(activate => NULL)$$);
SELECT refused($$SELECT sparkify.train_model(half_life_days => -1)$$);
SELECT refused($$SELECT sparkify.train_model(seed => NULL)$$);
SELECT refused($$SELECT sparkify.train_model(threads => 0)$$);
SELECT refused($$SELECT sparkify.train_model(iterations => 0)$$);
SELECT refused($$SELECT sparkify.train_model()$$);
SELECT refused($$SELECT sparkify.train_model('collaborative')$$);
SELECT refused($$SELECT * FROM sparkify.evaluate_model()$$);
SELECT refused($$SELECT * FROM sparkify.evaluate_model(NULL)$$);
SELECT refused($$SELECT * FROM sparkify.evaluate_model(holdout => NULL)$$);
SELECT refused($$SELECT * FROM sparkify.evaluate_model(k => 0)$$);
SELECT refused($$SELECT * FROM sparkify.evaluate_model(max_users => 0)$$);

-- Two tastes: users of even number play even tracks, others odd ones. Nobody played tracks 41 to 44.
INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy, valence)
SELECT to_char(i, '"t"00'), 'Song ' || i, ARRAY['Artist ' || i], ARRAY['g' || i % 2], 'g' || i % 2, i % 10 * 0.1, i % 7 * 0.1
FROM generate_series(1, 44) AS i;
INSERT INTO sparkify.users (user_id) SELECT to_char(u, '"u"000') FROM generate_series(1, 120) AS u;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at, event_id)
SELECT to_char(u, '"u"000'), to_char(i, '"t"00'), timestamptz '2026-01-01' + ((i * 7 + u * 3) % 60) * interval '1 day', md5(u || '/' || i)::uuid
FROM generate_series(1, 120) AS u, generate_series(1, 40) AS i
WHERE i % 2 = u % 2 AND (i * 13 + u * 5) % 8 > 2;
SELECT refused($$SELECT sparkify.train_model(ridge => 0)$$);
SELECT refused($$SELECT sparkify.train_model(boost => 'NaN')$$);
SELECT refused($$SELECT sparkify.train_model(until => '2020-01-01')$$);
SET client_min_messages = warning;
SELECT sparkify.train_model() AS model_id;
SELECT kind, metric, active, params ->> 'dims' AS dims, params -> 'half_life_days' AS half_life_days,
    metrics -> 'tracks' AS tracks, metrics -> 'tracks_without_plays' AS without, metrics -> 'users' AS users,
    metrics #> '{validation,users}' AS validated_on, jsonb_array_length(metrics #> '{validation,trials}') AS trials
FROM sparkify.models;
SELECT count(*), min(track_no), max(track_no), count(DISTINCT track_no), min(listeners), max(listeners) FROM sparkify.track_embeddings;
SELECT cardinality(state) > 20 AS state, cardinality(cold_means) AS means, cold_genres, cardinality(cold_weights) = 16 * cardinality(embedding) AS weights
FROM sparkify_internal.model_states JOIN sparkify.track_embeddings USING (model_id) WHERE track_no = 0;
-- Everybody is given what is of their own colour, tracks without plays among them.
SELECT count(*), count(*) FILTER (WHERE right(r.track_id, 1)::int % 2 = right(u.user_id, 1)::int % 2) AS own
FROM sparkify.users AS u CROSS JOIN LATERAL sparkify.recommend(u.user_id, 5) AS r;
-- A disliked track never comes.
SELECT r.track_id AS best FROM sparkify.recommend('u001', 1) AS r \gset
SELECT sparkify.rate_track('u001', :'best', -1);
SELECT count(*) FROM sparkify.recommend('u001', 40) AS r WHERE r.track_id = :'best';
-- The same seed gives the same model, on any number of threads; another does not.
SELECT sparkify.train_model(activate => false, threads => 1) AS model_id;
SELECT sparkify.train_model(activate => false, threads => 4) AS model_id;
SELECT sparkify.train_model(activate => false, seed => 7) AS model_id;
CREATE TEMP VIEW digests AS
SELECT model_id, md5(string_agg(array_send(embedding)::text, '' ORDER BY track_no)) AS vectors,
    (SELECT md5(array_send(state)::text) FROM sparkify_internal.model_states AS s WHERE s.model_id = e.model_id) AS state
FROM sparkify.track_embeddings AS e GROUP BY model_id;
SELECT b.model_id, a.vectors = b.vectors AS vectors, a.state = b.state AS state
FROM digests AS a JOIN digests AS b ON b.model_id > a.model_id WHERE a.model_id = 2 ORDER BY 1;
-- What was played before a moment; tracks that nobody played have no place in a collaborative model.
SELECT sparkify.train_model('collaborative', activate => false, until => '2026-01-20', neighbour_weight => 0.2) AS model_id;
SELECT kind, metrics -> 'tracks' AS tracks, metrics -> 'tracks_without_plays' AS without, params ->> 'until' LIKE '2026-01-20%' AS until,
    (metrics -> 'plays')::int < (SELECT (metrics -> 'plays')::int FROM sparkify.models WHERE model_id = 1) AS fewer
FROM sparkify.models WHERE model_id = 5;
SELECT count(*) > 0 AS neighbours, bool_and(weight > 0) AS above, count(*) FILTER (WHERE track_id = neighbour_id) AS own
FROM sparkify.track_neighbours WHERE model_id = 5;
SELECT count(*) FROM sparkify_internal.model_states WHERE model_id = 5 AND cold_weights IS NULL;
-- auto: hybrid where there are plays enough.
SELECT sparkify.train_model('auto', activate => false) AS model_id;
SELECT sparkify.train_model('auto', activate => false, until => '2026-01-03') AS model_id;
SELECT sparkify.train_model('content', activate => false, genre_weight => 2) AS model_id;
SELECT kind, metric, params -> 'genre_weight' AS genre_weight FROM sparkify.models WHERE model_id > 5 ORDER BY model_id;

-- An evaluation leaves its rows and nothing else.
SELECT count(*) AS models, max(model_id) AS newest FROM sparkify.models;
CREATE TEMP TABLE evaluation AS SELECT * FROM sparkify.evaluate_model(k => 3);
SELECT count(*) AS models, max(model_id) AS newest FROM sparkify.models;
SELECT subject, plays, count(*), min(users) > 50 AS users, count(standard_error) FROM evaluation GROUP BY 1, 2 ORDER BY 1 COLLATE "C", 2;
SELECT (SELECT value FROM evaluation WHERE subject = 'hybrid' AND plays = 'new' AND metric = 'recall')
    > 1.5 * (SELECT value FROM evaluation WHERE subject = 'chance' AND plays = 'new' AND metric = 'recall') AS better_than_chance;
SELECT count(*) FROM (SELECT subject, plays, metric, k, value, standard_error, users FROM sparkify.model_evaluations
    EXCEPT SELECT * FROM evaluation) AS other;
SELECT kind, count(*), count(DISTINCT evaluation_id), bool_and(params ? 'cut') FROM sparkify.model_evaluations GROUP BY kind;
SELECT bool_and(value BETWEEN 0 AND 1) FROM evaluation WHERE metric <> 'novelty' AND metric <> 'diversity';
SELECT refused($$SELECT * FROM sparkify.evaluate_model(holdout => '10 years')$$);
SELECT refused($$SELECT * FROM sparkify.evaluate_model(holdout => '-1 day')$$);

-- What a model stored goes with it.
DELETE FROM sparkify.models WHERE model_id = 5;
SELECT count(*) FROM sparkify_internal.track_neighbours WHERE model_id = 5;
SELECT count(*) FROM sparkify_internal.model_states WHERE model_id = 5;
-- Whoever changes it by hand makes another model of it.
SELECT fingerprint AS before FROM sparkify.models WHERE model_id = 1 \gset
UPDATE sparkify_internal.model_states SET cold_means = cold_means WHERE model_id = 1;
SELECT fingerprint <> :'before' AS renewed FROM sparkify.models WHERE model_id = 1;
