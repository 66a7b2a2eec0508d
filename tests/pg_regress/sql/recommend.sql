\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\set hand_made :tests '/hand_made.psql'
\i :fresh
-- Nothing to recommend from.
SELECT refused('SELECT * FROM sparkify.recommend(''ann'')');
\set ECHO errors
\i :hand_made
\set ECHO all

-- ann has heard what lies east: cosines to (1, 0), without the track itself, and 'a3r' is 'a3' again.
SELECT rank, track_id, track_name, primary_artist, genre, round(score::numeric, 3) AS score, strategy, model_id
FROM sparkify.recommend('ann');
-- Two plays at one moment weigh the same: cosines to (1, 1) / sqrt 2; of equals the first by id.
SELECT rank, track_id, round(score::numeric, 3) AS score, strategy FROM sparkify.recommend('bob', 4);
-- dan declared 'loud', which lies north; what is no positive number or no genre does not count.
SELECT rank, track_id, round(score::numeric, 3) AS score, strategy FROM sparkify.recommend('dan', 5);
-- Nothing known, or nothing that can be read: listeners as of the model, then popularity, then id.
SELECT rank, track_id, round(score::numeric, 3) AS score, strategy FROM sparkify.recommend('pam', 20);
SELECT count(*) FROM sparkify.recommend('pam', 20) AS p JOIN sparkify.recommend('eve', 20) AS e USING (rank, track_id, score, strategy);
-- tom has heard everything but one, and 'a3r', which is a song he has heard.
SELECT rank, track_id, round(score::numeric, 3) AS score, strategy FROM sparkify.recommend('tom');

-- Every version of a song, on demand.
SELECT rank, track_id, round(score::numeric, 3) AS score FROM sparkify.recommend('ann', 6, distinct_songs => false);
SELECT rank, track_id FROM sparkify.recommend('tom', distinct_songs => false);
SELECT rank, track_id FROM sparkify.recommend('pam', 20, distinct_songs => false) WHERE rank > 8;
-- Conditions hold before the cut: n rows come while n there are.
SELECT rank, track_id FROM sparkify.recommend('ann', 3, exclude => '{a2,a4,nowhere,NULL,a2}');
SELECT rank, track_id FROM sparkify.recommend('ann', 3, exclude => '{a3}', candidates => '{a3,a3r,a5}');
SELECT rank, track_id FROM sparkify.recommend('ann', 3, candidates => '{a1,b3,a5,nowhere,NULL,b2,z0}');
SELECT rank, track_id FROM sparkify.recommend('ann', 2, genres => '{loud,odd}');
SELECT rank, track_id FROM sparkify.recommend('ann', 3, candidates => '{b3,a2,a4}', genres => '{odd,NULL,calm}', exclude => '{a4}');
SELECT rank, track_id FROM sparkify.recommend('pam', 3, '{a1}', '{a1,b3,a3,b2}', '{odd,calm}');
SELECT count(*) AS nothing FROM sparkify.recommend('ann', candidates => '{}');
SELECT count(*) AS nothing FROM sparkify.recommend('ann', genres => '{}');
SELECT count(*) AS nothing FROM sparkify.recommend('ann', genres => '{polka}');
SELECT count(*) AS all_the_same FROM sparkify.recommend('ann', 10, NULL, NULL, NULL, true, NULL) AS a
JOIN sparkify.recommend('ann') AS b USING (rank, track_id, track_name, primary_artist, score, strategy, model_id);
SELECT count(*) FROM sparkify.recommend('ann', 1);
SELECT count(*) FROM sparkify.recommend('ann', 1000);
-- The first rows of a longer list are the shorter one.
SELECT count(*) FROM sparkify.recommend('dan', 3) AS few JOIN sparkify.recommend('dan', 9) AS many USING (rank, track_id, score);
-- For many users at once.
SELECT u.user_id, string_agg(r.track_id, ' ' ORDER BY r.rank) FROM sparkify.users AS u
CROSS JOIN LATERAL sparkify.recommend(u.user_id, 3) AS r GROUP BY u.user_id ORDER BY u.user_id;

