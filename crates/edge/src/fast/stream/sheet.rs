//! A head as h2 takes it.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::fast::answer::{Ours, Paper};
use crate::forwarded::REQUEST_ID;
use crate::respond::Said;

/// Room for the headers of a usual answer and ours, made once.
const HEADERS_USUAL: usize = 24;

/// A head as h2 takes it.
#[derive(Default)]
pub(super) struct Sheet {
    status: Option<StatusCode>,
    headers: HeaderMap,
}

impl Sheet {
    /// `None` when nothing was written.
    pub(super) fn into_response(self) -> Option<Response<()>> {
        let mut response = Response::new(());
        *response.status_mut() = self.status?;
        *response.headers_mut() = self.headers;
        Some(response)
    }
}

impl Paper for Sheet {
    fn begin(&mut self, status: StatusCode, _: &str) {
        self.status = Some(status);
        self.headers.reserve(HEADERS_USUAL);
    }

    fn line(&mut self, name: &str, value: &[u8]) -> Option<()> {
        let (name, value) = (HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
        self.headers.try_append(name, value).ok()?;
        Some(())
    }

    fn length(&mut self, length: u64) {
        self.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }

    fn unlimited(&mut self) {}

    fn close(&mut self, ours: &Ours<'_>, said: Said, has_date: bool) {
        ours.headers.add(&mut self.headers, said, ours.tls);
        if let Ok(mut id) = HeaderValue::from_bytes(ours.id) {
            // It comes once: in the client's table it would only push out what comes again.
            id.set_sensitive(true);
            self.headers.insert(REQUEST_ID, id);
        }
        if !has_date && let Ok(date) = HeaderValue::from_bytes(ours.date) {
            self.headers.insert(header::DATE, date);
        }
    }

    fn close_interim(&mut self) {}

    fn mark(&self) -> usize {
        0
    }

    fn undo(&mut self, _: usize) {
        *self = Sheet::default();
    }
}
