use super::*;

fn source() -> Source {
    Source { replica: "api-1".to_owned(), release: 1, error: false }
}

fn print(log: &Log, numbers: std::ops::Range<usize>) {
    for number in numbers {
        log.append(&source(), 0, &[Piece { text: format!("line {number}").into(), continued: false }]);
    }
}

fn texts(log: &Log, count: usize) -> Vec<String> {
    log.read(count, false).unwrap().past.into_iter().map(|line| line.text).collect()
}

fn lines(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

/// Goal: the last lines are found in memory, in the file, and across the rotation, in order.
#[test]
fn the_last_lines_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), "api", 128 * 1024);
    print(&log, 0..4000);
    assert!(folder.path().join("api.log.1").exists(), "four thousand lines are more than half of what is kept");
    for count in [0, 1, 499, 501, 2000] {
        assert_eq!(texts(&log, count), lines(4000 - count..4000));
    }
    let later = Log::new(folder.path(), "api", 128 * 1024);
    assert_eq!(texts(&later, 2000), lines(2000..4000), "another prumo reads what this one wrote");
}

/// Goal: both files together stay within what is kept.
#[test]
fn the_files_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), "api", KEEP_BYTES_MIN);
    print(&log, 0..20_000);
    let stored: u64 = fs::read_dir(folder.path()).unwrap().flatten().map(|file| file.metadata().unwrap().len()).sum();
    assert!(stored <= KEEP_BYTES_MIN, "{stored}");
    assert_eq!(log.counts().lines.load(Ordering::Relaxed), 20_000);
    assert_eq!(log.counts().lost.load(Ordering::Relaxed), 0);
}

/// Goal: when the disk takes nothing, lines are counted as lost, the newest stay in memory, and storing goes on later.
#[test]
fn a_full_disk_loses_only_what_it_must() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(&folder.path().join("not-yet"), "api", 1 << 20);
    print(&log, 0..10);
    assert_eq!(log.counts().lost.load(Ordering::Relaxed), 10);
    assert_eq!(texts(&log, 100), lines(0..10));
    fs::create_dir(folder.path().join("not-yet")).unwrap();
    print(&log, 10..20);
    assert_eq!(log.counts().lost.load(Ordering::Relaxed), 10);
    assert_eq!(texts(&log, 5), lines(15..20));
}

/// Goal: a rotation that fails, here because somebody removed the file, loses a line and not all that follow.
#[test]
fn a_failed_rotation_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), "api", KEEP_BYTES_MIN);
    print(&log, 0..10);
    fs::remove_file(folder.path().join("api.log")).unwrap();
    print(&log, 10..4000);
    assert_eq!(log.counts().lost.load(Ordering::Relaxed), 1);
    let later = Log::new(folder.path(), "api", KEEP_BYTES_MIN);
    assert_eq!(texts(&later, 5), lines(3995..4000));
}

/// Goal: the last lines of a replica are known however much the others print, until the replica is forgotten.
#[test]
fn noisy_neighbours_push_nothing_out() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), "api", 1 << 20);
    log.know("api-2");
    let quiet = Source { replica: "api-2".to_owned(), ..source() };
    for number in 0..30 {
        log.append(&quiet, 0, &[Piece { text: format!("line {number}").into(), continued: false }]);
    }
    print(&log, 0..2 * RECENT_LINES_MAX);
    assert_eq!(log.last_of("api-2"), lines(10..30));
    log.forget("api-2");
    assert!(log.last_of("api-2").is_empty());
}

/// Goal: a torn line in the file is passed over.
#[test]
fn a_torn_line_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("api.log"), "0\tapi-1\t1\to\tline 0\n17000\n0\tapi-1\t1\to\tline 1\n").unwrap();
    assert_eq!(texts(&Log::new(folder.path(), "api", 1 << 20), 10), lines(0..2));
}

/// Goal: a follower who does not keep up is told how much it missed, and nobody waits for it.
#[tokio::test]
async fn a_slow_follower_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), "api", 1 << 20);
    let mut follow = log.read(0, true).unwrap().following.unwrap();
    print(&log, 0..FOLLOWER_LINES_MAX + 44);
    assert_eq!(follow.next().await, Some(Followed::Missed(44)));
    let Some(Followed::Line(line)) = follow.next().await else { panic!("no line") };
    assert_eq!(line.text, "line 44");
}
