//! Requests at an exact rate, and how long each took from the moment it was due.
//!
//! One thread over plain sockets, which sleeps to the microsecond: the timers of an asynchronous runtime count in
//! milliseconds, and what is measured here is a tenth of one. Requests come at random moments, as those of many users
//! do, drawn from a seed so that every run asks alike.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Spread;

/// At half load a few requests are under way at once; one that finds no free connection waits, and its wait counts.
const CONNECTIONS: usize = 64;

/// Not counted at the beginning: connections are opened, and memory is touched for the first time.
const WARM_UP: Duration = Duration::from_millis(300);

/// No answer takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What to ask, how often, for how long.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Whom.
    pub to: SocketAddr,
    /// What for.
    pub path: String,
    /// Requests a second.
    pub rate: f64,
    /// For so long.
    pub lasts: Duration,
}

/// How a run went.
#[derive(Clone, Debug, Default)]
pub struct Paced {
    /// From when each request was due to its answer.
    pub answers: Spread,
    /// How late it was seen that each request was due: what of an answer's time is this program's, or that of its core. A
    /// request that then waits for a free connection waits for whom it asks.
    pub late: Spread,
}

impl Pace {
    /// Asks, and says how long the answers took.
    ///
    /// # Errors
    /// When any connection fails, any answer is not a 200, or one does not come.
    pub fn run(&self) -> io::Result<Paced> {
        assert!(self.to.ip().is_loopback(), "load goes to loopback addresses only, and {} is not one", self.to);
        // The kernel may wake a sleeper 50 microseconds late unless it is told otherwise.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", self.path);
        let mut lines = (0..CONNECTIONS).map(|_| Line::open(self.to)).collect::<io::Result<Vec<_>>>()?;
        let mut free: Vec<usize> = (0..lines.len()).collect();
        let (mut waiting, mut paced, mut chance) = (VecDeque::new(), Paced::default(), Chance(0x5eed));
        let began = Instant::now();
        let (counts_from, end) = (began + WARM_UP, began + WARM_UP + self.lasts);
        let mut next = began;
        loop {
            let now = Instant::now();
            while next <= now && next < end {
                waiting.push_back(next);
                if next >= counts_from {
                    paced.late.add(now - next);
                }
                next += chance.interval(self.rate);
            }
            while let (Some(due), Some(line)) = (waiting.front().copied(), free.last().copied()) {
                lines[line].ask(&request, due)?;
                waiting.pop_front();
                free.pop();
            }
            if next >= end && waiting.is_empty() && free.len() == lines.len() {
                return Ok(paced);
            }
            if now > end + ANSWER_WITHIN {
                return Err(io::Error::other("an answer did not come"));
            }
            let until = if next < end { next } else { now + Duration::from_millis(10) };
            for line in wait(&lines, until)? {
                if let Some(due) = lines[line].hear()? {
                    if due >= counts_from {
                        paced.answers.add(due.elapsed());
                    }
                    free.push(line);
                }
            }
        }
    }
}

/// Waits for an answer, until a moment at most; says on which lines something came.
fn wait(lines: &[Line], until: Instant) -> io::Result<Vec<usize>> {
    let busy: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].due.is_some()).collect();
    let mut looks: Vec<PollFd<'_>> = busy.iter().map(|line| PollFd::new(&lines[*line].stream, PollFlags::IN)).collect();
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
    match poll(&mut looks, Some(&left)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(busy.iter().zip(&looks).filter(|(_, look)| !look.revents().is_empty()).map(|(line, _)| *line).collect())
}

/// A connection, and when the request on it was due.
struct Line {
    stream: TcpStream,
    due: Option<Instant>,
    read: Vec<u8>,
}

impl Line {
    fn open(to: SocketAddr) -> io::Result<Line> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Line { stream, due: None, read: Vec::new() })
    }

    fn ask(&mut self, request: &str, due: Instant) -> io::Result<()> {
        self.due = Some(due);
        // A short request always finds room on a connection that waits for nothing.
        self.stream.write_all(request.as_bytes())
    }

    /// Reads what is there; when that is the whole answer, says when its request was due.
    fn hear(&mut self) -> io::Result<Option<Instant>> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.read.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some(length) = answer_length(&self.read)? else { return Ok(None) };
        if self.read.len() < length {
            return Ok(None);
        }
        self.read.clear();
        Ok(self.due.take())
    }
}

/// How long the whole answer is, once its head is there.
fn answer_length(read: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = read.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    match length {
        Some(length) if text.starts_with("http/1.1 200 ") => Ok(Some(head + 4 + length)),
        _ => Err(io::Error::other(format!("not the answer that was asked for: {text}"))),
    }
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    /// Until the next request, when so many come in a second: most wait shortly, a few long.
    fn interval(&mut self, rate: f64) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64(-(1.0 - share).ln() / rate)
    }
}

#[cfg(test)]
mod tests;
