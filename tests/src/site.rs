//! A site for one test: a folder with a `prumo.toml`, a real `prumo up` in it, and commands against it.
//!
//! When a [`Site`] is dropped everything of it is stopped, and a process that outlived an orderly stop fails the test.

pub mod port;
mod status;

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{self, Process, Signal, eventually};
use crate::{ask, binaries};

pub use status::{Replica, ServiceStatus};

/// How long a site may take to become healthy; on a quiet machine with two cores it takes about one second. Longer than
/// any replica of a test may take to start, so that what fails is told by its own reason.
const HEALTHY_WITHIN: Duration = Duration::from_secs(90);

/// How long `prumo up` may take to leave after SIGTERM: longer than prumo itself gives anybody to end.
const STOP_WITHIN: Duration = Duration::from_secs(90);

/// How long what ends with prumo may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// How long any other command may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(120);

/// A folder with a file, and the prumo that runs it.
pub struct Site {
    // Held so that the folder is removed at the end.
    _folder: TempDir,
    root: PathBuf,
    edge_port: u16,
    tls_port: u16,
    admin_port: u16,
    /// What the environment of prumo has beside the usual.
    variables: Vec<(String, String)>,
    up: Option<Child>,
    /// Whether the last prumo was stopped in order, so that nothing of it may be left.
    orderly: bool,
}

/// What a command said before it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it said.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

impl Site {
    /// A site that is not started yet. In the file `[EDGE]`, `[TLS]`, `[ADMIN]`, `[PRUMO]`, `[ZOO]` and `[SITE]` stand
    /// for the ports, the programs and the folder.
    pub fn new(file: &str) -> Site {
        let folder = tempfile::Builder::new().prefix("prumo-test-").tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let site = Site {
            _folder: folder,
            root,
            edge_port: port::free(),
            tls_port: port::free(),
            admin_port: port::free(),
            variables: Vec::new(),
            up: None,
            orderly: true,
        };
        site.write("prumo.toml", file);
        site
    }

    /// A started site with one service `web`, three replicas of this run line, and a route for everything.
    pub fn serving(run: &str, more: &str) -> Site {
        let mut site = Site::new(&file(run, 3, more));
        site.up();
        site.await_healthy("web");
        site
    }

