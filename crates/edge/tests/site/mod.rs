//! A small site for tests: an edge on ports of its own, apps as threads, and raw sockets to talk to it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses a part of this; tests watch the edge from outside, with threads and time of their own"
)]

mod hand;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hand::Hand;
use prumo_clock::{Clock, Simulation};
use prumo_drain::{Drain, Stage};
use prumo_edge::{Action, Address, Edge, Forward, InFlight, Port, Route, Settings, Upstream};

/// Both ways through the edge: with the fast path, and without.
pub const PATHS: [bool; 2] = [true, false];

/// An edge with the service `app` behind every host and path.
pub struct Site {
    pub edge: Edge,
    pub folder: tempfile::TempDir,
    drain: Drain,
    /// Held so that its time ends with the site.
    hand: Option<Hand>,
}

impl Site {
    pub fn start() -> Site {
        Site::start_with(|_| {}, |_| {})
    }

    /// Time passes there as it does here, but for moments in which the machine stands still.
    pub fn start_with(set: impl FnOnce(&mut Settings), shape: impl FnOnce(&mut Route)) -> Site {
        let (clock, hand) = Hand::start();
        let mut site = Site::start_at(clock, set, shape);
        site.hand = Some(hand);
        site
    }

    /// The same with a clock of the test's own. Its stop is timed by the system's.
    pub fn start_at(clock: Clock, set: impl FnOnce(&mut Settings), shape: impl FnOnce(&mut Route)) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(folder.path().join("certs"));
        settings.addresses = vec![IpAddr::from([127, 0, 0, 1])];
        settings.http = Port::Number(0);
        settings.https = Port::Off;
        settings.cores = Some(2);
        // Tests that are run twice are run for both paths.
        settings.fast_path = !module_path!().starts_with("general");
        set(&mut settings);
        let drain = Drain::new(Clock::system());
        let stage: Stage = drain.stage("edge");
        let edge = Edge::start(settings, clock, &stage).unwrap();
        let mut route = any_route();
        shape(&mut route);
        edge.routes(vec![route]).unwrap();
        Site { edge, folder, drain, hand: None }
    }

    /// Puts these upstreams behind `app` and waits until every core knows.
    pub fn serve(&self, upstreams: &[Upstream]) -> u64 {
        let generation = self.edge.upstreams(BTreeMap::from([("app".to_owned(), upstreams.to_vec())]));
        eventually("the cores take the table", || self.edge.settled(generation));
        generation
    }

    pub fn http(&self) -> SocketAddr {
        self.edge.addresses().http[0]
    }

    pub fn https(&self) -> SocketAddr {
        self.edge.addresses().https[0]
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(self.http())
    }

    /// Waits until this app has read all that it was ever sent, by asking once more: connections are accepted in turn, and
    /// those of requests that failed are closed.
    pub fn settle(&self, app: &App) {
        assert_eq!(self.get("/").status, 200);
        eventually("only the last connection is kept", || app.open.load(Ordering::SeqCst) == 1);
    }

    /// One request on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        let mut wire = self.connect();
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes());
        wire.answer()
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        self.edge.metrics(&mut text);
        text
    }

    pub fn assert_nothing_in_flight(&self, upstream: &str) {
        eventually("nothing is in flight", || self.edge.in_flight(upstream) == InFlight::default());
    }

    /// The same, while the test goes on.
    pub fn begin_stop(&self, within: Duration) -> std::thread::JoinHandle<prumo_drain::Report> {
        let drain = self.drain.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(drain.stop(within))
        })
    }

    /// Stops a site whose clock is the test's own, and has to go for that.
    pub fn end(&self, simulation: &Simulation) {
        let stopping = self.begin_stop(Duration::from_secs(60));
        while !stopping.is_finished() {
            simulation.advance(Duration::from_millis(50));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops as the daemon does; the report is checked by the caller.
    pub fn stop(&self, within: Duration) -> prumo_drain::Report {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.drain.stop(within))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop(Duration::from_millis(200));
    }
}

pub fn any_route() -> Route {
    let mut route = Route::to("app");
    forward(&mut route).timeout = Duration::from_secs(60);
    route
}

/// How a route's service is asked.
pub fn forward(route: &mut Route) -> &mut Forward {
    let Action::Forward(forward) = &mut route.action else { panic!("it forwards") };
    forward
}

pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The memory of this process.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A client's raw connection.
pub struct Wire {
    pub reader: BufReader<TcpStream>,
}

impl Wire {
    pub fn connect(address: SocketAddr) -> Wire {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Wire { reader: BufReader::new(stream) }
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.reader.get_ref().write_all(bytes).unwrap();
    }

    /// Sends to a peer that may already have answered and closed.
    pub fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.reader.get_ref().write_all(bytes);
    }

    pub fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    /// The answer to a HEAD, which has no body whatever its length says.
    pub fn head(&mut self) -> Answer {
        let (first, headers) = read_head(&mut self.reader).unwrap();
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, headers, body: Vec::new(), is_whole: true }
    }

    /// The next final answer; `None` when the connection ends before its head is complete.
    pub fn try_answer(&mut self) -> Option<Answer> {
        loop {
            let answer = self.read_answer()?;
            if answer.status != 100 {
                return Some(answer);
            }
        }
    }

    fn read_answer(&mut self) -> Option<Answer> {
        let (first, headers) = read_head(&mut self.reader)?;
        let status: u16 = first.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Answer { status, headers, body: Vec::new(), is_whole: true };
        if status >= 200 && status != 204 && status != 304 {
            (answer.body, answer.is_whole) = read_body(&mut self.reader, &answer.headers, true);
        }
        Some(answer)
    }

    /// Whether the other side has sent something, or has closed.
    pub fn has_something_to_read(&self) -> bool {
        let stream = self.reader.get_ref();
        stream.set_nonblocking(true).unwrap();
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        peeked.map_or_else(|error| error.kind() != std::io::ErrorKind::WouldBlock, |_| true)
    }

    /// Everything up to and with `end`, as it comes.
    pub fn read_until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(end.as_bytes()) {
            match self.reader.read_exact(&mut byte) {
                Ok(()) => read.push(byte[0]),
                _ => panic!("ended before {end:?}: {:?}", String::from_utf8_lossy(&read)),
            }
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// True when the other side has closed, without another byte.
    pub fn is_closed(&mut self) -> bool {
        let read = loop {
            // Who stops and continues this process interrupts a read.
            match self.reader.read(&mut [0]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        read.map_or_else(|error| is_close(&error), |read| read == 0)
    }
}

/// Whether a read failed because the other side has closed. One that merely says nothing has not.
fn is_close(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    assert!(
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset),
        "neither more nor an end: {error}"
    );
    true
}

/// What was read; `None` when the connection ended first.
fn unless_closed<T>(read: std::io::Result<T>) -> Option<T> {
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
        Err(error) if is_close(&error) => None,
        other => other.ok(),
    }
}

/// A parsed answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// False when the connection ended before the body did.
    pub is_whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn read_head(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<(String, String)>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if unless_closed(reader.read_line(&mut line))? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let first = lines.first()?.clone();
    let split = |line: &String| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Some((first, lines[1..].iter().filter_map(split).collect()))
}

fn read_body(reader: &mut BufReader<TcpStream>, headers: &[(String, String)], until_close: bool) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    if find(headers, "transfer-encoding").is_some() {
        let is_whole = read_chunks(reader, &mut body).is_some();
        return (body, is_whole);
    }
    match find(headers, "content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => {
            unless_closed(reader.take(length as u64).read_to_end(&mut body));
            let is_whole = body.len() == length;
            (body, is_whole)
        }
        None if until_close => {
            let is_whole = unless_closed(reader.read_to_end(&mut body)).is_some();
            (body, is_whole)
        }
        None => (body, true),
    }
}

