//! Work on other threads while the caller does what it alone may do.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::Interrupt;
use crate::signals::Blocked;

/// How often the calling thread calls the interrupt while it waits.
const POLL: Duration = Duration::from_millis(10);

/// Sets a flag when it goes, by return or by unwinding.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does `work` on each of `jobs` and hands what comes of it to `take`, in the
/// order of the jobs.
///
/// The caller is one of the `threads`: it asks for jobs, no more than two ahead
/// of the other threads, takes what is done, and works itself where there is
/// nothing to take. `jobs`, `take` and `interrupt`, which is called at least every
/// 10 ms while the caller waits, run on the calling thread only; unwinding out
/// of them stops the others, in which all signals are blocked.
///
/// `work` asks now and then whether to go on, on the calling thread by way of the
/// interrupt, and gives `None` where the answer was no.
pub fn in_order<J: Send, A: Send>(
    threads: usize,
    mut jobs: impl FnMut() -> Option<J>,
    work: impl Fn(J, &dyn Fn() -> bool) -> Option<A> + Sync,
    mut take: impl FnMut(A),
    interrupt: Interrupt,
) {
    let go_on = || {
        interrupt();
        true
    };
    let work_here = |job| work(job, &go_on);
    if threads <= 1 {
        return alone(jobs, work_here, take);
    }
    let stop = AtomicBool::new(false);
    let (give, given) = mpsc::channel();
    let given = Mutex::new(given);
    let (finish, finished) = mpsc::channel();
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        let give = give;
        let mut workers = Vec::with_capacity(threads - 1);
        let blocked = Blocked::all();
        for _ in 1..threads {
            let finish = finish.clone();
            let worker = std::thread::Builder::new()
                .spawn_scoped(scope, || serve(&given, finish, &work, &stop));
            workers.extend(worker.ok());
        }
        drop((blocked, finish));
        if workers.is_empty() {
            // The system gives no threads.
            return alone(jobs, work_here, take);
        }
        let mut line =
            Line { give: Some(give), given: &given, finished, waiting: BTreeMap::new(), taken: 0 };
        let whole = line.run(workers.len() + 2, &mut jobs, work_here, &mut take, interrupt);
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        debug_assert!(whole, "threads end early by a panic only");
    });
}

fn alone<J, A>(
    mut jobs: impl FnMut() -> Option<J>,
    work: impl Fn(J) -> Option<A>,
    mut take: impl FnMut(A),
) {
    while let Some(job) = jobs() {
        if let Some(done) = work(job) {
            take(done);
        }
    }
}

/// Numbered jobs.
type Jobs<J> = Mutex<Receiver<(usize, J)>>;

/// Works until there are no more jobs, or nobody waits for what comes of them.
fn serve<J, A>(
    given: &Jobs<J>,
    finish: Sender<(usize, A)>,
    work: &impl Fn(J, &dyn Fn() -> bool) -> Option<A>,
    stop: &AtomicBool,
) {
    let go_on = || !stop.load(Ordering::Relaxed);
    loop {
        let next = given.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
        let Ok((number, job)) = next else { return };
        let done = if go_on() { work(job, &go_on) } else { None };
        let Some(done) = done else { return };
        if finish.send((number, done)).is_err() {
            return;
        }
    }
}

/// The caller's side.
struct Line<'a, J, A> {
    give: Option<Sender<(usize, J)>>,
    given: &'a Jobs<J>,
    finished: Receiver<(usize, A)>,
    /// Done before its turn.
    waiting: BTreeMap<usize, A>,
    taken: usize,
}

