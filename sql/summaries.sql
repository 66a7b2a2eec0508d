-- Summaries: what the views answer from where a scan would take too long.
--
-- A summary is right in every snapshot, also between two refreshes. Statement
-- triggers append each change to a table of changes (rows are only ever added,
-- so writers do not wait for one another); a view reads the totals and corrects
-- them by the changes it sees. refresh_summaries() folds the changes into the
-- totals, in one statement under one snapshot, and deletes exactly the changes
-- it folded. A statement too large to be remembered row by row, and whatever
-- else the changes cannot describe, leaves a mark instead: while a mark stands
-- the views count afresh, and the next refresh rebuilds the totals.

CREATE TABLE sparkify_internal.stale_marks (
    subject   text NOT NULL CHECK (subject IN ('raw_tracks', 'plays', 'recommendations')),
    model_id  bigint,
    marked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE sparkify_internal.stale_marks IS
    'What has to be read afresh: raw rows that the pipeline has not cleaned yet, and summaries that refresh_summaries() has to rebuild.';
COMMENT ON COLUMN sparkify_internal.stale_marks.subject IS 'raw_tracks, plays or recommendations.';
COMMENT ON COLUMN sparkify_internal.stale_marks.model_id IS 'For recommendations, the model whose lists changed; NULL for all of them.';
COMMENT ON COLUMN sparkify_internal.stale_marks.marked_at IS 'When the mark was made.';

CREATE TABLE sparkify_internal.play_totals (
    dimension  text   COLLATE "C" NOT NULL CHECK (dimension IN ('track', 'artist', 'genre', 'popularity', 'day', 'first_day')),
    name       text   COLLATE "C" NOT NULL,
    plays      bigint NOT NULL,
    listeners  bigint NOT NULL,
    skipped    bigint NOT NULL,
    skip_known bigint NOT NULL,
    PRIMARY KEY (dimension, name)
);
COMMENT ON TABLE sparkify_internal.play_totals IS
    'Plays as refresh_summaries() last counted them; read current_plays, which adds what came since.';
COMMENT ON COLUMN sparkify_internal.play_totals.dimension IS 'What the row counts by: track, artist, genre, popularity or day; first_day counts users by the day of their first play.';
COMMENT ON COLUMN sparkify_internal.play_totals.name IS
    'The track_id, the primary artist, the primary genre, the track''s popularity, or the day as a number of days since 1970-01-01 UTC.';
COMMENT ON COLUMN sparkify_internal.play_totals.plays IS 'Listening events.';
COMMENT ON COLUMN sparkify_internal.play_totals.listeners IS 'Different users among them.';
COMMENT ON COLUMN sparkify_internal.play_totals.skipped IS 'Plays known to have been skipped.';
COMMENT ON COLUMN sparkify_internal.play_totals.skip_known IS 'Plays of which it is known whether they were skipped.';

CREATE TABLE sparkify_internal.play_changes (
    user_id   text COLLATE "C" NOT NULL,
    track_id  text COLLATE "C" NOT NULL,
    played_on date     NOT NULL,
    plays     smallint NOT NULL,
    skipped   boolean
);
COMMENT ON TABLE sparkify_internal.play_changes IS
    'Plays added (1) and taken away (-1) since refresh_summaries() last ran; filled by triggers.';
COMMENT ON COLUMN sparkify_internal.play_changes.played_on IS 'Day of the play, in UTC.';

CREATE TABLE sparkify_internal.list_totals (
    model_id         bigint  NOT NULL,
    user_id          text    COLLATE "C" NOT NULL,
    recommendations  bigint  NOT NULL,
    genres           bigint  NOT NULL,
    artists          bigint  NOT NULL,
    popularity       bigint  NOT NULL,
    popularity_known bigint  NOT NULL,
    PRIMARY KEY (model_id, user_id)
);
COMMENT ON TABLE sparkify_internal.list_totals IS
    'Each user''s stored list as refresh_summaries() last counted it; read recommendation_coverage, which corrects it by what came since.';
COMMENT ON COLUMN sparkify_internal.list_totals.recommendations IS 'Tracks in the list.';
COMMENT ON COLUMN sparkify_internal.list_totals.genres IS 'Different primary genres among them.';
COMMENT ON COLUMN sparkify_internal.list_totals.artists IS 'Different primary artists among them.';
COMMENT ON COLUMN sparkify_internal.list_totals.popularity IS 'Sum of their popularities, of those that have one.';
COMMENT ON COLUMN sparkify_internal.list_totals.popularity_known IS 'Tracks among them that have a popularity.';

CREATE TABLE sparkify_internal.recommended_totals (
    model_id bigint NOT NULL,
    track_id text COLLATE "C" NOT NULL,
    lists    bigint NOT NULL,
    PRIMARY KEY (model_id, track_id)
);
COMMENT ON TABLE sparkify_internal.recommended_totals IS
    'How many stored lists name each track, by model, as refresh_summaries() last counted it.';

CREATE TABLE sparkify_internal.list_changes (
    model_id bigint NOT NULL,
    user_id  text COLLATE "C" NOT NULL,
    track_id text COLLATE "C" NOT NULL,
    lists    smallint NOT NULL
);
COMMENT ON TABLE sparkify_internal.list_changes IS
    'Stored recommendations added (1) and taken away (-1) since refresh_summaries() last ran; filled by triggers.';

-- Writing. Nobody needs privileges on the bookkeeping: definer's rights. 10,000
-- rows a statement is where remembering each costs more than counting afresh.

CREATE FUNCTION sparkify_internal.note_plays() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.listening_events');
    IF TG_OP <> 'INSERT' THEN
        IF (SELECT count(*) FROM (SELECT FROM old_rows LIMIT 10001) AS few) > 10000 THEN
            INSERT INTO sparkify_internal.stale_marks (subject) VALUES ('plays');
        ELSE
            INSERT INTO sparkify_internal.play_changes
            SELECT user_id, track_id, (played_at AT TIME ZONE 'UTC')::date, -1, skipped FROM old_rows;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF (SELECT count(*) FROM (SELECT FROM new_rows LIMIT 10001) AS few) > 10000 THEN
            INSERT INTO sparkify_internal.stale_marks (subject) VALUES ('plays');
        ELSE
            INSERT INTO sparkify_internal.play_changes
            SELECT user_id, track_id, (played_at AT TIME ZONE 'UTC')::date, 1, skipped FROM new_rows;
        END IF;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.note_plays() IS
    'Trigger: appends added, changed and deleted plays to play_changes, or a mark for very many.';

-- Marks of this transaction's own, which nobody else can see yet: a refresh of
-- the summaries that takes one off will see the rows written after it, too. An
-- xmin that can be seen and is in progress is one of ours; it has 32 bits, and
-- lies within half of their range of the transaction's own id of 64.
CREATE FUNCTION sparkify_internal.models_marked_here() RETURNS bigint[]
LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(array_agg(DISTINCT m.model_id), '{}')
    FROM sparkify_internal.stale_marks AS m, (SELECT pg_current_xact_id()::text::bigint AS id) AS here
    WHERE m.subject = 'recommendations' AND m.model_id IS NOT NULL
      AND pg_xact_status((id + (m.xmin::text::bigint - id % 4294967296 + 6442450944) % 4294967296
                          - 2147483648)::text::xid8) = 'in progress'
$$;
COMMENT ON FUNCTION sparkify_internal.models_marked_here() IS
    'Part of note_lists(): the models whose lists this transaction itself has marked to be counted afresh.';

CREATE FUNCTION sparkify_internal.note_lists() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    marked bigint[] := sparkify_internal.models_marked_here();
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.recommendation_lists');
    IF TG_OP <> 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM old_rows WHERE model_id <> ALL (marked)) THEN
            NULL;
        ELSIF (SELECT count(*) FROM (SELECT FROM old_rows, unnest(track_ids) LIMIT 10001) AS few) > 10000 THEN
            INSERT INTO sparkify_internal.stale_marks (subject, model_id)
            SELECT DISTINCT 'recommendations', model_id FROM old_rows;
        ELSE
            INSERT INTO sparkify_internal.list_changes
            SELECT model_id, user_id, track_id, -1 FROM old_rows, unnest(track_ids) AS track_id;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM new_rows WHERE model_id <> ALL (marked)) THEN
            NULL;
        ELSIF (SELECT count(*) FROM (SELECT FROM new_rows, unnest(track_ids) LIMIT 10001) AS few) > 10000 THEN
            INSERT INTO sparkify_internal.stale_marks (subject, model_id)
            SELECT DISTINCT 'recommendations', model_id FROM new_rows;
        ELSE
            INSERT INTO sparkify_internal.list_changes
            SELECT model_id, user_id, track_id, 1 FROM new_rows, unnest(track_ids) AS track_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.note_lists() IS
    'Trigger: appends added, changed and deleted recommendations to list_changes, or a mark for very many; nothing where a mark of the transaction''s own covers them.';

