//! The check that long computations make.

/// Raises where the statement was cancelled or its time is up.
pub fn interrupt() {
    pgrx::check_for_interrupts!();
}
