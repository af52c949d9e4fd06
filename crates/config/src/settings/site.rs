//! The file as a whole, and `[site]`.

use std::collections::BTreeMap;

use super::{
    Admin, Certificate, ClientCertificate, Edge, Maintenance, RouteTable, ServiceTable, Setting, kind, optional, table,
};
use crate::checked::{Kind, Named, Overlays, Shape, Text, rules};
use crate::value::{Cron, Percent};

/// The file as a setting of its own, from which all others are reached.
pub(crate) static ROOT: Setting = Setting {
    key: "",
    kind: Root::NAME,
    form: "",
    text: "",
    default: None,
    bounds: None,
    why: "",
    example: "{}",
    may_be_absent: false,
    shape: Shape::One(&Root::DEFINITION),
    schema: Root::schema,
};

table! {
    /// One file describes the whole site. It is strict TOML: an unknown key is a mistake, and all mistakes are
    /// reported at once. In every text, `${NAME}` stands for a variable of prumo's environment, `${NAME:-text}`
    /// gives it a default, `${NAME:?text}` says why it is needed, and `$$` is a plain dollar sign.
    pub(crate) struct Root as "", "prumo.toml", check rules::site {
        /// What the whole site shares.
        site: Site = {},
            because "A site that says nothing about itself gets the defaults.",
            example { name = "shop" };
        /// The programs to keep running, each under a name of lower-case letters, digits and `-`.
        service: BTreeMap<String, ServiceTable> as Named<ServiceTable> = {},
            because "A site may be nothing but files, redirects and fixed answers; any other needs at least one.",
            example { api = { run = "bin/api --port $PORT" } };
        /// Which requests go to which service. The most exact host wins, then the longest path.
        route: Vec<RouteTable> = [],
            because "A site of workers needs no routes.",
            example [{ to = "api" }];
        /// Certificates that are kept as files.
        certificate: Vec<Certificate> = [],
            because "Without one, the edge uses the certificate of its own local authority, which browsers must be told to trust.",
            example [{ cert = "certs/shop.pem", key = "certs/shop.key" }];
        /// Hosts whose clients show certificates of their own.
        client_certificate: Vec<ClientCertificate> = [],
            because "Most sites are for everybody, or their app asks for a password.",
            example [{ host = "admin.example.com", authority = ["certs/clients.pem"] }];
        /// The front door: listeners, and limits for every request.
        edge: Edge = {},
            because "The defaults are safe for a site on the internet.",
            example { http = 8080 };
        /// What clients get while routes are in maintenance.
        maintenance: Maintenance = {},
            because "Without it, they get a 503 and prumo's own page.",
            example { hold = "20s" };
        /// The listener for people and tools that run the site.
        admin: Admin = {},
            because "The default is reached from this machine only.",
            example { listen = "127.0.0.1:7700" };
        /// Overlays: `[env.staging.edge]` and its like are laid over the rest when `--env staging` is given. Tables
        /// are merged key by key, anything else, also a list of tables, is replaced.
        env: () as Overlays,
            because "One file for all places where the site runs shows how they differ.",
            example { staging = { site = { name = "shop-staging" } } };
    }
}

table! {
    /// What the whole site shares.
    pub struct Site as "site", "[site]" {
        /// The name of the site, for logs, metrics and notices.
        name: String as Text = "site",
            because "A machine usually runs one site, which needs no name.",
            example "shop";
        /// When records of old releases and old logs are pruned.
        tidy: Cron = "17 4 * * *",
            because "Once a day, at a quiet hour, and off the full hour at which everything else begins.",
            example "30 3 * * SUN";
        /// Below this share of free disk under the state folder, deploys are refused.
        disk_free_min: Percent = "5%",
            because "Most file systems keep 5% for root and become slow below it; a deploy that fills the disk takes the site along.",
            example "10%";
    }
}
