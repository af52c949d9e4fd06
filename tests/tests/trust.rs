//! `prumo trust`, judged by those who are to trust: curl with a system's list, certutil with a browser's database.
#![allow(clippy::unwrap_used, reason = "what a judge needs and does not get fails the test")]

use std::fs;

use prumo_tests::site::{Said, Site};
use prumo_tests::tool::Tool;

const FILE: &str = r#"[edge]
address = "127.0.0.1"
http = [EDGE]
https = [TLS]

[admin]
listen = "127.0.0.1:[ADMIN]"

[service.web]
run = "[PRUMO] demo-app"
health = { path = "/health", every = "20s", timeout = "20s" }

[[route]]
to = "web"
"#;

const LOCAL: &str = "usr/local/share/ca-certificates";

/// The machine's own stores are nobody's to test on: a folder stands for `/`, another for the home of a user.
fn image(site: &Site) -> String {
    let root = site.root().join("image");
    for folder in [LOCAL, "usr/share/ca-certificates", "etc/ssl/certs", "etc/ca-certificates"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::create_dir_all(root.join("etc/ca-certificates/update.d")).unwrap();
    fs::write(root.join("etc/ca-certificates.conf"), "").unwrap();
    // As on any machine, somebody is trusted already.
    let (key, other) = (root.join("other.key"), root.join(LOCAL).join("other.crt"));
    let made = Tool::find("openssl").run(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=other",
        "-days",
        "1",
        "-keyout",
        key.to_str().unwrap(),
        "-out",
        other.to_str().unwrap(),
    ]);
    expect(site, &made, 0, &[]);
    root.display().to_string()
}

fn expect(site: &Site, said: &Said, code: i32, parts: &[&str]) {
    let text = format!("{}{}", said.out, said.err);
    let holds = said.code == Some(code) && parts.iter().all(|part| text.contains(part));
    assert!(holds, "exit {code} and {parts:?}\nexit {:?}\n{text}\n{}", said.code, site.story());
}

/// Goal: after `prumo trust` the system's programs and the user's browsers trust the local authority, and after
/// `--remove` nothing of it is left; both can be done twice.
#[test]
fn trust_is_given_and_taken_back() {
    let mut site = Site::new(FILE);
    site.up();
    let root = image(&site);
    let database = site.root().join(".pki/nssdb");
    fs::create_dir_all(&database).unwrap();
    let database = format!("sql:{}", database.display());
    let (certutil, curl) = (Tool::find("certutil"), Tool::find("curl"));
    expect(&site, &certutil.run(&["-N", "--empty-password", "-d", &database]), 0, &[]);
    let page = format!("https://localhost:{}/health", site.tls().port());
    let list = format!("{root}/etc/ssl/certs/ca-certificates.crt");
    fs::write(&list, "").unwrap();
    let trusts = || curl.run(&["--silent", "--cacert", &list, &page]).code == Some(0);
    let browsers = || certutil.run(&["-L", "-d", &database]).out;
    assert!(!trusts() && !browsers().contains("prumo-"));

    // A folder that is no system's is left as it is: nothing is made in it.
    let mistyped = site.root().join("imgae");
    let failed = site.prumo(&["trust", "--root", mistyped.to_str().unwrap()]);
    expect(&site, &failed, 6, &["nothing is changed, because there is no "]);
    assert!(!mistyped.exists(), "{failed:?}");

    // A system that cannot make its list anew is not said to trust, neither now nor at the next try.
    let (certs, away) = (format!("{root}/etc/ssl/certs"), format!("{root}/etc/ssl/away"));
    fs::rename(&certs, &away).unwrap();
    fs::write(&certs, "a file where a folder should be").unwrap();
    let failed = site.prumo(&["trust", "--root", &root]);
    expect(&site, &failed, 6, &["nothing is changed, because the system's list cannot be made anew"]);
    fs::remove_file(&certs).unwrap();
    fs::rename(&away, &certs).unwrap();

    expect(
        &site,
        &site.prumo(&["trust", "--root", &root]),
        0,
        &["system: ", "made anew", "browser: ", "has it already"],
    );
    assert!(trusts(), "curl trusts the list of the system\n{}", site.story());
    let listed = browsers();
    let line = listed.lines().find(|line| line.starts_with("prumo-")).expect("the database lists it");
    assert!(line.trim_end().ends_with("C,,"), "for servers only: {line}");
    expect(&site, &site.prumo(&["trust", "--root", &root]), 0, &["is there already", "has it already"]);

    expect(&site, &site.prumo(&["trust", "--remove", "--root", &root]), 0, &["removed", "has forgotten it"]);
    assert!(!trusts() && !browsers().contains("prumo-"), "{}", browsers());
    let left = fs::read_dir(format!("{root}/{LOCAL}")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["other.crt"], "nothing of ours is left, and all of others");
    let again = site.prumo(&["trust", "--remove", "--root", &root]);
    expect(&site, &again, 0, &["nothing is there", "does not have it"]);
}

/// Goal: the certificate can be had as a text, and where there is no authority that is said.
#[test]
fn the_certificate_can_be_printed() {
    let mut site = Site::new(FILE);
    expect(&site, &site.prumo(&["trust", "--print"]), 5, &["there is no local authority", "hint: "]);
    site.up();
    let printed = site.prumo(&["trust", "--print"]);
    assert_eq!(printed.out, fs::read_to_string(site.state().join("certs/authority.pem")).unwrap());
    expect(&site, &site.prumo(&["trust", "--print", "--remove"]), 2, &["cannot be used with"]);
}
