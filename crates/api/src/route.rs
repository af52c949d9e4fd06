//! The one table of routes. Access, parsing and documentation of each question stand side by side here.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::answer::{Event, Refusal, RefusalKind};
use crate::ask::{
    Ask, AuditEntries, AuditVerdict, ExecEnvironment, HealthReport, Hidden, NewToken, PlanReport, SecretNames,
    SiteStatus, TokenList,
};
use crate::counters::EdgeCounters;
use crate::role::{Access, Role};

/// One question, as it stands in HTTP.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, with `{names}` for its parameters.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
    /// What it is for, in a sentence.
    pub summary: &'static str,
    /// The query parameters it knows.
    pub query: &'static [(&'static str, &'static str)],
    /// The shape of the body, when it takes one.
    pub body: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// The shape of the answer.
    pub answer: Shape,
    /// Turns the request into the typed question.
    pub read: fn(&Request<'_>) -> Result<Ask, Refusal>,
}

/// The shape of an answer.
pub enum Shape {
    /// A text of this media type.
    Text(&'static str),
    /// A JSON document.
    Document(fn(&mut SchemaGenerator) -> Schema),
    /// Events, a JSON document a line.
    Events,
}

/// What a route reads its question from.
pub struct Request<'a> {
    parameters: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
    body: &'a [u8],
}

/// The services to deploy; empty means every one.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeployBody {
    /// Names of services.
    pub services: Vec<String>,
}

/// The successor of the process that runs the site.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpgradeBody {
    /// Its program, an absolute path; absent means the one that runs now, as it lies on disk. Only over the command socket.
    pub program: Option<std::path::PathBuf>,
    /// How many seconds it may take to be ready; absent means 60.
    pub within: Option<u64>,
}

/// Which release to go back to.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RollbackBody {
    /// Its number; absent means the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// How many replicas.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleBody {
    /// The number wanted.
    pub replicas: u32,
}

/// Which routes are in maintenance.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceBody {
    /// Whether they are to be.
    pub on: bool,
    /// Their names; empty means every one.
    #[serde(default)]
    pub routes: Vec<String>,
}

/// The value of a secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretBody {
    /// The value.
    pub value: Hidden,
}

/// The token to make.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

const VIEWER: Access = Access::AtLeast(Role::Viewer);
const OPERATOR: Access = Access::AtLeast(Role::Operator);
const ADMIN: Access = Access::AtLeast(Role::Admin);

/// Log lines answered when the caller names no number: a screenful and some.
const LINES_DEFAULT: usize = 100;
/// Log lines answered at most.
const LINES_MAX: usize = 10_000;

