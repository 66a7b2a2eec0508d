//! *Recommendations*: what a user is recommended, why, and whether recommending works.

use serde_json::Value;

use crate::board::{Board, searched};
use crate::panel::{
    bar, chart, decimal, figure, figures, number, series, share, stat_text, table, text, text_of,
    time,
};

const RECOMMENDATIONS: &str = "sparkify-recommendations";
const LISTENING: &str = "sparkify-listening";

/// What was typed comes with a % behind it. No pattern: %, _ and \ are letters here.
const SEARCH: &str = "SELECT user_id FROM sparkify.users WHERE strpos(lower(user_id), lower(left('$__searchFilter', -1))) > 0 ORDER BY user_id LIMIT 200";

const USER: &str = "\
SELECT CASE
    WHEN '$user' = '' AND NOT EXISTS (SELECT FROM sparkify.users) THEN 'There are no users yet.'
    WHEN '$user' = '' THEN 'Choose a user above.'
    WHEN u.user_id IS NULL THEN format('There is no user \"%s\".', '$user')
    WHEN NOT EXISTS (SELECT FROM sparkify.models WHERE active) THEN format('%s plays; no model serves yet: call sparkify.run_pipeline().', e.plays)
    ELSE format('%s plays%s; %s', e.plays,
        CASE WHEN e.plays > 0 THEN format(' from %s to %s UTC', to_char(e.first AT TIME ZONE 'UTC', 'YYYY-MM-DD'), to_char(e.last AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')) END,
        COALESCE(format('list of %s tracks from %s, made %s UTC', l.tracks,
            CASE l.strategy WHEN 'listened' THEN 'plays' WHEN 'declared' THEN 'declared taste' WHEN 'popular' THEN 'popularity' ELSE l.strategy END, to_char(l.generated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')),
                 'no list is stored yet'))
END AS \"user\"
FROM (VALUES (1)) AS one (row)
LEFT JOIN sparkify.users u ON u.user_id = '$user'
LEFT JOIN LATERAL (
    SELECT count(*) AS plays, min(played_at) AS first, max(played_at) AS last
    FROM sparkify.listening_events WHERE user_id = u.user_id
) AS e ON true
LEFT JOIN LATERAL (
    SELECT cardinality(track_ids) AS tracks, strategy, generated_at FROM sparkify.recommendation_lists
    WHERE user_id = u.user_id AND model_id = (SELECT model_id FROM sparkify.models WHERE active)
) AS l ON true";

const COVERAGE: &str = "\
SELECT users_served AS \"users served\", users AS \"of users\", recommendations,
       catalogue_share AS \"of catalogue\",
       genres_per_list AS \"genres a list\", artists_per_list AS \"artists a list\",
       recommended_popularity AS \"popularity, recommended\", played_popularity AS \"popularity, played\"
FROM sparkify.recommendation_coverage";

const STORED: &str = "\
WITH list AS (
    SELECT rank, track_name, track_genre, primary_artist, score, generated_at
    FROM sparkify.recommendation_details WHERE user_id = '$user'
)
SELECT rank, track_name AS track, primary_artist AS artist, track_genre AS genre, score, generated_at AS made FROM list
UNION ALL
SELECT NULL, 'No list is stored.', NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM list)
ORDER BY rank";

/// recommend() refuses a user who is not there, or where no model serves: it is not called then.
const LIVE: &str = "\
WITH list AS (
    SELECT r.rank, r.track_name, r.primary_artist, r.genre, r.score, r.strategy
    FROM (
        SELECT u.user_id FROM sparkify.users u CROSS JOIN sparkify.models m
        WHERE u.user_id = '$user' AND m.active
        OFFSET 0
    ) AS chosen
    CROSS JOIN LATERAL sparkify.recommend(chosen.user_id, 10) AS r
)
SELECT rank, track_name AS track, primary_artist AS artist, genre, score, strategy AS \"from\" FROM list
UNION ALL
SELECT NULL, CASE WHEN NOT EXISTS (SELECT FROM sparkify.models WHERE active) THEN 'No model serves yet.'
                  WHEN NOT EXISTS (SELECT FROM sparkify.users WHERE user_id = '$user') THEN 'There is no such user.'
                  ELSE 'Nothing is left to recommend.' END, NULL, NULL, NULL, NULL
WHERE NOT EXISTS (SELECT FROM list)
ORDER BY rank";

/// The three best of the stored list: explaining reads the history once for each.
const WHY: &str = "\
WITH listed AS MATERIALIZED (
    SELECT d.rank, d.track_id, d.track_name, d.user_id, d.strategy FROM sparkify.recommendation_details d
    JOIN sparkify.users u ON u.user_id = d.user_id
    WHERE d.user_id = '$user' AND d.rank <= 3
), because AS (
    SELECT l.rank, l.track_name, e.rank AS place, COALESCE(e.track_name, e.genre, 'everything else') AS because,
           e.primary_artist, e.last_played, e.part / NULLIF(e.score, 0) AS share
    FROM listed l CROSS JOIN LATERAL sparkify.explain_recommendation(l.user_id, l.track_id, 2) AS e
)
SELECT rank, recommended, because, artist, played, share FROM (
    SELECT rank, track_name AS recommended, because, primary_artist AS artist, last_played AS played, share, place FROM because
    UNION ALL
    SELECT NULL, CASE WHEN EXISTS (SELECT FROM listed) THEN 'The list comes from popularity.' ELSE 'No list is stored.' END, NULL, NULL, NULL, NULL, 0
    WHERE NOT EXISTS (SELECT FROM because)
) AS row
ORDER BY rank, place";

