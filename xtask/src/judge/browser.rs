//! What Chromium makes of a site: its page over HTTP/2, a web socket on the same connection (RFC 8441), and pages of errors.

use std::path::Path;
use std::time::Duration;

use crate::bench::site::{free_port, is_answered};
use crate::checkout;
use crate::failure::Failure;
use crate::program::{Program, Running};

/// Drives the browser over its debugging protocol, and says what is wrong.
const DRIVER: &str = include_str!("browser.py");

const READY_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn run() -> Result<(), Failure> {
    Program::cargo().args(["build", "--quiet", "--package", "prumo"]).run()?;
    let folder = checkout::target().join("judge/browser");
    drop(std::fs::remove_dir_all(&folder));
    let folder = checkout::made(folder)?;
    let (site, port) = start(&folder)?;
    let url = |path: &str| format!("https://localhost:{port}{path}");
    // Debian's, which has Debian's `websockets`.
    let driver = Program::new("/usr/bin/python3").args(["-c", DRIVER, &url("/")]).arg(&folder);
    let judged = driver.args([url("/none"), url("/closed")]).run();
    drop(site);
    println!("pictures, dark and light, narrow and wide, to be looked at: {}", folder.display());
    judged
}

/// The demo app, a route that answers 404 and one that answers 503.
fn start(folder: &Path) -> Result<(Running, u16), Failure> {
    let (http, https, admin) = (free_port()?, free_port()?, free_port()?);
    let binary = checkout::target().join("debug/prumo");
    checkout::made(folder.join("empty"))?;
    let text = format!(
        "[service.web]\nrun = [{binary:?}, \"demo-app\"]\nhealth = {{ path = \"/health\" }}\n\n[[route]]\nto = \"web\"\n\n\
         [[route]]\npath = \"/none\"\nfiles = \"empty\"\n\n[[route]]\npath = \"/closed\"\nto = \"web\"\nmaintenance = true\n\n\
         [edge]\nhttp = {http}\nhttps = {https}\n\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
    );
    let file = folder.join("prumo.toml");
    checkout::write(&file, &text)?;
    let program = Program::new(&binary).arg("--file").arg(&file).arg("--state").arg(folder.join("state"));
    let mut prumo = program.arg("up").start(&folder.join("prumo.log"))?;
    prumo.ready(READY_WITHIN, || is_answered(&format!("http://127.0.0.1:{http}/health")))?;
    Ok((prumo, https))
}
