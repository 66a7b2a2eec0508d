-- Feedback, and what models of plays store beside their vectors.

CREATE TABLE sparkify.track_feedback (
    user_id  text COLLATE "C" NOT NULL CHECK (user_id <> ''),
    track_id text COLLATE "C" NOT NULL CHECK (track_id <> ''),
    rating   integer     NOT NULL CHECK (rating IN (-1, 1)),
    rated_at timestamptz NOT NULL DEFAULT pg_catalog.now() CHECK (pg_catalog.isfinite(rated_at)),
    PRIMARY KEY (user_id, track_id)
);
COMMENT ON TABLE sparkify.track_feedback IS
    'What users said of tracks, written by rate_track() or INSERT: liked (1) counts as a play, disliked (-1) is never recommended and pushes away what is like it.';
COMMENT ON COLUMN sparkify.track_feedback.rating IS '1 liked, -1 disliked.';

CREATE FUNCTION sparkify.rate_track(user_id text, track_id text, rating integer) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF user_id IS NULL OR track_id IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN user_id IS NULL THEN 'user_id' ELSE 'track_id' END
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF user_id = '' OR track_id = '' THEN
        RAISE EXCEPTION '% must not be empty', CASE WHEN user_id = '' THEN 'user_id' ELSE 'track_id' END
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF rating NOT IN (-1, 0, 1) THEN
        RAISE EXCEPTION 'rating must be -1, 0 or 1, not %', rating USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'Use 1 for liked, -1 for disliked, 0 to take a rating back.';
    END IF;
    IF coalesce(rating, 0) = 0 THEN
        DELETE FROM sparkify.track_feedback AS f
        WHERE f.user_id = rate_track.user_id AND f.track_id = rate_track.track_id;
    ELSE
        INSERT INTO sparkify.track_feedback AS f (user_id, track_id, rating)
        VALUES (rate_track.user_id, rate_track.track_id, rate_track.rating)
        ON CONFLICT ON CONSTRAINT track_feedback_pkey
        DO UPDATE SET rating = excluded.rating, rated_at = excluded.rated_at;
    END IF;
END $$;
COMMENT ON FUNCTION sparkify.rate_track(text, text, integer) IS
    'Notes that a user likes a track (1) or dislikes it (-1), in place of what was said before; 0 or NULL takes it back. Counts at the next call of recommend(). Neither user nor track need exist.';

CREATE TABLE sparkify_internal.model_states (
    model_id     bigint PRIMARY KEY,
    state        double precision[] NOT NULL,
    cold_means   double precision[],
    cold_scales  double precision[],
    cold_genres  text[] COLLATE "C",
    cold_weights double precision[]
);
ALTER TABLE sparkify_internal.model_states
    ALTER COLUMN state SET STORAGE EXTERNAL, ALTER COLUMN cold_weights SET STORAGE EXTERNAL;
COMMENT ON TABLE sparkify_internal.model_states IS
    'What a model of plays needs to answer, a row a model: how users are folded in, and how content becomes vectors.';
COMMENT ON COLUMN sparkify_internal.model_states.state IS 'The numbers of sparkify_learn::State: fold-in, and the Gram matrix of the vectors.';
COMMENT ON COLUMN sparkify_internal.model_states.cold_means IS 'Means of the numeric features; NULL where content was not learned from.';
COMMENT ON COLUMN sparkify_internal.model_states.cold_scales IS 'Standard deviations of the numeric features.';
COMMENT ON COLUMN sparkify_internal.model_states.cold_genres IS 'The genres that were known.';
COMMENT ON COLUMN sparkify_internal.model_states.cold_weights IS 'From features and genres to a vector, a row of dims numbers for each.';

CREATE TABLE sparkify_internal.track_neighbours (
    model_id   bigint    NOT NULL,
    track_no   integer   NOT NULL,
    neighbours integer[] NOT NULL,
    weights    real[]    NOT NULL,
    PRIMARY KEY (model_id, track_no),
    CHECK (pg_catalog.cardinality(neighbours) = pg_catalog.cardinality(weights))
);
ALTER TABLE sparkify_internal.track_neighbours
    ALTER COLUMN neighbours SET STORAGE EXTERNAL, ALTER COLUMN weights SET STORAGE EXTERNAL;
COMMENT ON TABLE sparkify_internal.track_neighbours IS
    'What a play of a track adds to others, by their numbers in the model, ascending; weights are above 0.';

CREATE VIEW sparkify.track_neighbours WITH (security_invoker = true) AS
SELECT e.model_id, e.track_id, o.track_id AS neighbour_id, n.weight
FROM sparkify_internal.track_neighbours AS s
JOIN sparkify.track_embeddings AS e USING (model_id, track_no)
CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(s.neighbours), pg_catalog.unnest(s.weights)) AS n (track_no, weight)
JOIN sparkify.track_embeddings AS o ON o.model_id = e.model_id AND o.track_no = n.track_no;
COMMENT ON VIEW sparkify.track_neighbours IS
    'What a play of a track adds to others, in models of plays. Under its reader''s rights.';
COMMENT ON COLUMN sparkify.track_neighbours.model_id IS 'The model.';
COMMENT ON COLUMN sparkify.track_neighbours.track_id IS 'The track played.';
COMMENT ON COLUMN sparkify.track_neighbours.neighbour_id IS 'The track that gains.';
COMMENT ON COLUMN sparkify.track_neighbours.weight IS 'What it gains, before a user''s sum is brought to scale.';

CREATE TABLE sparkify.model_evaluations (
    evaluation_id  bigint           NOT NULL,
    evaluated_at   timestamptz      NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    kind           text             NOT NULL,
    params         jsonb            NOT NULL DEFAULT '{}',
    subject        text             NOT NULL,
    plays          text             NOT NULL CHECK (plays IN ('new', 'all')),
    metric         text             NOT NULL,
    k              integer          NOT NULL CHECK (k > 0),
    value          double precision NOT NULL,
    standard_error double precision,
    users          integer          NOT NULL CHECK (users >= 0),
    PRIMARY KEY (evaluation_id, subject, plays, metric)
);
CREATE SEQUENCE sparkify.model_evaluation_id_seq OWNED BY sparkify.model_evaluations.evaluation_id;
COMMENT ON SEQUENCE sparkify.model_evaluation_id_seq IS 'Numbers the evaluations.';
COMMENT ON TABLE sparkify.model_evaluations IS
    'What evaluate_model() measured, a row for each subject and metric.';
COMMENT ON COLUMN sparkify.model_evaluations.kind IS 'The kind of model that was evaluated.';
COMMENT ON COLUMN sparkify.model_evaluations.params IS 'Where the cut was, how many users and plays there were, and what was chosen.';
COMMENT ON COLUMN sparkify.model_evaluations.subject IS 'What ranked: the kind, content, popularity or chance.';
COMMENT ON COLUMN sparkify.model_evaluations.plays IS
    'new: tracks that the user had not played before the cut, out of all such; all: every track played after the cut, out of the whole catalogue.';
COMMENT ON COLUMN sparkify.model_evaluations.standard_error IS 'Of the mean over the users; NULL where the value is no mean.';

DO $$
DECLARE
    relation pg_catalog.regclass;
BEGIN
    FOREACH relation IN ARRAY ARRAY[
        'sparkify.track_feedback', 'sparkify.model_evaluations', 'sparkify.model_evaluation_id_seq',
        'sparkify_internal.model_states', 'sparkify_internal.track_neighbours']::pg_catalog.regclass[]
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump(relation, '');
    END LOOP;
END $$;
