//! Outside judges that take too long, or need too much, to be tests.

mod browser;
mod differential;
mod slow;
mod systemd;
mod tls;

use std::time::Duration;

use crate::deps;
use crate::failure::Failure;

#[derive(clap::Subcommand)]
pub(crate) enum Judge {
    /// sslyze with Mozilla's intermediate configuration, and testssl.sh, look at a site as it comes. About five minutes.
    Tls,
    /// systemd itself, in namespaces of its own, runs the unit of `docs/guides/systemd.md`: kills, upgrades, restarts. As
    /// root; half a minute.
    Systemd,
    /// Chromium opens a page over HTTP/2, talks to a web socket, and takes pictures of it and of error pages. Needs the Debian
    /// package `chromium`, which is too large for `deps`.
    Browser,
    /// slowhttptest in its four modes with thousands of connections, while an honest client asks on. About three minutes.
    Slow,
    /// The same nearly right requests through prumo, nginx and HAProxy, other ones in each round.
    Differential {
        /// How long to go on.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
    },
}

pub(crate) fn run(judge: &Judge) -> Result<(), Failure> {
    deps::install()?;
    match judge {
        Judge::Tls => tls::run(),
        Judge::Systemd => systemd::run(),
        Judge::Browser => browser::run(),
        Judge::Slow => slow::run(),
        Judge::Differential { seconds } => differential::run(Duration::from_secs(*seconds)),
    }
}
