//! What `validate()` checks. Each check is a query that gives every failure's
//! name; its number and the first in byte order are reported.

use super::models::Model;
use super::spi;

/// What a failed check means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The model cannot serve.
    Error,
    /// Some rows do not count.
    Warning,
}

impl Severity {
    /// As shown.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A check of the stored state.
pub struct Check {
    /// As shown.
    pub name: &'static str,
    /// What it means when it fails.
    pub severity: Severity,
    /// How to mend what fails; empty where the next run does.
    pub remedy: &'static str,
    /// What a failure is, to be read after its number.
    pub failure: &'static str,
    /// One column `id text`, a row for each failure. `$1` is the model.
    query: &'static str,
}

/// The result of a check.
pub struct Outcome {
    /// How many failures there are.
    pub failures: i64,
    /// The first of them in byte order.
    pub example: Option<String>,
}

/// Runs a check against a model under the caller's snapshot.
pub fn run(check: &Check, model: &Model) -> Outcome {
    let sql = format!(
        "SELECT pg_catalog.count(*), pg_catalog.min(f.id COLLATE \"C\") \
         FROM ({}) AS f (id) WHERE $1 IS NOT NULL",
        check.query
    );
    let outcome = spi::select_first(&sql, &[model.model_id.into()], |row| Outcome {
        failures: row.i64(0).unwrap_or_default(),
        example: row.text(1).map(str::to_owned),
    });
    outcome.unwrap_or(Outcome { failures: 0, example: None })
}

/// The checks, from what is delivered to what is served.
pub const CHECKS: &[Check] = &[
    Check {
        name: "tables_present",
        severity: Severity::Error,
        remedy: "",
        failure: "tables are missing",
        query: "SELECT t FROM pg_catalog.unnest(ARRAY['sparkify.tracks', 'sparkify.users', 'sparkify.listening_events',
                    'sparkify.models', 'sparkify.track_embeddings', 'sparkify.genre_embeddings',
                    'sparkify.user_vectors', 'sparkify.recommendation_lists', 'sparkify.user_recommendations',
                    'sparkify_internal.changed_users', 'sparkify_internal.deleted_tracks']) AS t
                WHERE pg_catalog.to_regclass(t) IS NULL",
    },
    Check {
        name: "tables_filled",
        severity: Severity::Error,
        remedy: "",
        failure: "tables are empty",
        query: "SELECT 'tracks' WHERE NOT EXISTS (SELECT FROM sparkify.tracks)
                UNION ALL SELECT 'track_embeddings' WHERE NOT EXISTS
                    (SELECT FROM sparkify.track_embeddings WHERE model_id = $1)",
    },
    Check {
        name: "data_to_learn_from",
        severity: Severity::Warning,
        remedy: "declared tastes and popularity serve until there are plays",
        failure: "tables are empty",
        // A trainer has the plays of users that are in its cells.
        query: "SELECT 'users' WHERE NOT EXISTS (SELECT FROM sparkify.users) AND NOT sparkify_internal.is_trainer()
                UNION ALL SELECT 'listening_events' WHERE NOT EXISTS (SELECT FROM sparkify.listening_events)",
    },
    Check {
        name: "track_ids_unique",
        severity: Severity::Error,
        remedy: "",
        failure: "track ids are empty, missing or not unique",
        query: "SELECT coalesce(track_id, '') FROM sparkify.tracks GROUP BY track_id
                HAVING pg_catalog.count(*) > 1 OR track_id IS NULL OR track_id = ''",
    },
    Check {
        name: "user_ids_unique",
        severity: Severity::Error,
        remedy: "",
        failure: "user ids are empty, missing or not unique",
        query: "SELECT coalesce(user_id, '') FROM sparkify.users GROUP BY user_id
                HAVING pg_catalog.count(*) > 1 OR user_id IS NULL OR user_id = ''",
    },
    Check {
        name: "events_complete",
        severity: Severity::Error,
        remedy: "",
        failure: "events lack a user, a track or a time",
        query: "SELECT event_id::text FROM sparkify.listening_events
                WHERE user_id IS NULL OR user_id = '' OR track_id IS NULL OR track_id = ''
                    OR played_at IS NULL OR NOT pg_catalog.isfinite(played_at)",
    },
    Check {
        name: "events_of_known_users",
        severity: Severity::Warning,
        remedy: "INSERT them INTO sparkify.users, or forget them with sparkify.forget_user()",
        failure: "users have events and no row in users",
        query: "SELECT e.user_id FROM (SELECT DISTINCT user_id FROM sparkify.listening_events) AS e
                WHERE NOT EXISTS (SELECT FROM sparkify.users AS u WHERE u.user_id = e.user_id)
                    AND NOT sparkify_internal.is_trainer()",
    },
    Check {
        name: "events_of_known_tracks",
        severity: Severity::Warning,
        remedy: "such plays do not count until the tracks are in the catalogue",
        failure: "tracks were played that are not in the catalogue",
        query: "SELECT e.track_id FROM (SELECT DISTINCT track_id FROM sparkify.listening_events) AS e
                WHERE NOT EXISTS (SELECT FROM sparkify.tracks AS t WHERE t.track_id = e.track_id)",
    },
    Check {
        name: "tracks_embedded",
        severity: Severity::Warning,
        remedy: "they come with the next model",
        failure: "tracks have no embedding",
        query: "SELECT t.track_id FROM sparkify.tracks AS t WHERE NOT EXISTS
                    (SELECT FROM sparkify.track_embeddings AS e WHERE e.model_id = $1 AND e.track_id = t.track_id)",
    },
    Check {
        name: "embeddings_of_one_shape",
        severity: Severity::Error,
        remedy: "",
        failure: "embeddings have not the model's dims",
        query: "SELECT e.track_id FROM sparkify.track_embeddings AS e JOIN sparkify.models AS m USING (model_id)
                WHERE e.model_id = $1 AND (pg_catalog.array_ndims(e.embedding) IS DISTINCT FROM 1
                    OR pg_catalog.cardinality(e.embedding) IS DISTINCT FROM (m.params ->> 'dims')::integer)",
    },
    Check {
        name: "embeddings_finite",
        severity: Severity::Error,
        remedy: "",
        failure: "embeddings hold a value that is missing or not finite",
        query: "SELECT track_id FROM sparkify.track_embeddings WHERE model_id = $1
                    AND (embedding && ARRAY['NaN', 'Infinity', '-Infinity']::real[]
                        OR CASE WHEN pg_catalog.array_ndims(embedding) = 1
                            THEN pg_catalog.array_position(embedding, NULL) IS NOT NULL
                            ELSE EXISTS (SELECT FROM pg_catalog.unnest(embedding) AS x WHERE x IS NULL) END)",
    },
    Check {
        name: "vectors_present",
        severity: Severity::Error,
        remedy: "",
        failure: "users have no vector",
        query: "SELECT u.user_id FROM sparkify.users AS u WHERE NOT EXISTS
                    (SELECT FROM sparkify.user_vectors AS v WHERE v.user_id = u.user_id AND v.model_id = $1)
                AND NOT EXISTS (SELECT FROM sparkify_internal.changed_users AS c WHERE c.user_id = u.user_id)",
    },
    Check {
        name: "vectors_of_unit_length",
        severity: Severity::Error,
        remedy: "",
        failure: "user vectors are not of length 1 and the model's dims, or not empty for the strategy popular",
        query: "SELECT v.user_id FROM sparkify.user_vectors AS v JOIN sparkify.models AS m USING (model_id)
                WHERE v.model_id = $1 AND CASE WHEN v.strategy = 'popular' THEN pg_catalog.cardinality(v.vector) <> 0
                    ELSE pg_catalog.cardinality(v.vector) IS DISTINCT FROM (m.params ->> 'dims')::integer
                        OR NOT coalesce((SELECT pg_catalog.sum(x::double precision * x)
                            FROM pg_catalog.unnest(v.vector) AS x) BETWEEN 0.9999 AND 1.0001, false) END",
    },
    Check {
        name: "users_served",
        severity: Severity::Error,
        remedy: "",
        failure: "users have no recommendations although there is something they have not played",
        query: "SELECT u.user_id FROM sparkify.users AS u
                WHERE NOT EXISTS (SELECT FROM sparkify.recommendation_lists AS r
                        WHERE r.user_id = u.user_id AND r.model_id = $1)
                    AND NOT EXISTS (SELECT FROM sparkify_internal.changed_users AS c WHERE c.user_id = u.user_id)
                    AND EXISTS (SELECT FROM sparkify.track_embeddings AS t
                        JOIN sparkify.tracks AS k USING (track_id) WHERE t.model_id = $1
                            AND NOT EXISTS (SELECT FROM sparkify.listening_events AS e
                                JOIN sparkify.track_embeddings AS p ON p.track_id = e.track_id AND p.model_id = $1
                                WHERE e.user_id = u.user_id AND p.song_key = t.song_key))",
    },
    Check {
        name: "served_users_exist",
        severity: Severity::Warning,
        remedy: "sparkify.forget_user() deletes them",
        failure: "users have recommendations and no row in users",
        query: "SELECT r.user_id FROM sparkify.recommendation_lists AS r
                WHERE r.model_id = $1
                    AND NOT EXISTS (SELECT FROM sparkify.users AS u WHERE u.user_id = r.user_id)
                    AND NOT EXISTS (SELECT FROM sparkify_internal.changed_users AS c WHERE c.user_id = r.user_id)",
    },
    Check {
        name: "scores_valid",
        severity: Severity::Error,
        remedy: "",
        failure: "users have a score outside -1 to 1, or 0 to 1 for the strategy popular",
        query: "SELECT user_id FROM sparkify.user_recommendations WHERE model_id = $1
                    AND NOT coalesce(score BETWEEN
                        CASE strategy WHEN 'popular' THEN 0 ELSE -1.000001 END AND 1.000001, false)
                GROUP BY user_id",
    },
    Check {
        name: "ranks_in_order",
        severity: Severity::Error,
        remedy: "",
        failure: "users have a list with a score above the one before",
        query: "SELECT user_id FROM (SELECT user_id, score,
                    pg_catalog.lag(score) OVER (PARTITION BY user_id ORDER BY rank) AS before
                    FROM sparkify.user_recommendations WHERE model_id = $1) AS r
                WHERE score > before GROUP BY user_id",
    },
    Check {
        name: "songs_recommended_once",
        severity: Severity::Error,
        remedy: "",
        failure: "users have a list with two versions of a song",
        query: "SELECT r.user_id FROM sparkify.user_recommendations AS r
                JOIN sparkify.track_embeddings AS e USING (model_id, track_id)
                WHERE r.model_id = $1 GROUP BY r.user_id
                HAVING pg_catalog.count(*) > pg_catalog.count(DISTINCT e.song_key)",
    },
    Check {
        name: "recommended_tracks_exist",
        severity: Severity::Error,
        remedy: "",
        failure: "recommended tracks have no embedding, or have left the catalogue",
        query: "SELECT r.track_id FROM (SELECT DISTINCT track_id FROM sparkify.user_recommendations
                    WHERE model_id = $1) AS r
                WHERE NOT EXISTS (SELECT FROM sparkify_internal.deleted_tracks AS d WHERE d.track_id = r.track_id)
                    AND (NOT EXISTS (SELECT FROM sparkify.tracks AS t WHERE t.track_id = r.track_id)
                        OR NOT EXISTS (SELECT FROM sparkify.track_embeddings AS e
                            WHERE e.model_id = $1 AND e.track_id = r.track_id))",
    },
    Check {
        name: "nothing_played_recommended",
        severity: Severity::Error,
        remedy: "",
        failure: "users were recommended what they have played",
        query: "SELECT r.user_id FROM sparkify.user_recommendations AS r
                JOIN sparkify.listening_events AS e USING (user_id, track_id)
                WHERE r.model_id = $1 AND e.played_at <= r.generated_at
                    AND NOT EXISTS (SELECT FROM sparkify_internal.changed_users AS c WHERE c.user_id = r.user_id)
                GROUP BY r.user_id",
    },
    Check {
        name: "scores_reproducible",
        severity: Severity::Error,
        remedy: "",
        failure: "of the first hundred users have a stored score that is not the cosine of the stored vectors",
        query: "SELECT r.user_id FROM (SELECT user_id, vector FROM sparkify.user_vectors
                    WHERE model_id = $1 AND strategy <> 'popular' ORDER BY user_id LIMIT 100) AS v
                JOIN sparkify.user_recommendations AS r ON r.user_id = v.user_id AND r.model_id = $1
                JOIN sparkify.track_embeddings AS e ON e.model_id = $1 AND e.track_id = r.track_id
                CROSS JOIN LATERAL (SELECT pg_catalog.sum(a::double precision * b)
                        / nullif(pg_catalog.sqrt(pg_catalog.sum(b::double precision * b)), 0) AS cosine
                    FROM ROWS FROM (pg_catalog.unnest(v.vector), pg_catalog.unnest(e.embedding)) AS x (a, b)) AS s
                WHERE pg_catalog.abs(r.score - coalesce(s.cosine, 0)) > 0.0001
                    AND NOT EXISTS (SELECT FROM sparkify_internal.changed_users AS c WHERE c.user_id = r.user_id)
                GROUP BY r.user_id",
    },
    Check {
        name: "nothing_of_deleted_models",
        severity: Severity::Warning,
        remedy: "the pipeline deletes them",
        failure: "models are gone and have left vectors or recommendations",
        query: "SELECT o.model_id::text FROM (
                    SELECT model_id FROM sparkify.track_embeddings UNION SELECT model_id FROM sparkify.genre_embeddings
                    UNION SELECT model_id FROM sparkify.user_vectors UNION SELECT model_id FROM sparkify.recommendation_lists) AS o
                WHERE NOT EXISTS (SELECT FROM sparkify.models AS m WHERE m.model_id = o.model_id)",
    },
];
