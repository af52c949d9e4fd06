//! Other people's programs judge the edge and the admin listener: curl, h2load, openssl, Python, promtool.
#![allow(clippy::unwrap_used, reason = "what a judge needs and does not get fails the test")]

use prumo_tests::ask;
use prumo_tests::site::{Said, Site};
use prumo_tests::tool::Tool;

/// One site for all judges, with TLS by its own local authority and the demo app behind it.
const FILE: &str = r#"[site]
name = "judged"

[edge]
address = "127.0.0.1"
http = [EDGE]
https = [TLS]

[admin]
listen = "127.0.0.1:[ADMIN]"
metrics = "open"

[service.web]
run = "[PRUMO] demo-app"
replicas = 2
health = { path = "/health", every = "20s", timeout = "20s" }

[[route]]
to = "web"
"#;

fn judged() -> Site {
    let mut site = Site::new(FILE);
    site.up();
    site.await_healthy("web");
    site
}

fn http(site: &Site, path: &str) -> String {
    format!("http://{}{path}", site.edge())
}

fn https(site: &Site, path: &str) -> String {
    format!("https://localhost:{}{path}", site.tls().port())
}

/// The certificate with which the site's own certificates can be verified.
fn authority(site: &Site) -> String {
    site.state().join("certs/authority.pem").display().to_string()
}

fn expect(site: &Site, said: &Said, holds: bool, what: &str) {
    assert!(holds, "{what}\nexit {:?}\n{}{}\n{}", said.code, said.out, said.err, site.story());
}

/// Goal: curl is content over HTTP/1.1, over HTTP/2 without TLS and over HTTP/2 with TLS it can verify (EDGE-01).
#[test]
fn curl_is_content() {
    let site = judged();
    let curl = Tool::find("curl");
    let authority = authority(&site);
    let check = |version: &str, arguments: &[&str]| {
        let all = [
            &["--silent", "--show-error", "--max-time", "60", "--write-out", " v%{http_version} %{http_code}"],
            arguments,
        ]
        .concat();
        let said = curl.run(&all);
        let expected = format!(" v{version} 200");
        expect(&site, &said, said.code == Some(0) && said.out.ends_with(&expected), &format!("curl {arguments:?}"));
        expect(&site, &said, said.out.contains("\"replica\""), "the answer is the app's");
    };
    check("1.1", &["--http1.1", &http(&site, "/whoami")]);
    check("2", &["--http2-prior-knowledge", &http(&site, "/whoami")]);
    check("1.1", &["--http1.1", "--cacert", &authority, &https(&site, "/whoami")]);
    check("2", &["--http2", "--cacert", &authority, &https(&site, "/whoami")]);
    let unverified = curl.run(&["--silent", "--show-error", &https(&site, "/")]);
    expect(&site, &unverified, unverified.code == Some(60), "without the authority's certificate curl trusts nothing");
}

/// Goal: bodies go both ways unharmed, over HTTP/1.1 and HTTP/2, with a length and in chunks.
#[test]
fn curl_gets_back_what_it_sends() {
    let site = judged();
    let curl = Tool::find("curl");
    let body = "0123456789abcdef".repeat(100_000);
    site.write("body.txt", &body);
    let from = format!("@{}", site.root().join("body.txt").display());
    let authority = authority(&site);
    let check = |arguments: &[&str]| {
        let said =
            curl.run(&[&["--silent", "--show-error", "--max-time", "60", "--data-binary", &from], arguments].concat());
        let same = said.code == Some(0) && said.out == body;
        assert!(
            same,
            "curl {arguments:?}: exit {:?}, {} bytes of {}\n{}\n{}",
            said.code,
            said.out.len(),
            body.len(),
            said.err,
            site.story()
        );
    };
    check(&["--http1.1", &http(&site, "/echo")]);
    check(&["--http1.1", "--header", "Transfer-Encoding: chunked", &http(&site, "/echo")]);
    check(&["--http2-prior-knowledge", &http(&site, "/echo")]);
    check(&["--http2", "--cacert", &authority, &https(&site, "/echo")]);
}

