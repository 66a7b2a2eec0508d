//! Work of which the database does one at a time, and the lock of the pipeline.
#![expect(unsafe_code, reason = "locks of a session are taken through a C interface")]

use pgrx::{PgSqlErrorCode, pg_sys};

use super::spi;
use crate::error::raise;

/// Work of which one transaction at a time does one.
#[derive(Clone, Copy)]
pub enum Work {
    /// Changing which model serves.
    Activation,
    /// Storing vectors and recommendations of users.
    Refresh,
    /// Deciding on what stands in the catalogue.
    Catalogue,
    /// Simulating users and plays.
    Simulation,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Work::Activation => "activation",
            Work::Refresh => "refresh",
            Work::Catalogue => "catalogue",
            Work::Simulation => "simulation",
        }
    }
}

/// Takes a turn until the transaction ends, waiting for whoever has it. Fails with
/// 40001 where the transaction's snapshot is older than the turn before.
pub fn take(work: Work) {
    let taken = spi::execute(
        "UPDATE sparkify_internal.turns SET taken = taken + 1 WHERE work = $1",
        &[work.name().into()],
    );
    if taken == 0 {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the row \"{}\" of sparkify_internal.turns is missing", work.name()),
            Some("Run INSERT INTO sparkify_internal.turns (work) VALUES with the name it lacks."),
        );
    }
}

/// Does `work` when its turn comes, and sees what those before it have committed.
pub fn in_turn<T>(turn: Work, work: impl FnOnce() -> T) -> T {
    take(turn);
    spi::under_new_snapshot(work)
}

/// The lock of one run of the pipeline, on a table whose rights decide who may take
/// it. It is held over commits; a transaction that ends in an error outside of a
/// block that catches it releases it, as the end of the session does.
const PIPELINE_MODE: pg_sys::LOCKMODE = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;

fn pipeline_table() -> pg_sys::LockRelId {
    // SAFETY: catalogue look-ups in a transaction.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"sparkify_internal".as_ptr(), false);
        let table = pg_sys::get_relname_relid(c"pipeline_lock".as_ptr(), schema);
        let allowed =
            pg_sys::pg_class_aclcheck(table, pg_sys::GetUserId(), pg_sys::ACL_UPDATE as _);
        if allowed != pg_sys::AclResult::ACLCHECK_OK {
            raise(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "permission denied to run the pipeline",
                Some("Ask the owner for SELECT sparkify.grant_writer(…, operate => true)."),
            );
        }
        pg_sys::LockRelId { relId: table, dbId: pg_sys::MyDatabaseId }
    }
}

fn holds_pipeline(table: &pg_sys::LockRelId) -> bool {
    let held = spi::select_first(
        "SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND granted \
         AND pid = pg_catalog.pg_backend_pid() AND mode = 'ExclusiveLock' \
         AND database = (SELECT d.oid FROM pg_catalog.pg_database AS d \
                         WHERE d.datname = pg_catalog.current_database()) AND relation = $1::oid",
        &[i64::from(u32::from(table.relId)).into()],
        |_| (),
    );
    held.is_some()
}

/// Takes the pipeline's lock for the session; false where another session has it.
pub fn lock_pipeline() -> bool {
    let mut table = pipeline_table();
    // What a call that was cancelled left with this session is its own.
    if holds_pipeline(&table) {
        return true;
    }
    // SAFETY: in a transaction; the second lock is of a kind that this backend holds already.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(table.relId, PIPELINE_MODE) {
            return false;
        }
        pg_sys::LockRelationIdForSession(&raw mut table, PIPELINE_MODE);
    }
    true
}

/// Gives the pipeline's lock back where this session has it.
pub fn unlock_pipeline() {
    let mut table = pipeline_table();
    if holds_pipeline(&table) {
        // SAFETY: held, as was just seen.
        unsafe { pg_sys::UnlockRelationIdForSession(&raw mut table, PIPELINE_MODE) };
    }
}
