//! The name a request asks for, in the one form that routes are compared with.

use std::borrow::Cow;

use crate::framing;

/// Why a `Host` is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadHost;

/// `Shop.Example.com.:8443` → `shop.example.com`: lower case, without port and trailing dot. IPv6 addresses keep their
/// brackets. Borrowed when it already was in this form, as nearly every request's is.
pub(crate) fn normalise(authority: &str) -> Result<Cow<'_, str>, BadHost> {
    let name = without_port(authority)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    let (mut is_good, mut has_upper, mut before) = (name.len() <= 255, false, b'.');
    for byte in name.bytes() {
        // Between two dots would be a label without letters.
        is_good &= HOST[usize::from(byte)] & ((byte != b'.') | (before != b'.'));
        has_upper |= byte.is_ascii_uppercase();
        before = byte;
    }
    if !is_good || before == b'.' {
        return Err(BadHost);
    }
    Ok(if has_upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

fn without_port(authority: &str) -> Result<&str, BadHost> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(BadHost)?;
        let (address, port) = authority.split_at(end + 1);
        address[1..end].parse::<std::net::Ipv6Addr>().map_err(|_| BadHost)?;
        return check_port(port).map(|()| address);
    }
    match authority.bytes().position(|byte| byte == b':') {
        None => Ok(authority),
        Some(colon) => {
            let (name, port) = authority.split_at(colon);
            check_port(port).map(|()| name)
        }
    }
}

/// Empty, `:` or `:digits`.
fn check_port(port: &str) -> Result<(), BadHost> {
    let digits = port.strip_prefix(':').unwrap_or(port);
    let lone_digits = !port.is_empty() && !port.starts_with(':');
    let is_port = || digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    if lone_digits || !(digits.is_empty() || is_port()) {
        return Err(BadHost);
    }
    Ok(())
}

/// What may stand in a name or an address; `_` because real networks have it. Nothing that could end a quoted string,
/// a header or a URL.
const HOST: [bool; 256] = framing::letters_and(b"-._[]:");

#[cfg(test)]
mod tests;
