//! Who may ask what. Three roles, each including the one before it; what no role is given is denied.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a caller may do, from looking to owning. The order of the variants is the order of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look: status, logs, metrics, plans.
    Viewer,
    /// May also change what runs: deploy, roll back, scale, restart, stop.
    Operator,
    /// May also see and change secrets, tokens and the audit log.
    Admin,
}

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Open to whoever reaches the listener.
    Anyone,
    /// Open to this role and those above it.
    AtLeast(Role),
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// The word used in files, commands and documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// The role that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl Access {
    /// Whether a caller with this role, or with none, may pass.
    #[must_use]
    pub fn admits(self, role: Option<Role>) -> bool {
        match self {
            Access::Anyone => true,
            Access::AtLeast(needed) => role.is_some_and(|held| held >= needed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: each role includes the ones below it and nothing else, and no role means no access.
    #[test]
    fn roles_include_the_ones_below() {
        for (index, needed) in Role::ALL.into_iter().enumerate() {
            assert!(!Access::AtLeast(needed).admits(None));
            for (held_index, held) in Role::ALL.into_iter().enumerate() {
                assert_eq!(Access::AtLeast(needed).admits(Some(held)), held_index >= index, "{held:?} for {needed:?}");
            }
        }
        assert!(Access::Anyone.admits(None));
    }

    /// Goal: a role survives the way to its word and back.
    #[test]
    fn words_name_roles() {
        for role in Role::ALL {
            assert_eq!(Role::from_word(role.word()), Some(role));
        }
        assert_eq!(Role::from_word("root"), None);
    }
}
