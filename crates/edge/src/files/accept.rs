//! What a client can take: `Accept` and `Accept-Encoding`, with their weights. Pure.

use http::header::{self, HeaderMap};

/// A coding that a file may lie beside itself in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Zstandard,
    Gzip,
}

impl Coding {
    /// In the order that wins when a client likes several equally: the smallest first.
    pub(crate) const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstandard, Coding::Gzip];

    /// What `Content-Encoding` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstandard => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// What the file beside the file ends in.
    pub(crate) fn suffix(self) -> &'static [u8] {
        match self {
            Coding::Brotli => b".br",
            Coding::Zstandard => b".zst",
            Coding::Gzip => b".gz",
        }
    }
}

/// The coding to send of those that are there; `None` sends the file as it is, also to a client that would rather have
/// nothing (RFC 9110 12.5.3 lets us choose, and a 406 helps nobody).
pub(crate) fn choose_coding(headers: &HeaderMap, is_there: impl Fn(Coding) -> bool) -> Option<Coding> {
    if !headers.contains_key(header::ACCEPT_ENCODING) {
        return None;
    }
    let wishes = Wishes::read(headers);
    let mut best = (wishes.plain(), None);
    for coding in Coding::ALL {
        let weight = wishes.weight_of(coding);
        let is_better = weight > best.0 || (best.1.is_none() && weight == best.0);
        if weight > 0 && is_better && is_there(coding) {
            best = (weight, Some(coding));
        }
    }
    best.1
}

/// Whether a client names HTML among what it accepts, as a browser does that goes to a page. `*/*` alone does not:
/// that is what scripts, images and programs send.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    weighted(headers, header::ACCEPT).any(|(kind, weight)| {
        let names_html = ["text/html", "application/xhtml+xml"].iter().any(|html| kind.eq_ignore_ascii_case(html));
        names_html && weight > 0
    })
}

/// What `Accept-Encoding` says, in thousandths.
#[derive(Default)]
struct Wishes {
    named: [Option<u16>; Coding::ALL.len()],
    identity: Option<u16>,
    any: Option<u16>,
}

impl Wishes {
    fn read(headers: &HeaderMap) -> Wishes {
        let mut wishes = Wishes::default();
        for (name, weight) in weighted(headers, header::ACCEPT_ENCODING) {
            if let Some(place) = wishes.place_of(name) {
                *place = Some(weight);
            }
        }
        wishes
    }

    fn place_of(&mut self, name: &str) -> Option<&mut Option<u16>> {
        match name {
            "*" => return Some(&mut self.any),
            _ if name.eq_ignore_ascii_case("identity") => return Some(&mut self.identity),
            _ => {}
        }
        // RFC 9110 8.4.1.3: `x-gzip` is the same.
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        let number = Coding::ALL.iter().position(|coding| coding.name().eq_ignore_ascii_case(name))?;
        self.named.get_mut(number)
    }

    fn weight_of(&self, coding: Coding) -> u16 {
        self.named[coding as usize].or(self.any).unwrap_or(0)
    }

    /// Named or not, the plain file is welcome unless it is refused; below every coding that is welcome when nothing is said of it.
    fn plain(&self) -> u16 {
        self.identity.or(self.any.filter(|weight| *weight == 0)).unwrap_or(1)
    }
}

/// The elements of a list header with their `q`, in thousandths; those whose weight cannot be read are left out.
fn weighted(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = (&str, u16)> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let value = parts.next().filter(|value| !value.is_empty())?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((value, weight.map_or(Some(1000), read_weight)?))
    })
}

/// `0`, `1`, `0.25`, `1.000`: at most three digits after the point.
fn read_weight(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths =
        fraction.bytes().chain([b'0'; 3]).take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
