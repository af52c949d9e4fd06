//! What is no mistake in the file and still worth a word: what it names and the machine does not have.

use std::path::Path;

use prumo_config::{Action, Certificate, ClientCertificate, Config, Service};
use prumo_run::SecretSource;
use prumo_run::driver::open_regular;

use crate::secrets::Secrets;
use crate::wire;

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

/// What services name and this machine does not have. Another machine may: no mistake, but a deploy here is refused.
pub(crate) fn about_services<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    base: &Path,
    secrets: &Secrets,
) -> Vec<String> {
    // Nothing is known of the secrets of a site that is not here, or not ours.
    let kept = if secrets.are_here() { secrets.names().ok() } else { None };
    let lacks = |source: &SecretSource| match source {
        SecretSource::Named(name) => {
            let is_lost = kept.as_ref().is_some_and(|kept| !kept.contains(name));
            is_lost.then(|| format!("it is not kept yet: `prumo secret set {name}`"))
        }
        SecretSource::File(path) => open_regular(&base.join(path)).err().map(|error| error.to_string()),
        // What prumo's own environment will be, and what a command says then, is not known now.
        SecretSource::Env(_) | SecretSource::Command(_) => None,
    };
    let of = |service: &Service| {
        let absent = prumo_run::absent(&wire::service_for_run(service, base), &lacks);
        let name = service.name.clone();
        absent.into_iter().map(move |why| format!("service `{name}` cannot be deployed on this machine: {why}"))
    };
    services.into_iter().flat_map(of).collect()
}

/// Files of certificates that cannot be read here, both of a pair.
pub(crate) fn about_certificate_files<'a>(
    certificates: impl IntoIterator<Item = &'a Certificate>,
    clients: impl IntoIterator<Item = &'a ClientCertificate>,
    base: &Path,
) -> Vec<String> {
    let of_pairs = certificates.into_iter().flat_map(|pair| [&pair.cert, &pair.key]);
    let of_clients = clients.into_iter().flat_map(|rule| rule.authority.iter().chain(&rule.revoked));
    let files = of_pairs.chain(of_clients).map(|file| base.join(file));
    files
        .filter_map(|file| {
            let error = open_regular(&file).err()?;
            Some(format!("certificate file {}: it cannot be read on this machine: {error}", file.display()))
        })
        .collect()
}

/// The rest of what the file names: users of sockets, pages.
pub(crate) fn about_the_edge(config: &Config, base: &Path) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(socket) = &config.edge.socket
        && let Err(why) = prumo_run::driver::user_numbers(socket.user.as_deref(), socket.group.as_deref())
    {
        remarks.push(format!("the socket {} cannot be made on this machine: {why}", socket.path.display()));
    }
    if let Some(page) = &config.maintenance.page
        && let Err(error) = open_regular(&base.join(page))
    {
        let page = page.display();
        remarks.push(format!("the maintenance page `{page}` cannot be read: {error}; prumo's own takes its place"));
    }
    remarks
}

#[cfg(test)]
mod tests;
