use super::*;

fn standing(all: bool, routes: &[&str]) -> Standing {
    Standing { all, routes: routes.iter().map(|&route| route.to_owned()).collect() }
}

fn check(before: &Standing, on: bool, routes: &[&str], expected: &Standing) {
    let routes: Vec<String> = routes.iter().map(|&route| route.to_owned()).collect();
    assert_eq!(before.changed(on, &routes), *expected);
}

/// Goal: on and off with names are about these routes, without names about all.
#[test]
fn people_change_it() {
    let nothing = Standing::default();
    check(&nothing, true, &[], &standing(true, &[]));
    check(&nothing, true, &["a", "b"], &standing(false, &["a", "b"]));
    check(&standing(false, &["a", "b"]), false, &["a"], &standing(false, &["b"]));
    check(&standing(true, &["a"]), false, &[], &nothing);
    check(&standing(true, &["a"]), false, &["a"], &standing(true, &[]));
    check(&nothing, false, &["a"], &nothing);
}

/// Goal: it is kept over a restart, and a file that cannot be read closes nothing.
#[test]
fn it_is_kept() {
    let state = tempfile::tempdir().unwrap();
    assert_eq!(Standing::load(state.path()), Standing::default());
    standing(true, &["a"]).store(state.path()).unwrap();
    assert_eq!(Standing::load(state.path()), standing(true, &["a"]));
    std::fs::write(state.path().join(FILE), "{").unwrap();
    assert_eq!(Standing::load(state.path()), Standing::default());
}

/// Goal: the routes that the file or a person names are in maintenance, with the page of the site, and no others.
#[test]
fn routes_are_marked() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("page.html"), "<h1>soon</h1>").unwrap();
    let text = "[service.api]\nrun = \"api\"\n[maintenance]\npage = \"page.html\"\nhold = \"1s\"\n\
                [[route]]\nto = \"api\"\n[[route]]\nname = \"b\"\npath = \"/b\"\nto = \"api\"\n\
                [[route]]\nname = \"c\"\npath = \"/c\"\nto = \"api\"\nmaintenance = true\n";
    let config = prumo_config::read(text, "prumo.toml", None, &|_| None).unwrap();
    let marked = |standing: &Standing| -> Vec<String> {
        let routes = routes(&config, base.path(), standing).into_iter();
        routes.filter(|route| route.maintenance.is_some()).map(|route| route.name).collect()
    };
    assert_eq!(marked(&Standing::default()), ["c"]);
    assert_eq!(marked(&standing(false, &["b", "gone"])), ["b", "c"]);
    assert_eq!(marked(&standing(true, &[])), ["/", "b", "c"]);
    let all = routes(&config, base.path(), &standing(true, &[]));
    let maintenance = all[0].maintenance.as_ref().unwrap();
    assert_eq!(maintenance.page.as_deref(), Some("<h1>soon</h1>"));
    assert_eq!(maintenance.hold.as_secs(), 1);
}
