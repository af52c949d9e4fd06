use std::path::PathBuf;

use super::*;
use crate::desired::Check;

/// Goal: everything that is not there is named at once, with nothing started; what is there is not named.
#[test]
fn all_that_is_absent_is_named() {
    let good = crate::desired::tests::spec("api");
    let check = |change: &dyn Fn(&mut ServiceSpec), expected: &[&str]| {
        let mut spec = ServiceSpec { run: vec!["/bin/sh".to_owned()], folder: PathBuf::from("/"), ..good.clone() };
        spec.environment.clear();
        change(&mut spec);
        let lacks = |source: &SecretSource| match source {
            SecretSource::Named(name) if name == "kept" => None,
            _ => Some("it is not kept".to_owned()),
        };
        assert_eq!(absent(&spec, &lacks), expected);
    };
    let secret = |name: &str| Value::Secret(SecretSource::Named(name.to_owned()));
    check(&|_| (), &[]);
    check(&|spec| spec.user = Some("0".to_owned()), &[]);
    check(&|spec| drop(spec.environment.insert("KEY".to_owned(), secret("kept"))), &[]);
    check(
        &|spec| spec.run = vec!["/bin/no-such".to_owned()],
        &["/bin/no-such: No such file or directory (os error 2)"],
    );
    check(&|spec| spec.run = vec!["/etc/passwd".to_owned()], &["/etc/passwd is not executable"]);
    check(&|spec| spec.health.check = Check::Command(vec!["/etc/".to_owned()]), &["/etc/ is a folder"]);
    check(
        &|spec| {
            spec.user = Some("no-such-user".to_owned());
            spec.group = Some("no-such-group".to_owned());
            spec.environment.insert("KEY".to_owned(), secret("lost"));
            spec.environment.insert("PATH".to_owned(), Value::Text("/nowhere".to_owned()));
            spec.run = vec!["no-such".to_owned()];
        },
        &[
            "there is no user `no-such-user` on this machine",
            "there is no group `no-such-group` on this machine",
            "secret `lost` for KEY: it is not kept",
            "there is no program `no-such` in /nowhere",
        ],
    );
    check(
        &|spec| spec.folder = PathBuf::from("/no-such-folder"),
        &["the folder /no-such-folder: No such file or directory (os error 2)"],
    );
}