fn read_chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        unless_closed(reader.read_line(&mut line))?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        unless_closed(reader.read_exact(&mut chunk))?;
        if length == 0 {
            return Some(());
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

/// A request as an app sees it.
#[derive(Clone, Debug)]
pub struct Ask {
    pub first: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How many requests this connection carried before.
    pub number: usize,
    /// False when the connection ended before the body did.
    pub is_whole: bool,
}

impl Ask {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn path(&self) -> &str {
        self.first.split(' ').nth(1).unwrap()
    }
}

type Reply = dyn Fn(&Ask, &mut TcpStream) -> bool + Send + Sync;

/// An app: a listener whose connections are answered by a closure, which says whether the connection stays.
pub struct App {
    pub address: SocketAddr,
    /// Bound to the same port and never listening: when the app no longer does, nobody else gets its port.
    _port: socket2::Socket,
    pub asks: Arc<Mutex<Vec<Ask>>>,
    pub connections: Arc<AtomicUsize>,
    pub open: Arc<AtomicUsize>,
    streams: Arc<Mutex<BTreeMap<usize, TcpStream>>>,
    is_over: Arc<AtomicBool>,
}

impl App {
    pub fn start(reply: impl Fn(&Ask, &mut TcpStream) -> bool + Send + Sync + 'static) -> App {
        let (listener, port) = listen();
        let app = App {
            address: listener.local_addr().unwrap(),
            _port: port,
            asks: Arc::default(),
            connections: Arc::default(),
            open: Arc::default(),
            streams: Arc::default(),
            is_over: Arc::default(),
        };
        let reply: Arc<Reply> = Arc::new(reply);
        let (asks, connections, open, is_over) =
            (app.asks.clone(), app.connections.clone(), app.open.clone(), app.is_over.clone());
        let streams = app.streams.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { return };
                let number = connections.fetch_add(1, Ordering::SeqCst);
                streams.lock().unwrap().extend(stream.try_clone().map(|stream| (number, stream)));
                let (asks, reply, open, streams) = (asks.clone(), reply.clone(), open.clone(), streams.clone());
                open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    converse(stream, &asks, &*reply);
                    streams.lock().unwrap().remove(&number);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        app
    }

    /// Answers `body`, each request when the gate is open and not before.
    pub fn behind(gate: &Arc<Gate>, body: &'static [u8]) -> App {
        let gate = Arc::clone(gate);
        App::start(move |_, stream| {
            gate.wait();
            reply_with(stream, body);
            true
        })
    }

    /// Says its name and what it was asked.
    pub fn named(name: &'static str) -> App {
        App::start(move |ask, stream| {
            reply_with(stream, format!("{name} {}", ask.first).as_bytes());
            true
        })
    }

    pub fn upstream(&self, id: &str) -> Upstream {
        Upstream::new(id, Address::Tcp(self.address))
    }

    pub fn asks(&self) -> Vec<Ask> {
        self.asks.lock().unwrap().clone()
    }

    /// What `kill -9` does: the listener and every connection are gone.
    pub fn kill(&self) {
        self.close();
        for stream in self.streams.lock().unwrap().values() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Stops accepting: connections are refused from now on.
    pub fn close(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        eventually("the app refuses", || TcpStream::connect(self.address).is_err());
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Keeps apps from answering until it is opened, so that a test can look at what is in flight meanwhile.
#[derive(Default)]
pub struct Gate {
    is_open: Mutex<bool>,
    opened: std::sync::Condvar,
}

impl Gate {
    pub fn closed() -> Arc<Gate> {
        Arc::default()
    }

    pub fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    pub fn wait(&self) {
        // A test that has failed meanwhile leaves nobody behind.
        let limit = Duration::from_secs(60);
        drop(self.opened.wait_timeout_while(self.is_open.lock().unwrap(), limit, |is_open| !*is_open).unwrap());
    }
}

/// Raises a flag when it is dropped, also by an assertion that fails: whoever goes on until then is not waited for.
pub struct Raised<'a>(pub &'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A listener on a port of its own, and what holds the port beyond the listener's life.
fn listen() -> (TcpListener, socket2::Socket) {
    let bind = |address: SocketAddr| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket
    };
    let port = bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = bind(port.local_addr().unwrap().as_socket().unwrap());
    listener.listen(1024).unwrap();
    (listener.into(), port)
}

fn converse(stream: TcpStream, asks: &Mutex<Vec<Ask>>, reply: &Reply) {
    let _ = stream.set_nodelay(true);
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    let mut number = 0;
    while let Some((first, headers)) = read_head(&mut reader) {
        let (body, is_whole) = read_body(&mut reader, &headers, false);
        let ask = Ask { first, headers, body, number, is_whole };
        number += 1;
        asks.lock().unwrap().push(ask.clone());
        if !is_whole || !reply(&ask, &mut writer) {
            return;
        }
    }
}

pub fn reply_with(stream: &mut TcpStream, body: &[u8]) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}