/// On tracks that were new to the users; the mean over them.
const EVALUATED: &str = "\
SELECT max(evaluated_at) AS \"time\",
       max(value) FILTER (WHERE subject = kind) AS \"model\",
       max(value) FILTER (WHERE subject = 'content') AS \"content\",
       max(value) FILTER (WHERE subject = 'popularity') AS \"popularity\",
       max(value) FILTER (WHERE subject = 'chance') AS \"chance\"
FROM sparkify.model_evaluations
WHERE metric = 'ndcg' AND plays = 'new' AND $__timeFilter(evaluated_at)
GROUP BY evaluation_id
ORDER BY 1";

const EVALUATIONS: &str = "\
WITH found AS (
    SELECT evaluation_id, max(evaluated_at) AS evaluated, subject, max(k) AS k, max(users) AS users,
           max(value) FILTER (WHERE metric = 'ndcg') AS ndcg, max(value) FILTER (WHERE metric = 'recall') AS recall,
           max(value) FILTER (WHERE metric = 'coverage') AS coverage
    FROM sparkify.model_evaluations
    WHERE plays = 'new' AND $__timeFilter(evaluated_at)
    GROUP BY evaluation_id, subject
    ORDER BY evaluation_id DESC, ndcg DESC, subject LIMIT 100
)
SELECT evaluated, subject, k, users, ndcg, recall, coverage FROM found
UNION ALL
SELECT NULL, 'No evaluation in the time range.', NULL, NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM found)
ORDER BY evaluated DESC NULLS LAST, ndcg DESC NULLS LAST, subject";

const RECENT: &str = "\
WITH play AS (
    SELECT played_at, track_id, ms_played, skipped FROM sparkify.listening_events
    WHERE user_id = '$user' AND $__timeFilter(played_at)
    ORDER BY played_at DESC, event_id LIMIT 50
)
SELECT p.played_at AS played, COALESCE(t.track_name, p.track_id) AS track, COALESCE(t.primary_artist, 'not in the catalogue') AS artist,
       LEAST(p.ms_played::double precision / t.duration_ms, 1) AS heard,
       CASE WHEN p.skipped THEN 'skipped' WHEN NOT p.skipped THEN 'to the end' END AS ended
FROM play p LEFT JOIN sparkify.tracks t ON t.track_id = p.track_id
UNION ALL
SELECT NULL, 'No plays in the time range.', NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM play)
ORDER BY played DESC NULLS LAST";

const USER_DAYS: &str = "\
SELECT d.day AS \"time\", count(e.track_id) AS \"plays\", count(e.track_id) FILTER (WHERE e.skipped) AS \"skipped\"
FROM (
    SELECT generate_series(
        GREATEST(date_trunc('day', first, 'UTC'), date_trunc('day', $__timeFrom()::timestamptz, 'UTC')),
        LEAST(now(), $__timeTo()::timestamptz), interval '1 day') AS day
    FROM (SELECT min(played_at) AS first FROM sparkify.listening_events WHERE user_id = '$user') AS since
    WHERE first IS NOT NULL
) AS d
LEFT JOIN sparkify.listening_events e ON e.user_id = '$user' AND $__timeFilter(e.played_at)
    AND e.played_at >= d.day AND e.played_at < d.day + interval '1 day'
GROUP BY d.day
ORDER BY 1";

