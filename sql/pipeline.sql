-- The pipeline: every step commits on its own and leaves a row in pipeline_runs.
--
-- A procedure that commits cannot carry a SET clause, and a block that catches
-- errors cannot commit. So run_pipeline() only commits and catches; what it does
-- is in functions with a search_path of their own. A step and the row that says
-- it succeeded commit together.
--
-- One run at a time: the session holds a lock on pipeline_lock over its commits.
-- An error that nothing catches, such as a cancel that lands in a COMMIT, releases
-- it; the row that still says running is closed by the next run.

COMMENT ON FUNCTION sparkify_internal.lock_pipeline() IS
    'Part of run_pipeline(): takes the lock of a run for the session; false where another session has it.';
COMMENT ON FUNCTION sparkify_internal.unlock_pipeline() IS
    'Part of run_pipeline(): gives the lock back where this session has it.';

CREATE FUNCTION sparkify_internal.open_pipeline_run() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    run     bigint;
    running bigint;
BEGIN
    IF NOT sparkify_internal.lock_pipeline() THEN
        SELECT max(run_id) INTO running FROM sparkify.pipeline_runs
        WHERE step = 'pipeline' AND status = 'running';
        INSERT INTO sparkify.pipeline_runs (run_id, step, status, started_at, finished_at, message)
        VALUES (nextval('sparkify.pipeline_run_id_seq'), 'pipeline', 'skipped', now(), now(),
                format('skipped: run %s is still running', coalesce(running::text, 'of another session')));
        RAISE NOTICE 'skipped: run % is still running', coalesce(running::text, 'of another session');
        RETURN NULL;
    END IF;
    UPDATE sparkify.pipeline_runs
    SET status = 'failed', finished_at = clock_timestamp(),
        message = 'the server or the session ended during this step'
    WHERE status = 'running';
    INSERT INTO sparkify.pipeline_runs (run_id, step, status)
    VALUES (nextval('sparkify.pipeline_run_id_seq'), 'pipeline', 'running')
    RETURNING run_id INTO run;
    RETURN run;
END $$;
COMMENT ON FUNCTION sparkify_internal.open_pipeline_run() IS
    'Part of run_pipeline(): takes the lock, closes what a killed run left open, and gives the new run_id; NULL where another run holds the lock.';

