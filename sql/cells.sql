-- Users split over databases: a trainer holds the catalogue, all plays and the
-- models; each cell holds the users of its own, and serves them.
--
-- Two streams of logical replication tie a cell to the trainer: catalogue and
-- models to the cell, plays and reports to the trainer. What a database is shows
-- in its own catalogue, so that nothing can go stale: a trainer has the
-- publication sparkify_to_cells, a cell the subscription sparkify_from_trainer.
--
-- What is a cell's own state never travels: which model it serves, and how long
-- its lists are, are columns that the publication leaves out. The trainer says in
-- published_model which model is to serve; a cell follows when its lists are made.

CREATE TABLE sparkify_internal.stated_replication (
    relation text PRIMARY KEY,
    way      text   NOT NULL CHECK (way IN ('to cells', 'to trainer', 'own')),
    left_out text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE sparkify_internal.stated_replication IS
    'Which table travels where between a trainer and its cells: to cells, to trainer, or own (not at all). A table that is not there yet is passed over.';
COMMENT ON COLUMN sparkify_internal.stated_replication.left_out IS 'Columns that do not travel.';

INSERT INTO sparkify_internal.stated_replication (relation, way, left_out) VALUES
    ('sparkify.tracks', 'to cells', '{}'),
    ('sparkify.models', 'to cells', '{active,recommended}'),
    ('sparkify.track_embeddings', 'to cells', '{}'),
    ('sparkify.genre_embeddings', 'to cells', '{}'),
    ('sparkify_internal.model_states', 'to cells', '{}'),
    ('sparkify_internal.track_neighbours', 'to cells', '{}'),
    ('sparkify_internal.published_model', 'to cells', '{}'),
    ('sparkify.listening_events', 'to trainer', '{}'),
    ('sparkify.track_feedback', 'to trainer', '{}'),
    ('sparkify_internal.cell_reports', 'to trainer', '{}'),
    -- Accounts and declared tastes stay where their users are: a model learns from plays.
    ('sparkify.users', 'own', '{}'),
    ('sparkify.raw_tracks', 'own', '{}'),
    ('sparkify.rejected_tracks', 'own', '{}'),
    ('sparkify.rejected_events', 'own', '{}'),
    ('sparkify.unmatched_plays', 'own', '{}'),
    ('sparkify.model_evaluations', 'own', '{}'),
    ('sparkify.user_vectors', 'own', '{}'),
    ('sparkify.recommendation_lists', 'own', '{}'),
    ('sparkify.simulated_tastes', 'own', '{}'),
    ('sparkify.pipeline_runs', 'own', '{}'),
    ('sparkify_internal.retired_models', 'own', '{}'),
    ('sparkify_internal.deleted_models', 'own', '{}'),
    ('sparkify_internal.changed_users', 'own', '{}'),
    ('sparkify_internal.deleted_tracks', 'own', '{}'),
    ('sparkify_internal.list_changes', 'own', '{}'),
    ('sparkify_internal.list_totals', 'own', '{}'),
    ('sparkify_internal.play_changes', 'own', '{}'),
    ('sparkify_internal.recommended_totals', 'own', '{}'),
    ('sparkify_internal.stale_marks', 'own', '{}');

CREATE TABLE sparkify_internal.published_model (
    only_row     boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    model_id     bigint      NOT NULL,
    published_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE sparkify_internal.published_model IS
    'One row: the model that was activated last; in a cell, by its trainer. Written by a trigger on models.';
COMMENT ON COLUMN sparkify_internal.published_model.published_at IS 'When it was activated.';

CREATE TABLE sparkify_internal.cell_reports (
    cell         text        PRIMARY KEY,
    model_id     bigint,
    users        bigint      NOT NULL,
    refreshed_at timestamptz NOT NULL
);
COMMENT ON TABLE sparkify_internal.cell_reports IS
    'What each cell said of itself when serve_published_model() last ran there; in the trainer the rows of all cells.';
COMMENT ON COLUMN sparkify_internal.cell_reports.model_id IS 'The model that it serves; NULL before the first.';

CREATE TABLE sparkify_internal.deleted_models (
    model_id bigint NOT NULL
);
COMMENT ON TABLE sparkify_internal.deleted_models IS
    'Models deleted by the trainer whose vectors and lists serve_published_model() has still to delete.';

SELECT pg_catalog.pg_extension_config_dump('sparkify_internal.deleted_models', '');

-- What a database is.

CREATE FUNCTION sparkify_internal.is_trainer() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = 'sparkify_to_cells')
$$;
COMMENT ON FUNCTION sparkify_internal.is_trainer() IS 'Whether make_trainer() has made this database a trainer.';

CREATE FUNCTION sparkify_internal.cell_name() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT substr(s.subslotname, length('sparkify_to_') + 1)
    FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid
    WHERE s.subname = 'sparkify_from_trainer' AND d.datname = current_database()
$$;
COMMENT ON FUNCTION sparkify_internal.cell_name() IS 'The name under which this database joined a trainer; NULL where it is no cell.';

-- What arrives by replication fires no ordinary trigger. These fire then alone.

CREATE FUNCTION sparkify_internal.note_published() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.models');
    -- In a cell the row is the trainer's.
    IF sparkify_internal.cell_name() IS NULL THEN
        INSERT INTO sparkify_internal.published_model (model_id) VALUES (NEW.model_id)
        ON CONFLICT (only_row) DO UPDATE SET model_id = excluded.model_id, published_at = clock_timestamp();
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.note_published() IS 'Trigger: writes an activated model into published_model.';
CREATE TRIGGER models_published_new AFTER INSERT ON sparkify.models
    FOR EACH ROW WHEN (NEW.active) EXECUTE FUNCTION sparkify_internal.note_published();
CREATE TRIGGER models_published AFTER UPDATE OF active ON sparkify.models
    FOR EACH ROW WHEN (NEW.active AND NOT OLD.active) EXECUTE FUNCTION sparkify_internal.note_published();

CREATE FUNCTION sparkify_internal.note_replicated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.tracks', 'sparkify.models',
        'sparkify.listening_events', 'sparkify.track_feedback', 'sparkify.users');
    CASE TG_TABLE_NAME
    WHEN 'tracks' THEN
        IF TG_OP <> 'INSERT' THEN
            IF TG_OP = 'DELETE' OR OLD.track_id <> NEW.track_id THEN
                INSERT INTO sparkify_internal.deleted_tracks VALUES (OLD.track_id);
            END IF;
        END IF;
        -- One mark a transaction says it.
        IF current_setting('sparkify.marked_in', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
            INSERT INTO sparkify_internal.stale_marks (subject) VALUES ('plays'), ('recommendations');
            PERFORM set_config('sparkify.marked_in', pg_current_xact_id()::text, true);
        END IF;
    WHEN 'models' THEN
        INSERT INTO sparkify_internal.deleted_models VALUES (OLD.model_id);
    WHEN 'listening_events' THEN
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO sparkify_internal.play_changes
            VALUES (OLD.user_id, OLD.track_id, (OLD.played_at AT TIME ZONE 'UTC')::date, -1, OLD.skipped);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO sparkify_internal.play_changes
            VALUES (NEW.user_id, NEW.track_id, (NEW.played_at AT TIME ZONE 'UTC')::date, 1, NEW.skipped);
        END IF;
        -- A trainer has the plays and not their users: no list of its own to refresh.
        INSERT INTO sparkify_internal.changed_users
        SELECT u.user_id FROM sparkify.users AS u
        WHERE u.user_id = CASE TG_OP WHEN 'DELETE' THEN OLD.user_id ELSE NEW.user_id END;
    WHEN 'track_feedback' THEN
        INSERT INTO sparkify_internal.changed_users
        SELECT u.user_id FROM sparkify.users AS u
        WHERE u.user_id = CASE TG_OP WHEN 'DELETE' THEN OLD.user_id ELSE NEW.user_id END;
    WHEN 'users' THEN
        INSERT INTO sparkify_internal.changed_users
        VALUES (CASE TG_OP WHEN 'DELETE' THEN OLD.user_id ELSE NEW.user_id END);
    END CASE;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.note_replicated() IS
    'Trigger on what arrives by logical replication: notes what the statement triggers note of what is written here.';
CREATE TRIGGER tracks_replicated AFTER INSERT OR UPDATE OR DELETE ON sparkify.tracks
    FOR EACH ROW EXECUTE FUNCTION sparkify_internal.note_replicated();
CREATE TRIGGER models_replicated AFTER DELETE ON sparkify.models
    FOR EACH ROW EXECUTE FUNCTION sparkify_internal.note_replicated();
CREATE TRIGGER listening_events_replicated AFTER INSERT OR UPDATE OR DELETE ON sparkify.listening_events
    FOR EACH ROW EXECUTE FUNCTION sparkify_internal.note_replicated();
CREATE TRIGGER track_feedback_replicated AFTER INSERT OR UPDATE OR DELETE ON sparkify.track_feedback
    FOR EACH ROW EXECUTE FUNCTION sparkify_internal.note_replicated();
CREATE TRIGGER users_replicated AFTER INSERT OR UPDATE OR DELETE ON sparkify.users
    FOR EACH ROW EXECUTE FUNCTION sparkify_internal.note_replicated();
ALTER TABLE sparkify.tracks ENABLE REPLICA TRIGGER tracks_replicated;
ALTER TABLE sparkify.models ENABLE REPLICA TRIGGER models_replicated;
ALTER TABLE sparkify.listening_events ENABLE REPLICA TRIGGER listening_events_replicated;
ALTER TABLE sparkify.track_feedback ENABLE REPLICA TRIGGER track_feedback_replicated;
ALTER TABLE sparkify.users ENABLE REPLICA TRIGGER users_replicated;
-- A TRUNCATE of the trainer's is one of the cells'.
ALTER TABLE sparkify.tracks ENABLE ALWAYS TRIGGER tracks_truncated;
ALTER TABLE sparkify.models ENABLE ALWAYS TRIGGER models_truncated;

-- The cell's minute.

CREATE FUNCTION sparkify_internal.report_cell() RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO sparkify_internal.cell_reports AS r (cell, model_id, users, refreshed_at)
    SELECT here.name, (SELECT m.model_id FROM sparkify.models AS m WHERE m.active), (SELECT count(*) FROM sparkify.users), clock_timestamp()
    FROM sparkify_internal.cell_name() AS here (name) WHERE here.name IS NOT NULL
    ON CONFLICT (cell) DO UPDATE SET (model_id, users, refreshed_at)
        = (excluded.model_id, excluded.users, excluded.refreshed_at)
$$;
COMMENT ON FUNCTION sparkify_internal.report_cell() IS 'Part of serve_published_model() and take_users(): says to the trainer how this cell fares.';

CREATE FUNCTION sparkify.serve_published_model(n integer DEFAULT 10, threads integer DEFAULT 2) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone      bigint[];
    published bigint;
    served    bigint;
BEGIN
    IF sparkify_internal.cell_name() IS NULL THEN
        RETURN NULL;
    END IF;
    WITH noted AS (DELETE FROM sparkify_internal.deleted_models RETURNING model_id)
    SELECT array_agg(o.model_id) INTO gone FROM noted AS o
    WHERE NOT EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = o.model_id);
    IF gone IS NOT NULL THEN
        DELETE FROM sparkify.user_vectors AS v WHERE v.model_id = ANY (gone);
        DELETE FROM sparkify.recommendation_lists AS l WHERE l.model_id = ANY (gone);
    END IF;
    SELECT m.model_id INTO served FROM sparkify.models AS m WHERE m.active;
    -- Until every table has been copied, a model may lack what belongs to it.
    SELECT m.model_id INTO published
    FROM sparkify_internal.published_model AS p JOIN sparkify.models AS m ON m.model_id = p.model_id
    WHERE NOT EXISTS (SELECT FROM pg_subscription_rel AS r JOIN pg_subscription AS s ON s.oid = r.srsubid
                      JOIN pg_database AS d ON d.oid = s.subdbid
                      WHERE s.subname = 'sparkify_from_trainer' AND d.datname = current_database()
                        AND r.srsubstate <> 'r');
    IF published IS DISTINCT FROM served AND published IS NOT NULL THEN
        -- Beside the lists that are served; the switch commits with the last of them.
        PERFORM sparkify.refresh_recommendations(n => n, model_id => published, threads => threads);
        PERFORM sparkify.activate_model(published);
        served := published;
    END IF;
    PERFORM sparkify_internal.report_cell();
    RETURN served;
