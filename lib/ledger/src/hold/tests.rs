use std::fs;

use tempfile::TempDir;

use super::*;

/// Goal: one hold at a time, let go when it is dropped, and the other is told who has it.
#[test]
fn one_hold_at_a_time() {
    let folder = TempDir::new().unwrap();
    let ledger = folder.path().join("ledger.db");
    let hold = Hold::take(&ledger).unwrap();
    let busy = |holder| LedgerError::Busy { path: ledger.clone(), holder };
    assert_eq!(Hold::take(&ledger).map(|_| ()), Err(busy(Some(std::process::id()))));
    fs::write(folder.path().join("ledger.db.hold"), "no number").unwrap();
    assert_eq!(Hold::take(&ledger).map(|_| ()), Err(busy(None)));
    drop(hold);
    Hold::take(&ledger).unwrap();
}
