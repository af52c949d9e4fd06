use super::*;

fn stage(name: &'static str, finished: usize, abandoned: &[&str], panicked: u64) -> StageReport {
    let abandoned = abandoned.iter().map(|name| (*name).to_owned()).collect();
    StageReport { name, finished, abandoned, panicked, took: Duration::from_millis(12) }
}

/// Goal: a report reads as one line for each stage and is clean only when nothing was cut or panicked.
#[test]
fn a_report_reads_as_lines() {
    let clean = Report { stages: vec![stage("edge", 3, &[], 0), stage("ledger", 2, &[], 0)] };
    assert_eq!(clean.to_string(), "edge: 3 finished in 12 ms\nledger: 2 finished in 12 ms");
    assert!(clean.is_clean());
    let cut = Report { stages: vec![stage("edge", 1, &["connection", "probe"], 2)] };
    assert_eq!(cut.to_string(), "edge: 1 finished in 12 ms, abandoned: connection, probe, 2 panicked");
    assert!(!cut.is_clean());
}
