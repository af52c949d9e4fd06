//! A route that answers with files.

use std::path::PathBuf;
use std::time::Duration;

/// A folder whose files answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The folder. It need not exist yet: it is looked for at each request.
    pub folder: PathBuf,
    /// The file that answers for a folder.
    pub index: String,
    /// The file, by its path in the folder, that answers for pages which are no files.
    pub fallback: Option<String>,
    /// Whether a file with `.br`, `.zst` or `.gz` added is sent to clients that take it, in place of the file.
    pub precompressed: bool,
    /// How long a client may use a file without asking again. A page of HTML is always asked for.
    pub cache: Duration,
}

impl Files {
    /// The files of a folder, with the defaults.
    pub fn of(folder: impl Into<PathBuf>) -> Files {
        let index = "index.html".to_owned();
        Files { folder: folder.into(), index, fallback: None, precompressed: false, cache: Duration::ZERO }
    }
}
