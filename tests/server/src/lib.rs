//! What the whole-server tests share: servers, databases, connections.
//!
//! `make test` installs the release build into a private PostgreSQL, starts one
//! server for the tests that can share it, and names both in the environment.
//! A test that stops, kills or configures its server makes one of its own with
//! [`Server::start`]; it ends with the value.

pub mod cancel;
pub mod cells;
pub mod consistency;
pub mod data;
pub mod gate;
pub mod kafka;
pub mod pipeline;
pub mod random;
pub mod values;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use postgres::error::SqlState;
use postgres::{Client, NoTls};

fn from_environment(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(value) => value.into(),
        None => panic!("{name} is not set: run these tests with make test"),
    }
}

/// The folder of the server's programs.
pub fn programs() -> PathBuf {
    from_environment("SPARKIFY_PGBIN")
}

/// The Kaggle file, where there is one; says that a test is skipped otherwise.
pub fn real_tracks(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("SPARKIFY_TRACKS").filter(|path| !path.is_empty());
    if path.is_none() {
        println!(
            "skipped: {test} needs the real catalogue; give it with make test TRACKS=path/to/dataset.csv"
        );
    }
    path.map(PathBuf::from)
}

/// PostgreSQL refuses to run as root: there the user of its package runs it.
fn server_user() -> Option<&'static str> {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    (id.stdout.trim_ascii() == b"0").then_some("postgres")
}

/// A command that runs as the server's user, in a folder it can read.
pub fn as_server(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = match server_user() {
        Some(user) => {
            let mut command = Command::new("runuser");
            command.args(["-u", user, "--"]).arg(program.as_ref());
            command
        }
        None => Command::new(program.as_ref()),
    };
    command.current_dir("/").env_remove("RUST_BACKTRACE");
    command
}

/// Runs a command; its output, or a panic that shows it.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A PostgreSQL server, reached through a socket.
pub struct Server {
    /// The folder of its socket.
    pub socket: PathBuf,
    /// Its data, where it belongs to one test.
    pub data: Option<PathBuf>,
}

static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A new folder that belongs to the server's user.
fn own_folder() -> PathBuf {
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("sparkify-{}-{number}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the cluster");
    if let Some(user) = server_user() {
        run(Command::new("chown").arg(user).arg(&folder));
    }
    folder
}

/// Adds lines to the configuration of a cluster.
fn configure(data: &Path, lines: &str) {
    let path = data.join("postgresql.conf");
    let present = std::fs::read_to_string(&path).expect("a cluster has postgresql.conf");
    std::fs::write(&path, present + lines).expect("postgresql.conf is writable");
}

impl Server {
    /// The server that `make test` started for all tests.
    pub fn shared() -> Server {
        Server { socket: from_environment("SPARKIFY_TEST_SOCKET"), data: None }
    }

    /// A server of the test's own, with lines added to its configuration.
    pub fn start(configuration: &[&str]) -> Server {
        let folder = own_folder();
        let data = folder.join("data");
        run(as_server(programs().join("initdb"))
            .args([
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--auth=trust",
                "--no-sync",
                "-D",
            ])
            .arg(&data));
        let mut conf =
            format!("listen_addresses = ''\nunix_socket_directories = '{}'\n", folder.display());
        conf.push_str("fsync = off\ntimezone = 'UTC'\n");
        for line in configuration {
            conf.push_str(line);
            conf.push('\n');
        }
        configure(&data, &conf);
        let server = Server { socket: folder, data: Some(data) };
        server.resume();
        server
    }

    /// A hot standby of this server, which must allow replication as servers do by default.
    pub fn standby(&self) -> Server {
        let folder = own_folder();
        let data = folder.join("data");
        run(as_server(programs().join("pg_basebackup"))
            .arg("-h")
            .arg(&self.socket)
            .args(["-U", "postgres", "--checkpoint=fast", "--no-sync", "-R", "-D"])
            .arg(&data));
        configure(&data, &format!("unix_socket_directories = '{}'\n", folder.display()));
        let server = Server { socket: folder, data: Some(data) };
        server.resume();
        server
    }

    fn control(&self, arguments: &[&str]) -> Command {
        let mut command = as_server(programs().join("pg_ctl"));
        let data = self.data.as_ref().expect("a server of the test's own");
        command.arg("-D").arg(data).arg("-w").args(arguments);
        command
    }

