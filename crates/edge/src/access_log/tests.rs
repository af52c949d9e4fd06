use prumo_clock::Clock;

use super::*;

fn anywhere() -> AccessLog {
    AccessLog { path: "anywhere".into(), keep_bytes: 1 << 20, format: LineFormat::Json, sample: Share::ALL }
}

/// Goal: the log turns over within its bytes and keeps the newest lines.
#[test]
fn turns_over() {
    let folder = tempfile::tempdir().unwrap();
    let log = AccessLog { path: folder.path().join("access.log"), keep_bytes: 256 * 1024, ..anywhere() };
    let mut file = LogFile::open(&log).unwrap();
    for number in 0..1000 {
        file.append(format!("{number:04} {}\n", "x".repeat(1000)).as_bytes()).unwrap();
    }
    let current = std::fs::read_to_string(&log.path).unwrap();
    let before = std::fs::read_to_string(previous(&log.path)).unwrap();
    assert!(current.len() + before.len() <= 256 * 1024);
    assert!(current.contains("\n0999 ") || current.starts_with("0999 "));
    let last_before: u32 = before.lines().last().unwrap()[..4].parse().unwrap();
    assert!(current.starts_with(&format!("{:04}", last_before + 1)), "no line is lost in between");
    drop(file);
    LogFile::open(&log).unwrap().append(b"last\n").unwrap();
    assert_eq!(std::fs::read_to_string(&log.path).unwrap(), current + "last\n", "a restart appends");
}

/// Goal: lines are timed, gathered, and sent when there are enough or when flushed; a writer that is behind loses
/// lines, which are counted, and nobody waits.
#[test]
fn gathers_lines_without_waiting() {
    let (mailbox, inbox) = sync_channel(1);
    let lines = Lines::new(mailbox, &anywhere());
    let at = |millis: i64| Timestamp::from_millis(1_795_230_000_000 + millis);
    let write = |line: &mut Vec<u8>, time: &[u8]| line.extend_from_slice(time);
    lines.write_line(at(7), write);
    lines.write_line(at(1042), write);
    assert!(inbox.try_recv().is_err());
    lines.flush();
    let batch = String::from_utf8(inbox.try_recv().unwrap()).unwrap();
    assert_eq!(batch, "2026-11-21T03:00:00.007Z\n2026-11-21T03:00:01.042Z\n");
    for _ in 0..3 {
        lines.write_line(at(0), write);
        lines.flush();
    }
    assert_eq!(lines.take_lost(), 2);
    assert_eq!(lines.take_lost(), 0);
}

/// Goal: buffers come back and are used again.
#[test]
fn buffers_are_used_again() {
    let (mailbox, _inbox) = sync_channel(1);
    let lines = Lines::new(mailbox, &anywhere());
    let mut buffer = lines.borrow_buffer();
    buffer.extend_from_slice(b"old");
    let place = buffer.as_ptr();
    lines.return_buffer(buffer);
    let again = lines.borrow_buffer();
    assert!(again.is_empty() && again.as_ptr() == place);
}

/// Goal: a full disk costs lines, is said once, and ends by itself.
#[test]
fn a_full_disk_costs_lines_only() {
    let log = AccessLog { path: "/dev/full".into(), keep_bytes: 1 << 20, ..anywhere() };
    let drain = prumo_drain::Drain::new(Clock::system());
    let (mailbox, lost) = open(&log, &drain.stage("edge")).unwrap();
    mailbox.send(b"one\ntwo\n".to_vec()).unwrap();
    drop(mailbox);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(drain.stop(std::time::Duration::from_secs(60)));
    assert!(report.is_clean());
    assert_eq!(lost.load(Ordering::Relaxed), 2);
}

/// Goal: a file that was moved away, as logrotate does, gets no more lines, and the path gets all of them.
#[test]
fn a_moved_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = AccessLog { path: folder.path().join("access.log"), ..anywhere() };
    let mut file = LogFile::open(&log).unwrap();
    file.append(b"one\n").unwrap();
    let moved = folder.path().join("access.log-20261121");
    std::fs::rename(&log.path, &moved).unwrap();
    file.append(b"two\n").unwrap();
    std::fs::remove_file(&log.path).unwrap();
    file.append(b"three\n").unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!((read(&moved), read(&log.path)), ("one\n".to_owned(), "three\n".to_owned()));
}

/// Goal: both forms say the time as their readers expect it.
#[test]
fn dates_are_written() {
    let wall = Timestamp::from_millis(1_795_230_000_000 + 61_007);
    assert_eq!(Date::new(LineFormat::Json).text_of(wall), b"2026-11-21T03:01:01.007Z");
    assert_eq!(Date::new(LineFormat::Combined).text_of(wall), b"21/Nov/2026:03:01:01 +0000");
}
