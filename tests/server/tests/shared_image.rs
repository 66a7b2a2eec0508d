//! The file in which backends share packed vectors: whatever happens to it, answers stay the same.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use std::sync::Barrier;

use postgres::error::SqlState;
use sparkify_server_tests::data::{fill, on_demand};
use sparkify_server_tests::{Server, refusal};

const N: i32 = 5;

fn images(server: &Server) -> Vec<PathBuf> {
    let data = server.data.as_ref().expect("a server of the test's own");
    fs::read_dir(data.join("base/pgsql_tmp"))
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("a folder that can be read").path())
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().contains("sparkify"))
        })
        .collect()
}

#[test]
fn a_lost_or_torn_image_is_built_anew() {
    let server = Server::start(&[]);
    let database = server.database("torn_image");
    let mut client = database.connect();
    fill(&mut client, 2000, 40);
    client.batch_execute("SELECT sparkify.build_embeddings(16)").unwrap();
    let answers = on_demand(&mut client, N);
    drop(client);
    assert_eq!(images(&server).len(), 1);
    let whole = fs::metadata(&images(&server)[0]).unwrap().len();
    // No session has it mapped: each of these is what a new one finds.
    for (what, length) in [("torn", whole / 2), ("short", 10), ("empty", 0)] {
        let file = OpenOptions::new().write(true).open(&images(&server)[0]).unwrap();
        file.set_len(length).unwrap();
        assert_eq!(on_demand(&mut database.connect(), N), answers, "{what}");
        assert_eq!(fs::metadata(&images(&server)[0]).unwrap().len(), whole, "{what}");
    }
    fs::write(&images(&server)[0], vec![0; whole as usize]).unwrap();
    assert_eq!(on_demand(&mut database.connect(), N), answers, "zeroed");
    let mut mapped = database.connect();
    assert_eq!(on_demand(&mut mapped, N), answers);
    fs::remove_file(&images(&server)[0]).unwrap();
    assert_eq!(on_demand(&mut mapped, N), answers, "removed under a session that has it");
    assert_eq!(on_demand(&mut database.connect(), N), answers, "removed");
    // Where no file can be written at all, each session has its own.
    fs::remove_file(&images(&server)[0]).unwrap();
    let folder = server.data.as_ref().unwrap().join("base/pgsql_tmp");
    fs::remove_dir(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    assert_eq!(on_demand(&mut database.connect(), N), answers, "no folder");
    fs::remove_file(&folder).unwrap();
}

#[test]
fn a_damaged_image_is_never_read() {
    let server = Server::start(&[]);
    let database = server.database("damaged_image");
    let mut client = database.connect();
    fill(&mut client, 2000, 40);
    client.batch_execute("SELECT sparkify.build_embeddings(16)").unwrap();
    let answers = on_demand(&mut client, N);
    drop(client);
    let image = images(&server)[0].clone();
    let whole = fs::read(&image).unwrap();
    // A bit in each of many places: header, vectors, ids, whatever lies there.
    for step in 0..40 {
        let mut bytes = whole.clone();
        let at = step * (whole.len() - 1) / 39;
        bytes[at] ^= 1 << (step % 8);
        fs::write(&image, &bytes).unwrap();
        assert_eq!(on_demand(&mut database.connect(), N), answers, "byte {at}");
        assert!(fs::read(&image).unwrap() == whole, "byte {at}: the image is built anew");
    }
    assert_eq!(images(&server).len(), 1);
}

/// How many times the server has packed a model, as its log tells.
fn packed(server: &Server) -> usize {
    let log = fs::read_to_string(server.socket.join("log")).expect("a log");
    log.matches("packs the vectors").count()
}

#[test]
fn many_first_calls_at_once_build_one_image() {
    const SESSIONS: usize = 60;
    let server = Server::start(&["max_connections = 80", "log_min_messages = debug1"]);
    let database = server.database("first_calls");
    let mut client = database.connect();
    fill(&mut client, 2000, 40);
    // Whoever makes a model or serves it leaves the image behind.
    for (call, builds) in [
        ("SELECT sparkify.build_embeddings(16)", 1),
        ("SELECT sparkify.build_embeddings(8, activate => false)", 1),
        ("SELECT sparkify.activate_model(2)", 0),
    ] {
        let before = packed(&server);
        client.batch_execute(call).unwrap();
        assert_eq!(packed(&server) - before, builds, "{call}");
        on_demand(&mut client, N);
        assert_eq!(packed(&server) - before, builds, "after {call}");
    }
    let answers = on_demand(&mut client, N);
    for restart in [true, false] {
        if restart {
            drop(client);
            server.stop("fast");
            server.resume();
            client = database.connect();
        } else {
            client
                .batch_execute("UPDATE sparkify.models SET fingerprint = gen_random_uuid()")
                .unwrap();
        }
        let before = packed(&server);
        let all = Barrier::new(SESSIONS);
        std::thread::scope(|scope| {
            let sessions: Vec<_> = (0..SESSIONS)
                .map(|_| {
                    let mut session = database.connect();
                    let all = &all;
                    scope.spawn(move || {
                        all.wait();
                        on_demand(&mut session, N)
                    })
                })
                .collect();
            for session in sessions {
                assert_eq!(session.join().unwrap(), answers);
            }
        });
        assert_eq!(packed(&server) - before, 1, "restart: {restart}");
        assert_eq!(
            images(&server)
                .iter()
                .filter(|image| image.extension().is_some_and(|e| e == "partial" || e == "lock"))
                .count(),
            0
        );
    }
}

#[test]
fn what_was_broken_off_and_what_is_gone_is_swept() {
    let server = Server::start(&[]);
    let database = server.database("swept_images");
    let other = server.database("swept_images_2");
    let mut client = database.connect();
    fill(&mut client, 2000, 40);
    let mut neighbour = other.connect();
    fill(&mut neighbour, 300, 16);
    neighbour.batch_execute("SELECT sparkify.build_embeddings(4)").unwrap();
    client.batch_execute("SELECT sparkify.build_embeddings(16)").unwrap();
    assert_eq!(images(&server).len(), 2);
    let oid: u32 = client
        .query_one("SELECT oid FROM pg_database WHERE datname = current_database()", &[])
        .unwrap()
        .get(0);
    // First calls that are broken off leave no part behind.
    let mut broken = 0;
    for milliseconds in 1..60 {
        client.batch_execute("UPDATE sparkify.models SET fingerprint = gen_random_uuid()").unwrap();
        let mut first = database.connect();
        first.batch_execute(&format!("SET statement_timeout = {milliseconds}")).unwrap();
        if let Err(error) = first.batch_execute("SELECT FROM sparkify.recommend('user 3')") {
            let error: Result<(), _> = Err(error);
            assert_eq!(refusal(error).0, SqlState::QUERY_CANCELED);
            broken += 1;
        }
    }
    on_demand(&mut client, N);
    assert!(broken > 0, "no call was broken off");
    let parts = |server: &Server| {
        let is_part =
            |path: &PathBuf| path.extension().is_some_and(|e| e == "partial" || e == "lock");
        images(server).into_iter().filter(is_part).count()
    };
    assert_eq!(parts(&server), 0);
    // What backends left that were killed, here and in databases that are gone.
    let folder = server.data.as_ref().unwrap().join("base/pgsql_tmp");
    for (owner, ending) in
        [(oid, ".partial"), (oid, ".lock"), (oid, ""), (99_999, ".partial"), (99_999, "")]
    {
        let name = format!("pgsql_tmp_sparkify.{owner}.{:032x}{ending}", 0xdead_u32);
        fs::write(folder.join(name), vec![0; 4096]).unwrap();
    }
    assert!(images(&server).len() >= 6);
    client.batch_execute("SELECT sparkify.build_embeddings(8)").unwrap();
    // The image of each model that is there, and that of the other database.
    assert_eq!(images(&server).len(), 3, "{:?}", images(&server));
    assert_eq!(parts(&server), 0);
    // A database that is dropped leaves its image to the next one that publishes.
    drop(neighbour);
    client.batch_execute("DROP DATABASE swept_images_2 WITH (FORCE)").unwrap();
    client.batch_execute("SELECT sparkify.build_embeddings(4)").unwrap();
    assert!(
        images(&server).iter().all(|image| image.to_string_lossy().contains(&format!(".{oid}.")))
    );
}

#[test]
fn images_go_with_their_models_and_at_a_restart() {
    let server = Server::start(&[]);
    let database = server.database("image_files");
    let mut client = database.connect();
    fill(&mut client, 300, 16);
    client.batch_execute("SELECT sparkify.build_embeddings(4)").unwrap();
    let answers = on_demand(&mut client, N);
    // Of embeddings that never were: the next image of the model takes theirs away.
    for _ in 0..3 {
        client
            .batch_execute("BEGIN; UPDATE sparkify.track_embeddings SET embedding[1] = -embedding[1] WHERE track_id < 'track 2'")
            .unwrap();
        assert_ne!(on_demand(&mut client, N), answers);
        client.batch_execute("ROLLBACK").unwrap();
        assert_eq!(on_demand(&mut client, N), answers);
        assert_eq!(on_demand(&mut database.connect(), N), answers);
    }
    client.batch_execute("SELECT sparkify.build_embeddings(6)").unwrap();
    let newer = on_demand(&mut client, N);
    assert!(images(&server).len() <= 2, "{:?}", images(&server));
    client
        .batch_execute(
            "DELETE FROM sparkify.models WHERE model_id = 1; SELECT sparkify.build_embeddings(5)",
        )
        .unwrap();
    on_demand(&mut client, N);
    client.batch_execute("SELECT sparkify.activate_model(2)").unwrap();
    assert_eq!(on_demand(&mut client, N), newer);
    assert!(images(&server).len() <= 2, "{:?}", images(&server));
    drop(client);
    // A database that is gone leaves its image to the next one that publishes, or to a restart.
    let other = server.database("image_files_2");
    let mut client = other.connect();
    fill(&mut client, 300, 16);
    client.batch_execute("SELECT sparkify.build_embeddings(4)").unwrap();
    assert_eq!(on_demand(&mut client, N), answers, "another database with the same data");
    drop(client);
    server.stop("fast");
    server.resume();
    assert_eq!(images(&server).len(), 0);
    assert_eq!(on_demand(&mut database.connect(), N), newer);
}