CREATE FUNCTION sparkify_internal.begin_pipeline_step(run bigint, steps text[], step text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place integer := array_position(steps, step);
BEGIN
    INSERT INTO sparkify.pipeline_runs (run_id, step, status) VALUES (run, step, 'running');
    PERFORM set_config('application_name',
        format('sparkify %s%% %s (%s/%s)', 100 * (place - 1) / cardinality(steps), step, place, cardinality(steps)), false);
END $$;
COMMENT ON FUNCTION sparkify_internal.begin_pipeline_step(bigint, text[], text) IS
    'Part of run_pipeline(): logs that a step runs, and shows it in pg_stat_activity.application_name.';

CREATE FUNCTION sparkify_internal.end_pipeline_step(run bigint, step text, status text, rows bigint, message text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    began timestamptz;
BEGIN
    UPDATE sparkify.pipeline_runs AS r
    SET status = end_pipeline_step.status, rows = end_pipeline_step.rows,
        message = end_pipeline_step.message, finished_at = clock_timestamp()
    WHERE r.run_id = run AND r.step = end_pipeline_step.step
    RETURNING started_at INTO began;
    RAISE NOTICE '%', format('%s %s%s in %s s%s', step, status, ': ' || rows || ' rows',
        round(extract(epoch FROM clock_timestamp() - began), 2), ' (' || message || ')');
END $$;
COMMENT ON FUNCTION sparkify_internal.end_pipeline_step(bigint, text, text, bigint, text) IS
    'Part of run_pipeline(): logs how a step ended.';

CREATE FUNCTION sparkify_internal.prune_pipeline(run bigint, keep_models integer, keep_runs interval,
    OUT rows bigint, OUT message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone       bigint[];
    old_runs   bigint;
    oldest     timestamptz := now() - keep_runs;
BEGIN
    SELECT coalesce(array_agg(model_id ORDER BY model_id), '{}') INTO gone FROM (
        SELECT model_id FROM sparkify.models WHERE NOT active
            -- The newest vectors from elsewhere are not for us to throw away.
            AND model_id IS DISTINCT FROM (SELECT max(i.model_id) FROM sparkify.models AS i WHERE i.kind = 'imported')
            -- A cell behind serves it still.
            AND model_id NOT IN (SELECT r.model_id FROM sparkify_internal.cell_reports AS r WHERE r.model_id IS NOT NULL)
            -- And one that has not said which may serve any.
            AND NOT EXISTS (SELECT FROM sparkify.cell_status AS c WHERE c.model_id IS NULL)
        ORDER BY trained_at DESC, model_id DESC OFFSET keep_models) AS old;
    PERFORM sparkify_internal.retire_models(gone);
    DELETE FROM sparkify_internal.retired_models WHERE trained_at < oldest;
    DELETE FROM sparkify_internal.outcome_totals WHERE made_on < (oldest AT TIME ZONE 'UTC')::date;
    DELETE FROM sparkify_internal.model_service AS s WHERE s.served_until < oldest
        AND NOT EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = s.model_id);
    DELETE FROM sparkify.rejected_events WHERE rejected_at < oldest;
    -- What a model left that was deleted while rows of it were written.
    DELETE FROM sparkify.track_embeddings AS o WHERE NOT EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = o.model_id);
    DELETE FROM sparkify_internal.model_states AS o WHERE NOT EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = o.model_id);
    DELETE FROM sparkify_internal.track_neighbours AS o WHERE NOT EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = o.model_id);
    DELETE FROM sparkify.genre_embeddings AS o WHERE NOT EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = o.model_id);
    DELETE FROM sparkify.user_vectors AS o WHERE NOT EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = o.model_id);
    DELETE FROM sparkify.recommendation_lists AS o WHERE NOT EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = o.model_id);
    DELETE FROM sparkify.pipeline_runs AS r
    WHERE r.run_id IN (SELECT o.run_id FROM sparkify.pipeline_runs AS o WHERE o.run_id <> run
                       GROUP BY o.run_id HAVING max(coalesce(o.finished_at, o.started_at)) < oldest);
    GET DIAGNOSTICS old_runs = ROW_COUNT;
    -- pg_cron never prunes its own log, and the refresh writes a row a minute.
    IF to_regclass('cron.job_run_details') IS NOT NULL
       AND has_table_privilege('cron.job_run_details', 'SELECT, DELETE')
       AND has_table_privilege('cron.job', 'SELECT') THEN
        EXECUTE 'DELETE FROM cron.job_run_details AS d USING cron.job AS j
                 WHERE j.jobid = d.jobid AND j.database = current_database()
                   AND j.jobname IN (''sparkify pipeline'', ''sparkify refresh'') AND d.end_time < $1'
        USING oldest;
    END IF;
    rows := cardinality(gone);
    message := format('%s models, %s log rows', cardinality(gone), old_runs);
END $$;
COMMENT ON FUNCTION sparkify_internal.prune_pipeline(bigint, integer, interval) IS
    'Part of run_pipeline(): deletes all but the newest keep_models models beside the active one and the newest imported one, log rows and refused events older than keep_runs, and what models left that are gone.';

CREATE FUNCTION sparkify_internal.retire_models(model_ids bigint[]) RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
    WITH deleted AS (
        DELETE FROM sparkify.models WHERE model_id = ANY (model_ids) AND NOT active
        RETURNING model_id, kind, trained_at, metrics
    )
    INSERT INTO sparkify_internal.retired_models (model_id, kind, trained_at, metrics)
    SELECT model_id, kind, trained_at, metrics FROM deleted
    ON CONFLICT (model_id) DO NOTHING
