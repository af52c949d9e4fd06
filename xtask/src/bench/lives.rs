//! prumo replaced, told to read its file again, or killed, many times in a row: nothing may fail.
//!
//! The measurement itself is a program of `prumo-tests`, so that it runs beside the release build that users get.

use crate::checkout;
use crate::failure::Failure;
use crate::program::Program;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many in a row.
    #[arg(long, default_value_t = 50)]
    count: u32,
}

pub(super) fn run(what: &str, arguments: &Arguments) -> Result<(), Failure> {
    let packages = ["--package", "prumo", "--package", "prumo-tests"];
    Program::cargo().args(["build", "--quiet", "--release", "--bins"]).args(packages).run()?;
    Program::new(checkout::target().join("release/lives")).args([what, &arguments.count.to_string()]).run()
}
