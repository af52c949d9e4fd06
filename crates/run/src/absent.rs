//! What a service names and this machine does not have, all of it at once, for a person who looks at the file beforehand.
//!
//! Nothing is started and no secret is fetched: a secret may come from a command with effects of its own.

use crate::desired::{SecretSource, ServiceSpec, Value};
use crate::driver::environment::Environment;
use crate::driver::user;
use crate::release::check_folder;

/// A sentence for each thing that is not here. `lacks` says why a secret could not be fetched now, as far as that can be
/// seen without fetching it.
pub fn absent(spec: &ServiceSpec, lacks: &dyn Fn(&SecretSource) -> Option<String>) -> Vec<String> {
    let mut absent = Vec::new();
    let folder = check_folder(&spec.folder);
    absent.extend(folder.clone().err());
    absent.extend(spec.user.as_deref().and_then(|name| user::find(name, None).err()));
    absent.extend(spec.group.as_deref().and_then(|name| user::find_group(name).err()));
    let mut environment = Environment::base();
    for (name, value) in &spec.environment {
        match value {
            Value::Text(text) => environment = environment.with(name, text),
            Value::Secret(source) => absent.extend(lacks(source).map(|why| format!("{source} for {name}: {why}"))),
        }
    }
    // In a folder that is not there nothing can be looked for.
    if folder.is_err() {
        return absent;
    }
    for program in spec.programs() {
        absent.extend(environment.find_program(program, &spec.folder).err());
    }
    absent.dedup();
    absent
}

#[cfg(test)]
mod tests;
