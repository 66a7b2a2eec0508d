-- One door to many cells: a database with the calls and relations of a plain one.
--
-- Calls go by PL/Proxy to the cell that has the user; relations are foreign
-- tables (postgres_fdw). Those with a user_id are partitioned by its hash, a
-- partition a cell, so that a query for one user asks one cell; the others are
-- the trainer's, which has all plays. PARTITION BY HASH fixes the hash for good,
-- on every machine and in every version.
--
-- Connection strings stand in foreign servers, which every role can read: no
-- password is taken there. Roles reach the cells under their own names.

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname IN ('sparkify', 'sparkify_internal')) THEN
        RAISE EXCEPTION 'schema "sparkify" or "sparkify_internal" exists already' USING
            ERRCODE = 'duplicate_schema',
            DETAIL = 'A router is a database of its own, beside those that have the extension sparkify.';
    END IF;
END $$;

CREATE SCHEMA sparkify;
COMMENT ON SCHEMA sparkify IS 'Music recommendations: what users may call and read, whichever database answers.';
CREATE SCHEMA sparkify_internal;
COMMENT ON SCHEMA sparkify_internal IS 'What the router keeps for itself.';

-- Which cell.

CREATE FUNCTION sparkify_internal.cell_of(user_id text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (((pg_catalog.hashtextextended(COALESCE(user_id, ''), 8816678312871386365) & 65535) + 43235) & 65535)::integer
$$;
COMMENT ON FUNCTION sparkify_internal.cell_of(text) IS
    'The hash of PARTITION BY HASH (user_id), its last 16 bits: the remainder by the number of cells is the number of the cell.';

CREATE FUNCTION sparkify_internal.cells() RETURNS TABLE (cell integer, connection text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 4 SET search_path = pg_catalog, pg_temp AS $$
    SELECT substr(o.option_name, 2)::integer, o.option_value
    FROM pg_foreign_server AS s, LATERAL pg_options_to_table(s.srvoptions) AS o
    WHERE s.srvname = 'sparkify_cells' AND o.option_name ~ '^p\d+$'
    ORDER BY 1
$$;
COMMENT ON FUNCTION sparkify_internal.cells() IS 'The cells as make_router() was given them.';

-- Calls about a user: one cell answers.

CREATE FUNCTION sparkify.recommend(user_id text, n integer DEFAULT 10, exclude text[] DEFAULT NULL,
    candidates text[] DEFAULT NULL, genres text[] DEFAULT NULL, distinct_songs boolean DEFAULT true, model_id bigint DEFAULT NULL)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, score real, strategy text, model_id bigint)
LANGUAGE plproxy VOLATILE ROWS 10 COST 10000 AS $$
    CLUSTER 'sparkify_cells'; RUN ON sparkify_internal.cell_of(user_id);
$$;
COMMENT ON FUNCTION sparkify.recommend(text, integer, text[], text[], text[], boolean, bigint) IS
    'as in the cell that has the user.';

CREATE FUNCTION sparkify.recommend_json(user_id text, n integer DEFAULT 10) RETURNS jsonb
LANGUAGE plproxy VOLATILE COST 10000 AS $$
    CLUSTER 'sparkify_cells'; RUN ON sparkify_internal.cell_of(user_id);
$$;
COMMENT ON FUNCTION sparkify.recommend_json(text, integer) IS 'as in the cell that has the user.';

CREATE FUNCTION sparkify.rate_track(user_id text, track_id text, rating integer) RETURNS void
LANGUAGE plproxy VOLATILE AS $$
    CLUSTER 'sparkify_cells'; RUN ON sparkify_internal.cell_of(user_id);
$$;
COMMENT ON FUNCTION sparkify.rate_track(text, text, integer) IS 'as in the cell that has the user, and committed there.';

CREATE FUNCTION sparkify.forget_user(user_id text) RETURNS TABLE (table_name text, rows bigint)
LANGUAGE plproxy VOLATILE ROWS 10 AS $$
    CLUSTER 'sparkify_cells'; RUN ON sparkify_internal.cell_of(user_id);
$$;
COMMENT ON FUNCTION sparkify.forget_user(text) IS
    'as in the cell that has the user, and committed there; the plays leave the trainer a moment later.';

-- PL/Proxy takes no name for an argument and a column at once.
CREATE FUNCTION sparkify_internal.explain_in(cell integer, asked_user text, asked_track text, asked_n integer, asked_model bigint)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, last_played timestamptz,
    part double precision, score double precision)
LANGUAGE plproxy VOLATILE ROWS 6 COST 10000 AS $$
    CLUSTER 'sparkify_cells'; RUN ON cell;
    SELECT * FROM sparkify.explain_recommendation($2, $3, $4, $5);
