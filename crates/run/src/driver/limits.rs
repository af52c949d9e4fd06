//! Limits on what a replica may use: control groups where they work, resource limits of the process elsewhere, and
//! words that say which of the two really holds.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit};

use crate::desired::ServiceSpec;

/// Where control groups are on this machine, found once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    /// The folder below which every replica gets a group of version 2, with or without controllers.
    unified: Option<PathBuf>,
    memory: Controller,
    cpu: Controller,
    pids: Controller,
    /// The soft limit of open files that programs expect, where prumo has raised its own.
    files_soft: Option<u64>,
}

/// How a resource can be held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Controller {
    V2,
    /// The folder of the version 1 controller below which replicas get groups.
    V1(PathBuf),
    #[default]
    None,
}

/// What holds one replica: groups to join, limits to set, and the truth about both.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) groups: Groups,
    /// `cgroup.procs` of each group, opened by prumo: the kernel checks the right of whoever opened it, so the child
    /// can join after it has become another user.
    pub(crate) join: Vec<OwnedFd>,
    pub(crate) rlimits: Vec<(Resource, Rlimit)>,
    pub(crate) words: Vec<String>,
}

/// The period over which the kernel shares out processor time, in microseconds: its own default.
const CPU_PERIOD_MICROS: u64 = 100_000;

/// Lets this process open as many files as it may: each proxied request has two. Returns the soft limit before.
pub fn raise_files() -> Option<u64> {
    let before = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "limit of open files stays as it is");
    }
    before.current
}

impl Limits {
    /// Looks at what this machine offers, by trying it.
    pub(crate) fn detect(site: &str, files_soft: Option<u64>) -> Limits {
        let root = Path::new("/sys/fs/cgroup");
        let below = |base: &Path| base.join("prumo").join(site);
        let unified = [root.to_owned(), root.join("unified")].into_iter().find(|base| {
            let usable = base.join("cgroup.controllers").exists() && fs::create_dir_all(below(base)).is_ok();
            usable && below(base).join("cgroup.procs").exists()
        });
        let enabled = unified.as_deref().map(|base| enable_controllers(base, &below(base))).unwrap_or_default();
        let controller = |name: &str| {
            let folder = below(&root.join(name));
            if enabled.iter().any(|enabled| enabled == name) {
                Controller::V2
            } else if root.join(name).join("cgroup.procs").exists() && fs::create_dir_all(&folder).is_ok() {
                Controller::V1(folder)
            } else {
                Controller::None
            }
        };
        let (memory, cpu, pids) = (controller("memory"), controller("cpu"), controller("pids"));
        Limits { unified: unified.as_deref().map(below), memory, cpu, pids, files_soft }
    }

    /// The groups a replica has or would have, whether they exist or not: enough to find, kill and remove.
    pub(crate) fn groups(&self, replica: &str) -> Groups {
        let v1 = [&self.memory, &self.cpu, &self.pids].into_iter().filter_map(|controller| match controller {
            Controller::V1(folder) => Some(folder.join(replica)),
            _ => None,
        });
        Groups { unified: self.unified.as_ref().map(|folder| folder.join(replica)), v1: v1.collect() }
    }

    /// Removes the folders that hold the groups of replicas, when there is none left. The next start makes them again.
    pub(crate) fn remove(&self) {
        let v1 = [&self.memory, &self.cpu, &self.pids].into_iter().filter_map(|controller| match controller {
            Controller::V1(folder) => Some(folder),
            _ => None,
        });
        for folder in v1.chain(&self.unified) {
            // Refused while a replica is inside, which is as it should be.
            let _ = fs::remove_dir(folder);
        }
    }

    /// Makes the groups of a replica and sets its limits. Never fails: what cannot be held is said.
    pub(crate) fn hold(&self, replica: &str, spec: &ServiceSpec) -> Held {
        let mut held = Held { groups: self.groups(replica), ..Held::default() };
        held.join();
        self.hold_memory(spec, &mut held);
        self.hold_cpu(spec, &mut held);
        self.hold_processes(spec, &mut held);
        if let Some(files) = spec.files {
            held.rlimit(Resource::Nofile, u64::from(files));
            held.words.push(format!("files {files} by rlimit"));
        } else if let Some(soft) = self.files_soft {
            // Programs that use `select` break above 1024, so what prumo raised for itself is not passed on.
            let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
            held.rlimits.push((Resource::Nofile, Rlimit { current: Some(soft), maximum }));
        }
        held
    }

    /// The words for a replica that was started by an earlier prumo: its groups exist, so setting the limits again
    /// changes nothing.
    pub(crate) fn hold_words(&self, replica: &str, spec: &ServiceSpec) -> Vec<String> {
        self.hold(replica, spec).words
    }

    fn hold_memory(&self, spec: &ServiceSpec, held: &mut Held) {
        let Some(bytes) = spec.memory else { return };
        let said = format!("memory {}", readable_bytes(bytes));
        let files = ("memory.max", "memory.limit_in_bytes");
        match held.write(&self.memory, files, &bytes.to_string(), &bytes.to_string()) {
            Some(by) => held.words.push(format!("{said} by {by}")),
            None => {
                // Private writable memory. The address space would be simpler, but runtimes reserve terabytes of it.
                held.rlimit(Resource::Data, bytes);
                held.words.push(format!("{said} for each process by rlimit (no memory cgroup)"));
            }
        }
    }

