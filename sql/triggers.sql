-- Triggers that keep track of change.

-- The writer of an event need not be able to write the bookkeeping: definer's rights.
CREATE FUNCTION sparkify.note_users() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        INSERT INTO sparkify.changed_users SELECT DISTINCT user_id FROM new_rows;
    WHEN 'UPDATE' THEN
        INSERT INTO sparkify.changed_users SELECT user_id FROM old_rows UNION SELECT user_id FROM new_rows;
    WHEN 'DELETE' THEN
        INSERT INTO sparkify.changed_users SELECT DISTINCT user_id FROM old_rows;
    END CASE;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify.note_users() IS
    'Trigger: remembers the users of added, changed and deleted rows in changed_users.';

CREATE FUNCTION sparkify.note_all_users() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO sparkify.changed_users
    SELECT user_id FROM sparkify.users UNION SELECT user_id FROM sparkify.user_vectors;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify.note_all_users() IS 'Trigger: remembers every user in changed_users when a table was truncated.';

CREATE FUNCTION sparkify.note_users_of_deleted_tracks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO sparkify.changed_users
    SELECT DISTINCT user_id FROM sparkify.user_recommendations
    WHERE track_id IN (SELECT track_id FROM old_rows);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify.note_users_of_deleted_tracks() IS
    'Trigger: remembers the users whose recommendations hold a deleted track in changed_users.';

CREATE TRIGGER listening_events_inserted AFTER INSERT ON sparkify.listening_events
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.note_users();
CREATE TRIGGER listening_events_updated AFTER UPDATE ON sparkify.listening_events
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.note_users();
CREATE TRIGGER listening_events_deleted AFTER DELETE ON sparkify.listening_events
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.note_users();
CREATE TRIGGER listening_events_truncated AFTER TRUNCATE ON sparkify.listening_events
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify.note_all_users();
CREATE TRIGGER users_inserted AFTER INSERT ON sparkify.users
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.note_users();
CREATE TRIGGER users_updated AFTER UPDATE ON sparkify.users
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.note_users();
CREATE TRIGGER users_deleted AFTER DELETE ON sparkify.users
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.note_users();
CREATE TRIGGER users_truncated AFTER TRUNCATE ON sparkify.users
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify.note_all_users();
CREATE TRIGGER tracks_deleted AFTER DELETE ON sparkify.tracks
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.note_users_of_deleted_tracks();
CREATE TRIGGER tracks_truncated AFTER TRUNCATE ON sparkify.tracks
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify.note_all_users();

-- Embeddings are immutable per model; whoever changes them by hand all the same
-- makes another model of it, which every cache notices.
CREATE FUNCTION sparkify.renew_fingerprints() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
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
COMMENT ON FUNCTION sparkify.renew_fingerprints() IS
    'Trigger: gives the models of added, changed and deleted embeddings a new fingerprint.';

CREATE TRIGGER track_embeddings_inserted AFTER INSERT ON sparkify.track_embeddings
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.renew_fingerprints();
CREATE TRIGGER track_embeddings_updated AFTER UPDATE ON sparkify.track_embeddings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.renew_fingerprints();
CREATE TRIGGER track_embeddings_deleted AFTER DELETE ON sparkify.track_embeddings
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.renew_fingerprints();
CREATE TRIGGER track_embeddings_truncated AFTER TRUNCATE ON sparkify.track_embeddings
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify.renew_fingerprints();

-- Without a foreign key, which would be checked for every row of a build, a
-- deleted model takes what belongs to it along here.
CREATE FUNCTION sparkify.delete_of_models() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM sparkify.track_embeddings WHERE model_id IN (SELECT model_id FROM old_rows);
    DELETE FROM sparkify.genre_embeddings WHERE model_id IN (SELECT model_id FROM old_rows);
    DELETE FROM sparkify.user_vectors WHERE model_id IN (SELECT model_id FROM old_rows);
    DELETE FROM sparkify.recommendation_lists WHERE model_id IN (SELECT model_id FROM old_rows);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify.delete_of_models() IS 'Trigger: deletes the vectors and recommendations of deleted models.';
CREATE TRIGGER models_deleted AFTER DELETE ON sparkify.models
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify.delete_of_models();

-- Emptied recommendations are to be made anew for everyone.
CREATE FUNCTION sparkify.forget_recommended() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE sparkify.models SET recommended = NULL WHERE recommended IS NOT NULL;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify.forget_recommended() IS 'Trigger: has the next refresh serve every user when recommendation_lists was truncated.';
CREATE TRIGGER recommendation_lists_truncated AFTER TRUNCATE ON sparkify.recommendation_lists
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify.forget_recommended();
