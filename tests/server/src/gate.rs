//! Stopping a statement in the middle of what it writes, without a clock.
//!
//! A trigger on the row in question waits for an advisory lock that the test
//! holds: what the statement wrote before that row is written, the rest is not.

use std::time::{Duration, Instant};

use postgres::Client;

use crate::Database;

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(180);

/// Polls until `ready`; panics with `what` when that takes minutes.
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A closed gate before one row of a table.
pub struct Gate {
    holder: Client,
    table: String,
}

impl Gate {
    /// Has writers of `table` wait before a row for which `condition` holds (`NEW` is the row).
    pub fn close(database: &Database, table: &str, condition: &str) -> Gate {
        let mut holder = database.connect();
        holder
            .batch_execute(&format!(
                "SELECT pg_advisory_lock(4711);
                CREATE OR REPLACE FUNCTION public.wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(4711); RETURN NEW; END $$;
                CREATE TRIGGER gate BEFORE INSERT ON sparkify.{table} FOR EACH ROW WHEN ({condition})
                    EXECUTE FUNCTION public.wait_at_the_gate()"
            ))
            .expect("a gate is built");
        Gate { holder, table: table.to_owned() }
    }

    /// Waits until a statement stands at the gate; gives its backend's process id.
    pub fn reached(&mut self) -> i32 {
        let mut pid = None;
        wait_until("a statement stands at the gate", || {
            pid = self
                .holder
                .query_opt(
                    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted
                        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                    &[],
                )
                .expect("locks are shown")
                .map(|row| row.get(0));
            pid.is_some()
        });
        pid.unwrap_or_default()
    }

    /// Lets everyone through.
    pub fn open(&mut self) {
        self.holder.batch_execute("SELECT pg_advisory_unlock_all()").expect("a lock is released");
    }

    /// Waits until the session that holds the gate has been ended.
    pub fn lost(&mut self) {
        wait_until("the other sessions are ended", || self.holder.batch_execute("SELECT").is_err());
    }

    /// Takes the gate away, which nobody may stand at.
    pub fn remove(mut self) {
        self.open();
        let table = &self.table;
        self.holder
            .batch_execute(&format!("DROP TRIGGER gate ON sparkify.{table}"))
            .expect("the gate's trigger is dropped");
    }
}

/// Waits until a statement of this database waits for the turn that another transaction has taken.
pub fn wait_for_a_waiter(client: &mut Client) {
    wait_until("a statement waits for its turn", || {
        client
            .query_one(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
                    AND wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple')",
                &[],
            )
            .expect("waiting is shown")
            .get(0)
    });
}
