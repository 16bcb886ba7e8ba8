//! The server that the master is connected to goes, and two of three are left: the same master, without a word and without
//! a single no.

use testkit::{eventually, Ensemble};

use crate::belief;
use crate::believer::{ms, now, Believers, Line, RECIPE_NODE};
use crate::candidate::first_in_queue;
use crate::{witness, SOON};

const PATH: &str = "/another-server";
const SESSION_TIMEOUT_MS: i64 = 10_000;
const KILLS: usize = 10;
const FREEZES: usize = 3;

#[test]
fn killed_or_frozen_servers_cost_nothing_node() {
    lose_servers(RECIPE_NODE, KILLS, FREEZES);
}

#[test]
fn killed_or_frozen_servers_cost_nothing_queue() {
    lose_servers(crate::believer::RECIPE_QUEUE, 3, 1);
}

fn lose_servers(recipe: i32, kills: usize, freezes: usize) {
    // The followers of a frozen leader look for another one after syncLimit x tickTime = 1 s, well within the lease.
    let ensemble = Ensemble::builder(3).sync_limit(2).start();
    let believers = Believers::new();
    // With the tick told. Else a frozen server costs the mastership (docs/guarantees.md).
    let timeout = format!("session_timeout_ms={SESSION_TIMEOUT_MS}");
    let options = [&format!("recipe={recipe}"), &timeout, &"tick_ms=500".to_owned()];
    let master = believers.start(&ensemble.hosts(), PATH, "master", &options.map(String::as_str));
    let token = master.wait_master(0);
    let session = {
        let mut watcher = witness(&ensemble, 0);
        let path = match recipe {
            RECIPE_NODE => PATH.to_owned(),
            _ => format!("{PATH}/{}", first_in_queue(&mut watcher, PATH)),
        };
        let session = watcher.get(&path).expect("an answer").expect("the master's znode").owner;
        watcher.close_session().expect("an answer");
        session
    };
    // A lease that ends so late counts from a moment after the fault: another server has proved it.
    let proved = |fault: i64, what: &str| {
        let later = fault + SESSION_TIMEOUT_MS * 1_000_000;
        master.wait(what, 0, |line| match line {
            Line::Yes { before, left, .. } if before + left > later => Some(()),
            Line::No { before, .. } => panic!("{what}: no, {:.0} ms after that", ms(before - fault)),
            _ => None,
        });
    };
    let mut leaders_lost = 0;
    let mut lowest_left = i64::MAX;
    let connected = || {
        ensemble.wait_all_serving();
        let mut server = None;
        eventually(SOON, "the master is connected", || {
            server = ensemble.server_of_session(session);
            server.is_some()
        });
        server.expect("a server")
    };
    proved(now(), "the ordinary course");
    for round in 0..kills + freezes {
        let server = connected();
        let leads = ensemble.leader() == Some(server);
        leaders_lost += usize::from(leads);
        let fault = now();
        match round < kills {
            true => ensemble.kill9(server),
            false => ensemble.freeze(server),
        }
        let who = if leads { "leader" } else { "follower" };
        let what = if round < kills { "killed" } else { "frozen" };
        proved(fault, &format!("round {round}, {who} {what}"));
        match round < kills {
            true => ensemble.start_server(server),
            false => ensemble.thaw(server),
        }
        for line in master.lines() {
            if let Line::Yes { before, left, .. } = line {
                if before > fault {
                    lowest_left = lowest_left.min(left);
                }
            }
        }
    }
    let all = belief::check(&[&master]);
    assert_eq!(all.len(), 1, "one belief throughout");
    assert_eq!(all[0].token, token);
    let told = master.lines().iter().filter(|line| matches!(line, Line::Callback { .. })).count();
    assert_eq!(told, 1, "it was told to be master, and nothing else");
    println!(
        "recipe {recipe}: {kills} kills and {freezes} freezes of the connected server ({leaders_lost} times the leader): one \
         mastership of {:.0} s, one callback, {} answers written down and all of them yes, {:.0} ms at most between two; the \
         lease never had less than {:.0} of {SESSION_TIMEOUT_MS} ms left",
        ms(all[0].end - all[0].begin) / 1000.0,
        all[0].count,
        ms(all[0].longest_silence),
        ms(lowest_left)
    );
}
