//! Which sockets the edge listens on: those it was handed by whoever started it, and new ones for the rest.
//!
//! Handed sockets are used as they are and as many as they are: connections wait in their queues, and a queue that is
//! closed resets whoever waits in it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::error::EdgeError;
use crate::listen::owner::owner_of_port;
use crate::settings::{Bound, ListeningSocket, Port, Scheme, Settings, UnixSocket};

/// Connections the kernel holds while a core is busy. The kernel lowers it to `net.core.somaxconn`, usually 4096.
pub(super) const BACKLOG: i32 = 4096;

/// How often a free port is looked for that is free at every address.
const ATTEMPTS_MAX: u32 = 16;

/// Everything the edge listens on.
pub(crate) struct Listeners(Vec<Group>);

/// The sockets of one address: connections are spread over them by the kernel.
struct Group {
    scheme: Scheme,
    /// Chosen by a service manager, not by the settings.
    given: bool,
    place: Place,
    sockets: Vec<Socket>,
    /// Not listening yet.
    is_new: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Network(SocketAddr),
    Path(PathBuf),
}

/// A socket of one core.
pub(crate) struct CoreSocket {
    pub(crate) scheme: Scheme,
    pub(crate) socket: Socket,
}

/// Takes what was handed over as far as the settings want it, and binds the rest, once for each core. Nobody can connect
/// to what is new before [`Listeners::listen`].
pub(crate) fn open(settings: &Settings, handed: Vec<ListeningSocket>, cores: usize) -> Result<Listeners, EdgeError> {
    let wishes = Wishes { settings, handed: groups_of(handed), cores };
    let mut groups = wishes.network(Scheme::Http, settings.http, 80)?;
    groups.extend(wishes.network(Scheme::Https, settings.https, 443)?);
    groups.extend(wishes.socket()?);
    Ok(Listeners(groups))
}

impl Listeners {
    /// Lets clients connect. The last that may fail, so that no connection waits at a socket that a later failure closes.
    pub(crate) fn listen(&self) -> Result<(), EdgeError> {
        for group in self.0.iter().filter(|group| group.is_new) {
            for socket in &group.sockets {
                socket.listen(BACKLOG).map_err(|source| group.place.explain(source))?;
            }
        }
        Ok(())
    }

    pub(crate) fn bound(&self) -> Bound {
        let mut bound = Bound::default();
        for group in &self.0 {
            match (&group.place, group.scheme) {
                (Place::Network(address), Scheme::Http) => bound.http.push(*address),
                (Place::Network(address), Scheme::Https) => bound.https.push(*address),
                (Place::Path(path), _) => bound.socket = Some(path.clone()),
            }
        }
        bound
    }

    /// The sockets again, for another process.
    pub(crate) fn duplicate(&self) -> io::Result<Vec<ListeningSocket>> {
        let mut sockets = Vec::new();
        for group in &self.0 {
            for socket in &group.sockets {
                let descriptor = OwnedFd::from(socket.try_clone()?);
                sockets.push(ListeningSocket { scheme: group.scheme, given: group.given, descriptor });
            }
        }
        Ok(sockets)
    }

    /// What each core accepts on. With more sockets than cores a core has several; with fewer, cores share one.
    pub(crate) fn deal(self, cores: usize) -> Result<Vec<Vec<CoreSocket>>, EdgeError> {
        let mut hands: Vec<Vec<CoreSocket>> = (0..cores).map(|_| Vec::new()).collect();
        for Group { scheme, sockets, place, .. } in self.0 {
            for number in sockets.len()..cores {
                let socket = sockets[number % sockets.len()].try_clone().map_err(|source| place.explain(source))?;
                hands[number].push(CoreSocket { scheme, socket });
            }
            for (number, socket) in sockets.into_iter().enumerate() {
                hands[number % cores].push(CoreSocket { scheme, socket });
            }
        }
        Ok(hands)
    }
}

