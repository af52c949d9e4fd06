//! The unit of `docs/guides/systemd.md` under a real systemd, which runs as process 1 of namespaces made for the occasion and
//! sees nothing of this machine's own. It needs root and a control group hierarchy of version 2 that may be mounted, which
//! not every container grants; `tests/tests/systemd.rs` does the same with a stand-in everywhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::site::{free_port, is_answered};
use crate::checkout;
use crate::failure::Failure;
use crate::program::{Program, Running};
use crate::stopwatch::{Stopwatch, wait_until};

const WITHIN: Duration = Duration::from_secs(60);

/// What a crash may cost: the goal of the front door.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// In the namespaces, before systemd: a machine with one unit.
const BOOT: &str = "set -e
mount --make-rprivate /
umount --recursive /sys/fs/cgroup || umount --lazy /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/lock
mount -t tmpfs tmpfs /etc/systemd/system
mount -t tmpfs tmpfs /var/log
printf '[Unit]\nDefaultDependencies=no\n' > /etc/systemd/system/judge.target
cp \"$1/prumo.service\" /etc/systemd/system/
exec env container=judge /lib/systemd/systemd --system --unit=judge.target --log-target=console --show-status=0 \
    --default-standard-output=inherit
";

pub(super) fn run() -> Result<(), Failure> {
    Program::cargo().args(["build", "--quiet", "--package", "prumo"]).run()?;
    let folder = checkout::target().join("judge/systemd");
    drop(std::fs::remove_dir_all(&folder));
    let machine = Machine::boot(checkout::made(folder)?)?;
    let serves = || is_answered(&machine.url);
    machine.systemctl(&["start", "prumo"])?;
    println!("started, with Type=notify");
    machine.holds("it serves", serves)?;
    let mut main = machine.main()?;
    for number in 1..=3 {
        main = machine.crash(main, &format!("kill -9, number {number}"))?;
    }
    machine.systemctl(&["reload", "prumo"])?;
    let told = || {
        machine
            .property("StatusText")
            .is_ok_and(|status| status.starts_with("routes of") && status.ends_with(" applied"))
    };
    machine.holds("systemd knows how the reload went", told)?;
    println!("reloaded, and systemd knows how it went");
    let elder = main;
    machine.prumo(&["upgrade"])?;
    machine.holds("another process is the main one", || machine.main().is_ok_and(|main| main != elder && main != 0))?;
    main = machine.main()?;
    println!("upgraded: process {elder} became {main}, and systemd knows");
    // Longer than the watchdog waits, so that it has heard the new one.
    let since = Stopwatch::start();
    wait_until(WITHIN, || since.elapsed() > Duration::from_secs(10));
    machine.expect("with a watchdog of three seconds", "MainPID", &main.to_string())?;
    println!("ten seconds with a watchdog of three: it is fed");
    main = machine.crash(main, "kill -9 of a successor")?;
    machine.systemctl(&["restart", "prumo"])?;
    machine.holds("it serves after a restart", serves)?;
    println!("restarted in order");
    let restarted = machine.main()?;
    if restarted == main {
        return Err(Failure::new("a restart did not replace the process".to_owned()));
    }
    machine.systemctl(&["stop", "prumo"])?;
    machine.expect("after a stop", "ActiveState", "inactive")?;
    machine.expect("after a stop", "NFileDescriptorStore", "0")?;
    println!("stopped, and nothing is kept");
    Ok(())
}

/// A systemd with the unit, and the folder of the site.
struct Machine {
    folder: PathBuf,
    url: String,
    unshared: Running,
}

