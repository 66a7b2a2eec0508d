-- Who may do what. The cells hold every role to what it was granted there.

CREATE FUNCTION sparkify_internal.grant_route(role name, writes boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    object text;
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION 'role must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', role USING
            ERRCODE = 'undefined_object', HINT = format('Run CREATE ROLE %I LOGIN PASSWORD ''…''.', role);
    ELSIF (SELECT rolsuper FROM pg_roles WHERE rolname = role) THEN
        RAISE EXCEPTION 'role "%" is a superuser, whom nothing keeps from anything', role USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Use a role of its own.';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA sparkify, sparkify_internal TO %I', role);
    EXECUTE format('GRANT USAGE ON FOREIGN SERVER sparkify_cells, sparkify_catalogue TO %I', role);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA sparkify TO %I', role);
    FOREACH object IN ARRAY '{cell_of,cells,is_out_of_reach,explain_in,similar_tracks_anywhere,similar_tracks_in,
            recommend_for_anywhere,recommend_for_in,popular_tracks_anywhere,popular_tracks_in,popular_tracks_of_all,
            trending_anywhere,trending_of_all,refuse_country,cell_status_in,ask_cells}'::text[] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION sparkify_internal.%I TO %I', object, role);
    END LOOP;
    FOREACH object IN ARRAY '{help,recommend,recommend_json,recommend_for,explain_recommendation,similar_tracks,popular_tracks,trending,
            profile_tracks,correlate_tracks,histogram_tracks,outlier_tracks}'::text[] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION sparkify.%I TO %I', object, role);
    END LOOP;
    IF writes THEN
        FOREACH object IN ARRAY '{ingest_events,import_history,rate_track,forget_user}'::text[] LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION sparkify.%I TO %I', object, role);
        END LOOP;
        EXECUTE format('GRANT EXECUTE ON FUNCTION sparkify_internal.ingest_in TO %I', role);
        FOREACH object IN ARRAY '{sparkify.users,sparkify.listening_events,sparkify.track_feedback}'::text[] LOOP
            CONTINUE WHEN to_regclass(object) IS NULL;
            EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO %I', object, role);
        END LOOP;
    END IF;
    PERFORM sparkify_internal.map_role(role);
END $$;
COMMENT ON FUNCTION sparkify_internal.grant_route(name, boolean) IS 'Part of grant_reader() and grant_writer().';

CREATE FUNCTION sparkify.grant_reader(role name, statement_timeout interval DEFAULT '30 seconds') RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF statement_timeout IS NULL OR statement_timeout <= interval '0' OR statement_timeout > interval '1 day' THEN
        RAISE EXCEPTION 'statement_timeout must be above 0 and at most a day, not %', coalesce(statement_timeout::text, 'null')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM sparkify_internal.grant_route(role, false);
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET statement_timeout = %L', role, current_database(),
                   ceil(extract(epoch FROM statement_timeout) * 1000)::bigint || 'ms');
END $$;
COMMENT ON FUNCTION sparkify.grant_reader(name, interval) IS
    'Lets an existing role read through the router. A role of the same name must have been granted the same in each cell and the trainer.';

CREATE FUNCTION sparkify.grant_writer(role name) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.grant_route(role, true);
END $$;
COMMENT ON FUNCTION sparkify.grant_writer(name) IS
    'Lets an existing role read and write through the router what an application does: plays, users, feedback, erasure. A role of the same name must have been granted the same in each cell, and reading in the trainer.';

DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', p.oid::pg_catalog.regprocedure) FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace IN ('sparkify'::pg_catalog.regnamespace, 'sparkify_internal'::pg_catalog.regnamespace)
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
