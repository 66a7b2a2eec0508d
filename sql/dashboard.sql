-- Views made for the dashboards; anything else may read them as well.

CREATE VIEW sparkify.recommendation_strategies WITH (security_invoker = true) AS
SELECT l.strategy, pg_catalog.count(*) AS lists,
       pg_catalog.min(l.generated_at) AS oldest, pg_catalog.max(l.generated_at) AS newest
FROM sparkify.recommendation_lists l
WHERE l.model_id = (SELECT model_id FROM sparkify.models WHERE active)
GROUP BY l.strategy;
COMMENT ON VIEW sparkify.recommendation_strategies IS
    'Stored lists of the active model by what they were made from, and how old they are. Under its reader''s rights.';
COMMENT ON COLUMN sparkify.recommendation_strategies.strategy IS 'Listening, declared taste or popularity; the last two are for users without plays.';
COMMENT ON COLUMN sparkify.recommendation_strategies.lists IS 'Users with such a list.';
COMMENT ON COLUMN sparkify.recommendation_strategies.oldest IS 'When the oldest of them was made.';
COMMENT ON COLUMN sparkify.recommendation_strategies.newest IS 'When the newest of them was made.';

CREATE VIEW sparkify.recommended_tracks AS
WITH active AS (
    SELECT m.model_id,
           EXISTS (SELECT FROM sparkify_internal.stale_marks s
                   WHERE s.subject = 'recommendations' AND (s.model_id IS NULL OR s.model_id = m.model_id)) AS stale
    FROM sparkify.models m
    WHERE m.active
)
SELECT track_id, COALESCE(t.lists, 0) + COALESCE(c.lists, 0) AS lists
FROM (
    SELECT track_id, lists FROM sparkify_internal.recommended_totals
    WHERE model_id = (SELECT model_id FROM active WHERE NOT stale)
) AS t
FULL JOIN (
    SELECT track_id, pg_catalog.sum(lists)::bigint AS lists FROM sparkify_internal.list_changes
    WHERE model_id = (SELECT model_id FROM active WHERE NOT stale)
    GROUP BY track_id
) AS c USING (track_id)
WHERE COALESCE(t.lists, 0) + COALESCE(c.lists, 0) > 0
UNION ALL
SELECT r.track_id, r.lists
FROM active CROSS JOIN LATERAL sparkify_internal.count_recommended(active.model_id) AS r
WHERE active.stale;
COMMENT ON VIEW sparkify.recommended_tracks IS
    'In how many stored lists of the active model each track stands; order by lists for the top. Totals over all users, whoever asks.';
COMMENT ON COLUMN sparkify.recommended_tracks.track_id IS 'The track; it may have been deleted since.';
COMMENT ON COLUMN sparkify.recommended_tracks.lists IS 'Lists that name it.';

CREATE VIEW sparkify.recommended_artists AS
SELECT name, lists FROM sparkify_internal.artist_lists;
COMMENT ON VIEW sparkify.recommended_artists IS
    'How often stored lists of the active model name tracks of each primary artist, as refresh_summaries() last counted it, at most once an hour. Totals over all users, whoever asks.';
COMMENT ON COLUMN sparkify.recommended_artists.name IS 'Primary artist.';
COMMENT ON COLUMN sparkify.recommended_artists.lists IS 'Recommendations of the artist''s tracks.';

CREATE VIEW sparkify.concentration AS
SELECT subject, named_tracks, tracks, gini, top_1_percent, top_10_percent, long_tail, counted_at
FROM sparkify_internal.concentration_totals;
COMMENT ON VIEW sparkify.concentration IS
    'How unevenly plays, and stored recommendations of the active model, are spread over the catalogue: a row each, as refresh_summaries() last counted it, at most once an hour. Totals over all users, whoever asks.';
COMMENT ON COLUMN sparkify.concentration.subject IS 'plays or recommendations.';
COMMENT ON COLUMN sparkify.concentration.named_tracks IS 'Tracks that were played, or are recommended, at all.';
COMMENT ON COLUMN sparkify.concentration.tracks IS 'Tracks of the catalogue.';
COMMENT ON COLUMN sparkify.concentration.gini IS 'Gini coefficient over the catalogue: 0 where every track is named as often, towards 1 where one is.';
COMMENT ON COLUMN sparkify.concentration.top_1_percent IS 'Share, 0 to 1, of the most named 1 % of the catalogue.';
COMMENT ON COLUMN sparkify.concentration.top_10_percent IS 'Share, 0 to 1, of the most named 10 % of the catalogue.';
COMMENT ON COLUMN sparkify.concentration.long_tail IS 'Share, 0 to 1, of the least named 80 % of the catalogue.';
COMMENT ON COLUMN sparkify.concentration.counted_at IS 'When it was counted.';

-- A reason quotes what was delivered, which is not for everybody to read.
CREATE VIEW sparkify.rejections AS
SELECT r.source, r.rejected_at,
       pg_catalog.regexp_replace(pg_catalog.regexp_replace(r.reason, ', not .*$', ''), '"[^"]*"?', '…', 'g') AS reason
FROM (
    SELECT 'events' AS source, rejected_at, reason FROM sparkify.rejected_events
    UNION ALL
    SELECT 'tracks', rejected_at, reason FROM sparkify.rejected_tracks
) AS r;
COMMENT ON VIEW sparkify.rejections IS
    'When and why events and catalogue rows were refused, without what was delivered, which stands in rejected_events and rejected_tracks. Filter by rejected_at.';
COMMENT ON COLUMN sparkify.rejections.source IS 'events or tracks.';
COMMENT ON COLUMN sparkify.rejections.rejected_at IS 'When.';
COMMENT ON COLUMN sparkify.rejections.reason IS 'Why; what was quoted is left out.';

CREATE VIEW sparkify.refresh_backlog AS
SELECT (SELECT pg_catalog.count(DISTINCT few.user_id)
        FROM (SELECT user_id FROM sparkify_internal.changed_users LIMIT 100000) AS few) AS users_waiting,
       (SELECT pg_catalog.count(*) FROM (SELECT FROM sparkify_internal.play_changes LIMIT 100000) AS few)
       + (SELECT pg_catalog.count(*) FROM (SELECT FROM sparkify_internal.list_changes LIMIT 100000) AS few) AS changes_waiting,
       (SELECT pg_catalog.min(marked_at) FROM sparkify_internal.stale_marks WHERE subject <> 'raw_tracks') AS recount_since,
       (SELECT pg_catalog.min(marked_at) FROM sparkify_internal.stale_marks WHERE subject = 'raw_tracks') AS raw_tracks_since;
COMMENT ON VIEW sparkify.refresh_backlog IS 'One row: what waits for refresh_recommendations(), refresh_summaries() and the pipeline.';
COMMENT ON COLUMN sparkify.refresh_backlog.users_waiting IS
    'Users who changed since their lists were refreshed; not all are counted beyond 100,000 changes.';
COMMENT ON COLUMN sparkify.refresh_backlog.changes_waiting IS
    'Changes that the summaries are corrected by at each query; at most 100,000 of each kind are counted.';
COMMENT ON COLUMN sparkify.refresh_backlog.recount_since IS
    'Since when summaries have to be counted afresh at each query, which is slow; NULL where they need not.';
COMMENT ON COLUMN sparkify.refresh_backlog.raw_tracks_since IS 'Since when raw rows wait to be cleaned; NULL where none do.';
