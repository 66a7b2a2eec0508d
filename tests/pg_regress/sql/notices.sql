\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\i :fresh
SET client_min_messages = notice;
SET timezone = 'UTC';
INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, popularity, duration_ms)
SELECT 't' || i, 'Song ' || i, '{Ada}', ARRAY['genre ' || i % 6], 'genre ' || i % 6, i, 200000
FROM generate_series(1, 30) AS i;
-- Without dims the catalogue decides, and says so; with dims it is held to them.
SELECT sparkify.build_embeddings() AS model_id;
SELECT params ->> 'dims' AS dims FROM sparkify.models;
SELECT refused('SELECT sparkify.build_embeddings(64)');
SELECT sparkify.build_embeddings(3, activate => false) AS model_id;
-- A user of the application's own gets no plays unless that is asked for.
INSERT INTO sparkify.users (user_id) VALUES ('own');
SELECT refused('SELECT sparkify.generate_events()');
SELECT refused('SELECT sparkify.generate_events(include_real_users => NULL)');
SELECT sparkify.generate_users(3, until => '2026-01-01');
SELECT sparkify.generate_users(5, until => '2026-01-01');
SELECT sparkify.generate_events(20, 30, '2026-02-01', since => '2026-01-02') > 0 AS written;
SELECT count(*) AS of_own FROM sparkify.listening_events WHERE user_id = 'own';
-- A call says why it wrote little.
SELECT sparkify.generate_events(20, 30, '2026-02-01');
SELECT sparkify.generate_users(6);
SELECT sparkify.generate_events(20, 30, '2026-02-01 00:01') AS written;
SELECT sparkify.generate_events(20, 30, '2026-04-01', include_real_users => true) > 0 AS written;
SELECT count(*) > 0 AS of_own FROM sparkify.listening_events WHERE user_id = 'own';
-- Few plays are measured, and not judged.
SELECT count(measured) > 15 AS measured, count(within) AS judged FROM sparkify.simulation_report();
