use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::new("/nonexistent");
    (settings.addresses, settings.http, settings.https) = (vec![HERE], Port::Number(0), Port::Off);
    change(&mut settings);
    settings
}

fn open(settings: &Settings, handed: Vec<ListeningSocket>, cores: usize) -> Result<Listeners, EdgeError> {
    let listeners = super::open(settings, handed, cores)?;
    listeners.listen().map(|()| listeners)
}

/// How many sockets each core accepts on.
fn hands(listeners: Listeners, cores: usize) -> Vec<usize> {
    listeners.deal(cores).unwrap().iter().map(Vec::len).collect()
}

/// Goal: every core has a socket of its own at one address, and a port that is off has none.
#[test]
fn binds_once_for_each_core() {
    let listeners = open(&settings(|_| {}), Vec::new(), 3).unwrap();
    let bound = listeners.bound();
    assert_eq!((bound.http.len(), bound.https.len()), (1, 0));
    assert_ne!(bound.http[0].port(), 0);
    assert_eq!(hands(listeners, 3), [1, 1, 1]);
}

/// Goal: nobody can connect before everything else that a start needs is there, and then everybody can.
#[test]
fn binds_before_it_listens() {
    let listeners = super::open(&settings(|_| {}), Vec::new(), 2).unwrap();
    let address = listeners.bound().http[0];
    assert!(std::net::TcpStream::connect(address).is_err(), "bound, and not yet listening");
    listeners.listen().unwrap();
    std::net::TcpStream::connect(address).unwrap();
}

/// Goal: several addresses share one port, also when the system chooses it.
#[test]
fn several_addresses_share_a_port() {
    let both = settings(|settings| settings.addresses = vec![HERE, "127.0.0.2".parse().unwrap()]);
    let listeners = open(&both, Vec::new(), 2).unwrap();
    let bound = listeners.bound();
    assert_eq!(bound.http[0].port(), bound.http[1].port());
    assert_eq!(hands(listeners, 2), [2, 2]);
}

/// Goal: handed sockets are used, all of them whatever the number of cores, also where the port was left to the system.
#[test]
fn handed_sockets_are_used() {
    let first = open(&settings(|_| {}), Vec::new(), 3).unwrap();
    let check = |cores: usize, expected: &[usize]| {
        let second = open(&settings(|_| {}), first.duplicate().unwrap(), cores).unwrap();
        assert_eq!(second.bound(), first.bound());
        assert_eq!(hands(second, cores), expected);
    };
    check(3, &[1, 1, 1]);
    check(2, &[2, 1]);
    check(4, &[1, 1, 1, 1]);
    check(1, &[3]);
}

/// Goal: a handed socket that the settings do not want is closed, and the wanted address is bound beside it.
#[test]
fn unwanted_sockets_are_closed() {
    let first = open(&settings(|_| {}), Vec::new(), 1).unwrap();
    let elsewhere = settings(|settings| settings.addresses = vec!["127.0.0.2".parse().unwrap()]);
    let second = open(&elsewhere, first.duplicate().unwrap(), 1).unwrap();
    assert_ne!(second.bound(), first.bound());
    let none = open(&settings(|settings| settings.http = Port::Off), first.duplicate().unwrap(), 1).unwrap();
    assert_eq!(none.bound(), Bound::default());
    let address = first.bound().http[0];
    // Bound beside it, so that nobody else can listen there meanwhile.
    let held = bind_one(address, false, true).unwrap();
    drop(first);
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens there any more");
    drop(held);
}

/// Goal: what a service manager gave stands in for what the settings say, and stays given when it is handed on.
#[test]
fn given_sockets_stand_in() {
    let by_manager = std::net::TcpListener::bind("127.0.0.3:0").unwrap();
    let address = by_manager.local_addr().unwrap();
    let given = ListeningSocket { scheme: Scheme::Http, given: true, descriptor: by_manager.into() };
    let listeners = open(&settings(|_| {}), vec![given], 2).unwrap();
    assert_eq!(listeners.bound().http, [address]);
    let again = open(&settings(|_| {}), listeners.duplicate().unwrap(), 2).unwrap();
    assert_eq!(again.bound().http, [address]);
}

/// Goal: a socket that was given for what is off is told; a Unix socket that was given stands in for the port, once.
#[test]
fn given_sockets_are_served_or_told() {
    let given = |scheme, descriptor| ListeningSocket { scheme, given: true, descriptor };
    let listen = || OwnedFd::from(std::net::TcpListener::bind("127.0.0.3:0").unwrap());
    let off = settings(|settings| settings.http = Port::Off);
    for scheme in [Scheme::Http, Scheme::Https] {
        let refused = open(&off, vec![given(scheme, listen())], 1).map(|_| ()).unwrap_err();
        assert!(matches!(refused, EdgeError::NotWanted { scheme: told, .. } if told == scheme), "{refused}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.sock");
    let unix = || OwnedFd::from(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listeners = open(&settings(|_| {}), vec![given(Scheme::Http, unix())], 2).unwrap();
    assert_eq!((listeners.bound().http.len(), listeners.bound().socket.as_deref()), (0, Some(path.as_path())));
    assert_eq!(hands(listeners, 2), [1, 1]);
}

/// Goal: a handed Unix socket whose path was removed is bound anew: nobody could reach it.
#[test]
fn an_unreachable_socket_is_bound_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.sock");
    let unix = UnixSocket { path: path.clone(), mode: 0o640, owner: None, group: None };
    let with_socket = settings(|settings| (settings.http, settings.socket) = (Port::Off, Some(unix)));
    let first = open(&with_socket, Vec::new(), 1).unwrap();
    std::fs::remove_file(&path).unwrap();
    let second = open(&with_socket, first.duplicate().unwrap(), 1).unwrap();
    drop(first);
    assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
    drop(second);
}

/// Goal: a socket that a dead process left is replaced; one that lives, and a file, are not touched.
#[test]
fn only_a_stale_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.sock");
    let unix = || UnixSocket { path: path.clone(), mode: 0o640, owner: None, group: None };
    let with_socket = settings(|settings| (settings.http, settings.socket) = (Port::Off, Some(unix())));
    let living = open(&with_socket, Vec::new(), 2).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let error = open(&with_socket, Vec::new(), 2).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("another process listens"), "{error}");
    let handed = open(&with_socket, living.duplicate().unwrap(), 2).unwrap();
    assert_eq!(hands(handed, 2), [1, 1]);
    drop(living);
    assert!(path.exists(), "what is left is stale now");
    drop(open(&with_socket, Vec::new(), 2).unwrap());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "mine").unwrap();
    let error = open(&with_socket, Vec::new(), 2).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("not a socket"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}