CREATE FUNCTION sparkify_internal.mark_stale() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.listening_events', 'sparkify.recommendation_lists', 'sparkify.tracks', 'sparkify.raw_tracks');
    INSERT INTO sparkify_internal.stale_marks (subject) SELECT unnest(TG_ARGV);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.mark_stale() IS 'Trigger: leaves a mark for each subject it was given.';

-- Artist, genre and popularity of a track are counted by: another value, another summary.
CREATE FUNCTION sparkify_internal.mark_stale_by_tracks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify.tracks');
    IF EXISTS (SELECT track_id, artists[1], primary_genre, popularity FROM old_rows
               EXCEPT SELECT track_id, artists[1], primary_genre, popularity FROM new_rows) THEN
        INSERT INTO sparkify_internal.stale_marks (subject) VALUES ('plays'), ('recommendations');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.mark_stale_by_tracks() IS
    'Trigger: leaves marks when the artist, genre or popularity of a track changed.';

-- Totals written by another hand than refresh_summaries(), a restore for
-- instance, cannot be relied upon.
CREATE FUNCTION sparkify_internal.mark_stale_by_totals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.require_table(TG_RELID, 'sparkify_internal.play_totals', 'sparkify_internal.list_totals', 'sparkify_internal.recommended_totals');
    IF current_setting('sparkify.refreshing_summaries', true) IS DISTINCT FROM 'on' THEN
        INSERT INTO sparkify_internal.stale_marks (subject) SELECT unnest(TG_ARGV);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION sparkify_internal.mark_stale_by_totals() IS
    'Trigger: leaves a mark when totals were written by anything but refresh_summaries(), such as a restore.';