$$;
COMMENT ON FUNCTION sparkify_internal.retire_models(bigint[]) IS
    'Part of run_pipeline(): deletes models, and with them all that was made from them, and keeps their metrics in retired_models. Never the active one.';

-- A change is old to a model when its transaction had ended before the model's
-- lists were begun. Transaction ids tell: those below the oldest that was still
-- under way (subtransactions have higher ids than their transaction). xmin has 32
-- bits of 64; the others are those of the present.
CREATE FUNCTION sparkify_internal.full_xid(short xid) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT next.id - ((next.id - short::text::bigint) & 4294967295)
    -- Half the circle ahead: this transaction's own id can lie beyond its snapshot.
    FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 2147483648) AS next (id)
$$;
COMMENT ON FUNCTION sparkify_internal.full_xid(xid) IS 'Part of run_pipeline(): a transaction id with the bits that wrap around.';

CREATE FUNCTION sparkify_internal.catch_up(model bigint, n integer, horizon bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The turn of refresh_recommendations(): keeps other refreshes out until this step has committed.
    UPDATE sparkify_internal.turns SET taken = taken + 1 WHERE work = 'refresh';
    IF EXISTS (SELECT FROM sparkify_internal.deleted_tracks) OR EXISTS (SELECT FROM sparkify_internal.changed_users AS c WHERE sparkify_internal.full_xid(c.xmin) >= horizon)
       OR EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = model AND m.recommended IS DISTINCT FROM n) THEN
        PERFORM sparkify.refresh_recommendations(n => n, model_id => model);
    END IF;
END $$;
COMMENT ON FUNCTION sparkify_internal.catch_up(bigint, integer, bigint) IS
    'Part of run_pipeline(): refreshes a model that does not serve yet where users changed since its lists were begun.';

