//! Reading and writing tables, inside a server. Each test is one transaction,
//! rolled back.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::prelude::*;
    use pgrx::{PgSqlErrorCode, PgTryBuilder};

    use crate::storage::bulk::{self, RowWriter};
    use crate::storage::models::{self, Embedded};
    use crate::storage::{catalogue_index, listeners, spi};

    /// The SQLSTATE, message and hint that `work` raises.
    fn refusal(work: impl FnOnce() + std::panic::UnwindSafe) -> (PgSqlErrorCode, String, String) {
        PgTryBuilder::new(move || {
            work();
            (PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, String::new(), String::new())
        })
        .catch_others(|caught| match caught {
            pg_sys::panic::CaughtError::PostgresError(error)
            | pg_sys::panic::CaughtError::ErrorReport(error)
            | pg_sys::panic::CaughtError::RustPanic { ereport: error, .. } => (
                error.sql_error_code(),
                error.message().to_owned(),
                error.hint().unwrap_or_default().to_owned(),
            ),
        })
        .execute()
    }

    fn text(sql: &str) -> String {
        let mut found = None;
        spi::select_now(sql, &[], |row| found = row.text(0).map(str::to_owned));
        found.unwrap_or_default()
    }

    /// Writes one row into `everything`, a column of each type.
    fn write_everything(words: &[&str]) -> u64 {
        spi::execute(
            "CREATE TABLE sparkify.everything (t text, b boolean, i integer, l bigint, f real, d double precision,
                at timestamptz, u uuid, j jsonb, fs real[], ts text[], missing text, twice integer
                GENERATED ALWAYS AS (i * 2) STORED)",
            &[],
        );
        let columns = ["t", "b", "i", "l", "f", "d", "at", "u", "j", "fs", "ts", "missing"];
        let mut rows = 1;
        bulk::write_rows("everything", &columns, &mut |out: &mut RowWriter| {
            if rows == 0 {
                return false;
            }
            rows -= 1;
            out.text("naïve ☃");
            out.bool(true);
            out.i32(-7);
            out.i64(1 << 40);
            out.f32(0.25);
            out.f64(-1e300);
            out.timestamp(1_000_000);
            out.uuid(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
            out.jsonb("{\"a\": [1, null]}");
            out.reals([1.5, -2.0].into_iter());
            out.texts(words.iter());
            out.optional(None::<&str>, RowWriter::text);
            true
        })
    }

    const EVERYTHING: &str =
        "SELECT concat_ws(' | ', t, b, i, l, f, d, at AT TIME ZONE 'UTC', u, j, fs, ts,
        missing IS NULL, twice) FROM sparkify.everything";

    #[pg_test]
    fn every_type_arrives_as_it_was_written() {
        assert_eq!(write_everything(&["a", "b,c", "\"", ""]), 1);
        assert_eq!(
            text(EVERYTHING),
            "naïve ☃ | t | -7 | 1099511627776 | 0.25 | -1e+300 | 2000-01-01 00:00:01 | \
             00112233-4455-6677-8899-aabbccddeeff | {\"a\": [1, null]} | {1.5,-2} | {a,\"b,c\",\"\\\"\",\"\"} | t | -14"
        );
        spi::select_now(
            "SELECT i, l, f::double precision, d, at, u, j, fs, ts, b, missing FROM sparkify.everything",
            &[],
            |row| {
                assert_eq!(row.i32(0), Some(-7));
                assert_eq!(row.i64(1), Some(1 << 40));
                assert_eq!(row.f64(2), Some(0.25));
                assert_eq!(row.f64(3), Some(-1e300));
                assert_eq!(row.timestamp(4), Some(1_000_000));
                assert_eq!(row.uuid(5), Some(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff));
                assert_eq!(row.reals(7), Some(&[1.5, -2.0][..]));
                assert_eq!(row.texts(8), Some(["a", "b,c", "\"", ""].map(str::to_owned).to_vec()));
                assert_eq!(row.bool(9), Some(true));
                assert_eq!(row.text(10), None);
            },
        );
    }

    #[pg_test]
    fn the_encoding_of_the_client_changes_nothing_and_stays() {
        spi::execute("SET client_encoding = 'LATIN1'", &[]);
        assert_eq!(write_everything(&[]), 1);
        assert_eq!(text("SELECT t FROM sparkify.everything"), "naïve ☃");
        assert_eq!(text("SELECT current_setting('client_encoding')"), "LATIN1");
    }

    #[pg_test]
    #[expect(unsafe_code, reason = "the transaction has failed: no statement can ask")]
    fn a_row_that_is_refused_leaves_the_encoding_as_it_was() {
        spi::execute("SET client_encoding = 'LATIN1'", &[]);
        let (code, ..) = refusal(|| {
            bulk::write_rows("users", &["user_id", "age"], &mut |out| {
                out.text("u");
                out.i32(-1);
                true
            });
        });
        // SAFETY: reads a setting of the session.
        let encoding = unsafe { pg_sys::pg_get_client_encoding() };
        assert_eq!(encoding, pg_sys::pg_enc::PG_LATIN1 as i32);
        assert_eq!(code, PgSqlErrorCode::ERRCODE_CHECK_VIOLATION);
    }

    #[pg_test]
    fn writing_needs_the_privilege() {
        spi::execute("CREATE ROLE storage_visitor", &[]);
        spi::execute("GRANT USAGE ON SCHEMA sparkify TO storage_visitor", &[]);
        spi::execute("SET LOCAL ROLE storage_visitor", &[]);
        let (code, message, hint) = refusal(|| {
            bulk::write_rows("users", &["user_id"], &mut |_| false);
        });
        assert_eq!(code, PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE);
        assert_eq!(message, "permission denied for table users");
        assert_eq!(hint, "Ask its owner to GRANT INSERT.");
    }

    #[pg_test]
    fn policies_apply_to_what_is_written() {
        spi::execute("CREATE ROLE storage_tenant", &[]);
        spi::execute("GRANT USAGE ON SCHEMA sparkify TO storage_tenant", &[]);
        spi::execute("GRANT SELECT, INSERT ON sparkify.users TO storage_tenant", &[]);
        spi::execute("ALTER TABLE sparkify.users ENABLE ROW LEVEL SECURITY", &[]);
        spi::execute(
            "CREATE POLICY own ON sparkify.users TO storage_tenant USING (true) WITH CHECK (country = 'SE')",
            &[],
        );
        spi::execute("SET LOCAL ROLE storage_tenant", &[]);
        let write = |country: &'static str| {
            let mut rows = 1;
            bulk::write_rows("users", &["user_id", "country"], &mut |out| {
                if rows == 0 {
                    return false;
                }
                rows -= 1;
                out.text("tenant");
                out.text(country);
                true
            })
        };
        assert_eq!(write("SE"), 1);
        let (code, ..) = refusal(move || {
            write("NO");
        });
        assert_eq!(code, PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE);
    }

    /// As Citus has it: its catalogue says so, and COPY would fill a shell.
    #[pg_test]
    fn a_distributed_table_is_written_by_insert() {
        spi::execute("SET LOCAL allow_system_table_mods = on", &[]);
        spi::execute("CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass)", &[]);
        spi::execute("CREATE TABLE shard (user_id text, country text)", &[]);
        spi::execute(
            "CREATE RULE distribute AS ON INSERT TO sparkify.users
             DO INSTEAD INSERT INTO shard VALUES (NEW.user_id, NEW.country)",
            &[],
        );
        let write = |user: &'static str| {
            let mut rows = 1;
            bulk::write_rows("users", &["user_id", "country"], &mut |out| {
                if rows == 0 {
                    return false;
                }
                rows -= 1;
                out.text(user);
                out.text("SE");
                true
            });
            text(
                "SELECT concat_ws(' ', (SELECT count(*) FROM sparkify.users), (SELECT count(*) FROM shard))",
            )
        };
        assert_eq!(write("here"), "1 0");
        spi::execute("INSERT INTO pg_catalog.pg_dist_partition VALUES ('sparkify.users')", &[]);
        assert_eq!(write("there"), "1 1");
    }

    #[pg_test]
    fn a_column_of_another_type_is_refused_and_named() {
        let (code, message, _) = refusal(|| {
            spi::select("SELECT 1::bigint, 'x'::text", &[], |row| {
                row.i64(1);
            });
        });
        assert_eq!(code, PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH);
        assert!(message.starts_with("column 2 has type"), "{message}");
    }

    #[pg_test]
    fn statements_nest() {
        let mut pairs = Vec::new();
        spi::select("SELECT i::bigint FROM generate_series(1, 3) AS i", &[], |outer| {
            let outer = outer.i64(0);
            spi::select("SELECT $1 * 10", &[outer.into()], |inner| {
                pairs.push((outer, inner.i64(0)))
            });
        });
        assert_eq!(pairs, [(Some(1), Some(10)), (Some(2), Some(20)), (Some(3), Some(30))]);
    }

    /// A model of two tracks, the second with its own embedding.
    fn model_with(second: &[f32]) -> models::Model {
        let model_id = models::insert("content", "cosine", serde_json::json!({"dims": 2}));
        let embedded = |track_id, embedding| Embedded {
            track_id,
            embedding,
            song_key: 1,
            duration_ms: None,
            listeners: 0,
            popularity: None,
            track_no: None,
        };
        let rows = [embedded("a", &[1.0, 0.0]), embedded("b", second)];
        assert_eq!(models::write_track_embeddings(model_id, rows.into_iter()), 2);
        spi::under_new_snapshot(|| models::resolve(Some(model_id)))
    }

    #[pg_test]
    fn an_embedding_that_cannot_be_used_names_its_track() {
        let model = model_with(&[f32::NAN, 0.0]);
        let (code, message, hint) = refusal(std::panic::AssertUnwindSafe(|| {
            spi::under_new_snapshot(|| catalogue_index::load(&model));
        }));
        assert_eq!(code, PgSqlErrorCode::ERRCODE_DATA_CORRUPTED);
        assert!(message.contains("of track \"b\" of model"), "{message}");
        assert!(hint.contains("sparkify.validate()"), "{hint}");
    }

    #[pg_test]
    fn a_changed_embedding_is_another_fingerprint_and_another_index() {
        let model = model_with(&[0.0, 1.0]);
        let before = spi::under_new_snapshot(|| catalogue_index::load(&model));
        spi::execute(
            "UPDATE sparkify.track_embeddings SET embedding = '{3,4}' WHERE model_id = $1 AND track_id = 'b'",
            &[model.model_id.into()],
        );
        let changed = spi::under_new_snapshot(|| models::resolve(Some(model.model_id)));
        assert_ne!(changed.fingerprint, model.fingerprint);
        let after = spi::under_new_snapshot(|| catalogue_index::load(&changed));
        assert_eq!(before.index().vector(1)[..2], [0.0, 1.0]);
        assert_eq!(after.index().vector(1)[..2], [3.0, 4.0]);
        assert_eq!(after.index().norm(1), 5.0);
    }

    #[pg_test]
    fn a_declared_taste_takes_numbers_only() {
        spi::execute(
            "INSERT INTO sparkify.users (user_id, genre_weights)
             VALUES ('declared', '{\"rock\": 0.5, \"jazz\": \"much\", \"pop\": null, \"folk\": [1]}')",
            &[],
        );
        let declared = spi::under_new_snapshot(|| listeners::find_user("declared"));
        let weights: Vec<_> = declared.into_iter().flatten().collect();
        assert_eq!(weights, [("rock".to_owned(), 0.5)]);
        assert_eq!(spi::under_new_snapshot(|| listeners::find_user("nobody")), None);
    }

    #[pg_test]
    fn a_weight_that_cannot_be_read_does_not_count() {
        let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
        let sql = format!(
            "SELECT ('{{\"a\": 0.5, \"b\": 1e400, \"c\": -1e400, \"d\": \"1\", \"e\": null, \"f\": true, \
                \"g\": {{\"x\": 1}}, \"h\": {deep}, \"\": -2, \"i\": 1e-400, \"naïve ☃\": 3e2}}')::jsonb, \
                '[1, 2]'::jsonb, '7'::jsonb, '{{}}'::jsonb, NULL::jsonb"
        );
        let mut seen = Vec::new();
        spi::select(&sql, &[], |row| {
            seen = (0..5).map(|column| row.weights(column)).collect();
        });
        let named = |pairs: &[(&str, f64)]| {
            Some(pairs.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect())
        };
        let known = [("a", 0.5), ("", -2.0), ("i", 0.0), ("naïve ☃", 300.0)];
        assert_eq!(seen, [named(&known), named(&[]), named(&[]), named(&[]), None]);
    }

    #[pg_test]
    #[expect(unsafe_code, reason = "a list of arguments is read by its address")]
    fn a_statement_without_arguments_has_no_list_of_them() {
        assert!(spi::bind(&[]).is_null());
        // SAFETY: what was bound lives in memory of this call.
        assert_eq!(unsafe { (*spi::bind(&[7i64.into()])).numParams }, 1);
    }
}
