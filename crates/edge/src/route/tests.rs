use super::*;

const ROUTES: &[(&str, &str)] = &[
    ("", "/"),
    ("", "/any"),
    ("shop.test", "/"),
    ("shop.test", "/api"),
    ("shop.test", "/api/v2/"),
    ("*.shop.test", "/"),
    ("*.eu.shop.test", "/x"),
    ("Only.Test", "/deep"),
    ("shop.test", "/api"),
];

fn index() -> RouteIndex {
    let routes: Vec<Route> = ROUTES
        .iter()
        .enumerate()
        .map(|(number, (host, path))| Route {
            name: number.to_string(),
            host: (!host.is_empty()).then(|| (*host).to_owned()),
            path: PathMatch::Prefix((*path).to_owned()),
            ..Route::to("app")
        })
        .collect();
    RouteIndex::new(&routes)
}

fn find(index: &RouteIndex, host: &str, path: &str) -> Option<usize> {
    let headers = HeaderMap::new();
    index.find(&Question { host, path, query: None, method: &Method::GET, headers: &headers })
}

fn check(host: &str, path: &str, expected: (&str, &str)) {
    let found = find(&index(), host, path).map(|number| ROUTES[number]);
    assert_eq!(found, Some(expected), "{host} {path}");
}

/// Goal: exact hosts go before wildcards, wildcards before any, then the longest prefix wins.
#[test]
fn finds_the_most_particular_route() {
    check("shop.test", "/", ("shop.test", "/"));
    check("shop.test", "/other", ("shop.test", "/"));
    check("shop.test", "/api", ("shop.test", "/api"));
    check("shop.test", "/api/", ("shop.test", "/api"));
    check("shop.test", "/api/x", ("shop.test", "/api"));
    check("shop.test", "/apix", ("shop.test", "/"));
    check("shop.test", "/API", ("shop.test", "/"));
    check("shop.test", "/api/v2", ("shop.test", "/api/v2/"));
    check("shop.test", "/api/v2/y", ("shop.test", "/api/v2/"));
    check("shop.test", "/api/v22", ("shop.test", "/api"));
    check("shop.test", "/api%2Fv2", ("shop.test", "/"));
    check("shop.test", "*", ("shop.test", "/"));
    check("a.shop.test", "/api", ("*.shop.test", "/"));
    check("a.b.shop.test", "/", ("*.shop.test", "/"));
    check("a.eu.shop.test", "/x", ("*.eu.shop.test", "/x"));
    check("a.eu.shop.test", "/y", ("*.shop.test", "/"));
    check("xshop.test", "/", ("", "/"));
    check("only.test", "/deep", ("Only.Test", "/deep"));
    check("only.test", "/any", ("", "/any"));
    check("other.test", "/any/thing", ("", "/any"));
}

/// Goal: without a route for it, a request has none.
#[test]
fn finds_nothing_where_nothing_is() {
    let routes = RouteIndex::new(&[]);
    assert_eq!(find(&routes, "shop.test", "/"), None);
}

/// Goal: of two routes for the same place the one written first serves.
#[test]
fn the_first_of_equals_wins() {
    assert_eq!(find(&index(), "shop.test", "/api"), Some(3));
}
