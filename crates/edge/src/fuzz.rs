//! Entries for fuzzing what strangers can send. Each panics when a promise is broken.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::files::accept::{self, Coding};
use crate::files::path;
use crate::files::range::{self, Asked};
use crate::forwarded::{self, PeerFacts};
use crate::listen::proxy;
use crate::settings::{Condition, PathMatch, Route, Wanted};
use crate::{fast, framing, host, json, route};

/// Host normalisation: what comes out is in normal form already, and safe to write anywhere.
pub fn normalise_host(text: &str) {
    if let Ok(once) = host::normalise(text) {
        let twice = host::normalise(&once).expect("a normal form is a host");
        assert_eq!(once, twice, "normalising is done once");
        assert!(!once.bytes().any(|byte| byte <= b' ' || byte == b'"' || byte == b'/'), "nothing that ends a string");
    }
}

/// Path prefixes: a prefix matches itself and what is under it, and never half a segment.
pub fn match_prefix(prefix: &str, path: &str) {
    let matches = route::prefix_matches(prefix, path);
    let bare = prefix.trim_end_matches('/');
    assert!(route::prefix_matches(prefix, &format!("{bare}/x")), "what is under a prefix matches");
    if matches {
        assert!(path.starts_with(bare), "only what starts with the prefix matches");
    }
}

/// Finding a route: whatever the routes and the request, the index finds what a plain search finds. The first line is
/// the request, `METHOD host /path?query name:value`; each other line a route, `host /path METHOD name:value`, where
/// `-` is any host, `=/path` an exact path and `~/path` an expression.
pub fn find_route(text: &str) {
    let mut lines = text.lines();
    let request: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, host, target, rest @ ..] = request.as_slice() else { return };
    let Ok(method) = http::Method::from_bytes(method.as_bytes()) else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in rest.iter().filter_map(|pair| pair.split_once(':')) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let (path, query) = target.split_once('?').map_or((*target, None), |(path, query)| (path, Some(query)));
    let question = route::Question { host, path, query, method: &method, headers: &headers };
    let routes: Vec<Route> = lines.filter_map(read_route).collect();
    if let Ok(index) = route::RouteIndex::new(&routes) {
        let found = index.find(&question);
        assert_eq!(found, route::explain(&routes, &question).chosen, "the index and a plain search agree");
    }
}

/// As the file lets it through: paths begin with a slash.
fn read_route(line: &str) -> Option<Route> {
    let mut words = line.split(' ');
    let (host, path) = (words.next()?, words.next()?);
    let mut route = Route { host: (host != "-").then(|| host.to_owned()), ..Route::to("app") };
    route.path = match (path.strip_prefix('='), path.strip_prefix('~')) {
        (Some(exact), _) => PathMatch::Exact(exact.to_owned()),
        (_, Some(expression)) => PathMatch::Regex(expression.to_owned()),
        _ => PathMatch::Prefix(path.to_owned()),
    };
    for word in words {
        match word.split_once(':') {
            Some((name, "")) => route.headers.push(Condition { name: name.to_owned(), wanted: Wanted::Present }),
            Some((name, value)) => {
                route.headers.push(Condition { name: name.to_owned(), wanted: Wanted::Equal(value.to_owned()) });
            }
            None => route.methods.push(word.to_owned()),
        }
    }
    path.strip_prefix(['=', '~']).unwrap_or(path).starts_with('/').then_some(route)
}

/// Forwarded headers: what a stranger wrote is gone, and the peer's address is the last of any chain.
pub fn forward_headers(written: &[(Vec<u8>, Vec<u8>)], trusted: bool) {
    let mut headers = HeaderMap::new();
    for (name, value) in written {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            && headers.len() < 100
        {
            headers.append(name, value);
        }
    }
    let peer = PeerFacts {
        address: HeaderValue::from_static("192.0.2.7"),
        proto: HeaderValue::from_static("https"),
        port: HeaderValue::from_static("443"),
        trusted,
    };
    forwarded::write(&mut headers, &peer, &HeaderValue::from_static("shop.example.com"));
    let chain = headers.get("x-forwarded-for").expect("always written").as_bytes();
    assert!(chain.ends_with(b"192.0.2.7"), "the peer is the last of the chain");
    assert!(trusted || chain == b"192.0.2.7", "a stranger's chain is not believed");
    assert!(trusted || !headers.contains_key("x-real-ip"), "nor what it says of itself");
    assert!(!headers.keys().any(|name| forwarded::is_twin(name.as_str())), "an app reads each name in one way");
}

