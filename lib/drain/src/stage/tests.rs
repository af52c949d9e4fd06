use std::future::pending;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use prumo_clock::Clock;
use tokio::task::LocalSet;

use super::*;

async fn ended_soon(stage: &Stage) {
    Clock::system().timeout(Duration::from_secs(60), stage.ended()).await.expect("the stage ends");
}

/// Goal: the roll says what runs, by name with counts, and forgets what has ended.
#[tokio::test]
async fn the_roll_counts_by_name() {
    let stage = Stage::new("edge");
    let stopping = stage.stopping();
    for name in ["probe", "accept", "probe"] {
        let stopping = stopping.clone();
        stage.spawn(name, async move { stopping.wait().await });
    }
    assert_eq!(stage.tasks(), [("accept".into(), 1), ("probe".into(), 2)]);
    assert_eq!(format!("{stage:?}"), r#"Stage { name: "edge", tasks: [("accept", 1), ("probe", 2)] }"#);
    assert_eq!(stage.raise_stopping(), 3);
    ended_soon(&stage).await;
    assert_eq!(stage.tasks(), []);
}

/// Goal: a task that panics at any of its polls is counted, leaves the roll, and takes nobody with it.
#[tokio::test]
async fn a_panic_is_counted() {
    let stage = Stage::new("edge");
    stage.spawn("at once", async { panic!("on purpose") });
    stage.spawn("later", async {
        tokio::task::yield_now().await;
        panic!("on purpose, {}", "formatted");
    });
    stage.thread("thread", || panic!("on purpose")).unwrap();
    ended_soon(&stage).await;
    assert_eq!(stage.panicked(), 3);
}

/// Goal: tasks that may not leave their thread are on the roll like others, and are dropped with their executor.
#[tokio::test]
async fn local_tasks_are_owned_too() {
    let stage = Stage::new("edge");
    let local = LocalSet::new();
    local
        .run_until(async {
            let not_send = std::rc::Rc::new(5);
            stage.spawn_local("connection", async move {
                let _keep = not_send;
                pending::<()>().await;
            });
            stage.spawn_local("short", async {});
            tokio::task::yield_now().await;
        })
        .await;
    assert_eq!(stage.tasks(), [("connection".into(), 1)]);
    drop(local);
    ended_soon(&stage).await;
}

/// Goal: an owner may end one task early and see that it has ended.
#[tokio::test]
async fn one_task_may_be_aborted() {
    let stage = Stage::new("run");
    let task = stage.spawn("probe", pending());
    assert!(!task.is_finished());
    task.abort();
    ended_soon(&stage).await;
    // The executor marks the task after it has dropped it.
    while !task.is_finished() {
        tokio::task::yield_now().await;
    }
}

/// Goal: a closed stage starts nothing: futures are dropped, threads are refused with a reason.
#[tokio::test]
async fn a_closed_stage_starts_nothing() {
    let stage = Stage::new("edge");
    assert!(stage.close_if_ended());
    let (held, dropped) = tokio::sync::oneshot::channel::<()>();
    let task = stage.spawn("late", async move {
        let _held = held;
        pending::<()>().await;
    });
    assert!(task.is_finished());
    task.abort();
    dropped.await.expect_err("the future was dropped with what it held");
    let refused = stage.thread("late", || {}).unwrap_err();
    assert_eq!(refused.to_string(), "stage `edge` has stopped and starts no thread");
    assert_eq!(stage.tasks(), []);
}

/// Goal: a task whose start overlaps the closing of its stage is dropped all the same.
#[tokio::test]
async fn a_start_during_closing_is_dropped() {
    let stage = Stage::new("edge");
    let closing = stage.clone();
    stage.start("racing".into(), |ticket| {
        assert_eq!(closing.abandon(), ["racing"]);
        #[allow(clippy::disallowed_methods, reason = "the race is between this start and the abandoning above")]
        tokio::spawn(Owned::new(pending(), ticket)).abort_handle()
    });
    ended_soon(&stage).await;
}

/// Goal: threads bear their name, and ended ones are joined when the next starts, so that the list stays short.
#[tokio::test]
async fn threads_are_named_and_joined() {
    let stage = Stage::new("ledger");
    let (send, receive) = sync_channel(1);
    for round in 0..10 {
        let send = send.clone();
        stage
            .thread("ledger-writer", move || {
                send.send(std::thread::current().name().map(str::to_owned)).expect("the test listens");
            })
            .unwrap();
        assert_eq!(receive.recv().unwrap().as_deref(), Some("ledger-writer"), "round {round}");
        ended_soon(&stage).await;
    }
    assert_eq!(stage.roll.lock().threads.len(), 1);
    stage.join_ended_threads();
    assert_eq!(stage.roll.lock().threads.len(), 0);
}
