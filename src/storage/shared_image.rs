//! Images of packed vectors in files that all backends map.
//!
//! The files lie among the server's temporary files, under the prefix that the
//! server removes when it starts or recovers from a crash, and are written by
//! the server's own user alone. An image is written under another name and
//! renamed when it is whole, and never changed afterwards, so that a reader maps
//! all of it or nothing. Its name holds the database and the fingerprint that
//! callers read from the table: which image a query sees is decided by its
//! snapshot. No setting of the server is needed.
#![expect(unsafe_code, reason = "mapping a file is safe only while nobody shortens it")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use memmap2::{Mmap, MmapOptions};

use super::spi;

/// The server's folder for temporary files of the default tablespace; backends
/// run in the data directory.
const FOLDER: &str = "base/pgsql_tmp";

/// The server removes files of its own prefix at start, ours among them.
const PREFIX: &str = "pgsql_tmp_sparkify";

/// Bytes between two interrupt checks while an image is written.
const CHUNK: usize = 4 << 20;

fn name(database: u32, fingerprint: u128) -> String {
    format!("{PREFIX}.{database}.{fingerprint:032x}")
}

/// Maps the image of a fingerprint, where a backend has published it.
pub fn map(database: u32, fingerprint: u128) -> Option<Mmap> {
    let file = File::open(PathBuf::from(FOLDER).join(name(database, fingerprint))).ok()?;
    // SAFETY: a published image is never written to or shortened; removing it
    // leaves the mapping whole.
    unsafe { MmapOptions::new().populate().map(&file) }.ok()
}

/// Publishes an image for other backends, and maps it; removes images that
/// nobody will ask for again.
pub fn publish(database: u32, fingerprint: u128, image: &[u8]) -> io::Result<Mmap> {
    let folder = PathBuf::from(FOLDER);
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => (),
    }
    remove_outdated(database);
    let partial = folder.join(format!("{}.{}", name(database, fingerprint), std::process::id()));
    let written = write(&partial, image)
        .and_then(|()| fs::rename(&partial, folder.join(name(database, fingerprint))));
    if let Err(error) = written {
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    map(database, fingerprint).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn write(path: &PathBuf, image: &[u8]) -> io::Result<()> {
    // What an interrupted call of this backend left is ours to replace.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for chunk in image.chunks(CHUNK) {
        crate::interrupt::interrupt();
        file.write_all(chunk)?;
    }
    Ok(())
}

/// Removes the images of models that are gone, here and in databases that are.
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

/// Database and fingerprint of a published image; not of one that is being written.
fn parse(file_name: &str) -> Option<(u32, u128)> {
    let mut parts = file_name.strip_prefix(PREFIX)?.strip_prefix('.')?.split('.');
    let database = parts.next()?.parse().ok()?;
    let fingerprint = u128::from_str_radix(parts.next()?, 16).ok()?;
    parts.next().is_none().then_some((database, fingerprint))
}
