//! The generated part of the documentation: each page has one source in the code, so that it cannot tell another story.

use std::path::PathBuf;

use crate::checkout;
use crate::failure::Failure;
use crate::program::Program;

/// A page below `docs/reference` and where its text comes from.
struct Page {
    file: &'static str,
    text: fn() -> Result<String, Failure>,
}

const PAGES: &[Page] = &[
    Page { file: "config.md", text: || Ok(prumo_config::reference_markdown()) },
    Page { file: "prumo.schema.json", text: || pretty(&prumo_config::json_schema()) },
    Page { file: "openapi.json", text: || pretty(&prumo_api::openapi::document()) },
    Page { file: "cli.md", text: command_line },
];

pub(crate) fn write() -> Result<(), Failure> {
    for page in PAGES {
        checkout::write(&page.path(), &(page.text)()?)?;
        println!("wrote docs/reference/{}", page.file);
    }
    Ok(())
}

pub(crate) fn check() -> Result<(), Failure> {
    let mut stale = Vec::new();
    for page in PAGES {
        if checkout::read(&page.path()).unwrap_or_default() != (page.text)()? {
            stale.push(format!("docs/reference/{}", page.file));
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("not what the code says: {}", stale.join(", ")))
        .hint("`cargo xtask docs` writes them anew"))
}

impl Page {
    fn path(&self) -> PathBuf {
        checkout::root().join("docs/reference").join(self.file)
    }
}

/// The reference of the command line, as the binary itself tells it.
fn command_line() -> Result<String, Failure> {
    Program::cargo().args(["run", "--quiet", "--package", "prumo", "--", "help-markdown"]).output()
}

fn pretty(document: &serde_json::Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::new(format!("a generated document cannot be written as JSON: {error}")))?;
    Ok(text + "\n")
}