-- A model by name; a track that another model knows is none of its own.
INSERT INTO sparkify.models (kind, metric, params) VALUES ('content', 'cosine', '{"dims": 1, "half_life_days": 30}');
SELECT refused('SELECT * FROM sparkify.recommend(''ann'', model_id => 2)');
INSERT INTO sparkify.track_embeddings (model_id, track_id, embedding, song_key)
SELECT 2, track_id, '{1}', song_key FROM sparkify.tracks WHERE track_id IN ('a1', 'b3', 'z0');
SELECT rank, track_id, score, model_id FROM sparkify.recommend('ann', model_id => 2);
SELECT DISTINCT model_id FROM sparkify.recommend('ann');

-- Plays that do not count: to come, of a track without embedding, not heard at all.
INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played) VALUES
    ('pam', 'b3', '2999-01-01', NULL), ('pam', 'nowhere', '2025-01-01', NULL);
SELECT rank, track_id, strategy FROM sparkify.recommend('pam', 2);
DELETE FROM sparkify.listening_events WHERE user_id = 'pam';
INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played) VALUES ('pam', 'b1', '2025-01-01', 0);
SELECT rank, track_id, strategy FROM sparkify.recommend('pam', 2);
-- A play of the zero vector says nothing of a taste, but is not recommended again.
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('eve', 'z0', '2025-01-01');
SELECT string_agg(track_id, ' ' ORDER BY rank), min(strategy) FROM sparkify.recommend('eve');

-- A track that is gone never shortens a list; one that was added waits for the next model.
DELETE FROM sparkify.tracks WHERE track_id IN ('a2', 'a4');
INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES ('new', 'New', '{New}');
SELECT rank, track_id FROM sparkify.recommend('ann', 3);
SELECT string_agg(track_id, ' ' ORDER BY rank) FROM sparkify.recommend('ann', 20);
SELECT string_agg(track_id, ' ' ORDER BY rank) FROM sparkify.recommend('pam', 20);

-- Bad calls.
SELECT refused('SELECT * FROM sparkify.recommend(NULL)');
SELECT refused('SELECT * FROM sparkify.recommend(''u42'')');
SELECT refused('SELECT * FROM sparkify.recommend(''Ann'')');
SELECT refused('SELECT * FROM sparkify.recommend(''ann'', 0)');
SELECT refused('SELECT * FROM sparkify.recommend(''ann'', -1)');
SELECT refused('SELECT * FROM sparkify.recommend(''ann'', 1001)');
SELECT refused('SELECT * FROM sparkify.recommend(''ann'', NULL)');
SELECT refused('SELECT * FROM sparkify.recommend(''ann'', distinct_songs => NULL)');
SELECT refused('SELECT * FROM sparkify.recommend(''ann'', model_id => 99)');
UPDATE sparkify.models SET active = false;
SELECT refused('SELECT * FROM sparkify.recommend(''ann'')');
SELECT count(*) FROM sparkify.recommend('ann', model_id => 1);
UPDATE sparkify.models SET active = model_id = 1;

-- It writes nothing, not even a transaction id.
BEGIN READ ONLY;
SELECT count(*) FROM sparkify.recommend('ann');
SELECT count(*) FROM sparkify.recommend('pam');
SELECT pg_current_xact_id_if_assigned() IS NULL AS none_assigned;
COMMIT;
-- An embedding that cannot be used is an error, not a wrong answer.
UPDATE sparkify.track_embeddings SET embedding = '{1, 2, 3}' WHERE model_id = 1 AND track_id = 'a5';
SELECT refused('SELECT * FROM sparkify.recommend(''ann'')');
UPDATE sparkify.track_embeddings SET embedding = '{1, NULL}' WHERE model_id = 1 AND track_id = 'a5';
SELECT refused('SELECT * FROM sparkify.recommend(''ann'')');
UPDATE sparkify.track_embeddings SET embedding = '{1, NaN}' WHERE model_id = 1 AND track_id = 'a5';
SELECT refused('SELECT * FROM sparkify.recommend(''ann'')');
DELETE FROM sparkify.users;
SELECT refused('SELECT * FROM sparkify.recommend(''ann'', model_id => 2)');
