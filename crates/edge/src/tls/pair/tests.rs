use prumo_clock::Clock;
use rcgen::{CertificateParams, KeyPair};

use super::*;

struct Made {
    certificate: String,
    key: String,
}

fn make(days: std::ops::Range<i64>) -> Made {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    let date = |days: i64| {
        let civil = Timestamp::from_millis(days * 86_400_000).civil();
        rcgen::date_time_ymd(i32::try_from(civil.year).unwrap(), civil.month, civil.day)
    };
    params.not_before = date(days.start);
    params.not_after = date(days.end);
    Made { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

struct Folder {
    files: CertificateFiles,
    _folder: tempfile::TempDir,
}

impl Folder {
    fn with(made: &Made) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let files = CertificateFiles { certificate: folder.path().join("a.pem"), key: folder.path().join("a.key") };
        let folder = Folder { files, _folder: folder };
        folder.put(&made.certificate, &made.key);
        folder
    }

    fn store(&self) -> Store {
        Store::at(self._folder.path().join("kept"))
    }

    /// As renewals do: a new file in place of the old one.
    fn put(&self, certificate: &str, key: &str) {
        for (file, text) in [(&self.files.certificate, certificate), (&self.files.key, key)] {
            let draft = file.with_extension("draft");
            fs::write(&draft, text).unwrap();
            fs::rename(draft, file).unwrap();
        }
    }
}

const NOW: i64 = 20_000;

fn now() -> Timestamp {
    Timestamp::from_millis(NOW * 86_400_000 + 1)
}

/// Goal: whatever happens to the files, the last good pair serves, and the next good one is taken (TLS-06).
#[test]
fn the_last_good_pair_is_kept() {
    let (first, second) = (make(NOW - 1..NOW + 10), make(NOW - 1..NOW + 20));
    let expired = make(NOW - 30..NOW - 1);
    let folder = Folder::with(&first);
    let mut kept = Kept::open(&folder.files, &folder.store(), now()).unwrap();
    let ten_days = kept.pair.expires;
    assert!(!kept.look(now()), "nothing has changed");
    for (certificate, key, why) in [
        (second.certificate.as_str(), first.key.as_str(), "not the key"),
        ("", &first.key, "no certificate"),
        (&second.certificate[..100], &second.key, "a.pem"),
        (&second.certificate, "", "a.key"),
        (&expired.certificate, &expired.key, "expired"),
    ] {
        folder.put(certificate, key);
        assert!(!kept.look(now()), "{why}");
        assert!(kept.trouble.as_ref().unwrap().contains(why), "{:?} says {why}", kept.trouble);
        assert_eq!(kept.pair.expires, ten_days, "{why}");
        assert!(!kept.look(now()), "it is not read again before it changes again");
    }
    fs::remove_file(&folder.files.key).unwrap();
    assert!(!kept.look(now()) && kept.trouble.is_some(), "a file is gone");
    folder.put(&second.certificate, &second.key);
    assert!(kept.look(now()), "a whole new pair is taken");
    assert_eq!((kept.trouble.as_ref(), kept.pair.expires > ten_days), (None, true));
}

/// Goal: a pair that clients refuse is replaced by any other that can serve: it cannot get worse.
#[test]
fn an_expired_pair_is_replaced() {
    let folder = Folder::with(&make(NOW - 30..NOW - 2));
    let mut kept = Kept::open(&folder.files, &folder.store(), now()).unwrap();
    assert!(kept.pair.out_of_date(now()).is_some());
    let other = make(NOW - 30..NOW - 1);
    folder.put(&other.certificate, &other.key);
    assert!(kept.look(now()));
}

/// Goal: a certificate is out of date after its end and before its beginning, and not in between.
#[test]
fn dates_are_judged() {
    let check = |days: std::ops::Range<i64>, expected: Option<&str>| {
        let folder = Folder::with(&make(days.clone()));
        let why = Pair::read(&folder.files).unwrap().out_of_date(now());
        assert!(why.as_deref().map(|why| &why[..14]) == expected, "{days:?}: {why:?}");
    };
    check(NOW - 1..NOW + 1, None);
    check(NOW - 2..NOW, Some("it expired at "));
    check(NOW + 1..NOW + 2, Some("it is not vali"));
    // The clock of this machine is right by the century, at least.
    assert!(Clock::system().wall() > now());
}

/// Goal: a start after the files have gone bad serves what they last held, says why, and takes them when they are good again;
/// a pair that never served is refused, and what is not named any more is forgotten.
#[test]
fn a_start_finds_the_last_good_pair() {
    let (first, second) = (make(NOW - 1..NOW + 10), make(NOW - 1..NOW + 20));
    let folder = Folder::with(&first);
    let (files, store) = (&folder.files, folder.store());
    let ten_days = Kept::open(files, &store, now()).unwrap().pair.expires;
    for (certificate, key) in [("", ""), ("rubbish", first.key.as_str()), (&second.certificate, &first.key)] {
        folder.put(certificate, key);
        let kept = Kept::open(files, &store, now()).unwrap();
        assert_eq!(kept.pair.expires, ten_days);
        assert!(kept.trouble.is_some_and(|why| why.contains("a.pem") || why.contains("a.key")));
    }
    fs::remove_file(&files.certificate).unwrap();
    let mut kept = Kept::open(files, &store, now()).unwrap();
    folder.put(&second.certificate, &second.key);
    assert!(kept.look(now()), "good files are taken");
    assert_eq!((kept.trouble.as_ref(), kept.pair.expires > ten_days), (None, true));
    let other = CertificateFiles { certificate: files.key.clone(), key: files.key.clone() };
    assert!(Kept::open(&other, &store, now()).is_err(), "one that never served");
    store.retain(std::slice::from_ref(&other), &[]);
    folder.put("", "");
    assert!(Kept::open(files, &store, now()).is_err(), "one that was forgotten");
}

/// Goal: a kept key is for nobody else.
#[test]
fn kept_keys_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::with(&make(NOW - 1..NOW + 10));
    drop(Kept::open(&folder.files, &folder.store(), now()).unwrap());
    let kept: Vec<_> = fs::read_dir(folder._folder.path().join("kept")).unwrap().flatten().collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

/// Goal: what is said of a host's certificate beforehand is what the edge would do: an exact name before a wildcard, ECDSA
/// before RSA, whatever their order; files that cannot serve are named.
#[test]
fn the_certificate_of_a_host_is_known_beforehand() {
    let folder = tempfile::tempdir().unwrap();
    let put = |file: &str, name: &str, algorithm| {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let made = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        let path = folder.path().join(file);
        fs::write(&path, made.pem() + &key.serialize_pem()).unwrap();
        CertificateFiles { certificate: path.clone(), key: path }
    };
    let lost = folder.path().join("lost");
    let files = [
        put("wildcard", "*.shop.test", &rcgen::PKCS_ECDSA_P256_SHA256),
        put("rsa", "www.shop.test", &rcgen::PKCS_RSA_SHA256),
        put("ecdsa", "www.shop.test", &rcgen::PKCS_ECDSA_P256_SHA256),
        CertificateFiles { certificate: lost.clone(), key: lost.clone() },
    ];
    for (host, expected) in [
        ("WWW.shop.test", Some("ecdsa")),
        ("api.shop.test", Some("wildcard")),
        ("a.api.shop.test", None),
        ("shop.test", None),
    ] {
        let (found, unread) = super::super::certificate_for(host, &files);
        assert_eq!(found.map(|state| state.file), expected.map(|file| folder.path().join(file)), "{host}");
        assert_eq!(unread, [&lost]);
    }
}
