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
    'As in the cell that has the user.';

CREATE FUNCTION sparkify.recommend_json(user_id text, n integer DEFAULT 10) RETURNS jsonb
LANGUAGE plproxy VOLATILE COST 10000 AS $$
    CLUSTER 'sparkify_cells'; RUN ON sparkify_internal.cell_of(user_id);
$$;
COMMENT ON FUNCTION sparkify.recommend_json(text, integer) IS 'As in the cell that has the user.';

CREATE FUNCTION sparkify.rate_track(user_id text, track_id text, rating integer) RETURNS void
LANGUAGE plproxy VOLATILE AS $$
    CLUSTER 'sparkify_cells'; RUN ON sparkify_internal.cell_of(user_id);
$$;
COMMENT ON FUNCTION sparkify.rate_track(text, text, integer) IS 'As in the cell that has the user, and committed there.';

CREATE FUNCTION sparkify.forget_user(user_id text) RETURNS TABLE (table_name text, rows bigint)
LANGUAGE plproxy VOLATILE ROWS 10 AS $$
    CLUSTER 'sparkify_cells'; RUN ON sparkify_internal.cell_of(user_id);
$$;
COMMENT ON FUNCTION sparkify.forget_user(text) IS
    'As in the cell that has the user, and committed there; the plays leave the trainer a moment later.';

-- Calls about tracks: every cell has the catalogue. One that is down is passed by.

CREATE FUNCTION sparkify_internal.similar_tracks_in(cell integer, track_id text, n integer, exclude text[],
    candidates text[], genres text[], distinct_songs boolean, model_id bigint)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, score real)
LANGUAGE plproxy VOLATILE ROWS 10 COST 10000 AS $$
    CLUSTER 'sparkify_cells'; RUN ON cell;
    SELECT * FROM sparkify.similar_tracks($2, $3, $4, $5, $6, $7, $8);
$$;
COMMENT ON FUNCTION sparkify_internal.similar_tracks_in(integer, text, integer, text[], text[], text[], boolean, bigint) IS
    'Part of similar_tracks(): asks one cell.';

CREATE FUNCTION sparkify_internal.similar_tracks_anywhere(asked_track text, n integer, exclude text[],
    candidates text[], genres text[], distinct_songs boolean, asked_model bigint)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, score real)
LANGUAGE plpgsql VOLATILE ROWS 10 COST 10000 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    cells CONSTANT integer := (SELECT count(*) FROM sparkify_internal.cells());
    first CONSTANT integer := sparkify_internal.cell_of(asked_track);
BEGIN
    FOR attempt IN 1..greatest(cells, 1) LOOP
        BEGIN
            RETURN QUERY SELECT * FROM sparkify_internal.similar_tracks_in(first + attempt, asked_track, n, exclude,
                candidates, genres, distinct_songs, asked_model);
            RETURN;
        EXCEPTION WHEN OTHERS THEN
            IF attempt >= cells OR NOT sparkify_internal.is_out_of_reach(SQLSTATE, SQLERRM) THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify_internal.similar_tracks_anywhere(text, integer, text[], text[], text[], boolean, bigint) IS
    'Part of similar_tracks(): asks the cells one by one until one answers.';

CREATE FUNCTION sparkify.similar_tracks(track_id text, n integer DEFAULT 10, exclude text[] DEFAULT NULL,
    candidates text[] DEFAULT NULL, genres text[] DEFAULT NULL, distinct_songs boolean DEFAULT true, model_id bigint DEFAULT NULL)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, score real)
LANGUAGE sql VOLATILE ROWS 10 COST 10000 AS $$
    SELECT * FROM sparkify_internal.similar_tracks_anywhere($1, $2, $3, $4, $5, $6, $7)
$$;
COMMENT ON FUNCTION sparkify.similar_tracks(text, integer, text[], text[], text[], boolean, bigint) IS
    'As in any cell that can be reached.';

