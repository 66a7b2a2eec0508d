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
    PERFORM sparkify_internal.copy_comments();
    SET LOCAL client_min_messages = notice;
    RAISE NOTICE '%', CASE WHEN before = 0 THEN format('routes to %s cells', n)
                           WHEN changed THEN 'routes to where the cells are now' ELSE 'routes as before' END;
    IF made <> '{}' AND before > 0 THEN
        RAISE NOTICE 'new: %', array_to_string(made, ', ');
    END IF;
END $$;
COMMENT ON PROCEDURE sparkify.make_router(text[], text) IS
    'Routes to some cells (1, 2, 4, 8 …; the order is that of the users'' hashes) and their trainer, each a connection string without user or password. Called again, it follows cells that have moved, and takes in relations that have come. Undone by DROP EXTENSION sparkify_router CASCADE.';

CREATE FUNCTION sparkify_internal.copy_comments() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said record;
BEGIN
    CREATE SCHEMA sparkify_import;
    CREATE FOREIGN TABLE sparkify_import.namespaces (oid oid, nspname name) SERVER sparkify_trainer
        OPTIONS (schema_name 'pg_catalog', table_name 'pg_namespace');
    CREATE FOREIGN TABLE sparkify_import.classes (oid oid, relname name, relnamespace oid) SERVER sparkify_trainer
        OPTIONS (schema_name 'pg_catalog', table_name 'pg_class');
    CREATE FOREIGN TABLE sparkify_import.attributes (attrelid oid, attname name, attnum int2) SERVER sparkify_trainer
        OPTIONS (schema_name 'pg_catalog', table_name 'pg_attribute');
    CREATE FOREIGN TABLE sparkify_import.functions (oid oid, proname name, pronamespace oid) SERVER sparkify_trainer
        OPTIONS (schema_name 'pg_catalog', table_name 'pg_proc');
    CREATE FOREIGN TABLE sparkify_import.descriptions (objoid oid, objsubid integer, description text) SERVER sparkify_trainer
        OPTIONS (schema_name 'pg_catalog', table_name 'pg_description');
    FOR said IN
        SELECT here.relname, here.relkind, a.attname, d.description
        FROM sparkify_import.namespaces AS n JOIN sparkify_import.classes AS c ON c.relnamespace = n.oid
        JOIN sparkify_import.descriptions AS d ON d.objoid = c.oid
        LEFT JOIN sparkify_import.attributes AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid
        JOIN pg_class AS here ON here.relnamespace = 'sparkify'::regnamespace AND here.relname = c.relname AND here.relkind IN ('f', 'p', 'v')
        WHERE n.nspname = 'sparkify'
    LOOP
        EXECUTE format('COMMENT ON %s sparkify.%I%s IS %L',
            CASE WHEN said.attname IS NOT NULL THEN 'COLUMN' ELSE CASE said.relkind WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END END,
            said.relname, CASE WHEN said.attname IS NULL THEN '' ELSE format('.%I', said.attname) END, said.description);
    END LOOP;
    -- What a call does, and then how it is answered here.
    FOR said IN
        SELECT here.oid::regprocedure AS call, d.description,
               regexp_replace(obj_description(here.oid, 'pg_proc'), '^.* On this router: ', '') AS answered
        FROM sparkify_import.namespaces AS n JOIN sparkify_import.functions AS p ON p.pronamespace = n.oid
        JOIN sparkify_import.descriptions AS d ON d.objoid = p.oid
        JOIN pg_proc AS here ON here.pronamespace = 'sparkify'::regnamespace AND here.proname = p.proname AND here.prokind = 'f'
        WHERE n.nspname = 'sparkify'
    LOOP
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', said.call, said.description || ' On this router: ' || said.answered);
    END LOOP;
    DROP SCHEMA sparkify_import CASCADE;
END $$;
COMMENT ON FUNCTION sparkify_internal.copy_comments() IS
    'Part of make_router(): gives calls and relations the comments that they have in the trainer.';

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
