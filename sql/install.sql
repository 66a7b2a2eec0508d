-- Written by make schema; the extension is installed from it. Lines "-- include"
-- stand for the files they name.

-- include sql/schemas.sql

-- include sql/help.sql

-- include sql/turns.sql

-- src/api/embeddings.rs
-- sparkify::api::embeddings::activate_model
CREATE  FUNCTION "activate_model"(
	"model_id" bigint /* Option < i64 > */
) RETURNS void
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'activate_model_wrapper';

-- src/api/embeddings.rs
-- sparkify::api::embeddings::build_embeddings
CREATE  FUNCTION "build_embeddings"(
	"dims" INT DEFAULT NULL, /* Option < i32 > */
	"activate" bool DEFAULT true, /* Option < bool > */
	"half_life_days" double precision DEFAULT 30.0, /* Option < f64 > */
	"genre_weight" double precision DEFAULT 5.0 /* Option < f64 > */
) RETURNS bigint /* i64 */
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'build_embeddings_wrapper';

-- src/api/refresh.rs
-- sparkify::api::refresh::build_user_vectors
CREATE  FUNCTION "build_user_vectors"(
	"model_id" bigint DEFAULT NULL /* Option < i64 > */
) RETURNS bigint /* i64 */
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'build_user_vectors_wrapper';

-- src/api/catalogue.rs
-- sparkify::api::catalogue::clean_tracks
CREATE  FUNCTION "clean_tracks"() RETURNS TABLE (
	"step" TEXT,  /* String */
	"rows" bigint  /* i64 */
)
STRICT VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'clean_tracks_wrapper';

-- src/api/explore.rs
-- sparkify::api::explore::correlate_tracks
CREATE  FUNCTION "correlate_tracks"() RETURNS TABLE (
	"feature_a" TEXT,  /* & '_ str */
	"feature_b" TEXT,  /* & '_ str */
	"n" bigint,  /* i64 */
	"correlation" double precision  /* Option < f64 > */
)
STRICT STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'correlate_tracks_wrapper';

-- src/api/evaluate.rs
-- sparkify::api::evaluate::evaluate_model
CREATE  FUNCTION "evaluate_model"(
	"kind" TEXT DEFAULT 'hybrid', /* Option < & str > */
	"holdout" interval DEFAULT '14 days', /* Option < Interval > */
	"k" INT DEFAULT 20, /* Option < i32 > */
	"max_users" INT DEFAULT 10000, /* Option < i32 > */
	"dims" INT DEFAULT 128, /* Option < i32 > */
	"half_life_days" double precision DEFAULT NULL, /* Option < f64 > */
	"seed" bigint DEFAULT 42, /* Option < i64 > */
	"threads" INT DEFAULT 2, /* Option < i32 > */
	"genre_weight" double precision DEFAULT 5.0 /* Option < f64 > */
) RETURNS TABLE (
	"subject" TEXT,  /* String */
	"plays" TEXT,  /* String */
	"metric" TEXT,  /* String */
	"k" INT,  /* i32 */
	"value" double precision,  /* f64 */
	"standard_error" double precision,  /* Option < f64 > */
	"users" bigint  /* i64 */
)
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'evaluate_model_wrapper';

-- src/api/explain.rs
-- sparkify::api::explain::explain_recommendation
CREATE  FUNCTION "explain_recommendation"(
	"user_id" TEXT, /* Option < & str > */
	"track_id" TEXT, /* Option < & str > */
	"n" INT DEFAULT 5, /* Option < i32 > */
	"model_id" bigint DEFAULT NULL /* Option < i64 > */
) RETURNS TABLE (
	"rank" INT,  /* i32 */
	"track_id" TEXT,  /* Option < String > */
	"track_name" TEXT,  /* Option < String > */
	"primary_artist" TEXT,  /* Option < String > */
	"genre" TEXT,  /* Option < String > */
	"last_played" timestamp with time zone,  /* Option < TimestampWithTimeZone > */
	"part" double precision,  /* f64 */
	"score" double precision  /* f64 */
)
STABLE PARALLEL SAFE COST 10000
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'explain_recommendation_wrapper';

