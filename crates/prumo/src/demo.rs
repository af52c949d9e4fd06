//! `prumo demo`: a site from nothing but this binary, in a folder of its own, gone with everything on Ctrl-C.

mod app;

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use prumo_api::ask::HealthWord;
use prumo_api::{Refusal, RefusalKind};
use prumo_clock::Clock;

use crate::cli::{DemoArguments, Exit, Outcome, Printer};
use crate::daemon::{self, Daemon, Options};
use crate::file::TheFile;
use crate::log;
use crate::state::State;

/// The file of the demo site, with its ports left open.
const SITE: &str = include_str!("demo/site.toml");
/// How long the demo may take to become healthy before it says that it did not.
const HEALTHY_WITHIN: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs the demo site until a signal ends it.
pub(crate) async fn run(arguments: &DemoArguments, printer: Printer, clock: Clock) -> Outcome {
    // The demo speaks to a person: its own lines, and from the log only what went wrong.
    log::start(clock.clone(), true);
    let mut signals = prumo_drain::signals();
    let folder = arguments.folder.clone().unwrap_or_else(default_folder);
    prepare(&folder)?;
    let program = program()?;
    let is_own = arguments.folder.is_none();
    let file = folder.join("prumo.toml");
    refuse_others(&folder, &file)?;
    if is_own && folder.join("ledger.db").exists() {
        if prumo_run::anything_runs(&folder) {
            printer.line(format!(
                "replicas of an earlier demo still run: this one goes on with them, in {}",
                folder.display()
            ));
        } else {
            // Left by a demo that was killed; its releases name a program that may be gone.
            std::fs::remove_dir_all(&folder).map_err(|error| cannot(&folder, &error))?;
            prepare(&folder)?;
        }
    }
    std::fs::write(&file, site_text(&program, arguments)).map_err(|error| cannot(&file, &error))?;
    let options =
        Options { file: TheFile::new(&file, None), state: folder.clone(), quiet: true, arguments: Vec::new() };

    printer
        .line(format!("prumo demo: {} behind the edge …", crate::cli::count(arguments.replicas as usize, "replica")));
    let started = Box::pin(daemon::start(&options, printer, clock.clone())).await;
    let mut daemon = started.map_err(|refusal| in_words_of_the_demo(refusal, arguments))?;
    let first_look = tokio::select! {
        healthy = wait_until_healthy(&daemon, &clock) => healthy,
        _ = signals.next() => return Box::pin(daemon.stop(&mut signals)).await,
    };
    if first_look {
        printer.line(what_to_try(&program, &folder, &ports(&daemon).await));
    } else {
        printer.line(format!(
            "the demo did not become healthy in {}s; `prumo --state {} status` shows why",
            HEALTHY_WITHIN.as_secs(),
            folder.display()
        ));
    }
    Box::pin(daemon.live(&mut signals)).await;
    printer.line("stopping …");
    let outcome = Box::pin(daemon.stop(&mut signals)).await;
    // A folder that the demo chose is the demo's to remove; one that somebody named is theirs.
    if is_own {
        drop(std::fs::remove_dir_all(&folder));
    }
    printer.line("everything is stopped");
    outcome
}

/// The app of the demo site, in each replica.
pub(crate) fn app() -> Outcome {
    let ended = app::serve();
    Ok(if ended == ExitCode::SUCCESS { Exit::Done } else { Exit::Failed })
}

/// One folder a user, so that the commands that are printed stay short.
fn default_folder() -> PathBuf {
    std::env::temp_dir().join(format!("prumo-demo-{}", rustix::process::geteuid().as_raw()))
}

/// Makes the folder, or refuses one that another user put there.
fn prepare(folder: &Path) -> Result<(), Refusal> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(cannot(folder, &error)),
    }
    let metadata = std::fs::symlink_metadata(folder).map_err(|error| cannot(folder, &error))?;
    if metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(Refusal::new(RefusalKind::Refused, format!("{} belongs to somebody else", folder.display()))
        .hint("name another folder: `prumo demo --folder DIR`"))
}

/// A file that the demo did not write, or a demo that runs there, is not overwritten.
fn refuse_others(folder: &Path, file: &Path) -> Result<(), Refusal> {
    let written_by_demo = |text: String| text.lines().next() == SITE.lines().next();
    if std::fs::read_to_string(file).is_ok_and(|text| !written_by_demo(text)) {
        return Err(Refusal::new(RefusalKind::Refused, format!("{} is not the demo's", file.display()))
            .hint("name another folder: `prumo demo --folder DIR`"));
    }
    // Held for a moment only: the daemon holds the folder itself, and says then who has it.
    State::hold(folder).map(State::release).map_err(|refusal| {
        refusal.hint("a second demo needs a folder and ports of its own: `prumo demo --folder DIR --http 8081 --https 8444 --admin 7701`")
    })
}

fn program() -> Result<PathBuf, Refusal> {
    std::env::current_exe()
        .map_err(|error| Refusal::new(RefusalKind::Failed, format!("prumo cannot find its own program: {error}")))
}

