//! Clients that show certificates of their own, host by host.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

#[path = "site/authority.rs"]
mod authority;
mod site;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use authority::{Authority, Signed, ask, shake_hands};
use prumo_clock::Clock;
use prumo_drain::Drain;
use prumo_edge::{ClientCertificates, Edge, EdgeError, Port, RedirectHttps, Settings, ShowCertificate};
use rustls::ClientConfig;
use site::{App, Site, any_route};

const SUBJECT: &str = "x-client-certificate-subject";
const FINGERPRINT: &str = "x-client-certificate-fingerprint";

/// A site with one certificate for all its hosts: `admin.test` wants the staff's certificates, `*.devices.test` takes
/// the devices', `shop.test` asks for none.
struct Guarded {
    site: Site,
    app: App,
    /// Signed the site's own certificate.
    world: Authority,
    staff: Authority,
    devices: Authority,
    rules: Vec<ClientCertificates>,
    folder: tempfile::TempDir,
}

fn rule(host: &str, authority: PathBuf, show: ShowCertificate) -> ClientCertificates {
    ClientCertificates { host: Some(host.to_owned()), authorities: vec![authority], revoked: Vec::new(), show }
}

impl Guarded {
    fn start() -> Guarded {
        let folder = tempfile::tempdir().unwrap();
        let [world, staff, devices] = ["world", "staff", "devices"].map(Authority::new);
        let files = world.sign(&["shop.test", "admin.test", "*.devices.test"]).write(folder.path(), "site");
        let rules = vec![
            rule("admin.test", staff.write(folder.path(), "staff.pem"), ShowCertificate::Required),
            rule("*.devices.test", devices.write(folder.path(), "devices.pem"), ShowCertificate::Optional),
        ];
        let site = Site::start_with(
            |settings| {
                settings.https = Port::Number(0);
                settings.certificates = vec![files];
                settings.client_certificates = rules.clone();
                settings.redirect_https = RedirectHttps::Off;
            },
            |_| {},
        );
        let app = App::named("one");
        site.serve(&[app.upstream("one")]);
        Guarded { site, app, world, staff, devices, rules, folder }
    }

    fn client(&self, shows: Option<&Signed>) -> Arc<ClientConfig> {
        Arc::new(self.world.client(shows))
    }

    /// The status of one request, or `None` when there is no connection.
    fn status(&self, config: &Arc<ClientConfig>, name: &str, host: &str, more: &str) -> Option<u16> {
        // In TLS 1.3 the client has finished before the server has looked at its certificate.
        let mut wire = shake_hands(self.site.https(), config, name).ok()?;
        let answer = ask(&mut wire, host, more).ok()?;
        answer.get(9..12)?.parse().ok()
    }

    /// What the app was told of the last client.
    fn told(&self) -> (Option<String>, Option<String>) {
        let asks = self.app.asks();
        let last = asks.last().unwrap();
        (last.header(SUBJECT).map(str::to_owned), last.header(FINGERPRINT).map(str::to_owned))
    }
}

fn person(authority: &Authority, name: &str) -> Signed {
    authority.sign_with(&["person.test"], &rcgen::PKCS_ECDSA_P256_SHA256, name)
}

fn fingerprint(signed: &Signed) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(&signed.chain[0]).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Goal: a host that requires certificates lets in those its authority signed, and tells the app whose; nobody else.
#[test]
fn a_host_knows_its_clients() {
    let guarded = Guarded::start();
    let alice = person(&guarded.staff, "alice");
    assert_eq!(guarded.status(&guarded.client(Some(&alice)), "admin.test", "admin.test", ""), Some(200));
    assert_eq!(guarded.told(), (Some("CN=alice,O=Shop".to_owned()), Some(fingerprint(&alice))));
    let mallory = person(&Authority::new("staff"), "alice");
    assert_eq!(guarded.status(&guarded.client(Some(&mallory)), "admin.test", "admin.test", ""), None);
    let device = person(&guarded.devices, "device-7");
    assert_eq!(guarded.status(&guarded.client(Some(&device)), "admin.test", "admin.test", ""), None);
    assert_eq!(guarded.status(&guarded.client(None), "admin.test", "admin.test", ""), None);
    assert_eq!(guarded.app.asks().len(), 1, "only alice got through");
    // Once shown is not for ever: the next connection without a certificate is refused, ticket or not.
    let config = guarded.client(Some(&alice));
    for _ in 0..3 {
        assert_eq!(guarded.status(&config, "admin.test", "admin.test", ""), Some(200));
    }
    assert!(guarded.site.metrics().contains("prumo_edge_tls_handshakes_total{kind=\"resumed\"} 0"));
}

