\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\i :fresh
-- Nothing to build from.
SELECT refused('SELECT sparkify.build_embeddings()');
INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES ('one', 'One', '{A}');
SELECT refused('SELECT sparkify.build_embeddings(1)');
INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES ('two', 'Two', '{A}');
SELECT refused('SELECT sparkify.build_embeddings(1)');

-- Four tracks on a line: energy and valence say the same, twice over (2 of 2 in one component).
-- Standardised 1, 2, 3, 4 is (-3, -1, 1, 3) / sqrt 5; on the axis (1, 1) / sqrt 2 it is times sqrt 2.
DELETE FROM sparkify.tracks;
INSERT INTO sparkify.tracks (track_id, track_name, artists, energy, valence)
SELECT 't' || i, 'Song ' || i, '{A}', i * 0.2, i * 0.1 FROM generate_series(1, 4) AS i;
SELECT sparkify.build_embeddings(1) AS model_id;
SELECT track_id, round(embedding[1]::numeric, 4) AS x, round((sqrt(2.0 / 5) * (2 * right(track_id, 1)::int - 5))::numeric, 4) AS expected
FROM sparkify.track_embeddings WHERE model_id = 1 ORDER BY track_id;
SELECT kind, metric, params, active, recommended FROM sparkify.models;
SELECT metrics - 'milliseconds' - 'explained_variance' - 'explained_variance_ratio' AS metrics,
    round((metrics ->> 'explained_variance')::numeric, 6) AS explained_variance,
    ARRAY(SELECT jsonb_object_keys(metrics -> 'milliseconds') ORDER BY 1) AS timed
FROM sparkify.models;
-- A missing value is the mean of the known: the track without energy lies in the middle.
INSERT INTO sparkify.tracks (track_id, track_name, artists, energy, valence) VALUES ('t5', 'Song 5', '{A}', NULL, 0.25);
SELECT sparkify.build_embeddings(dims => 1, activate => false, half_life_days => 7.5) AS model_id;
SELECT round(abs(embedding[1])::numeric, 4) AS x FROM sparkify.track_embeddings WHERE model_id = 2 AND track_id = 't5';
SELECT metrics -> 'missing_values' -> 'energy' AS missing, params FROM sparkify.models WHERE model_id = 2;
-- Genres are columns, several for a track; a genre that all have is constant, and left out.
UPDATE sparkify.tracks SET genres = CASE WHEN track_id < 't3' THEN '{all,low}' ELSE '{all,"high ü"}' END::text[];
SELECT sparkify.build_embeddings(2) AS model_id;
SELECT metrics -> 'constant_features' AS constant, metrics -> 'features' AS features, metrics -> 'genres' AS genres
FROM sparkify.models WHERE model_id = 3;
SELECT genre, tracks, cardinality(embedding) FROM sparkify.genre_embeddings WHERE model_id = 3 ORDER BY genre;
-- A centroid is the mean of the unit vectors of its tracks.
SELECT genre, i, abs(avg(e.embedding[i] / sqrt(e.embedding[1] ^ 2 + e.embedding[2] ^ 2)) - max(g.embedding[i])) < 1e-5 AS mean
FROM sparkify.genre_embeddings AS g JOIN sparkify.track_embeddings AS e USING (model_id)
JOIN sparkify.tracks AS t ON t.track_id = e.track_id AND g.genre = ANY (t.genres)
CROSS JOIN generate_series(1, 2) AS i
WHERE model_id = 3 GROUP BY genre, i ORDER BY genre, i;
-- The same again is the same, under another id and fingerprint.
SELECT sparkify.build_embeddings(2, activate => false) AS model_id;
SELECT count(*) FILTER (WHERE a.embedding = b.embedding) AS same, count(*)
FROM sparkify.track_embeddings AS a JOIN sparkify.track_embeddings AS b USING (track_id)
WHERE a.model_id = 3 AND b.model_id = 4;
SELECT count(DISTINCT fingerprint) FROM sparkify.models;

-- What is refused leaves no model behind.
SELECT refused('SELECT sparkify.build_embeddings(200)');
SELECT refused('SELECT sparkify.build_embeddings(0)');
SELECT refused('SELECT sparkify.build_embeddings(-1)');
SELECT refused('SELECT sparkify.build_embeddings(16001)');
SELECT refused('SELECT sparkify.build_embeddings(1, activate => NULL)');
SELECT refused('SELECT sparkify.build_embeddings(1, half_life_days => NULL)');
SELECT refused('SELECT sparkify.build_embeddings(1, half_life_days => 0)');
SELECT refused('SELECT sparkify.build_embeddings(1, half_life_days => ''NaN'')');
SELECT refused('SELECT sparkify.build_embeddings(1, half_life_days => ''Infinity'')');
SELECT count(*) FROM sparkify.models;

-- One model serves at a time.
SELECT model_id, active FROM sparkify.models ORDER BY model_id;
SELECT sparkify.activate_model(2);
SELECT sparkify.activate_model(2);
SELECT model_id, active FROM sparkify.models ORDER BY model_id;
SELECT refused('UPDATE sparkify.models SET active = true');
SELECT refused('SELECT sparkify.activate_model(99)');
SELECT refused('SELECT sparkify.activate_model(NULL)');
SELECT model_id FROM sparkify.models WHERE active;
-- Where none serves, the hint names the newest.
UPDATE sparkify.models SET active = false;
SELECT refused('SELECT sparkify.refresh_recommendations()');
SELECT refused('SELECT * FROM sparkify.validate()');
-- A deleted model takes along what is its own.
INSERT INTO sparkify.users (user_id) VALUES ('u');
SELECT sparkify.refresh_recommendations(2, model_id => 3), sparkify.refresh_recommendations(2, model_id => 2);
DELETE FROM sparkify.models WHERE model_id = 3;
SELECT model_id, count(*) FROM sparkify.track_embeddings GROUP BY 1 ORDER BY 1;
SELECT DISTINCT model_id FROM sparkify.genre_embeddings ORDER BY 1;
SELECT DISTINCT model_id FROM sparkify.user_vectors ORDER BY 1;
SELECT model_id, count(*) FROM sparkify.user_recommendations GROUP BY 1 ORDER BY 1;
-- Embeddings changed by hand make another model of it: the fingerprint tells, and only that one's.
CREATE TEMPORARY TABLE before AS SELECT model_id, fingerprint FROM sparkify.models;
UPDATE sparkify.track_embeddings SET embedding = embedding WHERE model_id = 2 AND track_id = 't1';
SELECT model_id, b.fingerprint = m.fingerprint AS same FROM sparkify.models AS m JOIN before AS b USING (model_id) ORDER BY 1;
