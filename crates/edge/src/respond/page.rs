//! An error in three forms: a page for people, a problem document for programs, text for who says nothing.

use std::fmt::Write as _;

use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Problem,
    Text,
}

/// One column, the system's own letters, and the reader's choice of light or dark; contrast of 7 to 1 and more.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1e21;--soft:#4a4f57;--paper:#fff;--line:#c9ced6}\
@media(prefers-color-scheme:dark){:root{--ink:#eceef1;--soft:#b3bac4;--paper:#15171a;--line:#3c424b}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);\
font:1.0625rem/1.6 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
main{width:100%;max-width:34rem;padding:2rem 1.5rem}\
h1{margin:0 0 .75rem;font-size:1.75rem;line-height:1.25}\
p{margin:0 0 .75rem}\
.status{margin:0 0 .25rem;color:var(--soft);font-weight:600;letter-spacing:.04em}\
.small{margin:1.5rem 0 0;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.9375rem}\
code{font:0.875rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:var(--ink);overflow-wrap:anywhere}";

/// Nothing may be loaded, sent or framed; only our own style counts. A test keeps the hash true.
const POLICY: &str = "default-src 'none'; style-src 'sha256-RtMYGn5jZzrdcpwL4OicX2fuQrNJJ8me4Sta1MrAiyQ='; \
base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every one of our pages says of itself.
pub(super) fn headers(form: Form) -> [(HeaderName, HeaderValue); 5] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(form.kind())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ]
}

impl Form {
    fn kind(self) -> &'static str {
        match self {
            Form::Html => "text/html; charset=utf-8",
            Form::Problem => "application/problem+json",
            Form::Text => "text/plain; charset=utf-8",
        }
    }
}

/// The error in this form. `say` is a sentence of ours; an id is made of letters, digits and `-_.:` alone.
pub(super) fn write(form: Form, status: StatusCode, say: &str, id: Option<&HeaderValue>) -> String {
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or("");
    let title = status.canonical_reason().unwrap_or("Error");
    let status = status.as_u16();
    let mut page = String::with_capacity(STYLE.len() + 768);
    // Writing to a string cannot fail.
    let _ = match form {
        Form::Html => write_html(&mut page, status, title, say, id),
        Form::Problem => write_problem(&mut page, status, title, say, id),
        Form::Text => write_text(&mut page, status, title, say, id),
    };
    page
}

fn write_html(page: &mut String, status: u16, title: &str, say: &str, id: &str) -> std::fmt::Result {
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{status} {title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<p class=\"status\">Error {status}</p>\n<h1>{title}</h1>\n<p>{say}</p>\n"
    )?;
    if !id.is_empty() {
        write!(
            page,
            "<p class=\"small\">If it stays like this, tell whoever runs this site the number of this request:<br>\n\
             <code>{id}</code></p>\n"
        )?;
    }
    page.write_str("</main>\n</body>\n</html>\n")
}

/// RFC 9457: `about:blank` says that the status is all there is to know about the type.
fn write_problem(page: &mut String, status: u16, title: &str, say: &str, id: &str) -> std::fmt::Result {
    write!(page, "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{say}\"")?;
    if !id.is_empty() {
        write!(page, ",\"request_id\":\"{id}\"")?;
    }
    page.write_str("}\n")
}

fn write_text(page: &mut String, status: u16, title: &str, say: &str, id: &str) -> std::fmt::Result {
    write!(page, "{status} {title}\n{say}\n")?;
    if id.is_empty() { Ok(()) } else { writeln!(page, "request {id}") }
}

/// The form that `Accept` likes best, the first of equals; text for whoever does not say, such as curl.
pub(super) fn preferred(accept: Option<&HeaderValue>) -> Form {
    let Some(accept) = accept.and_then(|value| value.to_str().ok()) else { return Form::Text };
    let mut best = (0, Form::Text);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let Some(form) = parts.next().and_then(form_of) else { continue };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, thousandths);
        if weight > best.0 {
            best = (weight, form);
        }
    }
    best.1
}

fn form_of(kind: &str) -> Option<Form> {
    let kind = kind.to_ascii_lowercase();
    match kind.as_str() {
        "text/html" | "application/xhtml+xml" => Some(Form::Html),
        "application/json" | "application/*" => Some(Form::Problem),
        "text/plain" | "text/*" | "*/*" => Some(Form::Text),
        other if other.ends_with("+json") => Some(Form::Problem),
        _ => None,
    }
}

/// `0.5` as 500. What is no weight counts as none.
fn thousandths(weight: &str) -> u32 {
    let weight: f32 = weight.parse().unwrap_or(0.0);
    (weight.clamp(0.0, 1.0) * 1000.0) as u32
}
