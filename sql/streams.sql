-- Plays that stream in from a topic.
--
-- A consumer stores the rows of a batch and the offsets behind it in one
-- transaction: whatever is killed, both are there or neither is. The session that
-- consumes holds a lock on the stream over its commits; and each batch locks the
-- offsets it moves and sees that they are where it began, so that even a reset in
-- the middle loses and doubles nothing.
--
-- The server connects to whatever brokers a stream names, with secrets from a file
-- that it can read. So streams are written only by those who may read the server's
-- files; an operator consumes what they set up.

CREATE TABLE sparkify_internal.streams (
    stream_id         integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    name              text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    kind              text NOT NULL DEFAULT 'kafka' CHECK (kind IN ('kafka')),
    brokers           text NOT NULL,
    topic             text NOT NULL,
    columns           jsonb NOT NULL DEFAULT '{}',
    client_file       text,
    consumer_group    text NOT NULL,
    create_users      boolean NOT NULL,
    max_message_bytes integer NOT NULL
);
COMMENT ON TABLE sparkify_internal.streams IS
    'Topics that plays are read from; written by create_stream(), for those who may read the server''s files. Secrets stand in client_file, never here.';

CREATE TABLE sparkify_internal.stream_state (
    stream_id     integer PRIMARY KEY REFERENCES sparkify_internal.streams (stream_id) ON DELETE CASCADE,
    start         text NOT NULL,
    started       boolean NOT NULL DEFAULT false,
    last_run_at   timestamptz,
    last_error    text,
    last_error_at timestamptz
);
COMMENT ON TABLE sparkify_internal.stream_state IS
    'How each stream is: where it starts, whether it has, and the last error; written by consume_stream() and reset_stream().';

CREATE TABLE sparkify_internal.stream_offsets (
    stream_id   integer NOT NULL REFERENCES sparkify_internal.streams (stream_id) ON DELETE CASCADE,
    "partition" integer NOT NULL,
    next_offset bigint  NOT NULL CHECK (next_offset >= 0),
    end_offset  bigint  NOT NULL DEFAULT 0,
    messages    bigint  NOT NULL DEFAULT 0,
    rejected    bigint  NOT NULL DEFAULT 0,
    lost        bigint  NOT NULL DEFAULT 0,
    rate        double precision NOT NULL DEFAULT 0,
    rate_since  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    rate_count  bigint  NOT NULL DEFAULT 0,
    moved_at    timestamptz,
    seen_at     timestamptz,
    PRIMARY KEY (stream_id, "partition")
) WITH (fillfactor = 50);
COMMENT ON TABLE sparkify_internal.stream_offsets IS
    'Where each stream stands in each partition: the offset of the next message to read, moved together with the rows of those before it.';