-- src/api/simulation.rs
-- sparkify::api::simulation::generate_events
CREATE  FUNCTION "generate_events"(
	"events_per_user" INT DEFAULT 60, /* Option < i32 > */
	"days" INT DEFAULT 120, /* Option < i32 > */
	"until" timestamp with time zone DEFAULT pg_catalog.date_trunc('hour', pg_catalog.now()), /* Option < TimestampWithTimeZone > */
	"seed" bigint DEFAULT 42, /* Option < i64 > */
	"since" timestamp with time zone DEFAULT NULL, /* Option < TimestampWithTimeZone > */
	"activity_spread" double precision DEFAULT 1.2, /* Option < f64 > */
	"session_plays" double precision DEFAULT 8.0, /* Option < f64 > */
	"weekend_factor" double precision DEFAULT 1.1, /* Option < f64 > */
	"doubling_days" double precision DEFAULT 240.0, /* Option < f64 > */
	"monthly_churn" double precision DEFAULT 0.055, /* Option < f64 > */
	"popularity_exponent" double precision DEFAULT 1.6, /* Option < f64 > */
	"unplayed_share" double precision DEFAULT 0.1, /* Option < f64 > */
	"popularity_drift" double precision DEFAULT 0.7, /* Option < f64 > */
	"taste_drift" double precision DEFAULT 0.5, /* Option < f64 > */
	"repeat_share" double precision DEFAULT 0.5, /* Option < f64 > */
	"fade_days" double precision DEFAULT 20.0, /* Option < f64 > */
	"coherence" double precision DEFAULT 0.85, /* Option < f64 > */
	"skip_rate" double precision DEFAULT 0.486, /* Option < f64 > */
	"skip_taste" double precision DEFAULT 1.0, /* Option < f64 > */
	"include_real_users" bool DEFAULT false /* Option < bool > */
) RETURNS bigint /* i64 */
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'generate_events_wrapper';

-- src/api/catalogue.rs
-- sparkify::api::catalogue::generate_tracks
CREATE  FUNCTION "generate_tracks"(
	"n" INT DEFAULT 10000, /* Option < i32 > */
	"seed" bigint DEFAULT 42 /* Option < i64 > */
) RETURNS bigint /* i64 */
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'generate_tracks_wrapper';

-- src/api/simulation.rs
-- sparkify::api::simulation::generate_users
CREATE  FUNCTION "generate_users"(
	"n" INT DEFAULT 500, /* Option < i32 > */
	"seed" bigint DEFAULT 42, /* Option < i64 > */
	"undeclared_share" double precision DEFAULT 0.2, /* Option < f64 > */
	"until" timestamp with time zone DEFAULT pg_catalog.date_trunc('hour', pg_catalog.now()) /* Option < TimestampWithTimeZone > */
) RETURNS bigint /* i64 */
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'generate_users_wrapper';

-- src/api/explore.rs
-- sparkify::api::explore::histogram_tracks
CREATE  FUNCTION "histogram_tracks"(
	"feature" TEXT, /* Option < & str > */
	"bins" INT DEFAULT 20 /* Option < i32 > */
) RETURNS TABLE (
	"bin" INT,  /* i32 */
	"lower" double precision,  /* f64 */
	"upper" double precision,  /* f64 */
	"count" bigint  /* i64 */
)
STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'histogram_tracks_wrapper';

-- src/api/imported.rs
-- sparkify::api::imported::import_embeddings
CREATE  FUNCTION "import_embeddings"(
	"source" TEXT, /* Option < & str > */
	"activate" bool DEFAULT true, /* Option < bool > */
	"metric" TEXT DEFAULT 'cosine', /* Option < & str > */
	"half_life_days" double precision DEFAULT 30.0 /* Option < f64 > */
) RETURNS bigint /* i64 */
VOLATILE PARALLEL UNSAFE
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'import_embeddings_wrapper';

