//! Secrets: one private file each in the state folder. They are read when a replica starts and kept nowhere else.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use prumo_api::{Refusal, RefusalKind};

use crate::state::write_whole;

/// The largest value: a key file with its chain.
const VALUE_BYTES_MAX: usize = prumo_api::SECRET_BYTES_MAX;

/// The secrets of a site.
#[derive(Clone)]
pub(crate) struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    /// The secrets in this state folder.
    pub(crate) fn new(state: &Path) -> Secrets {
        Secrets { folder: state.join("secrets") }
    }

    /// Whether there is a place for secrets here at all.
    pub(crate) fn are_here(&self) -> bool {
        self.folder.is_dir()
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, Refusal> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot("list the secrets", &error)),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name_is_good(name))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Stores a value.
    pub(crate) fn set(&self, name: &str, value: &str) -> Result<(), Refusal> {
        check_name(name)?;
        if value.is_empty() || value.len() > VALUE_BYTES_MAX {
            let length = value.len();
            return Err(Refusal::new(
                RefusalKind::Refused,
                format!("a secret has 1 to {VALUE_BYTES_MAX} bytes, and this has {length}"),
            ));
        }
        let made = std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
            .create(&self.folder);
        made.and_then(|()| write_whole(&self.folder.join(name), value.as_bytes()))
            .map_err(|error| cannot("store the secret", &error))
    }

    /// Removes a value.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Refusal> {
        check_name(name)?;
        match std::fs::remove_file(self.folder.join(name)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.no_such(name)),
            Err(error) => Err(cannot("remove the secret", &error)),
        }
    }

    /// The value, for a replica that is about to start.
    pub(crate) fn value(&self, name: &str) -> Result<String, Refusal> {
        check_name(name)?;
        match std::fs::read_to_string(self.folder.join(name)) {
            Ok(value) => Ok(value),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.no_such(name)),
            Err(error) => Err(cannot("read the secret", &error)),
        }
    }

    fn no_such(&self, name: &str) -> Refusal {
        Refusal::new(RefusalKind::NoSuchThing, format!("there is no secret `{name}`"))
            .hint(format!("`prumo secret set {name}` stores it; `prumo secret list` shows the ones there are"))
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name_is_good(name) {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalKind::Refused,
        "a secret's name has 1 to 64 letters, digits, dashes or underscores and begins with a letter",
    ))
}

/// Without dots and slashes a name can be a file's name and nothing else.
fn name_is_good(name: &str) -> bool {
    name.len() <= 64
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn cannot(what: &str, error: &std::io::Error) -> Refusal {
    Refusal::new(RefusalKind::Failed, format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Goal: a secret is stored privately, read, listed and removed; names cannot leave the folder.
    #[test]
    fn secrets_are_kept() {
        let state = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(state.path());
        assert!(secrets.names().unwrap().is_empty());
        secrets.set("db-password", "hunter2").unwrap();
        assert_eq!(secrets.value("db-password").unwrap(), "hunter2");
        assert_eq!(secrets.names().unwrap(), ["db-password"]);
        let mode = state.path().join("secrets/db-password").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        secrets.remove("db-password").unwrap();
        assert_eq!(secrets.remove("db-password").unwrap_err().kind, RefusalKind::NoSuchThing);
        for bad in ["", "../x", "a/b", ".x", "-x", &"a".repeat(65)] {
            assert_eq!(secrets.set(bad, "v").unwrap_err().kind, RefusalKind::Refused, "{bad}");
        }
        assert_eq!(secrets.set("a", "").unwrap_err().kind, RefusalKind::Refused);
        assert_eq!(secrets.set("a", &"x".repeat(VALUE_BYTES_MAX + 1)).unwrap_err().kind, RefusalKind::Refused);
    }
}
