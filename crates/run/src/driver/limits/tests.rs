use super::*;
use crate::desired::tests::spec;

/// Goal: sizes are said as people wrote them.
#[test]
fn sizes_in_words() {
    let check = |bytes: u64, expected: &str| assert_eq!(readable_bytes(bytes), expected);
    check(512_000_000, "512 MB");
    check(512 << 20, "512 MiB");
    check(2 << 30, "2 GiB");
    check(1_000_000_000, "1 GB");
    check(1_000, "1 KB");
    check(1_023, "1023 bytes");
}

/// Goal: on a machine without control groups, what a process limit can hold is held and the rest is said not to be.
#[test]
fn without_control_groups() {
    let mut spec = spec("api");
    (spec.memory, spec.cpu, spec.processes, spec.files) = (Some(64 << 20), Some(1.5), Some(10), Some(100));
    let held = Limits::default().hold("api-1", &spec);
    assert_eq!(
        held.words,
        [
            "memory 64 MiB for each process by rlimit (no memory cgroup)",
            "not held: cpu 1.5 cores (no cpu cgroup)",
            "not held: processes 10 (no pids cgroup)",
            "files 100 by rlimit",
        ]
    );
    assert_eq!(held.rlimits.len(), 2);
    assert!(held.join.is_empty());
}
