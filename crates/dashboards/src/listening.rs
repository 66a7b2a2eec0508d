//! *Listening*: what is played, by how many, and how it compares with what is recommended.

use serde_json::Value;

use crate::board::{Board, typed};
use crate::panel::{bar, chart, figures, number, series, share, table, text, text_of};

const LISTENING: &str = "sparkify-listening";

/// Tracks that the board is filtered to; looked up only where it is filtered.
macro_rules! filtered {
    ($column:literal) => {
        concat!(
            "('$artist' = '' AND '$genre' = '' OR ",
            $column,
            " IN (\n        SELECT f.track_id FROM sparkify.tracks f\n        WHERE ('$artist' = '' OR f.primary_artist = '$artist') AND ('$genre' = '' OR f.primary_genre = '$genre')))"
        )
    };
}

const IN_RANGE: &str = "\
SELECT COALESCE(sum(plays), 0) AS \"plays\",
       COALESCE(round(avg(plays)), 0) AS \"plays a day\",
       COALESCE(round(avg(listeners)), 0) AS \"listeners a day\",
       COALESCE(sum(new_listeners), 0) AS \"first-time listeners\",
       (SELECT count(*) FROM sparkify.users) AS \"users (all time)\",
       (SELECT count(*) FROM sparkify.tracks) AS \"tracks (all time)\"
FROM sparkify.daily_plays
WHERE day BETWEEN ($__timeFrom()::timestamptz AT TIME ZONE 'UTC')::date AND ($__timeTo()::timestamptz AT TIME ZONE 'UTC')::date";

/// Days from the first play on, and not after today: what lies outside is unknown, not nothing.
const BY_DAY: &str = "\
WITH played AS MATERIALIZED (
    SELECT day, plays, listeners, new_listeners, skip_rate FROM sparkify.daily_plays
), shown AS (
    SELECT generate_series(
        GREATEST(first, ($__timeFrom()::timestamptz AT TIME ZONE 'UTC')::date)::timestamp,
        LEAST((now() AT TIME ZONE 'UTC')::date, ($__timeTo()::timestamptz AT TIME ZONE 'UTC')::date)::timestamp, interval '1 day')::date AS day
    FROM (SELECT min(day) AS first FROM played) AS since
    WHERE first IS NOT NULL
)";

const TOP_TRACKS: &str = concat!(
    "\
WITH top AS (
    SELECT p.track_id, p.plays, p.listeners
    FROM sparkify.track_plays p
    WHERE ",
    filtered!("p.track_id"),
    "
    ORDER BY p.plays DESC, p.track_id
    LIMIT 10
)
SELECT COALESCE(t.track_name, top.track_id) AS track, COALESCE(t.primary_artist, 'not in the catalogue') AS artist,
       top.plays, top.listeners
FROM top LEFT JOIN sparkify.tracks t ON t.track_id = top.track_id
UNION ALL
SELECT 'Nothing was played.', NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM top)
ORDER BY plays DESC NULLS LAST, track"
);

const TOP_ARTISTS: &str = "\
WITH top AS (
    SELECT name AS artist, plays, listeners FROM sparkify.top_artists
    WHERE '$genre' = '' AND ('$artist' = '' OR name = '$artist')
    UNION ALL
    SELECT t.primary_artist, sum(p.plays)::bigint, NULL
    FROM sparkify.tracks t JOIN sparkify.track_plays p ON p.track_id = t.track_id
    WHERE '$genre' <> '' AND t.primary_genre = '$genre' AND ('$artist' = '' OR t.primary_artist = '$artist')
    GROUP BY t.primary_artist
    ORDER BY plays DESC, artist
    LIMIT 10
)
SELECT artist, plays, listeners FROM top
UNION ALL
SELECT 'Nothing was played.', NULL, NULL WHERE NOT EXISTS (SELECT FROM top)
ORDER BY plays DESC NULLS LAST, artist";