/// Goal: h2load gets every answer over a connection with a hundred streams at once.
#[test]
fn h2load_gets_every_answer() {
    let site = judged();
    let h2load = Tool::find("h2load");
    for target in [https(&site, "/bytes?n=1024"), http(&site, "/bytes?n=1024")] {
        let said = h2load.run(&["-n", "5000", "-c", "2", "-m", "100", &target]);
        let all = said.out.contains("5000 succeeded, 0 failed, 0 errored, 0 timeout")
            && said.out.contains("5000 2xx, 0 3xx, 0 4xx, 0 5xx");
        expect(&site, &said, said.code == Some(0) && all, &format!("h2load {target}"));
    }
}

/// Goal: TLS 1.3 and 1.2 are spoken, with a certificate that verifies, and 1.1 is refused.
#[test]
fn openssl_is_content() {
    let site = judged();
    let openssl = Tool::find("openssl");
    let (address, authority) = (site.tls().to_string(), authority(&site));
    let shake_hands = |version: &str| {
        let arguments = [
            "s_client",
            "-connect",
            &address,
            "-servername",
            "localhost",
            "-CAfile",
            &authority,
            "-verify_return_error",
        ];
        openssl.run(&[&arguments[..], &["-cipher", "DEFAULT@SECLEVEL=0", version]].concat())
    };
    for (version, name) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let said = shake_hands(version);
        let verified =
            said.code == Some(0) && said.out.contains(name) && said.out.contains("Verify return code: 0 (ok)");
        expect(&site, &said, verified, &format!("a handshake with {name}"));
    }
    let refused = shake_hands("-tls1_1");
    expect(&site, &refused, refused.code != Some(0), "TLS 1.1 must be refused");
}

const PYTHON_CLIENT: &str = r#"
import asyncio, ssl, sys
import websockets

async def main(url, authority):
    context = ssl.create_default_context(cafile=authority) if url.startswith("wss") else None
    async with websockets.connect(url, ssl=context, max_size=None, open_timeout=60, ping_timeout=60, close_timeout=60) as socket:
        for message in ["hello", "", "\u00e4\u20ac" * 1000, b"\x00\xff" * 50000]:
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send(["in ", "three ", "pieces"])
        assert await socket.recv() == "in three pieces"
        await asyncio.wait_for(await socket.ping(), 60)
        await asyncio.gather(*(socket.send(str(number)) for number in range(200)))
        answers = [await socket.recv() for _ in range(200)]
        assert sorted(answers, key=int) == [str(number) for number in range(200)]
    assert socket.close_code == 1000, socket.close_code
    print("content")

asyncio.run(main(*sys.argv[1:]))
"#;

/// Goal: Python's web socket client is content, with TLS and without (WS-01).
#[test]
fn python_web_sockets_are_content() {
    let site = judged();
    let python = Tool::find("python3");
    let authority = authority(&site);
    for url in [format!("ws://{}/ws", site.edge()), format!("wss://localhost:{}/ws", site.tls().port())] {
        let said = python.run(&["-c", PYTHON_CLIENT, &url, &authority]);
        let hint = "if the module is missing: `cargo xtask deps` installs python3-websockets";
        expect(&site, &said, said.code == Some(0) && said.out == "content\n", &format!("{url}; {hint}"));
    }
}

/// Goal: promtool finds nothing to complain about in the metrics, after some traffic of every kind.
#[test]
fn promtool_is_content() {
    let site = judged();
    let promtool = Tool::find("promtool");
    for path in ["/", "/whoami", "/nothing"] {
        site.get(path).unwrap();
    }
    let metrics = ask::get(site.admin(), "/metrics").unwrap();
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.contains("prumo_edge_"), "{}", metrics.body);
    let said = promtool.run_with_input(&["check", "metrics"], &metrics.body);
    expect(&site, &said, said.code == Some(0) && said.err.is_empty(), "promtool check metrics");
}
