//! Reads a topic of Kafka.
//!
//! librdkafka fetches on threads of its own, in which it blocks every signal; a
//! thread of ours looks now and then at what the topic has, for those questions
//! wait for the network. The caller only takes what has arrived and never waits
//! longer than it asks to. No thread calls back into the caller. Dropping a reader
//! lets go of it at once; its threads end on their own: see [`wait_closed`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset, TopicPartitionList};
use sparkify_core::signals::Blocked;

use crate::position::Extent;
use crate::properties::Properties;

/// Between two looks at the topic.
const LOOK: Duration = Duration::from_secs(2);
/// How long a question to a broker waits.
const ANSWER: Duration = Duration::from_secs(3);
/// What a response takes beside its messages.
const FRAME: usize = 64 << 10;
/// The least memory with which messages are fetched.
const LEAST: usize = 1 << 20;

/// Consumers that live, in any thread.
static LIVING: AtomicUsize = AtomicUsize::new(0);

/// Which topic is read, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host and port of one or more brokers, divided by commas.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// The group under whose name positions are written back, for monitors.
    pub group: String,
    /// How the brokers are reached.
    pub properties: Properties,
    /// Bytes of messages that are held before the caller takes them.
    pub memory: usize,
    /// A time whose first offset is looked up in each partition, in milliseconds since 1970.
    pub time: Option<i64>,
}

/// Why there is no reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFault(String);

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OpenFault {}

/// What a look at the topic found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Its partitions.
    Partitions(BTreeMap<i32, Extent>),
    /// The brokers know no such topic.
    NoTopic,
    /// No answer, and what was the last that went wrong.
    NoAnswer(String),
}

/// What has arrived.
#[derive(Debug)]
pub enum Arrival {
    /// A message; its payload is `None` where the producer sent none.
    Message {
        /// The partition.
        partition: i32,
        /// The offset in it.
        offset: i64,
        /// What it says.
        payload: Option<Vec<u8>>,
    },
    /// Everything in this partition was read.
    End(i32),
    /// A broker says that an offset asked for is not there.
    OutOfRange,
    /// Something went wrong that the client tries again.
    Fault(String),
    /// Nothing.
    Nothing,
}

/// Keeps the last error that the client reports.
struct Heed(Arc<Mutex<Option<String>>>);

