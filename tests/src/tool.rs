//! Other people's programs that judge ours: curl, h2load, openssl, Python, promtool.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::site::{Said, finish};

/// A judge that is installed.
pub struct Tool {
    path: PathBuf,
}

impl Tool {
    /// Finds a program that `cargo xtask deps` installs. A judge that is missing is a failure, never a skipped test.
    pub fn find(name: &str) -> Tool {
        // Debian's own Python has Debian's packages; another one earlier in the path has not.
        let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin"];
        let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
        let path = found
            .unwrap_or_else(|| panic!("{name} is not installed\nhint: `cargo xtask deps` installs what tests need"));
        Tool { path }
    }

    /// Finds a program in the Python environment that `cargo xtask deps` makes for this working copy.
    pub fn find_in_tools(name: &str) -> Tool {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests sit in the repository");
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let path = root.join(target).join("tools/bin").join(name);
        assert!(path.is_file(), "{} is missing\nhint: `cargo xtask deps` installs what tests need", path.display());
        Tool { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it with these arguments, and at most for two minutes.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_with_input(arguments, "")
    }

    /// Runs it with something to read.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let child = Command::new(&self.path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.path.display()));
        finish(child, input, Duration::from_secs(120))
    }
}
