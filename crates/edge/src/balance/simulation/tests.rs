use super::*;

const POLICIES: [(&str, Policy); 3] = [
    ("round_robin", Policy::RoundRobin),
    ("least_connections", Policy::LeastConnections),
    ("peak_ewma", Policy::PeakEwma),
];

/// A world as it is when nothing else is said, with a share of requests that take a hundred times as long.
fn mixed(policy: Policy, natures: &[Nature], rate: f64, heavy: f64) -> Result {
    World { heavy, ..World::new(policy, natures, rate) }.run()
}

/// The three policies in one world, in that order. Printed, for the page about the decision: `--nocapture` shows it.
fn compare(world: &str, natures: &[Nature], rate: f64, eject_after: u32) -> [Result; 3] {
    POLICIES.map(|(name, policy)| {
        let result = World { eject_after, ..World::new(policy, natures, rate) }.run();
        let total = result.latencies.len() + result.failed;
        println!(
            "{world:14} {name:18} p50 {:7.1} ms  p99 {:8.1} ms  p99.9 {:8.1} ms  failed {:5.2} %  last one {:4.1} %",
            result.percentile(50.0),
            result.percentile(99.0),
            result.percentile(99.9),
            result.failed as f64 * 100.0 / total as f64,
            result.share_of(natures.len() - 1) * 100.0,
        );
        result
    })
}

/// Goal: when one of three replicas is ten times slower, latency and load see it and turns do not.
#[test]
fn one_slow() {
    let [turns, least, ewma] = compare("one slow", &[USUAL, USUAL, Nature { slowness: 10.0, ..USUAL }], 100.0, 5);
    assert!(ewma.percentile(99.0) * 5.0 < turns.percentile(99.0));
    assert!(ewma.percentile(99.0) * 2.0 < least.percentile(99.0));
    assert!(ewma.share_of(2) < 0.05 && turns.share_of(2) > 0.33);
}

/// Goal: with machines of different speed, the quicker get more.
#[test]
fn different_speeds() {
    let speeds = [0.5, 1.0, 1.0, 2.0, 3.0].map(|slowness| Nature { slowness, ..USUAL });
    let [turns, _, ewma] = compare("speeds", &speeds, 500.0, 5);
    assert!(ewma.percentile(99.0) * 1.3 < turns.percentile(99.0));
    assert!(ewma.given.is_sorted_by(|quicker, slower| *quicker as f64 > *slower as f64 * 0.9), "{:?}", ewma.given);
}

/// Goal: a replica that stands still for a while, as a garbage collector makes it, is avoided meanwhile.
#[test]
fn pauses() {
    let pausing = Nature { pause: Some((0.4, 5.0)), ..USUAL };
    let [turns, _, ewma] = compare("pauses", &[USUAL, USUAL, pausing], 400.0, 5);
    assert!(ewma.percentile(99.0) * 2.0 < turns.percentile(99.0));
}

/// Goal: a replica that fails at once looks idle to least connections, which then gives it nearly everything; it must not
/// look quick to peak EWMA, and ejection puts an end to it under every policy.
#[test]
fn failing_fast_attracts_nobody() {
    let failing = Nature { fails: 1.0, ..USUAL };
    let [turns, least, ewma] = compare("fails, kept", &[USUAL, USUAL, failing], 600.0, 0);
    assert!(least.share_of(2) > turns.share_of(2) + 0.1, "the trap is real: {least:?}");
    assert!(ewma.share_of(2) < 0.1);
    for result in compare("fails, ejected", &[USUAL, USUAL, failing], 600.0, 5) {
        assert!(result.share_of(2) < 0.01);
        assert!(result.failed < 30, "{}", result.failed);
    }
}

/// Goal: one that fails a part of its requests never fails five in a row soon, and still gets less from peak EWMA.
#[test]
fn failing_in_part() {
    let failing = Nature { fails: 0.3, ..USUAL };
    let [turns, _, ewma] = compare("fails in part", &[USUAL, USUAL, failing], 300.0, 5);
    assert!(ewma.failed * 2 < turns.failed, "{} {}", ewma.failed, turns.failed);
}

/// Goal: among equals nobody is favoured, and the choice by latency costs nothing.
#[test]
fn equals_share() {
    let [turns, _, ewma] = compare("equals", &[USUAL; 4], 800.0, 5);
    assert!(ewma.percentile(99.0) < turns.percentile(99.0) * 1.3);
    assert!((0..4).all(|replica| (0.15..0.35).contains(&ewma.share_of(replica))), "{:?}", ewma.given);
}

/// Goal: where a few requests take a hundred times as long, one peak does not make a replica an outcast.
#[test]
fn mixed_work() {
    let [turns, least, ewma] = POLICIES.map(|(name, policy)| {
        let result = mixed(policy, &[USUAL; 4], 300.0, 0.01);
        let shares: Vec<String> = (0..4).map(|one| format!("{:.0} %", result.share_of(one) * 100.0)).collect();
        let (half, most) = (result.percentile(50.0), result.percentile(98.0));
        println!("mixed work     {name:18} p50 {half:7.1} ms  p98 {most:8.1} ms  shares {}", shares.join(" "));
        result
    });
    assert!(
        ewma.percentile(98.0) < turns.percentile(98.0) * 1.2 && least.percentile(98.0) < turns.percentile(98.0) * 1.2
    );
    assert!((0..4).all(|replica| ewma.share_of(replica) > 0.15), "{:?}", ewma.given);
}

/// Goal: hashing keeps its bound under a hot key: nobody drowns.
#[test]
fn a_hot_key_is_spread() {
    let world = |keys| World { keys, ..World::new(Policy::Hash(0), &[USUAL; 4], 1_000.0) };
    let hot = world(1).run();
    println!("hot key        hash, bounded      p99 {:8.1} ms  shares {:?}", hot.percentile(99.0), hot.given);
    // One replica could serve 400 a second, and all of them together 1,600.
    assert!(hot.percentile(99.0) < 200.0, "{}", hot.percentile(99.0));
    let many = world(10_000).run();
    assert!((0..4).all(|replica| (0.2..0.3).contains(&many.share_of(replica))), "{:?}", many.given);
}

/// Goal: the same seed is the same world.
#[test]
fn seeds_repeat() {
    let run = |seed| World { seed, length: 5.0, ..World::new(Policy::PeakEwma, &[USUAL; 3], 300.0) }.run();
    assert_eq!(run(7).latencies, run(7).latencies);
    assert_ne!(run(7).latencies, run(8).latencies);
}
