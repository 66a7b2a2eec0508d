\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\i :fresh
-- Without tracks nobody can like any, and without users nobody listens.
SELECT refused('SELECT sparkify.generate_users(10)');
SELECT refused('SELECT sparkify.generate_events(10)');
SELECT sparkify.generate_tracks(400, seed => 7);
SELECT refused('SELECT sparkify.generate_events(10)');
SELECT refused('SELECT * FROM sparkify.simulation_report() LIMIT 1') AS report_without_users;

-- The same seed, the same users; more of them are the same and more.
CREATE TEMPORARY TABLE made AS SELECT * FROM sparkify.users;
SELECT sparkify.generate_users(40, seed => 7, until => '2025-01-01');
SELECT count(*), count(DISTINCT user_id), min(user_id), max(user_id), bool_and(age BETWEEN 16 AND 64) AS ages,
    count(DISTINCT country) BETWEEN 2 AND 10 AS countries, bool_and(created_at <= '2025-01-01') AS opened
FROM sparkify.users;
INSERT INTO made SELECT * FROM sparkify.users;
SELECT sparkify.generate_users(40, seed => 7, until => '2025-01-01') AS again;
DELETE FROM sparkify.users WHERE user_id > 'user_000030';
SELECT sparkify.generate_users(60, seed => 7, until => '2025-01-01') AS more;
SELECT count(*) AS same FROM made AS a JOIN sparkify.users AS b USING (user_id)
WHERE (a.age, a.country, a.genre_weights, a.created_at) IS NOT DISTINCT FROM (b.age, b.country, b.genre_weights, b.created_at);
-- Declared weights are a partial view of the hidden ones, and some declare none.
SELECT count(*) FILTER (WHERE genre_weights IS NULL) BETWEEN 1 AND 30 AS some_declare_none,
    bool_and((SELECT sum(value::numeric) FROM jsonb_each_text(genre_weights)) BETWEEN 0.99 AND 1.01) AS normalised
FROM sparkify.users;
SELECT count(*) AS hidden FROM sparkify.simulated_tastes;

-- Plays: of known users and tracks, in the time asked for, marked as made.
SELECT sparkify.generate_events(20, days => 30, until => '2025-01-01', seed => 7) BETWEEN 300 AND 3000 AS plausible;
SELECT count(*) FILTER (WHERE NOT sparkify.is_simulated(event_id)) AS foreign_events,
    count(*) FILTER (WHERE played_at < '2024-12-02' OR played_at >= '2025-01-01') AS out_of_time,
    count(*) FILTER (WHERE NOT EXISTS (SELECT FROM sparkify.users AS u WHERE u.user_id = e.user_id)
        OR NOT EXISTS (SELECT FROM sparkify.tracks AS t WHERE t.track_id = e.track_id)) AS strangers,
    count(*) FILTER (WHERE ms_played < 0) AS negative, count(DISTINCT skipped) AS kinds
FROM sparkify.listening_events AS e;
SELECT sparkify.is_simulated('00000000-0000-0000-0000-000000000001');
CREATE TEMPORARY TABLE plays AS SELECT * FROM sparkify.listening_events;
-- To the same end there is nothing to add; further on it goes on; other options are refused.
SELECT sparkify.generate_events(20, days => 30, until => '2025-01-01', seed => 7) AS nothing;
SELECT sparkify.generate_events(20, days => 30, until => '2024-12-24', seed => 7) AS nothing;
SELECT sparkify.generate_events(20, days => 30, until => '2025-01-08', seed => 7) > 0 AS goes_on;
SELECT refused('SELECT sparkify.generate_events(21, days => 30, until => ''2025-02-01'', seed => 7)');
SELECT refused('SELECT sparkify.generate_events(20, days => 30, until => ''2025-02-01'', seed => 8)');
-- From the start again: the same plays, those of other sources untouched.
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) SELECT 'user_000001', min(track_id), '2024-12-24' FROM sparkify.tracks;
SELECT sparkify.reset_simulation() > 0 AS deleted;
SELECT count(*) AS foreign_events FROM sparkify.listening_events;
DELETE FROM sparkify.listening_events;
SELECT sparkify.generate_events(20, days => 30, until => '2025-01-01', seed => 7) = (SELECT count(*) FROM plays) AS as_many;
SELECT count(*) AS missing FROM (SELECT * FROM plays EXCEPT SELECT * FROM sparkify.listening_events) AS d;
-- In one step or in two: the same.
SELECT sparkify.reset_simulation() > 0 AS deleted;
SELECT sparkify.generate_events(20, days => 30, until => '2024-12-17', since => '2024-12-02', seed => 7) > 0 AS half,
    sparkify.generate_events(20, days => 30, until => '2025-01-01', since => '2024-12-02', seed => 7) > 0 AS half;
SELECT count(*) AS differing FROM (
    (SELECT * FROM plays EXCEPT SELECT * FROM sparkify.listening_events)
    UNION ALL (SELECT * FROM sparkify.listening_events EXCEPT SELECT * FROM plays)) AS d;
-- It feeds a model, and the whole is valid.
SELECT sparkify.build_embeddings(16) AS model_id;
SELECT sparkify.refresh_recommendations(5) AS rows;
SELECT check_name, detail FROM sparkify.validate() WHERE NOT passed;
SELECT metric <> '' AS named, source <> '' AS sourced, within = (abs(measured - target) <= tolerance) AS judged
FROM sparkify.simulation_report() WHERE measured IS NOT NULL GROUP BY 1, 2, 3;

SELECT refused('SELECT sparkify.generate_users(0)');
SELECT refused('SELECT sparkify.generate_users(NULL)');
SELECT refused('SELECT sparkify.generate_users(5, undeclared_share => 1.5)');
SELECT refused('SELECT sparkify.generate_users(5, until => ''infinity'')');
SELECT refused('SELECT sparkify.generate_events(0)');
SELECT refused('SELECT sparkify.generate_events(NULL)');
SELECT refused('SELECT sparkify.generate_events(5, days => 0)');
SELECT refused('SELECT sparkify.generate_events(5, until => NULL)');
SELECT refused('SELECT sparkify.generate_events(5, skip_rate => 2)');
SELECT refused('SELECT sparkify.generate_events(5, coherence => NULL)');
SELECT refused('SELECT sparkify.generate_tracks(0)');
SELECT refused('SELECT sparkify.generate_tracks(NULL)');
SELECT refused('SELECT sparkify.generate_tracks(5, seed => NULL)');
