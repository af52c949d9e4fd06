//! How one prumo process gives another what it needs: listening sockets, the hold of the state folder, and the word that
//! it is its turn. `docs/decisions/0013-own-upgrade.md` tells the whole story.
//!
//! `line` carries messages and descriptors between two processes, `inherit` is what a process is given when it
//! starts, [`elders`] are predecessors that still finish their requests.

pub(crate) mod elders;
pub(crate) mod inherit;
pub(crate) mod line;
pub(crate) mod message;
pub(crate) mod notify;

pub(crate) use inherit::Inheritance;
pub(crate) use line::Line;
pub(crate) use message::{Flight, Known, Message, Name, Origin, Place};
