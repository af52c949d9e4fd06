use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use prumo_clock::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::audit::tests::{fill, log};
use crate::audit::{Entry, append, entries};
use crate::table::migrate;

/// What an intruder with a SQLite shell does first.
const UNLOCK: &str = "
    DROP TRIGGER audit_in_order; DROP TRIGGER audit_moves_head; DROP TRIGGER audit_no_update;
    DROP TRIGGER audit_no_delete; DROP TRIGGER audit_head_no_delete;";

/// Undoes [`UNLOCK`], as a careful intruder does last.
fn lock_again(connection: &Connection) {
    let triggers = TABLE.migrations[0].split_once("CREATE TRIGGER").unwrap().1;
    connection.execute_batch(&format!("CREATE TRIGGER{triggers}")).unwrap();
}

fn check(alteration: &str, expected_at: u64, expected_why: &str) {
    let connection = log(5);
    connection.execute_batch(UNLOCK).unwrap();
    connection.execute_batch(alteration).unwrap();
    lock_again(&connection);
    match verify(&connection).unwrap() {
        Verdict::Broken { at, why } => assert_eq!((at, &*why), (expected_at, expected_why), "{alteration}"),
        intact @ Verdict::Intact { .. } => panic!("{alteration}: {intact:?}"),
    }
}

/// Goal: whatever is altered, removed, reordered or cut off is found, at the entry where it happened.
#[test]
fn alterations_are_found_where_they_are() {
    check("UPDATE audit SET detail = 'release 9' WHERE seq = 3", 3, "entry 3 is not what was recorded");
    check("UPDATE audit SET actor = 'eve' WHERE seq = 1", 1, "entry 1 is not what was recorded");
    check("UPDATE audit SET at = at + 1 WHERE seq = 5", 5, "entry 5 is not what was recorded");
    check("UPDATE audit SET digest = zeroblob(32) WHERE seq = 2", 2, "entry 2 is not what was recorded");
    check("UPDATE audit SET previous = zeroblob(32) WHERE seq = 4", 4, "entry 4 does not follow the entry before it");
    check("DELETE FROM audit WHERE seq = 3", 3, "entry 3 is missing, entry 4 follows");
    check("DELETE FROM audit WHERE seq = 1", 1, "entry 1 is missing, entry 2 follows");
    check("DELETE FROM audit WHERE seq = 5", 5, "the log ends with entry 4, its head says 5");
    check("DELETE FROM audit", 1, "the log ends with entry 0, its head says 5");
    check(
        "UPDATE audit SET seq = 9 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 9",
        2,
        "entry 2 does not follow the entry before it",
    );
    check(
        "DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3",
        3,
        "entry 3 does not follow the entry before it",
    );
    check("UPDATE audit SET seq = -1 WHERE seq = 1", 1, "it cannot be read: Integer -1 out of range at index 0");
    check(
        "UPDATE audit SET digest = x'00' WHERE seq = 4",
        4,
        "it cannot be read: Invalid column type Blob at index: 7, name: a digest of 32 bytes",
    );
    check("UPDATE audit_head SET digest = zeroblob(32)", 6, "the head has another digest than the last entry");
    check(
        "UPDATE audit_head SET digest = x'00'",
        6,
        "the head cannot be read: Invalid column type Blob at index: 1, name: a digest of 32 bytes",
    );
    check("DELETE FROM audit_head", 6, "the head cannot be read: Query returned no rows");
}

/// Goal: locks that were taken off are a finding in themselves, even when no entry was touched.
#[test]
fn missing_locks_are_found() {
    let connection = log(2);
    connection.execute_batch("DROP TRIGGER audit_no_update").unwrap();
    let why = "its table or the triggers that refuse changes were altered".to_owned();
    assert_eq!(verify(&connection), Ok(Verdict::Broken { at: 0, why }));
}

/// Goal: an untouched log is intact, empty or not, and its head is the last digest.
#[test]
fn an_untouched_log_is_intact() {
    assert_eq!(verify(&log(0)), Ok(Verdict::Intact { entries: 0, head: GENESIS }));
    let connection = log(7);
    let head = entries(&connection, 6, 1).unwrap()[0].digest;
    assert_eq!(verify(&connection), Ok(Verdict::Intact { entries: 7, head }));
}

