//! An upgraded connection, such as a web socket: bytes both ways until both sides have ended.
//!
//! What is read is written at once from the core's scratch buffer. Only what the other side does not take yet is kept,
//! so an idle tunnel holds no buffer, and a busy one never more than one read for each direction. A tunnel is never cut
//! for being idle, only when an elder's time is up, and then a web socket is told so between two frames; TCP's keepalive finds out when a peer has vanished. A client that does not end its side some seconds
//! after the upstream has ended is not waited for, and neither is anybody who neither says nor takes a thing for a while
//! after the other side has ended.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use prumo_clock::Sleep;
use tokio::io::{AsyncRead, AsyncWrite};

mod frames;

use crate::core::Core;
use crate::link::Link;
use crate::record::Record;
use crate::stream::Scratch;
use crate::upstream::Seat;
use frames::{Frames, GOING_AWAY};

/// What is left of a request whose answer was `101 Switching Protocols`.
pub(crate) struct Tunnel {
    pub(crate) link: Box<Link>,
    /// Held until both sides have ended.
    pub(crate) seat: Seat,
    pub(crate) record: Record,
    /// Whether its bytes are frames of a web socket.
    pub(crate) is_web_socket: bool,
}

/// A read is limited so that what must be kept for a slow side stays small.
const READ_BYTES: usize = 16 * 1024;

/// How long a client may keep its side open when the upstream has said its last word: long enough for a farewell across
/// the world, short enough not to hold up a replica's or prumo's stop.
const LINGER: Duration = Duration::from_secs(5);

/// How long nothing may move once one side has said its last word: what the other one still has to say may take it some
/// thought, but who has forgotten its peer must not hold a replica for ever. Looked at this often, so that a tunnel ends
/// after between one and two of these.
const SILENCE: Duration = Duration::from_secs(30);

/// Carries bytes until both sides have ended or one has failed.
pub(crate) async fn run<C>(core: &Core, mut client: C, from_client: Bytes, tunnel: Tunnel)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let Tunnel { link, seat, mut record, is_web_socket } = tunnel;
    let Some((mut upstream, from_upstream)) = link.into_stream() else { return };
    upstream.keep_alive();
    let mut up_side = Direction::new(from_client);
    let mut down_side = Direction::new(from_upstream);
    if is_web_socket {
        let mut frames = Frames::default();
        frames.follow(&down_side.pending);
        down_side.frames = Some(frames);
    }
    let mut untold = is_web_socket.then(|| Untold::count(core));
    let mut lingering = None;
    let mut silence = None;
    let mut farewell = std::pin::pin!(core.farewell.notified());
    let mut is_listening = false;
    let carried = std::future::poll_fn(|cx| {
        // Once is enough to be woken.
        if !std::mem::replace(&mut is_listening, true) {
            let _ = farewell.as_mut().poll(cx);
        }
        if core.says_farewell() {
            down_side.take_leave();
        }
        let up = up_side.poll(cx, &core.scratch, &mut client, &mut upstream)?;
        let has_left = down_side.has_left;
        let down = down_side.poll(cx, &core.scratch, &mut upstream, &mut client)?;
        if has_left {
            untold = None;
        }
        let is_over = has_left || down.is_ready();
        let waited = is_over && {
            let linger = lingering.get_or_insert_with(|| core.clock.sleep(LINGER));
            Pin::new(linger).poll(cx).is_ready()
        };
        let is_half = up_side.has_heard_all() || down_side.has_heard_all();
        let moved = up_side.moved + down_side.moved;
        let is_silent = is_half && Silence::lasts(&mut silence, cx, core, moved);
        let is_done = waited || is_silent || (down.is_ready() && up.is_ready());
        if is_done { Poll::Ready(Ok::<(), io::Error>(())) } else { Poll::Pending }
    })
    .await;
    if let Err(error) = carried {
        tracing::debug!(replica = seat.upstream.id(), %error, "tunnel cut");
    }
    record.send(down_side.carried);
}

/// A web socket that has not been told of a farewell. Counted, so that who says it can wait for the last one to hear it.
struct Untold<'a>(&'a Core);

