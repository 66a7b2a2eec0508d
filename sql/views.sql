-- The views that psql, Grafana and applications read.

CREATE VIEW sparkify.recommendation_details WITH (security_invoker = true) AS
SELECT r.recommendation_id, r.user_id, r.rank, r.track_id, t.track_name,
       t.primary_genre AS track_genre, t.primary_artist, r.score, r.strategy, r.generated_at
FROM sparkify.models m
JOIN sparkify.user_recommendations r ON r.model_id = m.model_id
JOIN sparkify.tracks t ON t.track_id = r.track_id
WHERE m.active;
COMMENT ON VIEW sparkify.recommendation_details IS
    'The stored recommendations of the active model, with what they recommend. Tracks deleted since are left out. Under its reader''s rights.';
COMMENT ON COLUMN sparkify.recommendation_details.recommendation_id IS 'Number of the recommendation.';
COMMENT ON COLUMN sparkify.recommendation_details.user_id IS 'The user it was made for.';
COMMENT ON COLUMN sparkify.recommendation_details.rank IS 'Place in the user''s list, 1 the best.';
COMMENT ON COLUMN sparkify.recommendation_details.track_id IS 'The track recommended.';
COMMENT ON COLUMN sparkify.recommendation_details.track_name IS 'Its name.';
COMMENT ON COLUMN sparkify.recommendation_details.track_genre IS 'Its primary genre; NULL where it has none.';
COMMENT ON COLUMN sparkify.recommendation_details.primary_artist IS 'Its first artist.';
COMMENT ON COLUMN sparkify.recommendation_details.score IS
    'Cosine of user and track, -1 to 1, or in models of plays what factors and neighbours add up to; for the strategy popular the share of the most popular track''s listeners.';
COMMENT ON COLUMN sparkify.recommendation_details.strategy IS 'What the list was made from: listening, declared taste or popularity.';
COMMENT ON COLUMN sparkify.recommendation_details.generated_at IS 'When it was stored.';

CREATE VIEW sparkify.top_artists AS
SELECT name, plays, listeners FROM sparkify_internal.current_plays WHERE dimension = 'artist';
COMMENT ON VIEW sparkify.top_artists IS 'Plays by primary artist; order by plays for the top. Tracks outside the catalogue have no artist. Totals over all users, whoever asks.';
COMMENT ON COLUMN sparkify.top_artists.name IS 'Primary artist.';
COMMENT ON COLUMN sparkify.top_artists.plays IS 'Listening events of the artist''s tracks.';
COMMENT ON COLUMN sparkify.top_artists.listeners IS 'Different users among them.';

CREATE VIEW sparkify.top_tracks WITH (security_invoker = true) AS
SELECT t.track_name AS name, p.plays, p.listeners, t.track_id, t.primary_artist
FROM sparkify_internal.current_plays p
JOIN sparkify.tracks t ON t.track_id = p.name
WHERE p.dimension = 'track';
COMMENT ON VIEW sparkify.top_tracks IS 'Plays by track of the catalogue; order by plays for the top. Totals over all users, of the tracks that its reader may see.';
COMMENT ON COLUMN sparkify.top_tracks.name IS 'Name of the track; several tracks may share one.';
COMMENT ON COLUMN sparkify.top_tracks.plays IS 'Listening events of the track.';
COMMENT ON COLUMN sparkify.top_tracks.listeners IS 'Different users among them.';
COMMENT ON COLUMN sparkify.top_tracks.track_id IS 'The track.';
COMMENT ON COLUMN sparkify.top_tracks.primary_artist IS 'Its first artist.';

