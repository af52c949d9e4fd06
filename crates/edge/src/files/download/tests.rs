use super::*;

/// Goal: chunks get smaller with the number of downloads, within bounds.
#[test]
fn shares_memory_among_downloads() {
    for (downloads, expected) in
        [(0, 64 << 10), (1, 64 << 10), (512, 64 << 10), (1024, 32 << 10), (8192, 4 << 10), (1_000_000, 4 << 10)]
    {
        assert_eq!(chunk_bytes(downloads), expected, "{downloads} downloads");
    }
}

/// Goal: a chunk is lent once at a time, and its return wakes who waits for it.
#[test]
fn lends_one_chunk() {
    let home = Arc::new(Home::default());
    home.lock().chunk = Some(vec![7; 3]);
    let chunk = home.take(Waker::noop()).expect("it is at home");
    let lent = Bytes::from_owner(Loan { chunk, home: Arc::clone(&home) }).slice(..2);
    assert_eq!(&lent[..], [7, 7]);
    assert!(home.take(Waker::noop()).is_none(), "it is on loan");
    drop(lent);
    assert!(home.lock().waker.is_none(), "the waker was used");
    assert_eq!(home.take(Waker::noop()), Some(vec![7; 3]));
}
