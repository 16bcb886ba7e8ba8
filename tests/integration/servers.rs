//! Servers that die, freeze, go and come back, never answer, change their address; and how they are found.

use crate::candidates::{options, Candidate, Observer, TestHandle};
use crate::child::{is_candidate, Child};
use crate::ground::{one_server, three_servers, AT_ONCE, A_MOMENT, LONG_MS, SHORT_MS, SOON};
use crate::pace::Pace;
use crate::relays::Relays;
use crate::witness::Witness;
use election::{Error, Reason, Role};
use std::time::{Duration, Instant};
use testkit::{eventually, opcode, Ensemble, RawClient, Relay, ScratchFolder, Verdict};
use zookeeper::CreateMode;

/// The server that the owner of a znode is connected to.
#[track_caller]
fn server_of_master(ensemble: &Ensemble, ask: usize, path: &str) -> usize {
    let owner = Witness::new(&ensemble.host(ask)).wait_for(path, |_| true).owner;
    let mut server = None;
    eventually(SOON, "the master is connected", || {
        server = ensemble.server_of_session(owner);
        server.is_some()
    });
    server.expect("the wait above has found it")
}

#[test]
fn the_connected_server_is_killed_and_then_the_leader() {
    const PATH: &str = "/server-killed";
    let ensemble = Ensemble::start(3);
    let master = Candidate::stand_for(&ensemble.hosts(), LONG_MS, PATH, "mine");
    let token = master.becomes_master();
    let slave = Candidate::stand_for(&ensemble.hosts(), LONG_MS, PATH, "slave");
    slave.becomes_slave_of("mine");
    let observer = master.handle.observe(PATH);
    observer.sees("mine");
    let interrogation = master.interrogate();

    // Its observers are told at once, the master itself is none the worse.
    let connected = server_of_master(&ensemble, 0, PATH);
    ensemble.kill9(connected);
    observer.sees_nobody(-4);
    assert_eq!(observer.sees("mine").czxid, token);
    ensemble.start_server(connected);
    ensemble.wait_all_serving();

    // With the leader gone, no server serves for a moment.
    let leader = ensemble.wait_leader();
    ensemble.kill9(leader);
    observer.sees_nobody(-4);
    assert_eq!(observer.sees("mine").czxid, token);
    master.ear.hears_nothing_for(A_MOMENT);
    interrogation.end().are_always_yes(token);
    master.handle.close().unwrap();
    eventually(SOON, "the slave follows", || slave.is_master());
}

#[test]
fn the_connected_server_freezes_and_thaws() {
    const PATH: &str = "/server-frozen";
    const TIMEOUT_MS: u64 = LONG_MS;
    /// That of the ensemble.
    const TICK: Duration = Duration::from_millis(500);
    let ensemble = Ensemble::start(3);
    let leader = ensemble.wait_leader();
    let followers: Vec<usize> = (0..3).filter(|&i| i != leader).collect();
    let hosts = format!("{},{}", ensemble.host(followers[0]), ensemble.host(followers[1]));
    // With the tick told: without it the lease of one that hears of the frozen server late may run out first.
    let mut options = options(TIMEOUT_MS);
    options.set_tick(TICK).unwrap();
    let master = TestHandle::open_with(&hosts, &options).stand(PATH, "mine");
    let token = master.becomes_master();
    let observer = master.handle.observe(PATH);
    observer.sees("mine");
    let connected = server_of_master(&ensemble, leader, PATH);
    let interrogation = master.interrogate();

    ensemble.freeze(connected);
    let frozen = Instant::now();
    observer.sees_nobody(-4);
    let left = frozen.elapsed();
    assert!(left < Duration::from_millis(TIMEOUT_MS) * 2 / 5, "it stayed for {left:?}");
    assert_eq!(observer.sees("mine").czxid, token);
    let other = server_of_master(&ensemble, leader, PATH);
    assert_ne!(other, connected);

    ensemble.thaw(connected);
    eventually(SOON, "the thawed server serves", || ensemble.is_serving(connected));
    master.ear.hears_nothing_for(A_MOMENT);
    interrogation.end().are_always_yes(token);
    assert_eq!(
        ensemble.server_of_session(Witness::new(&ensemble.host(leader)).read(PATH).unwrap().owner),
        Some(other)
    );
    Witness::new(&ensemble.host(leader)).delete(PATH);
    master.becomes_unknown(Reason::Deleted, -101);
    // The thawed server may have found an attempt of the client in its backlog and told the leader that the session has moved
    // there. Then the next write breaks the connection, and is asked for again.
    let event = master.next_but_for(&[Reason::Suspended]);
    assert!(master.check_master(&event) > token);
}

