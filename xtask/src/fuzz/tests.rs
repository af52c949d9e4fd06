use super::{coverages, final_stat};

const PRINTED: &str = "\
INFO: Loaded 1 PC tables (190 PCs): 190 [0x1,0x2),
#2	INITED cov: 8 ft: 8 corp: 1/1b exec/s: 0 rss: 27Mb
#7	NEW    cov: 19 ft: 9 corp: 2/3b lim: 4 exec/s: 0 rss: 27Mb
stat::number_of_executed_units: 4711
";

/// Goal: coverage and runs are read from what libFuzzer prints, so that a blind fuzzer is noticed.
#[test]
fn libfuzzer_is_read() {
    assert_eq!(coverages(PRINTED), [8, 19]);
    assert_eq!(final_stat(PRINTED, "number_of_executed_units"), 4711);
    assert!(coverages("#2	INITED exec/s: 0 rss: 27Mb").is_empty());
}
