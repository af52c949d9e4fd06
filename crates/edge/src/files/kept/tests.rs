use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::super::look::{CONTENTS_BYTES_MAX, Look, Looked, Patience, look};
use super::*;

/// A file of this many bytes, as it was found.
fn file(folder: &Path, bytes: u64) -> Arc<Found> {
    fs::write(folder.join("file"), vec![b'x'; bytes as usize]).expect("a file");
    let path = b"file".to_vec();
    let looked = look(
        &Look { folder: folder.into(), path, precompressed: false, known: None, now: SystemTime::UNIX_EPOCH },
        Patience::Endless,
    );
    match looked {
        Ok(Looked::File(found)) => found,
        other => panic!("{other:?}"),
    }
}

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

fn memory(kept: &Kept, path: &[u8], now: Moment) -> &'static str {
    match kept.recall(path, now) {
        Memory::Fresh(_) => "fresh",
        Memory::Stale(_) => "stale",
        Memory::Nothing => "nothing",
    }
}

/// Goal: a look holds for less than a second, then the file is to be looked at again.
#[test]
fn a_look_holds_for_a_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::new(Budget::new(1));
    let found = file(folder.path(), 10);
    assert_eq!(memory(&kept, b"a", at(0)), "nothing");
    kept.keep(b"a", &found, at(0));
    assert_eq!(memory(&kept, b"a", at(499)), "fresh");
    assert_eq!(memory(&kept, b"a", at(500)), "stale");
    kept.keep(b"a", &found, at(500));
    assert_eq!(memory(&kept, b"a", at(900)), "fresh");
    kept.forget(b"a");
    assert_eq!(memory(&kept, b"a", at(900)), "nothing");
}

/// Goal: what nobody asks for is forgotten.
#[test]
fn forgets_what_is_not_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let budget = Budget::new(1);
    let kept = Kept::new(Rc::clone(&budget));
    let found = file(folder.path(), 10);
    kept.keep(b"a", &found, at(0));
    kept.keep(b"b", &found, at(0));
    kept.recall(b"b", at(20_000));
    kept.sweep(at(30_000));
    assert_eq!(memory(&kept, b"a", at(30_000)), "nothing");
    assert_eq!(memory(&kept, b"b", at(30_000)), "stale");
    assert_eq!(budget.bytes.get(), 10);
    drop(kept);
    assert_eq!(budget.bytes.get(), 0);
}

/// Goal: neither the number of files, nor their bytes, nor those held open grow without bound.
#[test]
fn is_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let budget = Budget::new(64);
    let (kept, other) = (Kept::new(Rc::clone(&budget)), Kept::new(Rc::clone(&budget)));
    let small = file(folder.path(), 1);
    for number in 0..FILES_MAX as u64 + 10 {
        kept.keep(&number.to_le_bytes(), &small, at(number));
    }
    assert_eq!(kept.files.borrow().len(), FILES_MAX);
    assert_eq!(memory(&kept, &0_u64.to_le_bytes(), at(0)), "nothing", "the oldest went first");
    let full = file(folder.path(), CONTENTS_BYTES_MAX);
    for number in 0..100_u64 {
        kept.keep(&number.to_le_bytes(), &full, at(1_000 + number));
    }
    assert!(budget.bytes.get() <= BYTES_MIN_OF_CORE);
    assert_eq!(kept.files.borrow().len(), BYTES_MIN_OF_CORE / CONTENTS_BYTES_MAX as usize);
    let large = file(folder.path(), CONTENTS_BYTES_MAX + 1);
    for number in 0..100_u64 {
        other.keep(&number.to_le_bytes(), &large, at(number));
    }
    assert_eq!(budget.open.get(), OPEN_MAX);
    drop((kept, other));
    assert_eq!((budget.bytes.get(), budget.open.get()), (0, 0));
}
