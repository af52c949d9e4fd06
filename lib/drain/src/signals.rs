//! What an operator or systemd asks of the process.

use tokio::signal::unix::{self, SignalKind};

/// The signals this process answers to, from now on instead of dying of them.
///
/// # Panics
/// Outside a tokio runtime with its I/O driver on.
pub fn signals() -> Signals {
    Signals {
        interrupt: listen(SignalKind::interrupt()),
        terminate: listen(SignalKind::terminate()),
        hang_up: listen(SignalKind::hangup()),
    }
}

/// A stream of [`Signal`]s; see [`signals`].
#[derive(Debug)]
pub struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT (Ctrl-C) or SIGTERM: stop; the second one means now.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

impl Signals {
    /// The next signal. Equal signals that arrive before anybody asks are one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}

fn listen(kind: SignalKind) -> unix::Signal {
    unix::signal(kind).expect("every process may catch SIGINT, SIGTERM and SIGHUP")
}

#[cfg(test)]
mod tests;
