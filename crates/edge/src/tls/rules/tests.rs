use prumo_clock::Clock;

use super::*;
use crate::authority::{Authority, CERTIFICATE_FILE};

struct Made {
    rules: Vec<KeptRule>,
    folder: tempfile::TempDir,
}

fn store(folder: &tempfile::TempDir) -> Store {
    Store::at(folder.path().join("kept"))
}

fn make(hosts: &[(Option<&str>, ShowCertificate)]) -> Made {
    let folder = tempfile::tempdir().unwrap();
    Authority::open(folder.path(), Clock::system()).unwrap();
    let authorities = vec![folder.path().join(CERTIFICATE_FILE)];
    let open = |&(host, show): &(Option<&str>, ShowCertificate)| {
        let settings = ClientCertificates {
            host: host.map(str::to_owned),
            authorities: authorities.clone(),
            revoked: Vec::new(),
            show,
        };
        KeptRule::open(&settings, &Arc::default(), &store(&folder)).unwrap()
    };
    let rules = hosts.iter().map(open).collect();
    Made { rules, folder }
}

use ShowCertificate::{Optional, Required};

/// Goal: a host has the rule of its name, else of the nearest wildcard over it, else that for any host.
#[test]
fn hosts_find_their_rule() {
    let made = make(&[(Some("a.test"), Required), (Some("*.a.test"), Required), (Some("*.b.a.test"), Required)]);
    let rules = Rules::new(&made.rules);
    let check = |host: Option<&str>, expected: Option<usize>| {
        let found = rules.find(host);
        assert!(found.map(Arc::as_ptr) == expected.map(|number| Arc::as_ptr(&made.rules[number].rule)), "{host:?}");
    };
    check(Some("a.test"), Some(0));
    check(Some("x.a.test"), Some(1));
    check(Some("y.x.a.test"), Some(1));
    check(Some("x.b.a.test"), Some(2));
    check(Some("b.test"), None);
    check(None, None);
    let any = make(&[(None, Required)]);
    assert!(Rules::new(&any.rules).find(None).is_some() && Rules::new(&any.rules).find(Some("x")).is_some());
}

/// Goal: a request passes only by a handshake of its own host, whatever the name in the handshake was.
#[test]
fn handshakes_count_for_their_own_host() {
    let made = make(&[(Some("a.test"), Required), (Some("b.test"), Required), (Some("c.test"), Optional)]);
    let rules = Rules::new(&made.rules);
    let shown = Shown { subject: HeaderValue::from_static("CN=x"), fingerprint: HeaderValue::from_static("00") };
    let by = |rule: Option<usize>, shown: Option<Shown>| Introduction {
        rule: rule.map(|number| Arc::clone(&made.rules[number].rule)),
        shown,
    };
    let check = |host: &str, introduction: Option<&Introduction>, expected: Result<Option<&Shown>, Refusal>| {
        let what = introduction.map(|one| (one.rule.is_some(), one.shown.is_some()));
        assert_eq!(rules.admit(host, introduction), expected, "{host} {what:?}");
    };
    let a = by(Some(0), Some(shown.clone()));
    check("a.test", Some(&a), Ok(Some(&shown)));
    check("b.test", Some(&a), Err(Refusal::MISDIRECTED));
    check("c.test", Some(&a), Err(Refusal::MISDIRECTED));
    // Elsewhere it passes, and nobody is told what was shown to another host.
    check("free.test", Some(&a), Ok(None));
    let stranger = by(None, None);
    check("a.test", Some(&stranger), Err(Refusal::MISDIRECTED));
    check("c.test", Some(&stranger), Err(Refusal::MISDIRECTED));
    check("free.test", Some(&stranger), Ok(None));
    let c = by(Some(2), None);
    check("c.test", Some(&c), Ok(None));
    // In clear text there was no handshake.
    check("a.test", None, Err(Refusal::MISDIRECTED));
    check("c.test", None, Ok(None));
}

/// Goal: when the authorities of a rule are replaced, connections made under the old ones are worth nothing (and a file
/// that cannot be read changes nothing).
#[test]
fn a_replaced_authority_counts_at_once() {
    let mut made = make(&[(Some("a.test"), Required)]);
    let before = Introduction { rule: Some(Arc::clone(&made.rules[0].rule)), shown: None };
    assert_eq!(Rules::new(&made.rules).admit("a.test", Some(&before)), Ok(None));
    let file = made.rules[0].settings().authorities[0].clone();
    let (certificates, store) = (Arc::default(), store(&made.folder));
    assert!(!made.rules[0].look(&certificates, &store));
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "rubbish").unwrap();
    assert!(!made.rules[0].look(&certificates, &store));
    assert_eq!(Rules::new(&made.rules).admit("a.test", Some(&before)), Ok(None));
    std::fs::write(&file, good).unwrap();
    assert!(made.rules[0].look(&certificates, &store));
    assert_eq!(Rules::new(&made.rules).admit("a.test", Some(&before)), Err(Refusal::MISDIRECTED));
}

/// Goal: names that apps believe are guarded, also those of the standard.
#[test]
fn guarded_names_are_known() {
    for (name, expected) in [
        ("x-client-certificate-subject", true),
        ("x-client-certificate-anything", true),
        ("client-cert", true),
        ("client-cert-chain", true),
        ("x-client-id", false),
        ("client-certainty", false),
    ] {
        assert_eq!(is_about_certificate(name), expected, "{name}");
    }
}
