//! Equipment for testing the whole binary from outside: as a user with a terminal, a browser and a bad day would.
//!
//! - [`site`]: a folder with a `prumo.toml` and a real `prumo up` in it, which is always gone afterwards.
//! - [`load`]: requests at a fixed rate and web sockets, and an account of everything that went wrong.
//! - [`ask`]: one HTTP request; [`web_socket`]: one web socket, frame by frame.
//! - [`crowd`]: many clients at once, for measurements.
//! - [`deploys`]: many deploys in a row under load, for tests and for benchmarks.
//! - [`upgrades`]: the same for upgrades of prumo itself.
//! - [`scenario`]: stories of the command line as text files, run by `tests/scenarios.rs`.
//! - [`tool`]: other people's programs that judge ours.
//! - `bin/zoo.rs`: an app that misbehaves in the way its arguments say.
//!
//! Nothing here imports a crate of prumo: what a test sees is what a user sees. Start reading at [`site::Site`].
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "test equipment: it drives real processes in real time, and panics where the test should fail"
)]

pub mod ask;
pub mod binaries;
pub mod crowd;
pub mod deploys;
pub mod disk;
pub mod load;
pub mod process;
pub mod scenario;
pub mod seed;
pub mod site;
pub mod tool;
pub mod upgrades;
pub mod web_socket;
