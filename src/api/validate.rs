//! Checks of everything that is stored.

use pgrx::prelude::*;

use crate::storage::checks::{self, CHECKS};
use crate::storage::models;

#[expect(clippy::type_complexity, reason = "the shape of the SQL function")]
#[pg_extern(stable, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn validate(
    model_id: default!(Option<i64>, "NULL"),
) -> TableIterator<
    'static,
    (name!(check_name, String), name!(passed, bool), name!(failures, i64), name!(detail, String)),
> {
    let model = models::resolve(model_id);
    let rows: Vec<_> = CHECKS
        .iter()
        .map(|check| {
            let outcome = checks::run(check, &model);
            let detail = outcome.example.map_or(String::new(), |example| {
                format!("{} {}, for instance \"{example}\"", outcome.failures, check.failure)
            });
            (check.name.to_owned(), outcome.failures == 0, outcome.failures, detail)
        })
        .collect();
    TableIterator::new(rows)
}
