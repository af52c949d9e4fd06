//! What is no mistake in the file and still worth a word: what it names and the machine does not have.

use std::path::Path;

use prumo_config::{Action, Config};

/// Remarks about the file that lies in the folder `base`, in its order.
pub(crate) fn about(config: &Config, base: &Path) -> Vec<String> {
    let files = config.routes.iter().filter_map(|route| match &route.action {
        Action::Files(files) => Some((&route.name, base.join(&files.folder), &files.folder)),
        Action::Forward(_) | Action::Redirect(_) | Action::Answer(_) => None,
    });
    files
        .filter_map(|(route, path, written)| {
            let written = written.display();
            match std::fs::metadata(&path) {
                Ok(found) if found.is_dir() => None,
                Ok(_) => Some(format!("route `{route}` answers with the files of `{written}`, which is no folder")),
                // A deploy may make it later.
                Err(error) => Some(format!(
                    "route `{route}` answers with the files of `{written}`, which cannot be opened: {error}; until it \
                     can, its requests get a 404"
                )),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
