//! Certificates while the edge runs: several for a name, tickets, renewals, redirects and HSTS.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

#[path = "site/authority.rs"]
mod authority;
mod site;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use authority::{Authority, ask, shake_hands};
use prumo_edge::{CertificateFiles, Port, RedirectHttps, Settings};
use rustls::{ClientConfig, HandshakeKind};
use site::{App, Raised, Site, any_route, eventually};

fn with_files(files: &[CertificateFiles]) -> impl FnOnce(&mut Settings) {
    let files = files.to_vec();
    move |settings| {
        settings.https = Port::Number(0);
        settings.certificates = files;
    }
}

fn hsts(route: &mut prumo_edge::Route) {
    route.answer_headers.hsts = Some("max-age=31536000".into());
}

/// The first certificate that the edge shows for `name`.
fn shown(site: &Site, config: &Arc<ClientConfig>, name: &str) -> Vec<u8> {
    let wire = shake_hands(site.https(), config, name).unwrap();
    wire.conn.peer_certificates().unwrap()[0].to_vec()
}

/// Goal: of an ECDSA and an RSA certificate for one name, each client gets the one it can verify, in both versions
/// (TLS-05).
#[test]
fn clients_get_the_certificate_they_can_verify() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test");
    let rsa = authority.sign_with(&["a.test"], &rcgen::PKCS_RSA_SHA256, "");
    let ecdsa = authority.sign(&["a.test"]);
    let files = [rsa.write(folder.path(), "rsa"), ecdsa.write(folder.path(), "ecdsa")];
    let site = Site::start_with(with_files(&files), |_| {});
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let modern = Arc::new(authority.client_of(&[version], None));
        assert_eq!(shown(&site, &modern, "a.test"), ecdsa.chain[0].to_vec(), "{version:?}");
        let old = Arc::new(authority.client_of_rsa(version));
        assert_eq!(shown(&site, &old, "a.test"), rsa.chain[0].to_vec(), "{version:?}");
    }
}

/// Goal: the keys are agreed with X25519MLKEM768 where the client can, and with what it can where it cannot.
#[test]
fn key_agreement_is_post_quantum_where_possible() {
    use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test");
    let files = [authority.sign(&["a.test"]).write(folder.path(), "a")];
    let site = Site::start_with(with_files(&files), |_| {});
    let check = |groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>, expected: rustls::NamedGroup| {
        let config = authority.client_by(rustls::crypto::CryptoProvider { kx_groups: groups, ..default_provider() });
        let wire = shake_hands(site.https(), &Arc::new(config), "a.test").unwrap();
        assert_eq!(wire.conn.negotiated_key_exchange_group().unwrap().name(), expected);
    };
    use rustls::NamedGroup;
    check(vec![kx_group::X25519MLKEM768, kx_group::X25519], NamedGroup::X25519MLKEM768);
    check(vec![kx_group::X25519], NamedGroup::X25519);
    check(vec![kx_group::SECP256R1], NamedGroup::secp256r1);
    check(vec![kx_group::SECP384R1], NamedGroup::secp384r1);
}

