//! What a role is told that lacks a privilege: one line, and nothing empty beside it.

use sparkify_server_tests::Server;

/// A call of each kind: reading, writing, building, running, granting.
const CALLS: [&str; 22] = [
    "SELECT * FROM sparkify.recommend('ann')",
    "SELECT sparkify.recommend_json('ann')",
    "SELECT * FROM sparkify.similar_tracks('t')",
    "SELECT * FROM sparkify.profile_tracks()",
    "SELECT * FROM sparkify.outlier_tracks()",
    "SELECT * FROM sparkify.validate()",
    "SELECT * FROM sparkify.simulation_report()",
    "SELECT * FROM sparkify.ingest_events('[{\"user_id\": \"ann\"}]')",
    "SELECT sparkify.load_tracks('/etc/hostname')",
    "SELECT * FROM sparkify.clean_tracks()",
    "SELECT sparkify.generate_tracks(10)",
    "SELECT sparkify.generate_users(10)",
    "SELECT sparkify.generate_events()",
    "SELECT sparkify.reset_simulation()",
    "SELECT sparkify.build_embeddings()",
    "SELECT sparkify.activate_model(1)",
    "SELECT sparkify.build_user_vectors()",
    "SELECT sparkify.refresh_recommendations()",
    "CALL sparkify.run_pipeline()",
    "SELECT sparkify.grant_reader('sparkify_access_none')",
    "SELECT * FROM sparkify.recommendation_details",
    "SELECT * FROM sparkify.tracks",
];

#[test]
fn a_missing_privilege_is_one_line() {
    let server = Server::shared();
    let database = server.database("access_refused");
    let mut owner = database.connect();
    // One role with nothing, one with the schemas, one that may call functions and has none of what stands behind.
    owner
        .batch_execute(
            "DROP ROLE IF EXISTS sparkify_access_none, sparkify_access_schema, sparkify_access_calls;
             CREATE ROLE sparkify_access_none LOGIN;
             CREATE ROLE sparkify_access_schema LOGIN;
             CREATE ROLE sparkify_access_calls LOGIN;
             GRANT USAGE ON SCHEMA sparkify, sparkify_internal TO sparkify_access_schema, sparkify_access_calls;
             GRANT EXECUTE ON ALL ROUTINES IN SCHEMA sparkify, sparkify_internal TO sparkify_access_calls;",
        )
        .unwrap();
    for role in ["sparkify_access_none", "sparkify_access_schema", "sparkify_access_calls"] {
        let mut client = database.connect_as(role);
        for call in CALLS {
            let error = client.simple_query(call).expect_err(call);
            let error = error.as_db_error().expect("an error of the server");
            assert_eq!(error.code().code(), "42501", "{role}: {call}: {}", error.message());
            assert!(!error.message().contains('\n'), "{role}: {call}: {}", error.message());
            for (field, text) in [("detail", error.detail()), ("hint", error.hint())] {
                assert!(
                    text.is_none_or(|text| !text.trim().is_empty()),
                    "{role}: {call}: {field} is empty"
                );
            }
            let context = error.where_().unwrap_or_default();
            assert!(
                context.lines().count() <= 3 && context.len() < 300,
                "{role}: {call}: its context is\n{context}"
            );
        }
    }
    owner
        .batch_execute(
            "DROP OWNED BY sparkify_access_calls, sparkify_access_schema;
             DROP ROLE sparkify_access_none, sparkify_access_schema, sparkify_access_calls;",
        )
        .unwrap();
}
