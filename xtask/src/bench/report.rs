//! What a measurement prints: a Markdown table, with the date, the machine and the command that made it.

use crate::program::Program;

pub(super) struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(title: &str, head: &[&str]) -> Table {
        Table { title: title.to_owned(), head: owned(head), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: &[&str]) {
        self.rows.push(owned(cells));
    }

    pub(super) fn print(&self) {
        println!("\n## {}\n", self.title);
        println!("{}, {}, `cargo xtask {}`\n", date(), machine(), arguments());
        print!("{}", self.markdown());
    }

    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---".to_owned(); self.head.len()];
        [&self.head, &rule].into_iter().chain(&self.rows).map(|cells| line(cells)).collect()
    }
}

/// The middle one of several measurements.
pub(super) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

fn owned(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

pub(super) fn date() -> String {
    Program::new("date").args(["--utc", "+%Y-%m-%d"]).answer().unwrap_or_default().trim().to_owned()
}

pub(super) fn machine() -> String {
    let facts = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = facts.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = kernel.split('-').next().unwrap_or_default().trim();
    format!("{}, {cores} cores, Linux {version}", model.unwrap_or(std::env::consts::ARCH))
}

fn arguments() -> String {
    std::env::args().skip(1).collect::<Vec<_>>().join(" ")
}

/// Bytes as people write them.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests;