-- src/api/history.rs
-- sparkify::api::history::import_events
CREATE  FUNCTION "import_events"(
	"source" TEXT, /* Option < & str > */
	"columns" jsonb DEFAULT NULL /* Option < Document > */
) RETURNS TABLE (
	"accepted" bigint,  /* i64 */
	"duplicate" bigint,  /* i64 */
	"unmatched" bigint,  /* i64 */
	"passed_over" bigint,  /* i64 */
	"rejected" bigint  /* i64 */
)
VOLATILE PARALLEL UNSAFE
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'import_events_wrapper';

-- src/api/history.rs
-- sparkify::api::history::import_history
CREATE  FUNCTION "import_history"(
	"history" jsonb, /* Option < Document > */
	"user_id" TEXT, /* Option < & str > */
	"format" TEXT DEFAULT 'auto' /* Option < & str > */
) RETURNS TABLE (
	"accepted" bigint,  /* i64 */
	"duplicate" bigint,  /* i64 */
	"unmatched" bigint,  /* i64 */
	"passed_over" bigint,  /* i64 */
	"rejected" bigint  /* i64 */
)
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'import_history_wrapper';

-- src/api/catalogue.rs
-- sparkify::api::catalogue::import_tracks
CREATE  FUNCTION "import_tracks"(
	"source" TEXT, /* Option < & str > */
	"columns" jsonb DEFAULT NULL /* Option < Document > */
) RETURNS bigint /* i64 */
VOLATILE PARALLEL UNSAFE
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'import_tracks_wrapper';

-- src/api/simulation.rs
-- sparkify::api::simulation::is_simulated
CREATE  FUNCTION "is_simulated"(
	"event_id" uuid /* Uuid */
) RETURNS bool /* bool */
IMMUTABLE STRICT PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'is_simulated_wrapper';

-- src/api/history.rs
-- sparkify::api::history::load_history
CREATE  FUNCTION "load_history"(
	"path" TEXT, /* Option < & str > */
	"user_id" TEXT, /* Option < & str > */
	"format" TEXT DEFAULT 'auto' /* Option < & str > */
) RETURNS TABLE (
	"accepted" bigint,  /* i64 */
	"duplicate" bigint,  /* i64 */
	"unmatched" bigint,  /* i64 */
	"passed_over" bigint,  /* i64 */
	"rejected" bigint  /* i64 */
)
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'load_history_wrapper';

-- src/api/catalogue.rs
-- sparkify::api::catalogue::load_tracks
CREATE  FUNCTION "load_tracks"(
	"path" TEXT, /* Option < & str > */
	"columns" jsonb DEFAULT NULL /* Option < Document > */
) RETURNS bigint /* i64 */
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'load_tracks_wrapper';

-- src/api/history.rs
-- sparkify::api::history::match_plays
CREATE  FUNCTION "match_plays"() RETURNS TABLE (
	"accepted" bigint,  /* i64 */
	"duplicate" bigint,  /* i64 */
	"unmatched" bigint  /* i64 */
)
STRICT VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'match_plays_wrapper';

-- src/api/explore.rs
-- sparkify::api::explore::outlier_tracks
CREATE  FUNCTION "outlier_tracks"(
	"feature" TEXT DEFAULT NULL /* Option < & str > */
) RETURNS TABLE (
	"track_id" TEXT,  /* String */
	"track_name" TEXT,  /* String */
	"feature" TEXT,  /* & '_ str */
	"value" double precision,  /* f64 */
	"lower_fence" double precision,  /* f64 */
	"upper_fence" double precision  /* f64 */
)
STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'outlier_tracks_wrapper';

-- src/api/charts.rs
-- sparkify::api::charts::popular_tracks
CREATE  FUNCTION "popular_tracks"(
	"n" INT DEFAULT 10, /* Option < i32 > */
	"since" interval DEFAULT NULL, /* Option < Interval > */
	"genres" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"country" TEXT DEFAULT NULL, /* Option < & str > */
	"distinct_songs" bool DEFAULT true, /* Option < bool > */
	"model_id" bigint DEFAULT NULL /* Option < i64 > */
) RETURNS TABLE (
	"rank" INT,  /* i32 */
	"track_id" TEXT,  /* String */
	"track_name" TEXT,  /* String */
	"primary_artist" TEXT,  /* Option < String > */
	"genre" TEXT,  /* Option < String > */
	"listeners" bigint,  /* i64 */
	"score" real  /* f32 */
)
STABLE PARALLEL SAFE COST 10000
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'popular_tracks_wrapper';

