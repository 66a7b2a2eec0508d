-- Reading without writing.

CREATE FUNCTION sparkify.grant_reader(role name, statement_timeout interval DEFAULT '30 seconds') RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    relation regclass;
BEGIN
    IF role IS NULL OR statement_timeout IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN role IS NULL THEN 'role' ELSE 'statement_timeout' END
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', role USING
            ERRCODE = 'undefined_object',
            HINT = format('Run CREATE ROLE %I LOGIN PASSWORD ''…''.', role);
    ELSIF (SELECT rolsuper FROM pg_roles WHERE rolname = role) THEN
        RAISE EXCEPTION 'role "%" is a superuser, whom nothing keeps from writing', role USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'Use a role of its own for reading.';
    ELSIF statement_timeout <= interval '0' OR statement_timeout > interval '1 day' THEN
        RAISE EXCEPTION 'statement_timeout must be above 0 and at most a day, not %', statement_timeout
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA sparkify TO %I', role);
    FOR relation IN
        SELECT c.oid FROM pg_class AS c
        JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
            AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
        JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'sparkify'
        WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace = 'sparkify'::regnamespace
          AND c.relname NOT IN ('raw_tracks', 'rejected_tracks', 'rejected_events')
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO %I', relation, role);
    END LOOP;
    EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = on', role);
    EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', role,
                   ceil(extract(epoch FROM statement_timeout) * 1000)::bigint || 'ms');
    -- The panels' queries are short: compiling them takes longer than running them.
    EXECUTE format('ALTER ROLE %I SET jit = off', role);
END $$;
COMMENT ON FUNCTION sparkify.grant_reader(name, interval) IS
    'Lets an existing role read the views and the tables behind them, and call recommend(), recommend_json() and similar_tracks(), and nothing else: no privilege to write, transactions read-only, statements stopped after statement_timeout. What the catalogue and the events were refused for stays unseen.';
