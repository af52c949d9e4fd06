//! What a service says before its answer (1xx), on its way to the client where hyper speaks with the service: hyper tells
//! it to a callback and nobody else, in the middle of reading.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use http::header::{self, HeaderMap};
use http::{Response, StatusCode};

use crate::admit;
use crate::forwarded::REQUEST_ID;
use crate::respond::{AnswerHeaders, Meeting};

/// More than this of one request goes no further.
const COUNT_MAX: u32 = 16;

/// What one request's service has said before its answer. Its lock is taken only when there is something, and never waited
/// for: both sides are in the same task.
#[derive(Default)]
pub(crate) struct Interims {
    heads: Mutex<Vec<Response<()>>>,
    is_news: AtomicBool,
    count: AtomicU32,
    /// It wants the body.
    continues: AtomicBool,
}

impl Interims {
    /// The service has said this.
    pub(crate) fn note(&self, status: StatusCode, headers: &HeaderMap) {
        if status == StatusCode::CONTINUE {
            return self.continues.store(true, Ordering::Relaxed);
        }
        let mut headers = headers.clone();
        admit::clean_answer(&mut headers);
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(REQUEST_ID);
        self.say(status, headers);
    }

    /// To be told to the client.
    pub(crate) fn say(&self, status: StatusCode, headers: HeaderMap) {
        if self.count.fetch_add(1, Ordering::Relaxed) >= COUNT_MAX {
            return;
        }
        let mut head = Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = headers;
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
        self.is_news.store(true, Ordering::Relaxed);
    }

    /// What is to be told now.
    pub(crate) fn take(&self) -> Vec<Response<()>> {
        if !self.is_news.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut *self.heads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True once, when the service has said that it wants the body.
    pub(crate) fn take_continue(&self) -> bool {
        self.continues.swap(false, Ordering::Relaxed)
    }

    /// Another request begins.
    pub(crate) fn forget(&self) {
        self.take();
        self.take_continue();
        self.count.store(0, Ordering::Relaxed);
    }
}

/// Takes away what the site says of no service.
pub(crate) fn clean(head: &mut Response<()>, answer: &AnswerHeaders) {
    let is_dropped = |name: &&header::HeaderName| matches!(answer.meet(name.as_str().as_bytes()), Meeting::Drop);
    let dropped: Vec<_> = head.headers().keys().filter(is_dropped).cloned().collect();
    for name in dropped {
        head.headers_mut().remove(name);
    }
}

/// Writes it as HTTP/1.1 does.
pub(crate) fn write_h1(out: &mut Vec<u8>, head: &Response<()>) {
    let reason = head.status().canonical_reason().unwrap_or_default();
    out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status().as_str()).as_bytes());
    for (name, value) in head.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
}
