//! A certificate authority for tests, and clients that trust it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "each test file uses a part of this; tests watch the edge from outside"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prumo_edge::CertificateFiles;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    RevokedCertParams, SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme, StreamOwned};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A signed certificate.
pub struct Signed {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: KeyPair,
    pub pem: String,
    pub serial: u64,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    pub fn sign(&self, names: &[&str]) -> Signed {
        self.sign_with(names, &rcgen::PKCS_ECDSA_P256_SHA256, "")
    }

    pub fn sign_with(&self, names: &[&str], algorithm: &'static SignatureAlgorithm, subject: &str) -> Signed {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !subject.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, "Shop");
            params.distinguished_name.push(DnType::CommonName, subject);
        }
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![certificate.der().clone(), self.certificate.der().clone()];
        Signed { chain, pem: certificate.pem() + &self.certificate.pem(), key, serial }
    }

    /// The list of what this authority has revoked, as a file that takes the place of an older one. Its time is over.
    pub fn write_revoked(&self, file: &Path, revoked: &[&Signed]) {
        let then = rcgen::date_time_ymd(2020, 1, 1);
        let revoked_certs = revoked.iter().map(|signed| RevokedCertParams {
            serial_number: SerialNumber::from(signed.serial),
            revocation_time: then,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: then,
            next_update: rcgen::date_time_ymd(2020, 2, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let draft = file.with_extension("draft");
        std::fs::write(&draft, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        std::fs::rename(draft, file).unwrap();
    }

    /// The authority's own certificate as a file.
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, self.certificate.pem()).unwrap();
        file
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    pub fn client(&self, shows: Option<&Signed>) -> ClientConfig {
        self.client_of(rustls::DEFAULT_VERSIONS, shows)
    }

    pub fn client_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        shows: Option<&Signed>,
    ) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(self.roots());
        match shows {
            None => builder.with_no_client_auth(),
            Some(signed) => {
                let key = PrivateKeyDer::try_from(signed.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(signed.chain.clone(), key).unwrap()
            }
        }
    }

    /// A client with its own idea of cryptography.
    pub fn client_by(&self, provider: rustls::crypto::CryptoProvider) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
        builder.unwrap().with_root_certificates(self.roots()).with_no_client_auth()
    }

    /// A client that can verify only signatures by RSA keys.
    pub fn client_of_rsa(&self, version: &'static rustls::SupportedProtocolVersion) -> ClientConfig {
        let mut config = self.client_of(&[version], None);
        config.dangerous().set_certificate_verifier(Arc::new(RsaOnly));
        config
    }
}

impl Signed {
    pub fn write(&self, folder: &Path, name: &str) -> CertificateFiles {
        let files = CertificateFiles {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        self.write_over(&files);
        files
    }

    /// As renewals do: one new file after the other in place of the old ones.
    pub fn write_over(&self, files: &CertificateFiles) {
        for (file, text) in [(&files.certificate, &self.pem), (&files.key, &self.key.serialize_pem())] {
            let draft = file.with_extension("draft");
            std::fs::write(&draft, text).unwrap();
            std::fs::rename(draft, file).unwrap();
        }
    }
}

pub type TlsWire = StreamOwned<ClientConnection, TcpStream>;

/// A finished handshake with `name`.
pub fn shake_hands(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<TlsWire> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut wire = StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), tcp);
    while wire.conn.is_handshaking() {
        wire.conn.complete_io(&mut wire.sock)?;
    }
    Ok(wire)
}

/// The answer to one request on a connection, up to its end.
pub fn ask(wire: &mut TlsWire, host: &str, more: &str) -> std::io::Result<String> {
    write!(wire, "GET / HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    wire.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Believes every certificate, as long as an RSA key signs the handshake.
#[derive(Debug)]
struct RsaOnly;

impl rustls::client::danger::ServerCertVerifier for RsaOnly {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256]
    }
}