    fn hold_cpu(&self, spec: &ServiceSpec, held: &mut Held) {
        let Some(cores) = spec.cpu else { return };
        let said = format!("cpu {cores} cores");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float to integer cast saturates"
        )]
        let quota = (cores.max(0.01) * CPU_PERIOD_MICROS as f64) as u64;
        let v2 = format!("{quota} {CPU_PERIOD_MICROS}");
        match held.write(&self.cpu, ("cpu.max", "cpu.cfs_quota_us"), &v2, &quota.to_string()) {
            Some(by) => held.words.push(format!("{said} by {by}")),
            None => held.words.push(format!("not held: {said} (no cpu cgroup)")),
        }
    }

    fn hold_processes(&self, spec: &ServiceSpec, held: &mut Held) {
        let Some(processes) = spec.processes else { return };
        let said = format!("processes {processes}");
        let text = processes.to_string();
        match held.write(&self.pids, ("pids.max", "pids.max"), &text, &text) {
            Some(by) => held.words.push(format!("{said} by {by}")),
            // The kernel counts this one for a whole user, and does not apply it to root.
            None if spec.user.as_deref().is_some_and(|user| user != "root") => {
                held.rlimit(Resource::Nproc, u64::from(processes));
                held.words.push(format!("{said} for the whole user by rlimit (no pids cgroup)"));
            }
            None => held.words.push(format!("not held: {said} (no pids cgroup)")),
        }
    }
}

impl Held {
    /// Makes the groups and opens them to be joined.
    fn join(&mut self) {
        for folder in self.groups.folders() {
            match make(folder) {
                Ok(procs) => self.join.push(procs),
                Err(error) => self.words.push(format!("no control group {}: {error}", folder.display())),
            }
        }
    }

    /// Writes a limit into the group that has its controller and says which version that is.
    fn write(&self, controller: &Controller, files: (&str, &str), v2: &str, v1: &str) -> Option<&'static str> {
        match controller {
            Controller::V2 => {
                let folder = self.groups.unified.as_ref()?;
                fs::write(folder.join(files.0), v2).ok().map(|()| "cgroup v2")
            }
            Controller::V1(folder) => {
                let folder = self.groups.v1.iter().find(|group| group.starts_with(folder))?;
                fs::write(folder.join(files.1), v1).ok().map(|()| "cgroup v1")
            }
            Controller::None => None,
        }
    }

    fn rlimit(&mut self, resource: Resource, most: u64) {
        self.rlimits.push((resource, Rlimit { current: Some(most), maximum: Some(most) }));
    }
}

/// The control groups of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    unified: Option<PathBuf>,
    v1: Vec<PathBuf>,
}

impl Groups {
    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.unified.iter().chain(&self.v1)
    }

    /// Every process in any of them.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let lists = self.folders().map(|folder| fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default());
        let mut pids: Vec<u32> =
            lists.flat_map(|list| list.lines().filter_map(|line| line.parse().ok()).collect::<Vec<u32>>()).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Kills everybody at once where the kernel can (5.14 and later); the caller kills one by one as well.
    pub(crate) fn kill(&self) {
        if let Some(folder) = &self.unified {
            let _ = fs::write(folder.join("cgroup.kill"), "1");
        }
    }

    /// How often the kernel killed one of them because memory ran out.
    pub(crate) fn out_of_memory_kills(&self) -> u64 {
        let files = self.folders().flat_map(|folder| [folder.join("memory.events"), folder.join("memory.oom_control")]);
        let count = |path: PathBuf| {
            let text = fs::read_to_string(path).ok()?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
        };
        files.filter_map(count).max().unwrap_or(0)
    }

    /// Removes the folders; the kernel refuses while somebody is inside, and then they are removed next time.
    pub(crate) fn remove(&self) {
        for folder in self.folders() {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn make(folder: &Path) -> io::Result<OwnedFd> {
    fs::create_dir_all(folder)?;
    Ok(fs::OpenOptions::new().write(true).open(folder.join("cgroup.procs"))?.into())
}

/// Hands controllers down from the root of version 2 to our folder and says which ones arrived.
fn enable_controllers(base: &Path, ours: &Path) -> Vec<String> {
    let between = [base.to_owned(), base.join("prumo"), ours.to_owned()];
    for folder in between {
        for controller in ["+memory", "+cpu", "+pids"] {
            // Refused where an older owner holds the controller; what arrives is read back below.
            let _ = fs::write(folder.join("cgroup.subtree_control"), controller);
        }
    }
    let arrived = fs::read_to_string(ours.join("cgroup.subtree_control")).unwrap_or_default();
    arrived.split_whitespace().map(str::to_owned).collect()
}

/// Bytes as people write them in the file: `512 MB`.
fn readable_bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 6] =
        [("GiB", 1 << 30), ("GB", 1_000_000_000), ("MiB", 1 << 20), ("MB", 1_000_000), ("KiB", 1 << 10), ("KB", 1_000)];
    let unit = UNITS.into_iter().find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    unit.map_or_else(|| format!("{bytes} bytes"), |(name, size)| format!("{} {name}", bytes / size))
}

#[cfg(test)]
mod tests;
