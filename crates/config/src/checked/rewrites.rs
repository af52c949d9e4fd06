//! Whether the places in the templates of a route are filled by it, and whether a redirect leads where the file says
//! and nowhere else.

use toml::de::DeValue;

use super::{Reader, Section};
use crate::nearest::nearest;
use crate::resolved::PathMatch;
use crate::settings::{Answer, RedirectTable, RouteTable};
use crate::value::{Part, Template};

/// What only means something when a service is asked.
const OF_SERVICES: [&str; 8] = ["rewrite", "strip", "balance", "retry", "hedge", "mirror", "timeout", "idle_timeout"];

/// Checks what a route does with its path.
pub(super) fn check(route: &RouteTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    if !section.table.contains_key("to") && reader.is_whole() {
        for key in OF_SERVICES.into_iter().filter(|key| section.table.contains_key(*key)) {
            let message = format!("`{key}` only makes sense together with `to`");
            reader.report(section.place(key), message, "leave it out: no service is asked");
        }
    }
    // Either name may also come from a variable.
    if let Some(mirror) = &route.mirror
        && mirrors_itself_as_typed(section).is_none()
        && route.to.iter().flatten().any(|target| target.service == mirror.to)
    {
        refuse_mirror(&mirror.to, section, reader);
    }
    if let Some(template) = &route.rewrite {
        check_rewrite(template, route, section, reader);
    }
    if let Some(redirect) = &route.redirect {
        check_places("redirect", &redirect.to, route, section, reader);
    }
    if route.strip && !matches!(route.path, PathMatch::Prefix(_)) {
        let message = "`strip` takes the beginning of the path away, but this `path` is not a beginning";
        reader.report(section.place("strip"), message, "use `rewrite` instead, such as `rewrite = \"/$1\"`");
    }
    if route.strip && route.rewrite.is_some() {
        let message = "`strip` and `rewrite` both say what becomes of the path";
        reader.report(section.place("strip"), message, "`rewrite = \"/new$rest\"` does both");
    }
}

/// A shadow is somebody else than the service that answers.
pub(super) fn check_mirror_as_typed(section: &Section<'_>, reader: &mut Reader<'_>) {
    if let Some(mirror) = mirrors_itself_as_typed(section) {
        refuse_mirror(mirror, section, reader);
    }
}

/// The shadow, when a service of the same name answers.
fn mirrors_itself_as_typed<'n>(section: &Section<'n>) -> Option<&'n str> {
    let mirror = section.table.get("mirror")?.get_ref().get("to")?.get_ref().as_str()?;
    let answers = match section.table.get("to")?.get_ref() {
        DeValue::Table(shares) => shares.keys().any(|name| name.get_ref() == mirror),
        to => to.as_str() == Some(mirror),
    };
    answers.then_some(mirror)
}

fn refuse_mirror(mirror: &str, section: &Section<'_>, reader: &mut Reader<'_>) {
    let message = format!("`mirror` copies requests to `{mirror}`, which already answers them");
    reader.report(section.place("mirror"), message, "a shadow is another service: `[service.next]`, say");
}

fn check_rewrite(template: &Template, route: &RouteTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    let is_path = match template.parts.first() {
        Some(Part::Text(text)) => text.starts_with('/'),
        Some(Part::Path | Part::Rest) => true,
        _ => false,
    };
    let has_more = template.parts.iter().any(|part| match part {
        Part::Text(text) => text.contains(['?', '#']),
        Part::Host | Part::Query => true,
        _ => false,
    });
    if !is_path || has_more {
        let message = match is_path {
            true => "`rewrite` is more than a path",
            false => "`rewrite` does not begin with `/`, `$path` or `$rest`",
        };
        reader.report(section.place("rewrite"), message, "it makes the path only, the query stays: \"/v2$rest\"");
    }
    check_places("rewrite", template, route, section, reader);
}

