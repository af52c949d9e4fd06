//! A fault of ours ends what it happened in, and nothing around it.
//!
//! A connection's task keeps its panic to itself already (`lib/drain`). This is for what many share: the streams of one
//! connection, the listener of a core, and what a core does for all of them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does a piece of work; `None` when it panics, which is a bug and logged as one. Whoever calls it uses nothing again that
/// the work may have left half done.
pub(crate) fn contain<T>(what: &'static str, work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(payload) => {
            tracing::error!(what, why = message_of(payload.as_ref()), "panic contained, please report it");
            None
        }
    }
}

fn message_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a value that is not text")
}
