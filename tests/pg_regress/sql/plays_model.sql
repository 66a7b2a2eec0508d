\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\set hand_made :tests '/hand_made_plays.psql'
\set ECHO errors
\i :fresh
\i :hand_made
\set ECHO all

-- The side of who heard that side comes first, without what was heard.
SELECT string_agg(track_id, ' ' ORDER BY rank), min(strategy) FROM sparkify.recommend('ann', 4);
SELECT string_agg(track_id, ' ' ORDER BY rank) FROM sparkify.recommend('bob', 4);
-- Of whom nothing is known: the most listeners, then popularity, then the id.
SELECT rank, track_id, round(score::numeric, 2) AS score, strategy FROM sparkify.recommend('new', 3);
SELECT rank, track_id, listeners, round(score::numeric, 2) AS score FROM sparkify.popular_tracks(3);
SELECT string_agg(track_id, ' ' ORDER BY rank) FROM sparkify.popular_tracks(2, genres => '{ODD}');

-- A batch gives what a call gives.
SELECT sparkify.refresh_recommendations(5, threads => 2);
SELECT count(*) AS different
FROM sparkify.users AS u CROSS JOIN LATERAL sparkify.recommend(u.user_id, 5) AS r
FULL JOIN sparkify.user_recommendations AS s ON s.user_id = u.user_id AND s.rank = r.rank AND s.model_id = 1
WHERE (r.track_id, r.score, r.strategy) IS DISTINCT FROM (s.track_id, s.score, s.strategy);
SELECT sparkify.build_user_vectors();
-- The stored vector's product with an embedding is the score, where no neighbour adds to it.
SELECT bool_and(abs(r.score - d.dot) < 1e-5) FROM sparkify.recommend('ann', 10) AS r
JOIN LATERAL (SELECT sum(v * e) AS dot FROM sparkify.user_vectors AS u, sparkify.track_embeddings AS t,
              unnest(u.vector, t.embedding) AS x (v, e)
              WHERE u.user_id = 'ann' AND u.model_id = 1 AND t.model_id = 1 AND t.track_id = r.track_id) AS d ON true;

-- A play moves its neighbours up at once, and ROLLBACK takes it back.
CREATE FUNCTION score_of(user_id text, track_id text) RETURNS real LANGUAGE sql AS
    $$ SELECT r.score FROM sparkify.recommend(user_id, 12) AS r WHERE r.track_id = score_of.track_id $$;
SELECT score_of('ann', 'e5') AS e5 \gset before_
BEGIN;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('ann', 'e0', '2025-01-01 13:00Z');
SELECT score_of('ann', 'e5') > :'before_e5'::real AS up, score_of('ann', 'e0') IS NULL AS gone;
ROLLBACK;
SELECT score_of('ann', 'e5') = :'before_e5'::real AS as_before;
-- A new user's first plays, not committed.
BEGIN;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('new', 'o0', '2025-01-01 13:00Z');
SELECT string_agg(track_id, ' ' ORDER BY rank), min(strategy) FROM sparkify.recommend('new', 3);
ROLLBACK;
SELECT min(strategy) FROM sparkify.recommend('new', 3);

-- A dislike never comes and pushes away what is like it, and so does a skip; a like is a play.
INSERT INTO sparkify.users (user_id) VALUES ('mix');
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES
    ('mix', 'e1', '2025-01-01 12:00Z'), ('mix', 'o1', '2025-01-01 12:00Z');
