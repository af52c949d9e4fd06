//! What finding a route costs, in looks: lookups by hash, expressions tried, routes whose conditions are judged.

use super::*;

fn looks(index: &RouteIndex, host: &str, path: &str) -> usize {
    let (method, headers) = (Method::GET, HeaderMap::new());
    let question = Question { host, path, query: None, method: &method, headers: &headers };
    let mut count = 0;
    index.find_counting(&question, &mut || count += 1);
    count
}

/// `count` hosts with a route each, `count` prefixes and `count` exact paths of one host.
fn site(count: usize) -> RouteIndex {
    let mut lines = vec!["- /".to_owned(), "big.test /".to_owned()];
    for number in 0..count {
        lines.push(format!("h{number}.test /"));
        lines.push(format!("*.w{number}.test /api GET"));
        lines.push(format!("big.test /p{number}/deep"));
        lines.push(format!("big.test =/e{number}/x POST"));
    }
    RouteIndex::new(&lines.iter().map(|line| route(line)).collect::<Vec<_>>()).unwrap()
}

/// Goal: with 40,000 routes a request costs what it costs with 40.
#[test]
fn many_routes_cost_no_more_than_few() {
    let (few, many) = (site(10), site(10_000));
    let long = format!("/p7/deep{}", "/x".repeat(8_000));
    for (host, path) in [
        ("h7.test", "/some/path"),
        ("a.b.w7.test", "/api/x"),
        ("big.test", "/p7/deep/er"),
        ("big.test", "/e7/x"),
        ("big.test", "/nowhere/at/all"),
        ("big.test", &long),
        ("unknown.test", "/"),
    ] {
        let (with_few, with_many) = (looks(&few, host, path), looks(&many, host, path));
        assert_eq!(with_few, with_many, "{host} {path}");
        assert!(with_many <= 10, "{host} {path}: {with_many}");
    }
}

/// Goal: a site with one route for everything pays for one look.
#[test]
fn a_small_site_pays_nothing() {
    let index = RouteIndex::new(&routes(&["- /"])).unwrap();
    assert_eq!(looks(&index, "a.b.c.test", "/x/y/z"), 1);
}
