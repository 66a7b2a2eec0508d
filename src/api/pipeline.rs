//! What the pipeline needs of the library.

use pgrx::prelude::*;

use crate::storage::turns;

#[pg_extern(schema = "sparkify_internal", volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn lock_pipeline() -> bool {
    turns::lock_pipeline()
}

#[pg_extern(schema = "sparkify_internal", volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn unlock_pipeline() {
    turns::unlock_pipeline();
}
