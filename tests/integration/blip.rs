//! Servers that are away for a moment, as in a restart: if one is back before the lease of a master ends, it stays master,
//! and loses nothing of it later.
//!
//! Whether a lease lasts until it is proved anew is a race with the clock, which a machine that stands still for long enough
//! loses. Then it has shown nothing, and it is run again.

use crate::candidates::{options, Candidate, TestHandle};
use crate::ground::{one_server, LONG_MS, SOON};
use crate::lease::{lease_end, wait_for_proofs};
use crate::pace::Pace;
use crate::witness::Witness;
use election::{Dialect, Options, Recipe};
use std::time::{Duration, Instant};
use testkit::{eventually, Ensemble, Relay};

/// Enough for the pause until the next attempt, which is half a second at most, and for a connection and a proof.
const FOUND: Duration = Duration::from_millis(1_200);

/// Runs it until the machine was fast enough.
#[track_caller]
fn on_a_fast_machine(run: impl Fn() -> Result<(), String>) {
    let slow: Vec<String> = (0..4).map_while(|_| run().err()).collect();
    assert!(slow.len() < 4, "the machine is too slow: {slow:?}");
}

fn in_a_queue(mut options: Options) -> Options {
    options.set_recipe(Recipe::Queue(Dialect::default()));
    options
}

/// The masters of a node and of a queue, each with its token, and another candidate that waits for each.
fn masters_and_others(
    hosts: &str,
    others: &str,
    options: &Options,
    name: &str,
) -> [(Candidate, i64, Candidate); 2] {
    let recipes = [
        (format!("/blip-{name}-node"), options.clone()),
        (format!("/blip-{name}-queue"), in_a_queue(options.clone())),
    ];
    recipes.map(|(path, options)| {
        let master = TestHandle::open_with(hosts, &options).stand(&path, "mine");
        let token = master.becomes_master();
        let other = TestHandle::open_with(others, &options).stand(&path, "other");
        other.becomes_slave_of("mine");
        (master, token, other)
    })
}

/// One address, at which nobody listens for a while.
#[test]
fn a_server_that_is_back_before_the_lease_ends_keeps_the_master() {
    on_a_fast_machine(|| {
        let timeout = Duration::from_millis(LONG_MS);
        let ensemble = one_server();
        let relay = Relay::start(ensemble.addr(0));
        let all = masters_and_others(&relay.host(), &ensemble.hosts(), &options(LONG_MS), "address");
        all.iter().for_each(|(master, ..)| wait_for_proofs(master, timeout));
        let pace = Pace::watch(&ensemble.host(0));
        let interrogations: Vec<_> = all.iter().map(|(master, ..)| master.interrogate()).collect();
        relay.refuse(true);
        relay.cut_all();
        let end = all.iter().map(|(master, ..)| lease_end(master)).min().expect("two masters");
        std::thread::sleep((end - FOUND).saturating_duration_since(Instant::now()));
        let attempts = relay.connection_count();
        relay.refuse(false);
        // Until no lease is left that counts from before.
        std::thread::sleep(timeout);
        let slowest = pace.slowest();
        let answers: Vec<_> = interrogations.into_iter().map(|interrogation| interrogation.end()).collect();
        if slowest > FOUND / 8 && answers.iter().any(|answers| answers.no > 0) {
            return Err(format!("a raw write took {slowest:?}"));
        }
        assert!(attempts > 6, "they try again and again");
        for ((master, token, other), answers) in all.iter().zip(answers) {
            answers.are_always_yes(*token);
            master.ear.hears_nothing_for(Duration::ZERO);
            other.ear.hears_nothing_for(Duration::ZERO);
        }
        Ok(())
    });
}

/// All servers are stopped and started again. Each has taken connections and ended them before it serves.
#[test]
fn servers_that_are_restarted_before_the_lease_ends_keep_the_master() {
    const TIMEOUT_MS: u64 = 30_000;
    on_a_fast_machine(|| {
        let ensemble = Ensemble::builder(3).max_session_timeout_ms(TIMEOUT_MS as u32).start();
        let mut options = options(TIMEOUT_MS);
        options.set_tick(Duration::from_millis(500)).unwrap();
        let all = masters_and_others(&ensemble.hosts(), &ensemble.hosts(), &options, "restart");
        let interrogations: Vec<_> = all.iter().map(|(master, ..)| master.interrogate()).collect();
        let former = all.iter().map(|(master, ..)| lease_end(master)).min().expect("two masters");
        (0..3).for_each(|i| ensemble.kill9(i));
        ensemble.start_all();
        ensemble.wait_all_serving();
        if Instant::now() + FOUND > former {
            return Err("the servers were not back in time".to_owned());
        }
        let witness = Witness::new(&ensemble.host(0));
        for ((master, token, _), interrogation) in all.iter().zip(interrogations) {
            eventually(SOON, "it has a new lease", || lease_end(master) > former + FOUND);
            interrogation.end().are_always_yes(*token);
            master.ear.hears_nothing_for(Duration::ZERO);
        }
        let node = witness.read("/blip-restart-node").expect("it stands");
        assert_eq!(node.czxid, all[0].1);
        Ok(())
    });
}