-- src/api/explore.rs
-- sparkify::api::explore::profile_tracks
CREATE  FUNCTION "profile_tracks"() RETURNS TABLE (
	"column_name" TEXT,  /* String */
	"data_type" TEXT,  /* String */
	"rows" bigint,  /* i64 */
	"missing" bigint,  /* i64 */
	"zeros" bigint,  /* Option < i64 > */
	"distinct_values" bigint,  /* i64 */
	"min" double precision,  /* Option < f64 > */
	"q1" double precision,  /* Option < f64 > */
	"median" double precision,  /* Option < f64 > */
	"q3" double precision,  /* Option < f64 > */
	"max" double precision,  /* Option < f64 > */
	"mean" double precision,  /* Option < f64 > */
	"stddev" double precision,  /* Option < f64 > */
	"outliers" bigint  /* Option < i64 > */
)
STRICT STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'profile_tracks_wrapper';

-- src/api/recommend.rs
-- sparkify::api::recommend::recommend
CREATE  FUNCTION "recommend"(
	"user_id" TEXT, /* Option < & str > */
	"n" INT DEFAULT 10, /* Option < i32 > */
	"exclude" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"candidates" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"genres" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"distinct_songs" bool DEFAULT true, /* Option < bool > */
	"model_id" bigint DEFAULT NULL /* Option < i64 > */
) RETURNS TABLE (
	"rank" INT,  /* i32 */
	"track_id" TEXT,  /* String */
	"track_name" TEXT,  /* String */
	"primary_artist" TEXT,  /* Option < String > */
	"genre" TEXT,  /* Option < String > */
	"score" real,  /* f32 */
	"strategy" TEXT,  /* & '_ str */
	"model_id" bigint  /* i64 */
)
STABLE PARALLEL SAFE COST 10000
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'recommend_wrapper';

-- src/api/recommend.rs
-- sparkify::api::recommend::recommend_for
CREATE  FUNCTION "recommend_for"(
	"tracks" TEXT[], /* :: std :: option :: Option < Array < '_, & str > > */
	"n" INT DEFAULT 10, /* Option < i32 > */
	"exclude" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"candidates" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"genres" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"distinct_songs" bool DEFAULT true, /* Option < bool > */
	"model_id" bigint DEFAULT NULL /* Option < i64 > */
) RETURNS TABLE (
	"rank" INT,  /* i32 */
	"track_id" TEXT,  /* String */
	"track_name" TEXT,  /* String */
	"primary_artist" TEXT,  /* Option < String > */
	"genre" TEXT,  /* Option < String > */
	"score" real,  /* f32 */
	"strategy" TEXT,  /* & '_ str */
	"model_id" bigint  /* i64 */
)
STABLE PARALLEL SAFE COST 10000
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'recommend_for_wrapper';

-- src/api/recommend.rs
-- sparkify::api::recommend::recommend_json
CREATE  FUNCTION "recommend_json"(
	"user_id" TEXT, /* Option < & str > */
	"n" INT DEFAULT 10 /* Option < i32 > */
) RETURNS jsonb /* pgrx :: JsonB */
STABLE PARALLEL SAFE COST 10000
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'recommend_json_wrapper';

-- src/api/refresh.rs
-- sparkify::api::refresh::refresh_recommendations
CREATE  FUNCTION "refresh_recommendations"(
	"n" INT DEFAULT 10, /* Option < i32 > */
	"model_id" bigint DEFAULT NULL, /* Option < i64 > */
	"force" bool DEFAULT false, /* Option < bool > */
	"threads" INT DEFAULT 2 /* Option < i32 > */
) RETURNS bigint /* i64 */
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'refresh_recommendations_wrapper';

