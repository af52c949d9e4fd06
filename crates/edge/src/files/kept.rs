//! What a core remembers of a folder for less than a second: files that were found, small ones with their contents.
//!
//! Within that time a request for a known file asks the system nothing. After it the file is looked at again, so that a
//! deploy that replaces files is seen within a second. What is not there is not remembered: names that do not exist are
//! without number.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use prumo_clock::Moment;

use super::found::Found;

/// How long a look holds. Half of what is promised, because a look that waits for the disk takes time itself.
const HOLDS: Duration = Duration::from_millis(500);

/// How long a file that nobody asks for is remembered.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Files remembered for one folder.
const FILES_MAX: usize = 512;

/// Files held open by all folders of a core.
const OPEN_MAX: usize = 64;

/// Contents that all cores together hold, and the least that one may.
const BYTES_MAX: usize = 64 << 20;
const BYTES_MIN_OF_CORE: usize = 2 << 20;

/// What the files of all folders of a core take.
pub(crate) struct Budget {
    bytes_max: usize,
    bytes: Cell<usize>,
    open: Cell<usize>,
}

impl Budget {
    pub(crate) fn new(cores: usize) -> Rc<Budget> {
        let bytes_max = (BYTES_MAX / cores.max(1)).max(BYTES_MIN_OF_CORE);
        Rc::new(Budget { bytes_max, bytes: Cell::new(0), open: Cell::new(0) })
    }

    fn has_room_for(&self, found: &Found) -> bool {
        self.bytes.get() + found.bytes() <= self.bytes_max && self.open.get() + found.open_files() <= OPEN_MAX
    }

    fn add(&self, found: &Found) {
        self.bytes.set(self.bytes.get() + found.bytes());
        self.open.set(self.open.get() + found.open_files());
    }

    fn sub(&self, found: &Found) {
        self.bytes.set(self.bytes.get() - found.bytes());
        self.open.set(self.open.get() - found.open_files());
    }
}

/// The files of one folder that a core remembers.
pub(crate) struct Kept {
    files: RefCell<HashMap<Box<[u8]>, Place>>,
    budget: Rc<Budget>,
}

struct Place {
    found: Arc<Found>,
    looked: Moment,
    used: Cell<Moment>,
}

/// What is remembered of a path.
pub(crate) enum Memory {
    /// It was looked at a moment ago.
    Fresh(Arc<Found>),
    /// It was there, and should be looked at again.
    Stale(Arc<Found>),
    Nothing,
}

impl Kept {
    pub(crate) fn new(budget: Rc<Budget>) -> Kept {
        Kept { files: RefCell::default(), budget }
    }

    pub(crate) fn recall(&self, path: &[u8], now: Moment) -> Memory {
        let files = self.files.borrow();
        let Some(place) = files.get(path) else { return Memory::Nothing };
        place.used.set(now);
        let found = Arc::clone(&place.found);
        if now.since(place.looked) < HOLDS { Memory::Fresh(found) } else { Memory::Stale(found) }
    }

    /// Remembers a look made at `looked`, in place of what has been used least lately.
    pub(crate) fn keep(&self, path: &[u8], found: &Arc<Found>, looked: Moment) {
        self.forget(path);
        let mut files = self.files.borrow_mut();
        while files.len() >= FILES_MAX || !self.budget.has_room_for(found) {
            let oldest = files.iter().min_by_key(|(_, place)| place.used.get()).map(|(path, _)| path.clone());
            // Other folders have it all: this file is looked at each time.
            let Some(removed) = oldest.and_then(|path| files.remove(&path)) else { return };
            self.budget.sub(&removed.found);
        }
        self.budget.add(found);
        let place = Place { found: Arc::clone(found), looked, used: Cell::new(looked) };
        files.insert(path.into(), place);
    }

    pub(crate) fn forget(&self, path: &[u8]) {
        if let Some(removed) = self.files.borrow_mut().remove(path) {
            self.budget.sub(&removed.found);
        }
    }

    /// Forgets what nobody asks for, so that a folder which is no longer used can go.
    pub(crate) fn sweep(&self, now: Moment) {
        self.files.borrow_mut().retain(|_, place| {
            let stays = now.since(place.used.get()) < FORGOTTEN_AFTER;
            if !stays {
                self.budget.sub(&place.found);
            }
            stays
        });
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for place in self.files.borrow().values() {
            self.budget.sub(&place.found);
        }
    }
}

#[cfg(test)]
mod tests;
