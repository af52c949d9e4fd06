//! Run against real processes: start, crash, deploy, and prumo's own death. Claims RUN-02, RUN-03, RUN-15, RUN-17,
//! DEP-05, DEP-06, DEP-07.
#![allow(clippy::disallowed_methods, reason = "a test waits in real time, as the processes it starts do")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod deploy;
mod output;
mod site;
mod supervise;
mod takeover;
