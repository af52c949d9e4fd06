use super::*;

fn bucket(over_us: u64, to_us: u64, count: u64) -> Bucket {
    Bucket { over_us, to_us, count }
}

fn counters(at_us: u64, status: [u64; 5], duration: Vec<Bucket>) -> EdgeCounters {
    let route = RouteCounters {
        service: "web".into(),
        route: "shop".into(),
        status,
        bytes_out: status[1] * 1000,
        in_flight: 3,
        duration: duration.clone(),
        ..Default::default()
    };
    let replica = ReplicaCounters {
        service: "web".into(),
        replica: "web-1".into(),
        status,
        first_byte: duration,
        tunnels: 2,
        ..Default::default()
    };
    EdgeCounters {
        site: "shop".into(),
        at_us,
        connections: at_us / 100_000,
        connections_open: 7,
        tunnels_open: 2,
        routes: vec![route, RouteCounters::default()],
        replicas: vec![replica],
        ..Default::default()
    }
}

/// Goal: what is shown is what happened between two looks, as rates, and not what happened before.
#[test]
fn shows_what_happened_in_between() {
    let before = counters(60_000_000, [0, 100, 0, 0, 100], vec![bucket(1000, 1500, 100)]);
    let now = counters(62_000_000, [0, 290, 0, 0, 110], vec![bucket(1000, 1500, 100), bucket(2000, 2500, 200)]);
    let view = View::between(&before, &now);
    assert_eq!(
        view.lines(),
        [
            "shop  up 1m2s  100 req/s  7 connections (10 new/s), 2 tunnels",
            "",
            "route  service  req/s  errors  p50     p95     p99     in flight  in/s  out/s",
            "shop   web      100    5.0%    2.2 ms  2.5 ms  2.5 ms  3          0 B   95.0 kB",
            "",
            "replica  service  req/s  errors  p50     p95     p99     in flight  tunnels",
            "web-1    web      100    5.0%    2.2 ms  2.5 ms  2.5 ms  0          2",
        ]
    );
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["routes"][0]["requests_per_second"], 100.0);
    assert_eq!(json["routes"][1]["error_share"], serde_json::Value::Null);
}

/// Goal: a site where nothing happens has no latency and no share of errors; what is new began at zero.
#[test]
fn nothing_is_not_zero() {
    let still = counters(1_000_000, [0, 5, 0, 0, 0], vec![bucket(0, 100, 5)]);
    let lines = View::between(&still, &still).lines();
    assert_eq!(lines[3], "shop   web      0      -       -    -    -    3          0 B   0 B");
    let view = View::between(&EdgeCounters::default(), &still);
    assert_eq!(view.routes[0].rates.requests_per_second, 5.0);
}

/// Goal: a quantile lies in the bucket that holds it, and an open bucket says its lower bound.
#[test]
fn finds_quantiles() {
    let check = |buckets: &[Bucket], share: f64, expected: Option<f64>| {
        assert_eq!(quantile(buckets, share), expected, "{share} of {buckets:?}");
    };
    let spread = [bucket(0, 100, 50), bucket(100, 200, 40), bucket(1000, 2000, 10)];
    check(&spread, 0.5, Some(100.0));
    check(&spread, 0.7, Some(150.0));
    check(&spread, 0.95, Some(1500.0));
    check(&[bucket(75_000_000, 75_000_000, 3)], 0.99, Some(75_000_000.0));
    check(&[], 0.5, None);
}

/// Goal: numbers are short, whatever their size.
#[test]
fn numbers_are_short() {
    assert_eq!([0.0, 0.5, 12.3, 9_999.0, 12_345.0].map(short), ["0", "0.5", "12", "9999", "12.3k"]);
    assert_eq!([0.25, 42.0, 2_500.0].map(milliseconds), ["0.2 ms", "42 ms", "2.5 s"]);
    assert_eq!([12.0, 1_500.0, 2.5e6, 3e9].map(bytes), ["12 B", "1.5 kB", "2.5 MB", "3.0 GB"]);
    assert_eq!([5.0, 65.0, 3_700.0, 90_000.0].map(uptime), ["5s", "1m5s", "1h1m", "1d1h"]);
}
