use super::*;

fn readings(path: &str) -> Vec<String> {
    match other_readings(path) {
        Readings::Known(readings) => readings,
        Readings::Unclear => panic!("{path} has readings"),
    }
}

/// Goal: a path that everybody reads alike has no other reading.
#[test]
fn plain_paths_have_one_reading() {
    for path in ["/", "/a/b", "/a/b/", "/a.b/c..d", "/a/.well-known", "/a-b_c~d", "/a/...", "/.a", "/%zz", "/%"] {
        assert_eq!(readings(path), Vec::<String>::new(), "{path}");
    }
}

/// Goal: whatever an app does to a path, and in whichever order, is among its readings.
#[test]
fn disguises_are_seen_through() {
    for disguise in [
        "//admin/x",
        "/%61dmin/x",
        "/admin%2fx",
        "/admin\\x",
        "/admin%5Cx",
        "/admin//x",
        "/;y/admin/x",
        "/admin;v=1/x",
        "/admin;%2fy/x",
        "/admin%3by/x",
        "/%2f;y/%61dmin%3bz;%2f/x;jsessionid=1",
    ] {
        assert!(readings(disguise).contains(&"/admin/x".to_owned()), "{disguise}: {:?}", readings(disguise));
    }
    assert_eq!(readings("/admin//"), ["/admin/"]);
    assert_eq!(readings("/%ff"), ["/\u{fffd}"]);
    // One who only resolves escapes, one who only merges slashes, one who cuts first and one who cuts last.
    for reading in ["/a;//b", "/a;%2f/b", "/a//b", "/a/b"] {
        assert!(readings("/a;%2f/b").contains(&reading.to_owned()) || reading == "/a;%2f/b", "{reading}");
    }
}

/// Goal: a path with dots to follow leads somewhere else for everybody who reads it.
#[test]
fn dots_are_unclear() {
    for path in [
        "/..",
        "/admin/.",
        "/./admin/x",
        "/a/../admin/x",
        "/%61dmin/x/../../y",
        "//admin/../y",
        "/a/%2e%2E/admin/x",
        "/a/..%2fadmin/x",
        "/a/..\\admin/x",
        "/..;/admin/x",
        "/a/..;x%2f/admin/x",
        "/a/%2e%3bx/b",
    ] {
        assert_eq!(other_readings(path), Readings::Unclear, "{path}");
    }
}

/// Goal: dots that lead to another folder are seen, also when they are encoded; others are not.
#[test]
fn dot_segments_are_seen() {
    for path in ["/.", "/..", "/a/../b", "/%2e", "/%2E%2e/", "/.%2e", "/a/./", "..", "/%2f..%2fx", "/..;x"] {
        assert!(has_dots(path.as_bytes()), "{path}");
    }
    for path in ["/", "/...", "/a.b", "/.well-known/x", "/%2e%2e%2e", "/a..", "/%2f..x", "/%252e", "/a;../b"] {
        assert!(!has_dots(path.as_bytes()), "{path}");
    }
}
