use super::*;

fn check(path: &str, expected: Option<&str>) {
    assert_eq!(other_reading(path).as_deref(), expected, "{path}");
}

/// Goal: a path that everybody reads alike has no other reading.
#[test]
fn plain_paths_have_one_reading() {
    for path in ["/", "/a/b", "/a/b/", "/a.b/c..d", "/a/.well-known", "/a-b_c~d", "/a/...", "/.a"] {
        check(path, None);
    }
}

/// Goal: the ways to write one path in several manners lead to the same reading.
#[test]
fn disguises_are_seen_through() {
    for disguise in [
        "//admin/x",
        "/./admin/x",
        "/a/../admin/x",
        "/%61dmin/x",
        "/a/%2e%2E/admin/x",
        "/a/..%2fadmin/x",
        "/admin%2fx",
        "/a/..\\admin/x",
        "/admin//x",
        "/admin;v=1/x",
        "/..;/admin/x",
        "/a/..;x/admin/x",
        "/admin/x;jsessionid=1",
        "/../../admin/x",
    ] {
        check(disguise, Some("/admin/x"));
    }
    check("/..", Some("/"));
    check("/a/..", Some("/"));
    check("/admin/.", Some("/admin"));
    check("/admin//", Some("/admin/"));
    check("/%zz", None);
    check("/%", None);
    check("/%ff", Some("/\u{fffd}"));
}
