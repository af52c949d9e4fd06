//! What a reviewer would say twice, said once by a test. Each rule is a pure function from the tree to the list of its
//! mistakes, with one test that shows it a bad example and one that shows it this repository.

mod changelog;
mod crate_docs;
mod dependencies;
mod direction;
mod goals;
mod length;
mod links;
mod manifests;
mod names;
mod tree;
mod unsafety;
mod words;

/// Fail with every mistake on a line of its own.
fn expect_none(rule: &str, mistakes: &[String]) {
    assert!(mistakes.is_empty(), "{rule}:\n  {}", mistakes.join("\n  "));
}
