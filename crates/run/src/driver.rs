//! Where processes are: the only place of prumo that starts, finds, signals and ends them.
//!
//! A replica is a tree of processes. Its leader has a session of its own, every member carries the replica's marker in
//! its environment, and where the machine allows it the tree has control groups of its own. Each of the three finds
//! members that the other two miss. Replicas outlive prumo on purpose and are found again by the same three.

pub mod own;
pub mod process;
pub mod secret;
pub mod tool;

pub use limits::raise_files;
pub use secret::open_regular;
pub use user::numbers as user_numbers;

pub(crate) mod environment;
pub(crate) mod limits;
pub(crate) mod output;
pub(crate) mod ports;
pub(crate) mod proc;
pub(crate) mod tree;
pub(crate) mod user;
