use http::Method;
use http::header::HeaderMap;

use super::*;
use crate::settings::{Forward, Part, Redirect};

/// `$host`, `$path`, `$rest`, `$query` and `$1` in a text, as the file has them.
fn template(text: &str) -> Template {
    let mut parts = Vec::new();
    for (number, piece) in text.split('$').enumerate() {
        let end = piece.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(piece.len());
        let (name, text) = if number == 0 { ("", piece) } else { piece.split_at(end) };
        parts.extend(match name {
            "" => None,
            "host" => Some(Part::Host),
            "path" => Some(Part::Path),
            "rest" => Some(Part::Rest),
            "query" => Some(Part::Query),
            group => Some(Part::Group(group.to_owned())),
        });
        parts.extend((!text.is_empty()).then(|| Part::Text(text.to_owned())));
    }
    Template(parts)
}

fn path(written: &str) -> PathMatch {
    match written.split_at(1) {
        ("~", expression) => PathMatch::Regex(expression.to_owned()),
        ("=", exact) => PathMatch::Exact(exact.to_owned()),
        _ => PathMatch::Prefix(written.to_owned()),
    }
}

fn ask<T>(route: &Route, target: &str, ask: impl Fn(&Rewriting, &Question<'_>) -> Result<T, Refusal>) -> Option<T> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let (method, headers) = (Method::GET, HeaderMap::new());
    let question = Question { host: "shop.test", path, query, method: &method, headers: &headers };
    ask(&Rewriting::of(route).unwrap(), &question).ok()
}

/// What the service is asked for; `-` for a refusal.
fn check_target(written: &str, rewrite: &str, asked: &str, expected: &str) {
    let rewrite = if rewrite == "strip" { Rewrite::Strip } else { Rewrite::Path(template(rewrite)) };
    let forward = Forward { rewrite: Some(rewrite), ..Forward::to("app") };
    let route = Route { path: path(written), ..Route::new("r", Action::Forward(forward)) };
    let target = ask(&route, asked, |rewriting, question| rewriting.target(question));
    assert_eq!(target.as_ref().map_or("-", PathAndQuery::as_str), expected, "{written} {asked}");
}

/// Where a redirect leads.
fn check_location(written: &str, to: &str, asked: &str, expected: &str) {
    let redirect = Redirect { to: template(to), status: 308 };
    let route = Route { path: path(written), ..Route::new("r", Action::Redirect(redirect)) };
    let location = ask(&route, asked, |rewriting, question| rewriting.location(question)).unwrap();
    assert_eq!(location, expected, "{written} {to} {asked}");
}

/// Goal: stripping takes the prefix away, segment by segment, and leaves the query and every other byte.
#[test]
fn prefixes_are_stripped() {
    check_target("/api", "strip", "/api/users?x=/api", "/users?x=/api");
    check_target("/api", "strip", "/api", "/");
    check_target("/api/", "strip", "/api/", "/");
    check_target("/api", "strip", "/api?x", "/?x");
    check_target("/api", "strip", "/api//users", "//users");
    check_target("/api", "strip", "/api/%61%2F", "/%61%2F");
    check_target("/", "strip", "/users", "/users");
}

/// Goal: a template makes the path from the path, from what follows the prefix, and from groups.
#[test]
fn paths_are_rewritten() {
    check_target("/api", "/v2$rest", "/api/users?x=1", "/v2/users?x=1");
    check_target("/api", "/v2$rest", "/api", "/v2");
    check_target("/api", "$rest", "/api", "/");
    check_target("/", "/app$path", "/x/y", "/app/x/y");
    check_target("=/login", "/session/new", "/login?to=/", "/session/new?to=/");
    check_target("~/users/([0-9]+)(/edit)?", "/u/$1/e$2", "/users/7/edit", "/u/7/e/edit");
    check_target("~/users/([0-9]+)(/edit)?", "/u/$1/e$2", "/users/7", "/u/7/e");
    check_target("~/(?<lang>de|en)/.*", "/$lang", "/de/x", "/de");
    check_target("~/(?<lang>de|en)/.*", "/$none", "/de/x", "/");
}

/// Goal: what a client writes into a template cannot lead out of it.
#[test]
fn rewritten_paths_are_judged() {
    check_target("~/f/(.*)", "/files/$1", "/f/../../secret", "-");
    check_target("~/f/(.*)", "/files/$1", "/f/%2e%2E/x", "-");
    check_target("~/f/(.*)/(.*)", "/files/$1$2", "/f/./.", "-");
    check_target("~/f/(.*)", "/files/.$1", "/f/.", "-");
    check_target("~/f/(.*)", "/files/$1", "/f/...", "/files/...");
    check_target("~/f/(.*)", "/files/$1", "/f/a..b/.c", "/files/a..b/.c");
    check_target("/api", "strip", "/api/../x", "-");
    check_target("/public", "/app/public$rest", "/public/..%2fadmin", "-");
    check_target("/public", "/app/public$rest", "/public/%2e.%5Cadmin", "-");
    check_target("/public", "/app/public$rest", "/public/..\\admin", "-");
    check_target("/public", "/app/public$rest", "/public/x\\..\\..\\admin", "-");
    check_target("/public", "/app/public$rest", "/public/..;x/admin", "-");
    check_target("/public", "/app/public$rest", "/public/a%2fb\\c", "/app/public/a%2fb\\c");
}

/// Goal: redirects keep what they are told to keep.
#[test]
fn redirects_lead_where_the_file_says() {
    check_location("/", "https://www.test$path$query", "/a/b?c=d", "https://www.test/a/b?c=d");
    check_location("/", "https://www.test$path$query", "/a/b", "https://www.test/a/b");
    check_location("/", "https://$host$path", "/a", "https://shop.test/a");
    check_location("/old", "/new$rest$query", "/old/x?y", "/new/x?y");
    check_location("/old", "$rest", "/old", "/");
    check_location("~/p/([0-9]+)", "/product?id=$1", "/p/7", "/product?id=7");
}

/// Goal: nothing that a client writes makes a redirect lead to another host.
#[test]
fn redirects_are_not_open() {
    check_location("/", "$path", "//evil.test/x", "/evil.test/x");
    check_location("/", "$path", "/\\evil.test", "/%5Cevil.test");
    check_location("/", "$path", "/\\/evil.test", "/%5C/evil.test");
    check_location("/old", "$rest", "/old//evil.test", "/evil.test");
    check_location("~/go/(.*)", "/$1", "/go//evil.test", "/evil.test");
    check_location("~/go/(.*)", "/$1", "/go/https://evil.test", "/https://evil.test");
    check_location("/", "https://www.test$path", "/@evil.test", "https://www.test/@evil.test");
}
