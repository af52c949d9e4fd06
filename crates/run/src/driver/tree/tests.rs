use super::*;

/// Goal: a marker is read back as it was written, and nothing else is taken for one.
#[test]
fn markers() {
    let marker = Marker { site: "cafe".to_owned(), replica: "api-1".to_owned(), nonce: "01".to_owned() };
    assert_eq!(Marker::parse(&marker.text()), Some(marker));
    assert_eq!(Marker::parse("cafe/api-1"), None);
    assert_eq!(Marker::parse("cafe/api-1/01/more"), None);
}

/// Goal: a signal goes to the process that was meant and to no later one with its number.
#[test]
fn a_number_alone_is_not_a_process() {
    let own = std::process::id();
    let start_ticks = proc::stat(own).unwrap().start_ticks;
    // The start time is another's: if this were delivered, the test would not go on.
    send(Member { pid: own, start_ticks: start_ticks + 1 }, Signal::KILL);
}
