use std::error::Error as _;
use std::net::Ipv4Addr;

use super::*;

fn refused(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "for a reason")
}

/// Goal: every error names what it is about and the system's reason, and its hint is a step that fits the reason.
#[test]
fn every_error_says_what_to_do() {
    let check = |error: EdgeError, said: &[&str], hint: &str| {
        let text = error.to_string();
        said.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in {text:?}"));
        assert!(error.hint().contains(hint), "{hint:?} is not in {:?}, for {text}", error.hint());
        assert_eq!(error.source().is_some(), text.contains("for a reason"), "{text}");
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let path = || PathBuf::from("/run/a.sock");
    let owner = Some(Owner { pid: 7, name: "nginx".into() });
    check(EdgeError::AddressTaken { address, owner }, &["127.0.0.1:80", "nginx (pid 7)"], "stop that process");
    check(EdgeError::AddressTaken { address, owner: None }, &["127.0.0.1:80", "another process"], "ss -ltnp");
    let no_right = io::ErrorKind::PermissionDenied;
    check(
        EdgeError::AddressRefused { address, source: refused(no_right) },
        &["127.0.0.1:80 cannot be bound"],
        "ports below 1024",
    );
    let elsewhere = refused(io::ErrorKind::AddrNotAvailable);
    check(EdgeError::AddressRefused { address, source: elsewhere }, &["cannot be bound"], "has that address");
    for (kind, hint) in [
        (io::ErrorKind::AddrInUse, "stop that process"),
        (no_right, "write its folder"),
        (io::ErrorKind::NotFound, "its folder exists"),
    ] {
        check(EdgeError::Socket { path: path(), source: refused(kind) }, &["/run/a.sock"], hint);
    }
    for (scheme, said, hint) in [(Scheme::Http, "for HTTP,", "http = "), (Scheme::Https, "for HTTPS,", "https = ")] {
        check(EdgeError::NotWanted { address, scheme }, &["127.0.0.1:80", said], hint);
    }
    let authority = EdgeError::Authority { folder: "/certs".into(), why: "no key".into() };
    check(authority, &["/certs", "no key"], "remove its two files");
    let log = EdgeError::AccessLog { file: "/log/a".into(), source: refused(io::ErrorKind::NotFound) };
    check(log, &["/log/a"], "folder exists");
    check(
        EdgeError::Pattern { route: "shop".into(), why: "too large".into() },
        &["`shop`", "too large"],
        "prumo check",
    );
    let thread = EdgeError::System { doing: "start a core", source: refused(io::ErrorKind::Other) };
    check(thread, &["start a core"], "ulimit -a");
}
