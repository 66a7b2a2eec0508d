-- The door for live listening.

-- Called for each event: a SET clause would double its cost, so names are qualified.
CREATE FUNCTION sparkify_internal.read_played_at(value text) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED AS $$
BEGIN
    -- The form excludes 'now', 'infinity' and what depends on a setting; the cast refuses a 31st of February.
    RETURN CASE
        WHEN value OPERATOR(pg_catalog.~) '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|z|[+-]\d\d(:?\d\d)?)$'
            THEN value::pg_catalog.timestamptz
        WHEN value OPERATOR(pg_catalog.~) '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?$'
            THEN pg_catalog.concat(value, 'Z')::pg_catalog.timestamptz
    END;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.read_played_at(text) IS
    'Part of ingest_events(): an ISO 8601 date and time, in UTC where it names no zone; NULL for anything else.';

-- What ingest_events() and streams share: judges events and stores the valid ones.
CREATE FUNCTION sparkify_internal.store_events(events jsonb, create_users boolean,
    OUT accepted bigint, OUT duplicate bigint, OUT refused integer[], OUT reasons text[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET work_mem = '64MB' AS $$
BEGIN
    -- OFFSET 0 keeps each level apart, so that a value is computed once, and streams
    -- where a materialised level would go to disk. A cast stands behind its check:
    -- CASE, not AND, keeps that order.
    WITH judged AS MATERIALIZED (
        SELECT r.place, r.reason, r.known_user,
               r.user_id, r.track_id, r.played_at, r.ms_played, r.skipped, r.session_id, r.event_id
        FROM (SELECT
               t.place, t.user_id, t.track_id, t.played_at, t.ms_played, t.skipped, t.session_id, t.event_id,
               u.user_id IS NOT NULL AS known_user,
               CASE
               WHEN t.form <> 'object' THEN format('an event must be a JSON object, not a JSON %s', t.form)
               WHEN coalesce(jsonb_typeof(t.raw_user), 'null') = 'null' THEN 'user_id is missing'
               WHEN t.user_id IS NULL THEN 'user_id must be a string of 1 to 512 bytes'
               WHEN coalesce(jsonb_typeof(t.raw_track), 'null') = 'null' THEN 'track_id is missing'
               WHEN t.track_id IS NULL THEN 'track_id must be a string of 1 to 512 bytes'
               WHEN coalesce(jsonb_typeof(t.raw_played_at), 'null') = 'null' THEN 'played_at is missing'
               WHEN t.played_at IS NULL
                   THEN format('played_at must be an ISO 8601 date and time, not %s', left(t.raw_played_at::text, 60))
               WHEN t.played_at < timestamptz '1970-01-01 00:00 UTC' THEN 'played_at lies before 1970'
               WHEN t.played_at > statement_timestamp() + interval '1 day' THEN 'played_at lies more than a day ahead'
               WHEN t.ms_played IS NULL AND coalesce(jsonb_typeof(t.raw_ms), 'null') <> 'null'
                   THEN format('ms_played must be a whole number from 0 to 2147483647, not %s', left(t.raw_ms::text, 60))
               WHEN t.skipped IS NULL AND coalesce(jsonb_typeof(t.raw_skipped), 'null') <> 'null'
                   THEN format('skipped must be true or false, not %s', left(t.raw_skipped::text, 60))
               WHEN t.session_id IS NULL AND coalesce(jsonb_typeof(t.raw_session), 'null') <> 'null'
                   THEN 'session_id must be a string of at most 512 bytes'
               WHEN t.event_id IS NULL AND coalesce(jsonb_typeof(t.raw_event_id), 'null') <> 'null'
                   THEN format('event_id must be a uuid, not %s', left(t.raw_event_id::text, 60))
               WHEN k.track_id IS NULL THEN format('track "%s" does not exist', left(t.track_id, 60))
               WHEN u.user_id IS NULL AND NOT create_users THEN format('user "%s" does not exist', left(t.user_id, 60))
               END AS reason
        FROM (SELECT
               f.place, jsonb_typeof(f.event) AS form,
               f.user_id AS raw_user, f.track_id AS raw_track, f.played_at AS raw_played_at,
               f.ms_played AS raw_ms, f.skipped AS raw_skipped, f.session_id AS raw_session, f.event_id AS raw_event_id,
               CASE WHEN jsonb_typeof(f.user_id) = 'string' AND octet_length(f.user_id #>> '{}') BETWEEN 1 AND 512
                    THEN f.user_id #>> '{}' END COLLATE "C" AS user_id,
               CASE WHEN jsonb_typeof(f.track_id) = 'string' AND octet_length(f.track_id #>> '{}') BETWEEN 1 AND 512
                    THEN f.track_id #>> '{}' END COLLATE "C" AS track_id,
               CASE WHEN jsonb_typeof(f.played_at) = 'string' AND octet_length(f.played_at #>> '{}') <= 40
                    THEN sparkify_internal.read_played_at(f.played_at #>> '{}') END AS played_at,
               CASE WHEN jsonb_typeof(f.ms_played) = 'number' THEN
                   CASE WHEN f.ms_played::numeric BETWEEN 0 AND 2147483647 AND f.ms_played::numeric = trunc(f.ms_played::numeric)
                        THEN f.ms_played::integer END END AS ms_played,
               CASE WHEN jsonb_typeof(f.skipped) = 'boolean' THEN f.skipped::boolean END AS skipped,
               CASE WHEN jsonb_typeof(f.session_id) = 'string' AND octet_length(f.session_id #>> '{}') <= 512
                    THEN f.session_id #>> '{}' END COLLATE "C" AS session_id,
               CASE WHEN jsonb_typeof(f.event_id) = 'string'
                         AND f.event_id #>> '{}' ~ '^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$'
                    THEN (f.event_id #>> '{}')::uuid END AS event_id
            FROM (SELECT
                e.place, e.event,
                e.event -> 'user_id' AS user_id, e.event -> 'track_id' AS track_id,
                e.event -> 'played_at' AS played_at, e.event -> 'ms_played' AS ms_played,
                e.event -> 'skipped' AS skipped, e.event -> 'session_id' AS session_id,
                e.event -> 'event_id' AS event_id
                FROM jsonb_array_elements(events) WITH ORDINALITY AS e (event, place)
            OFFSET 0) AS f
        OFFSET 0) AS t
        LEFT JOIN sparkify.tracks AS k ON k.track_id = t.track_id
        LEFT JOIN sparkify.users AS u ON u.user_id = t.user_id
        OFFSET 0) AS r
    ), made AS (
        INSERT INTO sparkify.users (user_id)
        SELECT DISTINCT j.user_id FROM judged AS j WHERE j.reason IS NULL AND NOT j.known_user ORDER BY 1
        ON CONFLICT (user_id) DO NOTHING
    ), stored AS (
        INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played, skipped, session_id, event_id)
        -- Without an id the same play delivered again still has to be the same event.
        SELECT j.user_id, j.track_id, j.played_at, j.ms_played, j.skipped, j.session_id,
               coalesce(j.event_id, md5(j.track_id)::uuid)
        FROM judged AS j WHERE j.reason IS NULL
        ORDER BY j.user_id, j.played_at
        ON CONFLICT (user_id, played_at, event_id) DO NOTHING
        RETURNING 1
    ), count AS (
        SELECT count(*) FILTER (WHERE j.reason IS NULL) AS valid,
               coalesce(array_agg(j.place::integer ORDER BY j.place) FILTER (WHERE j.reason IS NOT NULL), '{}') AS refused,
               coalesce(array_agg(j.reason ORDER BY j.place) FILTER (WHERE j.reason IS NOT NULL), '{}') AS reasons
        FROM judged AS j
    )
    SELECT s.accepted, c.valid - s.accepted, c.refused, c.reasons INTO accepted, duplicate, refused, reasons
    FROM count AS c, (SELECT count(*) AS accepted FROM stored) AS s;
END $$;
COMMENT ON FUNCTION sparkify_internal.store_events(jsonb, boolean) IS
    'Part of ingest_events() and consume_stream(): stores the valid events of an array, and gives the places of the others, from 1 on, and why.';

CREATE FUNCTION sparkify.ingest_events(events jsonb, create_users boolean DEFAULT true)
RETURNS TABLE (accepted bigint, duplicate bigint, rejected bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stored record;
BEGIN
    IF events IS NULL THEN
        RAISE EXCEPTION 'events must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF create_users IS NULL THEN
        RAISE EXCEPTION 'create_users must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF jsonb_typeof(events) <> 'array' THEN
        RAISE EXCEPTION 'events must be a JSON array, not a JSON %', jsonb_typeof(events) USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'Wrap a single event: jsonb_build_array(event).';
    ELSIF NOT (has_table_privilege('sparkify.tracks', 'SELECT') AND has_table_privilege('sparkify.users', 'SELECT')
               AND has_table_privilege('sparkify.users', 'INSERT')
               AND has_table_privilege('sparkify.listening_events', 'INSERT')
               AND has_table_privilege('sparkify.rejected_events', 'INSERT')) THEN
        -- Refused by the statement below, the error would carry all of it.
        RAISE EXCEPTION 'permission denied for ingest_events()' USING
            ERRCODE = 'insufficient_privilege',
            HINT = format('Ask for SELECT sparkify.grant_writer(%L).', current_user);
    END IF;

    SELECT * INTO stored FROM sparkify_internal.store_events(events, create_users);
    IF cardinality(stored.refused) > 0 THEN
        -- In one order, lest two sessions wait for one another.
        INSERT INTO sparkify.rejected_events (event, reason)
        SELECT e.event, r.reason
        FROM (SELECT event, place FROM jsonb_array_elements(events) WITH ORDINALITY AS e (event, place)) AS e
        JOIN unnest(stored.refused, stored.reasons) AS r (place, reason) USING (place)
        ORDER BY md5(e.event::text)::uuid
        ON CONFLICT (event_hash) DO NOTHING;
    END IF;
    accepted := stored.accepted;
    duplicate := stored.duplicate;
    rejected := cardinality(stored.refused);
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION sparkify.ingest_events(jsonb, boolean) IS
    'Stores plays from a JSON array of objects: user_id, track_id, played_at (ISO 8601), and if known ms_played, skipped, session_id, event_id. Delivered again, an event is a duplicate; without event_id the same track, user and time are the same event. What is refused goes to rejected_events with the reason. create_users: unknown users are made, otherwise refused. Never fails for a bad event.';
