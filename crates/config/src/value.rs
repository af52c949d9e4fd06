//! The kinds of values that TOML does not have: durations, sizes, rates, schedules, networks and percentages.

pub mod cidr;
pub mod cron;
pub mod duration;
pub mod percent;
pub mod rate;
pub mod size;
pub mod template;

pub use cidr::Cidr;
pub use cron::{Civil, Cron};
pub use percent::Percent;
pub use rate::Rate;
pub use size::Size;
pub use template::{Part, Template};
