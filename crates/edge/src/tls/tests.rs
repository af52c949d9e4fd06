use super::names::tests::pair;
use super::*;

/// Names with certificates from files, for the tests of those who ask about names.
pub(crate) fn names_for_test(hosts: &[&str]) -> Names {
    Names::new(std::iter::once(&pair(hosts)), None)
}

/// A rule that nobody has met.
pub(crate) fn no_certificate(host: &str) -> Arc<Rules> {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(folder.path(), Clock::system()).unwrap();
    drop(authority);
    let settings = ClientCertificates {
        host: Some(host.to_owned()),
        authorities: vec![folder.path().join(crate::authority::CERTIFICATE_FILE)],
        show: crate::settings::ShowCertificate::Required,
    };
    Arc::new(Rules::new(&[KeptRule::open(&settings, &Arc::default()).unwrap()]))
}

/// Goal: the local authority certifies what files do not cover.
#[test]
fn uncovered_hosts_are_found() {
    let names = names_for_test(&["a.test", "*.shop.test"]);
    let hosts = ["A.test", "www.shop.test", "x.www.shop.test", "*.shop.test", "b.test", "b.test"];
    assert_eq!(uncovered(hosts.into_iter(), &names), ["b.test", "x.www.shop.test"]);
}

/// Goal: the authority's own certificates can be loaded like any other.
#[test]
fn the_authority_speaks_for_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(folder.path(), Clock::system()).unwrap();
    let leaf = authority.certify(&["shop.test".to_owned(), "*.shop.test".to_owned()]).unwrap();
    assert_eq!(pair::names_of(&leaf.cert[0]).unwrap(), ["localhost", "shop.test", "*.shop.test"]);
    assert_eq!(leaf.cert.len(), 2);
}
