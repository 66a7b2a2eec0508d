//! Unwinding out of the interrupt.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::*;

fn catalogue() -> AlignedBytes {
    let mut builder = IndexBuilder::new(8).unwrap();
    for number in 0..20_000u32 {
        let vector: Vec<f32> = (0..8)
            .map(|at| (number.wrapping_mul(2_654_435_761) >> (3 * at) & 255) as f32)
            .collect();
        builder.push(&format!("{number:05}"), &vector, number.into(), None).unwrap();
    }
    builder.finish(0, &|| ()).unwrap()
}

#[test]
fn unwinding_stops_the_threads() {
    let image = catalogue();
    let index = Index::open(&image).unwrap();
    let vector = [1.0; 8];
    // Far more work than fits in the test's time, unless it is stopped.
    let queries = vec![Query { vector: &vector, n: 1000, ..Query::default() }; 3_000_000];
    for threads in [1, 2, 4] {
        let calls = AtomicUsize::new(0);
        let cancelled = catch_unwind(AssertUnwindSafe(|| {
            top_n_batch(&index, &queries, threads, &|| {
                if calls.fetch_add(1, Ordering::Relaxed) == 3 {
                    std::panic::panic_any("cancelled");
                }
            })
        }));
        let payload = cancelled.expect_err("the interrupt unwinds");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"cancelled"));
        // The scope has joined its threads: the index is free to go.
    }
}

#[test]
fn the_interrupt_is_called_from_the_caller_only() {
    let image = catalogue();
    let index = Index::open(&image).unwrap();
    let vector = [1.0; 8];
    let queries = vec![Query { vector: &vector, n: 10, ..Query::default() }; 200];
    let caller = std::thread::current().id();
    for threads in 1..=3 {
        let calls = AtomicUsize::new(0);
        top_n_batch(&index, &queries, threads, &|| {
            assert_eq!(std::thread::current().id(), caller);
            calls.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        assert!(calls.into_inner() > 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn threads_have_all_signals_blocked_and_the_caller_keeps_its_own() {
    let blocked = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("SigBlk:")).unwrap();
        u64::from_str_radix(line["SigBlk:".len()..].trim(), 16).unwrap()
    };
    let before = blocked();
    let guard = crate::signals::Blocked::all();
    let inherited = std::thread::spawn(blocked).join().unwrap();
    drop(guard);
    assert_eq!(blocked(), before);
    // All but KILL (9), STOP (19) and the two that glibc keeps (32, 33).
    let kept = 1 << 8 | 1 << 18 | 1 << 31 | 1 << 32;
    assert_eq!(inherited | kept, u64::MAX);
}
