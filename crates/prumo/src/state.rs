//! The state folder: where it is, what lies in it, and that only one prumo uses it at a time.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use prumo_api::{Refusal, RefusalKind};
use prumo_clock::Clock;
use rustix::fs::{FlockOperation, flock};

/// Where root keeps the state of a site, where that folder exists.
const ROOT_STATE: &str = "/var/lib/prumo";

/// Room that is kept for the next start: a prumo that crashed while the disk was full must come up again, because
/// losing the disk may stop deploys and never traffic. A start writes some tens of kilobytes.
const BALLAST_BYTES: u64 = 1024 * 1024;

/// The state folder of a site, held by this process.
pub(crate) struct State {
    folder: PathBuf,
    lock: File,
    /// Whether the prumo before this one ended without tidying up.
    pub crashed_before: bool,
}

/// The state folder that these arguments mean.
pub(crate) fn locate(state: Option<&Path>, file: &Path) -> PathBuf {
    if let Some(folder) = state {
        return absolute(folder);
    }
    let as_root = rustix::process::geteuid().is_root() && Path::new(ROOT_STATE).is_dir();
    if as_root { PathBuf::from(ROOT_STATE) } else { absolute(file).parent().unwrap_or(Path::new("/")).join(".prumo") }
}

/// The path from the root, whether or not it exists.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl State {
    /// Makes the folder where it is missing, and holds it. Refuses while another prumo does.
    pub(crate) fn hold(folder: &Path) -> Result<State, Refusal> {
        prepare(folder)?;
        let mut lock = open_private(&folder.join("lock")).map_err(|error| cannot(folder, &error))?;
        if !take_lock(&mut lock) {
            return Err(held_by_another(folder, &mut lock));
        }
        // Not before it is certain that no other prumo runs here.
        make_passable(&folder.join("run"))?;
        for part in ["logs", "certs", "secrets"] {
            make_private(&folder.join(part))?;
        }
        let crashed_before = !read_text(&mut lock).trim().is_empty();
        let state = State { folder: folder.to_owned(), lock, crashed_before };
        let pid = format!("{}\n", std::process::id());
        let written = state.write_lock(&pid).or_else(|_| {
            state.throw_ballast();
            state.write_lock(&pid)
        });
        written.map_err(|error| cannot(folder, &error))?;
        Ok(state)
    }

    /// Holds the folder by the lock that a predecessor holds, which it has handed over.
    pub(crate) fn hold_together(folder: &Path, lock: File) -> State {
        State { folder: folder.to_owned(), lock, crashed_before: false }
    }

    /// The lock, for a successor.
    pub(crate) fn lock(&self) -> &File {
        &self.lock
    }

    /// Says that this process is the one that holds the folder.
    pub(crate) fn sign(&self) {
        if let Err(error) = self.write_lock(&format!("{}\n", std::process::id())) {
            tracing::warn!(%error, "the state folder does not say who holds it");
        }
    }

    /// Lays the ballast, where there is room for it.
    pub(crate) fn lay_ballast(&self) {
        let path = self.path("ballast");
        let laid = open_private(&path).and_then(|file| {
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BALLAST_BYTES).map_err(Into::into)
        });
        if laid.is_err() {
            self.throw_ballast();
        }
    }

    /// Gives the ballast's room back to the disk. Says whether there was any.
    pub(crate) fn throw_ballast(&self) -> bool {
        std::fs::remove_file(self.path("ballast")).is_ok()
    }

    /// What the cookies of sticky routes are made with. One that cannot be kept serves until the next start, when clients
    /// get another replica once: a full disk stops no traffic.
    pub(crate) fn sticky_key(&self, clock: &Clock) -> [u8; 32] {
        let path = self.path("sticky.key");
        let known = std::fs::read(&path).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        known.unwrap_or_else(|| {
            let mut fresh = [0; 32];
            clock.fill_random(&mut fresh);
            if let Err(error) = write_whole(&path, &fresh) {
                tracing::warn!(%error, "key of sticky cookies not kept");
            }
            fresh
        })
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Says that everything was stopped in order, so that the next start knows.
    pub(crate) fn release(self) {
        drop(std::fs::remove_file(self.path("run").join(prumo_api::client::SOCKET)));
        drop(self.write_lock(""));
    }

    /// Listens on the command socket. The path goes through the folder, because a socket's own path may have 107 bytes at most.
    pub(crate) fn listen(&self) -> Result<OwnedFd, Refusal> {
        let folder = self.path("run");
        let bind = || {
            let handle = File::open(&folder)?;
            let path = format!("/proc/self/fd/{}/{}", handle.as_raw_fd(), prumo_api::client::SOCKET);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = std::os::unix::net::UnixListener::bind(&path)?;
            listener.set_nonblocking(true)?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            Ok(listener.into())
        };
        bind().map_err(|error| cannot(&folder, &error))
    }

    fn write_lock(&self, text: &str) -> std::io::Result<()> {
        // Never empty in between: an empty one says that everything was stopped in order.
        std::os::unix::fs::FileExt::write_all_at(&self.lock, text.as_bytes(), 0)?;
        self.lock.set_len(text.len() as u64)
    }
}

