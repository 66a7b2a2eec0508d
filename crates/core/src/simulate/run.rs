//! Runs a simulation over many users, on one thread or several, with the same rows.

use super::{Listener, Play, Simulation, Walk, Workspace};
use crate::signals::Blocked;
use crate::{Interrupt, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Expected plays that are handed out together.
const RANGE: f64 = 10_000.0;

/// Raises the flag when it goes, also by a panic.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Replaces the content of a buffer by the next plays, or gives `false` where there are none.
pub type Next<'a> = dyn FnMut(&mut Vec<Play>) -> Result<bool> + 'a;

/// Generates the plays of one range of users at a time.
struct Generator<'a> {
    sim: &'a Simulation,
    listeners: &'a [Listener],
    window: (i64, i64),
    /// Ends of the ranges of users.
    ends: Vec<usize>,
}

impl Generator<'_> {
    fn range(
        &self,
        i: usize,
        room: &mut Workspace,
        go_on: &dyn Fn() -> bool,
        plays: &mut Vec<Play>,
    ) -> Result<()> {
        plays.clear();
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        for user in start..self.ends[i] {
            let (from, until) = self.window;
            let listener = &self.listeners[user];
            Walk::new(self.sim, user as u32, listener, room).plays(from, until, go_on, plays)?;
        }
        Ok(())
    }
}

impl Simulation {
    /// Generates the plays that start in [from, until) and lends `consume` a function that
    /// replaces the content of a buffer by the next some thousands, or gives `false` where
    /// there are no more: user by user in the order of `listeners`, each user's in the
    /// order of time. The plays are the same for any number of `workers`. What is lent
    /// gives [`crate::Error::OutOfMemory`] where there is no room for so many.
    ///
    /// With `workers` above 0 as many threads are started to work ahead while the calling
    /// thread consumes; signals stay with the calling thread. `check` and `consume` run on
    /// the calling thread only, and may unwind.
    pub fn run<R>(
        &self,
        listeners: &[Listener],
        window: (i64, i64),
        workers: usize,
        check: Interrupt<'_>,
        consume: impl FnOnce(&mut Next<'_>) -> R,
    ) -> R {
        let ends = self.ranges(listeners, window);
        let generator = Generator { sim: self, listeners, window, ends };
        let ranges = generator.ends.len();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stop = Stop(&stop);
            let mut receivers = Vec::new();
            let blocked = Blocked::all();
            for worker in 0..workers {
                let (send, receive) = sync_channel::<Result<Vec<Play>>>(2);
                let (generator, stop) = (&generator, &stop);
                let started = std::thread::Builder::new().spawn_scoped(scope, move || {
                    let mut room = Workspace::default();
                    for i in (worker..ranges).step_by(workers) {
                        let mut plays = Vec::new();
                        let go_on = || !stop.load(Ordering::Relaxed);
                        let made = generator.range(i, &mut room, &go_on, &mut plays);
                        let made = made.map(|()| plays);
                        if stop.load(Ordering::Relaxed) || send.send(made).is_err() {
                            return;
                        }
                    }
                });
                receivers.extend(started.map(|_| receive));
            }
            drop(blocked);
            let mut i = 0;
            if receivers.len() < workers || workers == 0 {
                // The system gives no threads: all is done here.
                receivers.clear();
                let mut room = Workspace::default();
                return consume(&mut |plays| {
                    check();
                    let more = i < ranges;
                    if more {
                        let go_on = || {
                            check();
                            true
                        };
                        generator.range(i, &mut room, &go_on, plays)?;
                        i += 1;
                    }
                    Ok(more)
                });
            }
            consume(&mut |plays| {
                while i < ranges {
                    check();
                    match receivers[i % workers].recv_timeout(Duration::from_millis(20)) {
                        Ok(next) => {
                            *plays = next?;
                            i += 1;
                            return Ok(true);
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => panic!("a generating thread failed"),
                    }
                }
                Ok(false)
            })
        })
    }

    /// Ends of the ranges of users that are generated together.
    fn ranges(&self, listeners: &[Listener], (from, until): (i64, i64)) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut expected = 0.0;
        for (i, listener) in listeners.iter().enumerate() {
            let (rate, days) = self.expected(listener, from, until);
            expected += 2.0 + rate * days;
            if expected >= RANGE || i + 1 == listeners.len() {
                ends.push(i + 1);
                expected = 0.0;
            }
        }
        ends
    }
}