CREATE FUNCTION sparkify_internal.evaluate_when_due(model bigint, evaluate_every interval,
    OUT status text, OUT rows bigint, OUT message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made text := (SELECT m.kind FROM sparkify.models AS m WHERE m.model_id = model);
    last timestamptz := (SELECT max(e.evaluated_at) FROM sparkify.model_evaluations AS e WHERE e.kind = made);
BEGIN
    status := 'skipped';
    IF evaluate_every IS NULL THEN
        message := 'not asked for';
    ELSIF made = 'imported' THEN
        message := 'an imported model learned nothing from plays that could be held back';
    ELSIF last > now() - evaluate_every THEN
        message := format('evaluated on %s', last::date);
    ELSE
        SELECT count(*), string_agg(e.subject || ' ' || round(e.value::numeric, 4), ', ' ORDER BY e.value DESC)
            FILTER (WHERE e.metric = 'ndcg' AND e.plays = 'new')
        INTO rows, message FROM sparkify.evaluate_model(kind => made) AS e;
        status := 'succeeded';
        message := 'ndcg of new plays: ' || message;
    END IF;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    -- Too little has been played to tell.
    rows := NULL;
    status := 'skipped';
    message := SQLERRM;
END $$;
COMMENT ON FUNCTION sparkify_internal.evaluate_when_due(bigint, interval) IS
    'Part of run_pipeline(): evaluates the kind of a model where its last evaluation is older than evaluate_every.';

CREATE FUNCTION sparkify_internal.activation_obstacle(model bigint, margin double precision) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made    text := (SELECT m.kind FROM sparkify.models AS m WHERE m.model_id = model);
    serving text := (SELECT m.kind FROM sparkify.models AS m WHERE m.active);
    newest  record;
    before  record;
BEGIN
    SELECT e.evaluation_id, e.value, e.standard_error INTO newest FROM sparkify.model_evaluations AS e
    WHERE e.kind = made AND e.subject = made AND e.plays = 'new' AND e.metric = 'ndcg'
    ORDER BY e.evaluation_id DESC LIMIT 1;
    -- Of another kind that serves, measured beside it at best; of the same, the time before.
    SELECT e.value, e.standard_error INTO before FROM sparkify.model_evaluations AS e
    WHERE e.subject = serving AND e.plays = 'new' AND e.metric = 'ndcg'
        AND (e.subject <> made OR e.evaluation_id < newest.evaluation_id)
    ORDER BY e.evaluation_id DESC LIMIT 1;
    IF newest.value < before.value * (1 - margin)
       AND before.value - newest.value > 2 * sqrt(coalesce(newest.standard_error, 0) ^ 2 + coalesce(before.standard_error, 0) ^ 2) THEN
        RETURN format('%s reached an ndcg of %s, what serves (%s) one of %s',
            made, round(newest.value::numeric, 4), serving, round(before.value::numeric, 4));
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.activation_obstacle(bigint, double precision) IS
    'Part of run_pipeline(): why a model should not take the place of the one that serves: its kind''s last evaluation is worse by more than margin, and by more than two standard errors, than that of the kind that serves, or than the one before. NULL where nothing speaks against it.';

CREATE FUNCTION sparkify_internal.imported_model(kind text) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept bigint;
BEGIN
    SELECT m.model_id INTO kept FROM sparkify.models AS m
    WHERE m.kind = 'imported' AND (m.active OR imported_model.kind = 'imported')
    ORDER BY m.active DESC, m.model_id DESC LIMIT 1;
    IF kept IS NULL AND kind = 'imported' THEN
        RAISE EXCEPTION 'there is no imported model' USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'sparkify.import_embeddings(source) makes one.';
    END IF;
    RETURN CASE WHEN kind IN ('auto', 'imported') THEN kept END;
END $$;
COMMENT ON FUNCTION sparkify_internal.imported_model(text) IS
    'Part of run_pipeline(): the model of vectors made elsewhere that a run keeps instead of training one: for auto the one that serves, for imported that or else the newest. NULL where one is to be trained.';

CREATE FUNCTION sparkify_internal.do_pipeline_step(step text, run bigint, INOUT model bigint, INOUT horizon bigint,
    dims integer, n integer, half_life_days double precision, keep_models integer, keep_runs interval,
    kind text, evaluate_every interval, margin double precision, force boolean,
    OUT status text, OUT rows bigint, OUT message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    failed   text;
    warnings text;
BEGIN
    status := 'succeeded';
    CASE step
    WHEN 'clean' THEN
        -- Rows delivered after the marks were read leave marks of their own.
        DELETE FROM sparkify_internal.stale_marks WHERE subject = 'raw_tracks';
        IF FOUND THEN
            SELECT max(c.rows) FILTER (WHERE c.step = 'written'),
                   string_agg(c.step || ' ' || c.rows, ', ') FILTER (WHERE c.rows > 0)
            INTO rows, message FROM sparkify.clean_tracks() AS c;
        ELSE
            status := 'skipped';
            message := 'no new raw rows';
        END IF;
    WHEN 'match' THEN
        SELECT m.accepted, nullif(m.unmatched, 0) || ' still unmatched' INTO rows, message FROM sparkify.match_plays() AS m;
    WHEN 'embeddings' THEN
        model := sparkify_internal.imported_model(kind);
        IF model IS NOT NULL THEN
            status := 'skipped';
            message := format('model %s was imported and is kept', model);
            RETURN;
        END IF;
        model := sparkify.train_model(kind => kind, dims => dims, activate => false, half_life_days => half_life_days);
        SELECT (m.metrics ->> 'tracks')::bigint INTO rows FROM sparkify.models AS m WHERE m.model_id = model;
        SELECT format('model %s, %s', model, m.kind) INTO message FROM sparkify.models AS m WHERE m.model_id = model;
    WHEN 'user_vectors' THEN
        rows := sparkify.build_user_vectors(model_id => model);
    WHEN 'recommendations' THEN
        horizon := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
        rows := sparkify.refresh_recommendations(n => n, model_id => model);
    WHEN 'validation' THEN
        -- Users who changed meanwhile first: their lists would be found wanting.
        PERFORM sparkify_internal.catch_up(model, n, horizon);
        SELECT count(*), string_agg(v.check_name || ': ' || v.detail, '; ') FILTER (WHERE NOT v.passed AND v.severity = 'error'),
               string_agg(v.check_name || ': ' || v.detail, '; ') FILTER (WHERE NOT v.passed AND v.severity = 'warning')
        INTO rows, failed, warnings FROM sparkify.validate(model_id => model) AS v;
        IF failed IS NOT NULL THEN
            RAISE EXCEPTION 'model % is not valid: %', model, failed USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        message := coalesce('warnings: ' || warnings, 'every check passed');
    WHEN 'evaluation' THEN
        SELECT e.status, e.rows, e.message INTO status, rows, message
        FROM sparkify_internal.evaluate_when_due(model, evaluate_every) AS e;
    WHEN 'activation' THEN
        failed := sparkify_internal.activation_obstacle(model, margin);
        IF failed IS NOT NULL AND NOT force THEN
            RAISE WARNING 'model % is not activated: %', model, failed USING
                HINT = 'CALL sparkify.run_pipeline(force => true) activates all the same.';
            status := 'skipped';
            message := format('model %s: %s', model, failed);
            RETURN;
        END IF;
        PERFORM sparkify_internal.catch_up(model, n, horizon);
        PERFORM sparkify.activate_model(model);
        -- The next refresh need not take up again what this model's lists have seen;
        -- other models' lists have not.
        DELETE FROM sparkify_internal.changed_users AS c WHERE sparkify_internal.full_xid(c.xmin) < horizon;
        IF FOUND THEN
            UPDATE sparkify.models AS m SET recommended = NULL
            WHERE m.model_id <> model AND m.recommended IS NOT NULL;
        END IF;
        message := 'model ' || model;
    WHEN 'prune' THEN
        SELECT p.rows, p.message INTO rows, message FROM sparkify_internal.prune_pipeline(run, keep_models, keep_runs) AS p;
    WHEN 'summaries' THEN
        rows := sparkify.refresh_summaries();
    END CASE;
END $$;
COMMENT ON FUNCTION sparkify_internal.do_pipeline_step(text, bigint, bigint, bigint, integer, integer, double precision, integer, interval, text, interval, double precision, boolean) IS
    'Part of run_pipeline(): does one step.';

CREATE FUNCTION sparkify_internal.fail_pipeline_run(run bigint, steps text[], failed text, error text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended timestamptz := clock_timestamp();
BEGIN
    INSERT INTO sparkify.pipeline_runs AS r (run_id, step, status, started_at, finished_at, message)
    VALUES (run, failed, 'failed', ended, ended, error)
    ON CONFLICT (run_id, step) DO UPDATE
    SET status = excluded.status, finished_at = excluded.finished_at, message = excluded.message;
    INSERT INTO sparkify.pipeline_runs (run_id, step, status, started_at, finished_at, message)
    SELECT run, step, 'skipped', ended, ended, format('step %s failed', failed)
    FROM unnest(steps[array_position(steps, failed) + 1:]) AS step
    ON CONFLICT (run_id, step) DO NOTHING;
    UPDATE sparkify.pipeline_runs
    SET status = 'failed', finished_at = ended, message = format('step %s failed: %s', failed, error)
    WHERE run_id = run AND step = 'pipeline';
END $$;
COMMENT ON FUNCTION sparkify_internal.fail_pipeline_run(bigint, text[], text, text) IS
    'Part of run_pipeline(): logs the failure and marks the later steps skipped.';

CREATE FUNCTION sparkify_internal.discard_model(model bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
BEGIN
    DELETE FROM sparkify.models AS m WHERE m.model_id = model AND NOT m.active AND m.kind <> 'imported';
END $$;
COMMENT ON FUNCTION sparkify_internal.discard_model(bigint) IS
    'Part of run_pipeline(): deletes the model that a failed run was making, unless it serves already or was imported.';

CREATE PROCEDURE sparkify.run_pipeline(
    dims           integer          DEFAULT NULL,
    n              integer          DEFAULT 10,
    half_life_days double precision DEFAULT NULL,
    keep_models    integer          DEFAULT 2,
    keep_runs      interval         DEFAULT '90 days',
    kind           text             DEFAULT 'auto',
    evaluate_every interval         DEFAULT '7 days',
    margin         double precision DEFAULT 0.1,
    force          boolean          DEFAULT false)
LANGUAGE plpgsql AS $$
DECLARE
    steps CONSTANT text[] := ARRAY['clean', 'match', 'embeddings', 'user_vectors', 'recommendations',
                                   'validation', 'evaluation', 'activation', 'prune', 'summaries'];
    application CONSTANT text := pg_catalog.current_setting('application_name');
    run         bigint;
    model       bigint;
    horizon     bigint;
    step        text;
    outcome     record;
    logged      boolean := false;
    failed      text;
    error       text;
    code        text;
    detail      text;
    hint        text;
BEGIN
    PERFORM sparkify_internal.check_pipeline_options(keep_models, keep_runs, kind, margin, force);
    -- Fails at once where the caller has a transaction open.
    COMMIT;
    BEGIN
        run := sparkify_internal.open_pipeline_run();
    EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
        PERFORM sparkify_internal.unlock_pipeline();
        RAISE;
    END;
    COMMIT;
    IF run IS NULL THEN
        RETURN;
    END IF;

    FOREACH step IN ARRAY steps LOOP
        BEGIN
            PERFORM sparkify_internal.begin_pipeline_step(run, steps, step);
        EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
            GET STACKED DIAGNOSTICS error = MESSAGE_TEXT, code = RETURNED_SQLSTATE,
                detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            failed := step;
        END;
        COMMIT;
        EXIT WHEN failed IS NOT NULL;
        BEGIN
            outcome := sparkify_internal.do_pipeline_step(step, run, model, horizon, dims, n, half_life_days, keep_models, keep_runs,
                kind, evaluate_every, margin, force);
            PERFORM sparkify_internal.end_pipeline_step(run, step, outcome.status, outcome.rows, outcome.message);
            model := outcome.model;
            horizon := outcome.horizon;
        EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
            GET STACKED DIAGNOSTICS error = MESSAGE_TEXT, code = RETURNED_SQLSTATE,
                detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            failed := step;
        END;
        COMMIT;
        EXIT WHEN failed IS NOT NULL;
    END LOOP;

    -- A second cancel must not leave the log open.
    FOR attempt IN 1..3 LOOP
        BEGIN
            IF failed IS NULL THEN
                PERFORM sparkify_internal.end_pipeline_step(run, 'pipeline', 'succeeded', NULL, NULL);
            ELSE
                PERFORM sparkify_internal.fail_pipeline_run(run, steps, failed, error);
            END IF;
            logged := true;
        EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
            logged := false;
        END;
        COMMIT;
        EXIT WHEN logged;
    END LOOP;
    IF failed IS NOT NULL THEN
        -- What made the step fail may stand in the way here, too: the next run's prune comes by.
        BEGIN
            PERFORM sparkify_internal.discard_model(model);
        EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
            RAISE NOTICE 'model % of the failed run stays until it is pruned', model;
        END;
        COMMIT;
    END IF;
    BEGIN
        PERFORM sparkify_internal.unlock_pipeline();
        PERFORM pg_catalog.set_config('application_name', application, false);
    EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
        PERFORM sparkify_internal.unlock_pipeline();
    END;
    COMMIT;
    IF failed IS NOT NULL THEN
        RAISE EXCEPTION USING
            MESSAGE = pg_catalog.format('step %s of pipeline run %s failed: %s', failed, run, error),
            ERRCODE = code,
            DETAIL = COALESCE(NULLIF(detail, ''), 'What was served before is served still.'),
            HINT = COALESCE(NULLIF(hint, ''), 'SELECT * FROM sparkify.pipeline_runs ORDER BY run_id DESC shows each step.');
    END IF;
END $$;
COMMENT ON PROCEDURE sparkify.run_pipeline(integer, integer, double precision, integer, interval, text, interval, double precision, boolean) IS
    'Cleans new raw rows, builds a model with dims dimensions (NULL: up to 64, as many as the catalogue allows), vectors, n recommendations a user, validates, activates, prunes, and refreshes the summaries. Each step commits and is logged in pipeline_runs; a failure leaves the previous model serving and ends the call in an error. A call while another runs is skipped. keep_models: models kept beside the active one; keep_runs: age of the log. kind: what is trained, see train_model(); auto keeps an imported model that serves, else is hybrid from 100 users of 5 tracks and more and 1,000 such plays on, content before; imported keeps the newest imported model. Where the last evaluation of that kind is older than evaluate_every (NULL: never) evaluate_model() runs, too; a model whose kind comes out worse than what serves, by the share margin and two standard errors, is not activated, with a warning, unless force is true.';

CREATE FUNCTION sparkify_internal.check_pipeline_options(keep_models integer, keep_runs interval,
    kind text, margin double precision, force boolean) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF keep_models IS NULL THEN
        RAISE EXCEPTION 'keep_models must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF keep_runs IS NULL THEN
        RAISE EXCEPTION 'keep_runs must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF keep_models < 0 THEN
        RAISE EXCEPTION 'keep_models must be 0 or more, not %', keep_models USING ERRCODE = 'invalid_parameter_value';
    ELSIF keep_runs NOT BETWEEN interval '0' AND interval '1000 years' THEN
        RAISE EXCEPTION 'keep_runs must be between 0 and 1000 years, not %', keep_runs USING ERRCODE = 'invalid_parameter_value';
    ELSIF kind IS NULL OR margin IS NULL OR force IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN kind IS NULL THEN 'kind' WHEN margin IS NULL THEN 'margin' ELSE 'force' END
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF kind NOT IN ('auto', 'content', 'collaborative', 'hybrid', 'imported') THEN
        RAISE EXCEPTION 'kind must be auto, content, collaborative, hybrid or imported, not %', kind USING ERRCODE = 'invalid_parameter_value';
    ELSIF margin NOT BETWEEN 0 AND 1 THEN
        RAISE EXCEPTION 'margin must be between 0 and 1, not %', margin USING ERRCODE = 'invalid_parameter_value';
    END IF;
END $$;
COMMENT ON FUNCTION sparkify_internal.check_pipeline_options(integer, interval, text, double precision, boolean) IS 'Part of run_pipeline(): refuses options that make no sense.';

-- Scheduling. pg_cron is looked for when called, never required.

CREATE FUNCTION sparkify_internal.require_pg_cron() RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    elsewhere text;
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        RETURN;
    END IF;
    -- A setting that not every role may look at.
    IF pg_has_role('pg_read_all_settings', 'USAGE') THEN
        elsewhere := current_setting('cron.database_name', true);
    END IF;
    IF elsewhere IS NOT NULL AND elsewhere <> current_database() THEN
        RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database() USING
            ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = format('pg_cron of this server lives in database "%s".', elsewhere),
            HINT = format('There, run SELECT cron.schedule_in_database(''sparkify pipeline'', ''0 3 * * *'', ''CALL sparkify.run_pipeline()'', %L), and the same with ''SELECT sparkify.refresh_recommendations(); SELECT sparkify.refresh_summaries()'' every minute.', current_database());
    ELSE
        RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database() USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Run sparkify.run_pipeline() from another scheduler, or CREATE EXTENSION pg_cron.';
    END IF;
END $$;
COMMENT ON FUNCTION sparkify_internal.require_pg_cron() IS 'Part of schedule_pipeline(): raises where pg_cron is not installed in this database.';

-- A job outlives the extension: then it says so, and does nothing.
CREATE FUNCTION sparkify_internal.job_command(work text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('DO $job$ BEGIN IF pg_catalog.to_regnamespace(''sparkify'') IS NULL THEN '
                  'RAISE NOTICE ''the extension sparkify is gone: unschedule this job''; ELSE %s END IF; END $job$', work)
$$;
COMMENT ON FUNCTION sparkify_internal.job_command(text) IS
    'Part of schedule_pipeline(): a command that does some work as long as the extension is there.';

CREATE FUNCTION sparkify.schedule_pipeline(
    daily   text    DEFAULT '0 3 * * *',
    refresh text    DEFAULT '* * * * *',
    dims    integer DEFAULT NULL,
    n       integer DEFAULT 10,
    kind    text    DEFAULT 'auto')
RETURNS TABLE (job_id bigint, job_name text, schedule text, command text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_pg_cron();
    IF n IS NULL THEN
        RAISE EXCEPTION 'n must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF n NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'n must be between 1 and 1000, not %', n USING ERRCODE = 'invalid_parameter_value';
    ELSIF dims < 1 THEN
        RAISE EXCEPTION 'dims must be 1 or more, not %', dims USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM sparkify_internal.check_pipeline_options(0, interval '0', kind, 0, false);
    PERFORM sparkify.unschedule_pipeline();
    FOR job_name, schedule, command IN VALUES
        ('sparkify pipeline', daily, sparkify_internal.job_command(
            format('CALL sparkify.run_pipeline(%sn => %s%s);', 'dims => ' || dims || ', ', n,
                ', kind => ' || quote_literal(nullif(kind, 'auto'))))),
        ('sparkify refresh', refresh, sparkify_internal.job_command(
            format('PERFORM sparkify.serve_published_model(n => %1$s); PERFORM sparkify.refresh_recommendations(n => %1$s); PERFORM sparkify.refresh_summaries();', n)))
    LOOP
        CONTINUE WHEN schedule IS NULL;
        BEGIN
            -- pg_cron reads five fields and overlooks what comes behind them.
            IF schedule !~* '^\s*(@[a-z]+|\d+ seconds?|\S+(\s+\S+){4})\s*$' THEN
                RAISE EXCEPTION 'not five fields';
            END IF;
            EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO job_id USING job_name, schedule, command;
        EXCEPTION WHEN invalid_parameter_value OR syntax_error OR data_exception OR raise_exception THEN
            RAISE EXCEPTION 'invalid schedule "%"', schedule USING
                ERRCODE = 'invalid_parameter_value',
                HINT = 'Use five cron fields, in GMT: minute, hour, day of month, month, day of week.';
        END;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify.schedule_pipeline(text, text, integer, integer, text) IS
    'Lets pg_cron run the pipeline (daily) and the refresh of changed users (refresh), both cron schedules in GMT; NULL leaves one out. Calling again replaces both jobs. dims (where it is not NULL), n and kind are handed to them. Gives the jobs.';

CREATE FUNCTION sparkify.unschedule_pipeline() RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    jobs integer;
BEGIN
    PERFORM sparkify_internal.require_pg_cron();
    EXECUTE 'SELECT count(cron.unschedule(jobid)) FROM cron.job
             WHERE jobname IN (''sparkify pipeline'', ''sparkify refresh'') AND database = current_database()'
    INTO jobs;
    RETURN jobs;
END $$;
COMMENT ON FUNCTION sparkify.unschedule_pipeline() IS
    'Removes the jobs that schedule_pipeline() made; gives how many there were.';
