//! Secrets that come from outside of prumo: a file, a variable of its own environment, the output of a command.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use prumo_clock::Clock;

use super::tool::{self, OUTPUT_BYTES_MAX};
use crate::desired::{Secret, SecretSource};

/// Fetches a secret that prumo does not keep itself. May take its time: call it on a thread of its own.
///
/// # Errors
/// A sentence's end that says what went wrong, without any part of the secret.
pub fn fetch(source: &SecretSource, clock: &Clock) -> Result<Secret, String> {
    let value = match source {
        SecretSource::Named(name) => return Err(format!("`{name}` is kept elsewhere")),
        SecretSource::File(path) => read_file(path)?,
        SecretSource::Env(name) => {
            std::env::var(name).map_err(|_| "it is not set in prumo's own environment".to_owned())?
        }
        SecretSource::Command(argv) => tool::output(argv, clock)?,
    };
    let kept = value.trim_end_matches(['\n', '\r']).len();
    if kept == 0 {
        return Err("it is empty".to_owned());
    }
    Ok(Secret::new(value[..kept].to_owned()))
}

/// Opens a file that a person has named, for reading: without waiting, and only one that has an end. A pipe or a device
/// could hold up whoever reads it for ever.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

fn read_file(path: &Path) -> Result<String, String> {
    let file = open_regular(path).map_err(|error| error.to_string())?;
    let mut value = String::new();
    file.take(OUTPUT_BYTES_MAX as u64 + 1).read_to_string(&mut value).map_err(|error| error.to_string())?;
    if value.len() > OUTPUT_BYTES_MAX { Err(tool::too_large()) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    fn check(source: &SecretSource, expected: Result<&str, &str>) {
        let fetched = fetch(source, &Clock::system());
        let fetched = fetched.as_ref().map(Secret::expose).map_err(String::as_str);
        match (fetched, expected) {
            (Err(message), Err(part)) => assert!(message.contains(part), "{source:?}: {message}"),
            (fetched, expected) => assert_eq!(fetched, expected, "{source:?}"),
        }
    }

    /// Goal: every source gives its value without the line break at its end, or says what is wrong.
    #[test]
    fn sources_give_values() {
        let command = |words: &[&str]| SecretSource::Command(words.iter().map(|word| (*word).to_owned()).collect());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "hunter2\n").unwrap();
        check(&SecretSource::File(folder.path().join("key")), Ok("hunter2"));
        check(&SecretSource::File(folder.path().join("none")), Err("No such file"));
        check(&SecretSource::File("/dev/zero".into()), Err("not a regular file"));
        let pipe = folder.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::RUSR).unwrap();
        check(&SecretSource::File(pipe), Err("not a regular file"));
        check(&SecretSource::Env("PRUMO_TEST_IS_NOT_SET".into()), Err("is not set"));
        check(&command(&["printf", "a b\\r\\n"]), Ok("a b"));
        check(&command(&["false"]), Err("`false` failed: exit status: 1"));
        check(&command(&["/nonexistent/vault"]), Err("cannot be run"));
        check(&command(&["true"]), Err("it is empty"));
        check(&command(&["head", "-c", "70000", "/dev/zero"]), Err("more than 65536 bytes"));
        check(&command(&[]), Err("empty"));
    }
}
