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

/// Goal: a pipe that nobody writes to is a remark, and not waited for, wherever the file names one.
#[test]
fn pipes_are_not_waited_for() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let base = tempfile::tempdir().unwrap();
    mkfifoat(CWD, base.path().join("pipe"), Mode::RUSR).unwrap();
    let text = "certificate = [{ cert = \"pipe\", key = \"pipe\" }]\nmaintenance.page = \"pipe\"\n\
                [service.api]\nrun = \"/bin/sh\"\nenvironment.KEY.file = \"pipe\"\n";
    let config = prumo_config::read(text, "prumo.toml", None, &|_| None).unwrap();
    let said = [
        about_certificate_files(&config.certificates, &config.client_certificates, base.path()),
        about_services(config.services.values(), base.path(), &Secrets::new(base.path())),
        about_the_edge(&config, base.path()),
    ];
    let count =
        said.iter().map(|remarks| remarks.iter().filter(|remark| remark.contains("not a regular file")).count());
    assert_eq!(count.collect::<Vec<_>>(), [2, 1, 1], "{said:?}");
}