SELECT score_of('mix', 'e4') - score_of('mix', 'o4') AS lead \gset before_
BEGIN;
SELECT sparkify.rate_track('mix', 'e3', -1);
SELECT score_of('mix', 'e3') IS NULL AS gone, score_of('mix', 'e4') - score_of('mix', 'o4') < :before_lead - 0.01 AS down;
ROLLBACK;
BEGIN;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at, skipped) VALUES ('mix', 'e3', '2025-01-01 12:00Z', true);
SELECT score_of('mix', 'e4') - score_of('mix', 'o4') < :before_lead - 0.01 AS down;
ROLLBACK;
BEGIN;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('mix', 'e3', '2025-01-01 12:00Z');
SELECT score_of('mix', 'e4') - score_of('mix', 'o4') > :before_lead + 0.01 AS up;
ROLLBACK;
DELETE FROM sparkify.users WHERE user_id = 'mix';
DELETE FROM sparkify.listening_events WHERE user_id = 'mix';
BEGIN;
SELECT sparkify.rate_track('new', 'e0', 1);
SELECT string_agg(track_id, ' ' ORDER BY rank), min(strategy) FROM sparkify.recommend('new', 3);
ROLLBACK;
BEGIN;
SELECT sparkify.rate_track('pam', 'e5', -1);
SELECT string_agg(track_id, ' ' ORDER BY rank), min(strategy) FROM sparkify.recommend('pam', 3);
SELECT sparkify.refresh_recommendations(5) > 0 AS noted;
SELECT count(*) AS named FROM sparkify.user_recommendations WHERE user_id = 'pam' AND track_id = 'e5';
ROLLBACK;

-- A list of tracks is a user of the moment: order and repetition count.
SELECT string_agg(track_id, ' ' ORDER BY rank), min(strategy) FROM sparkify.recommend_for('{e1,e2}', 4);
SELECT string_agg(track_id, ' ' ORDER BY rank) FROM sparkify.recommend_for('{e1,o1,o1,o2}', 2);
SELECT a.score < b.score AS order_counts
FROM sparkify.recommend_for('{e1,e1,e1,e1,o1}', 12) AS a JOIN sparkify.recommend_for('{o1,e1,e1,e1,e1}', 12) AS b USING (track_id)
WHERE track_id = 'e0';
SELECT string_agg(track_id, ' ' ORDER BY rank), min(strategy) FROM sparkify.recommend_for('{nowhere,NULL}', 2);
SELECT string_agg(track_id, ' ' ORDER BY rank) FROM sparkify.recommend_for('{e1}', 2, exclude => '{e0}', genres => '{even}');

-- Why: the parts add up to the score, which is the one that recommend() shows.
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('ann', 'e0', '2025-01-01 13:00Z');
SELECT rank, track_id, track_name, genre, last_played, part > 0 AS speaks_for FROM sparkify.explain_recommendation('ann', 'e5');
SELECT abs(sum(e.part) - min(e.score)) < 1e-5 AS adds_up, abs(min(e.score) - r.score) < 1e-5 AS the_score
FROM sparkify.recommend('ann', 12) AS r CROSS JOIN LATERAL sparkify.explain_recommendation('ann', r.track_id, 2) AS e
GROUP BY r.track_id, r.score ORDER BY r.track_id;
SELECT rank, track_id, track_name FROM sparkify.explain_recommendation('ann', 'e5', 1);
SELECT count(*) AS nothing FROM sparkify.explain_recommendation('new', 'e5');

-- Tracks like a track: 0.7 of the cosine, 0.3 of the share of the nearest neighbour.
SELECT rank, track_id, round(score::numeric, 3) AS score FROM sparkify.similar_tracks('o0', 5);
SELECT rank, track_id, round(score::numeric, 3) AS score FROM sparkify.similar_tracks('e1', 2);
-- Users like a user, by the vectors stored.
SELECT sparkify.refresh_recommendations(5) > 0 AS refreshed;
SELECT rank, user_id, score > 0.9 AS alike FROM sparkify.similar_users('bob');
BEGIN;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('new', 'o3', '2025-01-01 13:00Z');
SELECT rank, user_id, score > 0.9 AS alike FROM sparkify.similar_users('new');
ROLLBACK;
SELECT count(*) AS nothing FROM sparkify.similar_users('pam');