impl Machine {
    fn boot(folder: PathBuf) -> Result<Machine, Failure> {
        let (http, admin) = (free_port()?, free_port()?);
        let binary = checkout::target().join("debug/prumo");
        let site = format!(
            "[site]\nname = \"judge\"\n\n[edge]\naddress = \"127.0.0.1\"\nhttp = {http}\nhttps = \"off\"\n\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n\n[service.web]\nrun = [{binary:?}, \"demo-app\"]\nreplicas = 2\n\
             health = {{ path = \"/health\", every = \"1s\" }}\n\n[[route]]\nto = \"web\"\n"
        );
        checkout::write(&folder.join("prumo.toml"), &site)?;
        checkout::write(&folder.join("prumo.service"), &unit(&folder, &binary)?)?;
        checkout::write(&folder.join("boot.sh"), BOOT)?;
        let namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "--cgroup", "--ipc", "--uts", "--kill-child"];
        let unshared = Program::new("unshare")
            .args(namespaces)
            .arg("sh")
            .arg(folder.join("boot.sh"))
            .arg(&folder)
            .start(&folder.join("systemd.log"))?;
        let url = format!("http://127.0.0.1:{http}/whoami");
        let machine = Machine { folder, url, unshared };
        let runs = || machine.inside(&["systemctl", "is-active", "judge.target"]).answer().unwrap_or_default();
        if wait_until(WITHIN, || runs().trim() == "active") {
            return Ok(machine);
        }
        Err(Failure::new(format!("systemd does not run here; it printed:\n{}", machine.unshared.printed()))
            .hint("it needs root, and a control group hierarchy of version 2 that may be mounted"))
    }

    /// A command beside that systemd.
    fn inside(&self, command: &[&str]) -> Program {
        let parent = self.unshared.pid();
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        let first = children.split(' ').next().unwrap_or_default().to_owned();
        Program::new("nsenter").args(["--target", &first, "--mount", "--pid", "--cgroup", "--ipc"]).args(command)
    }

    fn systemctl(&self, arguments: &[&str]) -> Result<(), Failure> {
        self.inside(&[&["systemctl"], arguments].concat()).output().map(drop).map_err(|failure| self.explain(failure))
    }

    fn prumo(&self, arguments: &[&str]) -> Result<(), Failure> {
        let binary = checkout::target().join("debug/prumo").display().to_string();
        let (file, state) = (self.folder.join("prumo.toml"), self.folder.join("state"));
        let (file, state) = (file.display().to_string(), state.display().to_string());
        let common = [binary.as_str(), "--file", &file, "--state", &state];
        self.inside(&[&common, arguments].concat()).output().map(drop).map_err(|failure| self.explain(failure))
    }

    fn property(&self, name: &str) -> Result<String, Failure> {
        let shown = self.inside(&["systemctl", "show", "prumo", "--value", "--property", name]).output()?;
        Ok(shown.trim().to_owned())
    }

    fn main(&self) -> Result<u32, Failure> {
        let shown = self.property("MainPID")?;
        shown.parse().map_err(|_| Failure::new(format!("{shown:?} is no process")))
    }

    fn expect(&self, when: &str, name: &str, value: &str) -> Result<(), Failure> {
        let found = self.property(name)?;
        if found == value {
            return Ok(());
        }
        Err(self.explain(Failure::new(format!("{when}, {name} is {found:?} and not {value:?}"))))
    }

    fn holds(&self, what: &str, holds: impl FnMut() -> bool) -> Result<(), Failure> {
        if wait_until(WITHIN, holds) { Ok(()) } else { Err(self.explain(Failure::new(format!("not so: {what}")))) }
    }

    /// Kills the main process. Whoever connects is answered by the next one, soon.
    fn crash(&self, main: u32, what: &str) -> Result<u32, Failure> {
        let replicas = self.replicas();
        let since = Stopwatch::start();
        self.inside(&["kill", "-9", &main.to_string()]).run()?;
        // One attempt: it waits in the queue of the socket that systemd keeps.
        if !is_answered(&self.url) {
            return Err(self.explain(Failure::new(format!("{what}: a client was refused"))));
        }
        let took = since.elapsed();
        self.holds("another main process", || self.main().is_ok_and(|next| next != main && next != 0))?;
        let kept = self.replicas() == replicas && !replicas.is_empty();
        println!("{what}: answered after {took:.2?}; replicas adopted: {kept}");
        if took > BACK_WITHIN || !kept {
            return Err(self.explain(Failure::new(format!("{what}: {took:?}, replicas before: {replicas}"))));
        }
        self.main()
    }

    /// The processes of the demo app, in the eyes of that systemd.
    fn replicas(&self) -> String {
        self.inside(&["pgrep", "--full", "prumo demo-app"]).answer().unwrap_or_default()
    }

    fn explain(&self, failure: Failure) -> Failure {
        let log = checkout::read(&self.folder.join("prumo.log")).unwrap_or_default();
        failure.hint(format!("prumo said:\n{log}\nsystemd said:\n{}", self.unshared.printed()))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // `unshare` does not pass a signal on; systemd in a container leaves when it is told to.
        drop(self.inside(&["systemctl", "exit"]).answer());
    }
}

/// The unit of the guide, for this folder and with a watchdog that does not let us wait.
fn unit(folder: &Path, binary: &Path) -> Result<String, Failure> {
    let guide = checkout::read(&checkout::root().join("docs/guides/systemd.md"))?;
    let text = guide.split("```ini\n").nth(1).and_then(|rest| rest.split("```").next());
    let text = text.ok_or_else(|| Failure::new("the guide has no unit any more".to_owned()))?;
    let (folder, binary) = (folder.display(), binary.display());
    let log = format!("append:{folder}/prumo.log");
    // There is no network to wait for, and nothing of an ordinary boot.
    let text = text
        .replace("After=network-online.target\nWants=network-online.target\n", "DefaultDependencies=no\n")
        .replace("WorkingDirectory=/srv/shop", &format!("WorkingDirectory={folder}"))
        .replace("ExecStart=/usr/local/bin/prumo up", &format!("ExecStart={binary} --state {folder}/state up"))
        .replace("WatchdogSec=30s", "WatchdogSec=3s")
        .replace("StateDirectory=prumo\nStateDirectoryMode=0700\n", "");
    Ok(text.replace("[Install]", &format!("StandardOutput={log}\nStandardError={log}\n\n[Install]")))
}