CREATE VIEW sparkify.genre_plays AS
SELECT name, plays, listeners, skipped::double precision / NULLIF(skip_known, 0) AS skip_rate
FROM sparkify_internal.current_plays WHERE dimension = 'genre';
COMMENT ON VIEW sparkify.genre_plays IS 'Plays by primary genre. Tracks without one, or outside the catalogue, are left out. Totals over all users, whoever asks.';
COMMENT ON COLUMN sparkify.genre_plays.name IS 'Primary genre.';
COMMENT ON COLUMN sparkify.genre_plays.plays IS 'Listening events of the genre''s tracks.';
COMMENT ON COLUMN sparkify.genre_plays.listeners IS 'Different users among them.';
COMMENT ON COLUMN sparkify.genre_plays.skip_rate IS
    'Share of skipped plays, 0 to 1, among those of which it is known; NULL where it is known of none.';

CREATE VIEW sparkify.daily_plays AS
SELECT DATE '1970-01-01' + d.name::integer AS day, d.plays, d.listeners,
       d.skipped::double precision / NULLIF(d.skip_known, 0) AS skip_rate,
       COALESCE(f.listeners, 0) AS new_listeners
FROM sparkify_internal.current_plays d
LEFT JOIN sparkify_internal.current_plays f ON f.dimension = 'first_day' AND f.name = d.name
WHERE d.dimension = 'day';
COMMENT ON VIEW sparkify.daily_plays IS 'Plays by day. Totals over all users, whoever asks.';
COMMENT ON COLUMN sparkify.daily_plays.day IS 'Day in UTC.';
COMMENT ON COLUMN sparkify.daily_plays.plays IS 'Listening events that began on the day.';
COMMENT ON COLUMN sparkify.daily_plays.listeners IS 'Different users among them.';
COMMENT ON COLUMN sparkify.daily_plays.skip_rate IS
    'Share of skipped plays, 0 to 1, among those of which it is known; NULL where it is known of none.';

COMMENT ON COLUMN sparkify.daily_plays.new_listeners IS
    'Those among the listeners whose first play was on the day; the others returned.';

-- By user the primary key serves the history: filter by user_id.

CREATE VIEW sparkify.user_top_artists WITH (security_invoker = true) AS
SELECT e.user_id, t.primary_artist AS name, pg_catalog.count(*) AS plays, 1::bigint AS listeners
FROM sparkify.listening_events e
JOIN sparkify.tracks t ON t.track_id = e.track_id
GROUP BY e.user_id, t.primary_artist;
COMMENT ON VIEW sparkify.user_top_artists IS 'Plays by user and primary artist. Filter by user_id, which reads that user''s events only. Under its reader''s rights.';
COMMENT ON COLUMN sparkify.user_top_artists.user_id IS 'The user.';
COMMENT ON COLUMN sparkify.user_top_artists.name IS 'Primary artist.';
COMMENT ON COLUMN sparkify.user_top_artists.plays IS 'The user''s listening events of the artist''s tracks.';
COMMENT ON COLUMN sparkify.user_top_artists.listeners IS '1: the user. Columns are those of top_artists.';

CREATE VIEW sparkify.user_top_tracks WITH (security_invoker = true) AS
SELECT e.user_id, t.track_name AS name, pg_catalog.count(*) AS plays, 1::bigint AS listeners, t.track_id, t.primary_artist
FROM sparkify.listening_events e
JOIN sparkify.tracks t ON t.track_id = e.track_id
GROUP BY e.user_id, t.track_id, t.track_name, t.primary_artist;
COMMENT ON VIEW sparkify.user_top_tracks IS 'Plays by user and track of the catalogue. Filter by user_id, which reads that user''s events only. Under its reader''s rights.';
COMMENT ON COLUMN sparkify.user_top_tracks.user_id IS 'The user.';
COMMENT ON COLUMN sparkify.user_top_tracks.name IS 'Name of the track.';
COMMENT ON COLUMN sparkify.user_top_tracks.plays IS 'The user''s listening events of the track.';
COMMENT ON COLUMN sparkify.user_top_tracks.listeners IS '1: the user. Columns are those of top_tracks.';
COMMENT ON COLUMN sparkify.user_top_tracks.track_id IS 'The track.';
COMMENT ON COLUMN sparkify.user_top_tracks.primary_artist IS 'Its first artist.';