$$;
COMMENT ON FUNCTION sparkify_internal.explain_in(integer, text, text, integer, bigint) IS
    'Part of explain_recommendation(): asks one cell.';

CREATE FUNCTION sparkify.explain_recommendation(user_id text, track_id text, n integer DEFAULT 5, model_id bigint DEFAULT NULL)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, last_played timestamptz,
    part double precision, score double precision)
LANGUAGE sql VOLATILE ROWS 6 COST 10000 AS $$
    SELECT * FROM sparkify_internal.explain_in(sparkify_internal.cell_of($1), $1, $2, $3, $4)
$$;
COMMENT ON FUNCTION sparkify.explain_recommendation(text, text, integer, bigint) IS 'as in the cell that has the user.';

CREATE FUNCTION sparkify.import_history(history jsonb, user_id text, format text DEFAULT 'auto')
RETURNS TABLE (accepted bigint, duplicate bigint, unmatched bigint, passed_over bigint, rejected bigint)
LANGUAGE plproxy VOLATILE ROWS 1 AS $$
    CLUSTER 'sparkify_cells'; RUN ON sparkify_internal.cell_of(user_id);
$$;
COMMENT ON FUNCTION sparkify.import_history(jsonb, text, text) IS 'as in the cell that has the user, and committed there.';

-- The door for plays: each cell gets its own, all at once.

CREATE FUNCTION sparkify_internal.ingest_in(cells integer[], batches jsonb[], create_users boolean)
RETURNS TABLE (accepted bigint, duplicate bigint, rejected bigint)
LANGUAGE plproxy VOLATILE AS $$
    CLUSTER 'sparkify_cells'; SPLIT cells, batches; RUN ON cells;
    SELECT accepted, duplicate, rejected FROM sparkify.ingest_events(($2)[1], $3);
$$;
COMMENT ON FUNCTION sparkify_internal.ingest_in(integer[], jsonb[], boolean) IS
    'Part of ingest_events(): one batch for each cell named.';

CREATE FUNCTION sparkify.ingest_events(events jsonb, create_users boolean DEFAULT true)
RETURNS TABLE (accepted bigint, duplicate bigint, rejected bigint)
LANGUAGE plpgsql VOLATILE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mask    CONSTANT integer := (SELECT count(*) - 1 FROM sparkify_internal.cells());
    cells   integer[];
    batches jsonb[];
    code    text;
    failure text;
    failed  integer := 0;
BEGIN
    IF events IS NULL OR create_users IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN events IS NULL THEN 'events' ELSE 'create_users' END
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF jsonb_typeof(events) <> 'array' THEN
        RAISE EXCEPTION 'events must be a JSON array, not a JSON %', jsonb_typeof(events) USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'Wrap a single event: jsonb_build_array(event).';
    END IF;
    SELECT array_agg(b.cell), array_agg(b.batch) INTO cells, batches FROM (
        SELECT o.cell, jsonb_agg(o.event ORDER BY o.place) AS batch FROM (
            SELECT e.event, e.place,
                   CASE WHEN jsonb_typeof(e.event -> 'user_id') = 'string'
                        THEN sparkify_internal.cell_of(e.event ->> 'user_id') & mask ELSE 0 END AS cell
            FROM jsonb_array_elements(events) WITH ORDINALITY AS e (event, place)) AS o
        GROUP BY o.cell) AS b;
    accepted := 0;
    duplicate := 0;
    rejected := 0;
    IF cells IS NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    BEGIN
        SELECT sum(c.accepted), sum(c.duplicate), sum(c.rejected) INTO accepted, duplicate, rejected
        FROM sparkify_internal.ingest_in(cells, batches, create_users) AS c;
        RETURN NEXT;
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        code := SQLSTATE;
        failure := SQLERRM;
    END;
    -- One cell does not keep the plays of the others from being stored.
    FOR cell IN 1..cardinality(cells) LOOP
        BEGIN
            PERFORM FROM sparkify_internal.ingest_in(cells[cell:cell], batches[cell:cell], create_users);
        EXCEPTION WHEN OTHERS THEN
            failed := failed + jsonb_array_length(batches[cell]);
            code := SQLSTATE;
            failure := SQLERRM;
        END;
    END LOOP;
    IF failed > 0 THEN
        RAISE EXCEPTION '% of % events were not stored: %', failed, jsonb_array_length(events), failure USING
            ERRCODE = code,
            HINT = 'Deliver all of them again: those that are stored will be duplicates.';
    END IF;
    -- What the first attempt had stored counts as delivered before.
    SELECT sum(c.accepted), sum(c.duplicate), sum(c.rejected) INTO accepted, duplicate, rejected
    FROM sparkify_internal.ingest_in(cells, batches, create_users) AS c;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION sparkify.ingest_events(jsonb, boolean) IS
    'as in a cell, of users of all cells: each play goes to the cell of its user and is committed there. Where a cell cannot be reached the others'' plays are stored, and the call fails: deliver again.';

