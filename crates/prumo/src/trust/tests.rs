use super::*;

/// Goal: the stores are the system's and the databases that exist, of whichever browser.
#[test]
fn stores_are_found() {
    let home = tempfile::tempdir().unwrap();
    let root = Path::new("/image");
    assert_eq!(stores(root, None), [Store::System(root.to_owned())]);
    for database in [".pki/nssdb", ".mozilla/firefox/a.default", "snap/firefox/common/.mozilla/firefox/b.default"] {
        fs::create_dir_all(home.path().join(database)).unwrap();
        fs::write(home.path().join(database).join("cert9.db"), "").unwrap();
    }
    fs::create_dir_all(home.path().join(".mozilla/firefox/Crash Reports")).unwrap();
    let nss = |path: &str| Store::Nss(home.path().join(path));
    assert_eq!(
        stores(root, Some(home.path())),
        [
            Store::System(root.to_owned()),
            nss(".mozilla/firefox/a.default"),
            nss(".pki/nssdb"),
            nss("snap/firefox/common/.mozilla/firefox/b.default"),
        ]
    );
}

/// Goal: for the system itself its tool is run as people run it; for another root every folder is named.
#[test]
fn the_systems_tool_is_told_where() {
    let tool = Path::new("/usr/sbin/update-ca-certificates");
    assert_eq!(update_arguments(tool, Path::new("/"), Wish::Trust), ["/usr/sbin/update-ca-certificates"]);
    assert_eq!(update_arguments(tool, Path::new("/"), Wish::Forget), ["/usr/sbin/update-ca-certificates", "--fresh"]);
    let elsewhere = update_arguments(tool, Path::new("/image"), Wish::Trust);
    assert_eq!(elsewhere.len(), 11);
    assert!(elsewhere.iter().skip(2).step_by(2).all(|folder| folder.starts_with("/image/")), "{elsewhere:?}");
}
