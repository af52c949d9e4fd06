//! The last good pairs, and the last good authorities of client certificates, in the state folder, so that a start finds
//! them when their own files have gone bad since: a renewal that failed half way must not turn the next restart into an
//! outage.
//!
//! Each is one file, whose name is made from the paths of its own: chain and key, or authorities and what they have
//! revoked, for nobody but prumo's user.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::pair::Pair;
use super::{rules, x509};
use crate::named_file;
use crate::settings::{CertificateFiles, ClientCertificates};

/// Where pairs are kept.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    pub(crate) fn at(folder: PathBuf) -> Store {
        Store { folder }
    }

    /// What these files last held when it could serve.
    pub(super) fn find(&self, files: &CertificateFiles) -> Option<Pair> {
        Pair::read(&one_file(self.place(files))).ok()
    }

    /// Keeps what these files hold now. When that fails, only the next start may miss it.
    pub(super) fn keep(&self, files: &CertificateFiles) {
        if let Err(error) = self.try_keep(files) {
            let certificate = files.certificate.display();
            tracing::warn!(%certificate, %error, "certificate not kept for a start without its files");
        }
    }

    fn try_keep(&self, files: &CertificateFiles) -> io::Result<()> {
        let text = text_of([&files.certificate, &files.key].into_iter())?;
        self.write(&self.place(files), &text, |draft| Pair::read(&one_file(draft.to_owned())).is_ok())
    }

    /// The same rule, with the files that it last had when they could serve.
    pub(super) fn find_rule(&self, rule: &ClientCertificates) -> Option<ClientCertificates> {
        let kept = all_in_one(rule, self.place_of_rule(rule));
        rules::verifier(&kept).is_ok().then_some(kept)
    }

    /// Keeps what the files of this rule hold now. When that fails, only the next start may miss it.
    pub(super) fn keep_rule(&self, rule: &ClientCertificates) {
        let is_good = |draft: &Path| rules::verifier(&all_in_one(rule, draft.to_owned())).is_ok();
        let kept =
            text_of(rules::files_of(rule)).and_then(|text| self.write(&self.place_of_rule(rule), &text, is_good));
        if let Err(error) = kept {
            let host = rule.host.as_deref().unwrap_or("any host");
            tracing::warn!(host, %error, "authorities of client certificates not kept for a start without their files");
        }
    }

    /// Puts this in its place if it can serve.
    fn write(&self, place: &Path, text: &[u8], is_good: impl Fn(&Path) -> bool) -> io::Result<()> {
        if fs::read(place).is_ok_and(|kept| kept == text) {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let draft = place.with_extension("draft");
        drop(fs::remove_file(&draft));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text)?;
        file.sync_all()?;
        // Files that changed just now may not belong together.
        if !is_good(&draft) {
            return fs::remove_file(&draft);
        }
        fs::rename(&draft, place)
    }

    /// Forgets all others: a key that nobody names any more has no business here.
    pub(super) fn retain(&self, files: &[CertificateFiles], asked: &[ClientCertificates]) {
        let pairs = files.iter().map(|files| self.place(files));
        let known: Vec<PathBuf> = pairs.chain(asked.iter().map(|rule| self.place_of_rule(rule))).collect();
        let Ok(found) = fs::read_dir(&self.folder) else { return };
        for path in found.flatten().map(|entry| entry.path()).filter(|path| !known.contains(path)) {
            drop(fs::remove_file(path));
        }
    }

    fn place(&self, files: &CertificateFiles) -> PathBuf {
        let path = |path: &Path| path.as_os_str().as_bytes().to_vec();
        self.named(&[path(&files.certificate), vec![0], path(&files.key)].concat())
    }

    /// Rules with the same files share a place.
    fn place_of_rule(&self, rule: &ClientCertificates) -> PathBuf {
        // No path holds a zero, so that what begins with two is no pair.
        let mut name = vec![0, 0];
        for files in [&rule.authorities, &rule.revoked] {
            files.iter().for_each(|file| name.extend([file.as_os_str().as_bytes(), &[0]].concat()));
            name.push(0);
        }
        self.named(&name)
    }

    fn named(&self, name: &[u8]) -> PathBuf {
        self.folder.join(x509::hexadecimal(&Sha256::digest(name)[..16])).with_extension("pem")
    }
}

/// What all these files hold, one after the other: PEM says of each piece what it is.
fn text_of<'a>(files: impl Iterator<Item = &'a PathBuf>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for file in files {
        text.extend(named_file::read(file)?);
        text.push(b'\n');
    }
    Ok(text)
}

fn all_in_one(rule: &ClientCertificates, path: PathBuf) -> ClientCertificates {
    let revoked = if rule.revoked.is_empty() { Vec::new() } else { vec![path.clone()] };
    ClientCertificates { authorities: vec![path], revoked, ..rule.clone() }
}

fn one_file(path: PathBuf) -> CertificateFiles {
    CertificateFiles { certificate: path.clone(), key: path }
}
