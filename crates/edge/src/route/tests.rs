use super::*;
use crate::settings::{Condition, PathMatch, Wanted};

/// A route from a line: a host or `-`, then `/prefix`, `=/exact` or `~expression`, then conditions: `GET,POST` for
/// methods, `x-name:value` for headers and `?name=value` for the query; `*` for any value, `!` for none.
fn route(line: &str) -> Route {
    let mut words = line.split_whitespace();
    let host = words.next().filter(|host| *host != "-");
    let path = words.next().unwrap_or("/");
    let mut route = Route { name: line.to_owned(), host: host.map(str::to_owned), ..Route::to("app") };
    route.path = match path.split_at(1) {
        ("=", exact) => PathMatch::Exact(exact.to_owned()),
        ("~", expression) => PathMatch::Regex(expression.to_owned()),
        _ => PathMatch::Prefix(path.to_owned()),
    };
    for word in words {
        if let Some((name, value)) = word.strip_prefix('?').and_then(|pair| pair.split_once('=')) {
            route.query.push(condition(name, value));
        } else if let Some((name, value)) = word.split_once(':') {
            route.headers.push(condition(name, value));
        } else {
            route.methods = word.split(',').map(str::to_owned).collect();
        }
    }
    route
}

fn condition(name: &str, value: &str) -> Condition {
    let wanted = match value {
        "*" => Wanted::Present,
        "!" => Wanted::Absent,
        value => Wanted::Equal(value.to_owned()),
    };
    Condition { name: name.to_owned(), wanted }
}

fn routes(lines: &[&str]) -> Vec<Route> {
    lines.iter().map(|line| route(line)).collect()
}

/// Asks the index and the explanation: `GET shop.test /path?query x-name:value`.
fn find(routes: &[Route], request: &str) -> Option<usize> {
    let words: Vec<&str> = request.split_whitespace().collect();
    let [method, host, target, headers @ ..] = words.as_slice() else { panic!("{request}") };
    let (path, query) = target.split_once('?').map_or((*target, None), |(path, query)| (path, Some(query)));
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let headers: HeaderMap = headers
        .iter()
        .filter_map(|header| header.split_once(':'))
        .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    let question = Question { host, path, query, method: &method, headers: &headers };
    let found = RouteIndex::new(routes).unwrap().find(&question);
    assert_eq!(explain(routes, &question).chosen, found, "the two agree about {request}");
    found
}

/// Which of the routes takes each request.
fn check(lines: &[&str], cases: &[(&str, &str)]) {
    let routes = routes(lines);
    for (request, expected) in cases {
        let found = find(&routes, request).map_or("nothing", |number| lines[number]);
        assert_eq!(found, *expected, "{request}");
    }
}

/// Goal: exact hosts go before wildcards, wildcards before any, then the longest prefix wins (EDGE-routing).
#[test]
fn finds_the_most_particular_route() {
    check(
        &[
            "- /",
            "- /any",
            "shop.test /",
            "shop.test /api",
            "shop.test /api/v2/",
            "*.shop.test /",
            "*.eu.shop.test /x",
            "Only.Test. /deep",
            "shop.test /api",
        ],
        &[
            ("GET shop.test /", "shop.test /"),
            ("GET shop.test /other", "shop.test /"),
            ("GET shop.test /api", "shop.test /api"),
            ("GET shop.test /api/", "shop.test /api"),
            ("GET shop.test /api/x", "shop.test /api"),
            ("GET shop.test /apix", "shop.test /"),
            ("GET shop.test /API", "shop.test /"),
            ("GET shop.test /api/v2", "shop.test /api/v2/"),
            ("GET shop.test /api/v2/y", "shop.test /api/v2/"),
            ("GET shop.test /api/v22", "shop.test /api"),
            ("GET shop.test /api%2Fv2", "shop.test /"),
            ("GET shop.test //api", "shop.test /"),
            ("OPTIONS shop.test *", "shop.test /"),
            ("GET a.shop.test /api", "*.shop.test /"),
            ("GET a.b.shop.test /", "*.shop.test /"),
            ("GET a.eu.shop.test /x", "*.eu.shop.test /x"),
            ("GET a.eu.shop.test /y", "*.shop.test /"),
            ("GET xshop.test /", "- /"),
            ("GET only.test /deep", "Only.Test. /deep"),
            ("GET only.test /any", "- /any"),
            ("GET other.test /any/thing", "- /any"),
        ],
    );
}

