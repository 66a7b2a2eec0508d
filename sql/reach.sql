-- Sums over all lists and tracks, so that a reader adds up neither.
--
-- reach_totals is exact: it follows from list_totals, and the view corrects both by
-- the same changes. The others are statistics of a catalogue's whole width, which
-- a few plays do not move: counted again once an hour, and they say when.

CREATE TABLE sparkify_internal.reach_totals (
    model_id         bigint PRIMARY KEY,
    users_served     bigint NOT NULL,
    recommendations  bigint NOT NULL,
    genres           bigint NOT NULL,
    artists          bigint NOT NULL,
    popularity       bigint NOT NULL,
    popularity_known bigint NOT NULL
);
COMMENT ON TABLE sparkify_internal.reach_totals IS
    'list_totals of the active model added up, as refresh_summaries() left them; read recommendation_coverage.';

CREATE TABLE sparkify_internal.concentration_totals (
    subject        text             PRIMARY KEY,
    named_tracks   bigint           NOT NULL,
    tracks         bigint           NOT NULL,
    gini           double precision NOT NULL,
    top_1_percent  double precision NOT NULL,
    top_10_percent double precision NOT NULL,
    long_tail      double precision NOT NULL,
    counted_at     timestamptz      NOT NULL
);
COMMENT ON TABLE sparkify_internal.concentration_totals IS 'What the view concentration says.';

CREATE TABLE sparkify_internal.artist_lists (
    name  text COLLATE "C" PRIMARY KEY,
    lists bigint NOT NULL
);
COMMENT ON TABLE sparkify_internal.artist_lists IS 'What the view recommended_artists says.';

-- Tracks are counted by how often each was named: there are far fewer such numbers
-- than tracks. The tracks of one number have the places above + 1 to above + tracks.
CREATE FUNCTION sparkify_internal.count_reach(recount boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    active   bigint := (SELECT model_id FROM sparkify.models AS m WHERE m.active);
    switched boolean := active IS NOT NULL
        AND NOT EXISTS (SELECT FROM sparkify_internal.reach_totals WHERE model_id = active);
BEGIN
    IF recount OR switched THEN
        DELETE FROM sparkify_internal.reach_totals;
        INSERT INTO sparkify_internal.reach_totals
        SELECT active, count(*), coalesce(sum(l.recommendations), 0), coalesce(sum(genres), 0), coalesce(sum(artists), 0),
               coalesce(sum(popularity), 0), coalesce(sum(popularity_known), 0)
        FROM sparkify_internal.list_totals AS l WHERE model_id = active
        HAVING active IS NOT NULL;
    END IF;
    IF NOT switched AND (SELECT count(*) FROM sparkify_internal.concentration_totals WHERE counted_at > now() - interval '1 hour')
        = (EXISTS (SELECT FROM sparkify_internal.play_totals WHERE dimension = 'track'))::integer
        + (EXISTS (SELECT FROM sparkify_internal.recommended_totals WHERE model_id = active AND lists > 0))::integer THEN
        RETURN;
    END IF;
    DELETE FROM sparkify_internal.artist_lists;
    INSERT INTO sparkify_internal.artist_lists
    SELECT t.primary_artist, sum(r.lists)
    FROM sparkify_internal.recommended_totals AS r JOIN sparkify.tracks AS t ON t.track_id = r.track_id
    WHERE r.model_id = active AND r.lists > 0
    GROUP BY t.primary_artist;
    DELETE FROM sparkify_internal.concentration_totals;
    INSERT INTO sparkify_internal.concentration_totals
    WITH amount AS (
        SELECT 'plays' AS subject, plays AS named FROM sparkify_internal.play_totals WHERE dimension = 'track'
        UNION ALL
        SELECT 'recommendations', lists FROM sparkify_internal.recommended_totals WHERE model_id = active AND lists > 0
    ), total AS (
        SELECT subject, count(*) AS named_tracks, sum(named)::double precision AS named,
               -- Tracks may be named that are not in the catalogue any more.
               greatest(count(*), (SELECT count(*) FROM sparkify.tracks)) AS tracks
        FROM amount GROUP BY subject
    ), step AS (
        SELECT subject, named, count(*) AS tracks,
               (sum(count(*)) OVER (PARTITION BY subject ORDER BY named DESC))::bigint - count(*) AS above
        FROM amount GROUP BY subject, named
    )
    SELECT t.subject, t.named_tracks, t.tracks,
           (t.tracks + 1 - 2 * sum(s.named * (s.tracks * s.above + s.tracks * (s.tracks + 1) / 2.0))::double precision / t.named) / t.tracks,
           sum(s.named * least(greatest(ceil(t.tracks * 0.01) - s.above, 0), s.tracks)) / t.named,
           sum(s.named * least(greatest(ceil(t.tracks * 0.1) - s.above, 0), s.tracks)) / t.named,
           sum(s.named * least(greatest(s.above + s.tracks - ceil(t.tracks * 0.2), 0), s.tracks)) / t.named,
           now()
    FROM total AS t JOIN step AS s ON s.subject = t.subject
    GROUP BY t.subject, t.named_tracks, t.tracks, t.named;
END $$;
COMMENT ON FUNCTION sparkify_internal.count_reach(boolean) IS
    'Part of refresh_summaries(): adds up the lists of the active model where asked to or not done yet, and once an hour counts what is spread how unevenly.';

-- One call a statement, as in tables.sql.
DO $$
DECLARE
    relation pg_catalog.regclass;
BEGIN
    FOREACH relation IN ARRAY ARRAY[
        'sparkify_internal.reach_totals', 'sparkify_internal.concentration_totals',
        'sparkify_internal.artist_lists']::pg_catalog.regclass[]
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump(relation, '');
    END LOOP;
END $$;
