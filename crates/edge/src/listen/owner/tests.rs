use std::net::TcpListener;

use super::*;

/// Goal: a listening socket's line is found by its port, others are not.
#[test]
fn finds_listening_sockets() {
    let line =
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100";
    assert_eq!(listening_inode(line, ":1F90").as_deref(), Some("4711"));
    assert_eq!(listening_inode(line, ":1F91"), None);
    assert_eq!(listening_inode(&line.replace(" 0A ", " 01 "), ":1F90"), None);
    assert_eq!(listening_inode("", ":1F90"), None);
}

/// Goal: the owner of a port is found by its process.
#[test]
fn finds_the_owner() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let owner = owner_of_port(listener.local_addr().unwrap().port()).unwrap();
    assert_eq!(owner.pid, std::process::id());
    assert!(!owner.name.is_empty());
}
