//! How upstreams are chosen, asked again and spared.

use std::time::Duration;

/// How an upstream is chosen among the healthy ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Turns for one or two upstreams, from three on the quicker of two.
    #[default]
    Auto,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest requests and tunnels in flight.
    LeastConnections,
    /// Of two at random the one that would be done sooner, by latency and requests in flight.
    PeakEwma,
    /// The same for the same key.
    Hash(HashBy),
    /// The one this client had before, known by a cookie of this name.
    Sticky(String),
}

/// What a request is tied to its upstream by. A request without it is balanced as by [`Balance::Auto`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The value of a header.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The address of the client.
    Client,
    /// The path, without the query.
    Path,
}

/// When a request is asked again although the first upstream may have begun to serve it. Only requests without a body
/// and with a method that may be repeated, and never when a part of an answer was passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often, at most.
    pub times: u32,
    /// When the connection ended before the answer began.
    pub on_reset: bool,
    /// When the answer has one of these status codes and another upstream can be asked.
    pub on_status: Vec<u16>,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry { times: 1, on_reset: true, on_status: vec![502, 503] }
    }
}

/// After which time a second upstream is asked as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hedge {
    /// This.
    After(Duration),
    /// The time that this percentage of the last answers took to begin.
    Percentile(u8),
}

/// How a service's upstreams are spared.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// How long a new upstream takes to get its full share.
    pub slow_start: Duration,
    /// Failures in a row after which an upstream is ejected; 0 for never.
    pub eject_after: u32,
    /// How long, the first time; doubled each time in a row.
    pub eject_for: Duration,
    /// How long, at most.
    pub eject_for_max: Duration,
    /// How many percent of the upstreams may be ejected at once.
    pub eject_share_max: f64,
    /// Requests in flight at all upstreams together; `None` for any number.
    pub in_flight_max: Option<u32>,
    /// Requests that wait for an upstream.
    pub waiting_max: u32,
    /// How many percent of the requests may be asked a second time.
    pub retry_budget: f64,
}

impl Default for Traffic {
    fn default() -> Traffic {
        Traffic {
            slow_start: Duration::from_secs(10),
            eject_after: 5,
            eject_for: Duration::from_secs(10),
            eject_for_max: Duration::from_secs(300),
            eject_share_max: 50.0,
            in_flight_max: None,
            waiting_max: 512,
            retry_budget: 20.0,
        }
    }
}
