//! Many upgrades in a row under load, for tests and for benchmarks.

use std::fmt;
use std::time::{Duration, Instant};

use crate::load::{Load, Report};
use crate::site::{Site, file};

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Upgrades {
    /// How many.
    pub count: u32,
    /// Replicas of the one service.
    pub replicas: u32,
    /// Requests a second meanwhile.
    pub rate: u32,
    /// Web sockets that are open meanwhile.
    pub web_sockets: u32,
}

/// What came of it.
pub struct Outcome {
    /// How long each command took.
    pub took: Vec<Duration>,
    /// What went wrong, beside requests.
    pub troubles: Vec<String>,
    /// The account of the load.
    pub report: Report,
    /// What prumo said.
    pub story: String,
}

impl Upgrades {
    /// Runs them under `prumo up --keep`, one after the other.
    ///
    /// # Panics
    /// When the site does not come up.
    pub fn run(self, mut progress: impl FnMut(u32)) -> Outcome {
        let mut site = Site::new(&file("[PRUMO] demo-app", self.replicas, ""));
        site.keep();
        let before = site.await_healthy("web");
        let hours = Duration::from_secs(6 * 3600);
        let load = Load::on(site.edge()).rate(self.rate).web_sockets(self.web_sockets).lasting(hours).start();
        let is_busy = load.sees(|seen| seen.ok > 0 && seen.sockets.opened >= u64::from(self.web_sockets));
        assert!(is_busy, "{:?}\n{}", load.so_far(), site.story());
        let (mut took, mut troubles) = (Vec::new(), Vec::new());
        let mut main = site.main_pid();
        for number in 0..self.count {
            let began = Instant::now();
            let said = site.prumo(&["upgrade"]);
            took.push(began.elapsed());
            let next = site.main_pid();
            if said.code != Some(0) || next == main || next.is_none() {
                troubles.push(format!("upgrade {number}: {main:?} became {next:?}: {said:?}"));
            }
            main = next;
            progress(number + 1);
        }
        std::thread::sleep(Duration::from_secs(1));
        let report = load.stop();
        let after = site.await_healthy("web");
        if after.pids() != before.pids() {
            troubles.push(format!("replicas were touched: {before:?} {after:?}"));
        }
        let story = site.story();
        Outcome { took, troubles, report, story }
    }
}

impl Outcome {
    /// Whether everything went as it should.
    pub fn is_clean(&self) -> bool {
        self.troubles.is_empty() && self.report.is_clean()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} upgrades, {:?}", self.took.len(), self.took)?;
        for trouble in &self.troubles {
            writeln!(formatter, "{trouble}")?;
        }
        writeln!(formatter, "{}", self.report.to_json())?;
        self.report.fmt(formatter)
    }
}
