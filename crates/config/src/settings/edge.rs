//! `[edge]` and `[admin]`

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{AccessLog, EdgeHeaders, Trace, kind, optional, table};
use crate::checked::{Addresses, FileMode, FilePath, Switch, Text, rules};
use crate::resolved::{Hsts, MetricsAccess, Port, RedirectHttps};
use crate::value::{Cidr, Size};

table! {
    /// The front door: listeners, and limits for every request. A change takes effect when prumo itself starts again, as by
    /// `prumo upgrade`; only those of `allow`, `deny`, `hsts` and `headers` are taken by a deploy.
    pub struct Edge as "edge", "[edge]", check rules::edge {
        /// The address to listen on, or a list of several. "::" takes IPv4 clients too, unless "0.0.0.0" is also listed.
        address: Vec<IpAddr> as Addresses = "127.0.0.1",
            because "A new site is not on the internet before somebody says so.",
            example ["0.0.0.0", "::"];
        /// The port for HTTP: "auto", "off" or a number. 0 takes any free port.
        http: Port = "auto",
            because "80 where prumo may bind it, else 8080: the same file works on a laptop and on a server.",
            example 8080;
        /// The port for HTTPS: "auto", "off" or a number. 0 takes any free port.
        https: Port = "auto",
            because "443 where prumo may bind it, else 8443.",
            example 8443;
        /// A Unix socket to listen on for HTTP as well, for a proxy on the same machine.
        socket: Option<Socket>,
            because "Most sites are reached over the network only.",
            example { path = "/run/shop.sock", mode = "0660", group = "www-data" };
        /// Which requests over HTTP are answered with a redirect to HTTPS, to the same host, path and query: "auto" for
        /// hosts with a `[[certificate]]`, "on" for all, "off" for none. Challenges of certificate authorities (ACME) are
        /// always let through.
        redirect_https: RedirectHttps = "auto",
            because "A host that browsers can reach safely should be reached so; one that has only the certificate of the local authority is under development.",
            example "on";
        /// How long browsers remember to come over HTTPS only (`Strict-Transport-Security`), or "off". It is said over
        /// HTTPS, and only for hosts with a `[[certificate]]`, never for localhost.
        hsts: Hsts = "365d",
            because "What browsers and checkers expect of a site that means it. It cannot be taken back before its time: a host that may have to return to HTTP wants less.",
            example "730d";
        /// How many cores serve requests, one thread each.
        cores: Option<u32>, from 1 to 1024,
            because "Without it, all cores that prumo may use.",
            example 2;
        /// Proxies in front of prumo. Only from them are `X-Forwarded-*` headers believed.
        trusted_proxies: Vec<Cidr> = [],
            because "Anybody can send these headers, so nobody is believed unasked.",
            example ["10.0.0.0/8", "2001:db8::/32"];
        /// Load balancers that send a PROXY protocol header (version 1 or 2) with the client's address. From them every
        /// connection must begin with one, from others none may.
        proxy_protocol: Vec<Cidr> = [],
            because "Who may send this header may claim to be anybody.",
            example ["10.0.0.0/8"];
        /// The only addresses from which requests are taken; from elsewhere they get a 403. Behind `trusted_proxies` and
        /// `proxy_protocol` the address is the client's own. A route can narrow this down with its own `allow` and `deny`.
        allow: Vec<Cidr> = [],
            because "A site on the internet is for everybody.",
            example ["10.0.0.0/8", "198.51.100.7"];
        /// Addresses from which no request is taken, also when they are allowed.
        deny: Vec<Cidr> = [],
            because "Nobody is refused unasked. For long lists, a firewall is the better place.",
            example ["203.0.113.0/24"];
        /// The most bytes of request headers; more get a 431.
        headers_max: Size = "16KiB", from "1KiB" to "1MiB",
            because "Twice what browsers and clouds send with many cookies, small enough that 10,000 connections fit in memory.",
            example "32KiB";
        /// How long a client may take to send the headers of a request.
        header_timeout: Duration = "10s", from "100ms" to "1h",
            because "A phone on a bad network needs seconds; who needs longer holds connections open on purpose.",
            example "5s";
        /// How long a connection may wait for its next request.
        idle_timeout: Duration = "75s", from "1s" to "1d",
            because "What nginx does; a little longer than the 60s of common load balancers, so that they close first.",
            example "2m";
        /// How long a client that has sent a whole request over HTTP/1 and ended its side (`nc -N`, some scripts) is taken to
        /// wait for the beginning of its answer. One that has gone looks the same. "0s" takes all of them to
        /// have gone.
        half_closed_timeout: Duration = "10s", from "0s" to "1h",
            because "Nearly all answers begin sooner, and an app that works for somebody who has left is freed soon enough.",
            example "1m";
        /// How long a body may stand still, in either direction: a client that sends no more of it or takes no more of it, an
        /// app that sends no more of an answer whose length it has told.
        body_timeout: Duration = "30s", from "100ms" to "1d",
            because "It is no limit for slow transfers, only for those that have stopped.",
            example "1m";
        /// How many bytes a second a client must send of a request body, on average over 30 seconds in which the app waited for
        /// it, and take of an answer, on average over `body_timeout` in which bytes lay ready for it. 0 takes any rate.
        body_rate_min: Size = "100B", from 0 to "1GB",
            because "Ten times slower than the worst phone; who sends a byte now and then holds the app's attention on purpose.",
            example "1KiB";
        /// The most connections at once. More are answered 503, or closed where TLS is spoken.
        connections_max: u32 = 10000, from 1 to 10000000,
            because "About 200 MB of memory when all are idle TLS connections.",
            example 50000;
        /// The most connections at once from one address: one IPv4 address or one IPv6 /64. More are answered 503 or closed.
        /// This machine and the proxies of `trusted_proxies` and `proxy_protocol` are not counted.
        connections_per_ip_max: u32 = 1000, from 1 to 10000000,
            because "A tenth of `connections_max`: nobody can take all of it alone, and an office behind one address is no attack.",
            example 200;
        /// How long requests and web sockets of the process before may go on after `prumo upgrade`.
        upgrade_deadline: Duration = "1h", from "1s" to "7d",
            because "Long enough that nearly every web socket ends by itself, short enough that an old program does not run for ever.",
            example "10m";
        /// The access log: `false` for none, or a table of how it is written and kept.
        access_log: Option<AccessLog> as Switch<AccessLog> = true,
            because "The first question after a fault is who asked for what.",
            example { format = "combined", keep = "2GB" };
        /// W3C trace context: `false` to pass on `traceparent` and `tracestate` unread, or a table.
        trace: Option<Trace> as Switch<Trace> = true,
            because "It costs next to nothing, and an app with tracing finds its requests in the access log by their trace.",
            example { from = "anybody", sample = "10%" };
        /// The headers of every answer.
        headers: EdgeHeaders = {},
            because "The defaults are what every security check asks for and no usual app is broken by.",
            example { frame = "deny" };
    }
}

