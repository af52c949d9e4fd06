//! The one file, as this process finds it: where it lies, its text, and what the text means.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use prumo_api::{Refusal, RefusalKind};
use prumo_config::{Config, Mistakes};

/// The largest file that is read. A file for a hundred services has a tenth of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where the file lies and which overlay is laid over it.
#[derive(Clone, Debug)]
pub(crate) struct TheFile {
    typed: PathBuf,
    path: PathBuf,
    overlay: Option<String>,
}

/// The file as it was read.
pub(crate) struct Reading {
    /// Its text, to be kept as the last good one.
    pub text: String,
    /// What it means.
    pub config: Config,
}

/// Why the file was not read.
pub(crate) enum ReadError {
    /// It has mistakes.
    Mistakes(Mistakes),
    /// It could not be opened or is not a text.
    Unreadable(Refusal),
}

impl TheFile {
    /// The file at this path, as typed by the user.
    pub(crate) fn new(typed: &Path, overlay: Option<&str>) -> TheFile {
        TheFile { typed: typed.to_owned(), path: crate::state::absolute(typed), overlay: overlay.map(str::to_owned) }
    }

    /// The path as the user typed it.
    pub(crate) fn shown(&self) -> String {
        self.typed.display().to_string()
    }

    /// The path itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The overlay that is laid over the file.
    pub(crate) fn overlay(&self) -> Option<&str> {
        self.overlay.as_deref()
    }

    /// The folder that relative paths in the file start from.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Reads the file and everything it means.
    pub(crate) fn read(&self) -> Result<Reading, ReadError> {
        let text = self.text().map_err(ReadError::Unreadable)?;
        self.mean(text, &self.shown())
    }

    /// What a text would mean if it stood in this file.
    pub(crate) fn mean(&self, text: String, shown: &str) -> Result<Reading, ReadError> {
        let variables = |name: &str| std::env::var(name).ok();
        let config =
            prumo_config::read(&text, shown, self.overlay.as_deref(), &variables).map_err(ReadError::Mistakes)?;
        Ok(Reading { text, config })
    }

    /// When the file was last written, as the file system says; nothing when it is gone.
    pub(crate) fn version(&self) -> Option<(std::time::SystemTime, u64)> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }

    fn text(&self) -> Result<String, Refusal> {
        let shown = self.shown();
        let mut bytes = Vec::new();
        let file = File::open(&self.path).map_err(|error| self.cannot_open(&error))?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| self.cannot_open(&error))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(Refusal::new(RefusalKind::BadFile, format!("{shown} is larger than {FILE_BYTES_MAX} bytes")));
        }
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
            Refusal::new(
                RefusalKind::BadFile,
                format!("{shown} is not UTF-8 text: byte {at}, on line {line}, is not part of a character"),
            )
        })
    }

    fn cannot_open(&self, error: &std::io::Error) -> Refusal {
        let refusal = Refusal::new(RefusalKind::BadFile, format!("{} cannot be read: {error}", self.shown()));
        match error.kind() {
            ErrorKind::NotFound => refusal.hint("write one (docs/guides/first-site.md shows a small one), or name another with `--file FILE`; `prumo demo` needs none"),
            _ => refusal,
        }
    }
}

impl ReadError {
    /// The same for whoever asked.
    pub(crate) fn into_refusal(self) -> Refusal {
        match self {
            ReadError::Mistakes(mistakes) => Refusal::new(RefusalKind::BadFile, mistakes.to_string()),
            ReadError::Unreadable(refusal) => refusal,
        }
    }
}
