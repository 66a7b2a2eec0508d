//! README.md and docs/ say what is so: every SQL block is executed, every command,
//! link, function, option, error text and test that they name exists.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sparkify_server_tests::{Server, file_for_server};

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README.md and the pages of docs/, in order.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    let mut docs: Vec<String> = std::fs::read_dir(project().join("docs"))
        .expect("docs/ is there")
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    docs.sort();
    pages.append(&mut docs);
    pages
}

/// A page's fenced blocks of a language, with the line each begins at.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let text = read(page);
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
    assert!(open.is_none(), "a block of {page} is not closed");
    found
}

/// The rows of a page's tables, as cells.
fn table_rows(page: &str) -> Vec<Vec<String>> {
    read(page)
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("|--"))
        .map(|line| {
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Every file below a folder, with its content.
fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
}

const CSV: &str = ",track_id,artists,album_name,track_name,popularity,duration_ms,explicit,danceability,energy,key,\
loudness,mode,speechiness,acousticness,instrumentalness,liveness,valence,tempo,time_signature,track_genre
0,readme1,One;Two,Album,First Song,50,200000,False,0.5,0.6,1,-7.5,1,0.04,0.2,0.0,0.1,0.4,120.5,4,acoustic
1,readme2,One,Album,Second Song,55,210000,True,0.4,0.7,2,-6.5,0,0.05,0.1,0.0,0.2,0.5,99.9,4,rock
2,readme3,Three,Album,Third Song,35,190000,True,0.7,0.3,5,-9.5,1,0.06,0.5,0.1,0.3,0.2,88.0,3,rock
";

/// What a page's blocks find, unless they make a database of their own.
const MUSIC: &str = "CREATE EXTENSION sparkify;
SELECT sparkify.generate_tracks(2000), sparkify.generate_users(100) \\g /dev/null
SELECT sparkify.generate_events() \\g /dev/null
SELECT sparkify.build_embeddings() \\g /dev/null
";

/// What `docs/your-own-music.md` starts from: a few tracks, and tables of songs, plays and vectors.
const OWN_MUSIC: &str = "CREATE EXTENSION sparkify;
INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre)
SELECT 'song-' || i, 'Song ' || i, ARRAY['Artist ' || i % 3], ARRAY['g' || i % 2], 'g' || i % 2 FROM generate_series(1, 20) AS i;
CREATE SCHEMA catalogue;
CREATE TABLE catalogue.songs (id integer, title text, artist text, tags text[], length_ms integer);
INSERT INTO catalogue.songs SELECT i, 'Title ' || i, 'Singer ' || i % 5, ARRAY['jazz'], 200000 FROM generate_series(1, 50) AS i;
CREATE TABLE catalogue.plays (listener text, song text, singer text, at timestamptz);
INSERT INTO catalogue.plays SELECT 'ann', 'Title ' || i, 'Singer ' || i % 5, now() - i * interval '1 hour' FROM generate_series(1, 10) AS i;
CREATE TABLE catalogue.audio (track_id text, embedding real[]);
INSERT INTO catalogue.audio SELECT i::text, ARRAY[i % 7, i % 3, 1]::real[] FROM generate_series(1, 50) AS i;
";

/// A listening history of two plays, one of an unknown track, zipped as it is delivered.
fn history() -> PathBuf {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file(
        "Spotify Extended Streaming History/Streaming_History_Audio_2025_0.json",
        options,
    )
    .unwrap();
    let plays = r#"[{"ts": "2025-10-01T08:00:30Z", "ms_played": 200000, "spotify_track_uri": "spotify:track:readme1"},
        {"ts": "2025-10-01T08:04:30Z", "ms_played": 200000, "spotify_track_uri": "spotify:track:other",
         "master_metadata_track_name": "Other", "master_metadata_album_artist_name": "Nobody"}]"#;
    zip.write_all(plays.as_bytes()).unwrap();
    file_for_server("readme-history.zip", &zip.finish().unwrap().into_inner())
}

