//! `[edge.headers]` and `[route.headers]`

use super::{kind, optional, table};
use crate::checked::{Csp, FrameWord, HeaderNames, HeaderText, HeaderValues, OpenerWord, ReferrerWord, ResourceWord};

table! {
    /// The headers of every answer: of the app, of files and redirects, and of prumo's own error pages. What the app says
    /// itself wins, unless `force` is set. `Server` and `X-Powered-By` are always removed.
    pub struct EdgeHeaders as "edge.headers", "[edge.headers]" {
        /// Whether answers say `X-Content-Type-Options: nosniff`.
        nosniff: bool = true,
            because "A browser that guesses the type of an upload may run it as a script.",
            example false;
        /// `X-Frame-Options`: who may show the site in a frame, "deny" for nobody, "same-origin" for the site itself, or
        /// "off". Where `csp` is enforced and says nothing of frames, it says the same in `frame-ancestors`.
        frame: String as FrameWord = "same-origin",
            because "A page in a stranger's frame can be made to click; a site that frames its own pages goes on working.",
            example "deny";
        /// `Referrer-Policy`, by its own words, or "off".
        referrer: String as ReferrerWord = "strict-origin-when-cross-origin",
            because "What browsers do by themselves today, also for those that do not: other sites learn the host, not the path.",
            example "no-referrer";
        /// `Permissions-Policy`: which pages may ask for the camera and its like, or "off".
        permissions: String as HeaderText = "camera=(self), display-capture=(self), geolocation=(self), microphone=(self), usb=(self)",
            because "The site's own pages may ask as before; advertisements and widgets from elsewhere may not.",
            example "camera=(), geolocation=(self), microphone=()";
        /// `Cross-Origin-Opener-Policy`, by its own words, or "off". Browsers look at it over HTTPS only.
        opener: String as OpenerWord = "same-origin-allow-popups",
            because "Pages that open the site can no longer reach into it, while its own sign-in and payment windows go on working.",
            example "same-origin";
        /// `Cross-Origin-Resource-Policy`: who may embed images, scripts and files of the site, by its own words, or "off".
        resource: String as ResourceWord = "off",
            because "Anything else breaks pictures in mails and on partners' pages; prumo's own pages say it anyway.",
            example "same-origin";
        /// `Content-Security-Policy`: where scripts, styles and the rest may come from, or "off".
        csp: Option<String> as Option<Csp>,
            because "Without it, there is none: only the site knows what its pages load.",
            example "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'";
        /// Whether browsers enforce `csp`. Else they only report, in their console and to its `report-uri`, what it would stop.
        csp_enforce: bool = false,
            because "A policy that is wrong breaks pages for everybody: look at the reports first.",
            example true;
        /// Whether these headers replace what the app says of the same name.
        force: bool = false,
            because "An app that sets such a header has a reason, at least on some pages.",
            example true;
        /// Headers that replace what the app says.
        set: Vec<(String, String)> as HeaderValues = {},
            because "What a site wants to say is its own affair.",
            example { X-Robots-Tag = "noindex" };
        /// Headers that are added to what the app says, also when it says the same name.
        add: Vec<(String, String)> as HeaderValues = {},
            because "What a site wants to say is its own affair.",
            example { Vary = "Accept-Language" };
        /// Headers of the app that go no further.
        remove: Vec<String> as HeaderNames = [],
            because "`Server` and `X-Powered-By` are removed anyway.",
            example ["X-Generator"];
    }
}

table! {
    /// The headers of a route's answers, where they differ from `[edge.headers]`. What is not written here is as it is
    /// there; the names in `set`, `add` and `remove` come on top of those.
    pub struct RouteHeaders as "route.headers", "[route.headers]" {
        /// Whether answers say `X-Content-Type-Options: nosniff`.
        nosniff: Option<bool>,
            because "Without it, as in `[edge.headers]`.",
            example false;
        /// Who may show the route's pages in a frame: "deny", "same-origin" or "off".
        frame: Option<String> as Option<FrameWord>,
            because "Without it, as in `[edge.headers]`.",
            example "off";
        /// `Referrer-Policy`, or "off".
        referrer: Option<String> as Option<ReferrerWord>,
            because "Without it, as in `[edge.headers]`.",
            example "no-referrer";
        /// `Permissions-Policy`, or "off".
        permissions: Option<String> as Option<HeaderText>,
            because "Without it, as in `[edge.headers]`.",
            example "camera=(self \"https://meet.example.com\")";
        /// `Cross-Origin-Opener-Policy`, or "off".
        opener: Option<String> as Option<OpenerWord>,
            because "Without it, as in `[edge.headers]`.",
            example "unsafe-none";
        /// `Cross-Origin-Resource-Policy`, or "off".
        resource: Option<String> as Option<ResourceWord>,
            because "Without it, as in `[edge.headers]`.",
            example "cross-origin";
        /// `Content-Security-Policy`, or "off".
        csp: Option<String> as Option<Csp>,
            because "Without it, as in `[edge.headers]`.",
            example "default-src 'none'; frame-ancestors 'none'";
        /// Whether browsers enforce `csp`.
        csp_enforce: Option<bool>,
            because "Without it, as in `[edge.headers]`.",
            example true;
        /// Whether these headers replace what the app says of the same name.
        force: Option<bool>,
            because "Without it, as in `[edge.headers]`.",
            example true;
        /// Headers that replace what the app says.
        set: Vec<(String, String)> as HeaderValues = {},
            because "Without it, those of `[edge.headers]` alone.",
            example { Cache-Control = "no-store" };
        /// Headers that are added to what the app says.
        add: Vec<(String, String)> as HeaderValues = {},
            because "Without it, those of `[edge.headers]` alone.",
            example { Vary = "Cookie" };
        /// Headers of the app that go no further.
        remove: Vec<String> as HeaderNames = [],
            because "Without it, those of `[edge.headers]` alone.",
            example ["X-Generator"];
    }
}

impl RouteHeaders {
    /// The headers of a route: its own words, and for the rest those of the edge.
    pub fn over(self, edge: &EdgeHeaders) -> EdgeHeaders {
        let both = |below: &[(String, String)], above: Vec<(String, String)>| {
            let is_above = |name: &str| above.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
            let below = below.iter().filter(|(name, _)| !is_above(name)).cloned();
            below.chain(above.iter().cloned()).collect()
        };
        EdgeHeaders {
            nosniff: self.nosniff.unwrap_or(edge.nosniff),
            frame: self.frame.unwrap_or_else(|| edge.frame.clone()),
            referrer: self.referrer.unwrap_or_else(|| edge.referrer.clone()),
            permissions: self.permissions.unwrap_or_else(|| edge.permissions.clone()),
            opener: self.opener.unwrap_or_else(|| edge.opener.clone()),
            resource: self.resource.unwrap_or_else(|| edge.resource.clone()),
            csp: self.csp.or_else(|| edge.csp.clone()),
            csp_enforce: self.csp_enforce.unwrap_or(edge.csp_enforce),
            force: self.force.unwrap_or(edge.force),
            set: both(&edge.set, self.set),
            add: both(&edge.add, self.add),
            remove: [edge.remove.clone(), self.remove].concat(),
        }
    }
}
