//! Streams from a real broker: what arrives, what is refused, what goes wrong.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::gate::wait_until;
use sparkify_server_tests::kafka::{Broker, PASSWORD, USER};
use sparkify_server_tests::pipeline::SMALL;
use sparkify_server_tests::{Database, Server, file_for_server, refusal, run};

const CONSUME: &str = "CALL sparkify.consume_stream('plays', 60, until_end => true)";

fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
}

fn texts(client: &mut Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.get(0)).collect()
}

fn play(number: usize) -> String {
    format!(
        r#"{{"user_id":"u{}","track_id":"t{}","played_at":"2026-02-01T00:{:02}:{:02}Z","event_id":"00000000-0000-0000-0000-{number:012}"}}"#,
        number % 3 + 1,
        number % 12 + 1,
        number / 60 % 60,
        number % 60,
    )
}

const STREAMED: &str =
    "SELECT count(*) FROM sparkify.listening_events WHERE played_at >= '2026-02-01'";
const STATUS: &str =
    "SELECT concat_ws('|', \"partition\", stored_offset, end_offset, lag, messages, rejected, lost)
    FROM sparkify.stream_status WHERE stream = 'plays' ORDER BY \"partition\"";

fn create(client: &mut Client, broker: &Broker, topic: &str, more: &str) {
    let sql =
        format!("SELECT sparkify.create_stream('plays', '{}', '{topic}'{more})", broker.address());
    client.batch_execute(&sql).unwrap();
}

#[test]
fn plays_stream_in() {
    let Some(broker) = Broker::start("plays_stream_in") else { return };
    let server = Server::start(&["log_statement = 'all'", "log_min_messages = debug1"]);
    plays_are_stored_and_count(&server, &broker);
    fields_are_found_by_their_paths(&server, &broker);
    bad_messages_stop_nothing(&server, &broker);
    partitions_and_offsets_change(&server, &broker);
    nobody_answers(&server, &broker);
    secrets_stay_secret(&server, &broker);
    rights_are_needed(&server, &broker);
    one_session_consumes(&server, &broker);
}

fn small<'a>(server: &'a Server, name: &str) -> (Database<'a>, Client) {
    let database = server.database(name);
    let mut client = database.connect();
    client.batch_execute(SMALL).unwrap();
    (database, client)
}

fn plays_are_stored_and_count(server: &Server, broker: &Broker) {
    let (_database, mut client) = small(server, "stream_plays");
    client.batch_execute("SELECT sparkify.build_embeddings(2)").unwrap();
    broker.topic("first", 3, &[]);
    broker.produce("first", (0..300).map(|i| (i as i32 % 3, play(i))));
    create(&mut client, broker, "first", "");
    assert_eq!(
        texts(
            &mut client,
            "SELECT concat_ws('|', stream, \"partition\", stored_offset) FROM sparkify.stream_status"
        ),
        ["plays"]
    );
    client.batch_execute(CONSUME).unwrap();
    assert_eq!(number(&mut client, STREAMED), 300);
    let status = ["0|100|100|0|100|0|0", "1|100|100|0|100|0|0", "2|100|100|0|100|0|0"];
    assert_eq!(texts(&mut client, STATUS), status);
    // Nothing new is nothing; the same play again is none.
    client.batch_execute(CONSUME).unwrap();
    broker.produce("first", [(1, play(7))]);
    client.batch_execute(CONSUME).unwrap();
    assert_eq!(number(&mut client, STREAMED), 300);
    assert_eq!(texts(&mut client, STATUS)[1], "1|101|101|0|101|0|0");
    // Small batches, and a user nobody knew.
    let new = play(300).replace("\"u1\"", "\"new\"");
    broker.produce("first", (301..310).map(|i| (0, play(i))).chain([(2, new)]));
    client
        .batch_execute(
            "CALL sparkify.consume_stream('plays', 60, true, batch_rows => 2, memory_mb => 4)",
        )
        .unwrap();
    assert_eq!(number(&mut client, STREAMED), 310);
    // It counts in what is recommended next: what was played is not recommended.
    let best = "SELECT track_id FROM sparkify.recommend('new', 1)";
    let before = texts(&mut client, best);
    let next = format!(
        r#"{{"user_id":"new","track_id":"{}","played_at":"2026-02-02T00:00:00Z"}}"#,
        before[0]
    );
    broker.produce("first", [(0, next)]);
    client.batch_execute(CONSUME).unwrap();
    assert_ne!(texts(&mut client, best), before);
    // The offsets are written back for those who watch the group.
    wait_until("the offsets are reported", || {
        broker.committed("sparkify-plays", "first", 3) == [110, 101, 101]
    });
    // In a transaction nothing can be committed.
    let mut transaction = client.transaction().unwrap();
    assert_eq!(
        refusal(transaction.batch_execute(CONSUME)).0,
        SqlState::INVALID_TRANSACTION_TERMINATION
    );
    drop(transaction);
    client.batch_execute("SELECT sparkify.drop_stream('plays')").unwrap();
    assert_eq!(texts(&mut client, STATUS), [""; 0]);
    assert_eq!(
        refusal(client.batch_execute(CONSUME)),
        (SqlState::UNDEFINED_OBJECT, "stream \"plays\" does not exist".into())
    );
}

