//! What came of a run, as a section of `docs/benchmarks.md`.

use std::path::Path;
use std::time::Duration;

use super::{Figure, Options, Peer, chart, figure};
use crate::bench::report::{date, machine};
use crate::checkout;
use crate::failure::Failure;

const BEGIN: &str = "<!-- what follows is written by `cargo xtask bench edge --write` -->";
const END: &str = "<!-- end of what is written by `cargo xtask bench edge --write` -->";

pub(super) fn section(figures: &[Figure], peers: &[Peer], options: Options, took: Duration) -> String {
    let names: Vec<&str> = peers.iter().skip(1).map(|peer| peer.name.as_str()).collect();
    format!(
        "{}, {}. {} rounds of {} s, {:.0} minutes in all, beside {}; of the two builds of nginx the better one counts. Medians, and in brackets \
         the lowest and highest round; × nginx below 1 is less than nginx needs.\n\n\
         ![CPU time by case as a multiple of nginx's, for prumo, HAProxy and Caddy: the numbers are in the table below](edge.svg)\n\n{}",
        date(),
        machine(),
        options.rounds,
        options.seconds,
        took.as_secs_f64() / 60.0,
        names.join(", "),
        figure::table(figures).markdown(),
    )
}

/// Leaves it beside the logs of the run, so that no run is lost.
pub(super) fn keep(folder: &Path, section: &str, figures: &[Figure]) -> Result<(), Failure> {
    checkout::write(&folder.join("section.md"), section)?;
    checkout::write(&folder.join("edge.svg"), &chart::draw(figures))
}

pub(super) fn write(section: &str, figures: &[Figure]) -> Result<(), Failure> {
    let docs = checkout::root().join("docs");
    let page = docs.join("benchmarks.md");
    let text = checkout::read(&page)?;
    let text = replaced(&text, section)
        .ok_or_else(|| Failure::new(format!("{} has lost the marks `{BEGIN}` and `{END}`", page.display())))?;
    checkout::write(&page, &text)?;
    checkout::write(&docs.join("edge.svg"), &chart::draw(figures))
}

/// The page with another section between the marks.
fn replaced(page: &str, section: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{section}\n{END}{after}"))
}

#[cfg(test)]
mod tests;
