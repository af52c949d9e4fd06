//! What is counted for a service: how its replicas were spared.

use super::{Count, PerCore, per_core};

/// What one core counts for one service.
#[derive(Debug, Default)]
pub(crate) struct ServiceCount {
    pub(crate) ejections: Count,
    /// Second requests that the budget did not allow.
    pub(crate) again_refused: Count,
    pub(crate) hedges: Count,
    /// Hedges that answered first.
    pub(crate) hedges_won: Count,
    /// Requests refused because too many are in flight or wait.
    pub(crate) full: Count,
    /// Copies of requests that were sent to it as a shadow, and those that were not.
    pub(crate) mirrored: Count,
    pub(crate) mirror_dropped: Count,
    pub(crate) mirror_large: Count,
    /// Requests that wait for an upstream now.
    pub(crate) waiting: Count,
}

/// What is counted for one service.
#[derive(Debug)]
pub(crate) struct ServiceCells {
    pub(crate) service: String,
    pub(crate) cores: PerCore<ServiceCount>,
}

impl ServiceCells {
    pub(crate) fn new(service: &str, cores: usize) -> ServiceCells {
        ServiceCells { service: service.to_owned(), cores: per_core(cores) }
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.cores.iter().map(|core| core.0.waiting.get()).sum()
    }
}

/// A counter of a service: its name, its help, and how it is read.
pub(crate) type ServiceCounter = (&'static str, &'static str, fn(&ServiceCount) -> u64);

pub(crate) const SERVICE_COUNTERS: [ServiceCounter; 8] = [
    ("prumo_edge_ejections_total", "Times a core ejected a replica that failed.", |count| count.ejections.get()),
    ("prumo_edge_retries_refused_total", "Retries and hedges that the budget did not allow.", |count| {
        count.again_refused.get()
    }),
    ("prumo_edge_hedges_total", "Second requests sent beside a slow first one.", |count| count.hedges.get()),
    ("prumo_edge_hedges_won_total", "Hedges that answered first.", |count| count.hedges_won.get()),
    ("prumo_edge_full_total", "Requests refused because too many were in flight or waiting.", |count| count.full.get()),
    ("prumo_edge_mirrored_total", "Copies of requests sent to this service as a shadow.", |count| count.mirrored.get()),
    ("prumo_edge_mirror_dropped_total", "Copies not sent: too many at once, or no replica took them.", |count| {
        count.mirror_dropped.get()
    }),
    ("prumo_edge_mirror_large_total", "Requests not copied because their body is too large.", |count| {
        count.mirror_large.get()
    }),
];