CREATE VIEW sparkify.user_genre_plays WITH (security_invoker = true) AS
SELECT e.user_id, t.primary_genre AS name, pg_catalog.count(*) AS plays, 1::bigint AS listeners,
       pg_catalog.count(*) FILTER (WHERE e.skipped)::double precision / NULLIF(pg_catalog.count(e.skipped), 0) AS skip_rate
FROM sparkify.listening_events e
JOIN sparkify.tracks t ON t.track_id = e.track_id
WHERE t.primary_genre IS NOT NULL
GROUP BY e.user_id, t.primary_genre;
COMMENT ON VIEW sparkify.user_genre_plays IS 'Plays by user and primary genre. Filter by user_id, which reads that user''s events only. Under its reader''s rights.';
COMMENT ON COLUMN sparkify.user_genre_plays.user_id IS 'The user.';
COMMENT ON COLUMN sparkify.user_genre_plays.name IS 'Primary genre.';
COMMENT ON COLUMN sparkify.user_genre_plays.plays IS 'The user''s listening events of the genre''s tracks.';
COMMENT ON COLUMN sparkify.user_genre_plays.listeners IS '1: the user. Columns are those of genre_plays.';
COMMENT ON COLUMN sparkify.user_genre_plays.skip_rate IS
    'Share of skipped plays, 0 to 1, among those of which it is known; NULL where it is known of none.';

CREATE VIEW sparkify.pipeline_status AS
WITH run AS (
    SELECT run_id, status, started_at, finished_at, message
    FROM sparkify.pipeline_runs
    WHERE step = 'pipeline' AND status <> 'skipped'
), last_run AS (
    SELECT run_id, status, started_at, message FROM run ORDER BY run_id DESC LIMIT 1
), last_end AS (
    SELECT status FROM run WHERE status <> 'running' ORDER BY run_id DESC LIMIT 1
), last_success AS (
    SELECT pg_catalog.max(finished_at) AS finished_at FROM run WHERE status = 'succeeded'
)
SELECT l.started_at AS last_run, s.finished_at AS last_success,
       pg_catalog.date_part('epoch', pg_catalog.now() - s.finished_at) AS seconds_since,
       CASE WHEN e.status = 'failed' THEN false
            ELSE pg_catalog.now() - s.finished_at <= INTERVAL '26 hours' END AS healthy,
       l.run_id,
       CASE WHEN l.status = 'running' AND NOT pg_catalog.pg_is_in_recovery() AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_locks AS k
           WHERE k.locktype = 'relation' AND k.mode = 'ExclusiveLock'
             AND k.relation = 'sparkify_internal.pipeline_lock'::pg_catalog.regclass
             AND k.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
       THEN 'interrupted' ELSE l.status END AS status,
       l.message
FROM last_success s
LEFT JOIN last_run l ON true
LEFT JOIN last_end e ON true;
COMMENT ON VIEW sparkify.pipeline_status IS 'One row: how the pipeline fares. Calls that were skipped because another ran do not count.';
COMMENT ON COLUMN sparkify.pipeline_status.last_run IS 'When the last run began; NULL before the first.';
COMMENT ON COLUMN sparkify.pipeline_status.last_success IS 'When the last run that succeeded ended; NULL before the first.';
COMMENT ON COLUMN sparkify.pipeline_status.seconds_since IS 'Seconds since then.';
COMMENT ON COLUMN sparkify.pipeline_status.healthy IS
    'The last run that ended succeeded, at most 26 hours ago (a daily schedule and two hours); NULL before the first.';
COMMENT ON COLUMN sparkify.pipeline_status.run_id IS 'The last run.';
COMMENT ON COLUMN sparkify.pipeline_status.status IS 'Its state: running, succeeded or failed; interrupted where its session or the server ended meanwhile, which the next run logs as failed.';
COMMENT ON COLUMN sparkify.pipeline_status.message IS 'What it says of itself; the error where it failed.';

