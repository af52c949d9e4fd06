//! Files of a folder, as clients get them.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests watch the edge from outside, with programs, threads and time of their own"
)]

mod site;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use prumo_edge::{AccessLog, Action, Files, LineFormat, PathMatch, Route, Settings, Share};
use site::{Answer, Site, Wire, eventually, resident_bytes};

/// A site that answers everything with the files of one folder.
struct Shop {
    site: Site,
    folder: tempfile::TempDir,
}

impl Shop {
    fn open() -> Shop {
        Shop::with(|_| {}, |_| {})
    }

    fn with(set: impl FnOnce(&mut Settings), shape: impl FnOnce(&mut Files)) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let public = folder.path().join("public");
        fs::create_dir_all(public.join("docs")).unwrap();
        fs::create_dir_all(public.join("empty")).unwrap();
        fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        let mut files = Files::of(&public);
        shape(&mut files);
        let path = folder.path().join("access.log");
        let log = AccessLog { path, keep_bytes: 1 << 20, format: LineFormat::Json, sample: Share::ALL };
        let logged = |settings: &mut Settings| {
            settings.access_log = Some(log);
            set(settings);
        };
        let site = Site::start_with(logged, |route| *route = Route::new("files", Action::Files(files)));
        let shop = Shop { site, folder };
        shop.write("index.html", "<p>shop");
        shop.write("docs/index.html", "<p>docs");
        shop.write("app.js", "alert(1)");
        shop.write("digits.txt", "0123456789");
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("public").join(name)
    }

    /// Writes a file as it was an hour ago, so that its times can be trusted.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
        age(&fs::File::options().write(true).open(self.path(name)).unwrap());
    }

    /// A file of many bytes that takes no place on the disk.
    fn write_large(&self, name: &str, bytes: u64) {
        let file = fs::File::create(self.path(name)).unwrap();
        file.set_len(bytes).unwrap();
        age(&file);
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let mut wire = self.site.connect();
        wire.send(request(method, path, headers).as_bytes());
        if method == "HEAD" { wire.head() } else { wire.answer() }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }

    fn curl(&self, arguments: &[&str], path: &str) -> Output {
        let url = format!("http://{}{path}", self.site.http());
        let output = Command::new("curl").args(["--silent", "--show-error"]).args(arguments).arg(url).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

/// Makes a file one of an hour ago.
fn age(file: &fs::File) {
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
}

/// Reads what still comes without keeping it, and counts it: tests of memory run in the same process.
fn count_rest(wire: &mut Wire) -> u64 {
    let mut part = vec![0; 64 << 10];
    let mut count = 0;
    // Closed or reset: either way it ends.
    while let Ok(read @ 1..) = wire.reader.read(&mut part) {
        count += read as u64;
    }
    count
}

fn request(method: &str, path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n")
}

/// Goal: a file is sent with its kind, its length, and what tells its states apart; no answer is guessed at.
#[test]
fn sends_files() {
    let shop = Shop::open();
    let answer = shop.get("/app.js");
    assert_eq!((answer.status, answer.text().as_str()), (200, "alert(1)"));
    for (name, expected) in [
        ("content-type", "text/javascript; charset=utf-8"),
        ("content-length", "8"),
        ("accept-ranges", "bytes"),
        ("cache-control", "no-cache"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(expected), "{name}");
    }
    assert!(answer.header("etag").unwrap().starts_with('"'), "a strong tag");
    for name in ["last-modified", "date", "x-request-id"] {
        assert!(answer.header(name).is_some(), "{name}");
    }
    for name in ["vary", "content-encoding", "content-range", "server"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

/// Goal: a folder answers with its index, at its slash; it is never listed.
#[test]
fn answers_for_folders() {
    let shop = Shop::open();
    assert_eq!(shop.get("/").text(), "<p>shop");
    assert_eq!(shop.get("/docs/").text(), "<p>docs");
    let redirect = shop.get("/docs?a=/b");
    assert_eq!((redirect.status, redirect.header("location")), (301, Some("/docs/?a=/b")));
    for path in ["/empty", "/empty/", "/app.js/", "/none", "/none/", "/docs/none.html"] {
        let answer = shop.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains("index"), "{path}");
    }
}

/// Goal: HEAD is GET without the body, and nothing else is allowed.
#[test]
fn takes_get_and_head_only() {
    let shop = Shop::open();
    let (get, head) = (shop.get("/app.js"), shop.ask("HEAD", "/app.js", &[]));
    assert_eq!(head.status, 200);
    for name in ["content-length", "content-type", "etag", "last-modified", "cache-control"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        let answer = shop.ask(method, "/app.js", &["Content-Length: 0"]);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

/// Goal: a body that nobody asked for is never taken for the next request.
#[test]
fn does_not_read_bodies() {
    let shop = Shop::open();
    let mut wire = shop.site.connect();
    wire.send(b"GET /app.js HTTP/1.1\r\nHost: a.test\r\nContent-Length: 60\r\n\r\nGET /docs/ HTTP/1.1\r\n");
    let answer = wire.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(wire.is_closed());
}

/// Goal: one range is answered with it, several with the whole, one beyond the end with 416.
#[test]
fn sends_parts() {
    let shop = Shop::open();
    for (range, status, text, content_range) in [
        ("bytes=0-0", 206, "0", Some("bytes 0-0/10")),
        ("bytes=3-5", 206, "345", Some("bytes 3-5/10")),
        ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-2", 206, "89", Some("bytes 8-9/10")),
        ("bytes=0-999", 206, "0123456789", Some("bytes 0-9/10")),
        ("bytes=0-1,4-5", 200, "0123456789", None),
        ("bytes=5-3", 200, "0123456789", None),
        ("lines=0-1", 200, "0123456789", None),
    ] {
        let answer = shop.ask("GET", "/digits.txt", &[&format!("Range: {range}")]);
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{range}");
        assert_eq!(answer.header("content-range"), content_range, "{range}");
    }
    for range in ["bytes=10-", "bytes=50-60", "bytes=-0"] {
        let answer = shop.ask("GET", "/digits.txt", &[&format!("Range: {range}")]);
        assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */10")), "{range}");
    }
    let head = shop.ask("HEAD", "/digits.txt", &["Range: bytes=3-5"]);
    assert_eq!((head.status, head.header("content-length")), (200, Some("10")), "HEAD knows no ranges");
    let attack = format!("Range: bytes=0-{}", ",0-".repeat(2_000));
    assert_eq!(shop.ask("GET", "/digits.txt", &[&attack]).text(), "0123456789");
}

/// Goal: a copy that is still good is not sent again, and a client that insists on another state is told so.
#[test]
fn answers_conditions() {
    let shop = Shop::open();
    let first = shop.get("/digits.txt");
    let (tag, date) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    let old = "Sat, 01 Jan 2000 00:00:00 GMT";
    for (conditions, expected) in [
        (vec![format!("If-None-Match: {tag}")], 304),
        (vec![format!("If-None-Match: W/{tag}, \"x\"")], 304),
        (vec!["If-None-Match: \"x\"".to_owned(), format!("If-Modified-Since: {date}")], 200),
        (vec![format!("If-Modified-Since: {date}")], 304),
        (vec![format!("If-Modified-Since: {old}")], 200),
        (vec![format!("If-Match: {tag}")], 200),
        (vec!["If-Match: \"x\"".to_owned()], 412),
        (vec![format!("If-Unmodified-Since: {old}")], 412),
        (vec![format!("If-Range: {tag}"), "Range: bytes=0-1".to_owned()], 206),
        (vec![format!("If-Range: {date}"), "Range: bytes=0-1".to_owned()], 206),
        (vec!["If-Range: \"x\"".to_owned(), "Range: bytes=0-1".to_owned()], 200),
        (vec![format!("If-None-Match: {tag}"), "Range: bytes=50-".to_owned()], 304),
        (vec!["If-Range: \"x\"".to_owned(), "Range: bytes=50-".to_owned()], 200),
    ] {
        let lines: Vec<&str> = conditions.iter().map(String::as_str).collect();
        let answer = shop.ask("GET", "/digits.txt", &lines);
        assert_eq!(answer.status, expected, "{conditions:?}");
        if expected == 304 {
            assert_eq!((answer.header("etag"), answer.header("cache-control")), (Some(tag), Some("no-cache")));
            assert!(answer.body.is_empty());
        }
    }
    assert_eq!(shop.ask("GET", "/none", &["If-Match: *"]).status, 404, "what is not there has no conditions");
}

/// Goal: after a 304 and after a HEAD the connection carries the next request.
#[test]
fn keeps_connections() {
    let shop = Shop::open();
    let mut wire = shop.site.connect();
    for _ in 0..3 {
        wire.send(request("HEAD", "/app.js", &[]).as_bytes());
        let tag = format!("If-None-Match: {}", wire.head().header("etag").unwrap());
        wire.send(request("GET", "/app.js", &[&tag]).as_bytes());
        assert_eq!(wire.answer().status, 304);
        wire.send(request("GET", "/digits.txt", &[]).as_bytes());
        assert_eq!(wire.answer().text(), "0123456789");
        wire.send(request("GET", "/none", &[]).as_bytes());
        assert_eq!(wire.answer().status, 404);
    }
}

/// Goal: a client gets the coding it likes best of those beside the file, and caches can tell them apart.
#[test]
fn sends_what_is_beside() {
    let shop = Shop::with(|_| {}, |files| files.precompressed = true);
    shop.write("app.js.br", "BR");
    shop.write("app.js.gz", "GZ");
    let mut tags = Vec::new();
    for (accept, text, coding) in [
        ("gzip, br", "BR", Some("br")),
        ("gzip;q=1, br;q=0.5", "GZ", Some("gzip")),
        ("zstd", "alert(1)", None),
        ("br;q=0", "alert(1)", None),
    ] {
        let answer = shop.ask("GET", "/app.js", &[&format!("Accept-Encoding: {accept}")]);
        assert_eq!((answer.text().as_str(), answer.header("content-encoding")), (text, coding), "{accept}");
        assert_eq!(answer.header("vary"), Some("accept-encoding"), "{accept}");
        assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"), "{accept}");
        tags.push(answer.header("etag").unwrap().to_owned());
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "each coding has a tag of its own: {tags:?}");
    assert_eq!(shop.get("/digits.txt").header("vary"), None, "there is nothing beside it");
    let lines = ["Accept-Encoding: gzip", "Range: bytes=1-"];
    assert_eq!(shop.ask("GET", "/app.js", &lines).text(), "Z", "a part is one of what is sent");
}

/// Goal: an app that makes its pages in the browser gets its page, and a missing file is missing.
#[test]
fn falls_back_to_a_page() {
    let shop = Shop::with(|_| {}, |files| files.fallback = Some("index.html".to_owned()));
    let browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
    for path in ["/orders/7", "/orders/", "/a/b/c?d=e", "/%2e%2e/x"] {
        let answer = shop.ask("GET", path, &[browser]);
        assert_eq!((answer.status, answer.text().as_str()), (200, "<p>shop"), "{path}");
        assert_eq!((answer.header("vary"), answer.header("cache-control")), (Some("accept"), Some("no-cache")));
    }
    for (path, accept) in
        [("/orders/7", "Accept: */*"), ("/gone.js", browser), ("/orders/7", "Accept: application/json")]
    {
        assert_eq!(shop.ask("GET", path, &[accept]).status, 404, "{path} {accept}");
    }
    assert_eq!(shop.ask("GET", "/app.js", &[browser]).text(), "alert(1)");
}

/// Goal: files may be kept for as long as the file says; a page of HTML is asked for each time.
#[test]
fn says_how_long_to_keep() {
    let shop = Shop::with(|_| {}, |files| files.cache = Duration::from_secs(3600));
    assert_eq!(shop.get("/app.js").header("cache-control"), Some("public, max-age=3600"));
    assert_eq!(shop.get("/").header("cache-control"), Some("no-cache"));
}

/// Goal: no bytes on the wire lead out of the folder, to a hidden file, or to what is no file.
#[test]
fn stays_in_the_folder() {
    let shop = Shop::open();
    fs::create_dir(shop.path(".git")).unwrap();
    fs::create_dir(shop.path(".well-known")).unwrap();
    for name in [".git/config", ".env", ".well-known/token", "a\\b", "..\\secret.txt"] {
        shop.write(name, "hidden");
    }
    symlink("../secret.txt", shop.path("link.txt")).unwrap();
    symlink("../../secret.txt", shop.path("docs/link.txt")).unwrap();
    symlink(shop.folder.path(), shop.path("up")).unwrap();
    symlink("/etc", shop.path("etc")).unwrap();
    assert!(Command::new("mkfifo").arg(shop.path("pipe")).status().unwrap().success());
    let attacks = [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/..",
        "/../",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%2fsecret.txt",
        "/.%2e/secret.txt",
        "/docs/%2e%2e/%2e%2e/secret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/%252e%252e/secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/..%c0%afsecret.txt",
        "/%uff0e%uff0e/secret.txt",
        "/..;/secret.txt",
        "//etc/passwd",
        "/etc/passwd",
        "///secret.txt",
        "/./../secret.txt",
        "/link.txt",
        "/docs/link.txt",
        "/up/secret.txt",
        "/secret.txt%00.html",
        "/app.js%00",
        "/app.js%00.png",
        "/.env",
        "/.git/config",
        "/%2eenv",
        "/%2Egit/config",
        "/docs/..%2f..%2fsecret.txt",
        "/a%5cb",
        "/a\\b",
        "/pipe",
        "/app.js/",
        "/app.js/../../secret.txt",
        "/%",
        "/%f",
        "/%zz",
    ];
    for path in attacks {
        for request in [
            format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            format!("GET http://a.test{path} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        ] {
            let mut wire = shop.site.connect();
            wire.send(request.as_bytes());
            let answer = wire.answer();
            assert!(matches!(answer.status, 400 | 404), "{request:?}: {}", answer.status);
            let text = answer.text();
            assert!(
                !["secret\n", "root:", "hidden"].iter().any(|inside| text.contains(inside)) && text != "secret",
                "{request:?}"
            );
        }
    }
    assert_eq!(shop.get("/.well-known/token").text(), "hidden", "made to be read");
    assert_eq!(shop.get("//evil.test/..").header("location"), None);
    assert_eq!(shop.get("//docs").header("location"), None, "a redirect never leads to another host");
}

/// Goal: a deploy that replaces, adds or removes files, or swaps the folder itself, is seen without a restart.
#[test]
fn sees_deploys() {
    let releases = tempfile::tempdir().unwrap();
    for release in ["one", "two"] {
        fs::create_dir(releases.path().join(release)).unwrap();
        fs::write(releases.path().join(release).join("version.txt"), release).unwrap();
    }
    let current = releases.path().join("current");
    symlink("one", &current).unwrap();
    let shop = Shop::with(|_| {}, |files| files.folder.clone_from(&current));
    assert_eq!(shop.get("/version.txt").text(), "one");
    symlink("two", releases.path().join("next")).unwrap();
    fs::rename(releases.path().join("next"), &current).unwrap();
    eventually("the new folder is seen", || shop.get("/version.txt").text() == "two");
    fs::write(releases.path().join("new"), "three").unwrap();
    fs::rename(releases.path().join("new"), current.join("version.txt")).unwrap();
    eventually("the new file is seen", || shop.get("/version.txt").text() == "three");
    fs::write(current.join("version.txt"), "four!").unwrap();
    eventually("the new contents are seen", || shop.get("/version.txt").text() == "four!");
    fs::remove_file(current.join("version.txt")).unwrap();
    eventually("its end is seen", || shop.get("/version.txt").status == 404);
    fs::write(current.join("version.txt"), "five").unwrap();
    // Each core remembers for itself: one of them may have missed that the file was gone.
    eventually("its return is seen", || shop.get("/version.txt").text() == "five");
    assert_eq!(shop.get("/new.txt").status, 404);
    fs::write(current.join("new.txt"), "six").unwrap();
    assert_eq!(shop.get("/new.txt").text(), "six", "what was not there is not remembered");
}

/// Goal: a file that gets shorter or is written to while it is sent cuts the connection; nothing is padded.
#[test]
fn cuts_what_changes() {
    for (change, fast_path) in [("shorter", true), ("written", true), ("shorter", false), ("written", false)] {
        let shop = Shop::with(|settings| settings.fast_path = fast_path, |_| {});
        shop.write_large("large.bin", 64 << 20);
        let mut wire = shop.site.connect();
        wire.send(request("GET", "/large.bin", &[]).as_bytes());
        wire.read_until("\r\n\r\n");
        wire.reader.read_exact(&mut [0; 1024]).unwrap();
        let file = fs::File::options().write(true).open(shop.path("large.bin")).unwrap();
        match change {
            "shorter" => file.set_len(1 << 20).unwrap(),
            _ => std::os::unix::fs::FileExt::write_all_at(&file, b"x", 63 << 20).unwrap(),
        }
        let body = 1024 + count_rest(&mut wire);
        assert!(body < 64 << 20, "{change}: {body} bytes came, fast: {fast_path}");
        eventually("the log says why", || shop.log().contains("\"cut\":\"file\""));
    }
}

/// Goal: a file that was replaced while it is sent is sent to its end, as it was.
#[test]
fn finishes_what_was_replaced() {
    let shop = Shop::open();
    shop.write_large("large.bin", 64 << 20);
    let mut wire = shop.site.connect();
    wire.send(request("GET", "/large.bin", &["Connection: close"]).as_bytes());
    wire.read_until("\r\n\r\n");
    shop.write("new.bin", "short");
    fs::rename(shop.path("new.bin"), shop.path("large.bin")).unwrap();
    assert_eq!(count_rest(&mut wire), 64 << 20);
}

/// Goal: the size of a file and the number of slow clients do not decide how much memory is used.
#[test]
fn takes_little_memory() {
    let shop = Shop::open();
    shop.write_large("large.bin", 512 << 20);
    // More would fill what the system has for all sockets, several MiB each, and it would cut those of other tests.
    let slow: Vec<Wire> = (0..50)
        .map(|_| {
            let mut wire = shop.site.connect();
            wire.send(request("GET", "/large.bin", &[]).as_bytes());
            wire
        })
        .collect();
    let before = resident_bytes();
    let mut wire = shop.site.connect();
    wire.send(request("GET", "/large.bin", &["Connection: close"]).as_bytes());
    let sent = std::io::copy(&mut wire.reader, &mut std::io::sink()).unwrap();
    assert!(sent > 512 << 20, "{sent}");
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 256 << 20, "{grown} bytes more than before, for 51 downloads of 512 MiB");
    drop(slow);
}

/// Goal: a client that stops taking its download is cut off, and the log says so.
#[test]
fn cuts_stalled_clients() {
    let shop = Shop::with(|settings| settings.body_timeout = Duration::from_millis(300), |_| {});
    shop.write_large("large.bin", 256 << 20);
    let mut wire = shop.site.connect();
    wire.send(request("GET", "/large.bin", &[]).as_bytes());
    eventually("the log says that it stalled", || shop.log().contains("\"cut\":\"stalled\""));
    wire.read_until("\r\n\r\n");
    let body = count_rest(&mut wire);
    assert!(body < 256 << 20, "{body} bytes came");
}

/// Goal: a large file arrives byte for byte, whole and in parts, one after the other on a connection, whichever of the
/// two paths serves it and whether or not it is in memory.
#[test]
fn sends_large_files_as_they_are() {
    // No two stretches of it are alike, and its end is no round number.
    let text: Vec<u8> = (0_u32..700_001).flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let (length, parts) = (text.len(), [(0, 300_000), (65_535, 1_500_000), (2_700_000, text.len() - 1)]);
    for fast_path in [true, false] {
        let shop = Shop::with(|settings| settings.fast_path = fast_path, |_| {});
        shop.write("large.bin", &text);
        let mut wire = shop.site.connect();
        for _ in 0..2 {
            wire.send(request("GET", "/large.bin", &[]).as_bytes());
            let answer = wire.answer();
            assert_eq!((answer.status, answer.body.len()), (200, length), "fast path: {fast_path}");
            assert!(answer.body == text, "fast path: {fast_path}");
            for (first, last) in parts {
                wire.send(request("GET", "/large.bin", &[&format!("Range: bytes={first}-{last}")]).as_bytes());
                let answer = wire.answer();
                assert_eq!(answer.status, 206, "fast path: {fast_path}");
                assert!(answer.body == text[first..=last], "fast path: {fast_path}, {first} to {last}");
            }
        }
        drop(wire);
        let sent = 2 * parts.iter().fold(length, |sum, (first, last)| sum + last + 1 - first);
        let logged = || -> usize {
            let lines = shop.log();
            let lines = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            lines.filter_map(|line| line["bytes_out"].as_u64()).sum::<u64>() as usize
        };
        eventually("the log tells of every byte", || logged() == sent);
        assert!(!shop.log().contains("\"cut\""), "{}", shop.log());
    }
}

/// Goal: over a file route, too, a client that sends several requests at once gets its answers in their order, errors
/// among them, and the connection goes on as long as it may.
#[test]
fn answers_pipelined_requests() {
    let shop = Shop::open();
    let mut wire = shop.site.connect();
    let all = [
        request("GET", "/digits.txt", &[]),
        request("GET", "/none", &["Accept: text/html"]),
        request("GET", "/digits.txt", &["Range: bytes=90-"]),
        request("GET", "/docs", &[]),
        request("GET", "/app.js", &["Connection: close"]),
    ];
    wire.send(all.concat().as_bytes());
    for (status, text) in [(200, "0123456789"), (404, "<!doctype html>"), (416, ""), (301, ""), (200, "alert(1)")] {
        let answer = wire.answer();
        assert_eq!(answer.status, status);
        assert!(answer.text().to_ascii_lowercase().starts_with(text), "{}", answer.text());
    }
    assert!(wire.is_closed(), "the last one was asked for as the last");
}

/// Goal: access log and metrics tell of files as of everything else.
#[test]
fn is_recorded() {
    let shop = Shop::open();
    shop.get("/app.js");
    shop.get("/none");
    shop.ask("GET", "/digits.txt", &["Range: bytes=2-4"]);
    eventually("three lines are written", || shop.log().lines().count() == 3);
    let log = shop.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (path, status, bytes) in [("/app.js", 200, 8), ("/digits.txt", 206, 3)] {
        let line = lines.iter().find(|line| line["path"] == path).unwrap();
        assert_eq!((&line["route"], &line["service"]), (&"files".into(), &"".into()), "{path}");
        assert_eq!((&line["status"], &line["bytes_out"]), (&status.into(), &bytes.into()), "{path}");
        assert_eq!(line.get("cut"), None, "{path}");
    }
    let missing = lines.iter().find(|line| line["path"] == "/none").unwrap();
    assert_eq!((&missing["status"], &missing["refused"]), (&404.into(), &"no_file".into()));
    let metrics = shop.site.metrics();
    assert!(metrics.contains("reason=\"no_file\"} 1"), "{metrics}");
    let counted = metrics.lines().filter(|line| line.contains("route=\"files\"") && line.contains("2xx"));
    assert!(counted.clone().any(|line| line.ends_with(" 2")), "{:?}", counted.collect::<Vec<_>>());
}

/// Goal: the path below a route's prefix is the path in its folder; a route for one path has the path itself.
#[test]
fn serves_below_a_prefix() {
    for (path, asked, expected) in [
        (PathMatch::Prefix("/static".into()), "/static/app.js", 200),
        (PathMatch::Prefix("/static/".into()), "/static/docs/", 200),
        (PathMatch::Prefix("/static".into()), "/static", 301),
        (PathMatch::Prefix("/static".into()), "/static/static/app.js", 404),
        (PathMatch::Exact("/app.js".into()), "/app.js", 200),
    ] {
        let shop = Shop::open();
        let mut route = Route::new("files", Action::Files(Files::of(shop.path(""))));
        route.path = path.clone();
        let generation = shop.site.edge.routes(vec![route]).unwrap();
        eventually("the cores take the table", || shop.site.edge.settled(generation));
        assert_eq!(shop.get(asked).status, expected, "{asked} at {path:?}");
    }
}

/// Goal: curl resumes a download that was broken off, and gets the same bytes over HTTP/1 and HTTP/2.
#[test]
fn curl_resumes() {
    let shop = Shop::open();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    shop.write("photo.jpg", &bytes);
    let part = shop.folder.path().join("part.jpg");
    for protocol in ["--http1.1", "--http2-prior-knowledge"] {
        fs::write(&part, &bytes[..1_234_567]).unwrap();
        let out = part.display().to_string();
        shop.curl(&[protocol, "--continue-at", "-", "--output", &out], "/photo.jpg");
        assert!(fs::read(&part).unwrap() == bytes, "{protocol}: the same bytes");
        assert!(shop.curl(&[protocol], "/photo.jpg").stdout == bytes, "{protocol}: the same bytes at once");
        let middle = shop.curl(&[protocol, "--range", "1000000-1999999"], "/photo.jpg").stdout;
        assert!(middle == bytes[1_000_000..2_000_000], "{protocol}: the middle");
        let head = shop.curl(&[protocol, "--head"], "/app.js").stdout;
        assert!(String::from_utf8_lossy(&head).contains("content-length: 8"), "{protocol}: HEAD says the length");
    }
}

/// Goal: curl understands what lies beside a file.
#[test]
fn curl_decodes() {
    let shop = Shop::with(|_| {}, |files| files.precompressed = true);
    let gzip = |path: &Path| Command::new("gzip").args(["--keep", "--best"]).arg(path).status().unwrap();
    assert!(gzip(&shop.path("app.js")).success());
    let plain = shop.curl(&["--compressed", "--dump-header", "-"], "/app.js").stdout;
    let plain = String::from_utf8_lossy(&plain).to_lowercase();
    assert!(plain.contains("content-encoding: gzip") && plain.ends_with("alert(1)"), "{plain}");
}

/// Goal: a stop waits for downloads, and leaves no thread behind.
#[test]
fn stops_with_its_readers() {
    let shop = Shop::open();
    assert_eq!(shop.get("/app.js").status, 200);
    let report = shop.site.stop(Duration::from_secs(60));
    assert!(report.stages.iter().all(|stage| stage.abandoned.is_empty()), "{report:?}");
}
