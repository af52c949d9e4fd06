//! A link inside the repository leads somewhere.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::expect_none;
use super::tree::{self, Page};
use crate::checkout;

fn mistakes(pages: &[Page], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut mistakes = Vec::new();
    for page in pages.iter().filter(|page| page.path.ends_with(".md")) {
        for (number, link) in links(page) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { page.path.clone() } else { resolve(&page.path, file) };
            let target = pages.iter().find(|other| other.path == path);
            if target.is_none() && !exists(&path) {
                mistakes.push(format!("{}:{number}: `{link}` leads nowhere", page.path));
            } else if let Some(target) = target
                && !anchor.is_empty()
                && path.ends_with(".md")
                && !anchors(target).contains(anchor)
            {
                mistakes.push(format!("{}:{number}: `{link}` names a heading that is not there", page.path));
            }
        }
    }
    mistakes
}

/// The links of a page that stay inside the repository, outside of code blocks.
fn links(page: &Page) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (number, line) in prose(page) {
        for part in line.split("](").skip(1) {
            let Some((link, _)) = part.split_once(')') else { continue };
            if !link.contains("://") && !link.starts_with("mailto:") {
                links.push((number, link));
            }
        }
    }
    links
}

fn prose(page: &Page) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    page.lines().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// Headings as browsers of Markdown name them: lower case, spaces as dashes, most punctuation gone.
fn anchors(page: &Page) -> BTreeSet<String> {
    let headings = prose(page).filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| slug(line.trim_start_matches('#').trim())).collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn resolve(from: &str, link: &str) -> String {
    let joined = Path::new(from).parent().unwrap_or(Path::new("")).join(link);
    let mut path = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path.to_string_lossy().into_owned()
}

/// Goal: a link to a missing file or heading is refused; links to the web and links in code are not looked at.
#[test]
fn a_broken_link_is_refused() {
    let guide = "[a](../README.md) [b](gone.md) [c](../README.md#two-commands) [d](../README.md#gone) [e](https://x)\n\
                 ```\n[f](gone.md)\n```\n";
    let pages = [Page::new("docs/guide.md", guide), Page::new("README.md", "## Two commands\n")];
    let expected = [
        "docs/guide.md:1: `gone.md` leads nowhere",
        "docs/guide.md:1: `../README.md#gone` names a heading that is not there",
    ];
    assert_eq!(mistakes(&pages, |_| false), expected);
}

/// Goal: every relative link of this repository's pages leads somewhere.
#[test]
fn links_lead_somewhere() {
    expect_none("mend these links", &mistakes(&tree::pages(), |path| checkout::root().join(path).exists()));
}
