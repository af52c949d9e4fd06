//! Mistakes in the file, and how they are shown.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::checked::Good;
use crate::resolved::Service;
use crate::settings::Certificate;

mod excerpt;

pub use excerpt::Excerpt;

/// How many mistakes are kept. Who has more than fifty has one, at the top.
const SHOWN_MAX: usize = 50;

/// One mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// What is wrong, as a sentence.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The place in the file, in bytes.
    pub span: Range<usize>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line itself, and what to underline.
    pub excerpt: Excerpt,
}

/// All mistakes in the file, in the order of their places. There is at least one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mistakes {
    file: String,
    mistakes: Vec<Mistake>,
    /// How many more there are than are kept.
    more: usize,
    #[serde(skip)]
    services: Vec<Service>,
    #[serde(skip)]
    certificates: Vec<Certificate>,
}

impl Mistakes {
    /// The mistakes, in the order of the file; the first fifty if there are more.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.mistakes.iter()
    }

    /// How many mistakes there are, also those that are not kept.
    pub fn count(&self) -> usize {
        self.mistakes.len() + self.more
    }

    /// Finds the line and column of each draft and puts them in order.
    pub(crate) fn from_drafts(file: &str, text: &str, mut drafts: Vec<Draft>) -> Mistakes {
        drafts.sort_by(|a, b| a.order().cmp(&b.order()));
        drafts.dedup();
        let more = drafts.len().saturating_sub(SHOWN_MAX);
        let mistakes = drafts.into_iter().take(SHOWN_MAX).map(|draft| draft.locate(text)).collect();
        Mistakes { file: file.to_owned(), mistakes, more, services: Vec::new(), certificates: Vec::new() }
    }

    /// With the tables in which nothing is wrong.
    pub(crate) fn beside(self, good: Good) -> Mistakes {
        let (services, certificates) = (Service::resolve_all(good.services), good.certificates);
        Mistakes { services, certificates, ..self }
    }

    /// The services that prumo would run and in whose tables nothing is wrong.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The certificates in whose tables nothing is wrong.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            mistake.show(&self.file, f)?;
        }
        if self.more > 0 {
            write!(f, "\n\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

impl Mistake {
    fn show(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "error: {}", self.message)?;
        writeln!(f, "{gutter}--> {file}:{}:{}", self.line, self.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{}", format_args!("{number} | {}", self.excerpt.line).to_string().trim_end())?;
        let Excerpt { before, width, .. } = self.excerpt;
        writeln!(f, "{gutter} | {:before$}{}", "", "^".repeat(width))?;
        write!(f, "hint: {}", self.hint)
    }
}

/// A mistake whose line and column are not yet known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) span: Range<usize>,
    message: String,
    hint: String,
}

/// The drafts that are kept while reading. Far more than are shown; it bounds the memory a hostile file can cost.
pub(crate) const DRAFTS_MAX: usize = 10_000;

impl Draft {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Draft {
        Draft { span, message: message.into(), hint: hint.into() }
    }

    fn order(&self) -> (usize, usize, &str) {
        (self.span.start, self.span.end, &self.message)
    }

    fn locate(self, text: &str) -> Mistake {
        let span = within(text, self.span);
        let line_start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[..line_start].matches('\n').count() + 1;
        let column = text[line_start..span.start].chars().count() + 1;
        let excerpt = Excerpt::cut(text, line_start, &span);
        Mistake { message: self.message, hint: self.hint, span, line, column, excerpt }
    }
}

/// The span, moved onto the borders of characters of the text, whatever a parser said.
fn within(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    start..end
}

#[cfg(test)]
mod tests;
