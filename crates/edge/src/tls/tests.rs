use prumo_clock::Clock;

use super::*;

fn loaded(names: &[&str]) -> Loaded {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let key = CertifiedKey::from_der(vec![made.cert.der().clone()], key, &provider()).unwrap();
    Loaded { names, key: Arc::new(key) }
}

/// Goal: an exact name goes before a wildcard, a wildcard stands for one label, everybody else gets the fallback.
#[test]
fn names_find_their_certificate() {
    let all = [loaded(&["a.test", "b.test"]), loaded(&["*.test"]), loaded(&["a.test"])];
    let fallback = loaded(&["fallback"]);
    let certificates = Certificates::default();
    certificates.replace(&all, Some(Arc::clone(&fallback.key)));
    let check = |name: Option<&str>, expected: &Loaded| {
        assert!(Arc::ptr_eq(&certificates.find(name).unwrap(), &expected.key), "{name:?}");
    };
    check(Some("a.test"), &all[0]);
    check(Some("A.TEST"), &all[0]);
    check(Some("c.test"), &all[1]);
    check(Some("d.c.test"), &fallback);
    check(Some("test"), &fallback);
    check(None, &fallback);
}

/// Goal: the local authority certifies what files do not cover.
#[test]
fn uncovered_hosts_are_found() {
    let files = [loaded(&["a.test", "*.shop.test"])];
    let hosts = ["A.test", "www.shop.test", "x.www.shop.test", "*.shop.test", "b.test", "b.test"];
    assert_eq!(uncovered(hosts.into_iter(), &files), ["b.test", "x.www.shop.test"]);
}

/// Goal: the authority's own certificates can be loaded like any other.
#[test]
fn the_authority_speaks_for_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(folder.path(), Clock::system()).unwrap();
    let leaf = authority.certify(&["shop.test".to_owned(), "*.shop.test".to_owned()]).unwrap();
    assert_eq!(names_of(&leaf.cert[0]).unwrap(), ["localhost", "shop.test", "*.shop.test"]);
    assert_eq!(leaf.cert.len(), 2);
}
