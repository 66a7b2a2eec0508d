//! A Kafka broker of a test's own, on the loopback.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::gate::wait_until;
use crate::{file_for_server, run};

/// The user that the broker knows, and a password as it may well be.
pub const USER: &str = "sparkify";
/// Its password.
pub const PASSWORD: &str = "s3cret=#x";

static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A broker that is its own controller.
pub struct Broker {
    folder: PathBuf,
    jars: PathBuf,
    process: Option<Child>,
    /// Port of the listener without security.
    pub port: u16,
    /// Port of the one with TLS and SASL.
    pub secure_port: u16,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl Broker {
    /// A broker for a test; says that the test is skipped where its jars cannot be had.
    pub fn start(test: &str) -> Option<Broker> {
        let jars = std::env::var_os("SPARKIFY_KAFKA_JARS").map(PathBuf::from);
        let Some(jars) = jars.filter(|jars| jars.is_dir()) else {
            println!("skipped: {test} needs the jars of Kafka from Maven Central, and a JRE");
            return None;
        };
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("sparkify-kafka-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the broker");
        let (port, secure_port, controller) = (free_port(), free_port(), free_port());
        let mut broker = Broker { folder, jars, process: None, port, secure_port };
        broker.configure(controller);
        broker.resume();
        Some(broker)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        command.arg(format!("{}/*", self.jars.display())).arg(class);
        command
    }

    fn configure(&self, controller: u16) {
        let keystore = self.path("keys.p12");
        run(Command::new("keytool").args([
            "-genkeypair",
            "-alias",
            "broker",
            "-keyalg",
            "EC",
            "-dname",
            "CN=localhost",
            "-ext",
            "san=dns:localhost,ip:127.0.0.1",
            "-validity",
            "3650",
            "-storetype",
            "PKCS12",
            "-storepass",
            "changeit",
            "-keystore",
            &keystore,
        ]));
        run(Command::new("keytool").args([
            "-exportcert",
            "-rfc",
            "-alias",
            "broker",
            "-storepass",
            "changeit",
            "-keystore",
            &keystore,
            "-file",
            &self.path("ca.pem"),
        ]));
        let lines = [
            "process.roles=broker,controller".to_owned(),
            "node.id=1".to_owned(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners=PLAINTEXT://127.0.0.1:{},SASL_SSL://127.0.0.1:{},CONTROLLER://127.0.0.1:{controller}", self.port, self.secure_port),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{},SASL_SSL://localhost:{}", self.port, self.secure_port),
            "controller.listener.names=CONTROLLER".to_owned(),
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL".to_owned(),
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned(),
            format!("listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";"),
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
            format!("ssl.keystore.location={keystore}"),
            "ssl.keystore.password=changeit".to_owned(),
            "ssl.key.password=changeit".to_owned(),
            "ssl.keystore.type=PKCS12".to_owned(),
            format!("log.dirs={}", self.path("logs")),
            "num.network.threads=2".to_owned(),
            "num.io.threads=2".to_owned(),
            "offsets.topic.num.partitions=1".to_owned(),
            "offsets.topic.replication.factor=1".to_owned(),
            "transaction.state.log.num.partitions=1".to_owned(),
            "transaction.state.log.replication.factor=1".to_owned(),
            "transaction.state.log.min.isr=1".to_owned(),
            "auto.create.topics.enable=false".to_owned(),
            "message.max.bytes=8388608".to_owned(),
            "log.retention.check.interval.ms=1000".to_owned(),
            "log.segment.delete.delay.ms=0".to_owned(),
        ];
        std::fs::write(self.folder.join("broker.properties"), lines.join("\n")).expect("a file");
        let mut format = self.java("kafka.tools.StorageTool");
        format.args([
            "format",
            "-t",
            "c3BhcmtpZnktdGVzdC0wMA",
            "-c",
            &self.path("broker.properties"),
        ]);
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            format.args(["--add-scram", &format!("{mechanism}=[name={USER},password={PASSWORD}]")]);
        }
        run(&mut format);
    }

    /// The broker's certificate, where the server can read it.
    pub fn certificate(&self) -> PathBuf {
        let pem = std::fs::read(self.folder.join("ca.pem")).expect("the certificate");
        file_for_server(&format!("kafka-{}.pem", self.secure_port), &pem)
    }

    /// Where it answers, without security.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it as nothing can refuse.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the broker is killed");
            process.wait().expect("the broker is gone");
        }
    }

