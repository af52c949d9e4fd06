use super::*;

/// A log in memory with `count` entries.
pub(crate) fn log(count: u64) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(TABLE.migrations[0]).unwrap();
    fill(&mut connection, count);
    connection
}

pub(crate) fn fill(connection: &mut Connection, count: u64) {
    for number in 1..=count {
        let transaction = connection.transaction().unwrap();
        append(&transaction, &entry(number), Timestamp::from_millis(1_700_000_000_000 + number as i64)).unwrap();
        transaction.commit().unwrap();
    }
}

fn entry(number: u64) -> Entry {
    let (actor, action) = ("ana".to_owned(), "deploy".to_owned());
    Entry { actor, action, subject: format!("service-{number}"), detail: format!("release {number}") }
}

/// Goal: what was appended comes back in order, numbered from 1, page by page, each linked to the one before.
#[test]
fn entries_come_back_in_order() {
    let connection = log(5);
    let all = entries(&connection, 0, 100).unwrap();
    assert_eq!(all.iter().map(|recorded| recorded.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(all[2].entry, entry(3));
    assert_eq!(all[2].at.millis(), 1_700_000_000_003);
    assert_eq!(all[0].previous, GENESIS);
    assert!(all.windows(2).all(|pair| pair[1].previous == pair[0].digest));
    assert_eq!(entries(&connection, 3, 1).unwrap(), all[3..4]);
    assert_eq!(entries(&connection, 5, 10).unwrap(), []);
    assert!(entries(&connection, u64::MAX, 10).is_err());
}

/// Goal: the log's own triggers refuse every change but an append at the end, and say so (SEC-16).
#[test]
fn the_log_refuses_changes() {
    let cases = [
        ("UPDATE audit SET detail = 'x' WHERE seq = 2", "the audit log is append-only"),
        ("UPDATE audit SET detail = detail", "the audit log is append-only"),
        ("DELETE FROM audit WHERE seq = 3", "the audit log is append-only"),
        ("DELETE FROM audit", "the audit log is append-only"),
        ("DELETE FROM audit_head", "the audit log keeps its head"),
        (
            "INSERT INTO audit SELECT 9, at, 'x', action, subject, detail, previous, digest FROM audit WHERE seq = 2",
            "the audit log takes entries only at its end",
        ),
        (
            "INSERT OR REPLACE INTO audit SELECT seq, at, 'x', action, subject, detail, previous, digest FROM audit WHERE seq = 2",
            "the audit log takes entries only at its end",
        ),
        ("INSERT INTO audit_head VALUES (2, 0, zeroblob(32))", "CHECK constraint failed: only_row = 1"),
    ];
    for (sql, expected) in cases {
        let connection = log(3);
        assert_eq!(connection.execute(sql, []).unwrap_err().to_string(), expected, "{sql}");
        assert!(matches!(verify(&connection), Ok(Verdict::Intact { entries: 3, .. })), "{sql}");
    }
}

/// Goal: a deed that is rolled back leaves no record, and the chain goes on from where it was.
#[test]
fn a_rolled_back_entry_leaves_no_trace() {
    let mut connection = log(2);
    let transaction = connection.transaction().unwrap();
    append(&transaction, &entry(3), Timestamp::default()).unwrap();
    transaction.rollback().unwrap();
    fill(&mut connection, 1);
    assert!(matches!(verify(&connection), Ok(Verdict::Intact { entries: 3, .. })));
}
