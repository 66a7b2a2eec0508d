-- Triggers that keep track of change.
--
-- The writer of an event need not be able to write the bookkeeping, so these
-- functions have definer's rights. A trigger function with such rights must not
-- be attached to a table of somebody else's, whose columns can have casts of
-- their own: nobody may execute it, and it refuses a table it was not made for.

CREATE FUNCTION sparkify_internal.require_table(relation oid, VARIADIC expected text[]) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF relation IS NULL OR relation <> ALL (expected::regclass[]) THEN
        RAISE EXCEPTION 'this trigger function does not belong to table %', coalesce(relation::regclass::text, '?') USING
            ERRCODE = 'insufficient_privilege';
    END IF;
END $$;
COMMENT ON FUNCTION sparkify_internal.require_table(oid, text[]) IS
    'Part of trigger functions: refuses a table that they were not made for.';

CREATE FUNCTION sparkify_internal.note_users() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.listening_events', 'sparkify.users', 'sparkify.track_feedback');
    CASE TG_OP
    WHEN 'INSERT' THEN
        INSERT INTO sparkify_internal.changed_users SELECT DISTINCT user_id FROM new_rows;
    WHEN 'UPDATE' THEN
        INSERT INTO sparkify_internal.changed_users SELECT user_id FROM old_rows UNION SELECT user_id FROM new_rows;
    WHEN 'DELETE' THEN
        INSERT INTO sparkify_internal.changed_users SELECT DISTINCT user_id FROM old_rows;
    END CASE;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.note_users() IS
    'Trigger: remembers the users of added, changed and deleted rows in changed_users.';

CREATE FUNCTION sparkify_internal.note_all_users() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.listening_events', 'sparkify.users', 'sparkify.tracks', 'sparkify.track_feedback');
    INSERT INTO sparkify_internal.changed_users
    SELECT user_id FROM sparkify.users UNION SELECT user_id FROM sparkify.user_vectors;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.note_all_users() IS 'Trigger: remembers every user in changed_users when a table was truncated.';

-- A refresh under way may be about to store lists that name the track: which
-- lists do is found out by the next refresh, when those are there to be seen.
CREATE FUNCTION sparkify_internal.note_deleted_tracks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.tracks');
    CASE TG_OP
    WHEN 'DELETE' THEN
        INSERT INTO sparkify_internal.deleted_tracks SELECT track_id FROM old_rows;
    WHEN 'UPDATE' THEN
        INSERT INTO sparkify_internal.deleted_tracks
        SELECT track_id FROM old_rows EXCEPT SELECT track_id FROM new_rows;
    END CASE;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.note_deleted_tracks() IS
    'Trigger: remembers tracks that were deleted, or given another id, in deleted_tracks.';

CREATE TRIGGER listening_events_inserted AFTER INSERT ON sparkify.listening_events
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_users();
CREATE TRIGGER listening_events_updated AFTER UPDATE ON sparkify.listening_events
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_users();
CREATE TRIGGER listening_events_deleted AFTER DELETE ON sparkify.listening_events
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_users();
CREATE TRIGGER listening_events_truncated AFTER TRUNCATE ON sparkify.listening_events
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_all_users();
CREATE TRIGGER track_feedback_inserted AFTER INSERT ON sparkify.track_feedback
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_users();
CREATE TRIGGER track_feedback_updated AFTER UPDATE ON sparkify.track_feedback
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_users();
CREATE TRIGGER track_feedback_deleted AFTER DELETE ON sparkify.track_feedback
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_users();
CREATE TRIGGER track_feedback_truncated AFTER TRUNCATE ON sparkify.track_feedback
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_all_users();
CREATE TRIGGER users_inserted AFTER INSERT ON sparkify.users
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_users();
CREATE TRIGGER users_updated AFTER UPDATE ON sparkify.users
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_users();
CREATE TRIGGER users_deleted AFTER DELETE ON sparkify.users
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_users();
CREATE TRIGGER users_truncated AFTER TRUNCATE ON sparkify.users
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_all_users();
CREATE TRIGGER tracks_deleted AFTER DELETE ON sparkify.tracks
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_deleted_tracks();
CREATE TRIGGER tracks_renamed AFTER UPDATE ON sparkify.tracks
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_deleted_tracks();
CREATE TRIGGER tracks_truncated AFTER TRUNCATE ON sparkify.tracks
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_all_users();

-- Embeddings are immutable per model; whoever changes them by hand all the same
-- makes another model of it, which every cache notices.
CREATE FUNCTION sparkify_internal.renew_fingerprints() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.track_embeddings',
        'sparkify_internal.model_states', 'sparkify_internal.track_neighbours');
    CASE TG_OP
    WHEN 'INSERT' THEN
        UPDATE sparkify.models SET fingerprint = gen_random_uuid()
        WHERE model_id IN (SELECT DISTINCT model_id FROM new_rows);
    WHEN 'UPDATE' THEN
        UPDATE sparkify.models SET fingerprint = gen_random_uuid()
        WHERE model_id IN (SELECT model_id FROM old_rows UNION SELECT model_id FROM new_rows);
    WHEN 'DELETE' THEN
        UPDATE sparkify.models SET fingerprint = gen_random_uuid()
        WHERE model_id IN (SELECT DISTINCT model_id FROM old_rows);
    WHEN 'TRUNCATE' THEN
        UPDATE sparkify.models SET fingerprint = gen_random_uuid();
    END CASE;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.renew_fingerprints() IS
    'Trigger: gives the models of added, changed and deleted embeddings, states and neighbours a new fingerprint.';

