//! What a session holds open while it consumes a stream.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pgrx::{PgSqlErrorCode, PgXactCallbackEvent, register_xact_callback};
use sparkify_stream::kafka::{Arrival, Look, OpenFault, Reader, Settings};
use sparkify_stream::mapping::Reading;
use sparkify_stream::position::{Extent, Onward, Start, Steps};
use sparkify_stream::properties::Properties;

use crate::error::raise;
use crate::interrupt::interrupt;
use crate::storage::streams::{self, Rejected, Stream};

/// Between two checks of interrupts while nothing arrives.
const POLL: Duration = Duration::from_millis(20);
/// How long a batch gathers after its first message.
const LINGER: Duration = Duration::from_millis(100);
/// How long a call waits for a first message before it commits what it has seen.
const IDLE: Duration = Duration::from_secs(1);
/// How long the brokers may say nothing, or not know the topic, when a stream is opened.
const PATIENCE: Duration = Duration::from_secs(10);
/// A refused message up to this length is kept whole.
const KEPT_WHOLE: usize = 64 << 10;
/// As much is kept of a longer one.
const KEPT: usize = 1000;

/// A stream that is read.
struct Open {
    name: String,
    memory: usize,
    stream: Stream,
    reader: Reader,
    /// Offsets of the next messages to read, by partition.
    positions: BTreeMap<i32, i64>,
    /// Ends of the partitions as last seen.
    ends: BTreeMap<i32, i64>,
    /// Partitions that were read to their end.
    ended: BTreeSet<i32>,
    /// What went wrong last, until the brokers answer again.
    trouble: Option<String>,
    /// Since when the topic is not known.
    gone: Option<Instant>,
    /// Stored in the transaction before this one, not yet reported.
    unreported: bool,
}

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

fn refuse_client(fault: &OpenFault) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
        format!("the Kafka client refuses: {fault}"),
        Some("Look at the brokers and the client_file that the stream was made with."),
    )
}

/// Lets go of everything when the transaction fails outside of a block that catches it.
fn watch_transaction() {
    register_xact_callback(PgXactCallbackEvent::Abort, || {
        OPEN.with_borrow_mut(|open| drop(open.take()));
        streams::forget_lock();
    });
}

/// Does one transaction's work; says what came of it: `stored`, `idle`, `end` where
/// everything was read and that was asked for, `busy` where another session consumes
/// the stream, `moved` where it has to be opened again.
pub fn read(name: &str, rows: usize, memory: usize, seconds: f64, until_end: bool) -> &'static str {
    watch_transaction();
    let deadline = Instant::now() + Duration::from_secs_f64(seconds.min(86_400.0));
    // While it is not in its place an error closes it on its way out.
    let held = OPEN.with_borrow_mut(Option::take);
    let held = held.filter(|open| open.name == name && open.memory == memory);
    let mut open = match held {
        Some(open) => open,
        None => match Open::new(name, memory, deadline) {
            Some(open) => open,
            None => return "busy",
        },
    };
    let outcome = open.step(rows, deadline, until_end);
    if outcome != "moved" {
        OPEN.with_borrow_mut(|place| *place = Some(open));
    }
    outcome
}

/// Closes what is open; gives what is wrong with the brokers, if anything is.
pub fn close(keep_lock: bool) -> Option<String> {
    let open = OPEN.with_borrow_mut(Option::take);
    if !keep_lock {
        streams::unlock();
    }
    open.and_then(|open| {
        if open.unreported {
            open.reader.report(&open.positions);
        }
        open.trouble.clone()
    })
}