/// What the settings ask for, and what there is already.
struct Wishes<'a> {
    settings: &'a Settings,
    handed: Vec<Group>,
    cores: usize,
}

impl Wishes<'_> {
    fn network(&self, scheme: Scheme, port: Port, usual: u16) -> Result<Vec<Group>, EdgeError> {
        // 80 → 8080, 443 → 8443.
        let given: Vec<&Group> = self.handed.iter().filter(|group| group.given && group.scheme == scheme).collect();
        let on_network = || given.iter().filter(|group| group.place.address().is_some());
        let (ports, is_certain) = match port {
            // Nobody would accept who connects there.
            Port::Off => match on_network().find_map(|group| group.place.address()) {
                Some(address) => return Err(EdgeError::NotWanted { address, scheme }),
                None => return Ok(Vec::new()),
            },
            _ if !given.is_empty() => return on_network().map(|group| group.again()).collect(),
            Port::Number(number) => (vec![number], true),
            Port::Auto => (vec![usual, usual + 8000], false),
        };
        // What is there already says which port it is.
        let held = self.handed.iter().filter(|group| group.scheme == scheme).find_map(|group| group.place.address());
        let held = held.map(|address| address.port()).filter(|held| ports == [0] || ports.contains(held));
        let ports = held.map_or(ports, |held| vec![held]);
        match self.every_address(scheme, ports[0]) {
            Err(error) if !is_certain && ports.len() > 1 => {
                tracing::info!(port = ports[1], instead_of = usual, %error, "usual port not bound");
                self.every_address(scheme, ports[1])
            }
            done => done,
        }
    }

    fn every_address(&self, scheme: Scheme, port: u16) -> Result<Vec<Group>, EdgeError> {
        let mut attempts_left = if port == 0 { ATTEMPTS_MAX } else { 1 };
        loop {
            attempts_left -= 1;
            match self.bind_every_address(scheme, port) {
                // What is free at the first address need not be at the next.
                Err(EdgeError::AddressTaken { .. }) if attempts_left > 0 => {}
                done => return done,
            }
        }
    }

    fn bind_every_address(&self, scheme: Scheme, mut port: u16) -> Result<Vec<Group>, EdgeError> {
        let mut groups = Vec::new();
        for ip in &self.settings.addresses {
            let place = Place::Network(SocketAddr::new(*ip, port));
            let handed = self.handed.iter().find(|group| group.scheme == scheme && group.place == place);
            let group = match handed {
                Some(group) => group.again()?,
                None => self.bind(scheme, SocketAddr::new(*ip, port))?,
            };
            // 0 is the same free port at every address.
            port = group.place.address().map_or(port, |address| address.port());
            groups.push(group);
        }
        Ok(groups)
    }

    fn bind(&self, scheme: Scheme, address: SocketAddr) -> Result<Group, EdgeError> {
        let failed = |source: io::Error| Place::Network(address).explain(source);
        // `::` takes IPv4 too, unless somebody else of ours does.
        let only_v6 = self.settings.addresses.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        if address.port() != 0 {
            // SO_REUSEPORT would let us share the port with another process of the same user that uses it too. Binding
            // once without it finds that process out. A port that the system chooses is nobody's.
            drop(bind_one(address, only_v6, false).map_err(failed)?);
        }
        let first = bind_one(address, only_v6, true).map_err(failed)?;
        let address = first.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
        let mut sockets = vec![first];
        for _ in 1..self.cores {
            sockets.push(bind_one(address, only_v6, true).map_err(failed)?);
        }
        Ok(Group { scheme, given: false, place: Place::Network(address), sockets, is_new: true })
    }

    fn socket(&self) -> Result<Option<Group>, EdgeError> {
        let at_path = |group: &&Group| matches!(group.place, Place::Path(_)) && group.scheme == Scheme::Http;
        let handed: Vec<&Group> = self.handed.iter().filter(at_path).collect();
        if let Some(given) = handed.iter().find(|group| group.given) {
            return given.again().map(Some);
        }
        let Some(wanted) = &self.settings.socket else { return Ok(None) };
        // A path that has been removed since leads nowhere, whoever listens.
        let leads_there =
            |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
        let known = handed.iter().find(|group| group.place == Place::Path(wanted.path.clone()));
        match known.filter(|_| leads_there(&wanted.path)) {
            Some(group) => group.again().map(Some),
            None => bind_path(wanted).map(Some),
        }
    }
}

