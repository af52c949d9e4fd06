//! A terminal that is drawn on and given back as it was, however we leave.

use std::io::{IsTerminal as _, Write as _, stdin, stdout};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

pub(super) struct Screen {
    /// How the terminal was; `None` when keys come from elsewhere, so that only Ctrl-C leaves.
    before: Option<Termios>,
}

impl Screen {
    /// Takes over the terminal: a second screen without cursor, and keys as they are pressed.
    pub(super) fn open() -> Option<Screen> {
        let before = if stdin().is_terminal() { tcgetattr(stdin()).ok() } else { None };
        if let Some(before) = &before {
            let mut keys = before.clone();
            // Ctrl-C stays a signal.
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(stdin(), OptionalActions::Now, &keys).ok()?;
        }
        write("\x1b[?1049h\x1b[?25l");
        Some(Screen { before })
    }

    /// Draws as many lines as there is room for, each as wide as there is.
    pub(super) fn draw(&mut self, lines: &[String]) {
        let (rows, columns) = tcgetwinsize(stdout()).map_or((24, 80), |size| (size.ws_row.into(), size.ws_col.into()));
        let mut text = String::from("\x1b[H");
        for (number, line) in lines.iter().take(rows).enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            text.extend(line.chars().take(columns));
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        write(&text);
    }

    /// Whether `q` was pressed, or the terminal is gone.
    pub(super) fn wants_to_leave(&self) -> bool {
        self.before.is_some() && pressed().is_some_and(|key| key.is_none_or(|key| matches!(key, b'q' | b'Q' | 0x03)))
    }
}

/// The key that was pressed, if one was; inside it nothing when none can come any more.
fn pressed() -> Option<Option<u8>> {
    let input = stdin();
    let mut watched = [PollFd::new(&input, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut watched, Some(&now)).ok()? == 0 {
        return None;
    }
    let mut key = [0];
    match rustix::io::read(&input, &mut key) {
        Ok(1) => Some(Some(key[0])),
        _ => Some(None),
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write("\x1b[?25h\x1b[?1049l");
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// A terminal that is gone is not an error: it is noticed when a key is looked for.
fn write(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
