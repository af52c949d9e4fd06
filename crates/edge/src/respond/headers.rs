//! What every answer carries beside what the app says, and what it never carries.
//!
//! Settled when a core takes its table, one list for each route and core: a request pays for no decision, and no two
//! cores count references to the same value. Both writers of answers use the same list: [`AnswerHeaders::finish`] for
//! hyper's map, [`AnswerHeaders::meet`] and [`AnswerHeaders::write`] for an answer that is passed on as bytes.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::settings::{Frame, Headers};

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Says what a site is made of, to whoever looks for something to attack.
const TELL_TALES: [HeaderName; 2] = [header::SERVER, HeaderName::from_static("x-powered-by")];

/// The answer headers of one route, as one core uses them.
#[derive(Debug, Default)]
pub(crate) struct AnswerHeaders {
    /// Given unless the app says them itself, or always.
    given: Vec<Given>,
    /// How many of `given`, from the first, the app may say itself.
    yielding: usize,
    /// Taken out of what the app says, with the names that are always given.
    removed: Vec<HeaderName>,
    /// Bit `n` is set when a name above has `n` bytes: most of an app's headers are passed by this look alone.
    lengths: u64,
    /// The lines of all that is given: in clear text, and over TLS.
    lines: [Vec<u8>; 2],
}

#[derive(Debug)]
struct Given {
    name: HeaderName,
    value: HeaderValue,
    over_tls_only: bool,
}

/// What the list says about one header of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// It is the app's own affair.
    Pass,
    /// It goes no further.
    Drop,
    /// It is passed, and ours of the same name is not given: to be put into a [`Said`].
    Says(Said),
}

/// Which of the given headers the app has said itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said(u16);

impl std::ops::BitOrAssign for Said {
    fn bitor_assign(&mut self, other: Said) {
        self.0 |= other.0;
    }
}

impl AnswerHeaders {
    pub(crate) fn new(settings: &Headers) -> AnswerHeaders {
        let mut headers = AnswerHeaders::default();
        headers.removed.extend(TELL_TALES);
        headers.removed.extend(settings.remove.iter().filter_map(|name| name.parse().ok()));
        for (name, value, over_tls_only) in security(settings) {
            headers.give(name, &value, over_tls_only);
        }
        headers.yielding = headers.given.len();
        for (name, value) in &settings.set {
            let Ok(name) = name.parse::<HeaderName>() else { continue };
            // What the file sets by name, it does not want twice.
            let before = headers.given.iter().position(|given| given.name == name);
            if let Some(index) = before.filter(|&index| index < headers.yielding) {
                headers.given.remove(index);
                headers.yielding -= 1;
            }
            headers.removed.push(name.clone());
            headers.give(name, value, false);
        }
        if settings.force {
            headers.removed.extend(headers.given[..headers.yielding].iter().map(|given| given.name.clone()));
            headers.yielding = 0;
        }
        for (name, value) in &settings.add {
            if let Ok(name) = name.parse() {
                headers.give(name, value, false);
            }
        }
        headers.settle();
        headers
    }

