//! A regular expression over a whole path.

use regex::bytes::{Regex, RegexBuilder};

/// The most memory that one compiled expression takes, and again the most that its cache takes on a core. Expressions
/// for paths need a tenth of it; one that needs more repeats something large.
const BYTES_MAX: usize = 256 * 1024;

/// A compiled expression that takes whole paths. Matching takes time linear in the path, whatever the expression.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(pub(crate) Regex);

impl Pattern {
    /// Paths are bytes, so classes such as `\d` are those of ASCII.
    pub(crate) fn new(expression: &str) -> Result<Pattern, regex::Error> {
        let whole = format!("^(?:{expression})$");
        let mut builder = RegexBuilder::new(&whole);
        builder.unicode(false).size_limit(BYTES_MAX).dfa_size_limit(BYTES_MAX).nest_limit(50);
        builder.build().map(Pattern)
    }

    pub(super) fn takes(&self, path: &str) -> bool {
        self.0.is_match(path.as_bytes())
    }
}
