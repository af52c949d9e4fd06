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
        revoked: Vec::new(),
        show: crate::settings::ShowCertificate::Required,
    };
    let store = Store::at(folder.path().join("kept"));
    Arc::new(Rules::new(&[KeptRule::open(&settings, &Arc::default(), &store).unwrap()]))
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

/// Goal: after a rotation of the ticket keys the tickets of the key before still resume, and after another one they do
/// not: nothing that was written down by then can be opened any more.
#[test]
#[expect(clippy::disallowed_methods, reason = "rustls reads the real time, so this must wait for it")]
fn rotation_keeps_one_former_key() {
    use std::thread::sleep;

    use rustls::server::ProducesTickets;
    use rustls::ticketer::TicketRotator;

    #[derive(Debug)]
    struct Key(Arc<dyn ProducesTickets>);

    impl ProducesTickets for Key {
        fn enabled(&self) -> bool {
            self.0.enabled()
        }
        fn lifetime(&self) -> u32 {
            self.0.lifetime()
        }
        fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
            self.0.encrypt(plain)
        }
        fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
            self.0.decrypt(cipher)
        }
    }

    // The rotator of `Ticketer::new`, with keys of the same making that live a second in place of six hours.
    let fresh = || Ok(Box::new(Key(aws_lc_rs::Ticketer::new().unwrap())) as Box<dyn ProducesTickets>);
    let rotator = TicketRotator::new(1, fresh).unwrap();
    let ticket = rotator.encrypt(b"session").unwrap();
    // The first sixteen bytes name the key. It is changed when it is first asked for after its time.
    let key = || rotator.encrypt(b"").unwrap()[..16].to_vec();
    let mut keys = vec![ticket[..16].to_vec()];
    let start = Clock::system().now();
    while keys.len() < 3 {
        assert!(Clock::system().now().since(start) < Duration::from_secs(60), "{} keys in a minute", keys.len());
        sleep(Duration::from_millis(50));
        let before = key();
        let resumes = rotator.decrypt(&ticket).is_some();
        let after = key();
        // On a busy machine the key may change between two of these lines.
        if before == after {
            assert_eq!(resumes, keys.len() < 2 || keys[1] == after, "after {} keys", keys.len());
        }
        for seen in [before, after] {
            if keys.last() != Some(&seen) {
                keys.push(seen);
            }
        }
    }
    assert!(rotator.decrypt(&ticket).is_none(), "two keys later");
}
