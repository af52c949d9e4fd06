//! A route: which requests it takes, and what is done with them.

use std::time::Duration;

use super::{Access, Balance, Files, Headers, Hedge, Maintenance, Retry, Share, Template};

/// Which requests are taken, and what is done with them.
///
/// A request must satisfy all of host, path, methods, headers and query. Of the routes that would take it, the order
/// in `route.rs` says which one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The route's name, unique; a label of its metrics.
    pub name: String,
    /// `shop.example.com`, `*.example.com`, or `None` for any host.
    pub host: Option<String>,
    /// Which paths.
    pub path: PathMatch,
    /// Which methods, in capitals; empty for all.
    pub methods: Vec<String>,
    /// What headers must say. All of them must.
    pub headers: Vec<Condition>,
    /// What the query must say. All of it must.
    pub query: Vec<Condition>,
    /// What is done with the request.
    pub action: Action,
    /// The largest request body, in bytes.
    pub body_max: u64,
    /// Whose requests it takes: those that all of these admit.
    pub access: Vec<Access>,
    /// Set while it takes none.
    pub maintenance: Option<Maintenance>,
    /// What its answers carry beside what the app says.
    pub answer_headers: Headers,
}

impl Route {
    /// A route for every request, with the limits of a site that says nothing about them.
    pub fn new(name: impl Into<String>, action: Action) -> Route {
        Route {
            name: name.into(),
            host: None,
            path: PathMatch::Prefix("/".to_owned()),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            action,
            body_max: 100_000_000,
            access: Vec::new(),
            maintenance: None,
            answer_headers: Headers::default(),
        }
    }

    /// A route for every request to one service.
    pub fn to(service: impl Into<String>) -> Route {
        Route::new("all", Action::Forward(Forward::to(service)))
    }

    /// The services it may send requests to, none if it answers itself.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.targets().iter().map(|target| target.service.as_str())
    }

    /// Those of them that have a share of its requests.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &str> {
        self.targets().iter().filter(|target| target.weight > 0).map(|target| target.service.as_str())
    }

    fn targets(&self) -> &[Target] {
        match &self.action {
            Action::Forward(forward) => &forward.to,
            Action::Files(_) | Action::Redirect(_) | Action::Answer(_) => &[],
        }
    }

    /// The service that is sent copies of its requests.
    pub fn shadow(&self) -> Option<&str> {
        match &self.action {
            Action::Forward(Forward { mirror: Some(mirror), .. }) => Some(&mirror.to),
            _ => None,
        }
    }
}

/// Which paths a route takes. Compared with the bytes of the request line, as they are forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// By segment: `/api` takes `/api` and `/api/x`, not `/apix`.
    Prefix(String),
    /// This path and no other.
    Exact(String),
    /// Whole paths that this regular expression describes.
    Regex(String),
}

/// What a header or a part of the query must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The name: of a header in lower case, of a part of the query as it is written.
    pub name: String,
    /// What its value must be.
    pub wanted: Wanted,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// There, whatever it is.
    Present,
    /// Not there.
    Absent,
    /// Exactly this, byte for byte. Where a name comes more than once, one of them.
    Equal(String),
}

/// What a route does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A service answers.
    Forward(Forward),
    /// Files of a folder answer.
    Files(Files),
    /// The client is sent to another address.
    Redirect(Redirect),
    /// Always the same answer.
    Answer(Answer),
}

/// Where a client is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The address. After a scheme, the host is the file's own or the one that was asked for.
    pub to: Template,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// An answer that is always the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 599.
    pub status: u16,
    /// What it says.
    pub body: String,
    /// Its `Content-Type`.
    pub content_type: String,
}

/// What becomes of the path before a service is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// The route's prefix is taken away.
    Strip,
    /// It becomes this. The query stays.
    Path(Template),
}

/// Which service answers, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// One service, or several that share the requests by weight. Never empty.
    pub to: Vec<Target>,
    /// What becomes of the path; `None` for nothing.
    pub rewrite: Option<Rewrite>,
    /// How an upstream of the service is chosen.
    pub balance: Balance,
    /// When a request is asked again.
    pub retry: Retry,
    /// When a second upstream is asked as well; `None` for never.
    pub hedge: Option<Hedge>,
    /// Where copies of requests go; `None` for nowhere.
    pub mirror: Option<Mirror>,
    /// How long the upstream may take to begin its answer.
    pub timeout: Duration,
    /// How long it may say nothing within an answer that has no length, such as a stream of events.
    pub idle_timeout: Duration,
}

impl Forward {
    /// To one service, with the defaults.
    pub fn to(service: impl Into<String>) -> Forward {
        Forward {
            to: vec![Target { service: service.into(), weight: 1 }],
            rewrite: None,
            balance: Balance::Auto,
            retry: Retry::default(),
            hedge: None,
            mirror: None,
            timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(3600),
        }
    }

    /// The target for the request with this number. Over any run of requests each target gets its share, give or take
    /// a few: the numbers are spread evenly (a Weyl sequence by the golden ratio), not thrown like dice.
    pub fn choose(&self, number: u64) -> usize {
        let [_, _, ..] = self.to[..] else { return 0 };
        let total: u64 = self.to.iter().map(|target| u64::from(target.weight)).sum();
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut point = u64::try_from((u128::from(spread) * u128::from(total)) >> 64).unwrap_or_default();
        for (index, target) in self.to.iter().enumerate() {
            match point.checked_sub(u64::from(target.weight)) {
                Some(rest) => point = rest,
                None => return index,
            }
        }
        0
    }
}

/// Which requests are copied for a shadow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The service that is sent the copies.
    pub to: String,
    /// How many of the requests are copied.
    pub share: Share,
    /// Those with these methods, in capitals.
    pub methods: Vec<String>,
    /// The largest body that is copied, in bytes.
    pub body_max: usize,
}

impl Mirror {
    /// All that is safe to do twice.
    pub fn to(service: impl Into<String>) -> Mirror {
        let methods = ["GET", "HEAD"].map(str::to_owned).into();
        Mirror { to: service.into(), share: Share::ALL, methods, body_max: 64 * 1024 }
    }
}

/// A service and its share of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The service.
    pub service: String,
    /// Its share, measured by the sum of all.
    pub weight: u32,
}

#[cfg(test)]
mod tests;
