-- The catalogue: comments and row estimates of its functions.

COMMENT ON FUNCTION sparkify.song_key(text, text[]) IS
    'The same uuid for every version of a song: same name and artists in the same order, trimmed and case-blind.';
COMMENT ON FUNCTION sparkify.load_tracks(text) IS
    'Copies a CSV file of the server into raw_tracks and returns the number of rows; header names decide the columns, in any order, and an unnamed first column is row_index.';
COMMENT ON FUNCTION sparkify.clean_tracks() IS
    'Turns all of raw_tracks into typed tracks, one for each id, writes what is new or changed, and returns what was read, refused, dropped, merged, written and repaired.';
ALTER FUNCTION sparkify.clean_tracks() ROWS 22;
