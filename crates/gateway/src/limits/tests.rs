use std::{sync::Arc, time::Duration};

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
        user_connections: count(2),
        address_connections: count(3),
        connection_rate: count(4),
        request_rate: count(5),
    }
}

fn limits() -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Limits::with_clock(&small(), clock.clone()), clock)
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
    let clock = FakeRelativeClock::default();
    let limits = Limits::with_clock(&settings, clock.clone());
    let alice = user("alice");
    while limits.message(&alice).is_ok() {}

    let RetryAfter { millis } = limits.message(&alice).unwrap_err();
    assert_eq!(millis, 334);
    clock.advance(Duration::from_millis(millis));
    assert_eq!(limits.message(&alice), Ok(()));
}

#[test]
fn the_default_bucket_holds_200_messages_and_refills_by_20_a_second() {
    let clock = FakeRelativeClock::default();
    let limits = Limits::with_clock(&LimitSettings::default(), clock.clone());
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
fn a_user_holds_so_many_connections_until_one_is_dropped() {
    let (limits, _) = limits();
    let alice = user("alice");
    let first = limits.connection(address("10.0.0.1"), &alice).unwrap();
    let _second = limits.connection(address("10.0.0.2"), &alice).unwrap();

    assert_eq!(
        limits.connection(address("10.0.0.3"), &alice).unwrap_err(),
        RetryAfter { millis: 1_000 }
    );
    drop(first);
    assert!(limits.connection(address("10.0.0.3"), &alice).is_ok());
    assert_eq!(refused(&limits, Limit::UserConnections), 1);
}

#[test]
fn an_address_holds_so_many_connections_and_a_refusal_holds_none() {
    let (limits, clock) = limits();
    let office = address("10.0.0.1");
    let slots: Vec<_> = ["a", "b", "c"]
        .map(|id| limits.connection(office, &user(id)).unwrap())
        .into();

    assert!(limits.connection(office, &user("d")).is_err());
    assert_eq!(refused(&limits, Limit::AddressConnections), 1);
    assert_eq!(limits.user_connections.keys(), 3);
    drop(slots);
    clock.advance(Duration::from_secs(1));
    assert!(limits.connection(office, &user("d")).is_ok());
}

#[test]
fn new_connections_of_an_address_are_limited_per_second() {
    let (limits, clock) = limits();
    let office = address("10.0.0.1");
    let open = || limits.connection(office, &user("a")).map(drop);

    assert_eq!((0..10).filter(|_| open().is_ok()).count(), 4);
    assert_eq!(open(), Err(RetryAfter { millis: 250 }));
    assert_eq!(refused(&limits, Limit::ConnectionRate), 7);
    clock.advance(Duration::from_millis(250));
    assert_eq!(open(), Ok(()));
}

#[test]
fn off_lifts_everything() {
    let limits = Limits::new(&LimitSettings {
        enabled: false,
        ..small()
    });
    let (alice, home) = (user("alice"), address("10.0.0.1"));

    let slots: Vec<_> = (0..100).map(|_| limits.connection(home, &alice)).collect();

    assert!(slots.iter().all(Result::is_ok));
    assert!((0..100).all(|_| limits.message(&alice).is_ok() && limits.user_request(&alice).is_ok()));
    assert!((0..100).all(|_| limits.request(home).is_ok()));
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
    let limits = Arc::new(Limits::new(&LimitSettings::default()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let limits = &limits;
            scope.spawn(move || {
                for turn in 0..100 {
                    let user = user(&(turn % 7).to_string());
                    let _ = limits
                        .connection(address(&format!("10.0.0.{thread}")), &user)
                        .map(drop);
                }
            });
        }
    });
    assert_eq!(
        (limits.user_connections.keys(), limits.address_connections.keys()),
        (0, 0)
    );
}
