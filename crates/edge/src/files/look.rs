//! Looks into a folder for what a path names, so that nothing outside the folder is ever opened.
//!
//! The kernel resolves the path beneath the folder (`openat2` with `RESOLVE_BENEATH`): `..` and links that lead out
//! are refused by the one who follows them, without a moment between the check and the use. Where that call is missing
//! or forbidden, each name is opened by itself and no link is followed at all.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{Errno, ReadWriteFlags};

use super::accept::Coding;
use super::found::{Found, Stamp, Variant};

/// Files up to this size are kept in memory: nearly every file of a web app. Larger ones are streamed.
pub(crate) const CONTENTS_BYTES_MAX: u64 = 256 * 1024;

/// Tries when another program renames while we resolve (`openat2` then says `EAGAIN`).
const TRIES: u32 = 16;

/// What to look for.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) folder: PathBuf,
    /// Names joined by `/`; empty for the folder itself.
    pub(crate) path: Vec<u8>,
    /// Whether files with `.br`, `.zst` and `.gz` added are looked for too.
    pub(crate) precompressed: bool,
    /// What was there at the last look; contents that have not changed are not read again.
    pub(crate) known: Option<Arc<Found>>,
    pub(crate) now: SystemTime,
}

/// What is there.
#[derive(Clone, Debug)]
pub(crate) enum Looked {
    File(Arc<Found>),
    Folder,
    Nothing,
}

/// Whether a look may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Only what is in memory: on a core, where everybody else would wait too.
    None,
    /// As long as it takes: on a thread made for that.
    Endless,
}

/// Why a look ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It would have to wait for the disk.
    WouldWait,
    /// The system failed.
    System(Errno),
}

/// Looks for a file, and for those beside it that hold the same in fewer bytes.
pub(crate) fn look(look: &Look, patience: Patience) -> Result<Looked, Trouble> {
    let Some(folder) = open_folder(look, patience)? else { return Ok(Looked::Nothing) };
    let opened = match open(&folder, &look.path, patience)? {
        Opened::File(file, stat) => (file, stat),
        Opened::Folder => return Ok(Looked::Folder),
        Opened::Nothing => return Ok(Looked::Nothing),
    };
    let known = look.known.as_deref();
    let plain = variant(opened, known.map(|known| &known.plain), None, look.now, patience)?;
    let mut coded = [const { None }; Coding::ALL.len()];
    if look.precompressed {
        for (place, coding) in coded.iter_mut().zip(Coding::ALL) {
            let known = known.and_then(|known| known.coded[coding as usize].as_ref());
            *place = sibling(&folder, look, coding, known, patience)?.filter(|sibling| !sibling.is_older(&plain));
        }
    }
    let found = Found::new(&look.path, plain, coded);
    Ok(Looked::File(match &look.known {
        Some(known) if known.is_same(&found) => Arc::clone(known),
        _ => Arc::new(found),
    }))
}

fn sibling(
    folder: &OwnedFd,
    look: &Look,
    coding: Coding,
    known: Option<&Variant>,
    patience: Patience,
) -> Result<Option<Variant>, Trouble> {
    match open(folder, &[&look.path[..], coding.suffix()].concat(), patience)? {
        Opened::File(file, stat) => variant((file, stat), known, Some(coding), look.now, patience).map(Some),
        Opened::Folder | Opened::Nothing => Ok(None),
    }
}

/// What is known of a file, with its contents when it is small.
fn variant(
    (file, stat): (OwnedFd, Stat),
    known: Option<&Variant>,
    coding: Option<Coding>,
    now: SystemTime,
    patience: Patience,
) -> Result<Variant, Trouble> {
    let stamp = Stamp::of(&stat);
    if let Some(known) = known.filter(|known| known.stamp == stamp && known.is_trusted()) {
        return Ok(known.clone());
    }
    let mut contents = None;
    if stamp.length <= CONTENTS_BYTES_MAX {
        let read = read_whole(&file, stamp.length, patience)?;
        // Read while somebody wrote: it may be half of each.
        let is_steady = rustix::fs::fstat(&file).is_ok_and(|after| Stamp::of(&after) == stamp);
        contents = read.filter(|_| is_steady);
    }
    Ok(Variant::new(stamp, coding, file, contents, now))
}

/// All of a small file; `None` when it ends early.
fn read_whole(file: &OwnedFd, length: u64, patience: Patience) -> Result<Option<Vec<u8>>, Trouble> {
    let mut contents = vec![0; usize::try_from(length).unwrap_or(0)];
    let mut filled = 0;
    while filled < contents.len() {
        match read_at(file, &mut contents[filled..], filled as u64, patience)? {
            0 => return Ok(None),
            read => filled += read,
        }
    }
    Ok(Some(contents))
}

