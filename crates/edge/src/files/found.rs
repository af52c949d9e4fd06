//! A file that was found: what tells its states from one another, and where its bytes are.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::HeaderValue;
use rustix::fs::Stat;

use super::accept::Coding;
use super::kind;

use crate::balance::hash::mix;

/// A file beside another counts as older only by more than this: tools that write both take a moment, and copies round.
const OLDER_BY: Duration = Duration::from_secs(2);

/// A file changed more recently than this may be changed again without its times showing it: older kernels stamp in
/// steps of up to 10 ms, some file systems in seconds.
const YOUNG: Duration = Duration::from_millis(2_100);

/// A file with those beside it that hold the same in another coding.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) kind: &'static str,
    pub(crate) plain: Variant,
    /// By the order of [`Coding::ALL`].
    pub(crate) coded: [Option<Variant>; Coding::ALL.len()],
}

impl Found {
    pub(crate) fn new(path: &[u8], plain: Variant, coded: [Option<Variant>; Coding::ALL.len()]) -> Found {
        Found { kind: kind::of(path), plain, coded }
    }

    pub(crate) fn is_html(&self) -> bool {
        self.kind.starts_with("text/html") || self.kind.starts_with("application/xhtml")
    }

    pub(crate) fn variant(&self, coding: Option<Coding>) -> &Variant {
        coding.and_then(|coding| self.coded[coding as usize].as_ref()).unwrap_or(&self.plain)
    }

    pub(crate) fn has_coded(&self) -> bool {
        self.coded.iter().any(Option::is_some)
    }

    /// Bytes it holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.variants().map(|variant| variant.contents().map_or(0, Bytes::len)).sum()
    }

    /// Files it holds open.
    pub(crate) fn open_files(&self) -> usize {
        self.variants().filter(|variant| variant.contents().is_none()).count()
    }

    pub(crate) fn is_same(&self, other: &Found) -> bool {
        let trusts = |variant: &Variant| variant.is_trusted();
        self.variants().all(trusts)
            && self.variants().map(|variant| variant.stamp).eq(other.variants().map(|variant| variant.stamp))
            && self.coded.iter().map(Option::is_some).eq(other.coded.iter().map(Option::is_some))
    }

    fn variants(&self) -> impl Iterator<Item = &Variant> {
        std::iter::once(&self.plain).chain(self.coded.iter().flatten())
    }
}

/// What the file system says about a file. Two states of a path with the same stamp are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    pub(crate) length: u64,
    /// Nanoseconds since 1970: when it was last written, and when anything about it last changed. The first can be set
    /// at will and is kept by many tools when they copy; the second cannot.
    written: i128,
    changed: i128,
}

impl Stamp {
    #[expect(clippy::unnecessary_cast, reason = "the fields of stat differ in width between machines")]
    pub(crate) fn of(stat: &Stat) -> Stamp {
        let nanos = |seconds: i64, nanos: u64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Stamp {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            length: u64::try_from(stat.st_size).unwrap_or(0),
            written: nanos(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: nanos(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
        }
    }

    /// Whether an open file still holds what it held. Not every change counts: one that was replaced by renaming loses
    /// a name, which is a change of the file though not of its bytes.
    pub(crate) fn holds_the_same(&self, other: &Stamp) -> bool {
        self.length == other.length && self.written == other.written
    }

    /// 64 bits that differ when the stamp does, and tell nobody the inode.
    fn digest(&self, coding: Option<Coding>) -> u64 {
        let coding = coding.map_or(0, |coding| coding as u64 + 1);
        let parts = [self.device, self.inode, self.length, self.written as u64, self.changed as u64, coding];
        parts.into_iter().fold(0x9e37_79b9_7f4a_7c15, |sum, part| mix(sum.rotate_left(23) ^ part))
    }
}

/// One file: its stamp, what a client is told of it, and its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) stamp: Stamp,
    /// A strong entity tag: another coding or another state has another one.
    pub(crate) tag: HeaderValue,
    /// In whole seconds; none when the file claims to be from before 1970 or from the future.
    pub(crate) modified: Option<SystemTime>,
    pub(crate) last_modified: Option<HeaderValue>,
    pub(crate) source: Source,
    is_young: bool,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Memory(Bytes),
    Disk(Arc<OwnedFd>),
}

impl Variant {
    pub(crate) fn new(
        stamp: Stamp,
        coding: Option<Coding>,
        file: OwnedFd,
        contents: Option<Vec<u8>>,
        now: SystemTime,
    ) -> Variant {
        let tag = format!("\"{:016x}-{:x}\"", stamp.digest(coding), stamp.length);
        let modified = u64::try_from(stamp.written.div_euclid(1_000_000_000)).ok();
        let modified = modified.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        let modified = modified.filter(|modified| *modified <= now);
        let age = |nanos: i128| now_nanos(now) - nanos;
        Variant {
            stamp,
            tag: HeaderValue::from_str(&tag).expect("hexadecimal digits in quotes are a header value"),
            last_modified: modified.and_then(|at| HeaderValue::from_str(&httpdate::fmt_http_date(at)).ok()),
            modified,
            source: contents.map_or_else(|| Source::Disk(Arc::new(file)), |bytes| Source::Memory(bytes.into())),
            is_young: age(stamp.written.max(stamp.changed)) < YOUNG.as_nanos() as i128,
        }
    }

    /// Whether an equal stamp proves equal bytes. One that was young when it was read is read once more.
    pub(crate) fn is_trusted(&self) -> bool {
        !self.is_young
    }

    /// Left over from an earlier build: whoever wrote the other file has not written this one.
    pub(crate) fn is_older(&self, plain: &Variant) -> bool {
        plain.stamp.written - self.stamp.written > OLDER_BY.as_nanos() as i128
    }

    fn contents(&self) -> Option<&Bytes> {
        match &self.source {
            Source::Memory(bytes) => Some(bytes),
            Source::Disk(_) => None,
        }
    }
}

fn now_nanos(now: SystemTime) -> i128 {
    match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}
