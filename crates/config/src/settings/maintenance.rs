//! `[maintenance]`

use std::path::PathBuf;
use std::time::Duration;

use super::{kind, optional, table};
use crate::checked::FilePath;
use crate::value::Cidr;

table! {
    /// What clients get while routes are in maintenance: those that say `maintenance = true`, and those that
    /// `prumo maintenance on` names, which lasts until `prumo maintenance off`, also over a restart.
    pub struct Maintenance as "maintenance", "[maintenance]" {
        /// How long a request waits for the end of the maintenance. After that it gets a 503.
        hold: Duration = "0s", from "0s" to "5m",
            because "Clients learn at once that they should come again; for a pause of seconds, holding them is kinder.",
            example "20s";
        /// When clients are told to come again (`Retry-After`).
        retry_after: Duration = "2m", from "1s" to "30d",
            because "Crawlers and other programs look at it; it should be about as long as the work takes.",
            example "1h";
        /// A page of HTML for browsers, in place of prumo's own. Programs get a problem document in any case.
        page: Option<PathBuf> as Option<FilePath>,
            because "Without it, prumo's own page says that the site is being worked on.",
            example "pages/maintenance.html";
        /// Clients that pass nevertheless, by their address.
        except: Vec<Cidr> = [],
            because "Nobody is treated differently unasked. Who does the work should be here, to see whether all is well.",
            example ["198.51.100.7", "10.0.0.0/8"];
    }
}
