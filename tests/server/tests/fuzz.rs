//! Every function of the extension, called with whatever its types allow.
//!
//! The functions are those of pg_proc: one that is added is called without being named here.
//! `make fuzz CALLS=…` calls as often as asked for; SEED gives other calls.

use std::collections::BTreeMap;

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::data::fill;
use sparkify_server_tests::random::{Random, from_environment};
use sparkify_server_tests::values::{hostile_row, value};
use sparkify_server_tests::{Database, Server};

/// Calls on a database until it is made anew.
const FRESH: usize = 2500;

struct Function {
    name: String,
    procedure: bool,
    /// Names and types, and whether there is a default.
    arguments: Vec<(String, String, bool)>,
}

fn functions(client: &mut Client) -> Vec<Function> {
    let rows = client
        .query(
            "SELECT p.oid::regproc::text, p.prokind = 'p', coalesce(p.proargnames[1:p.pronargs], '{}'),
                ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, i) ORDER BY i),
                p.pronargdefaults::int
             FROM pg_proc AS p
             WHERE p.pronamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace)
               AND p.prorettype <> 'trigger'::regtype AND 'internal'::regtype <> ALL (p.proargtypes::oid[])
             ORDER BY 1",
            &[],
        )
        .expect("functions are listed");
    rows.iter()
        .map(|row| {
            let (names, kinds): (Vec<String>, Vec<String>) = (row.get(2), row.get(3));
            let required = kinds.len() - row.get::<_, i32>(4) as usize;
            let arguments = kinds.into_iter().enumerate().map(|(at, kind)| {
                (names.get(at).cloned().unwrap_or_default(), kind, at >= required)
            });
            Function { name: row.get(0), procedure: row.get(1), arguments: arguments.collect() }
        })
        .collect()
}

fn call(random: &mut Random, function: &Function) -> String {
    let mut given = Vec::new();
    for (name, kind, defaulted) in &function.arguments {
        if *defaulted && random.once_in(2) {
            continue;
        }
        let value = value(random, kind);
        given.push(if name.is_empty() { value } else { format!("{name} => {value}") });
    }
    let how = if function.procedure { "CALL" } else { "SELECT count(*) FROM" };
    format!("{how} {}({})", function.name, given.join(", "))
}

fn prepare<'a>(server: &'a Server, name: &str) -> (Database<'a>, Client) {
    let database = server.database(name);
    let mut client = database.connect();
    fill(&mut client, 400, 60);
    client
        .batch_execute(
            "SELECT sparkify.build_embeddings(8); SELECT sparkify.refresh_recommendations(5);
             SELECT sparkify.refresh_summaries();
             INSERT INTO sparkify.raw_tracks (track_id, artists, track_name) VALUES ('r1', 'Ada', 'One');
             SET statement_timeout = '300ms'; SET client_min_messages = error",
        )
        .expect("a database to call functions in");
    (database, client)
}

/// What went wrong: the statement by the message.
type Findings = BTreeMap<String, String>;

fn run(
    server: &Server,
    name: &str,
    seed: u64,
    calls: usize,
) -> (Findings, BTreeMap<String, usize>) {
    let mut random = Random::new(seed);
    let (mut database, mut client) = prepare(server, name);
    let functions = functions(&mut client);
    assert!(functions.len() > 40, "{} functions", functions.len());
    let (mut findings, mut states) = (Findings::new(), BTreeMap::new());
    for number in 1..=calls {
        if number % FRESH == 0 {
            drop(client);
            (database, client) = prepare(server, name);
        }
        let function = &functions[random.below(functions.len())];
        let statement = call(&mut random, function);
        let before = if random.once_in(4) { hostile_row(&mut random) } else { String::new() };
        // A procedure that commits takes no transaction around it.
        let keep = function.procedure || random.once_in(50);
        let result = if function.procedure {
            client.batch_execute(&statement)
        } else {
            client.batch_execute("BEGIN; SAVEPOINT hostile").and_then(|()| {
                if !before.is_empty() && client.batch_execute(&before).is_err() {
                    client.batch_execute("ROLLBACK TO hostile")?;
                }
                client.batch_execute(&statement)
            })
        };
        let state = match &result {
            Ok(()) => "00000".to_owned(),
            Err(error) => match error.as_db_error() {
                Some(refusal) => {
                    if *refusal.code() == SqlState::INTERNAL_ERROR {
                        let key =
                            format!("{}: {}", function.name, shortened(refusal.message(), 60));
                        findings.entry(key).or_insert(format!("{before}; {statement}"));
                    }
                    refusal.code().code().to_owned()
                }
                None => "lost".to_owned(),
            },
        };
        if state == "lost" || client.is_closed() {
            findings.insert(
                format!("{}: the connection is lost", function.name),
                format!("{before}; {statement}"),
            );
            while server.try_connect("postgres", "postgres").is_err() {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            (database, client) = prepare(server, name);
        } else {
            let end = if keep && result.is_ok() { "COMMIT" } else { "ROLLBACK" };
            let _ = client.batch_execute(end);
        }
        *states.entry(state).or_insert(0) += 1;
    }
    drop(database);
    (findings, states)
}

fn shortened(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

#[test]
fn no_argument_ends_a_backend_or_is_an_internal_error() {
    let calls = from_environment("SPARKIFY_FUZZ_CALLS", 20_000) as usize;
    let seed = from_environment("SPARKIFY_FUZZ_SEED", 1);
    let server = Server::start(&["max_wal_size = 2GB", "log_min_messages = log"]);
    let began = server
        .connect_as("postgres", "postgres")
        .query_one("SELECT pg_postmaster_start_time()::text", &[])
        .expect("the server tells when it started")
        .get::<_, String>(0);
    let halves = std::thread::scope(|scope| {
        let run = |half: u64| {
            let server = &server;
            move || run(server, &format!("fuzz_{half}"), seed * 2 + half, calls / 2)
        };
        let halves = [scope.spawn(run(0)), scope.spawn(run(1))];
        halves.map(|half| half.join().expect("a half of the calls"))
    });
    let [(mut findings, mut states), (others, more)] = halves;
    findings.extend(others);
    more.into_iter().for_each(|(state, count)| *states.entry(state).or_insert(0) += count);
    println!("{calls} calls from seed {seed}, by SQLSTATE: {states:?}");
    for (what, statement) in &findings {
        println!("{what}\n    {}", shortened(statement, 1500));
    }
    assert!(findings.is_empty(), "{} findings", findings.len());
    // A lost backend restarts the others, and one of them would have been lost.
    let log = std::fs::read_to_string(server.socket.join("log")).expect("a log");
    assert!(!log.contains("terminated by signal"), "{log}");
    let now = server
        .connect_as("postgres", "postgres")
        .query_one("SELECT pg_postmaster_start_time()::text", &[])
        .expect("the server tells when it started")
        .get::<_, String>(0);
    assert_eq!(now, began);
    // A test that only ever is refused has not called much.
    assert!(states.get("00000").is_some_and(|&done| done * 20 > calls), "{states:?}");
}