/// Reads into `buffer`; without patience only what the page cache holds.
pub(crate) fn read_at(file: &OwnedFd, buffer: &mut [u8], offset: u64, patience: Patience) -> Result<usize, Trouble> {
    loop {
        let read = match patience {
            Patience::Endless => rustix::io::pread(file, &mut *buffer, offset),
            Patience::None => rustix::io::preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT),
        };
        match read {
            Ok(read) => return Ok(read),
            Err(Errno::INTR) => {}
            // Not in memory; or a file system, such as overlayfs before Linux 6.x, that cannot tell.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) if patience == Patience::None => {
                return Err(Trouble::WouldWait);
            }
            Err(errno) => return Err(Trouble::System(errno)),
        }
    }
}

/// The folder is opened anew for each look: a deploy that swaps a link is seen at once, and none is held open.
fn open_folder(look: &Look, patience: Patience) -> Result<Option<OwnedFd>, Trouble> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match patience {
        Patience::None => rustix::fs::openat2(CWD, &look.folder, flags, Mode::empty(), ResolveFlags::CACHED),
        Patience::Endless => rustix::fs::open(&look.folder, flags, Mode::empty()),
    };
    match opened {
        Ok(folder) => Ok(Some(folder)),
        Err(errno) if is_absent(errno) => Ok(None),
        Err(errno) => Err(trouble(errno, patience)),
    }
}

enum Opened {
    File(OwnedFd, Stat),
    Folder,
    Nothing,
}

/// Opens what `path` names beneath `folder`. Only a regular file is given out; `O_NONBLOCK` keeps a pipe without a writer
/// from holding us up until its kind is known.
fn open(folder: &OwnedFd, path: &[u8], patience: Patience) -> Result<Opened, Trouble> {
    if path.is_empty() {
        return Ok(Opened::Folder);
    }
    let file = match open_beneath(folder, path, patience) {
        Ok(file) => file,
        Err(errno) if is_absent(errno) => return Ok(Opened::Nothing),
        Err(errno) => return Err(trouble(errno, patience)),
    };
    let stat = rustix::fs::fstat(&file).map_err(Trouble::System)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Opened::File(file, stat),
        FileType::Directory => Opened::Folder,
        _ => Opened::Nothing,
    })
}

const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

fn open_beneath(folder: &OwnedFd, path: &[u8], patience: Patience) -> Result<OwnedFd, Errno> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if patience == Patience::None {
        return rustix::fs::openat2(folder, path, READ, Mode::empty(), beneath | ResolveFlags::CACHED);
    }
    for _ in 0..TRIES {
        match rustix::fs::openat2(folder, path, READ, Mode::empty(), beneath) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Before Linux 5.6, or kept from us by a container's filter.
            Err(Errno::NOSYS | Errno::PERM) => return open_by_steps(folder, path),
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

/// Name by name, following no link: a link could lead anywhere.
fn open_by_steps(folder: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let last = names.pop().ok_or(Errno::NOENT)?;
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut reached: Option<OwnedFd> = None;
    for name in names {
        check_step(name)?;
        let from = reached.as_ref().unwrap_or(folder).as_fd();
        let next = rustix::fs::openat(from, name, step, Mode::empty())?;
        reached = Some(next);
    }
    check_step(last)?;
    rustix::fs::openat(reached.as_ref().unwrap_or(folder), last, READ | OFlags::NOFOLLOW, Mode::empty())
}

/// The path was checked before; the last one to look at it checks again.
fn check_step(name: &[u8]) -> Result<(), Errno> {
    if matches!(name, b"" | b"." | b"..") { Err(Errno::XDEV) } else { Ok(()) }
}

/// What a client may take for "there is no such file". That one is forbidden to us is nothing it needs to know.
fn is_absent(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::NAMETOOLONG
            | Errno::LOOP
            | Errno::XDEV
            | Errno::ACCESS
            | Errno::NXIO
            | Errno::NODEV
            | Errno::ILSEQ
    )
}

fn trouble(errno: Errno, patience: Patience) -> Trouble {
    match errno {
        // Not in memory; or Linux before 5.12, which does not know the question and calls it invalid.
        Errno::AGAIN | Errno::INVAL | Errno::NOSYS | Errno::PERM if patience == Patience::None => Trouble::WouldWait,
        errno => Trouble::System(errno),
    }
}

#[cfg(test)]
mod tests;
