use std::{sync::Arc, time::Duration};

use carillon_socketio::Place as _;
use governor::clock::FakeRelativeClock;

use super::*;

fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn small() -> LimitSettings {
    LimitSettings {
        enabled: true,
        message_burst: count(3),
        message_rate: count(2),
        max_connections: None,
        event_burst: count(5),
        event_rate: count(4),
        joined_chats: count(3),
        user_connections: count(2),
        address_connections: count(3),
        connection_rate: count(4),
        request_rate: count(5),
    }
}

fn limits() -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    limits_of(&small())
}

fn limits_of(settings: &LimitSettings) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    limits_within(settings, 100)
}

/// With room for so many sessions.
fn limits_within(settings: &LimitSettings, sessions: u32) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    let capacity = Capacity {
        sockets: 1_000,
        sessions: count(sessions),
        turned_away: count(2),
    };
    (Limits::with_clock(settings, &capacity, clock.clone()), clock)
}

fn user(id: &str) -> UserId {
    UserId::parse(id.to_owned()).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn refused(limits: &Limits<FakeRelativeClock>, limit: Limit) -> u64 {
    limits.refused().find(|(known, _)| *known == limit).unwrap().1
}

#[test]
fn a_users_messages_come_in_a_burst_and_then_at_the_rate() {
    let (limits, clock) = limits();
    let alice = user("alice");

    assert!((0..3).all(|_| limits.message(&alice).is_ok()));
    assert_eq!(limits.message(&alice), Err(RetryAfter { millis: 500 }));
    clock.advance(Duration::from_millis(200));
    assert_eq!(limits.message(&alice), Err(RetryAfter { millis: 300 }));
    clock.advance(Duration::from_millis(300));
    assert_eq!(limits.message(&alice), Ok(()));
    assert!(limits.message(&alice).is_err());
    assert_eq!(refused(&limits, Limit::Messages), 3);
}

#[test]
fn a_retry_at_the_told_time_is_let_in() {
    let settings = LimitSettings {
        message_rate: count(3),
        ..small()
    };
    let (limits, clock) = limits_of(&settings);
    let alice = user("alice");
    while limits.message(&alice).is_ok() {}

    let RetryAfter { millis } = limits.message(&alice).unwrap_err();
    assert_eq!(millis, 334);
    clock.advance(Duration::from_millis(millis));
    assert_eq!(limits.message(&alice), Ok(()));
}

#[test]
fn the_default_bucket_holds_200_messages_and_refills_by_20_a_second() {
    let (limits, clock) = limits_of(&LimitSettings::default());
    let alice = user("alice");
    let sent = |limits: &Limits<_>| (0..1_000).filter(|_| limits.message(&alice).is_ok()).count();

    assert_eq!(sent(&limits), 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(sent(&limits), 20);
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(sent(&limits), 200);
}

#[test]
fn one_user_or_address_does_not_use_up_anothers() {
    let (limits, _) = limits();
    while limits.message(&user("alice")).is_ok() {}
    while limits.user_request(&user("alice")).is_ok() {}
    while limits.request(address("10.0.0.1")).is_ok() {}

    assert!(limits.message(&user("bob")).is_ok());
    assert!(limits.user_request(&user("bob")).is_ok());
    assert!(limits.request(address("10.0.0.2")).is_ok());
}

#[test]
fn requests_of_an_address_are_limited_per_second() {
    let (limits, clock) = limits();
    let home = address("10.0.0.1");

    assert_eq!((0..10).filter(|_| limits.request(home).is_ok()).count(), 5);
    assert_eq!(limits.request(home), Err(RetryAfter { millis: 200 }));
    clock.advance(Duration::from_secs(1));
    assert_eq!((0..10).filter(|_| limits.request(home).is_ok()).count(), 5);
}

#[test]
fn an_ipv6_address_counts_by_its_64_and_a_mapped_one_as_ipv4() {
    let (limits, _) = limits();
    while limits.request(address("2001:db8:1:2::1")).is_ok() {}
    while limits.request(address("10.0.0.1")).is_ok() {}

    assert!(limits.request(address("2001:db8:1:2:ffff::9")).is_err());
    assert!(limits.request(address("2001:db8:1:3::1")).is_ok());
    assert!(limits.request(address("::ffff:10.0.0.1")).is_err());
    assert!(limits.request(address("::ffff:10.0.0.2")).is_ok());
}

#[test]
fn a_users_events_come_in_a_burst_and_then_at_the_rate() {
    let (limits, clock) = limits();
    let alice = user("alice");

    assert!((0..5).all(|_| limits.event(&alice).is_ok()));
    assert_eq!(limits.event(&alice), Err(RetryAfter { millis: 250 }));
    assert!(limits.event(&user("bob")).is_ok());
    assert!(
        limits.message(&alice).is_ok(),
        "messages are counted by themselves"
    );
    clock.advance(Duration::from_millis(250));
    assert_eq!(limits.event(&alice), Ok(()));
    assert!(limits.event(&alice).is_err());
    assert_eq!(refused(&limits, Limit::Events), 2);
}

#[test]
fn by_default_a_user_asks_5000_events_at_once_and_500_a_second() {
    let (limits, clock) = limits_of(&LimitSettings::default());
    let alice = user("alice");
    let asked = |limits: &Limits<_>| (0..10_000).filter(|_| limits.event(&alice).is_ok()).count();

    assert_eq!(asked(&limits), 5_000);
    clock.advance(Duration::from_secs(1));
    assert_eq!(asked(&limits), 500);
}

#[test]
fn a_user_holds_so_many_connections_until_one_is_dropped() {
    let (limits, _) = limits();
    let alice = user("alice");
    let first = limits.connection(&alice).unwrap();
    let _second = limits.connection(&alice).unwrap();

    assert_eq!(
        limits.connection(&alice).unwrap_err(),
        RetryAfter { millis: 1_000 }
    );
    drop(first);
    assert!(limits.connection(&alice).is_ok());
    assert_eq!(refused(&limits, Limit::UserConnections), 1);
}

#[test]
fn an_address_holds_so_many_sessions_and_a_refusal_holds_none() {
    let (limits, clock) = limits();
    let office = address("10.0.0.1");
    let slots: Vec<_> = (0..3).map(|_| limits.session(office).unwrap()).collect();

    assert!(limits.session(office).is_err());
    assert!(limits.arrival(office).is_err());
    assert_eq!(refused(&limits, Limit::AddressConnections), 2);
    assert!(limits.session(address("10.0.0.2")).is_ok());
    drop(slots);
    clock.advance(Duration::from_secs(1));
    assert!(limits.session(office).is_ok());
}

#[test]
fn new_sessions_of_an_address_are_limited_per_second_and_those_that_move_here_are_not() {
    let (limits, clock) = limits();
    let office = address("10.0.0.1");
    let open = || limits.session(office).map(drop);

    assert_eq!((0..10).filter(|_| open().is_ok()).count(), 4);
    assert_eq!(open(), Err(RetryAfter { millis: 250 }));
    assert_eq!(refused(&limits, Limit::ConnectionRate), 7);
    assert!(limits.arrival(office).is_ok());
    clock.advance(Duration::from_millis(250));
    assert_eq!(open(), Ok(()));
    assert_eq!((limits.sessions.keys(), limits.address_sessions.keys()), (0, 0));
}

#[test]
fn a_node_holds_so_many_sessions_from_wherever_also_with_limits_off() {
    for enabled in [true, false] {
        let settings = LimitSettings { enabled, ..small() };
        let (limits, _) = limits_within(&settings, 5);
        let from = |host: u8| limits.session(IpAddr::from([10, 0, 0, host]));
        let mut slots: Vec<_> = (0..5).map(|host| from(host).unwrap()).collect();

        assert_eq!(from(9).unwrap_err(), RetryAfter { millis: 1_000 });
        assert!(limits.arrival(address("10.0.0.9")).is_err());
        assert_eq!(refused(&limits, Limit::NodeConnections), 2);
        slots.pop();
        assert!(from(9).is_ok());
    }
}

#[test]
fn so_many_are_told_at_once_that_there_is_no_room() {
    let (limits, _) = limits();
    let retry = RetryAfter { millis: 70 };
    let first = limits.turn_away(retry).unwrap();
    let _second = limits.turn_away(retry).unwrap();

    assert!(limits.turn_away(retry).is_none());
    let refusal = first.refusal().unwrap();
    assert_eq!(refusal.message, "Too many connections");
    assert_eq!(
        refusal.data.unwrap().to_json(),
        r#"{"code":"rate_limited","retryAfterMs":70}"#
    );
    drop(first);
    assert!(limits.turn_away(retry).is_some());
}

#[test]
fn a_connection_joins_so_many_chats_also_with_limits_off() {
    for enabled in [true, false] {
        let (limits, _) = limits_of(&LimitSettings { enabled, ..small() });
        assert_eq!(limits.chat(2), Ok(()));
        assert_eq!(limits.chat(3), Err(RetryAfter { millis: 1_000 }));
        assert_eq!(refused(&limits, Limit::JoinedChats), 1);
    }
}

#[test]
fn off_lifts_what_is_per_user_and_per_address() {
    let (limits, _) = limits_within(
        &LimitSettings {
            enabled: false,
            ..small()
        },
        1_000,
    );
    let (alice, home) = (user("alice"), address("10.0.0.1"));

    let slots: Vec<_> = (0..100)
        .map(|_| (limits.session(home), limits.connection(&alice)))
        .collect();

    assert!(
        slots
            .iter()
            .all(|(session, user)| session.is_ok() && user.is_ok())
    );
    assert!((0..100).all(|_| limits.message(&alice).is_ok() && limits.event(&alice).is_ok()));
    assert!((0..100).all(|_| limits.user_request(&alice).is_ok() && limits.request(home).is_ok()));
    assert!(limits.refused().all(|(_, count)| count == 0));
}

#[test]
fn a_sweep_forgets_full_buckets_only() {
    let (limits, clock) = limits();
    for id in 0..1_000 {
        limits.message(&user(&id.to_string())).unwrap();
        limits.request(IpAddr::from(u32::to_be_bytes(id))).unwrap();
    }
    clock.advance(Duration::from_secs(10));
    while limits.message(&user("busy")).is_ok() {}

    limits.sweep();

    assert_eq!((limits.messages.len(), limits.address_requests.len()), (1, 0));
    assert!(limits.message(&user("busy")).is_err());
}

#[test]
fn dropped_connections_leave_nothing_behind() {
    let limits = Arc::new(Limits::new(
        &LimitSettings::default(),
        &Capacity::of(10_000, None),
    ));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let limits = &limits;
            scope.spawn(move || {
                for turn in 0..100 {
                    let user = user(&(turn % 7).to_string());
                    let session = limits.session(address(&format!("10.0.0.{thread}")));
                    drop((session, limits.connection(&user)));
                }
            });
        }
    });
    assert_eq!(
        (
            limits.user_connections.keys(),
            limits.address_sessions.keys(),
            limits.sessions.keys()
        ),
        (0, 0, 0)
    );
}