CREATE TRIGGER track_embeddings_inserted AFTER INSERT ON sparkify.track_embeddings
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();
CREATE TRIGGER track_embeddings_updated AFTER UPDATE ON sparkify.track_embeddings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();
CREATE TRIGGER track_embeddings_deleted AFTER DELETE ON sparkify.track_embeddings
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();
CREATE TRIGGER track_embeddings_truncated AFTER TRUNCATE ON sparkify.track_embeddings
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();
CREATE TRIGGER model_states_inserted AFTER INSERT ON sparkify_internal.model_states
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();
CREATE TRIGGER model_states_updated AFTER UPDATE ON sparkify_internal.model_states
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();
CREATE TRIGGER model_states_deleted AFTER DELETE ON sparkify_internal.model_states
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();
CREATE TRIGGER model_states_truncated AFTER TRUNCATE ON sparkify_internal.model_states
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();
-- A training adds neighbours by the hundred megabytes, and a state after them.
CREATE TRIGGER track_neighbours_updated AFTER UPDATE ON sparkify_internal.track_neighbours
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();
CREATE TRIGGER track_neighbours_deleted AFTER DELETE ON sparkify_internal.track_neighbours
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();
CREATE TRIGGER track_neighbours_truncated AFTER TRUNCATE ON sparkify_internal.track_neighbours
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.renew_fingerprints();

-- Without a foreign key, which would be checked for every row of a build, a
-- deleted model takes what belongs to it along here.
CREATE FUNCTION sparkify_internal.delete_of_models() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.models');
    IF TG_OP = 'TRUNCATE' THEN
        -- TRUNCATE would refuse where the same statement empties one of them, too.
        DELETE FROM sparkify.track_embeddings;
        DELETE FROM sparkify.genre_embeddings;
        DELETE FROM sparkify_internal.model_states;
        DELETE FROM sparkify_internal.track_neighbours;
        DELETE FROM sparkify.user_vectors;
        DELETE FROM sparkify.recommendation_lists;
    ELSE
        DELETE FROM sparkify.track_embeddings WHERE model_id IN (SELECT model_id FROM old_rows);
        DELETE FROM sparkify.genre_embeddings WHERE model_id IN (SELECT model_id FROM old_rows);
        DELETE FROM sparkify_internal.model_states WHERE model_id IN (SELECT model_id FROM old_rows);
        DELETE FROM sparkify_internal.track_neighbours WHERE model_id IN (SELECT model_id FROM old_rows);
        DELETE FROM sparkify.user_vectors WHERE model_id IN (SELECT model_id FROM old_rows);
        DELETE FROM sparkify.recommendation_lists WHERE model_id IN (SELECT model_id FROM old_rows);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.delete_of_models() IS 'Trigger: deletes the vectors and recommendations of deleted models.';

-- Whoever deletes models or users deletes rows that a refresh writes, in another
-- order: it waits for a refresh under way before it touches any of them, and for an
-- activation, which changes two models.
CREATE FUNCTION sparkify_internal.wait_for_turns() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.models');
    UPDATE sparkify_internal.turns SET taken = taken + 1 WHERE work = 'refresh';
    UPDATE sparkify_internal.turns SET taken = taken + 1 WHERE work = 'activation';
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.wait_for_turns() IS
    'Trigger: has a deletion of models wait for refreshes and activations under way, and keeps new ones out until it is committed.';
CREATE TRIGGER models_to_be_deleted BEFORE DELETE ON sparkify.models
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.wait_for_turns();
CREATE TRIGGER models_truncated AFTER TRUNCATE ON sparkify.models
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.delete_of_models();

CREATE FUNCTION sparkify_internal.delete_of_users() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    relation text;
    deleted  bigint;
    erased   jsonb := '{}';
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.users');
    -- Beside other deletions, not beside a refresh: see wait_for_turns().
    PERFORM FROM sparkify_internal.turns WHERE work = 'refresh' FOR SHARE;
    FOREACH relation IN ARRAY ARRAY['recommendation_lists', 'simulated_tastes', 'unmatched_plays', 'user_vectors'] LOOP
        IF TG_OP = 'TRUNCATE' THEN
            EXECUTE format('DELETE FROM sparkify.%I', relation);
        ELSE
            EXECUTE format('DELETE FROM sparkify.%I WHERE user_id IN (SELECT user_id FROM old_rows)', relation);
        END IF;
        GET DIAGNOSTICS deleted = ROW_COUNT;
        IF deleted > 0 THEN
            erased := erased || jsonb_build_object('sparkify.' || relation, deleted);
        END IF;
    END LOOP;
    -- forget_user(), which asks for it, tells what it erased.
    IF current_setting('sparkify.erased', true) <> '' THEN
        PERFORM set_config('sparkify.erased', erased::text, true);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.delete_of_users() IS
    'Trigger: deletes what was made for deleted users: vectors and lists of every model, simulated tastes, unmatched plays.';
CREATE TRIGGER users_deleted_derived AFTER DELETE ON sparkify.users
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.delete_of_users();
CREATE TRIGGER users_truncated_derived AFTER TRUNCATE ON sparkify.users
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.delete_of_users();
CREATE TRIGGER models_deleted AFTER DELETE ON sparkify.models
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.delete_of_models();

-- Emptied recommendations are to be made anew for everyone.
CREATE FUNCTION sparkify_internal.forget_recommended() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.recommendation_lists');
    UPDATE sparkify.models SET recommended = NULL WHERE recommended IS NOT NULL;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.forget_recommended() IS 'Trigger: has the next refresh serve every user when recommendation_lists was truncated.';
CREATE TRIGGER recommendation_lists_truncated AFTER TRUNCATE ON sparkify.recommendation_lists
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.forget_recommended();
