//! Client certificates, judged by curl and openssl: the whole way from the file to the app.
#![allow(clippy::unwrap_used, reason = "what a judge needs and does not get fails the test")]

use prumo_tests::site::{Said, Site};
use prumo_tests::tool::Tool;

const FILE: &str = r#"[edge]
address = "127.0.0.1"
http = [EDGE]
https = [TLS]

[admin]
listen = "127.0.0.1:[ADMIN]"

[service.web]
run = "python3 app.py"
health = { path = "/health", every = "20s", timeout = "20s" }

[[route]]
to = "web"

[[certificate]]
cert = "site.pem"
key = "site.key"

[[client_certificate]]
host = "admin.test"
authority = ["staff.pem"]
"#;

/// Says what it was told, one header a line.
const APP: &str = r#"
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = "".join(f"{name.lower()}={value}\n" for name, value in self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
"#;

fn expect(site: &Site, said: &Said, holds: bool, what: &str) {
    assert!(holds, "{what}\nexit {:?}\n{}{}\n{}", said.code, said.out, said.err, site.story());
}

/// Goal: curl and openssl get in with a certificate of the staff and nobody without; the app is told whose it is, in the
/// words that openssl has for it; the plain host stays open, HTTP leads to HTTPS, and HSTS is said (TLS-01).
#[test]
fn curl_and_openssl_show_certificates() {
    let mut site = Site::new(FILE);
    let (openssl, curl) = (Tool::find("openssl"), Tool::find("curl"));
    site.write("app.py", APP);
    let folder = site.root().to_owned();
    let at = |name: &str| folder.join(name).display().to_string();
    let make = |name: &str, subject: &str, more: &[&str]| {
        let (key, pem) = (at(&format!("{name}.key")), at(&format!("{name}.pem")));
        let ec = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"];
        let words = [&ec[..], &["-subj", subject, "-keyout", &key, "-out", &pem], more].concat();
        let said = openssl.run(&words);
        assert_eq!(said.code, Some(0), "{}", said.err);
    };
    make("site", "/CN=site", &["-addext", "subjectAltName=DNS:admin.test,DNS:shop.test"]);
    make("staff", "/CN=staff", &[]);
    let (ca, ca_key) = (at("staff.pem"), at("staff.key"));
    let subject = "/C=PT/O=Loja, Lda./CN=Al\u{ed}ce/emailAddress=alice@shop.test";
    // An authority's certificate is nobody's own.
    let own = ["-utf8", "-addext", "basicConstraints=critical,CA:FALSE"];
    make("alice", subject, &[&own[..], &["-CA", &ca, "-CAkey", &ca_key]].concat());
    make("mallory", subject, &own);
    site.up();
    site.await_healthy("web");

    let port = site.tls().port();
    let (roots, plain) = (at("site.pem"), site.edge().port());
    let get = |host: &str, more: &[&str]| {
        let (url, resolve) = (format!("https://{host}:{port}/"), format!("{host}:{port}:127.0.0.1"));
        let words =
            ["--silent", "--show-error", "--max-time", "60", "--cacert", &roots, "--resolve", &resolve, "--include"];
        curl.run(&[&words[..], more, &[&url]].concat())
    };
    let (alice, alice_key, mallory, mallory_key) =
        (at("alice.pem"), at("alice.key"), at("mallory.pem"), at("mallory.key"));
    for version in ["1.2", "1.3"] {
        let tls = ["--tlsv1.2", "--tls-max", version];
        let shown = get("admin.test", &[&tls[..], &["--cert", &alice, "--key", &alice_key]].concat());
        let subject = openssl.run(&["x509", "-in", &alice, "-noout", "-subject", "-nameopt", "RFC2253"]).out;
        let subject = subject.trim().trim_start_matches("subject=").to_owned();
        let told = format!("x-client-certificate-subject={subject}\n");
        expect(
            &site,
            &shown,
            shown.out.contains(" 200") && shown.out.contains(&told),
            &format!("TLS {version}: {told}"),
        );
        expect(&site, &shown, shown.out.contains("strict-transport-security: max-age=31536000"), "HSTS");
        let hash = openssl.run(&["x509", "-in", &alice, "-noout", "-fingerprint", "-sha256"]).out;
        let hash = hash.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
        expect(&site, &shown, shown.out.contains(&hash), "the fingerprint is openssl's");
        let refused = get("admin.test", &tls);
        expect(&site, &refused, refused.code != Some(0), "nobody gets in without");
        let forged = get("admin.test", &[&tls[..], &["--cert", &mallory, "--key", &mallory_key]].concat());
        expect(&site, &forged, forged.code != Some(0), "nor with a certificate of somebody else");
    }
    let open = get("shop.test", &["--header", "X-Client-Certificate-Subject: CN=forged"]);
    expect(&site, &open, open.out.contains(" 200") && !open.out.contains("CN=forged"), "the other host is open");
    let confused = get("shop.test", &["--header", "Host: admin.test"]);
    expect(&site, &confused, confused.out.contains(" 421"), "but it is not the way to the first");
    let connect = format!("127.0.0.1:{port}");
    let asked = openssl.run_with_input(&["s_client", "-connect", &connect, "-servername", "admin.test"], "");
    expect(&site, &asked, asked.out.contains("Acceptable client certificate CA names"), "openssl is told whose");
    let unasked = openssl.run_with_input(&["s_client", "-connect", &connect, "-servername", "shop.test"], "");
    expect(&site, &unasked, unasked.out.contains("No client certificate CA names sent"), "or that nobody's are wanted");
    let resolve = format!("shop.test:{plain}:127.0.0.1");
    let moved = curl.run(&["--silent", "--include", "--resolve", &resolve, &format!("http://shop.test:{plain}/a?b=c")]);
    let location = format!("location: https://shop.test:{port}/a?b=c");
    expect(&site, &moved, moved.out.contains(" 308") && moved.out.contains(&location), "HTTP leads to HTTPS");
}