CREATE TRIGGER listening_events_inserted_plays AFTER INSERT ON sparkify.listening_events
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_plays();
CREATE TRIGGER listening_events_updated_plays AFTER UPDATE ON sparkify.listening_events
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_plays();
CREATE TRIGGER listening_events_deleted_plays AFTER DELETE ON sparkify.listening_events
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_plays();
CREATE TRIGGER listening_events_truncated_plays AFTER TRUNCATE ON sparkify.listening_events
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.mark_stale('plays');
CREATE TRIGGER recommendation_lists_inserted AFTER INSERT ON sparkify.recommendation_lists
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_lists();
CREATE TRIGGER recommendation_lists_updated AFTER UPDATE ON sparkify.recommendation_lists
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_lists();
CREATE TRIGGER recommendation_lists_deleted AFTER DELETE ON sparkify.recommendation_lists
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.note_lists();
CREATE TRIGGER recommendation_lists_truncated_summaries AFTER TRUNCATE ON sparkify.recommendation_lists
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.mark_stale('recommendations');
CREATE TRIGGER tracks_changed AFTER INSERT OR DELETE OR TRUNCATE ON sparkify.tracks
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.mark_stale('plays', 'recommendations');
CREATE TRIGGER tracks_updated AFTER UPDATE ON sparkify.tracks
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.mark_stale_by_tracks();
CREATE TRIGGER raw_tracks_changed AFTER INSERT OR UPDATE ON sparkify.raw_tracks
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.mark_stale('raw_tracks');
CREATE TRIGGER play_totals_written AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON sparkify_internal.play_totals
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.mark_stale_by_totals('plays');
CREATE TRIGGER list_totals_written AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON sparkify_internal.list_totals
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.mark_stale_by_totals('recommendations');
CREATE TRIGGER recommended_totals_written AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON sparkify_internal.recommended_totals
    FOR EACH STATEMENT EXECUTE FUNCTION sparkify_internal.mark_stale_by_totals('recommendations');

-- Reading.

CREATE VIEW sparkify_internal.changed_plays AS
SELECT c.user_id, c.track_id AS track, t.primary_artist COLLATE "C" AS artist, t.primary_genre COLLATE "C" AS genre,
       t.popularity::text COLLATE "C" AS popularity, (c.played_on - DATE '1970-01-01')::text COLLATE "C" AS day,
       c.plays, (c.skipped IS TRUE)::integer * c.plays AS skipped, (c.skipped IS NOT NULL)::integer * c.plays AS skip_known
