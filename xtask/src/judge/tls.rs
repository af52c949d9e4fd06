//! How TLS looks from outside, without a setting: a site with an ECDSA and an RSA certificate of an authority made for
//! the occasion (TLS-01, TLS-04).

use std::path::Path;
use std::time::Duration;

use crate::bench::site::{free_port, is_answered};
use crate::checkout;
use crate::deps;
use crate::failure::Failure;
use crate::program::{Program, Running};

const HOST: &str = "shop.test";
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Findings of testssl.sh that we know and keep, with the reason.
const KEPT: &[(&str, &str)] = &[
    (
        "cipher_order",
        "Mozilla's intermediate configuration lets the client choose: every suite is strong, and it knows its hardware",
    ),
    ("DNS_CAArecord", "a record of the name's owner, and the name of this test has none"),
    ("engine_problem", "about the OpenSSL that testssl.sh runs with"),
];

pub(super) fn run() -> Result<(), Failure> {
    Program::cargo().args(["build", "--quiet", "--package", "prumo"]).run()?;
    let folder = checkout::target().join("judge/tls");
    // What an earlier run has left could be judged by mistake.
    drop(std::fs::remove_dir_all(&folder));
    let folder = checkout::made(folder)?;
    certificates(&folder)?;
    let (site, port) = start(&folder)?;
    println!("sslyze, Mozilla's intermediate configuration:");
    let target = format!("{HOST}:{port}{{127.0.0.1}}");
    let said = Program::new(deps::sslyze())
        .args(["--mozilla_config=intermediate", "--certinfo_ca_file"])
        .arg(folder.join("authority.pem"))
        .arg(target)
        .answer()
        .unwrap_or_default();
    if !said.contains("OK - Compliant") {
        return Err(Failure::new(format!("sslyze is not content:\n{said}")));
    }
    println!("  OK - Compliant");
    println!("testssl.sh:");
    let findings = testssl(&folder, port)?;
    drop(site);
    if findings.is_empty() {
        println!("  nothing to complain about, beside what is kept with a reason in `xtask/src/judge/tls.rs`");
        return Ok(());
    }
    Err(Failure::new(format!("testssl.sh complains:\n  {}", findings.join("\n  "))))
}

/// An authority, and two certificates for one host signed by it, as a public authority would make them.
fn certificates(folder: &Path) -> Result<(), Failure> {
    let extensions = format!(
        "subjectAltName=DNS:{HOST}\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
         extendedKeyUsage=serverAuth\ncrlDistributionPoints=URI:http://authority.test/list.crl\n\
         subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    );
    checkout::write(&folder.join("extensions"), &extensions)?;
    let openssl = |arguments: &str| {
        let words = arguments.split(' ');
        let paths = words.map(|word| match word.strip_prefix('@') {
            Some(file) => folder.join(file).into_os_string(),
            None => word.into(),
        });
        Program::new("openssl").args(paths).output().map(drop)
    };
    openssl("genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out @authority.key")?;
    openssl(
        "req -x509 -new -key @authority.key -subj /CN=judge -days 30 -addext keyUsage=critical,keyCertSign,cRLSign -out @authority.pem",
    )?;
    for (name, key) in [
        ("ecdsa", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        ("rsa", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
    ] {
        openssl(&format!("genpkey -quiet {key} -out @{name}.key"))?;
        openssl(&format!("req -new -key @{name}.key -subj /CN={HOST} -out @{name}.csr"))?;
        openssl(&format!(
            "x509 -req -in @{name}.csr -CA @authority.pem -CAkey @authority.key -CAcreateserial -days 89 \
             -sha256 -extfile @extensions -out @{name}.pem"
        ))?;
    }
    Ok(())
}

/// A site as small as can be, so that everything about TLS is a default.
fn start(folder: &Path) -> Result<(Running, u16), Failure> {
    let (http, https, admin) = (free_port()?, free_port()?, free_port()?);
    let binary = checkout::target().join("debug/prumo");
    let text = format!(
        "[service.web]\nrun = [{binary:?}, \"demo-app\"]\nhealth = {{ path = \"/health\" }}\n\n[[route]]\nto = \"web\"\n\n\
         [[certificate]]\ncert = \"rsa.pem\"\nkey = \"rsa.key\"\n\n[[certificate]]\ncert = \"ecdsa.pem\"\nkey = \"ecdsa.key\"\n\n\
         [edge]\nhttp = {http}\nhttps = {https}\n\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
    );
    let file = folder.join("prumo.toml");
    checkout::write(&file, &text)?;
    let mut prumo = Program::new(&binary)
        .arg("--file")
        .arg(&file)
        .arg("--state")
        .arg(folder.join("state"))
        .arg("up")
        .start(&folder.join("prumo.log"))?;
    let answers = format!("http://127.0.0.1:{http}/health");
    prumo.ready(READY_WITHIN, || is_answered(&answers))?;
    Ok((prumo, https))
}

/// What testssl.sh finds wrong and we do not keep.
fn testssl(folder: &Path, port: u16) -> Result<Vec<String>, Failure> {
    let report = folder.join("testssl.json");
    // Its exit code counts findings of any weight, so the report is what counts.
    Program::new("testssl")
        .args(["--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--add-ca"])
        .arg(folder.join("authority.pem"))
        .arg("--jsonfile")
        .arg(&report)
        .arg(format!("{HOST}:{port}"))
        .answer();
    let text = checkout::read(&report)?;
    let unreadable = |why: String| Failure::new(format!("{} cannot be read: {why}", report.display()));
    let findings: Vec<serde_json::Value> =
        serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    judge(&findings).map_err(unreadable)
}

/// Every finding that is more than information and is not kept. Pure.
fn judge(findings: &[serde_json::Value]) -> Result<Vec<String>, String> {
    let mut complaints = Vec::new();
    let mut good = 0;
    for finding in findings {
        let text = |key: &str| finding[key].as_str().unwrap_or_default();
        match text("severity") {
            "OK" => good += 1,
            "INFO" | "DEBUG" => {}
            severity if is_kept(text("id")) => println!("  kept: {} ({severity})", text("id")),
            severity => complaints.push(format!("{severity} {}: {}", text("id"), text("finding"))),
        }
    }
    // A run that broke off, or did not reach the site, has little to say.
    if good < 30 { Err(format!("only {good} things were found good")) } else { Ok(complaints) }
}

/// With several certificates the ids end in `<cert#1>` and so on.
fn is_kept(id: &str) -> bool {
    let id = id.split(' ').next().unwrap_or_default();
    KEPT.iter().any(|(kept, _)| *kept == id)
}

#[cfg(test)]
mod tests;
