use serde_json::json;

use super::*;

/// Goal: what is wrong is told, what is kept is not, and a run that found nothing out is no good verdict.
#[test]
fn findings_are_weighed() {
    let good: Vec<serde_json::Value> =
        (0..30).map(|number| json!({ "id": format!("good {number}"), "severity": "OK", "finding": "" })).collect();
    let with = |severity: &str, id: &str| {
        let finding = json!({ "id": id, "severity": severity, "finding": "text" });
        judge(&[&good[..], &[finding]].concat())
    };
    assert_eq!(with("INFO", "TLS1_3"), Ok(vec![]));
    assert_eq!(with("HIGH", "cipher_order"), Ok(vec![]));
    assert_eq!(with("LOW", "DNS_CAArecord <cert#2>"), Ok(vec![]));
    assert_eq!(with("MEDIUM", "BREACH"), Ok(vec!["MEDIUM BREACH: text".to_owned()]));
    assert_eq!(with("WARN", "scanProblem"), Ok(vec!["WARN scanProblem: text".to_owned()]));
    assert!(judge(&good[1..]).is_err());
}
