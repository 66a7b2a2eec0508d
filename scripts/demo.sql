-- The way from a catalogue to recommendations, step by step with rows and time.
-- psql variable tracks: a CSV file that the server can read; unset: generate.
\set QUIET on
\pset pager off
SET client_min_messages = warning;
CREATE EXTENSION sparkify;

CREATE TEMPORARY TABLE demo (started timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION pg_temp.begin_step() RETURNS void LANGUAGE sql AS
    'TRUNCATE demo; INSERT INTO demo DEFAULT VALUES';
CREATE FUNCTION pg_temp.end_step(step text, rows bigint) RETURNS text LANGUAGE sql AS $$
    SELECT format('  %s %s rows %s ms', rpad(step, 28), lpad(to_char(rows, 'FM999,999,990'), 11),
        lpad(to_char(1000 * extract(epoch FROM clock_timestamp() - started), 'FM999,999,990'), 8))
    FROM demo $$;

\echo
SELECT pg_temp.begin_step() \g /dev/null
\if :{?tracks}
    SELECT sparkify.load_tracks(:'tracks') AS rows \gset
    SELECT pg_temp.end_step('load_tracks', :rows);
    SELECT pg_temp.begin_step() \g /dev/null
    CREATE TEMPORARY TABLE cleaned AS SELECT * FROM sparkify.clean_tracks();
    SELECT rows FROM cleaned WHERE step = 'written' \gset
    SELECT pg_temp.end_step('clean_tracks', :rows);
    SELECT '      ' || string_agg(step || ' ' || to_char(rows, 'FM999,999,990'), ', ')
    FROM cleaned WHERE rows > 0;
    \set plays 15
\else
    SELECT sparkify.generate_tracks() AS rows \gset
    SELECT pg_temp.end_step('generate_tracks', :rows);
    \set plays 60
\endif
SELECT pg_temp.begin_step() \g /dev/null
SELECT sparkify.generate_users(500) AS rows \gset
SELECT pg_temp.end_step('generate_users', :rows);
SELECT pg_temp.begin_step() \g /dev/null
SELECT sparkify.generate_events(events_per_user => :plays) AS rows \gset
SELECT pg_temp.end_step('generate_events', :rows);
\if :{?history}
    SELECT pg_temp.begin_step() \g /dev/null
    SELECT accepted AS rows, format('      accepted %s, duplicate %s, unmatched %s, passed over %s, rejected %s',
        accepted, duplicate, unmatched, passed_over, rejected) AS counts
    FROM sparkify.load_history(:'history', 'you') \gset
    SELECT pg_temp.end_step('load_history', :rows);
    SELECT :'counts';
\endif
ANALYZE;
SELECT pg_temp.begin_step() \g /dev/null
-- Where there are plays enough the hybrid: from plays, and for tracks that nobody played yet from what is known of them.
SELECT sparkify.train_model('auto') AS model_id \gset
SELECT count(*) AS rows FROM sparkify.track_embeddings WHERE model_id = :model_id \gset
SELECT pg_temp.end_step('train_model', :rows);
SELECT pg_temp.begin_step() \g /dev/null
SELECT sparkify.build_user_vectors() AS rows \gset
SELECT pg_temp.end_step('build_user_vectors', :rows);
SELECT pg_temp.begin_step() \g /dev/null
SELECT sparkify.refresh_recommendations() AS rows \gset
SELECT pg_temp.end_step('refresh_recommendations', :rows);
SELECT pg_temp.begin_step() \g /dev/null
CREATE TEMPORARY TABLE checked AS SELECT * FROM sparkify.validate();
SELECT count(*) AS rows FROM checked \gset
SELECT pg_temp.end_step('validate (checks)', :rows);
SELECT '      ' || severity || ': ' || check_name || ': ' || detail FROM checked WHERE NOT passed;
DO $$
BEGIN
    IF EXISTS (SELECT FROM checked WHERE NOT passed AND severity = 'error') THEN
        RAISE EXCEPTION 'the model is not valid: see the checks above';
    END IF;
END $$;
SELECT pg_temp.begin_step() \g /dev/null
SELECT sparkify.refresh_summaries() AS rows \gset
SELECT pg_temp.end_step('refresh_summaries', :rows);
CREATE EXTENSION pg_cron;
SELECT '  scheduled: ' || job_name || ' at ' || schedule FROM sparkify.schedule_pipeline();
