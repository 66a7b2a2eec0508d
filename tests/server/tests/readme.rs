//! Executes every SQL block of the README, in order, and checks every command.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use sparkify_server_tests::{Server, file_for_server};

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The README's fenced blocks of a language, with the line each begins at.
fn blocks(language: &str) -> Vec<(usize, String)> {
    let text = read("README.md");
    let mut found = Vec::new();
    let mut open: Option<(usize, bool, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(name)) => open = Some((number, name == language, String::new())),
            (Some(_), Some(_)) => {
                if let Some((number, true, block)) = open.take() {
                    found.push((number, block));
                }
            }
            (Some((_, _, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => (),
        }
    }
    assert!(open.is_none(), "a block of README.md is not closed");
    found
}

const CSV: &str = ",track_id,artists,album_name,track_name,popularity,duration_ms,explicit,danceability,energy,key,\
loudness,mode,speechiness,acousticness,instrumentalness,liveness,valence,tempo,time_signature,track_genre
0,readme1,One;Two,Album,First Song,50,200000,False,0.5,0.6,1,-7.5,1,0.04,0.2,0.0,0.1,0.4,120.5,4,acoustic
1,readme2,One,Album,Second Song,55,210000,True,0.4,0.7,2,-6.5,0,0.05,0.1,0.0,0.2,0.5,99.9,4,rock
";

#[test]
fn every_sql_block_runs() {
    let server = Server::shared();
    let database = server.empty_database("readme");
    // Roles are the server's, and outlive the database of an earlier run.
    database.connect().batch_execute("DROP ROLE IF EXISTS grafana").unwrap();
    let csv = file_for_server("readme.csv", CSV.as_bytes());
    let exported = csv.with_file_name("readme-exported.csv");
    let mut script = String::from("\\set ON_ERROR_STOP on\nSET client_min_messages = warning;\n");
    let blocks = blocks("sql");
    assert!(blocks.len() >= 10, "only {} SQL blocks were found", blocks.len());
    for (line, block) in &blocks {
        script.push_str(&format!("\\echo README.md:{line}\n{block}\n"));
    }
    let script = script
        .replace("/path/to/dataset.csv", csv.to_str().unwrap())
        .replace("tracks.csv", exported.to_str().unwrap());
    let mut psql = database.program("psql");
    psql.args(["-X", "-q", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = psql.spawn().expect("psql runs");
    child.stdin.take().unwrap().write_all(script.as_bytes()).expect("psql reads");
    let output = child.wait_with_output().expect("psql ends");
    let shown = String::from_utf8_lossy(&output.stdout);
    let last = shown.lines().rev().find(|line| line.starts_with("README.md:")).unwrap_or_default();
    assert!(
        output.status.success(),
        "the block at {last}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{} SQL blocks of README.md ran", blocks.len());
}

#[test]
fn every_command_exists() {
    let makefile = read("Makefile");
    let mut checked = 0;
    for (line, block) in blocks("sh") {
        for command in block.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
            let mut words = command.split_whitespace();
            match words.next() {
                None => continue,
                Some("make") => {
                    let target = words.find(|word| !word.contains('=')).unwrap_or("help");
                    assert!(
                        makefile.contains(&format!("\n{target}:")),
                        "README.md:{line}: make {target}"
                    );
                }
                Some("cargo") => {
                    let package = words.skip_while(|word| *word != "-p").nth(1);
                    assert_eq!(package, Some("sparkify-core"), "README.md:{line}: {command}");
                }
                Some(other) => panic!("README.md:{line}: {other} is not known to this test"),
            }
            checked += 1;
        }
    }
    assert!(checked >= 5, "only {checked} commands were found");
}

#[test]
fn every_function_is_in_the_reference() {
    let server = Server::shared();
    let database = server.database("readme_reference");
    let readme = read("README.md");
    let functions = database
        .connect()
        .query(
            "SELECT DISTINCT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'sparkify'::regnamespace
                AND p.prorettype <> 'trigger'::regtype AND obj_description(p.oid) NOT LIKE 'Part of %'",
            &[],
        )
        .unwrap();
    assert!(functions.len() >= 15);
    for function in functions {
        let name: String = function.get(0);
        let named = ["`", "`CALL "].map(|before| readme.contains(&format!("{before}{name}(")));
        assert!(named.contains(&true), "README.md says nothing of {name}()");
    }
}
