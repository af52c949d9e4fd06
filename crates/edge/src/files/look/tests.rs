use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use super::super::found::Source;
use super::*;

fn here() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("public");
    fs::create_dir_all(inside.join("docs")).expect("folders");
    fs::write(inside.join("a.txt"), "alpha").expect("a file");
    fs::write(inside.join("docs/index.html"), "<p>docs").expect("a file");
    fs::write(folder.path().join("secret.txt"), "secret").expect("a file");
    folder
}

fn look_for(folder: &Path, path: &str) -> Look {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    Look { folder: folder.join("public"), path: path.into(), precompressed: true, known: None, now }
}

/// What is there, in a word or by its contents.
fn seen(folder: &Path, path: &str) -> String {
    match look(&look_for(folder, path), Patience::Endless) {
        Ok(Looked::File(found)) => contents(&found.plain),
        Ok(Looked::Folder) => "a folder".to_owned(),
        Ok(Looked::Nothing) => "nothing".to_owned(),
        Err(trouble) => format!("{trouble:?}"),
    }
}

fn contents(variant: &Variant) -> String {
    match &variant.source {
        Source::Memory(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Source::Disk(_) => format!("{} bytes on disk", variant.stamp.length),
    }
}

fn found(look_for: &Look) -> Arc<Found> {
    match look(look_for, Patience::Endless) {
        Ok(Looked::File(found)) => found,
        other => panic!("{other:?}"),
    }
}

/// Goal: files and folders are told apart from nothing.
#[test]
fn finds_files_and_folders() {
    let folder = here();
    for (path, expected) in [
        ("a.txt", "alpha"),
        ("docs/index.html", "<p>docs"),
        ("docs", "a folder"),
        ("", "a folder"),
        ("b.txt", "nothing"),
        ("a.txt/b", "nothing"),
        ("docs/none/at/all", "nothing"),
    ] {
        assert_eq!(seen(folder.path(), path), expected, "{path}");
    }
    assert_eq!(seen(&folder.path().join("gone"), "a.txt"), "nothing");
}

/// Goal: no path and no link leads out of the folder, even if nobody had checked the path before.
#[test]
fn stays_in_the_folder() {
    let folder = here();
    let public = folder.path().join("public");
    symlink("../secret.txt", public.join("out")).expect("a link");
    symlink(folder.path().join("secret.txt"), public.join("absolute")).expect("a link");
    symlink("..", public.join("up")).expect("a link");
    symlink("/proc/self/cwd", public.join("magic")).expect("a link");
    symlink("loop", public.join("loop")).expect("a link");
    for path in
        ["../secret.txt", "docs/../../secret.txt", "/etc/passwd", "out", "absolute", "up/secret.txt", "magic", "loop"]
    {
        assert_eq!(seen(folder.path(), path), "nothing", "{path}");
    }
    symlink("a.txt", public.join("inside")).expect("a link");
    symlink("../a.txt", public.join("docs/inside")).expect("a link");
    assert_eq!(seen(folder.path(), "inside"), "alpha");
    assert_eq!(seen(folder.path(), "docs/inside"), "alpha");
}

/// Goal: the way without `openat2` finds the same files and follows no link at all.
#[test]
fn goes_by_steps() {
    let folder = here();
    let public = folder.path().join("public");
    symlink("a.txt", public.join("inside")).expect("a link");
    symlink("..", public.join("up")).expect("a link");
    let root = rustix::fs::open(&public, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("the folder opens");
    for path in ["a.txt", "docs/index.html"] {
        assert!(open_by_steps(&root, path.as_bytes()).is_ok(), "{path}");
    }
    for path in ["inside", "up/secret.txt", "../secret.txt", "docs/../a.txt", "docs//index.html", "", "./a.txt", "no"] {
        let refused = open_by_steps(&root, path.as_bytes()).expect_err("not to be opened");
        assert!(is_absent(refused), "{path}: {refused:?}");
    }
}

/// Goal: what is no regular file is nothing, and waits for nobody.
#[test]
fn gives_out_regular_files_only() {
    let folder = here();
    let public = folder.path().join("public");
    rustix::fs::mknodat(CWD, public.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let _socket = std::os::unix::net::UnixListener::bind(public.join("socket")).expect("a socket");
    assert_eq!(seen(folder.path(), "pipe"), "nothing");
    assert_eq!(seen(folder.path(), "socket"), "nothing");
}

/// Goal: small contents are read, large ones are left on the disk.
#[test]
fn reads_small_files() {
    let folder = here();
    let public = folder.path().join("public");
    fs::write(public.join("empty"), "").expect("a file");
    fs::write(public.join("small"), vec![b'x'; CONTENTS_BYTES_MAX as usize]).expect("a file");
    fs::write(public.join("large"), vec![b'x'; CONTENTS_BYTES_MAX as usize + 1]).expect("a file");
    assert_eq!(seen(folder.path(), "empty"), "");
    assert_eq!(seen(folder.path(), "small").len(), CONTENTS_BYTES_MAX as usize);
    assert_eq!(seen(folder.path(), "large"), format!("{} bytes on disk", CONTENTS_BYTES_MAX + 1));
}

/// Goal: files beside a file are found in their coding, unless they are left over from an earlier build.
#[test]
fn finds_what_is_beside() {
    let folder = here();
    let public = folder.path().join("public");
    for (name, text) in [("a.txt.br", "BR"), ("a.txt.gz", "GZ"), ("docs/index.html.gz", "OLD")] {
        fs::write(public.join(name), text).expect("a file");
    }
    let old = fs::File::options().write(true).open(public.join("docs/index.html.gz")).expect("the file opens");
    old.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)).expect("an old time");
    let all = found(&look_for(folder.path(), "a.txt"));
    assert_eq!(contents(all.variant(Some(Coding::Brotli))), "BR");
    assert_eq!(contents(all.variant(Some(Coding::Gzip))), "GZ");
    assert_eq!(contents(all.variant(Some(Coding::Zstandard))), "alpha", "there is none");
    assert_ne!(all.variant(Some(Coding::Gzip)).tag, all.plain.tag, "each has a tag of its own");
    assert!(!found(&look_for(folder.path(), "docs/index.html")).has_coded(), "it is years older than the page");
    let plain = Look { precompressed: false, ..look_for(folder.path(), "a.txt") };
    assert!(!found(&plain).has_coded());
}

/// Goal: another state of a file has another tag; the same state keeps its contents.
#[test]
fn notices_changes() {
    let folder = here();
    let path = folder.path().join("public/a.txt");
    let first = found(&look_for(folder.path(), "a.txt"));
    let again =
        |known: &Arc<Found>| found(&Look { known: Some(Arc::clone(known)), ..look_for(folder.path(), "a.txt") });
    let second = again(&first);
    assert!(Arc::ptr_eq(&first, &second), "nothing was read");
    fs::write(&path, "ALPHA").expect("the file is written");
    let third = again(&second);
    assert_eq!(contents(&third.plain), "ALPHA");
    assert_ne!(third.plain.tag, second.plain.tag);
    fs::write(folder.path().join("public/new"), "alpha").expect("a file");
    fs::rename(folder.path().join("public/new"), &path).expect("the file is replaced");
    assert_ne!(again(&third).plain.tag, third.plain.tag);
}

/// Goal: a file that was changed this very moment is read again, whatever its times say.
#[test]
fn distrusts_young_files() {
    let folder = here();
    let stat = rustix::fs::stat(folder.path().join("public/a.txt")).expect("it is there");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(stat.st_mtime.cast_unsigned() + 1);
    let look_for = Look { now, ..look_for(folder.path(), "a.txt") };
    let first = found(&look_for);
    let second = found(&Look { known: Some(Arc::clone(&first)), ..look_for });
    assert!(!Arc::ptr_eq(&first, &second), "it was read again");
    assert_eq!(first.plain.tag, second.plain.tag);
}

/// Goal: a file from the future has no date to compare.
#[test]
fn does_not_believe_the_future() {
    let folder = here();
    let look_for = look_for(folder.path(), "a.txt");
    assert!(found(&look_for).plain.last_modified.is_some());
    let before = Look { now: SystemTime::UNIX_EPOCH + Duration::from_secs(1), ..look_for };
    assert_eq!(found(&before).plain.last_modified, None);
    assert_eq!(found(&before).plain.modified, None);
}

/// Goal: without patience the answer is the same, or that it would have to wait.
#[test]
fn can_look_without_waiting() {
    let folder = here();
    let look_for = look_for(folder.path(), "a.txt");
    found(&look_for);
    match look(&look_for, Patience::None) {
        Ok(Looked::File(found)) => assert_eq!(contents(&found.plain), "alpha"),
        Err(Trouble::WouldWait) => {}
        other => panic!("{other:?}"),
    }
}
