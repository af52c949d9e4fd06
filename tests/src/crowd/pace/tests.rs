use super::*;

/// Goal: as many requests as were asked for come in a second, at moments that are not even.
#[test]
fn the_pace_is_kept_on_average() {
    let mut chance = Chance(1);
    let intervals: Vec<f64> = (0..10_000).map(|_| chance.interval(1000.0).as_secs_f64()).collect();
    let sum: f64 = intervals.iter().sum();
    assert!((9.0..11.0).contains(&sum), "10,000 requests at 1,000 a second take ten seconds, not {sum}");
    assert!(intervals.iter().any(|interval| *interval > 0.003) && intervals.iter().any(|interval| *interval < 0.0003));
}

/// Goal: an answer is whole when its head and its body are there, and only a 200 counts.
#[test]
fn an_answer_is_known_by_its_length() {
    let length = |text: &str| answer_length(text.as_bytes()).ok();
    assert_eq!(length("HTTP/1.1 200 OK\r\nContent-Le"), Some(None));
    assert_eq!(length("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), Some(Some(40)));
    assert_eq!(length("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n"), None);
}
