use super::*;

fn names(count: u64) -> Vec<u64> {
    (0..count).map(|number| number_of(format!("api-{number}#1").as_bytes())).collect()
}

fn place(key: u64, names: &[u64], usable: impl Fn(usize) -> bool) -> usize {
    choose(key, names.len(), |index| names[index], |_| 0, usable).unwrap()
}

/// Goal: when one of n replicas goes, its keys move and no others; when one comes, it takes about an nth.
#[test]
fn few_keys_move() {
    let names = names(10);
    let keys = 20_000_u64;
    let gone = 3;
    let mut moved = 0;
    for key in (0..keys).map(|key| number_of(&key.to_le_bytes())) {
        let (before, after) = (place(key, &names, |_| true), place(key, &names, |index| index != gone));
        if before != after {
            assert_eq!(before, gone, "only keys of the one that went move");
            moved += 1;
        }
    }
    assert!((1_800..2_200).contains(&moved), "{moved} of {keys} moved, a tenth would be fair");
}

/// Goal: keys are spread evenly.
#[test]
fn keys_are_spread() {
    let names = names(7);
    let mut counts = [0_u32; 7];
    for key in 0..70_000_u64 {
        counts[place(number_of(&key.to_le_bytes()), &names, |_| true)] += 1;
    }
    assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
}

/// Goal: however hot a key is, no replica has more than a quarter above the mean (and the few that always fit), and it goes back home when there is room.
#[test]
fn load_is_bounded() {
    let names = names(5);
    let mut loads = [0_u64; 5];
    for number in 0..1_000_u64 {
        // Nine in ten requests have the same key.
        let key = number_of(&(if number % 10 == 0 { number } else { 42 }).to_le_bytes());
        let chosen = choose(key, 5, |index| names[index], |index| loads[index], |_| true).unwrap();
        loads[chosen] += 1;
        let mean = (number + 1) as f64 / 5.0;
        assert!(loads[chosen] as f64 <= (mean * 1.25).ceil().max(ALWAYS as f64), "{loads:?} at {number}");
    }
    assert!(loads.iter().all(|&load| load > 0));
    let key = number_of(&42_u64.to_le_bytes());
    assert_eq!(
        choose(key, 5, |index| names[index], |_| 0, |_| true),
        choose(key, 5, |index| names[index], |_| 7, |_| true),
        "equal loads leave a key where it is"
    );
}

/// Goal: nobody usable is nobody.
#[test]
fn nobody() {
    assert_eq!(choose(1, 0, |_| 0, |_| 0, |_| true), None);
    assert_eq!(choose(1, 3, |_| 0, |_| 0, |_| false), None);
}

/// Goal: with few requests in flight, which a browser makes at once, a key keeps its replica.
#[test]
fn a_few_at_once_stay_together() {
    let names = names(3);
    for key in (0..100_u64).map(|key| number_of(&key.to_le_bytes())) {
        let home = place(key, &names, |_| true);
        for busy in 0..ALWAYS {
            let load = |index: usize| if index == home { busy } else { 0 };
            assert_eq!(choose(key, 3, |index| names[index], load, |_| true), Some(home), "{busy} in flight");
        }
        let load = |index: usize| if index == home { ALWAYS } else { 0 };
        assert_ne!(choose(key, 3, |index| names[index], load, |_| true), Some(home), "a hot key moves on");
    }
}