    /// Starts it again after [`Broker::kill`], and waits until it answers.
    pub fn resume(&mut self) {
        let log = std::fs::File::create(self.folder.join("log")).expect("a log");
        let mut command = self.java("kafka.Kafka");
        command.arg(self.path("broker.properties")).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        self.process = Some(command.spawn().expect("java runs"));
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err()
            || self.producer().client().fetch_metadata(None, Duration::from_secs(5)).is_err()
        {
            if began.elapsed() > Duration::from_secs(120) {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                panic!("the broker does not answer:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()).set("log_level", "0");
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client")
    }

    /// Makes a topic, with settings of its own, and waits until it can be written.
    pub fn topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let topic = settings.iter().fold(
            NewTopic::new(name, partitions, TopicReplication::Fixed(1)),
            |topic, (key, value)| topic.set(key, value),
        );
        // A topic deleted a moment ago may still be there.
        wait_until("the topic is made", || {
            let made = block_on(self.admin().create_topics([&topic], &AdminOptions::new()));
            made.expect("the broker answers")[0].is_ok()
        });
        wait_until("the topic is there", || self.partitions(name) == partitions as usize);
    }

    fn partitions(&self, topic: &str) -> usize {
        let producer = self.producer();
        let found = producer.client().fetch_metadata(Some(topic), Duration::from_secs(5));
        found.map_or(0, |found| {
            let of = |topic: &rdkafka::metadata::MetadataTopic| {
                topic.partitions().iter().filter(|partition| partition.leader() >= 0).count()
            };
            found.topics().first().map_or(0, of)
        })
    }

    /// Gives a topic more partitions.
    pub fn add_partitions(&self, topic: &str, count: usize) {
        let more = NewPartitions::new(topic, count);
        block_on(self.admin().create_partitions([&more], &AdminOptions::new()))
            .expect("the broker answers")[0]
            .as_ref()
            .expect("partitions are added");
        wait_until("the partitions are there", || self.partitions(topic) == count);
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, topic: &str) {
        block_on(self.admin().delete_topics(&[topic], &AdminOptions::new()))
            .expect("the broker answers")[0]
            .as_ref()
            .expect("the topic is deleted");
        wait_until("the topic is gone", || self.partitions(topic) == 0);
    }

    /// Deletes the messages of a partition before an offset, as retention would.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
        block_on(self.admin().delete_records(&list, &AdminOptions::new()))
            .expect("records are deleted");
    }

    /// The offsets that a group has committed, by partition; -1 where it has not.
    pub fn committed(&self, group: &str, topic: &str, partitions: i32) -> Vec<i64> {
        let consumer: BaseConsumer =
            self.client().set("group.id", group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let found = consumer.committed_offsets(list, Duration::from_secs(10)).expect("offsets");
        let offset = |offset| match offset {
            Offset::Offset(offset) => offset,
            _ => -1,
        };
        found.elements().iter().map(|element| offset(element.offset())).collect()
    }

    /// A producer that writes each message once, whatever happens to the broker.
    pub fn producer(&self) -> BaseProducer {
        self.producer_with(&[])
    }

    /// One with settings of its own.
    pub fn producer_with(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.max.bytes", "8000000")
            .set("message.timeout.ms", "600000");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config.create().expect("a producer")
    }

    /// Writes messages in a transaction that is aborted.
    pub fn abort<M: AsRef<[u8]>>(&self, topic: &str, messages: impl IntoIterator<Item = (i32, M)>) {
        let wait = Duration::from_secs(60);
        let producer = self
            .client()
            .set("transactional.id", "aborting")
            .create::<BaseProducer>()
            .expect("a producer");
        producer.init_transactions(wait).expect("transactions");
        producer.begin_transaction().expect("a transaction");
        for (partition, message) in messages {
            send(&producer, topic, partition, message.as_ref());
        }
        producer.flush(wait).expect("the broker has them");
        producer.abort_transaction(wait).expect("the transaction is aborted");
    }

    /// Writes messages, and waits until the broker has them.
    pub fn produce<M: AsRef<[u8]>>(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = (i32, M)>,
    ) {
        self.produce_with(&self.producer(), topic, messages);
    }

    /// The same, by a producer of the test's own.
    pub fn produce_with<M: AsRef<[u8]>>(
        &self,
        producer: &BaseProducer,
        topic: &str,
        messages: impl IntoIterator<Item = (i32, M)>,
    ) {
        for (partition, message) in messages {
            send(producer, topic, partition, message.as_ref());
        }
        producer.flush(Duration::from_secs(600)).expect("the broker has all of them");
    }
}

/// Hands a message to a producer, waiting where its queue is full.
pub fn send(producer: &BaseProducer, topic: &str, partition: i32, message: &[u8]) {
    let mut record: BaseRecord<(), [u8]> =
        BaseRecord::to(topic).partition(partition).payload(message);
    loop {
        match producer.send(record) {
            Ok(()) => return drop(producer.poll(Duration::ZERO)),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                record = again;
                producer.poll(Duration::from_millis(20));
            }
            Err((error, _)) => panic!("{error}"),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let tail = log.lines().rev().take(10).collect::<Vec<_>>();
            let _ = writeln!(std::io::stderr(), "the broker's log ends:\n{}", tail.join("\n"));
        }
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