END $$;
COMMENT ON FUNCTION sparkify.serve_published_model(integer, integer) IS
    'In a cell: where the trainer has activated another model than the one served here, makes its n recommendations a user beside the stored ones and switches in one commit; deletes what deleted models have left; reports to the trainer. Gives the model served; NULL and nothing done where the database is no cell. Part of the job that schedule_pipeline() makes.';

CREATE FUNCTION sparkify_internal.log_position() RETURNS pg_lsn
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
$$;
COMMENT ON FUNCTION sparkify_internal.log_position() IS 'Part of cell_status: where the log of this server stands.';

CREATE VIEW sparkify.cell_status AS
-- In the trainer: a row for each cell.
SELECT cell.name AS cell, COALESCE(o.active, false) AS connected, r.model_id, p.model_id AS published_model_id,
       r.users, r.refreshed_at,
       pg_catalog.pg_wal_lsn_diff(sparkify_internal.log_position(), o.confirmed_flush_lsn)::bigint AS catalogue_lag_bytes,
       NULL::bigint AS plays_lag_bytes,
       CASE WHEN o.wal_status IN ('lost', 'unreserved') THEN 'the cell is too far behind: let it leave and join again'
            WHEN o.slot_name IS NULL THEN 'the slot of the cell is gone: let it leave and join again'
            WHEN NOT o.active THEN 'the cell does not fetch catalogue and models'
            WHEN w.pid IS NULL THEN 'plays are not fetched from the cell'
            WHEN r.model_id IS DISTINCT FROM p.model_id THEN 'serves another model than the published one'
            ELSE 'ok' END AS message
