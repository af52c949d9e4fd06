//! The digests that make the log a chain.

use std::fmt;

use prumo_clock::Timestamp;
use sha2::{Digest, Sha256};

use crate::Entry;

/// A SHA-256 digest in the chain. `Display` writes it in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seal(pub [u8; 32]);

/// What the first entry names as the one before it.
pub const GENESIS: Seal = Seal([0; 32]);

/// The digest of an entry. Every part has a fixed size or its length before it, so that no two entries share an
/// encoding; the first bytes keep it apart from every other use of SHA-256.
pub(crate) fn seal(previous: Seal, seq: u64, at: Timestamp, entry: &Entry) -> Seal {
    let mut hasher = Sha256::new();
    hasher.update(b"prumo audit entry 1\n");
    hasher.update(previous.0);
    hasher.update(seq.to_be_bytes());
    hasher.update(at.millis().to_be_bytes());
    for text in [&entry.actor, &entry.action, &entry.subject, &entry.detail] {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    Seal(hasher.finalize().into())
}

impl fmt::Display for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests;