const USER_TRACKS: &str = "\
WITH top AS (
    SELECT name, primary_artist, plays, track_id FROM sparkify.user_top_tracks
    WHERE user_id = '$user' ORDER BY plays DESC, name, track_id LIMIT 10
)
SELECT name AS track, primary_artist AS artist, plays FROM top
UNION ALL
SELECT 'No plays yet.', NULL, NULL WHERE NOT EXISTS (SELECT FROM top)
ORDER BY plays DESC NULLS LAST, track";

const USER_ARTISTS: &str = "\
WITH top AS (
    SELECT name AS artist, plays FROM sparkify.user_top_artists
    WHERE user_id = '$user' ORDER BY plays DESC, name LIMIT 10
)
SELECT artist, plays FROM top
UNION ALL
SELECT 'No plays yet.', NULL WHERE NOT EXISTS (SELECT FROM top)
ORDER BY plays DESC NULLS LAST, artist";

const USER_GENRES: &str = "\
WITH ranked AS (
    SELECT name, plays, skip_rate, row_number() OVER (ORDER BY plays DESC, name) AS place, sum(plays) OVER () AS total
    FROM sparkify.user_genre_plays WHERE user_id = '$user'
)
SELECT genre, plays, share, skipped FROM (
    SELECT name AS genre, plays, (plays / total)::double precision AS share, skip_rate AS skipped, place
    FROM ranked WHERE place <= 9
    UNION ALL
    SELECT format('%s others', count(*)), sum(plays)::bigint, (sum(plays) / max(total))::double precision, NULL, 10
    FROM ranked WHERE place > 9 HAVING count(*) > 0
    UNION ALL
    SELECT 'No plays yet.', NULL, NULL, NULL, 0 WHERE NOT EXISTS (SELECT FROM ranked)
) AS row
ORDER BY place";

/// Places of a list, not lists: a list of ten counts ten times here.
const BY_MODEL: &str = "\
WITH outcome AS (
    SELECT model_id, strategy, sum(lists) FILTER (WHERE rank = 1) AS lists,
           (sum(played) FILTER (WHERE rank = 1) / sum(lists) FILTER (WHERE rank = 1))::double precision AS first,
           (sum(played) / sum(lists))::double precision AS played,
           (sum(skipped) / NULLIF(sum(skip_known), 0))::double precision AS skipped
    FROM sparkify.recommendation_outcomes
    WHERE made_on BETWEEN ($__timeFrom()::timestamptz AT TIME ZONE 'UTC')::date AND ($__timeTo()::timestamptz AT TIME ZONE 'UTC')::date
    GROUP BY model_id, strategy
)
SELECT model_id AS model, strategy AS \"from\", lists::bigint AS lists, first AS \"first played\", played AS \"any place played\", skipped FROM outcome
UNION ALL
SELECT NULL, 'No list was tested by plays yet.', NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM outcome)
ORDER BY model DESC NULLS LAST, \"from\"
LIMIT 100";

const BY_RANK: &str = "\
WITH outcome AS (
    SELECT rank, sum(lists)::bigint AS lists, sum(played)::bigint AS played
    FROM sparkify.recommendation_outcomes
    WHERE made_on BETWEEN ($__timeFrom()::timestamptz AT TIME ZONE 'UTC')::date AND ($__timeTo()::timestamptz AT TIME ZONE 'UTC')::date
    GROUP BY rank ORDER BY rank LIMIT 50
)
SELECT rank::text AS place, lists, played, played::double precision / lists AS share FROM outcome
UNION ALL
SELECT 'No list was tested by plays yet.', NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM outcome)";

const OUTCOME_DAYS: &str = "\
SELECT made_on::timestamp AT TIME ZONE 'UTC' AS \"time\",
       (sum(played) FILTER (WHERE strategy = 'listened') / NULLIF(sum(lists) FILTER (WHERE strategy = 'listened'), 0))::double precision AS \"listened\",
       (sum(played) FILTER (WHERE strategy = 'declared') / NULLIF(sum(lists) FILTER (WHERE strategy = 'declared'), 0))::double precision AS \"declared\",
       (sum(played) FILTER (WHERE strategy = 'popular') / NULLIF(sum(lists) FILTER (WHERE strategy = 'popular'), 0))::double precision AS \"popular\"
FROM sparkify.recommendation_outcomes
WHERE made_on BETWEEN ($__timeFrom()::timestamptz AT TIME ZONE 'UTC')::date AND ($__timeTo()::timestamptz AT TIME ZONE 'UTC')::date
GROUP BY made_on
ORDER BY 1";

