//! Where things are in the working copy that this xtask was built from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask sits in the repository").to_path_buf()
}

/// Cargo's folder for what is built; also the place for everything that a task makes.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Tools that are installed for this working copy alone.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// A folder below `target/`, made when it is not there yet.
pub(crate) fn made(folder: PathBuf) -> Result<PathBuf, Failure> {
    fs::create_dir_all(&folder).map_err(|error| Failure::file("make", &folder, &error))?;
    Ok(folder)
}

pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        made(folder.to_path_buf())?;
    }
    fs::write(path, text).map_err(|error| Failure::file("write", path, &error))
}

pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    fs::remove_file(path).map_err(|error| Failure::file("remove", path, &error))
}

/// The size of a file in bytes.
pub(crate) fn size(path: &Path) -> Result<u64, Failure> {
    Ok(fs::metadata(path).map_err(|error| Failure::file("look at", path, &error))?.len())
}
