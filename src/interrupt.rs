//! The check that long computations make.

/// Raises where the statement was cancelled, its time is up, or memory ran out.
pub fn interrupt() {
    crate::memory::check();
    pgrx::check_for_interrupts!();
}
