//! The local certificate authority: TLS on the first start, before anybody has asked anybody for a certificate.
//!
//! Its certificate and key are made once and kept; who imports the certificate trusts this machine's prumo. The server's
//! own certificate is made from it at each start and whenever the hosts change, and is never written down.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prumo_clock::{Clock, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::error::EdgeError;
use crate::tls;

/// The authority's certificate, for people to import.
pub(crate) const CERTIFICATE_FILE: &str = "authority.pem";
const KEY_FILE: &str = "authority.key";

/// Ten years: whoever imported it should not have to again.
const AUTHORITY_DAYS: u64 = 3650;

/// Browsers refuse more than 398 days; shorter limits what a stolen key is worth.
const LEAF_DAYS: u64 = 90;

/// A leaf is remade at each start, when hosts change, and this often.
pub(crate) const LEAF_RENEWAL: Duration = Duration::from_secs(30 * 86_400);

/// Makes certificates for names that no file covers.
pub(crate) struct Authority {
    folder: PathBuf,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    clock: Clock,
}

impl Authority {
    /// The authority kept in `folder`, made now when there is none.
    pub(crate) fn open(folder: &Path, clock: Clock) -> Result<Authority, EdgeError> {
        let failed = |why: String| EdgeError::Authority { folder: folder.to_owned(), why };
        // The certificate is written last: without it nobody can have trusted the key, which may be made anew.
        let kept = fs::exists(folder.join(CERTIFICATE_FILE)).map_err(|error| failed(error.to_string()))?;
        let (certificate, key) = if kept { read(folder) } else { make(folder, clock.wall()) }.map_err(failed)?;
        let issuer = Issuer::new(authority_params(clock.wall()), key);
        Ok(Authority { folder: folder.to_owned(), certificate, issuer, clock })
    }

    /// A fresh certificate for `hosts` and this machine.
    pub(crate) fn certify(&self, hosts: &[String]) -> Result<CertifiedKey, EdgeError> {
        self.sign(hosts).map_err(|why| EdgeError::Authority { folder: self.folder.clone(), why })
    }

    fn sign(&self, hosts: &[String]) -> Result<CertifiedKey, String> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        names.extend(hosts.iter().filter(|host| !names.contains(host)).cloned().collect::<Vec<_>>());
        let params = leaf_params(names, self.clock.wall()).map_err(|error| error.to_string())?;
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(|error| error.to_string())?;
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
        CertifiedKey::from_der(chain, key, &tls::provider()).map_err(|error| error.to_string())
    }
}

fn read(folder: &Path) -> Result<(CertificateDer<'static>, KeyPair), String> {
    let certificate = CertificateDer::from_pem_file(folder.join(CERTIFICATE_FILE))
        .map_err(|error| format!("{CERTIFICATE_FILE} cannot be read: {error}"))?;
    let text =
        fs::read_to_string(folder.join(KEY_FILE)).map_err(|error| format!("{KEY_FILE} cannot be read: {error}"))?;
    let key = KeyPair::from_pem(&text).map_err(|error| format!("{KEY_FILE} is no private key: {error}"))?;
    let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
    CertifiedKey::from_der(vec![certificate.clone()], der, &tls::provider())
        .map_err(|_| format!("{KEY_FILE} is not the key of {CERTIFICATE_FILE}"))?;
    Ok((certificate, key))
}

fn make(folder: &Path, now: Timestamp) -> Result<(CertificateDer<'static>, KeyPair), String> {
    let key = KeyPair::generate().map_err(|error| error.to_string())?;
    let certificate = authority_params(now).self_signed(&key).map_err(|error| error.to_string())?;
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    // The certificate last, because it decides whether there is an authority to keep.
    write(folder, KEY_FILE, &key.serialize_pem(), 0o600).map_err(|error| error.to_string())?;
    write(folder, CERTIFICATE_FILE, &certificate.pem(), 0o644).map_err(|error| error.to_string())?;
    tracing::info!(folder = %folder.display(), "local certificate authority made");
    Ok((certificate.der().clone(), key))
}

/// Written beside and renamed, so that half a file is never read; on the disk when it returns, so that a power failure
/// does not keep a later file and lose an earlier one.
fn write(folder: &Path, name: &str, text: &str, mode: u32) -> std::io::Result<()> {
    let file = folder.join(name);
    let draft = file.with_extension("draft");
    let _ = fs::remove_file(&draft);
    let mut open = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    open.write_all(text.as_bytes())?;
    open.sync_all()?;
    fs::rename(draft, file)?;
    fs::File::open(folder)?.sync_all()
}

fn authority_params(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("prumo local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, AUTHORITY_DAYS);
    params
}

fn leaf_params(names: Vec<String>, now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("prumo");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, LEAF_DAYS);
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From yesterday, for clients whose clock is behind.
fn set_validity(params: &mut CertificateParams, now: Timestamp, days: u64) {
    const DAY: Duration = Duration::from_secs(86_400);
    let date = |at: Timestamp| {
        let civil = at.civil();
        rcgen::date_time_ymd(i32::try_from(civil.year).unwrap_or(1970), civil.month, civil.day)
    };
    params.not_before = date(now - DAY);
    params.not_after = date(now + Duration::from_secs(days * DAY.as_secs()));
}

#[cfg(test)]
mod tests;