/// A ledger file whose bytes can be altered.
struct Specimen {
    folder: TempDir,
    bytes: Vec<u8>,
}

impl Specimen {
    fn new(fill: impl FnOnce(&mut Connection)) -> Specimen {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("original.db");
        let mut connection = file::open_to_write(&path).unwrap();
        migrate(&path, &mut connection, &[], Timestamp::default()).unwrap();
        fill(&mut connection);
        connection.close().unwrap();
        Specimen { bytes: fs::read(&path).unwrap(), folder }
    }

    /// The file with one byte altered.
    fn alter(&self, offset: usize, mask: u8) -> PathBuf {
        let mut bytes = self.bytes.clone();
        bytes[offset] ^= mask;
        let path = self.folder.path().join("altered.db");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self) -> Connection {
        file::open_to_read(&self.alter(0, 0)).unwrap()
    }

    /// Where the bytes of a table with a single page lie that mean something: all but the gap between the pointers to
    /// the rows and the rows.
    fn meaningful_bytes(&self, table: &str) -> Vec<usize> {
        let root: usize = {
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
            self.open().query_row(sql, [table], |row| row.get::<_, u32>(0)).unwrap() as usize
        };
        let page = (root - 1) * PAGE;
        let number_at =
            |offset: usize| usize::from(self.bytes[page + offset]) << 8 | usize::from(self.bytes[page + offset + 1]);
        assert_eq!(self.bytes[page], 0x0a, "the table fits one leaf page");
        let (rows, content) = (number_at(3), number_at(5));
        (0..8 + 2 * rows).chain(content..PAGE).map(|offset| page + offset).collect()
    }
}

const PAGE: usize = 4_096;

/// Goal: one altered byte is found, whichever byte of the log or its head it is and whichever bit of it (SEC-16). Every
/// byte is tried: the low bit, the high bit, and all bits.
#[test]
fn one_altered_byte_is_found() {
    let specimen = Specimen::new(|connection| fill(connection, 9));
    let mut tried = 0;
    for table in ["audit", "audit_head"] {
        for offset in specimen.meaningful_bytes(table) {
            for mask in [0x01, 0x80, 0xff] {
                let verdict = verify_file(&specimen.alter(offset, mask));
                let found = matches!(verdict, Ok(Verdict::Broken { .. }) | Err(LedgerError::Damaged { .. }));
                assert!(found, "{table}, byte {offset} ^ {mask:#04x}: {verdict:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 3_000, "only {tried} alterations tried");
}

/// A log over many pages, with entries longer than a page.
fn large() -> Specimen {
    Specimen::new(|connection| {
        fill(connection, 60);
        for length in [5_000, 9_000, 20_000] {
            let texts = ["eve", "deploy", "api"].map(str::to_owned);
            let [actor, action, subject] = texts;
            let transaction = connection.transaction().unwrap();
            append(&transaction, &Entry { actor, action, subject, detail: "x".repeat(length) }, Timestamp::default())
                .unwrap();
            transaction.commit().unwrap();
        }
        fill(connection, 10);
    })
}

/// Goal: wherever in a file of many pages a byte is altered, a log that is called intact reads as it was recorded.
#[test]
fn no_altered_byte_is_believed() {
    let specimen = large();
    let original = entries(&specimen.open(), 0, 1_000).unwrap();
    assert_eq!(original.len(), 73);
    let last = specimen.bytes.len();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner
        .run(&(0..last, 1..=255_u8), |(offset, mask)| {
            let path = specimen.alter(offset, mask);
            if let Ok(Verdict::Intact { entries: count, .. }) = verify_file(&path) {
                let connection = file::open_to_read(&path).unwrap();
                prop_assert_eq!(count, 73);
                prop_assert_eq!(&entries(&connection, 0, 1_000).unwrap(), &original);
            }
            Ok(())
        })
        .unwrap();
}

/// Goal: a file that is no database is damaged, and a file that is not there is no crash.
#[test]
fn files_that_are_no_ledger() {
    let folder = TempDir::new().unwrap();
    let garbage = folder.path().join("garbage.db");
    fs::write(&garbage, "certainly no database, but long enough to look at".repeat(50)).unwrap();
    assert!(matches!(verify_file(&garbage), Err(LedgerError::Damaged { .. })));
    assert!(matches!(verify_file(&folder.path().join("absent.db")), Err(LedgerError::Other { .. })));
}
