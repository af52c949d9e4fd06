use std::sync::Arc;
use std::time::Duration;

use prumo_clock::Timestamp;

use super::*;
use crate::tls::CertificateState;

/// Goal: the exposition has HELP and TYPE once for each family, cumulative buckets, escaped labels, and sums of cores.
#[test]
fn exposes_what_was_counted() {
    let route = Arc::new(RouteCells::new("app", "a\"b", 2));
    route.cores[0].0.status[1].add(2);
    route.cores[1].0.status[1].add(3);
    route.cores[0].0.duration.observe(Duration::from_millis(2));
    route.cores[1].0.duration.observe(Duration::from_secs(60));
    let core = CoreCount::default();
    core.refused(Reason::Host).add(7);
    let upstream = Arc::new(UpstreamCells::new(2));
    upstream.requests(0).add(2);
    upstream.requests(1).add(1);
    upstream.requests(0).sub(1);
    upstream.core(1).status[4].add(6);
    upstream.core(0).first_byte.observe(Duration::from_millis(3));
    let mut out = String::new();
    let upstreams = [("app".to_owned(), "app-1".to_owned(), upstream)];
    core.shook_hands(Some(rustls::HandshakeKind::FullWithHelloRetryRequest));
    core.shook_hands(Some(rustls::HandshakeKind::Resumed));
    core.shook_hands(Some(rustls::HandshakeKind::Full));
    let certificates = [CertificateState {
        file: "a\"b.pem".into(),
        names: vec!["a.test".to_owned()],
        valid_from: Timestamp::from_millis(0),
        expires: Timestamp::from_millis(1_795_000_000_999),
        trouble: Some("not the key".to_owned()),
    }];
    let (services, now) = ([], Moment::from_nanos(0));
    let scrape = Scrape {
        cores: &[&core],
        routes: &[route],
        services: &services,
        upstreams: &upstreams,
        now,
        lines_lost_by_writer: 4,
        certificates: &certificates,
        lookups_failed: 0,
    };
    scrape.write(&mut out);
    for line in [
        "prumo_edge_requests_total{service=\"app\",route=\"a\\\"b\",status=\"2xx\"} 5",
        "prumo_edge_request_duration_seconds_bucket{service=\"app\",route=\"a\\\"b\",le=\"0.001\"} 0",
        "prumo_edge_request_duration_seconds_bucket{service=\"app\",route=\"a\\\"b\",le=\"0.0025\"} 1",
        "prumo_edge_request_duration_seconds_bucket{service=\"app\",route=\"a\\\"b\",le=\"10.0\"} 1",
        "prumo_edge_request_duration_seconds_bucket{service=\"app\",route=\"a\\\"b\",le=\"+Inf\"} 2",
        "prumo_edge_request_duration_seconds_sum{service=\"app\",route=\"a\\\"b\"} 60.002",
        "prumo_edge_request_duration_seconds_count{service=\"app\",route=\"a\\\"b\"} 2",
        "prumo_edge_refused_total{reason=\"host\"} 7",
        "prumo_edge_upstream_in_flight{service=\"app\",replica=\"app-1\",kind=\"request\"} 2",
        "prumo_edge_upstream_requests_total{service=\"app\",replica=\"app-1\",status=\"5xx\"} 6",
        "prumo_edge_upstream_first_byte_duration_seconds_count{service=\"app\",replica=\"app-1\"} 1",
        "prumo_edge_access_log_lines_lost_total 4",
        "prumo_edge_tls_handshakes_total{kind=\"full\"} 2",
        "prumo_edge_tls_handshakes_total{kind=\"resumed\"} 1",
        "prumo_edge_certificate_expires_seconds{certificate=\"a\\\"b.pem\"} 1795000000",
        "prumo_edge_certificate_stale{certificate=\"a\\\"b.pem\"} 1",
    ] {
        assert!(out.lines().any(|known| known == line), "{line}\nin\n{out}");
    }
    let families: Vec<&str> = out.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let mut once = families.clone();
    once.dedup();
    assert_eq!(families, once);
}
