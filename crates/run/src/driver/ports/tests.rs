use super::*;

/// Goal: only rows in state LISTEN count, in IPv4 and IPv6 form.
#[test]
fn rows_of_listeners() {
    let listening = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 4242 1 0 100";
    assert_eq!(listener_of(listening), Some((8080, 4242)));
    assert_eq!(listener_of(&listening.replace(" 0A ", " 01 ")), None);
    let long = listening.replace("0100007F:1F90", "00000000000000000000000001000000:0050");
    assert_eq!(listener_of(&long), Some((80, 4242)));
    assert_eq!(listener_of("nonsense"), None);
}

/// Goal: a port that was promised to another replica is not given again.
#[test]
fn promised_ports_are_avoided() {
    let mut promised = BTreeSet::new();
    for _ in 0..50 {
        assert!(promised.insert(free(&promised).unwrap()));
    }
}