/// Every route.
pub static ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/health",
        access: Access::Anyone,
        summary: "Whether prumo is alive. Touches nothing else, so it answers also when a part is down.",
        query: &[],
        body: None,
        answer: Shape::Document(of::<HealthReport>),
        read: |_| Ok(Ask::Health),
    },
    Route {
        method: "GET",
        path: "/health/detailed",
        access: Access::Anyone,
        summary: "How each part and each service is: 200 when traffic can be served, 503 when not. Without a token only the verdict.",
        query: &[],
        body: None,
        answer: Shape::Document(of::<HealthReport>),
        read: |_| Ok(Ask::HealthDetailed),
    },
    Route {
        method: "GET",
        path: "/metrics",
        access: VIEWER,
        summary: "Every metric, in the Prometheus text format. `[admin] metrics = \"open\"` opens it to whoever reaches the listener.",
        query: &[],
        body: None,
        answer: Shape::Text("text/plain; version=0.0.4; charset=utf-8"),
        read: |_| Ok(Ask::Metrics),
    },
    Route {
        method: "GET",
        path: "/api/v1/status",
        access: VIEWER,
        summary: "What runs.",
        query: &[("service", "Only this service.")],
        body: None,
        answer: Shape::Document(of::<SiteStatus>),
        read: |request| Ok(Ask::Status { service: request.query("service").map(str::to_owned) }),
    },
    Route {
        method: "GET",
        path: "/api/v1/plan",
        access: VIEWER,
        summary: "What a deploy of the file would change now.",
        query: &[],
        body: None,
        answer: Shape::Document(of::<PlanReport>),
        read: |_| Ok(Ask::Plan),
    },
    Route {
        method: "GET",
        path: "/api/v1/edge/counters",
        access: VIEWER,
        summary: "What the edge has counted since it started, by route and replica. Two of them make rates.",
        query: &[],
        body: None,
        answer: Shape::Document(of::<EdgeCounters>),
        read: |_| Ok(Ask::EdgeCounters),
    },
    Route {
        method: "POST",
        path: "/api/v1/deploys",
        access: OPERATOR,
        summary: "Read the file again and make it true: a new release of the named services, or of all.",
        query: &[],
        body: Some(of::<DeployBody>),
        answer: Shape::Events,
        read: |request| Ok(Ask::Deploy { services: request.body::<DeployBody>()?.services }),
    },
    Route {
        method: "POST",
        path: "/api/v1/upgrade",
        access: ADMIN,
        summary: "Replace the process that runs the site by a successor, without losing a request.",
        query: &[],
        body: Some(of::<UpgradeBody>),
        answer: Shape::Events,
        read: |request| {
            let body = request.body::<UpgradeBody>()?;
            Ok(Ask::Upgrade { program: body.program, within: body.within.unwrap_or(60).clamp(1, 600) })
        },
    },
    Route {
        method: "POST",
        path: "/api/v1/services/{service}/rollback",
        access: OPERATOR,
        summary: "Make an earlier release serve again.",
        query: &[],
        body: Some(of::<RollbackBody>),
        answer: Shape::Events,
        read: |request| {
            Ok(Ask::Rollback { service: request.parameter("service"), to: request.body::<RollbackBody>()?.to })
        },
    },
    Route {
        method: "POST",
        path: "/api/v1/services/{service}/scale",
        access: OPERATOR,
        summary: "Change how many replicas run.",
        query: &[],
        body: Some(of::<ScaleBody>),
        answer: Shape::Events,
        read: |request| {
            Ok(Ask::Scale { service: request.parameter("service"), replicas: request.body::<ScaleBody>()?.replicas })
        },
    },
    Route {
        method: "POST",
        path: "/api/v1/services/{service}/restart",
        access: OPERATOR,
        summary: "Replace every replica, start-first, on the release that serves.",
        query: &[],
        body: None,
        answer: Shape::Events,
        read: |request| Ok(Ask::Restart { service: request.parameter("service") }),
    },
    Route {
        method: "POST",
        path: "/api/v1/services/{service}/stop",
        access: OPERATOR,
        summary: "Drain and stop every replica of a service. A deploy or a restart starts it again.",
        query: &[],
        body: None,
        answer: Shape::Events,
        read: |request| Ok(Ask::Stop { service: request.parameter("service") }),
    },
    Route {
        method: "POST",
        path: "/api/v1/maintenance",
        access: OPERATOR,
        summary: "Put routes into maintenance, or take them out of it. It lasts over a restart.",
        query: &[],
        body: Some(of::<MaintenanceBody>),
        answer: Shape::Events,
        read: |request| {
            let body = request.body::<MaintenanceBody>()?;
            Ok(Ask::Maintain { on: body.on, routes: body.routes })
        },
    },
    Route {
        method: "GET",
        path: "/api/v1/services/{service}/logs",
        access: VIEWER,
        summary: "What the replicas printed.",
        query: &[
            ("lines", "How many of the last lines, 100 unless told."),
            ("follow", "`true` to go on as lines come."),
        ],
        body: None,
        answer: Shape::Events,
        read: |request| {
            Ok(Ask::Logs {
                service: request.parameter("service"),
                lines: request.number("lines", LINES_DEFAULT)?.min(LINES_MAX),
                follow: request.query("follow") == Some("true"),
            })
        },
    },
    Route {
        method: "GET",
        path: "/api/v1/services/{service}/environment",
        access: ADMIN,
        summary: "What a command needs to run as the service would, secrets included.",
        query: &[],
        body: None,
        answer: Shape::Document(of::<ExecEnvironment>),
        read: |request| Ok(Ask::Environment { service: request.parameter("service") }),
    },
    Route {
        method: "GET",
        path: "/api/v1/secrets",
        access: ADMIN,
        summary: "The names of the secrets.",
        query: &[],
        body: None,
        answer: Shape::Document(of::<SecretNames>),
        read: |_| Ok(Ask::Secrets),
    },
    Route {
        method: "PUT",
        path: "/api/v1/secrets/{name}",
        access: ADMIN,
        summary: "Store a secret. Replicas that name it get the new value when they start.",
        query: &[],
        body: Some(of::<SecretBody>),
        answer: Shape::Document(of::<SecretNames>),
        read: |request| {
            Ok(Ask::SetSecret { name: request.parameter("name"), value: request.body::<SecretBody>()?.value })
        },
    },
    Route {
        method: "DELETE",
        path: "/api/v1/secrets/{name}",
        access: ADMIN,
        summary: "Remove a secret.",
        query: &[],
        body: None,
        answer: Shape::Document(of::<SecretNames>),
        read: |request| Ok(Ask::RemoveSecret { name: request.parameter("name") }),
    },
    Route {
        method: "GET",
        path: "/api/v1/tokens",
        access: ADMIN,
        summary: "The tokens, without their values.",
        query: &[],
        body: None,
        answer: Shape::Document(of::<TokenList>),
        read: |_| Ok(Ask::Tokens),
    },
    Route {
        method: "POST",
        path: "/api/v1/tokens",
        access: ADMIN,
        summary: "Make a token and show it once.",
        query: &[],
        body: Some(of::<TokenBody>),
        answer: Shape::Document(of::<NewToken>),
        read: |request| {
            let body = request.body::<TokenBody>()?;
            Ok(Ask::CreateToken { name: body.name, role: body.role })
        },
    },
    Route {
        method: "DELETE",
        path: "/api/v1/tokens/{name}",
        access: ADMIN,
        summary: "Make a token useless, at once.",
        query: &[],
        body: None,
        answer: Shape::Document(of::<TokenList>),
        read: |request| Ok(Ask::RevokeToken { name: request.parameter("name") }),
    },
    Route {
        method: "GET",
        path: "/api/v1/audit-log",
        access: ADMIN,
        summary: "Who did what, oldest first.",
        query: &[("after", "Only entries after this number."), ("limit", "At most so many, 100 unless told.")],
        body: None,
        answer: Shape::Document(of::<AuditEntries>),
        read: |request| {
            Ok(Ask::AuditLog {
                after: request.number("after", 0)?,
                limit: request.number("limit", 100_u32)?.min(10_000),
            })
        },
    },
    Route {
        method: "GET",
        path: "/api/v1/audit-log/verify",
        access: ADMIN,
        summary: "Recompute the chain of the audit log and say whether it is whole.",
        query: &[],
        body: None,
        answer: Shape::Document(of::<AuditVerdict>),
        read: |_| Ok(Ask::VerifyAuditLog),
    },
];