const STRATEGIES: &str = "\
WITH stored AS MATERIALIZED (
    SELECT * FROM sparkify.recommendation_strategies
), total AS (
    SELECT NULLIF(count(*), 0) AS users FROM sparkify.users
)
SELECT strategy AS \"from\", users, share, oldest, newest FROM (
    SELECT CASE strategy WHEN 'listened' THEN 'plays' WHEN 'declared' THEN 'declared taste (cold)' WHEN 'popular' THEN 'popularity (cold)' ELSE strategy END AS strategy,
           lists AS users, lists::double precision / total.users AS share, oldest, newest, 1 AS place
    FROM stored CROSS JOIN total
    UNION ALL
    SELECT 'no list', total.users - COALESCE((SELECT sum(lists) FROM stored), 0)::bigint,
           (total.users - COALESCE((SELECT sum(lists) FROM stored), 0))::double precision / total.users, NULL, NULL, 2
    FROM total WHERE total.users IS NOT NULL
    UNION ALL
    SELECT 'There are no users yet.', NULL, NULL, NULL, NULL, 3 FROM total WHERE total.users IS NULL
) AS row
ORDER BY place, users DESC";

/// The newest lists first: 500 of them have 500 rows at least.
const ALL: &str = "\
WITH list AS (
    SELECT user_id, list_id, track_ids, scores, generated_at
    FROM sparkify.recommendation_lists
    WHERE model_id = (SELECT model_id FROM sparkify.models WHERE active)
    ORDER BY list_id DESC
    LIMIT 500
), listed AS (
    SELECT l.list_id + r.rank - 1 AS recommendation_id, l.user_id, r.track_id, r.score, l.generated_at, r.rank
    FROM list l
    CROSS JOIN LATERAL ROWS FROM (unnest(l.track_ids), unnest(l.scores)) WITH ORDINALITY AS r (track_id, score, rank)
    ORDER BY l.list_id DESC, r.rank
    LIMIT 500
)
SELECT l.recommendation_id, l.user_id, l.track_id, t.track_name, t.primary_genre AS track_genre, t.primary_artist, l.score, l.generated_at AS timestamp
FROM listed l LEFT JOIN sparkify.tracks t ON t.track_id = l.track_id
UNION ALL
SELECT NULL, NULL, NULL, 'No recommendations are stored.', NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM listed)
ORDER BY timestamp DESC NULLS LAST, user_id, recommendation_id";

