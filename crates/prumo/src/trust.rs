//! The stores of this machine that say whom to trust, and the local authority's place in them.
//!
//! Two kinds: the system's list, which curl, Python, Go and most servers read, and NSS databases of browsers, one for each
//! user and profile. Everything is found, changed and undone with the stores' own tools.

use std::fs;
use std::path::{Path, PathBuf};

use prumo_clock::Clock;
use prumo_run::driver::tool;
use sha2::{Digest, Sha256};

/// Where Debian and its children keep certificates of the machine's owner.
const SYSTEM_FOLDER: &str = "usr/local/share/ca-certificates";
/// Where its list is, and what says what goes into it.
const LIST_FOLDER: &str = "etc/ssl/certs";
const LIST_FILE: &str = "etc/ca-certificates.conf";
/// Where tools are; the PATH of a user often has no `sbin`.
const TOOL_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What is to happen to the authority in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It is to be trusted.
    Trust,
    /// It is no longer to be trusted.
    Forget,
}

/// The local authority's certificate.
pub(crate) struct Authority {
    file: PathBuf,
    pub(crate) pem: String,
    /// Names it in every store: each state folder has an authority of its own.
    name: String,
}

impl Authority {
    /// The authority of the site in this state folder.
    pub(crate) fn of(state: &Path) -> std::io::Result<Authority> {
        let file = state.join("certs").join("authority.pem");
        let pem = fs::read_to_string(&file)?;
        let digest = Sha256::digest(pem.as_bytes());
        let name = format!("prumo-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
        Ok(Authority { file, pem, name })
    }
}

/// A place where trust is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// The system's list below this root.
    System(PathBuf),
    /// An NSS database.
    Nss(PathBuf),
}

/// What became of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What was done, or was so already.
    Done(String),
    /// Why nothing was done.
    Left(String),
}

/// The stores that there are: the system's below `root`, and those of browsers of the user whose home this is.
pub(crate) fn stores(root: &Path, home: Option<&Path>) -> Vec<Store> {
    let mut stores = vec![Store::System(root.to_owned())];
    let Some(home) = home else { return stores };
    let mut candidates = vec![home.join(".pki/nssdb")];
    for profiles in [".mozilla/firefox", "snap/firefox/common/.mozilla/firefox"] {
        let folders = fs::read_dir(home.join(profiles)).into_iter().flatten().flatten();
        candidates.extend(folders.map(|folder| folder.path()));
    }
    candidates.sort();
    stores.extend(candidates.into_iter().filter(|folder| folder.join("cert9.db").is_file()).map(Store::Nss));
    stores
}

impl Store {
    /// Makes the wish true here.
    pub(crate) fn apply(&self, authority: &Authority, wish: Wish, clock: &Clock) -> Outcome {
        match self {
            Store::System(root) => in_system(root, authority, wish, clock),
            Store::Nss(database) => in_nss(database, authority, wish, clock),
        }
    }
}

fn in_system(root: &Path, authority: &Authority, wish: Wish, clock: &Clock) -> Outcome {
    let folder = root.join(SYSTEM_FOLDER);
    let file = folder.join(format!("{}.crt", authority.name));
    let present = fs::read_to_string(&file).is_ok_and(|there| there == authority.pem);
    match (wish, present) {
        (Wish::Trust, true) => return Outcome::Done(format!("system: {} is there already", file.display())),
        (Wish::Forget, false) => return Outcome::Done("system: nothing is there".to_owned()),
        _ => {}
    }
    // Without its list and the file about it, the tool would fail, and after folders were made where somebody mistyped.
    for needed in [LIST_FOLDER, LIST_FILE] {
        if !root.join(needed).exists() {
            let missing = root.join(needed);
            return Outcome::Left(format!("system: nothing is changed, because there is no {}", missing.display()));
        }
    }
    let Some(update) = find("update-ca-certificates") else {
        let why = "this machine has no update-ca-certificates (package ca-certificates on Debian)";
        return Outcome::Left(format!("system: {why}; `prumo trust --print` shows the certificate"));
    };
    let written = match wish {
        Wish::Trust => fs::create_dir_all(&folder).and_then(|()| fs::write(&file, &authority.pem)),
        Wish::Forget => fs::remove_file(&file),
    };
    if let Err(error) = written {
        return match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                Outcome::Left(format!("system: {} is root's to change", folder.display()))
            }
            _ => Outcome::Left(format!("system: {}: {error}", file.display())),
        };
    }
    if let Err(why) = tool::output(&update_arguments(&update, root, wish), clock) {
        // The file says what the list holds: it must not be ahead of it, or the next try would find nothing to do.
        let undone = match wish {
            Wish::Trust => fs::remove_file(&file),
            Wish::Forget => fs::write(&file, &authority.pem),
        };
        let left = if undone.is_ok() { "nothing is changed" } else { "only the file is changed" };
        return Outcome::Left(format!(
            "system: {}: {left}, because the system's list cannot be made anew: {why}",
            file.display()
        ));
    }
    let done = if wish == Wish::Trust { "written" } else { "removed" };
    Outcome::Done(format!("system: {} {done}, and the system's list made anew", file.display()))
}

/// The system's own folders need no naming.
fn update_arguments(update: &Path, root: &Path, wish: Wish) -> Vec<String> {
    let mut arguments = vec![update.display().to_string()];
    if wish == Wish::Forget {
        // Else links to what is gone stay in /etc/ssl/certs.
        arguments.push("--fresh".to_owned());
    }
    if root != Path::new("/") {
        for (option, folder) in [
            ("--localcertsdir", SYSTEM_FOLDER),
            ("--certsdir", "usr/share/ca-certificates"),
            ("--etccertsdir", LIST_FOLDER),
            ("--certsconf", LIST_FILE),
            ("--hooksdir", "etc/ca-certificates/update.d"),
        ] {
            arguments.extend([option.to_owned(), root.join(folder).display().to_string()]);
        }
    }
    arguments
}

fn in_nss(database: &Path, authority: &Authority, wish: Wish, clock: &Clock) -> Outcome {
    let shown = format!("browser: {}", database.display());
    let Some(certutil) = find("certutil") else {
        return Outcome::Left(format!("{shown} needs certutil (package libnss3-tools on Debian)"));
    };
    let run = |more: &[&str]| {
        let database = format!("sql:{}", database.display());
        let words = [&[certutil.to_str().unwrap_or("certutil"), "-d", &database, "-n", &authority.name], more].concat();
        tool::output(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(), clock)
    };
    let file = authority.file.display().to_string();
    let present = run(&["-L", "-a"]).is_ok();
    let done = match (wish, present) {
        (Wish::Trust, true) => return Outcome::Done(format!("{shown} has it already")),
        (Wish::Forget, false) => return Outcome::Done(format!("{shown} does not have it")),
        // For servers only: neither mail nor code.
        (Wish::Trust, false) => run(&["-A", "-t", "C,,", "-i", &file]).map(|_| "trusts it now"),
        (Wish::Forget, true) => run(&["-D"]).map(|_| "has forgotten it"),
    };
    match done {
        Ok(done) => Outcome::Done(format!("{shown} {done}; a browser that runs sees it at its next start")),
        Err(why) => Outcome::Left(format!("{shown} is not changed: {why}")),
    }
}

fn find(tool: &str) -> Option<PathBuf> {
    TOOL_FOLDERS.iter().map(|folder| Path::new(folder).join(tool)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests;