CREATE TABLE sparkify_internal.retired_models (
    model_id   bigint      PRIMARY KEY,
    kind       text        NOT NULL,
    trained_at timestamptz NOT NULL,
    metrics    jsonb       NOT NULL
);
COMMENT ON TABLE sparkify_internal.retired_models IS
    'What remains of the models that the pipeline has pruned: their metrics, for model_history.';
SELECT pg_catalog.pg_extension_config_dump('sparkify_internal.retired_models', '');

CREATE VIEW sparkify.model_history AS
SELECT model_id, kind, trained_at, metrics, active, true AS stored FROM sparkify.models
UNION ALL
SELECT model_id, kind, trained_at, metrics, false, false FROM sparkify_internal.retired_models;
COMMENT ON VIEW sparkify.model_history IS 'Every model, the pruned ones too.';
COMMENT ON COLUMN sparkify.model_history.model_id IS 'The model.';
COMMENT ON COLUMN sparkify.model_history.kind IS 'Kind of model.';
COMMENT ON COLUMN sparkify.model_history.trained_at IS 'When it was trained.';
COMMENT ON COLUMN sparkify.model_history.metrics IS 'What was measured of it.';
COMMENT ON COLUMN sparkify.model_history.active IS 'Whether it is the one that serves.';
COMMENT ON COLUMN sparkify.model_history.stored IS 'Whether its embeddings are still stored, so that it could serve.';

CREATE VIEW sparkify.recommendation_coverage AS
WITH active AS (
    SELECT m.model_id,
           EXISTS (SELECT FROM sparkify_internal.stale_marks s
                   WHERE s.subject = 'recommendations' AND (s.model_id IS NULL OR s.model_id = m.model_id)) AS stale
    FROM sparkify.models m
    WHERE m.active
), list AS (
    SELECT users_served AS lists, recommendations, genres, artists, popularity, popularity_known
    FROM sparkify_internal.reach_totals
    WHERE model_id = (SELECT model_id FROM active WHERE NOT stale)
    UNION ALL
    -- A model that serves since the last refresh of the summaries.
    SELECT 1, l.recommendations, l.genres, l.artists, l.popularity, l.popularity_known
    FROM sparkify_internal.list_totals l
    WHERE l.model_id = (SELECT model_id FROM active
                        WHERE NOT stale AND model_id NOT IN (SELECT model_id FROM sparkify_internal.reach_totals))
    UNION ALL
    SELECT -1, -l.recommendations, -l.genres, -l.artists, -l.popularity, -l.popularity_known
    FROM (SELECT DISTINCT model_id, user_id FROM sparkify_internal.list_changes) AS c
    JOIN sparkify_internal.list_totals l ON l.model_id = c.model_id AND l.user_id = c.user_id
    WHERE l.model_id = (SELECT model_id FROM active WHERE NOT stale)
    UNION ALL
    SELECT 1, recommendations, genres, artists, popularity, popularity_known
    FROM sparkify_internal.changed_lists
    WHERE model_id = (SELECT model_id FROM active WHERE NOT stale) AND recommendations > 0
    UNION ALL
    SELECT 1, c.recommendations, c.genres, c.artists, c.popularity, c.popularity_known
    FROM active
    CROSS JOIN LATERAL sparkify_internal.count_lists(active.model_id) AS c
    WHERE active.stale
), lists AS (
    SELECT COALESCE(pg_catalog.sum(lists), 0)::bigint AS users_served,
           COALESCE(pg_catalog.sum(recommendations), 0)::bigint AS recommendations,
           pg_catalog.sum(genres)::double precision / NULLIF(pg_catalog.sum(lists), 0)::double precision AS genres_per_list,
           pg_catalog.sum(artists)::double precision / NULLIF(pg_catalog.sum(lists), 0)::double precision AS artists_per_list,
           pg_catalog.sum(popularity)::double precision
               / NULLIF(pg_catalog.sum(popularity_known), 0)::double precision AS recommended_popularity
    FROM list
), track AS (
    SELECT pg_catalog.count(*) AS tracks
    FROM sparkify_internal.recommended_totals
    WHERE model_id = (SELECT model_id FROM active WHERE NOT stale) AND lists > 0
    UNION ALL
    SELECT COALESCE(pg_catalog.sum((COALESCE(t.lists, 0) + c.lists > 0)::integer
                                   - (COALESCE(t.lists, 0) > 0)::integer), 0)
    FROM (
        SELECT model_id, track_id, pg_catalog.sum(lists) AS lists
        FROM sparkify_internal.list_changes
        WHERE model_id = (SELECT model_id FROM active WHERE NOT stale)
        GROUP BY model_id, track_id
    ) AS c
    LEFT JOIN sparkify_internal.recommended_totals t ON t.model_id = c.model_id AND t.track_id = c.track_id
    UNION ALL
    SELECT pg_catalog.count(*)
    FROM active
    CROSS JOIN LATERAL sparkify_internal.count_recommended(active.model_id) AS c
    WHERE active.stale
), recommended AS (
    SELECT pg_catalog.sum(tracks)::bigint AS tracks FROM track
), catalogue AS (
    SELECT pg_catalog.count(*) AS tracks FROM sparkify.tracks
), played AS (
    SELECT pg_catalog.sum(name::integer * plays)::double precision
               / NULLIF(pg_catalog.sum(plays), 0)::double precision AS played_popularity
    FROM sparkify_internal.current_plays
    WHERE dimension = 'popularity'
)
SELECT (SELECT model_id FROM active) AS model_id,
       lists.users_served,
       (SELECT pg_catalog.count(*) FROM sparkify.users) AS users,
       lists.recommendations,
       recommended.tracks AS tracks_recommended,
       catalogue.tracks,
       recommended.tracks::double precision / NULLIF(catalogue.tracks, 0) AS catalogue_share,
       lists.genres_per_list,
       lists.artists_per_list,
       lists.recommended_popularity,
       played.played_popularity
