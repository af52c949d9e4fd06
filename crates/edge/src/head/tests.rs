use super::*;

fn asked(target: &str, host: Option<&str>) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = target.parse().unwrap();
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
    }
    request
}

/// Goal: a head travels from one protocol's form to the other's and back with the same host and the same bytes of path.
#[test]
fn forms_of_a_head() {
    let check = |target: &str, host: &str, expected: &str| {
        let mut request = asked(target, Some(host));
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("te"));
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
        write_h2(&mut request);
        assert_eq!((request.version(), request.uri().to_string().as_str()), (Version::HTTP_2, expected));
        assert!(!request.headers().contains_key(header::HOST) && !request.headers().contains_key(header::CONNECTION));
        assert_eq!(request.headers()[header::TE], "trailers");
        write_h1(&mut request);
        assert_eq!((request.version(), request.uri().to_string().as_str()), (Version::HTTP_11, target));
        assert_eq!(request.headers()[header::HOST], host);
    };
    check("/", "a.test", "http://a.test/");
    check("/a%2Fb//c?x=%41&y", "a.test:8443", "http://a.test:8443/a%2Fb//c?x=%41&y");
    check("/", "[2001:db8::1]:80", "http://[2001:db8::1]:80/");
}
