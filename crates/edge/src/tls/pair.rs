//! A certificate and its key as files: read, checked, and looked at again while they serve.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prumo_clock::Timestamp;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::store::Store;
use super::{provider, x509};
use crate::error::EdgeError;
use crate::named_file;
use crate::settings::CertificateFiles;

/// A certificate with its key, ready to serve, and what it says of itself.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) names: Vec<String>,
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) valid_from: Timestamp,
    pub(crate) expires: Timestamp,
}

impl Pair {
    /// Reads a certificate and its key, and checks that they belong together. Whether it is valid now is not asked.
    pub(crate) fn read(files: &CertificateFiles) -> Result<Pair, EdgeError> {
        let chain = read_chain(&files.certificate)?;
        let key = read_key(&files.key)?;
        let unreadable = |why| bad(&files.certificate, why, HINT_CERTIFICATE);
        let names = names_of(&chain[0]).map_err(unreadable)?;
        let facts = x509::read(&chain[0]).ok_or_else(|| unreadable("its dates cannot be read".to_owned()))?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let why = format!("it is not the key of certificate {}", files.certificate.display());
                bad(&files.key, why, "name the key that the certificate was requested with")
            }
            other => bad(&files.key, other.to_string(), HINT_KEY),
        })?;
        Ok(Pair { names, key: Arc::new(key), valid_from: facts.valid_from, expires: facts.expires })
    }

    /// Why no client would accept it now.
    pub(crate) fn out_of_date(&self, now: Timestamp) -> Option<String> {
        if now > self.expires {
            return Some(format!("it expired at {}", self.expires));
        }
        (now < self.valid_from).then(|| format!("it is not valid before {}", self.valid_from))
    }
}

const HINT_CERTIFICATE: &str = "give the full chain as PEM, the server's own certificate first (often `fullchain.pem`)";
const HINT_KEY: &str = "give the private key as PEM without a passphrase (often `privkey.pem`)";

pub(super) fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, EdgeError> {
    let chain = text_of(file).and_then(|text| CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>());
    match chain {
        Ok(chain) if chain.is_empty() => Err(bad(file, "there is no certificate in it".to_owned(), HINT_CERTIFICATE)),
        Ok(chain) => Ok(chain),
        Err(error) => Err(unreadable(file, &error, HINT_CERTIFICATE)),
    }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, EdgeError> {
    let key = text_of(file).and_then(|text| PrivateKeyDer::from_pem_slice(&text));
    key.map_err(|error| unreadable(file, &error, HINT_KEY))
}

pub(super) fn text_of(file: &Path) -> Result<Vec<u8>, pem::Error> {
    named_file::read(file).map_err(pem::Error::Io)
}

pub(super) fn unreadable(file: &Path, error: &pem::Error, hint: &'static str) -> EdgeError {
    match error {
        pem::Error::Io(error) => {
            bad(file, format!("it cannot be read: {error}"), "check the path, and that prumo's user may read it")
        }
        other => bad(file, other.to_string(), hint),
    }
}

pub(super) fn names_of(certificate: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|error| format!("it cannot be read: {error}"))?;
    let names: Vec<String> = parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
    if names.is_empty() { Err("it names no host (no DNS subject alternative name)".to_owned()) } else { Ok(names) }
}

pub(super) fn bad(file: &Path, why: String, hint: &'static str) -> EdgeError {
    EdgeError::Certificate { file: file.to_owned(), why, hint }
}

/// A pair that serves, with an eye on its files: the last good one is kept, whatever happens to them.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) files: CertificateFiles,
    pub(crate) pair: Pair,
    /// Why the files as they are now do not serve.
    pub(crate) trouble: Option<String>,
    seen: Vec<Mark>,
}

impl Kept {
    /// What the files hold, or what they held when it could last serve.
    pub(crate) fn open(files: &CertificateFiles, store: &Store, now: Timestamp) -> Result<Kept, EdgeError> {
        // Looked at before they are read: what changes in between is seen the next time.
        let seen = marks(files);
        let (pair, trouble) = match Pair::read(files) {
            Ok(pair) => {
                store.keep(files);
                (pair, None)
            }
            Err(error) => {
                let Some(pair) = store.find(files) else { return Err(error) };
                let certificate = files.certificate.display();
                tracing::error!(%certificate, why = %error, "certificate files cannot serve: the last good ones do");
                (pair, Some(error.to_string()))
            }
        };
        if let Some(why) = pair.out_of_date(now) {
            tracing::warn!(certificate = %files.certificate.display(), why, "certificate is served that clients refuse");
        }
        Ok(Kept { files: files.clone(), pair, trouble, seen })
    }

    /// Takes what is in the files now if they have changed and it can serve. True when it was taken.
    pub(crate) fn look(&mut self, now: Timestamp) -> bool {
        let marks = marks(&self.files);
        if marks == self.seen {
            return false;
        }
        self.seen = marks;
        match self.read_better(now) {
            Ok(pair) => {
                self.pair = pair;
                self.trouble = None;
                let (certificate, expires) = (self.files.certificate.display(), self.pair.expires);
                tracing::info!(%certificate, %expires, "certificate replaced");
                true
            }
            Err(why) => {
                // A renewal writes one file after the other, so this may be over with the next look.
                let certificate = self.files.certificate.display();
                tracing::warn!(%certificate, why, "certificate files changed and cannot serve: the last good ones do");
                self.trouble = Some(why);
                false
            }
        }
    }

    fn read_better(&self, now: Timestamp) -> Result<Pair, String> {
        let pair = Pair::read(&self.files).map_err(|error| error.to_string())?;
        match pair.out_of_date(now) {
            Some(why) if self.pair.out_of_date(now).is_none() => {
                Err(format!("certificate file {}: {why}", self.files.certificate.display()))
            }
            _ => Ok(pair),
        }
    }
}

/// What changes when a file does, also when it is replaced by another of the same size and time. `None` for no file.
pub(super) type Mark = Option<[i64; 6]>;

fn marks(files: &CertificateFiles) -> Vec<Mark> {
    marks_of([&files.certificate, &files.key].into_iter())
}

pub(super) fn marks_of<'a>(files: impl Iterator<Item = &'a PathBuf>) -> Vec<Mark> {
    let mark = |meta: Metadata| {
        let inode = i64::from_ne_bytes(meta.ino().to_ne_bytes());
        let length = i64::from_ne_bytes(meta.len().to_ne_bytes());
        [inode, length, meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()]
    };
    files.map(|file| fs::metadata(file).ok().map(mark)).collect()
}

#[cfg(test)]
mod tests;