impl<'a> Untold<'a> {
    fn count(core: &'a Core) -> Untold<'a> {
        core.shared.untold.fetch_add(1, Ordering::Relaxed);
        Untold(core)
    }
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        self.0.shared.untold.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A while in which nothing has moved, as far as is known.
struct Silence {
    sleep: Sleep,
    /// How much had moved when it began.
    moved: u64,
}

impl Silence {
    fn begin(core: &Core, moved: u64) -> Silence {
        Silence { sleep: core.clock.sleep(SILENCE), moved }
    }

    /// True when a whole one has passed, and nothing has moved in it.
    fn lasts(silence: &mut Option<Box<Silence>>, cx: &mut Context<'_>, core: &Core, moved: u64) -> bool {
        let silence = silence.get_or_insert_with(|| Box::new(Silence::begin(core, moved)));
        while Pin::new(&mut silence.sleep).poll(cx).is_ready() {
            if silence.moved == moved {
                return true;
            }
            **silence = Silence::begin(core, moved);
        }
        false
    }
}

/// One direction of a tunnel.
struct Direction {
    /// Read, and not yet taken by the other side.
    pending: Bytes,
    carried: u64,
    /// Bytes that were read, and bytes that were written.
    moved: u64,
    is_flushed: bool,
    state: State,
    /// Where frames end, when it is a web socket and we may have to say farewell in it.
    frames: Option<Frames>,
    /// Whether we say farewell at the next end of a frame, and whether we have.
    is_leaving: bool,
    has_left: bool,
}

#[derive(Clone, Copy)]
enum State {
    Reading,
    /// The reading side has ended; the writing side is told.
    Closing,
    Ended,
}

impl Direction {
    fn new(pending: Bytes) -> Direction {
        // Empty, they may still be a part of the buffer that heads were read into.
        let pending = if pending.is_empty() { Bytes::new() } else { pending };
        Direction {
            pending,
            carried: 0,
            moved: 0,
            is_flushed: true,
            state: State::Reading,
            frames: None,
            is_leaving: false,
            has_left: false,
        }
    }

    /// Its reading side has ended.
    fn has_heard_all(&self) -> bool {
        !matches!(self.state, State::Reading)
    }

    /// Says farewell to the peer of a web socket as soon as no frame is under way.
    fn take_leave(&mut self) {
        let Some(frames) = self.frames.as_ref().filter(|_| !self.has_left) else { return };
        self.is_leaving = true;
        if frames.is_at_boundary() && !frames.has_closed() && matches!(self.state, State::Reading) {
            self.pending = [&self.pending[..], &GOING_AWAY].concat().into();
            self.has_left = true;
        }
    }

    /// What of these bytes is still to be passed on: after a farewell nothing.
    fn admit<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(frames) = &mut self.frames else { return bytes };
        if self.has_left {
            return &[];
        }
        if !self.is_leaving {
            frames.follow(bytes);
            return bytes;
        }
        &bytes[..frames.follow_to_boundary(bytes)]
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &Scratch,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_pending(cx, to))?;
            match self.state {
                State::Reading => {
                    let pass = |cx: &mut Context<'_>, bytes: &[u8]| self.pass(cx, to, bytes);
                    match scratch.poll_read(from, cx, READ_BYTES, pass) {
                        Poll::Ready(passed) => passed??,
                        Poll::Pending => {
                            ready!(self.poll_flush(cx, to))?;
                            return Poll::Pending;
                        }
                    }
                }
                State::Closing => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Writes what the other side takes now and keeps the rest.
    fn pass(&mut self, cx: &mut Context<'_>, to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            self.state = State::Closing;
            return Ok(());
        }
        self.moved += bytes.len() as u64;
        let mut rest = self.admit(bytes);
        self.carried += rest.len() as u64;
        self.is_flushed = false;
        while !rest.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, rest) {
                Poll::Ready(written) => rest = &rest[check_written(written?)?..],
                Poll::Pending => {
                    self.pending = Bytes::copy_from_slice(rest);
                    break;
                }
            }
        }
        if self.is_leaving {
            self.take_leave();
        }
        Ok(())
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>, to: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            self.is_flushed = false;
            let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.pending))?;
            let written = check_written(written)?;
            self.moved += written as u64;
            self.pending.advance(written);
            if self.pending.is_empty() {
                self.pending = Bytes::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// TLS may hold back the end of what was written.
    fn poll_flush(&mut self, cx: &mut Context<'_>, to: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
        if !self.is_flushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

fn check_written(written: usize) -> io::Result<usize> {
    if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
}
