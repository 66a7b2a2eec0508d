-- Who may do what: the one place where it is written down.
--
-- Nobody but the owner may do anything until a role is given a part with
-- grant_reader() or grant_writer(), which grant what stands here. A part has all
-- that stands for the parts before it:
--
--   reader    recommendations, views and the tables behind them; writes nothing
--   writer    an application: plays, users, feedback, tracks
--   operator  builds, refreshes, runs the pipeline
--   owner     what nobody is granted
--
-- An object that is not named here can be used by nobody but the owner, and fails
-- a test. Functions stand by name: there are no overloads. Trigger functions need
-- no EXECUTE to fire; who may execute one could attach it to a table of their own.

CREATE TABLE sparkify_internal.stated_privileges (
    part       text NOT NULL CHECK (part IN ('reader', 'writer', 'operator', 'owner')),
    kind       text NOT NULL CHECK (kind IN ('function', 'relation')),
    privileges text NOT NULL,
    objects    text NOT NULL
);
COMMENT ON TABLE sparkify_internal.stated_privileges IS
    'Which part (reader, writer, operator or owner) may do what with the objects of the extension, names divided by blanks; read by grant_reader() and grant_writer().';

INSERT INTO sparkify_internal.stated_privileges (part, kind, privileges, objects) VALUES
    ('reader', 'function', 'EXECUTE',
        'sparkify.help sparkify.recommend sparkify.recommend_json sparkify.recommend_for sparkify.explain_recommendation
         sparkify.similar_tracks sparkify.similar_users sparkify.popular_tracks sparkify.trending
         sparkify.song_key sparkify.is_simulated
         sparkify.profile_tracks sparkify.correlate_tracks sparkify.histogram_tracks sparkify.outlier_tracks'),
    -- Called from views, whose functions run with the rights of their reader.
    ('reader', 'function', 'EXECUTE',
        'sparkify_internal.count_plays sparkify_internal.count_lists sparkify_internal.count_recommended
         sparkify_internal.cell_name sparkify_internal.log_position'),
    ('reader', 'relation', 'SELECT',
        'sparkify.tracks sparkify.users sparkify.listening_events
         sparkify.track_feedback sparkify.model_evaluations sparkify.track_neighbours
         sparkify_internal.model_states sparkify_internal.track_neighbours
         sparkify.models sparkify.track_embeddings sparkify.genre_embeddings sparkify.user_vectors
         sparkify.recommendation_lists sparkify.user_recommendations sparkify.recommendation_details
         sparkify.pipeline_runs sparkify.pipeline_status sparkify.model_history sparkify.recommendation_coverage
         sparkify.track_plays sparkify.top_artists sparkify.top_tracks sparkify.genre_plays sparkify.daily_plays
         sparkify.user_top_artists sparkify.user_top_tracks sparkify.user_genre_plays
         sparkify.genre_distribution sparkify.artist_distribution sparkify.simulated_tastes
         sparkify.recommendation_outcomes sparkify.recommendation_strategies sparkify.recommended_tracks sparkify.recommended_artists
         sparkify.concentration sparkify.rejections sparkify.refresh_backlog
         sparkify_internal.current_plays sparkify.cell_status'),

    ('writer', 'function', 'EXECUTE',
        'sparkify.ingest_events sparkify_internal.store_events sparkify.import_tracks sparkify.load_history sparkify.import_history sparkify.import_events
         sparkify_internal.read_played_at sparkify.load_tracks sparkify.forget_user sparkify_internal.forget_traces sparkify.rate_track'),
    ('writer', 'relation', 'INSERT, UPDATE, DELETE',
        'sparkify.tracks sparkify.users sparkify.listening_events sparkify.track_feedback'),
    ('writer', 'relation', 'SELECT, INSERT',
        'sparkify.raw_tracks sparkify.rejected_events sparkify.unmatched_plays'),

    ('operator', 'function', 'EXECUTE',
        'sparkify.clean_tracks sparkify.generate_tracks
         sparkify.generate_users sparkify.generate_events sparkify.reset_simulation sparkify.simulation_report
         sparkify.build_embeddings sparkify.train_model sparkify.evaluate_model sparkify.import_embeddings sparkify.match_plays
         sparkify.activate_model sparkify.build_user_vectors
         sparkify.refresh_recommendations sparkify.refresh_summaries sparkify.validate sparkify.serve_published_model
         sparkify.run_pipeline sparkify.schedule_pipeline sparkify.unschedule_pipeline
         sparkify_internal.lock_pipeline sparkify_internal.unlock_pipeline
         sparkify_internal.open_pipeline_run sparkify_internal.begin_pipeline_step sparkify_internal.end_pipeline_step
         sparkify_internal.imported_model sparkify_internal.do_pipeline_step sparkify_internal.fail_pipeline_run sparkify_internal.catch_up
         sparkify_internal.discard_model sparkify_internal.prune_pipeline sparkify_internal.retire_models
         sparkify_internal.evaluate_when_due sparkify_internal.activation_obstacle
         sparkify_internal.full_xid sparkify_internal.job_command sparkify_internal.check_pipeline_options sparkify_internal.require_pg_cron
         sparkify_internal.is_trainer sparkify_internal.report_cell'),
    ('operator', 'relation', 'INSERT, UPDATE, DELETE, TRUNCATE',
        'sparkify.models sparkify.track_embeddings sparkify.genre_embeddings sparkify.user_vectors
         sparkify.recommendation_lists sparkify.simulated_tastes
         sparkify.model_evaluations sparkify_internal.model_states sparkify_internal.track_neighbours'),
    ('operator', 'relation', 'INSERT, UPDATE, DELETE', 'sparkify.pipeline_runs'),
    ('operator', 'relation', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE',
        'sparkify.raw_tracks sparkify.rejected_tracks sparkify.rejected_events sparkify.unmatched_plays'),
    ('operator', 'relation', 'SELECT, INSERT, UPDATE, DELETE',
        'sparkify_internal.changed_users sparkify_internal.deleted_tracks sparkify_internal.stale_marks
         sparkify_internal.retired_models sparkify_internal.simulator_state sparkify_internal.pipeline_lock
         sparkify_internal.outcome_totals sparkify_internal.model_service'),
    ('operator', 'relation', 'SELECT, UPDATE', 'sparkify_internal.turns'),
    -- Who makes streams has to be a member of pg_read_server_files besides: a trigger sees to it.
    ('operator', 'function', 'EXECUTE',
        'sparkify.create_stream sparkify.drop_stream sparkify.reset_stream sparkify.consume_stream
         sparkify.schedule_stream sparkify.unschedule_stream
         sparkify_internal.require_stream sparkify_internal.check_stream_start sparkify_internal.check_stream_columns
         sparkify_internal.check_consume_options sparkify_internal.read_stream sparkify_internal.close_stream
         sparkify_internal.store_messages sparkify_internal.read_message sparkify_internal.reject_messages
         sparkify_internal.note_stream'),
    ('operator', 'relation', 'SELECT, INSERT, DELETE', 'sparkify_internal.streams'),
    ('operator', 'relation', 'SELECT, INSERT, UPDATE', 'sparkify_internal.stream_state'),
    ('operator', 'relation', 'SELECT, INSERT, UPDATE, DELETE', 'sparkify_internal.stream_offsets'),
    ('reader', 'relation', 'SELECT', 'sparkify.stream_status'),
    ('operator', 'relation', 'SELECT, INSERT, UPDATE, DELETE', 'sparkify_internal.cell_reports sparkify_internal.deleted_models'),
    ('operator', 'relation', 'SELECT', 'sparkify_internal.published_model'),
    ('operator', 'relation', 'USAGE', 'sparkify.pipeline_run_id_seq sparkify.model_evaluation_id_seq'),

    ('owner', 'function', 'EXECUTE',
        'sparkify.grant_reader sparkify.grant_writer sparkify.revoke_access sparkify_internal.grant_part
         sparkify_internal.estimate_rows sparkify_internal.models_marked_here
         sparkify_internal.note_users sparkify_internal.note_all_users sparkify_internal.note_deleted_tracks
         sparkify_internal.note_plays sparkify_internal.note_lists sparkify_internal.note_service sparkify_internal.note_outcomes sparkify_internal.count_reach
         sparkify_internal.mark_stale
         sparkify_internal.mark_stale_by_tracks sparkify_internal.mark_stale_by_totals
         sparkify_internal.renew_fingerprints sparkify_internal.wait_for_turns sparkify_internal.delete_of_models sparkify_internal.delete_of_users
         sparkify_internal.forget_recommended sparkify_internal.require_table sparkify_internal.require_file_reader
         sparkify.make_trainer sparkify.join_trainer sparkify.leave_trainer sparkify.remove_cell
         sparkify.follow_users sparkify.take_users sparkify.reopen_users
         sparkify_internal.check_connection sparkify_internal.check_cell_name sparkify_internal.require_logical_log
         sparkify_internal.ask sparkify_internal.make_slot sparkify_internal.drop_slot sparkify_internal.subscribe
         sparkify_internal.unsubscribe sparkify_internal.tables_not_copied sparkify_internal.forget_cell
         sparkify_internal.published_tables sparkify_internal.publish sparkify_internal.wait_until_sent
         sparkify_internal.refuse_moved sparkify_internal.close_to_writers sparkify_internal.publish_users
         sparkify_internal.note_published sparkify_internal.note_replicated'),
    ('owner', 'relation', 'SELECT',
        'sparkify_internal.stated_privileges sparkify_internal.stated_replication sparkify_internal.play_totals sparkify_internal.play_changes
         sparkify_internal.list_totals sparkify_internal.recommended_totals sparkify_internal.list_changes
         sparkify_internal.changed_plays sparkify_internal.touched_plays sparkify_internal.play_corrections
         sparkify_internal.plays_stale sparkify_internal.changed_lists sparkify_internal.outcome_notes
         sparkify_internal.reach_totals sparkify_internal.concentration_totals sparkify_internal.artist_lists
         sparkify_internal.streams_stream_id_seq
         sparkify.models_model_id_seq sparkify.recommendation_lists_list_id_seq');

-- PostgreSQL lets everybody execute a new function: take that back from each.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', p.oid::pg_catalog.regprocedure)
        FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace IN ('sparkify'::pg_catalog.regnamespace, 'sparkify_internal'::pg_catalog.regnamespace)
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
