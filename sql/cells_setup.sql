-- Making a trainer, and cells that join it and leave it.
--
-- Slots are made by a transaction that has written nothing, and what one server
-- has not committed another does not see: so these are procedures that commit
-- between steps. Each step looks first whether it is done; a call that broke off
-- is finished by calling again. Like run_pipeline() they carry no SET clause, and
-- qualify every name.
--
-- The other database is reached through the extension dblink, looked for when
-- called. Only the owner may call what opens a connection.

CREATE FUNCTION sparkify_internal.check_connection(connection text, what text, keeps_passwords boolean DEFAULT true) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    option CONSTANT text := '([a-z_]+)\s*=\s*(''(?:[^''\\]|\\.)*''|(?:[^\s''\\]|\\.)+)';
    named  text[];
    wrong  text;
BEGIN
    IF connection IS NULL THEN
        RAISE EXCEPTION '% must not be null', what USING ERRCODE = 'null_value_not_allowed';
    ELSIF connection !~ ('^\s*(' || option || '\s+)*' || option || '\s*$') THEN
        RAISE EXCEPTION '% is not a connection string', what USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'Write keywords and values: host=db2 port=5432 dbname=music user=sparkify.';
    END IF;
    SELECT array_agg(pair[1]) INTO named FROM regexp_matches(connection, option, 'g') AS pair;
    SELECT name INTO wrong FROM unnest(named) AS name
    WHERE name <> ALL ('{host,hostaddr,port,dbname,user,password,passfile,sslmode,sslrootcert,sslcert,sslkey,sslcrl,connect_timeout,keepalives,keepalives_idle,keepalives_interval,keepalives_count,tcp_user_timeout,target_session_attrs}')
    LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'option "%" has no place in %', wrong, what USING ERRCODE = 'invalid_parameter_value';
    ELSIF NOT 'dbname' = ANY (named) THEN
        RAISE EXCEPTION '% names no dbname', what USING ERRCODE = 'invalid_parameter_value';
    ELSIF 'password' = ANY (named) AND NOT keeps_passwords THEN
        RAISE EXCEPTION '% holds a password, which every role could read there', what USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'Put it into a user mapping: ALTER USER MAPPING FOR … SERVER sparkify_cells OPTIONS (ADD password ''…''), or into the password file of the server''s user.';
    END IF;
    RETURN btrim(connection);
END $$;
COMMENT ON FUNCTION sparkify_internal.check_connection(text, text, boolean) IS
    'Part of join_trainer() and its like: gives a connection string back, or refuses it without showing it.';

