//! Real servers come up, can be hurt one by one, and leave nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};
use testkit::{eventually, wait_until, Ensemble, RawClient};

const SOON: Duration = Duration::from_secs(20);

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn one_server_serves_alone_and_goes_with_its_owner() {
    let began = Instant::now();
    let ensemble = Ensemble::start(1);
    println!("one server after {:?}", began.elapsed());
    assert_eq!(ensemble.leader(), Some(0));
    assert!(ensemble.four_letter(0, "srvr").contains("Mode: standalone"));
    assert!(ensemble.four_letter(0, "conf").contains("tickTime=500"));
    let (pid, folder) = (ensemble.pid(0).unwrap(), ensemble.folder().to_owned());
    assert!(is_alive(pid) && folder.exists());
    drop(ensemble);
    assert!(!is_alive(pid) && !folder.exists());
}

#[test]
fn another_leads_when_the_leader_is_killed_or_frozen() {
    let began = Instant::now();
    let ensemble = Ensemble::start(3);
    println!("three servers after {:?}", began.elapsed());
    assert_eq!(ensemble.hosts().split(',').count(), 3);

    let first = ensemble.leader().expect("all serve, so one leads");
    ensemble.kill9(first);
    assert!(!ensemble.is_serving(first));
    eventually(SOON, "another leads", || ensemble.leader().is_some_and(|leader| leader != first));
    let second = ensemble.leader().unwrap();

    ensemble.start_server(first);
    ensemble.wait_all_serving();
    assert_eq!(ensemble.leader(), Some(second));

    ensemble.freeze(second);
    assert!(!ensemble.is_serving(second));
    eventually(SOON, "another leads while the leader is frozen", || {
        ensemble.leader().is_some_and(|leader| leader != second)
    });
    ensemble.thaw(second);
    ensemble.wait_all_serving();
    let modes = [0, 1, 2].map(|i| ensemble.four_letter(i, "srvr"));
    let leading = |mode: &&String| mode.contains("Mode: leader");
    assert_eq!(modes.iter().filter(leading).count(), 1, "the thawed server leads no more: {modes:?}");
    assert!(ensemble.is_serving(second) && ensemble.leader() != Some(second));
    ensemble.restart(second);
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let seen = std::sync::Mutex::new(None);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let ensemble = Ensemble::start(1);
        let (pid, folder) = (ensemble.pid(0).unwrap(), ensemble.folder().to_owned());
        *seen.lock().unwrap() = Some((pid, folder));
        panic!("on purpose");
    }));
    assert!(result.is_err());
    let (pid, folder) = seen.lock().unwrap().take().unwrap();
    assert!(!is_alive(pid) && !folder.exists());
}

#[test]
fn all_stop_and_start_on_ipv6() {
    let ensemble = Ensemble::builder(1).ipv6(true).start();
    assert!(ensemble.host(0).starts_with("[::1]:"));
    ensemble.stop_all();
    assert!(!wait_until(Duration::ZERO, || ensemble.is_serving(0)));
    ensemble.start_all();
    ensemble.wait_all_serving();
}

#[test]
fn a_server_that_is_cut_off_still_answers_its_clients() {
    let ensemble = Ensemble::builder(3).sync_limit(10).network(true).start();
    let network = ensemble.network();
    let leader = ensemble.wait_leader();
    let (cut, other) = ((leader + 1) % 3, (leader + 2) % 3);
    network.clients().run(|| {
        let mut at_cut = RawClient::connect(&ensemble.host(cut), 10_000).unwrap();
        let mut at_other = RawClient::connect(&ensemble.host(other), 10_000).unwrap();
        network.cut_off(cut);
        assert_eq!(at_other.create("/while-cut", b"", 0).unwrap().err, 0);
        assert!(!at_cut.exists("/while-cut").unwrap(), "it answers, and knows nothing of it");
        network.join(cut);
        eventually(SOON, "it catches up", || at_cut.exists("/while-cut").unwrap_or(true));
    });
}