#[test]
fn all_servers_are_stopped_for_ten_seconds() {
    if is_candidate() {
        return;
    }
    const PATH: &str = "/all-stopped";
    const OUTAGE: Duration = Duration::from_secs(10);
    let ensemble = Ensemble::start(3);
    let name = "servers::all_servers_are_stopped_for_ten_seconds";
    let child = Child::spawn(&[], name, &ensemble.hosts(), PATH, SHORT_MS);
    let token = child.becomes_master();
    let observer = Observer::watch(&ensemble.hosts(), PATH);
    // Its server may be behind.
    observer.sees_next("child");
    ensemble.stop_all();
    let began = Instant::now();
    child.hears("HEARD Unknown LeaseExpired");
    assert_eq!(child.token(), 0);
    let before = child.cpu_used();
    // What is measured is the time itself.
    std::thread::sleep(OUTAGE.saturating_sub(began.elapsed()));
    let used = child.cpu_used() - before;
    println!("{used:?} of CPU in {OUTAGE:?} without a server");
    assert!(used < OUTAGE / 100, "{used:?} of CPU in {OUTAGE:?}");
    ensemble.start_all();
    ensemble.wait_all_serving();
    let serving = Instant::now();
    // The earlier session came back with the servers, and is master until they expire it.
    assert!(child.becomes_master() > token);
    let took = serving.elapsed();
    println!("{took:?} from all servers back to a master");
    assert!(took < Duration::from_millis(SHORT_MS) + Duration::from_secs(2), "{took:?}");
    loop {
        let master = observer.ear.next().news;
        if master.rc == 0 {
            assert!(*master.value == *b"child");
            break;
        }
    }
}

/// One server of three, cut off from its quorum, that serves read-only (`readonlymode.enabled`). It opens no session for a client
/// that writes: a master loses its lease, hears why, does not hammer the server, and leads again when a quorum is back.
#[test]
fn a_read_only_server_is_named_and_waited_out() {
    const PATH: &str = "/read-only";
    const CAUSE: &str = "is read-only: it has no quorum";
    const WITHOUT_QUORUM: Duration = Duration::from_secs(5);
    let ensemble = Ensemble::builder(3).java_arg("-Dreadonlymode.enabled=true").start();
    let relays = Relays::before(&ensemble);
    let master = Candidate::stand_for(&relays.hosts(), SHORT_MS, PATH, "mine");
    let token = master.becomes_master();
    let interrogation = master.interrogate();
    ensemble.kill9(1);
    ensemble.kill9(2);
    let lapsed = master.lapses();
    eventually(SOON, "the server serves read-only", || ensemble.four_letter(0, "srvr").contains("Mode: read-only"));
    assert!(ensemble.four_letter(0, "isro").starts_with("ro"));
    RawClient::connect(&ensemble.host(0), LONG_MS as i32).expect_err("a session for a client that writes");

    eventually(SOON, "the cause is known", || {
        master.handle.connect_failure().unwrap().is_some_and(|cause| cause.contains(CAUSE))
    });
    let before: usize = relays.0.iter().map(Relay::connection_count).sum();
    std::thread::sleep(WITHOUT_QUORUM);
    let attempts = relays.0.iter().map(Relay::connection_count).sum::<usize>() - before;
    println!("{attempts} connections in {WITHOUT_QUORUM:?} to one server that is read-only and two that are down");
    assert!(attempts <= 60, "{attempts} connections in {WITHOUT_QUORUM:?}");
    interrogation.end().are_no_after(lapsed + A_MOMENT, token);

    // Whoever opens a handle there is told in time, and not let in.
    let asked_at = Instant::now();
    let refused = TestHandle::try_open(&ensemble.host(0), SHORT_MS, Duration::from_secs(1)).map(drop);
    assert_eq!(refused, Err(Error::Timeout));
    assert!(asked_at.elapsed() < Duration::from_secs(2), "{:?}", asked_at.elapsed());

    ensemble.start_all();
    ensemble.wait_all_serving();
    // Its former session may have come back with the servers.
    let event = master.next_but_for(&[Reason::Suspended, Reason::Expired]);
    let event = match event.role {
        Role::Slave => master.next_but_for(&[Reason::Suspended, Reason::Expired]),
        _ => event,
    };
    assert!(master.check_master(&event) > token);
}

#[test]
fn servers_are_tried_in_shuffled_order() {
    const HOW_MANY: usize = 30;
    let ensemble = three_servers();
    let relays = Relays::before(&ensemble);
    let handles: Vec<TestHandle> = (0..HOW_MANY).map(|_| TestHandle::open(&relays.hosts())).collect();
    let share: Vec<usize> = relays.0.iter().map(Relay::open_count).collect();
    // That one gets none by chance: 3 x (2/3)^30, once in 60,000 runs.
    assert!(share.iter().all(|&count| count > 0), "{share:?}");
    assert_eq!(share.iter().sum::<usize>(), HOW_MANY);
    drop(handles);
}

