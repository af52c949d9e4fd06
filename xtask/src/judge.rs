//! Outside judges that take too long, or need too much, to be tests.

mod systemd;
mod tls;

use crate::deps;
use crate::failure::Failure;

#[derive(clap::Subcommand)]
pub(crate) enum Judge {
    /// sslyze with Mozilla's intermediate configuration, and testssl.sh, look at a site as it comes. About five minutes.
    Tls,
    /// systemd itself, in namespaces of its own, runs the unit of `docs/guides/systemd.md`: kills, upgrades, restarts. As
    /// root; half a minute.
    Systemd,
}

pub(crate) fn run(judge: &Judge) -> Result<(), Failure> {
    deps::install()?;
    match judge {
        Judge::Tls => tls::run(),
        Judge::Systemd => systemd::run(),
    }
}
