//! What one request wants of the balance. Made from its head, before it is known who can be asked.

use std::cell::Cell;

use http::header::{HeaderMap, HeaderName};

use crate::balance::sticky::{self, Mark};
use crate::balance::{Policy, hash};
use crate::settings::{Balance, HashBy};

/// What one request wants.
pub(crate) struct Wish<'a> {
    balance: &'a Balance,
    key: Option<u64>,
    /// The replica that the client had before.
    pub(super) mark: Option<Mark>,
    /// The request is already a part of what the retry budget is a share of.
    pub(super) is_counted: Cell<bool>,
}

impl<'a> Wish<'a> {
    /// The wish of a request with this head from this client.
    pub(crate) fn of(balance: &'a Balance, headers: &HeaderMap, path: &str, client: &[u8]) -> Wish<'a> {
        let mut wish = Wish::plain(balance);
        match balance {
            Balance::Hash(by) => wish.key = key(by, headers, path, client),
            Balance::Sticky(cookie) => wish.mark = Mark::find(headers, cookie),
            Balance::Auto | Balance::RoundRobin | Balance::LeastConnections | Balance::PeakEwma => {}
        }
        wish
    }

    /// The wish of a request that is tied to nothing.
    pub(crate) fn plain(balance: &'a Balance) -> Wish<'a> {
        Wish { balance, key: None, mark: None, is_counted: Cell::new(false) }
    }

    pub(super) fn policy(&self) -> Policy {
        match (self.balance, self.key) {
            (Balance::Hash(_), Some(key)) => Policy::Hash(key),
            (Balance::Auto | Balance::Hash(_) | Balance::Sticky(_), _) => Policy::Auto,
            (Balance::RoundRobin, _) => Policy::RoundRobin,
            (Balance::LeastConnections, _) => Policy::LeastConnections,
            (Balance::PeakEwma, _) => Policy::PeakEwma,
        }
    }

    pub(super) fn is_sticky(&self) -> bool {
        matches!(self.balance, Balance::Sticky(_))
    }
}

fn key(by: &HashBy, headers: &HeaderMap, path: &str, client: &[u8]) -> Option<u64> {
    let bytes = match by {
        HashBy::Header(name) => headers.get(HeaderName::from_bytes(name.as_bytes()).ok()?)?.as_bytes(),
        HashBy::Cookie(name) => sticky::cookie_value(headers, name)?,
        HashBy::Client => client,
        HashBy::Path => path.as_bytes(),
    };
    Some(hash::number_of(bytes))
}
