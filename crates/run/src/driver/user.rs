//! Users and groups by name, from `/etc/passwd` and `/etc/group`.
//!
//! Read directly, because the C library's lookup cannot be linked into a static binary. Users of a directory service
//! can be given by number.

use std::fs;

/// Whom a process becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
}

/// Finds a user and, when given, another group than the user's own.
pub(crate) fn find(user: &str, group: Option<&str>) -> Result<User, String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut found = find_user(&passwd, user).ok_or_else(|| format!("there is no user `{user}` on this machine"))?;
    if let Some(group) = group {
        found.gid = find_group(group)?;
    }
    Ok(found)
}

/// Finds a group by name or number.
pub(crate) fn find_group(group: &str) -> Result<u32, String> {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let listed = groups.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.first() == Some(&group)).then(|| fields.get(2)?.parse().ok())?
    });
    listed.or_else(|| group.parse().ok()).ok_or_else(|| format!("there is no group `{group}` on this machine"))
}

/// The numbers of a user and a group by name or number, for a file that is to be theirs.
///
/// # Errors
/// When this machine knows no such name.
pub fn numbers(user: Option<&str>, group: Option<&str>) -> Result<(Option<u32>, Option<u32>), String> {
    let user = user.map(|user| find(user, None)).transpose()?;
    let group = group.map(find_group).transpose()?;
    let first_group = user.as_ref().map(|user| user.gid);
    Ok((user.map(|user| user.uid), group.or(first_group)))
}

/// The user prumo itself is.
pub(crate) fn own() -> User {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let home = find_user(&passwd, &uid.to_string()).map_or_else(|| "/".to_owned(), |user| user.home);
    User { uid, gid, home }
}

fn find_user(passwd: &str, user: &str) -> Option<User> {
    let entries = passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let found = User {
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
            home: (*fields.get(5)?).to_owned(),
        };
        Some((*fields.first()?, found))
    });
    let number: Option<u32> = user.parse().ok();
    let listed = entries.into_iter().find(|(name, found)| *name == user || number == Some(found.uid));
    let unlisted = || number.map(|uid| User { uid, gid: uid, home: "/".to_owned() });
    listed.map(|(_, found)| found).or_else(unlisted)
}

#[cfg(test)]
mod tests;
