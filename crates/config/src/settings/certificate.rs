//! `[[certificate]]` and `[[client_certificate]]`

use std::path::PathBuf;

use super::{kind, optional, table};
use crate::checked::{FilePath, Host, rules};
use crate::resolved::ShowCertificate;

table! {
    /// A certificate that is kept as files. It is used for the hosts it names.
    pub struct Certificate as "certificate", "[[certificate]]", check rules::certificate {
        /// The certificate and those between it and the root, as PEM.
        cert: PathBuf as FilePath,
            because "It is required.",
            example "certs/shop.pem";
        /// Its private key, as PEM.
        key: PathBuf as FilePath,
            because "It is required. Only the user of prumo should be able to read it.",
            example "certs/shop.key";
    }
}

table! {
    /// Hosts whose clients must show a certificate of their own, so that the app knows who they are. The app finds the
    /// verified one in the headers `X-Client-Certificate-Subject` and `X-Client-Certificate-Fingerprint`.
    pub struct ClientCertificate as "client_certificate", "[[client_certificate]]", check rules::client_certificate {
        /// The host: a name, or `*.` and a name for everything one or more levels below it.
        host: Option<String> as Option<Host>,
            because "Without it, clients of every host are asked.",
            example "admin.example.com";
        /// The certificates of the authorities that sign the clients' certificates, as PEM.
        authority: Vec<PathBuf> as Vec<FilePath>,
            because "It is required: a certificate says something only when somebody known has signed it.",
            example ["certs/clients.pem"];
        /// Lists of certificates that these authorities have revoked (CRLs), as PEM. Every authority that signs needs its
        /// own, also one that signs another; without one, its clients are refused.
        revoked: Vec<PathBuf> as Vec<FilePath> = [],
            because "Most small authorities keep none. A list counts on when its time is over: an old one is better than none.",
            example ["certs/revoked.pem"];
        /// Whether clients without a certificate are let in: "required" refuses them, with "optional" the app decides. A
        /// certificate that cannot be verified is always refused.
        mode: ShowCertificate = "required",
            because "Who writes this table wants to know who comes; an app that forgets to look lets nobody in.",
            example "optional";
    }
}