FROM (SELECT pg_catalog.substr(s.subname, 15) AS name, s.oid FROM pg_catalog.pg_subscription s
      WHERE s.subname LIKE 'sparkify\_from\_%' AND s.subname <> 'sparkify_from_trainer' AND s.subname <> 'sparkify_from_source'
        AND s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())) AS cell
LEFT JOIN pg_catalog.pg_replication_slots o ON o.slot_name = 'sparkify_to_' || cell.name
LEFT JOIN pg_catalog.pg_stat_subscription w ON w.subid = cell.oid AND w.relid IS NULL
LEFT JOIN sparkify_internal.cell_reports r ON r.cell = cell.name
LEFT JOIN sparkify_internal.published_model p ON true
UNION ALL
-- In a cell: its own.
SELECT cell.name, w.pid IS NOT NULL, m.model_id, p.model_id,
       (SELECT pg_catalog.count(*) FROM sparkify.users), r.refreshed_at, NULL,
       pg_catalog.pg_wal_lsn_diff(sparkify_internal.log_position(), o.confirmed_flush_lsn)::bigint,
       CASE WHEN w.pid IS NULL THEN 'the trainer cannot be reached: what is here serves on'
            WHEN o.wal_status IN ('lost', 'unreserved') THEN 'plays are missing in the trainer: leave and join again'
            WHEN o.slot_name IS NULL OR NOT o.active THEN 'the trainer does not fetch plays'
            WHEN m.model_id IS DISTINCT FROM p.model_id THEN 'serves another model than the published one'
            ELSE 'ok' END