/// Every place is one that this route fills in.
fn check_places(key: &str, template: &Template, route: &RouteTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    let groups: Vec<String> = match &route.path {
        PathMatch::Regex(expression) => groups(expression),
        _ => Vec::new(),
    };
    for part in &template.parts {
        let name = match part {
            Part::Rest if !matches!(route.path, PathMatch::Prefix(_)) => "rest",
            Part::Group(name) if !groups.contains(name) => name,
            _ => continue,
        };
        let message = format!("`${name}` in `{key}` is nothing that this route fills in");
        let mut known: Vec<&str> = vec!["path"];
        known.extend(matches!(route.path, PathMatch::Prefix(_)).then_some("rest"));
        known.extend((key == "redirect").then_some(["host", "query"]).into_iter().flatten());
        known.extend(groups.iter().map(String::as_str));
        let listed: Vec<String> = known.iter().map(|name| format!("`${name}`")).collect();
        let is_number = name.starts_with(|c: char| c.is_ascii_digit());
        let hint = match nearest(name, known.iter().copied()) {
            Some(meant) if !is_number => format!("did you mean `${meant}`?"),
            _ => format!("it fills in {}", listed.join(", ")),
        };
        reader.report(section.place(key), message, hint);
    }
}

/// The groups of an expression, by number and by name.
fn groups(expression: &str) -> Vec<String> {
    let Ok(compiled) = regex::bytes::RegexBuilder::new(expression).unicode(false).build() else { return Vec::new() };
    let names = compiled.capture_names().enumerate();
    names.flat_map(|(number, name)| [Some(number.to_string()), name.map(str::to_owned)]).flatten().collect()
}

/// A redirect has one of the statuses that browsers follow, and leads to a host of the file.
pub(super) fn check_redirect(redirect: &RedirectTable, section: &Section<'_>, reader: &mut Reader<'_>) {
    if !matches!(redirect.status, 301 | 302 | 303 | 307 | 308) {
        let message = format!("`status` {} is no redirect", redirect.status);
        let hint = "307 for now, 308 for good; 302 and 301 are the same for GET, 303 makes a GET of a POST";
        reader.report(section.place("status"), message, hint);
    }
    if let Err(why) = check_address(&redirect.to) {
        let hint = "an address is written like \"https://shop.dev$path$query\" or \"/new$rest$query\"";
        reader.report(section.place("to"), format!("`to` {why}"), hint);
    }
}

/// Whether the host of the address is settled before anything that a client writes.
fn check_address(template: &Template) -> Result<(), &'static str> {
    let mut parts = template.parts.iter();
    let after_scheme = match parts.next() {
        Some(Part::Text(text)) => match text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
            Some(after) => after,
            None if text.starts_with("//") => return Err("begins with `//`, which says nothing of the scheme"),
            None if text.starts_with('/') => return Ok(()),
            None => return Err("begins neither with a scheme nor with `/`"),
        },
        Some(Part::Path | Part::Rest) => return Ok(()),
        _ => return Err("begins with something that a client writes"),
    };
    let mut has_host = false;
    let mut piece = Part::Text(after_scheme.to_owned());
    loop {
        match &piece {
            Part::Text(text) => {
                let authority = text.split(['/', '?', '#']).next().unwrap_or_default();
                has_host |= !authority.is_empty();
                if authority.contains('@') {
                    return Err("has a user in front of its host");
                }
                if authority.len() < text.len() {
                    break;
                }
            }
            Part::Host => has_host = true,
            Part::Path | Part::Rest | Part::Query => break,
            Part::Group(_) => return Err("lets the client choose the host"),
        }
        match parts.next() {
            Some(next) => piece = next.clone(),
            None => break,
        }
    }
    if has_host { Ok(()) } else { Err("has no host after its scheme") }
}

/// A status that has no body is not given one.
pub(super) fn check_answer(answer: &Answer, section: &Section<'_>, reader: &mut Reader<'_>) {
    if matches!(answer.status, 204 | 205 | 304) && !answer.body.is_empty() {
        let message = format!("an answer of status {} has no body", answer.status);
        reader.report(section.place("body"), message, "leave the body out, or use another status");
    }
}
