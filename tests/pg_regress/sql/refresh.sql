\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\set hand_made :tests '/hand_made.psql'
\i :fresh
SELECT refused('SELECT sparkify.refresh_recommendations()');
\set ECHO errors
\i :hand_made
\set ECHO all
CREATE TEMPORARY VIEW lists AS
SELECT user_id, model_id, string_agg(track_id, ' ' ORDER BY rank) AS tracks, min(strategy) AS strategy
FROM sparkify.user_recommendations GROUP BY user_id, model_id;
-- Who had a list made since the last look: each list has the time of its refresh.
CREATE TEMPORARY TABLE looked (user_id text COLLATE "C", generated_at timestamptz);
CREATE FUNCTION pg_temp.made() RETURNS text LANGUAGE sql AS $$
    WITH now AS MATERIALIZED (SELECT DISTINCT user_id, generated_at FROM sparkify.user_recommendations WHERE model_id = 1),
        made AS (SELECT user_id FROM (SELECT * FROM now EXCEPT SELECT * FROM looked) AS n),
        forgotten AS (DELETE FROM looked),
        kept AS (INSERT INTO looked SELECT * FROM now)
    SELECT coalesce(string_agg(user_id, ' ' ORDER BY user_id), 'nobody') FROM made
$$;

-- The first time everyone, with what recommend() says.
SELECT sparkify.refresh_recommendations(3);
SELECT * FROM lists ORDER BY user_id;
SELECT rank, track_id, round(score::numeric, 3) AS score, strategy FROM sparkify.user_recommendations WHERE user_id = 'ann' ORDER BY rank;
SELECT pg_temp.made();
SELECT model_id, recommended FROM sparkify.models;
SELECT count(*) FROM sparkify_internal.changed_users;
SELECT count(*) FROM sparkify.user_vectors;
-- Then nobody, until something changes; and only those of whom it does.
SELECT sparkify.refresh_recommendations(3), pg_temp.made();
INSERT INTO sparkify.listening_events (user_id, track_id, played_at, event_id)
VALUES ('pam', 'b3', '2025-02-01', '00000000-0000-0000-0000-000000000001');
SELECT sparkify.refresh_recommendations(3), pg_temp.made();
SELECT * FROM lists WHERE user_id = 'pam';
UPDATE sparkify.listening_events SET user_id = 'eve' WHERE user_id = 'pam';
SELECT sparkify.refresh_recommendations(3), pg_temp.made();
SELECT * FROM lists WHERE user_id IN ('eve', 'pam') ORDER BY user_id;
DELETE FROM sparkify.listening_events WHERE user_id = 'eve';
UPDATE sparkify.users SET genre_weights = '{"loud": 1}' WHERE user_id = 'eve';
SELECT sparkify.refresh_recommendations(3), pg_temp.made();
SELECT * FROM lists WHERE user_id = 'eve';
-- New users, with events and without; an event of somebody who is none.
INSERT INTO sparkify.users (user_id) VALUES ('uma'), ('vic');
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('vic', 'b1', '2025-02-01'), ('nobody', 'b1', '2025-02-01');
SELECT sparkify.refresh_recommendations(3), pg_temp.made();
SELECT * FROM lists WHERE user_id IN ('uma', 'vic', 'nobody') ORDER BY user_id;
-- A user that is gone takes the lists along; one renamed is another one.
DELETE FROM sparkify.users WHERE user_id = 'uma';
UPDATE sparkify.users SET user_id = 'vix' WHERE user_id = 'vic';
SELECT sparkify.refresh_recommendations(3), pg_temp.made();
SELECT * FROM lists WHERE user_id > 'u' ORDER BY user_id;
SELECT user_id FROM sparkify.user_vectors WHERE user_id > 'u' ORDER BY user_id;
DELETE FROM sparkify.users WHERE user_id = 'vix';
DELETE FROM sparkify.listening_events WHERE user_id IN ('vic', 'nobody');
SELECT sparkify.refresh_recommendations(3), pg_temp.made();
-- tom has heard it all: there is nothing to store, now or at the next refresh.
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('tom', 'b3', '2025-02-01');
SELECT sparkify.refresh_recommendations(3), pg_temp.made();
SELECT count(*) AS lists FROM lists WHERE user_id = 'tom';
SELECT count(*) AS noted FROM sparkify_internal.changed_users;
SELECT sparkify.refresh_recommendations(3), pg_temp.made();
SELECT strategy FROM sparkify.user_vectors WHERE user_id = 'tom';
-- Another n, and force, are for everyone.
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
SELECT sparkify.refresh_recommendations(n => 2, force => true, threads => 5), pg_temp.made();
SELECT sparkify.refresh_recommendations(1000), pg_temp.made();
SELECT * FROM lists ORDER BY user_id;
-- Batch is what is served on demand.
SELECT count(*) AS stored, count(r.rank) AS as_served
FROM sparkify.user_recommendations AS s
LEFT JOIN (SELECT u.user_id, r.* FROM sparkify.users AS u, sparkify.recommend(u.user_id, 1000) AS r) AS r
    USING (user_id, model_id, rank, track_id, score, strategy);

