//! Which server next, and when.

use std::net::SocketAddr;

use election::testing::logic::Time;
use election::testing::zk::{Next, Servers};

fn at(ms: u64) -> Time {
    Time(0).plus_ms(ms)
}

fn addresses(count: u8) -> Vec<SocketAddr> {
    (1..=count).map(|last| SocketAddr::from(([10, 0, 0, last], 2181))).collect()
}

/// The addresses of a round, in its order.
fn round(servers: &mut Servers, now: Time, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    assert_eq!(servers.next(now), Next::LookUp);
    servers.set_addresses(now, addresses);
    let mut tried = Vec::new();
    while let Next::Dial(address) = servers.next(now) {
        servers.failed(now, address);
        tried.push(address);
    }
    tried
}

fn wait(servers: &mut Servers, now: Time) -> Time {
    match servers.next(now) {
        Next::WaitUntil(then) => then,
        next => panic!("{next:?}"),
    }
}

#[test]
fn each_address_once_a_round() {
    let mut firsts = Vec::new();
    for seed in 0..20 {
        let mut servers = Servers::new(seed);
        let mut twice = addresses(5);
        twice.extend(addresses(5));
        let mut tried = round(&mut servers, at(0), twice);
        firsts.push(tried[0]);
        tried.sort();
        assert_eq!(tried, addresses(5));
    }
    firsts.sort();
    firsts.dedup();
    assert_eq!(firsts, addresses(5), "each comes first for somebody");
}

#[test]
fn pauses_grow_to_half_a_second() {
    let (mut servers, mut now) = (Servers::new(1), at(0));
    for most in [25, 50, 100, 200, 400, 500, 500, 500] {
        round(&mut servers, now, addresses(2));
        let then = wait(&mut servers, now);
        assert!(now.plus_ms(most / 2) <= then && then <= now.plus_ms(most), "{most}: {now:?} {then:?}");
        now = then;
    }
    // A failed look-up is a round without addresses.
    assert_eq!(servers.next(now), Next::LookUp);
    servers.set_addresses(now, Vec::new());
    assert!(wait(&mut servers, now) <= now.plus_ms(500));
}

/// After a connection that stood the next round begins at once, with the failed address at its end.
#[test]
fn after_a_connection() {
    let (mut servers, mut now) = (Servers::new(1), at(0));
    for _ in 0..5 {
        round(&mut servers, now, addresses(3));
        now = wait(&mut servers, now);
    }
    assert_eq!(servers.next(now), Next::LookUp);
    servers.set_addresses(now, addresses(3));
    let Next::Dial(address) = servers.next(now) else { panic!() };
    servers.connected(now, address);
    servers.failed(at(100_000), address);
    let tried = round(&mut servers, at(100_000), addresses(3));
    assert_eq!(tried.last(), Some(&address));
    assert!(wait(&mut servers, at(100_000)) <= at(100_025));
}

/// A server that drops each connection at once does not make us spin.
#[test]
fn after_a_short_connection() {
    let (mut servers, mut now) = (Servers::new(1), at(0));
    let mut dials = 0;
    while now < at(10_000) {
        match servers.next(now) {
            Next::LookUp => servers.set_addresses(now, addresses(1)),
            Next::Dial(address) => {
                dials += 1;
                servers.connected(now, address);
                servers.failed(now.plus_ms(199), address);
            }
            Next::WaitUntil(then) => now = then,
            Next::WaitForLookUp => panic!("the addresses are there"),
        }
    }
    assert!(dials < 50, "{dials}");
}

/// While a look-up takes its time, the addresses that were good are tried, the last one first.
#[test]
fn a_slow_look_up() {
    let mut servers = Servers::new(1);
    let good = addresses(2);
    for (start, address) in [(0, good[0]), (1_000, good[1])] {
        assert_eq!(servers.next(at(start)), Next::LookUp);
        servers.set_addresses(at(start), vec![address]);
        assert_eq!(servers.next(at(start)), Next::Dial(address));
        servers.connected(at(start), address);
        servers.failed(at(start + 1_000), address);
    }
    assert_eq!(servers.next(at(2_000)), Next::LookUp);
    assert_eq!(servers.next(at(2_000)), Next::Dial(good[1]));
    assert_eq!(servers.next(at(2_000)), Next::Dial(good[0]));
    assert_eq!(servers.next(at(2_000)), Next::WaitForLookUp);
    servers.set_addresses(at(20_000), addresses(3));
    assert!(matches!(servers.next(at(20_000)), Next::Dial(_)));
}

/// After a lost answer, one thing at a time until a session has stood; at a server that may have hung up for that, until
/// it hangs up on that, too.
#[test]
fn whether_requests_may_follow_a_connect_request() {
    let (mut servers, now) = (Servers::new(1), at(0));
    let [one, other] = addresses(2)[..] else { unreachable!() };
    let may = |servers: &Servers| [one, other].map(|address| servers.may_pipeline(address));
    assert_eq!(may(&servers), [true, true]);
    servers.unanswered(one, true);
    assert_eq!(may(&servers), [false, false]);
    servers.connected(now, other);
    assert_eq!(may(&servers), [false, true]);
    servers.connected(now, one);
    assert_eq!(may(&servers), [false, true]);
    servers.unanswered(one, false);
    assert_eq!(may(&servers), [true, true]);
}

/// A server that opens a session and then refuses us keeps the session. So it is not asked twice a second.
#[test]
fn after_a_refusal_the_pause_is_longer() {
    let (mut servers, mut now) = (Servers::new(1), at(0));
    for round_is_over in [false, true].repeat(10) {
        assert_eq!(servers.next(now), Next::LookUp);
        servers.set_addresses(now, addresses(1));
        let Next::Dial(address) = servers.next(now) else { panic!() };
        if round_is_over {
            // The next server was to be dialled before this one had refused.
            wait(&mut servers, now);
        }
        servers.failed(now, address);
        servers.has_refused(now);
        let then = wait(&mut servers, now);
        assert!(now.plus_ms(1_000) <= then && then <= now.plus_ms(2_000), "{now:?} {then:?}");
        now = then;
        round(&mut servers, now, addresses(3));
        let then = wait(&mut servers, now);
        assert!(then <= now.plus_ms(500), "{now:?} {then:?}");
        now = then;
    }
}
