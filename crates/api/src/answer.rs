//! The shapes in which an answer leaves: a document, a text, a stream of events, or a refusal.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::ask::{Finished, LogLine, Step};

/// An answer on its way out.
#[derive(Debug)]
pub enum Reply {
    /// A JSON document with its HTTP status.
    Document(u16, Bytes),
    /// Some other text.
    Text {
        /// Its media type.
        content_type: &'static str,
        /// The text.
        body: String,
    },
    /// Events as they happen, a JSON document a line.
    Events(mpsc::Receiver<Event>),
}

/// One event of a streamed answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A deploy moved on.
    Step(Step),
    /// A replica printed a line.
    Line(LogLine),
    /// The reader was too slow, and so many lines were passed over.
    Skipped {
        /// How many.
        lines: u64,
    },
    /// The end, and it went well.
    Finished(Finished),
    /// The end, and it did not.
    Refused(Refusal),
}

/// Why a question was not answered, with the next step for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// What kind of trouble it is.
    pub kind: RefusalKind,
    /// What happened, in a sentence.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Kinds of refusal, by what the reader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The question itself is malformed.
    Malformed,
    /// The file has mistakes.
    BadFile,
    /// A service is not healthy, or did not become so.
    Unhealthy,
    /// There is no such service, release, secret or token.
    NoSuchThing,
    /// It is not allowed now: another deploy runs, the disk is full.
    Refused,
    /// No token, or one that is not known.
    Unauthenticated,
    /// A token that may not do this.
    Forbidden,
    /// It was tried and failed.
    Failed,
}

impl Refusal {
    /// A refusal without a hint.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        Refusal { kind, message: message.into(), hint: None }
    }

    /// The same with the next step.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Refusal {
        Refusal { hint: Some(hint.into()), ..self }
    }
}

impl RefusalKind {
    /// The HTTP status that says this.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            RefusalKind::Malformed => 400,
            RefusalKind::Unauthenticated => 401,
            RefusalKind::Forbidden => 403,
            RefusalKind::NoSuchThing => 404,
            RefusalKind::Refused => 409,
            RefusalKind::BadFile => 422,
            RefusalKind::Failed => 500,
            RefusalKind::Unhealthy => 503,
        }
    }
}

impl Reply {
    /// A JSON document, status 200.
    pub fn document(value: &impl Serialize) -> Reply {
        Reply::document_with(200, value)
    }

    /// A JSON document with a status of its own.
    pub fn document_with(status: u16, value: &impl Serialize) -> Reply {
        Reply::Document(status, json_line(value))
    }
}

/// A value as one line of JSON. The types of this crate hold nothing that JSON cannot say.
pub(crate) fn json_line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).expect("the types of the API are always JSON");
    line.push(b'\n');
    Bytes::from(line)
}
