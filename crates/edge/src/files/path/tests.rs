use super::*;

fn check(rest: &str, expected: Option<(&str, bool)>) {
    let found = resolve(rest);
    let found = found
        .as_ref()
        .map(|target| (std::str::from_utf8(&target.path).expect("test paths are text"), target.ends_in_slash));
    assert_eq!(found, expected, "{rest:?}");
}

/// Goal: plain paths name files and folders, decoded once.
#[test]
fn names_files_and_folders() {
    check("", Some(("", false)));
    check("/", Some(("", true)));
    check("/a", Some(("a", false)));
    check("/a/", Some(("a", true)));
    check("/a/b.js", Some(("a/b.js", false)));
    check("/a%20b/%C3%A9.txt", Some(("a b/é.txt", false)));
    check("/100%25.txt", Some(("100%.txt", false)));
    check("/.well-known/acme/x", Some((".well-known/acme/x", false)));
    check("/%2Ewell-known/x", Some((".well-known/x", false)));
    check("/a..b/c.", Some(("a..b/c.", false)));
    check("/a:b;c", Some(("a:b;c", false)));
}

/// Goal: a doubly encoded path is decoded once and stays a strange name, not a way out.
#[test]
fn decodes_once() {
    check("/%252e%252e/x", Some(("%2e%2e/x", false)));
    check("/%2500", Some(("%00", false)));
}

/// Goal: nothing that leads out of the folder, or to a hidden file, names anything.
#[test]
fn refuses_ways_out() {
    for rest in [
        "/..",
        "/../x",
        "/a/../b",
        "/a/..",
        "/%2e%2e/x",
        "/%2E%2e/x",
        "/.%2e/x",
        "/..%2fx",
        "/a%2fb",
        "/a%2Fb",
        "/./x",
        "/.",
        "/%2e",
        "//",
        "//x",
        "/a//b",
        "/a//",
        "/\\x",
        "/..\\x",
        "/%5cx",
        "/%5C..%5Cx",
        "/a%00",
        "/%00",
        "/a%00.txt",
        "/.git/config",
        "/a/.env",
        "/%2eenv",
        "/.well-known/.x",
        "/.well-knownx",
        "x",
        "x/y",
    ] {
        check(rest, None);
    }
}

/// Goal: broken encodings name nothing.
#[test]
fn refuses_broken_encodings() {
    for rest in ["/%", "/%2", "/%zz", "/a%2", "/%%32e", "/%u002e"] {
        check(rest, None);
    }
    check(&format!("/{}", "a".repeat(256)), None);
    check(&format!("/{}", "a".repeat(255)), Some((&"a".repeat(255), false)));
}

/// Goal: the path below a route's prefix, by whole segments as routes match.
#[test]
fn takes_what_follows_the_prefix() {
    for (prefix, path, expected) in [
        ("/", "/a/b", "/a/b"),
        ("/", "/", "/"),
        ("/static", "/static", ""),
        ("/static", "/static/", "/"),
        ("/static/", "/static/a", "/a"),
        ("/static", "/static/static/a", "/static/a"),
        ("", "/a", "/a"),
    ] {
        assert_eq!(below(prefix, path), expected, "{prefix} {path}");
    }
}

/// Goal: a path with an extension asks for a file.
#[test]
fn knows_extensions() {
    for (path, expected) in [("", false), ("a", false), ("a.js", true), ("a.b/c", false), ("a/b.c", true), ("a.", true)]
    {
        assert_eq!(has_extension(path.as_bytes()), expected, "{path}");
    }
}
