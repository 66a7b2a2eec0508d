\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\set hand_made :tests '/hand_made.psql'
\i :fresh
-- Objects that raise when they are touched stand before pg_catalog under every name that
-- Sparkify's statements use: its tables, functions and operators.
\set ECHO errors
\i :hand_made
\set ECHO all
DROP SCHEMA IF EXISTS hostile CASCADE;
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.trap(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'trapped: %', $1 USING ERRCODE = 'ZZ001'; END $$;
DO $$
DECLARE
    shadowed record;
BEGIN
    -- Functions of pg_catalog: same name, same arguments.
    FOR shadowed IN
        SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments,
            format_type(p.prorettype, NULL) AS result, p.proretset
        FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.proname IN (
            'now', 'clock_timestamp', 'gen_random_uuid', 'cardinality', 'jsonb_typeof', 'isfinite', 'hashtext',
            'pg_advisory_xact_lock', 'array_ndims', 'array_position', 'to_regclass', 'abs', 'sqrt', 'pg_has_role', 'format')
    LOOP
        EXECUTE format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE sql AS %L', shadowed.proname,
            CASE shadowed.proname WHEN 'format' THEN regexp_replace(shadowed.arguments, 'VARIADIC "any"', 'anyelement')
                ELSE shadowed.arguments END, shadowed.result,
            CASE shadowed.result WHEN 'void' THEN format('SELECT hostile.trap(%L)', shadowed.proname)
                WHEN 'anyarray' THEN 'SELECT NULL' ELSE format('SELECT CASE WHEN hostile.trap(%L) > '''' THEN NULL::%s END', shadowed.proname, shadowed.result) END);
    END LOOP;
    -- Operators on the types that are compared.
    FOR shadowed IN
        SELECT o.oprname, format_type(o.oprleft, NULL) AS l, format_type(o.oprright, NULL) AS r FROM pg_catalog.pg_operator AS o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprname IN ('=', '<>', '<', '<=', '>', '>=')
            AND o.oprleft = o.oprright
            AND o.oprleft IN ('text'::regtype, 'bigint'::regtype, 'integer'::regtype, 'uuid'::regtype, 'timestamptz'::regtype, 'real'::regtype)
    LOOP
        EXECUTE format('CREATE FUNCTION hostile.%I(%s, %s) RETURNS boolean LANGUAGE sql AS %L',
            'op_' || shadowed.l || shadowed.oprname, shadowed.l, shadowed.r,
            format('SELECT hostile.trap(%L) IS NULL', shadowed.l || shadowed.oprname));
        EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = hostile.%I)',
            shadowed.oprname, shadowed.l, shadowed.r, 'op_' || shadowed.l || shadowed.oprname);
    END LOOP;
    -- Tables of Sparkify.
    FOR shadowed IN SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = 'sparkify'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('CREATE TABLE hostile.%I (trap text CHECK (hostile.trap(trap) IS NULL))', shadowed.relname);
    END LOOP;
END $$;
CREATE FUNCTION hostile.array_overlap(anyarray, anyarray) RETURNS boolean LANGUAGE sql AS $$ SELECT hostile.trap('&&') IS NULL $$;
CREATE OPERATOR hostile.&& (LEFTARG = anyarray, RIGHTARG = anyarray, FUNCTION = hostile.array_overlap);
CREATE FUNCTION hostile.get(jsonb, text) RETURNS text LANGUAGE sql AS $$ SELECT hostile.trap('->>') $$;
CREATE OPERATOR hostile.->> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = hostile.get);
CREATE FUNCTION hostile.next_sum(double precision, double precision) RETURNS double precision LANGUAGE sql AS
    $$ SELECT length(hostile.trap('sum')) $$;
CREATE AGGREGATE hostile.sum(double precision) (SFUNC = hostile.next_sum, STYPE = double precision, INITCOND = '0');
CREATE FUNCTION hostile.next_count(bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT length(hostile.trap('count')) $$;
CREATE AGGREGATE hostile.count(*) (SFUNC = hostile.next_count, STYPE = bigint, INITCOND = '0');

SET search_path = hostile, pg_catalog;
-- The traps work.
\set VERBOSITY sqlstate
SELECT count(*);
SELECT now();
SELECT 'a'::text = 'b'::text;
SELECT 1::bigint = 2::bigint;
SELECT ARRAY['a'] && ARRAY['b'];
SELECT '{}'::jsonb ->> 'a';
SELECT abs(0.5::double precision);
INSERT INTO users VALUES ('u');
-- And nobody steps into them, in a session that has no plan yet and in one that has.
\c -
SET client_min_messages = warning;
SET search_path = hostile, pg_catalog;
SELECT rank, track_id, strategy FROM sparkify.recommend('ann', 3, exclude => '{a2}', genres => '{loud,calm}', candidates => '{a2,a3,a5}');
SELECT rank, track_id, strategy FROM sparkify.recommend('pam', 2);
SELECT rank, track_id, strategy FROM sparkify.recommend('dan', 2);
SELECT rank, track_id FROM sparkify.similar_tracks('a1', 2, genres => '{odd}');
SELECT pg_catalog.jsonb_array_length(sparkify.recommend_json('ann', 3));
SELECT sparkify.build_user_vectors();
SELECT sparkify.refresh_recommendations(3);
INSERT INTO sparkify.users (user_id, genre_weights) VALUES ('new', '{"odd": 1}');
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('new', 'a1', '2025-01-01');
UPDATE sparkify.listening_events SET ms_played = 1000;
UPDATE sparkify.users SET age = 30;
SELECT sparkify.refresh_recommendations(3);
SELECT check_name, detail FROM sparkify.validate() WHERE NOT passed;
INSERT INTO sparkify.tracks (track_id, track_name, artists, energy) VALUES ('hot', 'Hot', '{A}', 0.5), ('hotter', 'Hotter', '{A}', 0.6);
SELECT sparkify.build_embeddings(2);
SELECT sparkify.activate_model(1);
SELECT sparkify.refresh_recommendations(2, model_id => 2);
INSERT INTO sparkify.raw_tracks (track_id, artists, track_name, tempo) VALUES ('raw', 'A;B', 'Raw', '120'), (NULL, 'A', 'B', 'C');
SELECT step, rows FROM sparkify.clean_tracks() LIMIT 2;
SELECT sparkify.generate_tracks(100);
SELECT sparkify.generate_users(20, until => '2025-01-01');
SELECT sparkify.generate_events(10, days => 30, until => '2025-01-01') IS NULL AS empty;
SELECT sparkify.generate_events(10, days => 30, until => '2025-01-02') IS NULL AS empty;
SELECT pg_catalog.bool_and(metric IS NULL) AS empty FROM sparkify.simulation_report();
SELECT column_name, rows FROM sparkify.profile_tracks() LIMIT 1;
SELECT feature_a, feature_b FROM sparkify.correlate_tracks() LIMIT 1;
SELECT bin FROM sparkify.histogram_tracks('tempo', 2);
SELECT pg_catalog.bool_and(track_id IS NULL) AS empty FROM sparkify.outlier_tracks();
SELECT pg_catalog.bool_and(genre IS NULL) AS empty FROM sparkify.genre_distribution;
SELECT pg_catalog.bool_and(artist IS NULL) AS empty FROM sparkify.artist_distribution;
SELECT sparkify.reset_simulation() IS NULL AS empty;
-- A procedure that commits has no search_path of its own, nor has a function called for each event.
SELECT * FROM sparkify.ingest_events('[{"user_id": "new", "track_id": "raw", "played_at": "2025-01-02T03:04:05Z"}, {"user_id": 1}]');
SELECT sparkify_internal.read_played_at('2025-01-02T03:04:05') IS NULL AS empty, sparkify_internal.read_played_at('now') IS NULL AS empty;
CALL sparkify.run_pipeline(dims => 2, n => 3);
SELECT step, status FROM sparkify.pipeline_runs ORDER BY started_at, step;
SELECT sparkify.refresh_summaries() IS NULL AS empty;
DELETE FROM sparkify.listening_events;
DELETE FROM sparkify.recommendation_lists;
UPDATE sparkify.tracks SET popularity = 1;
SELECT pg_catalog.max(pg_catalog.length(x::text)) IS NULL AS empty FROM (
    SELECT pg_catalog.to_jsonb(v) FROM sparkify.recommendation_details AS v
    UNION ALL SELECT pg_catalog.to_jsonb(v) FROM sparkify.top_artists AS v
    UNION ALL SELECT pg_catalog.to_jsonb(v) FROM sparkify.top_tracks AS v
    UNION ALL SELECT pg_catalog.to_jsonb(v) FROM sparkify.genre_plays AS v
    UNION ALL SELECT pg_catalog.to_jsonb(v) FROM sparkify.daily_plays AS v
    UNION ALL SELECT pg_catalog.to_jsonb(v) FROM sparkify.user_top_artists AS v
    UNION ALL SELECT pg_catalog.to_jsonb(v) FROM sparkify.user_top_tracks AS v
    UNION ALL SELECT pg_catalog.to_jsonb(v) FROM sparkify.user_genre_plays AS v
    UNION ALL SELECT pg_catalog.to_jsonb(v) FROM sparkify.pipeline_status AS v
    UNION ALL SELECT pg_catalog.to_jsonb(v) FROM sparkify.model_history AS v
    UNION ALL SELECT pg_catalog.to_jsonb(v) FROM sparkify.recommendation_coverage AS v) AS views (x);
TRUNCATE sparkify.listening_events, sparkify.users, sparkify.recommendation_lists, sparkify.track_embeddings;
DELETE FROM sparkify.models;
SELECT * FROM sparkify.recommend('ann');
-- Installing steps into none, either.
DROP EXTENSION sparkify;
CREATE EXTENSION sparkify;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA hostile CASCADE;