FROM sparkify_internal.play_changes c
LEFT JOIN sparkify.tracks t ON t.track_id = c.track_id;
COMMENT ON VIEW sparkify_internal.changed_plays IS 'The rows of play_changes with the names that they count towards.';
COMMENT ON COLUMN sparkify_internal.changed_plays.user_id IS 'The listener.';
COMMENT ON COLUMN sparkify_internal.changed_plays.track IS 'Name in the dimension track.';
COMMENT ON COLUMN sparkify_internal.changed_plays.artist IS 'Name in the dimension artist.';
COMMENT ON COLUMN sparkify_internal.changed_plays.genre IS 'Name in the dimension genre.';
COMMENT ON COLUMN sparkify_internal.changed_plays.popularity IS 'Name in the dimension popularity.';
COMMENT ON COLUMN sparkify_internal.changed_plays.day IS 'Name in the dimension day.';
COMMENT ON COLUMN sparkify_internal.changed_plays.plays IS '1 for a play added, -1 for one taken away.';
COMMENT ON COLUMN sparkify_internal.changed_plays.skipped IS 'The same if it was skipped, otherwise 0.';
COMMENT ON COLUMN sparkify_internal.changed_plays.skip_known IS 'The same if it is known whether it was skipped, otherwise 0.';

CREATE VIEW sparkify_internal.touched_plays AS
SELECT e.user_id, e.track_id AS track,
       ((e.played_at AT TIME ZONE 'UTC')::date - DATE '1970-01-01')::text COLLATE "C" AS day
FROM (SELECT DISTINCT user_id FROM sparkify_internal.play_changes) AS u
-- OFFSET 0: a user's history is read once, by the key, however many names changed.
CROSS JOIN LATERAL (
    SELECT l.user_id, l.track_id, l.played_at FROM sparkify.listening_events l WHERE l.user_id = u.user_id OFFSET 0
) AS e;
COMMENT ON VIEW sparkify_internal.touched_plays IS 'Every play, as it is now, of the users in play_changes.';
COMMENT ON COLUMN sparkify_internal.touched_plays.user_id IS 'The listener.';
COMMENT ON COLUMN sparkify_internal.touched_plays.track IS 'Name in the dimension track.';
COMMENT ON COLUMN sparkify_internal.touched_plays.day IS 'Name in the dimension day.';