/// What became of looking for a route.
pub enum Found {
    /// This route, with its path parameters.
    Route(&'static Route, Vec<(&'static str, String)>),
    /// The path exists, with these methods.
    OtherMethods(Vec<&'static str>),
    /// No such path.
    Nothing,
}

/// Finds the route of a request.
#[must_use]
pub fn find(method: &str, path: &str) -> Found {
    let mut methods = Vec::new();
    for route in ROUTES {
        let Some(parameters) = match_path(route.path, path) else { continue };
        if route.method == method {
            return Found::Route(route, parameters);
        }
        methods.push(route.method);
    }
    if methods.is_empty() { Found::Nothing } else { Found::OtherMethods(methods) }
}

/// The parameters of `path` under `pattern`, or nothing when it does not match. `a/b` and `a%2Fb` stay different.
fn match_path(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut parameters = Vec::new();
    let mut asked = path.split('/');
    for expected in pattern.split('/') {
        let segment = asked.next()?;
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => parameters.push((name, decode(segment).filter(|value| !value.is_empty())?)),
            None if expected == segment => {}
            None => return None,
        }
    }
    asked.next().is_none().then_some(parameters)
}

impl<'a> Request<'a> {
    /// A request with its path parameters, its query string and its body.
    #[must_use]
    pub fn new(parameters: Vec<(&'static str, String)>, query: &str, body: &'a [u8]) -> Request<'a> {
        Request { parameters, query: read_query(query), body }
    }

    fn parameter(&self, name: &str) -> String {
        let found = self.parameters.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).expect("the table names only parameters of its own path")
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, Refusal> {
        let Some(text) = self.query(name) else { return Ok(default) };
        text.parse().map_err(|_| {
            Refusal::new(RefusalKind::Malformed, format!("`{name}` is `{text}`, which is not a whole number in range"))
        })
    }

    fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let text = if self.body.is_empty() { b"{}" } else { self.body };
        // The position is said and the content is not: a body may hold a secret.
        serde_json::from_slice(text).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            Refusal::new(RefusalKind::Malformed, format!("the body is not the JSON this route takes ({place})"))
                .hint("docs/reference/openapi.json has the shape of each body")
        })
    }
}

/// The pairs of a query string, percent-decoded. What cannot be decoded is left out.
#[must_use]
pub fn read_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

/// Undoes percent-encoding; nothing when it is broken or not UTF-8.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let (high, low) = (hex(*tail.first()?)?, hex(*tail.get(1)?)?);
        bytes.push(high << 4 | low);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes everything that could end a path segment or a query value.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The shape of one event of a stream.
pub(crate) fn event_schema(generator: &mut SchemaGenerator) -> Schema {
    of::<Event>(generator)
}

#[cfg(test)]
mod tests;
