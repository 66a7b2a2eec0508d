//! What of a service's delivery is a history.

use std::io::{self, Read, Seek};

use zip::ZipArchive;
use zip::result::ZipError;

/// Whether a file of that name, in a ZIP or folder as delivered, holds plays.
#[must_use]
pub fn is_history(path: &str) -> bool {
    let path = path.to_lowercase();
    let mut folders = path.rsplit(['/', '\\']);
    let name = folders.next().unwrap_or_default();
    if name.starts_with('.') || path.contains("__macosx/") {
        return false;
    }
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    match ending {
        "json" => ["endsong", "streaming_history_", "streaminghistory", "listenbrainz", "listens"]
            .iter()
            .any(|begin| stem.starts_with(begin)),
        "jsonl" => stem.starts_with("listen") || folders.any(|folder| folder == "listens"),
        "csv" => true,
        _ => false,
    }
}

/// The histories in a ZIP file.
pub struct Archive<R> {
    archive: ZipArchive<R>,
    /// Their places and names, by name.
    files: Vec<(usize, String)>,
}

impl<R: Read + Seek> Archive<R> {
    /// Opens a ZIP file.
    ///
    /// # Errors
    /// Where it is none, or is cut off.
    pub fn open(source: R) -> io::Result<Archive<R>> {
        let mut archive = ZipArchive::new(source).map_err(into_io)?;
        let mut files = Vec::new();
        for place in 0..archive.len() {
            let file = archive.by_index_raw(place).map_err(into_io)?;
            if file.is_file() && is_history(file.name()) {
                files.push((place, file.name().to_owned()));
            }
        }
        files.sort_by(|one, other| one.1.cmp(&other.1));
        Ok(Archive { archive, files })
    }

    /// How many histories there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The name of a history.
    #[must_use]
    pub fn name(&self, file: usize) -> &str {
        &self.files[file].1
    }

    /// What a history holds, unpacked while it is read.
    ///
    /// # Errors
    /// Where it is encrypted, or packed in a way that is not known.
    pub fn read(&mut self, file: usize) -> io::Result<impl Read + '_> {
        self.archive.by_index(self.files[file].0).map_err(into_io)
    }
}

fn into_io(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}