#[test]
fn a_name_is_looked_up_anew_for_each_attempt() {
    if is_candidate() {
        return;
    }
    const PATH: &str = "/name";
    const NAME: &str = "zookeeper.election.test";
    let ensemble = one_server();
    let (one, two) = (Relay::start(ensemble.addr(0)), Relay::start(ensemble.addr(0)));
    assert_eq!(one.addr().port(), two.addr().port());
    let folder = ScratchFolder::new("hosts");
    let file = folder.path().join("hosts");
    // Written in place: the file that is mounted in the child is this very one.
    let point_to = |relay: &Relay| std::fs::write(&file, format!("{} {NAME}\n", relay.addr().ip())).unwrap();
    let nowhere = "127.16.0.1";
    std::fs::write(&file, format!("{nowhere} {NAME}\n")).unwrap();

    // SAFETY: geteuid touches no memory.
    let is_root = unsafe { libc::geteuid() } == 0;
    let namespaces = if is_root { "-m" } else { "-mr" };
    let mount = format!("mount --bind '{}' /etc/hosts && exec \"$0\" \"$@\"", file.display());
    let prefix = ["unshare", namespaces, "sh", "-c", &mount];
    let name = "servers::a_name_is_looked_up_anew_for_each_attempt";
    let child = Child::spawn(&prefix, name, &format!("{NAME}:{}", one.addr().port()), PATH, LONG_MS);
    child.hears("HEARD Unknown Suspended");

    // The first connection, after attempts that failed.
    point_to(&one);
    let token = child.becomes_master();
    assert_eq!((one.open_count(), two.open_count()), (1, 0));

    // The server has moved: the same session goes on there.
    point_to(&two);
    one.refuse(true);
    one.cut_all();
    eventually(SOON, "it is connected there", || two.open_count() == 1);
    assert_eq!(child.token(), token);
    // Longer than the lease that it had.
    std::thread::sleep(Duration::from_millis(LONG_MS));
    assert_eq!(child.token(), token);
    assert_eq!((one.open_count(), two.open_count()), (0, 1));
}

#[test]
fn ipv6() {
    const PATH: &str = "/ipv6";
    let ensemble = Ensemble::builder(1).ipv6(true).start();
    assert!(ensemble.hosts().starts_with("[::1]:"));
    let master = Candidate::stand(&format!("{}/chroot", ensemble.hosts()), PATH, "mine");
    let token = master.becomes_master();
    assert_eq!(Witness::new(&ensemble.host(0)).read("/chroot/ipv6").unwrap().czxid, token);
    let observer = master.handle.observe(PATH);
    assert_eq!(observer.sees("mine").czxid, token);
    ensemble.restart(0);
    observer.sees_nobody(-4);
    observer.sees("mine");
    eventually(SOON, "it is master, still or again", || master.is_master());
}

#[test]
fn a_host_that_never_answers_does_not_keep_from_the_others() {
    let ensemble = one_server();
    let silent = [Relay::start("127.0.0.1:1"), Relay::start("127.0.0.1:1")];
    silent.iter().for_each(|relay| relay.blackhole(true));
    let hosts = format!("{},{},{}", silent[0].host(), silent[1].host(), ensemble.hosts());
    // Whatever the order: two silent ones in a row leave time for the third within the session timeout.
    for i in 0..6 {
        let began = Instant::now();
        let candidate = Candidate::stand_for(&hosts, SHORT_MS, &format!("/silent-{i}"), "mine");
        candidate.becomes_master();
        assert!(began.elapsed() < Duration::from_millis(SHORT_MS), "{:?}", began.elapsed());
    }
}

#[test]
fn a_name_that_means_nothing_does_not_keep_from_the_others() {
    let ensemble = one_server();
    for i in 0..3 {
        let hosts = format!("no-such-host.invalid:2181,{}", ensemble.hosts());
        Candidate::stand(&hosts, &format!("/no-such-host-{i}"), "mine").becomes_master();
    }
}

#[test]
fn a_caller_is_not_blocked_longer_than_it_asked_for() {
    const WAIT: Duration = Duration::from_millis(500);
    let silent = Relay::start("127.0.0.1:1");
    silent.blackhole(true);
    let closed = Relay::start("127.0.0.1:1");
    closed.refuse(true);
    let dead = "127.16.0.1:21810".to_owned();
    let unknown = "no-such-host.invalid:2181".to_owned();
    for hosts in [silent.host(), closed.host(), dead, unknown] {
        let began = Instant::now();
        assert_eq!(TestHandle::try_open(&hosts, LONG_MS, WAIT).err(), Some(Error::Timeout), "{hosts}");
        let took = began.elapsed();
        assert!(took >= WAIT && took < WAIT + AT_ONCE, "{hosts}: {took:?}");

        let began = Instant::now();
        let handle = TestHandle::try_open(&hosts, LONG_MS, Duration::ZERO).unwrap();
        assert!(began.elapsed() < AT_ONCE, "{hosts}: {:?}", began.elapsed());
        let candidate = handle.stand("/never", "mine");
        candidate.is_suspended();
    }
}

