use rusqlite::Connection;

use super::*;

const ONE: &str = "CREATE TABLE release (number INTEGER NOT NULL) STRICT";
const TWO: &str = "ALTER TABLE release ADD COLUMN service TEXT";
const V1: Table = Table { name: "release", migrations: &[ONE] };
const V2: Table = Table { name: "release", migrations: &[ONE, TWO] };
const NOW: Timestamp = Timestamp::from_millis(1_000);

fn run(connection: &mut Connection, tables: &[&Table]) -> Result<(), LedgerError> {
    migrate(Path::new("ledger.db"), connection, tables, NOW)
}

fn check(before: &[&Table], alteration: &str, after: &[&Table], expected: &str) {
    let mut connection = Connection::open_in_memory().unwrap();
    run(&mut connection, before).unwrap();
    connection.execute_batch(alteration).unwrap();
    let schema = |connection: &Connection| -> Vec<String> {
        let mut query = connection.prepare("SELECT coalesce(sql, name) FROM sqlite_schema").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    };
    let untouched = schema(&connection);
    let result = run(&mut connection, after);
    assert_eq!(result.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned()), expected);
    if result.is_err() {
        assert_eq!(schema(&connection), untouched, "a refused file stays as it was");
    }
}

/// Goal: a file goes forward step by step, and is refused, untouched, when it is newer, changed or incomplete.
#[test]
fn files_go_forward_or_are_refused() {
    const CHANGED: Table = Table { name: "release", migrations: &["CREATE TABLE release (other INTEGER) STRICT"] };
    const BAD: Table = Table { name: "bad", migrations: &["CREATE TABLE bad (x)", "CREATE TABL"] };
    const OWN: Table = Table { name: "ledger", migrations: &[] };
    check(&[], "", &[], "done");
    check(&[&V1], "", &[&V1], "done");
    check(&[&V1], "", &[&V2], "done");
    check(&[], "", &[&V2], "done");
    check(
        &[&V2],
        "",
        &[&V1],
        "the ledger ledger.db is from a newer prumo: it has step 2 of `release`, this one knows step 1",
    );
    check(
        &[&V2],
        "",
        &[],
        "the ledger ledger.db is from a newer prumo: it has step 2 of `release`, this one knows no `release`",
    );
    check(
        &[&V1],
        "",
        &[&CHANGED],
        "the ledger ledger.db is damaged: step 1 of `release` is not the step this prumo knows",
    );
    check(
        &[&V2],
        "DELETE FROM migration WHERE owner = 'release' AND step = 1",
        &[&V2],
        "the ledger ledger.db is damaged: step 1 of `release` is missing",
    );
    check(
        &[],
        "",
        &[&V1, &BAD],
        "the ledger ledger.db failed at step 2 of `bad`: near \"TABL\": syntax error in CREATE TABL at offset 7",
    );
    check(&[], "", &[&V1, &V2], "the ledger ledger.db failed at opening it: two tables have the name `release`");
    check(&[], "", &[&OWN], "the ledger ledger.db failed at opening it: two tables have the name `ledger`");
}

/// Goal: the file remembers each step with the digest of its text and when it was applied.
#[test]
fn steps_are_remembered() {
    let mut connection = Connection::open_in_memory().unwrap();
    run(&mut connection, &[&V2]).unwrap();
    let mut query = connection.prepare("SELECT owner || step, digest, at FROM migration").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let rows: Vec<(String, Vec<u8>, i64)> = rows.collect::<rusqlite::Result<_>>().unwrap();
    let steps: Vec<_> = rows.iter().map(|(step, digest, at)| (&**step, digest.len(), *at)).collect();
    assert_eq!(steps, [("ledger1", 32, 1_000), ("release1", 32, 1_000), ("release2", 32, 1_000)]);
    assert_eq!(rows[1].1, digest_of(ONE));
}
