//! What can be asked of a running prumo, and by whom.
//!
//! The flow of a question: `route` recognises it, `role` and `token` say whether this caller may ask it, `ask` gives it
//! a typed shape, and a function handed in by the binary answers it. `server` speaks HTTP on the admin listener and on the Unix
//! socket, `client` is the other end for the command line, and `openapi` prints the table of routes for everybody else.
//!
//! There is one table of routes, in `route.rs`. Access, parsing, documentation and the test that walks every route with
//! every role all come from it, so a route cannot exist without a stated role.
//!
//! What is not here: no answer is computed in this crate, and nothing here knows the edge, the replicas or the file.
//! Start reading in `route.rs`.

pub mod answer;
pub mod ask;
pub mod client;
pub mod counters;
pub mod openapi;
pub mod role;
pub mod route;
pub mod server;
pub mod token;

pub use answer::{Event, Refusal, RefusalKind, Reply};
pub use ask::{Ask, Hidden};
pub use role::{Access, Role};
pub use server::{Answering, Caller, Door, Listener, SECRET_BYTES_MAX};
pub use token::Tokens;
