-- The tables. Ids are text in byte order ("C"), which is also the order of ties.

CREATE TABLE sparkify.raw_tracks (
    row_index        text,
    track_id         text,
    artists          text,
    album_name       text,
    track_name       text,
    popularity       text,
    duration_ms      text,
    explicit         text,
    danceability     text,
    energy           text,
    key              text,
    loudness         text,
    mode             text,
    speechiness      text,
    acousticness     text,
    instrumentalness text,
    liveness         text,
    valence          text,
    tempo            text,
    time_signature   text,
    track_genre      text
);
COMMENT ON TABLE sparkify.raw_tracks IS
    'Catalogue rows as delivered, every column as text. Filled by load_tracks() or COPY, read by clean_tracks().';
COMMENT ON COLUMN sparkify.raw_tracks.row_index IS
    'The unnamed first column of the Kaggle file; ignored when rows are compared.';

CREATE TABLE sparkify.rejected_tracks (
    LIKE sparkify.raw_tracks,
    reason      text        NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE sparkify.rejected_tracks IS
    'Raw rows that clean_tracks() refused, with the reason.';

-- What is inserted without it, as by COPY, is one delivery a transaction.
ALTER TABLE sparkify.raw_tracks ADD COLUMN delivery bigint NOT NULL
    DEFAULT (pg_catalog.date_part('epoch', pg_catalog.transaction_timestamp()) OPERATOR(pg_catalog.*) 1000000)::bigint;
COMMENT ON COLUMN sparkify.raw_tracks.delivery IS
    'Number of the delivery: when it began, in microseconds since 1970. Of the rows of one id those of the newest delivery count.';

CREATE TABLE sparkify.tracks (
    track_id         text COLLATE "C" PRIMARY KEY CHECK (pg_catalog.octet_length(track_id) BETWEEN 1 AND 512),
    track_name       text             NOT NULL,
    -- Names of artists and genres are keys of the summaries.
    artists          text[]           NOT NULL
        CHECK (pg_catalog.cardinality(artists) > 0 AND pg_catalog.octet_length(artists[1]) <= 1024),
    primary_artist   text             GENERATED ALWAYS AS (artists[1]) STORED,
    album_name       text,
    genres           text[]           NOT NULL DEFAULT '{}',
    primary_genre    text             CHECK (pg_catalog.octet_length(primary_genre) <= 512),
    popularity       integer          CHECK (popularity BETWEEN 0 AND 100),
    duration_ms      integer          CHECK (duration_ms > 0),
    explicit         boolean,
    danceability     double precision CHECK (danceability BETWEEN 0 AND 1),
    energy           double precision CHECK (energy BETWEEN 0 AND 1),
    key              integer          CHECK (key BETWEEN 0 AND 11),
    loudness         double precision CHECK (loudness BETWEEN -60 AND 10),
    mode             integer          CHECK (mode IN (0, 1)),
    speechiness      double precision CHECK (speechiness BETWEEN 0 AND 1),
    acousticness     double precision CHECK (acousticness BETWEEN 0 AND 1),
    instrumentalness double precision CHECK (instrumentalness BETWEEN 0 AND 1),
    liveness         double precision CHECK (liveness BETWEEN 0 AND 1),
    valence          double precision CHECK (valence BETWEEN 0 AND 1),
    tempo            double precision CHECK (tempo > 0 AND tempo < 'Infinity'),
    time_signature   integer          CHECK (time_signature BETWEEN 1 AND 7),
    song_key         uuid             GENERATED ALWAYS AS (sparkify.song_key(track_name, artists)) STORED
);
COMMENT ON TABLE sparkify.tracks IS
    'The catalogue: one row a track, typed, NULL where a value is unknown. Filled by clean_tracks() and generate_tracks(), or by INSERT.';
COMMENT ON COLUMN sparkify.tracks.genres IS 'Every genre the track was delivered under, in byte order.';
COMMENT ON COLUMN sparkify.tracks.primary_genre IS 'Genre of the most popular delivered row; the first by name where several tie.';
COMMENT ON COLUMN sparkify.tracks.song_key IS 'The same for all versions of a song: see song_key().';
CREATE INDEX tracks_genres_idx ON sparkify.tracks USING gin (genres);

CREATE TABLE sparkify.users (
    user_id       text COLLATE "C" PRIMARY KEY CHECK (pg_catalog.octet_length(user_id) BETWEEN 1 AND 512),
    age           integer CHECK (age BETWEEN 0 AND 150),
    country       text,
    genre_weights jsonb CHECK (pg_catalog.jsonb_typeof(genre_weights) = 'object'),
    created_at    timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE sparkify.users IS 'Listeners. genre_weights is the declared taste, genre name to weight; NULL where none was declared.';

CREATE TABLE sparkify.listening_events (
    user_id    text COLLATE "C" NOT NULL,
    track_id   text COLLATE "C" NOT NULL,
    played_at  timestamptz NOT NULL CHECK (pg_catalog.isfinite(played_at)),
    ms_played  integer CHECK (ms_played >= 0),
    skipped    boolean,
    session_id text COLLATE "C",
    event_id   uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    PRIMARY KEY (user_id, played_at, event_id) INCLUDE (track_id, ms_played, skipped)
);
-- Events come in the order of time, or nearly: what is asked of a span lies together.
CREATE INDEX listening_events_played_at_idx ON sparkify.listening_events USING brin (played_at)
    WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE sparkify.listening_events IS
    'Plays. Written by generate_events(), ingest_events() or INSERT; the key holds a user''s history together.';
COMMENT ON COLUMN sparkify.listening_events.event_id IS 'The same (user_id, played_at, event_id) delivered again is a duplicate.';

CREATE TABLE sparkify.rejected_events (
    event       jsonb       NOT NULL,
    reason      text        NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    event_hash  uuid        GENERATED ALWAYS AS (pg_catalog.md5(event::text)::uuid) STORED,
    user_id         text COLLATE "C",
    topic           text,
    topic_partition integer,
    topic_offset    bigint
);
CREATE UNIQUE INDEX rejected_events_hash_idx ON sparkify.rejected_events (event_hash);
CREATE INDEX rejected_events_rejected_at_idx ON sparkify.rejected_events (rejected_at);
COMMENT ON TABLE sparkify.rejected_events IS
    'Events that ingest_events() and consume_stream() refused, with the reason: each once, however often it is delivered, until the pipeline prunes its log.';
COMMENT ON COLUMN sparkify.rejected_events.event IS 'As it was delivered; a message that is no JSON as a string, the beginning of one that is too long.';
COMMENT ON COLUMN sparkify.rejected_events.user_id IS 'The user that a message of a topic names.';
COMMENT ON COLUMN sparkify.rejected_events.topic IS 'The topic it came from; NULL where it came by ingest_events().';
COMMENT ON COLUMN sparkify.rejected_events.topic_partition IS 'Its partition there.';
COMMENT ON COLUMN sparkify.rejected_events.topic_offset IS 'Its offset there: of the first, where the same message came again.';
COMMENT ON COLUMN sparkify.rejected_events.event_hash IS 'Tells the same event delivered again.';

CREATE TABLE sparkify.unmatched_plays (
    user_id       text COLLATE "C" NOT NULL,
    played_at     timestamptz NOT NULL CHECK (pg_catalog.isfinite(played_at)),
    play_key      uuid        NOT NULL,
    track_id      text COLLATE "C",
    track_name    text,
    artist        text,
    ms_played     integer CHECK (ms_played >= 0),
    skipped       boolean,
    session_id    text COLLATE "C",
    event_id      uuid,
    to_the_minute boolean     NOT NULL DEFAULT false,
    received_at   timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (user_id, played_at, play_key)
);
COMMENT ON TABLE sparkify.unmatched_plays IS
    'Plays of tracks that the catalogue does not hold, as load_history(), import_history() and import_events() read them; match_plays() takes them up when it does.';
COMMENT ON COLUMN sparkify.unmatched_plays.play_key IS 'Stands for the song, or for the id where no name is known.';
COMMENT ON COLUMN sparkify.unmatched_plays.to_the_minute IS 'Whether the time is known to the minute only.';

CREATE TABLE sparkify.models (
    model_id    bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL,
    metric      text        NOT NULL,
    params      jsonb       NOT NULL DEFAULT '{}',
    metrics     jsonb       NOT NULL DEFAULT '{}',
    fingerprint uuid        NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    trained_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    active      boolean     NOT NULL DEFAULT false,
    recommended integer
);
CREATE UNIQUE INDEX models_active_idx ON sparkify.models (active) WHERE active;
COMMENT ON TABLE sparkify.models IS 'Trained models; at most one is active, and serves.';
COMMENT ON COLUMN sparkify.models.fingerprint IS
    'Changes with every change of the model''s embeddings: what a cache of them is keyed by.';
COMMENT ON COLUMN sparkify.models.recommended IS
    'Length of the lists that refresh_recommendations() has stored for every user; NULL until it has.';

CREATE TABLE sparkify.track_embeddings (
    model_id    bigint NOT NULL,
    track_id    text COLLATE "C" NOT NULL,
    embedding   real[] NOT NULL,
    song_key    uuid   NOT NULL,
    duration_ms integer,
    track_no    integer CHECK (track_no >= 0),
    listeners   integer CHECK (listeners >= 0),
    popularity  integer,
    PRIMARY KEY (model_id, track_id)
);
ALTER TABLE sparkify.track_embeddings ALTER COLUMN embedding SET STORAGE EXTERNAL;
COMMENT ON TABLE sparkify.track_embeddings IS
    'Track vectors of each model, with the song and the duration as they were when it was built.';
COMMENT ON COLUMN sparkify.track_embeddings.embedding IS
    'What is scored. In a model of plays a track''s factors times listeners^(b·f): see models.params.';
COMMENT ON COLUMN sparkify.track_embeddings.track_no IS
    'Number of the track in a model of plays, from 0 in the order of their ids when it was trained; tracks added since follow. NULL in content models.';
COMMENT ON COLUMN sparkify.track_embeddings.listeners IS
    'Users who had played the track when the model was trained, 0 where its vector is from content; NULL counts as 0.';
COMMENT ON COLUMN sparkify.track_embeddings.popularity IS
    'The catalogue''s popularity when the model was trained: decides between tracks of as many listeners in lists for users of whom nothing is known.';

CREATE TABLE sparkify.genre_embeddings (
    model_id  bigint NOT NULL,
    genre     text COLLATE "C" NOT NULL,
    embedding real[] NOT NULL,
    tracks    integer NOT NULL,
    PRIMARY KEY (model_id, genre)
);
COMMENT ON TABLE sparkify.genre_embeddings IS
    'Mean of the unit vectors of each genre''s tracks, by model: what declared tastes are read against.';

CREATE TABLE sparkify.user_vectors (
    user_id  text COLLATE "C" NOT NULL,
    model_id bigint NOT NULL,
    vector   real[] NOT NULL,
    strategy text   NOT NULL,
    PRIMARY KEY (user_id, model_id)
);
COMMENT ON TABLE sparkify.user_vectors IS
    'Vectors of the users, by model, as build_user_vectors() or refresh_recommendations() last computed them: of length one, or in a model of plays such that the dot product with an embedding is the factors'' part of the score. Empty for the strategy popular.';

-- A list is a row, for it is written and replaced whole; its recommendations have
-- the thousand numbers from list_id on.
CREATE TABLE sparkify.recommendation_lists (
    user_id      text COLLATE "C" NOT NULL,
    model_id     bigint NOT NULL,
    list_id      bigint GENERATED BY DEFAULT AS IDENTITY (INCREMENT 1000),
    track_ids    text[] COLLATE "C" NOT NULL,
    scores       real[] NOT NULL,
    strategy     text   NOT NULL,
    generated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (user_id, model_id),
    CHECK (pg_catalog.array_ndims(track_ids) = 1 AND pg_catalog.array_ndims(scores) = 1
        AND pg_catalog.cardinality(track_ids) BETWEEN 1 AND 1000
        AND pg_catalog.cardinality(track_ids) = pg_catalog.cardinality(scores)
        AND pg_catalog.array_position(track_ids, NULL) IS NULL AND pg_catalog.array_position(scores, NULL) IS NULL)
);
ALTER TABLE sparkify.recommendation_lists
    ALTER COLUMN track_ids SET STORAGE EXTERNAL, ALTER COLUMN scores SET STORAGE EXTERNAL;
-- The newest lists, and which strategy made how many, without reading the lists themselves.
CREATE INDEX recommendation_lists_list_id_idx ON sparkify.recommendation_lists (model_id, list_id) INCLUDE (strategy, generated_at);
COMMENT ON TABLE sparkify.recommendation_lists IS
    'Lists of recommendations as refresh_recommendations() last stored them, one for a user and model; read user_recommendations, which has a row for each recommendation.';
COMMENT ON COLUMN sparkify.recommendation_lists.list_id IS 'recommendation_id of the first recommendation; the others follow.';
COMMENT ON COLUMN sparkify.recommendation_lists.track_ids IS 'What is recommended, the best first.';
COMMENT ON COLUMN sparkify.recommendation_lists.scores IS 'The score of each.';

CREATE VIEW sparkify.user_recommendations WITH (security_invoker = true) AS
SELECT l.user_id, l.model_id, r.rank::integer AS rank, l.list_id + r.rank - 1 AS recommendation_id,
       r.track_id, r.score, l.strategy, l.generated_at
FROM sparkify.recommendation_lists l
CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(l.track_ids), pg_catalog.unnest(l.scores))
    WITH ORDINALITY AS r (track_id, score, rank);
COMMENT ON VIEW sparkify.user_recommendations IS
    'Recommendations as refresh_recommendations() last stored them, by user and model. Under its reader''s rights: it needs SELECT on recommendation_lists, too.';
COMMENT ON COLUMN sparkify.user_recommendations.user_id IS 'The user it was made for.';
COMMENT ON COLUMN sparkify.user_recommendations.model_id IS 'The model that made it.';
COMMENT ON COLUMN sparkify.user_recommendations.rank IS 'Place in the user''s list, 1 the best.';
COMMENT ON COLUMN sparkify.user_recommendations.recommendation_id IS 'Number of the recommendation, new with each list.';
COMMENT ON COLUMN sparkify.user_recommendations.track_id IS 'The track recommended.';
COMMENT ON COLUMN sparkify.user_recommendations.score IS
    'Cosine of user and track, -1 to 1, or in models of plays what factors and neighbours add up to; for the strategy popular the share of the most popular track''s listeners.';
COMMENT ON COLUMN sparkify.user_recommendations.strategy IS 'What the list was made from: listening, declared taste or popularity.';
COMMENT ON COLUMN sparkify.user_recommendations.generated_at IS 'When it was stored.';

CREATE TABLE sparkify_internal.changed_users (
    user_id text COLLATE "C" NOT NULL
);
COMMENT ON TABLE sparkify_internal.changed_users IS
    'Users that were added, whose events changed, or who were recommended a track deleted since, to be taken up by refresh_recommendations(); filled by triggers, a user may stand here several times.';

CREATE TABLE sparkify_internal.deleted_tracks (
    track_id text COLLATE "C" NOT NULL
);
COMMENT ON TABLE sparkify_internal.deleted_tracks IS
    'Tracks deleted, or given another id, since refresh_recommendations() last looked for lists that name them; filled by triggers.';

CREATE TABLE sparkify.pipeline_runs (
    run_id      bigint      NOT NULL,
    step        text        NOT NULL,
    status      text        NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'skipped')),
    started_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz,
    rows        bigint,
    message     text,
    PRIMARY KEY (run_id, step)
);
CREATE SEQUENCE sparkify.pipeline_run_id_seq OWNED BY sparkify.pipeline_runs.run_id;
COMMENT ON SEQUENCE sparkify.pipeline_run_id_seq IS 'Numbers the runs of the pipeline.';
COMMENT ON TABLE sparkify.pipeline_runs IS 'One row for each step of each run of the pipeline.';

-- What users fill and jobs write belongs in a dump. One statement each: all
-- update the same row of the catalogue.
DO $$
DECLARE
    relation pg_catalog.regclass;
BEGIN
    FOREACH relation IN ARRAY ARRAY[
        'sparkify.raw_tracks', 'sparkify.rejected_tracks', 'sparkify.tracks', 'sparkify.users',
        'sparkify.listening_events', 'sparkify.rejected_events', 'sparkify.unmatched_plays', 'sparkify.models',
        'sparkify.models_model_id_seq', 'sparkify.track_embeddings', 'sparkify.genre_embeddings',
        'sparkify.user_vectors', 'sparkify.recommendation_lists',
        'sparkify.recommendation_lists_list_id_seq', 'sparkify_internal.changed_users', 'sparkify_internal.deleted_tracks',
        'sparkify.pipeline_runs', 'sparkify.pipeline_run_id_seq']::pg_catalog.regclass[]
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump(relation, '');
    END LOOP;
END $$;
