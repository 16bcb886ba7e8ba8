//! The master's process is well, its server is not: frozen, or cut off from the other servers while it goes on answering the
//! master. Another becomes master, and not one instant are there two.

use std::time::{Duration, Instant};

use testkit::Ensemble;

use crate::belief::{self, Belief};
use crate::believer::{ms, now, Believer, Believers, NOT_MASTER, RECIPE_NODE, RECIPE_QUEUE, SLAVE, UNKNOWN};
use crate::candidate::first_in_queue;
use crate::{witness, SOON, WITNESS_TIMEOUT_MS};

const PATH: &str = "/cut-off";
const TARGET: &str = "/target";
const CONNECTIONLOSS: i32 = -4;
const OPERATIONTIMEOUT: i32 = -7;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    Follower,
    Leader,
}

fn pick(ensemble: &Ensemble, which: Which) -> (usize, String) {
    let leader = ensemble.wait_leader();
    let picked = match which {
        Which::Leader => leader,
        Which::Follower => (leader + 1) % 3,
    };
    let others: Vec<String> = (0..3).filter(|&i| i != picked).map(|i| ensemble.host(i)).collect();
    (picked, others.join(","))
}

/// What the former master and the next one believed: never both, and the next one at all.
#[track_caller]
fn check_handover(first: &Believer, second: &Believer, fault: i64, what: &str) {
    let all = belief::check(&[first, second]);
    let former: &Belief =
        all.iter().rfind(|belief| belief.who == first.name && belief.begin < fault).expect("a belief");
    let next = all.iter().find(|belief| belief.who == second.name).expect("a belief");
    assert!(former.end < next.begin && former.end > fault);
    println!(
        "{what}: the former master believed until {:.0} ms after the fault, the next one from {:.0} ms; nobody for at least \
         {:.0} ms; {} answers written down in between, {} ms at most between two",
        ms(former.end - fault),
        ms(next.begin - fault),
        belief::gap_ms(former, next),
        former.count,
        ms(former.longest_silence).round()
    );
}

#[test]
fn a_frozen_server() {
    let ensemble = Ensemble::start(3);
    let believers = Believers::new();
    for (recipe, which) in [(RECIPE_NODE, Which::Follower), (RECIPE_QUEUE, Which::Leader)] {
        let (frozen, others) = pick(&ensemble, which);
        let options = [&format!("recipe={recipe}"), "session_timeout_ms=2000"];
        let path = format!("{PATH}-{recipe}");
        let first = believers.start(&ensemble.host(frozen), &path, &format!("first-{recipe}"), &options);
        first.wait_master(0);
        let second = believers.start(&others, &path, &format!("second-{recipe}"), &options);
        second.wait_role(0, SLAVE);
        let fault = now();
        ensemble.freeze(frozen);
        second.wait_master(0);
        first.wait_role(0, UNKNOWN);
        ensemble.thaw(frozen);
        // It finds back, and is told that another is master.
        let mark = first.mark();
        first.wait_role(mark, SLAVE);
        check_handover(&first, &second, fault, &format!("{which:?} frozen, recipe {recipe}"));
        drop((first, second));
        ensemble.wait_all_serving();
    }
}

/// A follower waits for syncLimit x tickTime = 5 s before it notices; the session timeout is 2 s.
#[test]
fn a_follower_that_is_cut_off_from_the_others() {
    for recipe in [RECIPE_NODE, RECIPE_QUEUE] {
        cut_off(recipe, Which::Follower);
    }
}

/// A leader without followers goes on for as long, and answers even a sync.
#[test]
fn a_leader_that_is_cut_off_from_the_others() {
    cut_off(RECIPE_QUEUE, Which::Leader);
}

fn cut_off(recipe: i32, which: Which) {
    let ensemble = Ensemble::builder(3)
        .tick_ms(500)
        .sync_limit(10)
        .max_session_timeout_ms(WITNESS_TIMEOUT_MS)
        .network(true)
        .start();
    // Before 3.6 a follower answers nobody while a write waits for its commit (ZOOKEEPER-2024).
    let answers = which == Which::Leader || ensemble.release().since(3, 6);
    let network = ensemble.network();
    let clients = network.clients();
    let (cut, others) = pick(&ensemble, which);
    let believers = Believers::new();
    let options = [&format!("recipe={recipe}"), "session_timeout_ms=2000"];
    let first = believers.start_in(Some(clients), &ensemble.host(cut), PATH, "first", &options);
    first.wait_master(0);
    let second = believers.start_in(Some(clients), &others, PATH, "second", &options);
    second.wait_role(0, SLAVE);

    let (fault, healed, answered, rc) = clients.run(|| {
        let mut at_cut = witness(&ensemble, cut);
        assert_eq!(at_cut.create(TARGET, b"untouched", 0).expect("an answer").err, 0);
        let path_of_first = match recipe {
            RECIPE_NODE => PATH.to_owned(),
            _ => format!("{PATH}/{}", first_in_queue(&mut at_cut, PATH)),
        };
        let of_first = at_cut.get(&path_of_first).expect("an answer").expect("the master's znode");
        assert_eq!(of_first.value, b"first");
        let mark = first.mark();
        let fault = now();
        network.cut_off(cut);
        // On its way to the leader it waits in the cut-off server, for longer than the session lives.
        first.tell(&format!("set {TARGET}"));
        let mut answered = 0;
        if which == Which::Follower && !answers {
            second.wait_master(0);
        } else if which == Which::Follower {
            second.wait_master(0);
            // The scenario is real: the server that is cut off answers, and to it the former master is master.
            let seen = at_cut.get(&path_of_first).expect("an answer of the server that is cut off");
            answered = now();
            assert_eq!(seen.as_ref(), Some(&of_first), "it shows the former master's znode");
        } else {
            let began = Instant::now();
            while belief::beliefs(&second).is_empty() && began.elapsed() < SOON {
                if let Ok(Some(seen)) = at_cut.get(&path_of_first) {
                    assert_eq!(seen, of_first);
                    answered = now();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            second.wait_master(0);
        }
        let healed = now();
        network.join(cut);
        let rc = first.wait_fenced(mark);
        assert!([NOT_MASTER, CONNECTIONLOSS, OPERATIONTIMEOUT].contains(&rc), "the fenced write came to {rc}");
        (fault, healed, answered, rc)
    });
    ensemble.wait_all_serving();
    first.wait_last_role(SLAVE);
    clients.run(|| {
        // From a server that was not cut off, and from the one that was: what was on its way has come to nothing.
        for i in 0..3 {
            let target = witness(&ensemble, i).get(TARGET).expect("an answer").expect("a znode");
            assert_eq!((target.value.as_slice(), target.version), (b"untouched".as_slice(), 0), "server {i}");
        }
    });
    let what = format!("{which:?} cut off, recipe {recipe}");
    check_handover(&first, &second, fault, &what);
    let until = match answers {
        true => format!("answered until {:.0} ms after the cut at least", ms(answered - fault)),
        false => format!("was not asked: ZooKeeper {} would not have answered", ensemble.release()),
    };
    println!(
        "{what}: the server that was cut off {until}, healed at {:.0} ms; the fenced write that was under way came to {rc} and was \
         not carried out",
        ms(healed - fault)
    );
    if which == Which::Follower && answers {
        // It would still have been believed on its word alone, when the next one was master already.
        let next = belief::beliefs(&second)[0].begin;
        assert!(answered > next, "the scenario was not reached");
    }
}
