//! HTTP/2 on both sides of the edge, frame by frame as a test wants it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses a part of this; tests watch the edge from outside, with threads and time of their own"
)]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use prumo_edge::{Address, Protocol, Upstream};
use tokio::net::{TcpListener, TcpStream};

pub type Work = Pin<Box<dyn Future<Output = ()>>>;
pub type Server = Connection<TcpStream, Bytes>;

/// An app that speaks HTTP/2 with prior knowledge.
pub struct H2App {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub open: Arc<AtomicUsize>,
}

impl H2App {
    /// Each stream is answered by a task of its own.
    pub fn start(answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> Work + Send + Copy + 'static) -> H2App {
        H2App::with(h2::server::Builder::new(), move |mut server| {
            Box::pin(async move {
                while let Some(Ok((request, respond))) = server.accept().await {
                    tokio::task::spawn_local(answer(request, respond));
                }
            })
        })
    }

    /// Each connection is driven by `drive`.
    pub fn with(builder: h2::server::Builder, drive: impl Fn(Server) -> Work + Send + Copy + 'static) -> H2App {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let app = H2App { address, connections: Arc::default(), open: Arc::default() };
        let (connections, open) = (Arc::clone(&app.connections), Arc::clone(&app.open));
        std::thread::spawn(move || {
            run(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    connections.fetch_add(1, Ordering::SeqCst);
                    let (builder, open) = (builder.clone(), Arc::clone(&open));
                    tokio::task::spawn_local(async move {
                        open.fetch_add(1, Ordering::SeqCst);
                        if let Ok(server) = builder.handshake(stream).await {
                            drive(server).await;
                        }
                        open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        });
        app
    }

    pub fn upstream(&self, id: &str) -> Upstream {
        Upstream { protocol: Protocol::H2, ..Upstream::new(id, Address::Tcp(self.address)) }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Runs a test's side of a conversation, which may not take for ever.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

pub fn converse<T>(work: impl Future<Output = T>) -> T {
    run(async { tokio::time::timeout(Duration::from_secs(90), work).await.expect("within 90 s") })
}

/// A client's connection, with prior knowledge.
pub async fn connect(address: SocketAddr) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    sender
}

pub fn post(path: &str) -> Request<()> {
    Request::post(format!("http://a.test{path}")).header("te", "trailers").body(()).unwrap()
}

pub fn get(path: &str) -> Request<()> {
    Request::get(format!("http://a.test{path}")).body(()).unwrap()
}

/// Everything that comes, and the trailers after it.
pub async fn collect(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, body.trailers().await?))
}

/// The next bytes of a body, whatever their number.
pub async fn next(body: &mut RecvStream) -> Bytes {
    let data = body.data().await.expect("more of the body").expect("no reset");
    body.flow_control().release_capacity(data.len()).unwrap();
    data
}

pub async fn send(stream: &mut SendStream<Bytes>, bytes: Bytes, end: bool) {
    let mut rest = bytes;
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let granted = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.expect("open").expect("no reset");
        let now = rest.split_to(granted.min(rest.len()));
        stream.send_data(now, false).unwrap();
    }
    if end {
        stream.send_data(Bytes::new(), true).unwrap();
    }
}

pub fn trailers(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

pub fn ok() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}
