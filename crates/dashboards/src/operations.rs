//! *Operations*: whether the pipeline runs, what it says, and what waits.

use serde_json::Value;

use crate::board::Board;
use crate::panel::{
    chart, decimal, figure, figures, long_text, number, seconds, series, share, status, table,
    text, text_of, time,
};

const OPERATIONS: &str = "sparkify-operations";

const STATE: &str = "\
SELECT COALESCE(p.status, 'never ran') AS \"last run\",
       extract(epoch FROM p.last_run) * 1000 AS \"began\",
       extract(epoch FROM p.last_success) * 1000 AS \"last success\",
       CASE WHEN p.healthy THEN 'healthy' WHEN NOT p.healthy THEN 'not healthy' ELSE 'no run yet' END AS \"pipeline\",
       b.users_waiting AS \"users waiting\", b.changes_waiting AS \"changes waiting\",
       CASE WHEN b.recount_since IS NULL THEN 'up to date'
            ELSE 'counted afresh since ' || to_char(b.recount_since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') END AS \"summaries\"
FROM sparkify.pipeline_status p CROSS JOIN sparkify.refresh_backlog b";

/// A point a run, where it began: right at any range, unlike a bar that has to be stretched to be seen.
const RUNS: &str = "\
SELECT started_at AS \"time\",
       CASE WHEN status = 'succeeded' THEN took END AS \"succeeded\",
       CASE WHEN status = 'failed' THEN took END AS \"failed\",
       CASE WHEN status = 'running' THEN took END AS \"running\"
FROM (
    SELECT started_at, status, extract(epoch FROM COALESCE(finished_at, clock_timestamp()) - started_at)::double precision AS took
    FROM sparkify.pipeline_runs
    WHERE step = 'pipeline' AND status <> 'skipped' AND $__timeFilter(started_at)
) AS run
ORDER BY 1";

const STEPS: &str = "\
WITH step AS (
    SELECT run_id, step, status, started_at, finished_at, rows, message FROM sparkify.pipeline_runs
    WHERE run_id IN (SELECT run_id FROM sparkify.pipeline_runs WHERE step = 'pipeline' ORDER BY run_id DESC LIMIT 5)
)
SELECT run_id AS run, step, status, started_at AS began,
       GREATEST(extract(epoch FROM COALESCE(finished_at, clock_timestamp()) - started_at), 0)::double precision AS took,
       rows, COALESCE(message, '') AS message
FROM step
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, 'The pipeline never ran: CALL sparkify.run_pipeline(), or SELECT * FROM sparkify.schedule_pipeline().'
WHERE NOT EXISTS (SELECT FROM step)
ORDER BY run DESC NULLS LAST, began DESC, took";

const FAILURES: &str = "\
WITH failure AS (
    SELECT run_id, step, started_at, COALESCE(message, '') AS message FROM sparkify.pipeline_runs
    WHERE status = 'failed' AND step <> 'pipeline' AND $__timeFilter(started_at)
    ORDER BY run_id DESC LIMIT 50
)
SELECT run_id AS run, step, started_at AS began, message FROM failure
UNION ALL
SELECT NULL, NULL, NULL, 'No step failed in the time range.' WHERE NOT EXISTS (SELECT FROM failure)
ORDER BY run DESC NULLS LAST";

const MODELS: &str = "\
WITH model AS (
    SELECT model_id, kind, trained_at, metrics, active, stored FROM sparkify.model_history
    ORDER BY trained_at DESC, model_id DESC LIMIT 50
)
SELECT model_id AS model, kind, CASE WHEN active THEN 'serves' WHEN stored THEN 'kept' ELSE 'pruned' END AS state, trained_at AS trained,
       (metrics ->> 'tracks')::bigint AS tracks, (metrics ->> 'features')::bigint AS features,
       (metrics ->> 'explained_variance')::double precision AS variance,
       (SELECT sum(value::double precision) / 1000 FROM jsonb_each_text(CASE WHEN jsonb_typeof(metrics -> 'milliseconds') = 'object' THEN metrics -> 'milliseconds' END)) AS built
FROM model
UNION ALL
SELECT NULL, 'No model was built yet.', NULL, NULL, NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM model)
ORDER BY trained DESC NULLS LAST, model DESC";

const VALIDATION: &str = "\
WITH found AS (
    SELECT run_id, status, started_at, COALESCE(message, '') AS message
    FROM sparkify.pipeline_runs WHERE step = 'validation'
    ORDER BY run_id DESC LIMIT 5
)
SELECT run_id AS run, status, started_at AS began, message FROM found
UNION ALL
SELECT NULL, NULL, NULL, 'Nothing was validated yet.' WHERE NOT EXISTS (SELECT FROM found)
ORDER BY run DESC NULLS LAST";

const CLEANING: &str = "\
WITH found AS (
    SELECT run_id, started_at, rows, COALESCE(message, '') AS message
    FROM sparkify.pipeline_runs WHERE step = 'clean' AND status IN ('succeeded', 'failed') AND $__timeFilter(started_at)
    ORDER BY run_id DESC LIMIT 20
)
SELECT run_id AS run, started_at AS began, rows AS written, message FROM found
UNION ALL
SELECT NULL, NULL, NULL, 'No catalogue rows were cleaned by the pipeline in the time range.' WHERE NOT EXISTS (SELECT FROM found)
ORDER BY run DESC NULLS LAST";

