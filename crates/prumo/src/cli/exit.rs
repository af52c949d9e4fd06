//! How a command ends. The numbers are documented and do not change.

use std::process::ExitCode;

use prumo_api::RefusalKind;

/// The end of a command, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It was done.
    Done = 0,
    /// It was tried and failed.
    Failed = 1,
    /// The command line was not understood.
    Usage = 2,
    /// The file has mistakes.
    BadFile = 3,
    /// Something is not healthy, or did not become so.
    Unhealthy = 4,
    /// There is no such service, release, setting, secret or token.
    NoSuchThing = 5,
    /// It is not allowed, or not now.
    Refused = 6,
    /// Ctrl-C while it waited for a change, which goes on.
    Interrupted = 130,
}

impl Exit {
    /// Every end with its meaning, for the help and the reference.
    pub(crate) const ALL: [(Exit, &'static str); 8] = [
        (Exit::Done, "done"),
        (Exit::Failed, "failed: it was tried, and the message says what went wrong"),
        (Exit::Usage, "usage: the command line was not understood"),
        (Exit::BadFile, "bad file: prumo.toml has mistakes, each with its place"),
        (Exit::Unhealthy, "unhealthy: a part or a service is not healthy, or a release did not become so"),
        (Exit::NoSuchThing, "no such thing: no such service, release, setting, secret or token"),
        (Exit::Refused, "refused: not allowed, or not now"),
        (Exit::Interrupted, "interrupted: Ctrl-C ended the waiting for a change, and the change goes on"),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<RefusalKind> for Exit {
    fn from(kind: RefusalKind) -> Exit {
        match kind {
            RefusalKind::Malformed => Exit::Usage,
            RefusalKind::BadFile => Exit::BadFile,
            RefusalKind::Unhealthy => Exit::Unhealthy,
            RefusalKind::NoSuchThing => Exit::NoSuchThing,
            RefusalKind::Refused | RefusalKind::Unauthenticated | RefusalKind::Forbidden => Exit::Refused,
            RefusalKind::Failed => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the documented numbers are the numbers.
    #[test]
    fn numbers_stay() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| *exit as u8).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 130]);
    }
}
