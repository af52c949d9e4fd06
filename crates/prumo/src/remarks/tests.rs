use super::*;

/// The remarks about routes to these folders, in a site whose folder has `public/` and a file `note`.
fn check(folders: &[&str], expected: &[&str]) {
    let base = tempfile::tempdir().unwrap();
    std::fs::create_dir(base.path().join("public")).unwrap();
    std::fs::write(base.path().join("note"), "").unwrap();
    let routes: String = folders
        .iter()
        .enumerate()
        .map(|(number, folder)| format!("[[route]]\npath = \"/{number}\"\nfiles = \"{folder}\"\n"))
        .collect();
    let config = prumo_config::read(&routes, "prumo.toml", None, &|_| None).unwrap();
    assert_eq!(about(&config, base.path()), expected, "{folders:?}");
}

/// Goal: a folder that is there needs no word; one that is not is named with its route.
#[test]
fn says_what_is_missing() {
    check(&["public", "./public"], &[]);
    check(
        &["dist", "note", "public"],
        &[
            "route `/0` answers with the files of `dist`, which cannot be opened: No such file or directory (os error 2); \
             until it can, its requests get a 404",
            "route `/1` answers with the files of `note`, which is no folder",
        ],
    );
}
