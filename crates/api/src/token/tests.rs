use super::*;

async fn tokens(folder: &std::path::Path, stage: &prumo_drain::Stage) -> Tokens {
    let clock = Clock::system();
    let ledger = Ledger::open(&folder.join("ledger.db"), clock.clone(), stage, &[&TABLE]).unwrap();
    Tokens::load(ledger, clock).await.unwrap()
}

/// Goal: the first start makes one administrator's token, no later start does, and the ledger holds nothing that opens a door (SEC-16).
#[tokio::test]
async fn the_first_token_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let drain = prumo_drain::Drain::new(Clock::system());
    let known = tokens(folder.path(), &drain.stage("one")).await;
    let first = known.first().await.unwrap().expect("a fresh ledger has no token");
    assert_eq!(first.role, Role::Admin);
    assert_eq!(first.token.len(), PREFIX.len() + 64);
    assert!(known.first().await.unwrap().is_none());
    assert_eq!(known.holder(&first.token), Some((FIRST.to_owned(), Role::Admin)));
    drain.stop(std::time::Duration::from_secs(60)).await;

    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let secret = first.token.trim_start_matches(PREFIX).as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "the token itself was written down");
    }
    let drain = prumo_drain::Drain::new(Clock::system());
    let again = tokens(folder.path(), &drain.stage("two")).await;
    assert!(again.first().await.unwrap().is_none());
    assert_eq!(again.holder(&first.token), Some((FIRST.to_owned(), Role::Admin)));
}

/// Goal: names are taken once, revoked tokens open nothing, and what is no token opens nothing.
#[tokio::test]
async fn tokens_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let drain = prumo_drain::Drain::new(Clock::system());
    let known = tokens(folder.path(), &drain.stage("one")).await;
    let made = known.create("ci", Role::Operator, "test").await.unwrap();
    assert!(matches!(known.create("ci", Role::Viewer, "test").await, Err(TokenError::Taken)));
    for bad in ["", "a b", "ü", &"x".repeat(65)] {
        assert!(matches!(known.create(bad, Role::Viewer, "test").await, Err(TokenError::BadName)), "{bad}");
    }
    assert_eq!(known.holder(&made.token), Some(("ci".to_owned(), Role::Operator)));
    assert_eq!(known.holder("prumo_"), None);
    assert_eq!(known.holder(""), None);
    assert_eq!(known.list().len(), 1);
    assert!(known.revoke("ci", "test").await.unwrap());
    assert!(!known.revoke("ci", "test").await.unwrap());
    assert_eq!(known.holder(&made.token), None);
}

/// Goal: two digests are the same only when every byte is.
#[test]
fn digests_compare_in_full() {
    let one = digest("a");
    let mut other = one;
    assert!(same(&one, &other));
    for index in 0..32 {
        other[index] ^= 1;
        assert!(!same(&one, &other), "byte {index}");
        other[index] ^= 1;
    }
}
