//! What became of each stage.

use std::fmt;
use std::time::Duration;

/// How a stop went, in the order in which the stages stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One entry for each stage; the stage that was created last comes first.
    pub stages: Vec<StageReport>,
}

/// How one stage stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageReport {
    /// The stage's name.
    pub name: &'static str,
    /// How many tasks ended by themselves after they were asked to.
    pub finished: usize,
    /// The names of the tasks that had not ended at the deadline, in the order they were started.
    pub abandoned: Vec<String>,
    /// How many tasks panicked since the stage was created.
    pub panicked: u64,
    /// How long the stage took.
    pub took: Duration,
}

impl Report {
    /// True when every task ended by itself and none ever panicked.
    pub fn is_clean(&self) -> bool {
        self.stages.iter().all(|stage| stage.abandoned.is_empty() && stage.panicked == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, stage) in self.stages.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{stage}")?;
        }
        Ok(())
    }
}

impl fmt::Display for StageReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StageReport { name, finished, abandoned, panicked, took } = self;
        write!(formatter, "{name}: {finished} finished in {} ms", took.as_millis())?;
        if !abandoned.is_empty() {
            write!(formatter, ", abandoned: {}", abandoned.join(", "))?;
        }
        if *panicked > 0 {
            write!(formatter, ", {panicked} panicked")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