/// Request heads: a verdict does not change when more follows, or when the head comes in pieces.
pub fn judge_head(bytes: &[u8]) {
    framing::fuzz_head(bytes);
}

/// What an HTTP/1 client sends on one connection, cut in two anywhere: hyper, behind the gate and without it, reads the same
/// requests in it as we do, for as long as it is safe.
pub fn follow_requests(bytes: &[u8], cut: usize) {
    framing::fuzz_gate(bytes, cut);
}

/// PROXY headers: nothing is taken that is not there, and what is read does not change when more follows.
pub fn read_proxy_header(bytes: &[u8]) {
    match proxy::parse(bytes) {
        Ok(Some((announced, length))) => {
            assert!(length <= bytes.len().min(proxy::HEADER_BYTES_MAX), "a header ends where its bytes do");
            let mut longer = bytes[..length].to_vec();
            longer.extend_from_slice(b"GET / HTTP/1.1\r\n");
            assert_eq!(proxy::parse(&longer), Ok(Some((announced, length))), "what follows a header does not matter");
            assert_eq!(proxy::parse(&bytes[..length - 1]), Ok(None), "and it ends no sooner");
        }
        Ok(None) => assert!(bytes.len() < proxy::HEADER_BYTES_MAX, "nobody is read without end"),
        Err(proxy::Malformed) => {}
    }
}

/// Access lines: whatever the client sent, the line is JSON.
pub fn escape_json(bytes: &[u8], max: usize) {
    let mut out = vec![b'"'];
    json::escape(&mut out, bytes, max);
    out.push(b'"');
    serde_json::from_slice::<String>(&out).expect("an escaped string is JSON");
}

/// Paths of files: what is resolved stays below its folder, is not hidden, and was decoded once at most.
pub fn resolve_path(rest: &str) {
    let Some(target) = path::resolve(rest) else { return };
    assert!(target.path.len() <= rest.len(), "decoding makes nothing longer");
    assert!(!target.path.iter().any(|byte| matches!(byte, 0 | b'\\')), "nothing that a system reads in another way");
    for name in target.path.split(|byte| *byte == b'/').filter(|_| !target.path.is_empty()) {
        assert!(!name.is_empty() && name != b"." && name != b"..", "names only");
        assert!(name[0] != b'.' || name == b".well-known", "nothing hidden");
    }
    let again: String = target.path.iter().map(|byte| format!("%{byte:02x}").replace("%2f", "/")).collect();
    let again = format!("/{again}");
    let twice = path::resolve(&again).expect("what is fine stays fine when all of it is encoded");
    assert_eq!(twice.path, target.path, "one name has one meaning");
}

/// Ranges: a part lies in the file.
pub fn read_range(value: &str, length: u64) {
    if let Asked::Part { first, last } = range::read(value, length) {
        assert!(first <= last && last < length, "{first}-{last} of {length}");
    }
}

/// Wishes for a coding: none is sent that is not there, and none that the client did not name.
pub fn choose_coding(lines: &[&[u8]], there: u8) {
    let mut headers = HeaderMap::new();
    for line in lines.iter().take(20) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("accept-encoding", value.clone());
            headers.append("accept", value);
        }
    }
    let is_there = |coding: Coding| there & (1 << coding as u8) != 0;
    if let Some(coding) = accept::choose_coding(&headers, is_there) {
        let written = lines.concat().to_ascii_lowercase();
        let names = |name: &str| written.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(is_there(coding) && (names(coding.name()) || names("*")), "{coding:?}");
    }
    accept::accepts_html(&headers);
}

/// Request heads on the fast path: what is plain is safe by the general path's judgement too, and says the same to whoever
/// reads it next.
pub fn read_request_head(bytes: &[u8]) {
    fast::fuzz_request(bytes);
}

/// Chunked bodies: however they are cut in pieces, the same data comes of them, and what is written anew says it again.
pub fn read_chunked_body(bytes: &[u8], cut: usize) {
    fast::fuzz_chunks(bytes, cut);
}