-- src/api/simulation.rs
-- sparkify::api::simulation::reset_simulation
CREATE  FUNCTION "reset_simulation"() RETURNS bigint /* i64 */
STRICT VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'reset_simulation_wrapper';

-- src/api/similar.rs
-- sparkify::api::similar::similar_tracks
CREATE  FUNCTION "similar_tracks"(
	"track_id" TEXT, /* Option < & str > */
	"n" INT DEFAULT 10, /* Option < i32 > */
	"exclude" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"candidates" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"genres" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"distinct_songs" bool DEFAULT true, /* Option < bool > */
	"model_id" bigint DEFAULT NULL /* Option < i64 > */
) RETURNS TABLE (
	"rank" INT,  /* i32 */
	"track_id" TEXT,  /* String */
	"track_name" TEXT,  /* String */
	"primary_artist" TEXT,  /* Option < String > */
	"genre" TEXT,  /* Option < String > */
	"score" real  /* f32 */
)
STABLE PARALLEL SAFE COST 10000
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'similar_tracks_wrapper';

-- src/api/similar.rs
-- sparkify::api::similar::similar_users
CREATE  FUNCTION "similar_users"(
	"user_id" TEXT, /* Option < & str > */
	"n" INT DEFAULT 10, /* Option < i32 > */
	"model_id" bigint DEFAULT NULL /* Option < i64 > */
) RETURNS TABLE (
	"rank" INT,  /* i32 */
	"user_id" TEXT,  /* String */
	"score" real  /* f32 */
)
STABLE PARALLEL SAFE COST 100000
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'similar_users_wrapper';

-- src/api/simulation.rs
-- sparkify::api::simulation::simulation_report
CREATE  FUNCTION "simulation_report"() RETURNS TABLE (
	"metric" TEXT,  /* String */
	"source" TEXT,  /* String */
	"target" double precision,  /* f64 */
	"tolerance" double precision,  /* f64 */
	"measured" double precision,  /* Option < f64 > */
	"within" bool  /* Option < bool > */
)
STRICT STABLE PARALLEL RESTRICTED
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'simulation_report_wrapper';

-- src/api/catalogue.rs
-- sparkify::api::catalogue::song_key
CREATE  FUNCTION "song_key"(
	"track_name" TEXT, /* & str */
	"artists" TEXT[] /* Array < '_, & str > */
) RETURNS uuid /* Uuid */
IMMUTABLE STRICT PARALLEL SAFE
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'song_key_wrapper';

-- include sql/tables.sql

-- include sql/ingest.sql

-- include sql/learning.sql

-- include sql/imports.sql

-- include sql/simulator.sql

-- include sql/triggers.sql

-- include sql/catalogue.sql

-- src/api/train.rs
-- sparkify::api::train::train_model
CREATE  FUNCTION "train_model"(
	"kind" TEXT DEFAULT 'hybrid', /* Option < & str > */
	"dims" INT DEFAULT NULL, /* Option < i32 > */
	"activate" bool DEFAULT true, /* Option < bool > */
	"half_life_days" double precision DEFAULT NULL, /* Option < f64 > */
	"until" timestamp with time zone DEFAULT NULL, /* Option < TimestampWithTimeZone > */
	"seed" bigint DEFAULT 42, /* Option < i64 > */
	"threads" INT DEFAULT 2, /* Option < i32 > */
	"ridge" double precision DEFAULT NULL, /* Option < f64 > */
	"output_exponent" double precision DEFAULT NULL, /* Option < f64 > */
	"neighbour_weight" double precision DEFAULT NULL, /* Option < f64 > */
	"alpha" double precision DEFAULT 0.15, /* Option < f64 > */
	"iterations" INT DEFAULT 4, /* Option < i32 > */
	"boost" double precision DEFAULT 1.5, /* Option < f64 > */
	"genre_weight" double precision DEFAULT 5.0 /* Option < f64 > */
) RETURNS bigint /* i64 */
VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'train_model_wrapper';

-- include sql/training.sql