-- The catalogue's statistics: the trainer answers.

CREATE FUNCTION sparkify.profile_tracks()
RETURNS TABLE (column_name text, data_type text, rows bigint, missing bigint, zeros bigint, distinct_values bigint, min double precision,
    q1 double precision, median double precision, q3 double precision, max double precision, mean double precision, stddev double precision, outliers bigint)
LANGUAGE plproxy VOLATILE ROWS 23 AS $$ CLUSTER 'sparkify_catalogue'; RUN ON 0; $$;
COMMENT ON FUNCTION sparkify.profile_tracks() IS 'as in the trainer.';
CREATE FUNCTION sparkify.correlate_tracks()
RETURNS TABLE (feature_a text, feature_b text, n bigint, correlation double precision)
LANGUAGE plproxy VOLATILE ROWS 91 AS $$ CLUSTER 'sparkify_catalogue'; RUN ON 0; $$;
COMMENT ON FUNCTION sparkify.correlate_tracks() IS 'as in the trainer.';
CREATE FUNCTION sparkify.histogram_tracks(feature text, bins integer DEFAULT 20)
RETURNS TABLE (bin integer, lower double precision, upper double precision, count bigint)
LANGUAGE plproxy VOLATILE ROWS 20 AS $$ CLUSTER 'sparkify_catalogue'; RUN ON 0; $$;
COMMENT ON FUNCTION sparkify.histogram_tracks(text, integer) IS 'as in the trainer.';
CREATE FUNCTION sparkify.outlier_tracks(feature text DEFAULT NULL)
RETURNS TABLE (track_id text, track_name text, feature text, value double precision, lower_fence double precision, upper_fence double precision)
LANGUAGE plproxy VOLATILE ROWS 5000 AS $$ CLUSTER 'sparkify_catalogue'; RUN ON 0; $$;
COMMENT ON FUNCTION sparkify.outlier_tracks(text) IS 'as in the trainer.';

-- How the cells fare. Each is asked by itself: one that is down says so in its row.

CREATE FUNCTION sparkify_internal.cell_status_in(cell_no integer)
RETURNS TABLE (cell text, connected boolean, model_id bigint, published_model_id bigint, users bigint, refreshed_at timestamptz,
    catalogue_lag_bytes bigint, plays_lag_bytes bigint, message text)
LANGUAGE plproxy VOLATILE ROWS 1 AS $$
    CLUSTER 'sparkify_cells'; RUN ON cell_no;
    SELECT cell, connected, model_id, published_model_id, users, refreshed_at, catalogue_lag_bytes, plays_lag_bytes, message FROM sparkify.cell_status;
$$;
COMMENT ON FUNCTION sparkify_internal.cell_status_in(integer) IS 'Part of cell_status: asks one cell.';

CREATE FUNCTION sparkify_internal.ask_cells()
RETURNS TABLE (cell text, connected boolean, model_id bigint, published_model_id bigint, users bigint, refreshed_at timestamptz,
    catalogue_lag_bytes bigint, plays_lag_bytes bigint, message text)
LANGUAGE plpgsql VOLATILE ROWS 4 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked record;
BEGIN
    FOR asked IN SELECT c.cell, c.connection FROM sparkify_internal.cells() AS c LOOP
        BEGIN
            RETURN QUERY SELECT * FROM sparkify_internal.cell_status_in(asked.cell);
            IF NOT FOUND THEN
                RETURN QUERY SELECT asked.connection, false, NULL::bigint, NULL::bigint, NULL::bigint, NULL::timestamptz,
                    NULL::bigint, NULL::bigint, 'the database is no cell: there, CALL sparkify.join_trainer(…)';
            END IF;
        EXCEPTION WHEN OTHERS THEN
            RETURN QUERY SELECT asked.connection, false, NULL::bigint, NULL::bigint, NULL::bigint, NULL::timestamptz,
                NULL::bigint, NULL::bigint, SQLERRM;
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify_internal.ask_cells() IS 'Part of cell_status: asks every cell, whichever are down.';

CREATE VIEW sparkify.cell_status AS SELECT * FROM sparkify_internal.ask_cells();
COMMENT ON VIEW sparkify.cell_status IS
    'How cells fare, a row for each; one that cannot be reached has its connection string for a name, and the reason as its message.';
