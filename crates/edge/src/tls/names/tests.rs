use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::tls::provider;

const ALL: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PKCS1_SHA256,
];

pub(crate) fn pair(names: &[&str]) -> Pair {
    pair_of(names, &PKCS_ECDSA_P256_SHA256)
}

fn pair_of(names: &[&str], algorithm: &'static rcgen::SignatureAlgorithm) -> Pair {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = KeyPair::generate_for(algorithm).unwrap();
    let made = rcgen::CertificateParams::new(names.clone()).unwrap().self_signed(&key).unwrap();
    let facts = crate::tls::x509::read(made.der()).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = CertifiedKey::from_der(vec![made.der().clone()], key, &provider()).unwrap();
    Pair { names, key: Arc::new(key), valid_from: facts.valid_from, expires: facts.expires }
}

/// Goal: an exact name goes before a wildcard, a wildcard stands for one label, everybody else gets the fallback (TLS-05).
#[test]
fn names_find_their_certificate() {
    let all = [pair(&["a.test", "b.test"]), pair(&["*.test"]), pair(&["a.test"])];
    let fallback = pair(&["fallback"]);
    let names = Names::new(all.iter(), Some(Arc::clone(&fallback.key)));
    let check = |name: Option<&str>, expected: &Pair| {
        assert!(Arc::ptr_eq(names.find(name, ALL).unwrap(), &expected.key), "{name:?}");
    };
    check(Some("a.test"), &all[0]);
    check(Some("A.TEST"), &all[0]);
    check(Some("c.test"), &all[1]);
    check(Some("d.c.test"), &fallback);
    check(Some("test"), &fallback);
    check(None, &fallback);
}

/// Goal: of several certificates for a name a client gets the best that it can verify, whatever the order of the file.
#[test]
fn clients_get_what_they_can_verify() {
    let rsa = pair_of(&["a.test"], &PKCS_RSA_SHA256);
    let ecdsa = pair_of(&["a.test"], &PKCS_ECDSA_P256_SHA256);
    let edwards = pair_of(&["a.test"], &PKCS_ED25519);
    let wildcard = pair_of(&["*.test"], &PKCS_ECDSA_P256_SHA256);
    let all = [wildcard, rsa, edwards, ecdsa];
    let names = Names::new(all.iter(), None);
    let check = |schemes: &[SignatureScheme], expected: &Pair| {
        assert!(Arc::ptr_eq(names.find(Some("a.test"), schemes).unwrap(), &expected.key), "{schemes:?}");
    };
    let [wildcard, rsa, edwards, ecdsa] = &all;
    check(ALL, ecdsa);
    check(&[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256], rsa);
    check(&[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ED25519], edwards);
    // None fits: the handshake will say so, with the name's own certificate and not a stranger's.
    check(&[SignatureScheme::ECDSA_NISTP521_SHA512], ecdsa);
    // A wildcard's that fits goes before an exact one that does not.
    let names = Names::new([rsa, wildcard].into_iter(), None);
    let found = names.find(Some("a.test"), &[SignatureScheme::ECDSA_NISTP256_SHA256]).unwrap();
    assert!(Arc::ptr_eq(found, &wildcard.key));
}

/// Goal: only hosts of the world with a certificate from a file may be told to speak TLS only.
#[test]
fn public_hosts_are_known() {
    let all = [pair(&["shop.test", "*.shop.test", "localhost", "app.localhost"])];
    let names = Names::new(all.iter(), Some(Arc::clone(&pair(&["other.test"]).key)));
    for (host, expected) in [
        ("shop.test", true),
        ("WWW.shop.test", true),
        ("a.www.shop.test", false),
        ("other.test", false),
        ("localhost", false),
        ("app.localhost", false),
        ("127.0.0.1", false),
    ] {
        assert_eq!(names.is_public(host), expected, "{host}");
    }
}
