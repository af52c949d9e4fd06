//! The cookie that brings a client back to the replica it had.
//!
//! Its value is made of the replica's name with the site's key, so it says nothing to anybody, cannot be guessed, and is
//! the same on every core and after a restart of prumo. A value that no present replica has is as good as none: the
//! client gets another replica and its cookie.

use http::HeaderValue;
use http::header::{self, HeaderMap};
use sha2::{Digest as _, Sha256};

/// The value that stands for one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark([u8; 16]);

impl Mark {
    /// Half of a hash, which is why nobody can go on hashing where it ended.
    pub(crate) fn of(key: &[u8; 32], replica: &str) -> Mark {
        let hash = Sha256::new().chain_update(key).chain_update(replica).finalize();
        let mut mark = [0; 16];
        mark.copy_from_slice(&hash[..16]);
        Mark(mark)
    }

    /// The one in a request's cookie of this name. Only the first counts.
    pub(crate) fn find(headers: &HeaderMap, cookie: &str) -> Option<Mark> {
        let value = cookie_value(headers, cookie)?;
        let mut mark = [0; 16];
        if value.len() != 32 || !value.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in mark.iter_mut().zip(value.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Mark(mark))
    }

    /// The `Set-Cookie` that makes a client come back. It ends with the browser's session, and no script reads it.
    pub(crate) fn set_cookie(self, cookie: &str, secure: bool) -> Option<HeaderValue> {
        let value: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let secure = if secure { "; Secure" } else { "" };
        HeaderValue::from_str(&format!("{cookie}={value}; Path=/; HttpOnly; SameSite=Lax{secure}")).ok()
    }
}

/// The value of the first cookie of that name.
pub(crate) fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let crumbs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    crumbs.map(<[u8]>::trim_ascii).find_map(|crumb| crumb.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests;