/// Goal: an exact path goes before expressions, expressions in the order of the file before prefixes.
#[test]
fn kinds_of_paths_have_an_order() {
    check(
        &[
            "a.test /files/long/prefix",
            "a.test ~/files/[0-9]+",
            "a.test ~/files/.*",
            "a.test =/files/7",
            "a.test =/files/",
            "a.test /",
            "- =/",
        ],
        &[
            ("GET a.test /files/7", "a.test =/files/7"),
            ("GET a.test /files/8", "a.test ~/files/[0-9]+"),
            ("GET a.test /files/long/prefix", "a.test ~/files/.*"),
            ("GET a.test /files/", "a.test =/files/"),
            ("GET a.test /files", "a.test /"),
            ("GET a.test /files/7x", "a.test ~/files/.*"),
            ("GET a.test /x/files/7", "a.test /"),
            ("GET a.test /", "a.test /"),
            ("GET b.test /", "- =/"),
            ("GET b.test /x", "nothing"),
        ],
    );
}

/// Goal: of routes for one place, the one with more conditions goes first, and what none takes falls through: to a
/// shorter prefix, then to a less exact host.
#[test]
fn conditions_decide_between_routes_for_one_place() {
    check(
        &[
            "a.test /api",
            "a.test /api POST,PUT",
            "a.test /api POST x-beta:1",
            "a.test /api ?v=2",
            "a.test /only x-key:*",
            "a.test /plain x-key:!",
            "a.test /q ?q=*",
            "*.test /only GET",
            "- /",
        ],
        &[
            ("GET a.test /api", "a.test /api"),
            ("POST a.test /api", "a.test /api POST,PUT"),
            ("PUT a.test /api/x", "a.test /api POST,PUT"),
            ("POST a.test /api x-beta:1", "a.test /api POST x-beta:1"),
            ("POST a.test /api x-beta:2", "a.test /api POST,PUT"),
            ("POST a.test /api x-beta:2 x-beta:1", "a.test /api POST x-beta:1"),
            ("GET a.test /api?v=2", "a.test /api ?v=2"),
            ("GET a.test /api?w=1&v=2&v=3", "a.test /api ?v=2"),
            ("GET a.test /api?v=22", "a.test /api"),
            ("GET a.test /api?v=%32", "a.test /api"),
            ("GET a.test /only x-key:any", "a.test /only x-key:*"),
            ("GET a.test /only", "*.test /only GET"),
            ("POST a.test /only", "- /"),
            ("GET a.test /plain", "a.test /plain x-key:!"),
            ("GET a.test /plain x-key:1", "- /"),
            ("GET a.test /q?q", "a.test /q ?q=*"),
            ("GET a.test /q?qq=1", "- /"),
            ("GET a.test /q", "- /"),
        ],
    );
}

/// Goal: of two routes for the same place the one written first serves.
#[test]
fn the_first_of_equals_wins() {
    let routes = routes(&["a.test /api GET", "a.test /api x:1", "a.test /api", "a.test /api"]);
    assert_eq!(find(&routes, "GET a.test /api x:1"), Some(0));
    assert_eq!(find(&routes, "POST a.test /api x:1"), Some(1));
    assert_eq!(find(&routes, "POST a.test /api"), Some(2));
}

/// Goal: without a route for it, a request has none.
#[test]
fn finds_nothing_where_nothing_is() {
    assert_eq!(find(&[], "GET shop.test /"), None);
}

/// Goal: an expression that is none, or that would take much memory, is refused with the name of its route.
#[test]
fn bad_expressions_are_refused() {
    for expression in ["~(", "~a{1000}{1000}", r"~\pL", "~(?:(?:(?:x{50}){50}){50})"] {
        let error = RouteIndex::new(&routes(&[&format!("- {expression}")])).unwrap_err().to_string();
        assert!(error.contains(expression), "{error}");
    }
}

mod cost;
mod same;