FROM lists, recommended, catalogue, played;
COMMENT ON VIEW sparkify.recommendation_coverage IS
    'One row: how far the active model''s stored recommendations reach, how varied and how mainstream they are.';
COMMENT ON COLUMN sparkify.recommendation_coverage.model_id IS 'The active model; NULL where there is none.';
COMMENT ON COLUMN sparkify.recommendation_coverage.users_served IS 'Users with a stored list.';
COMMENT ON COLUMN sparkify.recommendation_coverage.users IS 'Users in all.';
COMMENT ON COLUMN sparkify.recommendation_coverage.recommendations IS 'Stored recommendations.';
COMMENT ON COLUMN sparkify.recommendation_coverage.tracks_recommended IS 'Different tracks among them.';
COMMENT ON COLUMN sparkify.recommendation_coverage.tracks IS 'Tracks of the catalogue.';
COMMENT ON COLUMN sparkify.recommendation_coverage.catalogue_share IS 'Share of the catalogue that is recommended to anyone, 0 to 1.';
COMMENT ON COLUMN sparkify.recommendation_coverage.genres_per_list IS 'Different primary genres in a list, on average.';
COMMENT ON COLUMN sparkify.recommendation_coverage.artists_per_list IS 'Different primary artists in a list, on average.';
COMMENT ON COLUMN sparkify.recommendation_coverage.recommended_popularity IS 'Mean popularity (0 to 100) of what is recommended.';
COMMENT ON COLUMN sparkify.recommendation_coverage.played_popularity IS
    'Mean popularity (0 to 100) of what is played: a recommended mean far above it means that the model pushes the mainstream.';
