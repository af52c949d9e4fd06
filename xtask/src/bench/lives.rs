//! prumo replaced, told to read its file again, or killed, many times in a row: nothing may fail.
//!
//! The measurement itself is a program of `prumo-tests`, so that it runs beside the release build that users get.

use serde_json::Value;

use super::release_binary;
use crate::checkout;
use crate::failure::Failure;
use crate::program::Program;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many in a row.
    #[arg(long, default_value_t = 50)]
    count: u32,
    /// Web sockets that are open all the time.
    #[arg(long, default_value_t = 200)]
    web_sockets: u32,
}

/// What came of it.
pub(super) struct Account {
    /// Seconds that each one took.
    pub(super) took: Vec<f64>,
    pub(super) sent: u64,
    pub(super) failed: f64,
    pub(super) cut: f64,
    /// What went wrong beside requests and web sockets.
    pub(super) troubles: f64,
}

pub(super) fn run(what: &str, arguments: &Arguments) -> Result<(), Failure> {
    release_binary()?;
    let account = measure(what, arguments.count, arguments.web_sockets)?;
    let is_clean = account.failed + account.cut + account.troubles == 0.0;
    if is_clean { Ok(()) } else { Err(Failure::new(format!("{what} lost something"))) }
}

/// Prints what the program prints, and reads its account.
pub(super) fn measure(what: &str, count: u32, web_sockets: u32) -> Result<Account, Failure> {
    let mut account = Value::Null;
    let program = Program::new(checkout::target().join("release/lives"));
    program.args([what, &count.to_string(), &web_sockets.to_string()]).each_line(|line| match serde_json::from_str(
        line,
    ) {
        Ok(value @ Value::Object(_)) => account = value,
        _ => println!("{what}: {line}"),
    })?;
    let number = |name: &str| account[name].as_f64();
    let read = || {
        let took = account["took_s"].as_array()?.iter().filter_map(Value::as_f64).collect();
        let sent = account["sent"].as_u64()?;
        Some(Account { took, sent, failed: number("failed")?, cut: number("cut")?, troubles: number("troubles")? })
    };
    read().ok_or_else(|| Failure::new(format!("the measurement of {what} gave no account")))
}
