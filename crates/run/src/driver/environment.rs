//! The environment of a replica: a small clean base, what the service says, and what prumo adds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::desired::{Secret, SecretSource, ServiceSpec, Value};

/// Variables by name, secrets in clear. Debug shows only the names.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.variables.keys()).finish()
    }
}

/// Where programs are looked for when prumo itself was started without a `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Environment {
    /// The base alone, for a look at what is there.
    pub(crate) fn base() -> Environment {
        Environment { variables: base("/") }
    }

    /// The base and the service's own variables, with every secret fetched. Nothing else of prumo's own environment
    /// is passed on: it may hold secrets of other services.
    pub(crate) fn resolve(
        spec: &ServiceSpec,
        home: &str,
        secrets: &(dyn Fn(&SecretSource) -> Result<Secret, String> + Send + Sync),
    ) -> Result<Environment, String> {
        let mut variables = base(home);
        for (name, value) in &spec.environment {
            let value = match value {
                Value::Text(text) => text.clone(),
                Value::Secret(source) => {
                    let secret = secrets(source).map_err(|why| format!("{source} for {name}: {why}"))?;
                    secret.expose().to_owned()
                }
            };
            variables.insert(name.clone(), value);
        }
        Ok(Environment { variables })
    }

    /// With one more variable, or another value for one.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Environment {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Finds a program as a shell would, seen from `folder`.
    pub(crate) fn find_program(&self, program: &str, folder: &Path) -> Result<PathBuf, String> {
        if program.contains('/') {
            let path = folder.join(program);
            return if is_program(&path) { Ok(path) } else { Err(why_no_program(&path)) };
        }
        let path = self.variables.get("PATH").map_or(PATH, String::as_str);
        let found =
            std::env::split_paths(path).map(|place| folder.join(place).join(program)).find(|path| is_program(path));
        found.ok_or_else(|| format!("there is no program `{program}` in {path}"))
    }
}

fn base(home: &str) -> BTreeMap<String, String> {
    let own = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut variables = BTreeMap::new();
    variables.insert("PATH".to_owned(), own("PATH").unwrap_or_else(|| PATH.to_owned()));
    variables.insert("LANG".to_owned(), own("LANG").unwrap_or_else(|| "C.UTF-8".to_owned()));
    variables.insert("HOME".to_owned(), home.to_owned());
    if let Some(zone) = own("TZ") {
        variables.insert("TZ".to_owned(), zone);
    }
    variables
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn why_no_program(path: &Path) -> String {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => format!("{} is a folder", path.display()),
        Ok(_) => format!("{} is not executable", path.display()),
        Err(error) => format!("{}: {error}", path.display()),
    }
}

/// Fills the variables that prumo knows into an argument: `$PORT` and `${PORT}`, but not `$PORTAL`. Anything else is
/// the program's own business and stays as it is.
pub(crate) fn fill(argument: &str, known: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(at) = rest.find('$') {
        let (before, from_dollar) = rest.split_at(at);
        filled.push_str(before);
        match known.iter().find_map(|(name, value)| Some((reference(from_dollar, name)?, *value))) {
            Some((length, value)) => {
                filled.push_str(value);
                rest = &from_dollar[length..];
            }
            None => {
                filled.push('$');
                rest = &from_dollar[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// How long the reference to `name` at the start of `text` is, if there is one.
fn reference(text: &str, name: &str) -> Option<usize> {
    let after_dollar = text.strip_prefix('$')?;
    if after_dollar.strip_prefix('{').and_then(|inner| inner.strip_prefix(name)).is_some_and(|end| end.starts_with('}'))
    {
        return Some(name.len() + 3);
    }
    let end = after_dollar.strip_prefix(name)?;
    let goes_on = end.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    (!goes_on).then_some(name.len() + 1)
}

#[cfg(test)]
mod tests;
