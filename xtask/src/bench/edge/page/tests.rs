use super::*;

/// Goal: only what is between the marks is replaced, as often as one likes; a page without them is left alone.
#[test]
fn the_section_is_replaced() {
    let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
    let once = replaced(&page, "new\n").expect("the marks are there");
    assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
    assert_eq!(replaced(&once, "new\n"), Some(once.clone()));
    assert_eq!(replaced("no marks", "new\n"), None);
}

/// Goal: the page of this repository has the marks.
#[test]
fn the_page_has_the_marks() {
    let page = checkout::read(&checkout::root().join("docs/benchmarks.md")).expect("the page is there");
    assert!(replaced(&page, "").is_some());
}