-- A user counts once for a name. Whether a change adds or removes the listener
-- shows in the plays there are now, which the primary key finds, and in how many
-- there were without the change. A branch a dimension, all from one text: a reader
-- asks for one dimension, and a single join for all of them takes up to 20 times as long.
-- OFFSET 0 around tracks: hashed once, not looked up for every play of every user.
DO $$
BEGIN
    EXECUTE 'CREATE VIEW sparkify_internal.play_corrections AS' || (
        SELECT pg_catalog.string_agg(pg_catalog.format($branch$
SELECT %1$L AS dimension, p.name,
       pg_catalog.sum(p.plays)::bigint AS plays,
       pg_catalog.sum((p.now > 0)::integer - (p.now > p.plays)::integer)::bigint AS listeners,
       pg_catalog.sum(p.skipped)::bigint AS skipped, pg_catalog.sum(p.skip_known)::bigint AS skip_known
FROM (
    SELECT c.user_id, c.name, c.plays, c.skipped, c.skip_known, pg_catalog.count(h.user_id) AS now
    FROM (
        SELECT user_id, %1$I AS name, pg_catalog.sum(plays) AS plays,
               pg_catalog.sum(skipped) AS skipped, pg_catalog.sum(skip_known) AS skip_known
        FROM sparkify_internal.changed_plays WHERE %1$I IS NOT NULL GROUP BY user_id, %1$I
    ) AS c
    LEFT JOIN (SELECT h.user_id, %2$s AS name FROM %3$s) AS h ON h.user_id = c.user_id AND h.name = c.name
    GROUP BY c.user_id, c.name, c.plays, c.skipped, c.skip_known
) AS p
GROUP BY p.name
$branch$, d.dimension, d.name, d.history), 'UNION ALL') || $first$
UNION ALL
SELECT 'first_day', f.day::text COLLATE "C", pg_catalog.sum(f.users)::bigint, pg_catalog.sum(f.users)::bigint, 0::bigint, 0::bigint
FROM (
    SELECT pg_catalog.min(d.day) FILTER (WHERE d.now > 0) AS now, pg_catalog.min(d.day) FILTER (WHERE d.now > d.plays) AS before
    FROM (
        SELECT b.user_id, b.day, pg_catalog.sum(b.now) AS now, pg_catalog.sum(b.plays) AS plays
        FROM (
            SELECT user_id, day::integer AS day, 1 AS now, 0 AS plays FROM sparkify_internal.touched_plays
            UNION ALL
            SELECT user_id, played_on - DATE '1970-01-01', 0, plays FROM sparkify_internal.play_changes
        ) AS b
        GROUP BY b.user_id, b.day
    ) AS d
    GROUP BY d.user_id
) AS u
CROSS JOIN LATERAL (VALUES (u.now, 1), (u.before, -1)) AS f (day, users)
WHERE f.day IS NOT NULL AND u.now IS DISTINCT FROM u.before
GROUP BY f.day
$first$
        FROM (VALUES
            ('track', 'h.track', 'sparkify_internal.touched_plays h'),
            ('day', 'h.day', 'sparkify_internal.touched_plays h'),
            ('artist', 't.name', 'sparkify_internal.touched_plays h JOIN (SELECT track_id, primary_artist COLLATE "C" AS name
                FROM sparkify.tracks OFFSET 0) AS t ON t.track_id = h.track'),
            ('genre', 't.name', 'sparkify_internal.touched_plays h JOIN (SELECT track_id, primary_genre COLLATE "C" AS name
                FROM sparkify.tracks OFFSET 0) AS t ON t.track_id = h.track'),
            ('popularity', 't.name', 'sparkify_internal.touched_plays h JOIN (SELECT track_id, popularity::text COLLATE "C" AS name
                FROM sparkify.tracks OFFSET 0) AS t ON t.track_id = h.track')) AS d (dimension, name, history));
END $$;
COMMENT ON VIEW sparkify_internal.play_corrections IS
    'What play_changes adds to play_totals; columns as there.';
COMMENT ON COLUMN sparkify_internal.play_corrections.dimension IS 'track, artist, genre, popularity, day or first_day.';
COMMENT ON COLUMN sparkify_internal.play_corrections.name IS 'As in play_totals.';
COMMENT ON COLUMN sparkify_internal.play_corrections.plays IS 'Plays to add.';
COMMENT ON COLUMN sparkify_internal.play_corrections.listeners IS 'Listeners to add.';
COMMENT ON COLUMN sparkify_internal.play_corrections.skipped IS 'Skipped plays to add.';
COMMENT ON COLUMN sparkify_internal.play_corrections.skip_known IS 'Plays to add of which it is known whether they were skipped.';

COMMENT ON FUNCTION sparkify_internal.count_plays() IS
    'Part of refresh_summaries(): plays and listeners by track, artist, genre, popularity and day, and users by the day of their first play, counted afresh from listening_events: the columns of play_totals.';

-- Beyond so many changes correcting costs more than counting afresh.
CREATE VIEW sparkify_internal.plays_stale AS
SELECT EXISTS (SELECT FROM sparkify_internal.stale_marks WHERE subject = 'plays')
    OR (SELECT pg_catalog.count(*) FROM (SELECT FROM sparkify_internal.play_changes LIMIT 20001) AS few) > 20000 AS stale;
COMMENT ON VIEW sparkify_internal.plays_stale IS 'One row: whether plays have to be counted afresh.';
COMMENT ON COLUMN sparkify_internal.plays_stale.stale IS 'A mark stands, or more than 20,000 changes wait.';

CREATE VIEW sparkify_internal.current_plays AS
SELECT dimension, name,
       COALESCE(t.plays, 0) + COALESCE(c.plays, 0) AS plays,
       COALESCE(t.listeners, 0) + COALESCE(c.listeners, 0) AS listeners,
       COALESCE(t.skipped, 0) + COALESCE(c.skipped, 0) AS skipped,
       COALESCE(t.skip_known, 0) + COALESCE(c.skip_known, 0) AS skip_known
FROM (
    SELECT * FROM sparkify_internal.play_totals
    WHERE NOT (SELECT stale FROM sparkify_internal.plays_stale)
) AS t
FULL JOIN (
    SELECT * FROM sparkify_internal.play_corrections
    WHERE NOT (SELECT stale FROM sparkify_internal.plays_stale)
) AS c USING (dimension, name)
WHERE COALESCE(t.plays, 0) + COALESCE(c.plays, 0) > 0
UNION ALL
SELECT dimension, name, plays, listeners, skipped, skip_known
FROM sparkify_internal.count_plays()
WHERE (SELECT stale FROM sparkify_internal.plays_stale);
COMMENT ON VIEW sparkify_internal.current_plays IS
    'Part of refresh_summaries(): plays and listeners by track, artist, genre, popularity and day, and users by the day of their first play, as this snapshot sees the events. Filter by dimension.';
COMMENT ON COLUMN sparkify_internal.current_plays.dimension IS 'What the row counts by: track, artist, genre, popularity or day; first_day counts users by the day of their first play.';
COMMENT ON COLUMN sparkify_internal.current_plays.name IS
    'The track_id, the primary artist, the primary genre, the track''s popularity, or the day as a number of days since 1970-01-01 UTC.';
COMMENT ON COLUMN sparkify_internal.current_plays.plays IS 'Listening events.';
COMMENT ON COLUMN sparkify_internal.current_plays.listeners IS 'Different users among them.';
COMMENT ON COLUMN sparkify_internal.current_plays.skipped IS 'Plays known to have been skipped.';
COMMENT ON COLUMN sparkify_internal.current_plays.skip_known IS 'Plays of which it is known whether they were skipped.';

CREATE VIEW sparkify.track_plays AS
SELECT name AS track_id, plays, listeners FROM sparkify_internal.current_plays WHERE dimension = 'track';
COMMENT ON VIEW sparkify.track_plays IS 'Plays of each track that was played, as this snapshot sees the events.';
COMMENT ON COLUMN sparkify.track_plays.track_id IS 'The track, in the catalogue or not.';
COMMENT ON COLUMN sparkify.track_plays.plays IS 'Listening events, those in the future too.';
COMMENT ON COLUMN sparkify.track_plays.listeners IS 'Different users among them.';

-- Totals are the owner's whoever asks, also while a mark stands: a function in a
-- view runs with its reader's rights, so these have the definer's.
-- Functions rather than views: the planner prices what they would cost if a mark
-- stood, and would compile every query that never reads them.

CREATE FUNCTION sparkify_internal.count_lists(model_id bigint) RETURNS TABLE (
    user_id text, recommendations bigint, genres bigint, artists bigint, popularity bigint, popularity_known bigint)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET work_mem = '64MB' AS $$
    SELECT r.user_id, count(*), count(DISTINCT t.primary_genre), count(DISTINCT t.primary_artist),
           COALESCE(sum(t.popularity), 0)::bigint, count(t.popularity)
    FROM sparkify.user_recommendations r
    LEFT JOIN sparkify.tracks t ON t.track_id = r.track_id
    WHERE r.model_id = count_lists.model_id
    GROUP BY r.user_id
$$;
COMMENT ON FUNCTION sparkify_internal.count_lists(bigint) IS
    'Part of refresh_summaries(): every stored list of a model, counted afresh: the columns of list_totals.';

CREATE FUNCTION sparkify_internal.count_recommended(model_id bigint) RETURNS TABLE (track_id text, lists bigint)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET work_mem = '64MB' AS $$
    SELECT r.track_id, count(*)
    FROM sparkify.user_recommendations r
    WHERE r.model_id = count_recommended.model_id
    GROUP BY r.track_id
$$;
COMMENT ON FUNCTION sparkify_internal.count_recommended(bigint) IS
    'Part of refresh_summaries(): how many stored lists of a model name each track, counted afresh: the columns of recommended_totals.';

CREATE VIEW sparkify_internal.changed_lists AS
SELECT u.model_id, u.user_id, l.recommendations, l.genres, l.artists, l.popularity, l.popularity_known
FROM (SELECT DISTINCT model_id, user_id FROM sparkify_internal.list_changes) AS u
CROSS JOIN LATERAL (
    SELECT pg_catalog.count(*) AS recommendations,
           pg_catalog.count(DISTINCT t.primary_genre) AS genres,
           pg_catalog.count(DISTINCT t.primary_artist) AS artists,
           COALESCE(pg_catalog.sum(t.popularity), 0)::bigint AS popularity,
           pg_catalog.count(t.popularity) AS popularity_known
    FROM sparkify.user_recommendations r
    LEFT JOIN sparkify.tracks t ON t.track_id = r.track_id
    WHERE r.user_id = u.user_id AND r.model_id = u.model_id
) AS l;
COMMENT ON VIEW sparkify_internal.changed_lists IS
    'The lists that list_changes names, counted as they are now: what replaces them in list_totals. Empty lists have 0 recommendations.';
COMMENT ON COLUMN sparkify_internal.changed_lists.model_id IS 'The model that made the list.';
COMMENT ON COLUMN sparkify_internal.changed_lists.user_id IS 'The user it was made for.';
COMMENT ON COLUMN sparkify_internal.changed_lists.recommendations IS 'Tracks in the list.';
COMMENT ON COLUMN sparkify_internal.changed_lists.genres IS 'Different primary genres among them.';
COMMENT ON COLUMN sparkify_internal.changed_lists.artists IS 'Different primary artists among them.';
COMMENT ON COLUMN sparkify_internal.changed_lists.popularity IS 'Sum of their popularities, of those that have one.';
COMMENT ON COLUMN sparkify_internal.changed_lists.popularity_known IS 'Tracks among them that have a popularity.';

-- Folding.

CREATE FUNCTION sparkify.refresh_summaries() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET jit = off
SET sparkify.refreshing_summaries = 'on' AS $$
DECLARE
    written bigint := 0;
    here    bigint;
    recount boolean := true;
BEGIN
    -- Another session is at it: its result is as good.
    PERFORM FROM sparkify_internal.turns WHERE work = 'summaries' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    UPDATE sparkify_internal.turns SET taken = taken + 1 WHERE work = 'summaries';

    IF (SELECT stale FROM sparkify_internal.plays_stale) THEN
        WITH mark AS (
            DELETE FROM sparkify_internal.stale_marks WHERE subject = 'plays'
        ), change AS (
            DELETE FROM sparkify_internal.play_changes
        ), counted AS MATERIALIZED (
            SELECT * FROM sparkify_internal.count_plays()
        ), gone AS (
            DELETE FROM sparkify_internal.play_totals t
            WHERE NOT EXISTS (SELECT FROM counted c WHERE c.dimension = t.dimension AND c.name = t.name)
        )
        INSERT INTO sparkify_internal.play_totals AS t (dimension, name, plays, listeners, skipped, skip_known)
        SELECT dimension, name, plays, listeners, skipped, skip_known FROM counted
        ON CONFLICT (dimension, name) DO UPDATE
        SET (plays, listeners, skipped, skip_known)
            = (excluded.plays, excluded.listeners, excluded.skipped, excluded.skip_known)
        WHERE (t.plays, t.listeners, t.skipped, t.skip_known)
              <> (excluded.plays, excluded.listeners, excluded.skipped, excluded.skip_known);
        GET DIAGNOSTICS here = ROW_COUNT;
        written := written + here;
    ELSIF EXISTS (SELECT FROM sparkify_internal.play_changes) THEN
        WITH change AS (
            DELETE FROM sparkify_internal.play_changes
        )
        INSERT INTO sparkify_internal.play_totals AS t (dimension, name, plays, listeners, skipped, skip_known)
        SELECT dimension, name, plays, listeners, skipped, skip_known FROM sparkify_internal.play_corrections
        ON CONFLICT (dimension, name) DO UPDATE
        SET (plays, listeners, skipped, skip_known)
            = (t.plays + excluded.plays, t.listeners + excluded.listeners,
               t.skipped + excluded.skipped, t.skip_known + excluded.skip_known);
        GET DIAGNOSTICS here = ROW_COUNT;
        written := written + here;
        DELETE FROM sparkify_internal.play_totals WHERE plays = 0;
    END IF;

    IF EXISTS (SELECT FROM sparkify_internal.stale_marks WHERE subject = 'recommendations') THEN
        WITH mark AS (
            DELETE FROM sparkify_internal.stale_marks WHERE subject = 'recommendations' RETURNING model_id
        ), model AS MATERIALIZED (
            SELECT m.model_id FROM sparkify.models m
            WHERE EXISTS (SELECT FROM mark WHERE mark.model_id IS NULL OR mark.model_id = m.model_id)
        ), change AS (
            DELETE FROM sparkify_internal.list_changes
            WHERE model_id IN (SELECT model_id FROM model)
               OR model_id NOT IN (SELECT model_id FROM sparkify.models)
        ), list AS MATERIALIZED (
            SELECT model.model_id, c.* FROM model CROSS JOIN LATERAL sparkify_internal.count_lists(model.model_id) AS c
        ), track AS MATERIALIZED (
            SELECT model.model_id, c.* FROM model CROSS JOIN LATERAL sparkify_internal.count_recommended(model.model_id) AS c
        ), gone_list AS (
            DELETE FROM sparkify_internal.list_totals t
            WHERE t.model_id NOT IN (SELECT model_id FROM sparkify.models)
               OR t.model_id IN (SELECT model_id FROM model)
              AND NOT EXISTS (SELECT FROM list WHERE list.model_id = t.model_id AND list.user_id = t.user_id)
        ), gone_track AS (
            DELETE FROM sparkify_internal.recommended_totals t
            WHERE t.model_id NOT IN (SELECT model_id FROM sparkify.models)
               OR t.model_id IN (SELECT model_id FROM model)
              AND NOT EXISTS (SELECT FROM track WHERE track.model_id = t.model_id AND track.track_id = t.track_id)
        ), put_track AS (
            INSERT INTO sparkify_internal.recommended_totals AS t (model_id, track_id, lists)
            SELECT model_id, track_id, lists FROM track
            ON CONFLICT (model_id, track_id) DO UPDATE SET lists = excluded.lists
            WHERE t.lists <> excluded.lists
        )
        INSERT INTO sparkify_internal.list_totals AS t
            (model_id, user_id, recommendations, genres, artists, popularity, popularity_known)
        SELECT model_id, user_id, recommendations, genres, artists, popularity, popularity_known FROM list
        ON CONFLICT (model_id, user_id) DO UPDATE
        SET (recommendations, genres, artists, popularity, popularity_known)
            = (excluded.recommendations, excluded.genres, excluded.artists, excluded.popularity, excluded.popularity_known)
        WHERE (t.recommendations, t.genres, t.artists, t.popularity, t.popularity_known)
              <> (excluded.recommendations, excluded.genres, excluded.artists, excluded.popularity, excluded.popularity_known);
        GET DIAGNOSTICS here = ROW_COUNT;
        written := written + here;
    ELSIF EXISTS (SELECT FROM sparkify_internal.list_changes) THEN
        WITH change AS (
            DELETE FROM sparkify_internal.list_changes RETURNING model_id, track_id, lists
        ), list AS MATERIALIZED (
            SELECT * FROM sparkify_internal.changed_lists
        ), gone AS (
            DELETE FROM sparkify_internal.list_totals t USING list
            WHERE list.recommendations = 0 AND t.model_id = list.model_id AND t.user_id = list.user_id
        ), put_track AS (
            INSERT INTO sparkify_internal.recommended_totals AS t (model_id, track_id, lists)
            SELECT model_id, track_id, sum(lists) FROM change GROUP BY model_id, track_id HAVING sum(lists) <> 0
            ON CONFLICT (model_id, track_id) DO UPDATE SET lists = t.lists + excluded.lists
        )
        INSERT INTO sparkify_internal.list_totals AS t
            (model_id, user_id, recommendations, genres, artists, popularity, popularity_known)
        SELECT model_id, user_id, recommendations, genres, artists, popularity, popularity_known FROM list
        WHERE recommendations > 0
        ON CONFLICT (model_id, user_id) DO UPDATE
        SET (recommendations, genres, artists, popularity, popularity_known)
            = (excluded.recommendations, excluded.genres, excluded.artists, excluded.popularity, excluded.popularity_known);
        GET DIAGNOSTICS here = ROW_COUNT;
        written := written + here;
        DELETE FROM sparkify_internal.recommended_totals WHERE lists = 0;
    ELSE
        recount := false;
    END IF;
    PERFORM sparkify_internal.count_reach(recount);

    IF EXISTS (SELECT FROM sparkify_internal.outcome_notes) THEN
        WITH note AS (
            DELETE FROM sparkify_internal.outcome_notes RETURNING *
        )
        INSERT INTO sparkify_internal.outcome_totals AS t (made_on, model_id, strategy, rank, lists, played, skipped, skip_known)
        SELECT made_on, model_id, strategy, rank, sum(lists), sum(played), sum(skipped), sum(skip_known)
        FROM note GROUP BY made_on, model_id, strategy, rank
        ON CONFLICT (made_on, model_id, strategy, rank) DO UPDATE
        SET (lists, played, skipped, skip_known)
            = (t.lists + excluded.lists, t.played + excluded.played,
               t.skipped + excluded.skipped, t.skip_known + excluded.skip_known);
        GET DIAGNOSTICS here = ROW_COUNT;
        written := written + here;
    END IF;
    RETURN written;
END $$;
COMMENT ON FUNCTION sparkify.refresh_summaries() IS
    'Folds what was written since into the summaries behind the views, and gives the number of summary rows written. The views are right without it, only slower.';

-- One call a statement, as in tables.sql.
DO $$
DECLARE
    relation pg_catalog.regclass;
BEGIN
    FOREACH relation IN ARRAY ARRAY[
        'sparkify_internal.stale_marks', 'sparkify_internal.play_totals', 'sparkify_internal.play_changes', 'sparkify_internal.list_totals',
        'sparkify_internal.recommended_totals', 'sparkify_internal.list_changes']::pg_catalog.regclass[]
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump(relation, '');
    END LOOP;
END $$;
