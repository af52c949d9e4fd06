//! `[service.NAME.at]`

use std::path::PathBuf;
use std::time::Duration;

use super::{kind, optional, table};
use crate::checked::{FilePath, Places};
use crate::resolved::{Place, SeenHost};

table! {
    /// A service that somebody else runs. prumo looks up its names, leaves out addresses that are not well by the service's
    /// `health`, and forwards requests to the others.
    pub(crate) struct OutsideTable as "service.at", "[service.NAME.at]" {
        /// Where it is: `https://` or `http://`, a host and perhaps a port; or `unix:` and the path of a socket. A list
        /// names several, which are balanced as replicas are.
        url: Vec<Place> as Places,
            because "It is required: prumo cannot guess where the service is.",
            example ["https://one.internal:8443", "https://two.internal:8443"];
        /// A file with the certificates, as PEM, of those who sign the service's certificate.
        ca: Option<PathBuf> as Option<FilePath>,
            because "Without it, the authorities of the system are trusted. There is no way to trust everybody.",
            example "certs/internal.pem";
        /// The host that the service sees: its own ("upstream"), or the one that the client asked for ("client").
        host: SeenHost = "upstream",
            because "Who serves several hosts at one address chooses by it; the client's is in `X-Forwarded-Host`.",
            example "client";
        /// How often its names are looked up.
        resolve: Duration = "30s", from "1s" to "1d",
            because "The time that names in clouds are usually valid for; what was known stays when nobody answers.",
            example "5m";
    }
}