    /// The folder of the site.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.root.join(".prumo")
    }

    /// Where the edge listens for HTTP.
    pub fn edge(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.edge_port))
    }

    /// Where the edge listens for HTTPS, when the file says `https = [TLS]`.
    pub fn tls(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.tls_port))
    }

    /// Where the admin listener is.
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.admin_port))
    }

    /// Writes a file into the folder, with the placeholders filled in.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, self.filled(text)).unwrap();
    }

    /// A text with its placeholders filled in.
    pub fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (placeholder, value) in self.placeholders() {
            text = text.replace(placeholder, &value);
        }
        text
    }

    /// What each placeholder stands for.
    pub fn placeholders(&self) -> Vec<(&'static str, String)> {
        vec![
            ("[EDGE]", self.edge_port.to_string()),
            ("[TLS]", self.tls_port.to_string()),
            ("[ADMIN]", self.admin_port.to_string()),
            ("[PRUMO]", binaries::prumo().display().to_string()),
            ("[ZOO]", binaries::zoo().display().to_string()),
            ("[SITE]", self.root.display().to_string()),
        ]
    }

    /// Puts a variable into the environment of every prumo that is started from now on.
    pub fn variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Starts `prumo up` and waits until its admin listener answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn up(&mut self) {
        self.start();
        let answers = eventually(HEALTHY_WITHIN, || self.has_ended() || ask::get(self.admin(), "/health").is_ok());
        assert!(answers && !self.has_ended(), "prumo up did not come up\n{}", self.story());
    }

    /// Starts `prumo up` and does not wait for anything.
    pub fn start(&mut self) {
        self.start_with(&["up"]);
    }

    /// Starts `prumo up --keep` and waits until its admin listener answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn keep(&mut self) {
        self.start_with(&["up", "--keep"]);
        let answers = eventually(HEALTHY_WITHIN, || self.has_ended() || ask::get(self.admin(), "/health").is_ok());
        assert!(answers && !self.has_ended(), "prumo up --keep did not come up\n{}", self.story());
    }

    /// Starts a program that starts `prumo up`, and does not wait for anything.
    pub fn start_under(&mut self, program: &Path, arguments: &[&str]) {
        let mut command = self.dressed(Command::new(program));
        command.args(arguments).arg(binaries::prumo()).arg("up");
        self.launch(command);
    }

    /// The process that runs the site, which is not the one that was started when that is a keeper.
    pub fn main_pid(&self) -> Option<u32> {
        let status: serde_json::Value = serde_json::from_str(&self.prumo(&["status", "--json"]).out).ok()?;
        u32::try_from(status["pid"].as_u64()?).ok()
    }

    fn start_with(&mut self, arguments: &[&str]) {
        self.launch(self.command(arguments));
    }

    fn launch(&mut self, mut command: Command) {
        assert!(self.up.is_none(), "this site is up already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.up = Some(child.unwrap());
        self.orderly = false;
    }

    /// Waits until prumo has ended by itself, and says its exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(&mut self) -> Option<i32> {
        let ended = eventually(HEALTHY_WITHIN, || self.has_ended());
        assert!(ended, "prumo goes on\n{}", self.story());
        self.up.take().and_then(|mut up| up.wait().unwrap().code())
    }

    /// Waits until every wanted replica of a service is healthy and nothing else of it runs.
    pub fn await_healthy(&self, service: &str) -> ServiceStatus {
        let mut last = None;
        let healthy = eventually(HEALTHY_WITHIN, || {
            last = self.status(service);
            last.as_ref().is_some_and(ServiceStatus::is_settled)
        });
        assert!(healthy, "{service} did not become healthy: {last:#?}\n{}", self.story());
        last.unwrap()
    }

    /// What `prumo status` says of a service; `None` while it says nothing.
    pub fn status(&self, service: &str) -> Option<ServiceStatus> {
        let said = self.prumo(&["status", "--json"]);
        ServiceStatus::find(&said.out, service)
    }

    /// Which release of a service the ledger says is serving, asked of a copy while prumo does not run.
    pub fn serving_release(&self, service: &str) -> Option<u64> {
        assert!(self.up.is_none(), "prumo writes to the ledger while it runs");
        let folder = tempfile::tempdir().unwrap();
        // A copy, so that the recovery of the original is left to prumo.
        for name in ["ledger.db", "ledger.db-wal"] {
            let original = self.state().join(name);
            if original.exists() {
                fs::copy(original, folder.path().join(name)).unwrap();
            }
        }
        let ledger = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
        let query = "SELECT serving_release FROM run_service WHERE name = ?1";
        let serving: Option<u32> = ledger.query_row(query, [service], |row| row.get(0)).unwrap();
        serving.map(u64::from)
    }

    /// Runs a command of prumo to its end.
    pub fn prumo(&self, arguments: &[&str]) -> Said {
        self.prumo_with_input(arguments, "")
    }

    /// Runs a command of prumo that must succeed.
    pub fn must(&self, arguments: &[&str]) -> Said {
        let said = self.prumo(arguments);
        assert_eq!(said.code, Some(0), "prumo {}\n{}{}\n{}", arguments.join(" "), said.out, said.err, self.story());
        said
    }

    /// Runs a command of prumo with something to read.
    pub fn prumo_with_input(&self, arguments: &[&str], input: &str) -> Said {
        finish(self.spawn(arguments), input, COMMAND_WITHIN)
    }

    /// Starts a command of prumo; [`finish`] waits for its end.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Asks the edge with GET.
    pub fn get(&self, path: &str) -> std::io::Result<ask::Answer> {
        ask::get(self.edge(), path)
    }

    /// The process id of the running prumo.
    pub fn pid(&self) -> u32 {
        self.up.as_ref().expect("the site is up").id()
    }

    /// Whether `prumo up` has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.up.as_mut().is_none_or(|up| up.try_wait().unwrap().is_some())
    }

    /// Kills prumo as a power cut would; its replicas live on.
    pub fn kill(&mut self) {
        let mut up = self.up.take().expect("the site is up");
        up.kill().unwrap();
        up.wait().unwrap();
    }

    /// Stops prumo in order and says its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut up = self.up.take().expect("the site is up");
        process::signal(up.id(), Signal::TERM);
        let left = eventually(STOP_WITHIN, || up.try_wait().unwrap().is_some());
        if !left {
            up.kill().unwrap();
        }
        let status = up.wait().unwrap();
        assert!(left, "prumo did not stop within {STOP_WITHIN:?}\n{}", self.story());
        self.orderly = true;
        status.code()
    }

    /// Processes that belong to this site, prumo itself included while it runs.
    pub fn processes(&self) -> Vec<Process> {
        process::of_folder(&self.root)
    }

    /// What prumo said and the last lines of each replica, for the message of a failing test.
    pub fn story(&self) -> String {
        let mut story = format!("--- prumo up (site {})\n{}", self.root.display(), tail(&self.log_path(), 60));
        let logs = fs::read_dir(self.state().join("logs")).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = logs.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| !path.to_string_lossy().contains("access")) {
            story.push_str(&format!("--- {}\n{}", path.file_name().unwrap().display(), tail(path, 15)));
        }
        story
    }

    /// Everything that `prumo up` printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.root.join("up.log")
    }

    /// A command with a small environment of its own, so that nothing of the tester's shell decides a test.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.dressed(Command::new(binaries::prumo()));
        command.args(arguments);
        command
    }

    fn dressed(&self, mut command: Command) -> Command {
        command.current_dir(&self.root).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &self.root);
        // Where a program that counts the lines it runs writes that down: see `cargo xtask coverage`.
        command.envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)));
        command.env("PRUMO_STATE", self.state()).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.up.is_some() && !std::thread::panicking() {
            self.stop();
        } else if let Some(mut up) = self.up.take() {
            process::signal(up.id(), Signal::TERM);
            if !eventually(GONE_WITHIN, || up.try_wait().unwrap().is_some()) {
                let _ = up.kill();
            }
            let _ = up.wait();
        }
        // What ends a moment after prumo is not left behind; what a kill of prumo left is.
        if self.orderly {
            eventually(GONE_WITHIN, || self.processes().is_empty());
        }
        let left = self.processes();
        eventually(GONE_WITHIN, || {
            let living = self.processes();
            living.iter().for_each(|process| process::signal(process.pid, Signal::KILL));
            living.is_empty()
        });
        let broken = self.orderly && !left.is_empty() && !std::thread::panicking();
        assert!(!broken, "prumo stopped in order and left processes behind: {left:#?}\n{}", self.story());
    }
}

