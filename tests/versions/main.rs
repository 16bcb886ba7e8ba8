//! Other releases of ZooKeeper than the one that the system has. `tests/versions/run.sh` fetches them, runs the tests of the other
//! folders on each of them, and these.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use election::{Dialect, Handle, Options, Recipe};
use testkit::{eventually, opcode, Ensemble, Relay, Release};

const SOON: Duration = Duration::from_secs(20);

fn options(recipe: Recipe, session_timeout: Duration) -> Options {
    let mut options = Options::default();
    options.set_session_timeout(session_timeout).expect("a session timeout");
    options.set_connect_timeout(SOON).expect("a connect timeout");
    options.set_recipe(recipe);
    options
}

/// Servers are replaced one by one, from one release to the next, under two masters: each keeps its mastership.
#[test]
#[ignore = "needs other releases of ZooKeeper: `make test-versions` fetches them"]
fn a_rolling_upgrade_keeps_the_masters() {
    let fetched = Release::fetched;
    let ensemble = Ensemble::builder(3).release(fetched("3.6.3")).max_session_timeout_ms(40_000).start();
    let recipes = [("/node", Recipe::Node), ("/queue", Recipe::Queue(Dialect::default()))];
    let handles = recipes.map(|(path, recipe)| {
        let handle = Handle::open(&ensemble.hosts(), &options(recipe, Duration::from_secs(20))).expect("a session");
        handle.go_to_election(path, b"master", |_| {}).expect("it stands");
        eventually(SOON, "a master", || handle.is_master(path));
        let token = handle.lease(path).expect("it leads").token;
        (handle, path, token)
    });
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut asked = 0u64;
            while !is_over.load(Ordering::SeqCst) {
                for (handle, path, token) in &handles {
                    let now = handle.lease(path).map(|mastership| mastership.token);
                    assert_eq!(now, Some(*token), "{path}: after {asked} answers");
                }
                asked += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            asked
        });
        for next in [fetched("3.7.2"), Release::of_distribution(), fetched("3.9.5")] {
            for i in 0..3 {
                if watcher.is_finished() {
                    break;
                }
                ensemble.restart_as(i, next.clone());
                ensemble.wait_all_serving();
            }
            println!("all three servers are of {next}");
        }
        is_over.store(true, Ordering::SeqCst);
        let asked = watcher.join().expect("the masters stayed");
        println!("3.6.3, 3.7.2, {}, 3.9.5: two masters throughout, {asked} times yes", Release::of_distribution());
    });
}

/// It knows neither `create2` nor containers.
#[test]
#[ignore = "needs other releases of ZooKeeper: `make test-versions` fetches them"]
fn a_server_of_3_4_serves_an_election() {
    let ensemble = Ensemble::builder(1).release(Release::fetched("3.4.14")).start();
    for (path, recipe) in [("/old/node", Recipe::Node), ("/old/queue", Recipe::Queue(Dialect::default()))] {
        let relay = Relay::start(ensemble.addr(0));
        let handle = Handle::open(&relay.host(), &options(recipe, Duration::from_secs(10))).expect("a session");
        handle.go_to_election(path, b"me", |_| {}).expect("it stands");
        eventually(SOON, "a master", || handle.is_master(path));
        let token = handle.lease(path).expect("it leads").token;
        let creates = relay.count(opcode::CREATE2);
        assert!(creates <= 3, "asked {creates} times");
        let proofs = handle.counters().expect("open").proofs_committed;
        relay.cut_all();
        eventually(SOON, "proofs on a new connection", || {
            handle.counters().expect("open").proofs_committed > proofs + 2
        });
        assert_eq!(handle.lease(path).map(|mastership| mastership.token), Some(token));
    }
}

/// Before 3.6 a reconnect used to cost the session.
#[test]
#[ignore = "needs other releases of ZooKeeper: `make test-versions` fetches them"]
fn a_reconnect_to_3_5_keeps_the_master() {
    let ensemble = Ensemble::builder(1).release(Release::fetched("3.5.9")).start();
    for (path, recipe) in [("/node", Recipe::Node), ("/queue", Recipe::Queue(Dialect::default()))] {
        let relay = Relay::start(ensemble.addr(0));
        let handle = Handle::open(&relay.host(), &options(recipe, Duration::from_secs(10))).expect("a session");
        handle.go_to_election(path, b"me", |_| {}).expect("it stands");
        eventually(SOON, "a master", || handle.is_master(path));
        let token = handle.lease(path).expect("it leads").token;
        for _ in 0..5 {
            let proofs = handle.counters().expect("open").proofs_committed;
            relay.cut_all();
            eventually(SOON, "proofs on a new connection", || {
                handle.counters().expect("open").proofs_committed > proofs + 2
            });
            assert_eq!(handle.lease(path).map(|mastership| mastership.token), Some(token));
        }
        assert_eq!(handle.counters().expect("open").sessions_opened, 1);
        println!("{path}: five reconnects, one mastership, {} connections", relay.connection_count());
    }
}
