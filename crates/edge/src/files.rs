//! Files of a folder as answers.
//!
//! ```text
//! path → (kept or look) → accept → conditions → range → download
//! ```
//!
//! Everything that decides is pure: `path`, `accept`, `conditions`, `range` and `kind`. `look` is the one place that
//! opens files, `kept` remembers what it found for less than a second, `readers` wait for the disk so that no core does,
//! `download` is the body. Folders are never listed, and nothing is written.

pub(crate) mod accept;
mod conditions;
pub(crate) mod download;
mod found;
mod kept;
mod kind;
mod look;
pub(crate) mod path;
pub(crate) mod range;
pub(crate) mod readers;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use prumo_clock::{Clock, Moment};

use crate::body::Body;
use crate::client::{Pace, Phase};
use crate::core::Core;
use crate::record::Record;
use crate::respond::Refusal;
use crate::secure::Terms;
use crate::settings::{Files, PathMatch};
use crate::table::RouteView;

use conditions::{Validators, Verdict};
use download::{Download, Downloads};
use found::{Found, Variant};
use kept::{Budget, Kept, Memory};
use look::{Look, Looked, Patience, Trouble};
use path::Target;
use range::Asked;
use readers::Readers;

/// How long a look may wait for the disk: longer than a disk that sleeps needs to wake up.
const LOOK_TIMEOUT: Duration = Duration::from_secs(15);

/// What a core needs for all its folders.
pub(crate) struct Shelf {
    budget: Rc<Budget>,
    downloads: Rc<Downloads>,
}

impl Shelf {
    pub(crate) fn new(cores: usize, readers: Readers) -> Shelf {
        Shelf { budget: Budget::new(cores), downloads: Downloads::new(readers) }
    }

    pub(crate) fn open(&self, settings: &Files) -> Folder {
        Folder {
            settings: settings.clone(),
            cache_control: cache_control(settings.cache),
            kept: Kept::new(Rc::clone(&self.budget)),
            downloads: Rc::clone(&self.downloads),
        }
    }
}

/// The folder of one route, as one core knows it.
pub(crate) struct Folder {
    settings: Files,
    cache_control: HeaderValue,
    kept: Kept,
    downloads: Rc<Downloads>,
}

impl Folder {
    pub(crate) fn sweep(&self, now: Moment) {
        self.kept.sweep(now);
    }
}

/// A request for a file.
pub(crate) struct Ask<'a> {
    terms: &'a Terms,
    route: &'a RouteView,
    folder: &'a Folder,
    parts: &'a Parts,
    /// The path below the route.
    rest: &'a str,
    clock: &'a Clock,
    wall: SystemTime,
    pace: &'a Rc<Pace>,
}

pub(crate) type Answered = Result<Response<Body>, (Refusal, Record)>;