/// The newest only: a flood of refusals must not slow the board down.
const REJECTED: &str = "\
WITH newest AS (
    SELECT source, reason, rejected_at FROM (
        (SELECT source, reason, rejected_at FROM sparkify.rejections
         WHERE source = 'events' AND $__timeFilter(rejected_at) ORDER BY rejected_at DESC LIMIT 5000)
        UNION ALL
        (SELECT source, reason, rejected_at FROM sparkify.rejections
         WHERE source = 'tracks' AND $__timeFilter(rejected_at) ORDER BY rejected_at DESC LIMIT 5000)
    ) AS row
)
SELECT source, reason, count(*) AS rows, max(rejected_at) AS last FROM newest GROUP BY source, reason
UNION ALL
SELECT NULL, 'Nothing was refused in the time range.', NULL, NULL WHERE NOT EXISTS (SELECT FROM newest)
ORDER BY rows DESC NULLS LAST, reason
LIMIT 20";

const STREAMS: &str = "\
WITH found AS (
    SELECT stream, partition, running, lag, events_per_second, messages, rejected, lost, seen_at, COALESCE(last_error, '') AS error
    FROM sparkify.stream_status ORDER BY stream, partition LIMIT 100
)
SELECT stream, partition, CASE WHEN running THEN 'running' ELSE 'stopped' END AS state, lag,
       events_per_second AS \"per second\", messages, rejected, lost, seen_at AS seen, error FROM found
UNION ALL
SELECT 'There is no stream.', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM found)
ORDER BY stream, partition";

#[allow(clippy::too_many_lines, reason = "one row of the board after another")]
pub fn board() -> Value {
    let coloured = |name, states: Value| {
        figure(name, "string", 0)
            .set("mappings", serde_json::json!([{ "type": "value", "options": states }]))
    };
    let moment = |name| figure(name, "time:YYYY-MM-DD HH:mm", 0);
    Board {
        uid: OPERATIONS,
        title: "Operations",
        description: "Whether the pipeline runs, what it says, and what waits.",
        from: "now-30d",
        variables: vec![],
        rows: vec![
            (4, vec![(24, figures(
                "State · now",
                "The last run of the pipeline; healthy: the last that ended succeeded, at most 26 hours ago. Users waiting changed since their lists were refreshed. Changes waiting correct the summaries at each query; a summary that is counted afresh makes the boards slow until refresh_summaries().",
                STATE,
                vec![
                    coloured("last run", serde_json::json!({
                        "succeeded": { "color": "green", "index": 0 }, "running": { "color": "blue", "index": 1 },
                        "interrupted": { "color": "orange", "index": 2 }, "failed": { "color": "red", "index": 3 } })),
                    moment("began"), moment("last success").set("noValue", "never".into()),
                    coloured("pipeline", serde_json::json!({
                        "healthy": { "color": "green", "index": 0 }, "not healthy": { "color": "red", "index": 1 } })),
                    coloured("summaries", serde_json::json!({ "up to date": { "color": "green", "index": 0 } })),
                ],
            ))]),
            (8, vec![
                (12, chart(
                    "Runs of the pipeline",
                    "How long each run took, where it began, in the colour of how it ended.",
                    RUNS, "points", "The pipeline did not run in this time range.",
                    vec![series("succeeded", "green"), series("failed", "red"), series("running", "blue")],
                ).unit("s", 1)),
                (12, table(
                    "Failed steps",
                    "Steps that failed in the time range, with what they said.",
                    FAILURES,
                    vec![decimal("run", 55, 0), text_of("step", 125), time("began"), long_text("message")],
                )),
            ]),
            (12, vec![(24, table(
                "Steps of the last five runs · all time",
                "Newest first. The step pipeline is the run as a whole.",
                STEPS,
                vec![decimal("run", 55, 0), text_of("step", 130), status("status"), time("began"), seconds("took", 80), number("rows", 90), long_text("message")],
            ))]),
            (10, vec![(24, table(
                "Models · all time",
                "The 50 newest models. Variance: what the dimensions of a content model explain. Built: time it took to build.",
                MODELS,
                vec![decimal("model", 65, 0), text("kind"), text_of("state", 80), time("trained"), number("tracks", 90), number("features", 90), share("variance", 90), seconds("built", 80)],
            ))]),
            (10, vec![
                (12, table(
                    "Validation · last five runs",
                    "What the pipeline's validation found. For every check by itself call sparkify.validate().",
                    VALIDATION,
                    vec![decimal("run", 55, 0), status("status"), time("began"), long_text("message")],
                )),
                (12, table(
                    "Cleaned and repaired rows",
                    "What cleaning made of delivered catalogue rows in the time range: read, refused, merged, repaired, written.",
                    CLEANING,
                    vec![decimal("run", 55, 0), time("began"), number("written", 80), long_text("message")],
                )),
            ]),
            (10, vec![(24, table(
                "Refused rows, by reason",
                "Events and catalogue rows refused in the time range, of the 5,000 newest of each. What they held stands in rejected_events and rejected_tracks.",
                REJECTED,
                vec![text_of("source", 80), long_text("reason"), number("rows", 80), time("last")],
            ))]),
            (8, vec![(24, table(
                "Streams · now",
                "How far each partition of each stream has come: lag is the number of messages that wait, rejected those that were no valid event, lost those that the topic no longer had.",
                STREAMS,
                vec![text("stream"), decimal("partition", 85, 0), text_of("state", 80), number("lag", 90), decimal("per second", 95, 1),
                     number("messages", 110), number("rejected", 85), number("lost", 70), time("seen"), long_text("error")],
            ))]),
        ],
    }
    .into_json()
}
