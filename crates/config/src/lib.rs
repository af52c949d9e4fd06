//! The one file: TOML text in, plain values out, or all mistakes at once.
//!
//! ```text
//! text ── typed ──▶ tree with places ── checked ──▶ tables ── resolved ──▶ Config
//!                  (overlay laid on)   (each value read by its kind;
//!                                       rules between settings)
//! ```
//!
//! Each step collects its mistakes and goes on as far as it can without guessing, so that who has five mistakes
//! is told all five. Every setting is defined once, in `settings.rs`: its key, type, default, bounds, text, the
//! reason for the default and an example. [`reference_markdown`], [`json_schema`] and [`explain`] come from
//! those definitions, so they cannot tell something else than what [`read`] does.
//!
//! What this crate does not do: it opens no file, reads no environment and no clock, and never sees a secret,
//! only where one comes from. It does not know what the other rooms do with the values.
//!
//! Start reading at [`read`] below, then `settings/service.rs`, then `checked.rs`.

mod typed;

mod checked;
mod settings;

mod resolved;

mod mistake;
mod nearest;
mod reference;
mod secrecy;
pub mod value;

pub use mistake::{Excerpt, Mistake, Mistakes};
pub use nearest::nearest;
pub use reference::{NoSuchKey, explain, json_schema, reference_markdown};
pub use resolved::{
    Action, Balance, Check, Condition, Config, Forward, HashBy, Health, Hedge, Hsts, LineFormat, Listen, MetricsAccess,
    Outside, PathMatch, Place, Port, Protocol, Redirect, RedirectHttps, RetryOn, Rewrite, Route, SecretSource,
    SeenHost, Service, ShowCertificate, Signal, Target, TraceFrom, Value, Wanted, When,
};
pub use secrecy::smells_secret;
pub use settings::{
    AccessLog, Admin, Answer, Certificate, ClientCertificate, Edge, EdgeHeaders, Files, Maintenance, Mirror, Restart,
    Retry, RouteHeaders, Site, Socket, Stop, Trace, Traffic,
};
pub use value::{Cidr, Civil, Cron, Part, Percent, Rate, Size, Template};

/// Reads the text of a file.
///
/// `file_name` is only shown in messages, `overlay` is the NAME of the `[env.NAME]` to lay over the rest, and
/// `env` looks up `${NAME}`.
pub fn read(
    text: &str,
    file_name: &str,
    overlay: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Mistakes> {
    let typed = typed::read(text, overlay);
    let checked = checked::read(text, typed, env);
    match checked {
        Ok(root) => Ok(Config::resolve(root)),
        Err((drafts, good)) => Err(Mistakes::from_drafts(file_name, text, drafts).beside(good)),
    }
}

#[cfg(test)]
mod tests;