impl<'a> Ask<'a> {
    /// A request that `route` has taken; `None` unless it answers with files.
    pub(crate) fn new(
        core: &'a Core,
        terms: &'a Terms,
        pace: &'a Rc<Pace>,
        route: &'a RouteView,
        parts: &'a Parts,
    ) -> Option<Ask<'a>> {
        let folder = route.folder.as_deref()?;
        let path = parts.uri.path();
        let rest = match &route.route.path {
            PathMatch::Prefix(prefix) => path::below(prefix, path),
            PathMatch::Exact(_) | PathMatch::Regex(_) => path,
        };
        let millis = u64::try_from(core.wall_at(core.clock.now()).millis()).unwrap_or(0);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        Some(Ask { terms, route, folder, parts, rest, clock: &core.clock, wall, pace })
    }

    /// Answers with a file, a redirect to a folder's slash, or a refusal. With `close` it is the last answer of its
    /// connection: the request has a body that nobody reads.
    pub(crate) async fn answer(&self, record: Record, close: bool) -> Answered {
        let mut response = self.choose(record).await?;
        let headers = response.headers_mut();
        self.route.answer.finish(headers, self.terms.tls_only);
        if close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn choose(&self, mut record: Record) -> Answered {
        if !matches!(self.parts.method, Method::GET | Method::HEAD) {
            return Err((Refusal::FILE_METHOD, record));
        }
        match self.find().await {
            Ok(Place::File(found)) => self.send(&found, Page::Asked, record),
            Ok(Place::Fallback(found)) => self.send(&found, Page::Fallback, record),
            Ok(Place::Elsewhere) => {
                record.answer(StatusCode::MOVED_PERMANENTLY);
                self.pace.enter(Phase::Waiting);
                Ok(to_slash(self.parts))
            }
            Err(refusal) => Err((refusal, record)),
        }
    }

    async fn find(&self) -> Result<Place, Refusal> {
        if let Some(target) = path::resolve(self.rest) {
            match self.look(&file_path(&target, &self.folder.settings.index)).await? {
                Looked::File(found) => return Ok(Place::File(found)),
                // A folder without its slash: links in its page would lead to the folder above.
                Looked::Folder if !target.ends_in_slash => {
                    let inside = Target { path: target.path, ends_in_slash: true };
                    let index = file_path(&inside, &self.folder.settings.index);
                    if let Looked::File(_) = self.look(&index).await? {
                        return Ok(Place::Elsewhere);
                    }
                }
                Looked::Folder | Looked::Nothing => {}
            }
        }
        self.find_fallback().await
    }

    /// The page of an app that makes its pages in the browser, for whoever goes to a page that is no file.
    async fn find_fallback(&self) -> Result<Place, Refusal> {
        let Some(fallback) = &self.folder.settings.fallback else { return Err(Refusal::NO_FILE) };
        if path::has_extension(self.rest.as_bytes()) || !accept::accepts_html(&self.parts.headers) {
            return Err(Refusal::NO_FILE);
        }
        match self.look(fallback.as_bytes()).await? {
            Looked::File(found) => Ok(Place::Fallback(found)),
            Looked::Folder | Looked::Nothing => Err(Refusal::NO_FILE),
        }
    }

    /// What is at `path`: from memory, else from what the system has in memory, else from the disk.
    async fn look(&self, path: &[u8]) -> Result<Looked, Refusal> {
        let now = self.clock.now();
        let known = match self.folder.kept.recall(path, now) {
            Memory::Fresh(found) => return Ok(Looked::File(found)),
            Memory::Stale(found) => Some(found),
            Memory::Nothing => None,
        };
        let look = Look {
            folder: self.folder.settings.folder.clone(),
            path: path.to_vec(),
            precompressed: self.folder.settings.precompressed,
            known,
            now: self.wall,
        };
        let looked = match look::look(&look, Patience::None) {
            Err(Trouble::WouldWait) => self.wait_for(look).await?,
            looked => looked,
        };
        match looked {
            Ok(Looked::File(found)) => {
                self.folder.kept.keep(path, &found, now);
                Ok(Looked::File(found))
            }
            Ok(looked) => {
                self.folder.kept.forget(path);
                Ok(looked)
            }
            Err(trouble) => {
                let (folder, path) = (self.folder.settings.folder.display(), path.escape_ascii());
                tracing::warn!(?trouble, %folder, %path, "a file could not be read");
                Err(Refusal::FILE_FAILED)
            }
        }
    }

    async fn wait_for(&self, look: Look) -> Result<Result<Looked, Trouble>, Refusal> {
        let waited = self.folder.downloads.readers().run(move || look::look(&look, Patience::Endless));
        match self.clock.timeout(LOOK_TIMEOUT, waited).await {
            Ok(Ok(looked)) => Ok(looked),
            Ok(Err(_)) | Err(_) => Err(Refusal::FILE_FAILED),
        }
    }

    fn send(&self, found: &Found, page: Page, mut record: Record) -> Answered {
        let headers = &self.parts.headers;
        let coding = accept::choose_coding(headers, |coding| found.coded[coding as usize].is_some());
        let variant = found.variant(coding);
        let validators = Validators { tag: variant.tag.as_bytes(), modified: variant.modified };
        let verdict = conditions::judge(headers, validators, self.wall);
        let asked = match verdict {
            Verdict::Failed => return Err((Refusal::PRECONDITION, record)),
            Verdict::Pass if self.parts.method == Method::GET => asked_range(headers, variant.stamp.length),
            Verdict::Pass | Verdict::PassWhole | Verdict::NotModified => Asked::Whole,
        };
        let (status, part) = match (verdict, asked) {
            (Verdict::NotModified, _) => (StatusCode::NOT_MODIFIED, 0..0),
            (_, Asked::Whole) => (StatusCode::OK, 0..variant.stamp.length),
            (_, Asked::Part { first, last }) => (StatusCode::PARTIAL_CONTENT, first..last + 1),
            (_, Asked::Beyond) => return Err((Refusal::beyond(variant.stamp.length), record)),
        };
        record.answer(status);
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = status;
        self.describe(response.headers_mut(), found, coding, page);
        if status == StatusCode::PARTIAL_CONTENT {
            let (last, length) = (part.end - 1, variant.stamp.length);
            let content_range = format!("bytes {}-{last}/{length}", part.start);
            let content_range = HeaderValue::from_str(&content_range).expect("numbers are a header value");
            response.headers_mut().insert(header::CONTENT_RANGE, content_range);
        }
        if status == StatusCode::NOT_MODIFIED {
            self.pace.enter(Phase::Waiting);
            return Ok(response);
        }
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
        if self.parts.method == Method::HEAD {
            self.pace.enter(Phase::Waiting);
            return Ok(response);
        }
        let download = Download::begin(variant, part, &self.folder.downloads, record, Rc::clone(self.pace));
        *response.body_mut() = Body::File(Box::new(download));
        Ok(response)
    }

    /// What a client is told about a file; for a copy that is still good, only what may have changed about it.
    fn describe(&self, headers: &mut HeaderMap, found: &Found, coding: Option<accept::Coding>, page: Page) {
        let variant: &Variant = found.variant(coding);
        headers.reserve(12);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(found.kind));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::ETAG, variant.tag.clone());
        if let Some(last_modified) = &variant.last_modified {
            headers.insert(header::LAST_MODIFIED, last_modified.clone());
        }
        // A page names the files it was built with: one that is kept too long asks for what a deploy has removed.
        let cache_control = if found.is_html() { ASK_FIRST } else { self.folder.cache_control.clone() };
        headers.insert(header::CACHE_CONTROL, cache_control);
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        // Whether a fallback is sent depends on what the client accepts.
        match (found.has_coded(), page) {
            (true, Page::Fallback) => headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding")),
            (true, Page::Asked) => headers.insert(header::VARY, HeaderValue::from_static("accept-encoding")),
            (false, Page::Fallback) => headers.insert(header::VARY, HeaderValue::from_static("accept")),
            (false, Page::Asked) => None,
        };
    }
}

