//! TLS as clients see it: names, protocols, the local authority.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with threads and time of their own"
)]

mod site;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::rt::ReadBufCursor;
use prumo_edge::{CertificateFiles, EdgeError, Port, Settings};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use site::{App, Site, forward, reply_with};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

fn with_tls(settings: &mut Settings) {
    settings.https = Port::Number(0);
}

/// Requests that find no upstream fail at once: only the handshake is looked at.
fn impatient(route: &mut prumo_edge::Route) {
    forward(route).timeout = std::time::Duration::ZERO;
}

fn client_config(authority: &Path, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// The answer to one HTTP/1.1 request over TLS, or why there is no connection.
fn get(site: &Site, authority: &Path, name: &str) -> Result<String, std::io::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(client_config(authority, &[b"http/1.1"]), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(site.https())?);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Goal: the local authority certifies this machine's names and the routes' hosts, and no others.
#[test]
fn the_local_authority_certifies_known_hosts() {
    let site = Site::start_with(with_tls, |route| route.host = Some("*.shop.test".into()));
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    let authority = site.edge.authority_certificate();
    for name in ["localhost", "127.0.0.1", "::1", "www.shop.test"] {
        assert!(get(&site, &authority, name).unwrap().starts_with("HTTP/1.1 404"), "{name}");
    }
    assert!(get(&site, &authority, "other.test").is_err());
}

/// Goal: the authority's key is for its owner alone, and a restart keeps the authority.
#[test]
fn the_local_authority_is_kept() {
    let site = Site::start_with(with_tls, |_| {});
    let certificate = site.edge.authority_certificate();
    let folder = certificate.parent().unwrap().to_owned();
    let mode = std::fs::metadata(folder.join("authority.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&certificate).unwrap();
    let again = Site::start_with(
        |settings| {
            with_tls(settings);
            settings.certs_folder = folder;
        },
        impatient,
    );
    assert_eq!(std::fs::read(&certificate).unwrap(), before);
    assert!(get(&again, &certificate, "localhost").is_ok());
}

/// Goal: an answer over TLS ends with a goodbye, so that clients can tell a whole answer from a cut one.
#[test]
fn says_goodbye() {
    let site = Site::start_with(with_tls, |_| {});
    let app = App::named("one");
    site.serve(&[app.upstream("one")]);
    let answer = get(&site, &site.edge.authority_certificate(), "localhost").unwrap();
    assert!(answer.ends_with("one GET / HTTP/1.1"), "{answer}");
    assert_eq!(app.asks()[0].header("x-forwarded-proto"), Some("https"));
}

/// Goal: certificates from files answer to their names, exact before wildcard, others get the authority's.
#[test]
fn certificates_from_files_answer_to_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let exact = write_certificate(folder.path(), "exact", &["www.shop.test"]);
    let wildcard = write_certificate(folder.path(), "wildcard", &["*.shop.test", "shop.test"]);
    let site = Site::start_with(
        |settings| {
            with_tls(settings);
            settings.certificates = vec![wildcard.clone(), exact.clone()];
        },
        impatient,
    );
    for (name, files) in [("www.shop.test", &exact), ("api.shop.test", &wildcard), ("shop.test", &wildcard)] {
        assert!(get(&site, &files.certificate, name).is_ok(), "{name}");
    }
    assert!(get(&site, &site.edge.authority_certificate(), "localhost").is_ok());
    assert!(get(&site, &wildcard.certificate, "www.shop.test").is_err(), "the exact one goes first");
}

/// A self-signed certificate, which is its own root.
fn write_certificate(folder: &Path, name: &str, hosts: &[&str]) -> CertificateFiles {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(hosts).unwrap();
    let files =
        CertificateFiles { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

/// Goal: a file that cannot serve is an error of the start that names it.
#[test]
fn bad_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = write_certificate(folder.path(), "good", &["a.test"]);
    let other = write_certificate(folder.path(), "other", &["a.test"]);
    let garbage = folder.path().join("garbage.pem");
    std::fs::write(&garbage, "not PEM").unwrap();
    let missing = folder.path().join("missing.pem");
    for (certificate, key, named) in [
        (&good.certificate, &other.key, &other.key),
        (&garbage, &good.key, &garbage),
        (&good.certificate, &garbage, &garbage),
        (&missing, &good.key, &missing),
        (&good.certificate, &missing, &missing),
    ] {
        let clock = prumo_clock::Clock::system();
        let drain = prumo_drain::Drain::new(clock.clone());
        let mut settings = Settings::new(folder.path().join("certs"));
        settings.http = Port::Off;
        settings.https = Port::Number(0);
        settings.certificates = vec![CertificateFiles { certificate: certificate.clone(), key: key.clone() }];
        match prumo_edge::Edge::start(settings, clock, &drain.stage("edge")) {
            Err(error @ EdgeError::Certificate { .. }) => {
                assert!(error.to_string().contains(named.to_str().unwrap()), "{error}");
            }
            other => panic!("{:?}", other.map(|edge| edge.addresses())),
        }
    }
}

/// Goal: HTTP/2 over TLS carries many requests at once, with large bodies both ways, and ends politely.
#[test]
fn speaks_http2() {
    let app = App::start(|ask, stream| {
        reply_with(stream, &ask.body);
        true
    });
    let site = Site::start_with(with_tls, |_| {});
    site.serve(&[app.upstream("one")]);
    let (address, config) = (site.https(), client_config(&site.edge.authority_certificate(), &[b"h2"]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = hyper::client::conn::http2::handshake(Local, Io(stream)).await.unwrap();
        tokio::task::spawn_local(connection);
        let asked: Vec<_> = (0..20_usize)
            .map(|number| {
                let mut sender = sender.clone();
                tokio::task::spawn_local(async move {
                    let body = vec![number as u8; number * 100_000];
                    let request =
                        http::Request::post("https://localhost/x").body(Full::new(Bytes::from(body))).unwrap();
                    let response = sender.send_request(request).await.unwrap();
                    assert_eq!(response.status(), 200);
                    assert_eq!(response.headers()["x-request-id"].len(), 32);
                    let answer = response.into_body().collect().await.unwrap().to_bytes();
                    assert_eq!(answer.len(), number * 100_000);
                    assert!(answer.iter().all(|&byte| byte == number as u8));
                })
            })
            .collect();
        for task in asked {
            task.await.unwrap();
        }
    });
    assert!(app.asks().iter().all(|ask| ask.header("host") == Some("localhost")));
    site.assert_nothing_in_flight("one");
}

/// Goal: a slow upstream on one stream times out alone; the others go on.
#[test]
fn http2_streams_time_out_alone() {
    let app = App::start(|ask, stream| {
        if ask.path() == "/hang" {
            // Until the edge gives up.
            let _ = std::io::Read::read(stream, &mut [0]);
            return false;
        }
        reply_with(stream, b"quick");
        true
    });
    let site = Site::start_with(with_tls, |route| forward(route).timeout = std::time::Duration::from_secs(2));
    site.serve(&[app.upstream("one")]);
    let address = site.http();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        // Clear text with prior knowledge.
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(Local, Io(stream)).await.unwrap();
        tokio::task::spawn_local(connection);
        let get =
            |path: &str| http::Request::get(format!("http://a.test{path}")).body(Full::new(Bytes::new())).unwrap();
        let hanging = sender.send_request(get("/hang"));
        let mut other = sender.clone();
        let quick = other.send_request(get("/quick"));
        let (hanging, quick) = tokio::join!(hanging, quick);
        assert_eq!(
            (hanging.unwrap().status(), quick.unwrap().status()),
            (504.try_into().unwrap(), http::StatusCode::OK)
        );
    });
    site.assert_nothing_in_flight("one");
}

#[derive(Clone)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, work: F) {
        tokio::task::spawn_local(async move {
            work.await;
        });
    }
}

struct Io<S>(S);

impl<S: AsyncRead + Unpin> hyper::rt::Read for Io<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<std::io::Result<()>> {
        let mut bytes = [0; 8192];
        let room = into.remaining().min(bytes.len());
        let mut buffer = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.get_mut().0).poll_read(cx, &mut buffer))?;
        into.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Io<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
