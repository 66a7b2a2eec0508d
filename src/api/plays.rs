//! Counting plays afresh, for the summaries.

use pgrx::prelude::*;
use sparkify_core::plays::PlayCounter;

use crate::error::or_raise;
use crate::interrupt::interrupt;
use crate::storage::plays;

#[pg_extern(schema = "sparkify_internal", stable, parallel_restricted, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn count_plays() -> TableIterator<
    'static,
    (
        name!(dimension, String),
        name!(name, String),
        name!(plays, i64),
        name!(listeners, i64),
        name!(skipped, i64),
        name!(skip_known, i64),
    ),
> {
    let mut counter = PlayCounter::default();
    plays::each_play(|user, track, played_at, skipped| {
        or_raise(counter.add(user, track, played_at, skipped));
    });
    let names = plays::names();
    let tallies =
        or_raise(counter.count(|track| names.get(track).cloned().unwrap_or_default(), &interrupt));
    TableIterator::new(tallies.into_iter().map(|tally| {
        (
            tally.dimension.to_owned(),
            tally.name,
            tally.plays as i64,
            tally.listeners as i64,
            tally.skipped as i64,
            tally.skip_known as i64,
        )
    }))
}
