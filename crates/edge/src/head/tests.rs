use super::*;

fn asked(target: &str, host: Option<&str>) -> Request<String> {
    let mut request = Request::new(String::new());
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
        write_h2(&mut request, Scheme::HTTP);
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

/// Goal: a body without a length is announced, whatever the method, so that nobody drops it.
#[test]
fn bodies_are_announced() {
    let check = |body: &str, length: Option<&str>, expected: Option<&str>| {
        let mut request = asked("/", Some("a.test")).map(|_| body.to_owned());
        if let Some(length) = length {
            request.headers_mut().insert(header::CONTENT_LENGTH, length.parse().unwrap());
        }
        write_h1(&mut request);
        let announced = request.headers().get(header::TRANSFER_ENCODING).map(|value| value.to_str().unwrap());
        assert_eq!(announced, expected, "{body:?} {length:?}");
    };
    check("", None, None);
    check("abc", Some("3"), None);
    check("abc", None, Some("chunked"));
}
