//! What two prumo processes say to each other. A process may be older or newer than the other: what it does not
//! understand ends the handover, and nothing has changed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One message. Some carry a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// A listening socket, with its descriptor.
    Socket {
        /// Whose it is.
        name: Name,
        /// Whether a service manager chose its address.
        given: bool,
    },
    /// The locked file of the state folder, with its descriptor.
    Lock,
    /// The line to the keeper, with its descriptor.
    Keeper,
    /// The line to a predecessor that still finishes requests, with its descriptor.
    Elder,
    /// Where the log goes once the successor has taken over, with its descriptor.
    ErrorOutput,
    /// That was all.
    Begin {
        /// Who says so.
        origin: Origin,
    },
    /// The successor could take over now.
    Prepared,
    /// The successor cannot.
    Failed {
        /// Why.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// Whether the file has mistakes. An older prumo does not say.
        #[serde(default)]
        bad_file: bool,
    },
    /// The predecessor supervises no more: it is the successor's turn.
    Yours,
    /// The successor serves and supervises.
    Serving {
        /// Its version.
        version: String,
    },
    /// The upstreams of one service, from a successor to its elders.
    Upstreams {
        /// Which successor.
        epoch: u32,
        /// Its generation.
        generation: u64,
        /// How many such messages this generation has.
        of: usize,
        /// The service.
        service: String,
        /// Its replicas that take requests.
        known: Vec<Known>,
    },
    /// What an elder is busy with.
    Flight(Flight),
    /// An elder is to end soon.
    Leave,
    /// To the keeper: everything is stopped in order, and this process ends now. Its parent may be another process, which
    /// alone learns how it ended.
    Over {
        /// The exit code.
        code: u8,
    },
    /// To the keeper: this process is the one to watch. To the successor: the service manager watches it now.
    Main {
        /// Its process id.
        pid: u32,
    },
    /// To the keeper: the sockets just sent are the ones to hold; those from before may be closed.
    Hold,
}

/// Whose a listening socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Name {
    /// The edge, clear text.
    Http,
    /// The edge, TLS.
    Https,
    /// The admin listener.
    Admin,
    /// The command socket.
    Command,
}

/// Who starts a process with an inheritance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// A keeper.
    Keeper,
    /// The prumo that is to be replaced.
    Predecessor,
}

/// An upstream, as it is told to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Its id.
    pub id: String,
    /// Where it listens.
    pub place: Place,
    /// Whether it speaks HTTP/2.
    #[serde(default)]
    pub h2: bool,
}

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// What an elder is busy with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flight {
    /// The successor and its newest generation that every core of the elder uses.
    pub settled: Option<(u32, u64)>,
    /// Requests and tunnels by upstream, where there are any.
    pub busy: BTreeMap<String, (u64, u64)>,
}
