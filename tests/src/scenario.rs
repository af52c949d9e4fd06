//! Scenarios: stories of the command line that a stranger can read, as text files that run.
//!
//! The format is described in `tests/scenarios/README.md`: read a file → run its commands → compare what they said.

mod act;
mod compare;
mod normal;

use std::fmt::Write as _;

pub use act::run;

/// One file in `tests/scenarios/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The lines of the story, in order.
    pub items: Vec<Item>,
    /// The files of the site, from the sections at the end.
    pub files: Vec<(String, String)>,
}

/// A line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A comment or a blank line.
    Remark(String),
    /// A command and what is expected of it.
    Step(Step),
}

/// A command and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it stands in the file.
    pub line: usize,
    /// The command, without its `$`.
    pub command: String,
    /// What it says, normalised.
    pub says: String,
    /// How it ends.
    pub exit: i32,
}

/// What a step really did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What it said, normalised.
    pub says: String,
    /// How it ended.
    pub exit: i32,
}

impl Scenario {
    /// Reads a file. The first line is the goal; without one a scenario is not finished.
    pub fn read(text: &str) -> Result<Scenario, String> {
        if !text.starts_with("# Goal: ") {
            return Err("a scenario begins with `# Goal: …`".to_owned());
        }
        let mut lines = text.lines().enumerate().peekable();
        let mut items = Vec::new();
        while let Some((number, line)) = lines.next_if(|(_, line)| section(line).is_none()) {
            match line.strip_prefix("$ ") {
                None if line.is_empty() || line.starts_with('#') => items.push(Item::Remark(line.to_owned())),
                None => {
                    return Err(format!("line {}: neither a comment nor a command nor its output: {line}", number + 1));
                }
                Some(command) => {
                    let mut said = Vec::new();
                    while let Some((_, line)) =
                        lines.next_if(|(_, line)| !line.starts_with("$ ") && section(line).is_none())
                    {
                        said.push(line);
                    }
                    items.extend(step(number + 1, command, &said));
                }
            }
        }
        let mut files: Vec<(String, String)> = Vec::new();
        for (_, line) in lines {
            match (section(line), files.last_mut()) {
                (Some(name), _) => files.push((name.to_owned(), String::new())),
                (None, Some((_, text))) => text.push_str(&format!("{line}\n")),
                (None, None) => return Err(format!("a line outside of any file: {line}")),
            }
        }
        Ok(Scenario { items, files })
    }

    /// The steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.items.iter().filter_map(|item| match item {
            Item::Step(step) => Some(step),
            Item::Remark(_) => None,
        })
    }

    /// The file again, as it is written.
    pub fn write(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            match item {
                Item::Remark(line) => text.push_str(&format!("{line}\n")),
                Item::Step(Step { command, says, exit, .. }) => {
                    write!(text, "$ {command}\n{says}").expect("a string takes any text");
                    if *exit != 0 {
                        text.push_str(&format!("exit {exit}\n"));
                    }
                }
            }
        }
        for (name, content) in &self.files {
            text.push_str(&format!("-- {name} --\n{content}"));
        }
        text
    }

    /// The same with what really happened where that was not what was expected.
    #[must_use]
    pub fn corrected(&self, done: &[Done]) -> Scenario {
        let mut corrected = self.clone();
        let steps = corrected.items.iter_mut().filter_map(|item| match item {
            Item::Step(step) => Some(step),
            Item::Remark(_) => None,
        });
        for (step, done) in steps.zip(done).filter(|(step, done)| !step.is_met_by(done)) {
            (step.says, step.exit) = (done.says.clone(), done.exit);
        }
        corrected
    }
}

impl Step {
    /// Whether this is what was expected.
    pub fn is_met_by(&self, done: &Done) -> bool {
        self.exit == done.exit && compare::matches(&self.says, &done.says)
    }
}

/// The name in a line like `-- prumo.toml --`.
fn section(line: &str) -> Option<&str> {
    line.strip_prefix("-- ")?.strip_suffix(" --")
}

/// A command with the lines below it: what it says, perhaps its exit code, then remarks until the next command.
fn step(line: usize, command: &str, below: &[&str]) -> Vec<Item> {
    // A comment ends the output when a blank line or the command itself stands before it.
    let starts_remark =
        |place: &usize| below[*place].starts_with("# ") && (*place == 0 || below[*place - 1].is_empty());
    let remark = (0..below.len()).find(starts_remark).unwrap_or(below.len());
    let end = below[..remark].iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    let mut said = &below[..end];
    let mut exit = 0;
    if let Some(code) = said.last().and_then(|line| line.strip_prefix("exit ")?.parse().ok()) {
        exit = code;
        said = &said[..said.len() - 1];
    }
    let says = said.iter().map(|line| format!("{line}\n")).collect();
    let step = Item::Step(Step { line, command: command.to_owned(), says, exit });
    let remarks = below[end..].iter().map(|line| Item::Remark((*line).to_owned()));
    std::iter::once(step).chain(remarks).collect()
}

#[cfg(test)]
mod tests;
