-- Models and recommendations: comments, and row estimates for the planner.

COMMENT ON FUNCTION sparkify.build_embeddings(integer, boolean, double precision) IS
    'Builds a content model of the catalogue: PCA of standardised features and genres to dims dimensions (1 to the rank of the features; NULL: up to 64, as many as that rank allows, which a NOTICE says). Of more than 2,000 genres those that vary most are features. Activates it unless activate is false. half_life_days: the age at which a play weighs half. Gives the model_id.';
COMMENT ON FUNCTION sparkify.activate_model(bigint) IS
    'Makes a model the one that serves; its lists and an older model''s are switched in one commit.';
COMMENT ON FUNCTION sparkify.build_user_vectors(bigint) IS
    'Computes and stores the vector of every user in a model (NULL: the active one). Gives the rows written.';
COMMENT ON FUNCTION sparkify.refresh_recommendations(integer, bigint, boolean, integer) IS
    'Stores vectors and the n best tracks (1 to 1000) of the users that changed since their last refresh; of all users where force is true, the model or n is new. Ranks on that many threads (1 to 256). Gives the recommendations written.';
COMMENT ON FUNCTION sparkify.recommend(text, integer, text[], text[], text[], boolean, bigint) IS
    'The n best tracks (1 to 1000) for a user now, from the plays the caller can see. exclude: tracks that must not come; candidates: the only ones that may; genres: any of these; distinct_songs: one version of a song; model_id NULL: the active model. Writes nothing.';
COMMENT ON FUNCTION sparkify.recommend_json(text, integer) IS
    'The rows of recommend() with its defaults, as a JSON array.';
COMMENT ON FUNCTION sparkify.similar_tracks(text, integer, text[], text[], text[], boolean, bigint) IS
    'The n tracks (1 to 1000) closest to a track by cosine; never another version of the same song. Options as in recommend().';

COMMENT ON FUNCTION sparkify_internal.estimate_rows(internal) IS
    'Part of recommend() and similar_tracks(): tells the planner how many rows will come.';
-- Ten where n is not known before the call.
ALTER FUNCTION sparkify.recommend(text, integer, text[], text[], text[], boolean, bigint)
    ROWS 10 SUPPORT sparkify_internal.estimate_rows;
ALTER FUNCTION sparkify.similar_tracks(text, integer, text[], text[], text[], boolean, bigint)
    ROWS 10 SUPPORT sparkify_internal.estimate_rows;
COMMENT ON FUNCTION sparkify.validate(bigint) IS
    'Checks what is delivered, built and stored for a model (NULL: the active one): a row for each check, with the number of failures and an instance. severity error: the model cannot serve; warning: some rows do not count.';
ALTER FUNCTION sparkify.validate(bigint) ROWS 22;
-- Compiling their queries costs more than it saves, and nothing stops it.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT pg_catalog.format('ALTER FUNCTION %s SET jit = off', p.oid::pg_catalog.regprocedure)
        FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace IN ('sparkify'::pg_catalog.regnamespace, 'sparkify_internal'::pg_catalog.regnamespace)
          AND p.prokind = 'f' AND p.provolatile <> 'i' AND p.prorettype <> 'trigger'::pg_catalog.regtype
          -- Called for each row or each request, and with short queries: a clause costs as much as they do.
          AND p.proconfig IS NOT NULL AND NOT p.proconfig::text ~ 'jit='
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
