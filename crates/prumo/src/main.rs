//! prumo: production in one binary, and the proof that it holds.
//!
//! `cli` reads what was typed. `daemon` is the life of the process that `prumo up` starts, and `wire` holds every arrow
//! between the subsystems: who has read those two has seen the system. `site` is what can be done with a running site, and
//! `answer` puts it into the words of `prumo-api`.
//!
//! What is not here: no request is served and no process is started in this crate. Start reading in `wire.rs`.

mod answer;
mod cli;
mod daemon;
mod demo;
mod file;
mod handover;
mod keep;
mod log;
mod maintenance;
mod plan;
mod remarks;
mod secrets;
mod site;
mod state;
mod trust;
mod upgrade;
mod watched;
mod wire;

#[cfg(feature = "alloc-mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(all(feature = "alloc-jemalloc", not(feature = "alloc-mimalloc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