impl Group {
    fn again(&self) -> Result<Group, EdgeError> {
        let sockets = self.sockets.iter().map(Socket::try_clone).collect::<Result<_, _>>();
        let sockets = sockets.map_err(|source| self.place.explain(source))?;
        Ok(Group { sockets, place: self.place.clone(), ..*self })
    }
}

impl Place {
    fn of(socket: &Socket) -> Option<Place> {
        let address = socket.local_addr().ok()?;
        let network = address.as_socket().map(Place::Network);
        network.or_else(|| address.as_pathname().map(|path| Place::Path(path.to_owned())))
    }

    fn address(&self) -> Option<SocketAddr> {
        match self {
            Place::Network(address) => Some(*address),
            Place::Path(_) => None,
        }
    }

    fn explain(&self, source: io::Error) -> EdgeError {
        match (self, source.kind()) {
            (Place::Network(address), io::ErrorKind::AddrInUse) => {
                EdgeError::AddressTaken { address: *address, owner: owner_of_port(address.port()) }
            }
            (Place::Network(address), _) => EdgeError::AddressRefused { address: *address, source },
            (Place::Path(path), _) => EdgeError::Socket { path: path.clone(), source },
        }
    }
}

/// Sockets of one address belong together, in the order they were handed over.
fn groups_of(handed: Vec<ListeningSocket>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for ListeningSocket { scheme, given, descriptor } in handed {
        let socket = Socket::from(descriptor);
        let Some(place) = Place::of(&socket).filter(|_| socket.is_listener().unwrap_or(false)) else {
            tracing::warn!("a socket that was handed over does not listen, and is not used");
            continue;
        };
        if scheme == Scheme::Https && matches!(place, Place::Path(_)) {
            tracing::warn!("a Unix socket was handed over for HTTPS, which is served on the network only");
            continue;
        }
        if let Err(error) = socket.set_nonblocking(true) {
            tracing::warn!(%error, "a socket that was handed over cannot be used");
            continue;
        }
        match groups.iter_mut().find(|group| group.scheme == scheme && group.place == place) {
            Some(group) => group.sockets.push(socket),
            None => groups.push(Group { scheme, given, place, sockets: vec![socket], is_new: false }),
        }
    }
    groups
}

fn bind_one(address: SocketAddr, only_v6: bool, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Said either way: what the system does by default is a setting of its own.
        socket.set_only_v6(only_v6)?;
    }
    // Connections of a former process in TIME_WAIT do not keep us from starting.
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// One socket for all cores: there is no SO_REUSEPORT for paths.
fn bind_path(wanted: &UnixSocket) -> Result<Group, EdgeError> {
    let place = Place::Path(wanted.path.clone());
    let bind = || {
        remove_stale(&wanted.path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        socket.bind(&SockAddr::unix(&wanted.path)?)?;
        // Nobody can connect before `listen`, so nobody meets it with other rights.
        std::os::unix::fs::chown(&wanted.path, wanted.owner, wanted.group)?;
        std::fs::set_permissions(&wanted.path, std::fs::Permissions::from_mode(wanted.mode))?;
        Ok(socket)
    };
    let socket = bind().map_err(|source| place.explain(source))?;
    Ok(Group { scheme: Scheme::Http, given: false, place, sockets: vec![socket], is_new: true })
}

/// Removes a socket that nobody listens on. Anything else that lies there is somebody's.
fn remove_stale(path: &Path) -> io::Result<()> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is not a socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