/// What answers a request.
enum Place {
    File(Arc<Found>),
    Fallback(Arc<Found>),
    /// At the same path with a slash.
    Elsewhere,
}

#[derive(Clone, Copy)]
enum Page {
    Asked,
    Fallback,
}

/// May be kept, and is asked about each time.
const ASK_FIRST: HeaderValue = HeaderValue::from_static("no-cache");

/// A year is what people write who mean "for ever": such a file is never asked about, not even at a reload.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);

fn cache_control(cache: Duration) -> HeaderValue {
    match cache.as_secs() {
        0 => ASK_FIRST,
        seconds if cache >= FOR_EVER => number_value(&format!("public, max-age={seconds}, immutable")),
        seconds => number_value(&format!("public, max-age={seconds}")),
    }
}

fn number_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("words and numbers are a header value")
}

/// The file that a target means: a folder is its index.
fn file_path<'a>(target: &'a Target<'_>, index: &str) -> std::borrow::Cow<'a, [u8]> {
    if !target.ends_in_slash {
        return std::borrow::Cow::Borrowed(&target.path);
    }
    let mut path = target.path.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(index.as_bytes());
    path.into()
}

/// The one `Range`; several lines of it are no range.
fn asked_range(headers: &HeaderMap, length: u64) -> Asked {
    let mut lines = headers.get_all(header::RANGE).iter();
    match (lines.next().map(HeaderValue::to_str), lines.next()) {
        (Some(Ok(value)), None) => range::read(value, length),
        _ => Asked::Whole,
    }
}

/// The same path and query, with a slash between. The path begins with one slash and not with two, or no target would
/// have been found: it cannot lead to another host.
fn to_slash(parts: &Parts) -> Response<Body> {
    let mut location = parts.uri.path().to_owned();
    location.push('/');
    if let Some(query) = parts.uri.query() {
        location.push('?');
        location.push_str(query);
    }
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, ASK_FIRST);
    response
}

#[cfg(test)]
mod tests;