table! {
    /// A Unix socket of the edge. Who may open it is as trusted as a program on this machine.
    pub struct Socket as "edge.socket", "[edge.socket]", check rules::socket {
        /// Where it is, relative to the folder of the file. A socket that a dead process left there is replaced.
        path: PathBuf as FilePath,
            because "It is required: the proxy must know the same path.",
            example "/run/shop.sock";
        /// Who may connect, as `chmod` takes it: connecting needs the right to write.
        mode: u32 as FileMode = "0660",
            because "The owner and the group, and nobody else.",
            example "0666";
        /// The user who owns it. prumo must run as root for this.
        user: Option<String> as Option<Text>,
            because "Without it, the user of prumo.",
            example "www-data";
        /// The group who owns it.
        group: Option<String> as Option<Text>,
            because "Without it, the first group of prumo or of the user given.",
            example "www-data";
    }
}

table! {
    /// The listener for people and tools that run the site.
    pub struct Admin as "admin", "[admin]" {
        /// The address and port.
        listen: SocketAddr = "127.0.0.1:7700",
            because "Reached from this machine only; tunnel to it with ssh.",
            example "10.0.0.5:7700";
        /// Who may read `/metrics`: those with a "token", or everybody who reaches the listener ("open").
        metrics: MetricsAccess = "token",
            because "Metrics tell a stranger how busy the site is and what it is made of.",
            example "open";
    }
}
