//! `[[route]]`

use std::time::Duration;

use super::{Files, RouteHeaders, kind, optional, table};
use crate::checked::{Body, FilesOrFolder, HeaderText, Host, RoutePath, ServiceName, Targets, Text, conditions, rules};
use crate::resolved::{Balance, Condition, Hedge, PathMatch, RetryOn, Target};
use crate::value::{Cidr, Percent, Size, Template};

table! {
    /// Which requests go to which service. The most exact host wins, then the longest path.
    pub(crate) struct RouteTable as "route", "[[route]]",
        one of "to" | "files" | "redirect" | "answer", check rules::route
    {
        /// A name for logs and metrics.
        name: Option<String> as Option<Text>,
            because "Without it, host and path name the route.",
            example "checkout";
        /// The host: a name, or `*.` and a name for everything one or more levels below it.
        host: Option<String> as Option<Host>,
            because "Without it, the route takes requests for any host.",
            example "shop.example.com";
        /// The beginning of the path, compared segment by segment: `/api` takes `/api/users`, not `/apiary`. Or
        /// `{ exact = "/login" }` for one path, or `{ regex = "/users/[0-9]+" }` for those that the expression
        /// describes from their first to their last character. Exact paths go first, then expressions in the order of
        /// the file, then the longest beginning. What is compared is what the client wrote: nothing is decoded.
        path: PathMatch as RoutePath = "/",
            because "Most hosts have one service for all their paths.",
            example "/api";
        /// What a request must say beside its host and path. Of routes for the same place, the one with more
        /// conditions goes first; what none of them takes goes to a shorter path or a less exact host.
        when: RouteWhen = {},
            because "Most routes take whatever comes to their place.",
            example { method = "POST" };
        /// The service that answers, or several with the share of requests that each gets.
        to: Option<Vec<Target>> as Option<Targets>,
            because "Without it, the route answers by itself: with `files`, `redirect` or `answer`.",
            example "api";
        /// The folder whose files answer, or a table with the folder and how its files are sent.
        files: Option<Files> as Option<FilesOrFolder>,
            because "Pages, scripts and images need no service of their own.",
            example "public";
        /// What the path becomes before the service is asked, from its places: `$path` is the whole of it, `$rest` what
        /// follows the route's beginning, `$1` or `$name` a group of its expression. The query stays as it is.
        rewrite: Option<Template>,
            because "Without it, the service is asked for what the client asked for.",
            example "/v2$rest";
        /// Whether the beginning that `path` names is taken away. The service learns of it from `X-Forwarded-Prefix`.
        strip: bool = false,
            because "Most apps know their own paths.",
            example true;
        /// Sends the client to another address.
        redirect: Option<RedirectTable>,
            because "Without it, the route does something else: `to` or `answer`.",
            example { to = "https://shop.example.com$path$query" };
        /// Always gives the same answer.
        answer: Option<Answer>,
            because "Without it, the route does something else: `to` or `redirect`.",
            example { status = 410, body = "The sale is over." };
        /// How a replica is chosen: "round_robin" for one after the other, "least_connections" for the least busy,
        /// "peak_ewma" for the quicker and less busy of two at random, "auto" for turns with two replicas and the last from
        /// three on. `{ hash = "header:x-user" }` sends the same key to the same replica, also "cookie:NAME", "client" or
        /// "path"; `{ sticky = "cookie-name" }` brings a client back to its replica by a cookie.
        balance: Balance = "auto",
            because "From three replicas on, one that is slow or fails gets less to do; with two, turns are as good and easier to follow.",
            example { sticky = "replica" };
        /// When a request is asked again of a replica: only with GET, HEAD, OPTIONS, PUT or DELETE and without a body.
        retry: Retry = {},
            because "A replica that dies must not take the requests with it that it was answering.",
            example { on = ["reset", 503], times = 2 };
        /// How long a GET or HEAD may go unanswered until a second replica is asked as well: a percentile of the last
        /// answers or a duration. The first answer counts, the other request is given up.
        hedge: Option<Hedge>,
            because "Without it nothing is asked twice for being slow: it makes slow answers rarer at the price of more work.",
            example "p95";
        /// Copies requests for a shadow, a service that is to see the same and change nothing. Nobody waits for what it
        /// answers.
        mirror: Option<Mirror>,
            because "Without it nothing is sent twice.",
            example { to = "next", share = "10%" };
        /// How long the service may take until it begins to answer; then the client gets a 504.
        timeout: Duration = "60s", from "1ms" to "1d",
            because "What nginx does, and what programs behind a proxy are used to. It does not limit the answer itself.",
            example "5s";
        /// How long the service may say nothing within an answer that has begun without a length: events, gRPC streams,
        /// pages that are made while they are sent. An answer with a length has more to say until it is reached:
        /// `edge.body_timeout` counts for it.
        idle_timeout: Duration = "1h", from "100ms" to "7d",
            because "A stream of events may be silent for as long as nothing happens; a connection that nobody ends is still ended.",
            example "5m";
        /// The only addresses from which the route takes requests; from elsewhere they get a 403. Where routes differ in
        /// this, a path that an app could read as that of another route, such as `//admin`, gets a 400.
        allow: Vec<Cidr> = [],
            because "Without it, those that `edge.allow` lets in.",
            example ["10.0.0.0/8"];
        /// Addresses from which the route takes no request, also when they are allowed.
        deny: Vec<Cidr> = [],
            because "Nobody is refused unasked.",
            example ["203.0.113.0/24"];
        /// Whether the route is in maintenance: what is said then is in `[maintenance]`.
        maintenance: bool = false,
            because "It is for a while, and a while is better told to the running site: `prumo maintenance on`.",
            example true;
        /// The largest request body; a larger one gets a 413.
        body_max: Size = "100MB", from 0 to "1024TiB",
            because "Large enough for photos and documents. Bodies are streamed, so this bounds time and disk of the app, not memory.",
            example "2GB";
        /// The headers of the route's answers, where they differ from `[edge.headers]`.
        headers: Option<RouteHeaders>,
            because "Without it, they are those of `[edge.headers]`.",
            example { csp = "off" };
    }
}

