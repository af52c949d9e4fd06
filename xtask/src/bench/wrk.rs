//! One run of wrk: closed-loop load over keep-alive connections, as fast as the proxy takes it.

use crate::failure::Failure;
use crate::program::Program;

/// Enough to keep one core of a proxy busy, few enough that no queue hides its cost.
pub(super) const CONNECTIONS: u32 = 64;

pub(super) fn run(url: &str, seconds: u32, core: &str) -> Result<u64, Failure> {
    run_over(CONNECTIONS, url, seconds, core)
}

/// The same over so many connections.
pub(super) fn run_over(connections: u32, url: &str, seconds: u32, core: &str) -> Result<u64, Failure> {
    let connections = format!("-c{connections}");
    let output = Program::on_core(core, "wrk").args(["-t1", &connections, &format!("-d{seconds}s"), url]).output()?;
    answered(&output).map_err(|why| Failure::new(format!("the load on {url} {why}; wrk printed:\n{output}")))
}

/// How many requests were answered; an error when any of them was not answered well.
fn answered(output: &str) -> Result<u64, &'static str> {
    if output.contains("Non-2xx") || output.contains("Socket errors") {
        return Err("met errors");
    }
    let count = output.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    count.filter(|count| *count > 0).ok_or("got no answer")
}

#[cfg(test)]
mod tests;