fn fields_are_found_by_their_paths(server: &Server, broker: &Broker) {
    let (_database, mut client) = small(server, "stream_paths");
    broker.topic("paths", 1, &[]);
    let message = r#"{"who":{"id":17},"what":["t3"],"at":1769904000123,"ms_played":null,"played_at":"never"}"#;
    broker.produce("paths", [(0, message)]);
    create(
        &mut client,
        broker,
        "paths",
        r#", '{"user_id": "who.id", "track_id": ["what", "0"], "played_at": "at"}'"#,
    );
    client.batch_execute(CONSUME).unwrap();
    assert_eq!(
        texts(
            &mut client,
            "SELECT concat_ws('|', track_id, played_at AT TIME ZONE 'UTC') FROM sparkify.listening_events WHERE user_id = '17'"
        ),
        ["t3|2026-02-01 00:00:00.123"]
    );
    for (columns, message) in [
        (r#"{"user": "x"}"#, "an event has no field \"user\""),
        (r#"{"user_id": ""}"#, "the path of user_id must have 1 to 32 names"),
        ("[]", "columns must be a JSON object, not a JSON array"),
    ] {
        let refused = refusal(client.batch_execute(&format!(
            "SELECT sparkify.create_stream('other', 'h', 't', '{columns}')"
        )));
        assert_eq!(refused, (SqlState::INVALID_PARAMETER_VALUE, message.to_owned()));
    }
}

fn bad_messages_stop_nothing(server: &Server, broker: &Broker) {
    let (_database, mut client) = small(server, "stream_bad");
    broker.topic("bad", 2, &[]);
    // What the owner forbids is found out by storing.
    client
        .batch_execute(
            "ALTER TABLE sparkify.listening_events ADD CONSTRAINT odd CHECK (session_id <> 'odd')",
        )
        .unwrap();
    let long = format!(r#"{{"user_id":"u1","more":"{}"}}"#, "x".repeat(70_000));
    let odd = play(5).replace('{', r#"{"session_id":"odd","#);
    let messages: Vec<(i32, Vec<u8>)> = vec![
        (0, play(1).into()),
        (0, b"\xff\xfe".to_vec()),
        (0, b"{\"user_id\":\"u1\"".to_vec()),
        (0, b"[1]".to_vec()),
        (0, br#"{"user_id":"u1","track_id":"none","played_at":"2026-02-01T00:00:00Z"}"#.to_vec()),
        (1, br#"{"user_id":"a\u0000b","track_id":"t1"}"#.to_vec()),
        (1, br#"{"user_id":"u1","track_id":"t1","played_at":"2026-02-30T00:00:00Z"}"#.to_vec()),
        (1, long.into()),
        (1, odd.into()),
        (1, br#"{"user_id":"u1","track_id":"t1","played_at":"2026-02-01T00:00:00Z","ms_played":1e400}"#.to_vec()),
        (1, play(2).into()),
    ];
    broker.produce("bad", messages);
    create(&mut client, broker, "bad", ", max_message_bytes => 66000");
    client.batch_execute(CONSUME).unwrap();
    assert_eq!(number(&mut client, STREAMED), 2);
    assert_eq!(texts(&mut client, STATUS), ["0|5|5|0|5|4|0", "1|6|6|0|6|5|0"]);
    assert_eq!(
        texts(
            &mut client,
            "SELECT concat_ws('|', topic, topic_partition, topic_offset, user_id, left(reason, 40)) FROM sparkify.rejected_events
             ORDER BY topic_partition, topic_offset"
        ),
        [
            "bad|0|1|the message is no JSON: expected value a",
            "bad|0|2|the message is no JSON: EOF while parsin",
            "bad|0|3|an event must be a JSON object, not a JS",
            "bad|0|4|u1|track \"none\" does not exist",
            "bad|1|0|user_id holds a zero byte",
            "bad|1|1|u1|played_at must be an ISO 8601 date and t",
            "bad|1|2|the message has 70026 bytes, more than 6",
            "bad|1|3|u3|new row for relation \"listening_events\" ",
            "bad|1|4|the message is no JSON: number out of ra",
        ]
    );
    assert_eq!(
        texts(
            &mut client,
            "SELECT jsonb_typeof(event) FROM sparkify.rejected_events ORDER BY topic_partition, topic_offset"
        ),
        ["string", "string", "array", "object", "string", "object", "string", "object", "object"]
    );
    // Erased with the user who is named.
    client.batch_execute("SELECT sparkify.forget_user('u1')").unwrap();
    assert_eq!(
        number(
            &mut client,
            "SELECT count(*) FROM sparkify.rejected_events WHERE event ->> 'user_id' = 'u1'"
        ),
        0
    );
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM sparkify.rejected_events WHERE user_id = 'u1'"),
        0
    );
}

fn partitions_and_offsets_change(server: &Server, broker: &Broker) {
    let (_database, mut client) = small(server, "stream_changes");
    broker.topic("changing", 1, &[]);
    broker.produce("changing", (0..20).map(|i| (0, play(i))));
    // Behind the newest: what is there is not read, what comes is, in new partitions from their beginning.
    create(&mut client, broker, "changing", ", start => 'latest'");
    client.batch_execute(CONSUME).unwrap();
    assert_eq!(texts(&mut client, STATUS), ["0|20|20|0|0|0|0"]);
    broker.add_partitions("changing", 2);
    broker.produce("changing", (20..25).map(|i| (1, play(i))));
    client.batch_execute(CONSUME).unwrap();
    assert_eq!(texts(&mut client, STATUS), ["0|20|20|0|0|0|0", "1|5|5|0|5|0|0"]);
    // From a time on: before all of them.
    client.batch_execute("SELECT sparkify.reset_stream('plays', '2020-01-01T00:00:00Z')").unwrap();
    client.batch_execute(CONSUME).unwrap();
    assert_eq!(texts(&mut client, STATUS), ["0|20|20|0|20|0|0", "1|5|5|0|5|0|0"]);
    assert_eq!(number(&mut client, STREAMED), 25);
    // What retention took unread is counted and told; the rest is read.
    broker.produce("changing", (25..35).map(|i| (0, play(i))));
    broker.delete_records("changing", 0, 26);
    client.batch_execute(CONSUME).unwrap();
    assert_eq!(texts(&mut client, STATUS), ["0|30|30|0|24|0|6", "1|5|5|0|5|0|0"]);
    assert_eq!(number(&mut client, STREAMED), 29);
    assert_eq!(
        texts(&mut client, "SELECT DISTINCT last_error FROM sparkify.stream_status"),
        ["partition 0 no longer has the 6 messages from offset 20 on: it goes on at 26"]
    );
    // Gone, and made anew.
    broker.delete_topic("changing");
    let refused = refusal(client.batch_execute(CONSUME));
    let message =
        format!("topic \"changing\" of stream \"plays\" does not exist at {}", broker.address());
    assert_eq!(refused, (SqlState::UNDEFINED_OBJECT, message.clone()));
    assert_eq!(
        texts(&mut client, "SELECT DISTINCT last_error FROM sparkify.stream_status"),
        [message]
    );
    broker.topic("changing", 1, &[]);
    broker.produce("changing", (40..43).map(|i| (0, play(i))));
    let refused = refusal(client.batch_execute(CONSUME));
    assert_eq!(refused.0, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert_eq!(
        refused.1,
        "offset 30 of partition 0 lies 27 behind the end of topic \"changing\": it is another topic than before"
    );
    client.batch_execute("SELECT sparkify.reset_stream('plays')").unwrap();
    client.batch_execute(CONSUME).unwrap();
    assert_eq!(texts(&mut client, STATUS), ["0|3|3|0|3|0|0"]);
    assert_eq!(number(&mut client, STREAMED), 32);
    // Compressed, and of a transaction that was aborted.
    for codec in ["gzip", "lz4", "snappy", "zstd"] {
        let producer = broker.producer_with(&[("compression.type", codec)]);
        broker.produce_with(&producer, "changing", (0..3).map(|_| (0, play(50))));
    }
    broker.abort("changing", (60..70).map(|i| (0, play(i))));
    broker.produce("changing", [(0, play(51))]);
    client.batch_execute(CONSUME).unwrap();
    assert_eq!(number(&mut client, STREAMED), 34);
}

fn nobody_answers(server: &Server, broker: &Broker) {
    let (_database, mut client) = small(server, "stream_nobody");
    client.batch_execute("SELECT sparkify.create_stream('plays', '127.0.0.1:1', 'any')").unwrap();
    let refused = refusal(client.batch_execute("CALL sparkify.consume_stream('plays', 1)"));
    assert_eq!(refused.0, SqlState::SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION);
    assert!(
        refused.1.starts_with("no broker of stream \"plays\" answers at 127.0.0.1:1: "),
        "{}",
        refused.1
    );
    assert_eq!(texts(&mut client, "SELECT last_error FROM sparkify.stream_status"), [refused.1]);
    // Cancelled while it waits, and the session goes on.
    client.batch_execute("SET statement_timeout = '300ms'").unwrap();
    assert_eq!(refusal(client.batch_execute(CONSUME)).0, SqlState::QUERY_CANCELED);
    client.batch_execute("RESET statement_timeout; SELECT sparkify.drop_stream('plays')").unwrap();
    broker.topic("quiet", 1, &[]);
    create(&mut client, broker, "quiet", "");
    client.batch_execute("SET statement_timeout = '3s'").unwrap();
    assert_eq!(
        refusal(client.batch_execute("CALL sparkify.consume_stream('plays')")).0,
        SqlState::QUERY_CANCELED
    );
    client.batch_execute("RESET statement_timeout").unwrap();
    // The lock went with the call.
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.stream_status WHERE running"), 0);
    client.batch_execute("CALL sparkify.consume_stream('plays', 0.5)").unwrap();
    for (options, message) in [
        ("0", "max_seconds must be above 0 and at most 86400, not 0"),
        ("'nan'", "max_seconds must be above 0 and at most 86400, not NaN"),
        ("1, NULL", "until_end must not be null"),
        ("1, batch_rows => 0", "batch_rows must be between 1 and 100000, not 0"),
        ("1, memory_mb => 3", "memory_mb must be between 4 and 4096, not 3"),
    ] {
        let refused = refusal(
            client.batch_execute(&format!("CALL sparkify.consume_stream('plays', {options})")),
        );
        assert_eq!(refused.1, message);
    }
}

/// A file that the server's user alone can read.
fn secret_file(name: &str, text: &str) -> String {
    let path = file_for_server(name, text.as_bytes());
    let owner = Command::new("id").arg("-u").output().unwrap();
    if owner.stdout.trim_ascii() == b"0" {
        run(Command::new("chown").arg("postgres").arg(&path));
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn secrets_stay_secret(server: &Server, broker: &Broker) {
    let (_database, mut client) = small(server, "stream_secure");
    broker.topic("secure", 1, &[]);
    broker.produce("secure", (0..5).map(|i| (0, play(i))));
    let certificate = broker.certificate();
    let text = |mechanism: &str, password: &str, certificate: &Path| {
        format!(
            "security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nsasl.username={USER}\nsasl.password={password}\nssl.ca.location={}\n",
            certificate.display()
        )
    };
    let create = |client: &mut Client, file: &str| {
        let sql = format!(
            "SELECT sparkify.create_stream('plays', 'localhost:{}', 'secure', client_file => '{file}')",
            broker.secure_port
        );
        client.batch_execute(&sql).unwrap();
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let file = secret_file(
            &format!("{mechanism}.properties"),
            &text(mechanism, PASSWORD, &certificate),
        );
        create(&mut client, &file);
        client.batch_execute(CONSUME).unwrap();
        assert_eq!(number(&mut client, STREAMED), 5, "{mechanism}");
        client.batch_execute("SELECT sparkify.drop_stream('plays'); DELETE FROM sparkify.listening_events WHERE played_at >= '2026-02-01'").unwrap();
    }
    let file = secret_file("changing.properties", &text("PLAIN", "wr0ng=secret", &certificate));
    create(&mut client, &file);
    let failing = "CALL sparkify.consume_stream('plays', 4)";
    let refused = refusal(client.batch_execute(failing));
    assert_eq!(refused.0, SqlState::SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, "{}", refused.1);
    // A certificate of somebody else.
    let other = file_for_server("other.pem", include_bytes!("other.pem"));
    secret_file("changing.properties", &text("PLAIN", PASSWORD, &other));
    let refused = refusal(client.batch_execute(failing));
    assert_eq!(refused.0, SqlState::SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, "{}", refused.1);
    // Files that are of no use.
    secret_file("changing.properties", "sasl.password\n");
    let refused = refusal(client.batch_execute(failing));
    assert_eq!(
        refused.1,
        format!("client_file \"{file}\" is of no use: line 1 is not of the form key=value")
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = refusal(client.batch_execute(failing));
    assert_eq!(refused.1, format!("client_file \"{file}\" can be read by everybody (mode 644)"));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(refusal(client.batch_execute(failing)).0, SqlState::UNDEFINED_FILE);
    // Nowhere in the log, which has every statement, nor in what the database stores.
    let log = std::fs::read_to_string(server.socket.join("log")).unwrap();
    let dump = run(server.program("pg_dump", "stream_secure").arg("--data-only")).stdout;
    let dump = String::from_utf8_lossy(&dump);
    for secret in [PASSWORD, "wr0ng"] {
        assert!(!log.contains(secret) && !dump.contains(secret));
    }
    assert!(log.contains("create_stream"));
}

fn rights_are_needed(server: &Server, broker: &Broker) {
    let (database, mut client) = small(server, "stream_rights");
    client
        .batch_execute(
            "CREATE ROLE stream_reader LOGIN; CREATE ROLE stream_operator LOGIN; CREATE ROLE stream_owner LOGIN;
            SELECT sparkify.grant_reader('stream_reader'); SELECT sparkify.grant_writer('stream_operator', true);
            SELECT sparkify.grant_writer('stream_owner', true); GRANT pg_read_server_files TO stream_owner",
        )
        .unwrap();
    broker.topic("rights", 1, &[]);
    broker.produce("rights", (0..5).map(|i| (0, play(i))));
    let call = format!("SELECT sparkify.create_stream('plays', '{}', 'rights')", broker.address());
    for role in ["stream_reader", "stream_operator"] {
        let refused = refusal(database.connect_as(role).batch_execute(&call));
        assert_eq!(refused.0, SqlState::INSUFFICIENT_PRIVILEGE);
    }
    // Not by taking on a role, and not by writing the table.
    let mut operator = database.connect_as("stream_operator");
    for sql in [
        "UPDATE sparkify_internal.streams SET brokers = 'evil:9092'",
        "INSERT INTO sparkify_internal.streams (name, brokers, topic, consumer_group, create_users, max_message_bytes) VALUES ('e', 'evil:1', 't', 'g', true, 9)",
    ] {
        assert_eq!(refusal(operator.batch_execute(sql)).0, SqlState::INSUFFICIENT_PRIVILEGE);
    }
    assert_eq!(
        refusal(client.batch_execute(&format!("SET ROLE stream_operator; {call}"))).0,
        SqlState::INSUFFICIENT_PRIVILEGE
    );
    database.connect_as("stream_owner").batch_execute(&call).unwrap();
    // An operator consumes what was set up; a reader looks at it.
    operator.batch_execute(CONSUME).unwrap();
    let mut reader = database.connect_as("stream_reader");
    assert_eq!(texts(&mut reader, STATUS), ["0|5|5|0|5|0|0"]);
    assert_eq!(refusal(reader.batch_execute(CONSUME)).0, SqlState::INSUFFICIENT_PRIVILEGE);
    operator
        .batch_execute(
            "SELECT sparkify.reset_stream('plays'); SELECT sparkify.drop_stream('plays')",
        )
        .unwrap();
    drop((operator, reader));
    client
        .batch_execute("RESET ROLE; DROP OWNED BY stream_reader, stream_operator, stream_owner; DROP ROLE stream_reader, stream_operator, stream_owner")
        .unwrap();
}

fn one_session_consumes(server: &Server, broker: &Broker) {
    let (database, mut client) = small(server, "stream_two");
    broker.topic("two", 2, &[]);
    create(&mut client, broker, "two", "");
    let mut first = database.connect();
    let running = std::thread::spawn(move || {
        first.batch_execute("CALL sparkify.consume_stream('plays', 600)").is_err()
    });
    wait_until("a session consumes", || {
        number(&mut client, "SELECT count(*) FROM sparkify.stream_status WHERE running") > 0
    });
    broker.produce("two", (0..10).map(|i| (i as i32 % 2, play(i))));
    wait_until("its plays are stored", || number(&mut client, STREAMED) == 10);
    // Skipped: it ends at once and changes nothing.
    client.batch_execute("CALL sparkify.consume_stream('plays', 600)").unwrap();
    // A reset under its hands: it goes on where it is told, and stores nothing twice.
    client.batch_execute("SELECT sparkify.reset_stream('plays', 'earliest')").unwrap();
    broker.produce("two", (10..20).map(|i| (i as i32 % 2, play(i))));
    wait_until("everything was read again", || {
        number(&mut client, "SELECT coalesce(sum(messages), 0)::bigint FROM sparkify.stream_status")
            == 20
    });
    assert_eq!(number(&mut client, STREAMED), 20);
    client
        .batch_execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL sparkify.consume_stream%' AND pid <> pg_backend_pid()")
        .unwrap();
    assert!(running.join().unwrap(), "the cancelled call ends in an error");
    client.batch_execute(CONSUME).unwrap();
}

#[test]
fn a_schedule_keeps_a_consumer_running() {
    let Some(broker) = Broker::start("a_schedule_keeps_a_consumer_running") else { return };
    let server = Server::start(&[
        "shared_preload_libraries = 'pg_cron'",
        "cron.database_name = 'streamed'",
        "cron.use_background_workers = on",
    ]);
    let (_database, mut client) = small(&server, "streamed");
    broker.topic("scheduled", 1, &[]);
    create(&mut client, &broker, "scheduled", "");
    let refused = refusal(client.batch_execute("SELECT sparkify.schedule_stream('plays')"));
    assert_eq!(refused.1, "pg_cron is not installed in database \"streamed\"");
    client.batch_execute("CREATE EXTENSION pg_cron; SELECT sparkify.schedule_stream('plays'); SELECT sparkify.schedule_stream('plays')").unwrap();
    assert_eq!(
        texts(&mut client, "SELECT jobname || ' ' || schedule FROM cron.job"),
        ["sparkify stream plays * * * * *"]
    );
    broker.produce("scheduled", (0..5).map(|i| (0, play(i))));
    wait_until("the schedule's consumer has stored them", || number(&mut client, STREAMED) == 5);
    broker.produce("scheduled", (5..9).map(|i| (0, play(i))));
    wait_until("it goes on", || number(&mut client, STREAMED) == 9);
    client.batch_execute("SELECT sparkify.drop_stream('plays')").unwrap();
    assert_eq!(texts(&mut client, "SELECT jobname FROM cron.job"), [""; 0]);
}
