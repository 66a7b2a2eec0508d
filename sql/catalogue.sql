-- The catalogue: comments and row estimates of its functions.

COMMENT ON FUNCTION sparkify.song_key(text, text[]) IS
    'The same uuid for every version of a song: same name and artists in the same order, trimmed and case-blind.';