/// Goal: where certificates are optional the app decides, and one that cannot be verified is refused all the same.
#[test]
fn a_certificate_can_be_optional() {
    let guarded = Guarded::start();
    let device = person(&guarded.devices, "device-7");
    let name = "seven.devices.test";
    assert_eq!(guarded.status(&guarded.client(Some(&device)), name, name, ""), Some(200));
    assert_eq!(guarded.told(), (Some("CN=device-7,O=Shop".to_owned()), Some(fingerprint(&device))));
    assert_eq!(guarded.status(&guarded.client(None), name, name, ""), Some(200));
    assert_eq!(guarded.told(), (None, None));
    let stranger = person(&Authority::new("devices"), "device-7");
    assert_eq!(guarded.status(&guarded.client(Some(&stranger)), name, name, ""), None);
}

/// Goal: a connection made under another name, or none, never reaches a host that asks for certificates, in clear text
/// neither: 421, so that the client may come again by the right name.
#[test]
fn names_cannot_be_confused() {
    let guarded = Guarded::start();
    let alice = guarded.client(Some(&person(&guarded.staff, "alice")));
    let nobody = guarded.client(None);
    let check = |config: &Arc<ClientConfig>, name: &str, host: &str, expected: u16| {
        assert_eq!(guarded.status(config, name, host, ""), Some(expected), "{name} → {host}");
    };
    check(&nobody, "shop.test", "admin.test", 421);
    check(&nobody, "shop.test", "ADMIN.test.:443", 421);
    check(&nobody, "seven.devices.test", "admin.test", 421);
    check(&alice, "shop.test", "admin.test", 421);
    check(&alice, "admin.test", "seven.devices.test", 421);
    check(&nobody, "shop.test", "seven.devices.test", 421);
    assert_eq!(guarded.app.asks().len(), 0);
    check(&alice, "admin.test", "shop.test", 200);
    assert_eq!(guarded.told(), (None, None), "what was shown to one host is not told to another");
    // The wildcard stands for any depth, as in routes.
    check(&nobody, "shop.test", "deep.in.devices.test", 421);
    let mut clear = guarded.site.connect();
    clear.send(b"GET / HTTP/1.1\r\nHost: admin.test\r\n\r\n");
    assert_eq!(clear.answer().status, 421);
    assert!(guarded.site.metrics().contains("prumo_edge_refused_total{reason=\"misdirected\"} 8"));
}