impl Open {
    /// Opens a stream; `None` where another session has it.
    fn new(name: &str, memory: usize, deadline: Instant) -> Option<Open> {
        let unknown = || -> ! {
            raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("stream \"{name}\" does not exist"),
                Some("List streams with SELECT DISTINCT stream FROM sparkify.stream_status."),
            )
        };
        let Some(found) = streams::find(name) else { unknown() };
        if !streams::lock(found.id) {
            return None;
        }
        // As it is now that nobody else changes its offsets.
        let Some(stream) = streams::find(name) else { unknown() };
        let properties = match &stream.client_file {
            Some(path) => streams::properties(path),
            None => Properties::default(),
        };
        let settings = Settings {
            brokers: stream.brokers.clone(),
            topic: stream.topic.clone(),
            group: stream.group.clone(),
            properties,
            memory,
            time: match stream.start {
                Start::Time(time) if !stream.started => Some(time),
                _ => None,
            },
        };
        let reader = Reader::open(&settings).unwrap_or_else(|fault| refuse_client(&fault));
        let partitions = first_look(&reader, name, &stream, deadline);
        let mut open = Open {
            name: name.to_owned(),
            memory,
            stream,
            reader,
            positions: BTreeMap::new(),
            ends: BTreeMap::new(),
            ended: BTreeSet::new(),
            trouble: None,
            gone: None,
            unreported: false,
        };
        let stored = streams::positions(open.stream.id);
        for (&partition, &position) in &stored {
            let extent = partitions.get(&partition);
            match extent.map_or(Onward::Beyond(position), |extent| extent.onward(position)) {
                Onward::At(_) | Onward::Lost { .. } => {}
                Onward::Beyond(_) if position == 0 => {}
                Onward::Beyond(by) => raise(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "offset {position} of partition {partition} lies {by} behind the end of topic \"{}\": it is another topic than before",
                        open.stream.topic
                    ),
                    Some(&format!(
                        "Run SELECT sparkify.reset_stream('{name}', 'earliest'), or a time."
                    )),
                ),
            }
            open.positions.insert(partition, position);
        }
        open.take_up(&partitions);
        Some(open)
    }

    /// Takes up what a look has found: partitions that are new, messages that are gone.
    fn take_up(&mut self, partitions: &BTreeMap<i32, Extent>) {
        let mut changed = self.ends.is_empty();
        for (&partition, extent) in partitions {
            match self.positions.get(&partition) {
                None => {
                    // Whatever stands in a partition that was added came after the start.
                    let start =
                        if self.stream.started { Start::Earliest } else { self.stream.start };
                    let position = start.position(*extent);
                    streams::begin(self.stream.id, partition, position, extent.high);
                    self.positions.insert(partition, position);
                    changed = true;
                }
                Some(&position) => {
                    if let Onward::Lost { at, .. } = extent.onward(position) {
                        streams::skip_lost(self.stream.id, partition, position, at);
                        self.positions.insert(partition, at);
                        changed = true;
                    }
                }
            }
        }
        if !self.stream.started {
            streams::started(self.stream.id);
            self.stream.started = true;
        }
        let ends: BTreeMap<i32, i64> =
            partitions.iter().map(|(&partition, extent)| (partition, extent.high)).collect();
        if ends != self.ends {
            streams::see(self.stream.id, &ends);
            self.ends = ends;
        }
        if changed {
            self.ended.clear();
            if let Err(fault) = self.reader.assign(&self.positions) {
                refuse_client(&fault);
            }
        }
    }

    fn step(&mut self, rows: usize, deadline: Instant, until_end: bool) -> &'static str {
        if std::mem::take(&mut self.unreported) {
            self.reader.report(&self.positions);
        }
        match self.reader.look() {
            Some(Look::Partitions(partitions)) => {
                (self.trouble, self.gone) = (None, None);
                self.take_up(&partitions);
            }
            Some(Look::NoAnswer(why)) => self.trouble = Some(why),
            Some(Look::NoTopic) => {
                let since = *self.gone.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE / 2 {
                    refuse_topic(&self.name, &self.stream);
                }
            }
            None => {}
        }
        let mut batch = Batch::default();
        let began = Instant::now();
        let mut first: Option<Instant> = None;
        let mut moved = false;
        while batch.messages.len() < rows && batch.bytes < self.memory / 4 {
            interrupt();
            let over = match first {
                Some(first) => first.elapsed() >= LINGER,
                None => began.elapsed() >= IDLE,
            };
            let wait = if over || Instant::now() >= deadline { Duration::ZERO } else { POLL };
            match self.reader.next(wait) {
                Arrival::Message { partition, offset, payload } => {
                    let position = self.positions.get(&partition).copied().unwrap_or(offset);
                    if batch.steps.add(partition, position, offset) {
                        self.ended.remove(&partition);
                        first.get_or_insert_with(Instant::now);
                        batch.take(&self.stream, partition, offset, payload);
                    }
                }
                Arrival::End(partition) => {
                    self.ended.insert(partition);
                }
                Arrival::OutOfRange => {
                    moved = true;
                    break;
                }
                Arrival::Fault(why) => self.trouble = Some(why),
                Arrival::Nothing if wait.is_zero() => break,
                Arrival::Nothing => {}
            }
            if until_end && self.at_end() {
                break;
            }
            // Under a steady stream a batch ends by its time, too.
            if over && first.is_some() {
                break;
            }
        }
        let stored = !batch.messages.is_empty();
        if stored {
            self.store(batch);
        }
        match (moved, until_end && self.at_end(), stored) {
            (true, ..) => "moved",
            (_, true, _) => "end",
            (.., true) => "stored",
            _ => "idle",
        }
    }

    fn at_end(&self) -> bool {
        self.ended.len() == self.positions.len()
    }

    fn store(&mut self, batch: Batch) {
        let Batch { mut steps, mut messages, events, places, .. } = batch;
        let moved: Vec<_> = steps.iter().collect();
        streams::lock_positions(self.stream.id, &moved);
        if !events.is_empty() {
            for (place, reason) in streams::store(events, self.stream.create_users) {
                if let Some(message) = places.get(place).and_then(|&at| messages.get_mut(at)) {
                    message.reason = Some(reason);
                }
            }
        }
        let rejected: Vec<Rejected> =
            messages.into_iter().filter_map(TakenMessage::rejected).collect();
        for one in &rejected {
            steps.reject(one.partition);
        }
        if !rejected.is_empty() {
            streams::reject(&self.stream.topic, rejected);
        }
        let moved: Vec<_> = steps.iter().collect();
        streams::move_positions(self.stream.id, &moved, &self.ends);
        for (partition, step) in moved {
            self.positions.insert(partition, step.to);
        }
        self.unreported = true;
    }
}