impl ClientContext for Heed {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, _error: KafkaError, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl ConsumerContext for Heed {}

/// Counts in [`LIVING`].
struct Alive;

impl Alive {
    fn new() -> Alive {
        LIVING.fetch_add(1, Ordering::AcqRel);
        Alive
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The consumer, and after it the count.
struct Held {
    consumer: BaseConsumer<Heed>,
    _alive: Alive,
}

/// Reads some partitions of a topic.
pub struct Reader {
    held: Option<Arc<Held>>,
    looks: Receiver<Look>,
    stop: Sender<()>,
    topic: String,
    trouble: Arc<Mutex<Option<String>>>,
}

/// Waits until the threads of all readers that were dropped have ended; false
/// where they have not in this time.
pub fn wait_closed(limit: Duration) -> bool {
    let began = Instant::now();
    while LIVING.load(Ordering::Acquire) > 0 {
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

impl Reader {
    /// Begins to connect. Waits for nothing.
    ///
    /// # Errors
    /// [`OpenFault`] where the client takes no such settings or the system gives no threads.
    pub fn open(settings: &Settings) -> Result<Reader, OpenFault> {
        let memory = settings.memory.max(LEAST);
        let number = |bytes: usize| bytes.to_string();
        let mut config = ClientConfig::new();
        for (key, value) in settings.properties.iter() {
            config.set(key, value);
        }
        config
            .set("bootstrap.servers", &settings.brokers)
            .set("client.id", "sparkify")
            .set("group.id", &settings.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false")
            .set("check.crcs", "true")
            // Half for what waits to be taken, half for what is on its way.
            .set("queued.max.messages.kbytes", number((memory / 2) >> 10))
            .set("fetch.message.max.bytes", number(memory / 8))
            .set("fetch.max.bytes", number(memory / 2))
            .set("receive.message.max.bytes", number(memory / 2 + FRAME))
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set_log_level(RDKafkaLogLevel::Emerg);
        let trouble = Arc::new(Mutex::new(None));
        let blocked = Blocked::all();
        let alive = Alive::new();
        let consumer: BaseConsumer<Heed> = config
            .create_with_context(Heed(Arc::clone(&trouble)))
            .map_err(|error| OpenFault(describe(&error)))?;
        let held = Arc::new(Held { consumer, _alive: alive });
        let (looked, looks) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        let scout = Scout {
            held: Arc::clone(&held),
            topic: settings.topic.clone(),
            time: settings.time,
            trouble: Arc::clone(&trouble),
        };
        std::thread::Builder::new()
            .name("sparkify stream".into())
            .spawn(move || scout.run(&looked, &stopped))
            .map_err(|error| OpenFault(format!("the system gives no thread: {error}")))?;
        drop(blocked);
        Ok(Reader { held: Some(held), looks, stop, topic: settings.topic.clone(), trouble })
    }

    /// The newest look at the topic since the last call, if there is one.
    pub fn look(&self) -> Option<Look> {
        self.looks.try_iter().last()
    }

    /// Reads from these positions on, and nothing else.
    ///
    /// # Errors
    /// [`OpenFault`] where the client refuses.
    pub fn assign(&self, positions: &BTreeMap<i32, i64>) -> Result<(), OpenFault> {
        let list = self.list(positions);
        let Some(held) = &self.held else { return Ok(()) };
        let _blocked = Blocked::all();
        held.consumer.assign(&list).map_err(|error| OpenFault(describe(&error)))
    }

    /// Writes positions to the brokers, for monitors of the group. Nobody reads them
    /// back; where it fails nothing is lost.
    pub fn report(&self, positions: &BTreeMap<i32, i64>) {
        if let Some(held) = &self.held
            && !positions.is_empty()
        {
            let _ = held.consumer.commit(&self.list(positions), CommitMode::Async);
        }
    }

    fn list(&self, positions: &BTreeMap<i32, i64>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (&partition, &offset) in positions {
            // Refused for offsets below 0 only, which no position is.
            let _ = list.add_partition_offset(&self.topic, partition, Offset::Offset(offset));
        }
        list
    }

    /// What has arrived, or arrives within `wait`.
    pub fn next(&self, wait: Duration) -> Arrival {
        let Some(held) = &self.held else { return Arrival::Nothing };
        match held.consumer.poll(wait) {
            None => Arrival::Nothing,
            Some(Ok(message)) => Arrival::Message {
                partition: message.partition(),
                offset: message.offset(),
                payload: message.payload().map(<[u8]>::to_vec),
            },
            Some(Err(KafkaError::PartitionEOF(partition))) => Arrival::End(partition),
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ))) => Arrival::OutOfRange,
            Some(Err(error)) => Arrival::Fault(self.trouble().unwrap_or_else(|| describe(&error))),
        }
    }

    /// The last error that the client reported since the last call.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        let Some(held) = self.held.take() else { return };
        let _blocked = Blocked::all();
        // Leaving waits for what is on its way: the caller need not. Without a thread it must.
        let _ =
            std::thread::Builder::new().name("sparkify stream".into()).spawn(move || drop(held));
    }
}

/// Asks the brokers what the topic has.
struct Scout {
    held: Arc<Held>,
    topic: String,
    time: Option<i64>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Scout {
    fn run(self, looked: &Sender<Look>, stopped: &Receiver<()>) {
        loop {
            if looked.send(self.look()).is_err() {
                return;
            }
            match stopped.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return,
            }
        }
    }

    fn look(&self) -> Look {
        self.ask().unwrap_or_else(|error| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Look::NoTopic
            }
            _ => {
                let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Look::NoAnswer(trouble.unwrap_or_else(|| describe(&error)))
            }
        })
    }

    fn ask(&self) -> Result<Look, KafkaError> {
        let consumer = &self.held.consumer;
        let metadata = consumer.fetch_metadata(Some(&self.topic), ANSWER)?;
        let Some(topic) = metadata.topics().first() else { return Ok(Look::NoTopic) };
        if let Some(error) = topic.error() {
            return Err(KafkaError::MetadataFetch(error.into()));
        }
        if topic.partitions().is_empty() {
            return Ok(Look::NoTopic);
        }
        let mut partitions = BTreeMap::new();
        for partition in topic.partitions() {
            let (low, high) = consumer.fetch_watermarks(&self.topic, partition.id(), ANSWER)?;
            partitions.insert(partition.id(), Extent { low, high, at_time: None });
        }
        if let Some(time) = self.time {
            let mut list = TopicPartitionList::new();
            for &partition in partitions.keys() {
                list.add_partition_offset(&self.topic, partition, Offset::Offset(time))?;
            }
            for found in consumer.offsets_for_times(list, ANSWER)?.elements() {
                if let (Some(extent), Offset::Offset(offset)) =
                    (partitions.get_mut(&found.partition()), found.offset())
                {
                    extent.at_time = Some(offset);
                }
            }
        }
        Ok(Look::Partitions(partitions))
    }
}

/// An error without the values of settings, which a client's own text may repeat.
fn describe(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, _, key, _) => format!("the client refuses the value of {key}"),
        _ => match error.rdkafka_error_code() {
            Some(code) => code.to_string(),
            None => error.to_string(),
        },
    }
}
