//! Images of packed vectors in files that all backends map.
//!
//! The files lie among the server's temporary files, under the prefix that the
//! server removes when it starts or recovers from a crash, and are written by
//! the server's own user alone. An image is written under another name and
//! renamed when it is whole, and never changed afterwards, so that a reader maps
//! all of it or nothing. Its name holds the database and the fingerprint that
//! callers read from the table: which image a query sees is decided by its
//! snapshot. No setting of the server is needed.
//!
//! One backend builds an image while the others wait for a lock on a file beside it:
//! nobody but the server's own user can take that, the system gives it back whatever
//! becomes of its holder, and it works on a standby.
#![expect(unsafe_code, reason = "mapping a file is safe only while nobody shortens it")]

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use memmap2::{Mmap, MmapOptions};

use super::spi;

/// The server's folder for temporary files of the default tablespace; backends
/// run in the data directory.
const FOLDER: &str = "base/pgsql_tmp";

/// The server removes files of its own prefix at start, ours among them.
const PREFIX: &str = "pgsql_tmp_sparkify";

/// Bytes between two interrupt checks while an image is written.
const CHUNK: usize = 4 << 20;

/// How long a waiting backend sleeps between two looks.
const PAUSE: Duration = Duration::from_millis(5);

fn path(database: u32, fingerprint: u128) -> PathBuf {
    Path::new(FOLDER).join(format!("{PREFIX}.{database}.{fingerprint:032x}"))
}

/// Maps the image of a fingerprint, where a backend has published it.
pub fn map(database: u32, fingerprint: u128) -> Option<Mmap> {
    let file = File::open(path(database, fingerprint)).ok()?;
    // SAFETY: a published image is never written to or shortened; removing it
    // leaves the mapping whole.
    unsafe { MmapOptions::new().populate().map(&file) }.ok()
}

/// The right to build an image, which one backend has at a time.
pub struct Turn {
    /// Locked; closing it gives the lock back.
    _lock: File,
    path: PathBuf,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Who waits for the file of this name looks for the image when it has the lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// Waits until it is this backend's turn to build the image of a fingerprint, or
/// until `ready` gives what others built.
///
/// # Errors
/// Where there is no room for files, or no right to write them.
pub fn take_turn<T>(
    database: u32,
    fingerprint: u128,
    mut ready: impl FnMut() -> Option<T>,
) -> io::Result<Result<Turn, T>> {
    match fs::DirBuilder::new().mode(0o700).create(FOLDER) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => (),
    }
    let path = path(database, fingerprint).with_extension_added("lock");
    loop {
        crate::interrupt::interrupt();
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        match lock.try_lock() {
            Ok(()) => {
                let turn = Turn { _lock: lock, path };
                return Ok(match ready() {
                    Some(built) => Err(built),
                    None => Ok(turn),
                });
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        std::thread::sleep(PAUSE);
        if let Some(built) = ready() {
            return Ok(Err(built));
        }
    }
}

trait WithExtensionAdded {
    fn with_extension_added(&self, extension: &str) -> PathBuf;
}

impl WithExtensionAdded for PathBuf {
    fn with_extension_added(&self, extension: &str) -> PathBuf {
        let mut name = self.clone().into_os_string();
        name.push(".");
        name.push(extension);
        name.into()
    }
}

/// A file that is removed unless it is renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Publishes an image for other backends, and maps it; removes images that
/// nobody will ask for again. For the holder of the turn.
pub fn publish(_: &Turn, database: u32, fingerprint: u128, image: &[u8]) -> io::Result<Mmap> {
    remove_outdated(database);
    let whole = path(database, fingerprint);
    let partial = Partial(whole.with_extension_added("partial"));
    // What a holder left that was killed is this one's to replace.
    let _ = fs::remove_file(&partial.0);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial.0)?;
    for chunk in image.chunks(CHUNK) {
        crate::interrupt::interrupt();
        file.write_all(chunk)?;
    }
    drop(file);
    fs::rename(&partial.0, &whole)?;
    map(database, fingerprint).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Removes the files of models that are gone, here and in databases that are, whole
/// or not.
fn remove_outdated(database: u32) {
    let mut fingerprints = Vec::new();
    spi::select("SELECT fingerprint FROM sparkify.models", &[], |row| {
        fingerprints.extend(row.uuid(0));
    });
    let mut databases = Vec::new();
    spi::select("SELECT oid::bigint FROM pg_catalog.pg_database", &[], |row| {
        databases.extend(row.i64(0).and_then(|oid| u32::try_from(oid).ok()));
    });
    for entry in fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        let Some((owner, fingerprint)) = parse(&file_name) else { continue };
        let gone = !databases.contains(&owner);
        if gone || (owner == database && !fingerprints.contains(&fingerprint)) {
            // Whoever has it mapped keeps it; whoever still wants it builds it anew.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Database and fingerprint that a file belongs to: an image, a part of one, or a lock.
fn parse(file_name: &str) -> Option<(u32, u128)> {
    let mut parts = file_name.strip_prefix(PREFIX)?.strip_prefix('.')?.split('.');
    let database = parts.next()?.parse().ok()?;
    let fingerprint = u128::from_str_radix(parts.next()?, 16).ok()?;
    Some((database, fingerprint))
}
