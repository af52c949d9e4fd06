use super::*;

/// Goal: the log says what a panic said, whichever way it was said.
#[test]
fn panic_messages_are_found() {
    let cases: [(Box<dyn Any + Send>, &str); 3] = [
        (Box::new("a literal"), "a literal"),
        (Box::new("a string".to_owned()), "a string"),
        (Box::new(7), "a value that is not text"),
    ];
    for (payload, expected) in cases {
        assert_eq!(message_of(payload.as_ref()), expected);
    }
}
