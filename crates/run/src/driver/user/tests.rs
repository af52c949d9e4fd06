use super::*;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken line\napp:x:1000:1001:App:/srv/app:/bin/false\n";

/// Goal: users are found by name and by number; a number nobody has is a user without a home.
#[test]
fn users_are_found() {
    let app = User { uid: 1000, gid: 1001, home: "/srv/app".to_owned() };
    assert_eq!(find_user(PASSWD, "app"), Some(app.clone()));
    assert_eq!(find_user(PASSWD, "1000"), Some(app));
    assert_eq!(find_user(PASSWD, "4711"), Some(User { uid: 4711, gid: 4711, home: "/".to_owned() }));
    assert_eq!(find_user(PASSWD, "nobody-here"), None);
}
