//! Keeps signals away from threads that a server process starts.
//!
//! A server's signal handlers belong to its own thread. A thread inherits the
//! mask of the one that starts it, so all signals are blocked around the
//! start.
#![expect(unsafe_code, reason = "pthread_sigmask")]

/// All signals blocked in this thread, until it is dropped.
pub struct Blocked {
    #[cfg(unix)]
    before: Option<libc::sigset_t>,
}

impl Blocked {
    /// Blocks every signal in this thread.
    #[must_use]
    pub fn all() -> Self {
        #[cfg(unix)]
        {
            let mut every = std::mem::MaybeUninit::uninit();
            let mut before = std::mem::MaybeUninit::uninit();
            // SAFETY: both sets are valid to write; `sigfillset` fills the one
            // that is read, and `before` is read only after success.
            let before = unsafe {
                libc::sigfillset(every.as_mut_ptr());
                let set =
                    libc::pthread_sigmask(libc::SIG_SETMASK, every.as_ptr(), before.as_mut_ptr());
                (set == 0).then(|| before.assume_init())
            };
            Self { before }
        }
        #[cfg(not(unix))]
        Self {}
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(before) = &self.before {
            // SAFETY: `before` was filled by `pthread_sigmask`.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
        }
    }
}
