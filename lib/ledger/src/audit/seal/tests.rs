use super::*;

fn entry(actor: &str, action: &str, subject: &str, detail: &str) -> Entry {
    let [actor, action, subject, detail] = [actor, action, subject, detail].map(str::to_owned);
    Entry { actor, action, subject, detail }
}

/// Goal: the encoding is the one that `docs/formats/ledger.md` draws, so that a stranger can check a log without us:
/// this digest was computed there by hand with `printf` and `sha256sum`.
#[test]
fn the_encoding_is_the_documented_one() {
    let digest = seal(GENESIS, 1, Timestamp::from_millis(1_000), &entry("ana", "deploy", "api", ""));
    assert_eq!(digest.to_string(), "350af31e230590081abf8e9f7136190c661f5e061715bd30140c0c51fb16d948");
    assert_eq!(format!("{digest:?}"), digest.to_string());
}

/// Goal: entries that differ anywhere have different digests, also when their texts joined are the same.
#[test]
fn different_entries_have_different_digests() {
    let at = Timestamp::from_millis(5);
    let base = seal(GENESIS, 1, at, &entry("ab", "c", "", "d"));
    let others = [
        seal(GENESIS, 1, at, &entry("a", "bc", "", "d")),
        seal(GENESIS, 1, at, &entry("ab", "", "c", "d")),
        seal(GENESIS, 1, at, &entry("ab", "c", "d", "")),
        seal(GENESIS, 2, at, &entry("ab", "c", "", "d")),
        seal(GENESIS, 1, Timestamp::from_millis(6), &entry("ab", "c", "", "d")),
        seal(Seal([1; 32]), 1, at, &entry("ab", "c", "", "d")),
    ];
    assert!(others.iter().all(|other| *other != base));
}
