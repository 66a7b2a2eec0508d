//! Checks of everything that is stored.

use pgrx::prelude::*;

use crate::storage::checks::{self, CHECKS};
use crate::storage::models;

#[pg_extern(stable, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn validate(
    model_id: default!(Option<i64>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(check_name, String),
        name!(passed, bool),
        name!(failures, i64),
        name!(detail, String),
        name!(severity, String),
    ),
> {
    let model = models::resolve(model_id);
    let mut rows = Vec::with_capacity(CHECKS.len());
    // The first check is that the tables are there, without which no other can run.
    let mut readable = true;
    for check in CHECKS {
        let name = check.name.to_owned();
        let severity = check.severity.name().to_owned();
        if !readable {
            let detail = "not checked while a table is missing".to_owned();
            rows.push((name, false, 0, detail, severity));
            continue;
        }
        let outcome = checks::run(check, &model);
        let detail = outcome.example.as_ref().map_or(String::new(), |example| {
            let remedy = if check.remedy.is_empty() { "" } else { ": " };
            let failures = outcome.failures;
            format!(
                "{failures} {}, for instance \"{example}\"{remedy}{}",
                check.failure, check.remedy
            )
        });
        readable = !rows.is_empty() || outcome.failures == 0;
        rows.push((name, outcome.failures == 0, outcome.failures, detail, severity));
    }
    TableIterator::new(rows)
}
