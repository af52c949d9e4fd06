//! Web sockets that say something once a second and want to hear it back.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Spread, connect};
use crate::load::web_socket::{Heard, OPCODE_TEXT, Socket};

/// Between two messages of one socket.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// A message whose echo has not come by then is lost.
const ECHO_WITHIN: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// From a message to its echo.
    pub echoes: Spread,
    /// Messages whose echo did not come, or came changed or out of order, and sockets that could not be opened.
    pub gaps: u64,
}

/// Lets so many web sockets talk for so long, each beginning at another moment of the first second.
pub async fn talk(to: SocketAddr, count: u32, lasts: Duration) -> Outcome {
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let sockets: Vec<_> = (0..count)
        .map(|number| {
            let (outcome, wait) = (Rc::clone(&outcome), SAY_EVERY * number / count);
            tokio::task::spawn_local(async move { one(to, number, wait, lasts, &outcome).await })
        })
        .collect();
    for socket in sockets {
        socket.await.unwrap();
    }
    outcome.take()
}

async fn one(to: SocketAddr, number: u32, wait: Duration, lasts: Duration, outcome: &RefCell<Outcome>) {
    tokio::time::sleep(wait).await;
    let opened = async { Socket::open(connect(to, number as usize).await?, "/ws", to).await };
    let Ok(Ok(mut socket)) = tokio::time::timeout(ECHO_WITHIN, opened).await else {
        outcome.borrow_mut().gaps += 1;
        return;
    };
    let began = Instant::now();
    for said in 0_u32.. {
        tokio::time::sleep_until((began + SAY_EVERY * said).into()).await;
        if began.elapsed() >= lasts {
            break;
        }
        let message = format!("web socket {number} says {said}");
        let sent = Instant::now();
        if socket.send(OPCODE_TEXT, message.as_bytes()).await.is_err() {
            outcome.borrow_mut().gaps += 1;
            return;
        }
        match socket.heard(ECHO_WITHIN).await {
            Heard::Text(text) if text == message.as_bytes() => outcome.borrow_mut().echoes.add(sent.elapsed()),
            _ => {
                outcome.borrow_mut().gaps += 1;
                return;
            }
        }
    }
    socket.close().await;
}
