//! Sparkify: a music recommendation pipeline that is a PostgreSQL extension.
//!
//! `api` holds the SQL-callable functions, `storage` talks to tables, and the
//! mathematics is the crate `sparkify-core`, which knows no server.

::pgrx::pg_module_magic!(name, version);

mod api;
mod error;
mod interrupt;
mod memory;
mod storage;
mod texts;

/// The schema of what is not for users; made by `sql/schemas.sql`.
#[pgrx::pg_schema]
mod sparkify_internal {}

pgrx::extension_sql_file!("../sql/schemas.sql", name = "schemas", bootstrap);
pgrx::extension_sql_file!("../sql/tables.sql", name = "tables", requires = [song_key]);
pgrx::extension_sql_file!("../sql/learning.sql", name = "learning", requires = ["tables"]);
pgrx::extension_sql_file!("../sql/turns.sql", name = "turns", requires = ["schemas"]);
pgrx::extension_sql_file!(
    "../sql/triggers.sql",
    name = "triggers",
    requires = ["tables", "learning", "turns", "simulator"]
);
pgrx::extension_sql_file!(
    "../sql/catalogue.sql",
    name = "catalogue",
    requires = [
        "tables",
        song_key,
        load_tracks,
        import_tracks,
        clean_tracks,
        generate_tracks,
        profile_tracks,
        correlate_tracks,
        histogram_tracks,
        outlier_tracks
    ]
);
pgrx::extension_sql_file!(
    "../sql/simulator.sql",
    name = "simulator",
    requires = [
        "tables",
        generate_users,
        generate_events,
        reset_simulation,
        is_simulated,
        simulation_report
    ]
);
pgrx::extension_sql_file!(
    "../sql/summaries.sql",
    name = "summaries",
    requires = ["tables", "triggers", count_plays]
);
pgrx::extension_sql_file!("../sql/outcomes.sql", name = "outcomes", requires = ["summaries"]);
pgrx::extension_sql_file!("../sql/reach.sql", name = "reach", requires = ["summaries"]);
pgrx::extension_sql_file!("../sql/views.sql", name = "views", requires = ["summaries", "reach"]);
pgrx::extension_sql_file!(
    "../sql/dashboard.sql",
    name = "dashboard",
    requires = ["views", "outcomes"]
);
pgrx::extension_sql_file!(
    "../sql/pipeline.sql",
    name = "pipeline",
    requires = ["views", "ingest", lock_pipeline, unlock_pipeline]
);
pgrx::extension_sql_file!("../sql/ingest.sql", name = "ingest", requires = ["tables"]);
pgrx::extension_sql_file!(
    "../sql/imports.sql",
    name = "imports",
    requires =
        ["tables", load_history, import_history, import_events, match_plays, import_embeddings]
);
pgrx::extension_sql_file!("../sql/help.sql", name = "help", requires = ["schemas"]);
pgrx::extension_sql_file!(
    "../sql/streams.sql",
    name = "streams",
    requires = ["ingest", "pipeline", check_stream_columns, read_stream, close_stream]
);
pgrx::extension_sql_file!(
    "../sql/access.sql",
    name = "access",
    requires = ["views", "pipeline", "streams"]
);
pgrx::extension_sql_file!(
    "../sql/serving.sql",
    name = "serving",
    requires = [
        "tables",
        build_embeddings,
        activate_model,
        build_user_vectors,
        refresh_recommendations,
        recommend,
        recommend_for,
        recommend_json,
        explain_recommendation,
        similar_tracks,
        similar_users,
        popular_tracks,
        trending,
        estimate_rows,
        validate
    ]
);
pgrx::extension_sql_file!(
    "../sql/training.sql",
    name = "training",
    requires = ["learning", train_model, evaluate_model]
);
pgrx::extension_sql_file!(
    "../sql/cells.sql",
    name = "cells",
    requires = ["pipeline", "serving", "learning"]
);
pgrx::extension_sql_file!("../sql/cells_setup.sql", name = "cells_setup", requires = ["cells"]);
pgrx::extension_sql_file!("../sql/privileges.sql", name = "privileges", finalize);

/// Required by `cargo pgrx test`.
#[cfg(test)]
pub mod pg_test {
    /// Nothing to prepare.
    pub fn setup(_options: Vec<&str>) {}

    /// The tests need no setting of the server.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
