use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Goal: an address gets as many places as there are, and one again when one is given back; others have their own.
#[test]
fn an_address_has_so_many_places() {
    let crowd = Crowd::new(2, [1, 2]);
    let first = crowd.enter(ip("203.0.113.7")).unwrap();
    assert!(crowd.enter(ip("203.0.113.7")).is_some());
    assert_eq!(crowd.enter(ip("203.0.113.7")), None);
    assert!(crowd.enter(ip("203.0.113.8")).is_some());
    crowd.leave(first);
    assert!(crowd.enter(ip("203.0.113.7")).is_some());
    assert_eq!(crowd.enter(ip("::ffff:203.0.113.7")), None, "the same client in IPv6 clothes");
}

/// Goal: all addresses of one IPv6 customer are one, and those of another customer are not.
#[test]
fn a_slash_64_is_one_address() {
    let crowd = Crowd::new(1, [1, 2]);
    assert!(crowd.enter(ip("2001:db8:1:2::1")).is_some());
    assert_eq!(crowd.enter(ip("2001:db8:1:2:ffff::9")), None);
    assert!(crowd.enter(ip("2001:db8:1:3::1")).is_some());
}

/// Goal: when everybody has left, nothing is counted, whatever was refused in between.
#[test]
fn an_empty_crowd_is_empty() {
    let crowd = Crowd::new(3, [7, 9]);
    let entered: Vec<Cells> =
        (0..5000_u32).filter_map(|n| crowd.enter(IpAddr::from((n % 500).to_be_bytes()))).collect();
    assert!(
        entered.len() >= 1400,
        "with ten connections each, nearly all of 500 addresses get their three: {}",
        entered.len()
    );
    assert!(entered.len() <= 1500, "and none gets more: {}", entered.len());
    entered.into_iter().for_each(|cells| crowd.leave(cells));
    assert!(crowd.rows.iter().flatten().all(|cell| cell.load(Ordering::Relaxed) == 0));
}
