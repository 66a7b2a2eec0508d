-- Giving roles their part, and taking it back.

CREATE FUNCTION sparkify_internal.grant_part(role name, parts text[], statement_timeout interval) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    statement text;
BEGIN
    IF role IS NULL OR statement_timeout IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN role IS NULL THEN 'role' ELSE 'statement_timeout' END
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', role USING
            ERRCODE = 'undefined_object',
            HINT = format('Run CREATE ROLE %I LOGIN PASSWORD ''…''.', role);
    ELSIF (SELECT rolsuper FROM pg_roles WHERE rolname = role) THEN
        RAISE EXCEPTION 'role "%" is a superuser, whom nothing keeps from anything', role USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'Use a role of its own.';
    ELSIF statement_timeout <= interval '0' OR statement_timeout > interval '1 day' THEN
        RAISE EXCEPTION 'statement_timeout must be above 0 and at most a day, not %', statement_timeout
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF NOT has_table_privilege('sparkify_internal.stated_privileges', 'SELECT') THEN
        RAISE EXCEPTION 'permission denied to grant a part of the extension' USING
            ERRCODE = 'insufficient_privilege',
            HINT = 'Ask the owner of the extension, or a superuser.';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA sparkify, sparkify_internal TO %I', role);
    FOR statement IN
        SELECT format('GRANT %s ON %s TO %I', s.privileges, object.name, role)
        FROM sparkify_internal.stated_privileges AS s,
            regexp_split_to_table(btrim(s.objects, E' \n'), '\s+') AS stated (name),
            LATERAL (
                SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || stated.name
                FROM pg_class AS c WHERE s.kind = 'relation' AND c.oid = to_regclass(stated.name)
                UNION ALL
                SELECT 'ROUTINE ' || p.oid::regprocedure
                FROM pg_proc AS p WHERE s.kind = 'function' AND p.oid = to_regproc(stated.name)
            ) AS object (name)
        WHERE s.part = ANY (parts)
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify_internal.grant_part(name, text[], interval) IS
    'Part of grant_reader() and grant_writer(): grants a role what is stated for some parts.';

CREATE FUNCTION sparkify.grant_reader(role name, statement_timeout interval DEFAULT '30 seconds') RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.grant_part(role, '{reader}', statement_timeout);
    -- A role that writes here goes on writing.
    IF NOT has_table_privilege(role, 'sparkify.listening_events', 'INSERT') THEN
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET default_transaction_read_only = on', role, current_database());
    END IF;
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET statement_timeout = %L', role, current_database(),
                   ceil(extract(epoch FROM statement_timeout) * 1000)::bigint || 'ms');
    -- The panels' queries are short: compiling them, or starting workers, takes longer than running them.
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET jit = off', role, current_database());
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET max_parallel_workers_per_gather = 0', role, current_database());
END $$;
COMMENT ON FUNCTION sparkify.grant_reader(name, interval) IS
    'Lets an existing role read in this database the views and the tables behind them, and call recommend() and what else only reads: no privilege to write, transactions read-only unless the role may write already, statements stopped after statement_timeout. What the catalogue and the events were refused for stays unseen. Undone by revoke_access().';

CREATE FUNCTION sparkify.grant_writer(role name, operate boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF operate IS NULL THEN
        RAISE EXCEPTION 'operate must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM sparkify_internal.grant_part(role,
        CASE WHEN operate THEN '{reader,writer,operator}' ELSE '{reader,writer}' END::text[], interval '1 day');
    EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET default_transaction_read_only', role, current_database());
END $$;
COMMENT ON FUNCTION sparkify.grant_writer(name, boolean) IS
    'Lets an existing role read as grant_reader() does, and write in this database what an application writes: plays, users, feedback, tracks, erasure of a user. With operate it may build models, refresh, and run and schedule the pipeline, too. Undone by revoke_access().';

CREATE FUNCTION sparkify.revoke_access(role name) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    setting text;
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION 'role must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', role USING
            ERRCODE = 'undefined_object',
            HINT = 'List roles with SELECT rolname FROM pg_catalog.pg_roles.';
    END IF;
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA sparkify, sparkify_internal FROM %I', role);
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA sparkify, sparkify_internal FROM %I', role);
    EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA sparkify, sparkify_internal FROM %I', role);
    EXECUTE format('REVOKE ALL ON SCHEMA sparkify, sparkify_internal FROM %I', role);
    FOREACH setting IN ARRAY ARRAY['default_transaction_read_only', 'statement_timeout', 'jit', 'max_parallel_workers_per_gather'] LOOP
        EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET %I', role, current_database(), setting);
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify.revoke_access(name) IS
    'Takes back what grant_reader() and grant_writer() gave a role in this database, its settings too.';

