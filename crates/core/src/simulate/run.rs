//! Runs a simulation over many users, on one thread or several, with the same rows.

use super::{Listener, Play, Simulation, Walk, Workspace};
use crate::{Interrupt, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Expected plays that are handed out together.
const CHUNK: f64 = 20_000.0;

/// Raises the flag when it goes, also by a panic.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Simulation {
    /// Hands the plays that start in [from, until) to `visit`, user by user in the order
    /// of `listeners`, each user's in the order of time, some thousands at once.
    ///
    /// With `threads` above 1 as many are started to generate, while the calling thread
    /// visits; `check` and `visit` are called on the calling thread only, and may unwind.
    ///
    /// # Errors
    /// What `visit` returns.
    pub fn run<E>(
        &self,
        listeners: &[Listener],
        (from, until): (i64, i64),
        threads: usize,
        check: Interrupt<'_>,
        mut visit: impl FnMut(&[Play]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let ends = self.chunks(listeners, from, until);
        if threads <= 1 {
            let mut room = Workspace::default();
            let mut plays = Vec::new();
            for i in 0..ends.len() {
                plays.clear();
                self.chunk(listeners, &ends, i, (from, until), &mut room, check, &mut plays);
                check();
                visit(&plays)?;
            }
            return Ok(());
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stop = Stop(&stop);
            let receivers: Vec<_> = (0..threads)
                .map(|worker| {
                    let (send, receive) = sync_channel::<Vec<Play>>(2);
                    let (ends, stop) = (&ends, &stop);
                    scope.spawn(move || {
                        let mut room = Workspace::default();
                        for i in (worker..ends.len()).step_by(threads) {
                            let mut plays = Vec::new();
                            self.chunk(
                                listeners,
                                ends,
                                i,
                                (from, until),
                                &mut room,
                                &|| {},
                                &mut plays,
                            );
                            if stop.load(Ordering::Relaxed) || send.send(plays).is_err() {
                                return;
                            }
                        }
                    });
                    receive
                })
                .collect();
            for i in 0..ends.len() {
                let plays = loop {
                    check();
                    match receivers[i % threads].recv_timeout(Duration::from_millis(20)) {
                        Ok(plays) => break plays,
                        Err(RecvTimeoutError::Timeout) => {}
                        // The worker panicked; the scope passes that on.
                        Err(RecvTimeoutError::Disconnected) => return Ok(()),
                    }
                };
                visit(&plays)?;
            }
            Ok(())
        })
    }

    /// The plays of one user in [from, until).
    pub fn plays_of(&self, listener: &Listener, from: i64, until: i64) -> Result<Vec<Play>> {
        let mut plays = Vec::new();
        let mut room = Workspace::default();
        Walk::new(self, 0, listener, &mut room).plays(from, until, &|| {}, &mut plays);
        Ok(plays)
    }

    /// Ends of the ranges of users that are generated together.
    fn chunks(&self, listeners: &[Listener], from: i64, until: i64) -> Vec<usize> {
        let days = (until - from).max(0) as f64 / super::DAY as f64;
        let mut ends = Vec::new();
        let mut expected = 0.0;
        for (i, listener) in listeners.iter().enumerate() {
            expected += 2.0
                + days
                    * super::activity::rate(listener, &self.options, self.calibration.plays_a_day);
            if expected >= CHUNK || i + 1 == listeners.len() {
                ends.push(i + 1);
                expected = 0.0;
            }
        }
        ends
    }

    #[allow(clippy::too_many_arguments)]
    fn chunk(
        &self,
        listeners: &[Listener],
        ends: &[usize],
        i: usize,
        (from, until): (i64, i64),
        room: &mut Workspace,
        check: Interrupt<'_>,
        plays: &mut Vec<Play>,
    ) {
        let start = if i == 0 { 0 } else { ends[i - 1] };
        for (user, listener) in listeners.iter().enumerate().take(ends[i]).skip(start) {
            Walk::new(self, user as u32, listener, room).plays(from, until, check, plays);
        }
    }
}
