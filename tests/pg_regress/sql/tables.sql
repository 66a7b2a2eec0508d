\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\i :fresh
-- A track needs an id, a name and an artist; everything else may be unknown.
INSERT INTO sparkify.tracks (track_id, track_name, artists, energy) VALUES ('t', 'Song', '{Ann}', 0.2), (' ', '', '{""}', 0.7);
SELECT refused('INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES ('''', ''Song'', ''{Ann}'')');
SELECT refused('INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES (NULL, ''Song'', ''{Ann}'')');
SELECT refused('INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES (''t'', ''Song'', ''{Ann}'')');
SELECT refused('INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES (''u'', NULL, ''{Ann}'')');
SELECT refused('INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES (''u'', ''Song'', ''{}'')');
SELECT refused('UPDATE sparkify.tracks SET track_id = '''' WHERE track_id = ''t''');
-- No value outside its range.
SELECT refused(format('UPDATE sparkify.tracks SET %I = %L WHERE track_id = ''t''', name, value))
FROM (VALUES ('popularity', '101'), ('duration_ms', '0'), ('danceability', '1.1'), ('energy', '-0.1'), ('key', '12'),
    ('loudness', '10.1'), ('mode', '2'), ('speechiness', 'NaN'), ('acousticness', '2'), ('instrumentalness', '-1'),
    ('liveness', '1.5'), ('valence', 'Infinity'), ('tempo', '0'), ('tempo', 'Infinity'), ('tempo', 'NaN'),
    ('time_signature', '8')) AS wrong (name, value);

INSERT INTO sparkify.users (user_id, genre_weights) VALUES ('ann', '{}'), (' ', NULL);
SELECT refused('INSERT INTO sparkify.users (user_id) VALUES ('''')');
SELECT refused('INSERT INTO sparkify.users (user_id) VALUES (NULL)');
SELECT refused('INSERT INTO sparkify.users (user_id) VALUES (''ann'')');
SELECT refused('UPDATE sparkify.users SET user_id = '''' WHERE user_id = ''ann''');
SELECT refused('UPDATE sparkify.users SET age = 151');
SELECT refused('UPDATE sparkify.users SET genre_weights = ''["rock"]''');

SELECT refused('INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES (''ann'', ''t'', NULL)');
SELECT refused('INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES (''ann'', ''t'', ''infinity'')');
SELECT refused('INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played) VALUES (''ann'', ''t'', ''2025-01-01'', -1)');
SELECT count(*) FROM sparkify.listening_events;

-- An application's empty ids are refused with the reason, and make nobody.
SELECT * FROM sparkify.ingest_events('[
    {"user_id": "", "track_id": "t", "played_at": "2025-01-01T12:00:00Z"},
    {"user_id": "bob", "track_id": "", "played_at": "2025-01-01T12:00:00Z"},
    {"user_id": "ann", "track_id": "t", "played_at": "2025-01-01T12:00:00Z"}]');
SELECT event ->> 'user_id' AS user_id, event ->> 'track_id' AS track_id, reason FROM sparkify.rejected_events ORDER BY user_id;
SELECT user_id FROM sparkify.users ORDER BY user_id;

-- Every user there is, the first in byte order too, is served by a full refresh.
SELECT sparkify.build_embeddings(1);
SELECT sparkify.refresh_recommendations(1);
SELECT user_id, track_id, strategy FROM sparkify.recommendation_details ORDER BY user_id;

-- A list has a score for each track, at least one and at most a thousand of them, and numbers them on.
CREATE FUNCTION pg_temp.listed(tracks text[], scores real[]) RETURNS text LANGUAGE sql AS
    $$ SELECT format('INSERT INTO sparkify.recommendation_lists (user_id, model_id, track_ids, scores, strategy)
        VALUES (''bob'', 7, %L, %L, ''listened'')', tracks, scores) $$;
SELECT refused(pg_temp.listed('{}', '{}'));
SELECT refused(pg_temp.listed('{t}', '{0.5,0.4}'));
SELECT refused(pg_temp.listed('{{t,u}}', '{{0.5,0.4}}'));
SELECT refused(pg_temp.listed(array_agg('t'::text), array_agg(0::real))) FROM generate_series(1, 1001);
SELECT refused(pg_temp.listed('{t}', NULL));
SELECT refused(pg_temp.listed('{t,NULL}', '{0.5,0.4}'));
SELECT refused(pg_temp.listed('{t,u}', '{NULL,0.4}'));
SELECT pg_temp.listed('{t,u}', '{0.5,0.25}') \gexec
SELECT refused(pg_temp.listed('{t}', '{0.5}'));
SELECT pg_temp.listed('{u}', '{0.75}') AS another \gset
SELECT replace(:'another', 'bob', 'cat') \gexec
SELECT user_id, model_id, rank, recommendation_id % 1000 AS number, track_id, score, strategy
FROM sparkify.user_recommendations WHERE model_id = 7 ORDER BY user_id, rank;
SELECT count(DISTINCT recommendation_id), count(*) FROM sparkify.user_recommendations;
-- The view shows them to whom the table does.
SELECT refused('DELETE FROM sparkify.user_recommendations');
CREATE ROLE sparkify_regress_reader;
GRANT USAGE ON SCHEMA sparkify TO sparkify_regress_reader;
GRANT SELECT ON sparkify.user_recommendations TO sparkify_regress_reader;
SET ROLE sparkify_regress_reader;
SELECT refused('SELECT FROM sparkify.user_recommendations');
RESET ROLE;
GRANT SELECT ON sparkify.recommendation_lists TO sparkify_regress_reader;
ALTER TABLE sparkify.recommendation_lists ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON sparkify.recommendation_lists USING (user_id = 'cat');
SET ROLE sparkify_regress_reader;
SELECT user_id, track_id FROM sparkify.user_recommendations;
RESET ROLE;
DROP POLICY own ON sparkify.recommendation_lists;
DROP OWNED BY sparkify_regress_reader;
DROP ROLE sparkify_regress_reader;