fn refuse_topic(name: &str, stream: &Stream) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!(
            "topic \"{}\" of stream \"{name}\" does not exist at {}",
            stream.topic, stream.brokers
        ),
        Some(&format!(
            "Make the topic; where it was made anew, run SELECT sparkify.reset_stream('{name}') besides."
        )),
    )
}

/// What the topic has when a stream is opened. Raises where nobody answers, or there is no such topic.
fn first_look(
    reader: &Reader,
    name: &str,
    stream: &Stream,
    deadline: Instant,
) -> BTreeMap<i32, Extent> {
    let began = Instant::now();
    let mut last = Look::NoAnswer("no answer yet".into());
    loop {
        interrupt();
        match reader.look() {
            Some(Look::Partitions(partitions)) => return partitions,
            Some(look) => last = look,
            None => {}
        }
        let patience = if last == Look::NoTopic { PATIENCE / 2 } else { PATIENCE };
        if began.elapsed() > patience || (Instant::now() > deadline && began.elapsed() > IDLE) {
            break;
        }
        // Nothing is assigned yet: this hears what goes wrong, and waits.
        let _ = reader.next(POLL);
    }
    let why = match last {
        Look::NoTopic => refuse_topic(name, stream),
        Look::NoAnswer(why) => reader.trouble().unwrap_or(why),
        Look::Partitions(partitions) => return partitions,
    };
    raise(
        PgSqlErrorCode::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
        format!("no broker of stream \"{name}\" answers at {}: {why}", stream.brokers),
        Some("Look whether the brokers run, and whether client_file says how they are reached."),
    )
}

/// A message of a batch.
struct TakenMessage {
    partition: i32,
    offset: i64,
    payload: Option<Vec<u8>>,
    user: Option<String>,
    /// Why it is refused, if it is.
    reason: Option<String>,
}

impl TakenMessage {
    fn rejected(self) -> Option<Rejected> {
        let reason = self.reason?;
        let payload = self.payload.unwrap_or_default();
        let kept = if payload.len() > KEPT_WHOLE { &payload[..KEPT] } else { &payload[..] };
        Some(Rejected {
            message: String::from_utf8_lossy(kept).replace('\0', "\u{fffd}"),
            reason,
            user: self.user.filter(|user| !user.contains('\0')).unwrap_or_default(),
            partition: self.partition,
            offset: self.offset,
        })
    }
}

/// Messages that are stored together.
#[derive(Default)]
struct Batch {
    steps: Steps,
    messages: Vec<TakenMessage>,
    /// Those that may be events, and the place of each among the messages.
    events: Vec<String>,
    places: Vec<usize>,
    bytes: usize,
}

impl Batch {
    fn take(&mut self, stream: &Stream, partition: i32, offset: i64, payload: Option<Vec<u8>>) {
        let reading = stream.mapping.apply(payload.as_deref(), stream.max_message_bytes);
        self.bytes += payload.as_ref().map_or(0, Vec::len) + size_of::<TakenMessage>();
        let (user, reason) = match reading {
            Reading::Event(event, user) => {
                self.bytes += event.len();
                self.places.push(self.messages.len());
                self.events.push(event);
                (user, None)
            }
            Reading::Refused(reason) => (None, Some(reason)),
        };
        self.messages.push(TakenMessage { partition, offset, payload, user, reason });
    }
}
