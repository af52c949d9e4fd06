use std::path::PathBuf;

use prumo_clock::Moment;

use super::*;

const ROOM: u64 = 2_600_000;

/// A client that takes so many bytes a second of an endless answer, behind a socket whose kernel has room for 2.6 MB and
/// says so only when a third of it is free. After how many seconds within half an hour it is cut.
fn cut_after(rate: u64, kernel_tells: bool) -> Option<u64> {
    let mut settings = Settings::new(PathBuf::new());
    settings.body_timeout = Duration::from_secs(30);
    let all = Rc::new(Deadlines::new(settings.body_rate_min, settings.body_timeout));
    let pace = Pace::new(all.add(), &settings);
    pace.pass_on(Some(Duration::from_secs(3600)));
    let (mut given, mut taken) = (0, 0);
    for second in 0..1800 {
        if ROOM - (given - taken) >= ROOM / 3 {
            given = taken + ROOM;
            pace.given.set(given);
            pace.deadline.progress();
        }
        pace.deadline.is_blocked(true);
        (0..20).for_each(|part| all.sweep(Moment::from_nanos((second * 1000 + part * 50) * 1_000_000)));
        if let Some(waited) = pace.deadline.debt_is_due()
            && pace.judge_by(kernel_tells.then_some(given - taken), waited)
        {
            assert!(pace.is_expired());
            assert_eq!(pace.why_cut(), BodyCut::Stalled);
            return Some(second);
        }
        taken = given.min(taken + rate);
    }
    None
}

/// Goal: an honest slow reader is never cut, though its socket is full for minutes; one that takes less than the least
/// rate, or nothing, is cut after half a minute.
#[test]
fn only_those_who_hardly_read_are_cut() {
    let check = |rate: u64, expected: Option<u64>| assert_eq!(cut_after(rate, true), expected, "{rate} bytes a second");
    check(10_000_000, None);
    // 56 kbit/s.
    check(7_000, None);
    check(120, None);
    check(50, Some(30));
    check(5, Some(30));
    check(0, Some(30));
}

/// Goal: where the kernel does not tell what was taken, a client is cut that makes no room for half a minute.
#[test]
fn without_the_kernel_room_counts() {
    assert_eq!(cut_after(100_000, false), None);
    assert!(cut_after(0, false).is_some_and(|second| second <= 61), "what the kernel took at first looks taken");
}

/// A request whose client opens its window for so many bytes a second of it, on a connection that others share. After how
/// many seconds within half an hour it is cut. `crowd` says what that connection takes a second, its socket being full, and
/// for how many requests.
fn shared_cut_after(rate: u64, crowd: Option<(Option<u64>, u64)>) -> Option<u64> {
    let mut settings = Settings::new(PathBuf::new());
    settings.body_timeout = Duration::from_secs(30);
    let all = Rc::new(Deadlines::new(settings.body_rate_min, settings.body_timeout));
    let address = "192.0.2.1:1".parse().unwrap();
    let client = Rc::new(Client::new(address, true, 443, &settings, &all));
    let pace = Pace::sharing(all.add(), &settings, client);
    pace.pass_on(None);
    for second in 0..1800 {
        pace.offer(usize::try_from(rate).unwrap());
        (0..20).for_each(|part| all.sweep(Moment::from_nanos((second * 1000 + part * 50) * 1_000_000)));
        let Some(waited) = pace.deadline.debt_is_due() else { continue };
        let crowd = crowd.map(|(taken, requests)| Crowd { taken: taken.map(|taken| taken * second), requests });
        if pace.judge_shared(crowd, waited) {
            assert!(pace.is_expired());
            assert_eq!(pace.why_cut(), BodyCut::Stalled);
            return Some(second);
        }
    }
    None
}

/// Goal: a request of a shared connection is cut when its client takes less than the least rate of it, and not when it
/// only waits for its turn on a socket that is full: then the connection must take as much for each of its requests.
#[test]
fn a_request_is_not_cut_for_those_it_shares_with() {
    let check = |rate, crowd, expected: Option<u64>| {
        assert_eq!(shared_cut_after(rate, crowd), expected, "{rate} bytes a second, {crowd:?}");
    };
    check(7_000, None, None);
    check(120, None, None);
    check(50, None, Some(30));
    check(0, None, Some(30));
    // 56 kbit/s, of which this one gets nothing: twenty requests are in front of it.
    check(0, Some((Some(7_000), 21)), None);
    check(0, Some((Some(120), 1)), None);
    check(0, Some((Some(120), 2)), Some(30));
    check(120, Some((Some(120), 100)), None);
    check(0, Some((Some(0), 1)), Some(30));
    // Nobody tells what was taken.
    check(1, Some((None, 100)), None);
    check(0, Some((None, 1)), Some(30));
}

/// Goal: for a client that has ended its side, the first of two limits to run out counts, and the client is blamed only when
/// that is its own.
#[test]
fn a_half_closed_client_is_blamed_for_its_own_limit() {
    // When its side ends, 0 being before all; what is waited for; when that is over, and whether the client is blamed.
    let check = |closed_at: u64, begin: &dyn Fn(&Pace), expected: (u64, bool)| {
        let mut settings = Settings::new(PathBuf::new());
        settings.half_closed_timeout = Duration::from_secs(10);
        settings.body_timeout = Duration::from_secs(30);
        let all = Rc::new(Deadlines::new(0, settings.body_timeout));
        let pace = Pace::new(all.add(), &settings);
        if closed_at == 0 {
            assert!(pace.half_close());
        }
        begin(&pace);
        for second in 0..100 {
            if second == closed_at {
                assert!(pace.half_close());
            }
            all.sweep(Moment::from_nanos(second * 1_000_000_000));
            if pace.is_expired() {
                assert_eq!((second, pace.blames_client()), expected, "closed at {closed_at}");
                assert_eq!(pace.upstream_is_late(), !expected.1);
                if pace.phase() == Phase::Download {
                    let is_clients = matches!(pace.why_cut(), BodyCut::Client);
                    assert_eq!(is_clients, expected.1, "{:?}", pace.why_cut());
                }
                return;
            }
        }
        panic!("it never ends");
    };
    let answer_within = |limit| move |pace: &Pace| pace.await_answer(Duration::from_secs(limit));
    check(0, &answer_within(2), (2, false));
    check(1, &answer_within(2), (2, false));
    check(0, &answer_within(60), (10, true));
    check(5, &answer_within(60), (15, true));
    check(55, &answer_within(60), (60, false));
    check(5, &|pace| pace.enter(Phase::Upstream), (15, true));
    check(5, &|pace| pace.enter(Phase::Upload), (30, false));
    let silent_for = |limit| move |pace: &Pace| pace.pass_on(Some(Duration::from_secs(limit)));
    check(0, &silent_for(20), (20, false));
    check(5, &silent_for(20), (20, false));
    check(0, &silent_for(60), (30, true));
    check(5, &silent_for(60), (35, true));
}