-- src/api/charts.rs
-- sparkify::api::charts::trending
CREATE  FUNCTION "trending"(
	"n" INT DEFAULT 10, /* Option < i32 > */
	"since" interval DEFAULT '7 days', /* Option < Interval > */
	"genres" TEXT[] DEFAULT NULL, /* :: std :: option :: Option < Array < '_, & str > > */
	"country" TEXT DEFAULT NULL /* Option < & str > */
) RETURNS TABLE (
	"rank" INT,  /* i32 */
	"track_id" TEXT,  /* String */
	"track_name" TEXT,  /* String */
	"primary_artist" TEXT,  /* Option < String > */
	"genre" TEXT,  /* Option < String > */
	"listeners" bigint,  /* i64 */
	"listeners_before" bigint,  /* i64 */
	"score" real  /* f32 */
)
STABLE PARALLEL SAFE COST 100000
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'trending_wrapper';

-- src/api/validate.rs
-- sparkify::api::validate::validate
CREATE  FUNCTION "validate"(
	"model_id" bigint DEFAULT NULL /* Option < i64 > */
) RETURNS TABLE (
	"check_name" TEXT,  /* String */
	"passed" bool,  /* bool */
	"failures" bigint,  /* i64 */
	"detail" TEXT,  /* String */
	"severity" TEXT  /* String */
)
STABLE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'validate_wrapper';

-- src/lib.rs
CREATE SCHEMA IF NOT EXISTS sparkify_internal; /* sparkify::sparkify_internal */

-- src/api/pipeline.rs
-- sparkify::api::pipeline::lock_pipeline
CREATE  FUNCTION sparkify_internal."lock_pipeline"() RETURNS bool /* bool */
STRICT VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'lock_pipeline_wrapper';

-- src/api/streams.rs
-- sparkify::api::streams::close_stream
CREATE  FUNCTION sparkify_internal."close_stream"(
	"keep_lock" bool /* bool */
) RETURNS TEXT /* Option < String > */
STRICT VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'close_stream_wrapper';

-- src/api/plays.rs
-- sparkify::api::plays::count_plays
CREATE  FUNCTION sparkify_internal."count_plays"() RETURNS TABLE (
	"dimension" TEXT,  /* String */
	"name" TEXT,  /* String */
	"plays" bigint,  /* i64 */
	"listeners" bigint,  /* i64 */
	"skipped" bigint,  /* i64 */
	"skip_known" bigint  /* i64 */
)
STRICT STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'count_plays_wrapper';

-- include sql/summaries.sql

-- include sql/reach.sql

-- include sql/views.sql

-- include sql/outcomes.sql

-- include sql/dashboard.sql

-- src/api/pipeline.rs
-- sparkify::api::pipeline::unlock_pipeline
CREATE  FUNCTION sparkify_internal."unlock_pipeline"() RETURNS void
STRICT VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'unlock_pipeline_wrapper';

-- include sql/pipeline.sql

-- src/api/streams.rs
-- sparkify::api::streams::read_stream
CREATE  FUNCTION sparkify_internal."read_stream"(
	"name" TEXT, /* & str */
	"batch_rows" INT, /* i32 */
	"memory_mb" INT, /* i32 */
	"seconds" double precision, /* f64 */
	"until_end" bool /* bool */
) RETURNS TEXT /* & '_ str */
STRICT VOLATILE PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'read_stream_wrapper';

-- src/api/streams.rs
-- sparkify::api::streams::check_stream_columns
CREATE  FUNCTION sparkify_internal."check_stream_columns"(
	"columns" jsonb /* Document */
) RETURNS void
IMMUTABLE STRICT PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'check_stream_columns_wrapper';

-- include sql/streams.sql

-- include sql/access.sql

-- src/api/estimates.rs
-- sparkify::api::estimates::estimate_rows
CREATE  FUNCTION sparkify_internal."estimate_rows"(
	"request" internal /* Internal */
) RETURNS internal /* Internal */
IMMUTABLE STRICT PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c /* Rust */
AS 'MODULE_PATHNAME', 'estimate_rows_wrapper';

-- include sql/serving.sql

-- include sql/cells.sql

-- include sql/cells_setup.sql

-- include sql/privileges.sql
