//! Where a consumer of a partition stands, and what a batch moves.
//!
//! A position is the offset of the next message to read. It moves only together
//! with the rows of the messages before it; a batch therefore knows the position
//! it began at, which must still be the stored one when it is written.

use std::collections::BTreeMap;

/// Where a stream begins in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message there is.
    Earliest,
    /// Behind the newest.
    Latest,
    /// At the first message of this time or later, in milliseconds since 1970.
    Time(i64),
}

/// What a broker says of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Offset of the oldest message there is.
    pub low: i64,
    /// Offset that the next message will have.
    pub high: i64,
    /// Offset of the first message of the start's time or later; `None` where there is none.
    pub at_time: Option<i64>,
}

/// Where to go on in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// At this offset.
    At(i64),
    /// At the oldest message: as many before it are gone unread.
    Lost {
        /// Offset of the oldest message.
        at: i64,
        /// Messages between the position and it.
        messages: i64,
    },
    /// Nowhere: the position lies behind the end, by as many messages. The topic is another.
    Beyond(i64),
}

impl Start {
    /// The first position in a partition.
    #[must_use]
    pub fn position(self, extent: Extent) -> i64 {
        match self {
            Start::Earliest => extent.low,
            Start::Latest => extent.high,
            Start::Time(_) => extent.at_time.unwrap_or(extent.high).clamp(extent.low, extent.high),
        }
    }
}

impl Extent {
    /// Where a consumer at `position` goes on.
    #[must_use]
    pub fn onward(self, position: i64) -> Onward {
        if position < self.low {
            Onward::Lost { at: self.low, messages: self.low - position }
        } else if position > self.high {
            Onward::Beyond(position - self.high)
        } else {
            Onward::At(position)
        }
    }
}

/// What a batch moves in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The position before.
    pub from: i64,
    /// The position after.
    pub to: i64,
    /// Messages read; fewer than `to - from` where offsets are missing.
    pub messages: i64,
    /// Messages among them that are no valid event.
    pub rejected: i64,
}

/// What a batch moves, by partition.
#[derive(Debug, Default)]
pub struct Steps(BTreeMap<i32, Step>);

impl Steps {
    /// Counts a message of a partition whose position is `position`; false, and
    /// nothing is counted, where it was read before.
    pub fn add(&mut self, partition: i32, position: i64, offset: i64) -> bool {
        let step = self.0.entry(partition).or_insert(Step {
            from: position,
            to: position,
            messages: 0,
            rejected: 0,
        });
        if offset < step.to {
            return false;
        }
        step.to = offset + 1;
        step.messages += 1;
        true
    }

    /// Counts a message of the batch as rejected.
    pub fn reject(&mut self, partition: i32) {
        if let Some(step) = self.0.get_mut(&partition) {
            step.rejected += 1;
        }
    }

    /// The steps, in the order of the partitions.
    pub fn iter(&self) -> impl Iterator<Item = (i32, Step)> + '_ {
        self.0.iter().filter(|(_, step)| step.to > step.from).map(|(&p, &s)| (p, s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent { low: 10, high: 20, at_time: Some(15) };

    #[test]
    fn a_stream_begins_where_it_is_told() {
        assert_eq!(Start::Earliest.position(EXTENT), 10);
        assert_eq!(Start::Latest.position(EXTENT), 20);
        assert_eq!(Start::Time(0).position(EXTENT), 15);
        assert_eq!(Start::Time(0).position(Extent { at_time: None, ..EXTENT }), 20);
        assert_eq!(Start::Time(0).position(Extent { at_time: Some(3), ..EXTENT }), 10);
    }

    #[test]
    fn a_position_outside_of_the_topic_is_told() {
        assert_eq!(EXTENT.onward(10), Onward::At(10));
        assert_eq!(EXTENT.onward(20), Onward::At(20));
        assert_eq!(EXTENT.onward(7), Onward::Lost { at: 10, messages: 3 });
        assert_eq!(EXTENT.onward(21), Onward::Beyond(1));
    }

    #[test]
    fn a_batch_moves_behind_its_last_message_and_counts_none_twice() {
        let mut steps = Steps::default();
        assert!(steps.add(1, 5, 5));
        assert!(!steps.add(1, 5, 5));
        // Compaction and the marks of transactions leave gaps.
        assert!(steps.add(1, 5, 9));
        assert!(!steps.add(0, 3, 2));
        steps.reject(1);
        steps.reject(7);
        let moved: Vec<_> = steps.iter().collect();
        assert_eq!(moved, [(1, Step { from: 5, to: 10, messages: 2, rejected: 1 })]);
    }
}
