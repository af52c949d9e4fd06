//! Tokens: 256 random bits shown once, of which only a hash is kept.

use std::sync::{Arc, RwLock};

use prumo_clock::{Clock, Timestamp};
use prumo_ledger::{Ledger, LedgerError, Table, rusqlite};
use sha2::{Digest, Sha256};

use crate::ask::{NewToken, TokenRow};
use crate::role::Role;

/// The table that this module owns.
pub const TABLE: Table = Table {
    name: "token",
    migrations: &["CREATE TABLE token (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL,
        digest BLOB NOT NULL,
        created_ms INTEGER NOT NULL
    ) STRICT"],
};

/// The name of the token that the first start makes.
pub const FIRST: &str = "administrator";

/// How a token begins, so that people and scanners recognise one that went astray.
const PREFIX: &str = "prumo_";

/// The tokens that are known. Cheap to clone; looking one up touches memory only, so a full disk locks nobody out.
#[derive(Clone)]
pub struct Tokens {
    ledger: Ledger,
    clock: Clock,
    known: Arc<RwLock<Vec<Known>>>,
}

#[derive(Clone)]
struct Known {
    name: String,
    role: Role,
    digest: [u8; 32],
    created: Timestamp,
}

/// Why a token was not made.
#[derive(Debug)]
pub enum TokenError {
    /// There is one of that name.
    Taken,
    /// A name needs 1 to 64 letters, digits, dots, dashes or underscores.
    BadName,
    /// The ledger could not keep it.
    Ledger(LedgerError),
}

impl Tokens {
    /// Reads the tokens that the ledger keeps.
    pub async fn load(ledger: Ledger, clock: Clock) -> Result<Tokens, LedgerError> {
        let rows = ledger.read(read_all).await?;
        Ok(Tokens { ledger, clock, known: Arc::new(RwLock::new(rows)) })
    }

    /// Makes the administrator's token if no token exists yet. Whoever gets it must show it: it is not kept.
    pub async fn first(&self) -> Result<Option<NewToken>, TokenError> {
        if !self.known.read().expect("no holder of this lock panics").is_empty() {
            return Ok(None);
        }
        self.create(FIRST, Role::Admin, "prumo").await.map(Some)
    }

    /// Makes a token for a name and a role.
    pub async fn create(&self, name: &str, role: Role, actor: &str) -> Result<NewToken, TokenError> {
        if !name_is_good(name) {
            return Err(TokenError::BadName);
        }
        let token = self.random_token();
        let made = Known { name: name.to_owned(), role, digest: digest(&token), created: self.clock.wall() };
        let entry = prumo_ledger::Entry::new(actor, "token create", name, role.word());
        let (row, at) = (made.clone(), made.created);
        let inserted = self
            .ledger
            .write("token create", move |tx| {
                let changed = tx.execute(
                    "INSERT OR IGNORE INTO token (name, role, digest, created_ms) VALUES (?1, ?2, ?3, ?4)",
                    (&row.name, row.role.word(), row.digest, row.created.millis()),
                )?;
                if changed == 1 {
                    prumo_ledger::audit::append(tx, &entry, at)?;
                }
                Ok(changed == 1)
            })
            .await
            .map_err(TokenError::Ledger)?;
        if !inserted {
            return Err(TokenError::Taken);
        }
        self.known.write().expect("no holder of this lock panics").push(made);
        Ok(NewToken { name: name.to_owned(), role, token })
    }

    /// Makes a token useless, at once. Says whether there was one.
    pub async fn revoke(&self, name: &str, actor: &str) -> Result<bool, LedgerError> {
        let entry = prumo_ledger::Entry::new(actor, "token revoke", name, "");
        let (at, owned) = (self.clock.wall(), name.to_owned());
        let removed = self
            .ledger
            .write("token revoke", move |tx| {
                let removed = tx.execute("DELETE FROM token WHERE name = ?1", [&owned])? == 1;
                if removed {
                    prumo_ledger::audit::append(tx, &entry, at)?;
                }
                Ok(removed)
            })
            .await?;
        self.known.write().expect("no holder of this lock panics").retain(|known| known.name != name);
        Ok(removed)
    }

    /// The tokens, without their values.
    #[must_use]
    pub fn list(&self) -> Vec<TokenRow> {
        let known = self.known.read().expect("no holder of this lock panics");
        known
            .iter()
            .map(|one| TokenRow { name: one.name.clone(), role: one.role, created: one.created.rfc3339() })
            .collect()
    }

    /// Whose token this is, if anybody's. Every known digest is compared in full, so the time taken tells nothing.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<(String, Role)> {
        let asked = digest(token);
        let known = self.known.read().expect("no holder of this lock panics");
        let mut found = None;
        for one in known.iter() {
            if same(&one.digest, &asked) {
                found = Some((one.name.clone(), one.role));
            }
        }
        found
    }

    fn random_token(&self) -> String {
        let mut bits = [0_u8; 32];
        self.clock.fill_random(&mut bits);
        let mut token = String::with_capacity(PREFIX.len() + 64);
        token.push_str(PREFIX);
        for byte in bits {
            token.push_str(&format!("{byte:02x}"));
        }
        token
    }
}

fn name_is_good(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Compares without leaving early.
fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let difference = left.iter().zip(right).fold(0_u8, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(difference) == 0
}

fn read_all(connection: &rusqlite::Connection) -> rusqlite::Result<Vec<Known>> {
    let mut statement =
        connection.prepare("SELECT name, role, digest, created_ms FROM token ORDER BY created_ms, name")?;
    let rows = statement.query_map((), |row| {
        let role: String = row.get(1)?;
        Ok(Role::from_word(&role).map(|role| (row.get(0), role, row.get(2), row.get(3))))
    })?;
    let mut known = Vec::new();
    for row in rows {
        // A role that this binary does not know gives no access: deny by default.
        let Some((name, role, digest, created)) = row? else { continue };
        known.push(Known { name: name?, role, digest: digest?, created: Timestamp::from_millis(created?) });
    }
    Ok(known)
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TokenError::Taken => out.write_str("there is a token of that name already"),
            TokenError::BadName => {
                out.write_str("a token's name has 1 to 64 letters, digits, dots, dashes or underscores")
            }
            TokenError::Ledger(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests;