#[test]
fn every_sql_block_runs() {
    let server = Server::shared();
    let csv = file_for_server("readme.csv", CSV.as_bytes());
    let exported = csv.with_file_name("readme-exported.csv");
    let mapped =
        file_for_server("readme-mapped.csv", CSV.replace("track_genre", "style").as_bytes());
    let scrobbles = file_for_server(
        "readme-scrobbles.csv",
        b"artist,album,track,uts\nSinger 1,,Title 1,1759305600\nNobody,,Nothing,1759305700\n",
    );
    let history = history();
    let mut ran = 0;
    for page in pages() {
        let blocks = blocks(&page, "sql");
        if blocks.is_empty() {
            continue;
        }
        let database = server.empty_database("readme");
        // Databases that the page makes, and roles, which are the server's and outlive the database of an earlier run.
        let mut client = database.connect();
        for name in ["try", "music"] {
            client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap();
        }
        for role in ["grafana", "player", "conductor"] {
            client.batch_execute(&format!("DROP ROLE IF EXISTS {role}")).unwrap();
        }
        let mut script =
            String::from("\\set ON_ERROR_STOP on\nSET client_min_messages = warning;\n");
        if !blocks.iter().any(|(_, block)| block.contains("CREATE EXTENSION sparkify")) {
            script.push_str(if page == "docs/your-own-music.md" { OWN_MUSIC } else { MUSIC });
        }
        for (line, block) in &blocks {
            script.push_str(&format!("\\echo {page}:{line}\n{block}\n"));
        }
        let script = script
            .replace("/path/to/dataset.csv", csv.to_str().unwrap())
            .replace("/path/to/tracks.csv", mapped.to_str().unwrap())
            .replace("/path/to/my_spotify_data.zip", history.to_str().unwrap())
            .replace("/path/to/lastfm.csv", scrobbles.to_str().unwrap())
            .replace("'tracks.csv'", &format!("'{}'", exported.display()));
        let mut psql = database.program("psql");
        psql.args(["-X", "-q", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = psql.spawn().expect("psql runs");
        let mut input = child.stdin.take().unwrap();
        // Written beside: psql's output fills its pipe while it reads.
        let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
        let output = child.wait_with_output().expect("psql ends");
        let written = writer.join().expect("the writer ends");
        let shown = String::from_utf8_lossy(&output.stdout);
        let last = shown.lines().rev().find(|line| line.starts_with(&page)).unwrap_or_default();
        assert!(
            output.status.success() && written.is_ok(),
            "the block at {last}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        println!("{} SQL blocks of {page} ran", blocks.len());
        ran += blocks.len();
    }
    assert!(ran >= 20, "only {ran} SQL blocks were found");
}

#[test]
fn every_command_exists() {
    let makefile = read("Makefile");
    let mut checked = 0;
    for page in pages() {
        for (line, block) in blocks(&page, "sh") {
            for command in block.lines().map(|line| line.split('#').next().unwrap_or_default()) {
                let mut words = command.split_whitespace();
                match words.next() {
                    None => continue,
                    Some("make") => {
                        let target = words.find(|word| !word.contains('=')).unwrap_or("help");
                        assert!(
                            makefile.contains(&format!("\n{target}:")),
                            "{page}:{line}: make {target}"
                        );
                    }
                    Some("cargo") => {
                        let package = words.skip_while(|word| *word != "-p").nth(1);
                        let folder = package.unwrap_or_default().trim_start_matches("sparkify-");
                        assert!(
                            project().join("crates").join(folder).join("Cargo.toml").exists(),
                            "{page}:{line}: {command}"
                        );
                    }
                    Some("git" | "cd" | "docker") => (),
                    Some(other) => panic!("{page}:{line}: {other} is not known to this test"),
                }
                checked += 1;
            }
        }
    }
    assert!(checked >= 5, "only {checked} commands were found");
}

#[test]
fn the_readme_is_short_and_its_links_lead_somewhere() {
    assert!(read("README.md").lines().count() <= 180);
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() {
                page.clone()
            } else {
                folder.join(file).to_string_lossy().into_owned()
            };
            assert!(project().join(&file).exists(), "{page}: {link}");
            if !anchor.is_empty() {
                let found =
                    read(&file).lines().filter_map(|line| line.strip_prefix('#')).any(|title| {
                        let title = title.trim_start_matches('#').trim().to_lowercase();
                        let kept =
                            title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                        kept.collect::<String>().replace(' ', "-") == anchor
                    });
                assert!(found, "{page}: {link}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} links were found");
}

#[test]
fn the_reference_is_what_the_comments_say() {
    let server = Server::shared();
    let database = server.database("readme_reference");
    let output = database
        .program("psql")
        .args(["-XqAt", "-f"])
        .arg(project().join("scripts/reference.sql"))
        .output()
        .expect("psql runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = String::from_utf8(output.stdout).unwrap();
    let kept = read("docs/reference.md");
    for (number, (kept, written)) in (1..).zip(kept.lines().zip(written.lines())) {
        assert_eq!(kept, written, "docs/reference.md:{number} is stale: run make docs");
    }
    assert_eq!(kept.len(), written.len(), "docs/reference.md is stale: run make docs");
    // Whoever asks help() sees the same functions.
    let mut client = database.connect();
    let functions = client.query("SELECT signature, purpose FROM sparkify.help()", &[]).unwrap();
    assert!(functions.len() >= 25);
    for function in functions {
        let (signature, purpose): (String, Option<String>) = (function.get(0), function.get(1));
        let name = signature.trim_start_matches("CALL ").split('(').next().unwrap();
        assert!(kept.contains(&format!("\n### {name}\n")), "{signature}");
        let purpose =
            purpose.unwrap_or_else(|| panic!("the comment on {name} ends in no sentence"));
        assert!(purpose.ends_with('.') && !purpose.contains('\n'), "{name}: {purpose}");
    }
    let count = |client: &mut postgres::Client, about: Option<&str>| -> i64 {
        client.query_one("SELECT count(*) FROM sparkify.help($1)", &[&about]).unwrap().get(0)
    };
    let all = count(&mut client, None);
    let some = count(&mut client, Some("MODEL"));
    assert!(0 < some && some < all, "{some} of {all}");
    assert_eq!(count(&mut client, Some("%")), 0, "a text, not a pattern");
}

#[test]
fn the_options_of_the_simulator_are_those_of_the_function() {
    let server = Server::shared();
    let database = server.database("readme_options");
    let arguments: String = database
        .connect()
        .query_one("SELECT pg_get_function_arguments('sparkify.generate_events'::regproc)", &[])
        .unwrap()
        .get(0);
    let defaults: HashMap<String, f64> = arguments
        .split(", ")
        .filter_map(|argument| {
            let (left, value) = argument.split_once(" DEFAULT ")?;
            let value = value.split("::").next()?.trim_matches('\'');
            Some((left.split(' ').next()?.to_owned(), value.parse().ok()?))
        })
        .collect();
    let mut checked = 0;
    for row in table_rows("docs/simulation.md") {
        for (name, value) in quoted(&row[0]).into_iter().zip(row[1].split(", ")) {
            assert_eq!(defaults.get(name), value.parse().ok().as_ref(), "{name}");
            checked += 1;
        }
    }
    assert!(checked >= 14, "only {checked} options were found");
}

#[test]
fn errors_are_those_of_the_sources() {
    let mut texts = Vec::new();
    for folder in ["src", "sql", "crates", "scripts"] {
        sources(&project().join(folder), &mut texts);
    }
    // Those of the server itself.
    let of_the_server = [
        "permission denied for",
        "cannot execute INSERT in a read-only transaction",
        "invalid transaction termination",
        "could not serialize access due to concurrent update",
    ];
    let mut checked = 0;
    for row in table_rows("docs/troubleshooting.md") {
        let Some(&error) = quoted(&row[0]).first() else { continue };
        if of_the_server.iter().any(|text| error.starts_with(text)) {
            continue;
        }
        for part in error.split('…') {
            // A value stands between quotes that sources may escape.
            let part = part.trim_matches(|c: char| c == '"' || c == ' ' || c == ',' || c == ':');
            assert!(
                part.len() < 4 || texts.iter().any(|(_, text)| text.contains(part)),
                "docs/troubleshooting.md: {error}: nothing says \"{part}\""
            );
        }
        checked += 1;
    }
    assert!(checked >= 15, "only {checked} errors were found");
}

#[test]
fn tests_that_are_promised_exist() {
    let mut texts = Vec::new();
    for folder in ["tests", "crates", "src"] {
        sources(&project().join(folder), &mut texts);
    }
    let mut checked = 0;
    for row in table_rows("docs/promises.md").iter().skip(1) {
        let named = quoted(&row[1]);
        assert!(!named.is_empty(), "{} has no test", row[0]);
        for name in named {
            let exists = if name.contains('/') {
                project().join(name).exists()
            } else {
                texts.iter().any(|(_, text)| text.contains(&format!("fn {name}()")))
            };
            assert!(exists, "docs/promises.md: {name}");
            checked += 1;
        }
    }
    assert!(checked >= 25, "only {checked} tests were found");
}