impl<J, A> Line<'_, J, A> {
    /// Keeps up to `ahead` jobs under way; false where the threads have gone.
    fn run(
        &mut self,
        ahead: usize,
        jobs: &mut impl FnMut() -> Option<J>,
        work: impl Fn(J) -> Option<A>,
        take: &mut impl FnMut(A),
        interrupt: Interrupt,
    ) -> bool {
        let mut given = 0;
        loop {
            while given - self.taken < ahead
                && let Some(give) = &self.give
            {
                match jobs() {
                    Some(job) => {
                        if give.send((given, job)).is_err() {
                            return false;
                        }
                        given += 1;
                    }
                    None => self.give = None,
                }
            }
            if self.taken == given {
                return true;
            }
            let Some(done) = self.next(&work, interrupt) else { return false };
            take(done);
        }
    }

    /// What comes of the next job in turn; `None` where the threads have gone.
    fn next(&mut self, work: &impl Fn(J) -> Option<A>, interrupt: Interrupt) -> Option<A> {
        loop {
            interrupt();
            self.waiting.extend(self.finished.try_iter());
            if let Some(done) = self.waiting.remove(&self.taken) {
                self.taken += 1;
                return Some(done);
            }
            // A thread that waits for a job holds the lock: then there is none.
            let job = self.given.try_lock().ok().and_then(|given| given.try_recv().ok());
            if let Some((number, job)) = job {
                self.waiting.insert(number, work(job)?);
                continue;
            }
            match self.finished.recv_timeout(POLL) {
                Ok((number, done)) => {
                    self.waiting.insert(number, done);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn what_comes_out_is_in_the_order_of_the_jobs() {
        for threads in 0..=4 {
            for count in [0, 1, 3, 100] {
                let mut jobs = 0..count;
                let mut taken = Vec::new();
                let work = |job: u64, _: &dyn Fn() -> bool| {
                    // The first take longest.
                    std::thread::sleep(Duration::from_micros(200 * (count - job) % 700));
                    Some(job * 3)
                };
                in_order(threads, || jobs.next(), work, |done| taken.push(done), &|| ());
                assert!(taken.into_iter().eq((0..count).map(|job| job * 3)), "{threads} threads");
            }
        }
    }

    #[test]
    fn the_caller_does_its_part_itself_and_jobs_wait() {
        let caller = std::thread::current().id();
        let here = || assert_eq!(std::thread::current().id(), caller);
        for threads in [1, 3] {
            let given = std::cell::Cell::new(0);
            let taken = std::cell::Cell::new(0);
            let jobs = || {
                here();
                given.set(given.get() + 1);
                assert!(given.get() - taken.get() <= threads + 1, "too many jobs are under way");
                (given.get() <= 50).then_some(())
            };
            let elsewhere = std::cell::Cell::new(false);
            let take = |there: bool| {
                here();
                taken.set(taken.get() + 1);
                elsewhere.set(elsewhere.get() || there);
            };
            let work = |(), _: &dyn Fn() -> bool| {
                // Long enough for others to come by a job.
                std::thread::sleep(Duration::from_millis(2));
                Some(std::thread::current().id() != caller)
            };
            in_order(threads, jobs, work, take, &here);
            assert_eq!(taken.get(), 50);
            assert_eq!(elsewhere.get(), threads > 1);
        }
    }

    #[test]
    fn unwinding_out_of_any_part_stops_the_threads() {
        for threads in [1, 2, 4] {
            for part in ["jobs", "work", "take", "interrupt"] {
                let raise = |here: &str| {
                    if here == part {
                        std::panic::panic_any("cancelled");
                    }
                };
                let jobs = || {
                    raise("jobs");
                    Some(())
                };
                // Without end, unless it is stopped.
                let work = |(), go_on: &dyn Fn() -> bool| {
                    raise("work");
                    while part == "interrupt" && go_on() {}
                    go_on().then_some(())
                };
                let take = |()| raise("take");
                let interrupted = catch_unwind(AssertUnwindSafe(|| {
                    in_order(threads, jobs, work, take, &|| raise("interrupt"));
                }));
                let payload = interrupted.expect_err(part);
                assert_eq!(payload.downcast_ref::<&str>(), Some(&"cancelled"), "{part}");
            }
        }
    }
}
