//! How far a long call has come, where a second session can see it.
//!
//! `pg_stat_activity.query` of the working session reads, for instance,
//! `sparkify: refresh_recommendations 45 %` while it works, and the session
//! itself gets a NOTICE every few seconds.
#![expect(unsafe_code, reason = "the server's activity report is a C function")]

use std::ffi::CString;
use std::time::{Duration, Instant};

use pgrx::pg_sys;

/// Between two reports to other sessions.
const REPORT: Duration = Duration::from_millis(200);

/// Between two notices to the caller.
const NOTICE: Duration = Duration::from_secs(5);

/// The progress of one call; the activity is the statement again when it is dropped.
pub struct Progress {
    work: &'static str,
    total: usize,
    done: usize,
    reported: Instant,
    noticed: Instant,
    shown: bool,
}

impl Progress {
    /// Work of `total` units.
    pub fn new(work: &'static str, total: usize) -> Progress {
        let now = Instant::now();
        Progress { work, total, done: 0, reported: now, noticed: now, shown: false }
    }

    /// Says that some more units are done; costs next to nothing between two reports.
    pub fn advance(&mut self, units: usize) {
        self.done += units;
        if self.reported.elapsed() < REPORT {
            return;
        }
        self.reported = Instant::now();
        let percent = 100 * self.done.min(self.total) / self.total.max(1);
        if let Ok(activity) = CString::new(format!("sparkify: {} {percent} %", self.work)) {
            // SAFETY: copies the text into this session's own entry.
            unsafe {
                pg_sys::pgstat_report_activity(
                    pg_sys::BackendState::STATE_RUNNING,
                    activity.as_ptr(),
                );
            }
            self.shown = true;
        }
        if self.noticed.elapsed() >= NOTICE {
            self.noticed = self.reported;
            pgrx::notice!("{}: {percent} %", self.work);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // After an error the next statement replaces the activity.
        if self.shown && !std::thread::panicking() {
            // SAFETY: the text of the statement under way lives until it ends.
            unsafe {
                pg_sys::pgstat_report_activity(
                    pg_sys::BackendState::STATE_RUNNING,
                    pg_sys::debug_query_string,
                );
            }
        }
    }
}
