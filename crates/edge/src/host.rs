//! The name a request asks for, in the one form that routes are compared with.

use std::borrow::Cow;

/// Why a `Host` is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadHost;

/// `Shop.Example.com.:8443` → `shop.example.com`: lower case, without port and trailing dot. IPv6 addresses keep their
/// brackets. Borrowed when it already was in this form, as nearly every request's is.
pub(crate) fn normalise(authority: &str) -> Result<Cow<'_, str>, BadHost> {
    let name = without_port(authority)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    let has_empty_label = name.split('.').any(str::is_empty);
    if has_empty_label || name.len() > 255 || !name.bytes().all(is_host_byte) {
        return Err(BadHost);
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(name.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(name))
}

fn without_port(authority: &str) -> Result<&str, BadHost> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(BadHost)?;
        let (address, port) = authority.split_at(end + 1);
        address[1..end].parse::<std::net::Ipv6Addr>().map_err(|_| BadHost)?;
        return check_port(port).map(|()| address);
    }
    match authority.find(':') {
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
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'[' | b']' | b':')
}

#[cfg(test)]
mod tests;