    fn give(&mut self, name: HeaderName, value: &str, over_tls_only: bool) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.given.push(Given { name, value, over_tls_only });
        }
    }

    fn settle(&mut self) {
        let yielding = self.given[..self.yielding].iter().map(|given| &given.name);
        self.lengths = self.removed.iter().chain(yielding).fold(0, |bits, name| bits | length_bit(name.as_str().len()));
        self.lines = [false, true].map(|tls| {
            let mut lines = Vec::new();
            self.write_unsaid(&mut lines, Said::default(), tls);
            lines
        });
    }

    /// What happens to the app's header of this name, in any case.
    pub(crate) fn meet(&self, name: &[u8]) -> Meeting {
        if self.lengths & length_bit(name.len()) == 0 {
            return Meeting::Pass;
        }
        let is_it = |known: &HeaderName| known.as_str().as_bytes().eq_ignore_ascii_case(name);
        if self.removed.iter().any(is_it) {
            return Meeting::Drop;
        }
        let said = self.given[..self.yielding].iter().position(|given| is_it(&given.name));
        said.map_or(Meeting::Pass, |index| Meeting::Says(Said(1 << index)))
    }

    /// Appends the lines of what is given to a head that is written as bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>, said: Said, tls: bool) {
        if said == Said::default() {
            out.extend_from_slice(&self.lines[usize::from(tls)]);
        } else {
            self.write_unsaid(out, said, tls);
        }
    }

    fn write_unsaid(&self, out: &mut Vec<u8>, said: Said, tls: bool) {
        for given in self.unsaid(said, tls) {
            out.extend_from_slice(given.name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(given.value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Does the same to a head in hyper's form.
    pub(crate) fn finish(&self, headers: &mut HeaderMap, tls: bool) {
        let mut said = Said::default();
        let mut drops = false;
        for name in headers.keys() {
            match self.meet(name.as_str().as_bytes()) {
                Meeting::Pass => {}
                Meeting::Drop => drops = true,
                Meeting::Says(one) => said |= one,
            }
        }
        if drops {
            for name in &self.removed {
                headers.remove(name);
            }
        }
        self.add(headers, said, tls);
    }

    /// Appends what is given to a head in hyper's form whose app has said so much itself.
    pub(crate) fn add(&self, headers: &mut HeaderMap, said: Said, tls: bool) {
        // Once, not for each of them.
        headers.reserve(self.given.len());
        for given in self.unsaid(said, tls) {
            headers.append(given.name.clone(), given.value.clone());
        }
    }

    fn unsaid(&self, said: Said, tls: bool) -> impl Iterator<Item = &Given> {
        let is_said = move |index: usize| index < self.yielding && said.0 & (1 << index) != 0;
        let given = self.given.iter().enumerate();
        given.filter(move |(index, one)| !is_said(*index) && (tls || !one.over_tls_only)).map(|(_, one)| one)
    }
}

fn length_bit(length: usize) -> u64 {
    // Names longer than 62 bytes share a bit.
    1 << length.min(63)
}

/// The security headers that are wanted, at most 16 of them. The last part says which only make sense over TLS.
fn security(settings: &Headers) -> Vec<(HeaderName, String, bool)> {
    let mut wanted = Vec::new();
    let mut want = |name: HeaderName, value: &str| wanted.push((name, value.to_owned(), false));
    if settings.nosniff {
        want(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    }
    match settings.frame {
        Frame::Deny => want(header::X_FRAME_OPTIONS, "DENY"),
        Frame::SameOrigin => want(header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        Frame::Off => {}
    }
    for (name, value) in [
        (header::REFERRER_POLICY, &settings.referrer),
        (PERMISSIONS_POLICY, &settings.permissions),
        (OPENER_POLICY, &settings.opener),
        (RESOURCE_POLICY, &settings.resource),
    ] {
        if let Some(value) = value {
            want(name, value);
        }
    }
    if let Some(csp) = &settings.csp {
        let name = if settings.csp_enforce {
            header::CONTENT_SECURITY_POLICY
        } else {
            header::CONTENT_SECURITY_POLICY_REPORT_ONLY
        };
        want(name, &with_frame_ancestors(csp, settings));
    }
    if let Some(hsts) = &settings.hsts {
        wanted.push((header::STRICT_TRANSPORT_SECURITY, hsts.clone(), true));
    }
    wanted
}

/// `X-Frame-Options` in the newer tongue, for a policy that does not speak of frames. Browsers ignore it where a policy
/// only reports.
fn with_frame_ancestors(csp: &str, settings: &Headers) -> String {
    let csp = csp.trim().trim_end_matches(';');
    let speaks = csp.split(';').any(|part| part.trim().to_ascii_lowercase().starts_with("frame-ancestors"));
    match settings.frame {
        Frame::Deny if !speaks && settings.csp_enforce => format!("{csp}; frame-ancestors 'none'"),
        Frame::SameOrigin if !speaks && settings.csp_enforce => format!("{csp}; frame-ancestors 'self'"),
        _ => csp.to_owned(),
    }
}

#[cfg(test)]
mod tests;