-- What is left of a user whose account, plays and feedback are gone. It has definer's
-- rights, so it works for those alone: whoever could not delete them, as row-level
-- security may have it, erases nothing here.
CREATE FUNCTION sparkify_internal.forget_traces(user_id text) RETURNS TABLE (table_name text, rows bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    relation regclass;
BEGIN
    IF EXISTS (SELECT FROM sparkify.users AS u WHERE u.user_id = forget_traces.user_id)
       OR EXISTS (SELECT FROM sparkify.listening_events AS e WHERE e.user_id = forget_traces.user_id)
       OR EXISTS (SELECT FROM sparkify.track_feedback AS f WHERE f.user_id = forget_traces.user_id) THEN
        RAISE EXCEPTION 'user "%" has rows that you may not delete', left(user_id, 60) USING
            ERRCODE = 'insufficient_privilege',
            HINT = 'Ask a role that sees all of the user''s rows to call sparkify.forget_user().';
    END IF;
    -- See wait_for_turns().
    PERFORM FROM sparkify_internal.turns WHERE work = 'refresh' FOR SHARE;
    FOR relation IN
        SELECT c.oid FROM pg_class AS c
        JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
            AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
        JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'sparkify'
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND c.relname NOT IN ('play_changes', 'list_changes', 'list_totals', 'changed_users')
        ORDER BY c.relname
    LOOP
        EXECUTE format('DELETE FROM %s AS t WHERE t.user_id = $1', relation) USING user_id;
        GET DIAGNOSTICS rows = ROW_COUNT;
        table_name := relation::text;
        IF rows > 0 THEN
            RETURN NEXT;
        END IF;
    END LOOP;
    DELETE FROM sparkify.rejected_events AS r
    WHERE jsonb_typeof(r.event) = 'object' AND r.event ->> 'user_id' = forget_traces.user_id;
    GET DIAGNOSTICS rows = ROW_COUNT;
    table_name := 'sparkify.rejected_events';
    IF rows > 0 THEN
        RETURN NEXT;
    END IF;
    -- Totals are corrected by what was noted, which names the user until then. A refresh
    -- under way would pass this one by, and write what is deleted here.
    PERFORM FROM sparkify_internal.turns WHERE work = 'summaries' FOR UPDATE;
    PERFORM sparkify.refresh_summaries();
    DELETE FROM sparkify_internal.changed_users AS c WHERE c.user_id = forget_traces.user_id;
    DELETE FROM sparkify_internal.list_totals AS t WHERE t.user_id = forget_traces.user_id;
END $$;
COMMENT ON FUNCTION sparkify_internal.forget_traces(text) IS
    'Part of forget_user(): erases what is left of a user who has no account, plays or feedback any more.';

CREATE FUNCTION sparkify.forget_user(user_id text) RETURNS TABLE (table_name text, rows bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 10 SET search_path = pg_catalog, pg_temp SET sparkify.erased = '{}' AS $$
DECLARE
    relation regclass;
BEGIN
    IF user_id IS NULL THEN
        RAISE EXCEPTION 'user_id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    -- With the caller's rights, so that nobody erases whom they may not delete.
    FOREACH relation IN ARRAY '{sparkify.listening_events, sparkify.track_feedback, sparkify.users}'::regclass[] LOOP
        EXECUTE format('DELETE FROM %s AS t WHERE t.user_id = $1', relation) USING user_id;
        GET DIAGNOSTICS rows = ROW_COUNT;
        table_name := relation::text;
        IF rows > 0 THEN
            RETURN NEXT;
        END IF;
    END LOOP;
    -- What the account took along, as its trigger counted it.
    RETURN QUERY SELECT e.key, e.value::bigint FROM jsonb_each_text(current_setting('sparkify.erased')::jsonb) AS e ORDER BY 1;
    BEGIN
        RETURN QUERY SELECT t.table_name, t.rows FROM sparkify_internal.forget_traces(user_id) AS t;
    EXCEPTION WHEN insufficient_privilege THEN
        -- Who sees every row has deleted them all: what is there came meanwhile.
        IF NOT (row_security_active('sparkify.users') OR row_security_active('sparkify.listening_events')
                OR row_security_active('sparkify.track_feedback')) THEN
            RAISE EXCEPTION 'user "%" was written while being erased', left(user_id, 60) USING
                ERRCODE = 'serialization_failure',
                HINT = 'Call sparkify.forget_user() again.';
        END IF;
        RAISE;
    END;
END $$;
COMMENT ON FUNCTION sparkify.forget_user(text) IS
    'Erases a user in one transaction: the account, plays, feedback, refused events, vectors and lists of every model, notes and simulated taste; totals are counted without them. Gives how many rows of which table. Refused where row-level security keeps the caller from deleting some of them. Plays that are written for the user afterwards are new.';
