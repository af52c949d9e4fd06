//! What replicas print.

use std::time::Duration;

use prumo_run::*;

use crate::site::{Folder, lives, until, worker};

/// Goal: lines are kept in order, also across prumo's death, and none is lost.
#[tokio::test]
async fn no_line_is_lost_across_a_restart() {
    let folder = Folder::new();
    let site = folder.start().await;
    let script = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.01; done; echo the end; sleep 1000";
    site.deploy(worker("job", &["sh", "-c", script])).await.unwrap();
    site.until_printed("job", "line 20").await;
    let pid = site.pids("job");
    site.crash().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let site = folder.start().await;
    assert_eq!(site.pids("job"), pid);
    let lines = site.until_printed("job", "the end").await;
    let numbers: Vec<String> =
        lines.iter().map(|line| line.text.clone()).filter(|text| text.starts_with("line ")).collect();
    let expected: Vec<String> = (0..300).map(|number| format!("line {number}")).collect();
    assert_eq!(numbers, expected);
    site.end().await;
}

/// Goal: a replica that prints very much is not held up for good, and neither memory nor disk grow with it.
#[tokio::test]
async fn a_flood_is_bounded() {
    let folder = Folder::new();
    let site = folder.start().await;
    let bytes = 64 << 20;
    let mut spec = worker("job", &["APP", "print-bytes", &bytes.to_string()]);
    spec.log_keep = 1 << 20;
    site.deploy(spec).await.unwrap();
    site.until_printed("job", "printed everything").await;
    let logs = std::fs::read_dir(site.state.join("logs")).unwrap().flatten();
    let stored: u64 = logs.map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(stored <= 1 << 20, "{stored} bytes are stored");
    site.end().await;
}

/// Goal: a follower gets the lines there were and, from exactly there on, those to come.
#[tokio::test]
async fn following_misses_nothing() {
    let folder = Folder::new();
    let site = folder.start().await;
    let script = "i=0; while true; do echo $i; i=$((i+1)); sleep 0.05; done";
    site.deploy(worker("job", &["sh", "-c", script])).await.unwrap();
    site.until_printed("job", "30").await;
    let Lines { past, following } = site.run.logs("job", 10, true).unwrap();
    assert_eq!(past.len(), 10);
    let mut follow = following.unwrap();
    let mut next: u32 = past[0].text.parse().unwrap();
    for line in &past {
        assert_eq!(line.text, next.to_string());
        next += 1;
    }
    for _ in 0..20 {
        let Some(Followed::Line(line)) = follow.next().await else { panic!("no line") };
        assert_eq!(line.text, next.to_string());
        next += 1;
    }
    site.end().await;
}

/// Goal: while prumo is away a printing replica lives on, because it holds both ends of its pipe.
#[tokio::test]
async fn printing_into_nobody_does_not_kill() {
    let folder = Folder::new();
    let site = folder.start().await;
    let script = "while true; do echo tick; sleep 0.01; done";
    site.deploy(worker("job", &["sh", "-c", script])).await.unwrap();
    let pid = site.pids("job")[0];
    site.crash().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(lives(pid));
    let site = folder.start().await;
    until("taken over", || site.pids("job") == [pid]).await;
    site.end().await;
}
