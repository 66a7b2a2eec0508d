-- Listening histories and vectors from elsewhere: comments and row estimates.

COMMENT ON FUNCTION sparkify.load_history(text, text, text) IS
    'Stores a user''s listening history from a file of the server, a pattern of files, a folder or a ZIP as delivered: Spotify''s extended history and account data, Last.fm, ListenBrainz, or columns like those of listening_events. Plays are matched by id, else by name and artist. Returns how many were accepted, duplicate, unmatched (kept in unmatched_plays), passed over (no plays of a track) and rejected (kept in rejected_events). Delivered again, nothing changes. Needs pg_read_server_files.';
COMMENT ON FUNCTION sparkify.import_history(jsonb, text, text) IS
    'The same as load_history() for a history that the client hands over: JSON as delivered, or the text of a file as a JSON string.';
COMMENT ON FUNCTION sparkify.import_events(text, jsonb) IS
    'Stores plays from a table, a view or a query, with the caller''s rights: user_id, played_at, and track_id or track_name and artist; if known ms_played, skipped, session_id, event_id. columns maps other names. Returns the same as load_history().';
COMMENT ON FUNCTION sparkify.match_plays() IS
    'Looks again for the tracks of unmatched_plays, and stores the plays whose tracks the catalogue holds now. Returns how many were accepted, duplicate and are still unmatched. A step of run_pipeline().';
ALTER FUNCTION sparkify.load_history(text, text, text) ROWS 1;
ALTER FUNCTION sparkify.import_history(jsonb, text, text) ROWS 1;
ALTER FUNCTION sparkify.import_events(text, jsonb) ROWS 1;
ALTER FUNCTION sparkify.match_plays() ROWS 1;
COMMENT ON FUNCTION sparkify.import_embeddings(text, boolean, text, double precision) IS
    'Makes a model of kind imported of vectors that were made elsewhere, from a table, a view or a query of track_id and embedding: real[], double precision[], or a type with a cast to real[] as pgvector''s; up to 2,000 dimensions, as many for each. What is NULL, not finite, zero or of an unknown track is left out and counted in models.metrics. Returns the model_id.';