/// Goal: a ticket that one core gave resumes at any core, in both versions of TLS.
#[test]
fn tickets_resume_at_every_core() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test");
    let files = [authority.sign(&["a.test"]).write(folder.path(), "a")];
    let app = App::named("one");
    let site = Site::start_with(
        |settings| {
            with_files(&files)(settings);
            settings.cores = Some(4);
        },
        |_| {},
    );
    site.serve(&[app.upstream("one")]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = Arc::new(authority.client_of(&[version], None));
        let mut kinds = Vec::new();
        // The kernel spreads connections over four cores: not all of sixteen reach the one that gave the first ticket.
        for _ in 0..16 {
            let mut wire = shake_hands(site.https(), &config, "a.test").unwrap();
            kinds.push(wire.conn.handshake_kind().unwrap());
            // An answer read is a ticket received.
            assert!(ask(&mut wire, "a.test", "").unwrap().starts_with("HTTP/1.1 200"));
        }
        assert_eq!(kinds[0], HandshakeKind::Full, "{version:?}");
        assert!(kinds[1..].iter().all(|kind| *kind == HandshakeKind::Resumed), "{version:?} {kinds:?}");
    }
    let metrics = site.metrics();
    for line in
        ["prumo_edge_tls_handshakes_total{kind=\"full\"} 2", "prumo_edge_tls_handshakes_total{kind=\"resumed\"} 30"]
    {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

/// Goal: a certificate is replaced, through every state a renewal passes, while clients hammer: no handshake fails, and
/// the new one is served without a word to prumo (TLS-06).
#[test]
fn renewal_fails_no_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test");
    let (first, second) = (authority.sign(&["a.test"]), authority.sign(&["a.test"]));
    let files = first.write(folder.path(), "a");
    let site = Site::start_with(with_files(std::slice::from_ref(&files)), |_| {});
    let (is_over, shaken) = (AtomicBool::new(false), AtomicUsize::new(0));
    let config = Arc::new(authority.client(None));
    std::thread::scope(|scope| {
        let _over = Raised(&is_over);
        let hammer = || {
            let mut failed = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                // A config of its own each time, so that each handshake is a full one.
                let fresh = Arc::new(authority.client(None));
                match shake_hands(site.https(), &fresh, "a.test") {
                    Ok(_) => drop(shaken.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => failed.push(error.to_string()),
                }
            }
            failed
        };
        let hammers = [scope.spawn(hammer), scope.spawn(hammer)];
        let stale = |expected: u8| {
            let line =
                format!("prumo_edge_certificate_stale{{certificate=\"{}\"}} {expected}", files.certificate.display());
            move |site: &Site| site.metrics().contains(&line)
        };
        let (is_stale, is_fresh) = (stale(1), stale(0));
        assert!(is_fresh(&site));
        // Half of a renewal: the certificate is there, its key is not.
        std::fs::write(&files.certificate, &second.pem).unwrap();
        eventually("the half pair is noticed", || is_stale(&site));
        assert_eq!(shown(&site, &config, "a.test"), first.chain[0].to_vec(), "the last good one serves");
        second.write_over(&files);
        eventually("the new pair serves", || shown(&site, &config, "a.test") == second.chain[0].to_vec());
        eventually("all is well again", || is_fresh(&site));
        eventually("there was some hammering", || shaken.load(Ordering::Relaxed) > 100);
        is_over.store(true, Ordering::Relaxed);
        for hammer in hammers {
            assert_eq!(hammer.join().unwrap(), Vec::<String>::new());
        }
    });
    let expires = format!("prumo_edge_certificate_expires_seconds{{certificate=\"{}\"}} ", files.certificate.display());
    assert!(site.metrics().contains(&expires), "{}", site.metrics());
}

/// Goal: a reload adds and removes certificates; one that is bad changes nothing, and one that is known and being
/// renewed at that moment keeps none of the others from changing.
#[test]
fn a_reload_changes_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test");
    let (a, b) = (authority.sign(&["a.test"]), authority.sign(&["b.test"]));
    let (a_files, b_files) = (a.write(folder.path(), "a"), b.write(folder.path(), "b"));
    let site = Site::start_with(with_files(std::slice::from_ref(&a_files)), |_| {});
    let config = Arc::new(authority.client(None));
    let serves = |name: &str| shake_hands(site.https(), &config, name).is_ok();
    assert_eq!((serves("a.test"), serves("b.test")), (true, false));
    // The key of the known one is away for a moment.
    std::fs::remove_file(&a_files.key).unwrap();
    site.edge.reload(&[a_files, b_files.clone()], &[], vec![any_route()]).unwrap();
    assert_eq!((serves("a.test"), serves("b.test")), (true, true));
    let missing = CertificateFiles { certificate: folder.path().join("missing.pem"), ..b_files.clone() };
    assert!(site.edge.reload(&[missing], &[], vec![any_route()]).is_err());
    assert_eq!((serves("a.test"), serves("b.test")), (true, true), "nothing has changed");
    let mut wrong = any_route();
    wrong.path = prumo_edge::PathMatch::Regex("(".into());
    assert!(site.edge.reload(std::slice::from_ref(&b_files), &[], vec![wrong]).is_err());
    assert_eq!((serves("a.test"), serves("b.test")), (true, true), "a route that is none changes nothing either");
    site.edge.reload(&[b_files], &[], vec![any_route()]).unwrap();
    assert_eq!((serves("a.test"), serves("b.test")), (false, true));
}

