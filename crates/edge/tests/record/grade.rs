//! The public scoring of Mozilla's HTTP Observatory, for what one answer's headers decide. 100 and above is A+.

use crate::site::Answer;

/// From this score on, what is better than needed counts too.
const EXTRA_CREDIT_FROM: i32 = 90;

/// The score of one answer over TLS, with the reasons for every point that is not the least one could expect. To whom no
/// host was named, nothing can be said about it: `knows_host` tells whether HSTS counts.
pub(crate) fn grade(answer: &Answer, knows_host: bool) -> (i32, Vec<String>) {
    let policy = answer.header("content-security-policy").map(Policy::read);
    let points = [
        ("content-security-policy", policy.as_ref().map_or(-25, Policy::points)),
        ("strict-transport-security", if knows_host { transport(answer) } else { 0 }),
        ("x-content-type-options", if answer.header("x-content-type-options") == Some("nosniff") { 0 } else { -5 }),
        ("x-frame-options", frames(answer, policy.as_ref())),
        ("referrer-policy", referrer(answer)),
        ("cross-origin-resource-policy", resource(answer)),
        ("set-cookie", answer.header("set-cookie").map_or(0, cookies)),
        ("access-control-allow-origin", sharing(answer)),
    ];
    let losses: i32 = points.iter().map(|(_, points)| (*points).min(0)).sum();
    let gains: i32 = points.iter().map(|(_, points)| (*points).max(0)).sum();
    let base = 100 + losses;
    let score = if base >= EXTRA_CREDIT_FROM { base + gains } else { base };
    let reasons = points.iter().filter(|(_, points)| *points != 0).map(|(name, points)| format!("{points:+} {name}"));
    (score.max(0), reasons.collect())
}

/// A content security policy: directives with their sources.
struct Policy(Vec<(String, Vec<String>)>);

impl Policy {
    fn read(text: &str) -> Policy {
        let directives = text.split(';').filter_map(|directive| {
            let mut words = directive.split_whitespace().map(str::to_ascii_lowercase);
            Some((words.next()?, words.collect()))
        });
        Policy(directives.collect())
    }

    fn sources(&self, name: &str) -> Option<&[String]> {
        let find = |name: &str| self.0.iter().find(|(known, _)| known == name).map(|(_, sources)| &sources[..]);
        find(name).or_else(|| if name.ends_with("-src") { find("default-src") } else { None })
    }

    fn has(&self, name: &str, wanted: &[&str]) -> bool {
        self.sources(name).is_some_and(|sources| sources.iter().any(|source| wanted.contains(&source.as_str())))
    }

    fn points(&self) -> i32 {
        const BROAD: [&str; 6] = ["'unsafe-inline'", "data:", "http:", "https:", "*", "ftp:"];
        let is_open = |name: &str| self.sources(name).is_none() || self.has(name, &BROAD);
        let is_none = |name: &str| self.sources(name).is_some_and(|sources| sources == ["'none'"]);
        let is_insecure = |(_, sources): &(String, Vec<String>)| {
            sources.iter().any(|source| source.starts_with("http:") || source.starts_with("ftp:"))
        };
        if is_open("script-src") || is_open("object-src") || self.0.iter().any(is_insecure) {
            return -20;
        }
        if self.has("script-src", &["'unsafe-eval'"]) {
            return -10;
        }
        if is_open("style-src") {
            return 0;
        }
        let forms_stay = self.has("form-action", &["'none'", "'self'"]);
        if is_none("default-src") && forms_stay { 10 } else { 5 }
    }
}

fn transport(answer: &Answer) -> i32 {
    const SIX_MONTHS: u64 = 15_768_000;
    let Some(header) = answer.header("strict-transport-security") else { return -20 };
    let age = header.split(';').find_map(|part| part.trim().strip_prefix("max-age=")?.parse::<u64>().ok());
    match age {
        Some(SIX_MONTHS..) => 0,
        Some(_) => -10,
        None => -20,
    }
}

fn frames(answer: &Answer, policy: Option<&Policy>) -> i32 {
    if policy
        .is_some_and(|policy| policy.sources("frame-ancestors").is_some() && !policy.has("frame-ancestors", &["*"]))
    {
        return 5;
    }
    match answer.header("x-frame-options").map(str::to_ascii_uppercase).as_deref() {
        Some("DENY" | "SAMEORIGIN") => 0,
        _ => -20,
    }
}

fn referrer(answer: &Answer) -> i32 {
    match answer.header("referrer-policy") {
        Some("no-referrer" | "same-origin" | "strict-origin" | "strict-origin-when-cross-origin") => 5,
        Some(_) => -5,
        None => 0,
    }
}

fn resource(answer: &Answer) -> i32 {
    match answer.header("cross-origin-resource-policy") {
        Some("same-origin" | "same-site") => 10,
        Some("cross-origin") | None => 0,
        Some(_) => -5,
    }
}

fn cookies(cookie: &str) -> i32 {
    let cookie = cookie.to_ascii_lowercase();
    let has = |flag: &str| cookie.split(';').any(|part| part.trim().starts_with(flag));
    match (has("secure"), has("httponly"), has("samesite=lax") || has("samesite=strict")) {
        (true, true, true) => 5,
        (true, true, false) => 0,
        (true, false, _) => -30,
        (false, ..) => -40,
    }
}

fn sharing(answer: &Answer) -> i32 {
    let with_credentials = answer.header("access-control-allow-credentials") == Some("true");
    if with_credentials && answer.header("access-control-allow-origin") == Some("*") { -50 } else { 0 }
}