/// Writes a file so that a reader, or a crash, sees either the old text or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension("fresh");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&fresh, path));
    if written.is_err() {
        drop(std::fs::remove_file(&fresh));
    }
    written
}

/// What only a state folder has in it.
const MARKS: [&str; 3] = ["lock", "ledger.db", "secrets"];

/// Makes the folder, or takes it as it is: replicas of other users pass through it to their sockets, and everything in
/// it is private or passable itself. One that others use is left to them.
fn prepare(folder: &Path) -> Result<(), Refusal> {
    let failed = |error: &std::io::Error| cannot(folder, error);
    let Ok(metadata) = folder.metadata() else { return make_passable(folder) };
    let mode = metadata.permissions().mode();
    if mode & 0o066 == 0 {
        return Ok(());
    }
    let is_ours = MARKS.iter().any(|name| folder.join(name).exists());
    if !is_ours && std::fs::read_dir(folder).map_err(|error| failed(&error))?.next().is_some() {
        let shown = folder.display();
        return Err(Refusal::new(
            RefusalKind::Refused,
            format!("{shown} cannot be the state folder: it is open to others, and what lies in it is not prumo's"),
        )
        .hint("name a folder of its own with `--state DIR`; prumo makes it where it is missing"));
    }
    std::fs::set_permissions(folder, Permissions::from_mode(mode & 0o711)).map_err(|error| failed(&error))
}

/// Makes a folder that others pass through and cannot look around in; one that is there stays as it is.
fn make_passable(folder: &Path) -> Result<(), Refusal> {
    DirBuilder::new().recursive(true).mode(0o711).create(folder).map_err(|error| cannot(folder, &error))
}

/// Makes the folder, or takes away what others may do in one that is there already.
fn make_private(folder: &Path) -> Result<(), Refusal> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let tightened = made.and_then(|()| {
        let mode = folder.metadata()?.permissions().mode();
        if mode & 0o077 == 0 { Ok(()) } else { std::fs::set_permissions(folder, Permissions::from_mode(0o700)) }
    });
    tightened.map_err(|error| cannot(folder, &error))
}

fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// How long a start waits for the lock of a prumo that has died.
const DEAD_HOLD_MAX: Duration = Duration::from_secs(3);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Takes the lock. One whose holder is dead is waited for: a replica that was just being started when prumo was killed
/// has a copy of it, and of every socket, until its own program begins a moment later.
fn take_lock(lock: &mut File) -> bool {
    let mut waited = Duration::ZERO;
    while flock(&*lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if waited >= DEAD_HOLD_MAX || holder_lives(lock) {
            return false;
        }
        wait(LOOK_EVERY);
        waited += LOOK_EVERY;
    }
    true
}

