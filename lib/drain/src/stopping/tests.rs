use std::time::Duration;

use prumo_clock::Clock;

use super::*;

/// Goal: everybody who waits hears the flag, before and after it is raised, and sees it without waiting.
#[tokio::test]
async fn a_raised_flag_reaches_everybody() {
    let flag = Arc::new(Flag::default());
    let (one, other) = (Stopping::new(Arc::clone(&flag)), Stopping::new(Arc::clone(&flag)));
    assert!(!one.is_stopping());
    tokio::join!(one.wait(), other.wait(), async { flag.raise() });
    assert!(one.is_stopping() && other.is_stopping());
    Clock::system().timeout(Duration::from_secs(60), one.wait()).await.unwrap();
    assert_eq!(format!("{other:?}"), "Stopping(true)");
}
