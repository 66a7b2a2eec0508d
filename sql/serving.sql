-- Models and recommendations: comments, and row estimates for the planner.

COMMENT ON FUNCTION sparkify.build_embeddings(integer, boolean, double precision, double precision) IS
    'Builds a content model of the catalogue: PCA of standardised features and genres to dims dimensions (1 to the rank of the features; NULL: up to 64, as many as that rank allows, which a NOTICE says). Of more than 2,000 genres those that vary most are features. Activates it unless activate is false. half_life_days: the age at which a play weighs half. Gives the model_id. genre_weight: what a genre counts beside a standardised number.';
COMMENT ON FUNCTION sparkify.activate_model(bigint) IS
    'Makes a model the one that serves; its lists and an older model''s are switched in one commit.';
COMMENT ON FUNCTION sparkify.build_user_vectors(bigint) IS
    'Computes and stores the vector of every user in a model (NULL: the active one). Gives the rows written.';
COMMENT ON FUNCTION sparkify.refresh_recommendations(integer, bigint, boolean, integer) IS
    'Stores vectors and the n best tracks (1 to 1000) of the users that changed since their last refresh; of all users where force is true, the model or n is new. Ranks on that many threads (1 to 256). Gives the recommendations written.';
COMMENT ON FUNCTION sparkify.recommend(text, integer, text[], text[], text[], boolean, bigint) IS
    'The n best tracks (1 to 1000) for a user now, from the plays and the feedback the caller can see. exclude: tracks that must not come; candidates: the only ones that may; genres: any of these, case-blind; distinct_songs: one version of a song; model_id NULL: the active model. Of a user of whom nothing is known the model''s most popular tracks. Writes nothing.';
COMMENT ON FUNCTION sparkify.recommend_for(text[], integer, text[], text[], text[], boolean, bigint) IS
    'The n best tracks (1 to 1000) after those listed, for nobody in particular: an anonymous visitor''s session, or the continuation of a playlist. Each counts as a play, the last as the newest: ten places back weigh half. Options as in recommend().';
COMMENT ON FUNCTION sparkify.recommend_json(text, integer) IS
    'The rows of recommend() with its defaults, as a JSON array.';
COMMENT ON FUNCTION sparkify.explain_recommendation(text, text, integer, bigint) IS
    'What of a user''s history carries the score of a track, and how much: the n tracks (1 to 1000) of the largest parts, then a row without a track for all others. The parts add up to score. Where the declared taste serves, genres in place of tracks; no row where popularity does.';
COMMENT ON FUNCTION sparkify.similar_tracks(text, integer, text[], text[], text[], boolean, bigint) IS
    'The n tracks (1 to 1000) closest to a track, never another version of the same song: by the cosine of the vectors, and in a model of plays with neighbours 0.7 times the cosine of the factors plus 0.3 times the weight as a neighbour, as a share of the nearest one''s. Options as in recommend().';
COMMENT ON FUNCTION sparkify.similar_users(text, integer, bigint) IS
    'The n users (1 to 1000) whose vectors, as refresh_recommendations() last stored them, are closest to the vector of a user now, by cosine. model_id NULL: the active model.';
COMMENT ON FUNCTION sparkify.popular_tracks(integer, interval, text[], text, boolean, bigint) IS
    'The n tracks (1 to 1000) that most users listen to, each user counted once. Without since and country as of when the model was made: what recommend() gives a user of whom nothing is known. since: counts plays of that long up to now that the caller can see; country: of users there; genres: any of these, case-blind.';
COMMENT ON FUNCTION sparkify.trending(integer, interval, text[], text) IS
    'The n tracks (1 to 1000) whose listeners rose most from the span before to the last one of length since, among plays that the caller can see. score: the rise divided by the root of the listeners of both, which is what chance does to counts of that size. genres, country as in popular_tracks().';

COMMENT ON FUNCTION sparkify_internal.estimate_rows(internal) IS
    'Part of recommend() and its like: tells the planner how many rows will come.';
-- Ten where n is not known before the call.
ALTER FUNCTION sparkify.recommend(text, integer, text[], text[], text[], boolean, bigint)
    ROWS 10 SUPPORT sparkify_internal.estimate_rows;
ALTER FUNCTION sparkify.similar_tracks(text, integer, text[], text[], text[], boolean, bigint)
    ROWS 10 SUPPORT sparkify_internal.estimate_rows;
ALTER FUNCTION sparkify.recommend_for(text[], integer, text[], text[], text[], boolean, bigint)
    ROWS 10 SUPPORT sparkify_internal.estimate_rows;
ALTER FUNCTION sparkify.explain_recommendation(text, text, integer, bigint) ROWS 6;
ALTER FUNCTION sparkify.similar_users(text, integer, bigint) ROWS 10;
ALTER FUNCTION sparkify.popular_tracks(integer, interval, text[], text, boolean, bigint) ROWS 10;
ALTER FUNCTION sparkify.trending(integer, interval, text[], text) ROWS 10;
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
