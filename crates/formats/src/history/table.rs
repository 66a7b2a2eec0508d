//! Histories in CSV: scrobbles, and the columns of `listening_events`.

use std::io::Read;

use super::{Fault, Format, Item, Options, Raw, cut};
use crate::delimited::{self, Records};
use crate::header::{self, PLAY_COLUMNS, Plan, play};
use crate::value;

pub(super) fn read(
    source: impl Read,
    options: &Options,
    each: &mut dyn FnMut(Item),
) -> Result<(), Fault> {
    let mut records = match Records::open(source, &PLAY_COLUMNS, &[]) {
        Err(delimited::Fault::Empty) => return Ok(()),
        other => other.map_err(Fault::Delimited)?,
    };
    let names = records.header().to_vec();
    let plan =
        header::plan(&names, &PLAY_COLUMNS, &[]).map_err(|_| Fault::Unknown(names.join(",")))?;
    let named = plan.column(play::TRACK_ID).is_some()
        || (plan.column(play::TRACK_NAME).is_some() && plan.column(play::ARTIST).is_some());
    let plan = if named && plan.column(play::PLAYED_AT).is_some() {
        plan
    } else if let Some(plan) = scrobbles(&names) {
        records.without_header();
        plan
    } else {
        return Err(Fault::Unknown(cut(&names.join(","))));
    };
    if !matches!(options.format, Format::Auto | Format::Lastfm | Format::Events) {
        return Err(Fault::Unknown(cut(&names.join(","))));
    }
    let places: [Option<usize>; PLAY_COLUMNS.len()] = std::array::from_fn(|i| plan.column(i));
    while let Some(record) = records.next().map_err(Fault::Delimited)? {
        let text = |column: usize| places[column].map(|at| &record[at]);
        let user_id = text(play::USER_ID).and_then(value::present);
        if user_id.is_some_and(|user_id| user_id != options.user_id) {
            each(Item::PassedOver);
            continue;
        }
        each(Raw::of_texts(text).judge(options));
    }
    Ok(())
}

/// Scrobbles without a header: artist, album, track and date.
fn scrobbles(first: &[String]) -> Option<Plan> {
    let [_, _, _, date] = first else { return None };
    (date.is_empty() || crate::moment::parse(date).is_some()).then(|| Plan {
        targets: vec![Some(play::ARTIST), None, Some(play::TRACK_NAME), Some(play::PLAYED_AT)],
        index: None,
        unknown: Vec::new(),
        unnamed: Vec::new(),
        commas: Vec::new(),
    })
}