FROM (SELECT sparkify_internal.cell_name() AS name) AS cell
LEFT JOIN pg_catalog.pg_stat_subscription w ON w.subname = 'sparkify_from_trainer' AND w.relid IS NULL
    AND w.subid IN (SELECT s.oid FROM pg_catalog.pg_subscription s
        WHERE s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
LEFT JOIN pg_catalog.pg_replication_slots o ON o.slot_name = 'sparkify_from_' || cell.name
LEFT JOIN sparkify.models m ON m.active
LEFT JOIN sparkify_internal.published_model p ON true
LEFT JOIN sparkify_internal.cell_reports r ON r.cell = cell.name
WHERE cell.name IS NOT NULL;
COMMENT ON VIEW sparkify.cell_status IS
    'How cells fare: in a trainer a row for each, in a cell its own, on a router those of all cells; empty in a database that stands alone.';
COMMENT ON COLUMN sparkify.cell_status.cell IS 'Name of the cell.';
COMMENT ON COLUMN sparkify.cell_status.connected IS 'Whether catalogue and models flow to it now.';
COMMENT ON COLUMN sparkify.cell_status.model_id IS 'The model it serves; in a trainer, as it last reported.';
COMMENT ON COLUMN sparkify.cell_status.published_model_id IS 'The model it ought to serve, as far as is known here.';
COMMENT ON COLUMN sparkify.cell_status.users IS 'Its users.';
COMMENT ON COLUMN sparkify.cell_status.refreshed_at IS 'When its minute''s job last ran, as far as is known here.';
COMMENT ON COLUMN sparkify.cell_status.catalogue_lag_bytes IS 'In a trainer: bytes of log that the cell has not confirmed.';
COMMENT ON COLUMN sparkify.cell_status.plays_lag_bytes IS 'In a cell: bytes of log, plays among them, that the trainer has not confirmed.';
COMMENT ON COLUMN sparkify.cell_status.message IS 'ok, or what is wrong.';
