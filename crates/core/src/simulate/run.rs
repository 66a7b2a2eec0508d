//! Runs a simulation over many users, on one thread or several, with the same rows.

use super::{Listener, Play, Simulation, Walk, Workspace};
use crate::Interrupt;
use crate::signals::Blocked;
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

/// Generates the plays of one range of users at a time.
struct Generator<'a> {
    sim: &'a Simulation,
    listeners: &'a [Listener],
    window: (i64, i64),
    /// Ends of the ranges of users.
    ends: Vec<usize>,
}

impl Generator<'_> {
    fn range(&self, i: usize, room: &mut Workspace, check: Interrupt<'_>, plays: &mut Vec<Play>) {
        plays.clear();
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        for user in start..self.ends[i] {
            let (from, until) = self.window;
            let listener = &self.listeners[user];
            Walk::new(self.sim, user as u32, listener, room).plays(from, until, check, plays);
        }
    }
}

impl Simulation {
    /// Generates the plays that start in [from, until) and lends `consume` a function that
    /// replaces the content of a buffer by the next some thousands, or gives `false` where
    /// there are no more: user by user in the order of `listeners`, each user's in the
    /// order of time. The plays are the same for any number of `workers`.
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
        consume: impl FnOnce(&mut dyn FnMut(&mut Vec<Play>) -> bool) -> R,
    ) -> R {
        let ends = self.ranges(listeners, window);
        let generator = Generator { sim: self, listeners, window, ends };
        let ranges = generator.ends.len();
        if workers == 0 {
            let mut room = Workspace::default();
            let mut i = 0;
            return consume(&mut |plays| {
                check();
                let more = i < ranges;
                if more {
                    generator.range(i, &mut room, check, plays);
                    i += 1;
                }
                more
            });
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stop = Stop(&stop);
            let mut receivers = Vec::new();
            let blocked = Blocked::all();
            for worker in 0..workers {
                let (send, receive) = sync_channel::<Vec<Play>>(2);
                let (generator, stop) = (&generator, &stop);
                scope.spawn(move || {
                    let mut room = Workspace::default();
                    for i in (worker..ranges).step_by(workers) {
                        let mut plays = Vec::new();
                        generator.range(i, &mut room, &|| {}, &mut plays);
                        if stop.load(Ordering::Relaxed) || send.send(plays).is_err() {
                            return;
                        }
                    }
                });
                receivers.push(receive);
            }
            drop(blocked);
            let mut i = 0;
            consume(&mut |plays| {
                while i < ranges {
                    check();
                    match receivers[i % workers].recv_timeout(Duration::from_millis(20)) {
                        Ok(next) => {
                            *plays = next;
                            i += 1;
                            return true;
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => panic!("a generating thread failed"),
                    }
                }
                false
            })
        })
    }

    /// The plays of one user in [from, until).
    pub fn plays_of(&self, listener: &Listener, from: i64, until: i64) -> Vec<Play> {
        let mut plays = Vec::new();
        let mut room = Workspace::default();
        Walk::new(self, 0, listener, &mut room).plays(from, until, &|| {}, &mut plays);
        plays
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
