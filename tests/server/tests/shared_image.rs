//! The file in which backends share packed vectors: whatever happens to it, answers stay the same.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use sparkify_server_tests::Server;
use sparkify_server_tests::data::{fill, on_demand};

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