/// Goal: nobody can say of themselves what only a verified certificate says: not in clear text, not over TLS, not with
/// `_`, not through a trusted proxy.
#[test]
fn claims_are_removed() {
    let guarded = Guarded::start();
    let claims = "X-Client-Certificate-Subject: CN=alice,O=Shop\r\nX_Client_Certificate_Fingerprint: 00\r\n\
                  x-client-certificate-more: x\r\nClient-Cert: :AA==:\r\n";
    assert_eq!(guarded.status(&guarded.client(None), "shop.test", "shop.test", claims), Some(200));
    let device = guarded.client(None);
    assert_eq!(guarded.status(&device, "seven.devices.test", "seven.devices.test", claims), Some(200));
    let mut clear = guarded.site.connect();
    clear.send(format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{claims}\r\n").as_bytes());
    assert_eq!(clear.answer().status, 200);
    let asks = guarded.app.asks();
    assert_eq!(asks.len(), 3);
    for (name, value) in asks.iter().flat_map(|ask| &ask.headers) {
        assert!(!name.to_ascii_lowercase().replace('_', "-").contains("client-cert"), "{name}: {value}");
    }
}

/// Goal: rules change with a reload, and authorities with their files, for connections that are open too.
#[test]
fn rules_change_while_serving() {
    let guarded = Guarded::start();
    let nobody = guarded.client(None);
    let mut open = shake_hands(guarded.site.https(), &nobody, "shop.test").unwrap();
    let mut rules = guarded.rules.clone();
    let shop = guarded.staff.write(guarded.folder.path(), "shop.pem");
    rules.push(rule("shop.test", shop.clone(), ShowCertificate::Required));
    let files =
        guarded.site.edge.certificate_states().into_iter().map(|state| prumo_edge::CertificateFiles {
            key: state.file.with_extension("key"),
            certificate: state.file,
        });
    let files: Vec<_> = files.collect();
    let generation = guarded.site.edge.reload(&files, &rules, vec![any_route()]).unwrap();
    site::eventually("the cores know", || guarded.site.edge.settled(generation));
    assert!(ask(&mut open, "shop.test", "").unwrap().starts_with("HTTP/1.1 421"), "it was opened by older rules");
    let alice = guarded.client(Some(&person(&guarded.staff, "alice")));
    assert_eq!(guarded.status(&alice, "shop.test", "shop.test", ""), Some(200));
    // The staff's authority is replaced: alice is nobody any more.
    let other = Authority::new("staff");
    std::fs::rename(other.write(guarded.folder.path(), "draft"), shop).unwrap();
    let start = Instant::now();
    while guarded.status(&alice, "shop.test", "shop.test", "").is_some() {
        assert!(start.elapsed() < Duration::from_secs(60), "the old authority still counts");
        std::thread::sleep(Duration::from_millis(50));
    }
    let bob = guarded.client(Some(&person(&other, "bob")));
    assert_eq!(guarded.status(&bob, "shop.test", "shop.test", ""), Some(200));
}

/// Goal: a rule that could not be kept is refused, not forgotten.
#[test]
fn rules_need_tls_and_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("staff").write(folder.path(), "staff.pem");
    let clear_only = Site::start();
    let wanted = [rule("admin.test", authority, ShowCertificate::Required)];
    let error = clear_only.edge.reload(&[], &wanted, vec![any_route()]).unwrap_err();
    assert!(error.to_string().contains("HTTPS"), "{error}");
    let guarded = Guarded::start();
    let missing = [rule("admin.test", folder.path().join("missing.pem"), ShowCertificate::Required)];
    let error = guarded.site.edge.reload(&[], &missing, vec![any_route()]).unwrap_err();
    assert!(error.to_string().contains("missing.pem"), "{error}");
}

