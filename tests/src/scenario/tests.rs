use super::compare::matches;
use super::normal::normal;
use super::*;

const STORY: &str = "\
# Goal: a story is read.

$ prumo check
error: no

hint: yes
exit 3

# A remark between two steps.
$ up
$ curl /
200
…
-- prumo.toml --
[site]
name = \"x\"
-- other.txt --
";

/// Goal: steps, remarks and files are told apart, and writing them gives the same file.
#[test]
fn a_story_is_read_and_written() {
    let scenario = Scenario::read(STORY).unwrap();
    let steps: Vec<(&str, &str, i32)> = scenario.steps().map(|step| (&*step.command, &*step.says, step.exit)).collect();
    assert_eq!(steps, [("prumo check", "error: no\n\nhint: yes\n", 3), ("up", "", 0), ("curl /", "200\n…\n", 0)]);
    let files: Vec<(&str, &str)> = scenario.files.iter().map(|(name, text)| (&**name, &**text)).collect();
    assert_eq!(files, [("prumo.toml", "[site]\nname = \"x\"\n"), ("other.txt", "")]);
    assert_eq!(scenario.write(), STORY);
}

/// Goal: a file that is not a story is refused with a reason.
#[test]
fn what_is_no_story_is_refused() {
    assert!(Scenario::read("$ up\n").unwrap_err().contains("# Goal"));
    assert!(Scenario::read("# Goal: x\nstray\n").unwrap_err().contains("line 2"));
}

/// Goal: correcting changes only the steps that said something else.
#[test]
fn only_what_differs_is_corrected() {
    let scenario = Scenario::read(STORY).unwrap();
    let done = |says: &str, exit| Done { says: says.to_owned(), exit };
    let corrected = scenario.corrected(&[done("fine\n", 0), done("", 0), done("200\nlong\npage\n", 0)]);
    assert_eq!(corrected.write(), STORY.replace("error: no\n\nhint: yes\nexit 3\n", "fine\n"));
}

/// Goal: the mark for anything stands for text in a line or for whole lines, and for nothing else.
#[test]
fn anything_matches_anything() {
    let check = |expected: &str, actual: &str, verdict: bool| {
        assert_eq!(matches(expected, actual), verdict, "{expected:?} {actual:?}");
    };
    check("a\n", "a\n", true);
    check("a\n", "a\nb\n", false);
    check("a…c\n", "abbc\n", true);
    check("a…c\n", "abbcd\n", false);
    check("…\n", "", true);
    check("a\n…\nz\n", "a\nb\nc\nz\n", true);
    check("a\n…\nz\n", "a\nb\nc\n", false);
}

/// Goal: what differs from run to run is named, and nothing else is touched.
#[test]
fn variable_text_is_named() {
    let known = [("[EDGE]", "21234".to_owned()), ("[SITE]", "/tmp/x1".to_owned())];
    let check = |text: &str, expected: &str| assert_eq!(normal(text, &known), expected);
    check("at 2026-01-02T03:04:05.678Z (pid 99)", "at [TIME] (pid [PID])");
    check("http://127.0.0.1:21234 and 127.0.0.1:4000", "http://127.0.0.1:[EDGE] and 127.0.0.1:[PORT]");
    check("127.0.0.1:21234 (pid 21234)", "127.0.0.1:[EDGE] (pid [PID])");
    check("\"pid\":21234,\"response_time_ms\":0.21234", "\"pid\":[PID],\"response_time_ms\":[MS]");
    check("/tmp/x1/prumo.toml:3:1", "[SITE]/prumo.toml:3:1");
    check("  0.3s  web  release 2", "[SECONDS]  web  release 2");
    check(
        "  0.3s  web  release 2  started\n  5.1s  web  release 2  waiting for web-3 to stop, 5s of at most 10s\ndone",
        "[SECONDS]  web  release 2  started\ndone",
    );
    check("  5.1s  web  waiting: checking\n", "");
    check("pid 1     healthy   \nnext", "pid [PID]  healthy\nnext");
    check("release 2 of 3", "release 2 of 3");
}
