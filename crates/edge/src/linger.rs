//! Closing a connection whose client is still sending.
//!
//! Closed at once, the kernel would answer what still comes with a reset, and a reset takes away an answer that the client
//! has not read yet. So our side is ended first, and what comes is thrown away for a while.

use std::task::Poll;
use std::time::Duration;

use crate::client::{Client, Phase};
use crate::core::Core;
use crate::stream::ClientStream;

/// A client that has seen the end of our side closes its own, or at least stops: 5 s of silence and 30 s in all are what
/// nginx grants.
const SILENCE_MAX: Duration = Duration::from_secs(5);
const TIME_MAX: Duration = Duration::from_secs(30);

/// Reads what comes until the client has ended too. Our side has been ended before.
pub(crate) async fn linger(core: &Core, client: &Client, stream: &mut ClientStream) {
    let (begun, pace) = (core.clock.now(), &client.pace);
    pace.enter(Phase::Waiting);
    pace.deadline.arm(SILENCE_MAX);
    std::future::poll_fn(|cx| {
        pace.deadline.wakes(cx.waker());
        loop {
            match stream.poll_discard(cx, &core.scratch) {
                Poll::Ready(Ok(1..)) if core.clock.now().since(begun) < TIME_MAX => pace.deadline.progress(),
                Poll::Ready(_) => return Poll::Ready(()),
                // A stop waits for answers, and this one has been given.
                Poll::Pending if pace.deadline.is_expired() || core.stopping.is_stopping() => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}