/// Goal: over HTTP a host with a certificate sends its clients to HTTPS and one without does not; over HTTPS only the
/// first says so for the future, on errors too (TLS-01, TLS-04).
#[test]
fn browsers_are_led_to_https() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test");
    let files = [authority.sign(&["shop.test", "localhost"]).write(folder.path(), "a")];
    let app = App::named("one");
    let site = Site::start_with(
        |settings| {
            with_files(&files)(settings);
            settings.answer_headers.hsts = Some("max-age=31536000".into());
        },
        hsts,
    );
    site.serve(&[app.upstream("one")]);
    let over_http = |host: &str, path: &str| {
        let mut wire = site.connect();
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        wire.answer()
    };
    let (http, https) = (site.http().port(), site.https().port());
    let sent = over_http(&format!("shop.test:{http}"), "/a/b?c=d%20e");
    assert_eq!((sent.status, sent.header("location")), (308, Some(&*format!("https://shop.test:{https}/a/b?c=d%20e"))));
    assert_eq!(sent.header("strict-transport-security"), None, "it means nothing in clear text");
    for (host, path) in [("other.test", "/"), ("localhost", "/"), ("shop.test", "/.well-known/acme-challenge/x")] {
        assert_eq!(over_http(host, path).status, 200, "{host}{path}");
    }
    let config = Arc::new(authority.client(None));
    let over_https = |sni: &str, host: &str| {
        let mut wire = shake_hands(site.https(), &config, sni).unwrap();
        ask(&mut wire, host, "").unwrap().to_ascii_lowercase()
    };
    let says = |answer: &str| answer.contains("strict-transport-security: max-age=31536000\r\n");
    assert!(says(&over_https("shop.test", "shop.test")));
    assert!(!says(&over_https("localhost", "localhost")), "never for this machine");
    assert!(!says(&over_https("shop.test", "other.test")), "never for a host that only the local authority speaks for");
    let said = prumo_edge::Answer { status: 200, content_type: "text/plain".into(), body: "said".into() };
    let mut route = prumo_edge::Route::new("said", prumo_edge::Action::Answer(said));
    hsts(&mut route);
    let generation = site.edge.reload(&files, &[], vec![route]).unwrap();
    eventually("every core knows", || site.edge.settled(generation));
    let from_us = over_https("shop.test", "shop.test");
    assert!(from_us.ends_with("said") && says(&from_us), "{from_us}");
    assert!(!says(&over_https("localhost", "localhost")), "not on an answer of our own either");
    let generation = site.edge.reload(&files, &[], Vec::new()).unwrap();
    eventually("every core knows", || site.edge.settled(generation));
    let nothing = over_https("shop.test", "shop.test");
    assert!(nothing.starts_with("http/1.1 404") && says(&nothing), "{nothing}");
}

/// Goal: redirects can be wanted for every host, or for none; a trusted proxy that spoke TLS is not sent in circles.
#[test]
fn redirects_are_as_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test");
    let files = [authority.sign(&["shop.test"]).write(folder.path(), "a")];
    let check = |redirect: RedirectHttps, trusted: bool, more: &str, expected: u16| {
        let app = App::named("one");
        let site = Site::start_with(
            |settings| {
                with_files(&files)(settings);
                settings.redirect_https = redirect;
                if trusted {
                    let address = std::net::IpAddr::from([127, 0, 0, 1]);
                    settings.trusted_proxies = vec![prumo_edge::Network { address, prefix: 32 }];
                }
            },
            |_| {},
        );
        site.serve(&[app.upstream("one")]);
        let mut wire = site.connect();
        wire.send(format!("POST /x HTTP/1.1\r\nContent-Length: 2\r\n{more}\r\nok").as_bytes());
        assert_eq!(wire.answer().status, expected, "{redirect:?} {trusted} {more}");
    };
    use RedirectHttps::{Auto, Off, On};
    check(Auto, false, "Host: shop.test\r\n", 308);
    check(Off, false, "Host: shop.test\r\n", 200);
    check(On, false, "Host: other.test\r\n", 308);
    check(Auto, false, "Host: shop.test\r\nX-Forwarded-Proto: https\r\n", 308);
    check(Auto, true, "Host: shop.test\r\nX-Forwarded-Proto: https\r\n", 200);
    check(Auto, true, "Host: shop.test\r\nX-Forwarded-Proto: http\r\n", 308);
}
