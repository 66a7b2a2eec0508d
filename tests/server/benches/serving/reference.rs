//! What the SQL functions are measured against, on the same vectors: the core's
//! plain scan, and faiss where Python has it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use postgres::Client;
use sparkify_core::rank::{AlignedBytes, Index, IndexBuilder, Learned, Metric};

/// The vectors of the active model.
pub struct Vectors {
    pub dims: usize,
    pub tracks: Vec<f32>,
    pub users: Vec<f32>,
}

impl Vectors {
    /// Track vectors as stored, user vectors of those whose plays gave one.
    pub fn read(client: &mut Client) -> Vectors {
        let mut read = |sql: &str| -> Vec<Vec<f32>> {
            client.query(sql, &[]).expect(sql).iter().map(|row| row.get(0)).collect()
        };
        let tracks = read(
            "SELECT embedding FROM sparkify.track_embeddings AS e JOIN sparkify.models AS m
                 USING (model_id) WHERE m.active ORDER BY e.track_id",
        );
        let users = read(
            "SELECT vector FROM sparkify.user_vectors AS v JOIN sparkify.models AS m
                 USING (model_id) WHERE m.active AND strategy = 'listened' ORDER BY user_id",
        );
        let dims = tracks.first().map_or(0, Vec::len);
        Vectors { dims, tracks: tracks.concat(), users: users.concat() }
    }

    pub fn users(&self) -> impl Iterator<Item = &[f32]> {
        self.users.chunks_exact(self.dims)
    }

    /// The core's image, without ids and songs.
    pub fn pack(&self) -> AlignedBytes {
        self.pack_as(Metric::Cosine)
    }

    /// As [`pack`](Self::pack), ranked by this metric.
    pub fn pack_as(&self, metric: Metric) -> AlignedBytes {
        let mut builder = IndexBuilder::new(self.dims).expect("dims");
        for (number, row) in self.tracks.chunks_exact(self.dims).enumerate() {
            builder.push(&format!("{number:09}"), row, number as u128, None).expect("a track");
        }
        builder.learned(Learned { metric, ..Learned::default() }).expect("a model");
        let image = builder.finish(0, &|| ()).expect("memory");
        Index::open(&image).expect("a valid image");
        image
    }
}

/// A Python process that times faiss on request.
pub struct Faiss {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
    /// Name and version.
    pub version: String,
    folder: PathBuf,
}

impl Faiss {
    /// Starts faiss on the vectors, with the Python that `make bench` found;
    /// says why where there is none.
    pub fn start(vectors: &Vectors) -> Option<Faiss> {
        let python = std::env::var_os("SPARKIFY_FAISS_PYTHON").filter(|path| !path.is_empty());
        let Some(python) = python else {
            println!("skipped: comparison with faiss needs Python with faiss-cpu and numpy");
            return None;
        };
        let folder = std::env::temp_dir().join(format!("sparkify-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for vectors");
        let [tracks, users] = [("tracks", &vectors.tracks), ("users", &vectors.users)]
            .map(|(name, rows)| write_units(folder.join(name), rows, vectors.dims));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/serving/time_faiss.py");
        let mut process = Command::new(python)
            .arg(script)
            .args([tracks, users])
            .arg(vectors.dims.to_string())
            // Threads that wait busily starve each other on a machine that does other work, too.
            .env("OMP_WAIT_POLICY", "PASSIVE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut answers = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut version = String::new();
        answers.read_line(&mut version).expect("an answer of faiss");
        Some(Faiss { process, answers, version: version.trim().to_owned(), folder })
    }

    fn ask(&mut self, request: &str) -> Vec<Duration> {
        let stdin = self.process.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{request}").expect("faiss listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("an answer of faiss");
        let seconds = |word: &str| word.parse().map(Duration::from_secs_f64).expect("seconds");
        answer.split_whitespace().map(seconds).collect()
    }

    /// Times of `count` queries, one by one.
    pub fn scan(&mut self, threads: usize, count: usize, first: usize) -> Vec<Duration> {
        self.ask(&format!("scan {threads} {count} {first}"))
    }

    /// Time of all queries in one call.
    pub fn batch(&mut self, threads: usize) -> Vec<Duration> {
        self.ask(&format!("batch {threads}"))
    }
}

impl Drop for Faiss {
    fn drop(&mut self) {
        // Without input it ends.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Writes rows scaled to unit length: an inner product of two is their cosine.
fn write_units(path: PathBuf, rows: &[f32], dims: usize) -> PathBuf {
    let mut bytes = Vec::with_capacity(rows.len() * 4);
    for row in rows.chunks_exact(dims) {
        let norm = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        let norm = if norm > 0.0 { norm } else { 1.0 };
        bytes.extend(row.iter().flat_map(|&x| ((f64::from(x) / norm) as f32).to_ne_bytes()));
    }
    std::fs::write(&path, bytes).expect("a file for vectors");
    path
}