table! {
    /// Sends the client to another address. A client can change the path of it, never the host.
    pub(crate) struct RedirectTable as "route.redirect", "[route.redirect]", check rules::redirect {
        /// The address, with places to fill in: `$path`, `$query` with its `?`, `$host` without its port, `$rest` of the
        /// path after the route's beginning, `$1` or `$name` of its expression.
        to: Template,
            because "It is required.",
            example "https://shop.example.com$path$query";
        /// 307 or 308, which keep method and body, or 301, 302 or 303, with which a POST becomes a GET.
        status: u32 = 307,
            because "It is for now: browsers remember a 308 for good, also a wrong one.",
            example 308;
    }
}

table! {
    /// Copies requests for a shadow. Copies say `X-Forwarded-Mirror: true`; what the shadow answers is thrown away, and it may be
    /// slow or dead without harm. Web sockets are never copied.
    pub struct Mirror as "route.mirror", "[route.mirror]" {
        /// The service that is sent the copies.
        to: String as ServiceName,
            because "It is required.",
            example "next";
        /// Which share of the requests is copied.
        share: Percent = "100%",
            because "A shadow as large as the service can bear all of them.",
            example "10%";
        /// Which methods are copied. POST, PUT, PATCH and DELETE only if you name them: an order that is copied is ordered
        /// twice, unless the shadow has a database and mails of its own.
        methods: Vec<String> as conditions::Methods = ["GET", "HEAD"],
            because "These change nothing, whatever the shadow is connected to.",
            example ["GET", "HEAD", "POST"];
        /// The largest body that is copied, up to 1 MB. A request with a larger one is not copied.
        body_max: Size = "64KiB", from 0 to "1MiB",
            because "Copies wait in memory until they are whole. Forms and API calls fit, uploads would not be worth it.",
            example "256KiB";
    }
}

table! {
    /// Always gives the same answer.
    pub struct Answer as "route.answer", "[route.answer]", check rules::answer {
        /// Its status.
        status: u32 = 200, from 200 to 599,
            because "Most fixed answers say that all is well.",
            example 410;
        /// What it says.
        body: String as Body = "",
            because "Many such answers are for programs, which look at the status only.",
            example "User-agent: *\nDisallow: /\n";
        /// Its `Content-Type`.
        content_type: String as HeaderText = "text/plain; charset=utf-8",
            because "Nobody runs a plain text.",
            example "application/json";
    }
}

table! {
    /// What a request must say beside its host and path; all of it must hold.
    pub(crate) struct RouteWhen as "route.when", "[route.when]" {
        /// Which methods, in capitals.
        method: Option<Vec<String>> as Option<conditions::Methods>,
            because "Without it, the route takes all methods but TRACE and CONNECT, which the edge refuses.",
            example ["POST", "PUT"];
        /// Headers by name: true where one must be there, false where it must not, or the text that it must be. Of a
        /// header that comes more than once, one must be the text.
        header: Vec<Condition> as conditions::Conditions<conditions::Headers> = {},
            because "Anybody can send any header: a condition chooses a route, it protects nothing.",
            example { x-beta = true };
        /// Parts of the query by name: true where one must be there, false where it must not, or the text that it must
        /// be, encoded as the client encodes it.
        query: Vec<Condition> as conditions::Conditions<conditions::Query> = {},
            because "What is compared is what is forwarded.",
            example { version = "2" };
    }
}

table! {
    /// When a request is asked again although a replica may have begun to answer it. A request that could not be sent is
    /// always given to another replica and does not count.
    pub struct Retry as "route.retry", "[route.retry]" {
        /// After which failures: "reset" for a connection that ended without an answer, or the status of an answer.
        on: Vec<RetryOn> = ["reset", 502, 503],
            because "These say that the replica is in trouble. After a 504 the time is up: asking again would double the wait.",
            example ["reset"];
        /// How often, at most; 0 for never.
        times: u32 = 1, from 0 to 10,
            because "The second replica is most often well. `traffic.retry_budget` bounds all retries of a service together.",
            example 2;
    }
}