CREATE FUNCTION sparkify_internal.check_cell_name(name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF name IS NULL THEN
        RAISE EXCEPTION 'name must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF name !~ '^[a-z0-9_]{1,40}$' OR name IN ('trainer', 'source') THEN
        RAISE EXCEPTION 'name must be 1 to 40 of the letters a to z, digits and _, not "%"', left(name, 60) USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'Slots of replication are named after it. trainer and source are taken.';
    END IF;
    RETURN name;
END $$;
COMMENT ON FUNCTION sparkify_internal.check_cell_name(text) IS 'Part of join_trainer(): gives a cell''s name back, or refuses it.';

CREATE FUNCTION sparkify_internal.require_logical_log() RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('wal_level') <> 'logical' THEN
        RAISE EXCEPTION 'wal_level is %, and has to be logical', current_setting('wal_level') USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Run ALTER SYSTEM SET wal_level = logical, and start the server anew.';
    END IF;
    IF current_setting('max_slot_wal_keep_size') = '-1' THEN
        RAISE NOTICE 'a database that is away long can fill this server''s disk with log: set max_slot_wal_keep_size';
    END IF;
END $$;
COMMENT ON FUNCTION sparkify_internal.require_logical_log() IS 'Part of make_trainer() and join_trainer(): raises where the server does not log for logical replication.';

-- A value from another database; the statement is one, in a transaction of its own.
CREATE FUNCTION sparkify_internal.ask(connection text, statement text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place  text;
    answer text;
BEGIN
    SELECT n.nspname INTO place FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'dblink';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the extension dblink is not installed in database "%"', current_database() USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Run CREATE EXTENSION dblink.';
    END IF;
    IF connection !~ '\mconnect_timeout\M' THEN
        connection := connection || ' connect_timeout=10';
    END IF;
    EXECUTE format('SELECT answer FROM %I.dblink($1, $2) AS t (answer text)', place)
    INTO answer USING connection || ' options=''-c search_path=pg_catalog,pg_temp -c statement_timeout=300000''', statement;
    RETURN answer;
END $$;
COMMENT ON FUNCTION sparkify_internal.ask(text, text) IS
    'Part of join_trainer() and its like: runs a statement in another database and gives the first column of its first row.';

-- Work of the other side, called through ask(): a name for each keeps what is sent short.

CREATE FUNCTION sparkify_internal.make_slot(slot text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = slot AND database = current_database()) THEN
        RETURN false;
    END IF;
    PERFORM pg_create_logical_replication_slot(slot, 'pgoutput');
    RETURN true;
END $$;
COMMENT ON FUNCTION sparkify_internal.make_slot(text) IS 'Part of join_trainer(): makes a slot unless there is one.';

CREATE FUNCTION sparkify_internal.drop_slot(slot text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pid integer;
BEGIN
    FOR attempt IN 1..100 LOOP
        SELECT active_pid INTO pid FROM pg_replication_slots
        WHERE slot_name = slot AND database = current_database();
        IF NOT FOUND THEN
            RETURN attempt > 1;
        ELSIF pid IS NULL THEN
            PERFORM pg_drop_replication_slot(slot);
            RETURN true;
        END IF;
        PERFORM pg_terminate_backend(pid), pg_sleep(0.1);
    END LOOP;
    RAISE EXCEPTION 'replication slot "%" is in use', slot USING ERRCODE = 'object_in_use';
END $$;
COMMENT ON FUNCTION sparkify_internal.drop_slot(text) IS 'Part of leave_trainer(): drops a slot where there is one, ending the session that reads it.';

CREATE FUNCTION sparkify_internal.subscribe(subscription text, connection text, publication text, slot text, copy boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid
               WHERE d.datname = current_database() AND s.subname = subscription) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE SUBSCRIPTION %I CONNECTION %L PUBLICATION %I WITH (create_slot = false, slot_name = %I, copy_data = %s)',
                   subscription, connection, publication, slot, copy::text);
    RETURN true;
END $$;
COMMENT ON FUNCTION sparkify_internal.subscribe(text, text, text, text, boolean) IS
    'Part of join_trainer(): makes a subscription for a slot that is there, unless there is one; copy: with the rows that stand in the tables.';

CREATE FUNCTION sparkify_internal.unsubscribe(subscription text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid
                   WHERE d.datname = current_database() AND s.subname = subscription) THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER SUBSCRIPTION %I DISABLE', subscription);
    -- The slot is dropped by itself: it can be out of reach.
    EXECUTE format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', subscription);
    EXECUTE format('DROP SUBSCRIPTION %I', subscription);
    RETURN true;
END $$;
COMMENT ON FUNCTION sparkify_internal.unsubscribe(text) IS 'Part of leave_trainer(): drops a subscription where there is one, and leaves its slot.';

CREATE FUNCTION sparkify_internal.tables_not_copied(subscription text) RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*)::integer FROM pg_subscription_rel AS r JOIN pg_subscription AS s ON s.oid = r.srsubid
    JOIN pg_database AS d ON d.oid = s.subdbid
    WHERE d.datname = current_database() AND s.subname = subscription AND r.srsubstate <> 'r'
$$;
COMMENT ON FUNCTION sparkify_internal.tables_not_copied(text) IS 'Part of join_trainer(): how many tables of a subscription are still being copied.';

CREATE FUNCTION sparkify_internal.forget_cell(name text) RETURNS boolean
LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (DELETE FROM sparkify_internal.cell_reports AS r WHERE r.cell = name RETURNING 1)
    SELECT count(*) > 0 FROM gone
$$;
COMMENT ON FUNCTION sparkify_internal.forget_cell(text) IS 'Part of leave_trainer(): deletes a cell''s report.';

-- What a way of replication publishes, as CREATE PUBLICATION lists it.
CREATE FUNCTION sparkify_internal.published_tables(way text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(s.relation || CASE WHEN s.left_out = '{}' THEN '' ELSE (
            SELECT ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')' FROM pg_attribute AS a
            WHERE a.attrelid = to_regclass(s.relation) AND a.attnum > 0 AND NOT a.attisdropped
              AND a.attgenerated = '' AND a.attname <> ALL (s.left_out)) END, ', ' ORDER BY s.relation)
    FROM sparkify_internal.stated_replication AS s
    WHERE s.way = published_tables.way AND to_regclass(s.relation) IS NOT NULL
$$;
COMMENT ON FUNCTION sparkify_internal.published_tables(text) IS 'Part of make_trainer() and join_trainer(): the tables that travel one way, as CREATE PUBLICATION lists them.';

CREATE FUNCTION sparkify_internal.publish(publication text, tables text, publish text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_publication WHERE pubname = publication) THEN
        -- As tables and columns stand now.
        EXECUTE format('ALTER PUBLICATION %I SET TABLE %s', publication, tables);
        RETURN false;
    END IF;
    EXECUTE format('CREATE PUBLICATION %I FOR TABLE %s WITH (publish = %L)', publication, tables, publish);
    RETURN true;
END $$;
COMMENT ON FUNCTION sparkify_internal.publish(text, text, text) IS 'Part of make_trainer() and join_trainer(): makes a publication, or has it publish what is stated now.';

CREATE PROCEDURE sparkify.make_trainer()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made boolean;
BEGIN
    PERFORM sparkify_internal.require_logical_log();
    IF sparkify_internal.cell_name() IS NOT NULL THEN
        RAISE EXCEPTION 'database "%" is a cell', current_database() USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Run CALL sparkify.leave_trainer() first.';
    END IF;
    made := sparkify_internal.publish('sparkify_to_cells', sparkify_internal.published_tables('to cells'), 'insert, update, delete, truncate');
    INSERT INTO sparkify_internal.published_model (model_id) SELECT m.model_id FROM sparkify.models AS m WHERE m.active
    ON CONFLICT (only_row) DO NOTHING;
    RAISE NOTICE '%', CASE WHEN made THEN 'catalogue and models are published to cells: in each, CALL sparkify.join_trainer(…)'
                      ELSE 'this database is a trainer already; it publishes what it should' END;
    IF current_setting('max_logical_replication_workers')::integer < 8 OR current_setting('max_replication_slots')::integer < 16 THEN
        RAISE NOTICE 'each cell takes one of max_logical_replication_workers (%), max_worker_processes (%), max_replication_slots (%) and max_wal_senders (%), a few more while it joins',
            current_setting('max_logical_replication_workers'), current_setting('max_worker_processes'),
            current_setting('max_replication_slots'), current_setting('max_wal_senders');
    END IF;
END $$;
COMMENT ON PROCEDURE sparkify.make_trainer() IS
    'Makes this database a trainer: publishes catalogue and models to the cells that join it. Called again, it publishes what tables and columns have come since. Undone by leave_trainer(). Needs wal_level = logical.';

CREATE PROCEDURE sparkify.join_trainer(trainer text, cell text, name text DEFAULT pg_catalog.current_database())
LANGUAGE plpgsql AS $$
DECLARE
    to_cell    text;
    to_trainer text;
    here       text;
    waiting    integer;
    said       integer;
    made       boolean;
BEGIN
    trainer := sparkify_internal.check_connection(trainer, 'trainer');
    cell := sparkify_internal.check_connection(cell, 'cell');
    name := sparkify_internal.check_cell_name(name);
    PERFORM sparkify_internal.require_logical_log();
    to_cell := 'sparkify_to_' OPERATOR(pg_catalog.||) name;
    to_trainer := 'sparkify_from_' OPERATOR(pg_catalog.||) name;
    here := sparkify_internal.cell_name();
    IF sparkify_internal.is_trainer() THEN
        RAISE EXCEPTION 'database "%" is a trainer itself', pg_catalog.current_database() USING
            ERRCODE = 'object_not_in_prerequisite_state';
    ELSIF here OPERATOR(pg_catalog.<>) name THEN
        RAISE EXCEPTION 'this database is cell "%" already', here USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Run CALL sparkify.leave_trainer() first.';
    ELSIF NOT sparkify_internal.ask(trainer, 'SELECT sparkify_internal.is_trainer()::text')::boolean THEN
        RAISE EXCEPTION 'the database that trainer names is no trainer' USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'There, run CALL sparkify.make_trainer().';
    ELSIF here IS NULL AND (EXISTS (SELECT FROM sparkify.tracks) OR EXISTS (SELECT FROM sparkify.models)) THEN
        RAISE EXCEPTION 'this database has a catalogue or models of its own' USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Join with a new database, and let it take users over with sparkify.follow_users(); or TRUNCATE sparkify.tracks, sparkify.models.';
    END IF;
    COMMIT;

    -- Both slots before anything is written here: each waits for the transactions that write.
    IF here IS NULL THEN
        IF pg_catalog.starts_with(sparkify_internal.ask(trainer, pg_catalog.format(
            'SELECT coalesce(max(slot_name), '''') FROM pg_catalog.pg_replication_slots WHERE slot_name = %L AND active', to_cell)), to_cell) THEN
            RAISE EXCEPTION 'another cell has joined as "%"', name USING
                ERRCODE = 'duplicate_object', HINT = 'Give this one another name.';
        END IF;
        -- One that a broken call has left would send what the copy brings.
        PERFORM sparkify_internal.ask(trainer, pg_catalog.format('SELECT sparkify_internal.drop_slot(%L)::text', to_cell));
        PERFORM sparkify_internal.ask(trainer, pg_catalog.format('SELECT sparkify_internal.make_slot(%L)::text', to_cell));
        COMMIT;
        PERFORM sparkify_internal.subscribe('sparkify_from_trainer', trainer, 'sparkify_to_cells', to_cell, true);
        RAISE NOTICE 'subscribed to catalogue and models';
    ELSE
        -- What the trainer publishes since; no function may do it in its own session.
        PERFORM sparkify_internal.ask(cell, 'ALTER SUBSCRIPTION sparkify_from_trainer REFRESH PUBLICATION');
    END IF;
    COMMIT;
    made := sparkify_internal.publish('sparkify_to_trainer', sparkify_internal.published_tables('to trainer'), 'insert, update, delete');
    COMMIT;
    LOOP
        waiting := sparkify_internal.tables_not_copied('sparkify_from_trainer');
        COMMIT;
        EXIT WHEN waiting OPERATOR(pg_catalog.=) 0;
        IF waiting IS DISTINCT FROM said THEN
            RAISE NOTICE 'being copied: % tables', waiting;
            said := waiting;
        END IF;
        PERFORM pg_catalog.pg_sleep(0.1);
    END LOOP;

    IF sparkify_internal.make_slot(to_trainer) THEN
        RAISE NOTICE 'plays are kept for the trainer';
    END IF;
    COMMIT;
    IF sparkify_internal.ask(trainer, pg_catalog.format('SELECT sparkify_internal.subscribe(%L, %L, ''sparkify_to_trainer'', %L, true)::text',
                             to_trainer, cell, to_trainer))::boolean THEN
        RAISE NOTICE 'the trainer fetches plays';
    END IF;
    COMMIT;
    RAISE NOTICE 'this database is cell "%"', name;
END $$;
COMMENT ON PROCEDURE sparkify.join_trainer(text, text, text) IS
    'Makes this database a cell: catalogue and models come from the trainer, plays go to it. trainer: the connection string of the trainer''s database, as seen from here; cell: that of this one, as the trainer sees it; name: what the cell is called. Waits until all is copied. Called again, it finishes what was broken off and takes in new tables. Needs dblink, and wal_level = logical. Undone by leave_trainer().';

CREATE PROCEDURE sparkify.leave_trainer()
LANGUAGE plpgsql AS $$
DECLARE
    here    text := sparkify_internal.cell_name();
    trainer text;
    cells   bigint;
BEGIN
    IF here IS NULL THEN
        IF NOT sparkify_internal.is_trainer() THEN
            RAISE NOTICE 'this database is neither cell nor trainer';
            RETURN;
        END IF;
        SELECT pg_catalog.count(*) INTO cells FROM sparkify.cell_status;
        IF cells OPERATOR(pg_catalog.>) 0 THEN
            RAISE EXCEPTION '% cells belong to this trainer', cells USING
                ERRCODE = 'object_in_use',
                HINT = 'In each, run CALL sparkify.leave_trainer(); for one that is lost, SELECT sparkify.remove_cell(name) here.';
        END IF;
        EXECUTE 'DROP PUBLICATION sparkify_to_cells';
        RAISE NOTICE 'this database stands alone';
        RETURN;
    END IF;
    SELECT s.subconninfo INTO trainer FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) s.subdbid
    WHERE s.subname OPERATOR(pg_catalog.=) 'sparkify_from_trainer' AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database();
    COMMIT;
    PERFORM sparkify_internal.wait_until_sent('sparkify_from_' OPERATOR(pg_catalog.||) here);
    COMMIT;
    BEGIN
        PERFORM sparkify_internal.ask(trainer, pg_catalog.format('SELECT sparkify.remove_cell(%L)::text', here));
    EXCEPTION WHEN OTHERS THEN
        RAISE NOTICE 'the trainer was not reached: there, run SELECT sparkify.remove_cell(%)', pg_catalog.quote_literal(here)
            USING DETAIL = SQLERRM;
    END;
    COMMIT;
    PERFORM sparkify_internal.unsubscribe('sparkify_from_trainer');
    COMMIT;
    PERFORM sparkify_internal.drop_slot('sparkify_from_' OPERATOR(pg_catalog.||) here);
    COMMIT;
    EXECUTE 'DROP PUBLICATION IF EXISTS sparkify_to_trainer';
    COMMIT;
    RAISE NOTICE 'this database stands alone';
END $$;
COMMENT ON PROCEDURE sparkify.leave_trainer() IS
    'Undoes join_trainer() in a cell, after the trainer has got its plays, and make_trainer() in a trainer without cells. What is stored stays.';

CREATE FUNCTION sparkify.remove_cell(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    subscribed boolean;
    slot       boolean;
BEGIN
    PERFORM sparkify_internal.check_cell_name(name);
    subscribed := sparkify_internal.unsubscribe('sparkify_from_' || name);
    PERFORM sparkify_internal.forget_cell(name);
    slot := sparkify_internal.drop_slot('sparkify_to_' || name);
    RETURN subscribed OR slot;
END $$;
COMMENT ON FUNCTION sparkify.remove_cell(text) IS
    'In a trainer: forgets a cell that is lost, and frees the log that was kept for it. Its plays stay. Gives whether there was such a cell.';

CREATE FUNCTION sparkify_internal.wait_until_sent(slot text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target CONSTANT pg_lsn := pg_current_wal_flush_lsn();
    reached pg_lsn;
BEGIN
    -- A slot advances with what is read from it: something has to be there to be read.
    PERFORM pg_logical_emit_message(false, 'sparkify', 'here');
    FOR attempt IN 1..600 LOOP
        SELECT confirmed_flush_lsn INTO reached FROM pg_replication_slots WHERE slot_name = slot;
        IF NOT FOUND OR reached >= target THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE EXCEPTION 'what slot "%" keeps is not fetched', slot USING
        ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'See SELECT * FROM sparkify.cell_status in this database and in the trainer.';
END $$;
COMMENT ON FUNCTION sparkify_internal.wait_until_sent(text) IS
    'Part of leave_trainer() and take_users(): waits up to a minute until the reader of a slot has confirmed all that is committed now.';

-- Users move from one database to another by the same means: the new home copies
-- and follows them while the old one serves, then closes the old one and drains it.

CREATE FUNCTION sparkify_internal.refuse_moved() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the users of database "%" have moved to another', current_database() USING
        ERRCODE = 'read_only_sql_transaction',
        HINT = 'Try again: the router is about to follow.';
END $$;
COMMENT ON FUNCTION sparkify_internal.refuse_moved() IS 'Trigger: refuses writes in a database whose users another has taken.';

CREATE FUNCTION sparkify_internal.close_to_writers() RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    relation text;
    closed   boolean := false;
BEGIN
    FOREACH relation IN ARRAY ARRAY['sparkify.users', 'sparkify.listening_events', 'sparkify.track_feedback'] LOOP
        CONTINUE WHEN to_regclass(relation) IS NULL OR EXISTS (
            SELECT FROM pg_trigger WHERE tgrelid = to_regclass(relation) AND tgname = 'users_moved');
        -- Waits for the writers of now, and is seen by those who come.
        EXECUTE format('CREATE TRIGGER users_moved BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.refuse_moved()', relation);
        closed := true;
    END LOOP;
    RETURN closed;
END $$;
COMMENT ON FUNCTION sparkify_internal.close_to_writers() IS 'Part of take_users(): has this database refuse plays and users from now on. Undone by reopen_users().';

CREATE FUNCTION sparkify.reopen_users() RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    relation text;
    opened   boolean := false;
BEGIN
    FOR relation IN SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgfoid = 'sparkify_internal.refuse_moved'::regproc LOOP
        EXECUTE format('DROP TRIGGER users_moved ON %s', relation);
        opened := true;
    END LOOP;
    RETURN opened;
END $$;
COMMENT ON FUNCTION sparkify.reopen_users() IS 'Lets a database take plays and users again that take_users() had closed. Gives whether it was closed.';

CREATE FUNCTION sparkify_internal.publish_users(part integer, parts integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tables text;
BEGIN
    -- The remainder of PARTITION BY HASH (user_id), by which the router divides them.
    SELECT string_agg(format('%s WHERE ((((pg_catalog.hashtextextended(user_id, 8816678312871386365) & 65535) + 43235) & %s) = %s)',
                             relation, parts - 1, part), ', ') INTO tables
    FROM unnest(ARRAY['sparkify.users', 'sparkify.listening_events', 'sparkify.track_feedback']) AS relation
    WHERE to_regclass(relation) IS NOT NULL;
    RETURN sparkify_internal.publish(format('sparkify_users_%s_of_%s', part, parts), tables, 'insert, update, delete');
END $$;
COMMENT ON FUNCTION sparkify_internal.publish_users(integer, integer) IS 'Part of follow_users(): publishes the users of a part with their plays.';

CREATE PROCEDURE sparkify.follow_users(source text, part integer DEFAULT 0, parts integer DEFAULT 1)
LANGUAGE plpgsql AS $$
DECLARE
    here    text := sparkify_internal.cell_name();
    slot    text;
    waiting integer;
BEGIN
    source := sparkify_internal.check_connection(source, 'source');
    IF here IS NULL THEN
        RAISE EXCEPTION 'database "%" is no cell', pg_catalog.current_database() USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Run CALL sparkify.join_trainer(…) first.';
    ELSIF parts IS NULL OR parts NOT BETWEEN 1 AND 1024 OR (parts OPERATOR(pg_catalog.&) (parts OPERATOR(pg_catalog.-) 1)) OPERATOR(pg_catalog.<>) 0 THEN
        RAISE EXCEPTION 'parts must be a power of two from 1 to 1024, not %', COALESCE(parts::text, 'null') USING ERRCODE = 'invalid_parameter_value';
    ELSIF part IS NULL OR part NOT BETWEEN 0 AND parts OPERATOR(pg_catalog.-) 1 THEN
        RAISE EXCEPTION 'part must be from 0 to %, not %', parts OPERATOR(pg_catalog.-) 1, COALESCE(part::text, 'null') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    slot := 'sparkify_users_to_' OPERATOR(pg_catalog.||) here;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_stat_subscription AS s WHERE s.subname OPERATOR(pg_catalog.=) 'sparkify_from_source'
                   AND s.subid IN (SELECT o.oid FROM pg_catalog.pg_subscription AS o JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) o.subdbid
                                   WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())) THEN
        IF EXISTS (SELECT FROM sparkify.users) OR EXISTS (SELECT FROM sparkify.listening_events) THEN
            RAISE EXCEPTION 'this cell has users of its own' USING
                ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Users are taken over by a cell that has none.';
        END IF;
        COMMIT;
        -- What comes from the source must not go to the trainer a second time.
        PERFORM sparkify_internal.ask((SELECT s.subconninfo FROM pg_catalog.pg_subscription AS s
            JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) s.subdbid
            WHERE s.subname OPERATOR(pg_catalog.=) 'sparkify_from_trainer' AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()),
            pg_catalog.format('SELECT sparkify_internal.unsubscribe(%L)::text', 'sparkify_from_' OPERATOR(pg_catalog.||) here));
        COMMIT;
        PERFORM sparkify_internal.drop_slot('sparkify_from_' OPERATOR(pg_catalog.||) here);
        COMMIT;
        PERFORM sparkify_internal.ask(source, pg_catalog.format('SELECT sparkify_internal.publish_users(%s, %s)::text', part, parts));
        PERFORM sparkify_internal.ask(source, pg_catalog.format('SELECT sparkify_internal.drop_slot(%L)::text', slot));
        PERFORM sparkify_internal.ask(source, pg_catalog.format('SELECT sparkify_internal.make_slot(%L)::text', slot));
        COMMIT;
        PERFORM sparkify_internal.subscribe('sparkify_from_source', source, pg_catalog.format('sparkify_users_%s_of_%s', part, parts), slot, true);
        RAISE NOTICE 'follows part % of % of the users there', part, parts;
    END IF;
    COMMIT;
    LOOP
        waiting := sparkify_internal.tables_not_copied('sparkify_from_source');
        COMMIT;
        EXIT WHEN waiting OPERATOR(pg_catalog.=) 0;
        PERFORM pg_catalog.pg_sleep(0.1);
    END LOOP;
    RAISE NOTICE 'the users are here and are followed: CALL sparkify.take_users() when their lists are made';
END $$;
COMMENT ON PROCEDURE sparkify.follow_users(text, integer, integer) IS
    'In a new cell: copies users and plays from the database that has them now, and follows what is written there. part, parts: only those whose hash says so, as make_router() divides them. The source serves meanwhile; take_users() ends it.';

CREATE PROCEDURE sparkify.take_users(cell text)
LANGUAGE plpgsql AS $$
DECLARE
    here       text := sparkify_internal.cell_name();
    source     text;
    trainer    text;
    old_home   text;
    slot       text;
    to_trainer text;
    began      timestamptz;
BEGIN
    cell := sparkify_internal.check_connection(cell, 'cell');
    SELECT pg_catalog.max(s.subconninfo) FILTER (WHERE s.subname OPERATOR(pg_catalog.=) 'sparkify_from_source'),
           pg_catalog.max(s.subconninfo) FILTER (WHERE s.subname OPERATOR(pg_catalog.=) 'sparkify_from_trainer')
    INTO source, trainer FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) s.subdbid
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database();
    IF here IS NULL OR source IS NULL THEN
        RAISE EXCEPTION 'this database follows no users' USING
            ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run CALL sparkify.follow_users(…) first.';
    END IF;
    slot := 'sparkify_users_to_' OPERATOR(pg_catalog.||) here;
    to_trainer := 'sparkify_from_' OPERATOR(pg_catalog.||) here;
    old_home := sparkify_internal.ask(source, 'SELECT sparkify_internal.cell_name()');
    COMMIT;
    began := pg_catalog.clock_timestamp();
    PERFORM sparkify_internal.ask(source, 'SELECT sparkify_internal.close_to_writers()::text');
    COMMIT;
    PERFORM sparkify_internal.ask(source, pg_catalog.format('SELECT sparkify_internal.wait_until_sent(%L)::text', slot));
    -- The trainer, too, has to have got all from the old home before it hears the new one.
    IF old_home IS NOT NULL THEN
        PERFORM sparkify_internal.ask(source, pg_catalog.format('SELECT sparkify_internal.wait_until_sent(%L)::text',
                                      'sparkify_from_' OPERATOR(pg_catalog.||) old_home));
    END IF;
    COMMIT;
    PERFORM sparkify_internal.unsubscribe('sparkify_from_source');
    -- The trainer has no report of this cell: the next one has to come as a new row.
    PERFORM sparkify_internal.forget_cell(here);
    COMMIT;
    PERFORM sparkify_internal.make_slot(to_trainer);
    COMMIT;
    PERFORM sparkify_internal.ask(trainer, pg_catalog.format('SELECT sparkify_internal.subscribe(%L, %L, ''sparkify_to_trainer'', %L, false)::text',
                                  to_trainer, cell, to_trainer));
    PERFORM sparkify_internal.report_cell();
    COMMIT;
    PERFORM sparkify_internal.ask(source, pg_catalog.format('SELECT sparkify_internal.drop_slot(%L)::text', slot));
    COMMIT;
    RAISE NOTICE 'the users are this cell''s; their old home refuses writes since % seconds: let the router follow with sparkify.make_router(…)',
        pg_catalog.round(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began)::numeric, 2);
END $$;
COMMENT ON PROCEDURE sparkify.take_users(text) IS
    'Ends follow_users(): has the source refuse writes, waits until all that was written there is here and with the trainer, and sends plays to the trainer from here. cell: the connection string of this database, as the trainer sees it.';
