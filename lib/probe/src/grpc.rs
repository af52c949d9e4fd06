//! The health service of gRPC (`grpc.health.v1.Health/Check`), over HTTP/2.
//!
//! Its messages have one field each, so they are written and read here by hand.

use std::fmt::Display;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Origin;
use crate::http::Io;

/// As much of an answer as is looked at; a good one has seven bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// Asks about this service of the program; about the whole program when it has no name.
pub(crate) async fn ask<S>(stream: S, origin: Origin<'_>, service: &str) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: &dyn Display| format!("the gRPC health check broke off: {error}");
    let request = http::Request::post(format!("{}://{}/grpc.health.v1.Health/Check", origin.scheme, origin.host))
        .header(http::header::CONTENT_TYPE, "application/grpc")
        .header(http::header::TE, "trailers")
        .header(http::header::USER_AGENT, "prumo-probe")
        .body(Full::new(question(service)))
        .map_err(|error| broken(&error))?;
    let tasks = Tasks::default();
    let asking = async {
        let (mut sender, connection) =
            http2::handshake(tasks.clone(), Io(stream)).await.map_err(|error| broken(&error))?;
        tasks.add(async { drop(connection.await) });
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, mut body) = answer.into_parts();
        if head.status != http::StatusCode::OK {
            return Err(format!("the gRPC health check answered HTTP status {}", head.status.as_u16()));
        }
        let (mut message, mut trailers) = (Vec::new(), HeaderMap::new());
        while let Some(frame) = body.frame().await {
            match frame.map_err(|error| broken(&error))?.into_data() {
                Ok(data) => message.extend_from_slice(&data[..data.len().min(ANSWER_BYTES_MAX - message.len())]),
                Err(other) => trailers = other.into_trailers().unwrap_or_default(),
            }
        }
        let status = trailers.get("grpc-status").or(head.headers.get("grpc-status"));
        judge(status.map(http::HeaderValue::as_bytes), &message, service)
    };
    tasks.run_beside(asking).await
}

/// A `HealthCheckRequest { service = 1 }` in its frame.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        write_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    Bytes::from(framed)
}

fn judge(status: Option<&[u8]>, framed: &[u8], service: &str) -> Result<(), String> {
    let whom = if service.is_empty() { "itself".to_owned() } else { format!("`{service}`") };
    let bad = |words: String| Err(words);
    match status {
        Some(b"0") => {}
        Some(b"5") => return bad(format!("the gRPC health check knows no service {whom}")),
        Some(b"12") => return bad("the program has no gRPC health service".to_owned()),
        Some(other) => {
            return bad(format!("the gRPC health check failed with status {}", String::from_utf8_lossy(other)));
        }
        None => return bad("the gRPC health check ended without a status".to_owned()),
    }
    match serving_status(framed) {
        Some(1) => Ok(()),
        Some(0) => bad(format!("the gRPC health check says UNKNOWN of {whom}")),
        Some(2) => bad(format!("the gRPC health check says NOT_SERVING of {whom}")),
        Some(3) => bad(format!("the gRPC health check knows no service {whom}")),
        _ => bad("the gRPC health check gave an answer that is none".to_owned()),
    }
}

/// The `status = 1` of a `HealthCheckResponse` in its frame; 0 when it says none, as protobuf has it.
fn serving_status(framed: &[u8]) -> Option<u64> {
    let (frame, message) = framed.split_at_checked(5)?;
    let length = u32::from_be_bytes(frame[1..5].try_into().ok()?);
    // Compressed answers are only for who has asked for them.
    if frame[0] != 0 || message.len() != length as usize {
        return None;
    }
    let (mut rest, mut status) = (message, 0);
    while !rest.is_empty() {
        let (tag, after) = read_varint(rest)?;
        let value = match tag & 7 {
            0 => {
                let (value, after) = read_varint(after)?;
                rest = after;
                value
            }
            1 => {
                rest = after.get(8..)?;
                continue;
            }
            2 => {
                let (length, after) = read_varint(after)?;
                rest = after.get(usize::try_from(length).ok()?..)?;
                continue;
            }
            5 => {
                rest = after.get(4..)?;
                continue;
            }
            _ => return None,
        };
        if tag >> 3 == 1 {
            status = value;
        }
    }
    Some(status)
}

fn write_varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(7 * place as u32)?;
        if byte & 0x80 == 0 {
            return Some((number, &bytes[place + 1..]));
        }
    }
    None
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What hyper wants run beside a request. It is run by whoever waits for the answer, so that nothing of a check outlives it.
#[derive(Clone, Default)]
struct Tasks {
    fresh: Arc<Mutex<Vec<Task>>>,
}

impl Tasks {
    fn add(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(task));
    }

    async fn run_beside<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut running: Vec<Task> = Vec::new();
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            loop {
                let fresh = std::mem::take(&mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner));
                running.extend(fresh);
                running.retain_mut(|task| task.as_mut().poll(context).is_pending());
                // What one of them has added just now was never polled, so that nothing would wake it.
                if self.fresh.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

impl<F: Future + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        self.add(async { drop(future.await) });
    }
}

#[cfg(test)]
mod tests;
