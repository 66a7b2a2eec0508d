//! Sorting that can be interrupted, in its own place.

use std::cmp::Ordering;

use crate::Interrupt;

/// Comparisons between two interrupt checks.
const CHECK_EVERY: usize = 1 << 14;

/// Sorts by a comparison; the order of equal elements is the same each time, and not theirs
/// before. Where the interrupt unwinds, the elements are left in any order.
pub fn sort_by<T>(
    elements: &mut [T],
    interrupt: Interrupt,
    mut compare: impl FnMut(&T, &T) -> Ordering,
) {
    let mut compared = 0usize;
    elements.sort_unstable_by(|a, b| {
        compared += 1;
        if compared.is_multiple_of(CHECK_EVERY) {
            interrupt();
        }
        compare(a, b)
    });
}

/// Sorts by a key, as [`sort_by`].
pub fn sort_by_key<T, K: Ord>(elements: &mut [T], interrupt: Interrupt, key: impl Fn(&T) -> K) {
    sort_by(elements, interrupt, |a, b| key(a).cmp(&key(b)));
}

/// Sorts, as [`sort_by`].
pub fn sort<T: Ord>(elements: &mut [T], interrupt: Interrupt) {
    sort_by(elements, interrupt, T::cmp);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn mixed(count: u32) -> Vec<u32> {
        (0..count).map(|i| i.wrapping_mul(2_654_435_761) ^ 0x5bd1_e995).collect()
    }

    #[test]
    fn many_elements_are_checked_many_times() {
        let mut elements = mixed(300_000);
        let mut expected = elements.clone();
        expected.sort();
        let checks = Cell::new(0);
        sort(&mut elements, &|| checks.set(checks.get() + 1));
        assert_eq!(elements, expected);
        // Some n log n comparisons.
        assert!(checks.get() > 100, "{} checks", checks.get());
        sort_by_key(&mut elements, &|| (), |&x| std::cmp::Reverse(x));
        assert!(elements.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn unwinding_out_of_it_loses_no_element() {
        let mut elements: Vec<String> = mixed(50_000).iter().map(u32::to_string).collect();
        let mut expected = elements.clone();
        let interrupt = || std::panic::panic_any("cancelled");
        let interrupted = catch_unwind(AssertUnwindSafe(|| sort(&mut elements, &interrupt)));
        assert!(interrupted.is_err());
        expected.sort();
        sort(&mut elements, &|| ());
        assert_eq!(elements, expected);
    }
}