-- Emptied tables: everyone, once.
TRUNCATE sparkify.recommendation_lists;
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
CREATE TEMPORARY TABLE kept AS SELECT * FROM sparkify.listening_events;
TRUNCATE sparkify.listening_events;
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
SELECT * FROM lists ORDER BY user_id;
INSERT INTO sparkify.listening_events SELECT * FROM kept;
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
SELECT * FROM lists ORDER BY user_id;
-- A play to come is looked at again and again, until it counts.
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('pam', 'b3', '2999-01-01');
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
UPDATE sparkify.listening_events SET played_at = '2025-03-01' WHERE user_id = 'pam';
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
SELECT sparkify.refresh_recommendations(2), pg_temp.made();

-- Whoever was recommended a track that is gone, gets another.
BEGIN;
DELETE FROM sparkify.tracks WHERE track_id IN ('a4', 'b2');
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
SELECT * FROM lists WHERE user_id IN ('bob', 'pam') ORDER BY user_id;
ROLLBACK;
SELECT pg_temp.made();
BEGIN;
TRUNCATE sparkify.tracks;
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
ROLLBACK;

-- A model that does not serve yet has lists of its own, and leaves the notes to the one that does.
INSERT INTO sparkify.models (kind, metric, params) VALUES ('content', 'cosine', '{"dims": 1, "half_life_days": 30}');
INSERT INTO sparkify.track_embeddings (model_id, track_id, embedding, song_key)
SELECT 2, track_id, ARRAY[CASE WHEN track_id < 'b' THEN -1 ELSE 1 END], song_key FROM sparkify.tracks;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('pam', 'b1', '2025-03-01');
SELECT sparkify.refresh_recommendations(2, model_id => 2);
SELECT * FROM lists WHERE user_id IN ('ann', 'pam') ORDER BY user_id, model_id;
SELECT count(*) AS noted FROM sparkify_internal.changed_users;
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
SELECT model_id, recommended FROM sparkify.models ORDER BY model_id;
-- Once it serves, those who changed since are made anew: here everyone, for the notes are gone.
SELECT sparkify.activate_model(2);
SELECT sparkify.refresh_recommendations(2), pg_temp.made();
SELECT * FROM lists WHERE user_id IN ('ann', 'pam') ORDER BY user_id, model_id;

SELECT refused('SELECT sparkify.refresh_recommendations(0)');
SELECT refused('SELECT sparkify.refresh_recommendations(1001)');
SELECT refused('SELECT sparkify.refresh_recommendations(NULL)');
SELECT refused('SELECT sparkify.refresh_recommendations(2, force => NULL)');
SELECT refused('SELECT sparkify.refresh_recommendations(2, threads => 0)');
SELECT refused('SELECT sparkify.refresh_recommendations(2, threads => 257)');
SELECT refused('SELECT sparkify.refresh_recommendations(2, threads => NULL)');
SELECT refused('SELECT sparkify.refresh_recommendations(2, model_id => 99)');
-- Without users there is nothing to do, and what was stored goes.
DELETE FROM sparkify.users;
SELECT sparkify.refresh_recommendations(2);
SELECT count(*) FROM sparkify.user_recommendations WHERE model_id = 2;
SELECT sparkify.refresh_recommendations(2, force => true);
DROP VIEW lists;
