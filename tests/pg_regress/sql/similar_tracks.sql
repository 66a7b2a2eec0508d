\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\set hand_made :tests '/hand_made.psql'
\i :fresh
SELECT refused('SELECT * FROM sparkify.similar_tracks(''a1'')');
\set ECHO errors
\i :hand_made
\set ECHO all
-- Cosines to (1, 0): the length of a vector does not count, the zero vector has none.
SELECT rank, track_id, track_name, primary_artist, genre, round(score::numeric, 3) AS score FROM sparkify.similar_tracks('a1');
SELECT rank, track_id, round(score::numeric, 3) AS score FROM sparkify.similar_tracks('b1', 3);
SELECT rank, track_id, score FROM sparkify.similar_tracks('z0', 2);
-- No version of the song asked about, with distinct_songs or without.
SELECT rank, track_id, round(score::numeric, 3) AS score FROM sparkify.similar_tracks('a3', 3);
SELECT count(*) FROM sparkify.similar_tracks('a3r', 20, distinct_songs => false) WHERE track_id IN ('a3', 'a3r');
SELECT rank, track_id, round(score::numeric, 3) AS score FROM sparkify.similar_tracks('a1', 5, distinct_songs => false) WHERE rank > 3;
-- Conditions hold before the cut.
SELECT rank, track_id FROM sparkify.similar_tracks('a1', 2, exclude => '{a2,NULL,nowhere}');
SELECT rank, track_id FROM sparkify.similar_tracks('a1', 3, candidates => '{a1,b3,a5,NULL}');
SELECT rank, track_id FROM sparkify.similar_tracks('a1', 2, genres => '{odd}');
SELECT rank, track_id FROM sparkify.similar_tracks('a1', 5, '{a2}', '{a2,a3,a4,b1}', '{calm}', true, 1);
SELECT count(*) AS nothing FROM sparkify.similar_tracks('a1', candidates => '{}');
SELECT count(*) AS nothing FROM sparkify.similar_tracks('a1', genres => '{polka}');
-- Another model knows other neighbours.
INSERT INTO sparkify.models (kind, metric) VALUES ('content', 'cosine');
INSERT INTO sparkify.track_embeddings (model_id, track_id, embedding, song_key)
SELECT 2, track_id, ARRAY[length(track_name)], song_key FROM sparkify.tracks WHERE track_id IN ('a1', 'b3');
SELECT rank, track_id, score FROM sparkify.similar_tracks('a1', model_id => 2);
SELECT refused('SELECT * FROM sparkify.similar_tracks(''a2'', model_id => 2)');
-- Gone from the catalogue: it is no answer, and still can be asked about.
DELETE FROM sparkify.tracks WHERE track_id = 'a2';
SELECT rank, track_id FROM sparkify.similar_tracks('a1', 2);
SELECT rank, track_id FROM sparkify.similar_tracks('a2', 2);
INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES ('new', 'New', '{New}');
SELECT refused('SELECT * FROM sparkify.similar_tracks(''new'')');
SELECT refused('SELECT * FROM sparkify.similar_tracks(''nowhere'')');
SELECT refused('SELECT * FROM sparkify.similar_tracks(NULL)');
SELECT refused('SELECT * FROM sparkify.similar_tracks(''a1'', 0)');
SELECT refused('SELECT * FROM sparkify.similar_tracks(''a1'', 1001)');
SELECT refused('SELECT * FROM sparkify.similar_tracks(''a1'', NULL)');
SELECT refused('SELECT * FROM sparkify.similar_tracks(''a1'', distinct_songs => NULL)');
SELECT refused('SELECT * FROM sparkify.similar_tracks(''a1'', model_id => 99)');
BEGIN READ ONLY;
SELECT count(*) FROM sparkify.similar_tracks('a1');
SELECT pg_current_xact_id_if_assigned() IS NULL AS none_assigned;
COMMIT;