/// How replicas of tests are looked at. Three answers that come later than this make one unhealthy: no machine stands
/// still for as long. Who wants to see that happen asks [`checked_often`].
const CHECK: &str = r#"path = "/health", every = "20s", timeout = "20s""#;

/// The same file with checks that find a replica that hangs within seconds.
pub fn checked_often(file: &str) -> String {
    file.replace(CHECK, r#"path = "/health", every = "1s", timeout = "1s""#)
}

/// A file with one service `web` and a route for everything.
pub fn file(run: &str, replicas: u32, more: &str) -> String {
    format!(
        r#"[site]
name = "test"

[edge]
address = "127.0.0.1"
http = [EDGE]
https = "off"

[admin]
listen = "127.0.0.1:[ADMIN]"

[service.web]
run = "{run}"
replicas = {replicas}
health = {{ {CHECK}, start_within = "60s" }}
drain = "10s"
{more}

[[route]]
to = "web"
"#
    )
}

/// Waits for the end of a program and collects what it said; kills it when it takes too long.
pub fn finish(mut child: Child, input: &str, within: Duration) -> Said {
    // Pipes are read on threads of their own, so that a program that says much is never stuck.
    let mut stdin = child.stdin.take();
    let input = input.to_owned();
    let write = std::thread::spawn(move || {
        if let Some(stdin) = &mut stdin {
            let _ = stdin.write_all(input.as_bytes());
        }
    });
    let out = collect(child.stdout.take());
    let err = collect(child.stderr.take());
    let began = Instant::now();
    let ended = eventually(within, || child.try_wait().unwrap().is_some());
    if !ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    write.join().unwrap();
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    assert!(ended, "a command did not end within {:?}\n{out}{err}", began.elapsed());
    Said { code: status.code(), out, err }
}

fn collect(pipe: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The last lines of a file; a file of a gigabyte is not read whole.
fn tail(path: &Path, lines: usize) -> String {
    const ENOUGH: u64 = 32 * 1024;
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(length.saturating_sub(ENOUGH)))?;
        let mut bytes = Vec::new();
        file.take(ENOUGH).read_to_end(&mut bytes)?;
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("({error})\n"));
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| format!("{line}\n")).collect()
}