-- What is heard now, and what rises.
INSERT INTO sparkify.users (user_id, country) SELECT 'u' || number, CASE WHEN number < 3 THEN 'IS' ELSE 'NO' END FROM generate_series(1, 9) AS number;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
SELECT 'u' || number, track_id, now() - age
FROM generate_series(1, 9) AS number,
     (VALUES ('o1', interval '1 day', 9), ('o2', '1 day', 8), ('o2', '9 days', 8), ('e1', '2 days', 4), ('e1', '8 days', 1), ('e4', '10 days', 9)) AS h (track_id, age, users)
WHERE number <= users;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) SELECT 'u1', 'e3', now() - number * interval '1 minute' FROM generate_series(1, 50) AS number;
SELECT rank, track_id, listeners, round(score::numeric, 3) AS score FROM sparkify.popular_tracks(4, '7 days');
SELECT rank, track_id, listeners FROM sparkify.popular_tracks(9, '7 days', country => 'IS', genres => '{even}');
SELECT rank, track_id, listeners, listeners_before, round(score::numeric, 3) AS score FROM sparkify.trending();
SELECT count(*) AS nothing FROM sparkify.popular_tracks(since => '1 second', country => 'XX');

SET client_min_messages = notice;
-- Genres by any spelling; one that nobody knows is said, with those near it.
SELECT string_agg(track_id, ' ' ORDER BY rank) FROM sparkify.recommend('bob', 2, genres => '{eVEN}');
SELECT count(*) AS nothing FROM sparkify.recommend('bob', 2, genres => '{evem}');
SELECT count(*) AS nothing FROM sparkify.recommend('bob', 2, genres => '{polka,zydeco}');

SET client_min_messages = warning;
-- A track of the model that is gone never shortens a list, nor do most of them.
BEGIN;
DELETE FROM sparkify.tracks WHERE track_id NOT IN ('e1', 'o5', 'e4');
SELECT string_agg(track_id, ' ' ORDER BY rank) FROM sparkify.recommend('bob', 2);
SELECT string_agg(track_id, ' ' ORDER BY rank) FROM sparkify.recommend('pam', 1);
ROLLBACK;

-- Bad calls.
SELECT refused('SELECT * FROM sparkify.recommend_for(NULL)');
SELECT refused('SELECT * FROM sparkify.recommend_for(''{}'', 0)');
SELECT refused('SELECT * FROM sparkify.explain_recommendation(NULL, ''e1'')');
SELECT refused('SELECT * FROM sparkify.explain_recommendation(''ann'', NULL)');
SELECT refused('SELECT * FROM sparkify.explain_recommendation(''nobody'', ''e1'')');
SELECT refused('SELECT * FROM sparkify.explain_recommendation(''ann'', ''nowhere'')');
SELECT refused('SELECT * FROM sparkify.explain_recommendation(''ann'', ''e1'', 0)');
SELECT refused('SELECT * FROM sparkify.similar_users(NULL)');
SELECT refused('SELECT * FROM sparkify.similar_users(''nobody'')');
SELECT refused('SELECT * FROM sparkify.similar_users(''ann'', 1001)');
SELECT refused('SELECT * FROM sparkify.popular_tracks(0)');
SELECT refused('SELECT * FROM sparkify.popular_tracks(10, ''-1 day'')');
SELECT refused('SELECT * FROM sparkify.popular_tracks(10, ''1000 years'')');
SELECT refused('SELECT * FROM sparkify.trending(10, NULL)');
SELECT refused('SELECT * FROM sparkify.trending(10, ''0'')');
SELECT refused('SELECT * FROM sparkify.popular_tracks(model_id => 99)');

-- A model whose state is gone or damaged does not serve.
DELETE FROM sparkify.user_vectors;
SELECT refused('SELECT * FROM sparkify.similar_users(''ann'')');
UPDATE sparkify_internal.model_states SET state[1] = 3;
SELECT refused('SELECT * FROM sparkify.recommend(''ann'')');
DELETE FROM sparkify_internal.model_states;
SELECT refused('SELECT * FROM sparkify.recommend(''ann'')');
DELETE FROM sparkify.models;
SELECT count(*) AS left_of_it FROM sparkify_internal.track_neighbours;
