//! The last good pairs in the state folder, so that a start finds them when their own files have gone bad since: a renewal
//! that failed half way must not turn the next restart into an outage.
//!
//! A pair is one file, whose name is made from the paths of its own: chain and key, for nobody but prumo's user.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::pair::Pair;
use super::x509;
use crate::settings::CertificateFiles;

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
        let text = [fs::read(&files.certificate)?, b"\n".to_vec(), fs::read(&files.key)?].concat();
        let place = self.place(files);
        if fs::read(&place).is_ok_and(|kept| kept == text) {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let draft = place.with_extension("draft");
        drop(fs::remove_file(&draft));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&text)?;
        file.sync_all()?;
        // Files that changed just now may belong to two pairs.
        if Pair::read(&one_file(draft.clone())).is_err() {
            return fs::remove_file(&draft);
        }
        fs::rename(&draft, &place)
    }

    /// Forgets all others: a key that nobody names any more has no business here.
    pub(super) fn retain(&self, files: &[CertificateFiles]) {
        let known: Vec<PathBuf> = files.iter().map(|files| self.place(files)).collect();
        let Ok(found) = fs::read_dir(&self.folder) else { return };
        for path in found.flatten().map(|entry| entry.path()).filter(|path| !known.contains(path)) {
            drop(fs::remove_file(path));
        }
    }

    fn place(&self, files: &CertificateFiles) -> PathBuf {
        let path = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let digest = Sha256::digest([path(&files.certificate), vec![0], path(&files.key)].concat());
        self.folder.join(x509::hexadecimal(&digest[..16])).with_extension("pem")
    }
}

fn one_file(path: PathBuf) -> CertificateFiles {
    CertificateFiles { certificate: path.clone(), key: path }
}