-- With the rights of whoever writes the row: neither SET ROLE nor a function or an index
-- of somebody else's that a superuser runs into lends them.
CREATE FUNCTION sparkify_internal.require_file_reader() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role('pg_read_server_files', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to create a stream' USING
            ERRCODE = 'insufficient_privilege',
            DETAIL = 'The server connects to the brokers of a stream, with secrets from its own files.',
            HINT = format('Ask for GRANT pg_read_server_files TO %I.', current_user);
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION sparkify_internal.require_file_reader() IS
    'Trigger: keeps who may not read the server''s files from writing streams.';
CREATE TRIGGER streams_written BEFORE INSERT OR UPDATE ON sparkify_internal.streams
    FOR EACH ROW EXECUTE FUNCTION sparkify_internal.require_file_reader();

DO $$
BEGIN
    PERFORM pg_catalog.pg_extension_config_dump('sparkify_internal.streams', '');
    PERFORM pg_catalog.pg_extension_config_dump('sparkify_internal.stream_state', '');
    PERFORM pg_catalog.pg_extension_config_dump('sparkify_internal.stream_offsets', '');
    PERFORM pg_catalog.pg_extension_config_dump('sparkify_internal.streams_stream_id_seq', '');
END $$;

CREATE FUNCTION sparkify_internal.require_stream(name text) RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found integer;
BEGIN
    IF name IS NULL THEN
        RAISE EXCEPTION 'name must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT s.stream_id INTO found FROM sparkify_internal.streams AS s WHERE s.name = require_stream.name;
    IF found IS NULL THEN
        RAISE EXCEPTION 'stream "%" does not exist', name USING
            ERRCODE = 'undefined_object',
            HINT = 'List streams with SELECT DISTINCT stream FROM sparkify.stream_status.';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION sparkify_internal.require_stream(text) IS 'Part of the functions on streams: the number of a stream; raises where there is none.';

CREATE FUNCTION sparkify_internal.check_stream_start(start text, parameter text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF start IS NULL THEN
        RAISE EXCEPTION '% must not be null', parameter USING ERRCODE = 'null_value_not_allowed';
    ELSIF start NOT IN ('earliest', 'latest') AND sparkify_internal.read_played_at(start) IS NULL THEN
        RAISE EXCEPTION '% must be earliest, latest or an ISO 8601 date and time, not "%"', parameter, left(start, 60)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END $$;
COMMENT ON FUNCTION sparkify_internal.check_stream_start(text, text) IS 'Part of create_stream() and reset_stream(): refuses what is no place to start.';

CREATE FUNCTION sparkify.create_stream(
    name              text,
    brokers           text,
    topic             text,
    columns           jsonb   DEFAULT NULL,
    start             text    DEFAULT 'earliest',
    client_file       text    DEFAULT NULL,
    create_users      boolean DEFAULT true,
    max_message_bytes integer DEFAULT 1048576,
    consumer_group    text    DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    made integer;
BEGIN
    IF create_stream.name IS NULL OR create_stream.brokers IS NULL OR create_stream.topic IS NULL
       OR create_stream.create_users IS NULL OR create_stream.max_message_bytes IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE
            WHEN create_stream.name IS NULL THEN 'name' WHEN create_stream.brokers IS NULL THEN 'brokers'
            WHEN create_stream.topic IS NULL THEN 'topic' WHEN create_stream.create_users IS NULL THEN 'create_users'
            ELSE 'max_message_bytes' END USING ERRCODE = 'null_value_not_allowed';
    ELSIF create_stream.name !~ '^[A-Za-z0-9_.-]{1,60}$' THEN
        RAISE EXCEPTION 'name must have 1 to 60 letters, digits, _ . or -, not "%"', left(create_stream.name, 60)
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF create_stream.brokers !~ '^\s*[A-Za-z0-9_.-]+(:\d{1,5})?(\s*,\s*[A-Za-z0-9_.-]+(:\d{1,5})?)*\s*$' THEN
        RAISE EXCEPTION 'brokers must be host:port, divided by commas, not "%"', left(create_stream.brokers, 60)
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF create_stream.topic !~ '^[A-Za-z0-9_.-]{1,249}$' THEN
        RAISE EXCEPTION 'topic must have 1 to 249 letters, digits, _ . or -, not "%"', left(create_stream.topic, 60)
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF create_stream.max_message_bytes NOT BETWEEN 1024 AND 67108864 THEN
        RAISE EXCEPTION 'max_message_bytes must be between 1024 and 67108864, not %', create_stream.max_message_bytes
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF create_stream.client_file !~ '^/' THEN
        RAISE EXCEPTION 'client_file must be an absolute path, not "%"', left(create_stream.client_file, 60)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM sparkify_internal.check_stream_start(create_stream.start, 'start');
    PERFORM sparkify_internal.check_stream_columns(coalesce(create_stream.columns, '{}'));
    INSERT INTO sparkify_internal.streams AS s (name, brokers, topic, columns, client_file, consumer_group, create_users, max_message_bytes)
    VALUES (create_stream.name, create_stream.brokers, create_stream.topic, coalesce(create_stream.columns, '{}'), create_stream.client_file,
            coalesce(create_stream.consumer_group, 'sparkify-' || create_stream.name), create_stream.create_users, create_stream.max_message_bytes)
    ON CONFLICT (name) DO NOTHING RETURNING s.stream_id INTO made;
    IF made IS NULL THEN
        RAISE EXCEPTION 'stream "%" exists already', create_stream.name USING
            ERRCODE = 'duplicate_object',
            HINT = format('Run SELECT sparkify.drop_stream(%L) first.', create_stream.name);
    END IF;
    INSERT INTO sparkify_internal.stream_state (stream_id, start) VALUES (made, create_stream.start);
    RETURN create_stream.name;
END $$;
COMMENT ON FUNCTION sparkify.create_stream(text, text, text, jsonb, text, text, boolean, integer, text) IS
    'Sets up a stream of plays from a Kafka topic. Needs membership in pg_read_server_files, for the server opens connections and reads client_file: key=value lines (security.protocol, sasl.mechanism, sasl.username, sasl.password, ssl.ca.location, …) that others cannot read. columns maps fields of an event to paths in the message ("user_id": "listener.id"); others are read under their own names. start: earliest, latest or a time. Longer messages than max_message_bytes are rejected. consumer_group: the group whose offsets are written back for lag monitors, sparkify-NAME unless given. Connects to nothing yet.';

CREATE FUNCTION sparkify.drop_stream(name text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stream integer := sparkify_internal.require_stream(name);
BEGIN
    PERFORM sparkify.unschedule_stream(name);
    DELETE FROM sparkify_internal.streams AS s WHERE s.stream_id = stream;
END $$;
COMMENT ON FUNCTION sparkify.drop_stream(text) IS
    'Forgets a stream, its offsets and its schedule; a consumer that runs ends with an error. The plays stay.';

CREATE FUNCTION sparkify.reset_stream(name text, "to" text DEFAULT 'earliest') RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stream integer := sparkify_internal.require_stream(name);
BEGIN
    PERFORM sparkify_internal.check_stream_start("to", 'to');
    DELETE FROM sparkify_internal.stream_offsets AS o WHERE o.stream_id = stream;
    UPDATE sparkify_internal.stream_state AS s SET start = "to", started = false, last_error = NULL, last_error_at = NULL
    WHERE s.stream_id = stream;
END $$;
COMMENT ON FUNCTION sparkify.reset_stream(text, text) IS
    'Lets a stream start again: at the earliest message, behind the latest, or at a time. Plays read again are duplicates and stored once.';

CREATE FUNCTION sparkify_internal.store_messages(events text[], create_users boolean,
    OUT accepted bigint, OUT duplicate bigint, OUT refused integer[], OUT reasons text[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET work_mem = '64MB' AS $$
DECLARE
    one record;
BEGIN
    BEGIN
        SELECT s.accepted, s.duplicate, s.refused, s.reasons INTO accepted, duplicate, refused, reasons
        FROM sparkify_internal.store_events(('[' || array_to_string(events, ',') || ']')::jsonb, create_users) AS s;
        RETURN;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
        -- One of them, which what follows finds: a number that is none here, a constraint or trigger of the owner's.
        accepted := 0;
        duplicate := 0;
        refused := '{}';
        reasons := '{}';
    END;
    FOR place IN 1..cardinality(events) LOOP
        BEGIN
            SELECT s.accepted, s.duplicate, s.refused, s.reasons INTO one
            FROM sparkify_internal.store_events(('[' || events[place] || ']')::jsonb, create_users) AS s;
            accepted := accepted + one.accepted;
            duplicate := duplicate + one.duplicate;
            IF cardinality(one.refused) > 0 THEN
                refused := refused || place;
                reasons := reasons || one.reasons;
            END IF;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
            refused := refused || place;
            reasons := reasons || SQLERRM;
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify_internal.store_messages(text[], boolean) IS
    'Part of consume_stream(): stores events as ingest_events() does, and gives the places of those refused, from 1 on, and why; one by one where the server refuses them together.';

CREATE FUNCTION sparkify_internal.read_message(message text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN message::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded OR statement_too_complex THEN
    RETURN to_jsonb(message);
END $$;
COMMENT ON FUNCTION sparkify_internal.read_message(text) IS 'Part of consume_stream(): a refused message as JSON, as a string where it is none.';

CREATE FUNCTION sparkify_internal.reject_messages(messages text[], reasons text[], user_ids text[], topic text, partitions integer[], offsets bigint[])
RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO sparkify.rejected_events (event, reason, user_id, topic, topic_partition, topic_offset)
    SELECT m.event, m.reason, nullif(m.user_id, ''), topic, m.place, m.at
    FROM (SELECT sparkify_internal.read_message(u.message) AS event, u.reason, u.user_id, u.place, u.at
          FROM unnest(messages, reasons, user_ids, partitions, offsets) AS u (message, reason, user_id, place, at) OFFSET 0) AS m
    -- In one order, lest two sessions wait for one another.
    ORDER BY md5(m.event::text)::uuid
    ON CONFLICT (event_hash) DO NOTHING
$$;
COMMENT ON FUNCTION sparkify_internal.reject_messages(text[], text[], text[], text, integer[], bigint[]) IS
    'Part of consume_stream(): stores refused messages with the reason and where they stand in the topic.';

CREATE FUNCTION sparkify_internal.note_stream(name text, error text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE sparkify_internal.stream_state AS t
    SET last_run_at = clock_timestamp(), last_error = coalesce(error, t.last_error),
        last_error_at = CASE WHEN error IS NULL THEN t.last_error_at ELSE clock_timestamp() END
    FROM sparkify_internal.streams AS s WHERE s.stream_id = t.stream_id AND s.name = note_stream.name;
END $$;
COMMENT ON FUNCTION sparkify_internal.note_stream(text, text) IS 'Part of consume_stream(): notes that it ran, and what went wrong.';

CREATE FUNCTION sparkify_internal.check_consume_options(max_seconds double precision, until_end boolean, batch_rows integer, memory_mb integer)
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF max_seconds IS NULL OR until_end IS NULL OR batch_rows IS NULL OR memory_mb IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN max_seconds IS NULL THEN 'max_seconds' WHEN until_end IS NULL THEN 'until_end'
            WHEN batch_rows IS NULL THEN 'batch_rows' ELSE 'memory_mb' END USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT (max_seconds > 0 AND max_seconds <= 86400) THEN
        RAISE EXCEPTION 'max_seconds must be above 0 and at most 86400, not %', max_seconds USING ERRCODE = 'invalid_parameter_value';
    ELSIF batch_rows NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'batch_rows must be between 1 and 100000, not %', batch_rows USING ERRCODE = 'invalid_parameter_value';
    ELSIF memory_mb NOT BETWEEN 4 AND 4096 THEN
        RAISE EXCEPTION 'memory_mb must be between 4 and 4096, not %', memory_mb USING ERRCODE = 'invalid_parameter_value';
    END IF;
END $$;
COMMENT ON FUNCTION sparkify_internal.check_consume_options(double precision, boolean, integer, integer) IS
    'Part of consume_stream(): refuses options that make no sense.';

CREATE PROCEDURE sparkify.consume_stream(
    name        text,
    max_seconds double precision DEFAULT 59,
    until_end   boolean          DEFAULT false,
    batch_rows  integer          DEFAULT 10000,
    memory_mb   integer          DEFAULT 64)
LANGUAGE plpgsql AS $$
DECLARE
    until    timestamptz;
    state    text;
    trouble  text;
    failed   boolean := false;
    error    text;
    code     text;
    detail   text;
    hint     text;
BEGIN
    PERFORM sparkify_internal.check_consume_options(max_seconds, until_end, batch_rows, memory_mb);
    PERFORM sparkify_internal.require_stream(name);
    -- Fails at once where the caller has a transaction open.
    COMMIT;
    until := pg_catalog.clock_timestamp() + max_seconds * interval '1 second';
    LOOP
        BEGIN
            state := sparkify_internal.read_stream(name, batch_rows, memory_mb,
                pg_catalog.date_part('epoch', until - pg_catalog.clock_timestamp()), until_end);
        EXCEPTION
            -- Somebody moved the offsets: go on where they are now.
            WHEN serialization_failure THEN
                PERFORM sparkify_internal.close_stream(true);
                state := 'moved';
            WHEN query_canceled OR assert_failure OR OTHERS THEN
                GET STACKED DIAGNOSTICS error = MESSAGE_TEXT, code = RETURNED_SQLSTATE,
                    detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
                failed := true;
        END;
        COMMIT;
        EXIT WHEN failed OR state IN ('end', 'busy') OR pg_catalog.clock_timestamp() >= until;
    END LOOP;
    BEGIN
        trouble := sparkify_internal.close_stream(false);
        IF state IS DISTINCT FROM 'busy' THEN
            PERFORM sparkify_internal.note_stream(name, COALESCE(error, trouble));
        END IF;
    EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
        PERFORM sparkify_internal.close_stream(false);
    END;
    COMMIT;
    IF failed THEN
        RAISE EXCEPTION USING MESSAGE = error, ERRCODE = code, 
            DETAIL = COALESCE(NULLIF(detail, ''), 'What was stored stays stored; the next call goes on there.'),
            HINT = COALESCE(NULLIF(hint, ''), 'SELECT * FROM sparkify.stream_status shows each partition.');
    ELSIF state = 'busy' THEN
        RAISE NOTICE 'skipped: another session consumes stream "%"', name;
    ELSIF trouble IS NOT NULL THEN
        RAISE EXCEPTION 'no broker of stream "%" answers: %', name, trouble USING
            ERRCODE = 'connection_failure',
            HINT = 'What was stored stays stored; the next call goes on there.';
    END IF;
END $$;
COMMENT ON PROCEDURE sparkify.consume_stream(text, double precision, boolean, integer, integer) IS
    'Stores the plays of a stream from its stored offsets on, batch by batch, rows and offsets in one commit; returns after max_seconds, or with until_end when everything was read. A call while another session consumes the stream is skipped. batch_rows: messages in a commit at most; memory_mb bounds what is fetched ahead. Messages that are no valid event go to rejected_events with topic, partition and offset and stop nothing. Not in a transaction block.';

CREATE VIEW sparkify.stream_status AS
SELECT s.name AS stream, s.topic, o."partition", o.next_offset AS stored_offset, o.end_offset,
       o.end_offset - o.next_offset AS lag,
       CASE WHEN o.moved_at > pg_catalog.clock_timestamp() - interval '1 minute' THEN o.rate ELSE 0 END AS events_per_second,
       o.messages, o.rejected, o.lost, o.moved_at, o.seen_at,
       EXISTS (SELECT FROM pg_catalog.pg_locks AS l
               WHERE l.locktype = 'object' AND l.granted AND l.classid = 'sparkify_internal.streams'::pg_catalog.regclass
                 AND l.objid::bigint = s.stream_id
                 AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())) AS running,
       t.last_run_at, t.last_error, t.last_error_at
FROM sparkify_internal.streams AS s
JOIN sparkify_internal.stream_state AS t USING (stream_id)
LEFT JOIN sparkify_internal.stream_offsets AS o USING (stream_id);
COMMENT ON VIEW sparkify.stream_status IS
    'How far each stream has come, a row for each partition; one without partition before it has started. Under its owner''s rights: whoever may read the view sees it all.';
COMMENT ON COLUMN sparkify.stream_status.stream IS 'The stream.';
COMMENT ON COLUMN sparkify.stream_status.topic IS 'Its topic.';
COMMENT ON COLUMN sparkify.stream_status."partition" IS 'The partition.';
COMMENT ON COLUMN sparkify.stream_status.stored_offset IS 'Offset of the next message to be stored.';
COMMENT ON COLUMN sparkify.stream_status.end_offset IS 'Offset that the next message of the topic will have, as of seen_at.';
COMMENT ON COLUMN sparkify.stream_status.lag IS 'Messages in between.';
COMMENT ON COLUMN sparkify.stream_status.events_per_second IS 'Messages a second over the last ten seconds or more; 0 where none came for a minute.';
COMMENT ON COLUMN sparkify.stream_status.messages IS 'Messages read since the stream was made or reset.';
COMMENT ON COLUMN sparkify.stream_status.rejected IS 'Messages among them that are no valid event: see rejected_events.';
COMMENT ON COLUMN sparkify.stream_status.lost IS 'Messages that the topic no longer had when they were to be read.';
COMMENT ON COLUMN sparkify.stream_status.moved_at IS 'When messages were last stored.';
COMMENT ON COLUMN sparkify.stream_status.seen_at IS 'When the topic was last looked at.';
COMMENT ON COLUMN sparkify.stream_status.running IS 'Whether a session consumes it now.';
COMMENT ON COLUMN sparkify.stream_status.last_run_at IS 'When a consumer last ended.';
COMMENT ON COLUMN sparkify.stream_status.last_error IS 'What last went wrong.';
COMMENT ON COLUMN sparkify.stream_status.last_error_at IS 'When.';

CREATE FUNCTION sparkify.schedule_stream(name text, batch_rows integer DEFAULT 10000, memory_mb integer DEFAULT 64)
RETURNS TABLE (job_id bigint, job_name text, schedule text, command text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_stream(name);
    PERFORM sparkify_internal.check_consume_options(59, false, batch_rows, memory_mb);
    PERFORM sparkify_internal.require_pg_cron();
    PERFORM sparkify.unschedule_stream(name);
    job_name := 'sparkify stream ' || name;
    schedule := '* * * * *';
    command := sparkify_internal.job_command(
        format('CALL sparkify.consume_stream(%L, batch_rows => %s, memory_mb => %s);', name, batch_rows, memory_mb));
    EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO job_id USING job_name, schedule, command;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION sparkify.schedule_stream(text, integer, integer) IS
    'Keeps a consumer of a stream running with pg_cron: a call a minute that runs until the next; two never overlap. Again, it replaces the schedule.';

CREATE FUNCTION sparkify.unschedule_stream(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed boolean := false;
BEGIN
    IF name IS NULL THEN
        RAISE EXCEPTION 'name must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        EXECUTE 'SELECT coalesce(bool_or(cron.unschedule(jobid)), false) FROM cron.job WHERE jobname = $1 AND database = current_database()'
        INTO removed USING 'sparkify stream ' || name;
    END IF;
    RETURN removed;
END $$;
COMMENT ON FUNCTION sparkify.unschedule_stream(text) IS
    'Ends the schedule of a stream; a consumer that runs goes on until its time is up. Gives whether there was one.';

COMMENT ON FUNCTION sparkify_internal.check_stream_columns(jsonb) IS 'Part of create_stream(): refuses what is no mapping of fields to paths.';
COMMENT ON FUNCTION sparkify_internal.read_stream(text, integer, integer, double precision, boolean) IS
    'Part of consume_stream(): takes what has arrived, stores it and moves the offsets, in the transaction it is called in.';
COMMENT ON FUNCTION sparkify_internal.close_stream(boolean) IS
    'Part of consume_stream(): closes the connection and, unless told to keep it, gives the lock back; gives what is wrong with the brokers.';
