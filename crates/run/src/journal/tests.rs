use super::*;
use crate::desired::tests::spec;

fn open() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    TABLE.migrations.iter().for_each(|migration| connection.execute_batch(migration).unwrap());
    connection
}

/// Runs `work` in a transaction, as the ledger does.
fn write<T>(connection: &mut Connection, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> T {
    let tx = connection.transaction().unwrap();
    let result = work(&tx).unwrap();
    tx.commit().unwrap();
    result
}

fn new(kind: Kind, release: Option<u64>, from: Option<u64>) -> NewDeploy {
    NewDeploy { kind, spec: Arc::new(spec("api")), release, from, replicas: 2, by: "ana".to_owned(), at_ms: 5 }
}

fn deploy(connection: &mut Connection, new: &NewDeploy) -> DeployRow {
    let version = write(connection, |tx| begin(tx, new));
    let NewDeploy { kind, from, replicas, at_ms, .. } = new.clone();
    DeployRow { version, kind, from, replicas, started_ms: at_ms }
}

fn load(connection: &Connection) -> ServiceRow {
    load_services(connection).unwrap().remove(0)
}

/// Goal: what a deploy writes before and at its shift is what the next prumo reads (DEP-07).
#[test]
fn a_deploy_is_read_back() {
    let mut connection = open();
    let first = deploy(&mut connection, &new(Kind::Deploy, None, None));
    let row = load(&connection);
    assert_eq!((row.candidate.as_ref(), row.serving), (Some(&first), None));
    assert_eq!(*row.specs[&1], spec("api"));

    write(&mut connection, |tx| shift(tx, "api", &first));
    let row = load(&connection);
    assert_eq!((row.serving, row.candidate, row.finishing), (Some(first.version), None, Some(first.clone())));
    assert_eq!((row.asked_release, row.asked_replicas), (Some(1), 2));

    let second = deploy(&mut connection, &new(Kind::Deploy, None, Some(1)));
    assert_eq!(second.version, Version { deploy: 2, release: 2 });
    write(&mut connection, |tx| shift(tx, "api", &second));
    let back = deploy(&mut connection, &new(Kind::Rollback, Some(1), Some(2)));
    assert_eq!(back.version, Version { deploy: 3, release: 1 });
    write(&mut connection, |tx| shift(tx, "api", &back));
    let row = load(&connection);
    assert_eq!((row.previous, row.asked_release), (Some(2), Some(2)), "a rollback does not change what the file asked");
}

/// Goal: a replica is read back with its process, and its number is never given again.
#[test]
fn a_replica_is_read_back() {
    let mut connection = open();
    let version = deploy(&mut connection, &new(Kind::Deploy, None, None)).version;
    let process = ProcessRow { pid: 42, start_ticks: 4711, boot: "b00t".to_owned() };
    let row = ReplicaRow {
        id: "api-9".to_owned(),
        service: "api".to_owned(),
        number: 9,
        version,
        starts: 3,
        nonce: "cafe".to_owned(),
        port: Some(4242),
        process: Some(process),
        ready: true,
    };
    write(&mut connection, |tx| keep(tx, &row));
    assert_eq!(load(&connection).kept, std::slice::from_ref(&row));
    let stopped = ReplicaRow { process: None, port: None, ready: false, ..row };
    write(&mut connection, |tx| keep(tx, &stopped));
    assert_eq!(load(&connection).kept, [stopped]);
    write(&mut connection, |tx| tx.execute("DELETE FROM run_replica", []));
    assert_eq!(load(&connection).replicas_made, 9);
}

/// Goal: old releases are forgotten, but never the serving one, the one before, or one that is needed.
#[test]
fn tidy_keeps_what_matters() {
    let mut connection = open();
    let first = deploy(&mut connection, &new(Kind::Deploy, None, None));
    write(&mut connection, |tx| shift(tx, "api", &first));
    for _ in 0..50 {
        deploy(&mut connection, &new(Kind::Deploy, None, Some(1)));
    }
    write(&mut connection, |tx| tx.execute("UPDATE run_deploy SET ended_ms = 9", []));
    write(&mut connection, tidy);
    let mut statement = connection.prepare("SELECT number FROM run_release ORDER BY number").unwrap();
    let numbers: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let expected: Vec<i64> = std::iter::once(1).chain(32..=51).collect();
    assert_eq!(numbers, expected);
    drop(statement);
    assert_eq!(deploy(&mut connection, &new(Kind::Deploy, None, Some(1))).version.release, 52);
}
