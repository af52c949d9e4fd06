//! One number that the edge is judged by: what it is for each proxy, and what it should be.

use crate::bench::report::{Table, median};

pub(super) use crate::bench::peer::{CADDY, HAPROXY, NGINX, PRUMO};

/// A number of a case, measured several times for each proxy.
pub(super) struct Figure {
    pub(super) about: String,
    pub(super) unit: &'static str,
    pub(super) measured: Vec<Measured>,
    pub(super) goal: Goal,
}

/// What one proxy did, round for round. Two builds of a proxy have two of these.
pub(super) struct Measured {
    pub(super) proxy: &'static str,
    pub(super) values: Vec<f64>,
}

/// What ours should be, and what it must be.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    /// There is nothing to reach: the number explains another.
    None,
    /// Of nginx's.
    TimesNginx {
        goal: f64,
        must: f64,
    },
    AtMost {
        goal: f64,
        must: f64,
    },
    AtLeast {
        goal: f64,
    },
}

impl Measured {
    pub(super) fn median(&self) -> f64 {
        median(&self.values)
    }

    /// `20.0 (19.8–20.4)`
    fn cell(&self) -> String {
        let lowest = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let middle = number(self.median());
        if self.values.len() < 2 { middle } else { format!("{middle} ({}–{})", number(lowest), number(highest)) }
    }
}

impl Figure {
    /// Of two builds of one proxy the better: it is the one to stand beside.
    pub(super) fn of(&self, proxy: &str) -> Option<&Measured> {
        let builds = self.measured.iter().filter(|measured| measured.proxy == proxy && !measured.values.is_empty());
        let is_better = |one: &&Measured, other: &&Measured| match self.goal {
            Goal::AtLeast { .. } => other.median().total_cmp(&one.median()),
            Goal::None | Goal::TimesNginx { .. } | Goal::AtMost { .. } => one.median().total_cmp(&other.median()),
        };
        builds.min_by(is_better)
    }

    /// A proxy's number as a multiple of nginx's.
    pub(super) fn times_nginx(&self, proxy: &str) -> Option<f64> {
        Some(self.of(proxy)?.median() / self.of(NGINX)?.median())
    }

    fn goal_in_words(&self) -> String {
        match self.goal {
            Goal::None => "–".to_owned(),
            Goal::TimesNginx { goal, .. } => format!("≤ {goal:.2} ×"),
            Goal::AtMost { goal, .. } => format!("≤ {}", number(goal)),
            Goal::AtLeast { goal } => format!("≥ {}", number(goal)),
        }
    }

    fn verdict(&self) -> &'static str {
        let (value, goal, must) = match self.goal {
            Goal::None => return "–",
            Goal::TimesNginx { goal, must } => (self.times_nginx(PRUMO), goal, must),
            Goal::AtMost { goal, must } => (self.of(PRUMO).map(Measured::median), goal, must),
            Goal::AtLeast { goal } => (self.of(PRUMO).map(|ours| -ours.median()), -goal, -goal),
        };
        match value {
            None => "not measured",
            Some(value) if value <= goal => "yes",
            Some(value) if value <= must => "no, but what it must",
            Some(_) => "**no**",
        }
    }
}

/// All figures, one in a line.
pub(super) fn table(figures: &[Figure]) -> Table {
    let head = ["", "unit", "prumo", "× nginx", "nginx", "HAProxy", "Caddy", "goal", "reached"];
    let mut table = Table::new("The edge beside others", &head);
    for figure in figures {
        let cell = |proxy: &str| figure.of(proxy).map_or("–".to_owned(), Measured::cell);
        let times = figure.times_nginx(PRUMO).filter(|times| times.is_finite());
        table.row(&[
            &figure.about,
            figure.unit,
            &cell(PRUMO),
            &times.map_or("–".to_owned(), |times| format!("**{times:.2}**")),
            &cell(NGINX),
            &cell(HAPROXY),
            &cell(CADDY),
            &figure.goal_in_words(),
            figure.verdict(),
        ]);
    }
    table
}

/// Three digits, which is more than most of these numbers are sure of.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests;
