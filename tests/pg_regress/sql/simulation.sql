\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\set simulated_catalogue :tests '/simulated_catalogue.psql'
\i :fresh
-- Without tracks or users there is nothing to simulate.
SELECT refused('SELECT sparkify.generate_users()');
SELECT refused('SELECT sparkify.generate_events()');
\set ECHO errors
\i :simulated_catalogue
\set ECHO all
SELECT refused('SELECT sparkify.generate_events()');
SELECT count(*) AS metrics, count(measured) AS measured, count(within) AS within FROM sparkify.simulation_report();
SELECT refused('SELECT sparkify.generate_users(0)');
SELECT refused('SELECT sparkify.generate_users(NULL)');
SELECT refused('SELECT sparkify.generate_users(10, undeclared_share => 1.5)');
-- Users come by number: more add, the same again does not.
SELECT sparkify.generate_users(200, until => '2024-05-01');
SELECT sparkify.generate_users(200, until => '2024-05-01');
SELECT sparkify.generate_users(300, until => '2024-05-01');
SELECT min(user_id), max(user_id), min(age) >= 16 AND max(age) <= 64 AS ages, count(DISTINCT country) AS countries,
    round(count(*) FILTER (WHERE genre_weights IS NULL)::numeric / count(*), 1) AS undeclared
FROM sparkify.users;
-- What they declare is not what they like.
SELECT count(*) AS tastes, count(*) FILTER (WHERE t.genre_weights = u.genre_weights) AS told_true,
    bool_and(abs(weight - 1) < 1e-9) AS normalised, count(arrives_at) AS arrived
FROM sparkify.simulated_tastes AS t JOIN sparkify.users AS u USING (user_id),
    LATERAL (SELECT sum(value::float8) FROM jsonb_each_text(t.genre_weights)) AS w (weight);
-- Options out of range, and times.
SELECT refused('SELECT sparkify.generate_events(days => 0)');
SELECT refused('SELECT sparkify.generate_events(events_per_user => 101, days => 1)');
SELECT refused('SELECT sparkify.generate_events(repeat_share => 0.96)');
SELECT refused('SELECT sparkify.generate_events(coherence => ''NaN'')');
SELECT refused('SELECT sparkify.generate_events(seed => NULL)');
SELECT refused('SELECT sparkify.generate_events(until => ''infinity'')');
SELECT refused('SELECT sparkify.generate_events(since => ''2024-05-01'', until => ''2024-05-01'')');
-- The first call starts the clock; a call that asks for no more time writes nothing.
SELECT sparkify.generate_events(50, 120, '2024-05-01', since => '2024-01-02') BETWEEN 13500 AND 16500 AS about_50_a_user;
SELECT sparkify.generate_events(50, 120, '2024-05-01');
SELECT sparkify.generate_events(50, 120, '2024-03-01');
SELECT seed, started_at, simulated_until FROM sparkify_internal.simulator_state;
SELECT refused('SELECT sparkify.generate_events(60, 120, ''2024-06-01'')');
SELECT refused('SELECT sparkify.generate_events(50, 120, ''2024-06-01'', seed => 7)');
SELECT refused('SELECT sparkify.generate_events(50, 120, ''2024-06-01'', since => ''2024-01-03'')');
-- Plays are of users and tracks that exist, in order, within the time, the account and the track.
SELECT count(*) FILTER (WHERE u.user_id IS NULL) AS no_user, count(*) FILTER (WHERE t.track_id IS NULL) AS no_track,
    count(*) FILTER (WHERE e.played_at < greatest('2024-01-02', u.created_at) OR e.played_at >= '2024-05-01') AS out_of_time,
    count(*) FILTER (WHERE e.ms_played > t.duration_ms OR e.skipped <> (e.ms_played < t.duration_ms)) AS unlike_the_track,
    bool_and(sparkify.is_simulated(e.event_id)) AS simulated
FROM sparkify.listening_events AS e LEFT JOIN sparkify.users AS u USING (user_id) LEFT JOIN sparkify.tracks AS t USING (track_id);
SELECT sparkify.is_simulated(gen_random_uuid());
-- The same seed and options, in two steps: the same rows.
CREATE TEMPORARY TABLE straight AS TABLE sparkify.listening_events;
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('user_000001', 't00001', '2024-02-01');
SELECT sparkify.reset_simulation() = (SELECT count(*) FROM straight) AS all_deleted;
SELECT count(*) AS left FROM sparkify.listening_events;
SELECT count(*) AS state FROM sparkify_internal.simulator_state;
DELETE FROM sparkify.listening_events;
SELECT sparkify.generate_events(50, 120, '2024-02-29 13:30:00.5', since => '2024-01-02') > 0 AS written;
SELECT sparkify.generate_events(50, 120, '2024-03-07 14:00') > 0 AS written;
SELECT sparkify.generate_events(50, 120, '2024-05-01') > 0 AS written;
(TABLE straight EXCEPT TABLE sparkify.listening_events) UNION ALL (TABLE sparkify.listening_events EXCEPT TABLE straight);
SELECT count(*) = (SELECT count(*) FROM straight) AS as_many FROM sparkify.listening_events;
-- Who comes later arrives where the clock stands; a user of the application's own gets plays,
-- and a taste, where that is asked for.
INSERT INTO sparkify.users (user_id, genre_weights) VALUES ('own', '{"genre 7": 2, "polka": 1, "genre 8": "much"}');
SELECT sparkify.generate_users(301);
SELECT sparkify.generate_events(50, 120, '2024-06-01') > 0 AS written;
SELECT count(*) AS of_own FROM sparkify.listening_events WHERE user_id = 'own';
SELECT sparkify.generate_events(50, 120, '2024-07-01', include_real_users => true) > 0 AS written;
SELECT user_id, arrives_at, genre_weights ->> 'genre 7' > '0.8' AS declared_first FROM sparkify.simulated_tastes
WHERE user_id IN ('own', 'user_000301') ORDER BY user_id;
SELECT bool_and(played_at >= '2024-05-01') FROM sparkify.listening_events WHERE user_id IN ('own', 'user_000301');
-- Another seed, other rows.
SELECT sparkify.reset_simulation() > 0 AS deleted;
SELECT sparkify.generate_events(50, 120, '2024-05-01', 7, since => '2024-01-02') > 0 AS written;
SELECT count(*) FROM sparkify.listening_events JOIN straight USING (event_id);
-- Whose row was deleted, but not what was hidden of them, comes again the same.
CREATE TEMPORARY TABLE gone AS SELECT * FROM sparkify.users WHERE user_id BETWEEN 'user_000011' AND 'user_000020';
DELETE FROM sparkify.users WHERE user_id IN (SELECT user_id FROM gone);
SELECT sparkify.generate_users(301);
SELECT count(*) AS same FROM gone JOIN sparkify.users AS u USING (user_id) WHERE (gone.age, gone.country, gone.genre_weights) IS NOT DISTINCT FROM (u.age, u.country, u.genre_weights);