/// Goal: a start that finds the files of a rule broken asks by the last good ones, revoked certificates included, says so,
/// and takes the files as soon as they are good; what never served, or is named no more, is not kept.
#[test]
fn the_last_good_authorities_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let [world, staff, others] = ["world", "staff", "others"].map(Authority::new);
    let files = world.sign(&["admin.test"]).write(folder.path(), "site");
    let authority = staff.write(folder.path(), "staff.pem");
    let list = folder.path().join("revoked.pem");
    let (alice, bob) = (person(&staff, "alice"), person(&staff, "bob"));
    staff.write_revoked(&list, &[&alice]);
    let asks = ClientCertificates {
        revoked: vec![list.clone()],
        ..rule("admin.test", authority.clone(), ShowCertificate::Required)
    };
    let certs = folder.path().join("certs");
    let start = |rules: &[ClientCertificates]| {
        let mut settings = Settings::new(certs.clone());
        settings.addresses = vec![IpAddr::from([127, 0, 0, 1])];
        (settings.http, settings.https, settings.cores) = (Port::Off, Port::Number(0), Some(1));
        settings.certificates = vec![files.clone()];
        settings.client_certificates = rules.to_vec();
        let drain = Drain::new(Clock::system());
        let edge = Edge::start(settings, Clock::system(), &drain.stage("edge"))?;
        edge.routes(Vec::new())?;
        Ok::<_, EdgeError>((edge, drain))
    };
    let stop = |drain: &Drain| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(runtime.block_on(drain.stop(Duration::from_secs(60))).is_clean());
    };
    let is_in = |edge: &Edge, who: &Signed| {
        let client = Arc::new(world.client(Some(who)));
        let Ok(mut wire) = shake_hands(edge.addresses().https[0], &client, "admin.test") else { return false };
        // Nothing is routed: it was let in when that is said.
        ask(&mut wire, "admin.test", "").is_ok_and(|answer| answer.contains("404"))
    };
    let (edge, drain) = start(std::slice::from_ref(&asks)).unwrap();
    assert!(is_in(&edge, &bob) && !is_in(&edge, &alice), "alice is revoked");
    assert_eq!(edge.client_certificate_states(), [(Some("admin.test".to_owned()), None)]);
    stop(&drain);

    std::fs::write(&list, "rubbish").unwrap();
    std::fs::remove_file(&authority).unwrap();
    let (edge, drain) = start(std::slice::from_ref(&asks)).unwrap();
    assert!(is_in(&edge, &bob) && !is_in(&edge, &alice), "as before");
    let trouble = edge.client_certificate_states()[0].1.clone().unwrap();
    assert!(trouble.contains("staff.pem"), "{trouble}");
    others.write(folder.path(), "staff.pem");
    others.write_revoked(&list, &[]);
    let carol = person(&others, "carol");
    site::eventually("the new files count", || is_in(&edge, &carol));
    assert!(!is_in(&edge, &bob));
    assert_eq!(edge.client_certificate_states()[0].1, None);
    stop(&drain);

    // What was taken while it ran is what is kept.
    std::fs::remove_file(&list).unwrap();
    let (edge, drain) = start(std::slice::from_ref(&asks)).unwrap();
    assert!(is_in(&edge, &carol) && !is_in(&edge, &bob));
    stop(&drain);

    // A start that does not name them forgets them.
    let (_, drain) = start(&[]).unwrap();
    stop(&drain);
    assert!(matches!(start(&[asks]), Err(EdgeError::Certificate { file, .. }) if file == list));
}

/// Goal: who is on an authority's list of revoked certificates is refused, within seconds after the list has changed and
/// also when the list's time is over; a list that cannot be read changes nothing, and an authority without one is believed
/// nothing.
#[test]
fn revoked_certificates_are_refused() {
    let guarded = Guarded::start();
    let list = guarded.folder.path().join("revoked.pem");
    let (alice, bob) = (person(&guarded.staff, "alice"), person(&guarded.staff, "bob"));
    let (as_alice, as_bob) = (guarded.client(Some(&alice)), guarded.client(Some(&bob)));
    let is_in = |config: &Arc<ClientConfig>| guarded.status(config, "admin.test", "admin.test", "") == Some(200);
    let files =
        guarded.site.edge.certificate_states().into_iter().map(|state| prumo_edge::CertificateFiles {
            key: state.file.with_extension("key"),
            certificate: state.file,
        });
    let files: Vec<_> = files.collect();
    let load = |authority: &Authority, revoked: &[&Signed]| {
        authority.write_revoked(&list, revoked);
        let rules = [ClientCertificates { revoked: vec![list.clone()], ..guarded.rules[0].clone() }];
        let generation = guarded.site.edge.reload(&files, &rules, vec![any_route()]).unwrap();
        site::eventually("the cores know", || guarded.site.edge.settled(generation));
    };
    load(&guarded.staff, &[]);
    assert!(is_in(&as_alice) && is_in(&as_bob), "nobody is revoked");
    guarded.staff.write_revoked(&list, &[&alice]);
    site::eventually("the list is read", || !is_in(&as_alice));
    assert!(is_in(&as_bob), "only alice is revoked");
    std::fs::write(&list, "rubbish").unwrap();
    guarded.site.edge.reload(&files, &guarded.rules, vec![any_route()]).unwrap();
    let rules = [ClientCertificates { revoked: vec![list.clone()], ..guarded.rules[0].clone() }];
    let error = guarded.site.edge.reload(&files, &rules, vec![any_route()]).unwrap_err();
    assert!(error.to_string().contains("revoked.pem"), "{error}");
    load(&guarded.devices, &[]);
    site::eventually("the staff's authority has no list", || !is_in(&as_bob));
}