#[allow(clippy::too_many_lines, reason = "one row of the board after another")]
pub fn board() -> Value {
    let artist = |name| text(name).leads_to("Plays of ${__value.text}", LISTENING, "artist");
    let artist_of = |name, pixels| {
        text_of(name, pixels).leads_to("Plays of ${__value.text}", LISTENING, "artist")
    };
    let genre = |name, pixels| {
        text_of(name, pixels).leads_to("Plays of ${__value.text}", LISTENING, "genre")
    };
    Board {
        uid: RECOMMENDATIONS,
        title: "Recommendations",
        description: "What a user is recommended, and whether recommending works.",
        from: "now-90d",
        variables: vec![searched("user", "User", "Type to search; at most 200 are listed.", SEARCH)],
        rows: vec![
            (2, vec![(24, stat_text(
                "User $user",
                "What is known of the user chosen above, for all time.",
                USER,
                &[("(There|Choose).*", "orange"), (".*", "text")],
            ))]),
            (12, vec![
                (12, table(
                    "Stored for $user",
                    "The list that refresh_recommendations() stored last, by the active model.",
                    STORED,
                    vec![decimal("rank", 50, 0), text("track"), artist("artist"), genre("genre", 90), decimal("score", 65, 3), time("made")],
                )),
                (12, table(
                    "For $user now",
                    "What recommend() answers at this moment, from every play so far.",
                    LIVE,
                    vec![decimal("rank", 50, 0), text("track"), artist("artist"), genre("genre", 90), decimal("score", 65, 3), text_of("from", 85)],
                )),
            ]),
            (4, vec![(24, figures(
                "Reach and variety · now",
                "How far the stored recommendations of the active model reach, how varied a list is, and the mean popularity (0 to 100) of what is recommended and of what is played.",
                COVERAGE,
                vec![figure("of catalogue", "percentunit", 1), figure("genres a list", "none", 1), figure("artists a list", "none", 1),
                     figure("popularity, recommended", "none", 1), figure("popularity, played", "none", 1)],
            ))]),
            (12, vec![
                (12, table(
                    "Why the first three are stored for $user · now",
                    "What of the user's history carries the score of each, and how much: the two largest parts, and everything else. Parts of declared taste are genres.",
                    WHY,
                    vec![decimal("rank", 50, 0), text_of("recommended", 95), text("because"), artist("artist"), time("played"), share("share", 65)],
                )),
                (12, table(
                    "Recent plays of $user",
                    "The last 50 plays in the time range. Heard is the share of the track, where its length is known.",
                    RECENT,
                    vec![time("played"), text("track"), artist("artist"), bar("heard", 80), text_of("ended", 85)],
                )),
            ]),
            (8, vec![(24, chart(
                "Listening of $user by day",
                "Plays by day in UTC, from the user's first play on, and those among them that were skipped.",
                USER_DAYS, "bars", "No plays of this user in this time range.",
                vec![series("plays", "blue"), series("skipped", "orange")],
            ))]),
            (12, vec![
                (9, table(
                    "Top tracks of $user · all time", "Most played tracks of the catalogue.", USER_TRACKS,
                    vec![text("track"), artist("artist"), number("plays", 70)],
                )),
                (7, table(
                    "Top artists of $user · all time", "Most played primary artists.", USER_ARTISTS,
                    vec![artist("artist"), number("plays", 70)],
                )),
                (8, table(
                    "Genres of $user · all time", "Shares of plays by primary genre, and of plays that were skipped.", USER_GENRES,
                    vec![text("genre").leads_to("Plays of ${__value.text}", LISTENING, "genre"), number("plays", 65), bar("share", 85), share("skipped", 75)],
                )),
            ]),
            (10, vec![
                (14, table(
                    "Played afterwards, by model",
                    "Lists made in the time range against the plays after them, until they were replaced or their model ceased to serve; lists whose user played nothing are left out. First: the best place; any place: all of them. Skipped: of the plays of what was recommended.",
                    BY_MODEL,
                    vec![decimal("model", 60, 0), text("from"), number("lists", 75), share("first played", 100), share("any place played", 130), share("skipped", 75)],
                )),
                (10, table(
                    "Played afterwards, by place in the list",
                    "Lists made in the time range whose user played something afterwards, and how many of them played the track at a place.",
                    BY_RANK,
                    vec![text("place"), number("lists", 80), number("played", 75), bar("share", 110)],
                )),
            ]),
            (10, vec![
                (12, chart(
                    "Played afterwards, by day and strategy",
                    "Share of the places of lists, by the day (UTC) that the lists were made, whose track was played afterwards.",
                    OUTCOME_DAYS, "points", "No list of this time range was tested by plays.",
                    vec![series("listened", "green"), series("declared", "blue"), series("popular", "orange")],
                ).unit("percentunit", 1)),
                (12, table(
                    "Lists by strategy, and their age · now",
                    "What the stored lists were made from. Users without plays are cold: their lists come from declared taste or popularity.",
                    STRATEGIES,
                    vec![text("from"), number("users", 75), bar("share", 90), time("oldest"), time("newest")],
                )),
            ]),
            (10, vec![
                (12, chart(
                    "Quality by evaluation (NDCG)",
                    "What evaluate_model() measured on plays that were held back, of tracks new to the user: the kind of model that was evaluated, the content model, popularity and chance beside it.",
                    EVALUATED, "points", "evaluate_model() did not run in this time range.",
                    vec![series("model", "green"), series("content", "blue"), series("popularity", "orange"), series("chance", "text")],
                ).unit("none", 3)),
                (12, table(
                    "Evaluations",
                    "What evaluate_model() measured in the time range, on plays that were held back, of tracks new to the user, in lists of k. Coverage: the share of the catalogue in the lists.",
                    EVALUATIONS,
                    vec![time("evaluated"), text("subject"), decimal("k", 40, 0), number("users", 70), decimal("ndcg", 60, 3), decimal("recall", 65, 3), share("coverage", 80)],
                )),
            ]),
            (16, vec![(24, table(
                "All recommendations, newest first · now",
                "The 500 newest recommendations that are stored for the active model, of all users. Click a user to see theirs.",
                ALL,
                vec![decimal("recommendation_id", 145, 0),
                     text("user_id").leads_to("Recommendations for ${__value.text}", RECOMMENDATIONS, "user"),
                     text("track_id"), text("track_name"), genre("track_genre", 110), artist_of("primary_artist", 120),
                     decimal("score", 65, 3), time("timestamp")],
            ))]),
        ],
    }
    .into_json()
}
