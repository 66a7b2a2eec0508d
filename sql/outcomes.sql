-- Whether what was recommended is played afterwards.
--
-- A list lives from the time it was made, or its model began to serve, to the
-- time it was replaced, or its model ceased to serve. When it goes, its tracks
-- are compared with the plays of its life. Lists whose user played nothing then
-- tell nothing and are not counted. Only sums are kept: no user stands here.

CREATE TABLE sparkify_internal.model_service (
    model_id     bigint      PRIMARY KEY,
    served_from  timestamptz NOT NULL,
    served_until timestamptz
);
COMMENT ON TABLE sparkify_internal.model_service IS 'When each model served, the last time that it did; filled by a trigger.';
COMMENT ON COLUMN sparkify_internal.model_service.served_until IS 'NULL while it serves.';

-- Fires in a copy by logical replication too, where ordinary triggers stay quiet.
CREATE FUNCTION sparkify_internal.note_service() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.models');
    IF new.active THEN
        INSERT INTO sparkify_internal.model_service (model_id, served_from) VALUES (new.model_id, now())
        ON CONFLICT (model_id) DO UPDATE SET served_from = excluded.served_from, served_until = NULL;
    ELSE
        UPDATE sparkify_internal.model_service SET served_until = now() WHERE model_id = new.model_id;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.note_service() IS 'Trigger: notes in model_service when a model begins to serve, and ceases to.';
CREATE TRIGGER models_switched AFTER UPDATE OF active ON sparkify.models
    FOR EACH ROW WHEN (old.active <> new.active) EXECUTE FUNCTION sparkify_internal.note_service();
ALTER TABLE sparkify.models ENABLE ALWAYS TRIGGER models_switched;

CREATE TABLE sparkify_internal.outcome_totals (
    made_on    date   NOT NULL,
    model_id   bigint NOT NULL,
    strategy   text   NOT NULL,
    rank       integer NOT NULL,
    lists      bigint NOT NULL,
    played     bigint NOT NULL,
    skipped    bigint NOT NULL,
    skip_known bigint NOT NULL,
    PRIMARY KEY (made_on, model_id, strategy, rank)
);
COMMENT ON TABLE sparkify_internal.outcome_totals IS
    'Outcomes of lists as refresh_summaries() last added them up; read recommendation_outcomes, which adds what came since.';
CREATE TABLE sparkify_internal.outcome_notes (LIKE sparkify_internal.outcome_totals);
COMMENT ON TABLE sparkify_internal.outcome_notes IS
    'Outcomes of lists replaced since refresh_summaries() last ran; filled by triggers, which only add rows, so that nobody waits.';

-- OFFSET 0: a user's plays are found by the key, whatever the planner takes the lists to be.
CREATE FUNCTION sparkify_internal.note_outcomes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.recommendation_lists');
    -- Most deletions are of models that never served, or of a handful of lists.
    IF NOT EXISTS (SELECT FROM old_rows AS o JOIN sparkify_internal.model_service AS s ON s.model_id = o.model_id) THEN
        RETURN NULL;
    END IF;
    WITH heard AS MATERIALIZED (
        SELECT o.model_id, o.user_id, e.track_id, e.skipped, e.skip_known
        FROM old_rows AS o
        JOIN sparkify_internal.model_service AS s ON s.model_id = o.model_id
        CROSS JOIN LATERAL (
            SELECT p.track_id, count(*) FILTER (WHERE p.skipped) AS skipped, count(p.skipped) AS skip_known
            FROM sparkify.listening_events AS p
            WHERE p.user_id = o.user_id
              AND p.played_at > greatest(o.generated_at, s.served_from)
              AND p.played_at < least(s.served_until, now())
            GROUP BY p.track_id
            OFFSET 0
        ) AS e
    ), tested AS (
        SELECT o.model_id, o.user_id, o.strategy, (o.generated_at AT TIME ZONE 'UTC')::date AS made_on, o.track_ids
        FROM old_rows AS o
        JOIN (SELECT DISTINCT model_id, user_id FROM heard) AS h ON h.model_id = o.model_id AND h.user_id = o.user_id
    )
    INSERT INTO sparkify_internal.outcome_notes (made_on, model_id, strategy, rank, lists, played, skipped, skip_known)
    SELECT t.made_on, t.model_id, t.strategy, r.rank, count(*), count(h.track_id),
           coalesce(sum(h.skipped), 0), coalesce(sum(h.skip_known), 0)
    FROM tested AS t
    CROSS JOIN LATERAL unnest(t.track_ids) WITH ORDINALITY AS r (track_id, rank)
    LEFT JOIN heard AS h ON h.model_id = t.model_id AND h.user_id = t.user_id AND h.track_id = r.track_id
    GROUP BY t.made_on, t.model_id, t.strategy, r.rank;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.note_outcomes() IS
    'Trigger: compares lists that go with the plays of their life and adds the sums to outcome_notes.';
CREATE TRIGGER recommendation_lists_deleted_outcomes AFTER DELETE ON sparkify.recommendation_lists
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_outcomes();

DO $$
DECLARE
    relation pg_catalog.regclass;
BEGIN
    FOREACH relation IN ARRAY ARRAY['sparkify_internal.model_service', 'sparkify_internal.outcome_totals',
                                    'sparkify_internal.outcome_notes']::pg_catalog.regclass[]
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump(relation, '');
    END LOOP;
END $$;

CREATE VIEW sparkify.recommendation_outcomes AS
SELECT o.made_on, o.model_id, o.strategy, o.rank,
       pg_catalog.sum(o.lists)::bigint AS lists,
       pg_catalog.sum(o.played)::bigint AS played,
       pg_catalog.sum(o.played)::double precision / pg_catalog.sum(o.lists)::double precision AS played_share,
       pg_catalog.sum(o.skipped)::bigint AS skipped,
       pg_catalog.sum(o.skip_known)::bigint AS skip_known
FROM (SELECT * FROM sparkify_internal.outcome_totals UNION ALL SELECT * FROM sparkify_internal.outcome_notes) AS o
GROUP BY o.made_on, o.model_id, o.strategy, o.rank;
COMMENT ON VIEW sparkify.recommendation_outcomes IS
    'Whether what was recommended was played afterwards: lists against the plays between the time they were made and the time they were replaced or their model ceased to serve. Lists that still stand, and those whose user played nothing, are not counted. Totals over all users, whoever asks.';
COMMENT ON COLUMN sparkify.recommendation_outcomes.made_on IS 'Day the lists were made, in UTC.';
COMMENT ON COLUMN sparkify.recommendation_outcomes.model_id IS 'The model that made them.';
COMMENT ON COLUMN sparkify.recommendation_outcomes.strategy IS 'What they were made from: listening, declared taste or popularity.';
COMMENT ON COLUMN sparkify.recommendation_outcomes.rank IS 'Place in the list, 1 the best.';
COMMENT ON COLUMN sparkify.recommendation_outcomes.lists IS 'Lists with a track at this rank whose user played anything in their life.';
COMMENT ON COLUMN sparkify.recommendation_outcomes.played IS 'Those of which that track was played.';
COMMENT ON COLUMN sparkify.recommendation_outcomes.played_share IS 'Their share, 0 to 1.';
COMMENT ON COLUMN sparkify.recommendation_outcomes.skipped IS 'Plays of those tracks that were skipped.';
COMMENT ON COLUMN sparkify.recommendation_outcomes.skip_known IS 'Plays of those tracks of which it is known whether they were skipped.';
