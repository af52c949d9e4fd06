//! Many deploys in a row while users are busy: the promise that a deploy loses nothing, put to the test (DEP-07).

use std::fmt;
use std::time::{Duration, Instant};

use crate::load::{Load, Report};
use crate::site::{self, Site};

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Deploys {
    /// How many deploys, one after the other.
    pub count: u32,
    /// How many replicas each release has.
    pub replicas: u32,
    /// Requests a second meanwhile.
    pub rate: u32,
    /// Web sockets held open meanwhile.
    pub web_sockets: u32,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What the users saw.
    pub report: Report,
    /// How long each deploy took, in order.
    pub took: Vec<Duration>,
    /// What prumo said of a deploy that failed, if one did; the rest were not tried.
    pub refused: Option<String>,
    /// The log of prumo, for a failing test.
    pub story: String,
}

impl Deploys {
    /// Deploys the demo app again and again on a site of its own, told to `progress` after each.
    pub fn run(self, mut progress: impl FnMut(u32)) -> Outcome {
        let mut site = Site::new(&site::file("[PRUMO] demo-app", self.replicas, ""));
        site.up();
        site.await_healthy("web");
        // The load outlasts the deploys, whatever they take, and is bounded all the same.
        let longest = Duration::from_secs(60) + Duration::from_secs(60) * self.count;
        let load = Load::on(site.edge()).rate(self.rate).web_sockets(self.web_sockets).lasting(longest).start();
        let is_busy = load.sees(|seen| seen.ok > 0 && seen.sockets.opened >= u64::from(self.web_sockets));
        assert!(is_busy, "{:?}\n{}", load.so_far(), site.story());
        let mut took = Vec::new();
        let mut refused = None;
        for number in 1..=self.count {
            let began = Instant::now();
            let said = site.prumo(&["deploy", "web"]);
            took.push(began.elapsed());
            if said.code != Some(0) {
                refused = Some(format!("deploy {number} ended with {:?}: {}{}", said.code, said.out, said.err));
                break;
            }
            progress(number);
        }
        let report = load.stop();
        Outcome { report, took, refused, story: site.story() }
    }
}

impl Outcome {
    /// Whether every deploy succeeded and no user noticed.
    pub fn is_clean(&self) -> bool {
        self.refused.is_none() && self.report.is_clean()
    }

    /// The median time of a deploy.
    pub fn took_median(&self) -> Duration {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} deploys, median {:.2?}", self.took.len(), self.took_median())?;
        if let Some(refused) = &self.refused {
            writeln!(out, "{refused}")?;
        }
        self.report.fmt(out)
    }
}