    /// Starts the server again after [`Server::stop`].
    pub fn resume(&self) {
        let log = std::fs::read_to_string(self.socket.join("log"));
        assert!(self.try_resume(), "{}", log.unwrap_or_default());
    }

    /// Starts the server; false where it does not start, as while processes of the former one live.
    pub fn try_resume(&self) -> bool {
        let log = self.socket.join("log");
        let log = log.to_str().expect("a path of plain text");
        let mut command = self.control(&["-l", log, "start"]);
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        command.status().expect("pg_ctl runs").success()
    }

    /// Kills a process of the server, or the postmaster, as nothing can refuse.
    pub fn kill(&self, pid: i32) {
        run(as_server("sh").args(["-c", &format!("kill -9 {pid}")]));
    }

    /// The process that started all others.
    pub fn postmaster(&self) -> i32 {
        let data = self.data.as_ref().expect("a server of the test's own");
        let file = std::fs::read_to_string(data.join("postmaster.pid")).expect("the server runs");
        file.lines().next().and_then(|pid| pid.parse().ok()).expect("a process id")
    }

    /// Stops the server: `fast`, or `immediate` as a crash would.
    pub fn stop(&self, mode: &str) {
        run(&mut self.control(&["-m", mode, "stop"]));
    }

    /// A connection to a database, as a role.
    pub fn connect_as(&self, database: &str, role: &str) -> Client {
        self.try_connect(database, role)
            .unwrap_or_else(|error| panic!("connecting to {database} as {role}: {error}"))
    }

    /// A connection to a database, or why there is none.
    pub fn try_connect(&self, database: &str, role: &str) -> Result<Client, postgres::Error> {
        postgres::Config::new().host_path(&self.socket).user(role).dbname(database).connect(NoTls)
    }

    /// A database that is there already, as on a standby.
    pub fn present_database(&self, name: &str) -> Database<'_> {
        Database { server: self, name: name.to_owned() }
    }

    /// A fresh database with the extension, dropped and made anew where it exists.
    pub fn database(&self, name: &str) -> Database<'_> {
        let database = self.empty_database(name);
        database
            .connect()
            .batch_execute("CREATE EXTENSION sparkify")
            .expect("the extension installs");
        database
    }

    /// A fresh database without the extension.
    pub fn empty_database(&self, name: &str) -> Database<'_> {
        let mut client = self.connect_as("postgres", "postgres");
        for sql in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"),
        ] {
            client.batch_execute(&sql).expect("a database is made");
        }
        Database { server: self, name: name.to_owned() }
    }

    /// A client program (psql, pg_dump) pointed at this server, as the superuser.
    pub fn program(&self, name: &str, database: &str) -> Command {
        let mut command = Command::new(programs().join(name));
        command.arg("-h").arg(&self.socket).args(["-U", "postgres", "-d", database]);
        command.env_remove("RUST_BACKTRACE");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.data.is_some() {
            let _ = self.control(&["-m", "immediate", "stop"]).output();
            let _ = std::fs::remove_dir_all(&self.socket);
        }
    }
}

/// A database of a test's own.
pub struct Database<'a> {
    /// Where it lies.
    pub server: &'a Server,
    /// Its name.
    pub name: String,
}

impl Database<'_> {
    /// A connection as the superuser.
    pub fn connect(&self) -> Client {
        self.connect_as("postgres")
    }

    /// A connection as a role.
    pub fn connect_as(&self, role: &str) -> Client {
        self.server.connect_as(&self.name, role)
    }

    /// psql or another client program on this database.
    pub fn program(&self, name: &str) -> Command {
        self.server.program(name, &self.name)
    }
}

/// The SQLSTATE and message of what must have failed.
#[track_caller]
pub fn refusal<T>(result: Result<T, postgres::Error>) -> (SqlState, String) {
    let error = result.err().expect("the statement is refused");
    let error = error.as_db_error().expect("an error of the server");
    (error.code().clone(), error.message().to_owned())
}

/// A file that the server can read, in the folder for temporary files.
pub fn file_for_server(name: &str, content: &[u8]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("sparkify-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for files");
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a file is written");
    readable(&folder, 0o755);
    readable(&path, 0o644);
    path
}

fn readable(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("own file");
}
