use super::*;

fn check(value: &str, length: u64, expected: Asked) {
    assert_eq!(read(value, length), expected, "{value:?} of {length}");
}

fn part(first: u64, last: u64) -> Asked {
    Asked::Part { first, last }
}

/// Goal: one range is cut to what the file has.
#[test]
fn reads_one_range() {
    check("bytes=0-0", 100, part(0, 0));
    check("bytes=0-99", 100, part(0, 99));
    check("bytes=10-19", 100, part(10, 19));
    check("bytes=90-1000", 100, part(90, 99));
    check("bytes=99-", 100, part(99, 99));
    check("bytes=0-", 100, part(0, 99));
    check("bytes=-1", 100, part(99, 99));
    check("bytes=-100", 100, part(0, 99));
    check("bytes=-1000", 100, part(0, 99));
    check("Bytes = 5-6", 100, part(5, 6));
    check("bytes=\t5-6 ,", 100, part(5, 6));
    check("bytes=5-18446744073709551616", 100, part(5, 99));
    check("bytes=-99999999999999999999999", 100, part(0, 99));
}

/// Goal: a range beyond the end can not be answered.
#[test]
fn notices_what_is_beyond() {
    check("bytes=100-", 100, Asked::Beyond);
    check("bytes=100-200", 100, Asked::Beyond);
    check("bytes=99999999999999999999999-", 100, Asked::Beyond);
    check("bytes=-0", 100, Asked::Beyond);
    check("bytes=0-", 0, Asked::Beyond);
    check("bytes=-5", 0, Asked::Whole);
}

/// Goal: what is no range of bytes is ignored, and so are several ranges, however many.
#[test]
fn answers_the_rest_with_the_whole() {
    for value in [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=5",
        "bytes=--5",
        "bytes=5-6-7",
        "bytes=+5-6",
        "bytes=0x1-2",
        "items=0-5",
        "bytes 0-5",
        "bytes=1 2-3",
        "bytes=,",
        "bytes=0-1,2-3",
        "bytes=0-1, -1",
        "bytes=0-,0-",
    ] {
        check(value, 100, Asked::Whole);
    }
    check(&format!("bytes=0-{}", ",0-".repeat(1300)), 100, Asked::Whole);
}