fn holder_lives(lock: &mut File) -> bool {
    let pid = read_text(lock).trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[expect(clippy::disallowed_methods, reason = "nothing runs yet that could be held up, nor could wake the sleeper")]
fn wait(duration: Duration) {
    std::thread::sleep(duration);
}

fn read_text(file: &mut File) -> String {
    let mut text = String::new();
    drop(file.rewind().and_then(|()| file.read_to_string(&mut text)));
    text
}

fn held_by_another(folder: &Path, lock: &mut File) -> Refusal {
    let pid = read_text(lock).trim().to_owned();
    let who = if pid.is_empty() { "another prumo".to_owned() } else { format!("another prumo (pid {pid})") };
    Refusal::new(RefusalKind::Refused, format!("{who} uses the state folder {}", folder.display()))
        .hint("`prumo status` shows what it runs; give a second site a state folder of its own with `--state DIR`")
}

fn cannot(path: &Path, error: &std::io::Error) -> Refusal {
    let refusal =
        Refusal::new(RefusalKind::Failed, format!("the state folder cannot be used: {}: {error}", path.display()));
    match error.kind() {
        ErrorKind::StorageFull => refusal.hint("free some space on that disk; what runs is not touched"),
        ErrorKind::PermissionDenied => {
            refusal.hint("run prumo as the user who owns the folder, or name another with `--state DIR`")
        }
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            refusal.hint("there is a file where the folder should be; name a folder with `--state DIR`")
        }
        _ => refusal.hint("name another folder with `--state DIR`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    fn allow(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// Goal: others pass through the state folder to the sockets of replicas and see nothing on the way; what somebody
    /// opened on purpose stays so; a second prumo that is refused changes nothing.
    #[test]
    fn replicas_reach_their_sockets() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("a").join("state");
        let state = State::hold(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&folder.join("run"))), (0o711, 0o711));
        for private in ["logs", "certs", "secrets"] {
            assert_eq!(mode(&folder.join(private)), 0o700, "{private}");
        }
        assert_eq!(mode(&folder.join("lock")), 0o600);
        allow(&folder.join("logs"), 0o750);
        assert!(State::hold(&folder).is_err());
        assert_eq!((mode(&folder.join("run")), mode(&folder.join("logs"))), (0o711, 0o750));
        state.release();
        allow(&folder, 0o755);
        State::hold(&folder).unwrap().release();
        assert_eq!((mode(&folder), mode(&folder.join("logs"))), (0o711, 0o700));
        allow(&folder, 0o700);
        State::hold(&folder).unwrap().release();
        assert_eq!(mode(&folder), 0o700, "nobody is let in who was not before");
    }

    /// Goal: a folder of others is not taken from them by a slip of the pen, such as `--state /tmp`.
    #[test]
    fn folders_of_others_are_left_alone() {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::write(temporary.path().join("theirs"), "").unwrap();
        allow(temporary.path(), 0o777);
        let refusal = State::hold(temporary.path()).map(|_| ()).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Refused);
        assert!(refusal.message.contains("not prumo's"), "{}", refusal.message);
        assert_eq!(mode(temporary.path()), 0o777);
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1, "nothing is put there");
    }

    /// Goal: a file where the folder should be is told, with what to do, and is left as it is.
    #[test]
    fn a_file_is_no_folder() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("state");
        std::fs::write(&file, "mine").unwrap();
        for folder in [file.clone(), file.join("below")] {
            let refusal = State::hold(&folder).map(|_| ()).unwrap_err();
            assert_eq!(refusal.kind, RefusalKind::Failed);
            assert!(refusal.message.contains(&file.display().to_string()), "{}", refusal.message);
            assert!(refusal.hint.iter().any(|hint| hint.contains("there is a file where")), "{:?}", refusal.hint);
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }

    /// Goal: a mark of a prumo that runs is replaced without a moment in which there is none, and none is left at the end.
    #[test]
    fn the_mark_is_replaced() {
        let temporary = tempfile::tempdir().unwrap();
        let state = State::hold(temporary.path()).unwrap();
        let check = |text: &str| {
            state.write_lock(text).unwrap();
            assert_eq!(std::fs::read_to_string(state.path("lock")).unwrap(), text);
        };
        check("4194304\n");
        check("7\n");
        check("");
    }

    /// Goal: one holder at a time; the second is told who; the folder is closed; a crash shows at the next start.
    #[test]
    fn only_one_holds_the_folder() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("state");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        let first = State::hold(&folder).unwrap();
        assert!(!first.crashed_before);
        assert_eq!(mode(&folder), 0o711);
        let refusal = State::hold(&folder).map(|_| ()).unwrap_err();
        assert!(refusal.message.contains(&format!("pid {}", std::process::id())), "{}", refusal.message);
        drop(first);
        let second = State::hold(&folder).unwrap();
        assert!(second.crashed_before, "the first was dropped without release");
        second.release();
        assert!(!State::hold(&folder).unwrap().crashed_before);
    }

    /// Goal: a lock that outlives its holder for a moment is waited for.
    #[test]
    fn a_dead_hold_is_waited_for() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("lock");
        // No process has this number: it is above the most that a kernel gives.
        std::fs::write(&path, "4194305\n").unwrap();
        let copy = open_private(&path).unwrap();
        flock(&copy, FlockOperation::NonBlockingLockExclusive).unwrap();
        std::thread::scope(|scope| {
            let held = scope.spawn(|| State::hold(temporary.path()).map(|_| ()));
            wait(10 * LOOK_EVERY);
            assert!(!held.is_finished(), "it neither gives up nor goes on while the lock is taken");
            drop(copy);
            held.join().unwrap().unwrap();
        });
    }

    /// Goal: the ballast takes room when it is laid, gives it back when it is thrown, and is thrown once.
    #[test]
    fn the_ballast_keeps_room() {
        use std::os::unix::fs::MetadataExt;
        let temporary = tempfile::tempdir().unwrap();
        let state = State::hold(temporary.path()).unwrap();
        state.lay_ballast();
        let metadata = state.path("ballast").metadata().unwrap();
        assert!(metadata.blocks() * 512 >= BALLAST_BYTES, "{} blocks", metadata.blocks());
        assert!(state.throw_ballast());
        assert!(!state.throw_ballast());
    }

    /// Goal: a whole write replaces the old text and leaves nothing beside it.
    #[test]
    fn a_whole_write_replaces() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a.toml");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1);
    }

    /// Goal: the state folder lies beside the file unless one says otherwise.
    #[test]
    fn the_folder_is_found() {
        assert_eq!(locate(Some(Path::new("/a")), Path::new("/b/prumo.toml")), Path::new("/a"));
        if !Path::new(ROOT_STATE).is_dir() {
            assert_eq!(locate(None, Path::new("/b/prumo.toml")), Path::new("/b/.prumo"));
        }
    }
}
