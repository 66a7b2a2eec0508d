\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\set hand_made :tests '/hand_made.psql'
\i :fresh
SELECT refused('SELECT sparkify.build_user_vectors()');
\set ECHO errors
\i :hand_made
\set ECHO all
CREATE FUNCTION pg_temp.rounded(real[]) RETURNS numeric[] LANGUAGE sql IMMUTABLE AS
    'SELECT coalesce(array_agg(round(x::numeric, 3) ORDER BY i), ''{}'') FROM unnest($1) WITH ORDINALITY AS v (x, i)';
-- Two plays at one moment weigh the same; declared 'loud' lies north; nothing known is empty.
SELECT sparkify.build_user_vectors();
SELECT user_id, model_id, pg_temp.rounded(vector) AS vector, strategy FROM sparkify.user_vectors ORDER BY user_id;
-- A play one half-life older weighs half: (1, 1/2) / sqrt 1.25. Half heard weighs half of that: (1, 1/4) / sqrt 1.0625.
INSERT INTO sparkify.users (user_id) VALUES ('v1'), ('v2'), ('v3'), ('v4'), ('v5');
INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played) VALUES
    ('v1', 'a1', '2025-03-31 12:00Z', NULL), ('v1', 'b1', '2025-03-01 12:00Z', NULL),
    ('v2', 'a1', '2025-03-31 12:00Z', NULL), ('v2', 'b1', '2025-03-01 12:00Z', 50000),
    -- Heard longer than it lasts counts once; heard not at all, not at all; z0 has no direction.
    ('v3', 'a1', '2025-03-31 12:00Z', 900000), ('v3', 'b1', '2025-03-31 12:00Z', 0), ('v3', 'z0', '2025-03-31 12:00Z', NULL),
    -- Opposite plays cancel out, and say nothing.
    ('v4', 'a1', '2025-03-31 12:00Z', NULL), ('v4', 'b3', '2025-03-31 12:00Z', NULL),
    -- What is to come does not count, nor what has no embedding.
    ('v5', 'a1', '2025-03-31 12:00Z', NULL), ('v5', 'b1', '2999-01-01', NULL), ('v5', 'nowhere', '2025-03-31 12:00Z', NULL);
SELECT sparkify.build_user_vectors();
SELECT user_id, pg_temp.rounded(vector) AS vector, strategy FROM sparkify.user_vectors WHERE user_id > 'v' ORDER BY user_id;
-- The half-life is the model's.
UPDATE sparkify.models SET params = params || '{"half_life_days": 15}';
SELECT sparkify.build_user_vectors(1);
SELECT user_id, pg_temp.rounded(vector) AS vector FROM sparkify.user_vectors WHERE user_id = 'v1';
-- It stores no recommendations and takes no note away: the next refresh knows who changed.
SELECT count(*) FROM sparkify.user_recommendations;
SELECT count(DISTINCT user_id) FROM sparkify_internal.changed_users WHERE user_id > 'v';
-- A user that is gone has no vector.
DELETE FROM sparkify.users WHERE user_id > 'v';
SELECT sparkify.build_user_vectors();
SELECT count(*) FROM sparkify.user_vectors;
SELECT refused('SELECT sparkify.build_user_vectors(99)');
DELETE FROM sparkify.users;
SELECT sparkify.build_user_vectors();
SELECT count(*) FROM sparkify.user_vectors;