const GENRES: &str = "\
WITH genre AS (
    SELECT name, plays, skip_rate FROM sparkify.genre_plays
    WHERE '$artist' = '' AND ('$genre' = '' OR name = '$genre')
    UNION ALL
    SELECT t.primary_genre, sum(p.plays)::bigint, NULL
    FROM sparkify.tracks t JOIN sparkify.track_plays p ON p.track_id = t.track_id
    WHERE '$artist' <> '' AND t.primary_artist = '$artist' AND ('$genre' = '' OR t.primary_genre = '$genre')
        AND t.primary_genre IS NOT NULL
    GROUP BY t.primary_genre
), ranked AS (
    SELECT *, row_number() OVER (ORDER BY plays DESC, name) AS place, sum(plays) OVER () AS total FROM genre
)
SELECT genre, plays, share, skipped FROM (
    SELECT name AS genre, plays, (plays / total)::double precision AS share, skip_rate AS skipped, place
    FROM ranked WHERE place <= 9
    UNION ALL
    SELECT format('%s others', count(*)), sum(plays)::bigint, (sum(plays) / max(total))::double precision, NULL, 10
    FROM ranked WHERE place > 9 HAVING count(*) > 0
    UNION ALL
    SELECT 'Nothing was played.', NULL, NULL, NULL, 0 WHERE NOT EXISTS (SELECT FROM genre)
) AS row
ORDER BY place";

const RECOMMENDED_TRACKS: &str = concat!(
    "\
WITH top AS (
    SELECT r.track_id, r.lists
    FROM sparkify.recommended_tracks r
    WHERE ",
    filtered!("r.track_id"),
    "
    ORDER BY r.lists DESC, r.track_id
    LIMIT 10
), total AS (
    SELECT NULLIF(users_served, 0)::double precision AS lists FROM sparkify.recommendation_coverage
)
SELECT COALESCE(t.track_name, top.track_id) AS track, COALESCE(t.primary_artist, 'not in the catalogue') AS artist,
       top.lists, top.lists / total.lists AS \"of all lists\",
       COALESCE((SELECT p.plays FROM sparkify.track_plays p WHERE p.track_id = top.track_id), 0) AS plays
FROM top CROSS JOIN total LEFT JOIN sparkify.tracks t ON t.track_id = top.track_id
UNION ALL
SELECT 'No lists are stored.', NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM top)
ORDER BY lists DESC NULLS LAST, track"
);

const RECOMMENDED_ARTISTS: &str = "\
WITH top AS (
    SELECT name AS artist, lists AS recommended FROM sparkify.recommended_artists
    WHERE '$genre' = '' AND ('$artist' = '' OR name = '$artist')
    UNION ALL
    SELECT t.primary_artist, sum(r.lists)::bigint
    FROM sparkify.tracks t JOIN sparkify.recommended_tracks r ON r.track_id = t.track_id
    WHERE '$genre' <> '' AND t.primary_genre = '$genre' AND ('$artist' = '' OR t.primary_artist = '$artist')
    GROUP BY t.primary_artist
    ORDER BY recommended DESC, artist
    LIMIT 10
)
SELECT artist, recommended,
       COALESCE((SELECT a.plays FROM sparkify.top_artists a WHERE a.name = top.artist), 0) AS plays
FROM top
UNION ALL
SELECT 'No lists are stored.', NULL, NULL WHERE NOT EXISTS (SELECT FROM top)
ORDER BY recommended DESC NULLS LAST, artist";

const CONCENTRATION: &str = "\
WITH found AS (
    SELECT * FROM sparkify.concentration
)
SELECT measure, plays, recommended FROM (
SELECT v.place, v.measure, max(v.value) FILTER (WHERE f.subject = 'plays') AS plays,
       max(v.value) FILTER (WHERE f.subject = 'recommendations') AS recommended
FROM found f
CROSS JOIN LATERAL (VALUES
    (1, 'Tracks named at all', f.named_tracks::double precision / f.tracks),
    (2, 'Top 1 % of tracks', f.top_1_percent),
    (3, 'Top 10 % of tracks', f.top_10_percent),
    (4, 'Other 80 % (long tail)', f.long_tail),
    (5, 'Gini coefficient', f.gini)) AS v (place, measure, value)
GROUP BY v.place, v.measure
UNION ALL
SELECT 0, 'Nothing was played.', NULL, NULL WHERE NOT EXISTS (SELECT FROM found)
) AS row
ORDER BY place";