CREATE FUNCTION sparkify_internal.is_out_of_reach(code text, message text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    -- PL/Proxy gives every failure of its own one code. Class 08: no connection; 57P: a server that shuts down or starts.
    SELECT code LIKE '08%' OR code LIKE '57P%' OR code = 'XX000' AND message LIKE 'PL/Proxy function %' AND message NOT LIKE '%REMOTE ERROR%'
$$;
COMMENT ON FUNCTION sparkify_internal.is_out_of_reach(text, text) IS 'Whether an error says that a database cannot be reached.';

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
    'As in a cell, of users of all cells: each play goes to the cell of its user and is committed there. Where a cell cannot be reached the others'' plays are stored, and the call fails: deliver again.';

-- The catalogue's statistics: the trainer answers.

CREATE FUNCTION sparkify.profile_tracks()
RETURNS TABLE (column_name text, data_type text, rows bigint, missing bigint, zeros bigint, distinct_values bigint, min double precision,
    q1 double precision, median double precision, q3 double precision, max double precision, mean double precision, stddev double precision, outliers bigint)
LANGUAGE plproxy VOLATILE ROWS 23 AS $$ CLUSTER 'sparkify_catalogue'; RUN ON 0; $$;
COMMENT ON FUNCTION sparkify.profile_tracks() IS 'As in the trainer.';
CREATE FUNCTION sparkify.correlate_tracks()
RETURNS TABLE (feature_a text, feature_b text, n bigint, correlation double precision)
LANGUAGE plproxy VOLATILE ROWS 91 AS $$ CLUSTER 'sparkify_catalogue'; RUN ON 0; $$;
COMMENT ON FUNCTION sparkify.correlate_tracks() IS 'As in the trainer.';
CREATE FUNCTION sparkify.histogram_tracks(feature text, bins integer DEFAULT 20)
RETURNS TABLE (bin integer, lower double precision, upper double precision, count bigint)
LANGUAGE plproxy VOLATILE ROWS 20 AS $$ CLUSTER 'sparkify_catalogue'; RUN ON 0; $$;
COMMENT ON FUNCTION sparkify.histogram_tracks(text, integer) IS 'As in the trainer.';
CREATE FUNCTION sparkify.outlier_tracks(feature text DEFAULT NULL)
RETURNS TABLE (track_id text, track_name text, feature text, value double precision, lower_fence double precision, upper_fence double precision)
LANGUAGE plproxy VOLATILE ROWS 5000 AS $$ CLUSTER 'sparkify_catalogue'; RUN ON 0; $$;
COMMENT ON FUNCTION sparkify.outlier_tracks(text) IS 'As in the trainer.';

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

-- Making the router.

CREATE FUNCTION sparkify_internal.connection_options(connection text, what text) RETURNS TABLE (name text, value text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 4 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    option CONSTANT text := '([a-z_]+)\s*=\s*(''(?:[^''\\]|\\.)*''|(?:[^\s''\\]|\\.)+)';
    pair   text[];
BEGIN
    IF connection IS NULL THEN
        RAISE EXCEPTION '% must not be null', what USING ERRCODE = 'null_value_not_allowed';
    ELSIF connection !~ ('^\s*(' || option || '\s+)*' || option || '\s*$') THEN
        RAISE EXCEPTION '% is not a connection string', what USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'Write keywords and values: host=db2 port=5432 dbname=music.';
    ELSIF connection !~ '\mdbname\s*=' THEN
        RAISE EXCEPTION '% names no dbname', what USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR pair IN SELECT found_pair FROM regexp_matches(connection, option, 'g') AS found_pair LOOP
        IF pair[1] IN ('user', 'password', 'passfile', 'options', 'service') THEN
            RAISE EXCEPTION 'option "%" has no place in %, which every role can read', pair[1], what USING
                ERRCODE = 'invalid_parameter_value',
                HINT = 'Roles reach the cells under their own names. A password belongs into their user mappings, or into the password file of the server''s user.';
        ELSIF pair[1] <> ALL ('{host,hostaddr,port,dbname,sslmode,sslrootcert,sslcert,sslkey,sslcrl,connect_timeout,keepalives,keepalives_idle,keepalives_interval,keepalives_count,tcp_user_timeout,target_session_attrs}') THEN
            RAISE EXCEPTION 'option "%" has no place in %', pair[1], what USING ERRCODE = 'invalid_parameter_value';
        END IF;
        name := pair[1];
        value := regexp_replace(CASE WHEN pair[2] LIKE '''%' THEN substr(pair[2], 2, length(pair[2]) - 2) ELSE pair[2] END, '\\(.)', '\1', 'g');
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify_internal.connection_options(text, text) IS
    'Part of make_router(): the options of a connection string, or a refusal that does not show it.';

-- A foreign server with exactly some options.
CREATE FUNCTION sparkify_internal.put_server(server text, wrapper text, names text[], vals text[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changes text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_foreign_server WHERE srvname = server) THEN
        EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER %I OPTIONS (%s)', server, wrapper,
            (SELECT string_agg(format('%I %L', o.name, o.value), ', ') FROM unnest(names, vals) AS o (name, value)));
        RETURN true;
    END IF;
    SELECT string_agg(CASE WHEN n.name IS NULL THEN format('DROP %I', h.option_name)
                           WHEN h.option_name IS NULL THEN format('ADD %I %L', n.name, n.value)
                           ELSE format('SET %I %L', n.name, n.value) END, ', ') INTO changes
    FROM unnest(names, vals) AS n (name, value)
    FULL JOIN (SELECT o.option_name, o.option_value FROM pg_foreign_server AS s, LATERAL pg_options_to_table(s.srvoptions) AS o
               WHERE s.srvname = server) AS h ON h.option_name = n.name
    WHERE n.value IS DISTINCT FROM h.option_value;
    IF changes IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER SERVER %I OPTIONS (%s)', server, changes);
    RETURN true;
END $$;
COMMENT ON FUNCTION sparkify_internal.put_server(text, text, text[], text[]) IS
    'Part of make_router(): makes a foreign server, or gives it other options; whether anything was to be done.';

CREATE FUNCTION sparkify_internal.map_role(role name) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    server name;
BEGIN
    FOR server IN SELECT s.srvname FROM pg_foreign_server AS s JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
                  WHERE s.srvname LIKE 'sparkify\_%' AND w.fdwname = 'postgres_fdw' LOOP
        -- The name is fixed here: no password is needed to keep roles apart. Which are let in, the cell says.
        IF NOT EXISTS (SELECT FROM pg_user_mappings AS m WHERE m.srvname = server AND m.usename = role) THEN
            EXECUTE format('CREATE USER MAPPING FOR %I SERVER %I OPTIONS (user %L, password_required ''false'')', role, server, role);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify_internal.map_role(name) IS 'Part of make_router() and grant_reader(): lets a role reach the cells under its own name.';

CREATE PROCEDURE sparkify.make_router(cells text[], trainer text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n       CONSTANT integer := cardinality(cells);
    before  CONSTANT bigint := (SELECT count(*) FROM sparkify_internal.cells());
    changed boolean;
    other   boolean;
    relation name;
    column_name name;
    expression text;
    made    text[] := '{}';
    named   name[];
BEGIN
    IF cells IS NULL OR n = 0 OR n > 1024 OR (n & (n - 1)) <> 0 THEN
        RAISE EXCEPTION 'there must be 1, 2, 4, 8 … up to 1024 cells, not %', coalesce(n, 0) USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'Begin with as many as there may ever be servers: several can lie on one, and move later.';
    ELSIF before NOT IN (0, n) THEN
        RAISE EXCEPTION 'there are % cells, not %', before, n USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = 'With another number users would belong to other cells than those that have them.',
            HINT = 'For a new beginning run DROP EXTENSION sparkify_router CASCADE, and drop the servers sparkify_….';
    END IF;
    PERFORM sparkify_internal.connection_options(c, 'cell ' || place - 1) FROM unnest(cells) WITH ORDINALITY AS u (c, place);
    PERFORM sparkify_internal.connection_options(trainer, 'trainer');

    changed := sparkify_internal.put_server('sparkify_cells', 'plproxy',
        (SELECT array_agg('p' || place - 1 ORDER BY place) FROM unnest(cells) WITH ORDINALITY AS u (c, place)), cells);
    other := sparkify_internal.put_server('sparkify_catalogue', 'plproxy', '{p0}', ARRAY[trainer]);
    changed := changed OR other;
    FOR i IN 0..n LOOP
        other := sparkify_internal.put_server(
            CASE WHEN i < n THEN 'sparkify_cell_' || i ELSE 'sparkify_trainer' END, 'postgres_fdw',
            (SELECT array_agg(o.name ORDER BY o.name) FROM sparkify_internal.connection_options(coalesce(cells[i + 1], trainer), '') AS o),
            (SELECT array_agg(o.value ORDER BY o.name) FROM sparkify_internal.connection_options(coalesce(cells[i + 1], trainer), '') AS o));
        changed := changed OR other;
    END LOOP;
    SET LOCAL client_min_messages = warning;
    IF before = 0 THEN
        -- PL/Proxy comes under the name of its caller.
        CREATE USER MAPPING IF NOT EXISTS FOR PUBLIC SERVER sparkify_cells;
        CREATE USER MAPPING IF NOT EXISTS FOR PUBLIC SERVER sparkify_catalogue;
    END IF;
    PERFORM sparkify_internal.map_role(current_user);

    -- What the cells have of a user, a partition a cell; what is not there yet.
    CREATE SCHEMA IF NOT EXISTS sparkify_import;
    IMPORT FOREIGN SCHEMA sparkify FROM SERVER sparkify_cell_0 INTO sparkify_import OPTIONS (import_generated 'false', import_not_null 'false');
    SELECT array_agg(c.relname) INTO named FROM pg_class AS c
    WHERE c.relnamespace = 'sparkify_import'::regnamespace AND c.relkind = 'f'
      AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'user_id');
    FOREACH relation IN ARRAY coalesce(named, '{}') LOOP
        CONTINUE WHEN to_regclass(format('sparkify.%I', relation)) IS NOT NULL;
        EXECUTE format('CREATE TABLE sparkify.%I (LIKE sparkify_import.%I) PARTITION BY HASH (user_id)', relation, relation);
        FOR i IN 0..n - 1 LOOP
            EXECUTE format('CREATE FOREIGN TABLE sparkify_internal.%I PARTITION OF sparkify.%I FOR VALUES WITH (MODULUS %s, REMAINDER %s) SERVER %I OPTIONS (schema_name ''sparkify'', table_name %L)',
                relation || '_' || i, relation, n, i, 'sparkify_cell_' || i, relation);
        END LOOP;
        made := made || relation::text;
    END LOOP;
    DROP SCHEMA sparkify_import CASCADE;
    -- A foreign table sends every column, also one that was not given a value.
    FOR relation, column_name, expression IN VALUES
        ('users'::name, 'created_at'::name, 'pg_catalog.now()'), ('listening_events', 'event_id', 'pg_catalog.gen_random_uuid()'),
        ('track_feedback', 'rated_at', 'pg_catalog.now()')
    LOOP
        IF relation::text = ANY (made) THEN
            EXECUTE format('ALTER TABLE sparkify.%I ALTER COLUMN %I SET DEFAULT %s', relation, column_name, expression);
        END IF;
    END LOOP;

    -- What is everybody's: the trainer has it.
    CREATE SCHEMA sparkify_import;
    IMPORT FOREIGN SCHEMA sparkify EXCEPT (cell_status, recommendation_coverage, raw_tracks, rejected_tracks, rejected_events)
        FROM SERVER sparkify_trainer INTO sparkify_import OPTIONS (import_generated 'false', import_not_null 'false');
    FOR relation IN
        SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'sparkify_import'::regnamespace AND c.relkind = 'f'
          AND to_regclass(format('sparkify.%I', c.relname)) IS NULL
    LOOP
        EXECUTE format('ALTER FOREIGN TABLE sparkify_import.%I SET SCHEMA sparkify', relation);
        made := made || relation::text;
    END LOOP;
    DROP SCHEMA sparkify_import CASCADE;

    IF to_regclass('sparkify.recommendation_coverage') IS NULL THEN
        PERFORM sparkify_internal.make_coverage(n);
        made := made || 'recommendation_coverage'::text;
    END IF;
    SET LOCAL client_min_messages = notice;
    RAISE NOTICE '%', CASE WHEN before = 0 THEN format('routes to %s cells', n)
                           WHEN changed THEN 'routes to where the cells are now' ELSE 'routes as before' END;
    IF made <> '{}' AND before > 0 THEN
        RAISE NOTICE 'new: %', array_to_string(made, ', ');
    END IF;
END $$;
COMMENT ON PROCEDURE sparkify.make_router(text[], text) IS
    'Routes to some cells (1, 2, 4, 8 …; the order is that of the users'' hashes) and their trainer, each a connection string without user or password. Called again, it follows cells that have moved, and takes in relations that have come. Undone by DROP EXTENSION sparkify_router CASCADE.';

-- The lists lie in the cells, so one row about all of them is put together here.
CREATE FUNCTION sparkify_internal.make_coverage(n integer) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    FOR i IN 0..n - 1 LOOP
        EXECUTE format('IMPORT FOREIGN SCHEMA sparkify LIMIT TO (recommendation_coverage) FROM SERVER %I INTO sparkify_internal', 'sparkify_cell_' || i);
        EXECUTE format('ALTER FOREIGN TABLE sparkify_internal.recommendation_coverage RENAME TO %I', 'coverage_' || i);
    END LOOP;
    EXECUTE format($view$
CREATE VIEW sparkify.recommendation_coverage AS
WITH cell AS (%s), list AS (
    SELECT sum(users_served)::bigint AS users_served, sum(users)::bigint AS users, sum(recommendations)::bigint AS recommendations,
           sum(round(genres_per_list * users_served)) / nullif(sum(users_served), 0)::double precision AS genres_per_list,
           sum(round(artists_per_list * users_served)) / nullif(sum(users_served), 0)::double precision AS artists_per_list,
           max(model_id) AS model_id
    FROM cell
), track AS (
    -- A group a track and cell is counted where the lists are.
    SELECT r.track_id, sum(r.lists) AS lists FROM (%s) AS r GROUP BY r.track_id
), recommended AS (
    SELECT count(*) AS tracks,
           sum(track.lists * t.popularity)::double precision / nullif(sum(track.lists) FILTER (WHERE t.popularity IS NOT NULL), 0)::double precision AS popularity
    FROM track LEFT JOIN sparkify.tracks AS t ON t.track_id = track.track_id
), catalogue AS (
    SELECT count(*) AS tracks FROM sparkify.tracks
), played AS (
    SELECT sum(t.popularity * p.plays)::double precision / nullif(sum(p.plays), 0)::double precision AS popularity
    FROM sparkify.track_plays AS p JOIN sparkify.tracks AS t ON t.track_id = p.track_id AND t.popularity IS NOT NULL
)
SELECT list.model_id, list.users_served, list.users, list.recommendations, recommended.tracks AS tracks_recommended, catalogue.tracks,
       recommended.tracks::double precision / nullif(catalogue.tracks, 0) AS catalogue_share, list.genres_per_list, list.artists_per_list,
       recommended.popularity AS recommended_popularity, played.popularity AS played_popularity
FROM list, recommended, catalogue, played
$view$,
        (SELECT string_agg(format('SELECT * FROM sparkify_internal.coverage_%s', i), ' UNION ALL ') FROM generate_series(0, n - 1) AS i),
        (SELECT string_agg(format('SELECT track_id, count(*) AS lists FROM sparkify_internal.user_recommendations_%1$s WHERE model_id = (SELECT model_id FROM sparkify_internal.coverage_%1$s) GROUP BY track_id', i), ' UNION ALL ')
         FROM generate_series(0, n - 1) AS i));
    COMMENT ON VIEW sparkify.recommendation_coverage IS
        'One row: how far the stored recommendations of all cells reach, how varied and how mainstream they are.';
END $$;
COMMENT ON FUNCTION sparkify_internal.make_coverage(integer) IS 'Part of make_router(): makes recommendation_coverage.';

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
    FOREACH object IN ARRAY '{cell_of,cells,similar_tracks_anywhere,similar_tracks_in,is_out_of_reach,cell_status_in,ask_cells}'::text[] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION sparkify_internal.%I TO %I', object, role);
    END LOOP;
    FOREACH object IN ARRAY '{recommend,recommend_json,similar_tracks,profile_tracks,correlate_tracks,histogram_tracks,outlier_tracks}'::text[] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION sparkify.%I TO %I', object, role);
    END LOOP;
    IF writes THEN
        FOREACH object IN ARRAY '{ingest_events,rate_track,forget_user}'::text[] LOOP
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
