use super::*;

const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn settings(from: TraceFrom, sample: f64) -> Tracing {
    Tracing::new(from, sample)
}

/// What an app is told of a request with these headers, `(traceparent, tracestate)`, and the trace's id.
fn told(parents: &[&str], states: &[&str], trusted: bool, settings: &Tracing) -> (String, Vec<String>, String) {
    let mut headers = HeaderMap::new();
    for (name, values) in [(PARENT, parents), (STATE, states)] {
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
    }
    let mut drawn = 0x1111_1111_1111_1110_u64;
    let trace = Trace::of(&headers, trusted, settings, || {
        drawn += 0x10;
        drawn
    });
    trace.write(&mut headers);
    let text = |name: HeaderName| headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned());
    let parent: Vec<String> = text(PARENT).collect();
    assert_eq!(parent.len(), 1, "one parent goes on");
    (parent[0].clone(), text(STATE).collect(), String::from_utf8(trace.id.to_vec()).unwrap())
}

/// Goal: a valid parent goes on with our span and its known flags; anything else begins a new trace (TRACE-01).
#[test]
fn goes_on_with_valid_parents_only() {
    let everybody = settings(TraceFrom::Anybody, 0.0);
    let check = |parent: &str, flags: Option<&str>| {
        let (told, _, id) = told(&[parent], &[], false, &everybody);
        match flags {
            Some(flags) => assert_eq!(told, format!("00-{ID}-1111111111111121-{flags}"), "{parent}"),
            None => assert!(id != ID && told.ends_with("-00"), "{parent} → {told}"),
        }
        assert!(!told.contains(SPAN), "the app's parent is ours: {told}");
    };
    check(&format!("00-{ID}-{SPAN}-01"), Some("01"));
    check(&format!("00-{ID}-{SPAN}-00"), Some("00"));
    check(&format!("00-{ID}-{SPAN}-03"), Some("03"));
    check(&format!("00-{ID}-{SPAN}-ff"), Some("03"));
    check(&format!("cc-{ID}-{SPAN}-01"), Some("01"));
    check(&format!("cc-{ID}-{SPAN}-01-what-the-future-says"), Some("01"));
    check(&format!("cc-{ID}-{SPAN}-01.what"), None);
    check(&format!("00-{ID}-{SPAN}-01-more"), None);
    check(&format!("ff-{ID}-{SPAN}-01"), None);
    check(&format!("0-{ID}-{SPAN}-01"), None);
    check(&format!("00-{}-{SPAN}-01", ID.to_uppercase()), None);
    check(&format!("00-{}-{SPAN}-01", "0".repeat(32)), None);
    check(&format!("00-{ID}-{}-01", "0".repeat(16)), None);
    check(&format!("00-{ID}-{SPAN}-0g"), None);
    check(&format!("00-{ID}-{SPAN}-1"), None);
    check(&format!("00_{ID}-{SPAN}-01"), None);
    check("", None);
}

/// Goal: two parents are none.
#[test]
fn two_parents_are_none() {
    let parent = format!("00-{ID}-{SPAN}-01");
    let (told, states, id) = told(&[&parent, &parent], &["a=1"], true, &settings(TraceFrom::Anybody, 0.0));
    assert!(id != ID && states.is_empty(), "{told}");
}

/// Goal: a stranger's trace is not believed unless the site says so, a trusted proxy's is.
#[test]
fn believes_who_is_trusted() {
    let parent = format!("00-{ID}-{SPAN}-01");
    let check = |from: TraceFrom, trusted: bool, goes_on: bool| {
        let (_, states, id) = told(&[&parent], &["a=1"], trusted, &settings(from, 1.0));
        assert_eq!((id == ID, !states.is_empty()), (goes_on, goes_on), "{from:?} {trusted}");
    };
    check(TraceFrom::TrustedProxies, false, false);
    check(TraceFrom::TrustedProxies, true, true);
    check(TraceFrom::Anybody, false, true);
}

/// Goal: a new trace is sampled as often as the site says.
#[test]
fn new_traces_are_sampled() {
    let sampled = |sample: f64| {
        let mut number = 1_u64;
        let mut draw = || {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            number ^ number >> 32
        };
        let settings = settings(TraceFrom::Anybody, sample);
        (0..10_000).filter(|_| Trace::begin(&settings, &mut draw).parent().ends_with(b"-01")).count()
    };
    assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
    assert!((800..1200).contains(&sampled(0.1)), "{}", sampled(0.1));
}

/// Goal: `tracestate` is passed on as it came when it can be read, and not at all when it cannot.
#[test]
fn passes_states_that_can_be_read() {
    let parent = format!("00-{ID}-{SPAN}-01");
    let check = |states: &[&str], passes: bool| {
        let (_, told, _) = told(&[&parent], states, true, &settings(TraceFrom::Anybody, 1.0));
        assert_eq!(told, if passes { states.to_vec() } else { Vec::new() }, "{states:?}");
    };
    check(&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], true);
    check(&["a=1", "b=2, ,c@d=3"], true);
    check(&["a"], false);
    check(&["a="], false);
    check(&["A=1"], false);
    check(&["a=1=2"], false);
    check(&["=1"], false);
    check(&[""], false);
    check(&[&format!("a={}", "x".repeat(257))], false);
    check(&["a=1,"; 33], false);
    check(&[&format!("a={}", "x".repeat(250)), &format!("b={}", "x".repeat(250)), "c=0123456789"], false);
}

/// Goal: the last digits of a number are written, as many as there is room for.
#[test]
fn digits_are_written() {
    let check = |number: u64, expected: &str| {
        let mut digits = vec![0; expected.len()];
        write_hex(&mut digits, number);
        assert_eq!(String::from_utf8(digits).unwrap(), expected);
    };
    check(0x0123_4567_89ab_cdef, "0123456789abcdef");
    check(u64::MAX, "ffffffffffffffff");
    check(1, "0000000000000001");
    check(0xff01, "01");
}