fn site_text(program: &Path, arguments: &DemoArguments) -> String {
    // A path with a quote or a backslash in it is written as TOML wants it.
    let program = program.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    SITE.replace("{program}", &program)
        .replace("{replicas}", &arguments.replicas.to_string())
        .replace("{http}", &arguments.http.to_string())
        .replace("{https}", &arguments.https.to_string())
        .replace("{admin}", &arguments.admin.to_string())
}

async fn wait_until_healthy(daemon: &Daemon, clock: &Clock) -> bool {
    let deadline = clock.now() + HEALTHY_WITHIN;
    while clock.now() < deadline {
        if daemon.site.health().await.status == HealthWord::Healthy {
            return true;
        }
        clock.sleep(LOOK_EVERY).await;
    }
    false
}

/// The ports as they came to be: 0 asks for any that is free.
struct Ports {
    http: String,
    https: String,
    admin: String,
}

async fn ports(daemon: &Daemon) -> Ports {
    let status = daemon.site.status(None).await.ok();
    let port = |address: Option<String>| {
        address.and_then(|address| Some(address.rsplit_once(':')?.1.to_owned())).unwrap_or_default()
    };
    let (http, https) = status.map(|status| (status.http, status.https)).unwrap_or_default();
    let admin = daemon.house.admin_address().map(|address| address.to_string());
    Ports { http: port(http), https: port(https), admin: port(admin) }
}

/// The demo's ports are options of its command, and its file is written anew at each start.
fn in_words_of_the_demo(refusal: Refusal, arguments: &DemoArguments) -> Refusal {
    let Some(hint) = &refusal.hint else { return refusal };
    let about_file = ["under [edge]", "with `[admin] listen"].iter().any(|words| hint.contains(words));
    if !about_file {
        return refusal;
    }
    let is_of = |port: u16| format!("{} ", refusal.message).contains(&format!(":{port} "));
    let option = match () {
        () if is_of(arguments.https) => "--https",
        () if is_of(arguments.admin) => "--admin",
        () => "--http",
    };
    refusal.hint(format!("stop that process, or choose another port: `prumo demo {option} PORT`"))
}

fn what_to_try(program: &Path, folder: &Path, ports: &Ports) -> String {
    let prumo = format!("{} --state {}", shorten(program), folder.display());
    let Ports { http, https, admin } = ports;
    let (folder, authority) = (folder.display(), folder.join("certs").join("authority.pem").display().to_string());
    format!(
        "It runs. Open http://127.0.0.1:{http} or try, in another terminal:

  who answers      curl http://127.0.0.1:{http}/whoami
  over TLS, HTTP/2 curl --cacert {authority} https://localhost:{https}/whoami
  what runs        {prumo} status
  a deploy         {prumo} deploy hello
  a kill           kill -9 PID      with a pid from the status; the others answer, and it comes back
  a bad release    uncomment DEMO_BREAK in {folder}/prumo.toml, then deploy
  the logs         {prumo} logs hello -f
  admin listener   curl http://127.0.0.1:{admin}/metrics

Ctrl-C stops everything."
    )
}

/// The program as one would type it here.
fn shorten(program: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| program.strip_prefix(here).map(Path::to_owned).ok());
    short.map_or_else(|| program.display().to_string(), |short| format!("./{}", short.display()))
}

fn cannot(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal::new(RefusalKind::Failed, format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a port that is taken is chosen anew by an option of the command, not in a file that the demo writes.
    #[test]
    fn a_taken_port_is_an_option() {
        let arguments = DemoArguments { http: 80, https: 8443, admin: 7700, replicas: 3, folder: None };
        let check = |message: &str, hint: &str, expected: &str| {
            let refusal = Refusal::new(RefusalKind::Refused, message).hint(hint);
            assert_eq!(in_words_of_the_demo(refusal, &arguments).hint.unwrap(), expected);
        };
        let edge = "stop that process, or choose another port under [edge]";
        let said = |option| format!("stop that process, or choose another port: `prumo demo {option} PORT`");
        check("the address 0.0.0.0:80 is taken by nginx (pid 7)", edge, &said("--http"));
        check("the address 0.0.0.0:8443 is taken by nginx (pid 7)", edge, &said("--https"));
        let admin = "stop that process, or choose another address with `[admin] listen = \"127.0.0.1:7701\"`";
        check("the admin address 127.0.0.1:7700 is taken by prumo (pid 7)", admin, &said("--admin"));
        check("the disk is full", "make room", "make room");
    }

    /// Goal: the file that the demo writes is good, also when the program lies in a folder with an odd name.
    #[test]
    fn the_demo_file_is_good() {
        let arguments = DemoArguments { http: 8080, https: 8443, admin: 7700, replicas: 3, folder: None };
        for program in ["/usr/bin/prumo", "/a \"b\"/c\\d/prumo"] {
            let text = site_text(Path::new(program), &arguments);
            let config = prumo_config::read(&text, "prumo.toml", None, &|_| None)
                .map_err(|mistakes| mistakes.to_string())
                .unwrap();
            assert_eq!(config.services["hello"].run[0], program);
        }
    }
}