pub fn board() -> Value {
    let by_day = |columns: &str| {
        format!(
            "{BY_DAY}\nSELECT s.day::timestamp AT TIME ZONE 'UTC' AS \"time\", {columns}\nFROM shown s LEFT JOIN played p ON p.day = s.day\nORDER BY 1"
        )
    };
    let artist =
        |field: crate::panel::Field| field.leads_to("Only ${__value.text}", LISTENING, "artist");
    Board {
        uid: LISTENING,
        title: "Listening",
        description: "What is played, by how many, and how it compares with what is recommended.",
        from: "now-90d",
        variables: vec![
            typed("artist", "Artist", "A primary artist, as in the tables; empty for all. Filters the tables."),
            typed("genre", "Genre", "A primary genre, as in the tables; empty for all. Filters the tables."),
        ],
        rows: vec![
            (4, vec![(24, figures(
                "In the time range",
                "Plays on the days (UTC) of the time range. First-time listeners played for the first time then. Users and tracks are counted for all time.",
                IN_RANGE,
                vec![],
            ))]),
            (10, vec![
                (14, chart(
                    "Plays by day",
                    "Plays, different listeners and the share of skipped plays, by day in UTC, from the first play to today.",
                    &by_day("COALESCE(p.plays, 0) AS \"plays\", COALESCE(p.listeners, 0) AS \"listeners\", p.skip_rate AS \"skipped\""),
                    "line", "Nothing was played in this time range.",
                    vec![series("plays", "blue"), series("listeners", "green"),
                         series("skipped", "orange")
                            .set("unit", "percentunit".into()).set("decimals", 0.into())
                            .set("max", 1.into()).set("custom.axisPlacement", "right".into())
                            .set("custom.fillOpacity", 0.into())],
                )),
                (10, chart(
                    "New and returning listeners by day",
                    "Active listeners of each day in UTC: new ones played for the first time, the others returned.",
                    &by_day("COALESCE(p.listeners - p.new_listeners, 0) AS \"returning\", COALESCE(p.new_listeners, 0) AS \"new\""),
                    "bars", "Nobody listened in this time range.",
                    vec![series("returning", "blue"), series("new", "green")],
                ).stacked()),
            ]),
            (12, vec![
                (10, table(
                    "Top tracks · all time",
                    "Most played tracks of the artist and genre chosen above. Click an artist to see only theirs.",
                    TOP_TRACKS,
                    vec![text("track"), artist(text("artist")), number("plays", 80), number("listeners", 80)],
                )),
                (7, table(
                    "Top artists · all time",
                    "Most played primary artists; with a genre chosen, their plays in it. Listeners are known without a genre only. Click one to see only theirs.",
                    TOP_ARTISTS,
                    vec![artist(text("artist")), number("plays", 80), number("listeners", 80)],
                )),
                (7, table(
                    "Genres · all time",
                    "Shares of plays by primary genre; the share of plays that were skipped is known for all artists together. Click one to see only it.",
                    GENRES,
                    vec![text("genre").leads_to("Only ${__value.text}", LISTENING, "genre"),
                         number("plays", 80), bar("share", 80), share("skipped", 75)],
                )),
            ]),
            (12, vec![
                (10, table(
                    "Most recommended tracks · now",
                    "How many stored lists name a track, and how often it was played.",
                    RECOMMENDED_TRACKS,
                    vec![text("track"), artist(text("artist")), number("lists", 70), share("of all lists", 100), number("plays", 75)],
                )),
                (7, table(
                    "Most recommended artists · now",
                    "How often stored lists name tracks of an artist, counted once an hour, and how often the artist was played.",
                    RECOMMENDED_ARTISTS,
                    vec![artist(text("artist")), number("recommended", 100), number("plays", 80)],
                )),
                (7, table(
                    "Concentration · within the hour",
                    "How unevenly all plays and stored recommendations are spread over the catalogue: shares of the most named tracks, and the Gini coefficient (0 % even, 100 % all on one track). Counted once an hour.",
                    CONCENTRATION,
                    vec![text_of("measure", 150), bar("plays", 85), bar("recommended", 95)],
                )),
            ]),
        ],
    }
    .into_json()
}