#[test]
fn a_server_that_comes_later_is_found() {
    const PATH: &str = "/comes-later";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    relay.refuse(true);
    let handle = TestHandle::try_open(&relay.host(), LONG_MS, Duration::ZERO).unwrap();
    let candidate = handle.stand(PATH, "mine");
    let observer = handle.observe(PATH);
    candidate.is_suspended();
    observer.sees_nobody(-4);
    eventually(SOON, "it goes on trying", || relay.connection_count() > 5);
    candidate.ear.hears_nothing_for(Duration::ZERO);
    relay.refuse(false);
    let let_in = Instant::now();
    let heard = candidate.ear.next();
    candidate.check_master(&heard.news);
    assert!(heard.at - let_in < Duration::from_secs(1), "{:?}", heard.at - let_in);
    observer.sees_next("mine");
}

/// The server has limits of its own for a session's timeout; here 1 to 10 s. How long a silent server is put up with follows
/// from what was granted.
#[test]
fn a_session_timeout_beyond_the_servers_limits() {
    let ensemble = one_server();
    let stand = |asked_ms: u64, granted_ms: i32| {
        let relay = Relay::start(ensemble.addr(0));
        let candidate = Candidate::stand_for(&relay.host(), asked_ms, &format!("/asks-for-{asked_ms}"), "mine");
        candidate.becomes_master();
        assert_eq!(relay.session().unwrap().timeout_ms, granted_ms);
        let left = candidate.lease().expect("it is master").left;
        assert!(left < Duration::from_millis(granted_ms as u64), "{left:?}");
        candidate.ear.hears_nothing_for(A_MOMENT);
        assert_eq!(relay.open_count(), 1);
        (relay, candidate)
    };
    stand(100, 1_000);
    let (relay, candidate) = stand(3_600_000, 10_000);
    let observer = candidate.handle.observe(&candidate.path);
    observer.sees("mine");
    relay.blackhole(true);
    let silent = Instant::now();
    observer.sees_nobody(-4);
    let left = silent.elapsed();
    assert!(left < Duration::from_secs(10) * 2 / 5, "it stayed for {left:?}");
    let lapsed = candidate.lapses() - silent;
    assert!(lapsed < Duration::from_secs(10), "it believed for {lapsed:?}");
}

/// A server that commits to a disk, or is far away, takes its time to open a session. What was asked for is shorter than any
/// server grants, so it says nothing about how long to wait for that.
#[test]
fn a_slow_server_and_the_shortest_session_timeout() {
    const PATH: &str = "/slow-and-short";
    const DELAY: Duration = Duration::from_millis(50);
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    relay.set_rule(|request| {
        if request.opcode == opcode::CREATE_SESSION {
            std::thread::sleep(DELAY);
        }
        Verdict::Forward
    });
    let candidate = TestHandle::try_open(&relay.host(), 100, Duration::ZERO).unwrap().stand(PATH, "mine");
    eventually(Duration::from_secs(5), "it is master", || candidate.is_master());
}

/// A handle that holds nothing in its session opens a new one before long, rather than wait for the old one, whose attempts
/// come at ever longer distances; and does not hammer.
#[test]
fn a_handle_that_holds_nothing_is_back_soon_after_its_server() {
    const PATH: &str = "/holds-nothing";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create(PATH, b"somebody", CreateMode::Ephemeral);
    let relay = Relay::start(ensemble.addr(0));
    let slave = Candidate::stand(&relay.host(), PATH, "slave");
    slave.becomes_slave_of("somebody");
    let pace = Pace::watch(&ensemble.host(0));
    relay.refuse(true);
    relay.cut_all();
    slave.is_suspended();
    let (before, began) = (relay.connection_count(), Instant::now());
    // An outage is a matter of time. After this one the old session's next attempt would be more than a second away.
    std::thread::sleep(Duration::from_secs(2));
    let attempts = relay.connection_count() - before;
    let half_seconds = began.elapsed().as_millis() as usize / 500;
    assert!((3..=8 * half_seconds).contains(&attempts), "{attempts} attempts in {half_seconds} half seconds");
    relay.refuse(false);
    let let_in = Instant::now();
    let heard = slave.ear.next();
    slave.check_slave(&heard.news, "somebody");
    // The next attempt is half a second away and a bit; then come a connection, a session and a read.
    let (took, slowest) = (heard.at - let_in, pace.slowest());
    assert!(took < AT_ONCE + slowest * 5, "{took:?}, where a raw write took {slowest:?}");
}
